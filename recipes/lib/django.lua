-- lib/django.lua - manage.py on any target: a virtualenv on a server, a container, a one-off container.
local django = {}

-- Writes one line of JSON: the database's kind, what its columns are, and the migrations that are not applied yet,
-- in order: name, the SQL that Django would send, and whether Python code runs too, which no SQL shows.
local pending_script = [[
import json
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
executor = MigrationExecutor(connection)
plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
collect = getattr(executor.loader, "collect_sql", None) or executor.collect_sql
columns = {}
if plan and connection.vendor == "postgresql":
    with connection.cursor() as cursor:
        cursor.execute("select c.relname, a.attname, a.attnotnull or t.typtype = 'd', c.relhassubclass "
            "or exists (select from pg_constraint k where k.conrelid = c.oid and k.contype = 'c' "
            "and a.attnum = any(k.conkey)) or exists (select from pg_index i where i.indrelid = c.oid "
            "and (i.indexprs is not null or i.indpred is not null)), case when a.attcollation = t.typcollation "
            "then format_type(a.atttypid, a.atttypmod) end from pg_attribute a join pg_type t on t.oid = a.atttypid "
            "join pg_class c on c.oid = a.attrelid where c.relkind in ('r', 'p') and a.attnum > 0 "
            "and not a.attisdropped and pg_table_is_visible(c.oid) and c.relnamespace <> 'pg_catalog'::regnamespace")
        for table, column, not_null, checked, kind in cursor.fetchall():
            facts = {"not_null": not_null, "checked": checked, **({"type": kind} if kind else {})}
            columns.setdefault(table, {})[column] = facts
print()
print(json.dumps({"database": connection.vendor, "columns": columns, "migrations": [
    {"name": f"{migration.app_label}.{migration.name}", "sql": "\n".join(collect([(migration, backwards)])),
        "python": any(not operation.reduces_to_sql for operation in migration.operations)}
    for migration, backwards in plan]}))
]]

-- The words of a manage.py command.
local function manage(...) return { "python3", "manage.py", ... } end

-- What the code on the target would migrate: {database, columns, migrations = {{name, sql, python}, …}}. In a dry run,
-- where nobody is asked, nothing.
function django.pending(target)
  local answer = target:run(manage("shell", "-c", "import sys; exec(sys.stdin.read())"),
    { stdin = pending_script, timeout = "2m", quiet = true })
  local line = answer.stdout:match("([^\n]+)\n*$")
  return line and json.decode(line) or { database = "unknown", migrations = {} }
end

-- The migrations' SQL as one script, since a later one may be about what an earlier one makes; and which migration each
-- line is of.
local function script_of(migrations)
  local lines, owner = {}, {}
  for _, migration in ipairs(migrations) do
    for line in (migration.sql .. "\n"):gmatch("([^\n]*)\n") do
      lines[#lines + 1] = line
      owner[#lines] = migration
    end
  end
  return table.concat(lines, "\n"), owner
end

local refused = { breaking = true, unknown = true }

-- Notes in each migration what speaks against it (`reasons`), and whether running code cannot live with it (`refused`).
local function weigh(pending)
  local sql, owner = script_of(pending.migrations)
  for _, migration in ipairs(pending.migrations) do
    migration.reasons = { migration.python and "it runs Python code, which only a person can judge" or nil }
  end
  for _, statement in ipairs(postgres.classify(sql, { catalog = pending.columns }).statements) do
    local migration = owner[statement.line]
    migration.refused = migration.refused or refused[statement.class]
    for _, hazard in ipairs(statement.hazards) do table.insert(migration.reasons, hazard.reason) end
  end
end

-- Refuses, before anything is changed, pending migrations that the code which still serves cannot live with. `allowed`
-- is "compatible", or "any" to be told only.
function django.judge(target, allowed)
  local pending = django.pending(target)
  if pending.database ~= "postgresql" then return end
  weigh(pending)
  for _, migration in ipairs(pending.migrations) do
    local told = migration.name .. ": " .. table.concat(migration.reasons, "; ")
    if migration.refused and allowed == "compatible" then
      fail("the code that is serving cannot live with migration " .. told,
        "release code that lives with both first, or use a maintenance window; migrations=any goes ahead")
    end
    if #migration.reasons > 0 then warn(told) else log(migration.name .. ": running code can live with it") end
  end
end

-- Applies the migrations; a failure ends the run before anything was replaced. Whatever comes after a statement that
-- waits for a lock has to wait too, so it fails after lock_timeout seconds; 0: it waits. Databases other than
-- PostgreSQL do not know the setting.
function django.migrate(target, lock_timeout)
  local command = "exec python3 manage.py migrate --noinput"
  if lock_timeout > 0 then
    command = ('PGOPTIONS="$PGOPTIONS -c lock_timeout=%d" %s'):format(math.ceil(lock_timeout * 1000), command)
  end
  target:run(command, { timeout = "10m" })
end

-- Collects static files. A failure is told and does not stop the update: the old files are still there.
function django.collect_static(target)
  local ok, problem = pcall(target.run, target, manage("collectstatic", "--noinput"), { timeout = "5m" })
  if not ok then warn("static files were not collected: " .. tostring(problem)) end
end

return django
