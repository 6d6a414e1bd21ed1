#!/bin/sh
# terminal.sh - Ctrl-C on a real terminal: the live lines are taken off, with the "^C" that the terminal writes behind
# them, and every line that is left says something; without live lines and at a question it begins a new line.
set -eu

fail() {
  echo "FAILED: $*"
  cat screen
  exit 1
}

# pressed SHOWN: what the screen is after Ctrl-C when SHOWN has appeared.
pressed() {
  status=0
  python3 "$DEPLOYRUN_SOURCE_DIR/tests/system/screen.py" "$1" -- "$DEPLOYRUN" r.lua >screen || status=$?
  [ "$status" -eq 130 ] || fail "exit status $status"
}

cat >r.lua <<'LUA'
return recipe { name = "r", run = function()
  local here = host("local")
  step("Prepare", function() here:run("true") end):undo(function() here:run("true") end)
  step("Wait", function() here:run("echo waiting for it; exec sleep 60") end)
end }
LUA
pressed 'target.run on local · waiting for it'
! grep -q '\^C' screen || fail "the ^C is left"
grep -q '^Interrupted: stopping, undoing' screen || fail "it does not say that it stops"
[ "$(grep -c '\[2/2\] Wait' screen)" -eq 2 ] || fail "a live line is left" # when it stopped, and in the report
grep -q '^Undo  Prepare' screen || fail "the undo is not told"

SCREEN_TERM=dumb pressed 'Wait …'
grep -q '^Interrupted: stopping, undoing' screen || fail "on a plain terminal it does not begin a new line"

cat >r.lua <<'LUA'
return recipe { name = "r", run = function()
  step("Ask", function() confirm("Delete the old volume?") end)
end }
LUA
pressed 'y/N'
grep -q 'Delete the old volume? .*\^C$' screen || fail "the question is gone"
grep -q '^Interrupted: stopping' screen || fail "it stands behind the question"

# On a narrow terminal words are not broken: every line is wrapped before the terminal does it.
cat >narrow.lua <<'LUA'
return recipe { name = "narrow", summary = "Replaces the services of a stack while the others keep serving",
  params = { directory = param.path { default = "/srv/app", help = "the checkout that holds the compose file" } },
  run = function()
    local here = host("local")
    here:read("true")
    step("Prepare", function() here:run("true") end):undo(function() here:run("true") end)
    step("Update the code of all the services there are", function() return here:run("true").status end)
    step("Wait", function() here:run("echo waiting for it; exec sleep 60") end)
  end }
LUA
for what in '--help' 'show narrow.lua' 'list' 'narrow.lua --dry-run' 'narrow.lua'; do
  status=0
  # shellcheck disable=SC2086 # words
  SCREEN_COLUMNS=40 python3 "$DEPLOYRUN_SOURCE_DIR/tests/system/screen.py" 'local · wait' -- "$DEPLOYRUN" $what >screen ||
    status=$?
  [ "$status" -eq 0 ] || [ "$status:$what" = 130:narrow.lua ] || fail "$what: exit status $status"
  # What is there to be copied (a path, a command) is never broken; a step's line is left to the terminal.
  ! grep -vE '^ *(From )?(Journal +)?/|^  deployrun |^\[' screen | LC_ALL=C.UTF-8 grep -E '^.{41}' || fail "$what: too wide"
done
grep -q '^press Ctrl-C again' screen || fail "what Ctrl-C says is not broken at a word"
