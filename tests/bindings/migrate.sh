#!/bin/sh
# migrate.sh - migrations on a real server: what is run, recorded, refused, taken back and gone on with.
set -eu
. "$DEPLOYRUN_SOURCE_DIR/tests/bindings/migrate_lib.sh"
start_server --no-fsync

tours() {
  file 0001_tours.up.sql <<'SQL'
-- the tours
CREATE TABLE tours (id serial PRIMARY KEY, name text);
INSERT INTO tours (name) VALUES ('a'), ('b');
SQL
  echo 'DROP TABLE tours;' | file 0001_tours.down.sql
  echo 'ALTER TABLE tours ADD COLUMN phone text;' | file 0002_phone.up.sql
  echo 'ALTER TABLE tours DROP COLUMN phone;' | file 0002_phone.down.sql
}

# ---------------------------------------------------------------------------------------------- running

begin 'what is pending is run in order and recorded, and then there is nothing to do'
tours
migrate
versions '0001 0002'
is 'SELECT count(*) FROM tours WHERE phone IS NULL' 2
is "SELECT count(*) FROM deployrun.schema_migrations WHERE length(sha256) = 64 AND ended_at IS NOT NULL
    AND applied_by LIKE '%@%' AND seconds > 0 AND running IS NULL AND prefix IS NULL" 2
migrate
says '"applied":\[\]'
versions '0001 0002'

begin 'a dry run shows each statement and changes nothing'
tours
recipe migrate ''
"$DEPLOYRUN" r.lua --dry-run >out 2>&1 || fail "it failed"
says '0001_tours.up.sql · 2 statements'
says 'ALTER TABLE tours ADD COLUMN phone text'
is "SELECT to_regclass('tours') IS NULL AND to_regnamespace('deployrun') IS NULL" t

