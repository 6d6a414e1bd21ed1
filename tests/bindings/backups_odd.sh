#!/bin/sh
# backups_odd.sh - databases that make a backup or a restore harder than usual: tables that are emptied or dropped while it
# begins, roles with bounds of their own, subscriptions and slots, event triggers, tablespaces, prepared transactions.
set -eu
. "$DEPLOYRUN_SOURCE_DIR/tests/bindings/backups_world.sh"
begin_world --no-fsync --set wal_level=logical --set max_prepared_transactions=2
createdb shop

# held_by STATEMENTS [SECONDS]: a session runs them in a transaction and holds what they lock for so long, a minute.
held_by() {
  PGAPPNAME=holder psql -qX -v ON_ERROR_STOP=1 -d shop -c "BEGIN; $1; SELECT pg_sleep(${2-60}); COMMIT" >"$work/holder" 2>&1 &
  holder=$!
  until_true "the session did not begin to wait" is 1 "SELECT count(*) FROM pg_stat_activity
    WHERE application_name = 'holder' AND wait_event = 'PgSleep'"
}

end_holder="SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder'"
let_go() {
  db=postgres sql "$end_holder" >"$work/ended"
  wait "$holder" 2>/dev/null || true
}

# ---------------------------------------------------------------------------------------------- one moment

# Counting waits for the index, pg_dump does not: so the dump is over before the first table is counted.
sql 'CREATE TABLE a (i int PRIMARY KEY); CREATE TABLE z AS SELECT generate_series(1, 100) AS i'
held_by 'REINDEX INDEX a_pkey'
instead pg_dump <<SH2
[ "\$1" = --version ] && exec "\$real/pg_dump" "\$@"
"\$real/pg_dump" "\$@" || exit
psql -qX -d shop -c 'SET lock_timeout = 500' -c 'TRUNCATE z' >"\$work/truncated" 2>&1 || true
psql -qX -d postgres -c "$end_holder" >"\$work/ended"
SH2
do_it backup options='{"verify":"restore"}' || fail "a backup while a table is emptied"
mend pg_dump
wait "$holder" 2>/dev/null || true
grep -q '100 rows of 2 tables' "$work/out" || fail "the counts are not those of the dump"
grep -q 'lock timeout' "$work/truncated" || fail "a table was emptied while it was backed up"
ok "no table is emptied between the dump and its counts"

# One that was listed and is gone when it is to be locked.
sql 'CREATE TABLE goes (i int)'
held_by 'DROP TABLE goes; CREATE TABLE comes AS SELECT 1 AS i' 3
do_it backup options='{"verify":"restore"}' || fail "a backup while a table goes and another comes"
wait "$holder" || fail "the table was not dropped: $(cat "$work/holder")"
grep -q '101 rows of 3 tables' "$work/out" || fail "not the tables of one moment"
sql 'DROP TABLE comes'
ok "a table that goes and one that comes"

held_by 'LOCK TABLE z IN ACCESS EXCLUSIVE MODE'
refused backup.locked backup options='{"lock_timeout":1}'
let_go
grep -q 'public.z: holder of tester (pid [0-9]*) holds an ACCESS EXCLUSIVE lock' "$work/out" || fail "who holds the lock is not told"
[ "$(find "$dir" -name '.*')" = '' ] || fail "something is left: $(files)"
ok "who holds a table is told"

# ---------------------------------------------------------------------------------------------- bounds of a role

# To gather statistics of the index takes a second.
sql "CREATE FUNCTION slowly(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i FROM pg_catalog.pg_sleep(1)';
  CREATE TABLE slow AS SELECT 1 AS i; CREATE INDEX ON slow (slowly(i))"
for bound in statement_timeout lock_timeout idle_in_transaction_session_timeout idle_session_timeout; do
  sql "ALTER ROLE tester SET $bound = '500ms'"
done
if ! do_it backup options='{"verify":"restore"}' || ! do_it restore path="$(newest)"; then
  PGOPTIONS='-c statement_timeout=0' db=postgres sql 'ALTER ROLE tester RESET ALL'
  fail "the role's bounds end it"
fi
do_it drop_kept || fail "dropping"
PGOPTIONS='-c statement_timeout=0' db=postgres sql 'ALTER ROLE tester RESET ALL'
sql 'DROP TABLE slow; DROP FUNCTION slowly'
ok "a role with a statement_timeout and the like"

# ---------------------------------------------------------------------------------------------- subscriptions and slots

