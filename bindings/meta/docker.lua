---@meta
-- Docker: the Engine of a target, through its API. On this machine by its unix socket, on an SSH host through a tunnel; with
-- host(…):sudo() through `sudo docker system dial-stdio`, which is given the password that sudo asks for. On this machine
-- :sudo() changes nothing here: its socket is opened by deployrun itself, as the user it runs as.
--
-- Every method may fail with docker.unreachable, docker.denied, docker.timeout, docker.engine, docker.host,
-- docker.remote_unsupported; those that name a container or image with docker.no_such_container, docker.no_such_image,
-- docker.not_found, docker.conflict, docker.not_running.
-- A container is given by its id, its name, or one of the tables that containers() and inspect() return.

---@class deployrun.Target
local Target = {}

---The Docker Engine of the target. Does not connect yet.
---@param options? {socket?: string} socket: where it listens there; default: DOCKER_HOST on this machine, else /var/run/docker.sock
---@return deployrun.Engine
function Target:docker(options) end

---@class deployrun.Engine
local Engine = {}

-- ---------------------------------------------------------------------------------------------- looking

---@class deployrun.Port
---@field host string the address it is published on
---@field port integer

---@class deployrun.Container
---@field id string
---@field name string
---@field image string the name of its image
---@field image_id string "sha256:…"
---@field state string "created" "running" "paused" "restarting" "exited" "dead"
---@field running boolean
---@field health? string "starting" "healthy" "unhealthy"; absent without a health check
---@field created integer|string seconds since 1970, from inspect() as text
---@field labels table<string, string>
---@field project? string compose project
---@field service? string compose service
---@field number? integer compose's number of it
---@field networks table<string, {address: string, aliases: string[]}>
---@field address? string its first IP address
---@field ports table<string, deployrun.Port[]> "80/tcp" → where it is published

---@class deployrun.InspectedContainer: deployrun.Container
---@field exit_code? integer
---@field oom_killed? boolean its memory ran out
---@field pid? integer
---@field restarts integer
---@field started_at? string
---@field finished_at? string
---@field failure? string why it could not start, in the engine's words
---@field mounts table[] {type, name, source, destination, writable}
---@field restart_policy? string
---@field network_mode? string
---@field command? string[]
---@field tty? boolean

---About the engine: {version, name, system, architecture, cpus, memory (bytes), storage, containers, running, images}. A query.
---@return table
function Engine:info() end

---@class deployrun.ContainersOptions
---@field labels? table<string, string> it must have all of these
---@field named? string a part of its name
---@field status? string|string[] one of these states
---@field all? boolean stopped ones too

---The containers that fit, running ones only unless all = true. A query.
---@param options? deployrun.ContainersOptions
---@return deployrun.Container[]
---@return boolean assumed the list is a dry run's, not the engine's
function Engine:containers(options) end

---All about a container but its environment, which often holds secrets. A query.
---@param container string|table
---@return deployrun.InspectedContainer
function Engine:inspect(container) end

---@class deployrun.Image
---@field id string "sha256:…"
---@field tags string[]
---@field digests string[]
---@field created string
---@field size integer bytes
---@field labels table<string, string>
---@field command? string[]
---@field has_check boolean it has a health check

---About an image. A query. Fails: docker.no_such_image.
---@param name string name or id
---@return deployrun.Image
function Engine:image(name) end

---The last lines a container wrote, both streams in their order; at most 1 MiB. A query.
---With `follow` what it writes during so many seconds is shown as it comes, and is a part of the text; it ends earlier when the
---container does. To wait for one line, there is engine:wait_log.
---@param container string|table
---@param options? {tail?: integer, since?: number, timestamps?: boolean, follow?: number|string} tail: lines, default 100; since: seconds since 1970; follow: for example 10 or "1m"
---@return string
function Engine:logs(container, options) end

---The processes of a running container. A query.
---@param container string|table
---@return {pid: integer, command: string}[]
function Engine:top(container) end

-- ---------------------------------------------------------------------------------------------- changing

---@class deployrun.EngineResult
---@field unchanged boolean it was so already

---Starts a container. Action: change.
---@param container string|table
---@return deployrun.EngineResult
function Engine:start(container) end

---Stops a container: TERM (or its own stop signal), KILL when the time is over. Action: change, downtime.
---@param container string|table
---@param options? {timeout?: number|string} timeout: the time it has; default: its own
---@return deployrun.EngineResult
function Engine:stop(container, options) end

---Stops and starts a container. Action: change, downtime.
---@param container string|table
---@param options? {timeout?: number|string}
---@return deployrun.EngineResult
function Engine:restart(container, options) end

---Sends a signal. Action: change, downtime.
---@param container string|table
---@param options? {signal?: string} default KILL
---@return deployrun.EngineResult
function Engine:kill(container, options) end

---Removes a stopped container. Action: change, destructive.
---@param container string|table
---@param options? {force?: boolean, volumes?: boolean} force: a running one too; volumes: its anonymous volumes too
---@return deployrun.EngineResult
function Engine:remove(container, options) end

---Gives a container another name. Action: change. Fails: docker.conflict when the name is taken.
---@param container string|table
---@param name string
---@return deployrun.EngineResult
function Engine:rename(container, name) end

---Gives an image another name. Action: change.
---@param image string name or id
---@param name string "repository:tag"; without a tag it is latest
---@return deployrun.EngineResult
function Engine:tag(image, name) end

---@class deployrun.ExecOptions
---@field user? string
---@field dir? string
---@field env? table<string, string>
---@field timeout? number|string default ten minutes
---@field any_status? boolean a status other than 0 is a result, not a failure

---Runs a command in a running container: a list of words, or text for its shell. The engine cannot end it: after
---command.timeout it may still run there.
---
---Action: change. Fails: command.failed, command.timeout, command.status_lost.
---@param container string|table
---@param command string|string[]
---@param options? deployrun.ExecOptions
---@return deployrun.CommandResult
function Engine:exec(container, command, options) end

-- ---------------------------------------------------------------------------------------------- waiting

---@class deployrun.HealthyOptions
---@field within? number|string default 60
---@field steady? number|string how long it must have been running when it has no health check; default 2
---@field restarts? integer so many restarts are forgiven; default 0
---@field tail? integer log lines shown when it fails; default 20
---@field http? table {port, path, host, scheme, status, body, json, header, timeout}: it must answer this on its own address

---@class deployrun.Healthy
---@field healthy boolean always true
---@field how string "healthy" (its health check), "answers" (http), "running" (neither)
---@field seconds number
---@field address string
---@field name string

---Waits until a container is well. One that exits, restarts or becomes unhealthy ends the wait at once.
---
---Check: in a dry run it is only recorded. Fails: docker.exited, docker.out_of_memory, docker.unhealthy, with the last log
---lines as detail.
---@param container string|table
---@param options? deployrun.HealthyOptions
---@return deployrun.Healthy
function Engine:wait_healthy(container, options) end

---Waits until a container has been running for `settled` seconds without a restart; its health check does not count.
---
---Check: in a dry run it is only recorded. Fails: docker.exited, docker.out_of_memory, with the last log lines as detail.
---@param container string|table
---@param options? {settled?: number|string, within?: number|string, restarts?: integer, tail?: integer} settled: default 5; within: default 60 more
---@return deployrun.Healthy
function Engine:wait_running(container, options) end

---Waits until a container has ended.
---
---Check: in a dry run it is only recorded. Fails: wait.timeout, with the last log lines as detail.
---@param container string|table
---@param options? {within?: number|string} default ten minutes
---@return {exit_code: integer}
function Engine:wait_exited(container, options) end
