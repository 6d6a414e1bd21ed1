# git_update.sh - brings a checkout to another commit while files that were edited in it keep their edits.
#
#   update KEEP REMOTE BRANCH [FILE]...   fetches BRANCH of REMOTE and goes there (KEEP yes: with local edits)
#   reset KEEP REVISION [FILE]...         moves the branch to a commit (KEEP yes: with local edits, drop: without them)
#   revert PARENT REVISION                makes a commit that takes another one back; PARENT of a merge, or empty
#   pop STASH [FILE]...                   applies a stash to a clean checkout, and drops it
#
# In the FILEs the local edits win where both changed the same lines. Empty words mean: as the checkout is configured.
#
# Nothing is merged in the checkout itself. The edits become a commit (W: refs/deployrun/edits); the tree they make
# with the new commit (M) is computed in an index of its own; the files that differ are written out below
# .git/deployrun. Only when all of this has worked is the plan written, the stash listed, and each file moved into its
# place by rename(2). So a running server sees each file whole, old or new, and never a conflict marker; what it can
# see is some files old and others new, for as long as the moves take.
#
# Killed before the plan is there: the checkout is as it was. Killed later: every next call first moves the rest,
# which moves nothing that is in place already, and the stash stays listed until what lies there has been compared
# with M.
# shellcheck shell=sh

# ------------------------------------------------------------------------------------------------------- finding out

# enter: goes to the top of the checkout; sets git_dir, home, work. One such script at a time has the lock.
enter() {
  top=$(git rev-parse --show-toplevel) || broken
  cd "$top" || broken
  git_dir=$(git rev-parse --absolute-git-dir) || broken
  common=$(cd "$(git rev-parse --git-common-dir)" && pwd) || broken
  index=$git_dir/index
  home=$git_dir/deployrun
  work=$home/work
  mkdir -p "$home" || broken
  command -v flock >/dev/null || stop lock.no_flock
  exec 9>"$home/lock" || broken
  flock -w 60 9 || { tell_lock "$home/lock"; stop git.locked; }
}

# check_lock: another git may have the index for a moment.
check_lock() {
  tries=0
  while [ -e "$git_dir/index.lock" ]; do
    [ $tries -lt 20 ] || { tell_lock "$git_dir/index.lock"; stop git.locked; }
    tries=$((tries + 1))
    sleep 0.1
  done
}

check_unfinished() {
  for what in MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD rebase-merge rebase-apply; do
    [ ! -e "$git_dir/$what" ] || { tell doing "$what"; stop git.conflict; }
  done
  git ls-files -u >"$home/unmerged" || broken
  [ -s "$home/unmerged" ] || return 0
  git diff --name-only --diff-filter=U -z | tell_all path
  stop git.conflict
}

is_dirty() {
  dirty=$(GIT_OPTIONAL_LOCKS=0 git status --porcelain=v2 --untracked-files=no) || broken
  [ -n "$dirty" ]
}

stop_dirty() {
  git diff --name-only -z HEAD | tell_all path
  stop git.dirty
}

