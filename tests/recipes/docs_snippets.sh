#!/bin/sh
# The recipes in the documentation are right: every ```lua block of docs/ and README.md is written to a file and checked.
#
# The words behind ```lua say how:
#   ```lua                 a whole recipe: deployrun check
#   ```lua check           the same, said aloud
#   ```lua dry-run A=B …   a whole recipe that needs this machine only: checked, then walked with these params
#   ```lua file=lib/x.lua  a module, written there for the recipes of the same page
# Anything that is not whole is written as an indented block, and is not looked at here.
set -eu

source=${DEPLOYRUN_SOURCE_DIR:?}
work=snippets
rm -rf "$work"
mkdir "$work"
work=$(cd "$work" && pwd)

# Writes each block of a page to FOLDER/NN.lua and its words to FOLDER/NN.how; a module to FOLDER/its own name.
extract() {
  awk -v folder="$2" '
    /^```lua/ && !inside {
      inside = 1
      count++
      how = substr($0, 8)
      gsub(/^ +| +$/, "", how)
      if (how ~ /^file=/) { out = folder "/" substr(how, 6) }
      else {
        out = sprintf("%s/%02d.lua", folder, count)
        print how > (folder "/" sprintf("%02d", count) ".how")
        close(folder "/" sprintf("%02d", count) ".how")
      }
      printf "" > out
      next
    }
    /^```/ && inside { inside = 0; close(out); next }
    inside { print > out }
  ' "$1"
}

failed=0
checked=0
complain() {
  failed=$((failed + 1))
  printf '%s, block %s (%s):\n' "$1" "$2" "$3"
  sed 's/^/    /' "$work/said"
}

for page in "$source/README.md" $(find "$source/docs" -name '*.md' | sort); do
  name=${page#"$source"/}
  folder=$work/$(printf '%s' "$name" | tr '/.' '__')
  mkdir -p "$folder/lib"
  extract "$page" "$folder"
  for how in "$folder"/*.how; do
    [ -e "$how" ] || continue
    block=${how%.how}
    words=$(cat "$how")
    checked=$((checked + 1))
    if ! "$DEPLOYRUN" check "$block.lua" >"$work/said" 2>&1; then
      complain "$name" "$(basename "$block")" "deployrun check"
      continue
    fi
    case $words in
      '' | check) ;;
      dry-run*)
        # shellcheck disable=SC2086 # the words are params
        (cd "$folder" && "$DEPLOYRUN" "$block.lua" ${words#dry-run} --dry-run) >"$work/said" 2>&1 </dev/null ||
          complain "$name" "$(basename "$block")" "deployrun $words" ;;
      *) echo "unknown words: $words" >"$work/said"; complain "$name" "$(basename "$block")" "$words" ;;
    esac
  done
done
echo "$checked recipes of the documentation, $failed wrong"
[ "$checked" -gt 0 ] && [ "$failed" -eq 0 ]
