#!/bin/sh
# postgres_ways.sh - a database behind an SSH host: by TCP and by its socket, and in a container of a compose network,
# here and behind the host; what it says when the way leads nowhere; an interrupt that reaches the server through it.
set -eu
. "$DEPLOYRUN_SOURCE_DIR/tests/bindings/ways_world.sh"
begin_world
start_server --no-fsync --hba 'local all deployrun-test peer' --tls \
  --hba 'hostssl all only_tls all scram-sha-256' --hba 'hostnossl all only_tls all reject'
export SPEC_FOLDER="$PG_FOLDER" SPEC_CA="$PG_CA"
write_stack
cat >>stack/docker-compose.yml <<'END'
    volumes:
      - data:/var/lib/postgresql/data
volumes:
  data: {}
END
sql postgres 'create role "deployrun-test" login'
sql postgres 'create database "deployrun-test" owner "deployrun-test"'
sql postgres "create role only_tls login password 'only-tls-password'"

# does WORDS COMMAND… / fails CODE WORDS: the recipe says WORDS; it fails with the code and says them.
does() {
  words=$1
  shift
  timeout 240 env "$@" "$DEPLOYRUN" r.lua >out 2>&1 || fail "it failed"
  grep -q -- "$words" out || fail "it does not say $words"
}
fails() {
  status=0
  timeout 120 "$DEPLOYRUN" r.lua >out 2>&1 || status=$?
  [ $status -eq 1 ] || fail "exit status $status"
  grep -q "[( ]$1\b" out || fail "no $1"
  grep -q -- "$2" out || fail "it does not say $2"
}
# recipe BODY: with `there`, the host, and `ask(db)`.
recipe() {
  cat >r.lua <<LUA
local function ask(db)
  log("answer: " .. db:query("select current_user || ' ' || coalesce(host(inet_client_addr()), 'socket') || ' ' || current_database()"):value("?"))
end
return recipe { name = "r", run = function()
  local there = host { "host1", config = env.SPEC_SSH_CONFIG }
  $1
end }
LUA
}

say 'through an SSH host'
recipe 'local db = there:postgres { host = "127.0.0.1", port = env.SPEC_PORT, user = "tester", dbname = "postgres",
    password = secret("SPEC_PASSWORD") }
  ask(db) ask(db) db:wait_ready() log("changed: " .. db:exec("create temp table x as select 1").tag)'
does 'answer: tester 127.0.0.1 postgres'
grep -q 'changed: SELECT 1' out || fail "nothing was changed"
does 'answer: tester 127.0.0.1 postgres' PGHOST=/nowhere PGHOSTADDR=127.0.0.9 PGPORT=1 PGUSER=nobody PGSSLMODE=require
recipe 'ask(there:postgres { host = env.SPEC_FOLDER, port = env.SPEC_PORT, user = "tester", dbname = "postgres" })'
does 'answer: tester socket postgres'
recipe 'ask(there:postgres { host = env.SPEC_FOLDER, port = env.SPEC_PORT })'
does 'answer: deployrun-test socket deployrun-test'
mkdir -p home
printf '127.0.0.1:%s:*:tester:%s\n' "$port" "$SPEC_PASSWORD" >home/.pgpass
chmod 600 home/.pgpass
recipe 'ask(there:postgres { host = "127.0.0.1", port = env.SPEC_PORT, user = "tester", dbname = "postgres" })'
does 'answer: tester 127.0.0.1 postgres' PGPASSFILE="$PWD/home/.pgpass"

say 'ways that lead nowhere'
recipe 'ask(there:postgres { host = "127.0.0.1", port = 1 })'
fails postgres.unreachable 'no connection to .* on 127.0.0.1:1 of host1'
recipe 'ask(there:postgres { host = "/nowhere" })'
fails postgres.unreachable 'of host1'
recipe 'ask(there:postgres { host = "127.0.0.1", port = env.SPEC_PORT, user = "tester", password = "not-this-one" })'
fails postgres.auth 'password authentication failed'
recipe 'ask(there:postgres { host = "a,b" })'
fails postgres.no_way 'name one host'
recipe 'pcall(function() there:postgres { host = "127.0.0.1", port = 1 }:wait_ready { attempts = 2, interval = 0.1 } end)
  there:postgres { host = "127.0.0.1", port = 1 }:wait_ready { attempts = 2, interval = 0.1 }'
fails postgres.not_ready 'after 2 attempts'

say 'an interrupt reaches the server'
recipe 'local db = there:postgres { host = "127.0.0.1", port = env.SPEC_PORT, user = "tester", dbname = "postgres",
    password = secret("SPEC_PASSWORD") }
  db:exec("select pg_sleep(300)")'
active() { [ "$(sql postgres "select count(*) from pg_stat_activity where query = 'select pg_sleep(300)' and state = 'active'")" = "$1" ]; }
"$DEPLOYRUN" r.lua >out 2>&1 </dev/null &
run=$!
until_true "the statement was not begun" active 1
kill -INT "$run"
ended 130
until_true "the statement goes on" active 0

say 'a container of a compose network, here and behind the host'
for place in 'host("local")' there; do
  recipe "local stack = $place:compose { dir = env.SPEC_STACK, project = env.SPEC_PROJECT }
  local db = stack:postgres(\"db\")
  step(\"Start\", function() stack:up() end)
  step(\"Use\", function()
    db:wait_ready { attempts = 900, interval = 0.1 }
    db:exec(\"create table if not exists orders (id int, paid bool); insert into orders values (1, true), (2, false)\")
    log(\"paid: \" .. db:query(\"select count(*) from orders where paid = \$1\", { true }):value(0))
    ask(db)
  end)
  step(\"Again\", function()
    stack:up { force_recreate = true }
    db:wait_ready { attempts = 900, interval = 0.1 }
    ask(db)
    ask(stack:postgres(\"db\", { dbname = \"postgres\" }))
  end)"
  "$DEPLOYRUN" r.lua --dry-run >out 2>&1 || fail "the plan of $place failed"
  grep -q 'postgres.exec' out || fail "the plan does not show it"
  does 'paid: 1'
  grep -q 'answer: keeper [0-9.]* shop' out || fail "not the container's database"
  grep -q 'answer: keeper [0-9.]* postgres' out || fail "not the other database"
  unseen "$stack_password"
  remove_containers || fail "$(cat compose.out)"
done
recipe 'ask(host("local"):compose { dir = env.SPEC_STACK, project = env.SPEC_PROJECT }:postgres("db"))'
fails docker.not_running 'start it first'
