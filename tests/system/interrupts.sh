#!/bin/sh
# interrupts.sh - for the scripts that interrupt a run at each of its waits; to be sourced. An interrupted run must end
# with 130, its undo and its <close> handlers must have run.
run=
silent=
trap '[ -z "$run" ] || kill -9 "$run" 2>/dev/null || true' EXIT

fail() {
  echo "FAILED: $wait: $*"
  cat out
  exit 1
}

# until_true WHAT COMMAND…: within 20 s.
until_true() {
  what=$1
  shift
  tries=0
  until "$@" 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 400 ] || fail "$what"
    sleep 0.05
  done
}

# begin_silent: a server that takes connections and says nothing; sets silent, its process, and port.
# shellcheck disable=SC2034
begin_silent() {
  wait='a server that never answers'
  rm -f port # of an earlier run
  python3 -c '
import socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
held = []
while True:
    held.append(server.accept())' >port &
  silent=$!
  until_true "the test's server did not start" test -s port
  port=$(cat port)
}

# begin BODY: starts a recipe that can be undone and has something to close, and lets it come to its wait.
begin() {
  rm -f undone closed waiting
  cat >r.lua <<LUA
return recipe { name = "r", run = function()
  local here = host("local")
  local closing <close> = setmetatable({}, { __close = function() here:run("touch closed") end })
  step("Prepare", function() here:run("true") end):undo(function() here:run("touch undone") end)
  step("Wait", function()
    here:run("touch waiting")
    $1
  end)
end }
LUA
  "$DEPLOYRUN" r.lua -v >out 2>&1 </dev/null &
  run=$!
  until_true "the run never came to its wait" test -e waiting
  until_true "the wait was never begun" grep -q "${2:-$wait}" out
}

# ended STATUS: waits for the run, at most 20 s.
ended() {
  tries=0
  while kill -0 "$run" 2>/dev/null && [ $tries -lt 400 ]; do
    tries=$((tries + 1))
    sleep 0.05
  done
  [ $tries -lt 400 ] || fail "it goes on after the interrupt"
  status=0
  wait "$run" || status=$?
  run=
  [ "$status" -eq "$1" ] || fail "exit status $status, not $1"
}

# interrupted WAIT BODY [SHOWN]: one interrupt at this wait.
interrupted() {
  wait=$1
  begin "$2" "${3:-}"
  kill "-${4:-INT}" "$run"
  ended 130
  [ -e undone ] || fail "the step was not undone"
  [ -e closed ] || fail "the <close> handler did not run"
  echo "ok: $wait"
}
