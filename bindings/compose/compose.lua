-- compose.lua - target:compose{…}: a compose project as recipes see it. The ops are in compose.c; replacing a
-- service without a gap is in compose_replace.lua.
local dr = ...

local ops = {}
for _, name in ipairs { "open", "config", "build", "pull", "up", "scale", "start", "stop", "restart", "remove", "down",
  "kill", "logs" } do
  ops[name] = dr.op("compose." .. name)
end

local Stack = dr.open("Stack:", {})
local stack_class = dr.class("compose stack", Stack)
dr.Stack = Stack

local function with(list) return type(list) == "table" and list or { list } end

-- Calls an op with what all of them need of the stack. The services it names must be in the compose file.
function Stack:call(name, options)
  local args = dr.copy(options or {})
  dr.check_op_options("stack:" .. name, "compose." .. name, args, { compose = true, project = true, files = true })
  for _, service in ipairs(args.services and with(args.services) or {}) do self:spec(service) end
  for service in pairs(type(args.scale) == "table" and args.scale or {}) do self:spec(service) end
  args.compose, args.project, args.files = self.command, self.project, self.files
  return ops[name](self.target, args)
end

local open_options = { dir = true, file = true, project = true }

-- target:compose { dir=, file=, project= }: the project of a compose file on the target. Its configuration is read
-- now, while it is known, and again after what may have changed the file.
function dr.Target:compose(options)
  options = options or {}
  dr.check_options("compose", options, open_options)
  local target = options.dir and self:cd(options.dir) or self
  local files = with(options.file)
  local opened = ops.open(target, { files = files, project = options.project })
  local stack = setmetatable({ target = target, docker = self:docker(), command = opened.command,
    version = opened.version, files = files, project = options.project or opened.project, known = false,
    images = {}, replaced = {}, seen = {}, restoring = false }, stack_class)
  stack:reread()
  stack.seen = stack:containers()
  return stack
end

-- Reads the configuration again. In a dry run the file may be about to change: then what is known stays.
function Stack:reread()
  local now = self:call("config")
  if not dr.assumed(now) or not self.known then self.known, self.others = now, {} end
end

local function check_name(service)
  if type(service) == "string" and service:find("^%w[%w_.-]*$") then return end
  local shown = type(service) == "string" and ('"%s"'):format(service) or tostring(service)
  dr.fail { code = "recipe.argument", message = shown .. " is no name of a service",
    hint = "letters, digits, '_', '.' and '-', a letter or digit first" }
end

-- The configuration of one service; fails when the file has none of that name. One that is not among the known is
-- looked for once more: the file may have changed, and version 2 leaves out what belongs to a profile that is off. In
-- a dry run that cannot read the file, because something before may change it, any name may be right.
function Stack:spec(service)
  check_name(service)
  local found = self.known.services[service] or self.others[service]
  if found or dr.assumed(self.known) then return found or {} end
  local now = self:call("config", { profiles = self:is_version_1() and {} or { "*" } })
  if dr.assumed(now) then return {} end
  self.others[service] = now.services[service]
  return self.others[service] or dr.fail { code = "compose.no_such_service",
    message = ("the compose file has no service '%s'"):format(service), target = tostring(self.target),
    hint = "its services are: " .. table.concat(dr.sorted_keys(now.services), ", ") }
end

function Stack:is_version_1() return self.command[1] == "docker-compose" and self.version:find("^1%.") ~= nil end

-- The name of the image a service is built as or started from.
function Stack:image(service)
  local named = self:spec(service).image
  return named or self.project .. (self:is_version_1() and "_" or "-") .. service
end

-- ---------------------------------------------------------------------------------------------- commands

-- Keeps the ids of the images that are about to be rebuilt, so that they can be put back.
local function remember_images(stack, services)
  for _, service in ipairs(services) do
    local name = stack:image(service)
    local found, image = pcall(stack.docker.image, stack.docker, name)
    if found then stack.images[service] = { name = name, id = image.id } end
  end
end

local function built_services(stack)
  local names = {}
  for name, spec in pairs(stack.known.services) do
    if spec.build then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- build { services=, no_cache=, pull=, args= }: builds images; running containers are not touched. When it fails, what
-- was built already gives its names back.
function Stack:build(options)
  options = options or {}
  self:reread()
  remember_images(self, options.services and with(options.services) or built_services(self))
  local _ <close> = setmetatable({}, { __close = function(_, problem)
    if problem ~= nil then self:restore_images() end
  end })
  local built = self:call("build", options)
  return built
end

-- Gives the images that build() and pull() replaced their names back.
function Stack:restore_images()
  for _, service in ipairs(dr.sorted_keys(self.images)) do
    local image = self.images[service]
    self.docker:tag(image.id, image.name)
  end
end

