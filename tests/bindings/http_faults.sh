#!/bin/sh
# http_faults.sh - whole runs against the servers of http_world.sh, which starts this: a dry run sends nothing but
# queries, what is secret is nowhere, a failed watch undoes, and Ctrl-C ends every wait.
set -eu

export XDG_STATE_HOME="$PWD/state"
: >odd.asked

fail() { echo "http_faults.sh: $*" >&2; exit 1; }

# run_as NAME STATUS [OPTION...]: runs NAME.lua, which must exit so; its output is NAME.out.
run_as() {
  name=$1
  wanted=$2
  shift 2
  status=0
  "$DEPLOYRUN" "$name.lua" "$@" >"$name.out" 2>&1 || status=$?
  [ "$status" = "$wanted" ] || fail "$name: exit status $status, not $wanted: $(cat "$name.out")"
}

asked() { grep -c "$1" odd.asked || true; }

# ---------------------------------------------------------------------------------- nothing is done in a dry run

cat >actions.lua <<'LUA'
return recipe { name = "actions", run = function()
  local odd, hook = env.WORLD_ODD, secret("HOOK_URL")
  local api = http.session { base = odd }
  api:login("/login", { json = { password = secret("LOGIN_PASSWORD") }, token = "access_token" })
  api:expect("/me", { within = 5 })
  log("the token is", api:get("/me").json and api:get("/me").json.bearer)
  log("the cookie is", api:get("/me").json and api:get("/me").json.cookie)
  http.get(odd .. "/echo", { bearer = "plain-bearer-token", tls = { verify = false } })
  http.get(odd .. "/echo", { headers = { ["X-Api-Key"] = "plain-header-key", Authorization = "Token plain-scheme-key" } })
  http.get(((odd .. "/echo"):gsub("//", "//bob:plain-url-word@", 1)))
  notify.slack { url = hook, text = "deployed" }
  notify.discord { url = "http://127.0.0.1:1/api/webhooks/9/plain-webhook-key", text = "deployed" }
  http.watch { url = odd .. "/watched", during = 0.3, every = 0.1, also = { load = { max = 1, function() return 0 end } } }
end }
LUA
export HOOK_URL="$WORLD_ODD/hook/T0/hidden-path" LOGIN_PASSWORD=correct-horse
run_as actions 0 --dry-run -v
grep -q 'POST .*/login, JSON' actions.out || fail "the login is not in the plan: $(cat actions.out)"
grep -q 'taking ANY certificate' actions.out || fail "the plan does not say that no certificate is checked"
grep -q 'watch for 0.3 s, every 0.1 s: .*; expect 2xx; at most 1 % bad in .*; and load' actions.out ||
  fail "the watch is not in the plan: $(cat actions.out)"
[ "$(asked '^POST')" = 0 ] || fail "a dry run sent a POST: $(cat odd.asked)"
[ "$(asked /watched)" = 0 ] || fail "a dry run watched"

# ---------------------------------------------------------------------------------- a probe that never was answered well

cat >probe.lua <<'LUA'
return recipe { name = "probe", run = function()
  http.probe { url = "http://127.0.0.1:1/", every = 0.05 }
  host("local"):run { "sleep", "0.2" }
end }
LUA
run_as probe 0
grep -q 'warning: the probe of http://127.0.0.1:1/ was never answered as expected: cannot connect' probe.out ||
  fail "no warning: $(cat probe.out)"
grep -q 'failed (most often: cannot connect' probe.out || fail "the end does not say why: $(cat probe.out)"

# ---------------------------------------------------------------------------------- secrets

run_as actions 0 -v
[ "$(cat odd.hooked)" = '{"text":"deployed"}' ] || fail "the hook got $(cat odd.hooked)"
grep -q 'notify.discord: the message was not delivered' actions.out || fail "a lost message is not told"
grep -q 'the token is Bearer \[secret' actions.out || fail "the token is not masked: $(cat actions.out)"
for value in correct-horse tok-5f3a9c0e7d1b c00kie-value-1 hidden-path plain-webhook-key plain-bearer-token \
  plain-header-key plain-scheme-key plain-url-word; do
  ! grep -q "$value" actions.out || fail "$value was shown"
  ! grep -rq "$value" "$XDG_STATE_HOME" || fail "$value is in the journal: $(grep -rho ".\{80\}$value" "$XDG_STATE_HOME")"
done

# What a plan cuts it masks before: a long key, and one that lies across the cut, in a body, in JSON, in a header and in
# what is expected.
cat >cut.lua <<'LUA'
return recipe { name = "cut", run = function()
  local url, long, short, before = env.WORLD_ODD .. "/echo", secret("LONG_KEY"), secret("SHORT_KEY"), ("."):rep(275)
  http.request { method = "POST", url = url, json = { key = long }, headers = { ["X-Note"] = long } }
  http.request { method = "POST", url = url, json = { a = before, key = short } }
  http.request { method = "POST", url = url, body = "key=" .. long, headers = { ["X-Note"] = short } }
  for more = 1, 24 do http.request { method = "POST", url = url, body = before .. ("."):rep(more) .. short } end
  pcall(http.expect, url, { json = { bearer = long }, within = 0.1, attempts = 1 })
  local _, wrong = pcall(http.expect, url, { json = { bearer = ("."):rep(100) .. short }, attempts = 1 })
  log(tostring(wrong), wrong and wrong.message or "")
end }
LUA
LONG_KEY=$(python3 -c 'print("longkey" + "0123456789abcdefghij" * 30)')
SHORT_KEY=shortkey-klmnopqrstuvwxyz
export LONG_KEY SHORT_KEY
for how in --dry-run "--dry-run --json" -v --json; do
  # shellcheck disable=SC2086 # one or two words
  run_as cut 0 $how
  grep -q 'secret LONG_KEY' cut.out || fail "cut $how: the request is not shown: $(cat cut.out)"
  ! grep -q 'longkey\|shortk' cut.out || fail "cut $how shows the beginning of a secret: $(cat cut.out)"
