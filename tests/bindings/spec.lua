-- spec.lua - what Lua specs share. A spec is a recipe whose steps are its cases. It is walked once before it runs;
-- in the walk actions answer with stubs, so that nothing is compared there.
local spec = {}

local function show(value) return type(value) == "string" and ("%q"):format(value) or tostring(value) end

-- The assertions a case gets. `real` is false in the walk.
local function assertions(real)
  local t = { real = real }

  function t.equal(actual, expected)
    if real and actual ~= expected then
      fail(("expected %s, got %s"):format(show(expected), show(actual)))
    end
  end

  function t.matches(actual, pattern)
    if real and not tostring(actual):find(pattern) then
      fail(("expected something like %s, got %s"):format(show(pattern), show(actual)))
    end
  end

  -- Calls fn, which must fail with the code; returns the error, or nil in the walk.
  function t.fails(code, fn, ...)
    local ok, problem = pcall(fn, ...)
    if not real then return nil end
    if ok then fail("expected the error " .. code .. ", but nothing failed") end
    if problem.code ~= code then
      fail(("expected the error %s, got %s: %s"):format(code, tostring(problem.code), tostring(problem.message)))
    end
    return problem
  end

  return t
end

-- A recipe out of cases {{"what is so", function(t, here) … end}, …}; `here` is this machine, or
-- host1, or SPEC_HOST, of the SSH configuration named by SPEC_SSH_CONFIG. t.folder is a folder there to work in, empty
-- at first: below SPEC_FOLDER, or where commands begin. t.facts is what `ask(here)` returned before anything was done,
-- when a walk still gets answers.
function spec.recipe(name, cases, ask)
  return recipe {
    name = name,
    summary = "spec of " .. name,
    run = function()
      local config = env.SPEC_SSH_CONFIG
      local here = host(config and { env.SPEC_HOST or "host1", config = config } or "local")
      local facts = ask and ask(here)
      local folder = (env.SPEC_FOLDER or here:read("pwd")) .. "/" .. name
      local real = here:run { "echo", "real" }.stdout == "real\n"
      local t = assertions(real)
      t.folder, t.facts = folder, facts
      here:run { "sh", "-c", "rm -rf \"$1\" && mkdir \"$1\"", "sh", folder }
      for _, case in ipairs(cases) do
        step(case[1], function() case[2](t, here) end)
      end
      here:run { "rm", "-rf", folder }
    end,
  }
end

return spec
