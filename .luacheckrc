-- What luacheck allows where. Recipes see the sandbox's globals, not the standard library's.
std = "lua54"
max_line_length = 120
codes = true
cache = false
exclude_files = { "build/**" }

-- What the sandbox leaves of the standard library, and the globals the runtime adds (bindings/meta/*.lua).
stds.recipe = {
  read_globals = {
    "_VERSION", "assert", "error", "getmetatable", "ipairs", "load", "next", "pairs", "pcall", "print", "rawequal",
    "rawget", "rawlen", "rawset", "require", "select", "setmetatable", "tonumber", "tostring", "type", "warn",
    "xpcall", "coroutine", "math", "string", "table", "utf8",
    os = { fields = { "date", "difftime", "time" } },
    "recipe", "param", "step", "parallel", "host", "hosts", "http", "secret", "env", "wait", "retry", "log",
    "fail", "confirm", "json", "fs", "git", "net", "env_file", "template", "notify", "postgres",
  },
}

files["recipes"] = { std = "recipe" }
files["tests/**/*.lua"] = { std = "recipe" }

-- Embedded: they run with the full language and make the globals that recipes use.
files["runtime/lua"] = { std = "lua54+recipe", allow_defined_top = true }
files["bindings"] = { std = "lua54+recipe", allow_defined_top = true }

-- Annotations: declarations without bodies, never run.
files["bindings/meta"] = { std = "lua54+recipe", ignore = { "1", "2", "4", "631" } }
