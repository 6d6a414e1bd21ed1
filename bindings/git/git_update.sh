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
# with the new commit (M) is computed aside (git_merge.sh); the files that differ are written out below .git/deployrun.
# Only when all of this has worked is the plan written, the stash listed, and each file moved into its place by
# rename(2). So a running server sees each file whole, old or new, and never a conflict marker; what it can see is some
# files old and others new, for as long as the moves take.
#
# Killed before the plan is there: the checkout is as it was. Killed later: every next call first moves the rest,
# which moves nothing that is in place already, and the stash stays listed until what lies there has been compared
# with M.
# shellcheck shell=sh
# shellcheck disable=SC2154 # name and merged are set by git_merge.sh

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
  (never_ask && git fetch -q --no-prune "$remote" "+refs/heads/$wanted:refs/deployrun/new" 9>&-) || broken
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

# add_announced: a file that git was only told of (git add -N) has nothing in the index yet that a stash could hold.
add_announced() {
  GIT_INDEX_FILE=$work/index git diff -z --name-only --no-renames --diff-filter=A >"$work/announced" || broken
  [ -s "$work/announced" ] || return 0
  GIT_INDEX_FILE=$work/index git update-index --add --remove -z --stdin <"$work/announced" || broken
}

# save_edits: sets edits to a commit of what lies there now. The index is copied with its time, by which git tells
# whether a file of the same size may have changed.
save_edits() {
  cp -p "$index" "$work/index" || broken
  add_announced
  edits=$(GIT_INDEX_FILE=$work/index as_us git stash create "deployrun: local edits before the way to $new") || broken
  [ -n "$edits" ] || { edits=$old; return 0; }
  git update-ref -m 'deployrun: local edits' refs/deployrun/edits "$edits" || broken
}

# --------------------------------------------------------------------------------------------------------- preparing

# differing FILTER [-z]: what is in `merged` and not in `from`, as names.
differing() { git diff-tree -r --no-renames --name-only --diff-filter="$1" ${2:+"$2"} "$from" "$merged"; }

# check_kind: a sparse checkout leaves files out; those of submodules are another repository's.
check_kind() {
  if [ "$(git config --bool core.sparseCheckout)" = true ]; then rm -rf "$work"; stop git.sparse; fi
  git diff-tree -r --no-renames "$from" "$merged" | grep -E '^:(160000|[0-7]{6} 160000) ' >"$work/submodules"
  [ -s "$work/submodules" ] || return 0
  cut -f2 "$work/submodules" | tr '\n' '\0' | tell_all path
  rm -rf "$work"
  stop git.submodule
}

# write_out: the new files below work/new, the changed ones below work/changed.
write_out() {
  {
    differing A -z >"$work/added" && differing MT -z >"$work/modified" && differing D -z >"$work/deleted" &&
      mkdir -p "$work/new" "$work/changed" "$work/empty" && GIT_INDEX_FILE=$work/to git read-tree "$merged"
  } || broken
  check_out new added
  check_out changed modified
  keep_permissions
}

# check_out FOLDER NAMES: files of the index `to`, by the .gitattributes of that tree: where the work tree has none, git
# reads them in the index. Filters are run at the top of the checkout, as ever.
check_out() {
  git config --name-only --get-regexp '^filter\..*\.(smudge|process)$' >"$work/filters"
  (
    folder=$1 names=$2
    set --
    while IFS= read -r key <&8; do
      filter=$(git config "$key")
      [ -z "$filter" ] || set -- "$@" -c "$key=cd \"\$DEPLOYRUN_TOP\" && { $filter
}"
    done 8<"$work/filters"
    cd "$work/empty" || broken
    DEPLOYRUN_TOP=$top GIT_DIR=$git_dir GIT_WORK_TREE=$work/empty GIT_INDEX_FILE=$work/to \
      git "$@" checkout-index -q -z --stdin --prefix="$work/$folder/" <"$work/$names"
  ) || broken
}

