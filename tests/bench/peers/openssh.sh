#!/bin/sh
# openssh.sh plain|master run COUNT COMMAND HOST... | put|check LOCAL REMOTE HOST - the benchmark's work by OpenSSH's
# programs. check: the upload, and then what tells that it arrived: the hashes of both files are compared.
#
# plain: a connection for each command. master: one for each host, by ControlMaster and ControlPersist, begun by the first
# command. Sixty-four at a time; where there are several commands for a host, they follow each other.
# Environment: BENCH_SSH_CONFIG, BENCH_CONTROL (folder for the masters' sockets).
set -eu
mode=$1 work=$2
shift 2
options="-F $BENCH_SSH_CONFIG -o BatchMode=yes"
if [ "$mode" = master ]; then
  options="$options -o ControlMaster=auto -o ControlPersist=60 -o ControlPath=$BENCH_CONTROL/%C"
fi

# several HOST: COUNT commands, one after the other.
several() {
  left=$count
  while [ "$left" -gt 0 ]; do
    # shellcheck disable=SC2086 # a list of words
    ssh -n $options "$1" "$command" || return 1
    left=$((left - 1))
  done
}

case $work in
  put) exec scp -q -F "$BENCH_SSH_CONFIG" "$1" "$3:$2" ;;
  check)
    scp -q -F "$BENCH_SSH_CONFIG" "$1" "$3:$2"
    here=$(sha256sum <"$1")
    # shellcheck disable=SC2029,SC2086 # the path is to be put in here; a list of words
    there=$(ssh -n $options "$3" "sha256sum <'$2'")
    [ "$here" = "$there" ]
    exit
    ;;
  run) ;;
  *) exit 2 ;;
esac
count=$1 command=$2
shift 2
if [ "$count" = 1 ]; then
  # shellcheck disable=SC2086 # a list of words
  printf '%s\n' "$@" | xargs -P 64 -I '{}' ssh -n $options '{}' "$command"
  exit
fi
children=
for host in "$@"; do
  several "$host" &
  children="$children $!"
done
for child in $children; do wait "$child"; done
