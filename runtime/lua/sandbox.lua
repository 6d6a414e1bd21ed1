-- runtime/lua/sandbox.lua - the globals of a recipe: an allow-list, filled, then closed to all but what the parts of
-- bindings give. Embedded; run once per run with `dr` (see prelude.lua) and `core`. Returns the table that is _ENV of
-- recipes; deployrun's own Lua keeps another, so that nothing a recipe puts in the place of a function is called by it.
local dr, core = ...

local G, setmetatable, type, next = _G, setmetatable, type, next
local native = { create = coroutine.create, resume = coroutine.resume, yield = coroutine.yield,
  close = coroutine.close, status = coroutine.status, running = coroutine.running, error = error, xpcall = xpcall,
  getmetatable = getmetatable }

-- What a recipe keeps of Lua's own globals.
local allowed = { assert = true, getmetatable = true, ipairs = true, math = true, next = true, rawequal = true,
  rawget = true, rawlen = true, rawset = true, select = true, setmetatable = true, string = true, table = true,
  tonumber = true, tostring = true, type = true, utf8 = true, _VERSION = true }

-- What people reach for, and what there is instead.
local instead = {
  io = "use target:read, target:write or fs", os = "use target:run, env or os.time",
  debug = "use log", package = "use require", dofile = "use require", loadfile = "use require",
  collectgarbage = "memory is looked after", loadstring = "use load", sleep = "use wait, or a check that waits",
}

-- ---------------------------------------------------------------------------------------------- order

local rank = { number = 1, string = 2 }

local function before(a, b)
  local ra, rb = rank[type(a)] or 3, rank[type(b)] or 3
  if ra ~= rb then return ra < rb end
  return ra < 3 and a < b
end

