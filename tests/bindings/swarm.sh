#!/bin/sh
# swarm.sh - swarm.lua on an engine of its own: an engine that others use may be in a swarm that nobody wants to lose.
set -eu
testbed=$DEPLOYRUN_SOURCE_DIR/tests/testbed
APART=
end() { [ -z "$APART" ] || sh "$testbed/apart.sh" stop "$APART"; }
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

sh "$testbed/apart.sh" start >apart.env
# shellcheck source=/dev/null
. ./apart.env
export APART DOCKER_HOST APART_USER APART_PASSWORD
"$DEPLOYRUN" "$DEPLOYRUN_SOURCE_DIR/tests/bindings/swarm.lua"
