-- fs.lua - the global `fs`, for files of this machine, and target:write and :stat. See fs.c for the ops, meta/fs.lua
-- for the documentation.
local dr = ...
local Target = dr.Target
local op = {}
for _, name in ipairs { "read", "exists", "glob", "hash" } do op[name] = dr.op("fs." .. name) end
local write, stat = dr.op("target.write"), dr.op("target.stat")

-- This machine, so that a plan knows that a file read here is one an earlier op was to change there.
local here

local function ask(name, path)
  here = here or dr.core.target.host("local", { host = "local" })
  return op[name](here, { path = path })
end

local fs = {}

function fs.read(path) return ask("read", path).text end

function fs.exists(path) return ask("exists", path).exists end

function fs.glob(pattern) return ask("glob", pattern).paths end

function fs.hash(path) return ask("hash", path).sha256 end

-- The same as host("local"):write.
function fs.write(path, text, options)
  here = here or dr.core.target.host("local", { host = "local" })
  return here:write(path, text, options)
end

dr.global("fs", setmetatable({}, dr.class("fs", fs)))

function Target:write(path, text, options)
  if type(options) == "table" and math.type(options.mode) == "integer" then
    dr.fail { code = "recipe.argument", message = ":write: mode is text, because Lua has no octal numbers",
      hint = "mode = \"0644\"" }
  end
  return write(self, dr.with_options("write", options, { path = path, text = text }))
end

function Target:stat(path)
  local info = stat(self, { path = path })
  if not info.found then return nil end
  return info
end
