#!/bin/sh
# compose.sh - the verbs of a stack (compose.lua), compose files that are wrong, and services that are not in them: refused
# in the walk, by file and line, before anything is done.
set -eu
fail() { echo "compose.sh: $*" >&2; exit 1; }

mkdir -p stack wrong
cat >stack/docker-compose.yml <<'END'
version: "2.4"
services:
  api:
    image: deployrun-composespec/api:now
    init: true
    stop_grace_period: 1s
    command: ["sh", "-c", "echo version $$(cat /version); sleep 1000"]
  polite:
    image: deployrun-composespec/api:now
    command: ["sh", "-c", "trap 'echo told to end; exit 0' TERM; echo ready; while :; do sleep 0.1; done"]
  worker:
    image: deployrun-composespec/api:now
    init: true
    command: ["sleep", "1000"]
volumes:
  media: {}
END

cat >stack/api.env <<'END'
PASSWORD=pa$word-1
NAME='Let\'s go!'
FROM_OUTSIDE
END

mkdir -p built
cat >built/docker-compose.yml <<'END'
version: "2.4"
services:
  app:
    build: .
    image: deployrun-composespec/built:now
END
cat >built/Dockerfile <<'END'
FROM deployrun-test/base:1
ARG WORD=none
RUN echo "$WORD" >/word && cat /proc/sys/kernel/random/uuid >/once
END

cat >wrong.lua <<'LUA'
return recipe { name = "wrong", run = function()
  local here = host("local")
  here:docker():tag("deployrun-test/base:1", "deployrun-composespec/acted:1")
  here:compose { dir = "wrong" }:up()
end }
LUA
cat >unknown.lua <<'LUA'
return recipe { name = "unknown", run = function()
  local here = host("local")
  here:docker():tag("deployrun-test/base:1", "deployrun-composespec/acted:1")
  local stack = here:compose { dir = "wrong" }
  local calls = {
    up_one = function() stack:up { services = { "api", "wbe" } } end,
    up_scale = function() stack:up { scale = { wbe = 2 } } end,
    build = function() stack:build { services = { "wbe" } } end,
    pull = function() stack:pull { services = "wbe" } end,
    scale = function() stack:scale("wbe", 2) end,
    exec = function() stack:exec("wbe", "true") end,
    run = function() stack:run("wbe", "true") end,
    replace = function() stack:replace("wbe") end,
    watch = function() http.watch { url = "http://localhost/", stack = stack, services = "wbe" } end,
  }
  for _, verb in ipairs { "start", "stop", "restart", "remove", "kill", "logs" } do
    calls[verb] = function() stack[verb](stack, "wbe") end
  end
  for verb, call in pairs(calls) do
    local accepted, problem = pcall(call)
    if accepted or problem.code ~= "compose.no_such_service" then
      fail(verb .. ": " .. (accepted and "accepted" or tostring(problem)))
    end
  end
  local accepted, problem = pcall(stack.stop, stack, "api", { grce = 1 })
  if accepted or problem.message ~= "stack:stop has no option 'grce'" or problem.hint:find("project", 1, true) then
    fail(tostring(problem) .. " " .. tostring(problem.hint))
  end
  accepted, problem = pcall(stack.replace, stack, "api", { mode = "start-frist" })
  if accepted or not problem.message:find('no mode "start-frist"', 1, true) then fail(tostring(problem)) end
  calls.restart()
end }
LUA

# refused CODE WORDS [RECIPE]: the run with what is in wrong/ ends with the error and has done nothing.
refused() {
  status=0
  "$DEPLOYRUN" "${3:-wrong.lua}" >wrong.out 2>&1 || status=$?
  [ $status -eq 1 ] || fail "exit status $status: $(cat wrong.out)"
  grep -q "$1" wrong.out || fail "no $1: $(cat wrong.out)"
  grep -q "$2" wrong.out || fail "it does not say '$2': $(cat wrong.out)"
  ! docker image inspect deployrun-composespec/acted:1 >/dev/null 2>&1 || fail "something was done before"
}

rm -f wrong/docker-compose.yml
refused compose.file "is the folder right"
refused compose.file "there is no compose file in .*wrong"
printf 'services:\n  api:\n    image: x\n   worker: y\n' >wrong/docker-compose.yml
refused compose.invalid "the compose file .*docker-compose.yml, line 4 is wrong"
printf 'version: "2.4"\nservices:\n  api:\n    imag: x\n' >wrong/docker-compose.yml
refused compose.invalid "the compose file .*docker-compose.yml is wrong: .*imag"
# shellcheck disable=SC2016 # compose's own $
printf 'version: "2.4"\nservices:\n  api:\n    image: ${MISSING_TAG:?must be set}\n' >wrong/docker-compose.yml
refused compose.invalid MISSING_TAG

printf 'version: "2.4"\nservices:\n  api:\n    image: x\n  web:\n    image: y\n' >wrong/docker-compose.yml
refused compose.no_such_service "has no service 'wbe'" unknown.lua
grep -q "its services are: api, web" wrong.out || fail "the services are not named: $(cat wrong.out)"

