# git_inquire.sh - what belongs to an error, asked after git has failed: inquire CODE [REVISION]...
# shellcheck shell=sh

cd "$(git rev-parse --show-toplevel)" || exit 0
code=$1
shift
case $code in
  git.not_found)
    for revision; do
      git rev-parse -q --verify "$revision" >/dev/null && continue
      revision=${revision%"^{commit}"}
      tell name "${revision#refs/tags/}"
      break
    done ;;
  git.dirty) git diff --name-only -z HEAD | tell_all path ;;
  git.conflict) git diff --name-only --diff-filter=U -z | tell_all path ;;
  git.locked)
    git_dir=$(git rev-parse --absolute-git-dir)
    lock=$git_dir/index.lock
    [ -e "$lock" ] || lock=$(find "$git_dir" -name '*.lock' | head -n 1)
    [ -z "$lock" ] || tell_lock "$lock" ;;
  git.diverged)
    there=FETCH_HEAD
    git rev-parse -q --verify "$there" >/dev/null || exit 0
    if git merge-base HEAD "$there" >/dev/null; then
      tell ahead "$(git rev-list --count "$there..HEAD")"
      tell behind "$(git rev-list --count "HEAD..$there")"
    elif [ "$(git rev-parse --is-shallow-repository)" = true ]; then
      tell instead git.shallow
    else
      tell instead git.unrelated
    fi ;;
esac
exit 0