# drop_subscription DATABASE
drop_subscription() {
  for statement in 'ALTER SUBSCRIPTION subs SET (slot_name = NONE)' 'DROP SUBSCRIPTION subs'; do db=$1 sql "$statement"; done
}
one_like() { db=postgres sql "SELECT datname FROM pg_database WHERE datname ~ '^deployrun_$1'"; }

sql "SET client_min_messages = error; CREATE PUBLICATION pubs FOR TABLE z;
  CREATE SUBSCRIPTION subs CONNECTION 'host=127.0.0.1 dbname=nosuch' PUBLICATION p WITH (connect = false)"
do_it backup options='{"verify":"restore"}' || fail "a backup of a subscriber"
[ "$(databases)" = 'postgres shop' ] || fail "the scratch database is left: $(databases)"
# One that cannot be dropped, of a run that was killed two hours ago.
left=deployrun_scratch_20200101000000000_shop
createdb $left
db=$left sql "SET client_min_messages = error;
  CREATE SUBSCRIPTION subs CONNECTION 'host=127.0.0.1 dbname=nosuch' PUBLICATION p WITH (connect = false)"
do_it restore path="$(newest)" || fail "a restore of a subscriber"
grep -q "warning: $left could not be dropped: .*subscription" "$work/out" || fail "what is left is not told"
grep -q 'the subscription subs is not restored' "$work/out" || fail "that there was a subscription is not told"
[ "$(sql "SELECT pubname FROM pg_publication")" = pubs ] || fail "the publication is lost"
kept=$(one_like kept)
drop_subscription $left
refused backup.in_use drop_kept
grep -q "$kept was not dropped: it still has the subscription subs" "$work/out" || fail "what is in the way is not told"
drop_subscription "$kept"
db=$kept sql "SELECT pg_create_logical_replication_slot('slot1', 'test_decoding')" >"$work/slot"
refused backup.in_use drop_kept
grep -q "$kept was not dropped: it still has the logical replication slot slot1" "$work/out" || fail "the slot is not told"
[ "$(one_like kept)" = "$kept" ] || fail "it was dropped, and its slot with it"
db=postgres sql "SELECT pg_drop_replication_slot('slot1')" >"$work/slot"
psql -qX -d "$kept" -c 'SELECT pg_sleep(60)' >"$work/client" 2>&1 &
client=$!
until_true "the client did not connect" is 1 "SELECT count(*) FROM pg_stat_activity WHERE datname = '$kept'"
refused backup.in_use drop_kept
grep -q "$kept could not be dropped: .*accessed by other users" "$work/out" || fail "what could not be dropped is not told"
db=postgres sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '$kept'" >"$work/ended"
wait $client || true
do_it drop_kept || fail "dropping"
[ "$(databases)" = 'postgres shop' ] || fail "not what was to be dropped: $(databases)"

# A restore that fails, and whose new database cannot be dropped then.
instead pg_restore <<'SH2'
[ "$1" = --version ] && exec "$real/pg_restore" "$@"
for word; do last=$word; done
psql -qX -d "${last##*dbname=}" -c "CREATE SUBSCRIPTION subs CONNECTION 'dbname=nosuch' PUBLICATION p WITH (connect = false)"
exit 1
SH2
refused backup.restore restore path="$(newest)"
mend pg_restore
left=$(one_like restoring)
grep -q "Hint .*$left could not be dropped: .*subscription" "$work/out" || fail "what is left is not told"
drop_subscription "$left"
do_it drop_kept || fail "dropping"
sql 'DROP PUBLICATION pubs'
ok "subscriptions are left out, and what is left says why"

# ---------------------------------------------------------------------------------------------- event triggers

sql "CREATE TABLE audit (tag text); CREATE MATERIALIZED VIEW sums AS SELECT sum(i) FROM z;
  CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.audit VALUES (tg_tag); END';
  CREATE EVENT TRIGGER noting ON ddl_command_end EXECUTE FUNCTION note()"
do_it backup options='{"verify":"restore"}' || fail "a backup with an event trigger"
do_it restore path="$(newest)" || fail "a restore with an event trigger"
[ "$(sql 'SELECT count(*) FROM audit')" = 0 ] || fail "it fired while it was restored"
sql 'CREATE TABLE seen (i int)'
[ "$(sql 'SELECT count(*) FROM audit')" = 1 ] || fail "it does not fire any more"
do_it drop_kept || fail "dropping"
sql 'DROP EVENT TRIGGER noting; DROP FUNCTION note; DROP TABLE audit, seen; DROP MATERIALIZED VIEW sums'
ok "event triggers do not fire at a restore"