# keep_permissions: those of a file that was edited here may be all that protects a password in it. Whether it may be
# executed is as merged.
keep_permissions() {
  {
    git diff-tree -r --no-renames --name-only --diff-filter=M "$old" "$from" >"$work/edited" &&
      git diff-tree -r --no-renames "$from" "$merged" >"$work/modes"
  } || broken
  sed -n 's/^:100644 100755 [^	]*	//p' "$work/modes" >"$work/gains"
  sed -n 's/^:100755 100644 [^	]*	//p' "$work/modes" >"$work/loses"
  while IFS= read -r line <&8; do
    unquote "$line"
    file=$work/changed/$name
    if [ ! -f "$file" ] || [ -L "$file" ] || [ -L "./$name" ]; then continue; fi
    permissions=0$(stat -c %a "./$name") || broken
    if grep -qxF -e "$line" "$work/gains"; then
      permissions=$((permissions | (permissions & 0444) >> 2))
    elif grep -qxF -e "$line" "$work/loses"; then
      permissions=$((permissions & 07666))
    fi
    chmod "$(printf %o "$permissions")" "$file" || broken
  done 8<"$work/edited"
}

# raw FOLDER INDEX WORD...: git in a repository of its own that converts nothing. Which rules of .gitattributes hold
# changes in the middle of a switch, so what lies there is compared byte by byte.
raw() {
  (
    folder=$1 at=$2
    shift 2
    cd "$folder" || exit
    GIT_DIR=$work/raw GIT_WORK_TREE=$folder GIT_INDEX_FILE=$work/$at git "$@"
  )
}

# record: indexes of what is to be moved in (raw_to) and of what it takes the place of: as bytes (raw_from), and as git
# has it (from). The bytes are looked at before they are compared with `from`; what fails here may have been changed
# since.
record() {
  {
    git init -q --bare --template= "$work/raw" && mkdir -p "$work/raw/info" &&
      echo '* -text -crlf -eol -ident -filter -working-tree-encoding' >"$work/raw/info/attributes" &&
      git config --file "$work/raw/config" core.autocrlf false &&
      raw "$work/new" raw_to update-index --add -z --stdin <"$work/added" &&
      raw "$work/changed" raw_to update-index --add -z --stdin <"$work/modified" &&
      git diff-tree -r --no-renames --diff-filter=MTD "$from" "$merged" |
      sed 's/^:\([0-7]*\) [0-7]* \([0-9a-f]*\) [^	]*	/\1 \2	/' |
        GIT_INDEX_FILE=$work/from git update-index --index-info
  } || broken
  recorded=yes
  cat "$work/modified" "$work/deleted" | raw "$top" raw_from update-index --add --remove -z --stdin || recorded=no
}

# names_in FILTER INDEX: what lies there otherwise than the index has it (MT: changed, D: absent), sorted.
names_in() {
  rm -f "$work/$2.lock"
  case $2 in
    from)
      GIT_INDEX_FILE=$work/from git update-index -q --refresh >/dev/null 2>&1
      GIT_INDEX_FILE=$work/from git diff-files --no-renames --name-only --diff-filter="$1" ;;
    *)
      raw "$top" "$2" update-index -q --refresh >/dev/null 2>&1
      raw "$top" "$2" diff-files --no-renames --name-only --diff-filter="$1" ;;
  esac | sort -u
}

# tell_lines FILE: its lines, names as git quotes them, as pairs; false when there are none.
tell_lines() {
  [ -s "$1" ] || return 1
  while IFS= read -r line <&8; do
    unquote "$line"
    tell path "$name"
  done 8<"$1"
}

# foreign INDEX: into work/foreign what lies there and is neither of the index (from, raw_from) nor what was written out:
# somebody else's, not to be lost.
foreign() {
  {
    names_in MT raw_to >"$work/not_to" && names_in MTD raw_to >"$work/not_to_at_all" &&
      names_in MT "$1" >"$work/not_from" && names_in MTD "$1" >"$work/not_from_at_all"
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

# at_plan: whether the checkout is still on the plan's way, and on no other branch or commit.
at_plan() {
  [ "$(git symbolic-ref -q HEAD)" = "$ref" ] || return 1
  case $(git rev-parse -q --verify HEAD) in "$old" | "$new") ;; *) return 1 ;; esac
}

