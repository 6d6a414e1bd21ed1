---@meta
-- What every recipe has: the globals of the language itself and of the runtime. Read by editors (LuaLS) and by people;
-- never run. Times are in seconds unless said otherwise; a duration is seconds or text: 90, "90s", "5m", "1.5h", "200ms".
-- Every function here may be used inside `run` only, except recipe, param, json, require and plain Lua.

-- ---------------------------------------------------------------------------------------------- the recipe

---What a recipe file returns.
---@class deployrun.RecipeFields
---@field name string letters, digits, '-' and '_'
---@field summary? string one line, shown by `deployrun list`
---@field params? table<string, deployrun.Param> what may be given on the command line; names of letters, digits, '-' and '_', a letter first
---@field run fun(p: table) does the work; `p` has the values of the params and refuses unknown names (recipe.unknown_param)

---@class deployrun.Recipe

---Makes the recipe that the file returns. Loading the file does nothing else: a call that would act there fails with
---recipe.effect_at_load.
---
---Fails: recipe.argument (no name, no run function, a param not made by `param`), recipe.option (an unknown field).
---@param fields deployrun.RecipeFields
---@return deployrun.Recipe
function recipe(fields) end

---@class deployrun.Param

---@class deployrun.ParamOptions
---@field default? any what is used when none is given; of the param's type, or as it would be typed
---@field required? boolean the run does not begin without it (param.missing, exit status 2)
---@field help? string one line, shown by `deployrun show` and in errors

---@class deployrun.EnumOptions: deployrun.ParamOptions
---@field choices string[] the words that may be given

---The types of params. A value of the wrong type is param.type, an unknown name param.unknown (exit status 2); a default
---of the wrong type is recipe.param (exit status 3). A param that has no default and was not given is nil.
---@class deployrun.ParamTypes
param = {}

---Any text.
---@param options? deployrun.ParamOptions
---@return deployrun.Param
function param.string(options) end

---A path: any text that is not empty. It is not looked up; it may be one on another machine.
---@param options? deployrun.ParamOptions
---@return deployrun.Param
function param.path(options) end

---An address that begins with http:// or https://.
---@param options? deployrun.ParamOptions
---@return deployrun.Param
function param.url(options) end

---Words separated by commas; the recipe gets a list of strings. The default is written as a Lua list.
---@param options? deployrun.ParamOptions
---@return deployrun.Param
function param.list(options) end

---A whole number.
---@param options? deployrun.ParamOptions
---@return deployrun.Param
function param.int(options) end

---A number.
---@param options? deployrun.ParamOptions
---@return deployrun.Param
function param.number(options) end

---true, yes, on, 1 or false, no, off, 0; the recipe gets a boolean.
---@param options? deployrun.ParamOptions
---@return deployrun.Param
function param.bool(options) end

---One of `choices`.
---@param options deployrun.EnumOptions
---@return deployrun.Param
function param.enum(options) end

---A host: "local", a name of ~/.ssh/config, or [user@]name[:port]. To be given to `host`.
---@param options? deployrun.ParamOptions
---@return deployrun.Param
function param.host(options) end

---Hosts, `a,b,c`, each as for param.host, none twice; the recipe gets a list. To be given to `hosts`.
---@param options? deployrun.ParamOptions
---@return deployrun.Param
function param.hosts(options) end

---A time: seconds, or a number with ms, s, m (or min), h, d. The recipe gets seconds as a number.
---@param options? deployrun.ParamOptions
---@return deployrun.Param
function param.duration(options) end

-- ---------------------------------------------------------------------------------------------- steps and lanes

---@class deployrun.Step
local Step = {}

---Says how to take this step back should a later one fail. Handlers run last-in first-out. They may call everything a
---step may. They do not run when this step itself fails: it must then leave things as it found them.
---
---Fails: recipe.argument.
---@param fn fun()
---@return deployrun.Step self
function Step:undo(fn) end

---Runs `fn` now, as a named piece of the run: it is counted ([3/8]), timed, and named when it fails. Steps nest.
---
---Fails: what `fn` fails with; recipe.argument; recipe.effect_at_load.
---@param name string what an operator would say, e.g. "Build images"
---@param fn fun()
---@return deployrun.Step
function step(name, fn) end

---@class deployrun.ParallelOptions
---@field limit? integer how many at a time; default: all of a batch
---@field batch? integer|string|(integer|string)[] how many before the next are begun: 4, "25%" of all (rounded up), or a list whose last repeats: { 1, "10%", "50%" }; default: all
---@field max_fail? integer|string how many may fail: 2, or "10%" of all and of each batch (rounded down, so that a canary of one must be whole); one more, and nothing new is begun; default 0
---@field on_error? "stop"|"continue" "stop": what is under way is cancelled when too many failed; "continue": without max_fail any number may fail. Default: without batch and max_fail "stop", with them what is under way is left to end

