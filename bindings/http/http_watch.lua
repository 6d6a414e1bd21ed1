-- http_watch.lua - http.watch{…}: URLs, containers and whatever else a recipe can measure, watched after a deploy. The
-- URLs are asked by the op http.watch in a lane of its own; beside it this file looks at the rest every few seconds.
local dr = ...
local ask, sleep = dr.op("http.watch"), dr.op("time.sleep")

-- So many looks in a row must be bad before a measured value decides: one flaky sample must not.
local BAD_LOOKS <const> = 3
local LOOK_EVERY <const> = 5
local LOG_LINES <const> = 15

local function wrong(message, hint) return dr.wrong("http.watch: " .. message, hint) end

local units = { B = 1, K = 1024, M = 1024 ^ 2, G = 1024 ^ 3 }

-- 536870912, "512MiB", "1.5G" → bytes.
local function bytes(value)
  if type(value) == "number" then return value end
  local number, unit = tostring(value):upper():match("^([%d.]+)%s*([BKMG]?)I?B?$")
  if not tonumber(number) then wrong("max_memory is a number of bytes or text such as \"512MiB\"") end
  return tonumber(number) * units[unit == "" and "B" or unit]
end

local function shown_bytes(value) return ("%.0f MiB"):format(value / units.M) end

-- ---------------------------------------------------------------------------------------------- containers

local function listed(names) return type(names) == "table" and names or { names } end

