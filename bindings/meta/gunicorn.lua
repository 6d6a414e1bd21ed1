---@meta
-- A running gunicorn: found by its process tree, and given new code without a restart.
--
-- The master is the gunicorn whose parent is none; the title "gunicorn: master" is there only with setproctitle, and is
-- not needed. Every method looks it up anew. Each may fail with gunicorn.not_found, gunicorn.several, and with the errors of
-- processes, of commands and of reaching the target.

---@class deployrun.Target
local Target = {}

---@class deployrun.GunicornOptions
---@field folder? string its working folder; where that is a symbolic link to a release, name the unit or the pid file
---@field unit? string|deployrun.SystemdUnit the systemd service it belongs to
---@field pidfile? string a file on the target with the master's number
---@field owner? string the user it runs as

---The gunicorn that all of this is true of; looked up at once. A folder alone may be given as a string. Be the user it
---runs as, or root: others may not see its folder.
---
---Query. Fails: gunicorn.not_found and gunicorn.several, which name those that run there.
---@param options? string|deployrun.GunicornOptions default: the only one there is
---@return deployrun.Gunicorn
function Target:gunicorn(options) end

---@class deployrun.Gunicorn
local Gunicorn = {}

---@class deployrun.GunicornTree
---@field master deployrun.Process
---@field workers deployrun.Process[]

---The master and its workers. A query.
---@return deployrun.GunicornTree
function Gunicorn:processes() end

---Loads the code that is there now once beside it, with the master's own words, environment, folder and user
---(gunicorn --check-config); returns how many seconds that took. Nothing of what runs is touched.
---
---Check. Fails: gunicorn.broken (the last line of the traceback; all of it in the detail), gunicorn.no_words (it has
---changed its title), process.denied.
---@return number
function Gunicorn:check() end

---@class deployrun.GunicornReload
---@field method? string "hup" (default): all workers at once; "ttin": new ones first, then the old ones leave: no silence, but twice the memory, and both versions answer for a while; its configuration file is not read again
---@field within? number|string the bound; default 60
---@field settled? number|string how long the new workers must stay; default 2, or three times what loading the code took
---@field serves? deployrun.SystemdServes|fun() then it must serve, best with a version: { url = …, header = { ["X-App-Version"] = v } }
---@field check? boolean load the code beside it first; default true. Without it broken code ends gunicorn, old workers and all

---Gives it new code: new workers come and stay, all old ones leave, the master stays the same.
---
---Actions: change. Fails: gunicorn.broken (before anything is touched), gunicorn.preload (with --preload workers get the old
---code), gunicorn.died, gunicorn.not_reloaded, gunicorn.not_serving, process.no_handler.
---@param options? deployrun.GunicornReload
---@return deployrun.GunicornTree the new one
function Gunicorn:reload(options) end
