-- loop_a.lua - needs loop_b, which needs it.
return require "modules.loop_b"
