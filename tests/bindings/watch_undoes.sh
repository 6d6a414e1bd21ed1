#!/bin/sh
# watch_undoes.sh - each threshold of http.watch: crossed, it fails the run, which undoes what it did; where the same
# is within the threshold, the run goes on. Against a real server, real containers, and a real PostgreSQL.
set -eu
fail() { echo "watch_undoes.sh: $*" >&2; [ ! -f out ] || cat out >&2; exit 1; }
here=$DEPLOYRUN_SOURCE_DIR/tests/bindings
testbed=$DEPLOYRUN_SOURCE_DIR/tests/testbed
image=deployrun-test/base:1
label=deployrun.watch-undoes=$$
port='' pids=''
tear_down() {
  # shellcheck disable=SC2086 # a list of process ids
  [ -z "$pids" ] || kill $pids 2>/dev/null || true
  docker ps -aq --filter "label=$label" | xargs -r docker rm -f >/dev/null 2>&1 || true
  [ ! -d stack ] || (cd stack && docker-compose -p "deployrun-watch-$$" down -t 0 >/dev/null 2>&1) || true
  [ -z "$port" ] || sh "$testbed/postgres.sh" stop "$port"
}
trap tear_down EXIT
trap 'exit 130' INT TERM

# ---------------------------------------------------------------------------------- the world

rm -f odd.port
python3 "$here/http_odd.py" odd >odd.log 2>&1 &
pids=$!
tries=300
until [ -s odd.port ]; do
  tries=$((tries - 1))
  [ $tries -gt 0 ] || fail "no web server: $(cat odd.log)"
  sleep 0.05
done
SPEC_ODD=http://127.0.0.1:$(cat odd.port)
export SPEC_ODD

sh "$testbed/postgres.sh" start --no-fsync --set max_connections=20 --set superuser_reserved_connections=0 >server
# shellcheck source=/dev/null
. ./server
port=$PGPORT
export SPEC_HOST="$PG_TCP_HOST" SPEC_PORT="$PGPORT" SPEC_PASSWORD="$PGPASSWORD"
socket=$PGHOST
unset PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE

