#!/bin/sh
# compose_v2.sh - the command lines for `docker compose`, version 2, where only version 1 is installed: a program in the
# place of docker records how it is called, and answers as version 2 does. The engine is real. Each flag was compared with
# cmd/compose/*.go of docker/compose 5.5.0, which still takes what version 2 took. Of its output only the YAML of `config`
# is read: containers and images are asked of the Engine, so that `ps --format json`, which changed its form in 2.21, plays
# no part.
set -eu
fail() { echo "compose_v2.sh: $*" >&2; exit 1; }

mkdir -p bin project
cat >bin/docker <<'END'
#!/bin/sh
[ "$1 $2" != "compose version" ] || { echo 2.24.5; exit 0; }
printf '%s\n' "$*" >>"$RECORD"
case $* in
  *" --profile * config")
    cat "$PROFILED" ;;
  *" config")
    [ ! -e broken ] || { echo "validating $PWD/compose.yaml: services.api Additional property imag is not allowed" >&2; exit 15; }
    cat "$CONFIG" ;;
esac
END
chmod +x bin/docker

# As version 2 prints it: the project's name, and all in its long form.
cat >config.yaml <<'END'
name: shop
services:
  api:
    build:
      context: /srv/shop
      dockerfile: Dockerfile
    networks:
      default: null
  db:
    image: postgres:15
  web:
    depends_on:
      api:
        condition: service_started
        required: true
    image: nginx:1.24
    ports:
      - mode: ingress
        target: 80
        published: "8080"
        protocol: tcp
networks:
  default:
    name: shop_default
END
CONFIG=$PWD/config.yaml
PROFILED=$PWD/profiled.yaml
export CONFIG PROFILED
cat >verbs.lua <<'LUA'
return recipe { name = "verbs", run = function()
  local stack = host("local"):compose { dir = "project", project = "deployrun-v2spec", file = { "a.yml", "b.yml" } }
  log("image " .. stack:image("api"))
  stack:build { services = { "api" }, no_cache = true, pull = true, args = { COMMIT = "abc def" } }
  stack:pull { services = { "db" } }
  stack:up { services = { "api" }, no_deps = true, force_recreate = true, remove_orphans = true, grace = 5 }
  stack:scale("api", 3)
  stack:start("api")
  stack:stop("api", { grace = 7 })
  stack:restart()
  stack:kill("api", { signal = "HUP" })
  stack:remove("api")
  stack:exec("api", { "python", "manage.py", "check" })
  stack:run("api", { "true" })
  stack:oneoff("api", { no_deps = true }):run { "true" }
  stack:logs("api", { tail = 5 })
  stack:down { volumes = true, remove_orphans = true }
end }
LUA
RECORD=$PWD/record
export RECORD
: >record
PATH=$PWD/bin:$PATH "$DEPLOYRUN" verbs.lua >verbs.out || fail "$(cat verbs.out)"
grep -q "image deployrun-v2spec-api" verbs.out || fail "version 2 names images with '-': $(cat verbs.out)"

p="compose -p deployrun-v2spec -f a.yml -f b.yml"
cat >wanted <<END
$p build --no-cache --pull --build-arg COMMIT=abc def api
$p pull db
$p up -d --no-deps --force-recreate --remove-orphans -t 5 api
$p up -d --no-deps --no-recreate --scale api=3 api
$p start api
$p stop -t 7 api
$p restart
$p kill -s HUP api
$p rm -f -s api
$p exec -T api python manage.py check
$p run --rm -T api true
$p run --rm -T --no-deps api true
$p logs --no-color --tail=5 api
$p down --remove-orphans --volumes
END
grep -v " config$" record | diff wanted - || fail "these are not the command lines version 2 takes"

