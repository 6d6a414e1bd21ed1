-- docker_objects.lua - networks, volumes, stats, events and log lines of a real engine. Needs the image
-- deployrun-test/base:1 of the testbed.
local spec = require "spec"

local image = "deployrun-test/base:1"
local name = "deployrun-objects"

local function clear(here)
  here:run(("docker ps -aq --filter label=deployrun.objects=1 | xargs -r docker rm -f >/dev/null; " ..
    "docker network rm %s >/dev/null 2>&1; docker volume rm -f %s >/dev/null; true"):format(name, name),
    { quiet = true })
end

local function run(docker, command, other)
  return docker:run { name = other or name, image = image, init = true, command = command,
    labels = { ["deployrun.objects"] = "1" } }
end

return spec.recipe("docker_objects", {
  { "a network is made once, joined, left and removed", function(t, here)
    clear(here)
    local docker = here:docker()
    t.equal(docker:network_create(name, { labels = { a = "b" } }).unchanged, false)
    t.equal(docker:network_create(name).unchanged, true)
    t.fails("docker.name_in_use", docker.network_create, docker, name, { driver = "macvlan" })
    local network = docker:networks(name)[1]
    t.equal(network and network.driver, t.real and "bridge" or nil)
    run(docker, { "sleep", "1000" })
    docker:network_connect(name, name, { aliases = { "api" } })
    local joined = docker:inspect(name).networks[name]
    if t.real then t.equal(joined.aliases[1], "api") end
    docker:network_disconnect(name, name)
    t.equal(docker:inspect(name).networks[name], nil)
    docker:remove(name, { force = true })
    t.equal(docker:network_remove(name).unchanged, false)
    t.equal(docker:network_remove(name).unchanged, true)
  end },
  { "a volume is made once and removed", function(t, here)
    local docker = here:docker()
    docker:volume_create(name)
    docker:volume_create(name)
    t.equal(#docker:volumes(name), t.real and 1 or 0)
    t.equal(docker:volume_remove(name).unchanged, false)
    t.equal(docker:volume_remove(name).unchanged, true)
  end },
  { "what a container uses is measured", function(t, here)
    local docker = here:docker()
    run(docker, { "sh", "-c", "while :; do :; done" })
    local stats = docker:stats(name)
    local one = docker:stats(name, { once = true })
    docker:remove(name, { force = true })
    -- Some kernels give an engine on cgroup v1 nothing to measure: then it must say so.
    t.equal(not stats.measured or (stats.cpu_percent > 1 and stats.memory > 0), true)
    t.equal(stats.measured or stats.memory == 0, true)
    t.equal(one.cpu_percent, 0)
    t.equal(one.memory > 0, stats.memory > 0)
  end },
  { "what happened to a container is told, and awaited", function(t, here)
    local docker, told = here:docker(), name .. "-told"
    local since = os.time() - 1
    run(docker, "sleep 0.5; exit 7", told)
    local event = docker:wait_event { since = since, filters = { container = told, event = "die" }, within = 30 }
    t.equal(event.action, t.real and "die" or "")
    t.equal(event.exit_code, t.real and "7" or nil)
    local seen = {}
    for _, one in ipairs(docker:events { since = since, filters = { container = told, type = "container" } }) do
      seen[#seen + 1] = one.action
    end
    t.equal(table.concat(seen, " "), t.real and "create start die" or "")
    docker:remove(told)
    t.fails("docker.no_event", docker.wait_event, docker,
      { filters = { container = told, event = "die" }, within = 0.3 })
  end },
  { "a log is followed until a line fits", function(t, here)
    local docker = here:docker()
    run(docker, "echo booting; sleep 0.7; echo 'Listening at: http://0.0.0.0:8000 (7)'; sleep 1000")
    t.equal(docker:wait_log(name, "Listening at: .*:[0-9]+", { within = 30 }).line,
      t.real and "Listening at: http://0.0.0.0:8000 (7)" or "")
    local problem = t.fails("docker.no_such_line", docker.wait_log, docker, name, "never", { within = 0.3 })
    if problem then t.matches(problem.detail, "booting") end
    docker:remove(name, { force = true })
    run(docker, "echo only this")
    problem = t.fails("docker.no_such_line", docker.wait_log, docker, name, "never", { within = 30 })
    if problem then t.matches(problem.message, "ended") end
    t.fails("recipe.argument", docker.wait_log, docker, name, "[", { within = 1 })
    clear(here)
  end },
})
