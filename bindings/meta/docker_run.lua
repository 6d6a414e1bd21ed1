---@meta
-- Containers without compose, through the Docker Engine of a target: what `docker run` does, done twice without harm, and
-- the old container brought back when the new one is no good.

---@class deployrun.Engine
local Engine = {}

---@class deployrun.ContainerFields
---@field image string
---@field command? string|string[] text for the container's shell, or exact words; default: the image's
---@field entrypoint? string|string[]
---@field env? table<string, string> wins over env_file
---@field env_file? string|string[] files on the target, read by the target's user, `~/` is its home; NAME=value a line, as docker reads them
---@field ports? string|string[] "127.0.0.1:8000:80", "8000:80", "80/udp"; a range is written port by port
---@field volumes? string|string[] "media:/app/media", "/srv/media:/app/media:ro"
---@field network? string
---@field aliases? string[] names on that network
---@field labels? table<string, string>
---@field user? string
---@field workdir? string
---@field hostname? string
---@field memory? string|integer "512m", "2g"
---@field cpus? number
---@field extra_hosts? string[] "db:10.0.0.5"
---@field init? boolean a small init as process 1
---@field read_only? boolean

---@class deployrun.HealthFields
---@field cmd string|string[]
---@field interval? number|string
---@field timeout? number|string
---@field start_period? number|string
---@field retries? integer

---@class deployrun.ContainerOptions: deployrun.ContainerFields
---@field name string
---@field restart? string "no" "always" "unless-stopped" "on-failure" "on-failure:5"
---@field health? deployrun.HealthFields|false false: the image's own check is not used
---@field stop_timeout? number|string how long it has to end after TERM
---@field rm? boolean it is removed when it ends

---@class deployrun.RunContainerResult
---@field id string
---@field name string
---@field unchanged boolean it ran like this already

---Creates and starts a container. One of the same name, image and configuration that runs already is left alone, and one
---that has stopped is started: it is known by a label with a hash. What an env file holds is in no plan and no journal.
---
---Action: change. Fails: docker.name_in_use, docker.no_such_image, docker.env_file, docker.port_in_use, docker.not_started,
---recipe.argument; what could not be started is removed again.
---@param options deployrun.ContainerOptions
---@return deployrun.RunContainerResult
function Engine:run(options) end

---@class deployrun.OneoffOptions: deployrun.ContainerFields
---@field timeout? number|string default one hour
---@field any_status? boolean a status other than 0 is a result, not a failure

---Runs a command in a new container to its end and shows what it writes. The container is removed however it ends: also
---when it is interrupted or out of time.
---
---Action: change. Fails: command.failed, command.timeout, docker.out_of_memory, docker.no_such_image, docker.env_file,
---docker.not_started, command.status_lost.
---@param options deployrun.OneoffOptions
---@return deployrun.CommandResult
function Engine:oneoff(options) end

---The names of the variables that an env file on the target sets. A query. Fails: docker.env_file.
---@param path string
---@return string[]
function Engine:env_file(path) end

---A target that runs commands in a running container (`docker exec -i`).
---@param container string|table
---@return deployrun.Target
function Engine:container(container) end

---@class deployrun.ReplaceContainerOptions: deployrun.ContainerOptions
---@field healthy_within? number|string default 60
---@field settled? number|string it must first run for so long
---@field steady? number|string see wait_healthy
---@field http? table see wait_healthy: {port, path, status, …}, asked on its own address
---@field grace? number|string how long the old one has to end; default: its own
---@field check? fun(container: table) fails when a healthy container must not take over
---@field always? boolean also when the same runs already

---Puts a new container in the place of the one with its name: stop the old one and call it NAME.previous · run the new one ·
---wait until it is healthy. If anything fails the new one is removed and the old one gets its name back, is started and
---awaited. There is a gap while neither runs. The old one is removed at the end of the run, so that `restore` can undo it;
---its image is recorded as deployrun-rollback/container:NAME, which prune leaves. What a replace that was cut off left
---behind is put right first: NAME.previous is then the one to go back to. Does nothing when the same runs already.
---
---Actions: change, downtime, destructive. Fails: as run, wait_healthy and wait_running.
---@param options deployrun.ReplaceContainerOptions
---@return deployrun.RunContainerResult
function Engine:replace(options) end

---Brings the container back that `replace` took away in this run. For an undo.
---@param name string
function Engine:restore(name) end
