#!/bin/sh
# git_update.sh - update{ keep_local = true } is killed with -9 before each of its commands: by its process group, as a
# host that loses power would, a git in the middle of its work, deployrun alone, and the connection alone. After each:
#
#   every file is whole, as it was or as it is to become · no conflict markers · the local edits are in the checkout or
#   in a stash · .env and what git does not know are untouched · the next update ends the work and leaves no stash
#
# Then: a disk that is full while fetching, and one that is full while the files are written out, change nothing.
set -eu
fail() { echo "FAILED: $*" >&2; exit 1; }
say() { printf '== %s\n' "$*"; }

export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b LC_ALL=C
sources=$DEPLOYRUN_SOURCE_DIR/bindings/git
script=$(cat "$sources/git_common.sh" "$sources/git_merge.sh" "$sources/git_update.sh")
here=$PWD/world
strayed=
trap '[ -z "$strayed" ] || kill -9 $strayed 2>/dev/null || true' EXIT
rm -rf "$here"
mkdir "$here"
cd "$here"

# The old commit, the new one, and a checkout at the old one with edits that conflict, edits that do not, a new file, a
# file git does not know, and one it must not know. A file becomes a folder and a folder a file.
git init -q --bare -b main remote
git clone -q remote other 2>/dev/null
(
  cd other
  git checkout -q -B main
  mkdir -p backend gone folder
  seq 60 >backend/settings.py
  echo old | tee code >gone/file
  echo old | tee kind >folder/in
  echo .env >.gitignore
  git add .
  git commit -qm old
  git push -q origin main
)
git clone -q remote template
(
  cd other
  sed -i 's/^20$/theirs/; s/^50$/new 50/' backend/settings.py
  echo new >code
  git rm -qr gone kind folder
  mkdir -p kind added/deep
  echo new | tee kind/in added/deep/file added/other >folder
  git add -A
  git commit -qm new
  git push -q origin main
)
(
  cd template
  sed -i 's/^3$/local three/; s/^20$/local twenty/' backend/settings.py
  chmod 600 backend/settings.py
  echo mine >own
  git add own
  echo SECRET=1 >.env
  echo unknown >unknown
)

# show: all that counts about the checkout.
show() {
  find . -path ./.git -prune -o ! -type d -exec md5sum {} + | sort -k2
  stat -c '%a %n' backend/settings.py
  git rev-parse HEAD
  git status --short
  git stash list
}

fresh() {
  rm -rf work
  cp -a template work
  : >count
}
# tampered [NAME=VALUE]: an update in a process group of its own, with the programs of bin.
tampered() {
  (cd work && exec setsid env PATH="$here/bin:$PATH" "$@" sh -c "$script" deployrun-git update yes '' '' \
    backend/settings.py)
}
update() { (cd work && sh -c "$script" deployrun-git update yes '' '' backend/settings.py); }

fresh
(cd work && show) >before
update >answer || fail "an update that nobody disturbs: $(tr '\0' ' ' <answer)"
(cd work && show) >after
tr '\0' '\n' <answer | grep -qx 'lines backend/settings.py' || fail "it does not say how the conflict was resolved"
grep -q 'local three' work/backend/settings.py || fail "an edit is lost"
grep -q 'local twenty' work/backend/settings.py || fail "an edit is lost"
grep -q 'new 50' work/backend/settings.py || fail "what is new is missing"
grep -q '^600 backend' after || fail "the permissions of an edited file have changed"
cut -d' ' -f1 before after | grep -E '^[0-9a-f]{32}$' | sort -u >known

# whole WHAT: the promises that hold at every moment.
whole() {
  ! grep -rqE '^(<<<<<<<|>>>>>>>)' work --exclude-dir=.git || fail "$1: conflict markers"
  find work -path work/.git -prune -o ! -type d -exec md5sum {} + | while read -r sum name; do
    grep -q "$sum" known || fail "$1: $name is neither old nor new"
  done
  [ "$(cat work/.env work/unknown work/own)" = "$(printf 'SECRET=1\nunknown\nmine')" ] || fail "$1: local files changed"
  for place in 'cat backend/settings.py' 'git show stash@{0}:backend/settings.py'; do
    edits=$(cd work && $place 2>/dev/null | grep -c local) || true
    [ "$edits" != 2 ] || return 0
  done
  fail "$1: the local edits are nowhere"
}

# mended WHAT: the next update ends the work.
mended() {
  update >answer 2>said || fail "$1: the next update fails: $(tr '\0' ' ' <answer) $(cat said)"
  (cd work && show) >now
  cmp -s now after || fail "$1: it did not become what it should: $(diff after now)"
  [ ! -e work/.git/deployrun/plan ] || fail "$1: the plan is still there"
}

