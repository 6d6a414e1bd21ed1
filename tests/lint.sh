#!/bin/sh
# The house's style, as far as a program can see it. Exit status 1 when something is found.
#
#   sh tests/lint.sh [CHECK]...     default: all
#
#   arrows   ui/ and cli/ include no header of the library but deployrun.h; core/ and ops/ none of the bindings'
#   banned   no call of sprintf strcpy strcat gets strtok system popen atoi
#   format   clang-format changes nothing (`clang-format -i FILE` mends)
#   length   no file above 600 lines (clang-tidy says the same of functions above 80)
#   listed   every source in runtime/, bindings/ and tests/unit/ stands in its CMakeLists.txt
#   lua      luacheck
#   shell    shellcheck
#   tidy     clang-tidy over the C files; needs a configured and built tree: $DEPLOYRUN_BUILD_DIR, else the newest
#            in build/. A file that passed is looked at again when it, a header or .clang-tidy has changed.
set -eu
cd "$(dirname "$0")/.."
checks='arrows banned format length listed lua shell tidy'

# files PATTERN...: the project's own files with such names.
files() {
  for pattern in "$@"; do
    find .ci runtime bindings recipes tests docs vendor -name "$pattern" -type f 2>/dev/null
  done | sort
}

c_files() { files '*.c' '*.h'; }

# found LINES: print them, and be a failure when there are any.
found() {
  [ -n "$1" ] || return 0
  printf '%s\n' "$1"
  return 1
}

need() { command -v "$1" >/dev/null || { echo "$1 is missing ('sh vendor/bootstrap.sh test' installs it)"; exit 1; }; }

# includes FOLDER...: FILE:LINE:NAME of each #include "NAME" in the C files of these folders.
includes() {
  find "$@" -name '*.[ch]' -type f -exec grep -Hn '^#include "' {} + 2>/dev/null |
    sed 's/^\([^:]*:[0-9]*\):#include "\([^"]*\)".*/\1:\2/'
}

check_arrows() {
  found "$(
    includes runtime/ui runtime/cli | grep -E ':(.*/)?(core|ops|lua|bindings)/[^:]*$' |
      sed 's/$/ (ui and cli see only deployrun.h)/'
    includes runtime/core runtime/ops | grep -E ':(.*/)?(ui|cli)/[^:]*$' | sed 's/$/ (the library knows no front end)/'
    includes bindings | grep -E ':(.*/)?(ui|cli)/[^:]*$' | sed 's/$/ (the library knows no front end)/'
    includes runtime/core runtime/ops | while IFS=: read -r file line name; do
      [ -e "runtime/$name" ] || [ -e "$(dirname "$file")/$name" ] || [ ! -e "bindings/$name" ] ||
        echo "$file:$line:$name (the core knows no binding)"
    done
  )"
}

# Comments and texts are blanked first, so that a word about system() is not a call of it.
check_banned() {
  # shellcheck disable=SC2016 # awk's own $
  found "$(c_files | xargs awk '
    FNR == 1 { inside = 0 }
    {
      text = $0
      if (inside && !sub(/^.*\*\//, "", text)) next
      inside = 0
      gsub(/"([^"\\]|\\.)*"/, "\"\"", text)
      gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, " ", text)
      sub(/\/\/.*/, "", text)
      if (sub(/\/\*.*/, "", text)) inside = 1
      if (match(text, /(^|[^A-Za-z0-9_.>])(sprintf|strcpy|strcat|gets|strtok|system|popen|atoi)[ \t]*\(/))
        print FILENAME ":" FNR ": banned: " $0
    }')"
}

# The versions of clang-format do not agree with each other; the tree is kept as 14 wants it.
check_format() {
  program=clang-format-14
  command -v $program >/dev/null || program=clang-format
  need $program
  found "$(for file in $(c_files); do
    lines=$("$program" "$file" | diff "$file" - | grep -c '^<') || continue
    echo "$file: clang-format would change $lines lines"
  done)"
}

check_length() {
  # shellcheck disable=SC2016 # awk's own $
  found "$(files '*.c' '*.h' '*.lua' '*.sh' '*.py' '*.cmake' CMakeLists.txt | xargs wc -l |
    awk '$1 > 600 && $2 != "total" { print $2 ": " $1 " lines; above 600 it is more than one concept" }')"
}

# listed_in LIST FILE...: which of the files, named relative to the list's folder, does the list not name?
listed_in() {
  list=$1
  shift
  for file in "$@"; do
    name=${file#"$(dirname "$list")"/}
    [ ! -e "$file" ] || grep -qE "^([^#]*[ (])?$name([ )]|\$)" "$list" || echo "$file: not in $list, so it is not built"
  done
}

check_listed() {
  # shellcheck disable=SC2046 # no file name here has a space
  found "$(
    listed_in runtime/CMakeLists.txt $(find runtime -name '*.c') runtime/lua/*.lua
    listed_in bindings/CMakeLists.txt $(find bindings -name '*.c') $(find bindings -name '*.lua' -not -path 'bindings/meta/*')
    listed_in tests/unit/CMakeLists.txt tests/unit/*.c
  )"
}

check_lua() {
  need luacheck
  files '*.lua' | xargs -r luacheck --quiet --no-color
}

check_shell() {
  need shellcheck
  { files '*.sh'; echo .ci/run; } | xargs shellcheck -x -P SCRIPTDIR
}

check_tidy() {
  need clang-tidy
  build=${DEPLOYRUN_BUILD_DIR:-}
  # shellcheck disable=SC2012 # newest first; no name here has a space
  [ -n "$build" ] || build=$(ls -td build/*/compile_commands.json 2>/dev/null | head -n 1 | xargs -r dirname)
  [ -f "$build/compile_commands.json" ] || { echo "no build tree to read the compile commands from"; exit 1; }
  mkdir -p "$build/tidy"
  everything=$({
    clang-tidy --version
    cat .clang-tidy "$build/compile_commands.json"
    files '*.h' | xargs cat
  } | sha256sum)
  export build everything
  find runtime bindings tests -name '*.c' | sort | xargs -r -n 1 -P "$(nproc)" sh tests/lint.sh --tidy-one
}

# One file, in a process of its own: clang-tidy 14 mistakes va_lists when it has seen another file before.
tidy_one() {
  grep -qF "/$1\"" "$build/compile_commands.json" || return 0
  hash=$({ printf '%s\n' "$everything" "$1"; cat "$1"; } | sha256sum | cut -d' ' -f1)
  [ ! -e "$build/tidy/$hash" ] || return 0
  if said=$(clang-tidy --quiet -p "$build" "$1" 2>&1); then
    : >"$build/tidy/$hash"
  else
    printf '%s\n' "$said" | grep -vE '^[0-9]+ (warnings?|errors?)|^Suppressed|^Use -header|^Error while processing'
    return 1
  fi
}

if [ "${1:-}" = --tidy-one ]; then
  tidy_one "$2"
  exit
fi

# shellcheck disable=SC2086 # a list of words
[ $# -gt 0 ] || set -- $checks
failed=
for check in "$@"; do
  case " $checks " in
    *" $check "*) ;;
    *) echo "there is no check '$check'; there are: $checks"; exit 2 ;;
  esac
  if ("check_$check"); then echo "lint: $check: ok"; else failed="$failed $check"; fi
done
[ -z "$failed" ] || { echo "lint: failed:$failed"; exit 1; }
