-- postgres_sql.lua - postgres.classify: what SQL does to running code and to tables, before it runs. The classifier is
-- in postgres/hazards.c; meta/postgres_sql.lua documents the result.
local dr = ...
local core = dr.core.postgres_sql

local fields = { catalog = true }

local function wrong(message, hint) return dr.wrong("postgres.classify " .. message, hint) end

local function check(scripts, options)
  for index, sql in ipairs(scripts) do
    if type(sql) ~= "string" then wrong(("takes SQL as text; script %d is a %s"):format(index, type(sql))) end
  end
  if type(options) ~= "table" then wrong("takes a table of options") end
  dr.check_options("postgres.classify(sql)", options, fields)
  if options.catalog ~= nil and type(options.catalog) ~= "table" then
    wrong("takes the catalog as a table", "{ orders = { note = \"character varying(20)\" } }")
  end
end

function dr.Postgres.classify(sql, options)
  local several = type(sql) == "table"
  local scripts = several and sql or { sql }
  check(scripts, options or {})
  if #scripts == 0 then wrong("takes SQL as text, or a list of texts that run in this order") end
  local results = core.classify(scripts, options and options.catalog)
  return several and results or results[1]
end
