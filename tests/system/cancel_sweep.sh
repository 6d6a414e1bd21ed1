#!/bin/sh
# cancel_sweep.sh - an interrupt at every kind of wait: the run ends with 130, its undo and its <close> handlers have
# run, and its commands are gone. A second interrupt ends it at once. Under a sanitizer build also: nothing leaked.
set -eu
# shellcheck source=tests/system/interrupts.sh
. "$DEPLOYRUN_SOURCE_DIR/tests/system/interrupts.sh"

rm -rf checkout # of an earlier run
sshd=
trap 'kill -9 $silent $sshd $run 2>/dev/null || true' EXIT
begin_silent
git init -q -b main checkout
git -C checkout -c user.name=t -c user.email=t@example.com commit -q --allow-empty -m first
git -C checkout remote add silent "git://127.0.0.1:$port/none"

interrupted 'time.sleep' 'wait("a thing that never comes", { within = 60, every = 60 }, function() return false end)' 'never comes'
interrupted 'target.run' 'here:run("sleep 600")' 'sleep 600'
interrupted 'a command that ignores TERM' 'here:run("trap \"\" TERM; sleep 600 & wait; sleep 600")' 'trap'
interrupted 'target.read' 'here:read("sleep 601")' 'sleep 601'
interrupted 'target.check' 'here:check("false", { within = 600, every = 0.1 })' 'false'
interrupted 'http.get' "http.get(\"http://127.0.0.1:$port/\", { timeout = 600 })" 'GET http'
interrupted 'http.request' "http.request { method = 'POST', url = 'http://127.0.0.1:$port/', json = {}, timeout = 600 }" 'POST http'
interrupted 'http.certificate' "http.certificate('127.0.0.1:$port', { timeout = 600 })" 'certificate'
interrupted 'notify.send' "notify.slack { url = 'http://127.0.0.1:$port/hook', text = 'x', timeout = 600 }" 'notif\|POST\|hook'
interrupted 'secret.command' 'secret.command("if [ -e waiting ]; then sleep 618; fi; echo some-\"\"secret")' 'sleep 618'
interrupted 'http.expect' "http.expect(\"http://127.0.0.1:1/\", { within = 600 })" 'expect'
interrupted 'http.watch' "http.watch { url = 'http://127.0.0.1:$port/', during = 600, every = 1, min_samples = 4096 }" 'watch'
interrupted 'net.expect_port' 'net.expect_port("127.0.0.1", 1, { within = 600 })' 'port'
interrupted 'git.fetch' "here:git('checkout'):fetch { remote = 'silent' }" 'git fetch'
interrupted 'git.pull' "here:git('checkout'):pull { remote = 'silent', branch = 'main' }" 'git pull'
interrupted 'git.update' "here:git('checkout'):update { remote = 'silent', branch = 'main' }" 'update'
interrupted 'git.is_pushed' "here:git('checkout'):is_pushed { remote = 'silent' }" 'is_pushed'
interrupted 'a group of hosts' 'hosts { "local" }:run("sleep 617")' 'sleep 617'
interrupted 'retry' 'retry({ attempts = 1000, every = 60 }, function() here:run("false") end)' 'attempt 1 of 1000'
interrupted 'parallel' 'parallel({ 1, 2, 3 }, function(i) here:run("sleep 60" .. i + 1) end)' 'sleep 604'
# A wait that ends at once when it is cancelled: the lanes are over before the one that waits for them is resumed.
interrupted 'parallel waits' 'parallel({ 1, 2 }, function()
      wait("a thing that never comes", { within = 60, every = 60 }, function() return false end)
    end)' 'never comes'
interrupted 'nested parallel' 'parallel({ 1 }, function() parallel({ 2 }, function() here:run("sleep 605") end) end)' 'sleep 605'
interrupted 'a coroutine' 'coroutine.wrap(function() here:run("sleep 606") end)()' 'sleep 606'
interrupted 'pcall' 'pcall(function() here:run("sleep 607") end) here:run("sleep 608")' 'sleep 607'
interrupted 'a lock' 'here:lock("cancel-sweep-" .. os.time()) here:run("sleep 609")' 'sleep 609'

interrupted 'a <close> handler' 'do local _ <close> = setmetatable({}, { __close = function() here:run("sleep 612") end }) end' 'sleep 612'
interrupted 'a probe' "local probe = http.probe { url = 'http://127.0.0.1:$port/', every = 0.05 }
    here:run('sleep 613') probe:stop()" 'sleep 613'
interrupted 'TERM instead of INT' 'here:run("sleep 614")' 'sleep 614' TERM
interrupted 'HUP instead of INT' 'here:run("sleep 615")' 'sleep 615' HUP

# Over SSH: an sshd of its own, on whose machine the tools that move bytes stand still while there is a hold.
rm -rf ssh && mkdir -m 700 ssh ssh/tools
ssh-keygen -q -t ed25519 -N '' -f ssh/key
ssh-keygen -q -t ed25519 -N '' -f ssh/host_key
ssh_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >ssh/sshd.conf <<END
ListenAddress 127.0.0.1
Port $ssh_port
HostKey $PWD/ssh/host_key
PidFile none
AuthorizedKeysFile $PWD/ssh/key.pub
PermitRootLogin yes
StrictModes no
UsePAM no
UseDNS no
SetEnv HOME=$PWD/ssh
END
cat >ssh/config <<END
Host far
  HostName 127.0.0.1
  Port $ssh_port
  User $(id -un)
  IdentityFile $PWD/ssh/key
  UserKnownHostsFile $PWD/ssh/known_hosts