# where_it_is: sets ref, empty where no branch is checked out, branch and old.
where_it_is() {
  ref=$(git symbolic-ref -q HEAD)
  branch=${ref#refs/heads/}
  old=$(git rev-parse -q --verify 'HEAD^{commit}') || { tell name HEAD; stop git.not_found; }
}

# choose_remote REMOTE BRANCH: sets remote and wanted.
choose_remote() {
  configured=$(git config "branch.$branch.remote")
  remote=${1:-${configured:-origin}}
  wanted=$2
  [ -n "$wanted" ] || [ "$remote" != "$configured" ] || wanted=$(git config "branch.$branch.merge")
  wanted=${wanted#refs/heads/}
  wanted=${wanted:-$branch}
  case $remote in */* | *:*) return 0 ;; esac
  git config "remote.$remote.url" >/dev/null || { tell name "$remote"; stop git.no_remote; }
}

# fetch_new: sets new. The lock is not for ssh or a credential helper that stays behind.
fetch_new() {
  (never_ask && git fetch -q "$remote" "+refs/heads/$wanted:refs/deployrun/new" 9>&-) || broken
  new=$(git rev-parse --verify 'refs/deployrun/new^{commit}') || broken
}

is_ancestor() {
  git merge-base --is-ancestor "$1" "$2"
  case $? in 0) ;; 1) return 1 ;; *) broken ;; esac
}

# check_forward: stays where it is when it is ahead; anything but a way forward is refused.
check_forward() {
  is_ancestor "$old" "$new" && return 0
  if is_ancestor "$new" "$old"; then new=$old; return 0; fi
  if git merge-base "$old" "$new" >/dev/null; then
    tell ahead "$(git rev-list --count "$new..$old")"
    tell behind "$(git rev-list --count "$old..$new")"
    stop git.diverged
  fi
  [ "$(git rev-parse --is-shallow-repository)" != true ] || stop git.shallow
  stop git.unrelated
}

# ----------------------------------------------------------------------------------------------------------- merging

fresh_work() { { rm -rf "$work" && mkdir -p "$work" && : >"$work/resolved" && : >"$work/conflicts"; } || broken; }

# as_us COMMAND...: a stash needs somebody's name, and a server often has none.
as_us() {
  GIT_AUTHOR_NAME=deployrun GIT_AUTHOR_EMAIL=deployrun@localhost GIT_COMMITTER_NAME=deployrun \
    GIT_COMMITTER_EMAIL=deployrun@localhost "$@"
}

# save_edits: sets edits to a commit of what lies there now. The index is copied with its time, by which git tells
# whether a file of the same size may have changed.
save_edits() {
  cp -p "$index" "$work/index" || broken
  edits=$(GIT_INDEX_FILE=$work/index as_us git stash create "deployrun: local edits before the way to $new") || broken
  [ -n "$edits" ] || { edits=$old; return 0; }
  git update-ref -m 'deployrun: local edits' refs/deployrun/edits "$edits" || broken
}

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

# wins NAME: whether it is one of the files, or in one of the folders, whose local edits win.
wins() {
  while read -r winner; do
    case $1 in "$winner" | "${winner%/}"/*) return 0 ;; esac
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

# merge_lines: three text files into one. Where both changed a line, the edits of a winner stand.
merge_lines() {
  for side in base theirs mine; do : >"$work/$side"; done
  [ -z "$base" ] || git cat-file blob "$base" >"$work/base" || broken
  { git cat-file blob "$theirs" >"$work/theirs" && git cat-file blob "$mine" >"$work/mine"; } || broken
  git merge-file -q -p "$work/mine" "$work/base" "$work/theirs" >"$work/merged" 2>/dev/null
  count=$?
  if [ $count -ge 128 ]; then # not text
    wins "$name" || { conflict; return 0; }
    resolved file
    put "$mine_mode" "$mine"
    return 0
  elif [ $count -gt 0 ]; then
    wins "$name" || { conflict; return 0; }
    git merge-file -q -p --ours "$work/mine" "$work/base" "$work/theirs" >"$work/merged" || broken
    resolved lines
  fi
  kind=$theirs_mode
  [ "$mine_mode" = "$base_mode" ] || kind=$mine_mode
  blob=$(git hash-object -w --stdin <"$work/merged") || broken
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
    100*,100*) merge_lines ;;
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

# --------------------------------------------------------------------------------------------------------- preparing

# differing FILTER [-z]: what is in `merged` and not in `from`, as names.
differing() { git diff-tree -r --no-renames --name-only --diff-filter="$1" ${2:+"$2"} "$from" "$merged"; }

# check_submodules: their files are another repository's.
check_submodules() {
  git diff-tree -r --no-renames "$from" "$merged" | grep -E '^:(160000|[0-7]{6} 160000) ' >"$work/submodules"
  [ -s "$work/submodules" ] || return 0
  cut -f2 "$work/submodules" | tr '\n' '\0' | tell_all path
  stop git.submodule
}

# write_out: the new files below work/new, the changed ones below work/changed. A changed file that was edited here
# keeps its permissions, which may be all that protects a password in it.
write_out() {
  {
    differing A -z >"$work/added" && differing MT -z >"$work/modified" && differing D -z >"$work/deleted" &&
      mkdir -p "$work/new" "$work/changed" &&
      GIT_INDEX_FILE=$work/to git read-tree "$merged" && GIT_INDEX_FILE=$work/from git read-tree "$from"
  } || broken
  GIT_INDEX_FILE=$work/to git checkout-index -q -z --stdin --prefix="$work/new/" <"$work/added" || broken
  GIT_INDEX_FILE=$work/to git checkout-index -q -z --stdin --prefix="$work/changed/" <"$work/modified" || broken
  git diff-tree -r --no-renames --name-only --diff-filter=M "$old" "$from" >"$work/edited" || broken
  while IFS= read -r line <&8; do
    unquote "$line"
    [ ! -f "$work/changed/$name" ] || [ -L "$name" ] || chmod "$(stat -c %a "./$name")" "$work/changed/$name"
  done 8<"$work/edited"
}

# names_in FILTER INDEX: what lies there otherwise than the index has it (MT: changed, D: absent), sorted.
names_in() {
  GIT_INDEX_FILE=$work/$2 git update-index -q --refresh >/dev/null 2>&1
  GIT_INDEX_FILE=$work/$2 git diff-files --no-renames --name-only --diff-filter="$1" | sort -u
}

# tell_lines FILE: its lines, names as git quotes them, as pairs; false when there are none.
tell_lines() {
  [ -s "$1" ] || return 1
  while IFS= read -r line <&8; do
    unquote "$line"
    tell path "$name"
  done 8<"$1"
}

# foreign: into work/foreign what lies there and is neither of `from` nor of `merged`: somebody else's, not to be lost.
foreign() {
  {
    names_in MT to >"$work/not_to" && names_in MTD to >"$work/not_to_at_all" &&
      names_in MT from >"$work/not_from" && names_in MTD from >"$work/not_from_at_all"
  } || broken
  {
    differing A | sort | comm -12 - "$work/not_to"
    differing MT | sort | comm -12 - "$work/not_to_at_all" | comm -12 - "$work/not_from_at_all"
    differing D | sort | comm -12 - "$work/not_from"
  } >"$work/foreign" || broken
}

# in_the_way: into work/foreign the names to be written whose place is taken by a folder with files of others in it, or
# whose folder is a link or a file.
in_the_way() {
  differing AMT | while IFS= read -r line; do
    unquote "$line"
    if [ -d "./$name" ] && [ ! -L "./$name" ] && [ -n "$(cd "./$name" && git ls-files -o | head -n 1)" ]; then
      echo "$line"
    fi
    folder=$name
    while [ "$folder" != "${folder%/*}" ]; do
      folder=${folder%/*}
      if [ -L "./$folder" ] || { [ -e "./$folder" ] && [ ! -d "./$folder" ]; }; then
        git ls-files --error-unmatch -- "$folder" >/dev/null 2>&1 || echo "$line"
        break
      fi
    done
  done >>"$work/foreign"
}

# save_plan: from here on the checkout will be changed, by this call or a later one.
save_plan() {
  printf '%s\n' "$verb" "$ref" "$old" "$new" "$edits" "$from" "$merged" >"$home/plan.new" || broken
  sync -f "$home/plan.new" 2>/dev/null || sync
  mv -f "$home/plan.new" "$home/plan" || broken
}

# --------------------------------------------------------------------------------------------------------- switching

read_plan() { { read -r verb && read -r ref && read -r old && read -r new && read -r edits && read -r from && read -r merged; } <"$1"; }

stash_name() { git stash list --format='%gd %H' | sed -n "s/ $edits\$//p" | head -n 1; }

keep_stash() {
  [ "$edits" != "$old" ] && [ -z "$(stash_name)" ] || return 0
  as_us git stash store -m "deployrun: local edits before the way to $new" "$edits" || broken
}

# move_all FOLDER: its files into their places, a call of mv for each folder.
move_all() {
  (cd "$work/$1" && find . -type d) | while IFS= read -r folder; do
    mkdir -p "./$folder" || exit 1
    # shellcheck disable=SC2016 # the inner shell's own
    find "$work/$1/$folder" -mindepth 1 -maxdepth 1 ! -type d -exec sh -c \
      'to=$1; shift; exec mv -f -- "$@" "$to/"' sh "./$folder" {} + || exit 1
  done || broken
}

# remove_old: the files that are no more, and the folders they leave empty. What may not be removed, and is not a
# folder by now, is found by verify.
remove_old() {
  [ -s "$work/deleted" ] || return 0
  xargs -0 rm -f -- <"$work/deleted" 2>/dev/null
  # shellcheck disable=SC2016
  xargs -0 sh -c 'for file do case $file in */*) rmdir -p -- "${file%/*}" ;; esac; done' sh <"$work/deleted" 2>/dev/null
  return 0
}

# A folder that becomes a file, or a file that becomes a folder, must be gone first.
changes_kind() {
  differing AMT | while IFS= read -r line; do
    unquote "$line"
    case $name in */*) folder=${name%/*} ;; *) folder=. ;; esac
    if { [ -d "./$name" ] && [ ! -L "./$name" ]; } || ! mkdir -p "./$folder" 2>/dev/null; then echo yes; break; fi
  done | grep -q yes
}

# remove_dead_locks: what a git that was killed in an earlier call has left behind.
remove_dead_locks() {
  for lock in "$git_dir/index.lock" "$git_dir/HEAD.lock" "$common/$ref.lock" "$common/refs/stash.lock" \
    "$common/logs/refs/stash.lock" "$common/packed-refs.lock"; do
    [ ! -e "$lock" ] || lock_holder "$lock" >/dev/null || rm -f "$lock"
  done
}

# move_head: the branch and the index; what was added here and is new to git stays known to it.
move_head() {
  [ "$(git symbolic-ref -q HEAD)" = "$ref" ] || stop_interrupted
  case $(git rev-parse -q --verify HEAD) in "$old" | "$new") ;; *) stop_interrupted ;; esac
  case $verb in pop*) ;; *) git reset -q --mixed "$new" || broken ;; esac
  git diff-tree -r -z --no-renames --name-only --diff-filter=A "$new" "$merged" >"$work/own" || broken
  git update-index --add -z --stdin <"$work/own" || broken
  git update-index -q --refresh >/dev/null 2>&1
}

stop_interrupted() {
  tell edits "$edits"
  stop git.interrupted
}

# verify: what lies there is `merged`, git is at `new`, and nothing is unmerged.
verify() {
  {
    names_in MTD to >"$work/wrong"
    differing AMT | sort | comm -12 - "$work/wrong"
    differing D | while IFS= read -r line; do
      unquote "$line"
      if [ ! -e "./$name" ] && [ ! -L "./$name" ]; then continue; fi
      # A folder may have come where a file was.
      [ -d "./$name" ] && [ ! -L "./$name" ] || echo "$line"
    done
    git ls-files -u | cut -f2
  } >"$work/unverified" || broken
  if tell_lines "$work/unverified" || [ "$(git rev-parse HEAD)" != "$new" ]; then
    tell edits "$edits"
    stop git.unverified
  fi
}

# go: from the plan to the end. A signal that asks to stop has to wait: this is short, and half of it helps nobody.
go() {
  trap '' TERM INT HUP
  keep_stash
  if changes_kind; then remove_old; fi
  move_all new
  move_all changed
  remove_old
  move_head
  verify
  mv -f "$home/plan" "$home/done" || broken
  clear_up
  trap - TERM INT HUP
}

# clear_up: the tree is verified, so the edits need no stash any more. Their commit stays at refs/deployrun/edits.
clear_up() {
  if [ "$edits" != "$old" ]; then
    listed=$(stash_name)
    [ -z "$listed" ] || git stash drop -q "$listed" || broken
  fi
  rm -f "$home/done"
}

# resume: ends what an earlier call has begun; sets first, where that began, and finished, what it was.
resume() {
  first='' finished=''
  ref=''
  if [ -e "$home/done" ] && read_plan "$home/done"; then
    remove_dead_locks
    clear_up
    first=$old finished=$verb
  fi
  [ -e "$home/plan" ] || return 0
  read_plan "$home/plan" || broken
  remove_dead_locks
  check_lock
  foreign
  if [ -s "$work/foreign" ]; then
    tell_lines "$work/foreign"
    stop_interrupted
  fi
  go
  first=$old finished=$verb
}

# switch: all that can be refused is refused before the plan is written.
switch() {
  check_submodules
  write_out
  foreign
  [ -s "$work/foreign" ] || in_the_way
  if tell_lines "$work/foreign"; then
    rm -rf "$work"
    stop git.in_the_way
  fi
  check_lock
  save_plan
  go
}

# ------------------------------------------------------------------------------------------------------------- verbs

report() {
  tell from "${first:-$old}"
  tell to "$new"
  git log -z -n 1000 --format='commit%x00%H%x1f%ct%x1f%an%x1f%s' "${first:-$old}..$new" || broken
  git diff-tree -r -z --no-renames --name-only "${first:-$old}" "$new" | tell_all changed
  git diff --name-only -z HEAD | tell_all kept
  [ ! -e "$work/resolved" ] || cat "$work/resolved"
  rm -rf "$work" "$home/unmerged"
}

update() {
  where_it_is
  [ -n "$ref" ] || stop git.detached
  keep=$1
  choose_remote "$2" "$3"
  shift 3
  fetch_new
  check_forward
  move_to_new "$@"
}

# The edits of a reset that drops them are a commit all the same, at refs/deployrun/edits.
reset() {
  where_it_is
  keep=$1
  find_commit "$2"
  new=$found
  shift 2
  move_to_new "$@"
}

# find_commit REVISION: sets found.
find_commit() {
  found=$(git rev-parse -q --verify "$1^{commit}") || { tell name "$1"; stop git.not_found; }
}

# move_to_new [FILE]...: from old to new, with local edits or without. A dirty tree is a surprise also where there is
# nothing new.
move_to_new() {
  if [ "$keep" = no ] && is_dirty; then stop_dirty; fi
  [ "$new" != "$old" ] || [ "$keep" = drop ] || { report; return 0; }
  begin_work "$@"
  save_edits
  from=$edits
  merged=$new
  if [ "$edits" != "$old" ] && [ "$keep" = yes ]; then merge "$old" "$new" "$edits"; fi
  merged=$(git rev-parse "$merged^{tree}") || broken
  switch
  report
}

# begin_work [FILE]...: an empty folder to work in, with the list of the files whose edits win.
begin_work() {
  fresh_work
  : >"$work/winners"
  [ $# -eq 0 ] || printf '%s\n' "$@" >"$work/winners"
}

revert() {
  where_it_is
  if is_dirty; then stop_dirty; fi
  find_commit "$2"
  commit=$found
  if git rev-parse -q --verify "$commit^2" >/dev/null && [ -z "$1" ]; then tell name "$2"; stop git.merge_commit; fi
  find_commit "$commit^${1:-1}"
  begin_work
  edits=$old
  from=$old
  merge "$commit" "$old" "$found"
  if [ "$merged" = "$(git rev-parse "$old^{tree}")" ]; then
    new=$old
    report
    return 0
  fi
  message=$(printf 'Revert "%s"\n\nThis reverts commit %s.' "$(git log -1 --format=%s "$commit")" "$commit")
  new=$(git commit-tree "$merged" -p "$old" -m "$message") || broken
  switch
  report
}

pop() {
  where_it_is
  new=$old
  find_commit "${1:-refs/stash}"
  edits=$found
  shift
  if is_dirty; then stop_dirty; fi
  ! git rev-parse -q --verify "$edits^3" >/dev/null || stop git.untracked_stash
  begin_work "$@"
  from=$old
  merge "$edits^1" "$old" "$edits"
  switch
  report
}

main() {
  asked=$1
  all="$1 ${2-} ${3-}"
  shift
  enter
  resume
  [ -z "$finished" ] || tell resumed yes
  check_lock
  check_unfinished
  verb=$all
  # What was asked for is done already: a second pop would take the next stash, a second revert make another commit.
  if [ "$all" = "$finished" ] && [ "$asked" != update ]; then report; return 0; fi
  [ -n "$finished" ] || rm -rf "$work"
  "$asked" "$@"
}

main "$@"
