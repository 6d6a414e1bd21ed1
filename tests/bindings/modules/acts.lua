-- acts.lua - wants to act while it is loaded.
return host("local")