done
! grep -rq 'longkey\|shortk' "$XDG_STATE_HOME" || fail "the beginning of a secret is in the journal"

cat >required.lua <<'LUA'
return recipe { name = "required", run = function()
  notify.webhook { url = env.WORLD_ODD .. "/status/500/not-there", json = { a = 1 }, required = true }
end }
LUA
run_as required 1
grep -q 'notify' required.out || fail "$(cat required.out)"

# ---------------------------------------------------------------------------------- what a webhook gets

cat >hooks.lua <<'LUA'
return recipe { name = "hooks", run = function()
  local hooks, letter = env.WORLD_ODD .. "/hooks/", utf8.char(0x1F600)
  notify.discord { url = hooks .. "discord" .. "-whole", text = letter:rep(2000), username = "deploy", required = true }
  notify.discord { url = hooks .. "discord-cut", text = "a" .. letter:rep(2000), required = true }
  notify.slack { url = hooks .. "slack-text", text = letter, required = true }
  local sent = notify.webhook { url = hooks .. "webhook" .. "-json", json = { list = { 1, "two" } },
    headers = { ["X-Hook-Key"] = "hook-header" .. "-key" }, required = true }
  log("sent " .. tostring(sent))
end }
LUA
rm -f odd.hooks
run_as hooks 0 -v
grep -q 'sent true' hooks.out || fail "a webhook that answers with 200 is no success: $(cat hooks.out)"
for value in discord-whole webhook-json hook-header-key; do
  ! grep -q "$value" hooks.out || fail "$value was shown"
  ! grep -rq "$value" "$XDG_STATE_HOME" || fail "$value is in the journal"
done
python3 - odd.hooks <<'PY' || fail "the hooks got other bodies"
import json, sys
got = {}
for line in open(sys.argv[1], encoding="utf-8"):
    one = json.loads(line)
    assert one["headers"]["Content-Type"].startswith("application/json"), one["headers"]
    got[one["path"]] = json.loads(one["sent"]), one["headers"]
letter = "\U0001F600"
assert got["/hooks/discord-whole"][0] == {"content": letter * 2000, "username": "deploy"}
assert got["/hooks/discord-cut"][0] == {"content": "a" + letter * 1998 + "\u2026"}
assert got["/hooks/slack-text"][0] == {"text": letter}
body, headers = got["/hooks/webhook-json"]
assert body == {"list": [1, "two"]} and headers["X-Hook-Key"] == "hook-header-key", (body, headers)
PY

# ---------------------------------------------------------------------------------- a failed watch undoes

cat >undoes.lua <<'LUA'
return recipe { name = "undoes", run = function()
  local here = host("local")
  step("Change", function() here:run("echo new >changed") end):undo(function() here:run("echo old >changed") end)
  step("Watch", function()
    http.watch { url = env.WORLD_ODD .. "/status/502", every = 0.02, during = "10m" }
  end)
end }
LUA
run_as undoes 1
[ "$(cat changed)" = old ] || fail "the watch failed and nothing was undone: $(cat undoes.out)"
grep -q 'http.watch_failed' undoes.out || fail "$(cat undoes.out)"

# ---------------------------------------------------------------------------------- Ctrl-C

# cancelled NAME CALL: the call is told to end when the server has it, and the run ends at once.
cancelled() {
  printf 'return recipe { name = "%s", run = function()\n  local odd = env.WORLD_ODD\n  host("local"):run("touch began")\n  %s\nend }\n' \
    "$1" "$2" >"$1.lua"
  rm -f began
  timeout -s KILL 40 "$DEPLOYRUN" "$1.lua" >"$1.out" 2>&1 &
  run=$!
  tries=200
  until [ -e began ]; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || fail "$1 did not begin: $(cat "$1.out")"
    sleep 0.05
  done
  sleep 0.3
  kill -INT $run || fail "$1 ended by itself: $(cat "$1.out")"
  status=0
  wait $run || status=$?
  [ $status = 130 ] || fail "$1: exit status $status, not 130: $(cat "$1.out")"
}

cancelled get 'http.get(odd .. "/silent", { timeout = 50 })'
cancelled post 'http.request { method = "POST", url = odd .. "/silent", timeout = 50 }'
cancelled headers 'http.get(odd .. "/headers", { timeout = 50 })'
cancelled expect 'http.expect(odd .. "/status/500", { within = 50 })'
cancelled watch 'http.watch { url = odd .. "/echo", during = 50 }'
cancelled watch_also 'http.watch { url = odd .. "/echo", during = 50, also = { x = { max = 1, function() return 0 end } } }'
cancelled certificate 'http.certificate("localhost:" .. env.WORLD_MUTE, { timeout = 50 })'
cancelled port 'net.expect_port("127.0.0.1", 1, { within = 50 })'
cancelled target_port \
  "host { \"host1\", config = \"$WORLD/ssh_config\" }:net():expect_port(\"127.0.0.1\", 1, { within = 50 })"
cancelled target_expect \
  "host { \"host1\", config = \"$WORLD/ssh_config\" }:http():expect(odd .. \"/silent\", { timeout = 50, within = 50 })"
cancelled notify 'notify.slack { url = odd .. "/silent", text = "x", timeout = 50 }'
cancelled secret 'secret.command("touch began; sleep 50")'