# Without project= the project is what version 2 itself says it is: a name: of the file goes before the folder's.
cat >named.lua <<'LUA'
return recipe { name = "named", params = { project = param.string {} }, run = function(p)
  local stack = host("local"):compose { dir = "project", file = p.project == "" and "a.yml" or nil,
    project = p.project ~= "" and p.project or nil }
  stack:restart()
end }
LUA
# named NAME RECORDED CONFIG [PARAM...]: with what `config` prints the project is called NAME.
named() {
  name=$1 recorded=$2
  CONFIG=$3
  shift 3
  : >record
  PATH=$PWD/bin:$PATH "$DEPLOYRUN" named.lua "$@" >named.out 2>&1 || fail "$(cat named.out)"
  grep -q -- "^compose -p $name.* restart$" record || fail "the project is not $name: $(cat record)"
  grep -q -- "^$recorded$" record || fail "$recorded was not asked: $(cat record)"
}
whole=$CONFIG
sed '/^name:/d' config.yaml >unnamed.yaml
sed 's/^name: shop/name: "42"/' config.yaml >quoted.yaml
named shop "compose -f a.yml config" "$whole" project=
named 42 "compose -f a.yml config" "$PWD/quoted.yaml" project=
named project "compose -f a.yml config" "$PWD/unnamed.yaml" project=
named deployrun-v2spec "compose -p deployrun-v2spec config" "$whole" project=deployrun-v2spec
! grep -q "^compose config$" record || fail "a name that is given need not be asked: $(cat record)"
CONFIG=$whole

# A service of a profile that is off is not in what `config` prints, and yet compose takes its name.
{ sed '/^networks:/,$d' config.yaml; printf '  debug:\n    image: debug:1\n    profiles:\n      - debug\n'; } >profiled.yaml
cat >profile.lua <<'LUA'
return recipe { name = "profile", params = { service = param.string {} }, run = function(p)
  local stack = host("local"):compose { dir = "project", project = "deployrun-v2spec" }
  stack:up { services = { p.service } }
  log("image " .. stack:image(p.service))
end }
LUA
: >record
PATH=$PWD/bin:$PATH "$DEPLOYRUN" profile.lua service=debug >profile.out 2>&1 || fail "$(cat profile.out)"
grep -q "image debug:1" profile.out || fail "the profile's service is not known: $(cat profile.out)"
grep -q "^compose -p deployrun-v2spec up -d debug$" record || fail "it was not started: $(cat record)"
: >record
status=0
PATH=$PWD/bin:$PATH "$DEPLOYRUN" profile.lua service=dbug >profile.out 2>&1 || status=$?
[ $status -eq 1 ] || fail "a service that is none ended with exit status $status: $(cat profile.out)"
grep -q "its services are: api, db, debug, web" profile.out || fail "$(cat profile.out)"
! grep -q " up " record || fail "something was done: $(cat record)"

: >project/broken
status=0
PATH=$PWD/bin:$PATH "$DEPLOYRUN" verbs.lua >broken.out 2>&1 || status=$?
[ $status -eq 1 ] || fail "a wrong file ended with exit status $status"
grep -q "compose.invalid" broken.out || fail "the wrong file is not named: $(cat broken.out)"
grep -q "compose.yaml is wrong: .*imag is not allowed" broken.out || fail "$(cat broken.out)"
grep -q "Nothing was changed" broken.out || fail "something was changed: $(cat broken.out)"
rm project/broken

# The long form of a port is understood: only one container can publish it.
cat >replace.lua <<'LUA'
return recipe { name = "replace", run = function()
  host("local"):compose { dir = "project", project = "deployrun-v2spec" }:replace("web", { mode = "start-first" })
end }
LUA
status=0
PATH=$PWD/bin:$PATH "$DEPLOYRUN" replace.lua >replace.out 2>&1 || status=$?
grep -q "compose.cannot_start_first" replace.out || fail "a published port is not seen ($status): $(cat replace.out)"
grep -q "Nothing was changed" replace.out || fail "something was changed: $(cat replace.out)"

# Version 2 as a program of its own, named docker-compose as version 1 is, and no plugin beside it.
mkdir -p alone
cat >alone/docker-compose <<'END'
#!/bin/sh
[ "$1" != version ] || { echo 2.24.5; exit 0; }
printf 'docker-%s\n' "$0 $*" | sed 's/^.*docker-compose/docker-compose/' >>"$RECORD"
case $* in *" config") cat "$CONFIG" ;; esac
END
printf '#!/bin/sh\nexit 1\n' >alone/docker
chmod +x alone/docker alone/docker-compose
: >record
PATH=$PWD/alone:$PATH "$DEPLOYRUN" verbs.lua >alone.out || fail "$(cat alone.out)"
grep -q "image deployrun-v2spec-api" alone.out || fail "version 2 names images with '-' whatever it is called"
sed 's/^compose /docker-compose /' wanted >wanted.alone
grep -v " config$" record | diff wanted.alone - || fail "these are not the command lines of docker-compose"
