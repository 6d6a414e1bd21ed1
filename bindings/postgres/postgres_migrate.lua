-- postgres_migrate.lua - db:migrate, :migrate_down and :migration_status. The ops are in postgres/migrate.c;
-- meta/postgres_migrate.lua documents the functions.
--
-- Each asks what is applied (the database) and what there is (the folder, on this machine), and hands what came of it
-- to the action: so the plan shows it, and the action can see that nothing changed in between.
local dr = ...
local Database = dr.Database
local state, review = dr.op("postgres.migration_state"), dr.op("postgres.migration_review")
local up, down = dr.op("postgres.migrate"), dr.op("postgres.migrate_down")

local here

local function wrong(method, message, hint) return dr.wrong((":%s: %s"):format(method, message), hint) end

-- How long things may take, unless the recipe says otherwise.
local usual = { lock_timeout = 2, lock_attempts = 10, within = 60, timeout = 3600 }
local limits = { "lock_timeout", "lock_attempts", "lock_pause", "statement_timeout", "within", "timeout" }
local overrides = { "accept_edited", "accept_missing", "accept_out_of_order", "accept_begun" }

local allowed = {
  migrate = { dir = true, to = true, baseline = true, allow = true },
  migrate_down = { dir = true, to = true, steps = true },
  migration_status = { dir = true },
}
for _, method in ipairs { "migrate", "migrate_down" } do
  for _, list in ipairs { limits, overrides } do
    for _, name in ipairs(list) do allowed[method][name] = true end
  end
end
allowed.migrate_down.accept_out_of_order = nil

-- A version is text, as in the file's name: 0007 would be the number 7 for Lua, which is the same version.
local function version(method, name, value)
  if math.type(value) == "integer" then return ("%d"):format(value) end
  if value ~= nil and (type(value) ~= "string" or not value:match("^%d+$")) then
    wrong(method, name .. " is a version, the number a file begins with", "for example " .. name .. " = \"0007\"")
  end
  return value
end

local function versions(method, name, value)
  if value == nil then return nil end
  local list = {}
  for i, one in ipairs(type(value) == "table" and value or { value }) do list[i] = version(method, name, one) end
  if #list == 0 then wrong(method, name .. " is a list of versions", "for example { \"0003\" }") end
  return list
end

local classes = { compatible = true, conditional = true, breaking = true }

-- What both the review and the action are told.
local function common(method, options)
  if type(options) ~= "table" then wrong(method, "it takes a table: { dir = \"migrations\" }") end
  dr.check_options(":" .. method, options, allowed[method])
  if type(options.dir) ~= "string" or options.dir == "" then
    wrong(method, "dir is the folder with the migrations, on this machine")
  end
  local args = { dir = options.dir:match("^(.-)/*$"), to = version(method, "to", options.to), steps = options.steps,
    baseline_to = version(method, "baseline", options.baseline) }
  if args.dir == "" then args.dir = "/" end
  for _, name in ipairs(overrides) do args[name] = versions(method, name, options[name]) end
  return args
end

-- The columns of tables, and of their children, as the review wants to know them (hazards.h). A column with a collation
-- of its own has no type here: a new type takes that away.
local COLUMNS <const> = [[
  with recursive tree as (
    select x.name, to_regclass(x.name)::oid as id, true as top from unnest($1::text[]) as x(name)
    union
    select tree.name, i.inhrelid, false from tree join pg_inherits i on i.inhparent = tree.id)
  select tree.name, a.attname as column,
         max(format_type(a.atttypid, a.atttypmod)) filter (where top and a.attcollation = t.typcollation) as type,
         bool_or(a.attnotnull or t.typnotnull or coalesce(b.typtype = 'd', false)
           or exists (select from pg_constraint c where c.contypid = t.oid)
           or exists (select from pg_constraint c where c.conrelid = tree.id and c.contype = 'c'
                and a.attnum = any(c.conkey)
                and pg_get_constraintdef(c.oid) ~* 'not null|distinct|coalesce|case|num_')) as not_null,
         bool_or(exists (select from pg_constraint c where c.conrelid = tree.id and c.contype = 'c'
                and (c.conkey is null or a.attnum = any(c.conkey)))
           or exists (select from pg_index i join pg_depend d on d.objid = i.indexrelid and d.refobjid = tree.id
                where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
                  and d.refobjsubid in (0, a.attnum) and i.indrelid = tree.id
                  and (i.indexprs is not null or i.indpred is not null))) as checked
    from tree join pg_attribute a on a.attrelid = tree.id join pg_type t on t.oid = a.atttypid
         left join pg_type b on b.oid = t.typbasetype
   where a.attnum > 0 and not a.attisdropped
   group by tree.name, a.attname]]

