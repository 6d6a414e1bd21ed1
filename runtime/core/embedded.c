/* core/embedded.c - deployrun's own Lua: the prelude, the sandbox, the parts of the bindings.
 *
 * The build has compiled it (vendor/embed.c), because a run makes several Lua states and to compile
 * the text in each was half of what it cost to start deployrun. What it made is for exactly the Lua
 * it was linked with; another one, which a system may have put in its place since, gets the text.
 * Nothing else gets in here: bytecode from anywhere else is refused as ever. Called by sandbox.c
 * and parts.c on the runtime's thread. */
#include "core/runtime.h"

#include <string.h>

void dr__embedded_push(lua_State *L, const dr_lua_source *source) {
  const char *name = lua_pushfstring(L, "=deployrun/%s", source->name);
  bool compiled = source->code && strcmp(source->lua, lua_ident) == 0;
  const unsigned char *bytes = compiled ? source->code : source->text;
  size_t size = compiled ? source->code_size : source->size;
  if (luaL_loadbufferx(L, (const char *)bytes, size, name, compiled ? "b" : "t") != LUA_OK)
    lua_error(L);
  lua_remove(L, -2);
}
