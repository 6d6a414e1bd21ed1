---@meta
-- Env files: lines NAME=value. Who reads them does not agree about quotes, so say who does: `dialect`.

---@class deployrun.EnvFile
env_file = {}

---@class deployrun.Target
local Target = {}

---@class deployrun.Stack
local Stack = {}

---@class deployrun.EnvFileOptions
---@field dialect? string "compose" (env_file: of version 2; the default), "compose-v1" (of docker-compose 1), "systemd" (EnvironmentFile=) or "docker" (docker run --env-file: no quotes at all)
---@field required? string[] names that must be there and not be empty
---@field prefix? string stands before each of them, for example "DEV_"
---@field permissions? string "warn" (default), "error" or "ignore" a file that every user of the machine may read or change
---@field secret? string[] names whose values are secrets too
---@field plain? string[] names whose values are none, although they look so

---The variables of a file of this machine, name → value. Values are secrets from then on when their name says so (PASSWORD,
---SECRET, TOKEN, KEY, DSN …) or when they are a URL with a password in it. In compose's dialects ${NAME} is replaced by what an
---earlier line gave, or by its default, else by nothing: the environment in which compose runs is not known here. For the same
---reason a name that stands without = is left out; it is no mistake. In a dry run where the file is not known yet, an empty table.
---
---Query. Fails: fs.not_found, fs.too_large, env_file.syntax, env_file.missing (all that is missing), env_file.permissions.
---@param path string
---@param options? deployrun.EnvFileOptions
---@return table<string, string>
function env_file.read(path, options) end

---The same of a file of the target.
---@param path string
---@param options? deployrun.EnvFileOptions
---@return table<string, string>
function Target:env_file(path, options) end

---The same of a file of a compose project, in the dialect of the compose that is installed there; a path begins in the project's
---folder.
---@param path string
---@param options? deployrun.EnvFileOptions without dialect
---@return table<string, string>
function Stack:env_file(path, options) end

---The variables of a text. Fails: env_file.syntax.
---@param text string
---@param options? {dialect?: string, secret?: string[], plain?: string[]}
---@return table<string, string>
function env_file.parse(text, options) end

---The text of a file with these variables, in the order of `order` and then of their names; for target:write. What it writes
---for compose reads the same in its versions 1 and 2.
---
---Fails: env_file.format (a value that the dialect cannot express).
---@param values table<string, string|number|boolean>
---@param options? {dialect?: string, order?: string[]}
---@return string
function env_file.format(values, options) end
