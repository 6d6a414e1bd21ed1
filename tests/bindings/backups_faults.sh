#!/bin/sh
# backups_faults.sh - what can go wrong with a backup and a restore: damaged files, programs that are killed, too old or
# lie, a full disk here and on the server, a server that goes away, interrupts. Each is noticed before anything is
# restored or an older backup is removed, has its own code and a hint, and leaves nothing behind.
set -eu
# Mounts that nobody else sees, gone with the test.
if [ "${1-}" != inside ]; then
  if [ "$(id -u)" = 0 ]; then exec unshare -m sh "$0" inside; else exec unshare -Urm sh "$0" inside; fi
fi
mount --make-rprivate / 2>/dev/null || true
. "$DEPLOYRUN_SOURCE_DIR/tests/bindings/backups_world.sh"
begin_world --no-fsync
make_shop

# ---------------------------------------------------------------------------------------------- a damaged backup

do_it backup || fail "the backup"
good=$(newest)
rows=$(sql 'SELECT count(*) FROM public.orders')

# damaged CODE WHAT: the copy in $work/bad is neither verified nor restored, and nothing on the server has changed.
damaged() {
  refused "$1" verify_backup path="$bad"
  refused "$1" restore path="$bad" options='{"disconnect":true}'
  [ "$(databases)" = 'postgres shop' ] || fail "$2: a database was made: $(databases)"
  [ "$(sql 'SELECT count(*) FROM public.orders')" = "$rows" ] || fail "$2: the database that is served has changed"
  ok "$2"
}

# fresh: a copy of the good one.
bad=$work/bad/shop-20260101T000000Z
fresh() {
  rm -rf "$work/bad"
  mkdir -p "$work/bad"
  for ending in dump.zst globals.sql json; do cp "$good.$ending" "$bad.$ending"; done
}
size=$(stat -c %s "$good.dump.zst")

fresh; truncate -s $((size / 2)) "$bad.dump.zst"; damaged backup.truncated "half of the file"
fresh; truncate -s $((size - 1)) "$bad.dump.zst"; damaged backup.truncated "the last byte cut off"
fresh; truncate -s 0 "$bad.dump.zst"; damaged backup.truncated "an empty file"
fresh; printf more >>"$bad.dump.zst"; damaged backup.corrupt "bytes after the end"
fresh; rm "$bad.dump.zst"; damaged backup.missing "no dump"
fresh; rm "$bad.json"; damaged backup.no_manifest "no manifest"
fresh; rm "$bad".*; damaged backup.not_found "no backup at all"
fresh; : >"$bad.json"; damaged backup.manifest "an empty manifest"
fresh; sed -i 's/"rows": 100/"rows": 99/' "$bad.json"; damaged backup.manifest "an edited manifest"
fresh; rm "$bad.globals.sql"; damaged backup.missing "no globals"
fresh; sed -i 's/reader/riader/' "$bad.globals.sql"; damaged backup.corrupt "other globals"

