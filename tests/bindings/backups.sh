#!/bin/sh
# backups.sh - backups of a real server that go well: what is in them, that they are verified, what is kept, that they
# are restored and that a restore can be taken back; that a dry run changes nothing, and that no password is seen.
set -eu
. "$DEPLOYRUN_SOURCE_DIR/tests/bindings/backups_world.sh"
begin_world --no-fsync
make_shop

# ---------------------------------------------------------------------------------------------- a dry run

do_it backup options='{"keep":2,"verify":"restore"}' --dry-run || fail "the dry run fails"
grep -q 'pg_dump --format=custom --compress=0' "$work/out" || fail "the plan does not show pg_dump"
grep -q 'destructive, irreversible' "$work/out" || fail "the plan does not say that something is removed"
[ ! -e "$dir" ] || fail "a dry run made the folder"
[ "$(databases)" = 'postgres shop' ] || fail "a dry run made a database"
ok "a dry run changes nothing"

# ---------------------------------------------------------------------------------------------- a backup

# Each program tells how it was called, and what is in its environment.
for program in pg_dump pg_dumpall pg_restore; do
  instead $program <<'SH'
{ printf '%s\n' "$0" "$@"; tr '\0' '\n' </proc/self/environ; stat -c %a "${PGPASSFILE:-/dev/null}"; } >>"$work/seen"
exec "$real/$(basename "$0")" "$@"
SH
done
unset PGPASSWORD
do_it backup options='{"verify":"restore"}' || fail "the backup fails"
path=$(newest)
for program in pg_dump pg_dumpall pg_restore; do grep -q "/$program\$" "$work/seen" || fail "$program was not run"; mend $program; done
! grep -q "$password" "$work/seen" || fail "the password is in a command line or an environment"
grep -q '^PGPASSFILE=/proc/' "$work/seen" || fail "the programs were given no password file"
! grep -rq "$password" "$XDG_STATE_HOME" "$dir" "$work/out" || fail "the password is in the journal, the output or the backup"
ok "a backup, and no password is seen"

[ "$(stat -c %a "$dir")" = 700 ] || fail "the folder is open to others"
for ending in dump.zst globals.sql json; do [ "$(stat -c %a "$path.$ending")" = 600 ] || fail "$ending is open to others"; done
[ "$(find "$dir" -type f | wc -l)" -eq 3 ] || fail "there is more than the backup: $(files)"
python3 - "$path" <<'PY' || fail "the manifest"
import hashlib, json, sys
path = sys.argv[1]
known = json.load(open(path + ".json"))
dump, roles = open(path + ".dump.zst", "rb").read(), open(path + ".globals.sql", "rb").read()
assert known["archive"]["sha256"] == hashlib.sha256(dump).hexdigest()
assert known["archive"]["bytes"] == len(dump) < known["archive"]["plain_bytes"]
assert known["globals"]["sha256"] == hashlib.sha256(roles).hexdigest()
assert known["database"] == "shop" and known["server"].startswith("15.") and known["pg_dump"].startswith("15.")
assert "@" in known["by"] and known["cluster"].isdigit() and known["verified"]["how"] == "restore"
rows = {table["schema"] + "." + table["name"]: table["rows"] for table in known["tables"]}
assert rows == {"public.customers": 100, "public.orders": 20000, 'Odd "one.select': 2, "public.base": 1, "public.heir": 2,
                "public.parts_1": 10}, rows
assert b"CREATE ROLE reader" in roles and b"PASSWORD" not in roles
PY
ok "the manifest says what is in it"

# The files are what everybody's tools read.
zstd -dcq "$path.dump.zst" | "$real/pg_restore" --list | grep -q 'TABLE DATA public orders' || fail "pg_restore does not read it"
[ "$(databases)" = 'postgres shop' ] || fail "the scratch database is left"
ok "the scratch database is gone"

do_it backup options='{"verify":false,"role_passwords":true}' || fail "with the roles' passwords"
grep -q "PASSWORD 'SCRAM" "$(newest).globals.sql" || fail "the roles' passwords were asked for"
rm -f "$(newest)".*
do_it backup options='{"verify":false,"globals":false}' || fail "without globals"
[ ! -e "$(newest).globals.sql" ] || fail "globals were not wanted"
do_it verify_backup path="$(newest).json" || fail "verifying by the manifest's name"
rm -f "$(newest)".*
ok "roles with and without their passwords"

