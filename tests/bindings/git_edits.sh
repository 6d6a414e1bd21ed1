#!/bin/sh
# git_edits.sh - update{ keep_local = true } with each kind of local edit, each rule of .gitattributes, and a person's
# own settings of git. After each of them the checkout is as it should be, and the next call works.
# shellcheck disable=SC2016 # what is in quotes is for eval
set -eu
fail() { echo "FAILED: $*" >&2; exit 1; }
world=$PWD/world
rm -rf "$world"
mkdir -p "$world/home"
cd "$world"
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b LC_ALL=C HOME="$world/home"
umask 022
tab=$(printf '\t')

cat >do.lua <<'LUA'
return recipe { name = "do", params = { folder = param.string { default = "work" }, what = param.string { default = "update" },
  ours = param.list { default = {} } }, run = function(p)
  local checkout = host("local"):git(p.folder)
  local ours = #p.ours > 0 and p.ours or nil
  local ok, answer
  if p.what == "update" then
    ok, answer = pcall(checkout.update, checkout, { keep_local = true, ours = ours })
  elseif p.what == "drop" then
    ok, answer = pcall(checkout.reset, checkout, "origin/main", { hard = true })
  else
    ok, answer = pcall(checkout[p.what], checkout)
  end
  if not ok then error(answer) end
  log("kept <" .. table.concat(answer.kept or {}, " ") .. ">")
end }
LUA

# world BEGIN NEW [WORD...]: a remote with one commit, a checkout of it (cloned with WORDs), and one more commit there.
world() {
  begin=$1 new=$2
  shift 2
  rm -rf remote other work
  git init -q --bare -b main remote
  git clone -q remote other 2>/dev/null
  (cd other && git checkout -q -B main && eval "$begin" && git add -A && git commit -qm one && git push -q origin main)
  git "$@" clone -q remote work
  (cd other && eval "$new" && git add -A && git commit -qm two && git push -q origin main)
}
call() { "$DEPLOYRUN" do.lua "$@" >out 2>&1; }
# updated [WORD...]: it works, the checkout is at the new commit, no stash is left, and so does the next call.
updated() {
  call "$@" || fail "$tried: $(cat out)"
  [ "$(git -C work log -1 --format=%s)" = two ] || fail "$tried: it did not move"
  [ -z "$(git -C work stash list)" ] || fail "$tried: a stash is left"
  cp out first
  call || fail "$tried: the next call: $(cat out)"
}
# refused CODE [WORD...]: it fails so, and nothing has changed.
refused() {
  code=$1
  shift
  before=$(git -C work status --porcelain; git -C work rev-parse HEAD)
  if call "$@"; then fail "$tried: it works: $(cat out)"; fi
  grep -qF "$code" out || fail "$tried: no $code: $(cat out)"
  [ "$(git -C work status --porcelain; git -C work rev-parse HEAD)" = "$before" ] || fail "$tried: something has changed"
  [ -z "$(git -C work stash list)" ] || fail "$tried: a stash is left"
}
# is NAME TEXT: what is in the file.
is() { [ "$(cat "work/$1")" = "$2" ] || fail "$tried: $1 is: $(cat "work/$1")"; }
mode_is() { [ "$(stat -c %a "work/$1")" = "$2" ] || fail "$tried: $1 has mode $(stat -c %a "work/$1"), not $2"; }
status_is() { [ "$(git -C work status --porcelain)" = "$1" ] || fail "$tried: $(git -C work status --porcelain)"; }
try() { tried=$*; echo "== $tried"; }
edit_first() { (cd work && sed -i 's/^1$/local/' "$1"); }
lines() { echo local; seq 2 29; echo "${1-30}"; }

# ---- modes

try 'the mode changes there, the text here'
world 'seq 30 >a' 'chmod +x a'
edit_first a
updated
is a "$(lines)"
mode_is a 755
status_is ' M a'

try 'the mode goes away there, the text is edited here'
world 'seq 30 >a; chmod +x a' 'chmod -x a'
edit_first a
updated
mode_is a 644
is a "$(lines)"

try 'the mode changes here, the text there'
world 'seq 30 >a' 'sed -i s/^30/new/ a'
chmod +x work/a
updated
mode_is a 755
[ "$(tail -n 1 work/a)" = new ] || fail "$tried: $(cat work/a)"
status_is ' M a'

