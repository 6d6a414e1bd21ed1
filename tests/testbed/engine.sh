#!/bin/sh
# Owns the Docker Engine of a test run: uses one that answers, else starts dockerd and later stops only that one.
#
#   engine.sh start     an engine answers afterwards; who called is noted as a user of it
#   engine.sh start --keep    the same, and only stop --force ends it (for work by hand)
#   engine.sh stop      the caller uses it no more; stops it when we started it and no other user is left
#   engine.sh stop --force    stops ours even when it is in use
#   engine.sh status    prints one line; exit 0 when an engine answers, else 1
#
# State: $DEPLOYRUN_TESTBED/engine. Who counts as a user: lib.sh.
set -eu
prog=engine
here=$(dirname "$0")
. "$here/lib.sh"

answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }
pid_of_ours() { cat "$state/dockerd.pid" 2>/dev/null || true; }
ours_runs() { [ -e "$state/started" ] && process_is "$(pid_of_ours)" dockerd; }

start() {
  need docker docker.io
  if answers; then
    note_user "$state" "$@"
    return 0
  fi
  [ -z "${DOCKER_HOST:-}" ] || die "no Docker Engine answers at DOCKER_HOST=$DOCKER_HOST"
  need_root "no Docker Engine answers, and starting dockerd"
  need dockerd docker.io
  need iptables iptables
  start_dockerd
  note_user "$state" "$@"
}

start_dockerd() {
  if ours_runs; then
    die "dockerd (process $(pid_of_ours)) was started here but does not answer; see $state/dockerd.log"
  fi
  touch "$state/started"
  setsid dockerd --pidfile "$state/dockerd.pid" >"$state/dockerd.log" 2>&1 9>&- </dev/null &
  launched=$!
  if wait_for 60 answers_or_ended; then answers && return 0; fi
  kill "$launched" 2>/dev/null || true
  rm -f "$state/started"
  say "dockerd did not come up; the end of $state/dockerd.log:"
  tail -n 5 "$state/dockerd.log" >&2
  exit 1
}

answers_or_ended() { answers || ! kill -0 "$launched" 2>/dev/null; }

stop() {
  drop_user "$state"
  [ -e "$state/started" ] || return 0
  if [ "${1:-}" != --force ] && in_use "$state"; then return 0; fi
  if ours_runs; then stop_dockerd "$(pid_of_ours)"; fi
  forget_users "$state"
  rm -f "$state/started" "$state/dockerd.pid"
}

# stop_dockerd PID: dockerd ends its containers first, which it bounds by 15 s itself.
stop_dockerd() {
  kill "$1" 2>/dev/null || true
  wait_for 60 process_gone "$1" dockerd || die "dockerd (process $1) did not end within 60 s"
}

status() {
  if ! answers; then
    echo "no engine answers"
    return 1
  fi
  version=$(docker version --format '{{.Server.Version}}')
  if ours_runs; then echo "engine $version, started by the testbed"; else echo "engine $version, not ours"; fi
}

[ $# -ge 1 ] || usage_error "usage: engine.sh start [--keep]|stop [--force]|status"
state=$(state_folder engine)
case $1 in
  start) lock_state engine; start "${2:-}" ;;
  stop) lock_state engine; stop "${2:-}" ;;
  status) status ;;
  *) usage_error "usage: engine.sh start [--keep]|stop [--force]|status" ;;
esac
