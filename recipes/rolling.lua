-- rolling.lua - a rolling update of a compose stack: new containers take over while the old ones still serve.
--
-- The database is migrated and static files are collected with the new image, in one-off containers, before any
-- running container is replaced. When the new version does not become healthy the old one is still there; what was
-- replaced already is brought back from its recorded image. See docs/recipes/rolling.md.

local django = require("lib.django")
local verify = require("lib.verify")

return recipe {
  name = "rolling",
  summary = "Replace the services of a compose stack one at a time while the others keep serving",

  params = {
    host = param.host { default = "local", help = "where the stack runs" },
    dir = param.path { required = true, help = "the checkout that holds the compose file" },
    file = param.string { help = "the compose file, inside dir; default: what compose finds itself" },
    project = param.string { help = "the compose project; default: what compose makes of dir" },
    branch = param.string { default = "main", help = "what is pulled" },
    keep_local = param.bool { default = false, help = "keep edits made on the server; else those in the way stop it" },
    ours = param.list { help = "with keep_local: files whose edits win where the update changes the same lines" },
    web = param.string { default = "api", help = "the service that answers requests" },
    workers = param.list { default = { "celery" }, help = "services that work in the background" },
    beat = param.string { default = "celery-beat", help = "the scheduler, of which there are never two; empty: none" },
    proxy = param.string { default = "nginx", help = "the nginx service in front of web; empty: none" },
    mode = param.enum { default = "start-first", choices = { "start-first", "stop-first" },
      help = "start-first: without a gap; stop-first: as the guide does it, with one" },
    migrations = param.enum { default = "compatible", choices = { "compatible", "any" },
      help = "compatible: refuse what the serving code cannot live with; any: only tell" },
    lock_timeout = param.duration { default = "5s", help = "how long a migration may wait for a lock; 0s: for ever" },
    no_cache = param.bool { default = false, help = "build without the cache, after a change of dependencies" },
    pull = param.bool { default = true, help = "pull the images of services that are not built here" },
    health = param.url { default = "http://localhost/health/", help = "must answer 200, also during the update" },
    health_attempts = param.int { default = 12, help = "times health_interval: how long health may take at the end" },
    health_interval = param.duration { default = "5s", help = "see health_attempts" },
    web_port = param.int { help = "where web has no health check: its port in the container, asked for health's path" },
    healthy_within = param.duration { default = "60s", help = "time a new container has to become healthy" },
    grace = param.duration { default = "30s", help = "time an old container has to finish its work" },
    from_unhealthy = param.bool { default = false, help = "go ahead even when it does not answer now" },
    version_url = param.url { help = "tells the served version as JSON" },
    version_field = param.string { default = "version", help = "the field of that JSON" },
    version = param.string { help = "the version that must be served at the end; default: another than before" },
  },

  run = function(p)
    local server = host(p.host)
    local stack = server:compose { dir = p.dir, file = p.file, project = p.project }
    local services = { p.web, table.unpack(p.workers) }
    if p.beat ~= "" then table.insert(services, p.beat) end
    local pulled = verify.stack_before(p, stack, services)
    local code = server:git(p.dir)
    local before = code:is_checkout() and code:head()
    server:lock("deploy-" .. stack.project)
    local asked = verify.seen_from(server, p)
    asked:healthy_before()
    asked:probe()
    local served = asked:version_before()

    -- What is undone is started again with the compose file it was started with.
    local function old_code()
      if before and code:head() ~= before then code:reset(before, { keep = true, ours = p.ours }) end
    end

    local function replace(service, options)
      step("Replace " .. service, function()
        options.healthy_within, options.grace, options.on_restore = p.healthy_within, p.grace, old_code
        stack:replace(service, options)
      end):undo(function() stack:restore(service) end)
    end

    step("Update code", function()
      if not before then return log(p.dir .. " is not a checkout: its files are used as they are") end
      if not p.keep_local then return code:pull { branch = p.branch, ff_only = true } end
      local kept = code:update { branch = p.branch, keep_local = true, ours = p.ours }.kept
      if #kept > 0 then log("edited here, and still so: " .. table.concat(kept, ", ")) end
    end):undo(old_code)

    step("Build images", function()
      if p.proxy ~= "" then stack:proxy(p.proxy):check() end -- what was pulled may be mounted into it
      stack:build { no_cache = p.no_cache }
      if #pulled > 0 then stack:pull { services = pulled } end
    end):undo(function() stack:restore_images() end)

    step("Migrate the database and collect static files", function()
      local new = stack:oneoff(p.web, { no_deps = true })
      django.judge(new, p.migrations)
      django.migrate(new, p.lock_timeout)
      django.collect_static(new)
    end)

    if p.beat ~= "" then replace(p.beat, { mode = "stop-first" }) end
    for _, worker in ipairs(p.workers) do replace(worker, { mode = p.mode }) end
    replace(p.web, { mode = p.mode, proxy = p.proxy ~= "" and p.proxy or nil, http = verify.own_check(p) })

    step("Verify health and version", function()
      asked:health(stack)
      stack:verify_images(services)
      verify.keep_running(stack, services)
      asked:version_after(served)
    end)

    step("Show status", function()
      for _, container in ipairs(stack:ps()) do log(container.name, container.health or container.state) end
    end)
  end,
}
