-- runtime/lua/parallel.lua - parallel: the same work for many items at a time, in batches, with a bound on failures.
-- Embedded; run when it is asked for, as the bindings' parts are. group.lua builds on dr.lanes and tells what
-- a group of hosts is by dr.group.
local dr = ...
local core, rawpcall, rawerror = dr.core, dr.rawpcall, dr.rawerror

local wrong_argument = dr.wrong

-- ---------------------------------------------------------------------------------------------- lanes

-- One worker takes item after item of the batch until none is left or the rest is to stop.
local function work(shared)
  local parent = core.lane_id()
  while shared.next <= shared.last and not shared.stopped do
    local i = shared.next
    shared.next = i + 1
    core.lane_id(shared.id .. "/" .. shared.lane_name(i))
    local ok, value = rawpcall(shared.fn, shared.items[i], i)
    core.lane_id(parent)
    if not ok then value = core.normal_error(value) end
    shared.results[i] = ok and { ok = true, value = value } or { ok = false, error = value }
    if not ok then shared.failed(i, value) end
  end
end

local function cancel_others(shared)
  local own = core.this_lane()
  for _, lane in ipairs(shared.lanes) do
    if lane ~= own and not shared.joined[lane] then core.cancel(lane, "another strand failed") end
  end
end

-- Ends everything: what comes first is thrown when all lanes have ended.
local function abort(shared, problem)
  shared.stopped = true
  shared.fatal = shared.fatal or problem
  cancel_others(shared)
end

-- Waits for one worker. A cancellation of this lane, thrown once, reaches the workers, and waiting goes on.
local function join(shared, lane)
  for _ = 1, 3 do
    local ok, finished, problem = rawpcall(core.join, lane)
    if ok then
      shared.joined[lane] = true
      if not finished then abort(shared, core.normal_error(problem)) end
      return
    end
    abort(shared, finished)
  end
end

local function spawn(shared, workers)
  for worker = 1, workers do
    shared.lanes[worker] = core.spawn(shared.id .. "/worker" .. worker, function() work(shared) end)
  end
end

-- The next `size` items, in lanes of which none outlives the call.
local function run_batch(shared, size)
  shared.last = shared.next + size - 1
  shared.lanes, shared.joined = {}, {}
  local ok, problem = rawpcall(spawn, shared, math.min(shared.limit or size, size))
  if not ok then abort(shared, problem) end
  for _, lane in ipairs(shared.lanes) do join(shared, lane) end
  if shared.fatal then rawerror(shared.fatal, 0) end
end

-- What a failed item does: fatal ends everything; with `first` set so does any; else there may be `most` of them.
local function on_failure(shared)
  return function(i, problem)
    if core.is_fatal(problem) or shared.first_ends then
      if not shared.stopped then abort(shared, problem) end
      return
    end
    shared.failures = shared.failures + 1
    if shared.tell then shared.tell(i, problem) end
    if shared.failures <= shared.most then return end
    shared.stopped = true
    if shared.cancels then cancel_others(shared) end
  end
end

local function new_lanes(fields)
  fields.next, fields.failures, fields.results, fields.id = 1, 0, {}, core.lane_id()
  fields.most = fields.most or math.huge
  fields.failed = on_failure(fields)
  return fields
end

-- Calls fn(item, i) for each item at the same time, in lanes named by lane_name(i), and returns {ok, value | error}
-- for each. Only what is fatal is thrown.
function dr.lanes(fields)
  local shared = new_lanes(fields)
  if #shared.items > 0 then run_batch(shared, #shared.items) end
  return shared.results
end

-- ---------------------------------------------------------------------------------------------- options

local parallel_options = { limit = true, on_error = true, batch = true, max_fail = true }
dr.parallel_options = parallel_options

-- A number of items: a whole number, or a share such as "25%" of the total.
local function amount(what, value, total, least, round)
  if math.type(value) == "integer" and value >= least then return value end
  local share = type(value) == "string" and tonumber(value:match("^(%d+%.?%d*)%%$"))
  if share and share <= 100 and (share > 0 or least == 0) then
    return math.max(least, math.tointeger(round(total * share / 100)))
  end
  return wrong_argument(("parallel: %s takes a whole number, %d or more, or a share such as \"25%%\", not %s")
    :format(what, least, dr.shown(value)))
end

