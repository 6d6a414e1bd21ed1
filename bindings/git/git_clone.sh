# git_clone.sh - clones a repository into the folder it is run for: clone URL BRANCH DEPTH.
#
# git_script.c sets folder before this, so that "~/" is the target's home. The clone is made beside the folder and moved
# there when it is whole, so that a call that was killed leaves no half checkout, and the next one begins anew. A checkout
# of that URL that is there already is left as it is.
# shellcheck shell=sh
# shellcheck disable=SC2154 # folder

url=$1 branch=$2 depth=$3

report() {
  tell cloned "$1"
  tell commit "$(git -C "$folder" rev-parse -q --verify HEAD)"
  exit 0
}

if [ -e "$folder/.git" ]; then
  [ "$(git -C "$folder" config remote.origin.url)" = "$url" ] || { tell name "$folder"; stop git.exists; }
  report no
fi
if [ -e "$folder" ] && [ -n "$(ls -A "$folder")" ]; then tell name "$folder"; stop git.exists; fi

half=${folder%/}.deployrun-clone
mkdir -p "$(dirname -- "$half")" || broken
rm -rf -- "$half" || broken
trap 'rm -rf -- "$half"' EXIT
trap 'exit 1' TERM HUP INT
set --
[ -z "$branch" ] || set -- "$@" --branch "$branch"
[ -z "$depth" ] || set -- "$@" --depth "$depth"
never_ask
git clone -q "$@" -- "$url" "$half" || broken
rmdir -- "$folder" 2>/dev/null
mv -- "$half" "$folder" || broken
report yes
