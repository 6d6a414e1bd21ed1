-- nginx.lua - stack:proxy(service): an nginx container told which containers of a service there are.
--
-- nginx resolves the names in its configuration once, when it is started or reloaded, and Docker's DNS names every
-- running container of a service. To take traffic off the old ones before they stop, the new ones' addresses are
-- written into the proxy container's /etc/hosts, which nginx reads before it asks DNS, and nginx is reloaded; when the
-- old ones are gone the lines are taken out and nginx is reloaded again. What was measured: docs/decisions/0004.
local dr = ...

local Proxy = {}
local proxy_class = dr.class("proxy", Proxy)

-- The nginx that a compose service runs.
function dr.Stack:proxy(service)
  local container = self:ps(service)[1]
  if not container and not dr.dry() then
    dr.fail { code = "proxy.not_running", message = ("the proxy service '%s' has no running container"):format(service),
      hint = "start it, or run the recipe without a proxy (proxy=)" }
  end
  return setmetatable({ stack = self, docker = self.docker, container = container or { id = service, name = service },
    pinned = false, turned = false }, proxy_class)
end

-- Pids of the worker processes: all, and those that are not leaving.
local function workers(proxy)
  local all, serving = {}, {}
  for _, process in ipairs(proxy.docker:top(proxy.container)) do
    if process.command:find("nginx: worker process", 1, true) then
      all[process.pid] = true
      if not process.command:find("shutting down", 1, true) then serving[process.pid] = true end
    end
  end
  return all, serving
end

local function none_of(pids, others)
  for pid in pairs(pids) do
    if others[pid] then return false end
  end
  return true
end

-- Reloads and waits until no worker that was there before serves; with drain also until they have finished.
function Proxy:reload(options)
  options = options or {}
  local before = dr.dry() and {} or workers(self)
  self.docker:exec(self.container, { "nginx", "-s", "reload" })
  self.turned = options.turned or false
  dr.globals.wait("nginx serves with its new workers", { within = 10, every = 0.05 }, function()
    local _, serving = workers(self)
    return next(serving) ~= nil and none_of(before, serving)
  end)
  if not options.drain then return end
  local bound = { within = options.drain, every = 0.05 }
  local drained, problem = pcall(dr.globals.wait, "nginx's old workers have finished", bound, function()
    return none_of(before, (workers(self)))
  end)
  if not drained and problem.code ~= "wait.timeout" then error(problem, 0) end
  if not drained then dr.globals.warn("nginx still has connections to the old containers; going on") end
end

-- Fails where nginx would not take its configuration, before anything depends on a reload.
function Proxy:check()
  local taken, problem = pcall(self.docker.exec, self.docker, self.container, { "nginx", "-t" })
  if taken then return end
  if problem.code ~= "command.failed" then error(problem, 0) end
  dr.fail { code = "proxy.configuration", detail = problem.detail,
    message = ("nginx in %s refuses its configuration"):format(self.container.name),
    hint = "mend what it says below, and try it there with nginx -t; it was not told to reload" }
end

-- Rewrites /etc/hosts of the proxy in place (Docker mounts it): deployrun's lines out, the given ones in.
local rewrite = [[kept=$(grep -v '# deployrun$' /etc/hosts); printf '%s\n' "$kept" "$@" > /etc/hosts]]

local function write_hosts(proxy, lines)
  local command = { "sh", "-c", rewrite, "sh" }
  for _, line in ipairs(lines) do command[#command + 1] = line .. " # deployrun" end
  proxy.docker:exec(proxy.container, command, { user = "root" })
end

-- The address of a container on a network it shares with the proxy.
local function address_of(proxy, container)
  if dr.dry() then return ("<address of %s>"):format(container.name) end
  local own = proxy.docker:inspect(proxy.container).networks
  local networks = proxy.docker:inspect(container).networks
  for name in pairs(own) do
    if networks[name] then return networks[name].address end
  end
  return dr.fail { code = "proxy.no_network", message = ("%s and %s share no network"):format(proxy.container.name,
    container.name) }
end

-- Sends all new requests for the service to these containers only, and waits until the old ones have none left.
function Proxy:turn_to(service, containers, options)
  local lines = {}
  for i, container in ipairs(containers) do lines[i] = address_of(self, container) .. " " .. service end
  self.pinned = true
  write_hosts(self, lines)
  self:reload { turned = true, drain = options.grace or 30 }
end

-- Lets the proxy ask DNS again, also where a run that was killed has turned it.
function Proxy:forget()
  write_hosts(self, {})
  self:reload()
  self.pinned = false
end

-- The same after turn_to().
function Proxy:turn_back()
  if self.pinned then self:forget() end
end
