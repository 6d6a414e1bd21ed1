-- params.lua - what run(p) gets: each param of its type, in order, and no others.
local function is(actual, expected)
  if actual ~= expected then fail(("expected %s, got %s"):format(tostring(expected), tostring(actual))) end
end

local function fails(code, fn)
  local ok, problem = pcall(fn)
  is(ok, false)
  is(problem.code, code)
end

return recipe {
  name = "params",
  params = {
    text = param.string { default = "a b" },
    path = param.path { default = "/srv" },
    url = param.url { default = "http://localhost/" },
    list = param.list { default = { "b", "a" } },
    none = param.list { default = {} },
    int = param.int { default = 3 },
    number = param.number { default = 0.1 },
    yes = param.bool { default = true },
    no = param.bool { default = false },
    mode = param.enum { choices = { "fast", "slow" }, default = "slow" },
    host = param.host { default = "local" },
    within = param.duration { default = "5m" },
    absent = param.string {},
  },
  run = function(p)
    is(p.text, "a b")
    is(table.concat(p.list, " "), "b a")
    is(#p.none, 0)
    is(math.type(p.int), "integer")
    is(p.number, 0.1)
    is(p.yes, true)
    is(p.no, false)
    is(p.mode, "slow")
    is(p.within, 300.0)
    is(p.absent, nil)
    local names = {}
    for name in pairs(p) do names[#names + 1] = name end
    is(table.concat(names, " "), "host int list mode no none number path text url within yes")
    fails("recipe.unknown_param", function() return p.txet end)
    fails("recipe.argument", function() p.text = "x" end)
    for _, params in ipairs { { a = 1 }, { param.int() }, { ["a b"] = param.int() } } do
      fails("recipe.argument", function() return recipe { name = "x", run = print, params = params } end)
    end
    fails("recipe.argument", function() return recipe { name = "x y", run = print } end)
    fails("recipe.argument", function() return recipe { name = "x" } end)
    fails("recipe.option", function() return recipe { name = "x", runs = print } end)
    fails("recipe.argument", function() return param.enum { choices = {} } end)
    fails("recipe.argument", function() return param.enum { choices = { 1, 2 } } end)
    fails("recipe.argument", function() return param.enum {} end)
    fails("recipe.option", function() return param.int { defualt = 1 } end)
    fails("recipe.unknown_method", function() return param.integer end)
  end,
}