-- pairs in the order of the keys: the same in the plan, the run and a resumed run.
local function ordered_pairs(map)
  local meta = native.getmetatable(map)
  local own = type(meta) == "table" and rawget(meta, "__pairs")
  if own then return own(map) end
  local values = core.stub_values(map) or map
  if type(values) ~= "table" then
    return native.error(("bad argument #1 to 'pairs' (table expected, got %s)"):format(type(values)), 2)
  end
  local keys, at = {}, 0
  for key in next, values do keys[#keys + 1] = key end
  table.sort(keys, before)
  return function(subject)
    local key, value
    repeat
      at = at + 1
      key = keys[at]
      if key == nil then return nil end
      value = subject[key]
    until value ~= nil
    return key, value
  end, map, nil
end

-- ---------------------------------------------------------------------------------------------- coroutines

-- A recipe's own coroutines: what an op yields passes through them to the scheduler. `own[co]` is "waiting" while
-- it does; then nobody but the scheduler may resume or close it. The lanes' own coroutines are not in it at all.
local own = setmetatable({}, { __mode = "k" })

-- Ends the body of a coroutine that failed. The error unwinds inside it, so that <close> handlers may wait there.
local failed = {}

local function body_results(ok, ...)
  if ok then return ... end
  return failed, (...)
end

local function create(fn)
  if type(fn) ~= "function" then
    return native.error(("bad argument #1 to 'create' (function expected, got %s)"):format(type(fn)), 2)
  end
  local co = native.create(function(...) return body_results(native.xpcall(fn, core.text_error, ...)) end)
  own[co] = "idle"
  return co
end

local function check_own(co, verb)
  if type(co) ~= "thread" then
    return native.error(("bad argument #1 to '%s' (coroutine expected, got %s)"):format(verb, type(co)), 3)
  end
  if own[co] ~= "idle" then
    return native.error(("cannot %s a coroutine that waits, or that coroutine.create did not make"):format(verb), 3)
  end
end

-- A cancellation and the limits go on; other errors are results.
local function results(ok, problem, ...)
  if not ok and core.is_fatal(problem) then return native.error(problem, 0) end
  return ok, problem, ...
end

local function pass_on(co, ok, first, ...)
  if first == failed then return results(false, ...) end
  if not ok or first ~= core.sentinel then return results(ok, first, ...) end
  own[co] = "waiting"
  native.yield(first)
  own[co] = "idle"
  return pass_on(co, native.resume(co))
end

-- Calls fn where the lane cannot be suspended.
local function unblock(...)
  core.block(-1)
  return ...
end

local function blocked(fn, ...)
  core.block(1)
  return unblock(fn(...))
end

local function resume(co, ...)
  check_own(co, "resume")
  if core.can_wait() then return pass_on(co, native.resume(co, ...)) end
  return pass_on(co, blocked(native.resume, co, ...))
end

local function close(co)
  check_own(co, "close")
  return results(blocked(native.close, co))
end

local function status(co) return own[co] == "waiting" and "normal" or native.status(co) end

local function rethrow(ok, ...)
  if ok then return ... end
  return native.error((...), 0)
end

local function yield(...)
  if own[native.running()] then return native.yield(...) end
  return native.error("attempt to yield outside a coroutine", 2)
end

local function wrap(fn)
  local co = create(fn)
  return function(...) return rethrow(resume(co, ...)) end
end

-- Everything that is collected at some unknown time would run at some unknown place of the recipe, out of reach of
-- cancellation and of the limits.
local function set_metatable(object, meta)
  if type(meta) == "table" and rawget(meta, "__gc") ~= nil then
    return core.raise { code = "recipe.forbidden", message = "__gc is not there for recipes",
      hint = "say `local x <close> = …`: its __close is called when the block ends" }
  end
  return setmetatable(object, meta)
end

-- ---------------------------------------------------------------------------------------------- globals

local function closed(name, members)
  return setmetatable(members, {
    __metatable = name,
    __index = function(_, key)
      return core.raise { code = "recipe.forbidden", hint = instead[name],
        message = ("%s.%s is not there for recipes"):format(name, tostring(key)) }
    end,
  })
end

local function throw(problem, level)
  if type(problem) ~= "string" then return native.error(problem, level) end
  return core.raise { code = "failed", message = problem }
end

local function check(value, problem, ...)
  if value then return value, problem, ... end
  return throw(problem == nil and "assertion failed" or problem)
end

local now = core.op("time.now")

-- The functions that differ from Lua's own; the bindings use them too. The rest is in dr.globals.
local globals = {
  pcall = core.pcall, xpcall = core.xpcall, load = core.load, require = core.require,
  error = throw, assert = check, pairs = ordered_pairs, setmetatable = set_metatable,
  coroutine = closed("coroutine", { create = create, resume = resume, yield = yield, wrap = wrap,
    status = status, running = native.running, isyieldable = core.can_wait, close = close }),
  os = closed("os", {
    time = function(parts) return parts and core.os.time(parts) or now().seconds end,
    date = function(format, at) return core.os.date(format, at or now().seconds) end,
    difftime = core.os.difftime,
  }),
  json = closed("json", {
    encode = core.json_encode, decode = core.json_decode,
    array = dr.array,
  }),
}

local names = {}
for name in next, G do
  if not allowed[name] then names[#names + 1] = name end
end
for _, name in ipairs(names) do G[name] = nil end
for name, value in next, globals do G[name] = value end
for name, value in next, dr.globals do G[name] = value end
native.getmetatable("").__metatable = "string"

-- A recipe gets copies of the libraries: what it puts into them is its own.
local E = {}
for name, value in next, G do E[name] = value end
for _, name in ipairs { "math", "string", "table", "utf8" } do
  E[name] = {}
  for member, value in next, G[name] do E[name][member] = value end
end

local close_globals = {
  __metatable = "globals",
  __index = function(members, name)
    local given = dr.globals[name]
    if given ~= nil then
      rawset(members, name, given)
      return given
    end
    local near = dr.near(tostring(name), dr.names_in(E, ""))
    return core.raise { code = instead[name] and "recipe.forbidden" or "recipe.unknown_global",
      message = instead[name] and ("'%s' is not there for recipes"):format(name)
        or ("unknown global '%s'"):format(tostring(name)),
      hint = instead[name] or (near and ("did you mean '%s'?"):format(near))
        or "declare it with local, or require the module it comes from" }
  end,
  __newindex = function(_, name)
    return core.raise { code = "recipe.global", message = ("assignment to the global '%s'"):format(tostring(name)),
      hint = "write local " .. tostring(name) }
  end,
}
setmetatable(G, close_globals)
return setmetatable(E, close_globals)
