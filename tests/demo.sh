#!/bin/sh
# A rolling update of a real stack, watched: installs what is missing, builds deployrun, brings a sample Django +
# gunicorn + celery + nginx + PostgreSQL stack up at version 1, and updates it to version 2 with recipes/rolling.lua
# while a load generator sends 100 requests a second. Ends with what the clients saw. Leaves nothing running.
#
#   sh tests/demo.sh          as root, on Debian or Ubuntu; from an empty machine it takes some minutes
set -eu
cd "$(dirname "$0")/.."
root=$PWD
testbed=$root/tests/testbed
folder=$root/build/demo
stack=$folder/tours
export XDG_STATE_HOME="$folder/state"
export DEPLOYRUN_TESTBED_USER=$$

say() { printf '\n== %s\n' "$*"; }
die() { printf '\ntests/demo.sh: %s\n' "$*" >&2; exit 1; }

load=
clean_up() {
  trap - EXIT INT TERM
  [ -z "$load" ] || kill "$load" 2>/dev/null || true
  say "taking the stack down"
  sh "$testbed/stack.sh" delete "$stack" >/dev/null 2>&1 || true
  sh "$testbed/engine.sh" stop || true
}

say "packages that are missing are installed, none is removed or changed"
sh vendor/bootstrap.sh build demo

say "building deployrun: one to five minutes the first time (build/demo/build.log)"
mkdir -p "$folder"
{ cmake -S . -B "$folder/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DDEPLOYRUN_TESTS=OFF &&
  cmake --build "$folder/build"; } >"$folder/build.log" 2>&1 || { tail -n 30 "$folder/build.log"; die "the build failed"; }
deployrun=$folder/build/bin/deployrun

say "a Docker Engine, and the image the sample stack is made of: a minute the first time"
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
sh "$testbed/engine.sh" start || die "the demo needs a Docker Engine, and none can be had here (see above)"
sh "$testbed/images.sh" build

say "the sample stack at version 1: api, celery, celery-beat, nginx, PostgreSQL, Redis; half a minute"
sh "$testbed/stack.sh" delete "$stack" >/dev/null 2>&1 || true
sh "$testbed/stack.sh" create "$stack" 1
sh "$testbed/stack.sh" up "$stack"
url=$(sh "$testbed/stack.sh" url "$stack")
sh "$testbed/stack.sh" release "$stack" 2

set -- rolling dir="$stack" health="$url/health/" version_url="$url/version"
say "the plan: deployrun $* --dry-run"
"$deployrun" "$@" --dry-run

say "100 requests a second from here on, and: deployrun $*"
python3 "$testbed/load.py" "$url" >"$folder/load.json" &
load=$!
status=0
"$deployrun" "$@" || status=$?
kill -INT "$load"
wait "$load" || true
load=

say "what the clients saw (build/demo/load.json)"
python3 - "$folder/load.json" <<'PY' || status=9
import json, sys
saw = json.load(open(sys.argv[1]))
print(f"{saw['requests']:,} requests in {saw['seconds']:.0f} s, {saw['failed']:,} failed")
print(f"longest time without an answer {saw['longest_gap_s']:.2f} s, of {saw['path']} {saw['path_gap_s']:.2f} s")
print(f"answered in {saw['p50_ms']:.0f} ms (half), {saw['p95_ms']:.0f} ms (95 %), {saw['max_ms']:.0f} ms (all)")
print("by " + ", then ".join(f"version {version} {count:,} times" for version, count in sorted(saw["versions"].items())))
for failure in saw["first_failures"]: print(f"failed after {failure['at_s']} s: {failure['request']}: {failure['problem']}")
sys.exit(saw["failed"] > 0)
PY
case $status in
  0) ;;
  9) die "requests failed: this is what must not happen" ;;
  *) die "the update ended with exit status $status" ;;
esac
