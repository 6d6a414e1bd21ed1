#!/bin/sh
# ansible.sh run COUNT COMMAND HOST... | put LOCAL REMOTE HOST | empty - the benchmark's work by ansible-playbook.
# Environment: BENCH_SSH_CONFIG, BENCH_CONTROL, ANSIBLE_CONFIG.
set -eu
here=$(cd "$(dirname "$0")" && pwd)/ansible
work=$1
shift
case $work in
  empty) exec ansible-playbook -i localhost, -c local "$here/empty.yml" ;;
  put) exec ansible-playbook -i "$3," "$here/put.yml" -e "from=$1 to=$2" ;;
  run)
    count=$1 command=$2
    shift 2
    exec ansible-playbook -i "$(IFS=,; echo "$*")," "$here/run.yml" -e "count=$count command=$command" ;;
  *) exit 2 ;;
esac
