-- registry.lua - pull, push, login and prune against a real registry that wants a login, and an engine of its own
-- (registry.sh brings both up).
local spec = require "spec"

local tiny = "deployrun-test/tiny:1"
local registry = "127.0.0.1:5000"
local repository = registry .. "/team/api"

local function as_ci(here)
  return here:docker():login { registry = registry, username = env.APART_USER, password = secret("APART_PASSWORD") }
end

-- A new image of the repository: the tiny one with another label.
local function build(here, tag, label)
  here:run(("printf 'FROM %s\\nLABEL spec=%s\\n' | docker build -q -t %s:%s -"):format(tiny, label or tag, repository,
    tag), { quiet = true })
end

local function tags_of(docker)
  local tags = {}
  for _, image in ipairs(docker:images { repository = repository }) do
    for _, tag in ipairs(image.tags) do tags[#tags + 1] = tag:match("[^:]+$") end
  end
  table.sort(tags)
  return table.concat(tags, " ")
end

return spec.recipe("registry", {
  { "a login that the registry refuses says so, and nothing else is asked", function(t, here)
    local problem = t.fails("docker.registry_auth", function()
      here:docker():login { registry = registry, username = env.APART_USER, password = "not-the-password" }
    end)
    if problem then t.equal(problem.message:find("not-the-password", 1, true), nil) end
    t.fails("docker.registry_unreachable", function()
      here:docker():login { registry = "127.0.0.1:1", username = "ci", password = "some-password" }
    end)
    t.fails("secret.short", function()
      here:docker():login { registry = registry, username = "ci", password = "abc" }
    end)
  end },
  { "an image is pushed and pulled with a login that is kept nowhere", function(t, here)
    build(here, "v1")
    local docker = as_ci(here)
    t.matches(docker:push(repository .. ":v1").digest, "^sha256:%x+$")
    docker:remove_image(repository .. ":v1")
    t.fails("docker.no_such_image", docker.image, docker, repository .. ":v1")
    local pulled = docker:pull(repository .. ":v1")
    t.equal(pulled.changed, true)
    t.matches(pulled.digest, "^sha256:%x+$")
    t.equal(pulled.id, docker:image(repository .. ":v1").id)
    t.equal(docker:pull(repository .. ":v1").changed, false)
    local again = docker:pull(repository .. "@" .. (t.real and pulled.digest or "sha256:0"))
    t.equal(again.id, pulled.id)
    t.equal(here:run({ "sh", "-c", "cat ~/.docker/config.json 2>/dev/null | grep -c 127.0.0.1:5000" },
      { any_status = true }).stdout:gsub("%s", ""), "0")
  end },
  { "without a login, and with a wrong one, a pull is refused by name", function(t, here)
    local docker = here:docker()
    t.fails("docker.registry_auth", docker.pull, docker, repository .. ":v1")
    t.fails("docker.registry_auth", docker.pull, docker, repository .. ":v1",
      { auth = { username = "ci", password = "wrong-password" } })
    t.equal(docker:pull(repository .. ":v1",
      { auth = { username = env.APART_USER, password = secret("APART_PASSWORD") } }).changed, false)
  end },
  { "an image that was pulled gives its name back to the one before", function(t, here)
    local auth = { username = env.APART_USER, password = secret("APART_PASSWORD") }
    local docker = as_ci(here)
    build(here, "stack", "newer")
    docker:push(repository .. ":stack")
    local newer = docker:image(repository .. ":stack").id
    build(here, "stack", "older")
    local older = docker:image(repository .. ":stack").id
    local stack = here:compose { dir = "stack" }
    stack:pull { services = "api", auth = auth }
    t.equal(docker:image(repository .. ":stack").id, newer)
    stack:restore_images()
    t.equal(docker:image(repository .. ":stack").id, older)
    docker:remove_image(older)
    docker:remove_image(newer)
  end },
  { "a stack's images are pulled with the credentials, and not without", function(t, here)
    local auth = { username = env.APART_USER, password = secret("APART_PASSWORD") }
    local docker = as_ci(here)
    for _, tag in ipairs { "stack", "cache" } do
      build(here, tag)
      docker:push(repository .. ":" .. tag)
      docker:remove_image(repository .. ":" .. tag)
    end
    local stack = here:compose { dir = "stack" }
    t.equal(pcall(stack.pull, stack), not t.real)
    t.fails("docker.registry_auth", stack.pull, stack, { auth = { username = "ci", password = "wrong-password" } })
    t.equal(stack:pull({ services = "cache", auth = auth }).changed, true)
    t.fails("docker.no_such_image", docker.image, docker, repository .. ":stack")
    t.equal(stack:pull({ auth = auth }).changed, true)
    docker:image(repository .. ":stack")
    stack.docker:login { registry = registry, username = auth.username, password = auth.password }
    t.equal(stack:pull().changed, false)
    for _, tag in ipairs { "stack", "cache" } do docker:remove_image(repository .. ":" .. tag) end
  end },
  { "an image that the registry has not, and a registry that is not there, are told apart", function(t, here)
    local docker = as_ci(here)
    local problem = t.fails("docker.image_missing", docker.pull, docker, repository .. ":v999")
    if problem then t.matches(problem.message, "manifest unknown") end
    t.fails("docker.image_missing", docker.pull, docker, registry .. "/team/nothing:1")
    t.fails("docker.registry_unreachable", docker.pull, docker, "127.0.0.1:1/team/api:v1")
    t.fails("docker.image_missing", docker.push, docker, registry .. "/team/nothing:1")
    t.fails("recipe.argument", docker.pull, docker, "not an image")
  end },
  { "prune keeps the newest, the used, the tagged and what a rollback needs", function(t, here)
    local docker = as_ci(here)
    for i = 1, 6 do
      build(here, "r" .. i)
      -- Images made within one second are as old as each other: build order must be told by their age.
      here:check(("test \"$(date +%%s)\" -gt \"$(date -d \"$(docker image inspect -f '{{.Created}}' %s:r%d)\" +%%s)\"")
        :format(repository, i), { within = 5, every = 0.1 })
    end
    docker:run { name = "spec-uses-r1", image = repository .. ":r1", command = { "sleep", "1000" } }
    docker:tag(repository .. ":r2", "deployrun-rollback/container:api")
    docker:remove_image(repository .. ":v1")
    t.equal(#docker:prunable { repository = repository, keep = 2 }, 0)
    local chosen = docker:prunable { repository = repository, keep = 2, tagged = true }
    t.equal(#chosen, 2)
    if t.real then t.equal(chosen[1].tags[1], repository .. ":r4") end
    local result = docker:prune { repository = repository, keep = 2, tagged = true }
    t.equal(#result.removed, 2)
    t.equal(tags_of(docker), "r1 r2 r5 r6")
    t.equal(docker:prune({ repository = repository, keep = 2, tagged = true }).unchanged, true)
    docker:remove("spec-uses-r1", { force = true })
  end },
  { "an image without a name goes, unless a container was made from it", function(t, here)
    local docker = here:docker()
    build(here, "old", "first")
    docker:run { name = "spec-uses-old", image = repository .. ":old", command = { "sleep", "1000" } }
    local first = docker:image(repository .. ":old").id
    build(here, "old", "second")
    t.equal(#docker:prune().removed, 0)
    docker:remove("spec-uses-old", { force = true })
    local result = docker:prune()
    t.equal(#result.removed, 1)
    if t.real then t.equal(result.removed[1], first) end
    t.fails("recipe.argument", docker.prune, docker, { keep = 3 })
  end },
})
