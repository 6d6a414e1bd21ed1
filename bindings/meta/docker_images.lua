---@meta
-- Images and registries, through the Docker Engine of a target.
--
-- Credentials travel to the engine in a header of the call. They are kept nowhere: ~/.docker/config.json is neither
-- written nor read, on this machine or the target. What a login is good for must stand in the recipe; to use one that the
-- server has, or a credential helper, run its docker command: server:run{"docker", "pull", …}.

---@class deployrun.Engine
local Engine = {}

---@class deployrun.RegistryAuth
---@field username? string
---@field password? string from secret(); any other is masked too
---@field token? string an identity token in place of both
---@field server? string default: the registry in the image's name

---@class deployrun.LoginOptions
---@field registry? string "registry.example.com", "host:5000"; default: docker.io
---@field username string
---@field password string from secret()

---Asks, by way of the engine, whether the registry takes the login, and uses it for what this engine object pulls and pushes
---from then on. A query: a login that is refused ends the walk, before anything was done.
---
---Fails: docker.registry_auth, docker.registry_unreachable, docker.login_failed, secret.short.
---@param options deployrun.LoginOptions
---@return deployrun.Engine the same object
function Engine:login(options) end

---@class deployrun.PullOptions
---@field auth? deployrun.RegistryAuth default: those of a login to the image's registry
---@field platform? string "linux/arm64"
---@field timeout? number|string default one hour

---@class deployrun.PullResult
---@field image string
---@field id string
---@field digest string what the registry calls it: pull that to get exactly the same again
---@field changed boolean the name means another image than before
---@field unchanged boolean

---Pulls an image. Its progress, layers and bytes, is one line.
---
---Action: change. Fails: docker.image_missing, docker.registry_auth, docker.registry_unreachable, docker.engine_lost,
---docker.pull_failed.
---@param image string "registry.example.com/team/api:v2", or with @sha256:…; without a tag it is latest
---@param options? deployrun.PullOptions
---@return deployrun.PullResult
function Engine:pull(image, options) end

---Pushes an image.
---
---Action: change. Fails: as pull, with docker.push_failed.
---@param image string
---@param options? {auth?: deployrun.RegistryAuth, timeout?: number|string}
---@return {image: string, digest: string}
function Engine:push(image, options) end

---@class deployrun.ListedImage
---@field id string
---@field tags string[]
---@field digests string[]
---@field created integer seconds since 1970
---@field size integer bytes
---@field labels table<string, string>

---The images that fit. A query.
---@param options? {repository?: string, labels?: table<string, string>, dangling?: boolean} dangling: only those without a name
---@return deployrun.ListedImage[]
---@return boolean assumed the list is a dry run's
function Engine:images(options) end

---Removes an image's name, and the image with its last name. One that is gone already is `unchanged`.
---
---Action: change, destructive. Fails: docker.image_in_use.
---@param image string
---@param options? {force?: boolean}
---@return deployrun.EngineResult
function Engine:remove_image(image, options) end

---@class deployrun.PruneOptions
---@field repository? string only images of it; default: images without any name
---@field keep? integer so many of the newest of the repository stay; default 3
---@field tagged? boolean old ones go even though they have a tag of the repository

---Removes old images. It never takes one that a container was made from (a stopped one too), one of the newest `keep`, one
---with a name in another repository, or one recorded for a rollback (by stack:replace, stack:recreate, docker:replace: the
---tags deployrun-rollback/…); without `tagged` none that has a tag. Which they are is asked first: the plan names each by
---id, or says that they are known only then. One that came into use meanwhile is left and is in `skipped`.
---
---Action: change, destructive.
---@param options? deployrun.PruneOptions
---@return {removed: string[], skipped: {id: string, why: string}[], unchanged: boolean}
function Engine:prune(options) end

---The images that prune would remove, newest first: {id, tags, created, size, refs}. A query.
---@param options? deployrun.PruneOptions
---@return table[]
---@return boolean assumed the list is a dry run's
function Engine:prunable(options) end