try 'the mode and the text of a binary file'
world 'head -c 300 /dev/urandom >a' 'head -c 300 /dev/urandom >a'
chmod +x work/a
updated
mode_is a 755
cmp -s work/a other/a || fail "$tried: it is not the new one"

try 'a secret stays unreadable, and what may read it may execute it'
world 'seq 30 >a; seq 30 >b; seq 30 >c' 'chmod +x a; sed -i s/^30/new/ b; chmod +x c'
edit_first a
edit_first b
edit_first c
chmod 600 work/a
chmod 640 work/b
chmod 640 work/c
updated
mode_is a 700
mode_is b 640
mode_is c 750

try 'a checkout that does not look at modes'
world 'seq 30 >a; seq 30 >b' 'chmod +x a; sed -i s/^30/new/ b'
git -C work config core.fileMode false
edit_first a
edit_first b
chmod 700 work/b
updated
mode_is a 755
mode_is b 700

try 'a file that is new on both sides, with different modes'
world 'seq 3 >a' 'echo same >new; chmod +x new'
(cd work && echo same >new && git add new)
refused git.conflict
updated ours=new
mode_is new 644

# ---- attributes

try 'a rule for line ends goes away'
world 'echo "*.txt eol=crlf" >.gitattributes; seq 3 >a.txt; seq 30 >b' 'rm .gitattributes; seq 4 >a.txt'
edit_first b
updated
is a.txt "$(seq 4)"
status_is ' M b'

try 'a rule for line ends comes'
world 'seq 3 >a.txt; seq 30 >b' 'echo "*.txt eol=crlf" >.gitattributes; seq 4 >a.txt; seq 2 >new.txt'
edit_first b
updated
[ "$(od -c work/a.txt | grep -o '\\r' | wc -l)" = 4 ] || fail "$tried: $(od -c work/a.txt)"
[ "$(od -c work/new.txt | grep -o '\\r' | wc -l)" = 2 ] || fail "$tried: $(od -c work/new.txt)"
status_is ' M b'

try 'an edited file whose rule changes'
world 'echo "*.txt eol=crlf" >.gitattributes; seq 30 >a.txt' 'rm .gitattributes; sed -i s/^30/new/ a.txt'
(cd work && sed -i "s/^1\r$/local\r/" a.txt)
updated
is a.txt "$(lines new)"

try 'a rule in a folder'
world 'mkdir d; echo "* eol=crlf" >d/.gitattributes; seq 3 >d/a; seq 30 >b' 'echo "* eol=lf" >d/.gitattributes; seq 4 >d/a'
edit_first b
updated
is d/a "$(seq 4)"

try 'line ends by the settings of the checkout'
world 'seq 30 >a' 'sed -i s/^30/new/ a' -c core.autocrlf=true
git -C work config core.autocrlf true
(cd work && sed -i "s/^1\r$/local\r/" a)
updated
[ "$(od -c work/a | grep -o '\\r' | wc -l)" = 30 ] || fail "$tried: $(od -c work/a)"
[ "$(git -C work diff --numstat)" = "1${tab}1${tab}a" ] || fail "$tried: $(git -C work diff)"

try 'a file with line ends that no rule gives it'
world 'printf "1\r\n2\n" >a.txt; seq 30 >b' 'echo "*.txt text eol=lf" >.gitattributes; printf "1\r\n3\n" >a.txt' -c core.autocrlf=false
edit_first b
updated

try 'a filter, also with a program of the checkout, and also one that comes'
filter='git config filter.turn.clean "./turn 0-9 a-j"; git config filter.turn.smudge "./turn a-j 0-9 %f"'
turn='printf "#!/bin/sh\nexec tr \"\$1\" \"\$2\"\n" >turn; chmod +x turn'
world "$turn; $filter; echo '*.dat filter=turn' >.gitattributes; seq 9 >x.dat; seq 3 >y.alt; seq 30 >b" \
  'echo "*.alt filter=turn" >>.gitattributes; seq 10 >x.dat; seq 4 >y.alt; seq 5 >z.alt'
