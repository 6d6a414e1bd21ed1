-- broken.lua - fails while it is loaded.
error("broken on purpose")