-- The services whose image comes from a registry.
local function pulled_services(stack)
  local names = {}
  for name, spec in pairs(stack.known.services) do
    if spec.image and not spec.build then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- pull { services=, auth= }: with credentials, given here or by stack.docker:login, the Engine pulls image by image,
-- because compose takes them from a file only. Which images had the names before is remembered, as by build.
function Stack:pull(options)
  options = options or {}
  self:reread()
  local services = options.services and with(options.services) or pulled_services(self)
  remember_images(self, services)
  if not options.auth and not next(self.docker.logins) then return self:call("pull", options) end
  dr.check_options("stack:pull", options, { services = true, auth = true, timeout = true })
  local result = { changed = false }
  for _, service in ipairs(services) do
    local pulled = self.docker:pull(self:image(service), { auth = options.auth, timeout = options.timeout })
    result.changed = result.changed or pulled.changed
  end
  return result
end

-- The configuration as compose understands it: {services, networks, volumes}.
function Stack:config()
  self:reread()
  return self.known
end

function Stack:up(options) return self:call("up", options) end
function Stack:down(options) return self:call("down", options) end

-- A copy of the options with the services, a name or a list, in it.
local function for_services(services, options)
  local args = {}
  for key, value in pairs(options or {}) do args[key] = value end
  args.services = services and with(services) or nil
  return args
end

for _, verb in ipairs { "start", "stop", "restart", "remove", "kill" } do
  -- start/stop/restart/remove/kill(services, options): services is a name, a list, or nil for all. stop and restart
  -- take grace=, kill takes signal=.
  Stack[verb] = function(self, services, options)
    return self:call(verb, for_services(services, options))
  end
end

-- scale(service, count): so many containers of it; those that run stay as they are.
function Stack:scale(service, count, options)
  self:spec(service)
  local args = { service = service, count = count }
  for key, value in pairs(options or {}) do args[key] = value end
  return self:call("scale", args)
end

-- logs(service, { tail=50 }): the last lines, as text.
function Stack:logs(service, options)
  return self:call("logs", for_services(service, options)).stdout
end

-- The variables of an env file, as this project's compose reads it.
function Stack:env_file(path, options)
  local args = dr.copy(options or {})
  if args.dialect then return dr.wrong("stack:env_file: the dialect is that of the compose installed there") end
  args.dialect = self:is_version_1() and "compose-v1" or "compose"
  return self.target:env_file(path, args)
end

-- ---------------------------------------------------------------------------------------------- containers

local function select_containers(list, fits)
  local chosen = {}
  for _, container in ipairs(list) do
    if fits(container) then chosen[#chosen + 1] = container end
  end
  return chosen
end

-- All containers of the project, or of one service, stopped ones too: {id, name, service, image, image_id, state, …}.
-- In a dry run, once actions are planned that may change them, what was seen at the beginning.
function Stack:containers(service)
  local labels = { ["com.docker.compose.project"] = self.project, ["com.docker.compose.oneoff"] = "False" }
  labels["com.docker.compose.service"] = service
  local now, assumed = self.docker:containers { labels = labels, all = true }
  if not assumed then return now end
  return select_containers(self.seen, function(container) return not service or container.service == service end)
end

-- The running ones of them.
function Stack:ps(service)
  return select_containers(self:containers(service), function(container) return container.running end)
end

-- ---------------------------------------------------------------------------------------------- targets

local function enter(stack, name, words)
  local all = table.move(stack.command, 1, #stack.command, 1, {})
  table.move({ "-p", stack.project }, 1, 2, #all + 1, all)
  for _, file in ipairs(stack.files) do table.move({ "-f", file }, 1, 2, #all + 1, all) end
  table.move(words, 1, #words, #all + 1, all)
  return dr.core.target.within(stack.target, name, all)
end

-- A target that runs commands in the service's running container.
function Stack:service(service)
  self:spec(service)
  return enter(self, service, { "exec", "-T", service })
end

-- A target that runs each command in a new container of the service's image, removed afterwards.
-- Options: no_deps=true does not start the services it depends on.
function Stack:oneoff(service, options)
  options = options or {}
  self:spec(service)
  local words = { "run", "--rm", "-T" }
  if options.no_deps then words[#words + 1] = "--no-deps" end
  words[#words + 1] = service
  return enter(self, service .. " (one-off)", words)
end

-- exec(service, command, options): one command in the service's running container.
function Stack:exec(service, command, options) return self:service(service):run(command, options) end

-- Follows the log of the service's first container until a line fits the pattern.
function Stack:wait_log(service, pattern, options)
  self:spec(service)
  local container = self:ps(service)[1]
  if not container and not dr.dry() then
    dr.fail { code = "docker.not_running", message = ("the service '%s' has no running container"):format(service) }
  end
  return self.docker:wait_log(container or { id = service, name = service }, pattern, options)
end

-- run(service, command, options): one command in a one-off container.
function Stack:run(service, command, options) return self:oneoff(service):run(command, options) end
