#!/bin/sh
# Owns an engine apart: a Docker Engine in a network namespace of its own with a registry beside it, for tests that
# stop the engine, begin a swarm or log in to a registry. The engine that the other tests share is never touched.
#
#   apart.sh start           prints the variables below, for eval
#   apart.sh stop FOLDER     ends what was started there and removes the folder; never fails
#   apart.sh halt FOLDER     kills the engine, as a crash does
#   apart.sh resume FOLDER   starts it again
#   apart.sh slow FOLDER     a way to the registry that stops after 1 MB: prints its port. Ended by stop
#
# Printed: APART (the folder) DOCKER_HOST APART_REGISTRY (127.0.0.1:5000, as the engine sees it) APART_USER
# APART_PASSWORD. The engine has the image deployrun-test/tiny:1 (busybox), which starts at once and is small.
set -eu
prog=apart
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

user=ci
password=sesame-4711

in_namespace() { nsenter -t "$(cat "$folder/engine.pid")" -n "$@"; }
on_engine() { DOCKER_HOST=unix://$folder/docker.sock "$@"; }
answers() { on_engine docker version >/dev/null 2>&1; }
registry_answers() { in_namespace curl -s -o "$folder/answer" http://127.0.0.1:5000/v2/; }

start_engine() {
  cat >"$folder/engine.sh" <<END
ip link set lo up
echo \$\$ >"$folder/engine.pid"
exec dockerd --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/dockerd.pid" \\
  -H "unix://$folder/docker.sock"
END
  rm -f "$folder/dockerd.pid" "$folder/docker.sock"
  setsid unshare --net --mount sh "$folder/engine.sh" >>"$folder/engine.log" 2>&1 </dev/null &
  wait_for 60 answers || { tail -n 5 "$folder/engine.log" >&2; die "the engine apart did not come up"; }
}

make_image() {
  mkdir -p "$folder/root/bin" "$folder/root/etc" "$folder/root/tmp"
  cp /bin/busybox "$folder/root/bin/"
  for name in $(/bin/busybox --list); do
    [ "$name" = busybox ] || ln -s busybox "$folder/root/bin/$name"
  done
  echo 'nobody:x:65534:65534:nobody:/:/bin/sh' >"$folder/root/etc/passwd"
  tar -C "$folder/root" -c . | on_engine docker import - deployrun-test/tiny:1 >/dev/null
  rm -rf "$folder/root"
}

start_registry() {
  htpasswd -Bbc "$folder/htpasswd" "$user" "$password" 2>/dev/null
  cat >"$folder/registry.yml" <<END
version: 0.1
log: {level: error}
storage:
  filesystem: {rootdirectory: $folder/registry}
http: {addr: '127.0.0.1:5000'}
auth:
  htpasswd: {realm: test, path: $folder/htpasswd}
END
  setsid nsenter -t "$(cat "$folder/engine.pid")" -n docker-registry serve "$folder/registry.yml" \
    >"$folder/registry.log" 2>&1 </dev/null &
  echo $! >"$folder/registry.pid"
  wait_for 30 registry_answers || { tail -n 5 "$folder/registry.log" >&2; die "the registry did not come up"; }
}

start() {
  need_root "an engine of its own"
  need dockerd docker.io
  need docker-registry docker-registry
  need htpasswd apache2-utils
  [ -x /bin/busybox ] || die "/bin/busybox is missing (Debian package busybox-static)"
  need unshare util-linux
  folder=$(mktemp -d /var/tmp/deployrun-apart.XXXXXX)
  start_engine
  make_image
  start_registry
  cat <<END
APART=$folder
DOCKER_HOST=unix://$folder/docker.sock
APART_REGISTRY=127.0.0.1:5000
APART_USER=$user
APART_PASSWORD=$password
END
}

# ended PID NAME: bounded; killed when it does not want to.
ended() {
  kill "$1" 2>/dev/null || return 0
  wait_for 20 process_gone "$1" "$2" || kill -KILL "$1" 2>/dev/null || true
}

end_all() {
  [ ! -e "$folder/slow.pid" ] || ended "$(cat "$folder/slow.pid")" python3
  [ ! -e "$folder/registry.pid" ] || ended "$(cat "$folder/registry.pid")" docker-registry
  if answers; then
    on_engine docker swarm leave --force >/dev/null 2>&1 || true
    on_engine docker ps -aq | on_engine xargs -r docker rm -f >/dev/null 2>&1 || true
  fi
  [ ! -e "$folder/engine.pid" ] || ended "$(cat "$folder/engine.pid")" dockerd
  containerd=$(cat "$folder/exec/containerd/containerd.pid" 2>/dev/null || true)
  ! process_is "$containerd" containerd || ended "$containerd" containerd
  rm -rf "$folder" 2>/dev/null || { sleep 1; rm -rf "$folder" 2>/dev/null || true; }
}

# What a machine that loses power does: containerd, which the engine started, ends too.
halt() {
  containerd=$(cat "$folder/exec/containerd/containerd.pid")
  kill -KILL "$(cat "$folder/engine.pid")" "$containerd"
  wait_for 20 process_gone "$(cat "$folder/engine.pid")" dockerd
  wait_for 20 process_gone "$containerd" containerd
  rm -f "$folder/exec/containerd/containerd.pid"
}

slow() {
  setsid nsenter -t "$(cat "$folder/engine.pid")" -n python3 "$here/slow_way.py" 5000 1000000 >"$folder/slow.port" 2>"$folder/slow.log" </dev/null &
  echo $! >"$folder/slow.pid"
  wait_for 20 test -s "$folder/slow.port" || die "the slow way did not open"
  cat "$folder/slow.port"
}

folder=${2:-}
case ${1:-} in
  start) start ;;
  stop | halt | resume | slow)
    case $folder in
      /var/tmp/deployrun-apart.*) ;;
      *) usage_error "apart.sh $1 needs the folder that start printed" ;;
    esac
    case $1 in
      stop) end_all ;;
      halt) halt ;;
      resume) start_engine; start_registry ;;
      slow) slow ;;
    esac ;;
  *) usage_error "usage: apart.sh start | stop|halt|resume|slow FOLDER" ;;
esac
