#!/bin/sh
# migrate_ways.sh - migrations of a database in a compose network behind an SSH host: what the plan says before the stack
# is up, the run, a second run, and a kill in the middle through the tunnel.
set -eu

fail() { echo "migrate_ways.sh: $*" >&2; [ ! -f out ] || tail -n 40 out >&2; exit 1; }
testbed=$DEPLOYRUN_SOURCE_DIR/tests/testbed
export SPEC_PROJECT="deployrun-migrate-$$" SPEC_STACK="$PWD/stack"
tear_down() {
  [ ! -d stack ] || (cd stack && docker-compose -p "$SPEC_PROJECT" down -v -t 1 >/dev/null 2>&1) || true
  sh "$testbed/hosts.sh" stop
}
trap tear_down EXIT
trap 'exit 130' INT TERM
sh "$testbed/hosts.sh" start 1 --docker >hosts
# shellcheck source=/dev/null
. ./hosts
export SPEC_SSH_CONFIG="$SSH_CONFIG"

rm -rf stack m
mkdir stack m
cat >stack/docker-compose.yml <<'END'
version: "2.4"
services:
  db:
    image: deployrun-test/base:1
    command: ["serve-postgres"]
    environment:
      POSTGRES_DB: shop
      POSTGRES_USER: keeper
      POSTGRES_PASSWORD: compose-pass-word-8
    stop_signal: SIGINT
END
chmod 755 stack
echo 'CREATE TABLE tours (id int); CREATE TABLE done (n int); INSERT INTO done VALUES (1);' >m/1_tours.sql
printf 'INSERT INTO done VALUES (2);\nCREATE INDEX CONCURRENTLY tours_id ON tours (id);\nINSERT INTO done VALUES (3);\n' \
  >m/2_index.sql
cat >r.lua <<'LUA'
return recipe { name = "r", params = { to = param.string {} }, run = function(p)
  local there = host { "host1", config = env.SPEC_SSH_CONFIG }
  local stack = there:compose { dir = env.SPEC_STACK, project = env.SPEC_PROJECT }
  local db = stack:postgres("db")
  step("Start", function() stack:up() end)
  step("Migrate", function()
    db:wait_ready { attempts = 900, interval = 0.1 }
    log("applied", #db:migrate { dir = "m", to = p.to }.applied)
    log("done", table.concat(db:query("select n from done order by n"):column(), " "))
  end)
end }
LUA

# does WORDS ARGUMENT…: the recipe says WORDS.
does() {
  words=$1
  shift
  timeout 180 "$DEPLOYRUN" r.lua "$@" >out 2>&1 </dev/null || fail "it failed"
  grep -q -- "$words" out || fail "it does not say $words"
}

does 'which of these are pending is known only then' --dry-run
does 'applied 1' to=1
does 'done 1$' to=1

# Killed through the tunnel, somewhere in the second file or before it.
"$DEPLOYRUN" r.lua >out 2>&1 </dev/null &
run=$!
tries=0
until grep -q 'Migrate' out; do
  tries=$((tries + 1))
  [ $tries -lt 1200 ] || fail "it never came to the migrations"
  sleep 0.05
done
sleep 0.3
kill -9 "$run" 2>/dev/null || true
wait "$run" 2>/dev/null || true

does 'done 1 2 3$'
does 'applied 0'
! grep -rq 'compose-pass-word-8' out "$XDG_STATE_HOME" || fail "the password was shown"
echo 'ok'
