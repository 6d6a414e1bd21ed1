#!/bin/sh
# docker_interrupt.sh - an interrupt in the middle of any call to the engine: nothing that was being made is left behind,
# and what was to be replaced runs again; and what is said when a call is not done. The engine goes on with a call whose client is gone, so each call is held up
# while the interrupt comes, by held_engine.py.
set -eu
run='' proxy=''
mine="deployrun.interruptspec=$$"
image=deployrun-test/base:1
fail() { echo "docker_interrupt.sh: $phase: $*" >&2; cat out >&2; exit 1; }
containers() { docker ps -aq --filter "label=$mine"; }
end() {
  [ -z "$run" ] || kill -9 "$run" 2>/dev/null || true
  [ -z "$proxy" ] || kill "$proxy" 2>/dev/null || true
  containers | xargs -r docker rm -f >/dev/null
  docker network ls -q --filter "name=deployrun-interruptspec-$$" | xargs -r docker network rm >/dev/null
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
phase=setup

# until_true WHAT COMMAND…: within 60 s.
until_true() {
  unmet=$1
  shift
  tries=1200
  until "$@" 2>/dev/null; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || fail "$unmet"
    sleep 0.05
  done
}
is_over() { ! kill -0 "$run" 2>/dev/null; }

: >out
rm -f hold reached go 'done' engine.sock
engine=${DOCKER_HOST:-unix:///var/run/docker.sock}
python3 "$DEPLOYRUN_SOURCE_DIR/tests/bindings/held_engine.py" engine.sock "${engine#unix://}" &
proxy=$!
until_true "the engine in front did not start" test -S engine.sock

cat >r.lua <<LUA
return recipe { name = "r", params = { what = param.string {} }, run = function(p)
  if p.what == "compose" then
    host("local"):compose { dir = "$PWD/stack" }:replace("api")
    return
  end
  local docker = host("local"):docker()
  if p.what == "plan" then docker:start("deployrun-interruptspec-$$") end
  if p.what == "exec" then return docker:exec("deployrun-interruptspec-$$", { "true" }) end
  local fields = { image = "$image", init = true, labels = { ["deployrun.interruptspec"] = "$$" },
    command = { "sleep", "1000" } }
  if p.what == "replace" then fields.steady = 0.2 end
  if p.what ~= "oneoff" then fields.name = "deployrun-interruptspec-$$" end
  if p.what == "late" then
    fields.name, fields.timeout = nil, 1
    docker:oneoff(fields)
  elseif p.what == "broken" then
    fields.command = { "no-such-program" }
    fields.init = nil
    docker:run(fields)
  elseif p.what == "network" then
    docker:network_create("deployrun-interruptspec-$$", { labels = fields.labels })
    docker:run(fields)
  elseif p.what == "plan" then
    docker:replace(fields)
  else
    docker[p.what](docker, fields)
    if fields.name then docker:wait_exited(fields.name) end
  end
end }
LUA

mkdir -p stack
cat >stack/docker-compose.yml <<YAML
version: "3"
services:
  api: { image: "$image", init: true, command: [sleep, "1000"], stop_grace_period: 1s, labels: ["$mine"] }
YAML
COMPOSE_PROJECT_NAME=deployrun-interruptspec-$$
export COMPOSE_PROJECT_NAME

# interrupted WHAT before|after CALL: an interrupt while this call is under way; afterwards nothing of the run is there.
interrupted() {
  phase="$1, $2 $3"
  rm -f reached go 'done'
  echo "$2 $3" >hold
  DOCKER_HOST="unix://$PWD/engine.sock" "$DEPLOYRUN" r.lua what="$1" >out 2>&1 </dev/null &
  run=$!
  until_true "the call never came" test -e reached
  kill -INT "$run"
  sleep 0.3
  touch go
  until_true "it goes on after the interrupt" is_over
  status=0
  wait "$run" || status=$?
  run=
  [ "$status" -eq 130 ] || fail "exit status $status, not 130"
  until_true "the held call was never passed on" test -e 'done'
}

nothing_left() {
  [ -z "$(containers)" ] || fail "left behind: $(docker ps -a --filter "label=$mine")"
  echo "ok: $phase"
}

for what in oneoff run; do
  for call in 'before GET /images/' 'before POST /containers/create' 'after POST /containers/create' \
    'before POST /containers/.*/start' 'after POST /containers/.*/start'; do
    interrupted $what "${call%% *}" "${call#* }"
    nothing_left
  done
done
interrupted oneoff before 'GET /containers/.*/logs'
nothing_left
interrupted network after 'POST /networks/create'
nothing_left

# What was there before runs again, under its name, from its image; of the new one nothing is left.
docker run -d --init --name "deployrun-interruptspec-$$" --label "$mine" "$image" sleep 999 >old.id
still_there() {
  [ "$(docker ps -q --no-trunc --filter "label=$mine" --filter "name=^$1$")" = "$(cat old.id)" ] ||
    fail "the old container does not serve again: $(docker ps -a --filter "label=$mine")"
  [ "$(containers | wc -l)" -eq 1 ] || fail "left behind: $(docker ps -a --filter "label=$mine")"
  grep -q "$2" out || fail "nothing says that the old container serves again: $(cat out)"
  echo "ok: $phase"
}
# A plan that cannot ask for the old container calls it by its name, and its image by it.
"$DEPLOYRUN" r.lua --dry-run what=plan >plan.out 2>&1 || fail "the plan: $(cat plan.out)"
for line in "docker tag <the image of deployrun-interruptspec-$$>" "docker rm deployrun-interruptspec-$$.previous$"; do
  grep -q -- "$line" plan.out || fail "the plan does not say '$line': $(cat plan.out)"
done
for call in 'before POST /containers/.*/stop' 'after POST /containers/.*/stop' 'before POST /containers/.*/rename' \
  'before POST /containers/create' 'after POST /containers/create' 'before POST /containers/.*/start'; do
  interrupted replace "${call%% *}" "${call#* }"
  still_there "deployrun-interruptspec-$$" "deployrun-interruptspec-$$: the container before it runs again"
done

# The same with compose, which makes its containers by a program of its own.
docker rm -f "$(cat old.id)" >/dev/null
docker-compose -f stack/docker-compose.yml up -d >out 2>&1
docker ps -q --no-trunc --filter "label=$mine" >old.id
for call in 'before POST /containers/create' 'after POST /containers/.*/start'; do
  interrupted compose "${call%% *}" "${call#* }"
  still_there "${COMPOSE_PROJECT_NAME}_api_1" 'api: the containers before it go on serving'
done

# fails WHAT HOLD PATTERN…: what it says when the engine does not do this call.
fails() {
  phase="$1, $2"
  what=$1
  rm -f reached go 'done'
  echo "$2" >hold
  shift 2
  ! DOCKER_HOST="unix://$PWD/engine.sock" "$DEPLOYRUN" r.lua what="$what" >out 2>&1 </dev/null || fail "exit status 0"
  [ -e reached ] || fail "the call never came"
  touch go
  tr -s ' \n' '  ' <out >flat
  for pattern; do grep -q "$pattern" flat || fail "\"$pattern\" is not said"; done
  ! grep -q 'stopped\|taken away again' flat || fail "it is told as ended"
  echo "ok: $phase"
}
containers | xargs -r docker rm -f >/dev/null
fails late 'refuse DELETE /containers/' 'command.timeout' 'did not end within 1 s' \
  'its container deployrun-oneoff-[-0-9a-f]* could not be removed and may still run: the Docker Engine says: the test refuses' 'docker rm --force'
containers | xargs -r docker rm -f >/dev/null
fails broken 'refuse DELETE /containers/' 'docker.not_started' "its container deployrun-interruptspec-$$ could not be removed"
containers | xargs -r docker rm -f >/dev/null
docker run -d --init --name "deployrun-interruptspec-$$" --label "$mine" "$image" sleep 999 >/dev/null
fails exec 'before POST /containers/.*/exec' 'docker.timeout' 'did not finish POST /containers/.*/exec within 30 s'
