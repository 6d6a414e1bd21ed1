#!/bin/sh
# Installs, by the system's package manager, what is missing to build, test or demonstrate deployrun.
#
#   sh vendor/bootstrap.sh [build|test|demo]...     default: build
#
# It looks for the commands, headers and libraries themselves, so what came another way (a newer compiler, Docker's own
# packages) is taken as it is; when all is there it does nothing. What it installs it names first. Debian and Ubuntu
# are served; elsewhere, and without the right to install, it stops with the list of what is missing. No service is
# started by an installation.
set -eu

here=$(dirname "$0")

# group | what to look for | Debian package. What: cmd: a command · file: a path, may be a pattern ·
# pc: a pkg-config module, or several names of one
needs() {
  cat <<'END'
build|cmd:gcc|gcc
build|file:/usr/include/stdio.h|libc6-dev
build|cmd:cmake|cmake
build|cmd:ninja|ninja-build
build|cmd:pkg-config|pkg-config
build|file:/usr/include/pg_query.h|libpg-query-dev
test|cmd:g++|g++
test|cmd:clang|clang
test|file:/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a|libclang-rt-dev
test|cmd:clang-format|clang-format
test|cmd:clang-tidy|clang-tidy
test|cmd:luacheck|lua-check
test|cmd:shellcheck|shellcheck
test|cmd:strace|strace
test|cmd:valgrind|valgrind
test|cmd:openssl|openssl
test|cmd:sshd|openssh-server
test|cmd:sudo|sudo
test|cmd:dropbear|dropbear-bin
test|cmd:nginx|nginx-light
test|cmd:ps|procps
test|cmd:hyperfine|hyperfine
test|cmd:tcsh|tcsh
test|cmd:fish|fish
test|cmd:tmux|tmux
test|cmd:docker-registry|docker-registry
test|cmd:htpasswd|apache2-utils
test|file:/bin/busybox|busybox-static
test|file:/usr/lib/postgresql/*/bin/postgres|postgresql
test|cmd:pgbouncer|pgbouncer
test|cmd:zstd|zstd
test demo|cmd:dockerd|docker.io
test demo|compose|docker-compose
test demo|cmd:iptables|iptables
test demo|cmd:mmdebstrap|mmdebstrap
test demo|cmd:ip|iproute2
test demo|cmd:git|git
test demo|cmd:python3|python3
test demo|cmd:ssh|openssh-client
test demo|cmd:curl|curl
test demo|file:/etc/ssl/certs/ca-certificates.crt|ca-certificates
END
  libraries
}

# The libraries, as the files beside this one name them: deployrun_dependency(NAME … PACKAGE package MODULES module…)
libraries() {
  sed -n 's/^deployrun_dependency(\([a-z0-9_]*\) .*PACKAGE \([^ ]*\) MODULES \(.*\))$/\1|pc:\3|\2/p' "$here"/*.cmake |
    sed 's/^cmocka|/test|/; t; s/^[^|]*|/build|/'
}

say() { printf 'bootstrap: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Commands of administrators (sshd, ip) are not in everybody's PATH.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

exists() { [ -e "$1" ]; }

# is_there PROBE: whether what a line of needs() looks for is there.
# shellcheck disable=SC2086 # pc: is a list of modules, any of which will do; file: may be a pattern
is_there() {
  case $1 in
    cmd:*) command -v "${1#cmd:}" >/dev/null ;;
    pc:*) command -v pkg-config >/dev/null && any_module ${1#pc:} ;;
    file:*) exists ${1#file:} ;;
    compose) command -v docker-compose >/dev/null || exists /usr/libexec/docker/cli-plugins/docker-compose ||
      exists /usr/lib/docker/cli-plugins/docker-compose ;;
  esac
}

any_module() {
  for module in "$@"; do
    if pkg-config --exists "$module"; then return 0; fi
  done
  return 1
}

# missing_packages GROUP...: the Debian packages that bring what is missing, one a line.
missing_packages() {
  needs | while IFS='|' read -r groups probe package; do
    for group in "$@"; do
      case " $groups " in
        *" $group "*)
          is_there "$probe" || echo "$package"
          break ;;
      esac
    done
  done
}

# choose_root: sets $root to what runs a command as root: nothing, or sudo when it asks for no password.
choose_root() {
  root=
  [ "$(id -u)" = 0 ] && return 0
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    root='sudo -n'
    return 0
  fi
  die "packages are missing and only root can install them. As root: apt-get install $list"
}

# Debian starts a service when its package is installed, unless /usr/sbin/policy-rc.d forbids it. One that is there
# already is somebody's choice and stays.
policy=/usr/sbin/policy-rc.d
forbid_services() {
  [ -e "$policy" ] && return 0
  trap allow_services EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  # shellcheck disable=SC2016,SC2086 # $1 is the inner shell's; $root is empty or two words
  $root sh -c 'printf "#!/bin/sh\nexit 101\n" >"$1" && chmod 755 "$1"' - "$policy"
}
# shellcheck disable=SC2086 # empty, or two words
allow_services() { $root rm -f "$policy"; }

# shellcheck disable=SC2086 # $root is empty or two words, $list is one package a word
apt_install() {
  $root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq -y \
    --no-install-recommends install $list </dev/null >"$log" 2>&1
}

# The package lists may be absent (a fresh image) or name files that are gone; they are fetched when the first try
# fails, and only then.
install_missing() {
  log=$(mktemp)
  forbid_services
  if ! apt_install; then
    say "fetching the package lists first (apt-get update)"
    # shellcheck disable=SC2086 # empty, or two words
    $root apt-get -o DPkg::Lock::Timeout=300 -qq update </dev/null >"$log" 2>&1 || true
    if ! apt_install; then
      tail -n 15 "$log" >&2
      rm -f "$log"
      die "apt-get could not install these packages: $list"
    fi
  fi
  rm -f "$log"
}

[ $# -gt 0 ] || set -- build
for group in "$@"; do
  case $group in
    build | test | demo) ;;
    *) say "there is no group '$group'; usage: sh vendor/bootstrap.sh [build|test|demo]..."; exit 2 ;;
  esac
done

list=$(missing_packages "$@" | tr '\n' ' ')
list=${list% }
[ -n "$list" ] || exit 0

if ! command -v apt-get >/dev/null; then
  die "this system has no apt-get. Install the counterparts of these Debian packages, then try again: $list"
fi
choose_root
say "installing with apt-get: $list"
install_missing

list=$(missing_packages "$@" | tr '\n' ' ')
[ -z "$list" ] || die "installed, but still not found: what these packages bring: $list"
