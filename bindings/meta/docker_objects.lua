---@meta
-- Networks, volumes, what a container uses, and what happened to it, through the Docker Engine of a target.

---@class deployrun.Engine
local Engine = {}

---The networks, or those with a name: {id, name, driver, scope, internal, attachable, labels, subnet}. A query.
---@param name? string
---@return table[]
---@return boolean assumed
function Engine:networks(name) end

---Makes a network unless there is one of that name and driver. Action: change. Fails: docker.name_in_use.
---@param name string
---@param options? {driver?: string, subnet?: string, internal?: boolean, attachable?: boolean, labels?: table<string, string>} driver: default bridge
---@return deployrun.EngineResult
function Engine:network_create(name, options) end

---Removes a network; one that is gone already is `unchanged`. Action: change, destructive.
---@param name string
---@return deployrun.EngineResult
function Engine:network_remove(name) end

---Joins a container to a network. Action: change.
---@param network string
---@param container string|table
---@param options? {aliases?: string[]}
---@return deployrun.EngineResult
function Engine:network_connect(network, container, options) end

---Takes a container off a network. Action: change, downtime.
---@param network string
---@param container string|table
---@return deployrun.EngineResult
function Engine:network_disconnect(network, container) end

---The volumes, or those with a name: {name, driver, folder, labels, created}. A query.
---@param name? string
---@return table[]
---@return boolean assumed
function Engine:volumes(name) end

---Makes a volume unless it is there. Action: change.
---@param name string
---@param options? {labels?: table<string, string>}
---@return deployrun.EngineResult
function Engine:volume_create(name, options) end

---Removes a volume and its data; one that is gone already is `unchanged`. Action: change, destructive, irreversible.
---@param name string
---@return deployrun.EngineResult
function Engine:volume_remove(name) end

---@class deployrun.Stats
---@field measured boolean false: the engine cannot tell here, and the numbers are 0
---@field cpu_percent number of one processor: 200 is two of them busy
---@field memory integer bytes, without the file cache
---@field memory_limit integer
---@field memory_percent number
---@field pids integer
---@field received integer bytes from the network
---@field sent integer
---@field read integer bytes from disks
---@field written integer

---@class deployrun.StatsOptions
---@field once? boolean one sample, told at once: cpu_percent is 0, because a rate takes two

---What a container uses: two samples, about a second apart. A query.
---@param container string|table
---@param options? deployrun.StatsOptions
---@return deployrun.Stats
function Engine:stats(container, options) end

---@class deployrun.Event
---@field type string "container" "image" "network" "volume"
---@field action string "start" "die" "oom" "health_status: healthy" "pull" …
---@field id string
---@field time number seconds since 1970
---@field name? string
---@field image? string
---@field exit_code? string
---@field signal? string

---What happened, as far as the engine remembers (at most 10,000 events). A query.
---@param options? {since?: number, until_?: number, filters?: table<string, string|string[]>} seconds since 1970; until_: default now; filters: as `docker events --filter`
---@return deployrun.Event[]
function Engine:events(options) end

---Waits until something happens that fits.
---
---Check: in a dry run it is only recorded. Fails: docker.no_event.
---@param options? {since?: number, within?: number|string, filters?: table<string, string|string[]>} since: default now; give a time before what causes it; within: default 60
---@return deployrun.Event
function Engine:wait_event(options) end

---@class deployrun.WaitLogOptions
---@field within? number|string default 60
---@field since? number seconds since 1970; default: from the beginning

---Follows a container's log, and shows it, until a line fits.
---
---Check: in a dry run it is only recorded. Fails: docker.no_such_line, also when the container ends before.
---@param container string|table
---@param pattern string an extended regular expression: "Listening at: .*:[0-9]+"
---@param options? deployrun.WaitLogOptions
---@return {line: string}
function Engine:wait_log(container, pattern, options) end
