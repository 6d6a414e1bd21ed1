-- lock.lua - target:lock(name): nobody else deploys to this machine meanwhile. See lock.c for how it is held,
-- meta/lock.lua for the documentation.
local dr = ...
local acquire, release = dr.op("lock.acquire"), dr.op("lock.release")

local Lock = {}
local class = dr.class("lock", Lock)

-- What each lock object stands for; taken out when it is given back.
local held = setmetatable({}, { __mode = "k" })

local function give_back(lock)
  local what = held[lock]
  held[lock] = nil
  if what then release(what.target, { name = what.name }) end
end

Lock.release = give_back
Lock.close = give_back
class.__close = give_back

function dr.Target:lock(name)
  acquire(self, { name = name == nil and "deploy" or name })
  local lock = setmetatable({}, class)
  held[lock] = { target = self, name = name == nil and "deploy" or name }
  dr.at_end(function() give_back(lock) end)
  return lock
end
