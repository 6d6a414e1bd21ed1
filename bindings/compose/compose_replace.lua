-- compose_replace.lua - stack:replace(service): a new container takes over from the old one without a gap.
--
-- Start first: scale up by as many as there are · wait until the new ones are healthy · turn the proxy to them ·
-- stop and remove the old ones · let the proxy resolve the name again. Where two cannot run side by side (a fixed
-- container name, a host port) or must not (a scheduler), stop first: stop, remove, start, wait.
local dr = ...

local Stack = dr.Stack

-- ---------------------------------------------------------------------------------------------- which way

-- True for a port that only one container can publish: "127.0.0.1:80:8000/tcp" or {published = …}.
local function is_fixed(port)
  if type(port) == "table" then
    local published = tostring(port.published or "")
    return published ~= "" and published ~= "0"
  end
  local host = tostring(port):gsub("/%w+$", ""):match("^(.*):[^:]+$")
  return host ~= nil and host:match("(%d*)$") ~= "" and not host:match("%d+%-%d+$")
end

-- Why the service cannot be started first, or nil.
local function obstacle(spec)
  if spec.container_name then return "its container name is fixed" end
  if spec.network_mode == "host" then return "it uses the host's network" end
  for _, port in ipairs(spec.ports or {}) do
    if is_fixed(port) then return "it publishes a host port" end
  end
  return nil
end

local function choose(stack, service, options)
  local mode = options.mode
  if mode ~= nil and mode ~= "start-first" and mode ~= "stop-first" then
    dr.wrong(("stack:replace: there is no mode \"%s\""):format(tostring(mode)), "\"start-first\" or \"stop-first\"")
  end
  local reason = obstacle(stack:spec(service))
  if options.mode == "stop-first" then return "stop-first", "asked for" end
  if not reason then return "start-first", "nothing keeps two containers from running side by side" end
  if options.mode == "start-first" then
    dr.fail { code = "compose.cannot_start_first", message = ("%s cannot be started first: %s"):format(service, reason),
      hint = "use mode = \"stop-first\", or take the obstacle out of the compose file" }
  end
  return "stop-first", reason
end

-- ---------------------------------------------------------------------------------------------- pieces

