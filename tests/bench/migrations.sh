#!/bin/sh
# migrations.sh - what it takes to run many small migrations: deployrun, one psql that runs all files each in a transaction
# of its own, and sqitch. Each round does all of them on a database of its own, one after the other; the ratios are of
# the same round.
#
#   sh tests/bench/migrations.sh [--count N] [--rounds N] [--tools "deployrun psql sqitch"] [--write]
#
# --count    migrations, default 1000
# --write    puts the table into docs/benchmarks.md; else it is printed
#
# Root, on Debian or Ubuntu; installs sqitch when it is missing. $DEPLOYRUN names another build than build/release. The
# server is PostgreSQL 15 with its own settings (fsync on), reached by its socket.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
deployrun=${DEPLOYRUN:-$here/build/release/bin/deployrun}
die() { echo "migrations.sh: $*" >&2; exit 1; }

count=1000 rounds=3 tools='deployrun psql sqitch' write=no
while [ $# -gt 0 ]; do
  case $1 in
    --write) write=yes; shift; continue ;;
    --count | --rounds | --tools) [ $# -gt 1 ] || die "$1 needs a value" ;;
    *) die "there is no option $1" ;;
  esac
  case $1 in --count) count=$2 ;; --rounds) rounds=$2 ;; --tools) tools=$2 ;; esac
  shift 2
done
[ -x "$deployrun" ] || die "$deployrun is not there: cmake --preset release && cmake --build --preset release"

case $tools in
  *sqitch*)
    if ! command -v sqitch >/dev/null || ! perl -e 'use DBD::Pg' 2>/dev/null; then
      echo "migrations.sh: installing with apt-get: sqitch libdbd-pg-perl" >&2
      DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install sqitch libdbd-pg-perl </dev/null >/dev/null ||
        die "apt-get could not install them; after apt-get update it may"
    fi ;;
esac

# /var/tmp: the server's and deployrun's data are synced to a real disk.
work=$(mktemp -d /var/tmp/deployrun-bench.XXXXXX)
chmod 755 "$work"
export DEPLOYRUN_TESTBED="$work/testbed" DEPLOYRUN_TESTBED_USER=$$ XDG_STATE_HOME="$work/state" LC_ALL=C.UTF-8
eval "$(sh "$here/tests/testbed/postgres.sh" start)"
export PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE
trap 'sh "$here/tests/testbed/postgres.sh" stop "$PGPORT"; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The same statements for all: every tenth makes a table, the others add a column, an index or a row to it.
statement() {
  case $(($1 % 10)) in
    1) echo "CREATE TABLE t$(($1 / 10)) (id bigint PRIMARY KEY, name text NOT NULL);" ;;
    5) echo "CREATE INDEX i$1 ON t$(($1 / 10)) (name);" ;;
    8 | 9) echo "INSERT INTO t$(($1 / 10)) (id, name) VALUES ($1, 'x');" ;;
    0) echo "CREATE VIEW v$1 AS SELECT $1 AS n;" ;;
    *) echo "ALTER TABLE t$(($1 / 10)) ADD COLUMN c$1 text;" ;;
  esac
}

write_files() {
  mkdir "$work/m" "$work/sqitch" "$work/sqitch/deploy"
  printf '%%syntax-version=1.0.0\n%%project=bench\n\n' >"$work/sqitch/sqitch.plan"
  printf '[core]\n  engine = pg\n' >"$work/sqitch/sqitch.conf"
  n=0
  while [ "$n" -lt "$count" ]; do
    n=$((n + 1))
    file=$(printf '%04d_step' "$n")
    statement "$n" >"$work/m/$file.up.sql"
    { echo 'BEGIN;'; statement "$n"; echo 'COMMIT;'; } >"$work/sqitch/deploy/$file.sql"
    echo "$file 2026-01-01T00:00:00Z Bench <bench@example.org> # a step" >>"$work/sqitch/sqitch.plan"
    echo "\\i $work/sqitch/deploy/$file.sql"
  done >"$work/all.sql"
  cat >"$work/r.lua" <<LUA
return recipe { name = "bench", run = function() postgres {}:migrate { dir = "$work/m", allow = "breaking" } end }
LUA
}

run_deployrun() { "$deployrun" "$work/r.lua" --quiet; }
run_psql() { psql -qAtX -v ON_ERROR_STOP=1 -f "$work/all.sql"; }
run_sqitch() { (cd "$work/sqitch" && sqitch --quiet deploy "db:pg://$PGUSER@/$PGDATABASE"); }

# Whatever ran it, the database must be the same in the end.
check() {
  found=$(psql -qAtXc "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'public'")
  [ -z "${columns:-}" ] || [ "$columns" = "$found" ] || die "$1 made $found columns, not $columns"
  columns=$found
}

measure() {
  psql -qc "CREATE DATABASE bench_$1_$2"
  PGDATABASE=bench_$1_$2
  psql -qc 'CHECKPOINT'
  began=$(date +%s%N)
  "run_$1" >"$work/out" 2>&1 || { cat "$work/out" >&2; die "$1 failed"; }
  echo "$2 $1 $((($(date +%s%N) - began) / 1000000))" >>"$work/times"
  check "$1"
  PGDATABASE=postgres
}

write_files
round=0
while [ "$round" -lt "$rounds" ]; do
  round=$((round + 1))
  for tool in $tools; do measure "$tool" "$round"; done
  # Another order in the next round.
  # shellcheck disable=SC2086 # a list of words
  tools=$(set -- $tools; first=$1; shift; echo "$* $first")
done

[ -z "${BENCH_TIMES:-}" ] || cp "$work/times" "$BENCH_TIMES"
python3 - "$work/times" "$count" "$write" "$here/docs/benchmarks.md" <<'PY'
import collections, os, statistics, sys

times, count, write, page = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
rounds = collections.defaultdict(dict)
for line in open(times, encoding="utf-8"):
    number, tool, ms = line.split()
    rounds[number][tool] = int(ms)
names = {"deployrun": "**deployrun**", "psql": "one psql, a transaction a file", "sqitch": "sqitch"}
lines = ["| | time | a migration | × of that psql |", "|---|---:|---:|---:|"]
for tool in [t for t in names if all(t in found for found in rounds.values())]:
    ms = statistics.median(found[tool] for found in rounds.values())
    over = [found[tool] / found["psql"] for found in rounds.values() if "psql" in found]
    ratio = f"{statistics.median(over):.2f} ({min(over):.2f} to {max(over):.2f})" if over else "–"
    lines.append(f"| {names[tool]} | {ms / 1000:.1f} s | {ms / count:.2f} ms | {ratio} |")
load = os.getloadavg()[0]
busy = load > os.cpu_count() / 2 + 1
note = " **The machine had other work meanwhile: the times are too high and the ratios rough.**" if busy else ""
taken = "one round" if len(rounds) == 1 else f"medians of {len(rounds)} rounds"
text = f"\n{count} migrations, {taken}, PostgreSQL 15, fsync on.{note}\n\n" + "\n".join(lines) + "\n\n"
begin, end = "<!-- migrations: begin (tests/bench/migrations.sh --write) -->", "<!-- migrations: end -->"
if write == "yes":
    whole = open(page, encoding="utf-8").read()
    before, _, rest = whole.partition(begin)
    after = rest.partition(end)[2]
    open(page, "w", encoding="utf-8").write(before + begin + "\n" + text + end + after)
else:
    print(text)
PY
