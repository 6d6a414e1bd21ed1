-- swarm.lua - a swarm of one node, on an engine of its own with a registry (swarm.sh brings both up). The swarm is left
-- and its engine ended afterwards.
local spec = require "spec"

local tiny = "deployrun-test/tiny:1"
local repository = "127.0.0.1:5000/team/web"

-- An image whose program serves its version, or does not start at all.
local function build(here, version, command)
  here:run(("printf 'FROM %s\\nRUN echo %s > /version\\nCMD %s\\n' | docker build -q -t %s:%s -"):format(tiny, version,
    command or "[\"sleep\", \"1000\"]", repository, version), { quiet = true })
end

local function versions(docker)
  local seen = {}
  for _, container in ipairs(docker:containers { labels = { ["com.docker.swarm.service.name"] = "shop_web" } }) do
    seen[#seen + 1] = docker:exec(container, { "cat", "/version" }).stdout:gsub("%s", "")
  end
  table.sort(seen)
  return table.concat(seen, " ")
end

return spec.recipe("swarm", {
  { "an engine becomes a manager once", function(t, here)
    local swarm = here:swarm()
    t.fails("swarm.not_manager", swarm.services, swarm)
    t.equal(swarm:init({ advertise = "127.0.0.1" }).unchanged, false)
    t.equal(swarm:init({ advertise = "127.0.0.1" }).unchanged, true)
    t.equal(swarm:info().manager, true)
  end },
  { "a stack is deployed and its services are awaited", function(t, here)
    local swarm, docker = here:swarm(), here:docker()
    build(here, "v1")
    build(here, "v2")
    build(here, "bad", "[\"sh\", \"-c\", \"echo no database; exit 3\"]")
    swarm.docker:login { registry = "127.0.0.1:5000", username = env.APART_USER, password = secret("APART_PASSWORD") }
    for _, tag in ipairs { "v1", "v2", "bad" } do swarm.docker:push(repository .. ":" .. tag) end
    here:write("stack.yml", "version: \"3.8\"\nservices:\n  web:\n    image: " .. repository .. ":v1\n" ..
      "    stop_grace_period: 1s\n" ..
      "    deploy:\n" ..
      "      replicas: 2\n")
    swarm:deploy("shop", "stack.yml", { within = 60 })
    t.equal(versions(docker), t.real and "v1 v1" or "")
    local service = swarm:services("shop")[1]
    t.equal(service and service.name .. " " .. service.running, t.real and "shop_web 2" or nil)
    t.equal(service and service.image, t.real and repository .. ":v1" or nil)
    here:write("wrong.yml", "version: \"3.8\"\nservices:\n  web:\n    imag: x\n")
    t.fails("compose.invalid", swarm.deploy, swarm, "wrong", "wrong.yml")
  end },
  { "a service is updated start-first, task by task", function(t, here)
    local swarm = here:swarm()
    swarm.docker:login { registry = "127.0.0.1:5000", username = env.APART_USER, password = secret("APART_PASSWORD") }
    local changed = swarm:service_update("shop_web", { image = repository .. ":v2", monitor = 1, within = 90 })
    t.equal(changed.unchanged, false)
    t.equal(versions(swarm.docker), t.real and "v2 v2" or "")
    t.equal(swarm:service_update("shop_web", { image = repository .. ":v2", monitor = 1 }).unchanged, true)
  end },
  { "an update whose task fails is rolled back, and said with why", function(t, here)
    local swarm = here:swarm()
    swarm.docker:login { registry = "127.0.0.1:5000", username = env.APART_USER, password = secret("APART_PASSWORD") }
    local problem = t.fails("swarm.rolled_back", swarm.service_update, swarm, "shop_web",
      { image = repository .. ":bad", monitor = 3, within = 90 })
    if problem then
      t.matches(problem.message, "exit %(3%)")
      t.matches(problem.detail, "no database")
    end
    t.equal(versions(swarm.docker), t.real and "v2 v2" or "")
    t.fails("docker.image_missing", swarm.service_update, swarm, "shop_web", { image = repository .. ":v999" })
    t.fails("swarm.no_such_service", swarm.service_update, swarm, "nothing", { image = repository .. ":v1" })
  end },
  { "after that a good update goes through, and can be taken back by hand", function(t, here)
    local swarm = here:swarm()
    swarm.docker:login { registry = "127.0.0.1:5000", username = env.APART_USER, password = secret("APART_PASSWORD") }
    swarm:service_update("shop_web", { image = repository .. ":v1", monitor = 1, within = 90 })
    t.equal(versions(swarm.docker), t.real and "v1 v1" or "")
    swarm:rollback("shop_web", { within = 90 })
    t.equal(versions(swarm.docker), t.real and "v2 v2" or "")
    local problem = t.fails("swarm.paused", swarm.service_update, swarm, "shop_web",
      { image = "deployrun-test/nothing:1", resolve = false, rollback = false, monitor = 30, within = 60 })
    if problem then t.matches(problem.message, "No such image") end
    problem = t.fails("swarm.not_converged", swarm.service_update, swarm, "shop_web",
      { image = repository .. ":v1", monitor = 30, within = 0.3 })
    if problem then t.matches(problem.message, "of 2 tasks run") end
  end },
  { "a stack is removed and the swarm left", function(t, here)
    local swarm = here:swarm()
    swarm:remove("shop")
    wait("its containers are gone", { within = 30, every = 0.2 }, function()
      return #swarm.docker:containers { labels = { ["com.docker.stack.namespace"] = "shop" } } == 0
    end)
    t.equal(swarm:leave({ force = true }).unchanged, false)
    t.equal(swarm:leave({ force = true }).unchanged, true)
  end },
})
