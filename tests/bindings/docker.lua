-- docker.lua - the Docker Engine as recipes use it, against a real one: what is well, what is not and how that is said.
-- Needs the image deployrun-test/base:1 of the testbed.
local spec = require "spec"

local image = "deployrun-test/base:1"

-- Starts a container of the testbed's image and returns its name. `options` are words for docker run.
local function start(here, name, options, command)
  local full = "deployrun-spec-" .. name
  here:run({ "docker", "rm", "-f", full }, { any_status = true, quiet = true })
  local words = { "docker", "run", "-d", "--name", full, "--init", "--label", "deployrun.spec=1" }
  for _, word in ipairs(options) do words[#words + 1] = word end
  words[#words + 1] = image
  for _, word in ipairs(command) do words[#words + 1] = word end
  here:run(words, { quiet = true })
  return full
end

local function clear(here)
  here:run("docker ps -aq --filter label=deployrun.spec=1 | xargs -r docker rm -f >/dev/null", { quiet = true })
end

local serve = { "sh", "-c", "echo serving; exec python3 -m http.server 80" }
local ask_itself = "python3 -c 'import urllib.request as u; u.urlopen(\"http://localhost/\")'"

return spec.recipe("docker", {
  { "a container is healthy by its own health check", function(t, here)
    local docker = here:docker()
    clear(here) -- of what a spec that failed left behind
    local name = start(here, "ok", { "--health-cmd", ask_itself, "--health-interval", "0.5s" }, serve)
    local well = docker:wait_healthy(name, { within = 30 })
    t.equal(well.how, "healthy")
    local container = docker:inspect(name)
    t.equal(container.state, "running")
    t.equal(container.health, "healthy")
    t.equal(container.name, name)
    t.equal(container.image, image)
    t.equal(container.labels["deployrun.spec"], "1")
    t.equal(container.address, well.address)
    local listed = docker:containers { labels = { ["deployrun.spec"] = 1 } }
    t.equal(#listed, 1)
    t.equal(listed[1] and listed[1].id, container.id)
    t.equal(listed[1] and listed[1].health, "healthy")
  end },
  { "without one it is healthy when it answers on its own address", function(t, here)
    local docker = here:docker()
    local name = start(here, "http", {}, { "sh", "-c", "sleep 1; exec python3 -m http.server 80" })
    local well = docker:wait_healthy(name, { within = 30, http = { port = 80, path = "/", status = 200 } })
    t.equal(well.how, "answers")
    local problem = t.fails("docker.unhealthy", docker.wait_healthy, docker, name,
      { within = 0.5, http = { port = 80, path = "/missing" } })
    if problem then
      t.matches(problem.message, "404")
      t.equal(problem.cause.code, "http.expect_failed")
    end
  end },
  { "a container that exits is noticed at once, with its last words", function(t, here)
    local docker = here:docker()
    local name = start(here, "exit", {}, { "sh", "-c", "echo cannot find settings >&2; exit 3" })
    local problem = t.fails("docker.exited", docker.wait_healthy, docker, name, { within = 30 })
    if problem then
      t.matches(problem.message, "exited with code 3")
      t.equal(problem.detail, "cannot find settings\n")
    end
    local restarted = start(here, "loop", { "--restart", "always" }, { "sh", "-c", "echo again; exit 1" })
    t.fails("docker.exited", docker.wait_healthy, docker, restarted, { within = 30 })
  end },
  { "a container that runs out of memory is said to have done so", function(t, here)
    local docker = here:docker()
    local name = start(here, "memory", { "--memory", "16m", "--memory-swap", "16m" },
      { "python3", "-c", "import time; time.sleep(0.3); x = bytearray(500000000)" })
    local problem = t.fails("docker.out_of_memory", docker.wait_healthy, docker, name, { within = 30, steady = 20 })
    if problem then t.matches(problem.message, "memory ran out") end
  end },
  { "a container that never becomes healthy fails by its check or by the bound", function(t, here)
    local docker = here:docker()
    local name = start(here, "sick", { "--health-cmd", "echo no database; false", "--health-interval", "0.2s",
      "--health-retries", "2" }, serve)
    local problem = t.fails("docker.unhealthy", docker.wait_healthy, docker, name, { within = 30 })
    if problem then t.matches(problem.detail, "^health check: no database") end
    local slow = start(here, "slow", { "--health-cmd", "false", "--health-interval", "60s" }, serve)
    problem = t.fails("docker.unhealthy", docker.wait_healthy, docker, slow, { within = 0.5 })
    if problem then t.matches(problem.message, "within 0.5 s: its health check has not passed yet") end
  end },
  { "a container that does not end in time is named, with its last lines", function(t, here)
    local docker = here:docker()
    local name = start(here, "lasting", {}, { "sh", "-c", "echo still at work; exec sleep 1000" })
    docker:wait_log(name, "at work", { within = 30 })
    local problem = t.fails("wait.timeout", docker.wait_exited, docker, name, { within = 0.5 })
    if not problem then return end
    t.matches(problem.message, name:gsub("%W", "%%%0") .. ".* did not end within 0.5 s")
    t.matches(problem.detail, "still at work")
  end },
  { "logs have both streams, with and without a terminal", function(t, here)
    local docker = here:docker()
    local name = start(here, "logs", {}, { "sh", "-c", "echo one; echo two >&2; sleep 0.2; echo three" })
    docker:wait_exited(name, { within = 30 })
    t.matches(docker:logs(name), "one\n")
    t.matches(docker:logs(name), "two\n")
    t.equal(docker:logs(name, { tail = 1 }), "three\n")
    local terminal = start(here, "tty", { "-t" }, { "sh", "-c", "echo one; echo two >&2" })
    t.equal(docker:wait_exited(terminal, { within = 30 }).exit_code, 0)
    t.equal(docker:logs(terminal), "one\r\ntwo\r\n")
  end },
  { "logs begin at a time, have times and are followed", function(t, here)
    local docker = here:docker()
    local function say(name, text) docker:exec(name, ("echo %s >/proc/1/fd/1"):format(text)) end
    local name = start(here, "said", {}, { "sleep", "1000" })
    say(name, "early")
    t.equal(docker:wait_log(name, "early", { within = 30 }).line, "early")
    local between = tonumber(here:read { "date", "+%s.%N" }) or 1
    say(name, "late")
    docker:wait_log(name, "late", { within = 30 })
    t.equal(docker:logs(name, { since = between }), "late\n")
    t.matches(docker:logs(name, { timestamps = true, tail = 1 }), "^%d+%-%d+%-%d+T%d+:%d+:%d+%.%d+Z late\n$")
    t.equal(docker:logs(name, { tail = 1, follow = 0.5 }), "late\n")
    local talks = start(here, "talks", {}, { "sh", "-c", "while :; do echo more; sleep 0.1; done" })
    docker:wait_log(talks, "more", { within = 30 })
    t.matches(docker:logs(talks, { tail = 1, follow = 2 }), "^more\nmore\nmore\n")
    local ends = start(here, "ends", {}, { "sh", "-c", "echo one; sleep 0.5; echo two" })
    t.equal(docker:logs(ends, { follow = "10m" }), "one\ntwo\n")
    t.fails("docker.no_such_container", docker.logs, docker, "deployrun-spec-none", { follow = 5 })
  end },
  { "a signal is the one that was asked for", function(t, here)
    local docker = here:docker()
    local polite = { "sh", "-c", "trap 'echo told to end; exit 7' TERM; echo ready; while :; do sleep 0.1; done" }
    for signal, code in pairs { TERM = 7, KILL = 137 } do
      local name = start(here, "polite", {}, polite)
      docker:wait_log(name, "ready", { within = 30 })
      docker:kill(name, { signal = signal })
      t.equal(docker:wait_exited(name, { within = 30 }).exit_code, code)
      t.equal(docker:logs(name), signal == "TERM" and "ready\ntold to end\n" or "ready\n")
    end
  end },
  { "a command runs in a container and its status is kept", function(t, here)
    local docker = here:docker()
    local name = start(here, "exec", {}, serve)
    local result = docker:exec(name, "echo $A; echo oops >&2; pwd", { env = { A = "b c" }, dir = "/tmp" })
    t.equal(result.stdout, "b c\n/tmp\n")
    t.equal(result.stderr, "oops\n")
    t.equal(docker:exec(name, { "printf", "%s", "a b $C" }).stdout, "a b $C")
    t.equal(docker:exec(name, { "id", "-un" }, { user = "nobody" }).stdout, "nobody\n")
    t.equal(docker:exec(name, "exit 7", { any_status = true }).status, 7)
    local problem = t.fails("command.failed", docker.exec, docker, name, "echo because; exit 7")
    if problem then
      t.equal(problem.detail, "because\n")
      t.matches(problem.message, '^"echo because; exit 7" in .* exited with status 7$')
      t.matches(problem.hint, "any_status = true")
    end
    t.fails("command.failed", docker.exec, docker, name, { "no-such-program" })
    t.fails("command.timeout", docker.exec, docker, name, "sleep 5", { timeout = 0.3 })
  end },
  { "a container is stopped, started, killed and removed", function(t, here)
    local docker = here:docker()
    local name = start(here, "life", {}, serve)
    local id = docker:inspect(name).id
    t.fails("docker.conflict", docker.remove, docker, name)
    t.equal(docker:stop(id, { timeout = 5, name = name }).unchanged, false)
    t.equal(docker:stop(id).unchanged, true)
    t.equal(docker:inspect(id).state, "exited")
    t.fails("docker.not_running", docker.exec, docker, id, "true")
    docker:start(id)
    docker:restart(id, { timeout = 1 })
    t.equal(docker:inspect(id).running, true)
    docker:kill(id, { signal = "TERM" })
    t.equal(docker:wait_exited(id, { within = 30 }).exit_code, 143)
    docker:remove(id)
    t.fails("docker.no_such_container", docker.inspect, docker, id)
  end },
  { "an image gets another name", function(t, here)
    local docker = here:docker()
    docker:tag(image, "deployrun-spec/tagged:x")
    t.equal(docker:image("deployrun-spec/tagged:x").id, docker:image(image).id)
    here:run({ "docker", "rmi", "deployrun-spec/tagged:x" }, { quiet = true })
    t.fails("docker.no_such_image", docker.image, docker, "deployrun-spec/tagged:x")
    t.fails("docker.no_such_image", docker.tag, docker, "deployrun-spec/none:1", "deployrun-spec/other:1")
  end },
  { "an engine that is not there says so", function(t, here)
    local problem = t.fails("docker.unreachable", function() here:docker { socket = "/nonexistent.sock" }:info() end)
    if problem then t.matches(problem.message, "there is no Docker Engine at /nonexistent.sock") end
    t.equal(#here:docker():info().version > 0, true)
  end },
  { "nothing is left behind", function(t, here)
    clear(here)
    t.equal(#here:docker():containers { all = true, labels = { ["deployrun.spec"] = "1" } }, 0)
  end },
})
