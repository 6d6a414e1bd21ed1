---@meta
-- Units of a target's systemd: their state, their journal, and starting, stopping, reloading them.
--
-- What is asked of systemd is then watched: a unit counts as started when it is active, has a new main process, and has
-- stayed so for `settled` seconds. systemd is asked without waiting (--no-block), so that what was begun goes on when the
-- connection ends or the run is stopped. When it fails, the error's detail holds what the unit wrote to the journal
-- since then, and the hint what known lines mean ("no such table": migrations were not applied).
--
-- To change a unit of the system takes root: server:sudo():systemd(…). To look at one does not, but for its journal.
-- Every method may fail with systemd.not_running (no systemd there), systemd.denied, systemd.output, and with the errors
-- of commands and of reaching the target.

---@class deployrun.Target
local Target = {}

---@class deployrun.SystemdOptions
---@field [1]? string the name, as in server:systemd{ "gunicorn", user = true }
---@field find? string|string[] names, of which one is there: the one that runs, else the first that is installed
---@field user? boolean a unit of the user's own systemd (systemctl --user)

---A unit: "gunicorn" means gunicorn.service. It is looked up at once, so that a wrong name ends the walk before a run; the
---error names the units somebody has added to that machine.
---
---Query. Fails: systemd.not_found, systemd.several (two of the names run), recipe.argument.
---@param what string|deployrun.SystemdOptions
---@return deployrun.SystemdUnit
function Target:systemd(what) end

---@class deployrun.SystemdUnit
local Unit = {}

---The unit's whole name: "gunicorn.service".
---@return string
function Unit:name() end

---@class deployrun.SystemdStatus
---@field unit string its whole name
---@field load string "loaded", "masked", "bad-setting" …
---@field active string "active", "inactive", "failed", "activating", "deactivating", "reloading"
---@field sub string "running", "exited", "dead", "auto-restart" …
---@field running boolean active is "active"
---@field main_pid integer 0 when there is none
---@field restarts integer how often systemd started it again by itself
---@field can_reload boolean it has ExecReload=
---@field file_changed boolean its unit file is newer than what systemd has read: daemon_reload
---@field result? string how it ended last: "success", "exit-code", "signal", "timeout", "oom-kill" …
---@field type? string "simple", "notify", "oneshot" …
---@field enabled? string "enabled", "disabled", "static", "masked" …
---@field since? string when it became active, as systemd writes it
---@field file? string its unit file
---@field folder? string its working folder

---How it is now. A query. Fails: systemd.not_found.
---@return deployrun.SystemdStatus
function Unit:status() end

---@class deployrun.SystemdLogs
---@field since? number|string seconds ago, or what journalctl takes: "-5m", "2024-05-01 12:00", "today"
---@field lines? integer the last ones, 1 to 100000; default 100

---What it wrote to the journal, with times. A query. Fails: systemd.denied (who may not read the journal sees nothing).
---@param options? deployrun.SystemdLogs
---@return string
function Unit:logs(options) end

---@class deployrun.SystemdServes: deployrun.ExpectOptions
---@field url string asked from the machine deployrun runs on

---@class deployrun.SystemdAct
---@field within? number|string the bound; default: what the unit's own timeouts allow, at most 10 minutes
---@field settled? number|string how long it must stay as it is; default 2
---@field serves? deployrun.SystemdServes|fun() then it must serve: what http.expect takes, or a function that fails when it does not; not for stop

---@class deployrun.SystemdActResult: deployrun.SystemdStatus
---@field old_pid integer the main process before
---@field seconds number
---@field killed boolean it did not stop by itself in time

---Starts it, and waits until it runs and stays. One that runs already is left alone. One of Type=oneshot is done when it
---has ended well.
---
---Action: change. Fails: systemd.failed, systemd.timeout, systemd.not_serving, systemd.not_found, systemd.masked,
---systemd.bad_unit.
---@param options? deployrun.SystemdAct
---@return deployrun.SystemdActResult
function Unit:start(options) end

---Stops it. systemd kills what does not stop within its TimeoutStopSec; then `killed` is true and a warning is shown.
---
---Action: change, downtime. Fails: systemd.timeout.
---@param options? deployrun.SystemdAct
---@return deployrun.SystemdActResult
function Unit:stop(options) end

---Stops and starts it, and waits until it runs with a new main process and stays; with `serves` also until it serves, and
---then that it is still the same process.
---
---Action: change, downtime. Fails as :start does.
---@param options? deployrun.SystemdAct
---@return deployrun.SystemdActResult
function Unit:restart(options) end

---Lets it read its configuration again by its ExecReload=, and waits until that is done and it has survived it. That the
---new code serves is not known from it: give `serves`, or use :gunicorn{…}:reload().
---
---Action: change. Fails: systemd.no_reload (no ExecReload=), systemd.not_active, systemd.ended_by_reload (a HUP that
---nobody handles ends a process), systemd.failed, systemd.timeout, systemd.not_serving.
---@param options? deployrun.SystemdAct
---@return deployrun.SystemdActResult
function Unit:reload(options) end

---Lets it start with the machine. Action: change. Fails: systemd.failed.
function Unit:enable() end

---Takes that back. Action: change. Fails: systemd.failed.
function Unit:disable() end

---Forgets that it failed, and how often it was started. Action: change.
function Unit:reset_failed() end

---Lets systemd read all unit files again. Action: change.
function Unit:daemon_reload() end