local function columns_of(db, relations)
  local columns = {}
  for _, row in ipairs(db:query(COLUMNS, { relations })) do
    columns[row.name] = columns[row.name] or {}
    columns[row.name][row.column] = { type = row.type, not_null = row.not_null, checked = row.checked }
  end
  return columns
end

-- The review of a folder; second, whether it is not known before the run what is pending.
local function reviewed(db, args, more)
  here = here or dr.core.target.host("local", { host = "local" })
  local ask = dr.copy(args)
  for key, value in pairs(more) do ask[key] = value end
  local known = db:call(state, {})
  local unknown = dr.assumed(known)
  if not unknown then ask.applied = dr.array(known.rows) end
  local found = review(here, ask)
  if not dr.assumed(found) and found.needs then
    ask.catalog = columns_of(db, found.needs)
    found = review(here, ask)
  end
  return found, unknown or dr.assumed(found)
end

local function act(db, op, method, args, options, more)
  local found, unknown = reviewed(db, args, more)
  args.dir, args.files, args.run = found.dir, dr.array(found.files), dr.array(found.run)
  args.baseline, args.edited = dr.array(found.baseline or {}), dr.array(found.edited or {})
  args.direction, args.unknown = more.direction, unknown or nil
  for _, name in ipairs(limits) do args[name] = options[name] or usual[name] end
  if math.type(args.lock_attempts) ~= "integer" then wrong(method, "lock_attempts is a whole number") end
  local result = db:call(op, args)
  if not dr.assumed(result) then dr.array(result.applied) end
  return result
end

-- Runs what is pending, in order. See meta/postgres_migrate.lua.
function Database:migrate(options)
  local args = common("migrate", options)
  if options.allow ~= nil and not classes[options.allow] then
    wrong("migrate", "allow is \"compatible\", \"conditional\" or \"breaking\"")
  end
  return act(self, up, "migrate", args, options, { direction = "up", allow = options.allow })
end

-- Takes migrations back by their .down.sql, newest first: to (which stays) or so many steps.
function Database:migrate_down(options)
  local args = common("migrate_down", options)
  if (args.to == nil) == (args.steps == nil) then
    wrong("migrate_down", "it takes either to or steps", "steps = 1 takes the last one back, to = \"0\" all")
  end
  if args.steps ~= nil and (math.type(args.steps) ~= "integer" or args.steps < 1) then
    wrong("migrate_down", "steps is a whole number, 1 or more")
  end
  return act(self, down, "migrate_down", args, options, { direction = "down" })
end

-- By version.
local function index(list)
  local by = {}
  for _, entry in ipairs(list) do by[entry.version] = entry end
  return by
end

-- What is applied, what is pending and how it would be judged, and what does not fit. Refuses nothing.
function Database:migration_status(options)
  local args = common("migration_status", options)
  local found = reviewed(self, args, { direction = "up", status = true })
  local facts, run = found.facts or {}, index(found.run)
  local pending = dr.array {}
  for i, one in ipairs(facts.pending or {}) do pending[i] = run[one] end
  local answer = { pending = pending, class = found.class }
  for _, name in ipairs { "applied", "half", "half_down", "edited", "missing", "out_of_order" } do
    answer[name] = dr.array(facts[name] or {})
  end
  return answer
end
