#!/bin/sh
# git_no_space.sh - a disk that is full while git fetches, and one that is full while the new files are written out: a
# named error, the checkout and its edits as they were, and an update once there is room.
set -eu
fail() { echo "FAILED: $*" >&2; exit 1; }

# A mount that nobody else sees, gone with the test.
if [ "${1-}" != inside ]; then
  if [ "$(id -u)" = 0 ]; then exec unshare -m sh "$0" inside; else exec unshare -Urm sh "$0" inside; fi
fi
mount --make-rprivate / 2>/dev/null || true
here=$PWD/world
rm -rf "$here"
mkdir -p "$here/small"
cd "$here"
mount -t tmpfs -o size=12m tmpfs small

export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b LC_ALL=C
git init -q --bare -b main remote
git clone -q remote other 2>/dev/null
commit() { (cd other && git add . && git commit -qm "$1" && git push -q origin HEAD:main); }
(cd other && git checkout -q -B main && seq 9 >settings.py)
commit one
git clone -q "file://$here/remote" small/work
echo mine >>small/work/settings.py

cat >r.lua <<LUA
return recipe { name = "r", params = { what = param.string {} }, run = function(p)
  local checkout = host("local"):git("$here/small/work")
  checkout[p.what](checkout, p.what == "update" and { keep_local = true } or nil)
end }
LUA

# refused WHAT: fails with git.no_space, and all is as it was.
refused() {
  if "$DEPLOYRUN" r.lua what="$1" >out 2>&1; then fail "$1 on a full disk succeeds"; fi
  grep -q 'git\.no_space' out || fail "$1: no git.no_space: $(cat out)"
  [ "$(cat small/work/settings.py)" = "$(seq 9; echo mine)" ] || fail "$1: the edits are gone"
  [ "$(git -C small/work log --format=%s)" = one ] || fail "$1: it has moved"
  [ -z "$(git -C small/work stash list)" ] || fail "$1: a stash is left"
}

(cd other && head -c 30000000 /dev/urandom >large)
commit large
for what in fetch pull update; do refused $what; done
echo "ok: full while fetching"

(cd other && git reset -q --hard HEAD~1 && head -c 30000000 /dev/zero >zeros && git push -qf origin HEAD:main)
commit zeros
refused update
echo "ok: full while the files are written"

mount -o remount,size=200m small
"$DEPLOYRUN" r.lua what=update >out 2>&1 || fail "with room again: $(cat out)"
[ "$(tail -n 1 small/work/settings.py)" = mine ] || fail "the edits are gone"
[ -e small/work/zeros ] || fail "the new file is missing"
echo "ok: with room again"
