-- waiting.lua - wait and retry: they end when they should, and never wait without a bound.
local spec = require "spec"

return spec.recipe("waiting", {
  { "wait gives what its function gave at last", function(t, here)
    local tries = 0
    local answer = wait("the third try", { within = 5, every = 0.01 }, function()
      tries = tries + 1
      return tries == 3 and here:read { "echo", "third" }
    end)
    t.equal(answer, "third")
    t.equal(tries, 3)
    if not t.real and tries > 0 then fail("the walk does not wait") end
  end },
  { "wait ends when its time is over", function(t)
    local tries = 0
    local problem = t.fails("wait.timeout", wait, "the impossible", { within = "2s", every = 0.1 }, function()
      tries = tries + 1
    end)
    if not problem then return end
    t.matches(problem.message, "the impossible")
    t.equal(tries >= 2 and tries <= 22, true)
  end },
  { "an error in the function ends the wait", function(t)
    t.fails("failed", wait, "x", function() fail("at once") end)
  end },
  { "retry ends with the first success", function(t)
    local tries = 0
    local a, b = retry({ attempts = 5, every = 0.01 }, function()
      tries = tries + 1
      if tries < 3 then fail("not yet") end
      return "a", nil
    end)
    t.equal(a, "a")
    t.equal(b, nil)
    t.equal(tries, 3)
  end },
  { "retry gives up with the last error", function(t)
    local tries = 0
    local problem = t.fails("failed", retry, { attempts = 3, every = 0.01 }, function()
      tries = tries + 1
      fail("try " .. tries)
    end)
    if problem then t.equal(problem.message, "try 3") end
    t.equal(tries, 3)
  end },
  { "retry has bounds of its own", function(t)
    local tries = 0
    t.fails("failed", retry, { every = 0.01 }, function()
      tries = tries + 1
      fail("again")
    end)
    t.equal(tries, 3)
  end },
  { "wrong arguments are told", function(t)
    t.fails("recipe.argument", retry, { attempts = 0 }, print)
    t.fails("recipe.argument", retry, { attempts = 1.5 }, print)
    t.fails("recipe.argument", retry, { every = "soon" }, print)
    t.fails("recipe.argument", retry, { every = -1 }, print)
    t.fails("recipe.argument", retry, {})
    t.fails("recipe.argument", retry, "x", print)
    t.fails("recipe.option", retry, { times = 3 }, print)
    t.fails("recipe.argument", wait, print)
    t.fails("recipe.argument", wait, "x", { within = 0 / 0 }, print)
    t.fails("recipe.argument", wait, "x", { within = math.huge }, print)
    t.fails("recipe.argument", wait, "x", { every = -1 }, print)
    t.fails("recipe.argument", wait, "x", 5, print)
    t.fails("recipe.option", wait, "x", { timeout = 3 }, print)
  end },
})