begin 'a backup before them hides no migration from the dry run, nor a wrong file from the walk'
tours
cat >r.lua <<'LUA'
return recipe { name = "r", run = function()
  local db = postgres {}
  step("Back up", function() log(db:backup { dir = "b/c", verify = "restore", keep = 2 }.path) end)
  step("Migrate", function() db:migrate { dir = "m" } end)
  log("backups", #db:backups { dir = "b/c" })
end }
LUA
"$DEPLOYRUN" r.lua --dry-run >out 2>&1 || fail "it failed"
says '0001_tours.up.sql · 2 statements'
says 'ALTER TABLE tours ADD COLUMN phone text'
grep -A3 'postgres.backups' out | grep -q 'unknown until then' || fail "the list of backups is said to be known"
echo 'DROP' | file 0003_x.up.sql
if "$DEPLOYRUN" r.lua >out 2>&1 </dev/null; then fail "it was not refused"; fi
says 'Nothing was changed'
[ ! -e b ] || fail "it backed up before it looked at the files"

begin 'to is where it ends'
tours
migrate 'to = "1"'
versions 0001
migrate 'to = "0002"'
versions '0001 0002'
refused postgres.migration_unknown 'to = \\"7\\"' 'to = "7"'

begin 'nothing of a session reaches the next file'
psql -qc "CREATE TABLE users (a int)"
file 1_leave.sql <<'SQL'
CREATE TEMP TABLE users AS SELECT * FROM public.users;
PREPARE p AS SELECT 1;
DECLARE c CURSOR WITH HOLD FOR SELECT 1;
SET search_path = nowhere;
LISTEN news;
SQL
file 2_find.sql <<'SQL'
ALTER TABLE users ADD COLUMN email text;
PREPARE p AS SELECT 2;
DECLARE c CURSOR WITH HOLD FOR SELECT 2;
CREATE TABLE left_over AS SELECT
  (SELECT count(*) FROM pg_class WHERE relpersistence = 't') + (SELECT count(*) FROM pg_listening_channels()) AS n;
SQL
migrate 'allow = "breaking"'
is "SELECT count(email), (SELECT n FROM left_over) FROM public.users" '0|0'

begin 'nothing of a session reaches a statement that runs alone, nor the file behind it'
psql -qc "CREATE TABLE users (a int)"
echo 'CREATE TEMP TABLE users (b int);' | file 1_leave.sql
echo 'CREATE INDEX CONCURRENTLY users_a ON users (a);' | file 2_alone.sql
migrate
is "SELECT indrelid::regclass::text FROM pg_index WHERE indexrelid = 'public.users_a'::regclass" users

begin 'a temporary table across transactions is refused'
printf 'CREATE TEMP TABLE a (b int);\nVACUUM;\nSELECT 1;\n' | file 1_a.sql
refused postgres.migration_file 'm/1_a.sql:1: a temporary table does not last'

begin 'the isolation that a file begins with is kept'
printf 'START TRANSACTION ISOLATION LEVEL SERIALIZABLE;\n%s\nCOMMIT;\n' \
  "CREATE TABLE seen AS SELECT current_setting('transaction_isolation') AS level;" | file 1_a.sql
printf 'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;\n%s\n' \
  "INSERT INTO seen SELECT current_setting('transaction_isolation');" | file 2_b.sql
migrate
is 'SELECT level FROM seen ORDER BY 1 DESC' 'serializable repeatable read'
printf 'BEGIN READ ONLY;\nSELECT 1;\nCOMMIT;\n' | file 3_c.sql
refused postgres.migration_file 'm/3_c.sql:1: a transaction that is READ ONLY'

begin 'the lock that migrations hold is not given away'
for call in 'SELECT pg_advisory_unlock_all()' 'DO $$ BEGIN PERFORM pg_advisory_unlock(1); END $$' \
  "INSERT INTO t SELECT 1 WHERE pg_advisory_unlock_shared(1)"; do
  echo "$call;" | file 1_a.sql
  refused postgres.migration_file 'm/1_a.sql:1: pg_advisory_unlock could give up' 'allow = "breaking"'
done

begin 'names that mean something else are not exempt, nor functions wherever they are called'
psql -qc "CREATE SCHEMA shop" -c "CREATE TABLE shop.orders (a int)" -c "CREATE TABLE users AS SELECT 1 AS a" \
  -c "CREATE FUNCTION boom() RETURNS int LANGUAGE plpgsql AS 'BEGIN DROP TABLE users; RETURN 1; END'"
while read -r sql; do
  echo "$sql" | file 1_a.sql
  refused postgres.migration_hazard 'could hurt what runs now' 'allow = "conditional"'
done <<'SQL'
CREATE TABLE orders (a int); SET search_path = shop; DROP TABLE orders;
CREATE TEMP TABLE users AS SELECT * FROM public.users; DROP TABLE public.users;
INSERT INTO shop.orders SELECT boom();
UPDATE shop.orders SET a = boom() WHERE a = 1;
CREATE TABLE fresh AS SELECT boom();
COPY shop.orders TO PROGRAM 'cat >/dev/null';
SQL
is "SELECT count(*), to_regclass('shop.orders') FROM users" '1|shop.orders'
echo "COPY (DELETE FROM users RETURNING a) TO '/dev/null'" | file 1_a.sql
refused postgres.migration_hazard 'delete-all' 'allow = "compatible"'

begin 'what is new and reaches old rows is not exempt'
psql -qc "CREATE TABLE acc AS SELECT 1 AS a"
while read -r sql; do
  echo "$sql" | file 1_a.sql
  refused postgres.migration_hazard 'could hurt what runs now' 'allow = "compatible"'
done <<'SQL'
CREATE SCHEMA s1 CREATE TABLE acc (a int); DROP TABLE acc;
CREATE TABLE pt (a int) PARTITION BY LIST (a); ALTER TABLE pt ATTACH PARTITION acc DEFAULT; DROP TABLE pt;
CREATE TABLE par (); ALTER TABLE acc INHERIT par; DELETE FROM par;
CREATE VIEW vv AS SELECT * FROM acc; DELETE FROM vv;
CREATE TABLE n (a int); CREATE RULE r AS ON INSERT TO n DO ALSO DELETE FROM acc; INSERT INTO n VALUES (1);
CREATE FUNCTION lower(int) RETURNS int LANGUAGE sql AS 'DELETE FROM acc; SELECT 1'; SELECT lower(5);
SQL
is 'SELECT count(*) FROM acc' 1

begin 'work behind a lock of the same file is shown under that lock'
tours
migrate
printf 'ALTER TABLE tours ADD CONSTRAINT c CHECK (id > 0) NOT VALID;\nALTER TABLE tours VALIDATE CONSTRAINT c;\n' |
  file 0003_check.sql
recipe migrate ''
"$DEPLOYRUN" r.lua --dry-run >out 2>&1 || fail "it failed"
says 'compatible · ACCESS EXCLUSIVE on tours, blocks reads, scans the table'
says 'held-lock (compatible): tours (ACCESS EXCLUSIVE): the transaction holds this lock to its end'
says 'action  postgres.migrate.*downtime'

begin 'what pg_dump writes is a first migration'
psql -qc 'CREATE SCHEMA s' -c 'CREATE TABLE s.t (a serial PRIMARY KEY, b text)' -c 'CREATE VIEW v AS SELECT a FROM s.t'
pg_dump -s | sed '1i\\\restrict 1aB' >m/1_first.sql
echo '\unrestrict 1aB' >>m/1_first.sql
psql -qc 'DROP SCHEMA s CASCADE'
migrate
is "SELECT to_regclass('v'), to_regclass('s.t')" 'v|s.t'

begin 'a file that fails leaves nothing, and is named with its line'
tours
file 0003_bad.up.sql <<'SQL'
UPDATE tours SET phone = '1';

INSERT INTO tours (id, name)
  VALUES (1, 'again');
SQL
refused postgres.constraint 'm/0003_bad.up.sql:3: duplicate key'
grep -q 'statement: INSERT INTO tours' out || fail "the statement is not shown"
! grep -q 'statement: RESET' out || fail "it shows what was sent around the statement"
versions '0001 0002'
is 'SELECT count(phone) FROM tours' 0

begin 'a constraint that is checked at the end is told as that'
file 1_a.sql <<'SQL'
CREATE TABLE a (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED);
INSERT INTO a VALUES (1), (1);
SQL
refused postgres.constraint '1_a.sql, at the end of its transaction'

begin 'a setting of one file does not reach the next'
echo 'CREATE SCHEMA s; SET search_path = s; SET ROLE pg_monitor;' | file 1_a.sql
echo 'CREATE TABLE t (a int);' | file 2_b.sql
migrate
is "SELECT to_regclass('public.t') IS NOT NULL" t

# ---------------------------------------------------------------------------------------------- what does not fit

begin 'what is wrong in a file is found before anything is done'
tours
echo 'CREATE TABEL x;' | file 0003_x.up.sql
refused postgres.syntax '0003_x.up.sql'
echo '-- nothing' | file 0003_x.up.sql
refused postgres.migration_file 'no statement'
echo 'DISCARD ALL' | file 0003_x.up.sql
refused postgres.migration_file 'give up the lock'
printf 'SELECT 1;\nCOMMIT;\nSELECT 2;\n' | file 0003_x.up.sql
refused postgres.migration_file '0003_x.up.sql:2'
echo 'SELECT 1' | file 0003_x.up.sql
echo 'DROP' | file 0003_x.down.sql
refused postgres.syntax '0003_x.down.sql'
rm m/0003_x.down.sql
echo 'SELECT 1' | file 3_y.sql
refused postgres.migration_file 'same version'
mv m/3_y.sql m/notes.sql
refused postgres.migration_file 'no name of a migration'
rm m/notes.sql m/0003_x.up.sql
mkdir m/0003_x.up.sql
refused fs.failed 'directory'
rmdir m/0003_x.up.sql
refused fs.not_found 'nowhere' 'dir = "nowhere"'
refused recipe.option 'did you mean' 'dirr = "m"'
is "SELECT to_regnamespace('deployrun') IS NULL" t

begin 'an applied file may change its comments, not its statements'
tours
migrate
printf -- '-- another comment\r\ncreate table TOURS(id serial primary key,name text);\r\n%s' \
  "INSERT INTO tours(name) VALUES('a'),('b')" | file 0001_tours.up.sql
migrate
echo 'CREATE TABLE tours (id bigserial PRIMARY KEY);' | file 0001_tours.up.sql
refused postgres.migration_edited '0001_tours'
refused postgres.migration_edited 'accept_edited = { \\"0001\\" }'
migrate 'accept_edited = { "1" }'
migrate
versions '0001 0002'

begin 'a file that is gone is refused, unless that is accepted'
tours
migrate
rm m/0002*
refused postgres.migration_missing '0002_phone'
migrate 'accept_missing = { "0002" }'

begin 'a file before the last applied one is refused, unless that is accepted'
tours
mv m/0001_tours.up.sql kept
echo 'CREATE TABLE tours (id int);' | file 0001_tours.up.sql
migrate
echo 'CREATE TABLE late (id int);' | file 0001_5.sql
refused postgres.migration_file 'same version'
rm m/0001_5.sql
echo 'ALTER TABLE tours ADD x int' | file 0004_x.sql
migrate
echo 'ALTER TABLE tours ADD y int' | file 0003_y.sql
refused postgres.migration_out_of_order '0003_y'
migrate 'accept_out_of_order = { "0003" }'
versions '0001 0002 0003 0004'

begin 'a baseline marks without running, and only where nothing was migrated'
tours
psql -qc 'CREATE TABLE tours (id serial PRIMARY KEY, name text)'
migrate 'baseline = "0001"'
versions '0001 0002'
is 'SELECT count(*) FROM tours' 0
is 'SELECT version FROM deployrun.schema_migrations WHERE baseline' 0001
migrate 'baseline = "0001"'
echo 'SELECT 1' | file 0003_x.sql
refused postgres.migration_baseline 0003 'baseline = "0003"'

begin 'what was not reviewed is not run'
tours
migrate 'to = "1"'
psql -qAtX -c 'SET application_name = other' -c 'SELECT pg_advisory_lock(7309461421257028974)' \
  -c 'SELECT pg_sleep(60)' >/dev/null 2>&1 &
holder=$!
until_true 'the other never came to its lock' sql_true "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory'"
recipe migrate ''
"$DEPLOYRUN" r.lua --json >out 2>&1 </dev/null &
run=$!
until_true 'it never waited for the lock' grep -q 'waits for another run' out
psql -qc 'DROP TABLE tours; DELETE FROM deployrun.schema_migrations'
psql -qAtX -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'other'" >/dev/null
! wait "$run" || fail "it ran"
wait "$holder" || true
says '"code":"postgres.migration_changed"'
versions ''

# What is told of the action is more than a pipe holds: while nobody reads it, the action cannot begin.
begin 'a file that is edited after the review is not run'
for n in $(seq 1001 1600); do
  echo "SELECT 'a statement that makes the description of what is to be done longer than the buffer of a pipe'" |
    file "${n}_long.sql"
done
recipe migrate ''
python3 - "$DEPLOYRUN" r.lua --json >out 2>&1 <<'PY' || fail "see there"
import subprocess, sys

run = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, bufsize=0)
line = b""
while not (b'"op_finished"' in line and b"postgres.migration_review" in line):
    line = b""
    while not line.endswith(b"\n"):
        byte = run.stdout.read(1)
        if not byte:
            sys.exit("it ended before the review did")
        line += byte
