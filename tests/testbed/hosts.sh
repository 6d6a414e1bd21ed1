#!/bin/sh
# Owns fake SSH hosts: OpenSSH servers on 127.0.0.1, 127.0.0.2, … with keys, settings and an ordinary user of their own.
#
#   hosts.sh start N [--port P] [--docker] [--settings FILE]
#                                N hosts (1 to 240), default port 2210; prints the variables below
#   hosts.sh stop [--force]                  ends the servers and their sessions, unless another user is left
#   hosts.sh show                            prints the variables again
#   hosts.sh remove                          stop, and delete the user
#
# Printed for eval: SSH_PORT SSH_USER SSH_KEY SSH_KNOWN_HOSTS SSH_CONFIG SSH_HOME SSH_HOSTS. SSH_HOME is a home folder for a
# client that must not see the real one: its .ssh holds key, config and known_hosts, where host1, host2, … are names
# for the addresses. Log in as the ordinary user deployrun-test (key only, no PAM); --docker puts it into the group docker.
# --settings: lines for the servers' sshd_config that go before their own (sshd takes the first of two).
# A second start with more hosts adds them. State: $DEPLOYRUN_TESTBED/hosts. Who counts as a user: lib.sh.
set -eu
umask 022
prog=hosts
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

usage() { usage_error "usage: hosts.sh start N [--port P] [--docker] [--settings FILE] | stop [--force] | show | remove"; }

user=deployrun-test
group_size=16 # an sshd listens on at most 16 addresses

make_user() {
  id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/sh "$user"
  # No password, but not locked either: without PAM, sshd turns locked accounts away.
  usermod --password '*' "$user"
  if [ "$docker" = yes ]; then
    getent group docker >/dev/null || die "there is no group docker (Debian package docker.io)"
    usermod --append --groups docker "$user"
  fi
}

make_keys() {
  key=$(client_key)
  cp "$key.pub" "$state/authorized_keys"
  [ -f "$state/host_key" ] || ssh-keygen -q -t ed25519 -N '' -C deployrun-test-host -f "$state/host_key"
}

# addresses GROUP: the addresses of that sshd, one a line.
addresses() {
  number=$((($1 - 1) * group_size + 1))
  last=$(($1 * group_size))
  while [ "$number" -le "$last" ]; do
    echo "127.0.0.$number"
    number=$((number + 1))
  done
}

# write_server_config GROUP. The keys lie in folders that only root can write, but below /var/tmp, which anybody can:
# StrictModes would refuse that.
write_server_config() {
  {
    [ -z "$settings" ] || cat "$settings"
    addresses "$1" | sed 's/^/ListenAddress /'
    cat <<END
Port $port
HostKey $state/host_key
PidFile $state/sshd-$1.pid
AuthorizedKeysFile $state/authorized_keys
AllowUsers $user
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
UseDNS no
PrintMotd no
PrintLastLog no
MaxStartups 1000:30:2000
MaxSessions 100
Subsystem sftp internal-sftp
END
  } >"$state/sshd-$1.conf"
}

write_client_files() {
  ssh=$state/home/.ssh
  mkdir -p "$ssh"
  chmod 700 "$state/home" "$ssh"
  cp "$key" "$ssh/id_ed25519"
  chmod 600 "$ssh/id_ed25519"
  : >"$ssh/known_hosts.new"
  : >"$ssh/config.new"
  number=1
  while [ "$number" -le $((groups * group_size)) ]; do
    echo "[127.0.0.$number]:$port $(cut -d' ' -f1,2 "$state/host_key.pub")" >>"$ssh/known_hosts.new"
    printf 'Host host%s\n  HostName 127.0.0.%s\n' "$number" "$number" >>"$ssh/config.new"
    number=$((number + 1))
  done
  cat >>"$ssh/config.new" <<END
Host host* 127.0.0.*
  Port $port
  User $user
  IdentityFile $ssh/id_ed25519
  IdentitiesOnly yes
  UserKnownHostsFile $ssh/known_hosts
  StrictHostKeyChecking yes
END
  mv "$ssh/known_hosts.new" "$ssh/known_hosts"
  mv "$ssh/config.new" "$ssh/config"
}

pid_of() { cat "$state/sshd-$1.pid" 2>/dev/null || true; }
listens_everywhere() { [ "$(ss -Hltn "sport = :$port" | grep -c ' 127\.0\.0\.')" -ge $((groups * group_size)) ]; }
lets_in() { ssh -F "$state/home/.ssh/config" -o BatchMode=yes -o ConnectTimeout=5 host1 true 2>"$state/login.log"; }

