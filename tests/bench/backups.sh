#!/bin/sh
# backups.sh - a backup beside plain `pg_dump -Fc` of the same database, one after the other in each round: ratio of the
# times, sizes, and the greatest memory of deployrun's process at two sizes. Measured, not asserted.
#
#   sh tests/bench/backups.sh [--size MIB] [--runs N]     default 2048 and 3
#
# The database is of deployrun_bench's own server (tests/testbed/postgres.sh): orders with numbers, dates, names and
# notes of words, so that it compresses as such tables do (about 3 : 1), and not like one random or constant column.
# $DEPLOYRUN names the command, else build/release. Both sides write to the same folder and sync what they wrote.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
deployrun=${DEPLOYRUN:-$here/build/release/bin/deployrun}
size=2048 runs=3
while [ $# -gt 0 ]; do
  case $1 in
    --size) size=$2; shift 2 ;;
    --runs) runs=$2; shift 2 ;;
    *) echo "backups.sh: there is no option $1" >&2; exit 2 ;;
  esac
done
folder=$(mktemp -d /var/tmp/deployrun-bench.XXXXXX)
PGPORT=
tear_down() {
  [ -z "$PGPORT" ] || sh "$here/tests/testbed/postgres.sh" stop "$PGPORT"
  rm -rf "$folder"
}
trap tear_down EXIT
trap 'exit 130' INT TERM
export XDG_STATE_HOME="$folder/state"
sh "$here/tests/testbed/postgres.sh" start --no-fsync --set max_wal_size=4GB --set autovacuum=off >"$folder/server"
# shellcheck disable=SC1091 # written above
. "$folder/server"
export PGHOST PGPORT PGUSER PGPASSWORD
PATH=/usr/lib/postgresql/15/bin:$PATH

# fill NAME MIB: a database of about that size on the disk.
fill() {
  createdb "$1"
  psql -qX -d "$1" -v rows=$(($2 * 5900)) <<'SQL'
CREATE FUNCTION word() RETURNS text LANGUAGE sql AS $$
  SELECT (ARRAY['table','river','seven','orange','window','garden','paper','letter','market','silver','corner','winter',
    'bridge','common','figure','people'])[1 + floor(random() * 16)] || floor(random() * 300)::int || ' ' $$;
CREATE TABLE orders AS SELECT i AS id, (i::bigint * 7919) % 100000 AS customer,
  timestamp '2024-01-01' + i * interval '37 seconds' AS placed, round((random() * 10000)::numeric, 2) AS total,
  word() || word() || word() || word() || word() || word() || word() || word() || word() || word() || word() AS note
  FROM generate_series(1, :rows) i;
CHECKPOINT;
SQL
}

cat >"$folder/r.lua" <<LUA
return recipe { name = "r", params = { db = param.string {} }, run = function(p)
  local db = postgres { host = "$PGHOST", port = "$PGPORT", user = "$PGUSER", dbname = p.db }
  db:backup { dir = "$folder/backups", globals = false, verify = false }
end }
LUA

cat >"$folder/measure.py" <<'PY'
import glob, os, resource, shutil, statistics, subprocess, sys, time
folder, deployrun, runs, sizes = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]

def timed(command, label):
    """seconds, and the greatest resident memory in MiB of the process and what it waited for"""
    begun = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status: sys.exit(f"{label} failed")
    return time.monotonic() - begun, usage.ru_maxrss / 1024

def plain(db):
    took = timed(["sh", "-c", 'pg_dump -Fc -f "$1" -d "$2" && sync "$1"', "sh", f"{folder}/plain.dump", db], "pg_dump")
    size = os.path.getsize(f"{folder}/plain.dump")
    os.remove(f"{folder}/plain.dump")
    return took[0], size, took[1]

def ours(db):
    took = timed([deployrun, f"{folder}/r.lua", f"db={db}"], "deployrun")
    size = sum(os.path.getsize(file) for file in glob.glob(f"{folder}/backups/*.zst"))
    shutil.rmtree(f"{folder}/backups")
    return took[0], size, took[1]

for db in sizes:
    size = int(subprocess.check_output(["psql", "-qAtX", "-d", db, "-c", f"SELECT pg_database_size('{db}')"]))
    subprocess.check_call(["psql", "-qAtX", "-o", "/dev/null", "-d", db, "-c", "SELECT sum(length(note)) FROM orders"])
    ratios, pairs = [], []
    for _ in range(runs):
        pair = plain(db), ours(db)
        pairs.append(pair)
        ratios.append(pair[1][0] / pair[0][0])
    best = sorted(pairs, key=lambda pair: pair[1][0] / pair[0][0])[len(pairs) // 2]
    print(f"{size / 2**20:6.0f} MiB   pg_dump -Fc {best[0][0]:6.1f} s {best[0][1] / 2**20:6.0f} MiB   "
          f"db:backup {best[1][0]:6.1f} s {best[1][1] / 2**20:6.0f} MiB   ratio {statistics.median(ratios):.2f} "
          f"({min(ratios):.2f} to {max(ratios):.2f})   memory {max(pair[1][2] for pair in pairs):.0f} MiB", flush=True)
PY

fill small $((size / 16 + 1))
fill large "$size"
python3 "$folder/measure.py" "$folder" "$deployrun" "$runs" small large
