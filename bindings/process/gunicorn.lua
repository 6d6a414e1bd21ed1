-- gunicorn.lua - server:gunicorn{…}: a running gunicorn, found by its process tree and reloaded without a restart.
-- See gunicorn.c for its one op, meta/gunicorn.lua for the documentation.
--
-- The title "gunicorn: master" exists only where setproctitle is installed, so the master is known by its place: a
-- gunicorn whose parent is none. Its workers are its children. All is looked up anew for each call, because a restart
-- by somebody else makes every number stale.
local dr = ...
local Target = dr.Target
local check = dr.op("gunicorn.check")
local list, logs = dr.op("process.list"), dr.op("systemd.logs")

local Gunicorn = {}
local class = dr.class("gunicorn", Gunicorn)
local apps = setmetatable({}, { __mode = "k" })

local function known(app)
  return apps[app] or dr.fail { code = "recipe.argument", message = "a gunicorn is needed here",
    hint = "call its methods with a colon: app:reload()" }
end

-- ---------------------------------------------------------------------------------------------- the tree

local function is_name(word)
  local base = word and word:match("([^/]+)$")
  return base == "gunicorn" or base == "gunicorn3"
end

-- "gunicorn …", "python3 -u /venv/bin/gunicorn …", "python3 -m gunicorn …" or a title that setproctitle made; not a
-- shell or sudo that was told to start one, and not one that only looks whether the code can be loaded.
local function is_gunicorn(process)
  local words = process.words
  for _, word in ipairs(words) do
    if word == "--check-config" then return false end
  end
  if process.command:find("^gunicorn: ") or is_name(words[1]) then return true end
  if not words[1] or not words[1]:match("([^/]+)$"):find("^python[%d.]*$") then return false end
  for i = 2, #words do
    if words[i] == "-m" then return words[i + 1] ~= nil and words[i + 1]:find("^gunicorn") ~= nil end
    if words[i]:sub(1, 1) ~= "-" then return is_name(words[i]) end
  end
  return false
end

