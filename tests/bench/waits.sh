#!/bin/sh
# waits.sh [ROUNDS] - how long after a thing is so the wait for it returns: waits.py, with a server of its own for systemd.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
testbed=$here/../testbed
VPS_NAME=waits-$$
trap 'sh "$testbed/vps.sh" stop "$VPS_NAME"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
sh "$testbed/vps.sh" start "$VPS_NAME" >vps.env
# shellcheck source=/dev/null
. ./vps.env
export VPS_CONTAINER VPS_CONFIG VPS_NAME
python3 "$here/waits.py" "$@"
