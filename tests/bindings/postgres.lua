-- postgres.lua - queries, actions and connections of a database. Run by postgres.sh, which has a server for it.
local spec = require "spec"

local function connect(options)
  local all = { host = env.SPEC_HOST, port = env.SPEC_PORT, user = env.SPEC_USER, password = secret("SPEC_PASSWORD"),
    dbname = "spec", sslmode = "disable" }
  for name, value in pairs(options or {}) do all[name] = value end
  return postgres(all)
end

-- What was planned on this machine before makes every query unknown in the walk: a case is for the run.
local cases = {
  { "values come as what they are", function(t)
    local row = connect():query([[select true as yes, false as no, null as nothing, 7::int2 as small, -5::int4 as int,
      9007199254740993::int8 as big, 1.25::float4 as real, 1e300::float8 as double, 'NaN'::float8 as nan,
      '-Infinity'::float8 as minus, 1.10::numeric as money, 12345678901234567890.123456789::numeric as exact,
      'x''"\ü€'::text as text, '{"a": [1]}'::jsonb as json, '\x00ff'::bytea as bytes, '{1,2}'::int[] as list,
      date '2024-02-29' as day, ''::text as empty, 26::oid as oid, 'a'::"char" as letter]])[1]
    t.equal(row.yes, true)
    t.equal(row.no, false)
    t.equal(row.nothing, nil)
    t.equal(row.small, 7)
    t.equal(row.int, -5)
    t.equal(row.big, 9007199254740993)
    t.equal(math.type(row.big), "integer")
    t.equal(row.real, 1.25)
    t.equal(row.double, 1e300)
    t.equal(row.nan, "NaN")
    t.equal(row.minus, "-Infinity")
    t.equal(row.money, "1.10")
    t.equal(row.exact, "12345678901234567890.123456789")
    t.equal(row.text, "x'\"\\ü€")
    t.equal(json.decode(row.json).a[1], 1)
    t.equal(row.bytes, "\\x00ff")
    t.equal(row.list, "{1,2}")
    t.equal(row.day, "2024-02-29")
    t.equal(row.empty, "")
    t.equal(row.oid, 26)
    t.equal(row.letter, "a")
  end },
  { "parameters are values, never SQL", function(t)
    local db = connect()
    local row = db:query([[select $1::text as quoted, $2::int + 1 as n, $3::bool as yes, $4::float8 as f,
      $5::text is null as null5, $6::text[] as list, $7::int[] as numbers, $8::text is null as null8]],
      { "'; drop table x; --", 41, false, 0.1, postgres.null, { "a b", "c\"d\\", "NULL", "" }, { 1, 2 }, n = 8 })[1]
    t.equal(row.quoted, "'; drop table x; --")
    t.equal(row.n, 42)
    t.equal(row.yes, false)
    t.equal(row.f, 0.1)
    t.equal(row.null5, true)
    t.equal(row.list, [[{"a b","c\"d\\","NULL",""}]])
    t.equal(row.numbers, "{1,2}")
    t.equal(row.null8, true)
    t.equal(db:query("select id from unnest(array[1,2,3]) as id where id = any($1)", { { 3, 1 } }):column()[2], 3)
    t.fails("recipe.argument", db.query, db, "select $1", "x")
    t.fails("recipe.argument", db.query, db, "select $1", { function() end })
    t.fails("recipe.argument", db.query, db, "select $1", { { a = 1 } })
    t.fails("recipe.argument", db.query, db, "select $1", { "a\0b" })
    t.fails("postgres.encoding", db.query, db, "select 'a\0b'")
    t.fails("postgres.statement", db.query, db, "select $1::int", { "x" })
    t.fails("postgres.statement", db.query, db, "select $1::text", { "\xff" })
    t.fails("postgres.statement", db.query, db, "select $1, $2", { 1 })
  end },
  { "rows answer by number, by value and by column", function(t)
    local rows = connect():query("select n, nullif(n, 2) as odd from generate_series(1, 3) as n")
    t.equal(#rows, 3)
    t.equal(rows[3].n, 3)
    t.equal(rows:value(), 1)
    t.equal(#rows:column("odd"), 2)
    t.equal(rows.columns[2], "odd")
    t.equal(json.encode(rows), '[{"n":1,"odd":1},{"n":2},{"n":3,"odd":3}]')
    local none = connect():query("select 1 as n where false")
    t.equal(#none, 0)
    t.equal(none:value(), nil)
    t.equal(none:value("none"), "none")
    t.equal(none.columns[1], "n")
    t.equal(json.encode(none), "[]")
    t.equal(connect():query("select"):value(), nil)
    t.equal(connect():query("select null as x"):value(5), 5)
    t.equal(connect():query("show server_encoding"):value(), "UTF8")
    t.matches(connect():query("explain select 1"):value(), "Result")
    t.equal(connect():query("values (1), (2)"):column()[2], 2)
    t.fails("postgres.column", function() connect():query("select 1 as a, 2 as a") end)
  end },
  { "a query cannot change anything", function(t)
    local db = connect()
    for _, sql in ipairs { "delete from pg_class", "copy (select 1) to program 'true'", "notify x",
      "set timezone = 'UTC'",
      "commit", "select 1; delete from pg_class", "begin", "do $$ begin end $$", "vacuum", "" } do
      t.fails("postgres.read_only", db.query, db, sql)
    end
    for _, sql in ipairs { "select 1 into made_by_query", "select * from spec_reads for update",
      "explain analyze create table x as select 1", "with d as (delete from spec_reads returning *) select * from d",
      "select nextval('spec_sequence')", "select spec_writes()" } do
      db:exec([[create table if not exists spec_reads (id int); create sequence if not exists spec_sequence;
          create or replace function spec_writes() returns void language sql as 'insert into spec_reads values (1)']])
      t.fails("postgres.read_only", db.query, db, sql)
    end
    local problem = t.fails("postgres.read_only", db.query, db, "select nextval('spec_sequence')")
    t.matches(problem.hint, "use db:exec")
  end },
  { "actions are whole or not at all, and say what they did", function(t)
    local db = connect()
    db:exec("drop table if exists a")
    local done = db:exec("create table a (id int primary key, t text); insert into a values (1, 'x'), (2, 'y')")
    t.equal(done.tag, "INSERT 0 2")
    t.equal(done.affected, 2)
    t.equal(done.statements[1].tag, "CREATE TABLE")
    local problem = t.fails("postgres.constraint", db.exec, db,
      "insert into a values (3, 'z');\ninsert into a values (1, 'x')")
    t.matches(problem.message, "SQLSTATE 23505")
    t.matches(problem.detail, "Key %(id%)=%(1%) already exists")
    t.matches(problem.detail, "constraint: a_pkey")
    t.equal(db:query("select count(*) from a"):value(), 2)
    t.equal(db:exec("update a set t = $1 where id = $2", { "new", 2 }).affected, 1)
    t.equal(db:exec("delete from a where id = 2 returning t").rows[1].t, "new")
    t.equal(db:query("select count(*) from a"):value(), 1)
    t.fails("recipe.argument", db.exec, db, "select 1; select $1", { 1 })
    t.fails("recipe.argument", db.exec, db, "-- nothing")
  end },
  { "what cannot run in a transaction runs without one", function(t)
    local db = connect()
    local problem = t.fails("postgres.transaction", db.exec, db, "vacuum")
    t.matches(problem.hint, "transaction = false")
    t.fails("postgres.transaction", db.exec, db, "begin; select 1; commit")
    db:exec("create table if not exists b (id int)")
    db:exec("create index concurrently if not exists b_id on b (id)", nil, { transaction = false })
    t.equal(db:query("select indisvalid from pg_index where indexrelid = 'b_id'::regclass"):value(), true)
    db:exec("begin; insert into b values (1); commit", nil, { transaction = false })
    t.fails("postgres.transaction", db.exec, db, "begin; insert into b values (2)", nil, { transaction = false })
    t.equal(db:query("select count(*) from b"):value(), 1)
    t.equal(db:query("show lock_timeout"):value(), "0")
  end },
  { "an error names statement, line and reason", function(t)
    local db = connect()
    local problem = t.fails("postgres.syntax", db.exec, db, "select 1;\n\nselec 2")
    t.matches(problem.message, "line 3, column 1")
    problem = t.fails("postgres.statement", db.query, db, "select 1,\n  'ü', nope\nfrom generate_series(1, 2) as n")
    t.matches(problem.message, 'column "nope" does not exist %(SQLSTATE 42703, line 2%)')
    t.matches(problem.detail, "line 2:   'ü', nope\n               %^\n")
    problem = t.fails("postgres.statement", db.query, db, "select 1 / 0")
    t.matches(problem.message, "division by zero %(SQLSTATE 22012%)")
    problem = t.fails("postgres.statement", db.query, db, "select count(*) from none_such")
    t.matches(problem.hint, "migration not applied")
    problem = t.fails("postgres.statement", db.exec, db,
      "do $$ begin raise exception 'no way' using hint = 'go home', detail = 'too late'; end $$")
    t.matches(problem.detail, "detail: too late\nserver's hint: go home\ncontext: PL/pgSQL function")
    t.fails("postgres.syntax", db.exec, db, "selec 1", nil, { check = false })
    t.fails("postgres.denied", function() connect { host = env.SPEC_FOLDER, user = "plain" }:exec("create role x") end)
  end },
  { "notices are kept", function(t)
    local db = connect()
    db:exec("do $$ begin raise notice 'first % ü', 1; raise warning 'second' using errcode = '01234'; end $$")
    local told = db:notices()
    t.equal(#told, 2)
    t.equal(told[1].severity .. " " .. told[1].message, "NOTICE first 1 ü")
    t.equal(told[2].severity .. " " .. told[2].code, "WARNING 01234")
    db:query("select 1")
    t.equal(#db:notices(), 0)
    db:exec("do $$ begin for i in 1..500 loop raise notice '%', i; end loop; end $$")
    t.equal(#db:notices(), 200)
  end },
  { "answers are bounded", function(t)
    local db = connect()
    local problem = t.fails("postgres.too_large", db.query, db,
      "select repeat('x', 1000) from generate_series(1, 100000)")
    t.matches(problem.message, "larger than 8388608 bytes")
    t.fails("postgres.too_large", db.query, db, "select repeat('x', 100000000)")
    t.fails("postgres.too_large", db.query, db, "select n from generate_series(1, 11) as n", nil, { max_rows = 10 })
    t.fails("postgres.too_large", db.query, db, "select n from generate_series(1, 100001) as n")
    t.equal(#db:query("select n from generate_series(1, 10) as n", nil, { max_rows = 10 }), 10)
    t.equal(#db:query("select repeat('x', 8000000) as x"):value(), 8000000)
  end },
  { "time is bounded, and the server stops", function(t)
    local db = connect()
    local problem = t.fails("postgres.timeout", db.query, db, "select pg_sleep(60)", nil, { timeout = 0.3 })
    t.matches(problem.message, "did not end within 0.3 s")
    t.equal(db:query([[select count(*) from pg_stat_activity
      where query like 'select pg_sleep%' and state = 'active']]):value(), 0)
    local hasty = connect { options = "-c statement_timeout=200" }
    t.fails("postgres.timeout", hasty.query, hasty, "select pg_sleep(60)")
    t.fails("postgres.timeout", db.exec, db, "select pg_sleep(60)", nil, { timeout = "1s" })
  end },
  { "a lock is waited for so long, and a deadlock ends", function(t)
    local db = connect()
    db:exec([[drop table if exists locked; create table locked (id int primary key, n int);
      insert into locked values (1, 0), (2, 0)]])
    local codes = {}
    parallel({ 1, 2 }, { on_error = "continue" }, function(i)
      if i == 1 then return connect():exec("lock table locked; select pg_sleep(2)") end
      wait("the lock is held", { within = 30, every = 0.1 }, function()
        return db:query("select count(*) from pg_locks where relation = 'locked'::regclass and granted"):value() == 1
      end)
      t.fails("postgres.lock_timeout", db.exec, db, "update locked set n = 1", nil, { lock_timeout = 0.2 })
    end)
    parallel({ { 1, 2 }, { 2, 1 } }, function(ids)
      local ok, problem = pcall(function()
        connect():exec(([[update locked set n = n + 1 where id = %d; select pg_sleep(0.5);
          update locked set n = n + 1 where id = %d]]):format(ids[1], ids[2]), nil, { lock_timeout = 30 })
      end)
      codes[#codes + 1] = ok and "done" or problem.code
    end)
    table.sort(codes)
    t.equal(table.concat(codes, " "), "done postgres.deadlock")
    t.equal(db:query("select sum(n) from locked"):value(), 2)
  end },
  { "text of other encodings, and of none", function(t)
    t.equal(connect { dbname = "latin" }:query("select chr(252) as u"):value(), "ü")
    t.fails("postgres.statement", function() connect { dbname = "latin" }:query("select $1::text", { "€" }) end)
    local raw = connect { dbname = "ascii" }
    raw:exec([[drop table if exists odd; create table odd (b text);
      insert into odd values (convert_from('\xff41', 'SQL_ASCII'))]])
    t.matches(t.fails("postgres.statement", raw.query, raw, "select b from odd").hint, "encode%(")
    t.equal(raw:query("select encode(b::bytea, 'hex') from odd"):value(), "ff41")
  end },
  { "COPY to and from here is refused", function(t)
    local db = connect()
    t.fails("postgres.copy_data", db.exec, db, "copy pg_class to stdout")
    t.fails("postgres.copy_data", db.exec, db, "copy pg_class to stdout", nil, { check = false })
    t.fails("postgres.copy_data", db.exec, db, "create table if not exists c (id int); copy c from stdin", nil,
      { check = false })
    t.equal(db:query("select 1"):value(), 1)
  end },
  { "a connection that does not come about says why", function(t)
    local function refused(code, options, words)
      local problem = t.fails(code, function() connect(options):query("select 1") end)
      t.matches(problem.message .. " " .. (problem.hint or ""), words)
    end
    refused("postgres.auth", { password = "wrong-one" }, "the password is wrong")
    refused("postgres.auth", { password = "" }, "~/.pgpass")
    refused("postgres.auth", { user = "nobody_such", host = env.SPEC_FOLDER }, "CREATE ROLE")
    refused("postgres.auth", { user = "peered", host = env.SPEC_FOLDER }, "named like the system user")
    refused("postgres.auth", { user = "only_tls", password = "only-tls-password" }, "by TLS only")
    refused("postgres.no_database", { dbname = "none_such" }, 'database "none_such" does not exist')
    refused("postgres.unreachable", { port = 1 }, "nothing listens there")
    refused("postgres.unreachable", { host = "/nowhere" }, "no server listens at that socket")
    refused("postgres.unreachable", { host = "none.invalid" }, "has no address")
    refused("postgres.connect", { colour = "red" }, "invalid connection option")
    refused("postgres.connect", { port = "x" }, "x")
    t.fails("postgres.connect", postgres, "postgres://h:5432/x?colour=red")
    t.fails("recipe.argument", postgres, { host = {} })
    t.fails("secret.short", postgres, { password = "abc" })
  end },
  { "TLS is what sslmode says", function(t)
    local function secure(options)
      options.sslrootcert = options.sslrootcert or env.SPEC_CA
      return connect(options):query("select ssl from pg_stat_ssl where pid = pg_backend_pid()"):value()
    end
    t.equal(secure { sslmode = "require", sslrootcert = "" }, true)
    t.equal(secure { sslmode = "verify-full" }, true)
    t.equal(secure { sslmode = "verify-full", host = "localhost" }, true)
    t.equal(secure { sslmode = "verify-full", user = "only_tls", password = "only-tls-password" }, true)
    t.equal(secure { sslmode = "prefer" }, true)
    t.fails("postgres.tls", secure, { sslmode = "verify-full", sslrootcert = "/etc/hostname" })
    t.fails("postgres.tls", secure, { sslmode = "verify-full", host = "127.0.0.2", hostaddr = env.SPEC_HOST })
  end },
  { "all connections taken is told as that", function(t)
    local db = connect()
    local taken, problem = 0, nil
    parallel({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14 }, { limit = 14, on_error = "continue" }, function()
      local ok, error = pcall(function() connect():query("select pg_sleep(2)") end)
      if ok then taken = taken + 1 elseif error.code == "postgres.connections" then problem = error end
    end)
    if taken > 12 or taken < 8 then fail(taken .. " connections") end
    t.matches(problem and problem.message, "SQLSTATE 53300")
    local seen = db:connections()
    t.equal(seen.max, 12)
    t.equal(seen.total, seen.by_user[env.SPEC_USER])
    t.equal(seen.waiting, 0)
  end },
  { "a server that goes is waited for, and connected to again", function(t, here)
    local function server(verb)
      here:run { "sh", env.DEPLOYRUN_SOURCE_DIR .. "/tests/testbed/postgres.sh", verb, env.SPEC_PORT }
    end
    local db = connect()
    t.equal(db:wait_ready().attempts, 1)
    t.equal(db:query("select 1"):value(), 1)
    server("pause")
    local problem = t.fails("postgres.unreachable", db.query, db, "select 1")
    t.matches(problem.hint, "does the server run")
    problem = t.fails("postgres.not_ready", db.wait_ready, db, { attempts = 2, interval = 0.1 })
    t.matches(problem.message,
      "after 2 attempts, 0.1 s apart: no connection to spec on 127.0.0.1:%d+: Connection refused")
    t.equal(problem.cause.code, "postgres.unreachable")
    parallel({ 1, 2 }, function(i)
      if i == 1 then db:wait_ready { attempts = 300, interval = 0.1 } else server("resume") end
    end)
    t.equal(db:query("select 1"):value(), 1)
    t.fails("postgres.auth", function() connect { password = "wrong-one" }:wait_ready { attempts = 100 } end)
  end },
}

for _, case in ipairs(cases) do
  local body = case[2]
  case[2] = function(t, here) if t.real then body(t, here) end end
end
return spec.recipe("postgres", cases)
