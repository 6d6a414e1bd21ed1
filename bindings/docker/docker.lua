-- docker.lua - target:docker(): the Docker Engine of a target, for recipes. The ops are in docker.c; arguments and
-- results are described in meta/docker.lua.
local dr = ...
local core = dr.core.docker

local ops = {}
for _, name in ipairs { "info", "list", "inspect", "image_inspect", "logs", "start", "stop", "restart", "kill",
  "remove", "tag", "exec", "top", "wait_healthy", "wait_running", "wait_exited" } do
  ops[name] = dr.op("docker." .. name)
end

local Engine = dr.open("Engine:", {})
local engine_class = dr.class("docker engine", Engine)
dr.Engine = Engine

-- The path of a unix socket that leads to the Engine of a target: here this machine's own, for an SSH host a tunnel.
function dr.docker_socket(target, socket)
  local path, code, message, hint = core.locate(target, socket)
  if path then return path end
  return dr.fail { code = code, message = message, hint = hint, target = tostring(target) }
end

-- The Engine of the target. Options: socket, where its socket is when that is not the usual place.
function dr.Target:docker(options)
  options = options or {}
  dr.check_options("docker", options, { socket = true })
  return setmetatable({ target = self, socket = dr.docker_socket(self, options.socket), logins = {} }, engine_class)
end

-- Refuses what docker:method{…} does not take: the options are those of the op, and `own`.
function dr.check_engine_options(method, op, options, own)
  dr.check_op_options("docker:" .. method, "docker." .. op, options, { socket = true }, own)
end

-- Calls an op with what a method sets (`args`) and the options it was given.
local function call_op(name, op, engine, args, options)
  local set = dr.copy(args)
  set.socket = true
  dr.check_op_options("docker:" .. name, "docker." .. name, options, set)
  for key, value in pairs(options or {}) do args[key] = value end
  args.socket = engine.socket
  return op(engine.target, args)
end

local function call(engine, name, args, options) return call_op(name, ops[name], engine, args, options) end

-- For the other files of this binding: a function (engine, name, args, options) that calls one of these ops.
function dr.engine_caller(names)
  local own = {}
  for _, name in ipairs(names) do own[name] = dr.op("docker." .. name) end
  return function(engine, name, args, options) return call_op(name, own[name], engine, args, options) end
end

-- A container is given by its id or name, or as one of the tables that containers() and inspect() return.
local function with_container(method, container)
  if type(container) == "string" and container ~= "" then return { container = container } end
  local id = type(container) == "table" and container.id
  if id then return { container = id, name = container.name } end
  return dr.fail { code = "recipe.argument",
    message = (":%s takes a container: its id, its name, or its table"):format(method) }
end
dr.with_container = with_container

function Engine:info() return call(self, "info", {}) end

-- The containers that fit, running ones only unless all=true; second, whether that is only assumed (a dry run).
function Engine:containers(options)
  local found = call(self, "list", {}, options)
  return found.containers, dr.assumed(found)
end

function Engine:image(name) return call(self, "image_inspect", { image = name }) end
function Engine:tag(image, name) return call(self, "tag", { image = image, tag = name }) end
function Engine:logs(container, options) return call(self, "logs", with_container("logs", container), options).text end

-- The processes of a container: {pid, command}.
function Engine:top(container) return call(self, "top", with_container("top", container)).processes end

for _, name in ipairs { "inspect", "start", "stop", "restart", "kill", "remove", "wait_healthy", "wait_running",
  "wait_exited" } do
  Engine[name] = function(self, container, options)
    return call(self, name, with_container(name, container), options)
  end
end

-- Runs a command in a running container: a list of words, or text for its shell.
function Engine:exec(container, command, options)
  local args = with_container("exec", container)
  args.command = command
  return call(self, "exec", args, options)
end
