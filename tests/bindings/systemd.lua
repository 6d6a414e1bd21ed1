-- Spec of units, processes and gunicorn, on the fake server that systemd.sh has set up: see systemd_setup.sh for its
-- units. SPEC_URL is where its gunicorn is reached from here.
local spec = require("spec")

local function app_url() return env.SPEC_URL or "http://127.0.0.1:9/" end
local backend = "/home/ubuntu/chemical_app/backend"
local quick = { settled = 0.6 }

local function release(here, version) here:run("echo " .. version .. " > " .. backend .. "/VERSION") end

local function serving(version)
  return { url = app_url(), header = version and { ["X-App-Version"] = version } or nil, within = 10 }
end

-- Calls fn while the app is asked 50 times a second; returns the probe's report and what fn returned.
local function under_traffic(fn)
  local probe = http.probe { url = app_url(), every = 0.02, timeout = 10 }
  local ok, result = pcall(fn)
  local report = probe:stop()
  if not ok then error(result, 0) end
  return report, result
end

local function pids(workers)
  local set = {}
  for _, worker in ipairs(workers) do set[worker.pid] = true end
  return set
end

-- Reloads a new version under traffic: no answer is lost, and no worker stays.
local function replaces_workers(t, here, version, options)
  release(here, version)
  local app = here:gunicorn { folder = backend }
  local before = app:processes()
  local report, after = under_traffic(function() return app:reload(options) end)
  t.equal(report.failures, 0)
  if not t.real then return end
  t.equal(after.master.pid, before.master.pid)
  t.equal(#after.workers, 3)
  for _, worker in ipairs(after.workers) do t.equal(pids(before.workers)[worker.pid], nil) end
end

local cases = {
  {"the unit of an app is found by one of its names, the one that runs first", function(t, here)
    t.equal(here:systemd { find = { "chemical_app", "false", "gunicorn" } }:name(), "gunicorn.service")
    t.equal(here:systemd("gunicorn.service"):name(), "gunicorn.service")
  end},
  {"where no name fits, the units of that machine are told", function(t, here)
    local err = t.fails("systemd.not_found", here.systemd, here, { find = { "chemical_app", "uwsgi" } })
    if err then
      t.matches(err.message, "chemical_app or uwsgi")
      t.matches(err.hint, "gunicorn%.service")
    end
  end},
  {"two that both run are not guessed between", function(t, here)
    here:sudo():systemd("sleeper"):start(quick)
    t.fails("systemd.several", here.systemd, here, { find = { "sleeper", "gunicorn" } })
  end},
  {"what is no unit's name is refused", function(t, here)
    t.fails("recipe.argument", here.systemd, here, "gunicorn; reboot")
  end},
  {"the status tells state, main process and folder", function(t, here)
    local status = here:systemd("gunicorn"):status()
    t.equal(status.active, "active")
    t.equal(status.sub, "running")
    t.equal(status.running, true)
    t.equal(status.folder, backend)
    t.equal(status.main_pid > 1, true)
  end},
  {"a restart ends with a new main process that serves", function(t, here)
    local unit = here:sudo():systemd("gunicorn")
    local problem = t.fails("recipe.option", unit.restart, unit, { srves = {} })
    if problem then t.equal(problem.message, "unit:restart has no option 'srves'") end
    if problem then t.matches(problem.hint, "^did you mean 'serves'") end
    release(here, "2")
    local result = here:sudo():systemd("gunicorn"):restart { settled = 0.6, serves = serving("2") }
    t.equal(result.running, true)
    t.equal(result.main_pid ~= result.old_pid, true)
  end},
  {"a restart that serves errors fails, and says that migrations are missing", function(t, here)
    release(here, "table")
    local unit = here:sudo():systemd("gunicorn")
    local err = t.fails("systemd.not_serving", unit.restart, unit,
      { settled = 0.6, serves = { url = app_url(), within = 3 } })
    if err then
      t.matches(err.hint, "migrate")
      t.equal(err.cause.code, "http.expect_failed")
    end
    release(here, "2")
    unit:restart { settled = 0.6, serves = serving("2") }
  end},
  {"a unit that fails to start fails by name, with its journal", function(t, here)
    local unit = here:sudo():systemd("false")
    local err = t.fails("systemd.failed", unit.start, unit)
    if err then
      t.matches(err.message, "false%.service.*status 1")
      t.matches(err.detail, "Main process exited")
    end
  end},
  {"a program that is not there is named", function(t, here)
    local unit = here:sudo():systemd("no-program")
    local err = t.fails("systemd.failed", unit.restart, unit)
    if err then t.matches(err.message, "203/EXEC") end
  end},
  {"a unit that starts and dies is not taken for started, and only its new lines are shown", function(t, here)
    local unit = here:sudo():systemd("dies")
    t.fails("systemd.failed", unit.start, unit)
    local err = t.fails("systemd.failed", unit.restart, unit)
    if err then
      t.matches(err.message, "started and then ended.*status 3")
      t.equal(select(2, err.detail:gsub("it cannot go on", "")), 1)
    end
  end},
  {"a unit that systemd starts again and again is not taken for started", function(t, here)
    local unit = here:sudo():systemd("dies-again")
    t.fails("systemd.failed", unit.start, unit)
    unit:stop()
  end},
  {"a reload that ends the process is told", function(t, here)
    local unit = here:sudo():systemd("sleeper")
    unit:start(quick)
    local err = t.fails("systemd.ended_by_reload", unit.reload, unit, quick)
    if err then t.matches(err.hint, "no handler") end
  end},
  {"a reload command that fails is told", function(t, here)
    local unit = here:sudo():systemd("bad-reload")
    unit:start(quick)
    t.fails("systemd.failed", unit.reload, unit, quick)
    t.fails("systemd.no_reload", function() here:sudo():systemd("once"):reload() end)
    unit:stop()
    t.fails("systemd.not_active", unit.reload, unit)
  end},
  {"a masked unit, and one this user may not touch, are told", function(t, here)
    t.fails("systemd.masked", function() here:sudo():systemd("masked"):start() end)
    local err = t.fails("systemd.denied", function() here:systemd("gunicorn"):restart() end)
    if err then t.matches(err.hint, "sudo") end
  end},
  {"a unit that does not get there in time ends the wait", function(t, here)
    local unit = here:sudo():systemd("slow")
    local err = t.fails("systemd.timeout", unit.start, unit, { within = 1 })
    if err then t.matches(err.message, "activating") end
    unit:stop()
  end},
  {"a stop takes as long as the unit's TimeoutStopSec, then it was killed", function(t, here)
    local unit = here:sudo():systemd("stubborn")
    unit:start(quick)
    local result = unit:stop()
    t.equal(result.killed, true)
    t.equal(result.running, false)
  end},
  {"what runs once and ends well has started", function(t, here)
    t.equal(here:sudo():systemd("once"):start().result, "success")
  end},
  {"a unit is enabled and disabled", function(t, here)
    local unit = here:sudo():systemd("once")
    unit:enable()
    t.equal(unit:status().enabled, "enabled")
    unit:disable()
    t.equal(unit:status().enabled, "disabled")
  end},
  {"a changed unit file is seen, and read by daemon_reload", function(t, here)
    local unit = here:sudo():systemd("gunicorn")
    here:sudo():run { "touch", "-d", "next year", "/etc/systemd/system/gunicorn.service" }
    t.equal(unit:status().file_changed, true)
    unit:daemon_reload()
    t.equal(unit:status().file_changed, false)
  end},
  {"the journal is read from where it is asked, by who may", function(t, here)
    local root = here:sudo():systemd("dies")
    t.matches(root:logs { since = "-10m" }, "it begins")
    t.equal(select(2, root:logs({ since = 600, lines = 2 }):gsub("\n", "\n")), 2)
    t.fails("systemd.denied", function() here:systemd("dies"):logs() end)
  end},
  {"a unit of the user's own systemd is one like others", function(t, here)
    local unit = here:systemd { "own", user = true }
    t.equal(unit:restart(quick).running, true)
    unit:stop()
  end},

  {"processes are found by command line, owner, parent, folder and unit", function(t, here)
    local main = here:systemd("gunicorn"):status().main_pid
    local master = here:process(main)
    if not t.real then return end
    t.equal(master.owner, "ubuntu")
    t.equal(master.unit, "gunicorn.service")
    t.equal(master.folder, backend)
    t.equal(#here:processes { command = "gunicorn", parent = main }, 3)
    t.equal(#here:processes { tree = main }, 4)
    t.equal(here:processes({ tree = main })[1].pid, main)
    t.equal(#here:processes { folder = backend }, 4)
    t.equal(#here:processes { command = "gunicorn", owner = "nobody" }, 0)
    t.equal(here:process(main + 100000), nil)
  end},
  {"a process without a handler is not sent the signal that would end it", function(t, here)
    here:run("setsid python3 -c 'import time; time.sleep(1001)' </dev/null >/dev/null 2>&1 &")
    here:check("until pgrep -f 'sleep.1001' >/dev/null; do sleep 0.1; done; sleep 0.3", { within = 5 })
    local process = here:processes { command = "sleep(1001)", name = "python3" }[1] or { pid = 0 }
    local err = t.fails("process.no_handler", here.signal, here, process, "HUP")
    if err then t.matches(err.message, "no handler for HUP") end
    if t.real then t.equal(here:process(process.pid).started, process.started) end
    here:signal(process, "HUP", { handler = false })
    here:wait_gone(process, { within = 5 })
    t.fails("process.gone", here.signal, here, process, "TERM")
  end},
  {"a signal that is ignored is not sent", function(t, here)
    here:run("setsid nohup python3 -c 'import time; time.sleep(1002)' </dev/null >/dev/null 2>&1 &")
    here:check("until pgrep -f 'sleep.1002' >/dev/null; do sleep 0.1; done; sleep 0.3", { within = 5 })
    local process = here:processes { command = "sleep(1002)", name = "python3" }[1] or { pid = 0 }
    t.fails("process.ignores", here.signal, here, process, "HUP")
    here:signal(process, "SIGTERM")
    here:wait_gone(process)
  end},
  {"a number that belongs to another process by now is refused", function(t, here)
    local main = here:systemd("gunicorn"):status().main_pid
    t.fails("process.changed", here.signal, here, { pid = main, started = 1, command = "" }, "HUP")
    t.fails("process.denied", here.signal, here, 1, "TERM", { handler = false })
    t.fails("recipe.argument", here.signal, here, main, "HOP")
  end},
  {"what does not end is told", function(t, here)
    t.fails("process.still_there", here.wait_gone, here, 1, { within = 0.5 })
  end},

  {"a gunicorn is found by its folder or its unit, and others are named when none fits", function(t, here)
    local app = here:gunicorn { folder = "~/chemical_app/backend" }
    local tree = app:processes()
    if t.real then t.equal(#tree.workers, 3) end
    here:gunicorn { unit = here:systemd("gunicorn") }
    here:gunicorn("/home/ubuntu/chemical_app/backend")
    local err = t.fails("gunicorn.not_found", here.gunicorn, here, { folder = "/home/ubuntu" })
    if err then t.matches(err.hint, "chemical_app/backend, gunicorn%.service") end
  end},
  {"HUP replaces all workers under traffic, and nobody loses an answer", function(t, here)
    replaces_workers(t, here, "3", { method = "hup", settled = 1, serves = serving("3") })
  end},
  {"TTIN and TTOU replace all workers under traffic, and nobody loses an answer", function(t, here)
    replaces_workers(t, here, "4", { method = "ttin", serves = serving("4") })
  end},
  {"code that cannot be loaded is not reloaded: the old workers serve on", function(t, here)
    release(here, "broken")
    local app = here:gunicorn { folder = backend }
    local before = app:processes()
    local err = t.fails("gunicorn.broken", app.reload, app)
    if err then t.matches(err.message, "a_module_that_is_not_there") end
    http.expect(app_url(), { header = { ["X-App-Version"] = "4" }, attempts = 1 })
    if not t.real then return end
    for _, worker in ipairs(app:processes().workers) do t.equal(pids(before.workers)[worker.pid], true) end
  end},
  {"a master that ends during the reload is told, with what its workers said", function(t, here)
    release(here, "late")
    local root = here:sudo()
    local app = root:gunicorn { folder = backend }
    local err = t.fails("gunicorn.died", app.reload, app, { check = false, settled = 20 })
    if err then t.matches(err.hint, "migrate") end
    release(here, "5")
    root:systemd("gunicorn"):start { settled = 0.6, serves = serving("5") }
  end},
  {"one that loads the code on trial is not taken for a second gunicorn", function(_, here)
    local at = here:cd(backend)
    at:run("echo 'import time; time.sleep(60)' >/tmp/slow_to_load.py; " ..
      "setsid gunicorn --check-config --pythonpath /tmp slow_to_load:app >/dev/null 2>&1 </dev/null &")
    at:check("pgrep -f '[g]unicorn --check-config --pythonpath /tmp'", { within = 10, every = 0.1 })
    here:gunicorn { folder = backend }:processes()
    at:run("pkill -f '[g]unicorn --check-config --pythonpath /tmp'; rm /tmp/slow_to_load.py")
  end},
  {"root loads the code as gunicorn's own user", function(_, here)
    here:sudo():gunicorn { folder = backend }:check()
  end},
  {"a gunicorn started by hand is found by its pid file, and one that is preloaded is refused", function(t, here)
    local at = here:cd("~/by_hand")
    at:run { "gunicorn", "--daemon", "--pid", "pid", "--bind", "127.0.0.1:8001", "app:app" }
    at:check({ "curl", "-fs", "http://127.0.0.1:8001/" }, { within = 10, every = 0.1 })
    local app = at:gunicorn { pidfile = "pid" }
    app:reload { settled = 0.6, serves = function()
      at:check({ "curl", "-fs", "http://127.0.0.1:8001/" }, { within = 5, every = 0.1 })
    end }
    t.fails("gunicorn.several", here.gunicorn, here, { owner = "ubuntu" })
    local master = app:processes().master
    here:signal(master, "TERM")
    here:wait_gone(master)
    at:run { "gunicorn", "--daemon", "--preload", "--pid", "pid", "--bind", "127.0.0.1:8001", "app:app" }
    at:check({ "curl", "-fs", "http://127.0.0.1:8001/" }, { within = 10, every = 0.1 })
    app = at:gunicorn { pidfile = "pid" }
    t.fails("gunicorn.preload", app.reload, app)
    here:signal(app:processes().master, "TERM")
  end},
}

return spec.recipe("systemd", cases)
