#!/bin/sh
# migrate_ways.sh - migrations of a database in a compose network behind an SSH host: what the plan says before the stack
# is up, the run, a second run, and a kill in the middle through the tunnel.
set -eu
. "$DEPLOYRUN_SOURCE_DIR/tests/bindings/ways_world.sh"
begin_world
write_stack
rm -rf m
mkdir m
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
until_true "it never came to the migrations" grep -q 'Migrate' out
sleep 0.3
kill -9 "$run" 2>/dev/null || true
wait "$run" 2>/dev/null || true
run=

does 'done 1 2 3$'
does 'applied 0'
unseen "$stack_password"
