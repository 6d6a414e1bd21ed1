-- swarm.lua - target:swarm(): services on an orchestrator that is there already. The ops are in swarm.c; arguments and
-- results are described in meta/swarm.lua.
local dr = ...

local ops = {}
for _, name in ipairs { "info", "services", "converge", "init", "leave", "update", "rollback", "deploy", "remove" } do
  ops[name] = dr.op("swarm." .. name)
end

local Swarm = {}
local swarm_class = dr.class("swarm", Swarm)

-- The swarm that the target's Docker Engine manages. Does not connect yet.
function dr.Target:swarm(options)
  local docker = self:docker(options)
  return setmetatable({ target = self, docker = docker, socket = docker.socket }, swarm_class)
end

local function call(swarm, name, args, options)
  for key, value in pairs(options or {}) do
    if args[key] == nil then args[key] = value end
  end
  args.socket = swarm.socket
  return ops[name](swarm.target, args)
end

local wrong = dr.wrong

local function take(options, name)
  local rest, taken = {}, nil
  for key, value in pairs(options or {}) do
    if key == name then taken = value else rest[key] = value end
  end
  return taken, rest
end

function Swarm:info() return call(self, "info", {}) end

-- init { advertise=, listen= }: makes the engine the manager of a new swarm, unless it is one.
function Swarm:init(options) return call(self, "init", {}, options) end

-- leave { force=true }: a manager's leaving ends its services.
function Swarm:leave(options) return call(self, "leave", {}, options) end

-- The services of the swarm, or of one stack.
function Swarm:services(stack) return call(self, "services", { stack = stack }).services end

-- Waits until a service has become what it was told to be.
function Swarm:converge(service, options) return call(self, "converge", { service = service }, options) end

-- deploy(stack, file, { within=, prune=, registry_auth= }): `docker stack deploy`, then waits for all its services.
function Swarm:deploy(stack, file, options)
  if type(stack) ~= "string" or not file then wrong(":deploy takes the stack's name and its compose file") end
  local within, rest = take(options, "within")
  rest.stack, rest.files = stack, file
  local result = ops.deploy(self.target, rest)
  call(self, "converge", { stack = stack, within = within })
  return result
end

-- Removes a stack and everything of it but its volumes.
function Swarm:remove(stack, options)
  local args = { stack = stack }
  for key, value in pairs(options or {}) do args[key] = value end
  return ops.remove(self.target, args)
end

local orders = { ["start-first"] = true, ["stop-first"] = true }

-- service_update(service, { image=, replicas=, env=, order="start-first", rollback=true, monitor=, within= }): changes
-- a service, new tasks first, taken back by the swarm itself when they fail, and waits for the outcome.
function Swarm:service_update(service, options)
  local within, rest = take(options, "within")
  rest.order = rest.order or "start-first"
  if not orders[rest.order] then wrong(":service_update: order is \"start-first\" or \"stop-first\"") end
  if rest.rollback == nil then rest.rollback = true end
  local registry = type(rest.image) == "string" and dr.core.docker_pull.registry_of(rest.image)
  rest.auth = rest.auth or (registry and self.docker.logins[registry]) or nil
  local result = call(self, "update", { service = service }, rest)
  self:converge(service, { within = within })
  return result
end

-- Brings back what the service was before its last update, and waits.
function Swarm:rollback(service, options)
  local result = call(self, "rollback", { service = service })
  local ok, problem = pcall(self.converge, self, service, options)
  if not ok and problem.code ~= "swarm.rolled_back" then error(problem, 0) end
  return result
end
