---@meta
-- Locks: nobody else deploys to a machine meanwhile. A lock is held by a process on the target that lives as long as the
-- connection; it never has to be removed by hand. It needs the program flock (util-linux) there.

---@class deployrun.Target
local Target = {}

---Takes a lock on the target's machine. It is given back by `release`, by <close>, or when the run ends, however it ends.
---Taking one that this run holds already counts up. In a dry run it is only recorded.
---
---Action without effects. Fails: lock.held (exit status 4; says who, what and since when), lock.timeout, lock.no_flock,
---lock.failed, recipe.argument (a bad name).
---@param name? string letters, digits, '-', '_' and '.', at most 64; default "deploy"
---@return deployrun.Lock
function Target:lock(name) end

---@class deployrun.Lock
local Lock = {}

---Gives the lock back; again, does nothing.
function Lock:release() end

---The same as release.
function Lock:close() end
