-- runtime/lua/parallel.lua - parallel: the same work for many items at a time, in batches, with a bound on failures.
-- Embedded; run when it is asked for, as the bindings' parts are. group.lua builds on dr.lanes and tells what
-- a group of hosts is by dr.group.
local dr = ...
local core, rawpcall, rawerror = dr.core, dr.rawpcall, dr.rawerror

local wrong_argument = dr.wrong

-- ---------------------------------------------------------------------------------------------- lanes

local function do_item(shared, i)
  local parent = core.lane_id()
  core.lane_id(shared.id .. "/" .. shared.lane_name(i))
  local ok, value = rawpcall(shared.fn, shared.items[i], i)
  core.lane_id(parent)
  if ok then
    shared.results[i] = { ok = true, value = value }
  else
    shared.failed(i, core.normal_error(value))
  end
end

-- One worker takes item after item of the batch until none is left or the rest is to stop. An item that has a result
-- already is a host that could not be reached.
local function work(shared)
  while shared.next <= shared.batch.last and not shared.stopped do
    local i = shared.next
    shared.next = i + 1
    if not shared.results[i] then do_item(shared, i) end
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

-- The items of the batch, in lanes of which none outlives the call.
local function run_batch(shared, batch)
  local size = batch.last - batch.first + 1
  shared.batch, shared.lanes, shared.joined = batch, {}, {}
  local ok, problem = rawpcall(spawn, shared, math.min(shared.limit or size, size))
  if not ok then abort(shared, problem) end
  for _, lane in ipairs(shared.lanes) do join(shared, lane) end
  if shared.fatal then rawerror(shared.fatal, 0) end
end

-- Counts a failed item of a batch. One more than `most`, of all or of the batch, ends the rest.
local function count_failure(shared, batch, i, problem)
  shared.results[i] = { ok = false, error = problem }
  shared.failures, batch.failures = shared.failures + 1, batch.failures + 1
  if shared.tell then shared.tell(i, problem) end
  local within = shared.failures <= shared.most
  if within and batch.failures > batch.most then shared.over = shared.over or batch end
  shared.stopped = shared.stopped or not within or shared.over ~= nil
end

-- What a failed item does: fatal ends everything; with `first_ends` set so does any; else it is counted.
local function on_failure(shared)
  return function(i, problem)
    if core.is_fatal(problem) or shared.first_ends then
      shared.results[i] = { ok = false, error = problem }
      if not shared.stopped then abort(shared, problem) end
      return
    end
    count_failure(shared, shared.batch, i, problem)
    if shared.stopped and shared.cancels then cancel_others(shared) end
  end
end

-- A batch: which items, how many of them failed, and how many may.
local function new_batch(first, last, most)
  return { first = first, last = last, failures = 0, most = most or math.huge }
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
  if #shared.items > 0 then run_batch(shared, new_batch(1, #shared.items)) end
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

-- How many of `total` may fail.
local function may_fail(options, total) return amount("max_fail", options.max_fail or 0, total, 0, math.floor) end

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
  return { most = may_fail(options, total), cancels = options.on_error == "stop", bounded = true }
end

-- The batches. A share in max_fail holds in each of them too, so that a canary must be whole; a number is of all.
local function make_batches(options, total)
  local batches, last = {}, 0
  for number, size in ipairs(batch_sizes(options.batch or math.max(total, 1), total)) do
    local most = type(options.max_fail) == "string" and may_fail(options, size) or nil
    batches[number] = new_batch(last + 1, last + size, most)
    last = last + size
  end
  return batches
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

