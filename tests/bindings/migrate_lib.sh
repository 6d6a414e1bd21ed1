# shellcheck shell=sh
# migrate_lib.sh - what the tests of migrations share; read by them with `.`. Each starts a server of its own, and makes a
# database for each case.
testbed=$DEPLOYRUN_SOURCE_DIR/tests/testbed
case=beginning
number=0

fail() {
  echo "FAILED: $case: $*"
  [ ! -f out ] || cat out
  exit 1
}

# start_server [OPTION of postgres.sh...]
start_server() {
  export DEPLOYRUN_TESTBED_USER=$$
  eval "$(sh "$testbed/postgres.sh" start "$@")"
  export PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE PGOPTIONS='-c client_min_messages=warning'
  trap 'sh "$testbed/postgres.sh" stop "$PGPORT"' EXIT
  trap 'exit 130' INT TERM
}

# begin NAME: a case with an empty database and an empty folder m.
begin() {
  case=$1
  number=$((number + 1))
  PGDATABASE=postgres psql -qc "CREATE DATABASE case_$number" || fail "no database"
  export PGDATABASE="case_$number"
  rm -rf m
  mkdir m
}

# sql_true QUERY: it gives t.
sql_true() { [ "$(psql -qAtX -c "$1")" = t ]; }

# file NAME: a migration, from standard input.
file() { cat >"m/$1"; }

# recipe METHOD OPTIONS: r.lua, which calls it.
recipe() {
  cat >r.lua <<LUA
return recipe { name = "r", run = function()
  local db = postgres {}
  local result = db:$1 { dir = "m", $2 }
  log("result", json.encode(result))
end }
LUA
}

# migrate OPTIONS, down OPTIONS, status: must go well.
run_well() { "$DEPLOYRUN" r.lua >out 2>&1 </dev/null || fail "it failed"; }
migrate() { recipe migrate "${1:-}"; run_well; }
down() { recipe migrate_down "$1"; run_well; }
status() { recipe migration_status ''; run_well; }

# refused CODE WORDS [OPTIONS [METHOD]]: must fail with the code, and say the words.
refused() {
  recipe "${4:-migrate}" "${3:-}"
  if "$DEPLOYRUN" r.lua --json >out 2>&1 </dev/null; then fail "it was not refused"; fi
  grep -q "\"code\":\"$1\"" out || fail "the code is not $1"
  grep -q -- "$2" out || fail "it does not say '$2'"
}

# is SQL VALUE: what a query gives, rows by spaces.
is() {
  found=$(psql -qAtX -c "$1" 2>&1 | tr '\n' ' ' | sed 's/ $//')
  [ "$found" = "$2" ] || fail "$1 is '$found', not '$2'"
}

versions() {
  is 'SELECT version FROM deployrun.schema_migrations WHERE done = statements ORDER BY version::bigint' "$1"
}

says() { grep -q -- "$1" out || fail "it does not say '$1'"; }

# until_true WHAT COMMAND…: within 30 s.
until_true() {
  what=$1
  shift
  tries=0
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 600 ] || fail "$what"
    sleep 0.05
  done
}