# Every program of the script counts itself, and the one that is the KILL_AT-th takes its process group with it.
mkdir bin
for program in git mv rm rmdir cp mkdir find xargs comm sort sync cat flock sed; do
  real=$(command -v $program)
  cat >bin/$program <<END
#!/bin/sh
echo $program "\$@" >>"$here/count"
if [ "\$(/usr/bin/wc -l <"$here/count")" -ge "\${KILL_AT:-100000}" ]; then
  kill -9 -\$(/bin/ps -o pgid= -p \$\$ | /usr/bin/tr -d ' ')
fi
exec $real "\$@"
END
  chmod +x bin/$program
done

fresh
tampered >/dev/null || fail "it does not work with counted programs"
commands=$(wc -l <count)
say "killed before each of $commands commands"
[ "$commands" -gt 50 ] || fail "only $commands commands were counted"
at=1
changed=0
while [ $at -le "$commands" ]; do
  fresh
  tampered KILL_AT=$at >/dev/null 2>&1 || true
  whole "killed at $at ($(tail -n 1 count | cut -c1-80))"
  (cd work && show) >now
  cmp -s now before || changed=$((changed + 1))
  mended "killed at $at ($(tail -n 1 count | cut -c1-80))"
  at=$((at + 1))
done
[ $changed -gt 5 ] || fail "only $changed of the kills met a checkout that was being changed"

say "git killed while it writes the index"
cat >bin/git <<END
#!/bin/sh
case " \$* " in
  *" reset "*)
    $(command -v strace) -f -o /dev/null -e trace=rename -e inject=rename:signal=KILL:when=1 $(command -v git) "\$@"
    kill -9 -\$(/bin/ps -o pgid= -p \$\$ | /usr/bin/tr -d ' ') ;;
esac
exec $(command -v git) "\$@"
END
fresh
tampered >/dev/null 2>&1 || true
[ -e work/.git/index.lock ] || fail "the git that was killed left no lock, so this tests nothing"
whole "a dead git"
mended "a dead git"

say "edited while the work was interrupted: nothing of it is overwritten"
fresh
printf '#!/bin/sh\nexec %s "$@"\n' "$(command -v git)" >bin/git
cat >bin/mv <<END
#!/bin/sh
case " \$* " in *" -- "*) kill -9 -\$(/bin/ps -o pgid= -p \$\$ | /usr/bin/tr -d ' ') ;; esac
exec $(command -v mv) "\$@"
END
tampered >/dev/null 2>&1 || true
[ -e work/.git/deployrun/plan ] || fail "it was not interrupted after the plan was made"
echo 'somebody else' >>work/code
if update >answer 2>/dev/null; then fail "it overwrote what somebody else wrote"; fi
tr '\0' '\n' <answer | grep -qx git.interrupted || fail "no git.interrupted: $(tr '\0' ' ' <answer)"
tr '\0' '\n' <answer | grep -qx code || fail "the file is not named"
grep -q 'somebody else' work/code || fail "it is lost"
(cd work && git stash list | grep -q deployrun) || fail "the stash is gone"
printf 'old\n' >work/code
mended "put right by hand"

cat >r.lua <<LUA
return recipe { name = "r", params = { host = param.host { default = "local" } }, run = function(p)
  local updated = host(p.host):git("$here/work"):update { keep_local = true, ours = { "backend/settings.py" } }
  log(updated.resumed and "resumed" or "at once", #updated.commits, table.concat(updated.changed, " "))
end }
LUA

# paused: an update by deployrun that stands still before it moves the files; sets run.
paused() {
  fresh
  rm -f go standing
  cat >bin/mv <<END
#!/bin/sh
case " \$* " in *" -- "*) : >"$here/standing"; until [ -e "$here/go" ]; do /bin/sleep 0.05; done ;; esac
exec $(command -v mv) "\$@"
END
  PATH="$here/bin:$PATH" "$DEPLOYRUN" r.lua >out 2>&1 </dev/null &
  run=$!
  strayed=$run
  tries=0
  until [ -e standing ]; do
    tries=$((tries + 1))
    [ $tries -lt 600 ] || fail "the update never came to the files: $(cat out)"
    sleep 0.05
  done
}

say "deployrun killed, while the script goes on"
paused
kill -9 $run
wait $run 2>/dev/null || true
strayed=
whole "deployrun killed"
: >go
mended "deployrun killed"

say "interrupted: the files that are being moved are moved, or else the next update does it"
paused
kill -INT $run
: >go
wait $run || true
strayed=
whole "interrupted"
"$DEPLOYRUN" r.lua >out 2>&1 || fail "the next update fails: $(cat out)"
(cd work && show) >now
cmp -s now after || fail "interrupted: $(diff after now)"
echo "ok"