-- The sizes of the batches that `batch` makes of the items: a number, a share (rounded up), or a list of these whose
-- last repeats.
local function batch_sizes(batch, total)
  local list = type(batch) == "table" and batch or { batch }
  if #list == 0 then
    wrong_argument("parallel: the list of batches is empty", "batch = { 1, \"10%\", \"50%\" }, or leave it out")
  end
  for i, size in ipairs(list) do amount(("batch %d"):format(i), size, total, 1, math.ceil) end
  local sizes, left = {}, total
  while left > 0 do
    local size = amount("batch", list[math.min(#sizes + 1, #list)], total, 1, math.ceil)
    sizes[#sizes + 1] = math.min(size, left)
    left = left - size
  end
  return sizes
end

local function check_options(options)
  if type(options) ~= "table" then
    wrong_argument("parallel takes its options as a table, not " .. type(options))
  end
  dr.check_options("parallel", options, parallel_options)
  local limit, on_error = options.limit, options.on_error
  if limit ~= nil and (math.type(limit) ~= "integer" or limit < 1) then
    wrong_argument(("parallel: limit takes a whole number, 1 or more, not %s"):format(dr.shown(limit)))
  end
  if on_error ~= nil and on_error ~= "stop" and on_error ~= "continue" then
    wrong_argument(("parallel: on_error is \"stop\" or \"continue\", not %s"):format(dr.shown(on_error)))
  end
end

local function check_call(items, options, fn)
  if type(items) ~= "table" then wrong_argument("parallel takes a list, options and a function") end
  if type(fn) ~= "function" then wrong_argument("parallel takes a function, not " .. type(fn)) end
  check_options(options)
  if core.mode() == "load" then
    core.raise { code = "recipe.effect_at_load", message = "parallel was called at the top level of the file",
      hint = "call it in the recipe's run function" }
  end
  if not core.can_wait() then
    core.raise { code = "recipe.cannot_wait", message = "parallel cannot wait where it stands",
      hint = "call it outside of table.sort, string.gsub and metamethods" }
  end
end

-- How many may fail, and what one too many does. Without batch and max_fail the first failure ends the others and is
-- itself thrown; with them what is under way is left to end, because a host in the middle of a restart is worse than
-- one that was not begun.
local function policy(options, total)
  local bounded = options.batch ~= nil or options.max_fail ~= nil
  if options.on_error == "continue" and options.max_fail == nil then return { most = math.huge } end
  if not bounded then return { most = 0, first_ends = true } end
  return { most = amount("max_fail", options.max_fail or 0, total, 0, math.floor),
    cancels = options.on_error == "stop", bounded = true }
end

-- ---------------------------------------------------------------------------------------------- results

-- Results: {ok, value | error | skipped} for each item, by its place in the list, or by the host's name for a group;
-- `pairs` goes in the order of the items. `results.ok`, `.failed` and `.skipped` are lists of keys.
local function summary(results, keys)
  local lists = { ok = {}, failed = {}, skipped = {} }
  for _, key in ipairs(keys) do
    local result = results[key]
    local list = lists[result.ok and "ok" or result.skipped and "skipped" or "failed"]
    list[#list + 1] = key
  end
  return lists
end

-- At most `most` of the names, in one line.
local function some(names, most, decorate)
  local shown = {}
  for i = 1, math.min(#names, most) do shown[i] = decorate and decorate(names[i]) or tostring(names[i]) end
  local rest = #names - #shown
  return table.concat(shown, ", ") .. (rest > 0 and (" and %d more"):format(rest) or "")
end
dr.some = some

local function text_of(results, lists)
  local parts = { ("%d ok"):format(#lists.ok) }
  local function code(key) return ("%s (%s)"):format(key, results[key].error.code) end
  if #lists.failed > 0 then parts[#parts + 1] = ("%d failed: %s"):format(#lists.failed, some(lists.failed, 8, code)) end
  if #lists.skipped > 0 then parts[#parts + 1] = ("%d not begun"):format(#lists.skipped) end
  return table.concat(parts, ", ")
end

-- Locks on many hosts are given back together: local locks <close> = web:lock("deploy")
local function close_values(results, keys)
  for i = #keys, 1, -1 do
    local value = results[keys[i]].value
    if getmetatable(value) == "lock" then value:close() end
  end
end

-- The method of a group that gave the results, where one did.
local made_by = setmetatable({}, { __mode = "k" })
dr.made_by = made_by

-- What is not in a group's results. Hosts whose method gave objects are gone on with one by one.
local function no_result(results, keys, key)
  local first = results.ok[1]
  local ok, method = rawpcall(function() return results[first].value[key] end)
  if not made_by[results] or not ok or type(method) ~= "function" then
    return core.raise { code = "recipe.argument", message = ("there is no result of a host '%s'"):format(key),
      hint = "there are: " .. some(keys, 12) .. "; and the lists ok, failed and skipped" }
  end
  return core.raise { code = "recipe.argument",
    message = (":%s of a group gives results by host, which have no '%s'"):format(made_by[results], key),
    hint = ("write web:each(function(server) return server:%s(…):%s(…) end)"):format(made_by[results], key) }
end

local function make_results(raw, keys, keyed)
  local results = {}
  for i, key in ipairs(keys) do results[key] = raw[i] or { ok = false, skipped = true } end
  local lists = summary(results, keys)
  return setmetatable(results, {
    __name = "results",
    __index = function(self, key)
      if lists[key] or not keyed or type(key) ~= "string" then return lists[key] end
      return no_result(self, keys, key)
    end,
    __pairs = function()
      local at = 0
      return function()
        at = at + 1
        if keys[at] ~= nil then return keys[at], results[keys[at]] end
        return nil
      end
    end,
    __tostring = function() return text_of(results, lists) end,
    __close = function() close_values(results, keys) end,
  })
end

-- ---------------------------------------------------------------------------------------------- failing

local function detail(results, names)
  local lines = {}
  for i, name in ipairs(names) do
    local problem = results[name].error
    lines[i] = ("%s: %s: %s"):format(name, problem.code, problem.message)
  end
  return table.concat(lines, "\n")
end

-- Throws parallel.failed: who failed and why, and who was not begun.
local function fail_all(shared, results)
  local failed, skipped = results.failed, results.skipped
  local noun = shared.group and "hosts" or "items"
  local message = ("%d of %d %s failed: %s"):format(#failed, #shared.items, noun,
    some(failed, 8, function(key) return ("%s (%s)"):format(key, results[key].error.code) end))
  if #skipped > 0 then message = message .. ("; not begun: %s"):format(some(skipped, 8)) end
  local first = results[failed[1]].error
  return core.raise { code = "parallel.failed", message = message, detail = detail(results, failed), cause = first,
    hint = first.hint ~= "" and first.hint or nil, results = results }
end

-- ---------------------------------------------------------------------------------------------- parallel

local function say(level, message) core.tell("log", { level = level, message = message }) end

local function tell_batch(shared, number, count, size)
  local names = {}
  for i = shared.next, shared.next + size - 1 do names[#names + 1] = shared.keys[i] end
  say("info", ("batch %d of %d: %s"):format(number, count, some(names, 4)))
end

-- A failure that is not thrown by itself is told when it happens.
local function teller(shared)
  return function(i, problem)
    say("warn", ("%s failed: %s: %s"):format(shared.keys[i], problem.code, problem.message))
  end
end

-- Hosts that could not be reached fail before anything was begun on another: when they are too many, nothing is.
local function check_reached(shared, problems)
  local unreached, first, count = {}, nil, 0
  for i in ipairs(shared.keys) do
    if problems[i] then
      first, count = first or problems[i], count + 1
      unreached[i] = { ok = false, error = problems[i] }
    end
  end
  if count <= shared.most then return end
  if count == 1 and shared.first_ends then rawerror(first, 0) end
  fail_all(shared, make_results(unreached, shared.keys, shared.group))
end

-- The function for a group's hosts: those that could not be reached fail with the reason.
local function for_reached(shared, problems)
  local fn = shared.fn
  check_reached(shared, problems)
  return function(item, i)
    if problems[i] then rawerror(problems[i], 0) end
    return fn(item, i)
  end
end

local function run_batches(shared, sizes)
  for number, size in ipairs(sizes) do
    if #sizes > 1 then tell_batch(shared, number, #sizes, size) end
    run_batch(shared, size)
    if shared.stopped then return end
  end
end

-- The keys of the results and how lanes are called: a group's hosts by name, all else by its place.
local function name_items(shared)
  local group = shared.group
  shared.keys = {}
  for i = 1, #shared.items do shared.keys[i] = group and group.names[i] or i end
  shared.lane_name = function(i) return (tostring(shared.keys[i]):gsub("/", "_")) end
end

-- parallel(list, {limit=, batch=, max_fail=, on_error="stop"|"continue"}, fn): calls fn(item, index) for each item in
-- lanes of its own and returns {ok, value | error} for each.
dr.global("parallel", function(items, options, fn)
  if fn == nil then options, fn = {}, options end
  check_call(items, options, fn)
  local group = getmetatable(items) == "hosts" and dr.group(items)
  if group then options = group.options(options) end
  local shared = policy(options, #items)
  local sizes = batch_sizes(options.batch or math.max(#items, 1), #items)
  shared.items, shared.fn, shared.limit, shared.group = items, fn, options.limit, group
  name_items(shared)
  new_lanes(shared)
  if (group or shared.bounded) and not shared.first_ends then shared.tell = teller(shared) end
  if group then shared.fn = for_reached(shared, group.connect(shared.lane_name)) end
  run_batches(shared, sizes)
  local results = make_results(shared.results, shared.keys, group)
  if shared.failures > shared.most then fail_all(shared, results) end
  return results
end)
