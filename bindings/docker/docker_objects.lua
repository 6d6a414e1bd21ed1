-- docker_objects.lua - networks, volumes, stats, events and lines of a log. The ops are in docker_objects.c and
-- docker_events.c.
local dr = ...
local Engine = dr.Engine
local call = dr.engine_caller { "networks", "network_create", "network_remove", "network_connect",
  "network_disconnect", "volumes", "volume_create", "volume_remove", "stats", "events", "wait_event", "wait_log" }

-- The entries of a list with this name, or all.
local function listed(engine, what, name)
  local found, chosen = call(engine, what, {}), {}
  for _, one in ipairs(found.list) do
    if name == nil or one.name == name then chosen[#chosen + 1] = one end
  end
  return chosen, dr.assumed(found)
end

function Engine:networks(name) return listed(self, "networks", name) end
function Engine:volumes(name) return listed(self, "volumes", name) end

for _, what in ipairs { "network_create", "network_remove", "volume_create", "volume_remove" } do
  Engine[what] = function(self, name, options) return call(self, what, { name = name }, options) end
end

for _, what in ipairs { "network_connect", "network_disconnect" } do
  Engine[what] = function(self, network, container, options)
    local args = dr.with_container(what, container)
    args.network = network
    return call(self, what, args, options)
  end
end

-- What a container uses. Two samples, a second apart, unless once = true.
function Engine:stats(container, options)
  return call(self, "stats", dr.with_container("stats", container), options)
end

-- { event = "die" } → { event = { "die" } }
local function filters_of(filters)
  local lists = {}
  for name, value in pairs(filters or {}) do lists[name] = type(value) == "table" and value or { tostring(value) } end
  return lists
end

local function event_args(method, options)
  dr.check_engine_options(method, method, options)
  local args = dr.copy(options or {})
  args.filters = filters_of(args.filters)
  return args
end

-- What happened: events { since =, until_ =, filters = }.
function Engine:events(options) return call(self, "events", event_args("events", options)).events end

-- Waits until something happens that fits.
function Engine:wait_event(options) return call(self, "wait_event", event_args("wait_event", options)) end

-- Follows a log until a line fits the pattern.
function Engine:wait_log(container, pattern, options)
  local args = dr.with_container("wait_log", container)
  args.pattern = pattern
  return call(self, "wait_log", args, options)
end
