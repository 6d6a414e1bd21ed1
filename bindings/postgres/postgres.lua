-- postgres.lua - databases as recipes see them: postgres{…} and target:postgres{…}; stack:postgres(service) is in
-- postgres_stack.lua. The ops are in postgres/; arguments and results are described in meta/postgres.lua.
local dr = ...
local core = dr.core.postgres
local query, exec, wait_ready = dr.op("postgres.query"), dr.op("postgres.exec"), dr.op("postgres.wait_ready")
local query_service = dr.op("postgres.query_service")

local Database = dr.open("Database:", {})
local database_class = dr.class("database", Database)
dr.Database = Database

-- What hangs on the global `postgres`; other files of this binding add to it.
local Postgres = dr.open("Postgres.", { null = setmetatable({}, { __name = "postgres.null",
  __metatable = "postgres.null", __tostring = function() return "NULL" end }) })
dr.Postgres = Postgres

local wrong = dr.wrong

-- ---------------------------------------------------------------------------------------------- connections

local function hide(password)
  if not core.hide(password) then
    dr.fail { code = "secret.short", hint = "give it a longer one",
      message = "the database's password is shorter than 4 characters and cannot be masked" }
  end
end

-- libpq's keywords of a connection string, or of a table of them. SQLAlchemy's postgresql+driver:// is understood.
function dr.postgres_keywords(what, options)
  local found = {}
  if type(options) == "string" then
    found = core.parse((options:gsub("^(postgres[a-z]*)%+%w+://", "%1://")))
  elseif type(options) == "table" then
    for name, value in pairs(options) do
      if type(value) ~= "string" and type(value) ~= "number" then
        wrong(("%s: '%s' is text or a number, not %s"):format(what, tostring(name), type(value)))
      end
      found[name] = type(value) == "number" and ("%d"):format(value) or value
    end
  elseif options ~= nil then
    wrong(what .. " takes a connection string, or a table of libpq's keywords")
  end
  if found.password and found.password ~= "" then hide(found.password) end
  return found
end

-- A database object. Its place: target (nil: this machine), given (libpq's keywords), find (a function that finds them
-- out, or nil), found; of a container also service, the target that is inside.
function dr.new_database(target, given, find)
  return setmetatable({ place = { target = target, given = given, find = find }, told = {} }, database_class)
end

dr.global("postgres", setmetatable({}, (function()
  local class = dr.class("postgres", Postgres)
  class.__call = function(_, options) return dr.new_database(nil, dr.postgres_keywords("postgres", options)) end
  return class
end)()))

-- The database as the target sees it: by TCP; or by the server's socket, which is the default and what a host that
-- begins with "/" means.
function dr.Target:postgres(options)
  return dr.new_database(self, dr.postgres_keywords("target:postgres", options))
end

-- The keywords of the connection as it is now; a container is looked for once, and again when it does not answer.
function Database:keywords()
  local place = self.place
  if place.find and not place.found then place.found = place.find() end
  return place.found or place.given
end

-- For all files of this binding: calls an op that has the argument "db".
function Database:call(op, args)
  args.db = self:keywords()
  local ok, result = pcall(op, self.place.target, args)
  if ok then
    self.told = not dr.assumed(result) and result.notices or {}
    return result
  end
  if result.code == "postgres.unreachable" or result.code == "postgres.lost" then self.place.found = nil end
  return error(result, 0)
end

-- ---------------------------------------------------------------------------------------------- parameters

local text_of

-- A list as PostgreSQL writes an array: {1,2,"a b"}.
local function array_of(list)
  local items = {}
  for i = 1, #list do
    local item = text_of(list[i])
    if not item then
      items[i] = "NULL"
    elseif type(list[i]) == "table" then
      items[i] = item
    else
      items[i] = '"' .. item:gsub('[\\"]', "\\%0") .. '"'
    end
  end
  return "{" .. table.concat(items, ",") .. "}"
end

