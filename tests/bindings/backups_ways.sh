#!/bin/sh
# backups_ways.sh - backups of a database behind an SSH host: through a tunnel with this machine's pg_dump, with the far
# machine's own, and inside a container of a compose network, here and behind the host. Each is restored the same way.
# A connection that is cut in the middle leaves nothing.
set -eu
. "$DEPLOYRUN_SOURCE_DIR/tests/bindings/ways_world.sh"
PATH=/usr/lib/postgresql/15/bin:$PATH
export SPEC_DIR="$PWD/backups"

rm -rf backups held
begin_world
start_server --no-fsync
write_stack
sql postgres 'create database shop'
sql shop 'create table orders as select i, md5(i::text) from generate_series(1, 20000) i'

# recipe BODY: with `there`, the host, and `prove(db)`, a backup and a restore of it.
recipe() {
  cat >r.lua <<LUA
local function prove(db, options)
  options.dir, options.verify, options.keep = env.SPEC_DIR, "restore", 1
  local made = db:backup(options)
  log("rows: " .. made.rows)
  local restored = db:restore(made.path, { tools = options.tools, disconnect = true })
  log("restored: " .. restored.rows .. " kept " .. restored.kept)
  db:drop_kept()
end
return recipe { name = "r", run = function()
  local there = host { "host1", config = env.SPEC_SSH_CONFIG }
  local far = { host = "127.0.0.1", port = env.SPEC_PORT, user = "tester", dbname = "shop", password = secret("SPEC_PASSWORD") }
  $1
end }
LUA
}
does() {
  timeout 240 "$DEPLOYRUN" r.lua >out 2>&1 </dev/null || fail "it failed"
  grep -q "restored: $1 kept deployrun_kept_" out || fail "it was not restored"
  unseen "$SPEC_PASSWORD" backups
  unseen "$stack_password" backups
  [ "$(find backups -type f | wc -l)" -eq 3 ] || fail "there is more than the backup: $(find backups)"
  rm -rf backups
}

say "through the tunnel, with this machine's programs"
recipe 'prove(there:postgres(far), {})'
does 20000
say "with the far machine's own"
recipe 'prove(there:postgres(far), { tools = "there" })'
does 20000

say 'a connection that is cut in the middle'
mkdir -p bin
cat >bin/pg_dump <<SH
#!/bin/sh
[ "\$1" = --version ] && exec /usr/lib/postgresql/15/bin/pg_dump "\$@"
/usr/lib/postgresql/15/bin/pg_dump "\$@" | head -c 100000
touch "$PWD/held"
while [ ! -e "$PWD/go" ]; do sleep 0.1; done
SH
chmod 755 bin/pg_dump
chmod 777 .
recipe "there:env { PATH = '$PWD/bin:/usr/bin:/bin' }:postgres(far):backup { dir = env.SPEC_DIR, tools = 'there' }"
"$DEPLOYRUN" r.lua >out 2>&1 </dev/null &
run=$!
until_true "the dump was not begun" test -e held
sh "$testbed/hosts.sh" stop
ended 1
touch go
grep -qE '\((ssh\.[a-z_]*|postgres.lost)\)' out || fail "the lost connection is not named"
[ -z "$(find backups -type f)" ] || fail "something is left: $(find backups)"
start_host

say 'a container of a compose network, here and behind the host'
for place in 'host("local")' there; do
  recipe "local stack = $place:compose { dir = env.SPEC_STACK, project = env.SPEC_PROJECT }
  stack:up()
  local db = stack:postgres('db')
  db:wait_ready { attempts = 900, interval = 0.1 }
  db:exec('create table orders as select i, md5(i::text) from generate_series(1, 5000) i')
  prove(db, {})"
  does 5000
  remove_containers || fail "$(cat compose.out)"
done
