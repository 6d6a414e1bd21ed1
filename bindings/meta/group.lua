---@meta
-- Groups of hosts: everything a target can do, on all of its hosts at the same time.

---@class deployrun.HostsOptions: deployrun.HostOptions
---@field [integer] string|deployrun.HostOptions|deployrun.Target|deployrun.Hosts|deployrun.HostsOptions names, tables as for `host`, targets, groups, lists of these

---A group of hosts. Named fields (`user`, `port`, `jump` …) are defaults for the names and tables in the list. Nothing is
---connected before the group is used, so that an inventory is a module that returns groups. A host that comes twice by way
---of groups counts once; one that is written twice is refused.
---
---Fails: recipe.argument (an empty list, a name twice), recipe.option, ssh.config.
---@param list deployrun.HostsOptions|string[]|deployrun.Hosts
---@return deployrun.Hosts
function hosts(list) end

---A list of targets: `#web`, `web[1]`, `ipairs(web)`. It has every method of a target too: `:cd :sudo :as :env` give a
---group of the changed targets; the others are called on each host at the same time and give results by host. Their last
---argument may hold deployrun.ParallelOptions beside the method's own: web:run({ "true" }, { batch = "25%" }). What gives
---an object (`:docker :git :http :compose :systemd` …) gives one for each host; its methods are called in `each`:
---web:each(function(server) server:docker():pull("app:2") end).
---@class deployrun.Hosts: deployrun.Target
---@field [integer] deployrun.Target
local Hosts = {}

---The hosts' names, in order.
---@return string[]
function Hosts:names() end

---The group of these hosts only, in the order of the group.
---
---Fails: recipe.argument (no such host; none is left).
---@param ... string
---@return deployrun.Hosts
function Hosts:only(...) end

---The group without these hosts.
---
---Fails: recipe.argument (no such host; none is left).
---@param ... string
---@return deployrun.Hosts
function Hosts:except(...) end

---The group with options for all that is done with it.
---
---Fails: recipe.option.
---@param options deployrun.ParallelOptions
---@return deployrun.Hosts
function Hosts:with(options) end

---The same as parallel(group, options, fn).
---
---Fails: as parallel does.
---@param options? deployrun.ParallelOptions may be left out: web:each(fn)
---@param fn fun(server: deployrun.Target, index: integer): any
---@return deployrun.Results
function Hosts:each(options, fn) end

---The group of the hosts that answer now; those that did not before are asked again.
---
---Fails: parallel.failed when more than max_fail do not answer (default: any number may); recipe.argument when none does.
---@param options? deployrun.ParallelOptions
---@return deployrun.Hosts
function Hosts:reachable(options) end
