-- counted.lua - a module that is loaded once, however often it is required.
local counted = { loads = 0 }
function counted.act(here) return here:read { "echo", "acted" } end
counted.loads = counted.loads + 1
return counted