with open("m/1600_long.sql", "w", encoding="utf-8") as file:
    file.write("SELECT 'something else'")
print(run.stdout.read().decode())
sys.exit(0 if run.wait() == 1 else "it was run")
PY
says '"code":"postgres.migration_changed"'
says '1600_long.sql was edited after it was reviewed'
is "SELECT to_regnamespace('deployrun') IS NULL" t

# ---------------------------------------------------------------------------------------------- hazards

begin 'what breaks the code that runs is refused, unless the recipe says otherwise'
tours
migrate
echo 'ALTER TABLE tours DROP COLUMN name;' | file 0003_drop.sql
refused postgres.migration_hazard '0003_drop.sql:1 drop-column'
migrate 'allow = "breaking"'
versions '0001 0002 0003'
printf -- '-- deployrun: accept drop-column: nothing reads it since May\nALTER TABLE tours DROP COLUMN phone;\n' |
  file 0004_drop.sql
recipe migrate ''
"$DEPLOYRUN" r.lua --dry-run >out 2>&1 || fail "the comment does not accept it"
says 'accepted: nothing reads it since May'
says 'LOSES'
says 'action  postgres.migrate.*destructive'
migrate
status
says '"pending":\[\]'

begin 'a change of type is judged by the type that the column has'
psql -qc 'CREATE TABLE t (a varchar(10), b varchar(10))'
echo 'ALTER TABLE t ALTER a TYPE varchar(20);' | file 1_wider.sql
migrate
echo 'ALTER TABLE t ALTER b TYPE varchar(5);' | file 2_narrower.sql
refused postgres.migration_hazard '2_narrower.sql:1 change-type'
versions 1

