-- loop_b.lua - needs loop_a, which needs it.
return require "modules.loop_a"
