---@meta
-- Compose projects: target:compose, the methods of a stack, stack:replace, and the proxy in front of a service.
-- Commands go through `docker compose` or `docker-compose`, whichever the target has; what containers are and do is seen
-- through the Docker Engine (meta/docker.lua). Times are durations: seconds or "90s", "5m".
--
-- Every command of a stack may fail with compose.missing (no compose on the target), compose.file (there is no
-- compose file), compose.invalid (it is wrong; file and line are told where compose tells them), compose.no_such_service, docker.unreachable, command.failed (the last lines as detail), command.timeout,
-- yaml.syntax (its configuration cannot be read), and with the errors of reaching the target (ssh.*). A service that the
-- compose file does not name is refused in the walk, before anything is done; one that an action before may add, in the run.

---@class deployrun.Target
local Target = {}

---@class deployrun.ComposeOptions
---@field dir? string the folder that holds the compose file; default: the target's own
---@field file? string|string[] the compose file, or several; default: what compose finds itself
---@field project? string the project's name; default, as compose has it: COMPOSE_PROJECT_NAME of the environment or of
---.env, else (version 2) the `name:` of the compose file, else the folder's name

---The compose project of a folder. Three queries: which compose there is and what the project is called; the whole
---configuration; its containers. Where the folder is only planned (by a clone or a sync before), a dry run assumes a project
---that is named by the folder.
---@param options? deployrun.ComposeOptions
---@return deployrun.Stack
function Target:compose(options) end

---A compose project. `Stack.target` is the target it is on, `Stack.docker` its Docker Engine, `Stack.project` its name.
---@class deployrun.Stack
---@field target deployrun.Target
---@field docker deployrun.Engine
---@field project string
local Stack = {}

---@class deployrun.CommandResult
---@field status integer exit status, 0 to 255
---@field stdout string any bytes, as they came
---@field stderr string
---@field ok boolean status is 0
---@field truncated? boolean more was written than is kept

-- ---------------------------------------------------------------------------------------------- commands

---@class deployrun.BuildOptions
---@field services? string[] default: all that have a `build:`
---@field no_cache? boolean build every layer again
---@field pull? boolean try to get newer base images
---@field args? table<string, string> build arguments; no secrets (secret.in_command): compose takes them on its command line
---@field timeout? number|string default one hour

---Builds images. Running containers are not touched. Remembers which images had the names before (restore_images).
---Action: change. In a dry run its result is assumed.
---@param options? deployrun.BuildOptions
---@return deployrun.CommandResult
function Stack:build(options) end

---Gives the images that `build` replaced their names back. For an undo. Does nothing when nothing was built.
---Action: change. Fails: docker.no_such_image when the old image was removed meanwhile.
function Stack:restore_images() end

---@class deployrun.ServicesOptions
---@field services? string|string[] default: all
---@field timeout? number|string default one hour

---@class deployrun.PullServicesOptions: deployrun.ServicesOptions
---@field auth? deployrun.RegistryAuth then, and after stack.docker:login, the engine pulls image by image with its progress

---Pulls images. Action: change. With credentials it fails as docker:pull does. Which images had the names before is kept
---for `restore_images`.
---@param options? deployrun.PullServicesOptions
---@return deployrun.CommandResult|{changed: boolean}
function Stack:pull(options) end

---@class deployrun.UpOptions: deployrun.ServicesOptions
---@field grace? number|string how long a container has to end after TERM
---@field no_deps? boolean do not start the services they depend on
---@field no_recreate? boolean leave containers that exist as they are
---@field force_recreate? boolean recreate them even when nothing has changed
---@field remove_orphans? boolean remove containers of services that the file no longer names
---@field scale? table<string, integer> how many containers of a service

---`up -d`: creates, recreates and starts containers. Action: change, downtime (compose stops a container before it
---starts its successor; `replace` does not).
---@param options? deployrun.UpOptions
---@return deployrun.CommandResult
function Stack:up(options) end

---Starts containers that exist. Action: change.
---@param services? string|string[] default: all
---@param options? {timeout?: number|string}
---@return deployrun.CommandResult
function Stack:start(services, options) end

---Stops containers. Action: change, downtime.
---@param services? string|string[] default: all
---@param options? {grace?: number|string, timeout?: number|string}
---@return deployrun.CommandResult
function Stack:stop(services, options) end

---Stops and starts the same containers: neither a new image nor a new environment is used. Action: change, downtime.
---@param services? string|string[] default: all
---@param options? {grace?: number|string, timeout?: number|string}
---@return deployrun.CommandResult
function Stack:restart(services, options) end

