---@meta
-- Targets: anything that can run a command. This machine, a host over SSH, a container of a compose service (meta/compose.lua).
-- A target is a view: methods such as :cd give another view and leave the one they came from alone.
--
-- Every method that runs something may fail with the errors of reaching the machine: ssh.resolve, ssh.connect, ssh.timeout,
-- ssh.protocol, ssh.host_key_unknown, ssh.host_key_changed, ssh.host_key_revoked, ssh.auth, ssh.jump, ssh.channel,
-- ssh.connection_lost, ssh.exit_status_lost, ssh.login_shell; and with those of a command: command.failed, command.signal,
-- command.timeout, command.not_found, command.not_executable, command.not_started, command.no_such_folder, command.argument,
-- sudo.password, sudo.refused, sudo.terminal, secret.in_command. docs/errors.md explains them. A command that was stopped
-- and may still run has the cause command.stuck.

---@class deployrun.HostOptions
---@field [1]? string the host, as in host{ "web1", user = "deploy" }
---@field host? string the same by name: "local", a Host of ~/.ssh/config, a name, an address, or [user@]host[:port]
---@field name? string what it is called in plans and messages; default: the host
---@field user? string default: ~/.ssh/config, else the local user
---@field port? integer default: ~/.ssh/config, else 22
---@field identity? string|string[] private key files, tried in this order; at most 16
---@field identities_only? boolean offer no other keys of the agent
---@field jump? string "bastion" or "a,b": go through these hosts; "none": straight
---@field config? string a file instead of ~/.ssh/config and /etc/ssh/ssh_config; "none": neither
---@field known_hosts? string a file instead of the user's and the system's known_hosts
---@field password? string a password the recipe has as a secret
---@field sudo_password? string what sudo there asks the login user for, a secret; default: a person is asked, once for all hosts
---@field ask_password? boolean a person may be asked for a password or another prompt of the server
---@field connect_timeout? number|string until a login must have succeeded; default 10
---@field keepalive? number|string silence after which the server is asked for a sign of life; default 5; the connection counts as lost after three without an answer

---A machine. Connects (a query: in a dry run too), unless it is this one or it answered within the last minute. The same
---options give the same connection.
---
---Fails: recipe.argument, recipe.option, ssh.config, and as said above.
---@param where string|deployrun.HostOptions
---@return deployrun.Target
function host(where) end

---@class deployrun.Target
local Target = {}

-- ---------------------------------------------------------------------------------------------- commands

---@class deployrun.RunOptions
---@field timeout? number|string how long it may take, default one hour; then TERM, after 5 s KILL (over SSH after 2 s, and 1 s later it is left alone), and command.timeout, which says whether it may still run
---@field stdin? string what it reads on standard input; default: nothing
---@field any_status? boolean a status other than 0 is a result, not a failure
---@field name? string words that stand behind the command in the plan
---@field idempotent? boolean it may be done again when it is not known whether it was done
---@field quiet? boolean do not show its output, not even with -v
---@field pty? boolean give it a terminal, where stdout and stderr are one, and over SSH stdin is echoed; not together with secrets in :env or a sudo that asks for a password

---Runs a command that changes something. A list of words arrives exactly as written; one string is a line for a POSIX
---shell. Output is shown with -v as it comes; the result keeps the first 1 MiB of each stream.
---
---Action: change. In a dry run: status 0, no output, assumed.
---@param command string|string[]
---@param options? deployrun.RunOptions
---@return deployrun.CommandResult
function Target:run(command, options) end

---@class deployrun.ReadOptions
---@field timeout? number|string default 60
---@field stdin? string
---@field any_status? boolean
---@field name? string

---Runs a command that only reads, and returns what it wrote to stdout, without line ends at the end. It runs in a dry run
---too, unless an action before it may change what it reads: then it answers "", unknown.
---
---Query. Fails: command.too_much_output above 16 MiB.
---@param command string|string[]
---@param options? deployrun.ReadOptions
---@return string
function Target:read(command, options) end

---@class deployrun.CheckResult: deployrun.CommandResult
---@field attempts integer
---@field seconds number

---@class deployrun.CheckOptions
---@field within? number|string the bound of the whole; default 60
---@field every? number|string the pause between two attempts; default 1

---Runs a command again and again until it exits with 0.
---
---Check: in a dry run it is only recorded. Fails: check.timeout.
---@param command string|string[]
---@param options? deployrun.CheckOptions
---@return deployrun.CheckResult
function Target:check(command, options) end

-- ---------------------------------------------------------------------------------------------- views

---A view in another folder. An absolute path or one that begins with ~/ (the target's home) replaces the folder, a relative
---one is added to it. That it exists is found out by the first command (command.no_such_folder).
---@param folder string
---@return deployrun.Target
function Target:cd(folder) end

---A view with more environment. Numbers and booleans become text. Values that hold a secret go in by standard input, never
---by a command line.
---@param variables table<string, string|number|boolean>
---@return deployrun.Target
function Target:env(variables) end

---@class deployrun.SudoOptions
---@field check? boolean default true; false where sudo allows single commands only: nothing is found out before, and nobody is asked for a password (a sudo_password of the host is used)

---A view as another user, by sudo. That sudo works is found out here, once for each machine and user, by running `true`: in
---the walk before a run, when nothing has changed yet. When sudo wants a password, host{ sudo_password = … } is used, else
---a person is asked on the terminal, once for all hosts with the same login user. It reaches nobody but sudo: no command
---line, no environment, no file, no standard input of a command. In a container sudo is not tried before, and a password is
---never given.
---
---Query. Fails: sudo.password, sudo.refused, sudo.terminal, sudo.no_such_user, sudo.missing, sudo.failed, secret.short.
---@param user? string default: root
---@param options? deployrun.SudoOptions
---@return deployrun.Target
function Target:sudo(user, options) end

---The same as :sudo(user, options).
---@param user string
---@param options? deployrun.SudoOptions
---@return deployrun.Target
function Target:as(user, options) end

---What the target is called in plans and messages: "local", "web1", "api (one-off)".
---@return string
function Target:name() end
