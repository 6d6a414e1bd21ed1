-- compose.lua - the verbs of a compose stack against the compose that this machine has. Started by compose.sh, which
-- makes the folder `stack`; needs the image deployrun-test/base:1 of the testbed.
local spec = require "spec"

local project = "deployrun-composespec"
local image = "deployrun-composespec/api"

-- The testbed's image with a file of its own, under two names.
local function build(here, version)
  here:run(("printf 'FROM deployrun-test/base:1\\nRUN echo %s > /version\\n' | docker build -q -t %s:%s -"):format(
    version, image, version), { quiet = true })
end

local function clear(here)
  here:run(("docker ps -aq --filter label=com.docker.compose.project=%s | xargs -r docker rm -f >/dev/null; " ..
    "docker network rm %s_default >/dev/null 2>&1; docker volume rm -f %s_media >/dev/null; " ..
    "docker rmi -f %s:1 %s:2 %s:now deployrun-rollback/%s:api deployrun-rollback/%s:worker >/dev/null 2>&1; true")
    :format(project, project, project, image, image, image, project, project), { quiet = true })
end

return spec.recipe("compose", {
  { "the configuration is read", function(t, here)
    clear(here)
    build(here, 1)
    here:docker():tag(image .. ":1", image .. ":now")
    local stack = t.facts
    local config = stack:config()
    t.equal(config.services.api and config.services.api.image, image .. ":now")
    t.equal(table.concat(config.volumes, " "), "media")
    t.fails("compose.no_such_service", stack.scale, stack, "nothing", 2)
  end },
  { "a stack comes up, is scaled, stopped, started, killed and taken down", function(t)
    local stack = t.facts
    stack:up()
    t.equal(#stack:ps("api"), t.real and 1 or 0)
    t.equal(stack:exec("api", { "cat", "/version" }).stdout, t.real and "1\n" or "")
    t.equal(stack:run("worker", "echo one-off").stdout, t.real and "one-off\n" or "")
    t.equal(stack:wait_log("api", "^version [0-9]+", { within = 20 }).line, t.real and "version 1" or "")
    t.matches(stack:logs("api"), "version 1")
    stack:scale("worker", 2)
    t.equal(#stack:ps("worker"), t.real and 2 or 0)
    stack:scale("worker", 1)
    t.equal(#stack:ps("worker"), t.real and 1 or 0)
    stack:kill("worker", { signal = "TERM" })
    wait("the worker has ended", { within = 20, every = 0.2 }, function() return #stack:ps("worker") == 0 end)
    stack:start("worker")
    stack:stop("worker", { grace = 1 })
    stack:restart("worker", { grace = 1 })
    t.equal(#stack:ps("worker"), t.real and 1 or 0)
  end },
  { "the signal that is asked for is the one that comes", function(t)
    local stack = t.facts
    stack:wait_log("polite", "ready", { within = 20 })
    local polite = stack:ps("polite")[1]
    stack:kill("polite", { signal = "TERM" })
    stack.docker:wait_exited(polite and polite.id or "polite", { within = 20 })
    t.matches(stack:logs("polite"), "told to end")
  end },
  { "a build has the arguments it is given, and is made anew when it is asked to be", function(t, here)
    local stack = here:compose { dir = "built" }
    local function once(options)
      stack:build(options)
      return here:read { "docker", "run", "--rm", image:gsub("/api$", "/built") .. ":now", "cat", "/word", "/once" }
    end
    local first = once { args = { WORD = "one" } }
    t.matches(first, "^one\n")
    t.equal(once { args = { WORD = "one" } }, first)
    t.equal(once { args = { WORD = "one" }, no_cache = true } ~= first, t.real)
    t.matches(once { args = { WORD = "two" } }, "^two\n")
    here:run({ "docker", "rmi", "-f", image:gsub("/api$", "/built") .. ":now" }, { quiet = true })
  end },
  { "an env file is read as the compose that is installed reads it", function(t)
    local values = t.facts:env_file("api.env", { permissions = "ignore" })
    local first = t.facts.version:match("^1%.")
    t.equal(values.PASSWORD, t.real and (first and "pa$word-1" or "pa-1") or nil)
    t.equal(values.NAME, t.real and "Let's go!" or nil)
    t.equal(values.FROM_OUTSIDE, nil)
    t.fails("recipe.argument", t.facts.env_file, t.facts, "api.env", { dialect = "compose" })
  end },
  { "a service is made anew of another image, and recorded for a rollback", function(t, here)
    build(here, 2)
    local stack = t.facts
    local first = stack.docker:image(image .. ":1").id
    stack:recreate("api", { image = image .. ":2", healthy_within = 20 })
    t.equal(stack:exec("api", { "cat", "/version" }).stdout, t.real and "2\n" or "")
    t.equal(stack:previous_image("api"), first)
    stack:recreate("api", { image = stack:previous_image("api"), healthy_within = 20 })
    t.equal(stack:exec("api", { "cat", "/version" }).stdout, t.real and "1\n" or "")
  end },
  { "an image that does not run gives way to the one before", function(t, here)
    here:run(("printf 'FROM scratch\\nENV broken=1\\n' | docker build -q -t %s:2 -"):format(image), { quiet = true })
    local stack = t.facts
    local ok = pcall(stack.recreate, stack, "api", { image = image .. ":2", healthy_within = 20 })
    t.equal(ok, not t.real)
    t.equal(stack:exec("api", { "cat", "/version" }).stdout, t.real and "1\n" or "")
  end },
  { "replace records what ran before, and prune leaves it", function(t, here)
    build(here, 2)
    local stack = t.facts
    stack.docker:tag(image .. ":2", image .. ":now")
    local first = stack.docker:image(image .. ":1").id
    stack:replace("api", { healthy_within = 20, grace = 1 })
    stack:replace("worker", { healthy_within = 20, grace = 1 })
    stack.docker:remove_image(image .. ":1")
    stack.docker:prune { repository = image, keep = 0, tagged = true }
    t.equal(stack:previous_image("api"), first)
  end },
  { "one that is stopped first comes back with as many containers, and so does its undo", function(t)
    local stack = t.facts
    stack:scale("worker", 2)
    stack:replace("worker", { mode = "stop-first", healthy_within = 20, grace = 1 })
    t.equal(#stack:ps("worker"), t.real and 2 or 1)
    stack:restore("worker")
    t.equal(#stack:ps("worker"), t.real and 2 or 1)
    stack:recreate("worker", { healthy_within = 20, grace = 1 })
    t.equal(#stack:ps("worker"), t.real and 2 or 1)
  end },
  { "what was replaced in vain runs again, and it is said", function(t)
    local stack = t.facts
    local options = { healthy_within = 20, grace = 1, check = function() if t.real then fail("not this one") end end }
    t.fails("failed", stack.replace, stack, "api", options)
    options.mode = "stop-first"
    t.fails("failed", stack.replace, stack, "worker", options)
    stack:up { services = { "polite" } }
    local none = { image = "deployrun-composespec/none:1", grace = 1 }
    t.fails("docker.no_such_image", stack.recreate, stack, "polite", none)
    t.equal(#stack:ps("worker"), t.real and 2 or 1)
    stack:stop("polite")
  end },
  { "what could not be undone before the old image is back does not keep the old containers down", function(t)
    local stack = t.facts
    stack:replace("worker", { mode = "stop-first", healthy_within = 20, grace = 1,
      on_restore = function() fail("the checkout is locked") end })
    local problem = t.fails("failed", stack.restore, stack, "worker")
    if problem then t.matches(problem.message, "the checkout is locked") end
    t.equal(#stack:ps("worker"), t.real and 2 or 1)
  end },
  { "a service that did not run is taken away again, and one that does not run is no good one", function(t, here)
    local stack = t.facts
    stack:remove("polite")
    stack:replace("polite", { healthy_within = 20, grace = 1 })
    stack:verify_images { "polite" }
    stack:restore("polite")
    t.equal(#stack:containers("polite"), t.real and 0 or 1)
    local problem = t.fails("wait.timeout", stack.verify_images, stack, { "polite" }, { within = 0.2, every = 0.1 })
    if problem then t.matches(problem.message, "of 1 containers of polite 0 run") end
    stack:down { volumes = true }
    clear(here)
  end },
}, function(here) return here:compose { dir = "stack", project = project } end)
