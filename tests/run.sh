#!/bin/sh
# The one command that says whether the project is in order: installs what is missing, builds every variant, runs all
# tests, and leaves nothing running. Works from an empty Debian or Ubuntu machine, without a terminal.
#
#   sh tests/run.sh
#
#   asan     gcc, AddressSanitizer and UndefinedBehaviorSanitizer: the whole suite, the style checks included
#   release  gcc -O2: the system tests once more, as the command is installed, and the benchmarks' smoke tests
#   clang    compiled only, for its warnings
#   tsan     gcc, ThreadSanitizer: the tests labelled `threads`
#   fuzz     clang, libFuzzer: each parser of outside text for some seconds
#
# Builds are in build/VARIANT and are used again by the next run. Exit status 0 when all passed, 1 when something
# failed, 130 or 143 when stopped by a signal.
set -eu
cd "$(dirname "$0")/.."
exec </dev/null
logs=build/logs
mkdir -p "$logs"

began=$(date +%s)
say() { printf '\n== [%3d s] %s\n' "$(($(date +%s) - began))" "$*"; }
die() { printf '\ntests/run.sh: %s\n' "$*" >&2; exit 1; }

# bounded COMMAND...: run it as a process group of its own, so that a signal to this script ends all of it.
child=
bounded() {
  setsid "$@" &
  child=$!
  status=0
  wait "$child" || status=$?
  child=
  return "$status"
}

# What is under way gets a TERM and the time its own cleanup needs, then the testbed is taken down.
stop_all() {
  trap '' INT TERM
  if [ -n "$child" ]; then
    kill -TERM "-$child" 2>/dev/null || true
    waited=0
    while kill -0 "-$child" 2>/dev/null && [ $waited -lt 60 ]; do
      sleep 1
      waited=$((waited + 1))
    done
    kill -KILL "-$child" 2>/dev/null || true
    remove_stacks
  fi
  sh tests/testbed/engine.sh stop || true
}

# The compose stacks that interrupted tests left in their folders in build/.
remove_stacks() {
  label=com.docker.compose.project.working_dir
  docker ps --all --filter "label=$label" --format "{{.Label \"$label\"}}" 2>/dev/null | sort -u |
    while read -r folder; do
      case $folder in
        "$PWD"/build/*) sh tests/testbed/stack.sh delete "$folder" || true ;;
      esac
    done
}

# build VARIANT: configure and compile; all that was said is shown only when it fails.
build() {
  say "build $1"
  log=$logs/build-$1.log
  if ! { bounded cmake --preset "$1" && bounded cmake --build --preset "$1"; } >"$log" 2>&1; then
    grep -E -A 12 'FAILED|error|Error' "$log" | head -n 100 || tail -n 40 "$log"
    die "the $1 build failed; all it said is in $log"
  fi
}

# suite VARIANT [CTEST-OPTION...]: run tests and go on when some fail, so that one run tells all.
suites=
failed=
suite() {
  variant=$1
  shift
  say "test $variant"
  suites="$variant $suites"
  bounded ctest --test-dir "build/$variant" --output-on-failure --no-tests=error -j "$(nproc)" \
    --output-log "$logs/test-$variant.log" "$@" || failed="$failed $variant"
}

has_tests() { ctest --test-dir build/asan -N -L "$1" | grep -q 'Total Tests: [1-9]'; }

sh vendor/bootstrap.sh build test
trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
sh tests/testbed/engine.sh start || die "the system tests need a Docker Engine, and none can be had here (see above)"

build asan
build clang
build release

suite asan -LE bench
if has_tests 'system|bench'; then suite release -L 'system|bench'; fi
if has_tests threads; then
  build tsan
  suite tsan -L threads
fi
build fuzz
suite fuzz -L fuzz

trap - EXIT
stop_all
say "done"
for variant in $suites; do
  printf '\n%s: ' "$variant"
  sed -n '/tests passed/,$p' "$logs/test-$variant.log" | grep -vE '^\[ERROR_MESSAGE\]|^Errors while running CTest|^$'
done
[ -z "$failed" ] || die "tests failed in:$failed (logs are in $logs)"
