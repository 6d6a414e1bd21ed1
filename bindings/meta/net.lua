---@meta
-- Ports and names, from this machine (the global `net`) and from a target (target:net()).

---@class deployrun.Net
net = {}

---@class deployrun.Target
local Target = {}

---The functions of `net` as seen from the target; in a container too. Called with a dot or a colon. A port is tried by bash,
---python3 or nc there, a name is asked for by getent.
---@return deployrun.Net
function Target:net() end

---Whether a port of the target itself is open, as seen from there. A query.
---@param number integer
---@param options? {timeout?: number|string}
---@return boolean
function Target:port_open(number, options) end

---@class deployrun.PortAnswer
---@field open boolean
---@field why? string of a closed one: "Connection refused", "no answer: a firewall, or no such machine"
---@field seconds number

---Whether a TCP port is open. Query. Fails: http.resolve (from this machine), net.no_tool, recipe.argument.
---@param host string a name or an address
---@param number integer
---@param options? {timeout?: number|string} timeout: default 5
---@return deployrun.PortAnswer
function net.port(host, number, options) end

---@class deployrun.ExpectPortOptions
---@field open? boolean false: it must be closed; default true
---@field within? number|string default 30
---@field timeout? number|string of each attempt; default 5

---Waits until a TCP port is open, or closed. Check: in a dry run it is only recorded. Fails: net.port.
---@param host string
---@param number integer
---@param options? deployrun.ExpectPortOptions
---@return deployrun.PortAnswer
function net.expect_port(host, number, options) end

---The addresses of a name, of both families; none is an empty list. Query. Fails: net.dns (the resolver does not answer).
---@param name string
---@return string[]
function net.dns(name) end