# Rows that come while it is dumped are in neither the dump nor the counts.
instead pg_dump <<'SH'
[ "$1" = --version ] || psql -qX -d shop -c "INSERT INTO public.customers (name) VALUES ('late')"
exec "$real/pg_dump" "$@"
SH
do_it backup options='{"verify":"restore"}' || fail "a backup under writes"
mend pg_dump
grep -q '20115 rows' "$work/out" || fail "the counts are not those of the snapshot"
ok "rows are counted in the dump's snapshot"

do_it backup dir="$work/not/yet/there" options='{"verify":false}' || fail "a folder whose parents are missing"
[ "$(stat -c %a "$work/not/yet/there")" = 700 ] || fail "the folder is open to others"
rm -rf "$work/not"
ok "the folder is made, with those above it"

# ---------------------------------------------------------------------------------------------- retention

echo mine >"$dir/shop-notes.txt"
echo '{"mine": 1}' >"$dir/shop-notes.json"
echo partial >"$dir/.shop-20200101T000000Z.dump.zst.part"
old=$(newest)
# Two backups that were never verified count for nothing, and stay, being newer than those that count.
for _ in 1 2; do do_it backup options='{"verify":false}' || fail "a backup"; done
[ ! -e "$dir/.shop-20200101T000000Z.dump.zst.part" ] || fail "what a killed run left is still there"
do_it backup options='{"keep":3}' || fail "a backup with retention"
[ "$(find "$dir" -name '*.dump.zst' | wc -l)" -eq 5 ] || fail "too much was removed: $(files)"
do_it backup options='{"keep":2}' || fail "a backup with retention"
[ "$(find "$dir" -name '*.dump.zst' | wc -l)" -eq 2 ] || fail "not what was to be kept: $(files)"
[ ! -e "$old.dump.zst" ] || fail "the oldest is still there"
for notes in txt json; do [ -e "$dir/shop-notes.$notes" ] || fail "somebody's file is gone"; done
# One that was damaged later does not count any more.
first=$(find "$dir" -name 'shop-2*.json' | sort | head -n 1)
printf x | dd of="${first%.json}.dump.zst" bs=1 seek=100 conv=notrunc 2>/dev/null
do_it backup options='{"keep":2}' || fail "a backup with retention"
[ "$(find "$dir" -name '*.dump.zst' | wc -l)" -eq 2 ] || fail "the newest two are right: $(files)"
[ ! -e "$first" ] || fail "the damaged one, older than two that are right, is still there"
second=$(find "$dir" -name 'shop-2*.json' | sort | head -n 1)
printf x | dd of="${second%.json}.dump.zst" bs=1 seek=100 conv=notrunc 2>/dev/null
do_it backup options='{"keep":3}' || fail "a backup with retention"
[ -e "$second" ] || fail "only two are right and one was removed"
do_it backups || fail "the list"
ok "only what is older than enough verified backups is removed, and nothing that is not known"
rm -f "${second%.json}".*

# ---------------------------------------------------------------------------------------------- restoring

grants() { db=postgres sql "SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM pg_database, unnest(datacl) a WHERE datname = '$1'"; }
path=$(newest)
sql "INSERT INTO public.customers (name) VALUES ('after the backup')"
now=$(sql 'SELECT count(*) FROM public.customers')
psql -qX -d shop -c 'SELECT pg_sleep(600)' >"$work/client" 2>&1 &
client=$!
until_true "the client did not connect" is 1 "SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop'"
do_it restore path="$path.dump.zst" --dry-run || fail "the dry run of a restore"
grep -q 'downtime, destructive' "$work/out" || fail "the plan does not say that it is downtime"
[ "$(databases)" = 'postgres shop' ] || fail "a dry run made a database"
refused backup.in_use restore path="$path.dump.zst"
grep -q 'psql of tester' "$work/out" || fail "who is in the way is not told"
[ "$(databases)" = 'postgres shop' ] || fail "it was restored although it could not be swapped in"
do_it restore path="$path.dump.zst" options='{"swap":false}' || fail "a restore without a swap"
ready=$(db=postgres sql "SELECT datname FROM pg_database WHERE datname ~ '^deployrun_restoring'")
refused backup.in_use swap_in path="$ready"
[ "$(sql 'SELECT count(*) FROM public.customers')" = "$now" ] || fail "the database that is served has changed"
do_it drop_kept || fail "dropping what was not swapped in"
[ "$(databases)" = 'postgres shop' ] || fail "it is still there"
ok "sessions are told, and nothing is swapped"

