# shellcheck shell=sh disable=SC2154
# What every script of the testbed shares: the state folder, messages, locks, bounded waits, the compose command.
# Sourced, never run. The sourcing script sets `prog` (its name in messages) first.
#
# The state folder ($DEPLOYRUN_TESTBED, default /var/tmp/deployrun-testbed) holds what must outlive one script: which
# daemons the testbed itself started, their logs, keys and sockets. Nothing outside it is remembered.

TESTBED=${DEPLOYRUN_TESTBED:-/var/tmp/deployrun-testbed}

say() { printf '%s: %s\n' "$prog" "$*" >&2; }
die() { say "$*"; exit 1; }
usage_error() { say "$*"; exit 2; }

# need COMMAND PACKAGE: stop with the name of the package that brings a missing command.
need() {
  command -v "$1" >/dev/null 2>&1 || die "$1 is missing (Debian package $2; 'sh vendor/bootstrap.sh test' installs it)"
}

need_root() { [ "$(id -u)" = 0 ] || die "$1 needs root"; }

# state_folder NAME: make a private folder in the state folder and print its path. The root stays passable, because
# other users (the SSH test user) have a folder of their own in it.
state_folder() {
  mkdir -p "$TESTBED" || die "cannot create the state folder $TESTBED"
  chmod 755 "$TESTBED"
  mkdir -p "$TESTBED/$1" && chmod "${2:-700}" "$TESTBED/$1" && printf '%s\n' "$TESTBED/$1"
}

# lock_state NAME: hold an exclusive lock for the rest of this script on descriptor 9. A daemon that is started under
# the lock must be started with `9>&-`, or it would hold the lock for its whole life.
lock_state() {
  need flock util-linux
  mkdir -p "$TESTBED" || die "cannot create the state folder $TESTBED"
  exec 9>"$TESTBED/$1.lock"
  flock -w "${2:-600}" 9 || die "another script has held $TESTBED/$1.lock for ${2:-600} s"
}

# wait_for SECONDS COMMAND...: run COMMAND every 0.1 s until it succeeds; 1 when the bound has passed.
wait_for() {
  _until=$(($(date +%s) + $1)); shift
  until "$@"; do
    [ "$(date +%s)" -le "$_until" ] || return 1
    sleep 0.1
  done
}

# process_is PID NAME: PID lives and its command is NAME, so that a recycled process id is never taken for ours.
process_is() { [ -n "$1" ] && [ "$(cat "/proc/$1/comm" 2>/dev/null)" = "$2" ]; }

# process_gone PID NAME: ended (a zombie counts: whoever should have reaped it may be long gone).
process_gone() {
  ! process_is "$1" "$2" || [ "$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null)" = Z ]
}

# --- users of a shared daemon ------------------------------------------------------------------------------------
# A user is the process that called the script (its parent, or $DEPLOYRUN_TESTBED_USER where that one is short-lived),
# known by process id and start time: one that was killed before it could say stop is not counted. So a daemon ends
# with the last test that needs it, and never under another.

caller=${DEPLOYRUN_TESTBED_USER:-$PPID}

# started_at PID: clock ticks since boot. The command name in parentheses may hold spaces, so it is cut off first.
started_at() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# note_user FOLDER [--keep]: with --keep only a forced stop ends the daemon.
note_user() {
  mkdir -p "$1/users"
  started_at "$caller" >"$1/users/$caller"
  if [ "${2:-}" = --keep ]; then touch "$1/keep"; fi
}

drop_user() { rm -f "$1/users/$caller"; }
forget_users() { rm -rf "$1/users" "$1/keep"; }

# in_use FOLDER: says who still uses the daemon; 1 when nobody does.
in_use() {
  if [ -e "$1/keep" ]; then say "left running (start --keep)"; return 0; fi
  _users=
  for _file in "$1"/users/*; do
    [ -e "$_file" ] || continue
    _user=$(basename "$_file")
    if [ "$(started_at "$_user")" = "$(cat "$_file")" ]; then _users="$_users $_user"; else rm -f "$_file"; fi
  done
  [ -n "$_users" ] || return 1
  say "left running, still used by process$_users"
}

# --- docker, ssh -------------------------------------------------------------------------------------------------

need_engine() {
  need docker docker.io
  docker version >/dev/null 2>&1 || die "no Docker Engine answers (engine.sh start)"
}

# compose ARGUMENTS...: the compose plugin where it exists, else the older docker-compose command.
compose() {
  if docker compose version >/dev/null 2>&1; then docker compose "$@"; else docker-compose "$@"; fi
}

# client_key: make the one key pair every fake server lets in, and print its path. Call it under a lock.
client_key() {
  need ssh-keygen openssh-client
  _keys=$(state_folder ssh)
  [ -f "$_keys/id_ed25519" ] || ssh-keygen -q -t ed25519 -N '' -C deployrun-test -f "$_keys/id_ed25519"
  printf '%s\n' "$_keys/id_ed25519"
}