---@class deployrun.ParallelResult
---@field ok boolean
---@field value? any what fn returned, when ok
---@field error? deployrun.Error why it failed, when not ok
---@field skipped? boolean it was not begun, because too many others had failed

---By the item's place in the list, or by the host's name for a group; `pairs` goes in the order of the items.
---@class deployrun.Results
---@field ok (string|integer)[] the keys of those that went well
---@field failed (string|integer)[] the keys of those that failed, unreachable hosts too
---@field skipped (string|integer)[] the keys of those that were not begun
---@field [string|integer] deployrun.ParallelResult

---Calls fn(item, index) for each item, each in a lane of its own, and waits for all of them. No lane outlives the call.
---The items share one Lua state: they take turns while one of them waits, and need no locks. All hosts of a group are
---connected before fn is called for the first.
---
---Fails: without batch and max_fail with the first item's error; parallel.failed when more than max_fail failed (its field
---`results` has every result, its detail the last lines of the first few); recipe.argument; recipe.option;
---recipe.cannot_wait; cancelled.
---@param items any[]|deployrun.Hosts
---@param options? deployrun.ParallelOptions may be left out: parallel(items, fn)
---@param fn fun(item: any, index: integer): any
---@return deployrun.Results results
function parallel(items, options, fn) end

---@class deployrun.WaitOptions
---@field within? number|string duration; the bound of the whole; default 60
---@field every? number|string duration; the pause between two tries; default 1

---Calls fn until it returns something true, and returns that. In a dry run it is only recorded, fn is not called and
---true is returned.
---
---Fails: wait.timeout; whatever fn fails with; recipe.option; cancelled.
---@param name string what is waited for, as a sentence: "the queue is empty"
---@param options? deployrun.WaitOptions may be left out: wait(name, fn)
---@param fn fun(): any
---@return any
function wait(name, options, fn) end

---@class deployrun.RetryOptions
---@field attempts? integer default 3
---@field every? number|string duration; the pause between two attempts; default 1

---Calls fn until it does not fail, and returns what it returned. Use it for what is safe to do twice.
---
---Fails: the last attempt's error; at once with cancellation and with the recipe's own limits; recipe.option.
---@param options deployrun.RetryOptions
---@param fn fun(): ...
---@return any ...
function retry(options, fn) end

-- ---------------------------------------------------------------------------------------------- speaking, failing

---Tells the person who watches; the arguments are joined by spaces, a table is shown as JSON. In a dry run it stands in
---the plan.
---@param ... any
function log(...) end

---The same as `log`.
---@param ... any
function print(...) end

---The same as `log`, as a warning; warnings are counted at the end.
---@param ... any
function warn(...) end

---Ends the run as failed (code "failed").
---@param message string what is wrong, one sentence
---@param hint? string what to do about it
function fail(message, hint) end

---Asks the person at the terminal; anything but y or yes ends the run. In a dry run it is only recorded.
---
---Fails: confirm.refused (the answer was no), confirm.nobody (there is no terminal).
---@param question string "Delete the old volume?"; " [y/N]" is added
---@return boolean yes always true
function confirm(question) end

---What is thrown by every function of the runtime, and by `error` and `assert` when they are given text. An error that
---the Lua machine throws itself (a call of nil, arithmetic on a string) is text inside `pcall` and becomes an error
---object with code recipe.error at the end of the run.
---
---`pcall` and `xpcall` do not catch cancellation (code "cancelled") nor the limits (recipe.cpu_limit,
---recipe.memory_limit): these end the run; <close> variables and undo handlers still run.
---@class deployrun.Error
---@field code string dotted and stable: "command.failed", "http.expect_failed"; docs/errors.md lists them
---@field message string what is wrong, one sentence
---@field hint? string what to do about it
---@field target? string the host or service it happened on
---@field op? string the op that failed, e.g. "target.run"
---@field where? string recipe file:line
---@field detail? string more lines, e.g. the last output of a command
---@field cause? deployrun.Error the error behind this one

-- ---------------------------------------------------------------------------------------------- what was given

---The environment of the person who deploys: env.NAME is the value of the variable in --env-file or, when it is not
---there, in the process; nil when neither has it. A query: it is in the journal as it is. For a password use `secret`.
---
---Fails: recipe.argument when assigned to.
---@class deployrun.Env
---@field [string] string|nil
env = {}

---A value that must never be shown: from --env-file or the process's environment. From here on it is masked as
---[secret NAME] in everything that is shown or kept: output, plan, events, journal, errors; so are its base64,
---percent-encoded, JSON and shell-quoted forms, and the lines of a longer one. It may not stand on a command line (secret.in_command): give it by `target:env{…}` or `stdin`.
---
---Fails: secret.missing (not set, or empty), secret.short (below 4 characters it cannot be masked).
---@param name string
---@return string
function secret(name) end

