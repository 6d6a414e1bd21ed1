-- lib/verify.lua - proving that what was deployed is what answers.
local verify = {}

-- A rolling update keeps what works working: it does not begin on a service that is down already.
function verify.healthy_before(p)
  if p.from_unhealthy then return end
  local asked, answer = pcall(http.get, p.health)
  if asked and answer.status == 200 then return end
  fail(("%s does not answer 200 before the update: %s"):format(p.health, asked and answer.status or answer.message),
    "bring it up first, or give from_unhealthy=true to go ahead")
end

-- The version served now, where the recipe was told how to ask for it.
function verify.version_before(p)
  if not p.version_url then return nil end
  local known, version = pcall(http.version, p.version_url, p.version_field)
  return known and version or nil
end

-- Health as the guide asks for it; on the last failure the service's own log is shown.
function verify.health(p, stack)
  local ok, problem = pcall(http.expect, p.health,
    { status = 200, attempts = p.health_attempts, interval = p.health_interval })
  if ok then return end
  log(stack:logs(p.web, { tail = 20 }))
  error(problem)
end

-- The expected version must be served, or, when none was named, another one than before.
function verify.version_after(p, before)
  if not p.version_url then return warn("the served version was not checked: give version_url") end
  if p.version then return http.expect(p.version_url, { json = { [p.version_field] = p.version }, within = 10 }) end
  local now = http.version(p.version_url, p.version_field)
  if now == before then
    fail(("version %s is still served"):format(now),
      "was there anything new on the branch? Give version= to say what is expected")
  end
  log(("version %s is served, before it was %s"):format(now, before or "unknown"))
end

return verify
