-- target.lua - what every target can do, and the global `host`. See target.c for the ops, meta/target.lua for the
-- documentation of each function.
local dr = ...
local core, Target = dr.core.target, dr.Target
local connect, run, read, check = dr.op("target.connect"), dr.op("target.run"), dr.op("target.read"),
  dr.op("target.check")
local check_sudo = dr.op("target.sudo")

local wrong = dr.wrong

-- Refuses {"git", "pull", timeout = 5}: options in the list of words would be lost without a word.
local function check_words(method, command)
  if type(command) ~= "table" then return end
  for key in next, command do
    if math.type(key) ~= "integer" then
      wrong((":%s was given the option '%s' among the words of the command"):format(method, tostring(key)),
        (":%s({\"git\", \"pull\"}, { timeout = 60 }): the options are a second table"):format(method))
    end
  end
end

-- The arguments of an op: the options and the command. `dr.with_options` serves the other bindings too.
function dr.with_options(method, options, args)
  if options == nil then return args end
  if type(options) ~= "table" then wrong((":%s takes its options as a table, not %s"):format(method, type(options))) end
  for name, value in next, options do
    if args[name] ~= nil then wrong((":%s has no option '%s'"):format(method, tostring(name))) end
    args[name] = value
  end
  return args
end

local function command_args(method, command, options)
  check_words(method, command)
  return dr.with_options(method, options, { command = command })
end

function Target:run(command, options) return run(self, command_args("run", command, options)) end

function Target:read(command, options)
  local result = read(self, command_args("read", command, options))
  return (result.stdout:gsub("\n+$", ""))
end

function Target:check(command, options) return check(self, command_args("check", command, options)) end

-- ---------------------------------------------------------------------------------------------- views

local function check_text(method, what, value)
  if type(value) ~= "string" or value == "" then wrong((":%s takes %s"):format(method, what)) end
  if value:find("\0", 1, true) then wrong((":%s: a zero byte is not allowed"):format(method)) end
  return value
end

function Target:cd(folder) return core.cd(self, check_text("cd", "a folder", folder)) end

-- A view by sudo. That it works is found out here, once for each machine and user: in the walk before a run nothing has
-- changed yet. A container may not be there yet, so that nothing is found out about sudo inside.
local function sudo_view(method, self, user, options)
  options = dr.with_options(method, options, {})
  dr.check_options(":" .. method, options, { check = true })
  local wanted = options.check == nil or options.check
  if type(wanted) ~= "boolean" then wrong((":%s: 'check' takes true or false"):format(method)) end
  local view = core.sudo(self, user)
  if wanted and not core.is_within(view) then check_sudo(view) end
  return view
end

function Target:sudo(user, options)
  if user ~= nil then check_text("sudo", "a user's name, or nothing for root", user) end
  return sudo_view("sudo", self, user, options)
end

function Target:as(user, options) return sudo_view("as", self, check_text("as", "a user's name", user), options) end

local plain = { string = true, number = true, boolean = true }

function Target:env(variables)
  if type(variables) ~= "table" then wrong(":env takes a table, for example :env{ DEBUG = \"1\" }") end
  local strings = {}
  for name, value in next, variables do
    if type(name) ~= "string" or not core.env_name_ok(name) then
      wrong((":env: '%s' is no name for an environment variable"):format(tostring(name)))
    end
    if not plain[type(value)] then
      wrong((":env: %s takes a string, a number or a boolean, not %s"):format(name, type(value)))
    end
    strings[name] = tostring(value)
  end
  return core.env(self, strings)
end

function Target:name() return core.name(self) end

-- ---------------------------------------------------------------------------------------------- host

local host_options = { host = true, name = true, user = true, port = true, identity = true, identities_only = true,
  jump = true, config = true, known_hosts = true, password = true, ask_password = true, sudo_password = true,
  connect_timeout = true, keepalive = true }

local function host_fields(where)
  if type(where) == "string" then return { host = where } end
  if type(where) ~= "table" then
    wrong("host takes a name or a table, not " .. type(where), "host(\"web1\"), host{ \"web1\", user = \"deploy\" }")
  end
  local fields = {}
  for name, value in next, where do fields[name == 1 and "host" or name] = value end
  dr.check_options("host", fields, host_options)
  return fields
end

-- The target that `where` describes, not connected; `defaults` stand behind its own options.
function dr.make_host(where, defaults)
  local fields = host_fields(where)
  for name, value in next, defaults or {} do
    if fields[name] == nil then fields[name] = value end
  end
  if type(fields.host) ~= "string" or fields.host == "" then
    wrong("host needs the name of a host", "\"local\" is this machine")
  end
  for _, name in ipairs { "connect_timeout", "keepalive" } do
    if fields[name] ~= nil then fields[name] = dr.duration(fields[name]) end
  end
  local name = fields.name or fields.host
  fields.name = nil
  return core.host(check_text("host", "a string as name", name), fields)
end

dr.host_options, dr.connect = host_options, connect

dr.global("host", function(where)
  local target = dr.make_host(where)
  connect(target)
  return target
end)