start_sshd() {
  if process_is "$(pid_of "$1")" sshd; then return 0; fi
  write_server_config "$1"
  /usr/sbin/sshd -f "$state/sshd-$1.conf" -E "$state/sshd-$1.log" 9>&- ||
    { cat "$state/sshd-$1.log" >&2; die "sshd did not start; see $state/sshd-$1.log"; }
}

# forget_dead_port: the port of servers that are gone binds nobody.
forget_dead_port() {
  for file in "$state"/sshd-*.pid; do
    [ -e "$file" ] && process_is "$(cat "$file")" sshd && return 0
  done
  rm -f "$state/port" "$state"/sshd-*.pid
}

start() {
  case $count in '' | *[!0-9]* | 0) usage ;; esac
  [ "$count" -le 240 ] || usage
  need_root "starting sshd"
  need /usr/sbin/sshd openssh-server
  need ssh openssh-client
  need ss iproute2
  need ps procps
  lock_state hosts
  forget_dead_port
  if [ -f "$state/port" ] && [ "$(cat "$state/port")" != "$port" ]; then
    die "hosts run already on port $(cat "$state/port"); stop them first or leave --port out"
  fi
  groups=$(((count + group_size - 1) / group_size))
  running=$(find "$state" -name 'sshd-*.pid' | wc -l)
  if [ "$groups" -lt "$running" ]; then groups=$running; fi
  mkdir -p /run/sshd
  make_user
  make_keys
  echo "$port" >"$state/port"
  group=1
  while [ "$group" -le "$groups" ]; do
    start_sshd "$group"
    group=$((group + 1))
  done
  write_client_files
  wait_for 20 listens_everywhere || die "not every address listens on port $port; see $state/sshd-*.log"
  wait_for 20 lets_in || { cat "$state/login.log" >&2; die "no login on port $port; see $state/sshd-1.log"; }
  note_user "$state"
  show
}

show() {
  [ -f "$state/port" ] || die "no hosts run (hosts.sh start N)"
  ssh=$state/home/.ssh
  cat <<END
SSH_PORT=$(cat "$state/port")
SSH_USER=$user
SSH_KEY=$ssh/id_ed25519
SSH_KNOWN_HOSTS=$ssh/known_hosts
SSH_CONFIG=$ssh/config
SSH_HOME=$state/home
SSH_HOSTS=$(grep -c '^Host host[0-9]' "$ssh/config")
END
}

# descendants PID: the process ids of everything it started.
descendants() {
  for child in $(ps -o pid= --ppid "$1"); do
    echo "$child"
    descendants "$child"
  done
}

# stop_sshd PID: the server, and what its sessions still run, which would outlive it.
stop_sshd() {
  below=$(descendants "$1")
  # shellcheck disable=SC2086 # a list of process ids
  kill "$1" $below 2>/dev/null || true
  wait_for 10 process_gone "$1" sshd || die "sshd (process $1) did not end within 10 s"
}

stop() {
  drop_user "$state"
  if [ "${force:-}" != yes ] && in_use "$state"; then return 0; fi
  for file in "$state"/sshd-*.pid; do
    [ -e "$file" ] || continue
    if process_is "$(cat "$file")" sshd; then stop_sshd "$(cat "$file")"; fi
    rm -f "$file"
  done
  forget_users "$state"
  rm -f "$state/port"
}

remove() {
  force=yes
  stop
  if id "$user" >/dev/null 2>&1; then userdel --remove "$user" 2>/dev/null || die "user $user still has processes"; fi
}

[ $# -ge 1 ] || usage
verb=$1
shift
count='' port='' docker=no force=no settings=''
if [ "$verb" = start ] && [ $# -gt 0 ]; then count=$1; shift; fi
while [ $# -gt 0 ]; do
  case $1 in
    --port) [ $# -gt 1 ] || usage; port=$2; shift 2 ;;
    --docker) docker=yes; shift ;;
    --settings) [ -r "${2:-}" ] || usage; settings=$2; shift 2 ;;
    --force) force=yes; shift ;;
    *) usage ;;
  esac
done
state=$(state_folder hosts 755)
if [ -z "$port" ]; then port=$(cat "$state/port" 2>/dev/null || echo 2210); fi

case $verb in
  start) start ;;
  stop) lock_state hosts; stop ;;
  show) show ;;
  remove) lock_state hosts; remove ;;
  *) usage ;;
esac