---Sends a signal to containers. Action: change, downtime.
---@param services? string|string[] default: all
---@param options? {signal?: string, timeout?: number|string} signal: default KILL
---@return deployrun.CommandResult
function Stack:kill(services, options) end

---So many containers of a service; those that run stay as they are. Action: change.
---@param service string
---@param count integer
---@param options? {timeout?: number|string}
---@return deployrun.CommandResult
function Stack:scale(service, count, options) end

---Stops and removes containers (`rm -f -s`). Action: change, downtime, destructive.
---@param services? string|string[] default: all
---@param options? {timeout?: number|string}
---@return deployrun.CommandResult
function Stack:remove(services, options) end

---@class deployrun.DownOptions
---@field grace? number|string
---@field remove_orphans? boolean
---@field volumes? boolean removes named volumes too: their data is gone
---@field timeout? number|string default one hour

---Stops and removes all containers and networks of the project. Action: change, downtime, destructive.
---@param options? deployrun.DownOptions
---@return deployrun.CommandResult
function Stack:down(options) end

---The last lines the containers wrote. A query.
---@param service? string|string[] default: all
---@param options? {tail?: integer, timeout?: number|string} tail: lines for each container, default 50
---@return string
function Stack:logs(service, options) end

---One command in the service's running container; the same as stack:service(service):run(…).
---@param service string
---@param command string|string[]
---@param options? deployrun.RunOptions
---@return deployrun.CommandResult
function Stack:exec(service, command, options) end

---Follows the log of the service's first running container until a line fits; see docker:wait_log.
---@param service string
---@param pattern string
---@param options? deployrun.WaitLogOptions
---@return {line: string}
function Stack:wait_log(service, pattern, options) end

---One command in a new container of the service's image, removed afterwards; the same as stack:oneoff(service):run(…).
---@param service string
---@param command string|string[] text for the shell, or exact words
---@param options? deployrun.RunOptions
---@return deployrun.CommandResult
function Stack:run(service, command, options) end

-- ---------------------------------------------------------------------------------------------- looking

---All containers of the project, or of one service, stopped ones too; one-off containers are not among them. In a dry run,
---once actions are planned that may change them, those seen at the beginning: so a plan can name the containers that will be
---replaced. A query.
---@param service? string
---@return deployrun.Container[]
function Stack:containers(service) end

---The running ones of them. A query.
---@param service? string
---@return deployrun.Container[]
function Stack:ps(service) end

---The whole configuration as compose understands it, read again. A query.
---@return {services: table<string, deployrun.ServiceSpec>, networks: string[], volumes: string[]}
function Stack:config() end

---@class deployrun.ServiceSpec
---@field image? string
---@field build boolean it is built here
---@field healthcheck boolean it has a health check in the compose file
---@field container_name? string
---@field ports? table[]
---@field network_mode? string
---@field restart? string
---@field depends_on? table
---@field volumes? table[]
---@field stop_grace_period? string

---The configuration of a service, as compose prints it. Environment, command and build arguments are left out, because they
---often hold secrets.
---
---Fails: compose.no_such_service.
---@param service string
---@return deployrun.ServiceSpec
function Stack:spec(service) end

---The name of the image a service is built as or started from.
---
---Fails: compose.no_such_service.
---@param service string
---@return string
function Stack:image(service) end

---Reads the configuration again, after something may have changed the compose file; build() and pull() do it by themselves. A query.
function Stack:reread() end

---Fails with wait.timeout unless the services run, each with as many containers as before `replace` and at least one, all
---made from the image that has the name now: proof that what was built is what runs.
---@param services string[]
---@param options? deployrun.WaitOptions default { within = 10, every = 0.2 }
function Stack:verify_images(services, options) end

---Calls one of the compose ops ("build", "up" …) with the stack's own arguments filled in; what the methods above are made
---of. `args` is changed.
---@param name string
---@param args? table
---@return any
function Stack:call(name, args) end

-- ---------------------------------------------------------------------------------------------- targets

---A target that runs commands in the service's running container (`exec -T`): the old code, until it is replaced.
---
---Fails: compose.no_such_service.
---@param service string
---@return deployrun.Target
function Stack:service(service) end

---A target that runs each command in a new container of the service's image (`run --rm -T`): the image just built.
---
---Fails: compose.no_such_service.
---@param service string
---@param options? {no_deps?: boolean} no_deps: do not start the services it depends on
---@return deployrun.Target
function Stack:oneoff(service, options) end

-- ---------------------------------------------------------------------------------------------- replacing

