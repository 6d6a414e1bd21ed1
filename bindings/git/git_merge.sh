# git_merge.sh - what both sides changed, brought together aside: merge BASE NEW EDITED makes a tree of three, in an index
# of its own. Part of git_update.sh, which sets work, an empty folder, and says in work/winners in which files the local
# edits win; what conflicts, and how conflicts were resolved, stands in work/conflicts and work/resolved.
# shellcheck shell=sh
# shellcheck disable=SC2154,SC2034 # work, old, new; merged

# unquote NAME: sets name to what git printed, which quotes unusual characters as C does.
unquote() {
  name=$1
  case $name in '"'*) ;; *) return 0 ;; esac
  name=${name#\"}
  name=$(printf '%s' "${name%\"}" | sed 's/%/%%/g; s/\\"/"/g')
  # shellcheck disable=SC2059 # the escapes in it are what printf is for
  name=$(printf "$name.")
  name=${name%.}
}

# choose_winners [FILE]...: the list of what wins: files and folders from the top, also as patterns. One that names
# nothing is a mistake that would show itself only with the next conflict.
choose_winners() {
  : >"$work/winners"
  for winner; do
    while [ "$winner" != "${winner#./}" ]; do winner=${winner#./}; done
    winner=${winner%/}
    [ -n "$(known "$winner" | head -n 1)" ] || { tell name "$winner"; rm -rf "$work"; stop git.no_such_file; }
    printf '%s\n' "$winner" >>"$work/winners"
  done
}

# known NAME: the files it names, here or in the commits.
known() {
  GIT_LITERAL_PATHSPECS=1 git ls-files -- "$1"
  git ls-files -- ":(top)$1" ":(top)$1/*"
  for commit in "$old" "$new"; do git ls-tree --name-only "$commit" -- "$1"; done
}

# wins NAME: whether it is one of the files, or in one of the folders, whose local edits win.
wins() {
  while IFS= read -r winner; do
    # shellcheck disable=SC2254 # a pattern too, in which "*" is also "/"
    case $1 in "$winner" | "$winner"/* | $winner | $winner/*) return 0 ;; esac
  done <"$work/winners"
  return 1
}

# stage N: sets mode and blob of the name's entry at a stage of the merge (1 base, 2 new, 3 edited); 1: none.
stage() {
  # shellcheck disable=SC2046 # "mode blob stage"
  set -- $(GIT_LITERAL_PATHSPECS=1 git ls-files -u -- "$name" | grep " $1	" | cut -f1)
  mode=${1-}
  blob=${2-}
  [ -n "$blob" ]
}

# put MODE BLOB: the merged entry of the name; without them: no such file.
put() {
  if [ -n "$2" ]; then
    git update-index --add --cacheinfo "$1,$2,$name" 2>/dev/null || conflict
  else
    git update-index --force-remove -- "$name" || broken
  fi
}

conflict() { printf '%s\0' "$name" >>"$work/conflicts"; }
resolved() { printf 'conflict\0%s %s\0' "$1" "$name" >>"$work/resolved"; }

# merge_mode: sets kind to the mode of the merged file. Where one side only has changed it, that side is right; else the
# edits of a winner stand.
merge_mode() {
  kind=$mine_mode
  if [ "$mine_mode" = "$base_mode" ]; then
    kind=$theirs_mode
  elif [ "$theirs_mode" != "$base_mode" ] && [ "$theirs_mode" != "$mine_mode" ]; then
    wins "$name" || return 1
    resolved file
  fi
}

# merge_lines: sets blob to three text files in one. Where both changed a line, the edits of a winner stand.
merge_lines() {
  for side in base theirs mine; do : >"$work/$side"; done
  [ -z "$base" ] || git cat-file blob "$base" >"$work/base" || broken
  { git cat-file blob "$theirs" >"$work/theirs" && git cat-file blob "$mine" >"$work/mine"; } || broken
  git merge-file -q -p "$work/mine" "$work/base" "$work/theirs" >"$work/merged" 2>/dev/null
  count=$?
  [ $count -eq 0 ] || wins "$name" || return 1
  if [ $count -ge 128 ]; then # not text
    resolved file
    blob=$mine
    return 0
  elif [ $count -gt 0 ]; then
    git merge-file -q -p --ours "$work/mine" "$work/base" "$work/theirs" >"$work/merged" || broken
    resolved lines
  fi
  blob=$(git hash-object -w --stdin <"$work/merged") || broken
}

merge_files() {
  merge_mode || { conflict; return 0; }
  if [ "$mine" = "$base" ] || [ "$mine" = "$theirs" ]; then
    blob=$theirs
  elif [ "$theirs" = "$base" ]; then
    blob=$mine
  else
    merge_lines || { conflict; return 0; }
  fi
  put "$kind" "$blob"
}

# simple: where one side only has changed it, that side is right; git leaves these where a file became a folder. What is
# removed goes first.
simple() {
  if [ "$base_mode,$base" = "$mine_mode,$mine" ] || [ "$mine_mode,$mine" = "$theirs_mode,$theirs" ]; then
    set -- "$1" "$theirs_mode" "$theirs"
  elif [ "$base_mode,$base" = "$theirs_mode,$theirs" ]; then
    set -- "$1" "$mine_mode" "$mine"
  else
    return 1
  fi
  [ "$1" = last ] || [ -z "$3" ] || return 0
  put "$2" "$3"
}

merge_one() {
  stage 1; base_mode=$mode base=$blob
  stage 2; theirs_mode=$mode theirs=$blob
  stage 3; mine_mode=$mode mine=$blob
  if [ -z "$base$theirs$mine" ] || simple "$1" || [ "$1" = first ]; then return 0; fi
  case $theirs_mode,$mine_mode in
    100*,100*) merge_files ;;
    *160000*) conflict ;;
    *) # removed on one side, or not both are files
      wins "$name" || { conflict; return 0; }
      resolved file
      put "$mine_mode" "$mine" ;;
  esac
}

# merge BASE NEW EDITED: sets merged to their tree, or stops with the names of what conflicts.
merge() {
  export GIT_INDEX_FILE="$work/merge"
  git read-tree -i -m --aggressive "$1" "$2" "$3" || broken
  git diff-index --cached --name-only --diff-filter=U "$2" >"$work/unmerged" || broken
  for pass in first last; do
    while IFS= read -r line <&8; do
      unquote "$line"
      merge_one $pass
    done 8<"$work/unmerged"
  done
  if [ -s "$work/conflicts" ]; then
    tell_all path <"$work/conflicts"
    rm -rf "$work"
    stop git.conflict
  fi
  merged=$(git write-tree) || broken
  unset GIT_INDEX_FILE
}