# What an action before may bring: the walk lets it pass, and the run reads the file again.
cat >later.lua <<'LUA'
return recipe { name = "later", params = { service = param.string {} }, run = function(p)
  local here = host("local")
  local stack = here:compose { dir = "wrong" }
  here:run("printf '  late:\\n    image: z\\n' >>wrong/docker-compose.yml; touch acted")
  stack:kill(p.service)
end }
LUA
rm -f acted
"$DEPLOYRUN" later.lua --dry-run service=late >later.out 2>&1 || fail "a later service is refused: $(cat later.out)"
status=0
"$DEPLOYRUN" later.lua service=later >later.out 2>&1 || status=$?
[ $status -eq 1 ] || fail "exit status $status: $(cat later.out)"
[ -e acted ] || fail "it was refused before the file was read again: $(cat later.out)"
grep -q "compose.no_such_service.*\|has no service 'later'" later.out || fail "it does not say which: $(cat later.out)"
printf 'version: "2.4"\nservices:\n  api:\n    image: x\n' >wrong/docker-compose.yml
"$DEPLOYRUN" later.lua service=late >later.out 2>&1 || fail "what came meanwhile is not known: $(cat later.out)"

# A name in .env may stand between quotes, and start takes no grace, as compose has none for it.
printf 'COMPOSE_PROJECT_NAME="deployrun-composespec-named"\n' >wrong/.env
cat >named.lua <<'LUA'
return recipe { name = "named", run = function()
  local stack = host("local"):compose { dir = "wrong" }
  log("project " .. stack.project .. ".")
  local accepted, problem = pcall(stack.start, stack, "api", { grace = 5 })
  log(tostring(accepted) .. " " .. (problem.message or ""))
end }
LUA
"$DEPLOYRUN" named.lua >named.out 2>&1 || fail "$(cat named.out)"
grep -q "project deployrun-composespec-named\.$" named.out || fail "quotes belong to the name: $(cat named.out)"
grep -q "false .*grace" named.out || fail "start takes a grace: $(cat named.out)"
rm wrong/.env

# A build argument stands on compose's command line: a secret among them is refused before anything is done.
cat >secret.lua <<'LUA'
return recipe { name = "secret", run = function()
  local here = host("local")
  local stack = here:compose { dir = "built" }
  here:docker():tag("deployrun-test/base:1", "deployrun-composespec/acted:1")
  stack:build { args = { WORD = "x" .. secret("SPEC_WORD") } }
end }
LUA
export SPEC_WORD=word-which-nobody-sees
refused secret.in_command "the build argument WORD is a secret" secret.lua
status=0
"$DEPLOYRUN" secret.lua --dry-run >secret.out 2>&1 || status=$?
[ $status -eq 1 ] || fail "a dry run ended with $status: $(cat secret.out)"
! grep -q "$SPEC_WORD" wrong.out secret.out || fail "it shows the secret"

# A first deploy: the folder comes only by what is planned before. The walk assumes the project, the run asks anew.
rm -rf first origin && mkdir -p origin first
printf 'version: "2.4"\nservices:\n  api:\n    image: deployrun-test/base:1\n    init: true\n    command: sleep 1000\n' \
  >origin/docker-compose.yml
git -C origin init -q
git -C origin add .
git -C origin -c user.name=a -c user.email=a@b commit -qm first
cat >first.lua <<'LUA'
return recipe { name = "first", params = { way = param.string {} }, run = function(p)
  local here, dir = host("local"), env.PWD .. "/first/Deployrun-firstspec"
  if p.way == "clone" then here:git(dir):clone("file://" .. env.PWD .. "/origin") end
  if p.way == "sync" then here:sync("origin/", dir) end
  local stack = p.way == "cd" and here:cd(dir):compose() or here:compose { dir = dir }
  log("project " .. stack.project .. ", running " .. #stack:containers())
  stack:up()
  log("now " .. #stack:containers() .. " in " .. stack.project)
  stack:down()
end }
LUA
for way in clone sync; do
  "$DEPLOYRUN" first.lua way=$way --dry-run >first.out 2>&1 || fail "$way, dry: $(cat first.out)"
  grep -q "docker-compose -p deployrun-firstspec up -d" first.out || fail "$way: not in the plan: $(cat first.out)"
  grep -A 1 "which compose is there" first.out | grep -q "unknown until then" ||
    fail "$way: that it is assumed is not told: $(cat first.out)"
  [ ! -e first/Deployrun-firstspec ] || fail "a dry run made the folder"
  "$DEPLOYRUN" first.lua way=$way >first.out 2>&1 || fail "$way: $(cat first.out)"
  grep -q "now 1 in deployrun-firstspec" first.out || fail "$way: it does not run: $(cat first.out)"
  rm -rf first/Deployrun-firstspec
done
for way in none cd; do
  status=0
  "$DEPLOYRUN" first.lua way=$way --dry-run >first.out 2>&1 || status=$?
  [ $status -eq 1 ] || fail "a folder that nothing will make ended with $status: $(cat first.out)"
  grep -q "command.no_such_folder" first.out || fail "$(cat first.out)"
done

"$DEPLOYRUN" "$DEPLOYRUN_SOURCE_DIR/tests/bindings/compose.lua" >all.out 2>&1 || fail "$(cat all.out)"
for what in 'api: the containers before it go on serving' 'worker runs again, from the image it had before' \
  'polite runs again, from the image it had before'; do
  grep -q "$what" all.out || fail "it does not say '$what': $(cat all.out)"
done
