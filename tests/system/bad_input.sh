#!/bin/sh
# bad_input.sh - what people get wrong: each mistake has a one-screen answer that says what is wrong, where and what to
# do, the documented exit status, and has changed nothing.
set -eu
failures=0

# recipe BODY: writes r.lua with a run function of that body.
recipe() { printf 'return recipe { name = "r", run = function(p)\n%s\nend }\n' "$1" >r.lua; }

# file TEXT: writes r.lua.
file() { printf '%s\n' "$1" >r.lua; }

problem() {
  echo "FAILED: $label: $1"
  sed 's/^/    | /' out
  failures=$((failures + 1))
}

# answer LABEL STATUS 'PATTERN;PATTERN…' ARGUMENT…: runs deployrun and looks at what it says.
answer() {
  label=$1
  expected=$2
  patterns=$3
  shift 3
  rm -rf "$XDG_STATE_HOME"
  status=0
  ${as:-} "$DEPLOYRUN" "$@" >out 2>&1 </dev/null || status=$?
  [ "$status" -eq "$expected" ] || problem "exit status $status, not $expected"
  [ "$(wc -l <out)" -le 24 ] || problem "more than one screen"
  echo "$patterns" | tr ';' '\n' | while read -r pattern; do
    grep -qF -- "$pattern" out || echo "$pattern"
  done >missing
  [ ! -s missing ] || problem "does not say: $(cat missing)"
  [ ! -e touched ] || problem "something was done"
  [ -z "$(find "$XDG_STATE_HOME" -path '*/runs/*' 2>/dev/null)" ] || problem "there is a journal"
  echo "ok: $label"
}

answer 'no such file' 2 'nope.lua' nope.lua
answer 'a name that is nearly a bundled recipe' 2 "rolling" roling
touch release.lua
answer 'a recipe without its ending' 2 "did you mean 'release.lua'" release
answer 'a name that is nearly a file' 2 "did you mean './release.lua'" ./relaese.lua
rm release.lua
answer 'no recipe at all' 2 '--help'
answer 'an unknown option' 2 '--dry-run' r.lua --dryrun
mkdir -p folder.lua
answer 'a folder' 2 'folder;a .lua file' folder.lua

# Root may read everything, so this one is tried as nobody.
file 'return recipe { name = "r", run = function() end }'
chmod 000 r.lua
as='setpriv --reuid=65534 --regid=65534 --clear-groups'
if [ "$(id -u)" -ne 0 ]; then as=; fi
if ${as:-} "$DEPLOYRUN" --version >/dev/null 2>&1; then
  answer 'a file that cannot be read' 2 'cannot read r.lua;Permission denied' r.lua
else
  echo "left out: nobody may not run $DEPLOYRUN here"
fi
as=
rm -f r.lua
head -c 2000 /dev/urandom >r.lua
answer 'a file of noise' 3 'r.lua' r.lua
: >r.lua
answer 'an empty file' 3 'return recipe;r.lua' r.lua

file 'return recipe {'
answer 'a syntax error' 3 'syntax error;r.lua:2' r.lua
file 'return 5'
answer 'a file without a recipe' 3 'return recipe;r.lua' r.lua
file 'return recipe { name = "r", rnu = function() end }'
answer 'an unknown field' 3 "did you mean 'run';r.lua" r.lua

file 'return recipe { name = "r", params = { web = param.string { required = true, help = "the service" },
  count = param.int { default = 1 }, mode = param.enum { choices = { "a", "b" }, default = "a" },
  within = param.duration { default = "5m" }, url = param.url {} }, run = function() end }'
answer 'a required param is missing' 2 "'web';web=;the service" r.lua
file 'return recipe { name = "r", params = { web = param.string { required = true, help = "the service" },
  dir = param.path { required = true, help = "the folder" }, on = param.hosts {} }, run = function() end }'
answer 'two required params are missing' 2 "'dir', 'web' are required;dir=…: the folder;web=…: the service" r.lua
answer 'hosts without a host' 2 "'on' names no host" r.lua web=api dir=. on=
file 'return recipe { name = "r", params = { web = param.string { required = true, help = "the service" },
  count = param.int { default = 1 }, mode = param.enum { choices = { "a", "b" }, default = "a" },
  within = param.duration { default = "5m" }, url = param.url {} }, run = function() end }'
answer 'an unknown param' 2 "'wbe';did you mean 'web'" r.lua wbe=api
answer 'a number that is none' 2 "'count';whole number" r.lua web=api count=many
answer 'a choice that is none' 2 "'mode';a, b" r.lua web=api mode=c
answer 'a duration that is none' 2 "'within';90s" r.lua web=api within=soon
answer 'a URL that is none' 2 "'url';http" r.lua web=api url=localhost
answer 'an env file that is not there' 2 'missing.env' r.lua web=api --env-file missing.env
echo 'nonsense' >values.txt
answer 'a file of params that is none' 2 'values.txt:1;name=value' r.lua --set-file values.txt

recipe 'stpe("a", function() end)'
answer 'an unknown global' 3 "'stpe';did you mean 'step';r.lua:2" r.lua
recipe 'count = 1'
answer 'an assignment to a global' 3 'local count;r.lua:2' r.lua
recipe 'step("One", function() host("local"):run("touch touched") end):undo(function()
  local function back() return hots("local"):run("true") end
  back()