begin 'a default that is dropped is judged by whether the column may be NULL'
psql -qc "CREATE DOMAIN dd AS int NOT NULL" -c "CREATE TABLE t (id serial PRIMARY KEY, a int NOT NULL DEFAULT 1,
  b int DEFAULT 1, c int DEFAULT 1 CHECK (c IS NOT NULL), d dd DEFAULT 1)"
for column in id a c d; do
  echo "ALTER TABLE t ALTER $column DROP DEFAULT;" | file 1_a.sql
  refused postgres.migration_hazard '1_a.sql:1 drop-default-required (breaking)'
done
echo 'ALTER TABLE t ALTER b DROP DEFAULT;' | file 1_a.sql
migrate
is 'INSERT INTO t DEFAULT VALUES RETURNING a, b' '1|'

begin 'a wider type is known to scan where there is a CHECK, or an index with an expression or predicate'
psql -qc "CREATE TABLE t (a varchar(5) CHECK (a <> ''), b varchar(5), c varchar(5), d varchar(5), e varchar(5) COLLATE \"C\",
  f varchar(5)) PARTITION BY LIST (d)" -c "CREATE INDEX ON t (lower(b))" -c "CREATE INDEX ON t (d) WHERE c <> ''" \
  -c "CREATE TABLE t1 PARTITION OF t (CHECK (f <> '')) DEFAULT" -c "CREATE TABLE s (d varchar(5), e varchar(5))" \
  -c "CREATE UNIQUE INDEX ON s (d)" -c "CREATE INDEX ON s (e) WHERE e <> ''"
