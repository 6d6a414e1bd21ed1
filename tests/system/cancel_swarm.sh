#!/bin/sh
# cancel_swarm.sh - as cancel_control.sh, for the waits of a swarm: the run ends, and the swarm goes on with what it was
# told. On an engine of its own: nobody else's may be made a swarm.
set -eu
# shellcheck source=tests/system/interrupts.sh
. "$DEPLOYRUN_SOURCE_DIR/tests/system/interrupts.sh"
testbed=$DEPLOYRUN_SOURCE_DIR/tests/testbed
APART=
end() {
  [ -z "$run" ] || kill -9 "$run" 2>/dev/null || true
  [ -z "$APART" ] || sh "$testbed/apart.sh" stop "$APART"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

sh "$testbed/apart.sh" start >apart.env
# shellcheck source=/dev/null
. ./apart.env
export DOCKER_HOST
docker swarm init --advertise-addr 127.0.0.1 >/dev/null
cat >stack.yml <<'YAML'
version: "3.8"
services:
  web:
    image: deployrun-test/tiny:1
    command: [sleep, "1000"]
    stop_grace_period: 1s
    healthcheck: { test: ["CMD", "false"], interval: 1s, retries: 1000 }
YAML
has() { docker service inspect shop_web | grep -q "$1"; }

# The tasks never become healthy, so that nothing converges.
swarm='local swarm = here:swarm()'
interrupted 'swarm.deploy' "$swarm swarm:deploy('shop', 'stack.yml', { within = 600 })" swarm.converge
interrupted 'swarm.converge' "$swarm swarm:converge('shop_web', { within = 600 })"
interrupted 'swarm.update' "$swarm swarm:service_update('shop_web', { env = { A = 'new' }, within = 600 })" swarm.converge
has A=new || fail "the update was not sent"
interrupted 'swarm.rollback' "$swarm swarm:rollback('shop_web', { within = 600 })" swarm.converge
has rollback_started || fail "the rollback was not sent"
