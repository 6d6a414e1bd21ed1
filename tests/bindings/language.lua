-- language.lua - Lua as recipes have it: what is ordered, what is text, what passes through.
local spec = require "spec"

local function keys_of(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = tostring(key) end
  return table.concat(keys, " ")
end

-- Runs here:read inside the function, so that whatever stands around it must let a wait through.
local function slowly(here, word) return here:read { "sh", "-c", "sleep 0.01; echo \"$1\"", "sh", word } end

return spec.recipe("language", {
  { "pairs goes in the order of the keys", function(t)
    t.equal(keys_of { b = 1, a = 2, [10] = 3, [9] = 4, [1.5] = 5, c = 6 }, "1.5 9 10 a b c")
    t.equal(keys_of { "x", "y", "z", n = 1 }, "1 2 3 n")
    t.equal(keys_of {}, "")
    t.equal(keys_of(setmetatable({}, { __pairs = function() return next, { only = 1 }, nil end })), "only")
    t.fails("recipe.error", function() for _ in pairs(nil) do fail("never") end end)
  end },
  { "a key that is removed on the way is left out", function(t)
    local map, seen = { a = 1, b = 2, c = 3 }, {}
    for key in pairs(map) do
      seen[#seen + 1] = key
      map.b = nil
    end
    t.equal(table.concat(seen), "ac")
  end },
  { "the result of an op is gone through in order too", function(t, here)
    t.equal(keys_of(here:run { "true" }):match("^%a+ "), "ok ")
  end },
  { "a coroutine lets waits through", function(t, here)
    local letters = {}
    for letter in coroutine.wrap(function()
      for _, word in ipairs { "a", "b" } do coroutine.yield(slowly(here, word)) end
    end) do letters[#letters + 1] = letter end
    t.equal(table.concat(letters), "ab")
  end },
  { "coroutines in coroutines let waits through", function(t, here)
    local outer = coroutine.wrap(function()
      local inner = coroutine.wrap(function()
        coroutine.yield(slowly(here, "1"))
        coroutine.yield(slowly(here, "2"))
      end)
      coroutine.yield(inner() .. slowly(here, "-"))
      coroutine.yield(inner())
    end)
    t.equal(outer(), "1-")
    t.equal(outer(), "2")
  end },
  { "a coroutine is what Lua says it is", function(t)
    local co = coroutine.create(function(a, b)
      local c = coroutine.yield(a + b)
      return c, nil, "end"
    end)
    t.equal(coroutine.status(co), "suspended")
    t.equal(select(2, coroutine.resume(co, 1, 2)), 3)
    t.equal(select("#", coroutine.resume(co, 5)), 4)
    t.equal(coroutine.status(co), "dead")
    t.equal(select(2, coroutine.resume(co)), "cannot resume dead coroutine")
    local failing = coroutine.create(function() error("inside") end)
    local ok, problem = coroutine.resume(failing)
    t.equal(ok, false)
    t.equal(problem.message, "inside")
    t.fails("recipe.error", coroutine.yield)
    t.fails("recipe.error", coroutine.resume, 5)
    t.fails("recipe.error", coroutine.create, 5)
  end },
  { "an error in a coroutine closes its variables, which may wait", function(t, here)
    local closed
    t.fails("failed", coroutine.wrap(function()
      local _ <close> = setmetatable({}, { __close = function() closed = slowly(here, "closed") end })
      slowly(here, "x")
      fail("on purpose")
    end))
    t.equal(closed, "closed")
  end },
  { "a coroutine can be closed", function(t)
    local closed
    local co = coroutine.create(function()
      local _ <close> = setmetatable({}, { __close = function() closed = true end })
      coroutine.yield()
    end)
    coroutine.resume(co)
    t.equal(coroutine.close(co), true)
    t.equal(closed, true)
    t.equal(coroutine.status(co), "dead")
  end },
  { "a block's variables are closed, last first, and may wait", function(t, here)
    local order = {}
    local function closing(word)
      return setmetatable({}, { __close = function(_, problem)
        order[#order + 1] = slowly(here, word) .. (problem and problem.message or "")
      end })
    end
    t.fails("failed", function()
      local _ <close> = closing "a"
      local _ <close> = nil
      local _ <close> = closing "c"
      fail("!")
    end)
    t.equal(table.concat(order, " "), "c! a!")
  end },
  { "pcall and xpcall catch, and let waits through", function(t, here)
    t.equal(select(2, pcall(slowly, here, "through")), "through")
    t.equal(select("#", pcall(function() return 1, nil, nil end)), 4)
    t.equal(select(2, xpcall(slowly, print, here, "through")), "through")
    t.equal(select(2, xpcall(error, function(e) return "caught " .. e.message end, "it")), "caught it")
    t.equal(pcall(pcall), false)
    t.fails("recipe.error", xpcall, print)
    local ok, problem = pcall(error)
    t.equal(ok, false)
    t.equal(problem, nil)
  end },
  { "an error is one kind of object", function(t, here)
    local problem = t.fails("failed", error, "text")
    if problem then
      t.matches(problem.where, "spec.lua:%d+$")
      t.matches(tostring(problem), "text %[failed%]$")
    end
    problem = t.fails("command.failed", here.run, here, { "sh", "-c", "echo why >&2; exit 3" })
    if problem then
      t.equal(problem.target, "local")
      t.equal(problem.op, "target.run")
      t.matches(problem.detail, "why")
    end
    t.equal(t.fails("recipe.error", function() return nil .. "x" end) == nil, not t.real)
    local other = { code = "mine" }
    t.equal(select(2, pcall(error, other)), other)
    t.fails("failed", assert, false, "no")
    t.fails("failed", assert, nil)
    t.equal(select("#", assert(1, 2, 3)), 3)
  end },
  { "load takes text, and nothing compiled", function(t)
    t.equal(load("return 1 + 1")(), 2)
    t.equal(load("return x", "chunk", "t", { x = "given" })(), "given")
    t.equal((load("x = = 1")), nil)
    t.equal(load(string.dump(function() return 1 end)), nil)
    t.equal(load(string.dump(function() return 1 end), "x", "b"), nil)
    t.equal(load("\27Lua"), nil)
    t.fails("recipe.error", load, function() return "return 1" end)
    t.fails("recipe.unknown_global", load("return io_"))
  end },
  { "require finds modules beside the recipe, once", function(t, here)
    local counted = require "modules.counted"
    t.equal(require "modules.counted", counted)
    t.equal(counted.loads, 1)
    t.equal(counted.act(here), "acted")
    t.equal(require "modules.nothing", true)
    t.fails("recipe.module", require, "modules.none")
    t.fails("failed", require, "modules.broken")
    t.fails("failed", require, "modules.broken")
    t.fails("recipe.effect_at_load", require, "modules.acts")
    t.fails("recipe.module", require, "modules.loop_a")
    for _, name in ipairs { "../spec", "/etc/passwd", "modules..counted", "", ".", "modules/../spec" } do
      t.fails("recipe.module", require, name)
    end
  end },
  { "JSON goes both ways", function(t)
    t.equal(json.encode { 1, "two", { three = 3.5 }, true }, '[1,"two",{"three":3.5},true]')
    t.equal(json.encode {}, "{}")
    t.equal(json.encode(json.array {}), "[]")
    t.equal(json.encode("caf\u{e9}"), '"caf\u{e9}"')
    t.equal(json.decode('{"a": [1, null, "x"]}').a[3], "x")
    t.equal(json.decode("null"), nil)
    t.equal(math.type(json.decode("1")), "integer")
    t.fails("json.syntax", json.decode, "{")
    t.fails("recipe.argument", json.encode, print)
    t.fails("recipe.argument", json.encode, { [1] = 1, x = print })
    t.fails("recipe.argument", json.encode, { [true] = 1 })
    t.fails("recipe.argument", json.encode, 0 / 0)
    t.fails("recipe.argument", json.encode, "\xff")
    t.fails("recipe.argument", json.encode, { ["\xff"] = 1 })
  end },
  { "the time of day is there, the rest of os is not", function(t)
    t.equal(math.type(os.time()), "integer")
    t.equal(os.time { year = 2020, month = 1, day = 2, hour = 12 }, os.time { year = 2020, month = 1, day = 2 })
    t.equal(os.date("!%Y-%m-%d", 0), "1970-01-01")
    t.equal(os.difftime(3, 1), 2.0)
    t.fails("recipe.forbidden", load("return os.getenv"))
  end },
  { "a name that is not known is an error, with the near one", function(t)
    local problem = t.fails("recipe.unknown_global", load("return setp"))
    if problem then t.matches(problem.hint, "'step'") end
    problem = t.fails("recipe.unknown_method", function(here) return here:rum {} end, host("local"))
    if problem then t.matches(problem.hint, "did you mean 'run'") end
    t.fails("recipe.global", load("x = 1"))
    t.fails("recipe.option", parallel, {}, { limits = 1 }, print)
  end },
})