-- The engine and the names of what is watched: {engine =, list = function() → containers}.
local function source_of(target, options)
  if options.stack then
    local stack, services = options.stack, options.services
    if getmetatable(stack) ~= "compose stack" then wrong("stack is what target:compose returns") end
    for _, service in ipairs(listed(services)) do stack:spec(service) end
    return { engine = stack.docker, list = function()
      local wanted = {}
      for _, name in ipairs(listed(services)) do wanted[name] = true end
      local found = {}
      local all = stack.docker:containers { labels = { ["com.docker.compose.project"] = stack.project } }
      for _, container in ipairs(all) do
        local one_off = container.labels["com.docker.compose.oneoff"] == "True"
        if not one_off and (not services or wanted[container.service]) then found[#found + 1] = container end
      end
      return found
    end }
  end
  if not options.containers then return nil end
  local names = listed(options.containers)
  for _, name in ipairs(names) do
    if type(name) ~= "string" or not name:find("^%w[%w_.-]*$") then wrong("containers are names of containers") end
  end
  return { engine = (target or dr.globals.host("local")):docker(), list = function() return names end }
end

local function log_of(engine, id)
  local ok, text = pcall(engine.logs, engine, id, { tail = LOG_LINES })
  return ok and text or nil
end

local function container_failed(watch, container, problem)
  return dr.fail { code = "http.watch_failed", message = ("%s: %s"):format(container.name, problem),
    hint = "docker logs " .. container.name .. " says more", detail = log_of(watch.source.engine, container.id) }
end

-- Notes a bad look at `key`; true when it was the last one allowed.
local function strike(watch, key, bad)
  watch.strikes[key] = bad and (watch.strikes[key] or 0) + 1 or 0
  return watch.strikes[key] >= BAD_LOOKS
end

local function check_memory(watch, container)
  local stats = watch.source.engine:stats(container.id, { once = true })
  local used = stats.memory
  if used == 0 then -- not told; of a container that ends just now too
    if not watch.max_memory or not strike(watch, "untold " .. container.id, true) then return end
    container_failed(watch, container, "max_memory cannot be judged: the Docker Engine does not tell its memory")
  end
  watch.strikes["untold " .. container.id] = 0
  watch.memory[container.name] = math.max(watch.memory[container.name] or 0, used)
  if watch.max_memory and strike(watch, "memory " .. container.id, used > watch.max_memory) then
    container_failed(watch, container, ("it uses %s of memory (at most %s), %d looks in a row"):format(
      shown_bytes(used), shown_bytes(watch.max_memory), BAD_LOOKS))
  end
end

-- Restarts by the engine, and by hand: then it has begun anew without being counted.
local function check_restarts(watch, first, now)
  local extra = now.started_at ~= first.started_at and now.restarts == first.restarts and 1 or 0
  local restarts = now.restarts - first.restarts + extra
  watch.restarts[first.name] = restarts
  if restarts > watch.max_restarts then
    container_failed(watch, now, ("it restarted %d times during the watch (at most %d)%s"):format(restarts,
      watch.max_restarts, now.oom_killed and "; its memory ran out" or ""))
  end
end

local function check_container(watch, first)
  local found, now = pcall(watch.source.engine.inspect, watch.source.engine, first.id)
  if not found then
    if now.code ~= "docker.no_such_container" then error(now) end
    return container_failed(watch, first, "the container is gone")
  end
  check_restarts(watch, first, now)
  if not now.running and strike(watch, "down " .. first.id, now.state ~= "restarting") then
    return container_failed(watch, now, ("it is %s, exit code %s"):format(now.state, tostring(now.exit_code)))
  end
  if now.health == "unhealthy" then return container_failed(watch, now, "its health check fails") end
  if now.running then check_memory(watch, first) end
end

-- ---------------------------------------------------------------------------------------------- what else

-- The connections of a database's server, by default at most nine in ten of what it allows.
local function connections_of(options)
  if not options.database then return nil end
  if getmetatable(options.database) ~= "database" then wrong("database is what postgres{…} returns") end
  local most = options.max_connections
  return { name = "database connections", fn = function()
    local seen = options.database:connections()
    return seen.total, most or seen.max * 0.9
  end, hint = "db:connections() tells who holds them" }
end

local function is_number(value) return value == nil or math.type(value) ~= nil end

-- also = { ["connections"] = { function() return 3 end, max = 80 } } as a list of {name, fn, max, min}.
local function measures_of(also, first)
  local list = { first }
  for name, entry in pairs(also or {}) do
    local fn = type(entry) == "table" and (entry[1] or entry.fn)
    if type(fn) ~= "function" or not (entry.max or entry.min) then
      wrong(("also: '%s' needs a function and a limit"):format(tostring(name)),
        "also = { [\"connections\"] = { function() return 3 end, max = 80 } }")
    end
    if not is_number(entry.max) or not is_number(entry.min) then
      wrong(("also: the limit of '%s' is a number"):format(tostring(name)))
    end
    list[#list + 1] = { name = tostring(name), fn = fn, max = entry.max, min = entry.min }
  end
  return list
end

local function check_measure(watch, measure)
  local ok, value, most = pcall(measure.fn)
  local problem
  most = measure.max or ok and most
  if not ok then
    problem = "it cannot be measured: " .. tostring(type(value) == "table" and value.message or value)
  elseif type(value) ~= "number" then
    wrong(("also: '%s' returned %s, not a number"):format(measure.name, type(value)))
  else
    local seen = watch.measured[measure.name] or { min = value, max = value }
    watch.measured[measure.name] = { last = value, min = math.min(seen.min, value), max = math.max(seen.max, value) }
    if most and value > most then problem = ("it is %g, at most %g"):format(value, most) end
    if measure.min and value < measure.min then problem = ("it is %g, at least %g"):format(value, measure.min) end
  end
  if strike(watch, "also " .. measure.name, problem ~= nil) then
    dr.fail { code = "http.watch_failed",
      message = ("%s: %s, %d looks in a row"):format(measure.name, problem, BAD_LOOKS),
      hint = measure.hint or "this is what the recipe measures by also = { … }" }
  end
end

-- ---------------------------------------------------------------------------------------------- the whole

local own_options = { urls = true, url = true, stack = true, services = true, containers = true, max_restarts = true,
  max_memory = true, also = true, look_every = true, database = true, max_connections = true }

-- What the op takes, out of the options.
local function op_args(options)
  local urls = options.urls or { options.url }
  if type(urls) == "string" then urls = { urls } end
  if type(urls) ~= "table" or type(urls[1]) ~= "string" then
    wrong("url or urls is missing", "http.watch { url = \"https://example.org/health/\", during = \"10m\" }")
  end
  local rest = {}
  for name, value in pairs(options) do
    if not own_options[name] then rest[name] = value end
  end
  local args = dr.http_args("http.watch", urls[1], rest)
  args.urls = urls
  return args
end

local function describe(options, watch)
  local parts = {}
  if watch.source then
    local what = options.stack and "the containers of " .. options.stack.project
      or table.concat(watch.source.list(), ", ")
    local limit = watch.max_memory and ", memory at most " .. shown_bytes(watch.max_memory) or ""
    parts[1] = ("%s: at most %d restarts%s"):format(what, watch.max_restarts, limit)
  end
  for _, measure in ipairs(watch.measures) do parts[#parts + 1] = measure.name end
  return #parts > 0 and "and " .. table.concat(parts, "; ") or nil
end

-- Limits that cannot be compared with anything would be found only when the first look is over.
local function check_limits(options)
  local restarts = options.max_restarts
  if restarts ~= nil and (math.type(restarts) ~= "integer" or restarts < 0) then
    wrong("max_restarts is a whole number, 0 or more")
  end
  if not is_number(options.max_connections) then wrong("max_connections is a number") end
  if options.look_every ~= nil and dr.duration(options.look_every) <= 0 then wrong("look_every is longer than 0") end
end

-- Looks at all that is no URL until the URLs are done, and once more then: what ended just before counts too.
local function look(watch)
  local containers = {}
  if watch.source then
    for _, container in ipairs(watch.source.list()) do
      containers[#containers + 1] = watch.source.engine:inspect(container)
    end
  end
  local last
  repeat
    last = watch.over
    for _, first in ipairs(containers) do check_container(watch, first) end
    for _, measure in ipairs(watch.measures) do check_measure(watch, measure) end
    if not last then sleep(nil, { seconds = watch.look_every, reason = "watching" }) end
  until last
end

local function tell(watch, report)
  for _, url in ipairs(dr.sorted_keys(report.urls)) do
    local one = report.urls[url]
    dr.globals.log(("watched %s: %d answers, %d bad, p50 %.0f ms, p95 %.0f ms, longest silence %.1f s"):format(url,
      one.requests, one.failures, one.p50_ms or 0, one.p95_ms or 0, one.longest_gap))
  end
  for _, name in ipairs(dr.sorted_keys(watch.restarts)) do
    local memory = watch.memory[name] and ", at most " .. shown_bytes(watch.memory[name]) .. " of memory" or ""
    dr.globals.log(("watched %s: %d restarts%s"):format(name, watch.restarts[name], memory))
  end
  for _, name in ipairs(dr.sorted_keys(watch.measured)) do
    local seen = watch.measured[name]
    dr.globals.log(("watched %s: %g to %g, last %g"):format(name, seen.min, seen.max, seen.last))
  end
end

-- Watches until `during` is over; throws http.watch_failed when a threshold is crossed.
function dr.http_watch(target, options)
  if type(options) ~= "table" then wrong("it takes a table of options") end
  check_limits(options)
  local args = op_args(options)
  local watch = { source = source_of(target, options), measures = measures_of(options.also, connections_of(options)),
    strikes = {}, memory = {}, restarts = {}, measured = {}, over = false, max_restarts = options.max_restarts or 0,
    max_memory = options.max_memory and bytes(options.max_memory),
    look_every = dr.duration(options.look_every or LOOK_EVERY) }
  args.watched = describe(options, watch)
  if dr.dry() or not args.watched then
    local report = ask(target, args)
    if not dr.assumed(report) then tell(watch, report) end
    return report
  end
  local report
  dr.globals.parallel({ "urls", "the rest" }, { limit = 2 }, function(_, index)
    if index == 2 then return look(watch) end
    report = ask(target, args)
    watch.over = true
  end)
  report.restarts, report.memory, report.measured = watch.restarts, watch.memory, watch.measured
  tell(watch, report)
  return report
end
