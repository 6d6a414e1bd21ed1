---@meta
-- Swarm: services on the orchestrator that a Docker Engine is. A fleet larger than one machine belongs on one that exists;
-- deployrun tells it what to do and watches what becomes of it. Services go through the Engine's API; `docker stack` is the
-- docker command of the target, because the API knows no compose files.
--
-- Every method may fail with swarm.not_manager, and as those of target:docker().

---@class deployrun.Target
local Target = {}

---The swarm of the target's Docker Engine, which must be a manager. Does not connect yet. `Swarm.docker` is the engine:
---`swarm.docker:login` is used by service_update.
---@param options? {socket?: string}
---@return deployrun.Swarm
function Target:swarm(options) end

---@class deployrun.Swarm
---@field docker deployrun.Engine
local Swarm = {}

---{active, manager, nodes, managers}. A query.
---@return table
function Swarm:info() end

---Makes the engine the manager of a new swarm, unless it is one. Action: change.
---@param options? {advertise?: string, listen?: string} advertise: its address for the other nodes
---@return deployrun.EngineResult
function Swarm:init(options) end

---Leaves the swarm; a manager needs force, and its services end. Action: change, downtime, destructive.
---@param options? {force?: boolean}
---@return deployrun.EngineResult
function Swarm:leave(options) end

---@class deployrun.SwarmService
---@field id string
---@field name string "STACK_SERVICE"
---@field image string without the digest
---@field replicas? integer
---@field wanted integer tasks
---@field running integer
---@field update string "" "updating" "completed" "paused" "rollback_started" "rollback_completed" "rollback_paused"
---@field stack? string
---@field labels? table<string, string>

---The services, or those of a stack. A query.
---@param stack? string
---@return deployrun.SwarmService[]
function Swarm:services(stack) end

---`docker stack deploy`, then waits until every service of the stack is as described.
---
---Action: change, downtime; and a check. Fails: compose.invalid, command.failed, and as converge.
---@param stack string
---@param file string|string[] compose files of version 3, in the target's folder
---@param options? {within?: number|string, prune?: boolean, registry_auth?: boolean, timeout?: number|string} registry_auth: the nodes get the login that the server's docker command has
---@return deployrun.CommandResult
function Swarm:deploy(stack, file, options) end

---`docker stack rm`. Its volumes stay. Action: change, downtime, destructive.
---@param stack string
---@param options? {timeout?: number|string}
---@return deployrun.CommandResult
function Swarm:remove(stack, options) end

---@class deployrun.ServiceUpdate
---@field image? string its tag is resolved to a digest at the registry, so that every node runs the same
---@field replicas? integer
---@field env? table<string, string> added, or put in the place of what is there
---@field order? "start-first"|"stop-first" default start-first
---@field rollback? boolean default true: the swarm itself goes back when new tasks fail; false: it pauses
---@field monitor? number|string for how long a new task may fail the update
---@field parallelism? integer tasks at a time
---@field delay? number|string between them
---@field max_failure_ratio? number
---@field force? boolean new tasks although nothing has changed
---@field auth? deployrun.RegistryAuth default: those of swarm.docker:login
---@field resolve? boolean false: the registry is not asked for the digest
---@field within? number|string how long it may take; default five minutes

---Changes a service, new tasks first, and waits for the outcome.
---
---Action: change; and a check. Fails: swarm.no_such_service, docker.image_missing, docker.registry_auth, and as converge.
---@param service string
---@param options deployrun.ServiceUpdate
---@return deployrun.EngineResult
function Swarm:service_update(service, options) end

---Waits until a service is what it was told to be: its update is over, as many new tasks run as are wanted, and the old ones
---have ended.
---
---Check: in a dry run it is only recorded. Fails: swarm.rolled_back, swarm.paused, swarm.not_converged, with the failed task's
---error in the message and its last log lines as detail; swarm.no_such_service.
---@param service string
---@param options? {within?: number|string} default five minutes
---@return {converged: boolean, services: integer, seconds: number}
function Swarm:converge(service, options) end

---Brings back what the service was before its last update, and waits. Done twice it goes forward again. Action: change.
---@param service string
---@param options? {within?: number|string}
---@return deployrun.EngineResult
function Swarm:rollback(service, options) end