-- The containers of the service that are not in `before`. In a dry run they do not exist yet: placeholders.
local function newcomers(stack, service, before)
  local fresh, known = {}, {}
  local now = stack:containers(service)
  for _, container in ipairs(before) do known[container.id] = true end
  for _, container in ipairs(now) do
    if not known[container.id] then fresh[#fresh + 1] = container end
  end
  for i = 1, dr.dry() and math.max(#before, 1) or 0 do
    local name = ("<new %s container%s>"):format(service, #before > 1 and " " .. i or "")
    fresh[i] = { id = name, name = name }
  end
  return fresh
end

local function wait_healthy(stack, service, containers, options)
  if #containers == 0 then
    dr.fail { code = "compose.not_started", message = "compose started no new container of " .. service,
      hint = "-v shows its output; `docker compose ps` shows what runs" }
  end
  for _, container in ipairs(containers) do
    stack.docker:wait_healthy(container, { within = options.healthy_within or 60, http = options.http })
    if options.check then options.check(container) end
  end
end

local function discard(stack, containers, grace)
  for _, container in ipairs(containers) do
    stack.docker:stop(container, { timeout = grace or 30 })
    stack.docker:remove(container)
  end
end

-- True when one of these containers still runs.
local function any_runs(stack, service, containers)
  local known = {}
  for _, container in ipairs(containers) do known[container.id] = true end
  for _, container in ipairs(stack:ps(service)) do
    if known[container.id] then return true end
  end
  return false
end

-- Stopped containers of the service are removed: compose would start them, with the image they once had. One that dies
-- again and again may run at that moment.
local function sweep(stack, service)
  local running = {}
  for _, container in ipairs(stack:containers(service)) do
    if container.running then
      running[#running + 1] = container
    else
      stack.docker:remove(container, { force = container.state == "restarting" })
    end
  end
  return running
end

-- ---------------------------------------------------------------------------------------------- two ways

-- Lets the proxy ask DNS again. Where that fails it is told: the containers that it was turned to go on serving.
local function turn_back(proxy)
  local back, problem = pcall(proxy.turn_back, proxy)
  if back then return true end
  dr.globals.warn(("%s was not told to look names up again: %s"):format(proxy.container.name, problem.message))
  return not proxy.turned
end

local function start_first(stack, service, before, options)
  local proxy = options.proxy and stack:proxy(options.proxy)
  if proxy then proxy:check() end
  dr.guarded(function()
    stack:call("scale", { service = service, count = 2 * #before })
    local fresh = newcomers(stack, service, before)
    wait_healthy(stack, service, fresh, options)
    if proxy then proxy:turn_to(service, fresh, options) end
    discard(stack, before, options.grace)
  end, function()
    local may_go = not proxy or turn_back(proxy)
    if may_go and any_runs(stack, service, before) then
      discard(stack, newcomers(stack, service, before), options.grace)
      if not dr.dry() then dr.globals.log(service .. ": the containers before it go on serving") end
    end
  end)
  if proxy then turn_back(proxy) end
end

-- Starts the service anew, with `count` containers; nginx, which knew the address of a container that is gone, looks
-- its name up again.
local function start(stack, service, options, count)
  stack:call("up", { services = { service }, no_deps = true, scale = count > 1 and { [service] = count } or nil })
  wait_healthy(stack, service, newcomers(stack, service, {}), options)
  if options.proxy then stack:proxy(options.proxy):forget() end
end

-- Gives the name of the service's image, as the old compose file has it, back to the one that the old containers were
-- made from. Returns what went wrong on the way to the old file: that must not keep the old containers down.
local function put_image_back(stack, service, old, options)
  local restored, problem = pcall(function()
    if not options.on_restore then return end
    options.on_restore()
    stack:reread()
  end)
  stack.docker:tag(old.image_id, stack:image(service))
  return not restored and problem or nil
end

local function stop_first(stack, service, before, options)
  dr.guarded(function()
    discard(stack, before, options.grace)
    start(stack, service, options, #before)
  end, function()
    local problem = put_image_back(stack, service, before[1], options)
    discard(stack, newcomers(stack, service, {}), options.grace)
    local again = { healthy_within = options.healthy_within, http = options.http, proxy = options.proxy }
    start(stack, service, again, #before)
    if not dr.dry() then dr.globals.log(service .. " runs again, from the image it had before") end
    if problem then error(problem, 0) end
  end)
end

local replace_options = { mode = true, healthy_within = true, http = true, grace = true, proxy = true, check = true,
  on_restore = true }

-- replace(service, { mode=, healthy_within=60, http=, grace=30, proxy=, check= }): see the head of this file.
--   mode            "start-first", "stop-first", or nil to choose: start-first where nothing is in its way
--   healthy_within  seconds a new container may take to become healthy
--   http            what a new container must answer on its own address, as docker:wait_healthy has it
--   grace           seconds an old container may take to finish its work after TERM
--   proxy           the nginx service in front of it, which is told
--   check           function(container) that fails when a healthy container must not take over
--   on_restore      function() called before the old image is brought back, for example to put the old code back
-- When the new container does not become healthy it is removed, and the old one goes on serving; where the old one had
-- to stop first, it is started again from its image.
function Stack:replace(service, options)
  options = options or {}
  dr.check_options("stack:replace", options, replace_options)
  local mode, reason = choose(self, service, options)
  local before = sweep(self, service)
  dr.globals.log(("%s: %s, because %s"):format(service, mode:gsub("-", " "), reason))
  self.replaced[service] = { mode = mode, options = options, containers = before }
  if #before == 0 then return start(self, service, options, 1) end
  local way = mode == "start-first" and start_first or stop_first
  way(self, service, before, options)
  if not self.restoring then self:record_for_rollback(service, before[1]) end
end

-- restore(service): brings the image back that ran before replace(), by the same way. Where nothing ran, what was
-- started is taken away.
function Stack:restore(service)
  local replaced = self.replaced[service]
  if not replaced then return end
  local options, old = replaced.options, replaced.containers[1]
  if not old then return discard(self, newcomers(self, service, {}), options.grace) end
  local problem = put_image_back(self, service, old, options)
  self.restoring = true -- what is taken away now is nothing to go back to
  local _ <close> = setmetatable({}, { __close = function() self.restoring = false end })
  self:replace(service, { mode = replaced.mode, healthy_within = options.healthy_within, http = options.http,
    grace = options.grace, proxy = options.proxy })
  if problem then error(problem, 0) end
end

-- Why the service does not run from the image that has its name now, with as many containers as before; nil: it does.
local function difference(stack, service)
  local image, running = stack.docker:image(stack:image(service)), stack:ps(service)
  local replaced = stack.replaced[service]
  local wanted = math.max(replaced and #replaced.containers or 0, 1)
  if #running < wanted then return ("of %d containers of %s %d run"):format(wanted, service, #running) end
  for _, container in ipairs(running) do
    if container.image_id ~= image.id then return container.name .. " was made from another image" end
  end
  return nil
end

-- Proves that the services run, each with as many containers as before replace(), made from the image that has the
-- name now.
function Stack:verify_images(services, options)
  local why
  local proven, problem = pcall(dr.globals.wait, "the containers run, from the images just built",
    options or { within = 10, every = 0.2 }, function()
      why = nil
      for _, service in ipairs(services) do why = why or difference(self, service) end
      return why == nil
    end)
  if proven then return end
  if problem.code ~= "wait.timeout" or not why then error(problem, 0) end
  dr.fail { code = problem.code, message = problem.message .. ": " .. why }
end