---@class deployrun.Secret
secret = {}

---The same as secret(name).
---@param name string
---@return string
function secret.env(name) end

---A secret in a file of this machine (at most 64 KiB), without the line end. Warns when every user may read it. A query.
---
---Fails: secret.missing, secret.short.
---@param path string
---@return string
function secret.file(path) end

---A secret that a command of this machine writes (`pass show …`), without the line end; its output is shown nowhere. A query: it
---runs in a dry run too.
---
---Fails: secret.short, and as target:run, without the output.
---@param command string|string[]
---@param options? {name?: string, timeout?: number|string} name: what it is masked as
---@return string
function secret.command(command, options) end

---JSON text from values, and back.
---@class deployrun.Json
json = {}

---JSON text of a value, its keys in order. A table with [1] is a list; an empty one is an object unless made by json.array.
---
---Fails: recipe.argument (a function, a key that is no string, text that is not UTF-8, nesting above 64, a number that is not
---finite, too large).
---@param value any
---@return string
function json.encode(value) end

---The value of JSON text; null becomes nil.
---
---Fails: json.syntax.
---@param text string
---@return any
function json.decode(text) end

---Marks a table as a list, so that it is one in JSON even when it is empty.
---@param list table
---@return table list
function json.array(list) end

-- ---------------------------------------------------------------------------------------------- differences to Lua 5.4
-- There are: assert error getmetatable ipairs next pairs pcall rawequal rawget rawlen rawset require select
-- setmetatable tonumber tostring type xpcall load _VERSION, and the libraries coroutine math string table utf8.
-- There are not: io, os.execute and its like, debug, package, dofile, loadfile, collectgarbage (recipe.forbidden says
-- what to use instead). Reading an unknown global is recipe.unknown_global; making a new one is recipe.global: both are found
-- when the file is read, wherever in it they stand.

---Goes through a table in the order of its keys: numbers, then strings, then the rest; so that a plan, the run and a
---resumed run meet the same order. A table with its own __pairs decides for itself. `next` alone has no such order.
---@generic K, V
---@param map table<K, V>
---@return fun(map: table<K, V>): K, V
---@return table<K, V>
function pairs(map) end

---As in Lua, but a metatable with __gc is recipe.forbidden: use `local x <close>`.
---@param object table
---@param meta? table
---@return table object
function setmetatable(object, meta) end

---As in Lua, but text becomes an error object with code "failed" and the recipe's line.
---@param problem any
---@param level? integer
function error(problem, level) end

---As in Lua; a failed assertion has the code "failed".
---@generic T
---@param value T
---@param problem? any default "assertion failed"
---@return T
function assert(value, problem, ...) end

---As in Lua, except that cancellation and the limits pass through it.
---@param fn function
---@param ... any
---@return boolean ok
---@return any ...
function pcall(fn, ...) end

---As in Lua, except that cancellation and the limits pass through it.
---@param fn function
---@param handler function
---@param ... any
---@return boolean ok
---@return any ...
function xpcall(fn, handler, ...) end

---A chunk of text, in the recipe's own globals; never bytecode. Returns nil and a message when it has a syntax error.
---@param text string
---@param name? string for messages; default "=(load)"
---@return function|nil chunk
---@return string|nil problem
function load(text, name) end

---A module: NAME.lua beside the recipe, else among the bundled recipes ("lib.django" is lib/django.lua). Its file is read
---once per run of the command and evaluated once per walk; its top level cannot act.
---
---Fails: recipe.module (not found), recipe.syntax, recipe.effect_at_load.
---@param name string
---@return any
function require(name) end

---What is left of os.
---@class deployrun.Os
os = {}

---Now, in seconds since 1970 (through the gate: a resumed run gets the recorded time), or the time that `parts` names.
---@param parts? table as in Lua
---@return integer
function os.time(parts) end

---As in Lua; without `at` it is now, through the gate.
---@param format? string as strftime
---@param at? integer seconds since 1970
---@return string|table
function os.date(format, at) end

---@param later integer
---@param earlier integer
---@return number seconds
function os.difftime(later, earlier) end

---As in Lua. A call that waits may stand in a coroutine of the recipe; it waits for the whole lane. coroutine.yield
---outside of a coroutine of the recipe fails. A call that waits cannot stand inside table.sort, string.gsub or a
---metamethod (recipe.cannot_wait).
coroutine = {}

function coroutine.create(fn) end
function coroutine.resume(co, ...) end
function coroutine.yield(...) end
function coroutine.wrap(fn) end
function coroutine.status(co) end
function coroutine.running() end
function coroutine.isyieldable() end
function coroutine.close(co) end