recipe migrate ''
for column in t.a t.b t.c t.d t.f s.e; do
  echo "ALTER TABLE ${column%.*} ALTER ${column#*.} TYPE varchar(9);" | file 1_a.sql
  "$DEPLOYRUN" r.lua --dry-run >out 2>&1 || fail "it failed"
  says 'widen-type-scan (compatible)'
done
echo 'ALTER TABLE s ALTER d TYPE varchar(9);' | file 1_a.sql
"$DEPLOYRUN" r.lua --dry-run >out 2>&1 || fail "it failed"
! grep -q 'scans\|widen-type-scan' out || fail "it is said to scan"
echo 'ALTER TABLE t ALTER e TYPE varchar(9);' | file 1_a.sql
refused postgres.migration_hazard 'change-type-unknown'

begin 'the status judges what is pending'
tours
status
says '"applied":\[\]'
says '"class":"compatible"'
says '"file":"0002_phone.up.sql"'
migrate
echo 'ALTER TABLE tours DROP COLUMN name;' | file 0003_drop.sql
status
says '"applied":\["0001","0002"\]'
says '"class":"breaking"'

# ---------------------------------------------------------------------------------------------- down

begin 'down takes back by the down files, newest first'
tours
migrate
down 'steps = 1'
versions 0001
is "SELECT count(*) FROM information_schema.columns WHERE column_name = 'phone'" 0
migrate
down 'to = "0"'
versions ''
is "SELECT to_regclass('tours') IS NULL" t
migrate
rm m/0001_tours.down.sql
refused postgres.migration_no_down 0001_tours 'to = "0"' migrate_down
versions '0001 0002'
recipe migrate_down 'steps = 1'
"$DEPLOYRUN" r.lua --dry-run >out 2>&1 || fail "the dry run failed"
says 'take back 1 migration'
says 'destructive'

