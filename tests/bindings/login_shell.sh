#!/bin/sh
# login_shell.sh - each way of asking a target something, behind a login shell that prints text of its own; and a host key
# that is asked about on a terminal. The OpenSSH server, its keys and its port are the test's own.
set -eu
fail() { echo "FAILED: $*" >&2; exit 1; }
world=$PWD/world
rm -rf "$world"
mkdir -p "$world/there" "$world/tree/sub"
chmod 700 "$world"
cd "$world"
server=
trap '[ -z "$server" ] || kill $server 2>/dev/null || true; rm -f "/tmp/deployrun-login-shell-$$.lock"*' EXIT

for key in host_key user_key; do ssh-keygen -q -t ed25519 -N '' -C test -f $key; done
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >sshd.conf <<END
ListenAddress 127.0.0.1
Port $port
HostKey $world/host_key
PidFile $world/sshd.pid
AuthorizedKeysFile $world/user_key.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
SetEnv HOME=$world
ForceCommand echo 'Welcome to the server'; cd $world/there && exec /bin/sh -c "\$SSH_ORIGINAL_COMMAND"
END
[ -e /run/sshd ] || [ "$(id -u)" != 0 ] || mkdir -p /run/sshd
"$(PATH=$PATH:/usr/sbin command -v sshd)" -D -e -f "$world/sshd.conf" 2>sshd.log &
server=$!
until grep -q 'Server listening' sshd.log; do
  kill -0 $server 2>/dev/null || fail "no server: $(cat sshd.log)"
  sleep 0.05
done
cat >config <<END
Host host1
  HostName 127.0.0.1
  Port $port
  User $(id -un)
  IdentityFile $world/user_key
  IdentitiesOnly yes
  UserKnownHostsFile $world/known_hosts
END

cat >key.lua <<END
return recipe { name = "key", run = function() log(host { "host1", config = "$world/config" }:read("echo in")) end }
END
typing() { python3 "$DEPLOYRUN_SOURCE_DIR/tests/system/on_terminal.py" 'yes/no' "$@" -- "$DEPLOYRUN" key.lua >typed.log; }
! typing no || fail "a host key that was refused is taken"
grep -q ssh.host_key_unknown typed.log || { cat typed.log; fail "the refused key is not named"; }
[ ! -s known_hosts ] || fail "a host key that was refused is remembered"
typing yes || { cat typed.log; fail "a host key that a person trusts is refused"; }
grep -q 'SHA256:' typed.log || fail "the fingerprint is not shown"
"$DEPLOYRUN" key.lua >known.log 2>&1 </dev/null || { cat known.log; fail "the key is not known afterwards"; }

head -c 300000 /dev/urandom >file
echo a >tree/a
echo b >"tree/sub/it's"
cat >shell.lua <<END
return recipe { name = "shell", run = function()
  local there = host { "host1", config = "$world/config" }
  local lock <close> = there:lock("login-shell-$$")
  local said = there:read("echo in")
  local wrote = there:write("text", "words\n").changed
  local size, none = there:stat("text").size, there:stat("none")
  local up, again = there:upload("$world/file", "file").changed, there:upload("$world/file", "file").changed
  local down = there:download("file", "$world/back").changed
  local sent, anew = there:sync("$world/tree", "tree").sent, there:sync("$world/tree", "tree").sent
  log(string.format("%s %s %s %s %s %s %s %s %s", said, wrote, size, none, up, again, down, sent, anew))
  there:download("tree", "$world/tree_back")
end }
END
"$DEPLOYRUN" shell.lua >shell.log 2>&1 </dev/null || { cat shell.log; fail "behind a shell that prints text"; }
grep -q 'in true 6 nil true false true 3 0' shell.log || { cat shell.log; fail "an answer was not read"; }
cmp file there/file
cmp file back
diff -r tree tree_back
