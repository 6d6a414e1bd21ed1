-- The steps of five guides for deploying by hand, each as the call that takes its place. Walked as a dry run: every
-- method, option and argument must be there. Its first action touches everything, so that no query is really asked.
-- What runs an application's own program (manage.py, a migration script) is a command; nothing else here may be one.
local image = "registry.example.com/team/shop:v2"
local url = "https://shop.example.com"

local function vps_by_hand(server)
  local code, backend = server:git("chemical_app"), server:cd("chemical_app/backend")
  step("stash, pull, pop", function()
    code:update { keep_local = true, branch = "main", ours = { "backend/settings.py" } }
  end):undo(function() code:reset("HEAD@{1}", { keep = true, ours = { "backend/settings.py" } }) end)
  step("migrate", function() backend:run { "venv/bin/python", "manage.py", "migrate", "--noinput" } end)
  step("find the unit and restart it", function()
    server:sudo():systemd({ find = { "gunicorn", "chemical_app" } }):restart { within = 60 }
  end)
  step("or reload without losing a connection", function()
    server:gunicorn({ folder = "chemical_app/backend" }):reload { serves = { url = url } }
  end)
end

local function compose_stack(server)
  local stack = server:compose { dir = "stack" }
  local docker = server:docker()
  step("build while the old one runs", function() stack:build { no_cache = true } end)
  step("migrate with the new image", function()
    stack:oneoff("api", { no_deps = true }):run { "python3", "manage.py", "migrate", "--noinput" }
  end)
  step("replace beat, workers and web", function()
    stack:replace("celery-beat", { mode = "stop-first" })
    stack:replace("celery")
    stack:replace("api", { proxy = "nginx", healthy_within = 60 })
  end):undo(function() stack:restore("api") end)
  step("wait for health", function() http.expect("http://localhost/health/", { attempts = 12, interval = 5 }) end)
  step("stop all, then start", function()
    stack:down()
    stack:up()
  end)
  step("restart for changed settings", function() stack:restart({ "api", "celery" }) end)
  step("follow logs, look at what runs", function()
    stack:wait_log("api", "Booting worker", { within = 30 })
    stack:logs("api", { tail = 50 })
    for _, container in ipairs(stack:ps("api")) do docker:stats(container) end
  end)
  step("the second stack of blue-green", function()
    local green = server:compose { dir = "stack", file = "docker-compose.green.yml", project = "green" }
    green:up()
    http.expect("http://localhost:8001/health/", { within = 60 })
    server:write("/etc/nginx/conf.d/upstream.conf", template.render("server 127.0.0.1:{{ port }};\n", { port = 8001 }))
    server:sudo():systemd("nginx"):reload()
    stack:stop()
  end)
  step("watch for ten minutes", function()
    http.watch { url = url .. "/api/tours/", during = "10m", max_error_rate = 0.01, stack = stack,
      services = { "api" }, max_memory = "512MiB" }
  end)
  step("roll back", function() server:git("stack"):reset("HEAD~1", { hard = true }) end)
end

local function hosted_app()
  local key = secret("DOKPLOY_KEY")
  local dokploy = http.session { base = "https://dokploy.example.com", headers = { ["x-api-key"] = key } }
  step("stop, wait, deploy", function()
    dokploy:post("/api/compose.stop", { json = { composeId = "shop" } })
    dokploy:expect("/api/compose.one?composeId=shop", { json = { ["composeStatus"] = "idle" }, within = 120 })
    dokploy:post("/api/compose.deploy", { json = { composeId = "shop" } })
  end)
end

local function registry_image(server)
  local docker = server:docker()
  local fields = { image = image, env_file = ".env", volumes = { "media:/app/media", "static:/app/staticfiles" } }
  local function with(more)
    for key, value in pairs(fields) do more[key] = more[key] or value end
    return more
  end
  step("log in and pull", function()
    docker:pull(image, { auth = { username = "deploy", password = secret("REGISTRY_PASSWORD") } })
  end)
  step("the required variables are there", function() docker:env_file(".env") end)
  step("database reachable", function() net.expect_port("db.example.com", 5432, { within = 60 }) end)
  step("the container before the deployment", function()
    docker:oneoff(with { command = { "python", "manage.py", "migrate", "--noinput" } })
    docker:oneoff(with { command = { "python", "manage.py", "collectstatic", "--noinput" } })
  end)
  step("replace the container", function()
    docker:replace(with { name = "shop", restart = "unless-stopped", ports = { "8000:8000" }, settled = 5,
      healthy_within = 100, http = { port = 8000, path = "/health/" } })
  end):undo(function() docker:restore("shop") end)
  step("tell the team", function()
    notify.slack { url = "https://hooks.example.com/services/1", text = "v2 is live" }
  end)
end

local function over_ssh(server)
  step("everything is committed and pushed", function()
    local here = git.open(".")
    here:status()
    here:tag("v2", { message = "release" })
    here:push { tags = { "v2" } }
  end)
  step("pull, build, start", function()
    local stack = server:compose { dir = "shop" }
    server:git("shop"):pull { branch = "main" }
    stack:build()
    stack:up { force_recreate = true }
    stack:verify_images({ "backend" })
  end)
  step("copy the exported data up", function() server:sync("export", "import", { delete = true }) end)
  step("log in and call what needs a login", function()
    local api = http.session { base = "http://localhost:8000" }
    api:login("/api/auth/login", { json = { username = "admin", password = secret("ADMIN_PASSWORD") } })
    api:get("/api/auth/me")
    http.head("http://localhost:3000/")
  end)
  step("firewall and certificate", function()
    server:port_open(8000)
    if http.certificate("shop.example.com").days_left < 14 then warn("the certificate expires soon") end
  end)
end

return recipe {
  name = "guide_steps",
  summary = "the steps of guides as calls",
  run = function()
    local server = host("local")
    server:run("true")
    step("A rented server, by hand", function() vps_by_hand(server) end)
    step("A compose stack", function() compose_stack(server) end)
    step("An app on a hosting panel", function() hosted_app() end)
    step("An image from a registry", function() registry_image(server) end)
    step("Compose over SSH", function() over_ssh(server) end)
  end,
}
