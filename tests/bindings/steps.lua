-- steps.lua - steps that succeed, nest, and are told. (What is undone when one fails: tests/unit/test_undo.c.)
local spec = require "spec"

return spec.recipe("steps", {
  { "a step runs at once and can be given an undo", function(t)
    local order = {}
    local one = step("one", function() order[#order + 1] = "one" end)
    order[#order + 1] = "after"
    t.equal(one:undo(function() order[#order + 1] = "undone" end), one)
    t.equal(table.concat(order, " "), "one after")
  end },
  { "steps nest", function(t)
    local order = {}
    step("outer", function()
      order[#order + 1] = "("
      step("inner", function() order[#order + 1] = "x" end)
      order[#order + 1] = ")"
    end)
    t.equal(table.concat(order), "(x)")
  end },
  { "a failed step throws what failed in it", function(t, here)
    local problem = t.fails("command.failed", step, "fails", function() here:run { "false" } end)
    if problem then t.matches(problem.where, "steps.lua:%d+") end
    problem = t.fails("recipe.error", step, "fails", function() return nil + 1 end)
    if problem then t.matches(problem.where, "steps.lua:%d+") end
    t.fails("recipe.error", step, "fails", function() error({}) end)
  end },
  { "a step takes a name and a function", function(t)
    t.fails("recipe.argument", step, "x")
    t.fails("recipe.argument", step, 5, print)
    t.fails("recipe.argument", step, print)
    t.fails("recipe.argument", function() step("x", function() end):undo() end)
    t.fails("recipe.unknown_method", function() step("x", function() end):redo(print) end)
  end },
  { "a name may have any bytes in it", function(t, here)
    t.equal(step("caf\xe9 [1/2] %s \"quoted\"", function() here:read { "true" } end) ~= nil, true)
  end },
})