# start NAME [OPTION...] COMMAND: a container named deployrun-watch-undoes-NAME.
start() {
  name=deployrun-watch-undoes-$1
  shift
  docker rm -f "$name" >/dev/null 2>&1 || true
  options=
  while [ $# -gt 1 ]; do
    options="$options $1"
    shift
  done
  # shellcheck disable=SC2086 # a list of words
  docker run -d --init --name "$name" --label "$label" $options "$image" sh -c "$1" >/dev/null
}

# What the watch is told; `begin` lets the container, which waits for the file, go on once the watch has seen it.
cat >watch.lua <<'LUA'
local function begin(name)
  local begun = false
  return { go = { max = 1, function()
    if not begun then host("local"):run({ "docker", "exec", name, "touch", "/go" }, { quiet = true }) end
    begun = true
    return 0
  end } }
end

return recipe {
  name = "watch",
  params = {
    path = param.string { default = "/echo" }, during = param.string { default = "2s" },
    error_rate = param.string { default = "" }, p95 = param.string { default = "" },
    container = param.string { default = "" }, restarts = param.string { default = "" },
    memory = param.string { default = "" }, connections = param.string { default = "" },
    most = param.string { default = "" }, stack = param.string { default = "" }, service = param.string { default = "" },
  },
  run = function(p)
    local function given(value) return value ~= "" and value or nil end
    local name = given(p.container) and "deployrun-watch-undoes-" .. p.container
    local db = given(p.connections) and postgres { host = env.SPEC_HOST, port = env.SPEC_PORT, user = "tester",
      dbname = "postgres", password = secret("SPEC_PASSWORD") }
    local stack = given(p.stack) and host("local"):compose { dir = "stack", project = p.stack }
    step("Change", function() host("local"):run("echo new >changed") end)
      :undo(function() host("local"):run("echo old >changed") end)
    step("Watch", function()
      local quiet = p.path == "/echo" -- the answers are not what is looked at
      local report = http.watch { url = env.SPEC_ODD .. p.path, every = quiet and 0.25 or 0.05, during = p.during,
        look_every = 0.1, max_error_rate = tonumber(p.error_rate) or (quiet and 1 or nil), max_p95 = tonumber(p.p95),
        containers = name and { name }, max_restarts = math.tointeger(tonumber(p.restarts)), max_memory = given(p.memory),
        stack = stack, services = given(p.service) and { p.service },
        database = db, max_connections = tonumber(p.most), also = name and begin(name) }
      if report.restarts and report.restarts[name] then log("restarts: " .. report.restarts[name]) end
    end)
  end,
}
LUA

# passes PARAM...: within the threshold, so that what was changed stays.
passes() {
  echo "== passes: $*"
  rm -f changed
  "$DEPLOYRUN" watch.lua "$@" >out 2>&1 || fail "$*: it failed"
  [ "$(cat changed)" = new ] || fail "$*: what was changed did not stay"
}

# fails WORDS PARAM...: the threshold is crossed, the words say which, and what was changed is undone.
fails() {
  words=$1
  shift
  echo "== fails: $*"
  rm -f changed
  status=0
  "$DEPLOYRUN" watch.lua "$@" >out 2>&1 || status=$?
  [ $status -eq 1 ] || fail "$*: exit status $status"
  grep -q http.watch_failed out || fail "$*: no http.watch_failed"
  grep -q "$words" out || fail "$*: it does not say '$words'"
  [ "$(cat changed)" = old ] || fail "$*: nothing was undone"
}

# ---------------------------------------------------------------------------------- URLs

fails 'answers were bad ([0-9.]* %, at most 20 %)' path=/third1 error_rate=0.2 during=10m
passes path=/third2 error_rate=0.6
fails '95 % of the last [0-9]* answers took up to' path=/slow1 p95=0.1 during=10m
passes path=/slow2 p95=30 error_rate=1

# ---------------------------------------------------------------------------------- containers

# Ends twice when it is let go, then stays: the engine restarts it twice.
# shellcheck disable=SC2016 # expanded in the container
twice='until [ -e /go ]; do sleep 0.05; done; echo x >>/ends; [ "$(wc -l </ends)" -le 2 ] || exec sleep 600; echo "cannot bind"; exit 1'
start twice --restart=on-failure "$twice"
fails 'it restarted [12] times during the watch (at most 0)' container=twice during=10m
grep -q 'cannot bind' out || fail "its last log lines are not shown"
start twice --restart=on-failure "$twice"
fails 'it restarted 2 times during the watch (at most 1)' container=twice restarts=1 during=10m
start twice --restart=on-failure "$twice"
passes container=twice restarts=2 during=6s
grep -q 'restarts: [12]' out || fail "the restarts were not counted"

start ends 'until [ -e /go ]; do sleep 0.05; done; exit 3'
fails 'it is exited, exit code 3' container=ends during=10m
start ill --health-cmd=/bin/false --health-interval=100ms --health-retries=1 'sleep 600'
fails 'its health check fails' container=ill during=10m

start fat 'sleep 600'
case $(docker stats --no-stream --format '{{.MemUsage}}' deployrun-watch-undoes-fat) in
  0B* | --*) # an engine without the memory cgroup: it does not tell
    fails 'max_memory cannot be judged' container=fat memory=1G during=10m ;;
  *)
    fails 'it uses [0-9]* MiB of memory (at most 0 MiB), 3 looks in a row' container=fat memory=1 during=10m
    passes container=fat memory=1G ;;
esac

mkdir -p stack
cat >stack/docker-compose.yml <<END
version: "2.4"
services:
  crashing:
    image: $image
    restart: always
    command: ["sh", "-c", "sleep 0.5; exit 1"]
  well:
    image: $image
    init: true
    command: ["sleep", "600"]
END
(cd stack && docker-compose -p "deployrun-watch-$$" up -d >../out 2>&1) || fail "no stack"
fails 'crashing.*: it restarted' "stack=deployrun-watch-$$" during=10m
passes "stack=deployrun-watch-$$" service=well

# ---------------------------------------------------------------------------------- database connections

# hold NUMBER: so many connections are open, until `release`.
hold() {
  mkfifo held
  count=0
  while [ $count -lt "$1" ]; do
    psql -X -q -h "$socket" -p "$port" -U tester -d postgres <held >/dev/null &
    pids="$pids $!"
    count=$((count + 1))
  done
  exec 8>held
  tries=100
  until [ "$(psql -X -At -h "$socket" -p "$port" -U tester -d postgres -c \
    "select count(*) from pg_stat_activity where application_name = 'psql' and state = 'idle'")" -ge "$1" ]; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || fail "the connections did not come"
    sleep 0.1
  done
}

passes connections=yes
fails 'database connections: it is [1-9], at most 0, 3 looks in a row' connections=yes most=0 during=10m
hold 18
passes connections=yes most=20
fails 'database connections: it is 19, at most 18, 3 looks in a row' connections=yes during=10m
exec 8>&-
