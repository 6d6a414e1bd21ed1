#!/bin/sh
# Owns private PostgreSQL 15 servers: each has its own data, unix socket and TCP port on 127.0.0.1, and ends with whoever
# started it.
#
#   postgres.sh start [--no-fsync] [--tls] [--port P] [--set NAME=VALUE]... [--hba LINE]...
#                            a new server; prints the variables below. --no-fsync: faster, for what no test crashes
#                            --tls: with a certificate for "localhost" and 127.0.0.1
#                            --set: a line of postgresql.conf · --hba: a line of pg_hba.conf before the usual ones
#   postgres.sh stop PORT    ends it (open connections are cut) and removes its data
#   postgres.sh pause PORT, resume PORT      ends it and keeps the data; starts it again
#
# Printed for eval: PGHOST (the socket's folder) PGPORT PGUSER PGPASSWORD PGDATABASE PG_TCP_HOST PG_FOLDER PG_LOG
# PG_CA (with --tls). The user is a superuser, let in without a password by the socket and with it (scram-sha-256) by TCP.
# A server whose starter (the parent process, or $DEPLOYRUN_TESTBED_USER) has died is ended by the next start.
# initdb is run once for a machine, a server begins as a copy: 0.6 s. State: $DEPLOYRUN_TESTBED/postgres.
set -eu
umask 022
prog=postgres
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

usage() { usage_error "usage: postgres.sh start [--no-fsync] [--tls] [--port P] [--set NAME=VALUE] [--hba LINE] | stop PORT | pause PORT | resume PORT"; }

bin=/usr/lib/postgresql/15/bin
user=tester
password=tester-password

# as_server COMMAND...: as the system user that the server runs as; PostgreSQL refuses root.
as_server() {
  if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --init-groups "$@" 9>&-; else "$@" 9>&-; fi
}

give_to_server() { [ "$(id -u)" != 0 ] || chown -R postgres:postgres "$@"; }

# The data of a server that never ran, made once.
make_template() {
  if [ -f "$state/template/PG_VERSION" ]; then return 0; fi
  rm -rf "$state/template"
  mkdir -m 700 "$state/template"
  printf '%s' "$password" >"$state/password"
  give_to_server "$state/template" "$state/password"
  as_server "$bin/initdb" --pgdata="$state/template" --username="$user" --pwfile="$state/password" --no-sync \
    --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 >"$state/initdb.log" 2>&1 ||
    { cat "$state/initdb.log" >&2; rm -rf "$state/template"; die "initdb failed"; }
}

taken() { [ -e "$state/$1" ] || ss -Hltn "sport = :$1" | grep -q .; }

choose_port() {
  port=$((20000 + $$ % 10000))
  while taken "$port"; do port=$((port + 1)); done
}

# A certificate authority and a server certificate signed by it.
make_certificate() {
  (
    cd "$folder"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=deployrun test CA" \
      -keyout ca.key -out ca.crt
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=localhost" -keyout data/server.key \
      -out server.csr
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' >names
    openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -extfile names \
      -out data/server.crt
  ) 2>"$folder/openssl.log" || { cat "$folder/openssl.log" >&2; die "no certificate could be made"; }
  chmod 600 "$folder/data/server.key"
  chmod 644 "$folder/ca.crt"
}

write_settings() {
  cat >>"$folder/data/postgresql.conf" <<END
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$folder'
shared_buffers = 32MB
log_line_prefix = '%m [%p] %a '
fsync = $fsync
ssl = $tls
$settings
END
  { printf '%s' "$hba"; cat "$folder/data/pg_hba.conf"; } >"$folder/hba"
  mv "$folder/hba" "$folder/data/pg_hba.conf"
}

# pid_of PORT: the server process; nothing when it does not run.
pid_of() { head -n 1 "$state/$1/data/postmaster.pid" 2>/dev/null || true; }

run_server() {
  as_server "$bin/pg_ctl" start --pgdata="$state/$1/data" --log="$state/$1/log" --wait --timeout=60 >"$state/$1/ctl" 2>&1 ||
    { cat "$state/$1/ctl" "$state/$1/log" >&2; die "PostgreSQL did not start"; }
}

end_server() {
  if process_is "$(pid_of "$1")" postgres; then
    as_server "$bin/pg_ctl" stop --pgdata="$state/$1/data" --mode=immediate --timeout=30 >"$state/$1/ctl" 2>&1 ||
      { cat "$state/$1/ctl" >&2; die "PostgreSQL on port $1 did not end"; }
  fi
}

remove_server() {
  end_server "$1"
  rm -rf "${state:?}/$1"
}

# What was left by those that were killed before they could say stop.
sweep() {
  for left in "$state"/[0-9]*; do
    [ -d "$left" ] || continue
    in_use "$left" 2>"$state/in_use" || remove_server "$(basename "$left")"
  done
}

start() {
  [ -x "$bin/postgres" ] || die "$bin/postgres is missing (Debian package postgresql-15; 'sh vendor/bootstrap.sh test' installs it)"
  need ss iproute2
  need setpriv util-linux
  lock_state postgres
  sweep
  make_template
  [ -n "$port" ] || choose_port
  folder=$state/$port
  mkdir -m 755 "$folder" || die "there is a server on port $port"
  note_user "$folder"
  cp -a "$state/template" "$folder/data"
  if [ "$tls" = on ]; then make_certificate; fi
  write_settings
  if [ "$(id -u)" = 0 ]; then chown -R postgres:postgres "$folder"; fi
  run_server "$port"
  cat <<END
PGHOST=$folder
PGPORT=$port
PGUSER=$user
PGPASSWORD=$password
PGDATABASE=postgres
PG_TCP_HOST=127.0.0.1
PG_FOLDER=$folder
PG_LOG=$folder/log
END
  if [ "$tls" = on ]; then echo "PG_CA=$folder/ca.crt"; fi
}

[ $# -ge 1 ] || usage
verb=$1
shift
state=$(state_folder postgres 755)
fsync=on tls=off port='' settings='' hba=''
newline='
'
case $verb in
  start) ;;
  stop | pause | resume)
    case ${1:-} in '' | *[!0-9]*) usage ;; esac
    port=$1
    shift
    ;;
  *) usage ;;
esac
while [ $# -gt 0 ]; do
  case $1 in
    --no-fsync) fsync=off; shift ;;
    --tls) tls=on; shift ;;
    --port) [ $# -gt 1 ] || usage; port=$2; shift 2 ;;
    --set) [ $# -gt 1 ] || usage; settings=$settings$2$newline; shift 2 ;;
    --hba) [ $# -gt 1 ] || usage; hba=$hba$2$newline; shift 2 ;;
    *) usage ;;
  esac
done

case $verb in
  start) start ;;
  stop) lock_state postgres; if [ -d "$state/$port" ]; then remove_server "$port"; fi ;;
  pause) end_server "$port" ;;
  resume) run_server "$port" ;;
esac
