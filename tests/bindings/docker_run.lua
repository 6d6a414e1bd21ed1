-- docker_run.lua - containers without compose: run, oneoff and replace against a real engine. Needs the image
-- deployrun-test/base:1 of the testbed.
local spec = require "spec"

local image = "deployrun-test/base:1"
local label = { ["deployrun.runspec"] = "1" }

local function clear(here)
  here:run("docker ps -aq --filter label=deployrun.runspec=1 | xargs -r docker rm -f >/dev/null; " ..
    "docker volume rm -f deployrun-runspec >/dev/null; docker network rm deployrun-runspec >/dev/null 2>&1; " ..
    "docker rmi deployrun-rollback/container:runspec-api deployrun-runspec/broken:1 >/dev/null 2>&1; true",
    { quiet = true })
end

local function with(fields, more)
  local out = { image = image, labels = label, init = true }
  for key, value in pairs(fields) do out[key] = value end
  for key, value in pairs(more or {}) do out[key] = value end
  return out
end

local serve = { "sh", "-c", "echo serving; exec python3 -m http.server 80" }
local ask_itself = "python3 -c 'import urllib.request as u; u.urlopen(\"http://localhost/\")'"

return spec.recipe("docker_run", {
  { "a container is run with all that docker run knows", function(t, here)
    clear(here)
    local docker = here:docker()
    here:cd(t.folder):write("app.env", "# comment\nFROM_FILE=from the file\nBOTH=file\n\nEMPTY=\n")
    local inside = here:cd(t.folder):docker()
    docker:network_create("deployrun-runspec")
    local made = inside:run(with { name = "runspec-all", command = serve, env_file = "app.env",
      env = { BOTH = "recipe", NUMBER = 7 }, ports = "127.0.0.1::80", volumes = { "deployrun-runspec:/data" },
      restart = "unless-stopped", network = "deployrun-runspec", memory = "256m", workdir = "/data",
      health = { cmd = ask_itself, interval = 0.5, retries = 3 }, stop_timeout = 3 })
    t.equal(made.unchanged, false)
    t.equal(docker:wait_healthy(made.id, { within = 30 }).how, "healthy")
    t.equal(docker:wait_running("runspec-all", { settled = 0.5 }).how, "running")
    local container = docker:inspect("runspec-all")
    t.equal(container.restart_policy, "unless-stopped")
    t.equal(container.network_mode, "deployrun-runspec")
    t.equal(container.labels["deployrun.config"], nil)
    if t.real then t.equal(container.ports["80/tcp"][1].host, "127.0.0.1") end
    local out = docker:exec("runspec-all", "echo \"$FROM_FILE|$BOTH|$NUMBER|$EMPTY|$PWD\"").stdout
    t.equal(out, "from the file|recipe|7||/data\n")
    t.equal(docker:container("runspec-all"):read { "cat", "/proc/1/comm" }, "docker-init")
    here:run { "sh", "-c", "echo AT_HOME=1 >\"$HOME/deployrun-runspec.env\"" }
    t.equal(table.concat(docker:env_file("~/deployrun-runspec.env")), t.real and "AT_HOME" or "")
    here:run { "sh", "-c", "rm \"$HOME/deployrun-runspec.env\"" }
    local names = inside:env_file("app.env")
    t.equal(t.real and table.concat(names, " ") or "", t.real and "FROM_FILE BOTH EMPTY" or "")
  end },
  { "what is mounted, who runs and what may be written is so inside", function(t, here)
    local docker = here:docker()
    local folder = t.folder .. "/mounted"
    here:run { "mkdir", folder }
    here:write(folder .. "/given", "from outside\n")
    docker:run(with { name = "runspec-inside", init = false, entrypoint = { "sleep" }, command = { "1000" },
      volumes = { folder .. ":/mounted", folder .. ":/fixed:ro" }, user = "nobody", hostname = "shop-1", cpus = 0.5,
      read_only = true, extra_hosts = { "db.internal:10.0.0.5" } })
    local inside = docker:container("runspec-inside")
    t.equal(inside:read { "cat", "/mounted/given" }, "from outside")
    docker:exec("runspec-inside", "echo from inside >/mounted/made", { user = "root" })
    t.equal(here:read { "cat", folder .. "/made" }, "from inside")
    t.equal(docker:exec("runspec-inside", "echo x >/fixed/made", { user = "root", any_status = true }).status,
      t.real and 2 or nil)
    t.equal(docker:exec("runspec-inside", "echo x >/tmp/made", { user = "root", any_status = true }).status,
      t.real and 2 or nil)
    t.equal(inside:read { "id", "-un" }, "nobody")
    t.equal(inside:read { "cat", "/proc/sys/kernel/hostname" }, "shop-1")
    t.matches(inside:read { "cat", "/etc/hosts" }, "10%.0%.0%.5%s+db%.internal")
    t.equal(inside:read "tr '\\0' ' ' </proc/1/cmdline", "sleep 1000 ")
    t.equal(here:read { "docker", "inspect", "--format", "{{.HostConfig.NanoCpus}}", "runspec-inside" }, "500000000")
  end },
  { "a container that is not to stay is gone when it ends", function(t, here)
    local docker = here:docker()
    docker:run(with { name = "runspec-gone", rm = true, command = { "sleep", "1000" } })
    docker:kill("runspec-gone")
    here:run "for i in $(seq 300); do docker inspect runspec-gone >/dev/null 2>&1 || exit 0; sleep 0.1; done; exit 1"
    t.fails("docker.no_such_container", docker.inspect, docker, "runspec-gone")
  end },
  { "the same container is left alone, started when it had stopped, and another is not taken for it", function(t, here)
    local docker = here:docker()
    local fields = with { name = "runspec-same", command = serve }
    t.equal(docker:run(fields).unchanged, false)
    local id = docker:inspect("runspec-same").id
    t.equal(docker:run(fields).unchanged, true)
    docker:stop("runspec-same", { timeout = 1 })
    t.equal(docker:run(fields).unchanged, false)
    t.equal(docker:inspect("runspec-same").id, id)
    local problem = t.fails("docker.name_in_use", docker.run, docker, with { name = "runspec-same", command = "true" })
    if problem then t.matches(problem.hint, "docker:replace") end
    t.equal(docker:inspect("runspec-same").id, id)
  end },
  { "what cannot be run is refused, and nothing is left of it", function(t, here)
    local docker = here:docker()
    t.fails("docker.no_such_image", docker.run, docker, with { name = "runspec-none", image = "deployrun-spec/none:1" })
    local port = here:read { "python3", "-c",
      "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])" }
    if not t.real then port = "1" end
    docker:run(with { name = "runspec-first", command = serve, ports = "127.0.0.1:" .. port .. ":80" })
    t.fails("docker.port_in_use", docker.run, docker,
      with { name = "runspec-second", command = serve, ports = "127.0.0.1:" .. port .. ":80" })
    t.fails("docker.no_such_container", docker.inspect, docker, "runspec-second")
    t.fails("docker.not_started", docker.run, docker,
      with { name = "runspec-second", init = false, command = { "no-such-program" } })
    t.fails("docker.no_such_container", docker.inspect, docker, "runspec-second")
    t.fails("docker.env_file", docker.run, docker, with { name = "runspec-second", env_file = "/nonexistent.env" })
    for _, wrong in ipairs { { ports = "1-2:3" }, { volumes = "./here:/x" }, { restart = "sometimes" },
      { memory = "much" }, { health = {} } } do
      t.fails("recipe.argument", docker.run, docker, with({ name = "runspec-second" }, wrong))
    end
  end },
  { "an option that is none is told by the method that was called", function(t, here)
    local docker = here:docker()
    local function none(what, near, call)
      local problem = t.fails("recipe.option", call)
      if not problem then return end
      t.matches(problem.message, "^" .. what .. " has no option '")
      t.matches(problem.hint, "^did you mean '" .. near .. "'?")
      t.equal(problem.hint:find("socket", 1, true), nil)
    end
    local function replaced(more) return function() docker:replace(with({ name = "runspec-x" }, more)) end end
    none("docker:replace", "restart", replaced { restrat = "always" })
    none("docker:replace", "healthy_within", replaced { healty_within = 1 })
    local problem = t.fails("recipe.argument", docker.run, docker, with { name = "runspec-x", restart = "allways" })
    if problem then t.equal(problem.message, '"allways" is no restart policy') end
    none("docker:oneoff", "timeout", function() docker:oneoff(with { timout = 1 }) end)
    none("docker:stop", "timeout", function() docker:stop("runspec-x", { timout = 1 }) end)
    none("docker:prune", "keep", function() docker:prune { kep = 1 } end)
    none("docker:pull", "auth", function() docker:pull(image, { auht = {} }) end)
    none("docker:events", "since", function() docker:events { sinse = 1 } end)
  end },
  { "a command runs to its end in a new container, which is then gone", function(t, here)
    local docker = here:docker()
    local result = docker:oneoff(with { command = "echo $A; echo oops >&2; exit 3", env = { A = "b c" },
      any_status = true })
    t.equal(result.stdout, "b c\n")
    t.equal(result.stderr, "oops\n")
    t.equal(result.status, 3)
    local problem = t.fails("command.failed", docker.oneoff, docker, with { command = "echo no database; exit 1" })
    if problem then t.equal(problem.detail, "no database\n") end
    t.fails("command.timeout", docker.oneoff, docker, with { command = "sleep 30", timeout = 0.7 })
    t.fails("docker.out_of_memory", docker.oneoff, docker,
      with { memory = "16m", command = { "python3", "-c", "x = bytearray(500000000)" } })
    t.equal(#docker:containers { all = true, labels = { ["deployrun.oneoff"] = "1", ["deployrun.runspec"] = "1" } }, 0)
  end },
  { "a container that exits at once is told with its log", function(t, here)
    local docker = here:docker()
    docker:run(with { name = "runspec-exits", command = "echo cannot find settings; exit 4" })
    local problem = t.fails("docker.exited", docker.wait_running, docker, "runspec-exits", { settled = 2 })
    if problem then
      t.matches(problem.message, "code 4")
      t.equal(problem.detail, "cannot find settings\n")
    end
  end },
  { "a new container takes the place of the old one", function(t, here)
    local docker = here:docker()
    local fields = with { name = "runspec-api", command = serve, env = { VERSION = "1" }, ports = "127.0.0.1::80" }
    docker:replace(with(fields, { healthy_within = 30, http = { port = 80, path = "/" } }))
    local first = docker:inspect("runspec-api").id
    t.equal(docker:replace(fields).unchanged, true)
    fields.env = { VERSION = "2" }
    docker:replace(with(fields, { healthy_within = 30, http = { port = 80, path = "/" }, settled = 0.5, grace = 2 }))
    t.equal(docker:exec("runspec-api", "echo $VERSION").stdout, "2\n")
    t.equal(docker:inspect("runspec-api.previous").id, first)
    t.equal(docker:image("deployrun-rollback/container:runspec-api").id, docker:image(image).id)
    docker:restore("runspec-api")
    t.equal(docker:inspect("runspec-api").id, first)
    t.equal(docker:exec("runspec-api", "echo $VERSION").stdout, "1\n")
    t.fails("docker.no_such_container", docker.inspect, docker, "runspec-api.previous")
  end },
  { "when the new one does not become healthy the old one serves again", function(t, here)
    local docker = here:docker()
    local before = docker:inspect("runspec-api").id
    t.fails("docker.exited", docker.replace, docker,
      with { name = "runspec-api", command = "echo broken; exit 1", grace = 2, healthy_within = 30 })
    local now = docker:inspect("runspec-api")
    t.equal(now.id, before)
    t.equal(now.running, true)
    t.fails("docker.no_such_container", docker.inspect, docker, "runspec-api.previous")
    t.fails("docker.unhealthy", docker.replace, docker, with { name = "runspec-api", command = serve, grace = 2,
      health = { cmd = "false", interval = 0.2, retries = 1 } })
    t.equal(docker:inspect("runspec-api").id, before)
    t.fails("docker.not_started", docker.replace, docker,
      with { name = "runspec-api", init = false, command = { "no-such-program" }, grace = 2 })
    t.equal(docker:inspect("runspec-api").running, true)
  end },
  { "what a replace that was cut off left behind is put right by the next", function(t, here)
    local docker = here:docker()
    local good = docker:inspect("runspec-api").id
    docker:stop("runspec-api", { timeout = 1 })
    docker:rename("runspec-api", "runspec-api.previous")
    docker:run(with { name = "runspec-api", command = { "sleep", "1000" }, env = { TRIAL = "1" } })
    t.fails("docker.exited", docker.replace, docker,
      with { name = "runspec-api", command = "exit 1", grace = 2, healthy_within = 30 })
    t.equal(docker:inspect("runspec-api").id, good)
    t.equal(docker:inspect("runspec-api").running, true)
  end },
  { "nothing is left behind", function(t, here)
    clear(here)
    t.equal(#here:docker():containers { all = true, labels = label }, 0)
  end },
})
