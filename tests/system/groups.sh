#!/bin/sh
# groups.sh - what is told of hosts that failed: where the run ends well all the same, and where it does not. A secret in
# what they wrote is masked everywhere.
set -eu

fail() {
  echo "FAILED: $*"
  cat out
  exit 1
}

# expect STATUS ARGUMENT…: the run ends so; what it says is in out.
expect() {
  expected=$1
  shift
  status=0
  "$DEPLOYRUN" r.lua --env-file token.env "$@" >out 2>&1 || status=$?
  [ "$status" -eq "$expected" ] || fail "exit status $status, not $expected"
  ! grep -q correct out || fail "the secret is shown"
}

cat >r.lua <<'LUA'
return recipe { name = "r", params = { bad = param.list { default = {} }, most = param.int { default = 1 } }, run = function(p)
  local bad = " " .. table.concat(p.bad, " ") .. " "
  local web = hosts { { "local", name = "web1" }, { "local", name = "web2" }, { "local", name = "web3" } }
  step("Restart", function()
    web:env { TOKEN = secret("TOKEN") }:each({ batch = 1, max_fail = p.most }, function(server)
      server:run("case '" .. bad .. "' in *' " .. server:name() .. " '*) echo no $TOKEN >&2; cat VERSION;; esac")
    end)
  end)
end }
LUA
echo 'TOKEN=correct horse' >token.env

expect 0
! grep -q failed out || fail "a host is said to have failed"

expect 0 bad=web2
grep -q '^ *warning: web2 failed: command.failed: ' out || fail "the failure is not told"
[ "$(grep -c 'cat: VERSION: No such file' out)" -eq 1 ] || fail "the reason is not told"
grep -q '^  warning: 1 host failed: web2 (command.failed)$' out || fail "the end does not name the host"
tail -3 out | grep -q '^Done' || fail "it does not end well"
expect 0 -q bad=web2,web3 most=2
[ "$(grep -c . out)" -eq 2 ] || fail "quiet says too much"
grep -q 'warning: 2 hosts failed: web2 (command.failed), web3 (command.failed)$' out || fail "quiet does not name them"
expect 0 --json bad=web2
grep -q '"failed":\["web2"\]' out || fail "JSON does not name the host"

expect 1 bad=web1,web2
for line in 'web1: command.failed: ' '  no ' '  cat: VERSION: No such file' 'web2: command.failed: '; do
  grep -q "^  [|│] $line" out || fail "the report does not have: $line"
done
expect 1 --json bad=web1,web2
! grep -rq correct "$XDG_STATE_HOME" || fail "the secret is in the journal"
