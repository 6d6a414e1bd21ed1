# Lua: the language of the recipes.
# 5.4 for to-be-closed variables and lua_resetthread; 5.4.4 is the oldest the tests run with (Debian 12), and earlier
# ones have bugs with yields in __close. 5.5 is another language version with another C interface.
deployrun_dependency(lua VERSION 5.4.4 BELOW 5.5 PACKAGE liblua5.4-dev MODULES lua5.4 lua-5.4 lua54 lua)
