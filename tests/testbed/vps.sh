#!/bin/sh
# Owns fake rented servers: systemd and sshd in a container, reachable over SSH on 127.0.0.1, for what needs units,
# sudo and a server of its own.
#
#   vps.sh start NAME   builds the image when needed, starts the server, waits for a login; prints the variables below
#   vps.sh stop NAME    removes the server and everything on it
#   vps.sh show NAME    prints the variables again
#
# Printed for eval: VPS_HOST VPS_PORT (ssh) VPS_HTTP_PORT (port 8000 inside) VPS_USER VPS_KEY VPS_KNOWN_HOSTS VPS_CONFIG
# (`ssh -F $VPS_CONFIG NAME`) VPS_CONTAINER. State: $DEPLOYRUN_TESTBED/vps/NAME.
set -eu
umask 022
prog=vps
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

image=deployrun-test/vps:1

# port_of INSIDE: the port of this machine that leads to it.
port_of() { docker port "$container" "$1/tcp" 2>/dev/null | sed -n 's/^127\.0\.0\.1://p'; }
runs() { [ "$(docker inspect --format '{{.State.Running}}' "$container" 2>/dev/null)" = true ]; }

# The flags are what lets systemd run without --privileged, on hosts with the first kind of cgroups as well. SYS_PTRACE:
# root of a server may look at every process; the other users may not.
run_container() {
  docker rm --force "$container" >/dev/null 2>&1 || true
  set -- --cap-add SYS_ADMIN --cap-add SYS_PTRACE
  set -- "$@" --security-opt seccomp=unconfined --security-opt apparmor=unconfined --cgroupns=host
  if [ -d /sys/fs/cgroup/systemd ]; then
    set -- "$@" --volume /sys/fs/cgroup/systemd:/sys/fs/cgroup/systemd:rw
  else
    set -- "$@" --volume /sys/fs/cgroup:/sys/fs/cgroup:rw
  fi
  docker run --detach --name "$container" --hostname "$name" --label "deployrun.test.vps=$name" "$@" \
    --tmpfs /run --tmpfs /run/lock --publish 127.0.0.1::22 --publish 127.0.0.1::8000 "$image" >/dev/null
}

let_key_in() {
  docker exec --interactive --user ubuntu "$container" \
    sh -c 'umask 077; mkdir -p ~/.ssh; cat >~/.ssh/authorized_keys' <"$key.pub"
}

write_client_files() {
  port=$(port_of 22)
  docker exec "$container" cat /etc/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f1,2 |
    sed "s/^/[127.0.0.1]:$port /" >"$state/known_hosts"
  cat >"$state/config" <<END
Host $name 127.0.0.1
  HostName 127.0.0.1
  Port $port
  User ubuntu
  IdentityFile $key
  IdentitiesOnly yes
  UserKnownHostsFile $state/known_hosts
  StrictHostKeyChecking yes
END
}

booted() {
  case $(docker exec "$container" systemctl is-system-running 2>/dev/null) in running | degraded) ;; *) return 1 ;; esac
}
lets_in() { ssh -F "$state/config" -o BatchMode=yes -o ConnectTimeout=5 "$name" true 2>"$state/login.log"; }

start() {
  need ssh openssh-client
  sh "$here/images.sh" vps
  lock_state vps
  key=$(client_key)
  if ! runs; then run_container; fi
  wait_for 60 booted || { docker logs --tail 10 "$container" >&2; die "systemd in $container is not up within 60 s"; }
  let_key_in
  write_client_files
  wait_for 20 lets_in || { cat "$state/login.log" >&2; die "no login on $container"; }
  show
}

show() {
  runs || die "$name does not run (vps.sh start $name)"
  cat <<END
VPS_HOST=127.0.0.1
VPS_PORT=$(port_of 22)
VPS_HTTP_PORT=$(port_of 8000)
VPS_USER=ubuntu
VPS_KEY=$TESTBED/ssh/id_ed25519
VPS_KNOWN_HOSTS=$state/known_hosts
VPS_CONFIG=$state/config
VPS_CONTAINER=$container
END
}

stop() {
  docker rm --force --volumes "$container" >/dev/null 2>&1 || true
  rm -rf "$state"
}

[ $# -eq 2 ] || usage_error "usage: vps.sh start|stop|show NAME"
name=$2
container=deployrun-test-vps-$name
case $name in '' | *[!a-z0-9-]*) usage_error "a server's name is lower case letters, digits and dashes" ;; esac
need_engine
state=$(state_folder "vps/$name")
case $1 in
  start) start ;;
  stop) stop ;;
  show) show ;;
  *) usage_error "usage: vps.sh start|stop|show NAME" ;;
esac
