#!/bin/sh
# docker_oneoff.sh - a one-off container that is interrupted is gone afterwards, and what an env file holds is written
# nowhere: not in the plan, not in the journal, not in the output.
set -eu
run=
fail() { echo "docker_oneoff.sh: $*" >&2; exit 1; }
end() {
  [ -z "$run" ] || kill "$run" 2>/dev/null || true
  docker ps -aq --filter "label=deployrun.oneoffspec=$$" | xargs -r docker rm -f >/dev/null
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

cat >oneoff.lua <<LUA
return recipe { name = "oneoff", params = { command = param.string {} }, run = function(p)
  local docker = host("local"):docker()
  docker:oneoff { image = "deployrun-test/base:1", init = true, labels = { ["deployrun.oneoffspec"] = "$$" },
    env_file = "secrets.env", env = { TOKEN = secret("SPEC_TOKEN") }, command = p.command }
  docker:run { name = "deployrun-oneoffspec-$$", image = "deployrun-test/base:1", init = true,
    labels = { ["deployrun.oneoffspec"] = "$$" }, env_file = "secrets.env", command = { "sleep", "1000" } }
  log("sees " .. tostring(docker:inspect("deployrun-oneoffspec-$$").running))
end }
LUA
cat >quoted.lua <<LUA
return recipe { name = "quoted", run = function()
  local here, env = host("local"), { TOKEN = secret("SPEC_TOKEN"), JSON = json.encode { key = secret("SPEC_TOKEN") } }
  here:docker():run { name = "deployrun-oneoffspec-$$", image = "deployrun-test/base:1", env = env }
  here:docker():oneoff { image = "deployrun-test/base:1", env = env, command = "true" }
  here:swarm():service_update("web", { env = env })
end }
LUA
echo 'DB_PASSWORD=quite-secret-42' >secrets.env
# shellcheck disable=SC2089,SC2090 # the quotes are the value's own
SPEC_TOKEN="token-which'nobody\"sees" && export SPEC_TOKEN

# shellcheck disable=SC2016 # the container's own $
"$DEPLOYRUN" oneoff.lua command='test "$DB_PASSWORD" = quite-secret-42 && test -n "$TOKEN"' --dry-run >plan.out
grep -q "docker run --rm .*--env-file secrets.env" plan.out || fail "the plan does not show it: $(cat plan.out)"
# shellcheck disable=SC2016
"$DEPLOYRUN" oneoff.lua command='test ${#DB_PASSWORD} -eq 15 && test ${#TOKEN} -eq 23' -v >run.out 2>&1 ||
  fail "$(cat run.out)"
! grep -rl "quite-secret-42\|token-which\|nobody" run.out state || fail "a secret was written down"
"$DEPLOYRUN" quoted.lua --dry-run >quoted.out || fail "$(cat quoted.out)"
"$DEPLOYRUN" quoted.lua --dry-run --json >quoted.json || fail "$(cat quoted.json)"
grep -q "service update.*TOKEN=\[secret SPEC_TOKEN\]" quoted.out || fail "the plan does not show it: $(cat quoted.out)"
! grep "token-which\|nobody" plan.out quoted.out quoted.json || fail "the plan shows a secret"

# interrupted SHOWN: an interrupt as soon as this was shown; within 60 s the run is over and its container is gone. (What
# is shown before the first op comes too early: there an interrupt ends a shell's background job, or is ignored by it.)
interrupted() {
  rm -f stopped.out # of the one before: it is looked into before the new one is there
  "$DEPLOYRUN" oneoff.lua command='echo begun; sleep 1000' -v >stopped.out 2>&1 &
  run=$!
  tries=600
  until grep -qs "$1" stopped.out; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || fail "it did not begin: $(cat stopped.out)"
    sleep 0.1
  done
  kill -INT "$run"
  while kill -0 "$run" 2>/dev/null; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || fail "it goes on: $(cat stopped.out)"
    sleep 0.1
  done
  status=0
  wait "$run" || status=$?
  run=
  [ $status -eq 130 ] || fail "exit status $status, not 130: $(cat stopped.out)"
  left=$(docker ps -aq --filter label=deployrun.oneoff=1 --filter "label=deployrun.oneoffspec=$$")
  [ -z "$left" ] || fail "an interrupted one-off container was left behind"
}
interrupted 'docker.oneoff on local'
interrupted '| begun'