# ---------------------------------------------------------------------------------------------- statements that stand alone

begin 'what cannot be in a transaction is run alone, and gone on with in the middle'
tours
file 0003_mixed.up.sql <<'SQL'
INSERT INTO tours (name) VALUES ('c');
CREATE INDEX CONCURRENTLY tours_name ON tours (name);
INSERT INTO tours (name) VALUES ('d');
VACUUM tours;
ALTER TYPE missing ADD VALUE 'x';
SQL
refused postgres.statement '0003_mixed.up.sql:5: '
is "SELECT done, statements, running IS NULL FROM deployrun.schema_migrations WHERE version = '0003'" '4|5|t'
sed -i 's/ALTER TYPE missing .*/INSERT INTO tours (name) VALUES (chr(101));/' m/0003_mixed.up.sql
migrate
is "SELECT string_agg(name, '' ORDER BY name) FROM tours" abcde
versions '0001 0002 0003'

begin 'what was begun of a half-applied file must stay as it is'
tours
printf "INSERT INTO tours (name) VALUES ('c');\nVACUUM tours;\nSELECT 1/0;\n" | file 0003_half.sql
refused postgres.statement '0003_half.sql:3: '
sed -i "s/'c'/'x'/" m/0003_half.sql
refused postgres.migration_edited 0003_half
sed -i "s/'x'/'c'/; s,1/0,1," m/0003_half.sql
migrate
is "SELECT string_agg(name, '' ORDER BY name) FROM tours" abc

begin 'a new value of an enum can be used in the same file'
file 1_e.sql <<'SQL'
CREATE TYPE mood AS ENUM ('ok');
CREATE TABLE t (m mood);
SQL
migrate
file 2_e.sql <<'SQL'
ALTER TYPE mood ADD VALUE 'good';
INSERT INTO t VALUES ('good');
SQL
migrate
is 'SELECT m FROM t' good

begin 'an index that could not be built is found invalid, dropped and built'
tours
migrate
psql -qc "INSERT INTO tours (name) VALUES ('a')"
echo 'CREATE UNIQUE INDEX CONCURRENTLY tours_name ON tours (name);' | file 0003_unique.sql
refused postgres.constraint 'left the invalid index .*tours_name' 'allow = "breaking"'
is "SELECT indisvalid FROM pg_index WHERE indexrelid = 'tours_name'::regclass" f
refused postgres.constraint '0003_unique.sql:1' 'allow = "breaking"'
psql -qc 'DELETE FROM tours WHERE id > 2'
migrate 'allow = "breaking"'
says 'tours_name" is invalid'
is "SELECT indisvalid FROM pg_index WHERE indexrelid = 'tours_name'::regclass" t

begin 'an invalid index of somebody else is not touched'
tours
migrate
psql -qc "INSERT INTO tours (name) VALUES ('a')"
! psql -qc 'CREATE UNIQUE INDEX CONCURRENTLY tours_name ON tours (name)' 2>out || fail "it was built"
echo 'CREATE INDEX CONCURRENTLY IF NOT EXISTS tours_name ON tours (name);' | file 0003_index.sql
refused postgres.invalid_index tours_name
is "SELECT indisvalid FROM pg_index WHERE indexrelid = 'tours_name'::regclass" f

begin 'an index that is there already is an error, not a success'
tours
migrate
psql -qc 'CREATE INDEX tours_name ON tours (name)'
echo 'CREATE INDEX CONCURRENTLY tours_name ON tours (name);' | file 0003_index.sql
refused postgres.statement 'already exists'
refused postgres.statement 'already exists'

begin 'down files may hold what cannot be in a transaction too'
tours
echo 'CREATE INDEX CONCURRENTLY tours_name ON tours (name);' | file 0003_index.up.sql
printf "INSERT INTO tours (name) VALUES ('down');\nDROP INDEX CONCURRENTLY tours_name;\nSELECT 1/0;\n" |
  file 0003_index.down.sql
