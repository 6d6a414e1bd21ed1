#!/bin/sh
# backups_ways.sh - backups of a database behind an SSH host: through a tunnel with this machine's pg_dump, with the far
# machine's own, and inside a container of a compose network, here and behind the host. Each is restored the same way.
# A connection that is cut in the middle leaves nothing.
set -eu
fail() { echo "backups_ways.sh: $*" >&2; [ ! -f out ] || tail -n 40 out >&2; exit 1; }
say() { printf '== %s\n' "$*"; }
testbed=$DEPLOYRUN_SOURCE_DIR/tests/testbed
project=deployrun-bkways-$$
port='' run=''
tear_down() {
  touch go
  [ -z "$run" ] || kill -KILL "$run" 2>/dev/null || true
  [ ! -d stack ] || (cd stack && docker-compose -p "$project" down -v -t 1 >/dev/null 2>&1) || true
  [ -z "$port" ] || sh "$testbed/postgres.sh" stop "$port"
  sh "$testbed/hosts.sh" stop
}
trap tear_down EXIT
trap 'exit 130' INT TERM
PATH=/usr/lib/postgresql/15/bin:$PATH

rm -rf backups held go
sh "$testbed/hosts.sh" start 1 --docker >hosts
sh "$testbed/postgres.sh" start --no-fsync >server
# shellcheck source=/dev/null
. ./hosts
# shellcheck source=/dev/null
. ./server
port=$PGPORT
socket=$PGHOST
export SPEC_SSH_CONFIG="$SSH_CONFIG" SPEC_PORT="$port" SPEC_DIR="$PWD/backups"
export SPEC_PASSWORD="$PGPASSWORD" SPEC_STACK="$PWD/stack" SPEC_PROJECT="$project"
unset PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE
sql() { psql -X -q -v ON_ERROR_STOP=1 -h "$socket" -p "$port" -U tester -At -d "$1" -c "$2"; }
sql postgres 'create database shop'
sql shop 'create table orders as select i, md5(i::text) from generate_series(1, 20000) i'

# recipe BODY: with `there`, the host, and `prove(db)`, a backup and a restore of it.
recipe() {
  cat >r.lua <<LUA
local function prove(db, options)
  options.dir, options.verify, options.keep = env.SPEC_DIR, "restore", 1
  local made = db:backup(options)
  log("rows: " .. made.rows)
  local restored = db:restore(made.path, { tools = options.tools, disconnect = true })
  log("restored: " .. restored.rows .. " kept " .. restored.kept)
  db:drop_kept()
end
return recipe { name = "r", run = function()
  local there = host { "host1", config = env.SPEC_SSH_CONFIG }
  local far = { host = "127.0.0.1", port = env.SPEC_PORT, user = "tester", dbname = "shop", password = secret("SPEC_PASSWORD") }
  $1
end }
LUA
}
does() {
  timeout 240 "$DEPLOYRUN" r.lua >out 2>&1 </dev/null || fail "it failed"
  grep -q "restored: $1 kept deployrun_kept_" out || fail "it was not restored"
  ! grep -rq "$2" out "$XDG_STATE_HOME" backups || fail "the password was shown"
  [ "$(find backups -type f | wc -l)" -eq 3 ] || fail "there is more than the backup: $(find backups)"
  rm -rf backups
}

say "through the tunnel, with this machine's programs"
recipe 'prove(there:postgres(far), {})'
does 20000 tester-password
say "with the far machine's own"
recipe 'prove(there:postgres(far), { tools = "there" })'
does 20000 tester-password

say 'a connection that is cut in the middle'
mkdir -p bin
cat >bin/pg_dump <<SH
#!/bin/sh
[ "\$1" = --version ] && exec /usr/lib/postgresql/15/bin/pg_dump "\$@"
/usr/lib/postgresql/15/bin/pg_dump "\$@" | head -c 100000
touch "$PWD/held"
while [ ! -e "$PWD/go" ]; do sleep 0.1; done
SH
chmod 755 bin/pg_dump
chmod 777 .
recipe "there:env { PATH = '$PWD/bin:/usr/bin:/bin' }:postgres(far):backup { dir = env.SPEC_DIR, tools = 'there' }"
"$DEPLOYRUN" r.lua >out 2>&1 </dev/null &
run=$!
tries=0
until [ -e held ]; do
  tries=$((tries + 1))
  [ $tries -lt 1200 ] || fail "the dump was not begun"
  sleep 0.05
done
sh "$testbed/hosts.sh" stop
status=0
wait "$run" || status=$?
run=
touch go
[ $status -eq 1 ] || fail "exit status $status"
grep -qE '\((ssh\.[a-z_]*|postgres.lost)\)' out || fail "the lost connection is not named"
[ -z "$(find backups -type f)" ] || fail "something is left: $(find backups)"
sh "$testbed/hosts.sh" start 1 --docker >hosts
# shellcheck source=/dev/null
. ./hosts
export SPEC_SSH_CONFIG="$SSH_CONFIG"

say 'a container of a compose network, here and behind the host'
mkdir -p stack
cat >stack/docker-compose.yml <<'END'
version: "2.4"
services:
  db:
    image: deployrun-test/base:1
    command: ["serve-postgres"]
    environment:
      POSTGRES_DB: shop
      POSTGRES_USER: keeper
      POSTGRES_PASSWORD: compose-pass-word-7
    stop_signal: SIGINT
END
chmod 755 stack
for place in 'host("local")' there; do
  recipe "local stack = $place:compose { dir = env.SPEC_STACK, project = env.SPEC_PROJECT }
  stack:up()
  local db = stack:postgres('db')
  db:wait_ready { attempts = 900, interval = 0.1 }
  db:exec('create table orders as select i, md5(i::text) from generate_series(1, 5000) i')
  prove(db, {})"
  does 5000 compose-pass-word-7
  (cd stack && docker-compose -p "$project" down -v -t 1 >/dev/null 2>&1)
done