END
[ "$(id -u)" != 0 ] || mkdir -p /run/sshd
/usr/sbin/sshd -D -e -f ssh/sshd.conf 2>ssh/log &
sshd=$!
scan() { ssh-keyscan -T 1 -p "$ssh_port" 127.0.0.1 2>/dev/null | grep . >ssh/known_hosts; }
wait='an sshd'
until_true "sshd did not start" scan
for tool in cat head tar; do
  cat >"ssh/tools/$tool" <<END
#!/bin/sh
: >"$PWD/ssh/reached"
while [ -e "$PWD/ssh/hold" ]; do sleep 0.05; done
exec $(command -v "$tool") "\$@"
END
  chmod 755 "ssh/tools/$tool"
done
mkdir ssh/tree
head -c 8000000 /dev/urandom >ssh/tree/big
there="local there = host { 'far', config = '$PWD/ssh/config' }:env { PATH = '$PWD/ssh/tools:/usr/bin:/bin' }:cd('$PWD/ssh')"

# moving WAIT BODY: as interrupted, of a transfer that has begun to move bytes; what it was to replace is as it was.
moving() {
  wait=$1
  : >ssh/hold
  rm -rf ssh/reached ssh/to
  mkdir ssh/to
  echo old | tee ssh/to/big >ssh/here
  begin "$there $2" "$wait"
  until_true "nothing began to move" test -e ssh/reached
  kill -INT "$run"
  ended 130
  [ -e undone ] || fail "the step was not undone"
  [ -e closed ] || fail "the <close> handler did not run"
  rm ssh/hold
  [ "$(cat ssh/to/big ssh/here)" = "$(printf 'old\nold')" ] || fail "the old file was touched"
  until_true "something of it goes on" nothing_goes_on
  [ "$(cat ssh/to/big ssh/here)" = "$(printf 'old\nold')" ] || fail "the old file was touched afterwards"
  echo "ok: $wait over SSH"
}
nothing_goes_on() { ! pgrep -f "^/bin/sh $PWD/ssh/tools/" >/dev/null; }

moving 'upload' "there:upload('ssh/tree/big', 'to/big')"
moving 'download' "there:download('tree/big', 'ssh/here')"
moving 'sync' "there:sync('ssh/tree', 'to')"
moving 'write' "there:write('to/big', ('x'):rep(4000000))"
# Its command keeps the walk from asking.
interrupted 'a request through a tunnel' "$there there:run('true') there:http():get('http://127.0.0.1:$port/', { timeout = 600 })" 'GET http'

# before WAIT ARGUMENT…: an interrupt while nothing has been changed yet.
before() {
  wait=$1
  shift
  rm -rf waiting touched "$XDG_STATE_HOME"
  cat >r.lua <<'LUA'
return recipe { name = "r", run = function()
  local here = host("local")
  here:read("touch waiting; sleep 616")
  here:run("touch touched")
end }
LUA
  "$DEPLOYRUN" r.lua "$@" >out 2>&1 </dev/null &
  run=$!
  until_true "the run never came to its wait" test -e waiting
  kill -INT "$run"
  ended 130
  [ ! -e touched ] || fail "it was done after all"
  [ -z "$(find "$XDG_STATE_HOME" -path '*/runs/*' 2>/dev/null)" ] || fail "there is a journal"
  grep -q 'othing was changed' out || fail "it does not say that nothing was changed"
  echo "ok: $wait"
}

before 'the walk'
before 'a dry run' --dry-run
before 'a dry run as JSON' --dry-run --json

wait='a second interrupt, and a command that ignores TERM'
begin 'here:run("trap \"\" TERM; touch deaf; while :; do sleep 0.1; done")' 'trap'
until_true "the command was not begun" test -e deaf
kill -INT "$run"
sleep 0.5
began=$(date +%s)
kill -INT "$run"
ended 130
[ $(($(date +%s) - began)) -le 3 ] || fail "it took $(($(date +%s) - began)) s to end"
echo "ok: $wait"

wait='a second interrupt'
begin 'local slow <close> = setmetatable({}, { __close = function() here:run("touch closing; sleep 610") end })
    here:run("sleep 611")' 'sleep 611'
rm -f closing
kill -INT "$run"
until_true "the <close> handler was not begun" test -e closing
kill -INT "$run"
ended 130
echo "ok: $wait"

wait='an interrupt while undoing'
rm -f undone
cat >r.lua <<'LUA'
return recipe { name = "r", run = function()
  local here = host("local")
  step("Prepare", function() here:run("true") end):undo(function() here:run("touch undoing; sleep 1; touch undone") end)
  step("Fail", function() here:run("false") end)
end }
LUA
rm -f undoing
"$DEPLOYRUN" r.lua >out 2>&1 </dev/null &
run=$!
until_true "the undo was never begun" test -e undoing
kill -INT "$run"
ended 1
[ -e undone ] || fail "the interrupt cut the undo off"
echo "ok: $wait"

wait='what is left'
! pgrep -f '^sleep 6[01][0-9]$' >/dev/null || fail "commands still run: $(pgrep -af '^sleep 6[01][0-9]$')"