---@class deployrun.ReplaceOptions
---@field mode? "start-first"|"stop-first" nil: start-first where nothing is in its way, else stop-first
---@field healthy_within? number|string how long a new container may take to become healthy; default 60
---@field http? table what a new container must answer on its own address; see docker:wait_healthy
---@field grace? number|string how long an old container has to finish its work; default 30
---@field proxy? string the nginx service in front of it, which is told where the new containers are
---@field check? fun(container: table) fails when a healthy container must not take over
---@field on_restore? fun() called before the old image is brought back, for example to put the old code back

---Puts new containers, of the image that has the service's name now, in the place of the running ones. The plan says
---which way is taken and why.
---
---start-first: as many new containers as there are old ones · wait until they are healthy · turn the proxy to them · stop
---and remove the old ones · let the proxy resolve the name again. When a new one does not become healthy the new ones are
---removed and the old ones go on serving.
---
---stop-first: stop, remove, start, wait. There is a gap. A proxy is reloaded afterwards, so that it looks the name up again.
---It is the way for a service with a fixed container_name, with a published host port, or with network_mode: host, and for a scheduler that must never run twice.
---When the new one does not become healthy the old image gets its name back and is started again.
---
---Stopped containers of the service are removed first. A service without running containers is started.
---
---Actions: change, downtime, destructive. Fails: compose.cannot_start_first (start-first was asked for and is not
---possible), compose.not_started, docker.exited, docker.unhealthy, docker.no_such_container, proxy.not_running,
---proxy.no_network, proxy.configuration, wait.timeout (nginx does not serve with new workers), recipe.option, what `check` fails with.
---@param service string
---@param options? deployrun.ReplaceOptions
function Stack:replace(service, options) end

---Brings the image back that ran before `replace`, by the same way. For an undo. Does nothing when the service was not
---replaced in this run; where it had no running container then, those that were started are removed.
---
---Fails: as replace; docker.no_such_image when the old image is gone.
---@param service string
function Stack:restore(service) end

---@class deployrun.RecreateOptions
---@field image? string the image to run: a name or an id. It is given the name that the compose file uses
---@field grace? number|string how long the old container has to end
---@field healthy_within? number|string default 60

---Makes the containers of a service anew (`up -d --no-deps --force-recreate`), of another image when one is given, and
---waits until they are healthy. When they are not, the image that ran before gets its name back and is started again.
---There is a gap. `restore` undoes it.
---
---Actions: change, downtime. Fails: compose.not_started, docker.no_such_image, docker.exited, docker.unhealthy.
---@param service string
---@param options? deployrun.RecreateOptions
function Stack:recreate(service, options) end

---The id of the image that ran before the last `replace` or `recreate`, in this run or an earlier one; nil when none is
---known. A query.
---@param service string
---@return string?
function Stack:previous_image(service) end

---Records the image a container was made of as the one to go back to (the tag deployrun-rollback/PROJECT:SERVICE), unless
---it still runs. `replace` and `recreate` do it by themselves. Action: change.
---@param service string
---@param before table a container
function Stack:record_for_rollback(service, before) end

-- ---------------------------------------------------------------------------------------------- the proxy

---The nginx that a compose service runs. `replace` uses it; a recipe needs it only for ways of its own.
---
---Fails: proxy.not_running.
---@param service string
---@return deployrun.Proxy
function Stack:proxy(service) end

---@class deployrun.Proxy
local Proxy = {}

---`nginx -t`: before something is done that needs a reload. Action: change (it may make files). Fails: proxy.configuration.
function Proxy:check() end

---`nginx -s reload`, then waits until no worker that was there before takes new requests.
---
---Fails: command.failed (nginx would not reload), wait.timeout after 10 s.
---@param options? {drain?: number|string} drain: wait so long until the old workers have finished; a warning when they have not
function Proxy:reload(options) end

---Sends all new requests for the service to these containers only: their addresses go into the proxy container's
---/etc/hosts, which nginx reads before DNS, and nginx is reloaded. Returns when the old workers have finished, or after
---`grace` with a warning.
---
---Fails: proxy.no_network (they share no network), and as reload.
---@param service string
---@param containers table[] with id and name
---@param options? {grace?: number|string} default 30
function Proxy:turn_to(service, containers, options) end

---Takes the lines out of /etc/hosts, those of a run that was killed too, and reloads nginx: from here on it asks DNS.
---
---Fails: as reload.
function Proxy:forget() end

---The same, but it does nothing unless turn_to came before.
function Proxy:turn_back() end
