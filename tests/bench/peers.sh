#!/bin/sh
# peers.sh - deployrun beside the tools that people use instead, and beside the least that can be done with the same
# library: installs the peers, starts 64 SSH hosts on this machine, measures, and writes the table.
#
#   sh tests/bench/peers.sh [--runs N] [--tools A+B] [--rows A,B] [--hosts N] [--size MIB] [--own-algorithms] [--write]
#
# --runs     rounds that count, default 5 (some 20 minutes on two processors)
# --tools    only those whose names begin so: deployrun+bare+ssh
# --rows     only these: version, empty, fan-1, fan-16, fan-64, seq-1, seq-16, upload, checked
# --own-algorithms  the servers allow all they have, and each tool takes what it likes best
# --write    puts the tables into docs/benchmarks.md, in place of the ones there; else they are printed
#
# Root, on Debian or Ubuntu. $DEPLOYRUN and $DEPLOYRUN_BUILD_DIR name another build than build/release. What was measured
# last is kept in build/bench/peers.json. docs/benchmarks.md says what the rows mean.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
build=${DEPLOYRUN_BUILD_DIR:-$here/build/release}
deployrun=${DEPLOYRUN:-$build/bin/deployrun}
programs=$build/tests/bench
die() { echo "peers.sh: $*" >&2; exit 1; }

# Every tool here has these four; chacha20, AES-GCM and curve25519 are missing in one or the other.
algorithms='aes128-ctr hmac-sha2-256-etm@openssh.com ecdh-sha2-nistp256 ssh-ed25519'

# A test keeps its result in its own folder, so that it does not take the place of a real one.
out=$here/build/bench
[ -z "${DEPLOYRUN_SOURCE_DIR:-}" ] || out=$PWD
mkdir -p "$out"

hosts=64 write=no own=no tools='' passed=''
while [ $# -gt 0 ]; do
  case $1 in
    --write) write=yes; shift; continue ;;
    --own-algorithms) own=yes; shift; continue ;;
    --hosts | --tools | --runs | --rows | --size) [ $# -gt 1 ] || die "$1 needs a value" ;;
    *) die "there is no option $1 (the head of this file says which there are)" ;;
  esac
  case $1 in
    --hosts) hosts=$2 ;;
    --tools) tools=$2 ;;
    *) passed="$passed $1 $2" ;;
  esac
  shift 2
done

[ $own = no ] || algorithms='what each tool likes best'
[ "$(id -u)" = 0 ] || die "only root can start SSH servers for another user"
[ -x "$deployrun" ] || die "$deployrun is not there: cmake --preset release && cmake --build --preset release"
[ -x "$programs/bare_libssh" ] || die "$programs/bare_libssh is not there: build the tests"

install_peers() {
  missing=
  for pair in ansible:ansible-core cap:capistrano ruby:ruby-sshkit fab:fabric parallel-ssh:pssh ssh:openssh-client; do
    command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
  done
  [ -n "$missing" ] || return 0
  echo "peers.sh: installing with apt-get:$missing" >&2
  # shellcheck disable=SC2086 # a list of words
  DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install $missing </dev/null >/dev/null ||
    die "apt-get could not install them; after apt-get update it may"
}

# The servers, their state and the work folder are this run's own. /var/tmp: deployrun's journal is synced to a real disk.
start_hosts() {
  work=$(mktemp -d /var/tmp/deployrun-bench.XXXXXX)
  memory=$(mktemp -d "$([ -w /dev/shm ] && echo /dev/shm || echo /var/tmp)/deployrun-bench.XXXXXX")
  trap stop_hosts EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  export DEPLOYRUN_TESTBED="$work/testbed" DEPLOYRUN_TESTBED_USER=$$
  chmod 755 "$work" "$memory"
  mkdir -m 777 "$memory/landing"
  mkdir "$work/control" "$work/state"
  cp -r "$here/tests/bench/peers" "$work/peers"
  cp "$programs/bench_mark" "$work/true"
  install -m 666 /dev/null "$work/true.log"
  : >"$work/algorithms"
  # shellcheck disable=SC2086 # a list of words
  [ $own = yes ] || printf 'Ciphers %s\nMACs %s\nKexAlgorithms %s\nHostKeyAlgorithms %s\n' $algorithms >"$work/algorithms"
  port=$(free_port)
  eval "$(sh "$here/tests/testbed/hosts.sh" start "$hosts" --port "$port" --settings "$work/algorithms")"
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

stop_hosts() {
  sh "$here/tests/testbed/hosts.sh" stop --force || true
  rm -rf "$work" "$memory"
}

# No agent, no settings of a person's own, no language that a message could be in.
measure() {
  unset SSH_AUTH_SOCK
  export LC_ALL=C.UTF-8 HOME="$SSH_HOME" XDG_STATE_HOME="$work/state" BENCH_USER="$SSH_USER" BENCH_PORT="$SSH_PORT" \
    BENCH_KEY="$SSH_KEY" BENCH_SSH_CONFIG="$SSH_CONFIG" BENCH_CONTROL="$work/control" \
    ANSIBLE_CONFIG="$work/peers/ansible/ansible.cfg" ANSIBLE_SSH_CONTROL_PATH_DIR="$work/control" \
    ANSIBLE_SSH_ARGS="-F $SSH_CONFIG -o ControlMaster=auto -o ControlPersist=60s"
  # shellcheck disable=SC2086 # a list of words
  python3 "$here/tests/bench/measure.py" --work "$work" --memory "$memory" --deployrun "$deployrun" \
    --bare "$programs/bare_libssh" --once "$programs/bench_once" --out "$out/peers.json" \
    --algorithms "$algorithms" --hosts "$hosts" --tools "$tools" $passed
}

case $tools in deployrun+bare | deployrun | bare) ;; *) install_peers ;; esac
start_hosts
measure
if [ "$write" = yes ]; then
  python3 "$here/tests/bench/table.py" "$out/peers.json" "$here/docs/benchmarks.md"
else
  python3 "$here/tests/bench/table.py" "$out/peers.json"
fi
