#!/bin/sh
# cancel_control.sh - an interrupt at each wait of the bindings that control what runs on a server: Docker, compose,
# systemd, gunicorn, git, processes; against the real things. The run ends with 130, undo and <close> handlers have run, and
# nothing of it is left. (The creating calls of Docker one by one: tests/bindings/docker_interrupt.sh; a swarm's: cancel_swarm.sh.)
set -eu
# shellcheck source=tests/system/interrupts.sh
. "$DEPLOYRUN_SOURCE_DIR/tests/system/interrupts.sh"
testbed=$DEPLOYRUN_SOURCE_DIR/tests/testbed
image=deployrun-test/base:1
me=deployrun-cancel-$$
vps=cancel-$$
endless=
mute_engine=
end() {
  [ -z "$mute_engine" ] || kill "$mute_engine" 2>/dev/null || true
  [ -z "$endless" ] || kill "$endless" 2>/dev/null || true
  [ -z "$silent" ] || kill "$silent" 2>/dev/null || true
  [ -z "$run" ] || kill -9 "$run" 2>/dev/null || true
  docker ps -aq --filter "name=$me" | xargs -r docker rm -f >/dev/null
  docker network ls -q --filter "name=$me" | xargs -r docker network rm >/dev/null
  docker images -q "$me" | xargs -r docker rmi -f >/dev/null
  sh "$testbed/vps.sh" stop "$vps" >/dev/null 2>&1 || true
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

nothing_left() {
  left=$(docker ps -aq --filter "name=$1" --filter "label=$me")
  [ -z "$left" ] || fail "left behind: $(docker ps -a --filter "label=$me")"
}

rm -f mute.sock # of an earlier run
begin_silent # a registry
mute=127.0.0.1:$port/$me:1

# Containers that never do what is waited for.
docker run -d --init --name "$me-idle" --health-cmd false --health-interval 1s --health-retries 1000 "$image" \
  sleep 1000 >/dev/null
docker='local docker = here:docker()'
fields="image = \"$image\", init = true, labels = { [\"$me\"] = \"1\" }"

# An engine that never answers, already in the walk.
wait='docker.info in the walk'
rm -f asked
python3 -c '
import socket
server = socket.socket(socket.AF_UNIX)
server.bind("mute.sock")
server.listen()
held = [server.accept()]
open("asked", "w").close()
held.append(server.accept())' &
mute_engine=$!
until_true "the engine that never answers did not start" test -S mute.sock
echo "return recipe { name = 'walk', run = function() host('local'):docker { socket = '$PWD/mute.sock' }:info() end }" >walk.lua
"$DEPLOYRUN" walk.lua >out 2>&1 </dev/null &
run=$!
until_true "the engine was never asked" test -e asked
kill -INT "$run"
ended 130
echo "ok: $wait"

interrupted 'docker.wait_healthy' "$docker docker:wait_healthy('$me-idle', { within = 600 })"
interrupted 'docker.wait_running' "$docker docker:wait_running('$me-idle', { settled = 500, within = 600 })" 'running for'
interrupted 'docker.wait_exited' "$docker docker:wait_exited('$me-idle')"
interrupted 'docker.wait_log' "$docker docker:wait_log('$me-idle', 'never', { within = 600 })"
interrupted 'docker.wait_event' "$docker docker:wait_event { filters = { container = '$me-none' }, within = 600 }"
watched="url = 'http://127.0.0.1:1/', during = 600, every = 1, min_samples = 4096"
interrupted 'http.watch of a container' "http.watch { $watched, containers = '$me-idle', look_every = 600 }" 'watching'
interrupted 'http.watch, measuring' "http.watch { $watched, look_every = 600,
  also = { size = { function() return #here:read('sleep 626') end, max = 1 } } }" 'sleep 626'
interrupted 'docker.exec' "$docker docker:exec('$me-idle', { 'sleep', '619' })"
interrupted 'docker.stop' "$docker docker:stop('$me-idle', { timeout = 5 })"
docker start "$me-idle" >/dev/null
interrupted 'docker.restart' "$docker docker:restart('$me-idle', { timeout = 5 })"
docker start "$me-idle" >/dev/null
interrupted 'docker.logs' "$docker docker:logs('$me-idle', { follow = 600 })"
interrupted 'docker.pull' "$docker docker:pull('$mute')"
docker tag "$image" "$mute"
interrupted 'docker.push' "$docker docker:push('$mute')"
docker rmi "$mute" >/dev/null
interrupted 'docker.oneoff' "$docker docker:oneoff { $fields, command = { 'sleep', '1000' } }"
nothing_left ""
interrupted 'docker.run and a wait' "$docker docker:run { $fields, name = '$me-new', command = { 'sleep', '1000' } }
  docker:wait_exited('$me-new')" 'docker.wait_exited'
docker rm -f "$me-new" >/dev/null
interrupted 'docker.replace' "$docker docker:replace { $fields, name = '$me-new', command = { 'sleep', '1000' },
  health = { cmd = 'false', interval = 1, retries = 1000 }, healthy_within = 600 }" 'docker.wait_healthy'
nothing_left "$me-new"

mkdir -p project
cat >project/docker-compose.yml <<YAML
version: "3"
services:
  api:
    image: "$image"
    init: true
    command: [sleep, "1000"]
    stop_grace_period: 1s
    labels: ["$me=1"]
    healthcheck: { test: ["CMD", "false"], interval: 1s, retries: 1000 }
YAML
mkdir -p built
cat >built/Dockerfile <<END
FROM $image
LABEL $me=1
RUN echo $me >/tmp/me && sleep 628
END
cat >built/docker-compose.yml <<YAML
version: "3"
services:
  api: { build: . }
  far: { image: "$mute" }
YAML
stack="local stack = here:compose { dir = 'project', project = '$me' }"
interrupted 'a command beside a stack' "$stack stack:up() here:cd('project'):run('sleep 620')" 'sleep 620'
interrupted 'compose.replace' "$stack stack:replace('api', { healthy_within = 600 })" 'docker.wait_healthy'
[ "$(docker ps -aq --filter "label=$me" | wc -l)" -eq 1 ] || fail "not one container of the service is left"
interrupted 'compose.exec' "$stack stack:exec('api', { 'sleep', '621' })" 'sleep 621'
interrupted 'compose.run' "$stack stack:run('api', { 'sleep', '622' })" 'sleep 622'
interrupted 'compose.wait_log' "$stack stack:wait_log('api', 'never', { within = 600 })" 'docker.wait_log'

# The undo waits for the old image to be healthy; the new one never is.
printf 'FROM %s\nRUN touch /well\n' "$image" | docker build -q -t "$me:well" - >build.log 2>&1 || fail "$(cat build.log)"
mkdir -p recreated
sed -e "s|image: .*|image: $me:well|" -e 's|"CMD", "false"|"CMD", "test", "-e", "/well"|' project/docker-compose.yml \
  >recreated/docker-compose.yml
recreated="local stack = here:compose { dir = 'recreated', project = '$me-recreated' }"
interrupted 'compose.up' "$recreated stack:up() here:run('sleep 629')" 'sleep 629'
interrupted 'compose.recreate' "$recreated stack:recreate('api', { image = '$image', healthy_within = 600 })" 'docker.wait_healthy'
built="local stack = here:compose { dir = 'built', project = '$me-built' }"
interrupted 'compose.build' "$built stack:build { services = { 'api' } }" 'sleep 628'
build_ended() { ! pgrep -f '^sleep 628$' >/dev/null; }
until_true "the build goes on" build_ended
interrupted 'compose.pull' "$built stack:pull { services = { 'far' } }"

rm -rf work origin.git cloned # of an earlier run
git init -q -b main work
git -C work -c user.name=t -c user.email=t@example.com commit -q --allow-empty -m first
git init -q --bare origin.git
printf '#!/bin/sh\nsleep 623\n' >origin.git/hooks/pre-receive
chmod +x origin.git/hooks/pre-receive
git -C work remote add origin "$PWD/origin.git"
interrupted 'git.push' "here:git('work'):push()" 'git push'
export GIT_ALLOW_PROTOCOL=ext # a clone from a command that never answers
interrupted 'git.clone' "here:git('cloned'):clone('ext::sleep 624', { timeout = 600 })" 'git clone'
[ ! -e cloned ] || fail "a clone that was interrupted left its folder"

sleep 625 >/dev/null 2>&1 &
endless=$!
interrupted 'process.gone' "here:wait_gone($endless, { within = 600 })"
kill "$endless"

sh "$testbed/vps.sh" start "$vps" >vps.env
# shellcheck source=/dev/null
. ./vps.env
docker exec --interactive "$VPS_CONTAINER" sh <"$DEPLOYRUN_SOURCE_DIR/tests/bindings/systemd_setup.sh"
server="local server = host { '$vps', config = '$VPS_CONFIG' }"
interrupted 'systemd.start' "$server server:sudo():systemd('slow'):start { within = 600 }"
interrupted 'systemd.stop' "$server server:sudo():systemd('lingers'):stop { within = 600 }"
interrupted 'systemd.restart' "$server server:sudo():systemd('lingers'):restart { within = 600 }"
interrupted 'systemd.reload' "$server server:sudo():systemd('slow-reload'):reload { within = 600 }"
interrupted 'a unit that settles' "$server server:sudo():systemd('sleeper'):restart { settled = 500, within = 600 }" 'systemd.restart'
interrupted 'a unit that must serve' "$server server:sudo():systemd('sleeper'):restart {
  settled = 0, serves = { url = 'http://127.0.0.1:1/', within = 600 } }" 'http.expect'

# From the server's side: what never answers is a port of its own. Its command keeps the walk from asking.
docker exec --detach "$VPS_CONTAINER" python3 -c '
import socket
server = socket.create_server(("127.0.0.1", 9))
held = []
while True:
    held.append(server.accept())'
listens() { docker exec "$VPS_CONTAINER" python3 -c 'import socket; socket.create_connection(("127.0.0.1", 9))'; }
until_true "the server's port did not open" listens
interrupted 'http.get from a server' "$server server:run('true') server:http().get('http://127.0.0.1:9/', { timeout = 600 })" 'http.get'
interrupted 'http.expect from a server' "$server server:run('true') server:http().expect('http://127.0.0.1:8/', { within = 600 })" 'http.expect'
interrupted 'http.certificate from a server' "$server server:run('true') server:http().certificate('127.0.0.1:9', { timeout = 600 })" 'http.certificate'
interrupted 'http.watch from a server' "$server server:run('true') server:http().watch {
  url = 'http://127.0.0.1:9/', during = 600, every = 1, min_samples = 4096 }" 'http.watch'
