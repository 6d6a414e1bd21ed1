#!/bin/sh
# The table of hazards (tests/unit/hazards) against a real PostgreSQL: locks, scans, rewrites, what cannot run in a
# transaction, and whether old code keeps working. Its argument is the program that compares (hazards.c).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
server=$here/../testbed/postgres.sh
settings=$(sh "$server" start --no-fsync)
eval "$settings"
export PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE
trap 'sh "$server" stop "$PGPORT"' EXIT
"$1"
