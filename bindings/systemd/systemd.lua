-- systemd.lua - server:systemd(name): a unit of a target's systemd. See systemd.c and systemd_act.c for the ops,
-- meta/systemd.lua for the documentation.
local dr = ...
local Target = dr.Target
local op = {}
for _, name in ipairs { "find", "status", "logs", "enable", "disable", "reset_failed", "daemon_reload", "start", "stop",
  "restart", "reload" } do
  op[name] = dr.op("systemd." .. name)
end

local Unit = {}
local class = dr.class("systemd unit", Unit)

-- Where each unit is and what it is called.
local units = setmetatable({}, { __mode = "k" })

local function known(unit)
  return units[unit] or dr.fail { code = "recipe.argument", message = "a systemd unit is needed here",
    hint = "call its methods with a colon: unit:restart()" }
end

-- What says which unit: no option of its methods.
local identity = { unit = true, user = true }

-- The arguments of an op on a unit: the options and the unit.
local function args_of(unit, method, options)
  local it = known(unit)
  dr.check_op_options("unit:" .. method, "systemd." .. method, options, identity)
  return it.target, dr.with_options(method, options, { unit = it.name, user = it.user })
end

-- ---------------------------------------------------------------------------------------------- finding

local systemd_options = { find = true, user = true }

local function wanted(what)
  if type(what) == "string" then return { what }, nil end
  if type(what) ~= "table" then
    dr.fail { code = "recipe.argument", message = ":systemd takes the name of a unit, not " .. type(what),
      hint = "server:systemd(\"gunicorn\"), server:systemd{ find = { \"gunicorn\", \"app\" } }" }
  end
  local options = {}
  for key, value in next, what do options[key == 1 and "find" or key] = value end
  dr.check_options(":systemd", options, systemd_options)
  return options.find, options.user
end

function Target:systemd(what)
  local names, user = wanted(what)
  local found = op.find(self, { names = names, user = user })
  local unit = setmetatable({}, class)
  units[unit] = { target = self, name = found.unit, user = user }
  return unit
end

function Unit:name() return known(self).name end

function Unit:status() return op.status(args_of(self, "status")) end

-- A number of seconds is that long ago.
function Unit:logs(options)
  local args = {}
  for name, value in next, options or {} do args[name] = value end
  if math.type(args.since) then args.since = ("-%ds"):format(math.ceil(args.since)) end
  return op.logs(args_of(self, "logs", args)).text
end

-- ---------------------------------------------------------------------------------------------- serving

-- Does it serve? `serves` is what http.expect takes, with the URL in it, or a function that fails when it does not.
local function ask(serves)
  if type(serves) == "function" then return serves() end
  local options = {}
  for name, value in next, serves do options[name] = value end
  options.url = nil
  return dr.globals.http.expect(serves.url, options)
end

function dr.check_serves(method, serves)
  if serves == nil or type(serves) == "function" or (type(serves) == "table" and serves.url) then return end
  dr.fail { code = "recipe.argument", message = (":%s: serves is a table with a url, or a function"):format(method),
    hint = "serves = { url = \"http://localhost:8000/health/\", within = 30 }" }
end

-- Throws `code` unless it serves; `logs` gives the lines that were written since then.
function dr.prove_serves(what, code, serves, logs)
  if serves == nil then return end
  local ok, problem = pcall(ask, serves)
  if ok then return end
  problem = dr.core.normal_error(problem)
  if dr.core.is_fatal(problem) or dr.dry() then error(problem, 0) end
  local read, lines = pcall(logs)
  if not read and dr.core.is_fatal(lines) then error(lines, 0) end
  lines = read and lines or ""
  local hint = dr.core.systemd.hint(lines .. "\n" .. problem.message .. "\n" .. (problem.detail or ""))
  dr.fail { code = code, message = ("%s runs, but does not serve: %s"):format(what, problem.message),
    hint = hint or problem.hint, detail = lines ~= "" and lines or problem.detail, cause = problem }
end

-- ---------------------------------------------------------------------------------------------- acting

-- While it was asked whether it serves, it may have ended and been started again.
local function prove_stayed(unit, result)
  if dr.dry() then return end
  local now = unit:status()
  if now.main_pid == result.main_pid and now.restarts <= result.restarts then return end
  dr.fail { code = "systemd.failed", message = ("%s ended while it was checked, and is %s now (%s)"):format(now.unit,
    now.active, now.sub), hint = "its journal says why", detail = unit:logs { lines = 30 } }
end

local function act(unit, verb, options)
  local args, serves = {}, nil
  for name, value in next, options or {} do
    if name == "serves" and verb ~= "stop" then serves = value else args[name] = value end
  end
  dr.check_op_options("unit:" .. verb, "systemd." .. verb, options, identity, { serves = verb ~= "stop" or nil })
  dr.check_serves(verb, serves)
  local result = op[verb](args_of(unit, verb, args))
  if dr.dry() then
    dr.prove_serves(known(unit).name, "systemd.not_serving", serves)
    return result
  end
  if result.file_changed then
    dr.globals.warn(result.unit .. ": its unit file has changed, and systemd has not read it: unit:daemon_reload()")
  end
  if result.killed then dr.globals.warn(result.unit .. " did not stop by itself in time and was killed") end
  local since = dr.core.clock()
  dr.prove_serves(result.unit, "systemd.not_serving", serves, function()
    return unit:logs { since = dr.core.clock() - since + result.seconds + 1, lines = 30 }
  end)
  if serves ~= nil then prove_stayed(unit, result) end
  return result
end

function Unit:start(options) return act(self, "start", options) end

function Unit:stop(options) return act(self, "stop", options) end

function Unit:restart(options) return act(self, "restart", options) end

function Unit:reload(options) return act(self, "reload", options) end

function Unit:enable() return op.enable(args_of(self, "enable")) end

function Unit:disable() return op.disable(args_of(self, "disable")) end

function Unit:reset_failed() return op.reset_failed(args_of(self, "reset_failed")) end

function Unit:daemon_reload()
  local it = known(self)
  return op.daemon_reload(it.target, { user = it.user })
end