migrate
refused postgres.statement '0003_index.down.sql:3: ' 'steps = 1' migrate_down
is "SELECT direction, done FROM deployrun.schema_migrations WHERE version = '0003'" 'down|2'
refused postgres.migration_half 0003_index
sed -i 's,1/0,1,' m/0003_index.down.sql
down 'steps = 1'
versions '0001 0002'
is "SELECT count(*) FROM tours WHERE name = 'down'" 1

# ---------------------------------------------------------------------------------------------- locks

begin 'one that holds the table is named, and the statement tried again'
tours
migrate 'to = "1"'
psql -q -c 'SET application_name = holder' -c 'BEGIN' -c 'LOCK TABLE tours IN ACCESS SHARE MODE' -c 'SELECT pg_sleep(60)' \
  >/dev/null 2>&1 &
holder=$!
until_true 'the holder never came to its lock' sql_true "SELECT count(*) = 1 FROM pg_locks l JOIN pg_stat_activity a
  USING (pid) WHERE l.relation = 'tours'::regclass AND application_name = 'holder' AND datname = current_database()"
refused postgres.lock_timeout 'no lock (ACCESS EXCLUSIVE on tours) within 0.1 s, 2 times; held by pid [0-9]* (holder' \
  'lock_timeout = 0.1, lock_attempts = 2, lock_pause = 0.1'
versions 0001
recipe migrate 'lock_timeout = 0.1, lock_attempts = 1000, lock_pause = 0.1'
"$DEPLOYRUN" r.lua >out 2>&1 </dev/null &
run=$!
until_true 'it never tried' grep -q 'attempt 1 of 1000: held by pid' out
psql -qAtX -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder'" >/dev/null
wait "$run" || fail "it failed"
wait "$holder" || true
versions '0001 0002'

begin 'another run that migrates is waited for, and named when that takes too long'
tours
psql -qAtX -c 'SET application_name = other' -c 'SELECT pg_advisory_lock(7309461421257028974)' \
  -c 'SELECT pg_sleep(60)' >/dev/null 2>&1 &
holder=$!
until_true 'the other never came to its lock' sql_true "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory'"
refused postgres.migration_locked 'did not end within 0.5 s: pid [0-9]* (other, user tester.*pg_sleep' 'within = 0.5'
is "SELECT to_regnamespace('deployrun') IS NULL" t
psql -qAtX -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'other'" >/dev/null
wait "$holder" || true
migrate
versions '0001 0002'

begin 'of two runners at once one migrates and the other finds nothing to do'
tours
echo "SELECT pg_sleep(0.7); INSERT INTO tours (name) VALUES ('once');" | file 0003_slow.sql
recipe migrate ''
mkdir -p one two
(cd one && ln -sfn ../m m && "$DEPLOYRUN" ../r.lua >../out.1 2>&1 </dev/null) &
first=$!
(cd two && ln -sfn ../m m && "$DEPLOYRUN" ../r.lua >../out.2 2>&1 </dev/null) &
second=$!
wait "$first" || fail "the first failed: $(cat out.1)"
wait "$second" || fail "the second failed: $(cat out.2)"
versions '0001 0002 0003'
is "SELECT count(*) FROM tours WHERE name = 'once'" 1
[ "$(cat out.1 out.2 | grep -c '"applied":\[\]')" = 1 ] || fail "$(cat out.1 out.2)"

begin 'an index is built while another runner waits'
tours
migrate
file 0003_index.sql <<'SQL'
SELECT pg_sleep(0.5);
CREATE INDEX CONCURRENTLY tours_name ON tours (name);
SELECT pg_sleep(0.5);
SQL
"$DEPLOYRUN" r.lua >out.1 2>&1 </dev/null &
first=$!
"$DEPLOYRUN" r.lua >out.2 2>&1 </dev/null &
second=$!
wait "$first" || fail "the first failed: $(cat out.1)"
wait "$second" || fail "the second failed: $(cat out.2)"
versions '0001 0002 0003'
is "SELECT indisvalid FROM pg_index WHERE indexrelid = 'tours_name'::regclass" t

echo "ok: $number cases"
