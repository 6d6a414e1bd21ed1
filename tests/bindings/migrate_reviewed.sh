#!/bin/sh
# migrate_reviewed.sh - what was reviewed is what runs: every text and name is read by the server as it was read here, nothing
# is passed over, and what cannot be known is asked.
set -eu
. "$DEPLOYRUN_SOURCE_DIR/tests/bindings/migrate_lib.sh"
start_server --no-fsync

begin 'texts are read as they were reviewed'
psql -qc "CREATE TABLE keep (a int)" -c "CREATE TABLE log (a text, b text)"
psql -qc "ALTER DATABASE $PGDATABASE SET standard_conforming_strings = off"
printf '%s\n' "INSERT INTO log VALUES ('a\\', '); DROP TABLE keep; --');" | file 1_a.sql
refused postgres.migration_file 'standard_conforming_strings = off'
is "SELECT count(*) FROM keep" 0
psql -qc "ALTER DATABASE $PGDATABASE RESET standard_conforming_strings"
migrate
is "SELECT b FROM log" '); DROP TABLE keep; --'

begin 'the whole of a statement is run, however its texts are written'
psql -qc 'CREATE TABLE u (a int)' -c 'CREATE TABLE uralt (a int)' -c 'CREATE TABLE tt (a text)'
printf '%s\n' 'DROP TABLE U&"uralt";' "INSERT INTO tt SELECT U&'q' ;" "INSERT INTO tt SELECT U&'!0061' UESCAPE '!'" | file 1_a.sql
migrate 'allow = "breaking"'
is "SELECT to_regclass('u'), to_regclass('uralt') IS NULL, string_agg(a, ',' ORDER BY a) FROM tt" 'u|t|a,q'

begin 'the plan shows a statement without its comments'
printf 'DELETE FROM old -- the old ones\n  OR a > 0;' | sed 's/FROM old/FROM old WHERE a < 0/' | file 1_a.sql
psql -qc 'CREATE TABLE old (a int)'
recipe migrate ''
"$DEPLOYRUN" r.lua --dry-run >out 2>&1 || true
says 'DELETE FROM old WHERE a < 0 OR a > 0'

begin 'a name that differs by capitals only is not passed over'
echo 'SELECT 1;' | file 1_a.sql
echo 'SELECT 1;' | file 2_more.SQL
refused postgres.migration_file '2_more.SQL is no name of a migration'

begin 'how far a block came that commits by itself is asked'
cat >m/1_a.sql <<'SQL'
DO $$ BEGIN CREATE TABLE a (x int); COMMIT; PERFORM pg_sleep(30); CREATE TABLE b (x int); COMMIT; END $$;
SQL
recipe migrate 'allow = "breaking"'
"$DEPLOYRUN" r.lua >out 2>&1 </dev/null &
run=$!
until_true 'the block never came to its middle' sql_true "SELECT to_regclass('a') IS NOT NULL"
psql -qAtX -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DO %' AND pid <> pg_backend_pid()" >/dev/null
if wait "$run"; then fail "it was not noticed"; fi
refused postgres.migration_begun 'how far it came cannot be known' 'allow = "breaking"'
is "SELECT to_regclass('b') IS NULL" t
psql -qc 'DROP TABLE a'
sed -i 's/30/0/' m/1_a.sql
migrate 'allow = "breaking", accept_begun = { "1" }, accept_edited = { "1" }'
is "SELECT to_regclass('b') IS NOT NULL" t
versions 1

begin 'the wait for locks is shared out among the partitions of a table, a word in a comment changes nothing'
psql -qc 'CREATE TABLE p (a int) PARTITION BY LIST (a)' -c 'CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)' \
  -c 'CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2) PARTITION BY LIST (a)' \
  -c 'CREATE TABLE p21 PARTITION OF p2 FOR VALUES IN (2)' -c 'CREATE TABLE other (a int)'
printf '%s\n' '-- lock_timeout stays' 'ALTER TABLE p ADD COLUMN b int;' \
  "CREATE TABLE seen AS SELECT current_setting('lock_timeout') AS wait;" | file 1_a.sql
migrate
is 'SELECT wait FROM seen' 500ms
printf '%s\n' 'ALTER TABLE other ADD COLUMN b int;' \
  "CREATE TABLE seen_too AS SELECT current_setting('lock_timeout') AS wait;" | file 2_b.sql
migrate
is 'SELECT wait FROM seen_too' 2s

echo "ok: $number cases"