-- The masters among processes, each with its workers; the dead that wait for their parent are none.
local function trees(processes)
  local by_pid, masters, of_master = {}, {}, {}
  for _, process in ipairs(processes) do
    if is_gunicorn(process) and process.state ~= "Z" then by_pid[process.pid] = process end
  end
  for _, process in ipairs(processes) do
    if by_pid[process.pid] and not by_pid[process.parent] then
      masters[#masters + 1] = { master = process, workers = {} }
      of_master[process.pid] = masters[#masters]
    end
  end
  for _, process in ipairs(processes) do
    local own = by_pid[process.pid] and of_master[process.parent]
    if own then table.insert(own.workers, process) end
  end
  return masters
end

-- ---------------------------------------------------------------------------------------------- finding

local function matches(it, master)
  if it.folder and master.folder ~= it.folder then return false end
  if it.unit and master.unit ~= it.unit then return false end
  if it.owner and master.owner ~= it.owner then return false end
  return not it.pid or master.pid == it.pid
end

local function place(master)
  local unit = master.unit ~= "" and (", " .. master.unit) or ""
  return ("process %d in %s%s"):format(master.pid, master.folder ~= "" and master.folder or
    "a folder this user may not see", unit)
end

local function not_one(it, code, message, masters)
  local places = {}
  for i, tree in ipairs(masters) do places[i] = place(tree.master) end
  local hint = #places > 0 and "there are: " .. table.concat(places, "; ")
    or "no gunicorn runs there: start its unit first"
  return dr.fail { code = code, message = message, hint = hint, target = it.target:name() }
end

-- The one tree that is meant. In a dry run, where it cannot be asked, a stand-in.
local function find(it)
  if it.pidfile then it.pid = math.tointeger(tonumber((it.target:read { "cat", it.pidfile }))) end
  local answer = list(it.target, { command = "gunicorn" })
  if dr.dry() and dr.assumed(answer) and #answer.processes == 0 then -- looked into: what follows depends on it
    return { master = { pid = 0, command = "gunicorn, found when it is done", words = {}, folder = "", unit = "" },
      workers = { {} }, assumed = true }
  end
  local masters, found = trees(answer.processes), {}
  for _, tree in ipairs(masters) do
    if matches(it, tree.master) then found[#found + 1] = tree end
  end
  if #found == 1 then return found[1] end
  if #found > 1 then return not_one(it, "gunicorn.several", "more than one gunicorn fits", found) end
  return not_one(it, "gunicorn.not_found", "no gunicorn like that runs", masters)
end

local gunicorn_options = { folder = true, unit = true, pidfile = true, owner = true }

function Target:gunicorn(options)
  options = options == nil and {} or options
  if type(options) == "string" then options = { folder = options } end
  if type(options) ~= "table" then
    dr.fail { code = "recipe.argument", message = ":gunicorn takes a table that says which",
      hint = "server:gunicorn { folder = \"/srv/app/backend\" }" }
  end
  dr.check_options(":gunicorn", options, gunicorn_options)
  local it = { target = self, folder = options.folder, owner = options.owner, pidfile = options.pidfile }
  local unit = options.unit
  if unit then
    it.unit = type(unit) == "string" and unit or unit:name()
    if not it.unit:find("%.service$") then it.unit = it.unit .. ".service" end
  end
  if it.folder then
    local real = self:cd(it.folder):read { "pwd", "-P" }
    if real ~= "" then it.folder = real end
  end
  find(it)
  local app = setmetatable({}, class)
  apps[app] = it
  return app
end

-- The master and its workers as they are now.
function Gunicorn:processes()
  local tree = find(known(self))
  return { master = tree.master, workers = tree.workers }
end

-- ---------------------------------------------------------------------------------------------- loading

local function can_check(master)
  return master.words[1] ~= nil and master.words[1]:match("([^/]+)$"):find("^python") ~= nil
end

-- Loads the code beside it; returns how long that took, nil where it cannot be done.
local function load_beside(it, master)
  if not can_check(master) and not dr.dry() then return nil end
  return check(it.target, { pid = master.pid, python = master.words[1], command = master.command }).seconds
end

function Gunicorn:check()
  local it = known(self)
  local tree = find(it)
  if not tree.assumed and not can_check(tree.master) then
    dr.fail { code = "gunicorn.no_words",
      message = "gunicorn has changed its title, so how it was started is not known",
      hint = "check it by a command: server:run { \"venv/bin/gunicorn\", \"--check-config\", \"app.wsgi\" }" }
  end
  return load_beside(it, tree.master)
end

-- ---------------------------------------------------------------------------------------------- reloading

-- One reload under way: how it was before, and what is there at each look.
local Reload = {}
Reload.__index = Reload

local function is_same(a, b) return a ~= nil and a.pid == b.pid and a.started == b.started end

-- The lines its unit wrote lately, for an error. Each worker that cannot start writes a traceback of its own, so that
-- many are read and the last ones are shown.
local function lines_of(reload)
  local unit = reload.before.master.unit
  if unit == "" then return "" end
  local since = ("-%ds"):format(math.ceil(dr.core.clock() - reload.began + 1))
  local ok, answer = pcall(logs, reload.it.target, { unit = unit, since = since, lines = 200 })
  if not ok and dr.core.is_fatal(answer) then error(answer, 0) end
  return ok and answer.text or ""
end

local function fail_with_lines(reload, code, message, hint)
  local text, lines = lines_of(reload), {}
  for line in text:gmatch("[^\n]+") do lines[#lines + 1] = line end
  local last = table.concat(lines, "\n", math.max(1, #lines - 29))
  return dr.fail { code = code, message = message, hint = dr.core.systemd.hint(text) or hint,
    detail = last ~= "" and last or nil, target = reload.it.target:name() }
end

local function died(reload)
  return fail_with_lines(reload, "gunicorn.died",
    ("gunicorn's master, process %d, ended during the reload"):format(reload.before.master.pid),
    "it ends when a new worker cannot start; its log says why")
end

-- How it is now: the workers that were there before, and the new ones, also as a text that changes with them. Only the
-- master and its children are looked at: a look at all processes of a machine takes too long to be repeated.
function Reload:look()
  local now
  local found = list(self.it.target, { command = "gunicorn", tree = self.before.master.pid }).processes
  for _, tree in ipairs(trees(found)) do
    if is_same(tree.master, self.before.master) then now = tree end
  end
  if not now then return died(self) end
  self.now = now
  local old, new, names = {}, {}, {}
  for _, worker in ipairs(now.workers) do
    local known_before = is_same(self.was[worker.pid], worker)
    table.insert(known_before and old or new, worker)
    if not known_before then names[#names + 1] = worker.pid end
  end
  self.state = ("%d old and %d new workers"):format(#old, #new)
  return #old, #new, table.concat(names, " ")
end

-- Waits until fn(old, new, names) is true.
function Reload:wait(name, fn)
  local left = math.max(self.within - (dr.core.clock() - self.began), 0.1)
  local ok, problem = pcall(dr.globals.wait, name, { within = left, every = 0.05 }, function()
    return fn(self:look())
  end)
  if ok then return end
  if problem.code ~= "wait.timeout" then error(problem, 0) end
  fail_with_lines(self, "gunicorn.not_reloaded",
    ("%s: not so after %g s; there are %s"):format(name, self.within, self.state or "no workers"),
    "a worker stays as long as its request does: look at its graceful timeout")
end

-- The new workers are the same for some time, and not fewer than `least`; the old ones are `old`.
function Reload:wait_steady(name, old, least)
  local names_before, since
  self:wait(name, function(old_now, new_now, names)
    local now = dr.core.clock()
    if old_now > old or new_now < least then names = nil end
    if names == nil or names ~= names_before then names_before, since = names, now end
    return names ~= nil and now - since >= self.settled
  end)
end

function Reload:send(name)
  self.it.target:signal(self.before.master, name)
end

local methods = {}

-- New workers come at once, and the old ones leave when their requests are done.
function methods.hup(reload)
  reload:send("HUP")
  reload:wait_steady("gunicorn's new workers take the place of the old ones", 0, 1)
end

-- As many workers again, then the old ones leave. gunicorn handles at most five signals at once and Linux joins equal
-- ones, so each is sent when the one before has had its effect. TTOU ends the oldest.
function methods.ttin(reload)
  local count = #reload.before.workers
  for i = 1, count do
    reload:send("TTIN")
    reload:wait(("gunicorn has %d more workers"):format(i), function(_, new) return new >= i end)
  end
  reload:wait_steady("gunicorn's new workers stay", count, count)
  for i = 1, count do
    reload:send("TTOU")
    reload:wait(("%d of gunicorn's old workers have left"):format(i), function(old) return old <= count - i end)
  end
  reload:wait_steady("gunicorn's new workers go on alone", 0, count)
end

local reload_options = { method = true, within = true, settled = true, serves = true, check = true }

local function check_reload(options)
  dr.check_options(":reload", options, reload_options)
  if options.method ~= nil and not methods[options.method] then
    dr.fail { code = "recipe.argument", message = (":reload has no method '%s'"):format(tostring(options.method)),
      hint = "\"hup\" replaces the workers at once; \"ttin\" starts the new ones before the old ones leave" }
  end
  dr.check_serves("reload", options.serves)
end

-- A preloaded app is kept by the master: its new workers would be forked with the old code.
local function refuse_preloaded(it, master)
  for _, word in ipairs(master.words) do
    if word == "--preload" or word == "--preload-app" then
      dr.fail { code = "gunicorn.preload", target = it.target:name(),
        message = "gunicorn was started with --preload, so a reload would go on with the old code",
        hint = "restart it, or start it without --preload" }
    end
  end
end

local function was(workers)
  local by_pid = {}
  for _, worker in ipairs(workers) do
    if worker.pid then by_pid[worker.pid] = worker end
  end
  return by_pid
end

function Gunicorn:reload(options)
  options = options == nil and {} or options
  check_reload(options)
  local it = known(self)
  local before = find(it)
  refuse_preloaded(it, before.master)
  local loading = options.check ~= false and load_beside(it, before.master) or 0
  local reload = setmetatable({ it = it, before = before, was = was(before.workers), began = dr.core.clock(),
    within = dr.duration(options.within or 60), settled = dr.duration(options.settled or math.max(2, 3 * loading)) },
    Reload)
  methods[options.method or "hup"](reload)
  dr.prove_serves("gunicorn", "gunicorn.not_serving", options.serves, function() return lines_of(reload) end)
  if dr.dry() then return { master = before.master, workers = {} } end
  if options.serves then reload:look() end -- it may have ended while it was asked
  return { master = reload.now.master, workers = reload.now.workers }
end
