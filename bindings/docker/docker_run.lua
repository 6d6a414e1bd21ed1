-- docker_run.lua - containers without compose: run, oneoff, replace. The ops are in docker_run.c and docker_oneoff.c.
--
-- replace: stop the old container and keep it under another name · run the new one · wait until it is healthy. If
-- anything fails in between the new one is removed and the old one gets its name back and is started. The old one is
-- removed at the end of the run, so that a later step can still be undone.
local dr = ...
local Engine = dr.Engine
local call = dr.engine_caller { "run", "oneoff", "same", "rename", "env_file" }

local wrong = dr.wrong

-- ---------------------------------------------------------------------------------------------- describing one

local lists = { "ports", "volumes", "env_file", "aliases", "extra_hosts", "entrypoint" }
local health_times = { "interval", "timeout", "start_period" }
local health_fields = { cmd = true, interval = true, timeout = true, start_period = true, retries = true,
  enabled = true }

-- { [8000] = … } is a slip; so is a list where names belong.
local function strings(method, name, map)
  if type(map) ~= "table" then wrong((":%s: %s is a table, for example { DEBUG = \"1\" }"):format(method, name)) end
  local out = {}
  for key, value in pairs(map) do
    if type(key) ~= "string" then wrong((":%s: %s has a value without a name"):format(method, name)) end
    out[key] = tostring(value)
  end
  return out
end

local function checked_health(method, health)
  if health == false then return { enabled = false } end
  if type(health) ~= "table" then wrong((":%s: health is a table { cmd =, interval = }, or false"):format(method)) end
  dr.check_options(method .. ": health", health, health_fields)
  health = dr.copy(health)
  for _, name in ipairs(health_times) do
    if health[name] ~= nil then health[name] = dr.duration(health[name]) end
  end
  return health
end

-- What replace takes beside the fields of a container.
local replace_own = { healthy_within = true, settled = true, steady = true, grace = true, http = true, check = true,
  always = true }

-- The fields of a container as the ops take them; refuses what the engine would refuse, while nothing has been done.
local function described(engine, method, options)
  if type(options) ~= "table" then wrong((":%s takes a table: { image =, name =, … }"):format(method)) end
  dr.check_engine_options(method, method == "oneoff" and "oneoff" or "run", options,
    method == "replace" and replace_own or nil)
  local fields = dr.copy(options)
  if type(fields.image) == "table" then fields.image = fields.image.image or fields.image.id end
  if type(fields.image) ~= "string" then wrong((":%s needs an image"):format(method)) end
  for _, name in ipairs(lists) do
    if type(fields[name]) == "string" then fields[name] = { fields[name] } end
  end
  for _, name in ipairs { "env", "labels" } do
    if fields[name] ~= nil then fields[name] = strings(method, name, fields[name]) end
  end
  if fields.health ~= nil then fields.health = checked_health(method, fields.health) end
  if math.type(fields.memory) == "integer" then fields.memory = tostring(fields.memory) end
  for _, path in ipairs(fields.env_file or {}) do call(engine, "env_file", { path = path }) end
  return fields
end

local function named(engine, method, options)
  local fields = described(engine, method, options)
  if type(fields.name) ~= "string" or not fields.name:match("^[%w][%w_.-]+$") then
    wrong((":%s needs a name for the container"):format(method), "letters, digits, '_', '.' and '-'")
  end
  return fields
end

-- run { image =, name =, … }: creates and starts a container; leaves one that already runs like this alone.
function Engine:run(options)
  return call(self, "run", named(self, "run", options))
end

-- oneoff { image =, command =, … }: a command in a new container, to its end; the container is removed.
function Engine:oneoff(options)
  return call(self, "oneoff", described(self, "oneoff", options))
end

-- The variables that an env file on the target sets; their names, never their values.
function Engine:env_file(path)
  return call(self, "env_file", { path = path }).names
end

function Engine:rename(container, name)
  local args = dr.with_container("rename", container)
  args.to = name
  return call(self, "rename", args)
end

-- A target that runs commands in a running container, by the docker command.
function Engine:container(container)
  local args = dr.with_container("container", container)
  return dr.core.target.within(self.target, args.name or args.container, { "docker", "exec", "-i", args.container })
end

-- ---------------------------------------------------------------------------------------------- replacing

