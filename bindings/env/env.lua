-- env.lua - env.NAME and secret(NAME), secret.file and secret.command for recipes; see env.c.
local dr = ...
local get, get_secret = dr.op("env.get"), dr.op("secret.get")
local get_file, get_command = dr.op("secret.file"), dr.op("secret.command")

dr.global("env", setmetatable({}, {
  __metatable = "env",
  __index = function(_, name) return get(nil, { name = name }).value end,
  __newindex = function()
    dr.fail { code = "recipe.argument", message = "env cannot be changed", hint = "use target:env{…} for a command" }
  end,
}))

-- This machine.
local here
local function local_target()
  here = here or dr.core.target.host("local", { host = "local" })
  return here
end

local secret = {}

-- secret(NAME): from --env-file, else the environment.
function secret.env(name) return get_secret(nil, { name = name }).value end

-- The text of a file of this machine, without the line end.
function secret.file(path)
  local found = get_file(nil, { path = path })
  if found.others then
    dr.globals.warn(("the secret in %s may be read by every user of this machine: chmod 600"):format(path))
  end
  return found.value
end

-- What a command of this machine writes, without the line end.
function secret.command(command, options)
  return get_command(local_target(), dr.with_options("secret.command", options, { command = command })).value
end

local class = dr.class("secret", secret)
class.__call = function(_, name) return secret.env(name) end
dr.global("secret", setmetatable({}, class))