# move_head: the branch and the index; what was added here and is new to git stays known to it.
move_head() {
  case $verb in pop*) ;; *) git reset -q --mixed "$new" || broken ;; esac
  git diff-tree -r -z --no-renames --name-only --diff-filter=A "$new" "$merged" >"$work/own" || broken
  git update-index --add -z --stdin <"$work/own" || broken
  git update-index -q --refresh >/dev/null 2>&1
}

# verify: whether what lies there is what was written out, git is at `new`, and nothing is unmerged.
verify() {
  {
    names_in MTD raw_to >"$work/wrong"
    differing AMT | sort | comm -12 - "$work/wrong"
    differing D | while IFS= read -r line; do
      unquote "$line"
      if [ ! -e "./$name" ] && [ ! -L "./$name" ]; then continue; fi
      # A folder may have come where a file was.
      [ -d "./$name" ] && [ ! -L "./$name" ] || echo "$line"
    done
    git ls-files -u | cut -f2
  } >"$work/unverified" || broken
  [ ! -s "$work/unverified" ] && [ "$(git rev-parse HEAD)" = "$new" ]
}

quote() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

# stop_by_hand CODE FILE: the names in the file have kept the plan from its end. The command is the way out that asks
# for nobody's program but git.
stop_by_hand() {
  tell_lines "$2"
  tell edits "$edits"
  command="rm -f $(quote "$home/plan")"
  if at_plan; then
    command="$command && git -C $(quote "$top") reset --hard $new"
    [ "$edits" = "$old" ] || command="$command && git -C $(quote "$top") stash pop"
  fi
  tell command "$command"
  stop "$1"
}

# go: from the plan to the end; false when that could not be verified. A signal that asks to stop has to wait: this is
# short, and half of it helps nobody.
go() {
  trap '' TERM INT HUP
  keep_stash
  if changes_kind; then remove_old; fi
  move_all new
  move_all changed
  remove_old
  move_head
  verify || return 1
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

# abandon: a reset that drops what lies there also drops a plan that cannot be brought to its end. Its stash stays.
abandon() {
  rm -f "$home/plan"
  trap - TERM INT HUP
}

# resume DROP: ends what an earlier call has begun; sets first, where that began, and finished, what it was.
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
  foreign raw_from
  if [ ! -s "$work/foreign" ] && at_plan; then
    if go; then
      first=$old finished=$verb
      return 0
    fi
    [ "$1" = yes ] || stop_by_hand git.unverified "$work/unverified"
  elif [ "$1" != yes ]; then
    stop_by_hand git.interrupted "$work/foreign"
  fi
  abandon
}

# switch: all that can be refused is refused before the plan is written.
switch() {
  check_kind
  write_out
  record
  foreign from
  [ -s "$work/foreign" ] || in_the_way
  if tell_lines "$work/foreign"; then
    rm -rf "$work"
    stop git.in_the_way
  fi
  [ "$recorded" = yes ] || broken
  check_lock
  save_plan
  go || stop_by_hand git.unverified "$work/unverified"
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
  found=$(git rev-parse -q --verify "$(commit_of "$1")") || { tell name "$1"; stop git.not_found; }
}

# move_to_new [FILE]...: from old to new, with local edits or without. A dirty tree is a surprise also where there is
# nothing new.
move_to_new() {
  if [ "$keep" = no ] && is_dirty; then stop_dirty; fi
  if [ "$new" = "$old" ] && [ "$keep" != drop ] && [ $# = 0 ]; then report; return 0; fi
  begin_work "$@"
  if [ "$new" = "$old" ] && [ "$keep" != drop ]; then report; return 0; fi
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
  choose_winners "$@"
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
  case $all in 'reset drop '*) resume yes ;; *) resume no ;; esac
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
