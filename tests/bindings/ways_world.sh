# shellcheck shell=sh
# ways_world.sh - what the tests of a database that is reached through an SSH host share; sourced by backups_ways.sh,
# migrate_ways.sh and postgres_ways.sh. A host with a Docker Engine (hosts.sh), the folder of a compose project whose
# service `db` is a PostgreSQL, and for those who want one a PostgreSQL of this machine (postgres.sh).
#
# Sets: testbed, stack_password; port and socket (of start_server's PostgreSQL). Exports what a recipe reads:
# SPEC_SSH_CONFIG, SPEC_STACK, SPEC_PROJECT. A script that runs something beside itself keeps its process id in `run`.

testbed=$DEPLOYRUN_SOURCE_DIR/tests/testbed
# A password that is nowhere else, so that it is found wherever it should not be.
stack_password=compose-pass-word-7
export SPEC_STACK="$PWD/stack" SPEC_PROJECT="deployrun-ways-$$"
port=
run=

fail() { echo "${0##*/}: $*" >&2; [ ! -f out ] || tail -n 40 out >&2; exit 1; }
say() { printf '== %s\n' "$*"; }

remove_containers() { (cd stack && docker-compose -p "$SPEC_PROJECT" down -v -t 1) >compose.out 2>&1; }

end_world() {
  touch go
  [ -z "$run" ] || kill -KILL "$run" 2>/dev/null || true
  [ ! -d stack ] || remove_containers || true
  [ -z "$port" ] || sh "$testbed/postgres.sh" stop "$port"
  sh "$testbed/hosts.sh" stop
}

# begin_world: the host, and the trap that ends all of it.
begin_world() {
  trap end_world EXIT
  trap 'exit 130' INT TERM
  rm -rf stack go
  start_host
}

# start_host: host1, behind which commands reach the engine; sets SPEC_SSH_CONFIG.
start_host() {
  sh "$testbed/hosts.sh" start 1 --docker >hosts
  # shellcheck disable=SC1091 # written above
  . ./hosts
  export SPEC_SSH_CONFIG="$SSH_CONFIG"
}

# start_server [OPTION of postgres.sh…]: a PostgreSQL of this machine, whose user is tester; exports SPEC_PORT and
# SPEC_PASSWORD. Nothing of it is left in the environment, where libpq would find it.
start_server() {
  sh "$testbed/postgres.sh" start "$@" >server
  # shellcheck disable=SC1091 # written above
  . ./server
  port=$PGPORT
  socket=$PGHOST
  export SPEC_PORT="$port" SPEC_PASSWORD="$PGPASSWORD"
  unset PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE
}

# sql DATABASE QUERY: asked of that server by its socket.
sql() { psql -X -q -v ON_ERROR_STOP=1 -h "$socket" -p "$port" -U tester -At -d "$1" -c "$2"; }

# write_stack: stack/docker-compose.yml. What is behind its end belongs to the service.
write_stack() {
  mkdir stack
  cat >stack/docker-compose.yml <<END
version: "2.4"
services:
  db:
    image: deployrun-test/base:1
    command: ["serve-postgres"]
    environment:
      POSTGRES_DB: shop
      POSTGRES_USER: keeper
      POSTGRES_PASSWORD: $stack_password
    stop_signal: SIGINT
END
  chmod 755 stack
}

# until_true WHAT COMMAND…: within 60 s.
until_true() {
  what=$1
  shift
  tries=0
  until "$@"; do
    tries=$((tries + 1))
    [ $tries -lt 1200 ] || fail "$what"
    sleep 0.05
  done
}

# ended STATUS: the program in `run` ends by itself, with that exit status.
ended() {
  status=0
  wait "$run" || status=$?
  run=
  [ $status -eq "$1" ] || fail "exit status $status"
}

# unseen PASSWORD [FOLDER…]: not in the words of the run, nor in its journal, nor below a folder.
unseen() {
  password=$1
  shift
  ! grep -rq "$password" out "$XDG_STATE_HOME" "$@" || fail "the password was shown"
}
