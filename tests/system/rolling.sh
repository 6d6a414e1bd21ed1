#!/bin/sh
# rolling.sh - recipes/rolling.lua on a real stack under 100 requests a second: three good releases without one failed
# request, then broken ones that must leave everything as it was.
set -eu
# shellcheck source=tests/system/lib.sh
. "$DEPLOYRUN_SOURCE_DIR/tests/system/lib.sh"

bring_up

# good VERSION [PARAM…]: an update that must cost nobody an answer.
good() {
  version=$1
  say "version $*"
  release "$version"
  shift
  begin_load
  rolling "$@"
  end_load
  [ "$status" -eq 0 ] || fail "version $version ended with exit status $status"
  [ "$(seen failed)" -eq 0 ] || fail "version $version: $(seen failed) requests failed"
  [ "$(served)" = "$((version - 1)) $version" ] || fail "version $version: clients were answered by versions $(served)"
  grep -q "Availability .* 0 failed" run.out || fail "version $version: the run does not tell the measured availability"
}

# broken VERSION VARIANT MESSAGE [ARGUMENT…]: an update that must fail, tell why, and change nothing in the end.
broken() {
  number=$1 variant=$2 message=$3
  shift 3
  say "version $number, $variant"
  release "$number" --variant "$variant"
  state >before
  begin_load
  rolling "$@"
  end_load
  state >after
  [ "$status" -eq 1 ] || fail "$variant ended with exit status $status, not 1"
  [ "$(seen failed)" -eq 0 ] || fail "$variant: $(seen failed) requests failed"
  [ "$(served)" = 4 ] || fail "$variant: clients were answered by versions $(served)"
  diff before after || fail "$variant: the state is not what it was before"
  grep -q "$message" run.out || fail "$variant: the failure does not say '$message'"
}

good 2
good 3
echo '# edited on the server' >>"$stack/config/settings.py"
good 4 keep_local=true
tail -n 1 "$stack/config/settings.py" | grep -q 'edited on the server' || fail "the edit made on the server is gone"
git -C "$stack" checkout --quiet config/settings.py
broken 5 crash 'api'
broken 6 http500 'its health check fails'
broken 7 badmigration 'migrate' migrations=any
broken 8 addfield 'cannot live with migration tours.0003_booking_seats'

say "there were never two beats"
overlaps=$(sh "$testbed/stack.sh" sql "$stack" "with beats as (select beat, min(at) as first, max(at) as last from
  tours_tick group by beat) select count(*) from beats a join beats b on a.beat < b.beat and a.first < b.last and
  b.first < a.last")
[ "$overlaps" -eq 0 ] || fail "two beats were at work at the same time"