-- A parameter as text; false is NULL.
function text_of(value)
  if value == nil or value == Postgres.null then return false end
  local kind = math.type(value) or type(value)
  if kind == "string" then return value end
  if kind == "boolean" then return tostring(value) end
  if kind == "integer" then return ("%d"):format(value) end
  if kind == "float" then return ("%.17g"):format(value) end
  if kind == "table" and (#value > 0 or next(value) == nil) then return array_of(value) end
  return wrong(("a parameter is text, a number, a boolean, a list or postgres.null, not %s"):format(type(value)),
    kind == "table" and "give structures as json.encode(value)" or nil)
end

local function params_of(params)
  if params == nil then return nil end
  if type(params) ~= "table" then wrong("the parameters are a list: db:query(\"… $1\", { value })") end
  local list = dr.array {}
  for i = 1, params.n or #params do list[i] = text_of(params[i]) end
  return list
end

local function sql_args(sql, params, options)
  if type(sql) ~= "string" then wrong("the statement is text, not " .. type(sql)) end
  return dr.with_options("db", options, { sql = sql, params = params_of(params) })
end

-- ---------------------------------------------------------------------------------------------- rows

local Rows = {}

-- The first column of the first row; `otherwise` when there is no row, or it is NULL.
function Rows:value(otherwise)
  local value = self[1] and self[1][self.columns[1]]
  if value == nil then return otherwise end
  return value
end

-- All values of one column, the first unless it is named; NULLs are left out.
function Rows:column(name)
  local values = {}
  for _, row in ipairs(self) do values[#values + 1] = row[name or self.columns[1]] end
  return values
end

-- The rows as a list that also answers :value() and :column(), and knows its columns. Of a query that a dry run could
-- not ask nothing is read before the recipe reads it: that is what the plan tells.
local function rows_of(result)
  local unknown = dr.assumed(result)
  local rows, columns = {}, not unknown and result.columns
  for i, row in ipairs(unknown and {} or result.rows) do rows[i] = row end
  return setmetatable(rows, {
    __name = "json.array",
    __len = unknown and function() return #result.rows end or nil,
    __index = function(_, key)
      if Rows[key] then return Rows[key] end
      if key == "columns" then return columns or result.columns end
      return unknown and result.rows[key] or nil
    end,
  })
end

-- ---------------------------------------------------------------------------------------------- methods

-- query(sql, params, { timeout=, max_rows= }): one statement that reads; its rows.
function Database:query(sql, params, options)
  return rows_of(self:call(self.place.find and query_service or query, sql_args(sql, params, options)))
end

-- exec(sql, params, { timeout=, lock_timeout=, transaction=, check= }): statements that change something.
function Database:exec(sql, params, options) return self:call(exec, sql_args(sql, params, options)) end

-- wait_ready { attempts=, interval=, timeout= }: until the server answers.
function Database:wait_ready(options)
  self.place.found = nil
  return self:call(wait_ready, dr.with_options("wait_ready", options, {}))
end

-- What the server said beside the answer to the latest call: {severity, code, message, detail, hint}.
function Database:notices() return self.told end

function Database:close() core.close(self.place.target, self:keywords()) end

local CONNECTIONS <const> = [[
  select coalesce(state, 'unknown') as state, coalesce(usename, '') as "user",
         coalesce(application_name, '') as application, count(*) as count,
         count(*) filter (where wait_event_type = 'Lock') as waiting, current_setting('max_connections')::int as max
    from pg_stat_activity where backend_type = 'client backend' group by 1, 2, 3 order by 1, 2, 3]]

-- Who is connected to the server: {total, max, waiting, by_state, by_user, by_application}.
function Database:connections()
  local seen = { total = 0, max = 0, waiting = 0, by_state = {}, by_user = {}, by_application = {} }
  for _, row in ipairs(self:query(CONNECTIONS)) do
    seen.total, seen.max, seen.waiting = seen.total + row.count, row.max, seen.waiting + row.waiting
    for _, name in ipairs { "state", "user", "application" } do
      local by = seen["by_" .. name]
      by[row[name]] = (by[row[name]] or 0) + row.count
    end
  end
  return seen
end