(cd work && eval "$filter" && rm x.dat && git checkout -q x.dat)
edit_first b
(cd work && sed -i "s/^9$/99/" x.dat)
refused git.conflict
(cd work && git checkout -q x.dat)
updated
is x.dat "$(seq 10)"
is y.alt "$(seq 4)"
is z.alt "$(seq 5)"
[ "$(git -C work cat-file blob HEAD:z.alt | head -n 1)" = b ] || fail "$tried: the filter did nothing"
status_is ' M b'

# ---- kinds of files

try 'a binary file, edited here'
world 'head -c 300 /dev/urandom >a; seq 3 >b' 'seq 4 >b'
head -c 200 /dev/urandom >work/a
cp work/a mine
updated
cmp -s work/a mine || fail "$tried: the edit is lost"

try 'a binary file, edited on both sides'
world 'head -c 300 /dev/urandom >a' 'head -c 300 /dev/urandom >a'
head -c 200 /dev/urandom >work/a
cp work/a mine
refused git.conflict
updated ours=a
cmp -s work/a mine || fail "$tried: the edit is lost"

try 'a symbolic link'
world 'ln -s x l; ln -s x m' 'ln -sfn y l'
ln -sfn z work/m
updated
[ "$(readlink work/l) $(readlink work/m)" = 'y z' ] || fail "$tried: $(ls -l work)"
world 'ln -s x l' 'ln -sfn y l'
ln -sfn z work/l
refused git.conflict
updated ours=l
[ "$(readlink work/l)" = z ] || fail "$tried: $(ls -l work)"

try 'a file that is removed here'
world 'seq 3 >a; seq 3 >b' 'seq 4 >b'
rm work/a
updated
[ ! -e work/a ] || fail "$tried: it is back"
world 'seq 3 >a' 'seq 4 >a'
rm work/a
refused git.conflict
updated ours=a
[ ! -e work/a ] || fail "$tried: it is back"

try 'a file that is renamed here, and edited there'
world 'seq 30 >a; seq 3 >b' 'seq 4 >b'
git -C work mv a c
updated
is c "$(seq 30)"
[ ! -e work/a ] || fail "$tried: it is back"
world 'seq 30 >a' 'sed -i s/^30/new/ a'
git -C work mv a c
refused git.conflict
updated ours=a
is c "$(seq 30)"

try 'a file that git was only told of'
world 'seq 3 >a' 'seq 4 >a'
(cd work && echo n >n && echo gone >gone && git add -N n gone && rm gone)
updated
is n n
[ ! -e work/gone ] || fail "$tried: it is back"
is a "$(seq 4)"

try 'a submodule that changes'
rm -rf lib
git init -q lib
(cd lib && echo 1 >x && git add . && git commit -qm l1 && echo 2 >x && git commit -qam l2)
git config --global protocol.file.allow always
world "git submodule -q add '$world/lib' lib 2>/dev/null; seq 3 >b" 'cd lib && git checkout -q HEAD~1 && cd ..; seq 4 >b'
git -C work submodule -q update --init 2>/dev/null
refused git.submodule
grep -q ': lib' out || fail "$tried: it is not named"
(cd other && git reset -q --hard HEAD~1 && git -C lib checkout -qf "$(git rev-parse HEAD:lib)" && seq 4 >b && git commit -qam two && git push -qf)
echo edited >work/lib/x
updated
is lib/x edited
rm home/.gitconfig

