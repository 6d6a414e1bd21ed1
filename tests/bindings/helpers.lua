-- helpers.lua - env files, templates, secrets from files and commands, and writing local files, as recipes use them.
local spec = require "spec"

local example = [[
# settings
SECRET_KEY='s3cr3t $value # with signs'
DEBUG=False
DATABASE_URL=postgres://app:pass-word-9@db/app
DB_USER=postgres
export HOST="a\nb"
EMPTY=
]]

-- Shown by a command: what is masked looks different there.
local function shown(here, text) return here:run({ "cat" }, { stdin = text, quiet = true }).stdout end

return spec.recipe("helpers", {
  { "fs.write writes a file of this machine, and says whether it changed", function(t)
    local path = host("local"):read("pwd") .. "/helpers.txt"
    t.equal(fs.write(path, "one\n", { mode = "0600" }).changed, true)
    t.equal(fs.write(path, "one\n", { mode = "0600" }).changed, false)
    t.equal(fs.read(path), "one\n")
    host("local"):run { "rm", path }
  end },
  { "an env file is read from any target", function(t, here)
    local path = t.folder .. "/app.env"
    here:write(path, example, { mode = "0600" })
    local values = here:env_file(path)
    t.equal(values.SECRET_KEY, "s3cr3t $value # with signs")
    t.equal(values.HOST, "a\nb")
    t.equal(values.EMPTY, "")
    t.equal(shown(here, values.DB_USER or "x"), t.real and "postgres" or nil)
    t.equal(env_file.parse("A='b # c'", { dialect = "docker" }).A, "'b # c'")
    t.fails("env_file.syntax", here.env_file, here, path, { dialect = "docker" })
    t.fails("env_file.syntax", here.env_file, here, path, { dialect = "systemd" })
    t.fails("fs.not_found", here.env_file, here, t.folder .. "/none.env")
    t.fails("recipe.argument", here.env_file, here, path, { dialect = "bash" })
    t.fails("recipe.option", here.env_file, here, path, { requires = {} })
  end },
  { "what is missing is listed whole", function(t, here)
    local path = t.folder .. "/app.env"
    local problem = t.fails("env_file.missing", here.env_file, here, path,
      { required = { "SECRET_KEY", "ALLOWED_HOSTS", "EMPTY", "CORS" } })
    if problem then
      t.matches(problem.message, "app.env lacks required variables: 2 missing: ALLOWED_HOSTS, CORS; 1 empty: EMPTY")
    end
    problem = t.fails("env_file.missing", here.env_file, here, path, { prefix = "DEV_", required = { "SECRET_KEY" } })
    if problem then t.matches(problem.message, "1 missing: DEV_SECRET_KEY") end
  end },
  { "a file that others may read is told, or refused", function(t, here)
    local path = t.folder .. "/open.env"
    here:write(path, "A=1\n", { mode = "0644" })
    t.equal(here:env_file(path).A, t.real and "1" or nil)
    local problem = t.fails("env_file.permissions", here.env_file, here, path, { permissions = "error" })
    if problem then t.matches(problem.message, "may be read by every user of the machine %(mode 644%)") end
    here:run { "chmod", "640", path }
    t.equal(here:env_file(path, { permissions = "error" }).A, t.real and "1" or nil)
  end },
  { "what is written is read again, in each dialect", function(t)
    local values = { A = "it's", B = "a b # c", C = "line\nline", D = "back\\slash", E = 7, F = "" }
    for _, dialect in ipairs { "compose", "systemd" } do
      local back = env_file.parse(env_file.format(values, { dialect = dialect }), { dialect = dialect })
      for name, value in pairs(values) do t.equal(back[name], tostring(value)) end
    end
    t.equal(env_file.format({ B = "2", A = "x y", C = 1 }, { order = { "C" } }), "C=1\nA='x y'\nB=2\n")
    t.fails("env_file.format", env_file.format, { A = "a\nb" }, { dialect = "docker" })
    t.fails("env_file.format", env_file.format, { ["A B"] = "1" })
    t.fails("env_file.syntax", env_file.parse, "A='x")
  end },
  { "a value that looks like a key is a secret from then on, others are not", function(t, here)
    env_file.parse("API_TOKEN=tok-12345678\nNAME=visible\nEXTRA=extra-secret\nMY_KEY=public-key",
      { secret = { "EXTRA" }, plain = { "MY_KEY" } })
    local problem = t.fails("secret.in_command", here.run, here, { "echo", "tok-12345678" })
    if problem then
      t.matches(problem.message, "^word 2 of the command holds the secret API_TOKEN,")
      t.matches(problem.hint, 'plain = { "API_TOKEN" }')
    end
    problem = t.fails("secret.in_command", here.run, here, "echo extra-secret")
    if problem then t.matches(problem.message, "^the command holds the secret EXTRA,") end
    problem = t.fails("secret.in_command", function() here:cd("/srv/extra-secret"):run { "true" } end)
    if problem then t.matches(problem.message, "^the command's folder holds the secret EXTRA,") end
    here:run { "echo", "visible", "public-key" }
  end },
  { "a template has names and nothing else", function(t)
    t.equal(template.render("listen {{port}};\n\\{{ {{ app.name }}", { port = 8000, app = { name = "x" } }),
      "listen 8000;\n{{ x")
    local problem = t.fails("template.unknown", template.render, "a\nb {{ prot }}", { port = 1 })
    if problem then
      t.matches(problem.message, "line 2: there is no value for {{ prot }}")
      t.equal(problem.hint, "did you mean 'port'?")
    end
    t.fails("template.syntax", template.render, "a {{ b", { b = 1 })
    t.fails("template.syntax", template.render, "{{ if x }}", { x = 1 })
    t.fails("template.syntax", template.render, "{{ x }}", { x = {} })
    t.fails("recipe.argument", template.render, nil, {})
  end },
  { "a secret comes from a file or a command, and is never on a command line", function(t, here)
    local pwd = host("local"):read("pwd")
    host("local"):run("umask 077; printf 'file-secret-1\\n' >secret.txt; printf 'abc' >short.txt")
    if t.real then
      local value = secret.file(pwd .. "/secret.txt")
      t.equal(#value, 13)
      t.fails("secret.in_command", here.run, here, { "echo", value })
      t.fails("secret.short", secret.file, pwd .. "/short.txt")
    end
    t.equal(secret.command { "printf", "command-%s\n", "secret-2" }, "command-secret-2")
    local word = "command" .. "-secret-2"
    t.fails("secret.in_command", here.run, here, { "echo", word })
    t.fails("secret.missing", secret.file, pwd .. "/none.txt")
    t.fails("secret.missing", secret.file, "/dev/zero")
    local problem = t.fails("command.failed", secret.command, "echo half-a-secret; exit 3")
    if problem then
      t.equal(problem.detail, nil)
      t.equal(problem.hint, "run it by hand there to see more")
    end
    problem = t.fails("command.failed", here.run, here, "exit 3")
    if problem then t.matches(problem.hint, "say any_status = true$") end
    host("local"):run("rm secret.txt short.txt")
  end },
  { "notifications need an address and a text", function(t)
    t.fails("recipe.argument", notify.slack, { text = "x" })
    t.fails("recipe.argument", notify.slack, { url = "https://hooks.example/T0" })
    t.fails("recipe.option", notify.slack, { url = "https://hooks.example/T0", text = "x", channel = "y" })
  end },
})
