#!/bin/sh
# postgres.sh - a database as recipes see it, on a server of the test's own: the cases of postgres.lua; what libpq's
# conventions are; what a plan shows; and that no password is seen anywhere.
set -eu
fail() { echo "postgres.sh: $*" >&2; [ ! -f out ] || cat out >&2; exit 1; }
testbed=$DEPLOYRUN_SOURCE_DIR/tests/testbed

sh "$testbed/postgres.sh" start --no-fsync --tls --set max_connections=12 --set superuser_reserved_connections=0 \
  --hba 'hostssl all only_tls all scram-sha-256' --hba 'hostnossl all only_tls all reject' --hba 'local all peered peer' >server
# shellcheck source=/dev/null
. ./server
export SPEC_HOST="$PG_TCP_HOST" SPEC_PORT="$PGPORT" SPEC_FOLDER="$PG_FOLDER" SPEC_USER="$PGUSER" SPEC_CA="$PG_CA"
export SPEC_PASSWORD="$PGPASSWORD"
socket=$PGHOST
port=$PGPORT
unset PGHOST PGUSER PGPASSWORD PGDATABASE PGPORT
pages=''
trap 'sh "$testbed/postgres.sh" stop "$port"; [ -z "$pages" ] || kill "$pages"' EXIT
sql() { psql -X -q -v ON_ERROR_STOP=1 -h "$socket" -p "$port" -U "$SPEC_USER" -At -d "${2:-postgres}" -c "$1"; }

for database in spec latin ascii; do
  encoding=UTF8
  [ $database != latin ] || encoding=LATIN1
  [ $database != ascii ] || encoding=SQL_ASCII
  sql "create database $database template template0 encoding $encoding locale 'C'"
done
sql "create role only_tls login password 'only-tls-password'; create role peered login; create role plain login"

echo '== the cases of postgres.lua'
"$DEPLOYRUN" "$DEPLOYRUN_SOURCE_DIR/tests/bindings/postgres.lua" >out 2>&1 || fail "a case failed"

echo '== the conventions of libpq'
cat >ask.lua <<'LUA'
return recipe { name = "ask", params = { dsn = param.string {} }, run = function(p)
  log("answer: " .. postgres(p.dsn):query("select current_user || ' ' || current_database()"):value())
end }
LUA
mkdir -p home
# asks WORDS COMMAND…: the recipe says WORDS.
asks() {
  words=$1
  shift
  env HOME="$PWD/home" "$@" >out 2>&1 || fail "it does not connect"
  grep -q "answer: $words\$" out || fail "no '$words'"
}
PGHOST=$socket PGPORT=$port PGUSER=$SPEC_USER PGDATABASE=spec asks 'tester spec' "$DEPLOYRUN" ask.lua
printf '[shop]\nhost=%s\nport=%s\nuser=tester\ndbname=spec\n' "$socket" "$port" >services
PGSERVICEFILE=$PWD/services PGSERVICE=shop asks 'tester spec' "$DEPLOYRUN" ask.lua
PGSERVICEFILE=$PWD/services asks 'tester spec' "$DEPLOYRUN" ask.lua dsn=service=shop
printf 'localhost:%s:*:tester:%s\n' "$port" "$SPEC_PASSWORD" >home/.pgpass
chmod 600 home/.pgpass
asks 'tester spec' "$DEPLOYRUN" ask.lua "dsn=postgres://tester@localhost:$port/spec"
asks 'tester spec' "$DEPLOYRUN" ask.lua "dsn=host=localhost,127.0.0.1 port=1,$port user=tester dbname=spec password=$SPEC_PASSWORD"
PGHOSTADDR=127.0.0.9 asks 'tester spec' "$DEPLOYRUN" ask.lua "dsn=host=127.0.0.1 hostaddr=127.0.0.1 port=$port user=tester dbname=spec password=$SPEC_PASSWORD"

