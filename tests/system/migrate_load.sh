#!/bin/sh
# migrate_load.sh - a steady load of reads and writes on tables that are migrated, while other transactions hold them for
# seconds: no client waits longer than lock_timeout and 100 ms, also when one statement locks two tables, and the migration
# gets through in the end.
#
# What other processes on the machine do to a client's time counts too. The same load runs beside it on tables that nobody
# locks: the longest of its times is what the machine did. It is allowed twice, once for the migration's timer, which must
# fire late before a client is let in late, and once for the client. There is one try of each case, and each counts.
set -eu
. "$DEPLOYRUN_SOURCE_DIR/tests/bindings/migrate_lib.sh"
start_server --no-fsync
lock_timeout=1
for pgbench in /usr/lib/postgresql/*/bin/pgbench; do :; done
clients='' holders=''
trap 'kill $clients $holders 2>/dev/null || true; sh "$testbed/postgres.sh" stop "$PGPORT"' EXIT

# hold TABLE SECONDS TIMES: transactions that have read the table, would write no row of it, and stay open.
hold() {
  for _ in $(seq "$3"); do
    echo "BEGIN; SELECT count(*) FROM $1; UPDATE $1 SET seats = 0 WHERE id = 0; SELECT pg_sleep($2); COMMIT;"
  done >"hold_$1.sql"
  psql -qAtX -f "hold_$1.sql" >/dev/null 2>&1 &
  holders="$holders $!"
}

# start NAME TABLE TABLE: clients that read and write the tables, a statement at a time.
start() {
  name=$1 scripts=''
  shift
  for table in "$@"; do
    printf '\\set id random(1, 100)\nSELECT name FROM %s WHERE id = :id;\n' "$table" >"read_$table.sql"
    printf '\\set id random(1, 100)\nUPDATE %s SET seats = seats - 1 WHERE id = :id;\n' "$table" >"write_$table.sql"
    scripts="$scripts -f read_$table.sql -f write_$table.sql"
  done
  # shellcheck disable=SC2086 # the options are words
  "$pgbench" -n -c 4 -R 400 -T 12 $scripts --log --log-prefix="$name.log" >"$name.out" 2>&1 &
  clients="$clients $!"
}

# longest NAME: of all statements, in ms. Each line of pgbench's log is one, in µs: since it was due, and by how much it was
# begun late, which is what the client waited for the one before.
longest() { cat "$1".log.* | awk '$3 - $7 > most { most = $3 - $7 } END { printf "%d", most / 1000 }'; }

tables() {
  for table in tours guides quiet calm; do
    psql -qc "CREATE TABLE $table AS SELECT n AS id, 'n' || n AS name, 0 AS seats FROM generate_series(1, 100) n" \
      -c "ALTER TABLE $table ADD PRIMARY KEY (id)"
  done
}

# under_load VERSIONS: the migrations in m, beside all that.
under_load() {
  rm -f ./*.log.*
  recipe migrate "lock_timeout = $lock_timeout, lock_attempts = 100, lock_pause = 0.5"
  start load tours guides
  start quiet quiet calm
  hold guides 6 1
  hold tours 0.7 8
  until_true 'nobody holds the table' holds_guides
  run_well
  for pid in $holders $clients; do wait "$pid" || fail "a process of the test failed: $(cat load.out quiet.out)"; done
  holders='' clients=''
  versions "$1"
  says 'got no lock ('
  [ "$(cat load.log.* | wc -l)" -gt 100 ] || fail "there was no load: $(cat load.out)"
  most=$(longest load) machine=$(longest quiet)
  echo "$case: the longest wait of $(cat load.log.* | wc -l) was $most ms, of those beside it $machine ms;" \
    "$(grep -c 'got no lock' out) attempts failed"
  [ "$most" -le $((lock_timeout * 1000 + 100 + 2 * machine)) ] || fail "clients waited longer than lock_timeout"
}

holds_guides() {
  psql -qAtXc "SELECT count(*) FROM pg_locks WHERE relation = 'guides'::regclass AND mode = 'AccessShareLock' AND
    pid IN (SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid())" | grep -qx 1
}

begin 'columns of two tables'
tables
file 1_columns.sql <<'SQL'
ALTER TABLE tours ADD COLUMN phone text;
ALTER TABLE guides ADD COLUMN phone text;
SQL
under_load 1

begin 'a column, and rows that the clients write'
tables
file 1_fill.sql <<'SQL'
ALTER TABLE guides ADD COLUMN phone text;
UPDATE guides SET phone = '1' WHERE id <= 50;
UPDATE guides SET phone = '2' WHERE id > 50;
SQL
under_load 1

begin 'a foreign key between both, checked later'
tables
file 1_column.sql <<'SQL'
ALTER TABLE tours ADD COLUMN guide integer;
SQL
file 2_key.sql <<'SQL'
ALTER TABLE tours ADD CONSTRAINT tours_guide FOREIGN KEY (guide) REFERENCES guides (id) NOT VALID;
SQL
file 3_check.sql <<'SQL'
ALTER TABLE tours VALIDATE CONSTRAINT tours_guide;
SQL
under_load '1 2 3'
