#!/bin/sh
# migrate_sweeps.sh - migrations on a real server while memory fails at every so many-th allocation, and with an interrupt
# at each of their waits: no crash, no hang, no leak (under a sanitizer), and the next run finishes.
set -eu
. "$DEPLOYRUN_SOURCE_DIR/tests/bindings/migrate_lib.sh"
start_server --no-fsync
here=$PWD

case='memory that fails'
rm -rf sweep
mkdir sweep
(cd sweep && TMPDIR=$here/sweep XDG_STATE_HOME=$here/sweep MIGRATE_SWEEP=101 \
  "$DEPLOYRUN_BUILD_DIR/tests/unit/test_migrate_memory") >out 2>&1 || fail "see there"
says 'ok up to allocation'
is 'SELECT count(*) FROM deployrun.schema_migrations' 0
grep 'ok up to' out

# interrupted OPTIONS COMMAND…: a run that migrates, and an interrupt when the command succeeds.
interrupted() {
  recipe migrate "$1"
  shift
  "$DEPLOYRUN" r.lua --json >out 2>&1 </dev/null &
  run=$!
  until_true "it never came to its wait" "$@"
  kill -INT "$run"
  status=0
  wait "$run" || status=$?
  [ "$status" = 130 ] || fail "exit status $status, not 130"
}

# sees SQL: it counts something.
sees() { [ "$(psql -qAtXc "$1")" != 0 ]; }

# holding SQL: another session that has done this and stays.
holding() {
  psql -qAtX -c 'SET application_name = other' -c 'BEGIN' -c "$1" -c 'SELECT pg_sleep(60)' >/dev/null 2>&1 &
  holder=$!
  until_true 'the other session never came so far' \
    sees "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'other' AND query LIKE '%pg_sleep%'"
}

let_go() {
  psql -qAtXc "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'other'" >/dev/null
  wait "$holder" || true
}

finishes() {
  migrate "$1"
  versions "$2"
  is "SELECT count(*) FROM pg_index WHERE NOT indisvalid" 0
}

begin 'an interrupt while another run has the lock'
echo 'CREATE TABLE t (a int);' | file 1_t.sql
holding 'SELECT pg_advisory_lock(7309461421257028974)'
interrupted '' grep -q 'waits for another run' out
let_go
finishes '' 1

begin 'an interrupt in a transaction'
echo 'CREATE TABLE t (a int); SELECT pg_sleep(60);' | file 1_t.sql
interrupted '' sees "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60);%' AND pid <> pg_backend_pid()"
is "SELECT to_regclass('t') IS NULL" t
echo 'CREATE TABLE t (a int);' | file 1_t.sql
finishes '' 1

begin 'an interrupt while a lock of a table is waited for'
echo 'CREATE TABLE t (a int);' | file 1_t.sql
migrate
echo 'ALTER TABLE t ADD b int;' | file 2_b.sql
holding 'LOCK TABLE t IN ACCESS SHARE MODE'
interrupted 'lock_timeout = 60' sees 'SELECT count(*) FROM pg_locks WHERE NOT granted'
interrupted 'lock_timeout = 0.05, lock_attempts = 1000, lock_pause = 60' grep -q 'got no lock' out
let_go
finishes '' '1 2'

begin 'an interrupt while an index is built'
echo 'CREATE TABLE t (a int); CREATE TABLE other (a int);' | file 1_t.sql
migrate
echo 'CREATE INDEX CONCURRENTLY t_a ON t (a);' | file 2_i.sql
holding 'LOCK TABLE t IN ROW EXCLUSIVE MODE'
interrupted '' sees 'SELECT count(*) FROM pg_stat_progress_create_index'
is "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_a'::regclass" f
let_go
finishes '' '1 2'

echo "ok: 5 interrupts"
