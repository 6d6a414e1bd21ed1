#!/bin/sh
# migrate_load.sh - a steady load of reads and writes on tables that are migrated, while other transactions hold them for
# seconds: no client waits longer than lock_timeout and 100 ms, and the migration gets through in the end.
#
# What another process on the machine does to a client's time counts too, so there are several tries; a migration that
# blocked for longer would do so in each.
set -eu
. "$DEPLOYRUN_SOURCE_DIR/tests/bindings/migrate_lib.sh"
start_server --no-fsync
lock_timeout=1
for pgbench in /usr/lib/postgresql/*/bin/pgbench; do :; done
load='' holders=''
trap 'kill $load $holders 2>/dev/null || true; sh "$testbed/postgres.sh" stop "$PGPORT"' EXIT

# hold TABLE SECONDS TIMES: transactions that have read the table and stay open.
hold() {
  for _ in $(seq "$3"); do echo "BEGIN; SELECT count(*) FROM $1; SELECT pg_sleep($2); COMMIT;"; done >"hold_$1.sql"
  psql -qAtX -f "hold_$1.sql" >/dev/null 2>&1 &
  holders="$holders $!"
}

cat >load.sql <<'SQL'
\set id random(1, 100)
SELECT name FROM tours WHERE id = :id;
UPDATE tours SET seats = seats - 1 WHERE id = :id;
SELECT name FROM guides WHERE id = :id;
UPDATE guides SET seats = seats - 1 WHERE id = :id;
SQL

# longest: of all statements that the clients sent, in ms. Each line of pgbench's log is a run of load.sql, in µs.
longest() { cat load.log.* | awk '$3 > most { most = $3 } END { printf "%d", most / 1000 }'; }

try() {
  begin "try $1"
  rm -f load.log.*
  for table in tours guides; do
    psql -qc "CREATE TABLE $table AS SELECT n AS id, 'n' || n AS name, 0 AS seats FROM generate_series(1, 100) n" \
      -c "CREATE INDEX ON $table (id)"
  done
  file 1_columns.sql <<'SQL'
ALTER TABLE tours ADD COLUMN phone text;
ALTER TABLE guides ADD COLUMN phone text;
SQL
  recipe migrate "lock_timeout = $lock_timeout, lock_attempts = 100, lock_pause = 0.5"
  "$pgbench" -n -c 4 -R 100 -T 12 -f load.sql --log --log-prefix=load.log >load.out 2>&1 &
  load=$!
  hold guides 6 1
  hold tours 0.7 8
  sleep 0.3
  run_well
  for pid in $holders $load; do wait "$pid" || fail "a process of the test failed: $(cat load.out)"; done
  holders='' load=''
  versions 1
  says 'got no lock (ACCESS EXCLUSIVE on'
  [ "$(cat load.log.* | wc -l)" -gt 100 ] || fail "there was no load: $(cat load.out)"
  echo "try $1: the longest wait of $(cat load.log.* | wc -l) was $(longest) ms, $(grep -c 'got no lock' out) attempts failed"
}

for n in 1 2 3 4 5; do
  try "$n"
  if [ "$(longest)" -le $((lock_timeout * 1000 + 100)) ]; then exit 0; fi
done
fail "clients waited longer than lock_timeout"
