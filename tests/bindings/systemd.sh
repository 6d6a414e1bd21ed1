#!/bin/sh
# systemd.sh - systemd.lua on a fake server of its own, over SSH; then a dry run that does nothing, and Ctrl-C during a
# wait.
set -eu
testbed=$DEPLOYRUN_SOURCE_DIR/tests/testbed
name=units-$$

fail() { echo "systemd.sh: $*" >&2; exit 1; }

trap 'sh "$testbed/vps.sh" stop "$name"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
sh "$testbed/vps.sh" start "$name" >vps.env
# shellcheck source=/dev/null
. ./vps.env
docker exec --interactive "$VPS_CONTAINER" sh <"$DEPLOYRUN_SOURCE_DIR/tests/bindings/systemd_setup.sh"

SPEC_SSH_CONFIG=$VPS_CONFIG SPEC_HOST=$name SPEC_URL=http://127.0.0.1:$VPS_HTTP_PORT/ \
  "$DEPLOYRUN" "$DEPLOYRUN_SOURCE_DIR/tests/bindings/systemd.lua"

cat >one.lua <<LUA
return recipe { name = "one", params = { unit = param.string { required = true } }, run = function(p)
  local server = host { "$name", config = "$VPS_CONFIG" }
  server:sudo():systemd(p.unit):restart { within = 60 }
end }
LUA
pid_of() { docker exec "$VPS_CONTAINER" systemctl show --property=MainPID --value "$1"; }

before=$(pid_of gunicorn)
"$DEPLOYRUN" one.lua unit=gunicorn --dry-run >dry.out
grep -q 'sudo systemctl restart gunicorn.service' dry.out || fail "the plan does not show the restart: $(cat dry.out)"
[ "$(pid_of gunicorn)" = "$before" ] || fail "a dry run restarted the unit"

begun() { [ "$(docker exec "$VPS_CONTAINER" systemctl is-active slow.service)" = activating ]; }
"$DEPLOYRUN" one.lua unit=slow >cancel.out 2>&1 &
run=$!
tries=100
until begun; do
  tries=$((tries - 1))
  [ $tries -gt 0 ] || fail "the restart was not asked for: $(cat cancel.out)"
  sleep 0.1
done
kill -INT $run
status=0
wait $run || status=$?
[ $status -eq 130 ] || fail "Ctrl-C during the wait ended with $status: $(cat cancel.out)"
