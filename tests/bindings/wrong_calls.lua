-- Calls that can never be right, one family after another: each is refused in the walk, before anything was changed.
-- The run itself does nothing: it would only come to begin when all of them were refused before it.
local function families(here)
  local docker, swarm, checkout = here:docker(), here:swarm(), here:git("nowhere")
  local folder = env.DEPLOYRUN_SOURCE_DIR .. "/tests/testbed/stack/app"
  local stack = here:compose { dir = folder, project = "deployrun-wrong-calls" }
  local unit = here:systemd("app")
  local image = "deployrun-test/base:1"
  local function container(fields)
    fields.image = fields.image or image
    fields.name = fields.name or "wrong"
    return function() docker:run(fields) end
  end
  return {
    containers = {
      ["a port that is none"] = container { ports = { "80:http" } },
      ["a port above 65535"] = container { ports = { "80000:80" } },
      ["a volume that is none"] = container { volumes = { ":" } },
      ["a memory limit that is none"] = container { memory = "much" },
      ["a restart policy that is none"] = container { restart = "sometimes" },
      ["an image that is none"] = container { image = "-x" },
      ["a name that is none"] = container { name = "a/b" },
      ["a one-off with a wrong port"] = function() docker:oneoff { image = image, ports = { "x" } } end,
      ["a replacement"] = function() docker:replace { image = image, name = "x", ports = { "x" } } end,
      ["a new name that is none"] = function() docker:rename("x", "a b") end,
      ["a signal that is none"] = function() docker:kill("x", { signal = "HOP" }) end,
      ["a health check that is none"] = function() docker:wait_healthy("x", { http = "/health" }) end,
      ["a health check's port"] = function() docker:wait_healthy("x", { http = { port = 99999 } }) end,
      ["a pattern that is none"] = function() docker:wait_log("x", "(") end,
      ["a time that is none"] = function() docker:stop("x", { timeout = "soon" }) end,
      ["starting what has no name"] = function() docker:start("a b") end,
      ["stopping an option"] = function() docker:stop("--all") end,
      ["restarting a path"] = function() docker:restart("a/../b") end,
      ["removing two at once"] = function() docker:remove("a,b") end,
      ["killing what has no name"] = function() docker:kill("a b") end,
      ["renaming what has no name"] = function() docker:rename("a b", "c") end,
      ["a command in what has no name"] = function() docker:exec("a b", "true") end,
      ["no command"] = function() docker:exec("x", {}) end,
      ["waiting for what has no name"] = function() docker:wait_exited("a b") end,
      ["health of what has no name"] = function() docker:wait_healthy("a b") end,
      ["the running of what has no name"] = function() docker:wait_running("a b") end,
      ["the log of what has no name"] = function() docker:wait_log("a b", "x") end,
      ["an event that is filtered by nothing"] = function() docker:wait_event { filters = { evnt = "die" } } end,
      ["an event filtered by a part of a name"] = function() docker:wait_event { filters = { net = "x" } } end,
    },
    images = {
      ["a pull of no image"] = function() docker:pull("a b") end,
      ["a push by digest"] = function() docker:push("app@sha256:" .. ("0"):rep(64)) end,
      ["a tag that is none"] = function() docker:tag(image, "a b") end,
      ["a tag for no image"] = function() docker:tag("a b", "app:1") end,
      ["a digest as a tag"] = function() docker:tag(image, "app@sha256:" .. ("0"):rep(64)) end,
      ["removing no image"] = function() docker:remove_image("a b") end,
    },
    ["networks and volumes"] = {
      ["a network's name"] = function() docker:network_create("a b") end,
      ["a network's subnet"] = function() docker:network_create("a", { subnet = "10.8.0.0/40" }) end,
      ["a volume's name"] = function() docker:volume_create("../x") end,
      ["removing no volume"] = function() docker:volume_remove("-f") end,
      ["removing no network"] = function() docker:network_remove("") end,
      ["connecting to no network"] = function() docker:network_connect("a b", "x") end,
      ["disconnecting no container"] = function() docker:network_disconnect("a", "x y") end,
    },
    compose = {
      ["a signal that is none"] = function() stack:kill("web", { signal = "HOP" }) end,
      ["a number of containers below none"] = function() stack:scale("api", -1) end,
      ["a number in scale that is none"] = function() stack:up { scale = { api = "two" } } end,
      ["a service that would be an option"] = function() stack:restart("-t") end,
      ["a service without a name"] = function() stack:up { services = { "" } } end,
      ["killing a service without a name"] = function() stack:kill("") end,
      ["stopping two services in one name"] = function() stack:stop("api web") end,
      ["starting what is no name"] = function() stack:start { 5 } end,
      ["building an option"] = function() stack:build { services = { "--pull" } } end,
      ["pulling an option"] = function() stack:pull { services = { "--quiet" } } end,
      ["a command in no service"] = function() stack:exec("", "true") end,
      ["a command in an option"] = function() stack:run("--rm", "true") end,
      ["scaling no service"] = function() stack:scale(nil, 2) end,
      ["a number for no service"] = function() stack:up { scale = { ["a b"] = 2 } } end,
    },
    swarm = {
      ["an order that is none"] = function() swarm:service_update("api", { order = "first-start" }) end,
      ["an image that is none"] = function() swarm:service_update("api", { image = "a b" }) end,
      ["replicas below none"] = function() swarm:service_update("api", { replicas = -1 }) end,
      ["a stack's name"] = function() swarm:deploy("a b", "stack.yml") end,
      ["converging on nothing"] = function() swarm:converge("") end,
      ["converging on two"] = function() swarm:converge("a b") end,
      ["an update of nothing"] = function() swarm:service_update("", { force = true }) end,
      ["a rollback of nothing"] = function() swarm:rollback("a b") end,
    },
    systemd = {
      ["a unit's name"] = function() here:systemd("a b") end,
      ["an option as a unit"] = function() here:systemd("--now") end,
      ["no line of the journal"] = function() unit:logs { lines = 0 } end,
    },
    processes = {
      ["a signal that is none"] = function() here:signal({ pid = 1 }, "HOP") end,
      ["a process below none"] = function() here:signal({ pid = -1 }, "HUP") end,
      ["a number below none"] = function() here:signal(-5, "TERM") end,
      ["a number that Linux never gives"] = function() here:signal(1 << 40, "TERM") end,
      ["waiting for a process below none"] = function() here:wait_gone(-1) end,
      ["looking for a process below none"] = function() here:process(-1) end,
      ["looking for children of none"] = function() here:processes { parent = -1 } end,
    },
    git = {
      ["a branch that would be an option"] = function() checkout:pull { branch = "--force" } end,
      ["a branch that would be a refspec"] = function() checkout:pull { branch = "a:b" } end,
      ["no revision"] = function() checkout:checkout("") end,
      ["a depth below one"] = function() checkout:clone("https://example.com/a.git", { depth = 0 }) end,
      ["an update of no branch"] = function() checkout:update { branch = "-x" } end,
    },
    network = {
      ["a port that is none"] = function() net.expect_port("localhost", 70000) end,
      ["a host that is a URL"] = function() net.port("http://localhost", 80) end,
      ["a name that is none"] = function() net.dns("a b") end,
    },
    files = {
      ["an env file of no dialect"] = function() here:env_file("x", { dialect = "bash" }) end,
      ["a mode that is none"] = function() here:download("a", "b", { mode = "rw" }) end,
      ["no path"] = function() here:download("", "b") end,
      ["writing to no path"] = function() here:write("", "text") end,
      ["a path with a zero byte"] = function() here:write("a\0b", "text") end,
    },
    watching = {
      ["restarts below none"] = function() http.watch { url = "http://localhost/", max_restarts = -1 } end,
      ["restarts that are text"] = function() http.watch { url = "http://localhost/", max_restarts = "few" } end,
      ["connections that are text"] = function() http.watch { url = "http://localhost/", max_connections = "few" } end,
      ["memory that is none"] = function() http.watch { url = "http://localhost/", max_memory = "much" } end,
      ["a limit that is text"] = function()
        http.watch { url = "http://localhost/", also = { x = { max = "few", function() return 1 end } } }
      end,
      ["looks without a pause"] = function() http.watch { url = "http://localhost/", look_every = 0 } end,
      ["a container without a name"] = function() http.watch { url = "http://localhost/", containers = { "" } } end,
      ["a stack that is its name"] = function() http.watch { url = "http://localhost/", stack = "shop" } end,
      ["a database that is its name"] = function() http.watch { url = "http://localhost/", database = "shop" } end,
    },
  }
