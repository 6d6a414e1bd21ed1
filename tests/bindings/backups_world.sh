# shellcheck shell=sh
# What the tests of backups share; sourced. A PostgreSQL of the test's own with a small shop in it, a recipe that does
# one thing with its backups, and programs in front of pg_dump and pg_restore that go wrong on purpose.
#
# Sets: work (a folder), PGHOST … (postgres.sh), dir (of the backups), bin (first in PATH; empty).

testbed=$DEPLOYRUN_SOURCE_DIR/tests/testbed
real=/usr/lib/postgresql/15/bin
work=$PWD/world
dir=$work/backups
bin=$work/bin
run=

fail() {
  echo "FAILED: $*" >&2
  [ ! -f "$work/out" ] || sed 's/^/  | /' "$work/out" >&2
  exit 1
}
ok() { echo "ok: $*"; }

end_world() {
  [ -z "$run" ] || kill -KILL "$run" 2>/dev/null || true
  touch "$work/go" 2>/dev/null || true
  ! mountpoint -q "$work/small" || umount "$work/small" || umount -l "$work/small"
  [ -n "${PGPORT-}" ] || return 0
  sh "$testbed/postgres.sh" pause "$PGPORT" >/dev/null 2>&1 || true
  ! mountpoint -q "$PG_FOLDER/data/base" || umount "$PG_FOLDER/data/base" || true
  sh "$testbed/postgres.sh" stop "$PGPORT" >/dev/null 2>&1 || true
}

# begin_world [OPTION…]: the server, with postgres.sh's options.
begin_world() {
  rm -rf "$work"
  mkdir -p "$bin"
  trap end_world EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  sh "$testbed/postgres.sh" start "$@" >"$work/server" || fail "no server"
  # shellcheck disable=SC1091 # written above
  . "$work/server"
  export PGHOST PGPORT PGUSER
  PATH=$bin:$real:$PATH
  write_recipe
}

# A password that is nowhere else, so that it is found wherever it should not be.
password=tester-password

write_recipe() {
  cat >"$work/r.lua" <<LUA
return recipe { name = "r",
  params = { verb = param.string {}, path = param.string {}, db = param.string { default = "shop" },
    dir = param.string { default = "$dir" }, options = param.string { default = "{}" } },
  run = function(p)
    local db = postgres { host = "127.0.0.1", port = "$PGPORT", user = "$PGUSER", password = "$password", dbname = p.db ~= "" and p.db or nil }
    local options = json.decode(p.options)
    if p.verb == "backup" or p.verb == "backups" then options.dir = p.dir end
    if p.verb == "backup" or p.verb == "backups" or p.verb == "kept" or p.verb == "drop_kept" then
      log(json.encode(db[p.verb](db, options)))
    elseif p.verb == "undo" then
      local restored
      step("Restore", function() restored = db:restore(p.path, options) end):undo(function() db:swap_back(restored) end)
      fail("on purpose")
    else
      log(json.encode(db[p.verb](db, p.path, options)))
    end
  end }
LUA
}

# do_it VERB [NAME=VALUE…]: runs the recipe; its status is the function's, its words are in $work/out.
do_it() {
  verb=$1
  shift
  "$DEPLOYRUN" "$work/r.lua" "verb=$verb" "$@" >"$work/out" 2>&1 </dev/null
}

# refused CODE VERB [NAME=VALUE…]: fails with that code, and says what to do.
refused() {
  code=$1
  shift
  if do_it "$@"; then fail "$*: no $code"; fi
  grep -qE "(Code +|\()$code\)?\$" "$work/out" || fail "$*: not $code"
  grep -q '^  Hint ' "$work/out" || fail "$*: no hint"
}

sql() { psql -qAtX -v ON_ERROR_STOP=1 -d "${db:-shop}" -c "$1"; }

# make_shop: a database with two tables, a view that holds rows, a large object, a setting and a grant.
make_shop() {
  createdb shop
  psql -qX -v ON_ERROR_STOP=1 -d shop <<'SQL'
CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE orders (id serial PRIMARY KEY, customer int NOT NULL REFERENCES customers, note text);
INSERT INTO customers (name) SELECT 'customer ' || i FROM generate_series(1, 100) i;
INSERT INTO orders (customer, note) SELECT 1 + i % 100, md5(i::text) FROM generate_series(1, 20000) i;
CREATE MATERIALIZED VIEW totals AS SELECT customer, count(*) AS orders FROM orders GROUP BY 1;
CREATE SCHEMA "Odd ""one";
CREATE TABLE "Odd ""one"."select" (a int);
INSERT INTO "Odd ""one"."select" VALUES (1), (2);
SELECT lo_from_bytea(0, 'a large object') \g /dev/null
CREATE TABLE base (a int);
CREATE TABLE heir () INHERITS (base);
INSERT INTO base VALUES (1);
INSERT INTO heir VALUES (2), (3);
CREATE TABLE parts (a int) PARTITION BY RANGE (a);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
INSERT INTO parts SELECT generate_series(0, 9);
SET client_min_messages = error;
DROP ROLE IF EXISTS reader;
CREATE ROLE reader PASSWORD 'role-password' LOGIN;
GRANT CONNECT ON DATABASE shop TO reader;
ALTER DATABASE shop SET search_path = app, public;
ALTER ROLE reader IN DATABASE shop SET work_mem = '8MB';
COMMENT ON DATABASE shop IS 'the shop''s own';
SQL
}

# The newest backup: its path without an ending.
newest() {
  for file in "$dir"/shop-2*.json; do last=$file; done
  echo "${last%.json}"
}

files() { (cd "$dir" && find . -mindepth 1 | sort | tr '\n' ' '); }
databases() { psql -qAtX -d postgres -c "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE datname !~ '^template'"; }

# instead PROGRAM <SCRIPT: what runs under that name from now on; $real and $work are for it. With no text: the real one.
instead() {
  { printf '#!/bin/sh\nreal=%s work=%s\n' "$real" "$work"; cat; } >"$bin/$1"
  chmod 755 "$bin/$1"
}
mend() { rm -f "$bin/$1" "$work/go" "$work/held"; }

# until_true WHAT COMMAND…: within 60 s.
until_true() {
  what=$1
  tries=0
  shift
  until "$@" 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 1200 ] || fail "$what"
    sleep 0.05
  done
}
gone() { ! kill -0 "$1"; }

# is VALUE QUERY: what a query of the maintenance database answers; for until_true.
is() { [ "$(psql -qAtX -d postgres -c "$2")" = "$1" ]; }
