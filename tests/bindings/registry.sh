#!/bin/sh
# registry.sh - the specs that need an engine of their own: registry.lua, and what needs the engine to end in the middle.
set -eu
testbed=$DEPLOYRUN_SOURCE_DIR/tests/testbed
APART=
pull=
sshd=
fail() { echo "registry.sh: $*" >&2; exit 1; }
end() {
  [ -z "$pull" ] || kill "$pull" 2>/dev/null || true
  [ -z "$sshd" ] || kill "$sshd" 2>/dev/null || true
  [ -z "$APART" ] || sh "$testbed/apart.sh" stop "$APART"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

sh "$testbed/apart.sh" start >apart.env || fail "no engine"
# shellcheck source=/dev/null
. ./apart.env
export APART DOCKER_HOST APART_REGISTRY APART_USER APART_PASSWORD

mkdir -p stack
cat >stack/docker-compose.yml <<'END'
version: "2.4"
services:
  api:
    image: 127.0.0.1:5000/team/api:stack
  cache:
    image: 127.0.0.1:5000/team/api:cache
END
"$DEPLOYRUN" "$DEPLOYRUN_SOURCE_DIR/tests/bindings/registry.lua"

echo "== a plan names the images that would go and shows no password"
cat >plan.lua <<'LUA'
return recipe { name = "plan", run = function()
  local docker = host("local"):docker()
  docker:login { registry = env.APART_REGISTRY, username = "ci", password = secret("APART_PASSWORD") }
  docker:prune { repository = env.APART_REGISTRY .. "/team/api", keep = 1, tagged = true }
  docker:pull(env.APART_REGISTRY .. "/team/api:v1")
  docker:prune { repository = env.APART_REGISTRY .. "/team/api", keep = 1, tagged = true }
end }
LUA
"$DEPLOYRUN" plan.lua --dry-run >plan.out
grep -q "docker rmi [0-9a-f]\{12\} (.*/team/api:r" plan.out || fail "the plan does not name the images: $(cat plan.out)"
grep -q "which they are is known only then" plan.out || fail "a list that is not known is not said to be: $(cat plan.out)"
! grep -rq "$APART_PASSWORD" plan.out state 2>/dev/null || fail "the password was written down"

echo "== an engine that ends during a pull"
port=$(sh "$testbed/apart.sh" slow "$APART")
cat >pull.lua <<'LUA'
return recipe { name = "pull", params = { image = param.string {}, port = param.int { default = 0 } },
  run = function(p)
  local auth = { username = env.APART_USER, password = secret("APART_PASSWORD") }
  local server = p.port == 0 and host("local") or host { "127.0.0.1", port = p.port, user = "root",
    identity = "key", known_hosts = "known_hosts" }
  local docker = server:docker { socket = p.port ~= 0 and env.APART .. "/docker.sock" or nil }
  log("pulled " .. tostring(docker:pull(p.image, { auth = auth }).changed))
end }
LUA
docker build -q -t 127.0.0.1:5000/team/big:1 - >/dev/null <<END
FROM deployrun-test/tiny:1
RUN dd if=/dev/urandom of=/big bs=1M count=8 2>/dev/null
END
cat >push.lua <<'LUA'
return recipe { name = "push", run = function()
  local docker = host("local"):docker()
  docker:login { registry = env.APART_REGISTRY, username = env.APART_USER, password = secret("APART_PASSWORD") }
  docker:push(env.APART_REGISTRY .. "/team/big:1")
  docker:remove_image(env.APART_REGISTRY .. "/team/big:1")
  docker:prune()
end }
LUA
"$DEPLOYRUN" push.lua
"$DEPLOYRUN" pull.lua image="127.0.0.1:$port/team/big:1" --json >pull.out 2>&1 &
pull=$!
tries=200
until grep -q '"progress".*layers' pull.out; do
  tries=$((tries - 1))
  [ $tries -gt 0 ] || fail "the pull shows no progress: $(cat pull.out)"
  sleep 0.1
done
sh "$testbed/apart.sh" halt "$APART"
! wait "$pull" || fail "a pull whose engine ended exited with 0"
pull=
grep -q '"docker.engine_lost"' pull.out || fail "the lost engine is not named: $(cat pull.out)"
grep -q '[0-9.]* of [0-9.]* MB' pull.out || fail "the progress shows no bytes: $(cat pull.out)"
! grep -q "$APART_PASSWORD" pull.out || fail "the password was written down"

echo "== and the same pull afterwards"
sh "$testbed/apart.sh" resume "$APART"
"$DEPLOYRUN" pull.lua image="127.0.0.1:5000/team/big:1" | grep "pulled true"

echo "== and through an SSH host, with its progress"
ssh-keygen -q -t ed25519 -N '' -f key <<END >/dev/null 2>&1 || true
y
END
ssh-keygen -q -t ed25519 -N '' -f host_key <<END >/dev/null 2>&1 || true
y
END
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cp key.pub authorized_keys
chmod 600 authorized_keys
printf '[127.0.0.1]:%s %s\n' "$port" "$(cat host_key.pub)" >known_hosts
cat >sshd.conf <<END
ListenAddress 127.0.0.1
Port $port
HostKey $PWD/host_key
AuthorizedKeysFile $PWD/authorized_keys
PermitRootLogin yes
StrictModes no
UsePAM no
SetEnv HOME=$PWD
PidFile none
END
mkdir -p /run/sshd
/usr/sbin/sshd -D -e -f "$PWD/sshd.conf" 2>sshd.log &
sshd=$!
docker rmi 127.0.0.1:5000/team/big:1 >/dev/null
tries=100
until ssh-keyscan -p "$port" 127.0.0.1 >/dev/null 2>&1; do
  tries=$((tries - 1))
  [ $tries -gt 0 ] || fail "no sshd: $(cat sshd.log)"
  sleep 0.1
done
"$DEPLOYRUN" pull.lua image="127.0.0.1:5000/team/big:1" port="$port" --json >ssh.out 2>&1 || fail "$(cat ssh.out sshd.log)"
grep -q '"message":"pulled true"' ssh.out || fail "nothing was pulled: $(cat ssh.out)"
grep -q '"progress".*of .* layers' ssh.out || fail "no progress through the tunnel: $(cat ssh.out)"
