#!/bin/sh
# backups_memory.sh - allocations of the command fail, one in each run, while it backs up, verifies and restores a real
# database: never a crash, never a hang, no file that looks like a backup after a failure, the database that is served
# as it was. Argument: the library that makes them fail, see failing_malloc.c. Not with a sanitizer, which has a malloc
# of its own.
set -eu
library=$1
# shellcheck source=tests/system/sweep.sh
. "$DEPLOYRUN_SOURCE_DIR/tests/system/sweep.sh"
. "$DEPLOYRUN_SOURCE_DIR/tests/bindings/backups_world.sh"
begin_world --no-fsync
createdb shop
sql 'CREATE TABLE orders AS SELECT i FROM generate_series(1, 100) i'

do_it backup || fail "the backup"
path=$(newest)
sweep backup 397 "$work/r.lua" verb=backup options='{"keep":1000,"verify":"restore"}'
[ -z "$(find "$dir" -name '.*' -type f)" ] || fail "partial files are left: $(files)"
for dump in "$dir"/*.dump.zst; do
  [ -e "${dump%.dump.zst}.json" ] || fail "$dump has no manifest"
  zstd -tq "$dump" || fail "$dump is damaged"
done
ok "every file that is there is a backup"
sweep restore 397 "$work/r.lua" verb=restore path="$path"
[ "$(sql 'SELECT count(*) FROM orders')" = 100 ] || fail "the database that is served has changed"
ok "the database that is served is whole"
swept_well
