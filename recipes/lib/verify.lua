-- lib/verify.lua - proving that what was deployed is what answers.
local verify = {}

-- Fails unless the stack is the one meant: the web service has containers, and the proxy runs. Returns the services
-- whose image is to be pulled, because it is not built here.
function verify.stack_before(p, stack, services)
  if #stack:containers(p.web) == 0 and not p.from_unhealthy then
    fail(("the project '%s' has no container of '%s'"):format(stack.project, p.web),
      "a stack under another name? Give project=; see docker ps. Or bring it up first, with compose up")
  end
  if p.proxy ~= "" and #stack:ps(p.proxy) == 0 then
    fail(("the proxy '%s' of project '%s' does not run"):format(p.proxy, stack.project),
      "start it, or name it: proxy=; proxy= with nothing behind it: there is none")
  end
  local container = stack:ps(p.web)[1]
  if container and not container.health and not p.web_port then
    warn(("%s has no health check: a new container takes over once it has run for 2 s. Give web_port="):format(p.web))
  end
  local pulled = {}
  for _, service in ipairs(services) do
    if p.pull and not stack:spec(service).build then table.insert(pulled, service) end
  end
  return pulled
end

-- What a new web container must answer on its own address, where the recipe was given its port: health's path, under
-- health's name.
function verify.own_check(p)
  if not p.web_port then return nil end
  local name, path = p.health:match("^%a+://([^/?#]+)([^?#]*)")
  return { port = p.web_port, host = name, path = path ~= "" and path or "/", status = 200 }
end

-- Fails when one of the services' containers was started again by the Engine: a worker that dies some time after its
-- start and has no health check to tell.
function verify.keep_running(stack, services)
  for _, service in ipairs(services) do
    for _, container in ipairs(stack:containers(service)) do
      local restarts = stack.docker:inspect(container).restarts or 0 -- not known in a dry run
      if restarts > 0 then
        log(stack:logs(service, { tail = 20 }))
        fail(("%s has died and was started again (restarts: %d)"):format(container.name, restarts),
          "its log is above; more of it: docker logs " .. container.name)
      end
    end
  end
end

-- ---------------------------------------------------------------------------------------------- what visitors see

local Asked = {}
Asked.__index = Asked

-- Where a URL is asked from: this machine, as a visitor would; but localhost means the server's own.
local function asker(server, host_name, url)
  local name = url:match("^%a+://%[?([^/?#%]]+)"):gsub(":%d+$", "")
  local own = name == "localhost" or name == "::1" or name:match("^127%.")
  return own and host_name ~= "local" and server:http() or http
end

-- The health and version that p names, as they are seen from where they are asked.
function verify.seen_from(server, p)
  return setmetatable({ p = p, health_http = asker(server, p.host, p.health),
    version_http = p.version_url and asker(server, p.host, p.version_url) }, Asked)
end

-- A rolling update keeps what works working: it does not begin on a service that is down already.
function Asked:healthy_before()
  local p = self.p
  if p.from_unhealthy then return end
  local asked, answer = pcall(self.health_http.get, p.health)
  if asked and answer.status == 200 then return end
  fail(("%s does not answer 200 before the update: %s"):format(p.health, asked and answer.status or answer.message),
    "bring it up first, or give from_unhealthy=true to go ahead")
end

-- Measures from now on.
function Asked:probe()
  local p = self.p
  self.health_http.probe { url = p.health, every = 0.1 }
  if p.version_url then self.version_http.probe { url = p.version_url, every = 0.5, version = p.version_field } end
end

-- The version served now, where the recipe was told how to ask for it.
function Asked:version_before()
  local p = self.p
  if not p.version_url then return nil end
  local known, version = pcall(self.version_http.version, p.version_url, p.version_field)
  return known and version or nil
end

-- Health as the guide asks for it; on the last failure the service's own log is shown.
function Asked:health(stack)
  local p = self.p
  local ok, problem = pcall(self.health_http.expect, p.health,
    { status = 200, attempts = p.health_attempts, interval = p.health_interval })
  if ok then return end
  log(stack:logs(p.web, { tail = 20 }))
  error(problem)
end

-- The expected version must be served, or, when none was named, another one than before.
function Asked:version_after(before)
  local p = self.p
  if not p.version_url then return warn("the served version was not checked: give version_url") end
  local now, unknown
  local function is_served()
    local known, answer = pcall(self.version_http.version, p.version_url, p.version_field)
    now, unknown = known and answer or nil, not known and answer or nil
    return known and (not p.version or now == p.version)
  end
  local served, problem = pcall(wait, "the new version is served", { within = 10, every = 0.2 }, is_served)
  if not served and problem.code ~= "wait.timeout" then error(problem, 0) end
  if not served and unknown then error(unknown, 0) end
  if not served then fail(("version %s is served, and not %s"):format(now, p.version)) end
  if not now then return end -- a dry run
  if not p.version and now == before then
    fail(("version %s is still served"):format(now),
      "was there anything new on the branch? Give version= to say what is expected")
  end
  log(("version %s is served, before it was %s"):format(now, before or "unknown"))
end

return verify
