-- docker_images.lua - images and registries: login, pull, push, list, remove, prune. The ops are in docker_pull.c and
-- docker_images.c.
local dr = ...
local core, Engine = dr.core.docker_pull, dr.Engine
local call = dr.engine_caller { "login", "pull", "push", "images", "remove_image", "prunable", "prune" }

local wrong = dr.wrong

-- Keeps a password from every output, whoever it came from.
local function check_password(method, password)
  if type(password) ~= "string" or password == "" then
    wrong((":%s needs a password"):format(method), "password = secret(\"REGISTRY_PASSWORD\")")
  end
  if not core.mask(password) then
    dr.fail { code = "secret.short",
      message = "the registry's password is shorter than 4 characters and cannot be masked" }
  end
  return password
end

local auth_fields = { username = true, password = true, server = true, token = true }

-- {username=, password=} or {token=} as an op takes them.
local function checked_auth(method, auth)
  if type(auth) ~= "table" then wrong((":%s: auth is a table { username =, password = }"):format(method)) end
  dr.check_options(method .. ": auth", auth, auth_fields)
  if auth.token then check_password(method, auth.token) else check_password(method, auth.password) end
  return auth
end

-- The credentials for an image: given with the call, else those of a login to its registry.
local function auth_for(engine, method, image, auth)
  if auth ~= nil then return checked_auth(method, auth) end
  local registry = type(image) == "string" and core.registry_of(image)
  return registry and engine.logins[registry] or nil
end

local function with_auth(engine, method, image, options)
  local args = dr.copy(options or {})
  dr.check_engine_options(method, method, options)
  args.auth = auth_for(engine, method, image, args.auth)
  args.image = image
  return call(engine, method, args)
end

-- login { registry=, username=, password= }: asks whether the registry takes them, and uses them for what this engine
-- object pulls and pushes from then on. Nothing is written, here or there.
function Engine:login(options)
  if type(options) ~= "table" then wrong(":login takes { registry =, username =, password = }") end
  dr.check_options("docker:login", options, { registry = true, username = true, password = true })
  local registry = options.registry or "docker.io"
  check_password("login", options.password)
  call(self, "login", { registry = registry, username = options.username, password = options.password })
  self.logins[registry] = { username = options.username, password = options.password }
  return self
end

function Engine:pull(image, options) return with_auth(self, "pull", image, options) end
function Engine:push(image, options) return with_auth(self, "push", image, options) end

function Engine:images(options)
  local found = call(self, "images", {}, options)
  return found.images, dr.assumed(found)
end

function Engine:remove_image(image, options) return call(self, "remove_image", { image = image }, options) end

local prune_options = { repository = true, keep = true, tagged = true }

local function check_keep(options)
  local keep = options.keep
  if keep ~= nil and (math.type(keep) ~= "integer" or keep < 0) then
    wrong(":prune: keep is a whole number, 0 or more")
  end
  if keep ~= nil and not options.repository then
    wrong(":prune: keep counts the images of one repository",
      "prune { repository = \"registry.example.com/api\", keep = 3 }")
  end
  if options.tagged and not options.repository then wrong(":prune: tagged needs a repository") end
end

local function prunable(engine, method, options)
  options = options or {}
  dr.check_options("docker:" .. method, options, prune_options)
  check_keep(options)
  local found = call(engine, "prunable", {}, options)
  return found.images, dr.assumed(found)
end

-- The images that prune() would remove: {id, tags, created, size, refs}.
function Engine:prunable(options) return prunable(self, "prunable", options) end

-- Removes old images. Which they are is asked first, so that the plan names each.
function Engine:prune(options)
  local images, unknown = prunable(self, "prune", options)
  local plain = {}
  for i, image in ipairs(unknown and {} or images) do plain[i] = image end
  return call(self, "prune", { images = dr.array(plain), unknown = unknown or nil }, options)
end
