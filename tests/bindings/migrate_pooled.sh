#!/bin/sh
# migrate_pooled.sh - migrations through PgBouncer: a pool that keeps sessions works; one that gives them away between
# transactions is noticed, and nothing is done.
set -eu
. "$DEPLOYRUN_SOURCE_DIR/tests/bindings/migrate_lib.sh"
start_server --no-fsync
command -v pgbouncer >/dev/null || fail "pgbouncer is missing (sh vendor/bootstrap.sh test installs it)"
server_port=$PGPORT
server_host=$PGHOST
folder=$(mktemp -d)
pooler=
chmod 755 "$folder"
trap '[ -z "$pooler" ] || kill "$pooler" 2>/dev/null || true; rm -rf "$folder"; sh "$testbed/postgres.sh" stop "$server_port"' EXIT

# as_user COMMAND...: PgBouncer refuses root.
as_user() { if [ "$(id -u)" = 0 ]; then exec setpriv --reuid=postgres --regid=postgres --init-groups "$@"; else exec "$@"; fi; }

# pool MODE [SETTING...]: a pooler before the server, and the way of libpq to it.
pool() {
  [ -z "$pooler" ] || { kill "$pooler"; wait "$pooler" 2>/dev/null || true; }
  mode=$1
  shift
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  cat >"$folder/ini" <<END
[databases]
* = host=$server_host port=$server_port user=$PGUSER
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = any
pool_mode = $mode
ignore_startup_parameters = extra_float_digits,options
$(for setting in "$@"; do echo "$setting"; done)
END
  chmod 644 "$folder/ini"
  (as_user pgbouncer -q "$folder/ini") >pgbouncer.log 2>&1 &
  pooler=$!
  export PGHOST=127.0.0.1 PGPORT="$port"
  until_true "PgBouncer did not start: $(cat pgbouncer.log)" psql -qc 'SELECT 1'
}

direct() { (export PGHOST="$server_host" PGPORT="$server_port"; is "$@"); }

begin 'a pool of sessions'
echo 'CREATE TABLE t (a int);' | file 1_t.sql
pool session
migrate ''
direct 'SELECT version FROM deployrun.schema_migrations' 1
PGHOST=$server_host PGPORT=$server_port

for setting in server_round_robin=0 server_round_robin=1 default_pool_size=1; do
  begin "a pool of transactions, $setting"
  echo 'CREATE TABLE t (a int);' | file 1_t.sql
  pool transaction "$setting"
  refused postgres.pooled 'pool_mode = session'
  direct "SELECT to_regnamespace('deployrun') IS NULL" t
  PGHOST=$server_host PGPORT=$server_port
done

echo "ok: $number cases"
