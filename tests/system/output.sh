#!/bin/sh
# output.sh - what is written, and where: a plan masks what became secret on the way, an error before the run says so,
# and output that cannot be written is not passed over.
set -eu

fail() { echo "FAILED: $*" >&2; exit 1; }

# run STATUS ARGUMENT…: runs deployrun, which must exit so; its output is out and err.
run() {
  wanted=$1
  shift
  status=0
  "$DEPLOYRUN" "$@" >out 2>err </dev/null || status=$?
  [ "$status" = "$wanted" ] || fail "deployrun $*: exit status $status, not $wanted: $(cat out err)"
}

# says FILE TEXT
says() { grep -qF -- "$2" "$1" || fail "does not say '$2': $(cat "$1")"; }

# ---------------------------------------------------------------------------------- what becomes secret on the way

cat >hook.lua <<'LUA'
return recipe { name = "hook", params = { hook = param.url { required = true }, within = param.duration {} },
  run = function(p) notify.slack { url = p.hook, text = "deployed" } end }
LUA
for how in '' -v -q --json; do
  # shellcheck disable=SC2086 # no word where it is empty
  run 0 hook.lua hook=http://bob:word@127.0.0.1:1/services/T0-hidden within=25s --dry-run $how
  ! grep -q 'T0-hidden' out err || fail "the address of a webhook was shown: $(cat out)"
done
run 0 hook.lua hook=http://bob:word@127.0.0.1:1/services/T0-hidden within=25s --dry-run
says out 'Plan of hook.lua · hook=[secret webhook url] · within=25 · a dry run: nothing is changed'
says out 'notify.slack to 127.0.0.1:1: {"text":"deployed"}'

# ---------------------------------------------------------------------------------- before the run

cat >unfit.lua <<'LUA'
return recipe { name = "unfit", run = function()
  local here = host("local")
  here:run("touch touched")
  fail("not today")
end }
LUA
run 1 unfit.lua
says err 'Nothing was changed: the run had not begun, this was the look at the world before it'
run 1 unfit.lua --json
says out '"begun":false'
! grep -q '"journal"' out || fail "names a journal that is not there: $(cat out)"
run 0 hook.lua hook=http://127.0.0.1:1/services/T0-hidden --dry-run --json
! grep -q '"journal"' out || fail "names a journal that is not there: $(cat out)"
run 0 hook.lua hook=http://127.0.0.1:1/services/T0-hidden --json
says out '"begun":true'
says out '"journal"'

# ---------------------------------------------------------------------------------- output that is lost

file=$PWD/hook.lua
cat >good.lua <<'LUA'
return recipe { name = "good", run = function() step("One", function() host("local"):run("true") end) end }
LUA

# lost STATUS ARGUMENT…: the same where nothing can be written to stdout; said once.
lost() {
  wanted=$1
  shift
  status=0
  "$DEPLOYRUN" "$@" >/dev/full 2>err </dev/null || status=$?
  [ "$status" = "$wanted" ] || fail "deployrun $* >/dev/full: exit status $status, not $wanted: $(cat err)"
  [ "$(grep -c 'output could not be written: No space left on device' err)" = 1 ] ||
    fail "deployrun $* >/dev/full does not say once that its output is lost: $(cat err)"
}

lost 1 good.lua --dry-run
lost 1 good.lua --dry-run --json
lost 1 list
lost 1 list --json
lost 1 show good.lua
lost 1 show good.lua --json
lost 1 check good.lua
lost 1 --help
lost 1 --version
lost 0 good.lua
says err 'the exit status is that of the run'
lost 0 good.lua --json
lost 1 unfit.lua
lost 2 unfit.lua --json nonsense=1

# A reader that went away is no loss to tell of.
for what in '--version' "check $file $file" 'good.lua --dry-run' 'good.lua --json'; do
  # shellcheck disable=SC2086 # words
  { sleep 0.1; status=0; "$DEPLOYRUN" $what 2>err || status=$?; echo "$status" >status; } | true
  [ "$(cat status) $(cat err)" = '0 ' ] || fail "deployrun $what | true: status $(cat status): $(cat err)"
done

# ---------------------------------------------------------------------------------- what a failed step leaves

cat >halves.lua <<'LUA'
return recipe { name = "halves", params = { how = param.string { required = true } }, run = function(p)
  local here = host("local")
  step("Code", function() here:run("true") end):undo(function() here:run("true") end)
  step("Keep", function() here:run("true") end)
  step("Restart", function()
    if p.how == "inside" then
      step("Web", function() here:run("true") end):undo(function() here:run("true") end)
      parallel({ 1, 2 }, function() here:read("true") end)
    elseif p.how == "beside" then
      parallel({ 1, 2 }, function() here:run("true") end)
    elseif p.how == "nested" then
      step("Web", function() here:run("true") end)
    elseif p.how == "stopped" then
      here:run("touch begun; sleep 60")
    end
    here:check("false", { within = 0.1 })
  end)
end }
LUA
for how in beside nested; do
  run 1 halves.lua how=$how
  says err 'Left in place  Keep, Restart (failed in its middle)'
done
for how in nothing inside; do
  run 1 halves.lua how=$how
  grep -qx '  Left in place  Keep' err || fail "$how: nothing of Restart is left: $(cat err)"
done
run 1 halves.lua how=nested --json
grep '"event":"step_failed"' out >failed
says failed '"changed":true'
run 1 halves.lua how=inside --json
grep '"event":"step_failed"' out >failed
says failed '"changed":false'
rm -f begun
"$DEPLOYRUN" halves.lua how=stopped >out 2>err </dev/null &
tries=200
until [ -e begun ] || [ "$tries" = 0 ]; do sleep 0.1; tries=$((tries - 1)); done
kill -TERM $!
wait $! || status=$?
[ "$status" = 130 ] || fail "exit status $status, not 130: $(cat err)"
says err 'Left in place  Keep, Restart (stopped in its middle)'

# ---------------------------------------------------------------------------------- what a recipe says

printf '\357\273\277' >bom.lua
printf '\357\273\277return "of a module"\n' >bom_module.lua
cat >>bom.lua <<'LUA'
return recipe { name = "bom", run = function()
  local knot = {}
  knot.knot = knot
  log({ b = "x\ny", a = { 1, 2 } }, { "list" }, nil, host("local"), require("bom_module"))
  log(json.decode('[{"deep": [true, 1]}]'))
  warn(knot)
end }
LUA
run 0 bom.lua
says out '  {"a":[1,2],"b":"x\ny"} ["list"] nil local of a module'
says out '  [{"deep":[true,1]}]'
says out '  warning: table: 0x'
printf '\357\273\277return recipe {' >bom.lua
run 3 bom.lua
says err 'bom.lua:1'
