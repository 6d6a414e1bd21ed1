-- empty.lua - nothing at all, for the cost of a start.
return recipe { name = "empty", summary = "Do nothing", run = function() end }