interrupted 'net.expect_port from a server' "$server server:run('true') server:net().expect_port('127.0.0.1', 8, { within = 600 })" 'net.expect_port'
interrupted 'a journal that is read' "$server server:run('true') server:sudo():read('journalctl --follow --unit gunicorn')" 'journalctl'

# Its signals are not sent twice to a gunicorn: what a reload that was interrupted has begun comes to its end by itself.
master() { docker exec "$VPS_CONTAINER" systemctl show --property=MainPID --value gunicorn; }
loads() { docker exec "$VPS_CONTAINER" pgrep -f -- --check-config >/dev/null; }
stopped_loading() { ! loads; }
before=$(master)
gunicorn="$server server:gunicorn { unit = 'gunicorn' }"
interrupted 'gunicorn.reload' "$gunicorn:reload { settled = 600, within = 600 }" "gunicorn's new workers"
interrupted 'gunicorn.reload by TTIN' "$gunicorn:reload { method = 'ttin', settled = 600, within = 600 }" \
  "gunicorn's new workers stay"
docker exec "$VPS_CONTAINER" sed -i '1i __import__("time").sleep(627)' /home/ubuntu/chemical_app/backend/app.py
interrupted 'gunicorn.check' "$gunicorn:check()"
until_true "the code is still being loaded" stopped_loading
[ "$(master)" = "$before" ] ||
  fail "gunicorn's master is another one: $(docker exec "$VPS_CONTAINER" journalctl -u gunicorn -n 30 --no-pager)"
