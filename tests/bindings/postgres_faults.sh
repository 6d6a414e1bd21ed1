#!/bin/sh
# postgres_faults.sh - servers that are not well, networks that are cut, and interrupts at every kind of wait: each ends
# in an error with a name, within its bound, and nothing runs on on the server. A server of the test's own; what cuts a
# network needs root, and is left out without.
set -eu
fail() { echo "postgres_faults.sh: $*" >&2; [ ! -f out ] || tail -n 30 out >&2; exit 1; }
say() { printf '== %s\n' "$*"; }
testbed=$DEPLOYRUN_SOURCE_DIR/tests/testbed
space=''
run=''
odd=''
port=''
tear_down() {
  # shellcheck disable=SC2086 # a list
  [ -z "$run$odd" ] || kill -KILL $run $odd 2>/dev/null || true
  [ -z "$space" ] || ip netns del "$space" 2>/dev/null || true
  [ -z "$port" ] || sh "$testbed/postgres.sh" stop "$port"
}
trap tear_down EXIT
trap 'exit 130' INT TERM

# until_true WHAT COMMAND…: within 30 s.
until_true() {
  what=$1
  shift
  tries=600
  until "$@" >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || fail "$what"
    sleep 0.05
  done
}

# A cable between this machine and a namespace, so that it can be cut.
number=$(($$ % 250))
near=10.215.$number.1
if [ "$(id -u)" = 0 ] && ip netns add "deployrun-pg-$number" 2>/dev/null; then
  space=deployrun-pg-$number
  ip link add "drpg$number" type veth peer name far netns "$space"
  ip addr add "$near/30" dev "drpg$number"
  ip link set "drpg$number" up
  ip -n "$space" addr add "10.215.$number.2/30" dev far
  ip -n "$space" link set far up
  ip -n "$space" link set lo up
fi
listen=127.0.0.1${space:+,$near}
sh "$testbed/postgres.sh" start --no-fsync --set "listen_addresses = '$listen'" \
  --hba 'host all all 10.215.0.0/16 scram-sha-256' >server
# shellcheck source=/dev/null
. ./server
port=$PGPORT
socket=$PGHOST
export SPEC_PASSWORD="$PGPASSWORD"
unset PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE || true
sql() { psql -X -q -v ON_ERROR_STOP=1 -h "$socket" -p "$port" -U tester -At -d postgres -c "$1"; }
python3 "$DEPLOYRUN_SOURCE_DIR/tests/bindings/postgres_odd.py" 127.0.0.1 "$port" >ports &
odd=$!
until_true "the odd servers do not come up" grep -q ready ports
odd_port() { sed -n "s/^$1=//p" ports; }

cat >r.lua <<'LUA'
return recipe { name = "r", params = { port = param.string { required = true }, call = param.string { default = "query" },
    sql = param.string { default = "select 1 as one" }, host = param.string { default = "127.0.0.1" },
    options = param.list { default = {} }, timeout = param.duration { default = "90s" } },
  run = function(p)
    local how = { host = p.host, port = p.port, user = "tester", dbname = "postgres", sslmode = "disable",
      password = secret("SPEC_PASSWORD") }
    for _, option in ipairs(p.options) do
      local name, value = option:match("^(.-)=(.*)$")
      how[name] = value
    end
    local here, db = host("local"), postgres(how)
    local closing <close> = setmetatable({}, { __close = function() here:run("touch closed") end })
    step("Prepare", function() here:run("touch acting") end):undo(function() here:run("touch undone") end)
    step("Ask", function()
      if p.call == "wait" then
        log("attempts: " .. db:wait_ready { attempts = 50, interval = 0.1, timeout = 1 }.attempts)
      else
        db[p.call](db, p.sql, nil, { timeout = p.timeout })
      end
    end)
  end }
LUA

# ends CODE SECONDS ARGUMENT…: the recipe fails with the code within so many seconds.
ends() {
  code=$1
  most=$2
  shift 2
  began=$(date +%s)
  status=0
  timeout 120 "$DEPLOYRUN" r.lua "$@" >out 2>&1 || status=$?
  took=$(($(date +%s) - began))
  [ $status -eq 1 ] || fail "exit status $status"
  grep -q "[( ]$code\b" out || fail "no $code"
  [ $took -le "$most" ] || fail "it took $took s"
}

say 'servers that are none, or not yet'
ends postgres.timeout 30 port="$(odd_port silent)" options=connect_timeout=1
ends postgres.unreachable 30 port="$(odd_port closing)"
ends postgres 30 port="$(odd_port rude)"
ends postgres.starting 30 port="$(odd_port starting)"
"$DEPLOYRUN" r.lua port="$(odd_port starting)" call=wait >out 2>&1 || fail "it did not wait"
grep -q 'attempts: 2' out || fail "not at the second attempt"

say 'a silent host is left for the next one'
"$DEPLOYRUN" r.lua host=127.0.0.1,127.0.0.1 port="$(odd_port silent),$port" options=connect_timeout=4 >out 2>&1 ||
  fail "the second host was not tried"

