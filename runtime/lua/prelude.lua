-- runtime/lua/prelude.lua - what a recipe is made of: recipe, param, step, retry, wait, log, fail.
-- Embedded; run once per run with `core`, the C functions. Returns the private table `dr` that the bindings' Lua
-- parts and the sandbox build on (its fields are listed in runtime/ops/binding.h).
local core = ...

-- The native functions: unlike the recipe's, this pcall also catches cancellation. What it catches is made an error
-- object where it was thrown, so that it knows its line.
local rawxpcall, rawerror = xpcall, error
local function rawpcall(fn, ...) return rawxpcall(fn, core.normal_error, ...) end

-- A table to which parts of bindings add. What is not in it yet is given by a part that is run when it is asked for:
-- what a recipe does not use costs it nothing. `prefix` stands before the names in what a part says that it gives.
local prefixes = setmetatable({}, { __mode = "k" })
local function open(prefix, members)
  prefixes[members] = prefix
  return setmetatable(members, {
    __index = function(_, name)
      if type(name) == "string" and core.run_part(prefix .. name) then return rawget(members, name) end
      return nil
    end,
  })
end

local dr = open("dr.", { core = core, Target = open(":", {}), globals = open("", {}) })
dr.open, dr.rawpcall, dr.rawerror = open, rawpcall, rawerror

-- One run: its undo handlers and end handlers in order, and how many top-level steps have begun.
local run = { undo = {}, ends = {}, index = 0, total = 0 }

function dr.op(name) return core.op(name) end
function dr.fail(fields) return core.raise(fields) end
dr.is_error, dr.assumed, dr.duration = core.is_error, core.assumed, core.duration

function dr.dry() return core.mode() == "dry" end

function dr.global(name, value) dr.globals[name] = value end

-- Marks a table as a list, so that it is one in JSON even when it is empty.
local array_class = { __name = "json.array" }
function dr.array(list) return setmetatable(list, array_class) end

-- The name of `names` that `name` was probably meant to be, or nil.
function dr.near(name, names)
  local best, nearest = #name // 3 + 2, nil
  for _, other in ipairs(names) do
    local distance = core.name_distance(name, other)
    if distance < best then best, nearest = distance, other end
  end
  return nearest
end

