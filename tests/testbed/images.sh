#!/bin/sh
# Owns the images every fake server of the testbed is made from. Built once, without a registry; later calls only
# compare a content hash with the one the image carries as a label.
#
#   images.sh build     deployrun-test/debian:1  Debian 12 with the packages below (mmdebstrap; about a minute)
#                       deployrun-test/base:1    + images/base: entry scripts, the user `app` (about a second)
#                       needs a running engine (engine.sh start)
#   images.sh vps       the same, and deployrun-test/vps:1: + images/vps, systemd and sshd
#   images.sh remove    deletes them
#
# One image serves all roles (api, celery, PostgreSQL, Redis, nginx, a VPS with systemd and sshd): it is built once and
# its pages are shared. $DEPLOYRUN_DEBIAN_MIRROR names another package mirror.
set -eu
prog=images
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

suite=bookworm
mirror=${DEPLOYRUN_DEBIAN_MIRROR:-http://deb.debian.org/debian}
debian=deployrun-test/debian:1
base=deployrun-test/base:1
vps=deployrun-test/vps:1

packages="ca-certificates curl iproute2 procps
python3 python3-django python3-psycopg2 gunicorn celery python3-redis
redis-server nginx-light postgresql
systemd systemd-sysv dbus openssh-server sudo git"

# Left out of the image: what no service of the testbed reads. Without llvmjit.so PostgreSQL quietly plans without JIT,
# and its 130 MB of LLVM are never loaded.
left_out="/usr/share/doc/* /usr/share/man/* /usr/share/locale/* /usr/share/i18n/*
/usr/lib/postgresql/15/lib/bitcode/* /usr/lib/postgresql/15/lib/llvmjit.so /usr/lib/*/libLLVM-*"

label_of() { docker image inspect --format '{{index .Config.Labels "deployrun.test.hash"}}' "$1" 2>/dev/null || true; }
hash_of_input() { sha256sum | cut -c1-16; }

debian_hash() { printf '%s\n' "$suite" "$packages" "$left_out" | hash_of_input; }

folder_hash() { (cd "$here/images/$1" && find . -type f | LC_ALL=C sort | xargs sha256sum); }
base_hash() { { debian_hash; folder_hash base; } | hash_of_input; }
vps_hash() { { base_hash; folder_hash vps; } | hash_of_input; }

# build_debian HASH
build_debian() {
  hash=$1
  need mmdebstrap mmdebstrap
  need_root "building the test image"
  say "building $debian, once for this engine: about a minute"
  set -f
  # shellcheck disable=SC2046,SC2086 # one option for each word, patterns unexpanded
  set -- $(printf -- '--dpkgopt=path-exclude=%s ' $left_out)
  set +f
  work=$(state_folder images)
  mmdebstrap --mode=root --variant=apt \
    --include="$(echo "$packages" | tr ' \n' ',,')" \
    --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
    --dpkgopt=force-unsafe-io "$@" \
    "$suite" "$work/debian.tar" "$mirror" >"$work/debian.log" 2>&1 ||
    { tail -n 5 "$work/debian.log" >&2; die "mmdebstrap failed; its log is $work/debian.log"; }
  docker import --change "LABEL deployrun.test.hash=$hash" "$work/debian.tar" "$debian" >/dev/null
  rm -f "$work/debian.tar"
}

# build_from FOLDER IMAGE HASH
build_from() {
  work=$(state_folder images)
  docker build --label "deployrun.test.hash=$3" --tag "$2" "$here/images/$1" >"$work/$1.log" 2>&1 ||
    { tail -n 5 "$work/$1.log" >&2; die "docker build failed; its log is $work/$1.log"; }
}

# replacing IMAGE COMMAND...: run COMMAND, which tags IMAGE anew, and remove what the tag pointed to before, unless a
# container or another image still needs it.
replacing() {
  before=$(docker image inspect --format '{{.Id}}' "$1" 2>/dev/null || true)
  shift
  "$@"
  if [ -n "$before" ]; then docker image rm "$before" >/dev/null 2>&1 || true; fi
}

build() {
  wanted=$(base_hash)
  [ "$(label_of "$base")" != "$wanted" ] || return 0
  lock_state images 900
  [ "$(label_of "$debian")" = "$(debian_hash)" ] || replacing "$debian" build_debian "$(debian_hash)"
  [ "$(label_of "$base")" = "$wanted" ] || replacing "$base" build_from base "$base" "$wanted"
}

build_vps() {
  build
  wanted=$(vps_hash)
  [ "$(label_of "$vps")" != "$wanted" ] || return 0
  lock_state images 900
  [ "$(label_of "$vps")" = "$wanted" ] || replacing "$vps" build_from vps "$vps" "$wanted"
}

remove() {
  for image in "$vps" "$base" "$debian"; do
    docker image rm "$image" >/dev/null 2>&1 || true
  done
}

need_engine
case ${1:-} in
  build) build ;;
  vps) build_vps ;;
  remove) remove ;;
  *) usage_error "usage: images.sh build|vps|remove" ;;
esac