-- The container of a name, or nil; second, whether that is only assumed (a dry run).
local function find(engine, name)
  local found, container = pcall(engine.inspect, engine, name)
  if found then return container, dr.assumed(container) end
  if container.code ~= "docker.no_such_container" then error(container, 0) end
  return nil, false
end

-- What this run has replaced, by engine and name.
local swaps = {}
local function key_of(engine, name) return engine.socket .. " " .. name end

-- The containers there are: the one to replace, and what a run that was cut off kept of an earlier one. That one is
-- the last that was known to be healthy, so a container beside it is a trial that was never finished.
local function take_stock(engine, name, kept)
  local old, assumed = find(engine, name)
  local left, left_assumed = find(engine, kept)
  if left_assumed then left = nil end
  if old and left and not assumed then
    dr.globals.warn(("%s was left by a run that was cut off: %s is what it replaced"):format(name, kept))
    engine:remove(old, { force = true })
    old = nil
  end
  if old then return old, false end
  return left, left ~= nil
end

-- Puts the old container back in its place. Which names they have is asked and not remembered: a rename that was
-- interrupted came to its end.
local function bring_back(swap)
  local engine, old = swap.engine, swap.old
  swap.returned = true
  local there = find(engine, swap.name)
  local in_place = there and old and there.id == old.id
  if there and not in_place then engine:remove({ id = there.id, name = swap.name }, { force = true }) end
  if not old then return end
  if not in_place then engine:rename({ id = old.id, name = swap.kept }, swap.name) end
  if not swap.ran then return end
  engine:start { id = old.id, name = swap.name }
  engine:wait_healthy({ id = old.id, name = swap.name }, { within = swap.within, steady = swap.steady })
  if not dr.dry() then dr.globals.log(swap.name .. ": the container before it runs again") end
end

-- Gives the image that ran before a name, so that prune() never takes what a rollback needs.
local function record_for_rollback(engine, name, old)
  local image = dr.assumed(old) and ("<the image of %s>"):format(name) or old.image_id or old.image
  engine:tag(image, "deployrun-rollback/container:" .. name)
end

-- In a plan that cannot know its id, the old one is called by the name that it has then.
local function discard_at_end(swap)
  dr.at_end(function()
    if swap.returned then return end
    local id = dr.assumed(swap.old) and swap.kept or swap.old.id
    local gone, problem = pcall(swap.engine.remove, swap.engine, { id = id, name = swap.kept })
    if not gone then dr.globals.warn(("%s was not removed: %s"):format(swap.kept, problem.message)) end
  end)
end

local function start_new(swap, fields, own)
  local engine = swap.engine
  local fresh = call(engine, "run", fields)
  local container = { id = fresh.id, name = swap.name }
  if own.settled then engine:wait_running(container, { settled = own.settled }) end
  engine:wait_healthy(container, { within = swap.within, steady = swap.steady, http = own.http })
  if own.check then own.check(container) end
  return fresh
end

local function split(options)
  local own, fields = {}, {}
  for key, value in pairs(type(options) == "table" and options or {}) do
    if replace_own[key] then own[key] = value else fields[key] = value end
  end
  return own, fields
end

-- replace { name =, image =, …, healthy_within =, settled =, http =, grace =, check = }: see the head of this file.
function Engine:replace(options)
  local own, fields = split(options)
  fields = named(self, "replace", fields)
  local name, kept = fields.name, fields.name .. ".previous"
  if not own.always and call(self, "same", dr.copy(fields)).same then
    dr.globals.log(name .. " already runs like this: it is left alone")
    return { name = name, unchanged = true }
  end
  local old, renamed = take_stock(self, name, kept)
  local swap = { engine = self, name = name, kept = kept, old = old, ran = old ~= nil and (renamed or old.running),
    within = own.healthy_within, steady = own.steady }
  swaps[key_of(self, name)] = swap
  local fresh = dr.guarded(function()
    if old then self:stop({ id = old.id, name = renamed and kept or name }, { timeout = own.grace }) end
    if old and not renamed then self:rename({ id = old.id, name = name }, kept) end
    return start_new(swap, fields, own)
  end, function() bring_back(swap) end)
  if old then
    record_for_rollback(self, name, old)
    discard_at_end(swap)
  end
  return fresh
end

-- restore(name): puts the container back that replace() took away in this run. For an undo.
function Engine:restore(name)
  local swap = swaps[key_of(self, name)]
  if swap and not swap.returned then bring_back(swap) end
end
