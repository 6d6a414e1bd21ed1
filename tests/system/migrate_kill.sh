#!/bin/sh
# migrate_kill.sh - a run of migrations is killed at a random moment, 50 times: each time the next run finishes, nothing
# was applied twice and nothing is lost. Concurrent indexes, data, statements that stand alone.
#
#   SEED=N      the moments of another run (it says which seed it used)
set -eu
. "$DEPLOYRUN_SOURCE_DIR/tests/bindings/migrate_lib.sh"
start_server --no-fsync
kills=${KILLS:-50}
seed=${SEED:-$$}
echo "seed $seed"

begin 'the files'
file 01_tables.sql <<'SQL'
CREATE TABLE done (n int);
CREATE TABLE t (id int PRIMARY KEY, a int, b text);
INSERT INTO t SELECT n, n, 'x' || n FROM generate_series(1, 5000) n;
INSERT INTO done VALUES (1);
SQL
file 02_index.sql <<'SQL'
INSERT INTO done VALUES (2);
CREATE INDEX CONCURRENTLY t_a ON t (a);
INSERT INTO done VALUES (3);
CREATE UNIQUE INDEX CONCURRENTLY t_b ON t (b);
INSERT INTO done VALUES (4);
SQL
echo 'UPDATE t SET a = a + 1; INSERT INTO done VALUES (5);' | file 03_data.sql
file 04_enum.sql <<'SQL'
CREATE TYPE mood AS ENUM ('ok');
ALTER TABLE t ADD COLUMN m mood;
INSERT INTO done VALUES (6);
SQL
file 05_enum.sql <<'SQL'
ALTER TYPE mood ADD VALUE 'good';
UPDATE t SET m = 'good' WHERE id <= 10;
INSERT INTO done VALUES (7);
VACUUM t;
INSERT INTO done VALUES (8);
SQL
file 06_drop.sql <<'SQL'
DROP INDEX CONCURRENTLY t_a;
INSERT INTO done VALUES (9);
REINDEX INDEX CONCURRENTLY t_b;
CREATE INDEX CONCURRENTLY t_a ON t (a, b);
UPDATE t SET a = a + 1;
INSERT INTO done VALUES (10);
SQL
for n in 11 12 13 14 15 16 17 18; do echo "INSERT INTO done VALUES ($n); UPDATE t SET a = a + 1 WHERE id = 1;" | file "${n}_data.sql"; done
recipe migrate 'allow = "breaking"'

# A REINDEX that was cut off leaves an index t_b_ccnew behind (docs/migrations.md).
whole() {
  is "SELECT string_agg(n::text, ',' ORDER BY n) FROM done
      UNION ALL SELECT concat_ws(' ', count(*), sum(a - id), count(m)) FROM t
      UNION ALL SELECT string_agg(indexrelid::regclass || ' ' || indisvalid, ', ' ORDER BY indexrelid::regclass::text)
        FROM pg_index WHERE indrelid = 't'::regclass AND indexrelid::regclass::text !~ '_cc(new|old)'
      UNION ALL SELECT concat_ws(' ', count(*), bool_and(done = statements), count(running), count(prefix))
        FROM deployrun.schema_migrations" \
    "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18 5000 10008 10 t_a true, t_b true, t_pkey true 14 t 0 0"
}

now_ms() { echo $(($(date +%s%N) / 1000000)); }

# One run from nothing to the end tells how long it takes.
started=$(now_ms)
run_well
takes=$(($(now_ms) - started))
whole
echo "a run takes $takes ms"

middle=0 i=0
while [ $i -lt "$kills" ]; do
  i=$((i + 1))
  moment=$(awk -v seed="$((seed + i))" -v most="$takes" 'BEGIN { srand(seed); printf "%.3f", (0.2 + 0.9 * rand()) * most / 1000 }')
  case="kill $i after $moment s (seed $seed)"
  PGDATABASE=postgres psql -qc "CREATE DATABASE kill_$i"
  export PGDATABASE="kill_$i"
  "$DEPLOYRUN" r.lua >out 2>&1 </dev/null &
  run=$!
  sleep "$moment"
  kill -9 "$run" 2>/dev/null || true
  wait "$run" 2>/dev/null || true
  left=$(psql -qAtXc 'SELECT count(*) FROM deployrun.schema_migrations' 2>/dev/null || echo 0)
  if [ "$left" != 0 ] && [ "$left" != 14 ]; then middle=$((middle + 1)); fi
  run_well
  whole
done
[ "$middle" -ge 3 ] || fail "only $middle of $kills kills were in the middle"
echo "ok: $kills kills, $middle of them in the middle"