try 'names with spaces, quotes, bytes and a line end'
odd='a b/\303\274 "q" \\ %%s'
world "mkdir 'a b'; seq 30 >\"\$(printf '$odd')\"; seq 30 >'new
line'; seq 30 >./-dash; seq 30 >'\$HOME'; seq 30 >\"\$(printf 'b\\377')\"" \
  'for f in a*/* new* ./-dash *HOME b*; do sed -i s/^30/new/ "$f"; done'
(cd work && for f in a*/* new* ./-dash ./*HOME b*; do sed -i 's/^1$/local/' "$f"; done)
updated
(cd work && for f in a*/* new* ./-dash ./*HOME b*; do
  [ "$(cat "$f")" = "$(lines new)" ] || fail "$tried: $f: $(cat "$f")"
done)
[ "$(git -C work status --porcelain -z | tr -dc '\0' | wc -c)" = 5 ] || fail "$tried: $(git -C work status)"

try 'a second work tree'
world 'seq 30 >a' 'sed -i s/^30/new/ a'
rm -rf "wt 'q"
(cd work && git worktree add -q -b second "../wt 'q" && git branch -q -u origin/main second)
sed -i 's/^1$/local/' "wt 'q/a"
call "folder=wt 'q" || fail "$tried: $(cat out)"
[ "$(cat "wt 'q/a")" = "$(lines new)" ] || fail "$tried: $(cat "wt 'q/a")"
call "folder=wt 'q" || fail "$tried: $(cat out)"

try 'a sparse checkout'
world 'mkdir in out; seq 30 >in/a; seq 30 >out/b' 'sed -i s/^30/new/ in/a out/b; echo n >out/n'
git -C work sparse-checkout set in
edit_first in/a
refused git.sparse

try 'a file that git is told not to look at'
world 'seq 30 >a; seq 3 >b' 'seq 4 >b'
git -C work update-index --skip-worktree a
edit_first a
updated
is a "$(lines)"

# ---- which edits win

try 'ours: names, folders, patterns, from the top of the checkout'
conflict() {
  world 'mkdir backend; echo 1 >backend/s.py; echo 1 >"[id].js"' 'echo 2 >backend/s.py; echo 2 >"[id].js"'
  echo 3 >work/backend/s.py
}
for ours in ./backend/s.py backend/ backend 'backend/*.py' 'b*' '*.py'; do
  conflict
  updated "ours=$ours"
  is backend/s.py 3
  conflict
  updated folder=work/backend "ours=$ours"
  is backend/s.py 3
done
conflict
echo 3 >'work/[id].js'
git -C work checkout -q backend
updated 'ours=[id].js'
for ours in nothing.py s.py 'nothing/*'; do
  conflict
  refused git.no_such_file "ours=$ours"
  grep -qF ": $ours" out || fail "$tried: $ours is not named: $(cat out)"
done
for ours in /etc/passwd ../other .; do refused recipe.argument "ours=$ours"; done

# ---- what cannot be verified, or holds what is nobody's

try 'a program that writes into the checkout while it is updated'
world 'seq 30 >a; seq 3 >b' 'sed -i s/^30/new/ a; seq 4 >b'
edit_first a
mkdir -p bin
cat >bin/mv <<END
#!/bin/sh
$(command -v mv) "\$@" || exit
[ ! -e "$world/meddle" ] || case " \$* " in *" -- "*) echo meddled >>"$world/work/b" ;; esac
END
chmod +x bin/*
: >meddle
if PATH="$world/bin:$PATH" call; then fail "$tried: it works"; fi
grep -qF git.unverified out || fail "$tried: $(cat out)"
grep -qF ': b' out || fail "$tried: the file is not named"
rm meddle
git -C work stash list | grep -q deployrun || fail "$tried: the stash is gone"
if call; then fail "$tried: what somebody wrote is overwritten"; fi
grep -qF git.interrupted out || fail "$tried: $(cat out)"
grep -qF "rm -f '$world/work/.git/deployrun/plan' && git -C '$world/work' reset --hard" out ||
  fail "$tried: no way out is named: $(cat out)"
cp -a work by_hand

try '… is given up by a reset that drops what lies there'
call what=drop || fail "$tried: $(cat out)"
status_is ''
is b "$(seq 4)"
git -C work stash list | grep -q deployrun || fail "$tried: the stash is gone"
git -C work stash pop -q
is a "$(lines new)"
call || fail "$tried: $(cat out)"

try '… or by hand, as the hint says'
rm -rf work
mv by_hand work
if call; then fail "$tried: it works"; fi
tr '\n' ' ' <out | tr -s ' ' >out.hint
command=$(sed -n "s/.*\(rm -f '.*stash pop\).*/\1/p" out.hint)
[ -n "$command" ] || fail "$tried: $(cat out)"
sh -c "$command" >/dev/null || fail "$tried: $command"
is a "$(lines new)"
call || fail "$tried: $(cat out)"

try 'a stash with files that git does not know'
world 'seq 3 >a' 'seq 4 >a'
(cd work && seq 5 >a && echo n >unknown && git stash -q -u)
if call what=pop; then fail "$tried: it works"; fi
grep -qF git.untracked_stash out || fail "$tried: $(cat out)"
git -C work stash list | grep -q . || fail "$tried: the stash is gone"
echo ok
