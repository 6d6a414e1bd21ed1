-- net.lua - the global `net` and target:net(): ports and names, from this machine and from a target. The ops are in
-- net.c and net_port.c; meta/net.lua documents the functions.
local dr = ...
local dns, port, expect_port = dr.op("net.dns"), dr.op("net.port"), dr.op("net.expect_port")

-- An IPv6 address may be written as in a URL, "[::1]".
local function plain(host) return type(host) == "string" and host:match("^%[([%x:.]+)%]$") or host end

-- The functions as seen from a target; nil is this machine.
local function functions(target)
  local net = {}

  function net.dns(name) return dns(target, { name = name }).addresses end

  function net.port(host, number, options)
    return port(target, dr.with_options("port", options, { host = plain(host), port = number }))
  end

  function net.expect_port(host, number, options)
    return expect_port(target, dr.with_options("expect_port", options, { host = plain(host), port = number }))
  end

  return net
end

dr.global("net", setmetatable({}, dr.class("net", functions(nil))))

function dr.Target:net() return dr.bound("net", functions(self)) end

function dr.Target:port_open(number, options) return self:net().port("localhost", number, options).open end
