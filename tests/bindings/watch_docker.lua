-- watch_docker.lua - http.watch looks at containers too: restarts, memory, what is gone; with their last log lines.
-- Needs the image deployrun-test/base:1 of the testbed.
local spec = require "spec"

local image = "deployrun-test/base:1"

local function start(here, name, options, command)
  local full = "deployrun-watch-" .. name
  here:run({ "docker", "rm", "-f", full }, { any_status = true, quiet = true })
  local words = { "docker", "run", "-d", "--name", full, "--label", "deployrun.watch=1" }
  for _, word in ipairs(options) do words[#words + 1] = word end
  words[#words + 1] = image
  for _, word in ipairs { "sh", "-c", command } do words[#words + 1] = word end
  here:run(words, { quiet = true })
  return full
end

local url, told -- `told`: this engine knows the memory of containers; without its cgroup it does not

-- A quick watch of the good URL and of one container.
local function watch(container, more)
  local options = { url = url, every = 0.1, during = "10m", look_every = 0.1, containers = { container } }
  for name, value in pairs(more or {}) do options[name] = value end
  return http.watch(options)
end

return spec.recipe("watch_docker", {
  { "a service answers", function(_, here)
    here:run("docker ps -aq --filter label=deployrun.watch=1 | xargs -r docker rm -f >/dev/null", { quiet = true })
    local name = start(here, "web", { "-p", "127.0.0.1::80" }, "exec python3 -m http.server 80")
    local port = here:docker():inspect(name).ports["80/tcp"]
    url = ("http://127.0.0.1:%d/"):format(port and port[1].port or 1)
    http.expect(url, { within = 30 })
  end },
  { "a container that is well passes, and its memory is told", function(t, here)
    local name = start(here, "well", {}, "exec sleep 600")
    local report = watch(name, { during = 1.5 })
    t.equal(report.restarts and report.restarts[name], 0)
    told = here:docker():stats(name).measured
    t.equal(report.memory and report.memory[name] ~= nil, t.real and told)
  end },
  { "a container that restarts fails the watch, with its last log lines", function(t, here)
    local name = start(here, "crash", { "--restart", "always" }, "echo cannot bind; sleep 0.3; exit 1")
    local problem = t.fails("http.watch_failed", watch, name)
    if problem then
      t.matches(problem.message, "it restarted %d+ times during the watch")
      t.matches(problem.detail, "cannot bind")
    end
    here:run({ "docker", "rm", "-f", name }, { quiet = true })
  end },
  { "a container that was restarted by hand counts too", function(t, here)
    local name = start(here, "hand", {}, "exec sleep 600")
    local problem = t.fails("http.watch_failed", watch, name, { also = { restart = { max = 1, function()
      here:run({ "docker", "restart", "-t", "0", name }, { quiet = true })
      return 0
    end } } })
    if problem then t.matches(problem.message, "it restarted 1 times") end
  end },
  { "too much memory fails the watch after three looks, and what cannot be judged fails it too", function(t, here)
    local name = start(here, "fat", {}, "exec sleep 600")
    local problem = t.fails("http.watch_failed", watch, name, { max_memory = 1 })
    if problem then
      local much = "it uses %d+ MiB of memory .* 3 looks in a row"
      t.matches(problem.message, told and much or "max_memory cannot be judged")
    end
  end },
  { "a container that exited, or is gone, fails the watch", function(t, here)
    local name = start(here, "exits", {}, "echo bye; sleep 1; exit 3")
    local problem = t.fails("http.watch_failed", watch, name)
    if problem then
      t.matches(problem.message, "it is exited, exit code 3")
      t.matches(problem.detail, "bye")
    end
    name = start(here, "gone", {}, "exec sleep 600")
    problem = t.fails("http.watch_failed", watch, name, { also = { gone = { max = 1, function()
      here:run({ "docker", "rm", "-f", name }, { any_status = true, quiet = true })
      return 0
    end } } })
    if problem then t.matches(problem.message, "the container is gone") end
  end },
  { "nothing is left", function(_, here)
    here:run("docker ps -aq --filter label=deployrun.watch=1 | xargs -r docker rm -f >/dev/null", { quiet = true })
  end },
})