echo '== a plan: queries are answered, actions are shown as they are, and no password is seen'
cat >plan.lua <<'LUA'
return recipe { name = "plan", run = function()
  local db = postgres { host = env.SPEC_HOST, port = env.SPEC_PORT, user = "tester", dbname = "spec",
    password = secret("SPEC_PASSWORD") }
  log("before: " .. db:query("select 41 + 1 as n"):value())
  local done = db:exec("create table planned (id int);\ninsert into planned values ($x$" .. secret("SPEC_PASSWORD") .. "$x$)")
  log("affected: " .. tostring(done.affected))
  log("after: " .. tostring(db:query("select count(*) from planned where id = $1", { 7 }):value(0)))
  db:wait_ready()
end }
LUA
"$DEPLOYRUN" plan.lua --dry-run -v >out 2>&1 || fail "the plan failed"
grep -q 'before: 42' out || fail "the query was not asked"
grep -q 'action  postgres.exec' out || fail "the action is not shown"
# shellcheck disable=SC2016 # SQL's own $
grep -qF 'insert into planned values ($x$[secret SPEC_PASSWORD]$x$)' out || fail "the SQL is not shown as it is"
grep -qF "\$1 = '7'" out || fail "the parameter is not shown"
grep -q 'unknown until then' out || fail "the query behind the action is not unknown"
grep -q 'wait until spec answers' out || fail "the wait is not shown"
[ "$(sql "select count(*) from pg_class where relname = 'planned'" spec)" = 0 ] || fail "the plan made the table"
if "$DEPLOYRUN" plan.lua >out 2>&1; then fail "text in an int column"; fi
! grep -q "$SPEC_PASSWORD" out || fail "the password was shown"
! grep -rq "$SPEC_PASSWORD" "$XDG_STATE_HOME" || fail "the password is in a journal"
[ "$(sql "select count(*) from pg_class where relname = 'planned'" spec)" = 0 ] || fail "half a call was kept"
for way in 'postgres("postgres://tester:url-pass-word%40@127.0.0.1:1/x")' \
  'postgres { host = "127.0.0.1", port = 1, user = "tester", password = "table-pass-word" }'; do
  echo "return recipe { name = 'r', run = function() $way:query('select 1') end }" >r.lua
  if "$DEPLOYRUN" r.lua --json >out 2>&1; then fail "nothing listens there"; fi
  ! grep -Eq 'url-pass-word|table-pass-word' out || fail "a password was shown"
done

echo '== a run leaves no connection behind, and takes few while it runs'
cat >few.lua <<'LUA'
return recipe { name = "few", run = function()
  local db = postgres { host = env.SPEC_HOST, port = env.SPEC_PORT, user = "tester", dbname = "spec",
    password = secret("SPEC_PASSWORD") }
  local first = db:query("select pg_backend_pid()"):value()
  for _ = 1, 5 do
    local pid = db:query("select pg_backend_pid()"):value()
    if pid ~= first then fail("another connection") end
  end
  local name = db:query("select application_name from pg_stat_activity where pid = pg_backend_pid()"):value()
  if not name:match("^deployrun %d+%-%d+%-%x+$") then fail("it is called " .. name) end
  local others = db:query("select count(*) from pg_stat_activity where application_name like 'deployrun %'"):value()
  if others ~= 1 then fail(others .. " connections") end
  db:close()
  if db:query("select pg_backend_pid()"):value() == first then fail("it was not closed") end
end }
LUA
"$DEPLOYRUN" few.lua >out 2>&1 || fail "it failed"
tries=100
until [ "$(sql "select count(*) from pg_stat_activity where application_name like 'deployrun %'")" = 0 ]; do
  tries=$((tries - 1))
  [ $tries -gt 0 ] || fail "a connection was left"
  sleep 0.1
done

echo '== connections are watched'
rm -f pages_port
python3 -c 'import http.server
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(server.server_port, flush=True)
server.serve_forever()' >pages_port 2>pages.log &
pages=$!
tries=100
until [ -s pages_port ]; do
  tries=$((tries - 1))
  [ $tries -gt 0 ] || fail "no web server"
  sleep 0.1
done
SPEC_URL=http://127.0.0.1:$(cat pages_port)/
export SPEC_URL
cat >watch.lua <<'LUA'
return recipe { name = "watch", params = { most = param.int {} }, run = function(p)
  local db = postgres { host = env.SPEC_HOST, port = env.SPEC_PORT, user = "tester", dbname = "spec",
    password = secret("SPEC_PASSWORD") }
  local report = http.watch { url = env.SPEC_URL, during = 2, every = 0.2, look_every = 0.1, database = db,
    max_connections = p.most }
  if report.measured then log("seen: " .. report.measured["database connections"].last) end
end }
LUA
"$DEPLOYRUN" watch.lua >out 2>&1 || fail "the watch failed"
grep -q 'seen: [1-9]' out || fail "no connections were seen"
if "$DEPLOYRUN" watch.lua most=0 >out 2>&1; then fail "one is more than none"; fi
grep -q 'http.watch_failed' out || fail "no http.watch_failed"
grep -q 'database connections: it is [1-9], at most 0' out || fail "it does not say how many"