end)'
answer 'an unknown global in an undo' 3 "'hots';did you mean 'host';r.lua:3" r.lua
answer 'the same in a dry run' 3 "'hots';did you mean 'host';r.lua:3" r.lua --dry-run
answer 'the same when it is only checked' 3 "'hots';did you mean 'host';r.lua:3" check r.lua
recipe 'function deploy() end'
answer 'a function that is not local' 3 'local deploy;r.lua:2' r.lua
file 'local lines = { "'"$(seq -s '", "' 300)"'" }
local _ENV = setmetatable({ recipe = recipe }, { __index = function() return "any" end })
return recipe { name = "r", summary = anything, run = function() return whatever end }'
"$DEPLOYRUN" check r.lua >out 2>&1 || { label='globals of its own'; problem "they are not left to it"; }
{ echo 'return recipe { name = "r", run = function()'; seq 300 | sed 's/.*/  log("&")/'; seq 300 | sed 's/.*//'; } >r.lua
echo 'end, summary = smumary }' >>r.lua
answer 'an unknown global far down' 3 "'smumary';r.lua:602" r.lua
recipe 'os.execute("touch touched")'
answer 'os.execute' 3 'os.execute;target:run;r.lua:2' r.lua
recipe 'io.open("touched", "w")'
answer 'io' 3 "'io';r.lua:2" r.lua
recipe 'require("nowhere")'
answer 'a module that is not there' 3 "'nowhere';r.lua:2" r.lua
echo 'return {' >broken.lua
recipe 'require("broken")'
answer 'a module with a syntax error' 3 'syntax error;broken.lua:2' r.lua
file 'return recipe { name = "r", params = { n = param.int { default = "many" } }, run = function() end }'
answer 'a default of the wrong type' 3 "'n';int;r.lua:1" r.lua
file 'return recipe { name = "r", params = { m = param.enum { choices = { 1, 2 } } }, run = function() end }'
answer 'choices that are no text' 3 'choices;r.lua:1' r.lua m=1
recipe 'parallel({ 1 }, { limit = 0 }, function() end)'
answer 'a limit that makes no sense' 3 'limit;1 or more;r.lua:2' r.lua
recipe 'host("local"):runn("touch touched")'
answer 'a method that does not exist' 3 "'runn';did you mean 'run';r.lua:2" r.lua
recipe 'host("local"):run("touch touched", { timeuot = 5 })'
answer 'an option that does not exist' 3 "'timeuot';did you mean 'timeout';r.lua:2" r.lua
recipe 'host("local"):run(5)'
answer 'an argument of the wrong type' 3 "'command';r.lua:2" r.lua
recipe 'log(p.nothing)'
answer 'a param the recipe does not declare' 3 "'nothing';r.lua:2" r.lua
file 'host("local"):run("touch touched")
return recipe { name = "r", run = function() end }'
answer 'an action while the file is loaded' 3 'run function;r.lua:1' r.lua
recipe 'local nothing
nothing.field = 1'
answer 'a mistake only Lua finds' 3 'nil value;r.lua:3' r.lua

recipe 'local s = host("local")
s:read("definitely-not-a-command")
s:run("touch touched")'
answer 'a command that is not found' 1 'definitely-not-a-command;r.lua:3;Nothing was changed' r.lua
recipe 'local s = host("local")
s:read("echo oops >&2; exit 7")
s:run("touch touched")'
answer 'a query that fails' 1 'status 7;oops;r.lua:3' r.lua
recipe 'local s = host("no-such-host.invalid")
s:run("touch touched")'
answer 'a host that does not resolve' 1 'no-such-host.invalid;r.lua:2' r.lua
recipe 'local s = host { host = "127.0.0.1", port = 1 }
s:run("touch touched")'
answer 'a host that refuses' 1 '127.0.0.1;refused;r.lua:2' r.lua
recipe 'host("local"):run("touch touched")
http.watch { url = "http://127.0.0.1:1/", during = 5, min_samples = 0 }'
answer 'a limit that makes no sense, in the last op' 3 'min_samples;r.lua:3;Nothing was changed' r.lua
recipe 'http.get("http://127.0.0.1:1/")'
answer 'a URL that refuses' 1 '127.0.0.1;r.lua:2' r.lua
recipe 'log(secret("NO_SUCH_SECRET"))'
answer 'a secret that is not there' 1 'NO_SUCH_SECRET;--env-file;r.lua:2' r.lua
recipe 'host("local"):compose { dir = "/nonexistent-folder" }'
answer 'a folder that is not there' 1 '/nonexistent-folder;r.lua:2' r.lua

recipe 'local s = secret("SHORT")
host("local"):run("touch touched")'
echo 'SHORT=abc' >short.env
answer 'a secret that is too short' 1 "'SHORT';longer;r.lua:2" r.lua --env-file short.env
recipe 'local s = secret("LONG")
host("local"):run("echo " .. s)
host("local"):run("touch touched")'
echo 'LONG=correct horse' >long.env
answer 'a secret on a command line' 1 'environment;r.lua:3' r.lua --env-file long.env
! grep -q 'horse' out || problem "the secret is shown"
recipe 'fail("the recipe says no", "and this is why")'
answer 'a recipe that says no' 1 'the recipe says no;and this is why;r.lua:2' r.lua

recipe 'step("a", function() host("local"):run("touch touched") end)'
state=$XDG_STATE_HOME
XDG_STATE_HOME=/proc/nowhere
answer 'a place for journals that cannot be written' 1 '/proc/nowhere;XDG_STATE_HOME' r.lua
XDG_STATE_HOME=$state

[ "$failures" -eq 0 ] || { echo "$failures answers are wrong"; exit 1; }
