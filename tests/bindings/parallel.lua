-- parallel.lua - lanes: how many at a time, what comes back, what an error does to the others.
local spec = require "spec"

-- Numbers up to n.
local function list(n)
  local numbers = {}
  for i = 1, n do numbers[i] = i end
  return numbers
end

-- Waits without changing anything.
local function sleep(here, seconds) here:read { "sleep", tostring(seconds) } end

-- Counts how many are inside at a time.
local function gauge(here)
  local g = { now = 0, most = 0 }
  function g.pass()
    g.now = g.now + 1
    g.most = math.max(g.most, g.now)
    sleep(here, 0.02)
    g.now = g.now - 1
  end
  return g
end

return spec.recipe("parallel", {
  { "each item has its result, in order", function(t, here)
    local results = parallel(list(5), function(item, i)
      sleep(here, (6 - i) * 0.01)
      return item * 10, i
    end)
    t.equal(#results, 5)
    for i, result in ipairs(results) do
      t.equal(result.ok, true)
      t.equal(result.value, i * 10)
    end
    t.equal(#parallel({}, print), 0)
  end },
  { "no more than the limit run at a time, and all run", function(t, here)
    local few, all = gauge(here), gauge(here)
    parallel(list(7), { limit = 2 }, few.pass)
    parallel(list(7), { limit = 100 }, all.pass)
    if t.real then
      t.equal(few.most, 2)
      t.equal(all.most, 7)
      t.equal(few.now + all.now, 0)
    end
  end },
  { "with on_error continue every item runs, and errors are results", function(t, here)
    local results = parallel(list(4), { on_error = "continue", limit = 2 }, function(item)
      sleep(here, 0.01)
      if item % 2 == 0 then fail("item " .. item, "a hint") end
      if item == 3 then return nil + item end
      return item
    end)
    t.equal(results[1].value, 1)
    t.equal(results[2].error.message, "item 2")
    t.equal(results[2].error.hint, "a hint")
    t.equal(results[3].error.code, "recipe.error")
    t.equal(results[4].ok, false)
  end },
  { "with on_error stop the first failure ends the others and is thrown", function(t, here)
    local seen, closed = {}, 0
    local problem = t.fails("failed", parallel, list(6), { limit = 3 }, function(item)
      local _ <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
      seen[item] = "begun"
      if item == 2 then
        sleep(here, 0.05)
        fail("the second")
      end
      sleep(here, 20)
      seen[item] = "done"
    end)
    if not problem then return end
    t.equal(problem.message, "the second")
    t.equal(seen[1], "begun")
    t.equal(seen[3], "begun")
    t.equal(seen[4], nil)
    t.equal(closed, 3)
  end },
  { "what unwinds may wait, and is waited for", function(t, here)
    local closed = 0
    t.fails("failed", parallel, list(3), function(item)
      local _ <close> = setmetatable({}, { __close = function()
        sleep(here, 0.1)
        closed = closed + 1
      end })
      if item == 1 then fail("first") end
      sleep(here, 20)
    end)
    if t.real then t.equal(closed, 3) end
  end },
  { "a cancelled lane cannot catch it and go on", function(t, here)
    local went_on = 0
    t.fails("failed", parallel, list(4), function(item)
      if item == 1 then
        sleep(here, 0.05)
        fail("first")
      end
      if item == 2 then pcall(sleep, here, 20) end
      if item == 3 then xpcall(sleep, function() return "caught" end, here, 20) end
      if item == 4 then coroutine.resume(coroutine.create(sleep), here, 20) end
      went_on = went_on + 1
    end)
    if t.real then t.equal(went_on, 0) end
  end },
  { "lanes in lanes", function(t, here)
    local sum = 0
    parallel(list(3), { limit = 2 }, function(a)
      for _, result in ipairs(parallel(list(3), function(b)
        sleep(here, 0.01)
        return a * b
      end)) do sum = sum + result.value end
    end)
    t.equal(sum, 36)
  end },
  { "an error goes through lanes in lanes", function(t, here)
    local ended = 0
    local problem = t.fails("failed", parallel, list(2), function(a)
      local _ <close> = setmetatable({}, { __close = function() ended = ended + 1 end })
      parallel(list(2), function(b)
        local _ <close> = setmetatable({}, { __close = function() ended = ended + 1 end })
        sleep(here, a == 1 and b == 1 and 0.05 or 20)
        fail("innermost")
      end)
    end)
    if not problem then return end
    t.equal(problem.message, "innermost")
    t.equal(ended, 6)
  end },
  { "an error caught outside leaves the lane whole", function(t, here)
    pcall(parallel, list(2), function() fail("x") end)
    t.equal(here:read { "echo", "whole" }, "whole")
    t.equal(#parallel(list(2), function() return here:read { "true" } end), 2)
  end },
  { "one lane has one op at a time, however it is asked", function(t, here)
    local co = coroutine.wrap(function()
      coroutine.yield(here:read { "echo", "a" })
      coroutine.yield(here:read { "echo", "c" })
    end)
    t.equal(co() .. here:read { "echo", "b" } .. co(), "abc")
  end },
  { "steps in lanes", function(t, here)
    local results = parallel({ "a", "b" }, function(name)
      step("step of " .. name, function() sleep(here, 0.01) end)
      return name
    end)
    t.equal(results[1].value .. results[2].value, "ab")
  end },
  { "wrong arguments are told", function(t)
    t.fails("recipe.argument", parallel, nil, print)
    t.fails("recipe.argument", parallel, {}, 5)
    t.fails("recipe.argument", parallel, {}, 5, print)
    for _, limit in ipairs { 0, -1, 1.5, "2", math.huge } do
      t.fails("recipe.argument", parallel, {}, { limit = limit }, print)
    end
    t.fails("recipe.argument", parallel, {}, { on_error = "ignore" }, print)
    t.fails("recipe.option", parallel, {}, { limits = 1 }, print)
  end },
})