# flip FILE PLACE: one bit of one byte.
flip() { python3 -c '
import sys
with open(sys.argv[1], "r+b") as file:
    file.seek(int(sys.argv[2])); byte = file.read(1)[0]; file.seek(int(sys.argv[2])); file.write(bytes([byte ^ 4]))' "$1" "$2"; }
for place in 5 $((size / 2)) $((size - 1)); do
  fresh; flip "$bad.dump.zst" "$place"; damaged backup.corrupt "byte $place of the compressed file"
done

# reseal [EXPRESSION]: makes the manifest fit what the files are, as somebody would who hides a change; `m` is it.
reseal() {
  zstd -dcq "$bad.dump.zst" >"$work/plain"
  python3 - "$bad" "$work/plain" "${1:-pass}" <<'PY'
import hashlib, json, sys
path, plain, change = sys.argv[1:4]
m = json.load(open(path + ".json"))
packed, plain = open(path + ".dump.zst", "rb").read(), open(plain, "rb").read()
m["seconds"] = 1
m["archive"] = {"bytes": len(packed), "sha256": hashlib.sha256(packed).hexdigest(), "plain_bytes": len(plain),
                "plain_sha256": hashlib.sha256(plain).hexdigest()}
exec(change)
m.pop("seal")
m["seal"] = hashlib.sha256(json.dumps(m, separators=(",", ":"), sort_keys=True).encode()).hexdigest()
json.dump(m, open(path + ".json", "w"))
PY
}

# A byte of the archive itself, packed again: the file is a whole zstd stream, but not what was written.
fresh
zstd -dcq "$good.dump.zst" >"$work/plain"
flip "$work/plain" "$(grep -abo -m 1 'customer 50' "$work/plain" | head -n 1 | cut -d: -f1)"
zstd -q -f "$work/plain" -o "$bad.dump.zst"
reseal 'm["archive"]["plain_sha256"] = "0" * 64'
damaged backup.corrupt "a byte of the archive, compressed again"

# Half an archive in a whole file with a manifest that fits: only who reads all of it notices.
fresh
zstd -dcq "$good.dump.zst" | head -c $(($(stat -c %s "$work/plain") / 2)) | zstd -q -f -o "$bad.dump.zst"
reseal
zstd -dcq "$bad.dump.zst" | "$real/pg_restore" --list >/dev/null || fail "pg_restore --list was to accept it"
refused backup.unreadable verify_backup path="$bad"
refused backup.restore restore path="$bad"
[ "$(databases)" = 'postgres shop' ] || fail "the new database is left: $(databases)"
ok "half an archive, which pg_restore --list accepts"

fresh; reseal 'm["tables"][0]["rows"] += 1'
do_it verify_backup path="$bad" || fail "reading alone does not count"
refused backup.counts verify_backup path="$bad" options='{"verify":"restore"}'
refused backup.counts restore path="$bad"
[ "$(databases)" = 'postgres shop' ] || fail "the new database is left: $(databases)"
do_it verify_backup path="$bad" || fail "it can still be read"
do_it backups dir="$work/bad" || fail "the list"
grep '"ok":false' "$work/out" | grep -q '"problem":"backup.counts"' || fail "the list says that it can be used"
ok "rows that are not there, which is remembered"

fresh; reseal 'm["server"] = "16.1"'
refused backup.older_server restore path="$bad"
ok "a backup of a later server"
fresh; reseal 'm["pg_dump"] = "16.1"'
refused backup.old_pg_restore verify_backup path="$bad"
refused backup.old_pg_restore restore path="$bad"
ok "a backup of a later pg_dump"

# An error in the middle of a restore ends it.
createdb wants_role
db=wants_role sql 'SET client_min_messages = error; DROP ROLE IF EXISTS gone; CREATE ROLE gone; CREATE TABLE t (a int); GRANT SELECT ON t TO gone'
do_it backup db=wants_role dir="$work/roles" || fail "a backup of another database"
db=wants_role sql 'REVOKE ALL ON t FROM gone; DROP ROLE gone'
role=$(echo "$work"/roles/*.dump.zst)
refused backup.restore restore path="$role" db=wants_role
grep -q 'role "gone" does not exist' "$work/out" || fail "pg_restore's words are not shown"
[ "$(databases)" = 'postgres shop wants_role' ] || fail "the new database is left: $(databases)"
do_it restore path="$role" db=wants_role options='{"owners":false}' || fail "without owners and grants"
do_it drop_kept db=wants_role || fail "dropping"
dropdb wants_role
ok "a role that does not exist"

# ---------------------------------------------------------------------------------------------- while it is made

before=$(files)

# nothing_left WHAT: the folder is as it was, and no session of a backup is left on the server.
nothing_left() {
  [ "$(files)" = "$before" ] || fail "$1: something is left: $(files)"
  until_true "$1: a session is left" is 0 "SELECT count(*) FROM pg_stat_activity WHERE application_name ~ 'deployrun|pg_'"
  [ "$(databases)" = 'postgres shop' ] || fail "$1: a database is left: $(databases)"
  ok "$1"
}

instead pg_dump <<'SH'
[ "$1" = --version ] && { echo 'pg_dump (PostgreSQL) 14.9'; exit 0; }
touch "$work/dumped"
SH
refused backup.old_pg_dump backup options='{"keep":1}'
[ ! -e "$work/dumped" ] || fail "an old pg_dump was run"
nothing_left "an older pg_dump"

instead pg_dump <<'SH'
echo 'something else'
SH
refused backup.old_pg_dump backup
nothing_left "a pg_dump that does not tell its version"

instead pg_dump <<'SH'
[ "$1" = --version ] && exec "$real/pg_dump" "$@"
"$real/pg_dump" "$@" | head -c 200000
kill -KILL $$
SH
refused backup.program backup options='{"keep":1}'
grep -q 'ended by signal KILL' "$work/out" || fail "the signal is not named"
nothing_left "a pg_dump that is killed"

instead pg_dump <<'SH'
[ "$1" = --version ] && exec "$real/pg_dump" "$@"
"$real/pg_dump" "$@" | head -c 200000
SH
refused backup.unreadable backup options='{"keep":1}'
nothing_left "a pg_dump whose pipe was broken, and that says that all is well"

instead pg_dump <<'SH'
[ "$1" = --version ] && exec "$real/pg_dump" "$@"
"$real/pg_dump" "$@" --exclude-table-data=public.orders
SH
refused backup.counts backup options='{"keep":1,"verify":"restore"}'
grep -q 'public.orders has 0 rows and had 20000' "$work/out" || fail "the table is not named"
[ -e "$(newest).json" ] || fail "it may be wanted: it was read well"
short=$(newest)
mend pg_dump
do_it backup options='{"keep":2}' || fail "the backup after it"
[ -e "$good.json" ] || fail "what a rehearsal refuted counted, and a good one went for it"
rm -f "$(newest)".* "$short".*
nothing_left "a dump that leaves rows out, which a rehearsal finds"

instead pg_dumpall <<'SH'
echo 'no such right' >&2
exit 1
SH
refused backup.program backup
nothing_left "globals that may not be read"
mend pg_dumpall

instead pg_dump <<'SH'
exit 127
SH
refused backup.no_program backup
mend pg_dump
nothing_left "no pg_dump"

refused postgres.no_database backup db=nonexistent
refused backup.folder backup dir="$work/r.lua"
refused backup.folder backup dir="$work/r.lua/below"
nothing_left "no database, no folder"

# A table that another session holds.
psql -qX -d shop -c 'BEGIN; LOCK TABLE public.orders IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)' >/dev/null 2>&1 &
holder=$!
until_true "the table was not locked" is 1 "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted"
refused backup.locked backup options='{"lock_timeout":1}'
kill $holder
wait $holder 2>/dev/null || true
sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ 'LOCK TABLE' AND pid <> pg_backend_pid()" >/dev/null
nothing_left "a table that is locked"

# ---------------------------------------------------------------------------------------------- a full disk

mkdir "$work/small"
mount -t tmpfs -o size=256k tmpfs "$work/small"
refused backup.no_space backup dir="$work/small/b" options='{"keep":1}'
[ "$(find "$work/small" -type f | wc -l)" -eq 0 ] || fail "something is left on the full disk"
nothing_left "a disk that is full while it is dumped"
# The dump just fits, what comes after it does not.
umount "$work/small"
pages=$(((size + 4095) / 4096))
mount -t tmpfs -o "size=$(((pages + 1) * 4))k" tmpfs "$work/small"
refused backup.no_space backup dir="$work/small/b"
[ "$(find "$work/small" -type f | wc -l)" -eq 0 ] || fail "something is left on the full disk"
nothing_left "a disk that is full while the manifest is written"
umount "$work/small"

# ---------------------------------------------------------------------------------------------- interrupts

# held PROGRAM: stops in the middle, until $work/go is there.
held() {
  rm -f "$work/go" "$work/held"
  instead "$1" <<'SH'
program=$real/$(basename "$0")
case $1 in --version) exec "$program" "$@" ;; esac
trap 'exit 143' TERM
touch "$work/held"
while [ ! -e "$work/go" ]; do sleep 0.05; done
exec "$program" "$@"
SH
}

# begin VERB …: the recipe in the background, until the program is held.
begin() {
  verb=$1
  shift
  "$DEPLOYRUN" "$work/r.lua" "verb=$verb" "$@" >"$work/out" 2>&1 </dev/null &
  run=$!
  until_true "$verb: the program was not begun" test -e "$work/held"
}

# ended STATUS
ended() {
  until_true "it goes on" gone "$run"
  status=0
  wait "$run" || status=$?
  run=
  [ "$status" -eq "$1" ] || fail "exit status $status, not $1"
}

for verb in backup verify_backup restore; do
  program=pg_restore
  if [ $verb = backup ]; then program=pg_dump; fi
  held $program
  begin $verb path="$good"
  kill -INT "$run"
  ended 130
  mend $program
  nothing_left "an interrupt of $verb"
done
held pg_dumpall
begin backup
kill -INT "$run"
ended 130
mend pg_dumpall
nothing_left "an interrupt while the roles are dumped"
held pg_restore
begin verify_backup path="$good" options='{"verify":"restore","timeout":1}'
ended 1
mend pg_restore
grep -q '(backup.timeout)' "$work/out" || fail "not backup.timeout"
nothing_left "a bound that passes"

# At any other moment: between programs, in a query, while files are brought to the disk or databases are renamed.
for tenths in 2 5 8 11 14 17; do
  for verb in backup restore; do
    options='{"disconnect":true}'
    if [ $verb = backup ]; then options='{"verify":"restore"}'; fi
    "$DEPLOYRUN" "$work/r.lua" verb=$verb path="$good" options="$options" >"$work/out" 2>&1 </dev/null &
    run=$!
    sleep "$((tenths / 10)).$((tenths % 10))"
    kill -INT "$run" 2>/dev/null || true
    until_true "it goes on" gone "$run"
    status=0
    wait "$run" || status=$?
    run=
    case $status in 0 | 130) ;; *) fail "an interrupt of $verb after 0.1 s × $tenths: exit status $status" ;; esac
    ! databases | grep -qE 'restoring|scratch' || fail "$verb interrupted after 0.1 s × $tenths: $(databases)"
    [ "$(sql 'SELECT count(*) FROM public.orders')" = "$rows" ] || fail "the database that is served has changed"
  done
done
for left in "$dir"/*.json; do do_it verify_backup path="$left" || fail "a backup of an interrupted run is bad"; done
do_it drop_kept || fail "dropping"
(cd "$dir" && find . -type f ! -name "$(basename "$good").*" -delete)
nothing_left "interrupts at other moments"

# Nothing can be taken away by one that is killed: the next backup does it.
held pg_dump
begin backup
kill -KILL "$run"
wait "$run" 2>/dev/null || true
run=
[ "$(files)" != "$before" ] || fail "there was nothing to be left"
touch "$work/go"
mend pg_dump
do_it backup || fail "the next backup"
rm -f "$(newest)".*
nothing_left "a run that is killed"

# ---------------------------------------------------------------------------------------------- the server goes away

held pg_dump
begin backup
sh "$testbed/postgres.sh" pause "$PGPORT"
touch "$work/go"
ended 1
grep -qE '\((backup.program|postgres.lost)\)' "$work/out" || fail "neither backup.program nor postgres.lost"
mend pg_dump
sh "$testbed/postgres.sh" resume "$PGPORT"
nothing_left "a server that goes away while it is dumped"

held pg_restore
begin restore path="$good"
sh "$testbed/postgres.sh" pause "$PGPORT"
touch "$work/go"
ended 1
mend pg_restore
sh "$testbed/postgres.sh" resume "$PGPORT"
[ "$(sql 'SELECT count(*) FROM public.orders')" = "$rows" ] || fail "the database that is served has changed"
do_it drop_kept || fail "dropping what could not be dropped"
nothing_left "a server that goes away while it restores"

# ---------------------------------------------------------------------------------------------- the server's disk is full

sh "$testbed/postgres.sh" pause "$PGPORT"
data=$PG_FOLDER/data/base
cp -a "$data" "$work/base"
# An empty database takes little at first: it is made of files with holes.
mount -t tmpfs -o "size=$(($(du -sk "$data" | cut -f1) + 1500))k" tmpfs "$data"
cp -a "$work/base/." "$data"
chown --reference="$work/base" "$data"
chmod 700 "$data"
sh "$testbed/postgres.sh" resume "$PGPORT"
if do_it restore path="$good"; then fail "a full disk of the server: it is restored"; fi
grep -qE '\((backup.restore|postgres.disk_full)\)' "$work/out" || fail "neither backup.restore nor postgres.disk_full"
grep -qE 'No space left|could not (extend|write)' "$work/out" || fail "the server's words are not shown"
[ "$(sql 'SELECT count(*) FROM public.orders')" = "$rows" ] || fail "the database that is served has changed"
nothing_left "a full disk of the server"
