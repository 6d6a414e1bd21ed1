#!/bin/sh
# pssh.sh run COUNT COMMAND HOST... | put LOCAL REMOTE HOST - the benchmark's work by parallel-ssh and parallel-scp.
#
# pssh runs one command and ends. Several commands are several starts of it, which share ControlMaster connections.
# Environment: BENCH_SSH_CONFIG, BENCH_CONTROL.
set -eu
work=$1
shift
if [ "$work" = put ]; then exec parallel-scp -t 0 -x "-F $BENCH_SSH_CONFIG" -H "$3" "$1" "$2"; fi
count=$1 command=$2
shift 2
hosts=$*
if [ "$count" = 1 ]; then exec parallel-ssh -p 64 -t 0 -x "-F $BENCH_SSH_CONFIG" -H "$hosts" "$command"; fi
master="-o ControlMaster=auto -o ControlPersist=60 -o ControlPath=$BENCH_CONTROL/%C"
while [ "$count" -gt 0 ]; do
  parallel-ssh -p 64 -t 0 -x "-F $BENCH_SSH_CONFIG $master" -H "$hosts" "$command"
  count=$((count - 1))
done
