#!/bin/sh
# git_ssh.sh - the cases of git.lua on a host over SSH; remotes that are reached by SSH from there, with each way in which
# that fails; and an update whose connection is cut. The OpenSSH server, its keys and its port are the test's own.
set -eu
fail() { echo "FAILED: $*" >&2; exit 1; }
# appears FILE WHAT: waits for the file, 30 s at most.
appears() {
  tries=0
  until [ -e "$1" ]; do
    tries=$((tries + 1))
    [ $tries -lt 600 ] || fail "$2: $(cat out)"
    sleep 0.05
  done
}
cut_sessions() { for session in $(ps -o pid= --ppid "$server"); do kill -9 "$session"; done; }
world=$PWD/world
rm -rf "$world"
mkdir -p "$world/bin"
chmod 700 "$world"
cd "$world"
server='' run=''
trap '[ -z "$server$run" ] || kill $server $run 2>/dev/null || true' EXIT

for key in host_key other_host_key user_key stranger_key; do ssh-keygen -q -t ed25519 -N '' -C test -f $key; done
cp user_key.pub authorized_keys

# A port that is free now may be taken when the server begins; then another is tried.
begin_server() {
  tries=0
  while :; do
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    cat >sshd.conf <<END
ListenAddress 127.0.0.1
Port $port
HostKey $world/host_key
PidFile $world/sshd.pid
AuthorizedKeysFile $world/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
SetEnv HOME=$world PATH=$world/bin:/usr/local/bin:/usr/bin:/bin
ForceCommand cd $world && exec /bin/sh -c "\$SSH_ORIGINAL_COMMAND"
END
    [ ! -e /run/sshd ] && [ "$(id -u)" = 0 ] && mkdir -p /run/sshd
    "$(PATH=$PATH:/usr/sbin command -v sshd)" -D -e -f "$world/sshd.conf" 2>sshd.log &
    server=$!
    until grep -q 'Server listening' sshd.log; do
      kill -0 $server 2>/dev/null || break
      sleep 0.05
    done
    ! kill -0 $server 2>/dev/null || return 0
    tries=$((tries + 1))
    [ $tries -lt 5 ] || fail "no server: $(cat sshd.log)"
  done
}
begin_server
echo "[127.0.0.1]:$port $(cut -d' ' -f1,2 host_key.pub)" >known_hosts
echo "[127.0.0.1]:$port $(cut -d' ' -f1,2 other_host_key.pub)" >wrong_hosts
: >no_hosts
cat >config <<END
Host host1
  HostName 127.0.0.1
  Port $port
  User $(id -un)
  IdentityFile $world/user_key
  IdentitiesOnly yes
  UserKnownHostsFile $world/known_hosts
END

echo '== the cases of git.lua'
mkdir cases
(cd cases && SPEC_SSH_CONFIG=$world/config "$DEPLOYRUN" "$DEPLOYRUN_SOURCE_DIR/tests/bindings/git.lua") >out 2>&1 ||
  fail "$(cat out)"

echo '== remotes by SSH'
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git init -q --bare -b main remote
git clone -q remote other 2>/dev/null
(cd other && git checkout -q -B main && echo one >one && git add . && git commit -qm one && git push -q origin main)
url=ssh://$(id -un)@127.0.0.1:$port$world/remote
cat >remotes.lua <<LUA
-- How git calls ssh, as people configure it; what asks for nothing is ours.
local function ssh(key, hosts)
  return { GIT_SSH_COMMAND = "ssh -F none -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityFile=$world/" .. key ..
    " -o UserKnownHostsFile=$world/" .. hosts }
end
local function fails(code, fn, ...)
  local ok, problem = pcall(fn, ...)
  if ok or problem.code ~= code then fail("expected " .. code .. ", got " .. tostring(problem.code or problem)) end
end
return recipe { name = "remotes", run = function()
  for _, where in ipairs { "local", "host1" } do
    local target = host(where == "local" and "local" or { "host1", config = "$world/config" })
    if target:run { "echo" }.stdout ~= "\n" then return end
    local folder = "$world/by-" .. where
    local good = target:env(ssh("user_key", "known_hosts")):git(folder)
    good:clone("$url")
    good:fetch()
    good:pull()
    if not good:is_pushed() then fail("not pushed") end
    target:cd(folder):run("echo " .. where .. " >by && git add . && git -c user.name=a -c user.email=a@b commit -qm by")
    if good:is_pushed() then fail("pushed already") end
    good:push()
    if not good:is_pushed() then fail("not pushed") end
    fails("git.host_key", function() target:env(ssh("user_key", "no_hosts")):git(folder):fetch() end)
    fails("git.host_key", function() target:env(ssh("user_key", "wrong_hosts")):git(folder):update() end)
    fails("git.auth", function() target:env(ssh("stranger_key", "known_hosts")):git(folder):fetch() end)
    fails("git.no_remote", function() good:fetch { remote = "ssh://$(id -un)@127.0.0.1:$port/nothing" } end)
    fails("git.unreachable", function() good:fetch { remote = "ssh://127.0.0.1:1/nothing" } end)
  end
end }
LUA
"$DEPLOYRUN" remotes.lua >out 2>&1 </dev/null || fail "$(cat out)"

echo '== a connection that is cut in the middle of an update'
git clone -q "$world/remote" work
(cd other && git pull -q && seq 50 >two && echo changed >one && git add . && git commit -qm two && git push -q)
echo mine >>work/by
cat >bin/mv <<END
#!/bin/sh
case " \$* " in *" -- "*) : >"$world/standing"; until [ -e "$world/go" ]; do sleep 0.05; done ;; esac
exec /bin/mv "\$@"
END
chmod +x bin/mv
cat >cut.lua <<LUA
return recipe { name = "cut", run = function()
  host { "host1", config = "$world/config" }:git("$world/work"):update { keep_local = true }
end }
LUA
"$DEPLOYRUN" cut.lua >out 2>&1 </dev/null &
run=$!
appears standing "the update never came to the files"
cut_sessions
if wait $run; then fail "an update without a connection succeeded"; fi
run=
grep -q 'ssh\.connection_lost' out || fail "$(cat out)"
tail -n 1 work/by | grep -q mine || git -C work stash list | grep -q deployrun || fail "the edit is lost"
: >go
"$DEPLOYRUN" cut.lua >out 2>&1 || fail "the next update fails: $(cat out)"
[ "$(git -C work status --short)" = ' M by' ] || fail "$(git -C work status --short)"
if [ "$(cat work/one)" != changed ] || [ ! -e work/two ] || [ -n "$(git -C work stash list)" ]; then
  fail "it is not whole"
fi

echo '== a lock whose connection is cut'
cat >lock.lua <<LUA
return recipe { name = "lock", run = function()
  host { "host1", config = "$world/config" }:lock("git-ssh-$$")
  host("local"):run("touch $world/locked; sleep 30")
end }
LUA
"$DEPLOYRUN" lock.lua >out 2>&1 </dev/null &
run=$!
appears locked "the lock was never taken"
cut_sessions
if wait $run; then fail "a run without its lock succeeded"; fi
run=
for what in 'lock\.lost' 'the connection to host1 was lost' 'what was running there may still run'; do
  grep -q "$what" out || fail "it does not say '$what': $(cat out)"
done
rm -f "/tmp/deployrun-git-ssh-$$.lock"
echo ok
