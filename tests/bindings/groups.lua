-- groups.lua - groups of hosts: what they are made of, results by name, batches, and how many may fail.
local spec = require "spec"

-- A group of n names for this machine: h1, h2, …
local function group(n, options)
  local list = {}
  for i = 1, n do list[i] = { "local", name = "h" .. i } end
  for name, value in pairs(options or {}) do list[name] = value end
  return hosts(list)
end

local function join(list) return table.concat(list, " ") end

-- Runs fn for each host; those named in `bad` fail. Gives the results, or the error, and who was begun.
local function try(t, web, options, bad)
  local begun = {}
  local ok, result = pcall(parallel, web, options, function(server)
    begun[#begun + 1] = server:name()
    server:read { "true" }
    if bad[server:name()] and t.real then fail("it is " .. server:name(), "the hint") end
    return server:name()
  end)
  table.sort(begun)
  return ok, result, join(begun)
end

return spec.recipe("groups", {
  { "a group is a list of targets, in order", function(t)
    local web = hosts { "local", { "local", name = "second" }, host { "local", name = "third" } }
    t.equal(#web, 3)
    t.equal(web[2]:name(), "second")
    t.equal(join(web:names()), "local second third")
    t.equal(tostring(web), "local, second, third (3 hosts)")
    local seen = {}
    for i, server in ipairs(web) do seen[i] = server:name() end
    t.equal(join(seen), "local second third")
    t.equal(hosts(web), web)
  end },
  { "groups of groups, and a host that is in two of them counts once", function(t)
    local web, db = group(3), hosts { { "local", name = "h3" }, { "local", name = "db" } }
    t.equal(join(hosts { web, db }:names()), "h1 h2 h3 db")
    t.equal(join(hosts { { "local", { "local", name = "x" } }, web }:names()), "local x h1 h2 h3")
    t.equal(join(web:only("h3", "h1"):names()), "h1 h3")
    t.equal(join(web:except("h2"):names()), "h1 h3")
    local problem = t.fails("recipe.argument", hosts, { web, web:cd("/tmp") })
    if problem then t.matches(problem.hint, "not the same user, port or folder") end
  end },
  { "string keys are defaults for all, and nothing is connected before it is used", function(t)
    local web = hosts { "no-such-host.invalid", { "deploy@127.0.0.1", port = 1 }, user = "nobody", config = "none" }
    t.equal(#web, 2)
  end },
  { "what fails in a method of a group names the recipe's line, also where a host is not reached", function(t)
    local web = group(2)
    local problem = t.fails("command.not_found", function() local _ = web:read { "no-such-program" } end)
    t.matches(problem and problem.where or "", "groups.lua:%d+$")
    local away = hosts { "no-such-host.invalid", config = "none" }
    problem = t.fails("ssh.resolve", function() local _ = away:read("true") end)
    t.matches(problem and problem.where or "", "groups.lua:%d+$")
  end },
  { "wrong lists are told", function(t)
    for _, wrong in ipairs { "web1", 5, {}, { 5 }, { "local", "local" }, { { "local", name = "failed" } },
      { "local", name = "x" }, { { "local", name = "" } } } do
      t.fails("recipe.argument", hosts, wrong)
    end
    t.fails("recipe.option", hosts, { "local", usr = "x" })
    t.fails("recipe.argument", hosts, { "a", nil, "c" })
    local web = group(2)
    t.fails("recipe.argument", web.only, web, "h3")
    t.fails("recipe.argument", web.except, web, "h1", "h2")
    t.fails("recipe.argument", function() web[3] = "x" end)
    local problem = t.fails("recipe.unknown_method", function() return web.raed end)
    if problem then t.equal(problem.hint, "did you mean 'read'?") end
  end },
  { "results are by host, in the order of the group", function(t)
    local web = group(12)
    local names = web:read { "sh", "-c", "echo $((6 * 7))" }
    t.equal(names.h12.value, "42")
    t.equal(#names.ok, 12)
    t.equal(#names.failed, 0)
    local order = {}
    for name, result in pairs(names) do order[#order + 1] = name .. tostring(result.ok) end
    t.equal(order[2] .. order[10], "h2trueh10true")
    t.matches(tostring(names), "^12 ok$")
    local problem = t.fails("recipe.argument", function() return names.h13 end)
    if problem then t.matches(problem.message, "no result of a host 'h13'") end
  end },
  { "what a method gives for each host is gone on with by each", function(t)
    for method, call in pairs { pull = function(web) web:docker():pull("x") end,
      get = function(web) web:http():get("http://x") end } do
      local problem = t.fails("recipe.argument", call, group(2))
      if problem then
        t.matches(problem.message, "gives results by host, which have no '" .. method .. "'")
        t.matches(problem.hint, "^write web:each%(function%(server%) return server:%l+%(…%):" .. method .. "%(…%) end")
      end
    end
  end },
  { "views are views of every host", function(t)
    local web = group(2):cd("/"):env { WHERE = "there" }
    local at = web:read("echo $WHERE $PWD")
    t.equal(at.h1.value .. at.h2.value, "there /there /")
    t.equal(web[1]:read("pwd"), "/")
  end },
  { "every method of a target is one of a group", function(t)
    local web = group(2)
    web:write(t.folder .. "/same", "text", { max_fail = 1 })
    t.equal(web:read({ "cat", t.folder .. "/same" }).h2.value, "text")
    t.equal(web:stat(t.folder .. "/same").h1.value.size, t.real and 4 or nil)
    t.equal(web:each(function(server) return server:name() .. "!" end).h2.value, "h2!")
  end },
  { "without a bound the first failure ends the rest and is itself thrown", function(t)
    local ok, problem = try(t, group(4), { limit = 1 }, { h2 = true })
    if not t.real then return end
    t.equal(ok, false)
    t.equal(problem.code, "failed")
    t.equal(problem.message, "it is h2")
  end },
  { "with on_error continue nothing is thrown, and errors are results", function(t)
    local ok, results, begun = try(t, group(4), { on_error = "continue" }, { h2 = true, h4 = true })
    t.equal(ok, true)
    t.equal(begun, "h1 h2 h3 h4")
    if not t.real then return end
    t.equal(join(results.failed), "h2 h4")
    t.equal(join(results.ok), "h1 h3")
    t.equal(results.h2.error.message, "it is h2")
    t.equal(tostring(results), "2 ok, 2 failed: h2 (failed), h4 (failed)")
  end },
  { "with max_fail that many may fail", function(t)
    local ok, results, begun = try(t, group(4), { max_fail = 1, limit = 1 }, { h2 = true })
    t.equal(ok, true)
    t.equal(begun, "h1 h2 h3 h4")
    t.equal(results.h4.value, "h4")
  end },
  { "one more ends it: nothing new is begun, what is under way ends, and every error is kept", function(t)
    local ok, problem, begun = try(t, group(6), { max_fail = 1, limit = 1 }, { h1 = true, h3 = true })
    if not t.real then return end
    t.equal(ok, false)
    t.equal(begun, "h1 h2 h3")
    t.equal(problem.code, "parallel.failed")
    t.equal(problem.message, "2 of 6 hosts failed: h1 (failed), h3 (failed); not begun: h4, h5, h6")
    t.equal(problem.hint, "the hint")
    t.equal(problem.detail, "h1: failed: it is h1\nh3: failed: it is h3")
    t.equal(problem.cause.message, "it is h1")
    t.equal(problem.results.h3.error.message, "it is h3")
    t.equal(problem.results.h2.value, "h2")
    t.equal(join(problem.results.skipped), "h4 h5 h6")
    t.equal(problem.results.h6.skipped, true)
    t.matches(problem.where, "groups.lua:%d+$")
  end },
  { "those under way are left to end, unless it is said otherwise", function(t)
    for _, on_error in ipairs { "continue", "stop" } do
      local done = 0
      local _, problem = pcall(parallel, group(3), { max_fail = 0, on_error = on_error }, function(server)
        if server:name() == "h1" then server:read { "sleep", "0.05" } end
        if server:name() == "h1" and t.real then fail("soon") end
        server:read { "sleep", on_error == "stop" and "20" or "0.2" }
        done = done + 1
      end)
      if t.real then
        t.equal(done, on_error == "stop" and 0 or 2)
        t.equal(problem.code, "parallel.failed")
      end
    end
  end },
  { "the next batch begins when the one before is complete", function(t)
    local now, most, order = 0, 0, {}
    parallel(group(7), { batch = { 1, "30%", 2 } }, function(server, i)
      now = now + 1
      most = math.max(most, now)
      order[#order + 1] = now
      server:read { "sleep", "0.0" .. i }
      now = now - 1
    end)
    t.equal(join(order), "1 1 2 3 1 2 1")
    t.equal(most, 3)
  end },
  { "batches: shares are rounded up, the last repeats, the rest is what is left", function(t)
    for batch, expected in pairs { ["25%"] = "3 3 3 1", ["1%"] = "1 1 1 1 1 1 1 1 1 1", ["100%"] = "10",
      ["33.4%"] = "4 4 2", [4] = "4 4 2", [99] = "10" } do
      local sizes, inside = {}, 0
      parallel(group(10), { batch = batch }, function(server, i)
        if inside == 0 then sizes[#sizes + 1] = 0 end
        inside = inside + 1
        sizes[#sizes] = sizes[#sizes] + 1
        server:read { "true" }
        if i == 10 then return end
        server:read { "sleep", "0.02" }
        inside = inside - 1
      end)
      t.equal(join(sizes), expected)
    end
  end },
  { "a failed canary keeps the others from beginning", function(t)
    local ok, problem, begun = try(t, group(5), { batch = { 1, "50%" } }, { h1 = true })
    if not t.real then return end
    t.equal(ok, false)
    t.equal(begun, "h1")
    t.equal(problem.message, "1 of 5 hosts failed: h1 (failed); not begun: h2, h3, h4, h5")
  end },
  { "max_fail as a number counts all batches together", function(t)
    local ok, problem, begun = try(t, group(8), { batch = 2, max_fail = 1 }, { h1 = true, h3 = true })
    if not t.real then return end
    t.equal(ok, false)
    t.equal(begun, "h1 h2 h3 h4")
    t.equal(problem.message, "2 of 8 hosts failed: h1 (failed), h3 (failed); not begun: h5, h6, h7, h8")
  end },
  { "max_fail as a share holds in each batch too, so that a canary must be whole", function(t)
    local ok, problem, begun = try(t, group(3), { batch = { 1, "50%" }, max_fail = "40%" }, { h1 = true })
    if t.real then
      t.equal(ok, false)
      t.equal(begun, "h1")
      t.equal(problem.message, "1 of 3 hosts failed: h1 (failed), more than 40% of batch 1; not begun: h2, h3")
    end
    ok, problem = try(t, group(8), { batch = 4, max_fail = "25%" }, { h1 = true, h8 = true })
    t.equal(ok, true)
    t.equal(#problem.failed, t.real and 2 or 0)
    ok, problem, begun = try(t, group(8), { batch = 4, max_fail = "25%", limit = 1 }, { h6 = true, h7 = true })
    if not t.real then return end
    t.equal(ok, false)
    t.equal(begun, "h1 h2 h3 h4 h5 h6 h7")
    t.equal(problem.message, "2 of 8 hosts failed: h6 (failed), h7 (failed), more than 25% of batch 2; not begun: h8")
  end },
  { "unreachable hosts count as failed before anything is begun", function(t)
    local web = hosts { group(3), { "127.0.0.1", name = "gone", port = 1, config = "none" } }
    local ok, results, begun = try(t, web, { max_fail = 1 }, {})
    t.equal(ok, true)
    t.equal(begun, "h1 h2 h3")
    t.equal(results.gone.error.code, "ssh.connect")
    local problem
    ok, problem, begun = try(t, web, { batch = 1 }, {})
    t.equal(ok, false)
    t.equal(begun, "")
    t.equal(problem.message, "1 of 4 hosts failed: gone (ssh.connect); not begun: h1, h2, h3")
    ok, problem = try(t, web, {}, {})
    t.equal(ok, false)
    t.equal(problem.code, "ssh.connect")
    t.equal(problem.target, "127.0.0.1")
  end },
  { "unreachable hosts of later batches count from the beginning", function(t)
    local web = hosts { group(3), { "127.0.0.1", name = "gone", port = 1, config = "none" } }
    local ok, problem, begun = try(t, web, { batch = 1, max_fail = 1 }, { h1 = true })
    if t.real then
      t.equal(ok, false)
      t.equal(begun, "h1")
      t.equal(problem.message, "2 of 4 hosts failed: h1 (failed), gone (ssh.connect); not begun: h2, h3")
    end
    ok, problem, begun = try(t, web, { batch = 2, max_fail = "25%" }, {})
    t.equal(ok, false)
    t.equal(begun, "")
    t.equal(problem.message,
      "1 of 4 hosts failed: gone (ssh.connect), more than 25% of batch 2; not begun: h1, h2, h3")
    ok, problem, begun = try(t, web, { max_fail = "25%" }, {})
    t.equal(ok, true)
    t.equal(begun, "h1 h2 h3")
    t.equal(join(problem.failed), "gone")
  end },
  { "the error has the last lines of each failed host, in one screen", function(t)
    local function lines(n, most)
      local problem = t.fails("parallel.failed", parallel, group(n), { max_fail = 0 }, function(server)
        server:run("for i in $(seq 30); do echo line $i of " .. server:name() .. " >&2; done; exit 3")
      end)
      if not problem then return end
      local all = {}
      for line in problem.detail:gmatch("[^\n]+") do all[#all + 1] = line end
      t.equal(#all, most)
      return all
    end
    for n, most in pairs { 12, 12, 12, 12, 10, 10 } do
      local all = lines(n, most)
      if all then t.matches(all[1], "^h1: command%.failed: .+ exited with status 3$") end
      if all then t.equal(all[math.max(3, 12 // n)], "  line 30 of h1") end
      if all and n > 4 then t.equal(all[most], ("and %d more"):format(n - 3)) end
    end
  end },
  { "reachable gives the hosts that answer", function(t)
    local web = hosts { group(2), { "127.0.0.1", name = "gone", port = 1, config = "none" } }
    t.equal(join(web:reachable():names()), "h1 h2")
    local ok, problem = pcall(web.reachable, web, { max_fail = 0 })
    t.equal(ok, false)
    t.equal(problem.code, "parallel.failed")
    ok, problem = pcall(function() return web:only("gone"):reachable() end)
    t.equal(ok, false)
    t.equal(problem.code, "recipe.argument")
  end },
  { "options can be kept with the group", function(t)
    local most, now = 0, 0
    group(5):with({ batch = 2 }):with({ max_fail = 1 }):each(function(server)
      now = now + 1
      most = math.max(most, now)
      server:read { "sleep", "0.02" }
      now = now - 1
    end)
    t.equal(most, 2)
    t.fails("recipe.option", function() group(2):with { bach = 2 } end)
  end },
  { "locks on all hosts are given back together", function(t)
    local web = group(1)
    do
      local locks <close> = web:lock("groups-spec")
      t.equal(#locks.ok, 1)
    end
    local again <close> = web[1]:lock("groups-spec")
    t.equal(again ~= nil, true)
  end },
  { "lists that are no groups have batches and bounds too", function(t)
    local results = parallel({ "a", "b", "c" }, { batch = 2, max_fail = 1 }, function(item)
      if item == "b" then fail("no") end
      return item
    end)
    t.equal(results[3].value, "c")
    t.equal(join(results.failed), "2")
    local problem = t.fails("parallel.failed", parallel, { 1, 2 }, { batch = 1 }, function() fail("no") end)
    if problem then t.equal(problem.message, "1 of 2 items failed: 1 (failed); not begun: 2") end
  end },
  { "wrong options are told", function(t)
    local web = group(2)
    for _, batch in ipairs { 0, -1, 1.5, "25", "0%", "101%", "x%", {}, { 1, 0 }, true } do
      t.fails("recipe.argument", parallel, web, { batch = batch }, print)
    end
    for _, most in ipairs { -1, 1.5, "1", "101%", {} } do
      t.fails("recipe.argument", parallel, web, { max_fail = most }, print)
    end
    local problem = t.fails("recipe.argument", parallel, web, { max_fail = "0" }, print)
    if problem then t.matches(problem.message, "not \"0\"$") end
    problem = t.fails("recipe.argument", parallel, web, { limit = "2" }, print)
    if problem then t.matches(problem.message, "not \"2\"$") end
    t.fails("recipe.option", web.each, web, { bacth = 1 }, print)
    problem = t.fails("recipe.option", web.run, web, "true", { bacth = 1 })
    if problem then t.matches(problem.hint, "^did you mean 'batch'%? The options are: batch, .*max_fail, .*timeout") end
    problem = t.fails("recipe.option", web.run, web, "true", { timout = 1, limit = 1 })
    if problem then t.matches(problem.hint, "^did you mean 'timeout'%? The options are: batch, .*max_fail, ") end
    t.fails("recipe.argument", web.run, web, { "true", batch = 1 })
  end },
  { "steps and their undo may stand in lanes", function(t)
    local undone = {}
    parallel(group(3), function(server)
      step("step on " .. server:name(), function() server:read { "true" } end)
        :undo(function() undone[#undone + 1] = server:name() end)
    end)
    t.equal(#undone, 0)
  end },
})