# ---------------------------------------------------------------------------------------------- what a database has

mkdir "$PG_FOLDER/ts1"
chown --reference="$PG_FOLDER/data" "$PG_FOLDER/ts1"
db=postgres sql "CREATE TABLESPACE ts1 LOCATION '$PG_FOLDER/ts1'"
db=postgres sql 'ALTER DATABASE shop SET TABLESPACE ts1'
sql "ALTER DATABASE shop SET search_path = 'we,ird', 'a \"b\"', '\$user', public, 'Café', '';
  ALTER DATABASE shop SET temp_tablespaces = ''; ALTER DATABASE shop SET DateStyle = 'ISO, DMY'"
about() {
  db=postgres sql "SELECT spcname, setconfig FROM pg_database d JOIN pg_tablespace t ON t.oid = dattablespace
    LEFT JOIN pg_db_role_setting s ON s.setdatabase = d.oid WHERE datname = '$1'"
}
before=$(about shop)
do_it backup || fail "a backup"
do_it restore path="$(newest)" || fail "a restore"
[ "$(about shop)" = "$before" ] || fail "$(about shop) is not $before"
do_it drop_kept || fail "dropping"
db=postgres sql 'ALTER DATABASE shop SET TABLESPACE pg_default'
db=postgres sql 'DROP TABLESPACE ts1'
do_it restore path="$(newest)" || fail "a restore where there is no such tablespace"
do_it drop_kept || fail "dropping"
db=postgres sql 'ALTER DATABASE shop RESET ALL'
ok "its tablespace, and lists with odd names"

# ---------------------------------------------------------------------------------------------- prepared transactions

sql "BEGIN; INSERT INTO z VALUES (0); PREPARE TRANSACTION 'p1'"
do_it backup || fail "a backup"
for options in '{}' '{"disconnect":true}'; do
  refused backup.in_use restore path="$(newest)" options="$options"
  grep -q "the prepared transaction 'p1' of tester (shop)" "$work/out" || fail "$options: the transaction is not told"
  ! grep -q 'say disconnect' "$work/out" || fail "$options: disconnecting does not help"
done
sql "ROLLBACK PREPARED 'p1'"
do_it drop_kept || fail "dropping"
ok "a prepared transaction is told"

# ---------------------------------------------------------------------------------------------- a name from the environment

unnamed() { PGDATABASE=shop do_it "$@" db=; }
unnamed restore path="$(newest)" options='{"swap":false}' || fail "a restore"
unnamed swap_in path="$(one_like restoring)" || fail "swapping in"
unnamed kept || fail "the list"
grep -q '"kind":"kept"' "$work/out" || fail "what was kept is not listed"
unnamed drop_kept || fail "dropping"
[ "$(databases)" = 'postgres shop' ] || fail "not what was to be dropped: $(databases)"
ok "the database that PGDATABASE names"

# ---------------------------------------------------------------------------------------------- our own sessions

cat >"$work/asks.lua" <<LUA
return recipe { name = "asks", run = function()
  local db = postgres { host = "127.0.0.1", port = "$PGPORT", user = "$PGUSER", password = "$password", dbname = "shop" }
  log(db:query("select 1"):value())
  db:restore("$(newest)")
end }
LUA
"$DEPLOYRUN" "$work/asks.lua" >"$work/out" 2>&1 </dev/null || fail "our own session is in the way"
do_it drop_kept || fail "dropping"
ok "a run that has asked the database before"

# ---------------------------------------------------------------------------------------------- no superuser

db=postgres sql "SET client_min_messages = error; DROP ROLE IF EXISTS plain;
  CREATE ROLE plain LOGIN CREATEDB PASSWORD '$password'"
createdb -O plain plains
PGUSER=plain db=plains sql 'CREATE TABLE mine AS SELECT 1 AS i'
PGUSER=plain write_recipe
do_it backup db=plains dir="$work/plains" options='{"verify":"restore"}' || fail "a backup"
do_it restore db=plains path="$(echo "$work"/plains/*.json)" || fail "a restore"
do_it drop_kept db=plains || fail "dropping"
write_recipe
[ "$(db=plains sql 'SELECT count(*) FROM mine')" = 1 ] || fail "it was not restored"
dropdb plains
db=postgres sql 'DROP ROLE plain'
ok "a role that is no superuser"
