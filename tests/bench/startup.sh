#!/bin/sh
# startup.sh - what it costs to start: `deployrun --version` and an empty recipe, as whole processes. Median and range
# of the time, greatest resident memory. Measured, not asserted: the goal is under 15 ms and 16 MiB in a release build.
#
#   sh tests/bench/startup.sh [RUNS]      default 200; DEPLOYRUN names the command, else build/release
set -eu
runs=${1:-200}
here=$(cd "$(dirname "$0")/../.." && pwd)
deployrun=${DEPLOYRUN:-$here/build/release/bin/deployrun}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export XDG_STATE_HOME="$folder"
echo 'return recipe { name = "empty", run = function() end }' >"$folder/empty.lua"

# measure LABEL COMMAND...
measure() {
  label=$1
  shift
  hyperfine --style none --shell none --warmup 5 --runs "$runs" --export-json "$folder/times.json" "$*" >/dev/null
  python3 - "$label" "$folder/times.json" "$@" <<'PY'
import json, os, resource, subprocess, sys
label, times, command = sys.argv[1], sys.argv[2], sys.argv[3:]
subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
found = json.load(open(times))["results"][0]
print(f"{label:<22} median {found['median'] * 1000:6.1f} ms   {found['min'] * 1000:.1f} to {found['max'] * 1000:.1f} ms"
      f"   {memory:5.1f} MiB")
PY
}

measure '--version' "$deployrun" --version
measure 'an empty recipe' "$deployrun" "$folder/empty.lua"
