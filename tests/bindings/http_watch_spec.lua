-- http_watch_spec.lua - http.watch against the servers of http_world.sh: what fails a run, and what must not.
local spec = require "spec"

local odd

-- Options for a quick watch of a path.
local function quick(path, more)
  local options = { url = odd .. path, every = 0.02, during = 1 }
  for name, value in pairs(more or {}) do options[name] = value end
  return options
end

return spec.recipe("http_watch", {
  { "the world is known", function() odd = env.WORLD_ODD end },
  { "a steady service passes, and the figures are told", function(t, here)
    local report = here:http():watch(quick("/echo", { max_p95 = 5 }))
    t.equal(report.failures, 0)
    t.equal(report.requests and report.requests >= 20, true)
    local one = report.urls and report.urls[odd .. "/echo"] or {}
    t.equal(one.statuses and one.statuses["200"], report.requests)
    t.equal(one.p95_ms and one.p95_ms > 0, true)
  end },
  { "one flaky sample does not decide", function(t, here)
    local name = "/flaky" .. (env.SPEC_SSH_CONFIG and "1" or "2")
    local report = here:http():watch(quick(name))
    t.equal(report.failures, 1)
  end },
  { "a burst of four does not decide", function(t, here)
    local name = "/burst" .. (env.SPEC_SSH_CONFIG and "1" or "2")
    t.equal(here:http():watch(quick(name)).failures, 4)
  end },
  { "a service that broke fails the watch before its end, with the last bad answers", function(t, here)
    local name = "/broken" .. (env.SPEC_SSH_CONFIG and "1" or "2")
    local problem = t.fails("http.watch_failed", here:http().watch, quick(name, { during = "10m" }))
    if problem then
      t.matches(problem.message, "of the last %d+ answers were bad")
      t.matches(problem.detail, "the status is 502 Bad Gateway, expected 2xx")
      t.matches(problem.detail, "upstream is gone")
    end
  end },
  { "a service that is slow fails by the 95th percentile", function(t, here)
    local problem = t.fails("http.watch_failed", here:http().watch, quick("/slow", { max_p95 = 0.1, during = "10m" }))
    if problem then
      t.matches(problem.message, "95 %% of the last %d+ answers took up to")
      t.equal(problem.detail, nil)
      t.equal(problem.hint, "the service's log says more")
    end
    t.equal(here:http():watch(quick("/slow", { max_p95 = 30 })).failures, 0)
  end },
  { "too few answers for the rule, but none of them good: it fails at the end", function(t, here)
    local problem = t.fails("http.watch_failed", here:http().watch, quick("/status/503", { every = 0.3, during = 0.7 }))
    if problem then t.matches(problem.message, "of all %d answers were bad") end
  end },
  { "where nothing listens every answer is bad", function(t, here)
    local problem = t.fails("http.watch_failed", here:http().watch,
      { url = "http://127.0.0.1:1/", every = 0.02, during = "10m" })
    if problem then t.matches(problem.detail, "127.0.0.1:1") end
  end },
  { "each of several URLs is judged by itself", function(t, here)
    local problem = t.fails("http.watch_failed", here:http().watch, { every = 0.02, during = "10m",
      urls = { odd .. "/echo", odd .. "/x", odd .. "/y", odd .. "/status/404" }, max_error_rate = 0.5 })
    if problem then t.matches(problem.message, "/status/404") end
  end },
  { "what a recipe measures itself is judged too, after three looks", function(t, here)
    local looks = 0
    local options = quick("/echo", { look_every = 0.05, also = { connections = { max = 80, function()
      looks = looks + 1
      return looks == 3 and 100 or 20
    end } } })
    local report = here:http():watch(options)
    t.equal(report.measured and report.measured.connections.max, 100)
    options.during, options.also = "10m", { connections = { max = 80, function() return 81 end } }
    local problem = t.fails("http.watch_failed", here:http().watch, options)
    if problem then t.matches(problem.message, "connections: it is 81, at most 80, 3 looks in a row") end
    options.also = { queue = { min = 1, function() error("no such table") end } }
    problem = t.fails("http.watch_failed", here:http().watch, options)
    if problem then t.matches(problem.message, "queue: it cannot be measured: no such table") end
  end },
  { "wrong calls are the recipe's fault", function(t)
    t.fails("recipe.argument", http.watch, {})
    t.fails("recipe.argument", http.watch, { url = odd .. "/echo", also = { x = { max = 1 } } })
    t.fails("recipe.option", http.watch, { url = odd .. "/echo", nonsense = 1 })
    t.fails("recipe.argument", http.watch, { url = odd .. "/echo", max_error_rate = 2, during = 0.1 })
    t.fails("recipe.argument", http.watch, { url = odd .. "/echo", also = { x = { max = 1, function() end } } })
  end },
})