end

-- Refused where nothing was assumed yet: afterwards 0 stands for a process that a walk cannot know.
local function kernel(here)
  return {
    ["the kernel"] = function() here:signal({ pid = 0 }, "HUP") end,
    ["the kernel, by its number"] = function() here:signal(0, "HUP") end,
    ["waiting for the kernel"] = function() here:wait_gone { pid = 0 } end,
    ["looking for the kernel"] = function() here:process(0) end,
  }
end

local function urls(here)
  return {
    ["a port above 65535"] = function() http.expect("http://localhost:99999/") end,
    ["a URL without a host"] = function() http.get("http:///x") end,
    ["a URL of another kind"] = function() http.request { method = "POST", url = "ftp://localhost/" } end,
    ["a probe of no URL"] = function() http.probe { url = "localhost:bad" } end,
    ["a watch of no URL"] = function() http.watch { url = "http://localhost:99999/", during = 1 } end,
    ["a message to no URL"] = function()
      notify.webhook { url = "https://example.com:x/", json = { x = "y" }, required = true }
    end,
    ["from the target"] = function() here:http().expect("http://localhost:99999/") end,
  }
end

-- Calls each; adds what was not refused with the code to `missed`. Returns how many there were.
local function call_all(calls, code, family, missed)
  local count = 0
  for what, call in pairs(calls) do
    local accepted, problem = pcall(call)
    count = count + 1
    if accepted or problem.code ~= code then
      missed[#missed + 1] = ("%s: %s: %s"):format(family, what, accepted and "accepted" or problem)
    end
  end
  return count
end

return recipe {
  name = "wrong_calls",
  summary = "calls that can never be right are refused in the walk",
  run = function()
    local here, missed = host("local"), {}
    local count = call_all(kernel(here), "recipe.argument", "processes", missed)
    if here:run({ "echo", "real" }).stdout == "real\n" then return end
    for family, calls in pairs(families(here)) do
      count = count + call_all(calls, "recipe.argument", family, missed)
    end
    count = count + call_all(urls(here), "http.url", "http", missed)
    count = count + call_all({ ["no TLS"] = function() http.certificate("http://localhost/") end }, "recipe.argument",
      "http.certificate", missed)
    if #missed > 0 then fail(table.concat(missed, "\n")) end
    if count < 50 then fail("only " .. count .. " calls were made") end
  end,
}