local function lines_of(text, most)
  local lines = {}
  for line in text:gmatch("[^\n]+") do lines[#lines + 1] = line end
  return table.move(lines, math.max(1, #lines - most + 1), #lines, 1, {})
end

-- Why an item failed, with at most so many of the last lines that were written there.
local function reason(head, problem, most)
  local lines = { ("%s: %s: %s"):format(head, problem.code, problem.message) }
  for _, line in ipairs(lines_of(problem.detail or "", most)) do lines[#lines + 1] = "  " .. line end
  return lines
end

-- The screen of a failure shows so many lines.
local shown_lines, least_lines = 12, 2

-- Why the items failed: of few more lines each; what has no room is counted.
local function detail(results, names)
  local lines, each = {}, math.max(least_lines, shown_lines // #names - 1)
  for i, name in ipairs(names) do
    local more = reason(name, results[name].error, each)
    if #lines + #more > shown_lines - (i < #names and 1 or 0) then
      lines[#lines + 1] = ("and %d more"):format(#names - i + 1)
      break
    end
    table.move(more, 1, #more, #lines + 1, lines)
  end
  return table.concat(lines, "\n")
end

local function too_many_in_batch(shared)
  for number, batch in ipairs(shared.batches) do
    if batch == shared.over then return (", more than %s of batch %d"):format(shared.max_fail, number) end
  end
end

-- Throws parallel.failed: who failed and why, and who was not begun.
local function fail_all(shared, results)
  local failed, skipped = results.failed, results.skipped
  local noun = shared.group and "hosts" or "items"
  local message = ("%d of %d %s failed: %s"):format(#failed, #shared.items, noun,
    some(failed, 8, function(key) return ("%s (%s)"):format(key, results[key].error.code) end))
  if shared.over then message = message .. too_many_in_batch(shared) end
  if #skipped > 0 then message = message .. ("; not begun: %s"):format(some(skipped, 8)) end
  local first = results[failed[1]].error
  return core.raise { code = "parallel.failed", message = message, detail = detail(results, failed), cause = first,
    hint = first.hint ~= "" and first.hint or nil, results = results }
end

-- ---------------------------------------------------------------------------------------------- parallel

local function say(level, message) core.tell("log", { level = level, message = message }) end

local function tell_batch(shared, number, batch)
  local names = table.move(shared.keys, batch.first, batch.last, 1, {})
  say("info", ("batch %d of %d: %s"):format(number, #shared.batches, some(names, 4)))
end

-- The hosts of which something failed in this run, and with which code first.
local failed_hosts, failed_code = dr.array {}, {}

-- A failure that is not thrown by itself is told when it happens.
local function teller(shared)
  return function(i, problem)
    local key = shared.keys[i]
    say("warn", table.concat(reason(key .. " failed", problem, least_lines), "\n"))
    if not shared.group or failed_code[key] then return end
    failed_hosts[#failed_hosts + 1], failed_code[key] = key, problem.code
  end
end

-- Names the hosts that failed where the recipe came to its end all the same.
function dr.at_good_end()
  if #failed_hosts == 0 or dr.dry() then return end
  local function code(name) return ("%s (%s)"):format(name, failed_code[name]) end
  core.tell("log", { level = "warn", failed = failed_hosts,
    message = ("%d %s failed: %s"):format(#failed_hosts, #failed_hosts == 1 and "host" or "hosts",
      some(failed_hosts, 8, code)) })
end

-- Hosts that could not be reached have failed before anything is begun on another: when they are too many, nothing is.
local function count_unreached(shared, problems)
  for _, batch in ipairs(shared.batches) do
    for i = batch.first, batch.last do
      if problems[i] then count_failure(shared, batch, i, problems[i]) end
    end
  end
  local _, only = next(problems)
  if shared.first_ends and shared.failures == 1 then rawerror(only, 0) end
end

local function run_batches(shared)
  for number, batch in ipairs(shared.batches) do
    if shared.stopped then return end
    if #shared.batches > 1 then tell_batch(shared, number, batch) end
    run_batch(shared, batch)
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
  shared.batches, shared.max_fail = make_batches(options, #items), options.max_fail
  shared.items, shared.fn, shared.limit, shared.group = items, fn, options.limit, group
  name_items(shared)
  new_lanes(shared)
  if (group or shared.bounded) and not shared.first_ends then shared.tell = teller(shared) end
  if group then count_unreached(shared, group.connect(shared.lane_name)) end
  run_batches(shared)
  local results = make_results(shared.results, shared.keys, group)
  if shared.stopped then fail_all(shared, results) end
  return results
end)
