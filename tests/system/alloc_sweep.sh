#!/bin/sh
# alloc_sweep.sh - each allocation of the command's run of a recipe fails once: never a crash, never a hang, never an
# exit status that is not documented. Argument: the library that makes them fail, see failing_malloc.c. (That nothing
# leaks then, and nothing is left out: tests/unit/test_memory.c.)
#
# A sanitizer brings its own malloc; there the sweep is left out (the release build's run does it).
set -eu
library=$1
# shellcheck source=tests/system/sweep.sh
. "$DEPLOYRUN_SOURCE_DIR/tests/system/sweep.sh"

echo 'return recipe { name = "empty", run = function() end }' >empty.lua
cat >steps.lua <<'LUA'
return recipe { name = "steps", params = { word = param.list { default = { "a" } } }, run = function(p)
  step("One", function() log(p.word[1], json.encode(p.word)) end):undo(function() log("undone") end)
  parallel({ 1, 2 }, function(i) step("Lane " .. i, function() return os.time() end) end)
  fail("on purpose", "so that it is undone")
end }
LUA
cat >helpers.lua <<'LUA'
return recipe { name = "helpers", run = function()
  local values = env_file.parse("SECRET_KEY='a b'\nB=${C:-d}\nURL=http://u:hidden-1@h/\n")
  env_file.format(values, { dialect = "systemd" })
  template.render("a {{ x.y }} \\{{", { x = { y = 1 } })
  net.dns("127.0.0.1")
  net.port("127.0.0.1", 1)
  local api = http.session { base = "http://127.0.0.1:1", bearer = "token-123456" }
  pcall(api.get, api, "/a", { follow = true })
  pcall(http.certificate, "127.0.0.1:1")
  pcall(http.watch, { url = "http://127.0.0.1:1/", every = 0.02, during = 0.05 })
  notify.slack { url = "http://127.0.0.1:1/hook/secret", text = "x" }
end }
LUA
echo 'secret-of-a-file' >secret.txt
echo secret-of-a-command >command.txt
echo 'A=1' >values.env
cat >facts.lua <<'LUA'
return recipe { name = "facts", run = function()
  local here = host("local")
  log(tostring(env.HOME), secret.file("secret.txt"), secret.command("cat command.txt"))
  fs.read("secret.txt") fs.exists("secret.txt") fs.glob("*.txt") fs.hash("secret.txt") fs.write("written", "text")
  env_file.read("values.env")
  here:env_file("values.env")
  here:stat("secret.txt")
  here:read("echo read")
  here:check("true", { within = 1, every = 0.01 })
  pcall(here.check, here, "false", { within = 0.02, every = 0.01 })
  wait("a moment", { within = 1, every = 0 }, function() return true end)
  local probe <close> = http.probe { url = "http://127.0.0.1:1/", every = 0.01 }
  pcall(http.request, { method = "POST", url = "http://127.0.0.1:1/", json = { a = 1 } })
  pcall(http.expect, "http://127.0.0.1:1/", { within = 0.05 })
  pcall(net.expect_port, "127.0.0.1", 1, { within = 0.05 })
  probe:stop()
end }
LUA
mkdir -p tree/inner
for name in one inner/two; do echo "$name" >tree/$name; done
cat >files.lua <<'LUA'
return recipe { name = "files", run = function()
  local here = host("local")
  local copy, mirror = "copy" .. env.FAIL_PART, "mirror" .. env.FAIL_PART
  here:upload("tree/one", copy, { mode = "0600" })
  here:download("tree/inner/two", copy)
  here:sync("tree", mirror, { delete = true, parents = true })
  here:write(mirror .. "/extra", "text")
  here:sync("tree", mirror, { delete = true, exclude = { "one" } })
  local all = hosts { "local" }
  all:with { max_fail = 1, batch = "50%" }:run { "sh", "-c", "cat " .. mirror .. "/one; exit 3" }
end }
LUA
# A role is named, and the statements are not read first: without memory the C library's list of users and libpg_query
# end the process.
testbed=$DEPLOYRUN_SOURCE_DIR/tests/testbed
sh "$testbed/postgres.sh" start --no-fsync >server
# shellcheck source=/dev/null
. ./server
port=$PGPORT
trap 'sh "$testbed/postgres.sh" stop "$port"' EXIT
cat >database.lua <<LUA
return recipe { name = "database", run = function()
  local unread = { check = false }
  local db = postgres { host = "$PGHOST", port = "$PGPORT", user = "$PGUSER", dbname = "postgres" }
  db:exec("do \$\$ begin raise notice 'x'; end \$\$; select 1 as one, null as none", nil, unread)
  db:exec("select \$1::int as n", { 1 }, unread)
  pcall(db.exec, db, "select nope", nil, unread)
  db:wait_ready { attempts = 2, interval = 0.1 }
  pcall(function() postgres("postgres://tester@127.0.0.1:1/x"):exec("select 1", nil, unread) end)
  db:close()
end }
LUA
unset PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE
echo 'return recipe {' >wrong.lua

sweep 'an empty recipe' 1 empty.lua
export FAIL_ROW=2
sweep 'an empty recipe, two in a row' 11 empty.lua
sweep 'a recipe that fails' 23 steps.lua word=b,c
sweep 'checks and helpers' 499 helpers.lua
sweep 'files, secrets and waits' 499 facts.lua
sweep 'files and groups' 101 files.lua
sweep 'a database' 61 database.lua
sweep 'a plan' 23 steps.lua --dry-run
sweep 'events as JSON' 23 steps.lua --json
sweep 'a syntax error' 7 wrong.lua
sweep 'a wrong word' 1 empty.lua --nonsense
sweep 'list' 7 list
sweep 'show' 7 show steps.lua
swept_well
