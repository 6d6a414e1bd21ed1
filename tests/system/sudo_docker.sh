#!/bin/sh
# sudo_docker.sh - the Docker Engine and a compose stack of a host whose login user may not use them, behind a real sudo
# that asks for a password. The server is an sshd on this machine, in a mount namespace whose /etc is a copy with a user
# of its own, so that the engine of the testbed is its engine and the users of this machine stay as they are.
set -eu
. "$DEPLOYRUN_SOURCE_DIR/tests/system/lib.sh"

password='open sesame 4711'
project=deployrunsudospec$$
socket=${DOCKER_HOST:-unix:///var/run/docker.sock}
socket=${socket#unix://}
work=$(mktemp -d /tmp/sudo-docker.XXXXXX)
server=

take_down() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  docker ps -aq --filter "label=com.docker.compose.project=$project" | xargs -r docker rm -f >/dev/null
  docker network rm "${project}_default" >/dev/null 2>&1 || true
  docker rmi -f "$project/asks:1" >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap take_down EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ "$(id -u)" != 0 ] || ! command -v sudo >/dev/null; then fail "needs root and sudo"; fi
chmod 711 "$work"
ssh-keygen -q -t ed25519 -N '' -f "$work/key"
ssh-keygen -q -t ed25519 -N '' -f "$work/host_key"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$work/sshd.conf" <<END
ListenAddress 127.0.0.1:$port
HostKey $work/host_key
PidFile none
AuthorizedKeysFile $work/key.pub
StrictModes no
UsePAM no
UseDNS no
END
mkdir -p /run/sshd
cp -a /etc "$work/etc"
# shellcheck disable=SC2016 # the inner shell's
unshare --mount --propagation private sh -euc '
  mount --bind "$1/etc" /etc
  useradd --create-home --home-dir "$1/home" --shell /bin/sh deploy
  echo "deploy:$2" | chpasswd
  echo "deploy ALL=(ALL) ALL" >/etc/sudoers.d/deploy
  chmod 440 /etc/sudoers.d/deploy
  exec /usr/sbin/sshd -D -e -f "$1/sshd.conf"' sh "$work" "$password" >"$work/sshd.log" 2>&1 &
server=$!
tries=200
until ssh-keyscan -p "$port" 127.0.0.1 2>/dev/null | grep . >"$work/known_hosts"; do
  tries=$((tries - 1))
  [ $tries -gt 0 ] || fail "sshd does not answer: $(cat "$work/sshd.log")"
  sleep 0.1
done
cat >config <<END
Host box
  HostName 127.0.0.1
  Port $port
  User deploy
  IdentityFile $work/key
  UserKnownHostsFile $work/known_hosts
END

mkdir -p "$work/stack"
cat >"$work/stack/docker-compose.yml" <<END
version: "2.4"
services:
  api:
    image: deployrun-test/base:1
    init: true
    stop_grace_period: 1s
    command: ["sleep", "1000"]
  asks:
    image: $project/asks:1
    init: true
    stop_grace_period: 1s
    command: ["sleep", "1000"]
END
# A container whose user has to give sudo a password: the same one that the host's sudo asks for.
sh "$DEPLOYRUN_SOURCE_DIR/tests/testbed/images.sh" vps
docker build -q -t "$project/asks:1" - >build.out 2>&1 <<END || fail "no image: $(cat build.out)"
FROM deployrun-test/vps:1
RUN useradd asked && echo 'asked:$password' | chpasswd && echo 'asked ALL=(ALL) ALL' >/etc/sudoers.d/asked
USER asked
END
cat >recipe.lua <<END
return recipe { name = "sudo-docker", params = { what = param.string { required = true },
    given = param.bool { default = false } }, run = function(p)
  local box = host { "box", config = "$PWD/config", sudo_password = p.given and secret("SUDO_PASSWORD") or nil }
  local all = {}
  function all.plain() box:docker():containers() end
  function all.engine()
    local docker = box:sudo():docker()
    local names = parallel({ 1, 2, 3, 4, 5, 6, 7, 8 }, function() return #docker:containers { all = true } end)
    log("engine " .. docker:info().version .. ", " .. #names.ok .. " answers")
  end
  function all.elsewhere() box:sudo():docker { socket = "$work/nowhere.sock" }:info() end
  function all.named() log("engine " .. box:sudo():docker { socket = "$socket" }:info().version) end
  function all.stack()
    local stack = box:sudo():compose { dir = "$work/stack", project = "$project" }
    stack:up { services = { "api" } }
    local api = stack:service("api")
    log("runs " .. #stack:ps("api"))
    log("[" .. api:env { TOKEN = secret("TOKEN") }:cd("/etc"):run({ "sh", "-c", "pwd; echo \$TOKEN | rev; cat" },
      { stdin = "some input" }).stdout .. "]")
    api:upload("$PWD/config", "/tmp/config")
    log(api:read("tail -n 1 /tmp/config"))
    local name = "${project}_api_1"
    local docker = box:sudo():docker()
    log("exec " .. docker:exec(name, { "echo", "by the engine" }).stdout)
    log("within " .. docker:container(name):read("echo by its words"))
    log("one-off " .. stack:oneoff("api"):read("echo once"))
    docker:restart(name, { timeout = 1 })
    docker:wait_running(name)
    stack:down()
  end
  function all.env_file()
    log("it is [" .. box:sudo():docker():oneoff { image = "deployrun-test/base:1", env_file = "$work/root.env",
      command = "echo \$ONLY | rev", labels = { ["com.docker.compose.project"] = "$project" } }.stdout .. "]")
  end
  function all.pipe()
    box:sudo():docker():oneoff { image = "deployrun-test/base:1", env_file = "$work/pipe.env", command = "true" }
  end
  function all.asks()
    local stack = box:sudo():compose { dir = "$work/stack", project = "$project" }
    stack:up { services = { "asks" } }
    local asks = stack:service("asks")
    log("it is " .. asks:read("id -un"))
    local ok, problem = pcall(function() asks:sudo():run("id -un") end)
    if not ok then log(problem.code .. ": " .. problem.message .. ": " .. problem.hint) end
    log("and as " .. box:sudo():docker():exec("${project}_asks_1", "id -un", { user = "root" }).stdout)
    stack:down()
  end
  all[p.what]()
end }
END
export TOKEN=hush-hush-token
given() { SUDO_PASSWORD=$password setsid "$DEPLOYRUN" recipe.lua given=true "$@" </dev/null; }
typing() { python3 "$DEPLOYRUN_SOURCE_DIR/tests/system/on_terminal.py" 'sudo password for' "$@"; }

# expect WHAT STATUS [PATTERN…] -- COMMAND…
: >everything
expect() {
  say "$1"
  what=$1 wanted=$2 got=0
  shift 2
  : >patterns
  while [ "$1" != -- ]; do echo "$1" >>patterns; shift; done
  shift
  "$@" >out 2>&1 || got=$?
  cat out >>everything
  [ "$got" = "$wanted" ] || { cat out; fail "$what: exit status $got, not $wanted"; }
  tr -s ' \r\n' '   ' <out >flat
  while read -r pattern; do
    grep -q -e "$pattern" flat || { cat out; fail "$what: \"$pattern\" is not said"; }
  done <patterns
}

expect 'without sudo the engine is out of reach, and sudo is what is said to help' 1 'docker.unreachable' ':sudo():docker()' \
  -- given what=plain
expect 'the engine is reached with the password that the recipe gives' 0 'engine [0-9]*[.][0-9]*.*, 8 answers' -- given what=engine
expect 'a socket that is named is the one that is asked' 0 'engine [0-9]*[.][0-9]*' -- given what=named
expect 'and no other, where nothing listens there' 1 'docker.unreachable' -- given what=elsewhere
expect 'and with one that is typed, once' 0 'engine [0-9]*[.][0-9]*.*, 8 answers' \
  -- typing "$password" -- "$DEPLOYRUN" recipe.lua what=engine
[ "$(grep -o 'sudo password for' out | wc -l)" = 1 ] || fail "it was asked more than once"
expect 'without one the run ends before it begins' 1 'sudo.password' -- setsid "$DEPLOYRUN" recipe.lua what=engine
expect 'a stack, its services, its containers and what is run once in them' 0 'runs 1' \
  '\[/etc nekot-hsuh-hsuh some input\]' "UserKnownHostsFile $work/known_hosts" 'exec by the engine' \
  'within by its words' 'one-off once' -- given what=stack
echo 'ONLY=for-root' >"$work/root.env"
chmod 600 "$work/root.env"
expect 'an env file that only root may read is read by sudo' 0 'it is .toor-rof' -- given what=env_file
mkfifo "$work/pipe.env"
expect 'one that never ends is given up, in a dry run too' 1 'docker.env_file' "pipe.env was not read within 30 s" \
  -- given --dry-run what=pipe

expect 'a sudo in a container gets no password, and the way that is named instead leads there' 0 'it is asked' \
  'sudo.password: sudo on .*asks asks for a password to run' 'inside a container sudo gets no password' \
  'server:docker():exec(container, command, { user = "root" })' 'and as root' -- given what=asks

say 'the tunnels are closed with their runs, and so are the sessions that carried them'
tries=100
while [ -n "$(ps -o pid= --ppid "$server")" ]; do
  tries=$((tries - 1))
  [ $tries -gt 0 ] || fail "a session is left: $(ps -o pid,args --ppid "$server")"
  sleep 0.1
done

say 'the password is in no output, no event and no journal, and no container is left'
! grep -r -l -F -e "$password" everything state recipe.lua || fail "the password was written down"
! grep -r -l -F -e "$TOKEN" everything state || fail "the secret was written down"
[ -z "$(docker ps -aq --filter "label=com.docker.compose.project=$project")" ] || fail "a container is left"