do_it restore path="$path.dump.zst" options='{"disconnect":true}' || fail "the restore"
[ "$(sql 'SELECT count(*) FROM public.customers')" = $((now - 1)) ] || fail "this is not the backup"
wait $client || true
kept=$(db=postgres sql "SELECT datname FROM pg_database WHERE datname ~ '^deployrun_kept_'")
[ "$(db=$kept sql 'SELECT count(*) FROM public.customers')" = "$now" ] || fail "the old one was not kept"
psql -qAtX -d shop -c '\drds' | grep -q 'reader|shop|work_mem=8MB' || fail "a role's setting is lost"
[ "$(sql 'SHOW search_path')" = 'app, public' ] || fail "the database's setting is lost"
[ "$(sql "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'shop'")" = "the shop's own" ] || fail "the comment is lost"
[ "$(grants shop)" = "$(grants "$kept")" ] || fail "the grants are lost: $(grants shop)"
[ "$(sql 'SELECT sum(orders) FROM public.totals')" = 20000 ] || fail "the view is empty"
[ "$(sql 'SELECT count(*) FROM pg_stats WHERE schemaname = '"'public'")" -gt 0 ] || fail "there are no statistics"
ok "a restore takes the old one's place, with its settings"

do_it swap_back path="$kept" || fail "swapping back"
[ "$(sql 'SELECT count(*) FROM public.customers')" = "$now" ] || fail "the old one is not back"
do_it kept || fail "the list of what was kept"
grep -q '"kind":"undone"' "$work/out" || fail "the restored one is not listed"
do_it drop_kept --dry-run || fail "the plan of dropping"
grep -q 'DROP DATABASE "deployrun_undone_' "$work/out" || fail "the plan does not name what is dropped"
createdb deployrun_kept_20200101000000000_other
do_it drop_kept || fail "dropping"
[ "$(databases)" = 'deployrun_kept_20200101000000000_other postgres shop' ] || fail "not what was to be dropped: $(databases)"
dropdb deployrun_kept_20200101000000000_other
ok "a restore is taken back, and what was kept is dropped when that is asked for"

if do_it undo path="$path"; then fail "it was to fail"; fi
grep -q 'on purpose' "$work/out" || fail "the restore with an undo"
[ "$(sql 'SELECT count(*) FROM public.customers')" = "$now" ] || fail "the undo did not swap back"
do_it drop_kept || fail "dropping"
ok "an undo swaps back"

# Into a name that is not there yet, and a longer one than a kept one's name has room for.
long=a-database-with-a-name-that-is-as-long-as-a-name-of-one-may-be-x
do_it restore path="$path" db="${long%-x}" || fail "a restore into a new name"
[ "$(db=${long%-x} sql 'SELECT count(*) FROM public.orders')" = 20000 ] || fail "the new one is not whole"
do_it restore path="$path" db="${long%-x}" || fail "again"
do_it kept db="${long%-x}" || fail "the list"
grep -q '"kind":"kept"' "$work/out" || fail "a long name is not known again"
do_it drop_kept db="${long%-x}" || fail "dropping"
dropdb "${long%-x}"
[ "$(databases)" = 'postgres shop' ] || fail "something is left: $(databases)"
ok "new and long names"

# What a killed rehearsal left is removed by the next; a fresh one is another run's.
createdb deployrun_scratch_20200101000000000_shop
createdb "deployrun_scratch_$(date -u +%Y%m%d%H%M%S%3N)_shop"
createdb deployrun_scratch_20200101000000000_other
do_it verify_backup path="$path" options='{"verify":"restore"}' || fail "a rehearsal"
[ "$(databases | tr ' ' '\n' | grep -c scratch)" -eq 2 ] || fail "not the right leftovers are gone: $(databases)"
ok "leftovers of killed rehearsals"