say 'an answer that never comes to its end'
ends postgres.timeout 60 port="$(odd_port mute)" sql="select repeat('x', 100000)" timeout=1s
grep -q 'did not end within 1 s' out || fail "it does not say how long"

# begin COMMAND… ARGUMENT…: the recipe in the background.
begin() {
  rm -f undone closed acting
  "$@" >out 2>&1 </dev/null &
  run=$!
}
# sleeping COUNT: so many of our statements run on the server.
sleeping() {
  [ "$(sql "select count(*) from pg_stat_activity where query like '%pg_sleep(300)%' and state = 'active'
    and pid <> pg_backend_pid()")" = "$1" ]
}
# over STATUS: the recipe ends with it within 60 s.
over() {
  tries=1200
  while kill -0 "$run" 2>/dev/null; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || fail "it goes on"
    sleep 0.05
  done
  status=0
  wait "$run" || status=$?
  run=
  [ $status -eq "$1" ] || fail "exit status $status, not $1"
}
cleaned() {
  [ -e undone ] || fail "the step was not undone"
  [ -e closed ] || fail "the <close> handler did not run"
  until_true "a statement runs on" sleeping 0
}
has_error() { grep -q "[( ]$1\\b" out || fail "no $1"; }

# cut A, cut D: begins to drop every packet of the cable without a word, and ends it.
cut() {
  ip netns exec "$space" iptables "-$1" INPUT -i far -j DROP
  ip netns exec "$space" iptables "-$1" OUTPUT -o far -j DROP
}

say 'a server that ends in the middle of a statement'
begin "$DEPLOYRUN" r.lua port="$port" sql='select pg_sleep(300)'
until_true "the statement does not run" sleeping 1
sql "select pg_terminate_backend(pid) from pg_stat_activity where query like 'select pg_sleep(300)%'" >ended
over 1
has_error postgres.lost
grep -q 'SQLSTATE 57P01' out || fail "it does not say why"
cleaned
for mode in exec query; do
  begin "$DEPLOYRUN" r.lua port="$port" call=$mode sql='select pg_sleep(300)'
  until_true "the statement does not run" sleeping 1
  sh "$testbed/postgres.sh" pause "$port"
  over 1
  has_error postgres.lost
  sh "$testbed/postgres.sh" resume "$port"
  cleaned
done

say 'an interrupt at every wait'
# interrupted STATEMENTS ARGUMENT…: one interrupt, once so many statements run on the server.
interrupted() {
  count=$1
  shift
  begin "$DEPLOYRUN" r.lua "$@"
  until_true "the recipe did not begin" test -e acting
  if [ "$count" = 0 ]; then sleep 1; else until_true "the statement does not run" sleeping "$count"; fi
  kill -INT "$run"
  over 130
  cleaned
}
interrupted 1 port="$port" sql='select pg_sleep(300)'
interrupted 1 port="$port" call=exec sql='create table half (id int); select pg_sleep(300)'
[ "$(sql "select count(*) from pg_class where relname = 'half'")" = 0 ] || fail "half of it was kept"
interrupted 0 port="$(odd_port silent)" options=connect_timeout=60
interrupted 0 port=1 call=wait
interrupted 0 host=none.invalid port=1 call=wait
interrupted 0 port="$(odd_port mute)" sql="select repeat('x', 100000)"
sql 'create table held (id int)'
psql -X -q -h "$socket" -p "$port" -U tester -d postgres -c 'begin; lock table held; select pg_sleep(300)' >holder 2>&1 &
holder=$!
odd="$odd $holder"
until_true "the lock is not held" sleeping 1
begin "$DEPLOYRUN" r.lua port="$port" sql='select * from held /* pg_sleep(300) */'
until_true "it does not wait for the lock" sleeping 2
kill -INT "$run"
over 130
until_true "it waits on" sleeping 1
kill "$holder"
sql "select pg_terminate_backend(pid) from pg_stat_activity where query like '%lock table held%' and pid <> pg_backend_pid()" >ended

say 'a second interrupt ends it at once'
begin "$DEPLOYRUN" r.lua port="$(odd_port mute)" sql="select repeat('x', 100000)"
until_true "the recipe did not begin" test -e acting
sleep 1
kill -INT "$run"
sleep 0.3
kill -INT "$run"
over 130

if [ -n "$space" ]; then
  say 'a network that is cut without a word'
  for mode in query exec; do
    begin ip netns exec "$space" "$DEPLOYRUN" r.lua host="$near" port="$port" call=$mode sql='select pg_sleep(300)' \
      options=keepalives_idle=1,keepalives_interval=1,keepalives_count=2,tcp_user_timeout=3000
    until_true "the statement does not run" sleeping 1
    cut A
    over 1
    has_error postgres.lost
    cut D
    sql "select pg_terminate_backend(pid) from pg_stat_activity where query like 'select pg_sleep(300)%'" >ended
  done
  say 'a host that swallows everything'
  cut A
  status=0
  ip netns exec "$space" "$DEPLOYRUN" r.lua host="$near" port="$port" options=connect_timeout=1 >out 2>&1 || status=$?
  [ $status -eq 1 ] || fail "exit status $status"
  has_error postgres.timeout
fi
