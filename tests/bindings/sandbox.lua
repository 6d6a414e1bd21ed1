-- sandbox.lua - ways out of the sandbox, tried one by one. (Loops and memory: tests/unit/test_limits.c.)
local spec = require "spec"

-- What leads out of Lua, or below it.
local forbidden = { "io", "os.execute", "os.exit", "os.getenv", "os.remove", "os.rename", "os.tmpname", "os.setlocale",
  "debug", "package", "dofile", "loadfile", "collectgarbage", "coroutine.debug" }

local function fail_unless(value) return value or fail("not so in the walk") end

local function reach(path) return load("return " .. path)() end

return spec.recipe("sandbox", {
  { "nothing that leads out is there", function(t)
    for _, path in ipairs(forbidden) do t.fails("recipe.forbidden", reach, path) end
    for _, name in ipairs { "_G", "core", "dr", "arg", "newproxy", "module", "unpack" } do
      t.fails("recipe.unknown_global", reach, name)
    end
    local env = load("return _ENV")()
    for _, name in ipairs { "io", "debug", "package", "dofile", "loadfile", "collectgarbage", "_G" } do
      t.equal(rawget(env, name), nil)
    end
    t.equal(rawget(os, "execute"), nil)
    t.equal(rawget(coroutine, "debug"), nil)
  end },
  { "no table that holds the runtime together can be had", function(t, here)
    for _, object in ipairs { "", here, param, env, json, os, coroutine, http, step("x", function() end),
      select(2, pcall(error, "x")), load("return _ENV")(), param.int() } do
      t.equal(type(getmetatable(object)) == "table", false)
      if type(object) == "table" then t.equal(pcall(setmetatable, object, {}), false) end
    end
    t.equal(pcall(setmetatable, "", {}), false)
    if not t.real then fail_unless(getmetatable(here:run { "true" }) == "result") end
  end },
  { "a function put in the place of another is the recipe's own", function(t)
    local env, stolen = load("return _ENV")(), {}
    local names = { "setmetatable", "getmetatable", "rawget", "next", "ipairs", "pairs", "type", "tostring", "select",
      "error", "pcall", "assert" }
    local kept = {}
    for _, name in ipairs(names) do kept[name] = env[name] end
    for _, name in next, names do
      rawset(env, name, function(...)
        stolen[#stolen + 1] = name
        return kept[name](...)
      end)
    end
    local mine = {}
    for library in next, { string = 1, table = 1, math = 1 } do
      for name, fn in next, env[library] do
        if kept.type(fn) == "function" then
          mine[fn] = { library, name }
          env[library][name] = function(...)
            stolen[#stolen + 1] = name
            return fn(...)
          end
        end
      end
    end
    local before = #stolen
    kept.pcall(parallel, { 1, 2 }, { limit = 1 }, function() end)
    kept.pcall(step, "inside", function() end)
    kept.pcall(retry, { attempts = 1 }, function() end)
    kept.pcall(load, "x y")
    kept.pcall(wait, 5)
    local seen = #stolen - before
    for fn, at in next, mine do env[at[1]][at[2]] = fn end
    for name, fn in next, kept do rawset(env, name, fn) end
    t.equal(seen, 0)
  end },
  { "a table is not told when it is collected", function(t)
    t.fails("recipe.forbidden", setmetatable, {}, { __gc = function() end })
    t.fails("recipe.forbidden", setmetatable, {}, { __gc = true })
    t.equal(getmetatable(setmetatable({}, { __index = { a = 1 } })).__index.a, 1)
    t.fails("recipe.error", setmetatable, 5, {})
    t.fails("recipe.error", setmetatable, {}, 5)
  end },
  { "a lane's own coroutine cannot be resumed or closed", function(t, here)
    local lanes = {}
    parallel({ 1, 2 }, function(_, i)
      lanes[i] = coroutine.running()
      here:read("sleep 0.05")
      for j = 1, 2 do
        t.equal(pcall(coroutine.resume, lanes[j]), false)
        t.equal(pcall(coroutine.close, lanes[j]), false)
      end
    end)
  end },
  { "a coroutine that waits belongs to its lane", function(t, here)
    local co = coroutine.create(function() return here:read("sleep 0.2; echo done") end)
    local answers = parallel({ 1, 2 }, function(_, i)
      if i == 1 then return select(2, coroutine.resume(co)) end
      here:read("sleep 0.05")
      if not t.real then return "" end
      t.equal(coroutine.status(co), "normal")
      t.equal(pcall(coroutine.resume, co), false)
      t.equal(pcall(coroutine.close, co), false)
      return "kept out"
    end)
    t.equal(answers[1].value, "done")
    t.equal(answers[2].value, "kept out")
    t.equal(coroutine.status(co), "dead")
  end },
  { "options cannot run code", function(t, here)
    local function asked() fail("it was asked") end
    local trap = setmetatable({}, { __index = asked, __tostring = asked })
    t.fails("recipe.argument", here.run, here, trap)
    t.fails("recipe.argument", here.run, here, { "echo", trap })
    t.equal(here:run({ "echo", "x" }, setmetatable({}, getmetatable(trap))).stdout, "x\n")
    t.fails("recipe.argument", http.get, "http://localhost:1/", { headers = { a = trap } })
    t.fails("recipe.argument", here.env, here, { A = trap })
  end },
  { "an error object is made by the runtime only", function(t)
    local forged = setmetatable({ code = "cancelled" }, { __name = "deployrun.error", __metatable = "error" })
    t.equal(select(2, pcall(error, forged)), forged)
    t.equal(pcall(error, forged), false)
  end },
})
