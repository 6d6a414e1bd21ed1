-- target.lua - targets as recipes use them: commands, views, and the errors for wrong calls.
local spec = require "spec"

return spec.recipe("target", {
  { "exact words stay exact", function(t, here)
    t.equal(here:run({ "printf", "[%s]", "a b", "$HOME", "it's" }).stdout, "[a b][$HOME][it's]")
  end },
  { "a string is for the shell", function(t, here)
    local result = here:run("echo a | tr a b; echo oops >&2")
    t.equal(result.stdout, "b\n")
    t.equal(result.stderr, "oops\n")
    t.equal(result.status, 0)
    t.equal(result.ok, true)
  end },
  { "bytes that are no text are kept", function(t, here)
    t.equal(here:run("printf 'a\\377\\000b'; printf '\\377\\n' >&2").stdout, "a\xFF\0b")
    t.equal(here:read({ "cat" }, { stdin = "\xFF\0x" }), "\xFF\0x")
    local problem = t.fails("command.failed", here.run, here, "printf '\\377\\n'; exit 1")
    t.equal(problem and problem.detail, "\xFF\n")
  end },
  { "read gives text without its line end", function(t, here)
    t.equal(here:read("printf 'a\\nb\\n\\n'"), "a\nb")
    t.equal(here:read("echo x; exit 2", { any_status = true }), "x")
    t.fails("command.failed", here.read, here, "exit 2")
  end },
  { "a failed command is an error with its last lines", function(t, here)
    local problem = t.fails("command.failed", here.run, here, "echo because >&2; exit 7")
    if problem then
      t.matches(problem.message, "exited with status 7")
      t.equal(problem.detail, "because\n")
      t.equal(problem.target, here:name())
      t.equal(problem.op, "target.run")
      t.matches(problem.where, "%.lua:%d+$")
    end
  end },
  { "a missing program, a signal and a time limit have their own codes", function(t, here)
    t.fails("command.not_found", here.run, here, { "no-such-program" })
    t.fails("command.not_found", here.run, here, "no-such-program | cat; exit 127")
    t.fails("command.signal", here.run, here, "kill -SEGV $$")
    t.fails("command.timeout", here.run, here, "sleep 30", { timeout = 0.2 })
    t.fails("command.no_such_folder", here.run, here:cd("/no/such/folder"), "true")
  end },
  { "views change a copy", function(t, here)
    local view = here:cd("/usr"):cd("lib"):env { A = "a b", N = 5, B = true }
    t.equal(view:read("echo $PWD $A $N $B"), "/usr/lib a b 5 true")
    t.equal(here:env { A = "outer" }:env { A = "inner" }:read("echo $A"), "inner")
    t.equal(here:read("echo \"$A\""), "")
    t.equal(tostring(view), here:name())
  end },
  { "standard input is given and ends", function(t, here)
    t.equal(here:run({ "cat" }, { stdin = "a\nb" }).stdout, "a\nb")
    t.equal(here:read({ "cat" }), "")
  end },
  { "a terminal is given where it is asked for", function(t, here)
    local script = "test -t 0 && test -t 1 && echo terminal || echo none"
    t.equal(here:run(script).stdout, "none\n")
    t.matches(here:run(script, { pty = true }).stdout, "^terminal\r?\n$")
    t.matches(here:run({ "cat" }, { pty = true, stdin = "typed\n" }).stdout, "typed")
    t.fails("command.argument", here.run, here:env { TOKEN = secret("PATH") }, "true", { pty = true })
  end },
  { "sudo is tried when its view is made", function(t, here)
    t.fails("recipe.option", here.sudo, here, nil, { chek = false })
    t.fails("recipe.argument", here.sudo, here, nil, { check = "no" })
    t.fails("recipe.argument", here.sudo, here, "")
    t.equal(here:as("app", { check = false }):name(), here:name())
  end },
  { "a secret reaches the command and no command line", function(t, here)
    local token = secret("PATH") -- a value that is always there, and in no command
    local view = here:env { TOKEN = token }
    t.equal(view:read("printf %s \"$TOKEN\" | wc -c | tr -d ' '"), tostring(#token))
    t.equal(view:run("cat /proc/$$/cmdline | tr '\\0' ' ' | grep -c \"$TOKEN\"", { any_status = true }).stdout, "0\n")
    t.fails("secret.in_command", here.run, here, { "echo", token })
  end },
  { "a check repeats until it succeeds", function(t, here)
    local file = here:read("mktemp -u")
    local result = here:check("echo x >>" .. file .. "; test $(wc -l <" .. file .. ") -ge 3",
      { every = 0.05, within = "10s" })
    t.equal(result.attempts, 3)
    here:run { "rm", "-f", file }
    local problem = t.fails("check.timeout", here.check, here, "echo no; exit 9", { every = 0.05, within = 0.3 })
    if problem then t.matches(problem.message, "status 9, still after 0%.%d s and %d+ attempts") end
    t.fails("check.timeout", here.check, here, "sleep 30", { within = 0.2 })
  end },
  { "a wrong call names what is wrong", function(t, here)
    local function wrong(code, pattern, fn, ...)
      local problem = t.fails(code, fn, ...)
      if problem then t.matches(problem.message .. " " .. (problem.hint or ""), pattern) end
    end
    wrong("recipe.option", "did you mean 'timeout'", here.run, here, "true", { timout = 5 })
    wrong("recipe.argument", "option 'timeout' among the words", here.run, here, { "true", timeout = 5 })
    wrong("recipe.argument", "colon", here.run, "true")
    wrong("recipe.argument", "'command'", here.run, here)
    wrong("recipe.argument", '"90s" or "5m", not "5 parsecs"', here.run, here, "true", { timeout = "5 parsecs" })
    wrong("recipe.argument", "text for the shell, not a list whose word 2 is nil", here.run, here, { "echo", nil, "x" })
    wrong("recipe.argument", "not a list whose word 3 is true", here.run, here, { "echo", 5, true })
    wrong("recipe.argument", "not a list whose word 2 is 1%.5", here.run, here, { "echo", 1.5 })
    wrong("recipe.argument", "not an empty list", here.run, here, {})
    t.equal(here:run({ "echo", 5 }).stdout, t.real and "5\n" or nil)
    wrong("recipe.unknown_method", "did you mean 'read'", function() return here:reed("true") end)
    wrong("recipe.argument", "A B", here.env, here, { ["A B"] = 1 })
    wrong("recipe.argument", "folder", here.cd, here, "")
    wrong("recipe.argument", "host", host)
    wrong("recipe.option", "did you mean 'port'", host, { "web1", prot = 22 })
    wrong("recipe.argument", 'takes a number above 0, at most 65535, not "22x"', host, { "web1", port = "22x" })
    local problem = t.fails("ssh.config", function() return (host { "web1", config = "/nonexist" }) end)
    if problem then t.matches(problem.where, "target.lua:%d+") end
  end },
})
