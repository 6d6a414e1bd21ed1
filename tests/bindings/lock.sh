#!/bin/sh
# lock.sh - a lock keeps a second deployer out, names the first, and goes with its process.
set -eu
name=spec-$$
cat >hold.lua <<LUA
return recipe { name = "holder", params = { seconds = param.number { default = 0 } }, run = function(p)
  local server = host("local")
  do
    local lock <close> = server:lock("$name")
    server:lock("$name"):release()
    server:run { "sleep", tostring(p.seconds) }
  end
end }
LUA
trap 'rm -f "/tmp/deployrun-$name.lock"*' EXIT

fail() { echo "lock.sh: $*" >&2; exit 1; }

# try: a run that wants the lock; prints its exit status.
try() { "$DEPLOYRUN" hold.lua >try.out 2>&1 && echo 0 || echo $?; }

# hold SECONDS: a run in the background that has the lock when this returns.
hold() {
  "$DEPLOYRUN" hold.lua seconds="$1" >hold.out 2>&1 &
  holder=$!
  tries=100
  until ls "/tmp/deployrun-$name.lock".*.who >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || fail "the first run did not take the lock: $(cat hold.out)"
    sleep 0.05
  done
  sleep 0.2
}

# expect STATUS: how a run that wants the lock now must end.
expect() {
  got=$(try)
  [ "$got" = "$1" ] || fail "exit status $got, not $1: $(cat try.out)"
}

"$DEPLOYRUN" hold.lua --dry-run >/dev/null
[ ! -e "/tmp/deployrun-$name.lock" ] || fail "a dry run made a lock file"
expect 0

hold 30
expect 4
grep -q "is held by .*@.* (process $holder), who runs holder since 20" try.out || fail "$(cat try.out)"
kill -KILL $holder
wait $holder 2>/dev/null || true
sleep 0.3
expect 0

hold 30
kill -INT $holder
! wait $holder || fail "an interrupted run exited with 0"
expect 0

# A lock that is lost ends the run, whatever the recipe catches, and its steps are undone.
cat >lose.lua <<LUA
return recipe { name = "loser", run = function()
  local server = host("local")
  server:lock("$name")
  step("change", function() server:run { "touch", "changed" } end):undo(function() server:run { "rm", "changed" } end)
  pcall(server.run, server, "pkill -KILL -f '[d]eployrun-$name.lock'; sleep 30")
  server:run { "touch", "went-on" }
end }
LUA
"$DEPLOYRUN" lose.lua >lose.out 2>&1 && fail "a run whose lock was lost exited with 0"
grep -q 'lock.lost' lose.out || fail "$(cat lose.out)"
for file in went-on changed; do
  [ ! -e $file ] || fail "the run went on, or was not undone: $(cat lose.out)"
done
expect 0

hold 0.3
wait $holder
expect 0
[ -z "$(ls "/tmp/deployrun-$name.lock".*.who 2>/dev/null)" ] || fail "the holder's name was left behind"
