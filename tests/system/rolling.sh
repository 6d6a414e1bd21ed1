#!/bin/sh
# rolling.sh - recipes/rolling.lua on a real stack under 100 requests a second: three good releases without one failed
# request, broken ones that must leave everything as it was, and one by stop-first.
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
  [ "$(served)" = "${seen_versions:-4}" ] || fail "$variant: clients were answered by versions $(served)"
  diff before after || fail "$variant: the state is not what it was before"
  grep -q "$message" run.out || fail "$variant: the failure does not say '$message'"
}

# refused MESSAGE ARGUMENT…: ends in the walk.
refused() {
  message=$1
  shift
  say "refused: $*"
  rolling "$@"
  [ "$status" -eq 3 ] || [ "$status" -eq 1 ] || fail "it ended with exit status $status"
  grep -q 'Nothing was changed' run.out || fail "something was changed"
  grep -q "$message" run.out || fail "the failure does not say '$message'"
}

refused "the project 'another' has no container of 'api'" project=another
refused "the proxy 'apache' of project" proxy=apache
good 2
good 3 version=3 version_field=header:x-app-version
echo '# edited on the server' >>"$stack/config/settings.py"
good 4 keep_local=true
tail -n 1 "$stack/config/settings.py" | grep -q 'edited on the server' || fail "the edit made on the server is gone"
git -C "$stack" checkout --quiet config/settings.py
broken 5 crash 'api'
broken 6 http500 'its health check fails'
broken 7 badmigration 'migrate' migrations=any
broken 8 addfield 'cannot live with migration tours.0003_booking_seats'
broken 9 badproxy 'Build images.*failed'
grep -q 'nginx in .* refuses its configuration' run.out || fail "nginx is not spoken of"
seen_versions='10 4' broken 10 good 'version 10 is served, and not 11' version=11
seen_versions='11 4' broken 11 dies 'celery.* has died and was started again'

say "a migration does not wait for ever, and does not hold the others up"
sh "$testbed/stack.sh" sql "$stack" 'begin; lock table tours_booking in access share mode; select pg_sleep(300)' >held.out 2>&1 &
wait_for_lock() {
  tries=0
  until [ "$(sh "$testbed/stack.sh" sql "$stack" "select count(*) from pg_locks where mode = 'AccessShareLock' and
    relation = 'tours_booking'::regclass and granted")" -gt 0 ]; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || fail "the table is not locked: $(cat held.out)"
    sleep 0.1
  done
}
wait_for_lock
broken 12 addfield 'lock timeout' migrations=any lock_timeout=500ms
sh "$testbed/stack.sh" sql "$stack" "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(300)%'
  and pid <> pg_backend_pid()" >/dev/null

say "there were never two beats"
overlaps=$(sh "$testbed/stack.sh" sql "$stack" "with beats as (select beat, min(at) as first, max(at) as last from
  tours_tick group by beat) select count(*) from beats a join beats b on a.beat < b.beat and a.first < b.last and
  b.first < a.last")
[ "$overlaps" -eq 0 ] || fail "two beats were at work at the same time"

say "stop-first: as many workers as before, and nginx forgets what a run that was killed has told it"
containers_of() {
  docker ps --quiet --filter "label=com.docker.compose.project=$project" --filter "label=com.docker.compose.service=$1"
}
release 13
docker exec "$(containers_of nginx)" sh -c 'echo "10.255.255.1 api # deployrun" >>/etc/hosts'
docker-compose --project-directory "$stack" -f "$stack/docker-compose.yml" up -d --no-recreate --no-deps --scale celery=2 \
  celery >scale.out 2>&1 || fail "$(cat scale.out)"
rolling mode=stop-first
[ "$status" -eq 0 ] || fail "exit status $status"
[ "$(containers_of celery | wc -l)" -eq 2 ] || fail "there are $(containers_of celery | wc -l) workers, not 2"
[ "$(curl -fsS "$url/version")" = '{"version": "13"}' ] || fail "what is served is $(curl -sS "$url/version")"
! docker exec "$(containers_of nginx)" grep deployrun /etc/hosts || fail "the proxy keeps the addresses"
