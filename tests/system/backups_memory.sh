#!/bin/sh
# backups_memory.sh - allocations of the command fail, one in each run, while it backs up, verifies and restores a real
# database: never a crash, never a hang, no file that looks like a backup after a failure, the database that is served
# as it was. Argument: the library that makes them fail, see failing_malloc.c. Not with a sanitizer, which has a malloc
# of its own.
set -eu
library=$1
[ -f "$library" ] || { echo "FAILED: there is no $library"; exit 1; }
if ldd "$DEPLOYRUN" | grep -qE 'lib(a|t)san'; then
  echo "left out: this build has a sanitizer's malloc"
  exit 0
fi
. "$DEPLOYRUN_SOURCE_DIR/tests/bindings/backups_world.sh"
begin_world --no-fsync
createdb shop
sql 'CREATE TABLE orders AS SELECT i FROM generate_series(1, 100) i'

# sweep STEP VERB [NAME=VALUE…]: every STEP-th allocation.
sweep() {
  step=$1 verb=$2
  shift 2
  FAIL_STEP=$step LD_PRELOAD=$library "$DEPLOYRUN" "$work/r.lua" "verb=$verb" "$@" >"$work/out" 2>&1 || fail "$verb"
  grep -q '^ok up to' "$work/out" || fail "$verb: nothing was swept"
  echo "$verb: $(grep '^ok up to' "$work/out" | sort -n | tail -n 1)"
}

do_it backup || fail "the backup"
path=$(newest)
sweep 397 backup options='{"keep":1000,"verify":"restore"}'
[ -z "$(find "$dir" -name '.*' -type f)" ] || fail "partial files are left: $(files)"
for dump in "$dir"/*.dump.zst; do
  [ -e "${dump%.dump.zst}.json" ] || fail "$dump has no manifest"
  zstd -tq "$dump" || fail "$dump is damaged"
done
ok "every file that is there is a backup"
sweep 397 restore path="$path"
[ "$(sql 'SELECT count(*) FROM orders')" = 100 ] || fail "the database that is served has changed"
ok "the database that is served is whole"
