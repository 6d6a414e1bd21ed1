-- env_file.lua - the global `env_file` and target:env_file(): files of NAME=value lines. The dialects are read and
-- written in env_file.c, the op is in env_file_op.c; meta/env_file.lua documents the functions.
local dr = ...
local core, read = dr.core.env_file, dr.op("env_file.read")

local here

local function wrong(message, hint) return dr.wrong("env_file: " .. message, hint) end

local dialects = { compose = true, ["compose-v1"] = true, systemd = true, docker = true }

local function dialect_of(options)
  local dialect = options.dialect or "compose"
  if not dialects[dialect] then
    wrong(("the dialect is \"compose\", \"compose-v1\", \"systemd\" or \"docker\", not \"%s\"")
      :format(tostring(dialect)))
  end
  return dialect
end

-- The last line with a name counts.
local function by_name(variables)
  local values = {}
  for _, variable in ipairs(variables) do values[variable.name] = variable.value end
  return values
end

-- Fails with all that is missing, not only the first.
local function check_required(path, values, options)
  local missing, empty = {}, {}
  for _, name in ipairs(options.required or {}) do
    local whole = (options.prefix or "") .. name
    local list = values[whole] == nil and missing or values[whole] == "" and empty
    if list then list[#list + 1] = whole end
  end
  if #missing + #empty == 0 then return end
  local parts = {}
  if #missing > 0 then parts[1] = ("%d missing: %s"):format(#missing, table.concat(missing, ", ")) end
  if #empty > 0 then parts[#parts + 1] = ("%d empty: %s"):format(#empty, table.concat(empty, ", ")) end
  dr.fail { code = "env_file.missing",
    message = ("%s lacks required variables: %s"):format(path, table.concat(parts, "; ")),
    hint = "add them there; nothing was changed by this check" }
end

local levels = { warn = true, error = true, ignore = true }

local function check_mode(path, mode, options)
  local level = options.permissions or "warn"
  if not levels[level] then wrong("permissions is \"warn\", \"error\" or \"ignore\"") end
  local others = tonumber(mode:sub(-1)) or 0
  if others & 6 == 0 or level == "ignore" then return end
  local message = ("%s may be %s by every user of the machine (mode %s)"):format(path,
    others & 2 ~= 0 and "changed" or "read", mode)
  if level == "error" then
    dr.fail { code = "env_file.permissions", message = message, hint = "chmod 600 " .. path }
  end
  dr.globals.warn(message .. ": chmod 600")
end

local read_options = { dialect = true, required = true, prefix = true, permissions = true, secret = true, plain = true }

local function read_file(target, path, options)
  options = options or {}
  if type(path) ~= "string" or path == "" then wrong("it takes a path") end
  dr.check_options("env_file.read", options, read_options)
  local found = read(target,
    { path = path, dialect = dialect_of(options), secret = options.secret, plain = options.plain })
  local values = by_name(found.variables)
  if dr.assumed(found) then return values end
  check_mode(path, found.mode, options)
  check_required(path, values, options)
  return values
end

local env_file = {}

-- The variables of a file of this machine: name → value.
function env_file.read(path, options)
  here = here or dr.core.target.host("local", { host = "local" })
  return read_file(here, path, options)
end

-- The variables of a text.
function env_file.parse(text, options)
  options = options or {}
  dr.check_options("env_file.parse", options, { dialect = true, secret = true, plain = true })
  if type(text) ~= "string" then wrong("parse takes the text of a file") end
  return by_name(core.parse(text, dialect_of(options), options.secret or {}, options.plain or {}))
end

-- The text of a file with these variables, in the order of their names or of `order`.
function env_file.format(values, options)
  options = options or {}
  dr.check_options("env_file.format", options, { dialect = true, order = true })
  if type(values) ~= "table" then wrong("format takes a table: name = value") end
  local names, listed, list = {}, {}, dr.array {}
  for _, name in ipairs(options.order or {}) do
    if values[name] ~= nil then names[#names + 1], listed[name] = name, true end
  end
  local rest = {}
  for name in pairs(values) do
    if not listed[name] then rest[#rest + 1] = tostring(name) end
  end
  table.sort(rest)
  table.move(rest, 1, #rest, #names + 1, names)
  for i, name in ipairs(names) do
    local value = values[name]
    if type(value) == "table" or type(value) == "function" then wrong(("the value of %s is no text"):format(name)) end
    list[i] = { name = name, value = tostring(value) }
  end
  return core.format(list, dialect_of(options))
end

dr.global("env_file", setmetatable({}, dr.class("env_file", env_file)))

function dr.Target:env_file(path, options) return read_file(self, path, options) end
