---@meta
-- Processes of a target, as its /proc tells them. No `ps` is needed: a shell and cat do, in containers too.
--
-- A number alone names no process, because the system gives it to another one some day. What these functions give and take
-- is the number with the moment the process began; a signal is sent only to the very same one.

---@class deployrun.Target
local Target = {}

---@class deployrun.Process
---@field pid integer
---@field parent integer
---@field owner? string the user's name; absent when /etc/passwd there has none
---@field uid integer
---@field name string the program's name as the kernel has it, at most 15 bytes
---@field command string the command line, words with a space between
---@field words string[] the words exactly
---@field folder string its working folder; "" when the target's user may not see it (only its own, or root)
---@field unit string the systemd service it belongs to, or ""
---@field state string "S" sleeping, "R" running, "D" in the kernel, "T" stopped, "Z" ended and not yet fetched
---@field started integer when it began, in ticks since the machine did: with pid, its identity
---@field age number seconds

---@class deployrun.ProcessFilter
---@field command? string is contained in the command line, as plain text
---@field name? string is the program's name
---@field owner? string a user's name or number
---@field parent? integer
---@field tree? integer this process and its children, which is much quicker than looking at all
---@field folder? string is its working folder, absolute and without symbolic links
---@field unit? string "gunicorn.service"
---@field pid? integer

---The processes that all of this is true of, by number; threads of the kernel are left out. Command lines may hold secrets
---of other programs, and the journal keeps what is asked: name what you look for.
---
---Query. Fails: process.output.
---@param filter? deployrun.ProcessFilter default: all
---@return deployrun.Process[]
function Target:processes(filter) end

---One process, or nil. Query.
---@param pid integer
---@return deployrun.Process|nil
function Target:process(pid) end

---@class deployrun.SignalOptions
---@field handler? boolean the process must have a handler for it; default true for HUP, USR1, USR2, ALRM, TTIN, TTOU and WINCH, which end or stop a process that has none

---Sends a signal to a process, after it was made sure on the target that it is still the same one and that it knows the
---signal.
---
---Action: change. Fails: process.gone, process.changed, process.no_handler, process.ignores, process.denied,
---recipe.argument (no such signal, or a number that no process has).
---@param process deployrun.Process|integer
---@param name string "HUP", "TERM", "SIGUSR1" …
---@param options? deployrun.SignalOptions
function Target:signal(process, name, options) end

---@class deployrun.GoneOptions
---@field within? number|string default 30

---Waits until a process has ended; returns how many seconds that took.
---
---Check. Fails: process.still_there.
---@param process deployrun.Process|integer
---@param options? deployrun.GoneOptions
---@return number
function Target:wait_gone(process, options) end