local function sorted_keys(map)
  local keys = {}
  for key in next, map do
    if type(key) == "string" and key:sub(1, 1) ~= "_" then keys[#keys + 1] = key end
  end
  table.sort(keys)
  return keys
end
dr.sorted_keys = sorted_keys

-- The names in a table, also those that parts would add, in order. `prefix`: of a table that dr.open did not make.
local function names_in(map, prefix)
  local all = {}
  for _, name in ipairs(sorted_keys(map)) do all[name] = true end
  prefix = prefix or prefixes[map]
  for _, name in ipairs(prefix and core.part_names(prefix) or {}) do all[name] = true end
  return sorted_keys(all)
end
dr.names_in = names_in

local function meant(name, names)
  if #names == 0 then return "there are none" end
  local near = dr.near(name, names)
  local all = table.concat(names, ", ")
  return near and ("did you mean '%s'? There are: %s"):format(near, all) or "there are: " .. all
end

-- A metatable whose objects answer an unknown field with an error that names the near ones.
function dr.class(name, methods)
  return {
    __name = name,
    __metatable = name,
    __index = function(_, key)
      local method = methods[key]
      if method ~= nil or type(key) ~= "string" then return method end
      return core.raise { code = "recipe.unknown_method", message = ("a %s has no '%s'"):format(name, key),
        hint = meant(key, names_in(methods)) }
    end,
  }
end

-- What every target is, whichever binding makes it.
dr.target_class = dr.class("target", dr.Target)

-- A new table with the same fields / with the fields of these names.
function dr.copy(from)
  local to = {}
  for key, value in pairs(from) do to[key] = value end
  return to
end

function dr.pick(from, names)
  local to = {}
  for _, name in ipairs(names) do to[name] = from[name] end
  return to
end

-- Runs fn; if it fails, in whatever way, cleanup runs before the failure goes on.
function dr.guarded(fn, cleanup)
  local _ <close> = setmetatable({}, { __close = function(_, problem)
    if problem ~= nil then cleanup() end
  end })
  return fn()
end

-- Refuses fields of an options table that are not in `allowed` (name -> true).
function dr.check_options(what, options, allowed)
  for key in next, options do
    if not allowed[key] then
      core.raise { code = "recipe.option", message = ("%s has no option '%s'"):format(what, tostring(key)),
        hint = meant(tostring(key), sorted_keys(allowed)) }
    end
  end
end

-- The same for a method that passes its options on to an op: it takes what the op takes, but for what it sets itself
-- (the names in `set`), and `own`.
function dr.check_op_options(what, op, options, set, own)
  if options == nil then return end
  local allowed = core.op_options(op)
  for name in next, set do allowed[name] = nil end
  for name in next, own or {} do allowed[name] = true end
  dr.check_options(what, options, allowed)
end

-- Throws that a function was called with something it does not take.
local function wrong_argument(message, hint)
  return core.raise { code = "recipe.argument", message = message, hint = hint }
end
dr.wrong = wrong_argument

-- A value as it was written, for an error.
function dr.shown(value)
  if type(value) == "string" then return ("\"%s\""):format(value) end
  return type(value) == "table" and "a table" or tostring(value)
end

-- Throws unless value is a whole number of at least `least`.
local function check_count(what, value, least)
  if math.type(value) ~= "integer" or value < least then
    wrong_argument(("%s takes a whole number, %d or more, not %s"):format(what, least, dr.shown(value)))
  end
  return value
end

local function check_table(what, options)
  if type(options) ~= "table" then wrong_argument(what .. " takes its options as a table, not " .. type(options)) end
end

local function check_running(what)
  if core.mode() == "load" then
    core.raise { code = "recipe.effect_at_load", message = what .. " was called at the top level of the file",
      hint = "call it in the recipe's run function" }
  end
end

local function check_function(what, value)
  if type(value) ~= "function" then wrong_argument(what .. " takes a function, not " .. type(value)) end
end

-- ---------------------------------------------------------------------------------------------- params

local Param = { __name = "param", __metatable = "param" }
local param_fields = { default = true, required = true, help = true, choices = true }

local function check_choices(choices)
  local good = type(choices) == "table" and #choices > 0
  for _, choice in next, good and choices or {} do good = good and type(choice) == "string" end
  if not good then
    wrong_argument("param.enum needs choices, a list of strings",
      "for example param.enum { choices = { \"a\", \"b\" } }")
  end
end

local function declare(type_name, options)
  options = options or {}
  if type(options) ~= "table" then wrong_argument("param." .. type_name .. " takes a table of options") end
  dr.check_options("param." .. type_name, options, param_fields)
  if type_name == "enum" then check_choices(options.choices) end
  return setmetatable({ type = type_name, default = options.default, required = options.required or false,
    help = options.help or "", choices = options.choices, where = core.where() }, Param)
end

local param_types = {}
for _, name in ipairs { "string", "path", "url", "list", "int", "number", "bool", "enum", "host", "hosts",
  "duration" } do
  param_types[name] = function(options) return declare(name, options) end
end
dr.global("param", setmetatable({}, dr.class("param type", param_types)))

-- The table a recipe's run function receives: declared names only.
local function param_values(recipe, values)
  return setmetatable({}, {
    __index = function(_, name)
      if recipe.params[name] then return values[name] end
      return core.raise { code = "recipe.unknown_param", message = ("the recipe declares no param '%s'"):format(name),
        hint = meant(tostring(name), sorted_keys(recipe.params)) }
    end,
    __newindex = function() wrong_argument("params cannot be changed", "keep the value in a local") end,
    __pairs = function() return pairs(values) end,
  })
end

-- ---------------------------------------------------------------------------------------------- recipe

local Recipe = { __name = "recipe", __metatable = "recipe" }
local recipe_fields = { name = true, summary = true, params = true, run = true }

dr.global("recipe", function(fields)
  if type(fields) ~= "table" then wrong_argument("recipe takes a table") end
  dr.check_options("recipe", fields, recipe_fields)
  if fields.summary ~= nil and type(fields.summary) ~= "string" then wrong_argument("a recipe's summary is text") end
  if fields.params ~= nil and type(fields.params) ~= "table" then wrong_argument("a recipe's params are a table") end
  if type(fields.name) ~= "string" or not fields.name:match("^[%w_-]+$") then
    wrong_argument("a recipe needs a name of letters, digits, '-' and '_'")
  end
  check_function("recipe " .. fields.name .. ": run", fields.run)
  for name, declaration in next, fields.params or {} do
    if type(name) ~= "string" or not name:match("^%a[%w_-]*$") then
      wrong_argument(("'%s' is no name for a param"):format(tostring(name)),
        "letters, digits, '-' and '_', a letter first")
    end
    if getmetatable(declaration) ~= "param" then
      wrong_argument(("param '%s' of recipe %s is not made by param.string, param.path …"):format(name, fields.name))
    end
  end
  return setmetatable({ name = fields.name, summary = fields.summary or "", params = fields.params or {},
    run = fields.run }, Recipe)
end)

-- Throws unless a file returned a recipe.
function dr.check_recipe(value, path)
  if getmetatable(value) == "recipe" then return value end
  return core.raise { code = "recipe.none", message = path .. " does not return a recipe", where = path,
    hint = "end the file with: return recipe { name = …, run = function(p) … end }" }
end

-- The recipe as plain data for `show` and `list`.
function dr.describe(recipe)
  local params = {}
  for i, name in ipairs(sorted_keys(recipe.params)) do
    local p = recipe.params[name]
    params[i] = { name = name, type = p.type, default = p.default, required = p.required, help = p.help,
      choices = p.choices, choices_text = p.choices and table.concat(p.choices, "|"), where = p.where }
  end
  return { name = recipe.name, summary = recipe.summary, params = params }
end

-- ---------------------------------------------------------------------------------------------- steps

local Step = {}
local step_class = dr.class("step", Step)

-- Says how to take the step back, should a later one fail. Handlers run last-in first-out.
function Step:undo(fn)
  check_function("undo", fn)
  if dr.dry() then core.plan_undo(self.name) end
  core.acted(self.acted)
  self.acted = 0
  table.insert(run.undo, { name = self.name, fn = fn })
  return self
end

local function tell_failed(type_name, fields, problem)
  fields.code, fields.message = problem.code, problem.message
  core.tell(type_name, fields)
end

-- Runs fn as the named piece of the run it is in; throws what fn throws.
dr.global("step", function(name, fn)
  if type(name) ~= "string" then wrong_argument("step takes a name and a function") end
  check_function("step \"" .. name .. "\"", fn)
  check_running("step")
  local outer, depth = core.in_step()
  local fields = { step = name, depth = depth, lane = core.lane_id(), total = run.total, index = 0 }
  if depth == 0 then
    run.index = run.index + 1
    fields.index = run.index
  end
  local started, acted = core.clock(), core.acted()
  core.in_step(name, depth + 1)
  if dr.dry() then core.plan_step(name, depth) end
  core.tell("step_started", fields)
  local ok, problem = rawpcall(fn)
  core.in_step(outer, depth)
  fields.seconds, acted = core.clock() - started, core.acted() - acted
  if not ok then
    problem, fields.changed = core.normal_error(problem), acted > 0
    tell_failed("step_failed", fields, problem)
    rawerror(problem, 0)
  end
  core.tell("step_finished", fields)
  return setmetatable({ name = name, acted = acted }, step_class)
end)

-- ---------------------------------------------------------------------------------------------- a run

-- Registers what must happen when the run ends, however it ends (a probe stopped, a lock released). Handlers run
-- last-in first-out, after all undo.
function dr.at_end(fn) table.insert(run.ends, fn) end

local function undo_one(entry)
  local started = core.clock()
  core.tell("undo_started", { step = entry.name })
  core.in_step("undo " .. entry.name, 1)
  local ok, problem = rawpcall(entry.fn)
  local fields = { step = entry.name, seconds = core.clock() - started }
  if ok then
    core.tell("undo_finished", fields)
  else
    tell_failed("undo_failed", fields, core.normal_error(problem))
  end
  return ok
end

-- Undoes the finished steps, last first, unless the run was told to stop at once. What a person told to stop has not
-- failed; what did not end in time has.
local function unwind(result)
  core.unwinding()
  while #run.undo > 0 do
    local entry = table.remove(run.undo)
    local ok = not core.aborted() and undo_one(entry)
    local _, told = core.aborted()
    table.insert(ok and result.undone or result.not_undone, entry.name)
    if not ok and not told then result.undo_failed = true end
  end
end

local function failure(problem)
  return { error = core.normal_error(problem), undone = dr.array {}, not_undone = dr.array {}, undo_failed = false }
end

local function run_ends(result)
  while #run.ends > 0 do
    local ok, problem = rawpcall(table.remove(run.ends))
    if not ok and not result then
      result = failure(problem)
      if not dr.dry() then unwind(result) end
    end
  end
  return result
end

local function run_recipe(recipe, values)
  recipe.run(param_values(recipe, values))
  local at_good_end = rawget(dr, "at_good_end") -- of parallel.lua, where it was used
  if at_good_end then at_good_end() end
end

-- The body of the main lane. Returns nil when all went well, else what failed and what was undone.
function dr.main(recipe, values, steps)
  local result
  run.total = steps
  local ok, problem = rawpcall(run_recipe, recipe, values)
  if not ok then
    result = failure(problem)
    if not dr.dry() then unwind(result) end
  end
  return run_ends(result)
end

-- ---------------------------------------------------------------------------------------------- waiting

local sleep, wait_until = core.op("time.sleep"), core.op("wait.until")

-- wait(name, {within=60, every=1}, fn): calls fn until it returns something true and returns that; fails with
-- wait.timeout after `within` seconds.
dr.global("wait", function(name, options, fn)
  if fn == nil then options, fn = {}, options end
  check_function("wait", fn)
  check_table("wait", options)
  dr.check_options("wait", options, { within = true, every = true })
  local within, every = core.duration(options.within or 60), core.duration(options.every or 1)
  wait_until(nil, { name = name, within = within })
  if dr.dry() then return true end
  local deadline = core.clock() + within
  repeat
    local answer = fn()
    if answer then return answer end
    sleep(nil, { seconds = math.min(every, math.max(0, deadline - core.clock())), reason = name })
  until core.clock() >= deadline
  return core.raise { code = "wait.timeout", message = ("%s: not so after %g s"):format(name, within) }
end)

-- retry({attempts=3, every=1}, fn): calls fn until it does not fail, and returns what it returned.
dr.global("retry", function(options, fn)
  if fn == nil then options, fn = {}, options end
  check_function("retry", fn)
  check_table("retry", options)
  dr.check_options("retry", options, { attempts = true, every = true })
  local attempts, every = check_count("retry: attempts", options.attempts or 3, 1), core.duration(options.every or 1)
  for attempt = 1, attempts do
    local answer = table.pack(rawpcall(fn))
    if answer[1] then return table.unpack(answer, 2, answer.n) end
    if attempt == attempts or core.is_fatal(answer[2]) then rawerror(answer[2], 0) end
    sleep(nil, { seconds = every, reason = ("attempt %d of %d failed"):format(attempt, attempts) })
  end
end)

-- ---------------------------------------------------------------------------------------------- speaking

-- As text for people. A plain table is JSON; one that has no such form is what Lua calls it.
local function spoken(value)
  local class = getmetatable(value)
  if type(value) ~= "table" or (class ~= nil and class ~= array_class) then return tostring(value) end
  local ok, text = rawpcall(core.json_encode, value)
  if not ok and core.is_fatal(text) then rawerror(text, 0) end
  return ok and text or tostring(value)
end

local function speak(level)
  return function(...)
    local parts = table.pack(...)
    for i = 1, parts.n do parts[i] = spoken(parts[i]) end
    core.tell("log", { level = level, message = table.concat(parts, " ") })
  end
end
dr.global("log", speak("info"))
dr.global("print", speak("info"))
dr.global("warn", speak("warn"))

-- fail(message, hint): ends the run as failed.
dr.global("fail", function(message, hint)
  return core.raise { code = "failed", message = spoken(message), hint = hint }
end)

return dr
