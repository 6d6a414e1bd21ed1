#!/bin/sh
# waits.sh [ROUNDS] [WORD...] - how long after a thing is so the wait for it returns: waits.py, with a server of its own for
# systemd and gunicorn, and an engine apart for a swarm.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
testbed=$here/../testbed
VPS_NAME=waits-$$
APART=
end() {
  sh "$testbed/vps.sh" stop "$VPS_NAME"
  [ -z "$APART" ] || sh "$testbed/apart.sh" stop "$APART"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
sh "$testbed/vps.sh" start "$VPS_NAME" >vps.env
# shellcheck source=/dev/null
. ./vps.env
export VPS_CONTAINER VPS_CONFIG VPS_NAME
docker exec --interactive "$VPS_CONTAINER" sh <"$testbed/../bindings/systemd_setup.sh"
sh "$testbed/apart.sh" start >apart.env
APART=$(sed -n 's/^APART=//p' apart.env)
export APART
python3 "$here/waits.py" "$@"
