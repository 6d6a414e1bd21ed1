/* core/parts.c - the Lua of the bindings, in parts, each of which is run when the first of the
 * names that it gives is asked for.
 *
 * A run makes three Lua states. To run every binding's Lua in each of them was most of what it cost
 * to start deployrun, and grew with every binding; now a binding costs nothing to who does not use
 * it. Which names a part gives stands beside it (dr_binding.gives), so that finding one needs no
 * Lua, and an error can name what is there without running it. Called by sandbox.c and from Lua on
 * the runtime's thread. */
#include "core/runtime.h"

#include <string.h>

extern const dr_lua_source dr__lua_parallel;

/* A part of the runtime's own. */
static const dr_binding parallel = {.name = "parallel",
                                    .lua = &dr__lua_parallel,
                                    .gives = "parallel dr.lanes dr.parallel_options dr.some "
                                             "dr.made_by dr.at_good_end"};

/* The i-th part; NULL after the last. */
static const dr_binding *part_at(size_t i) {
  return i == 0 ? &parallel : dr__bindings[i - 1];
}

/* The next name in a list with spaces between, *at being moved behind it; NULL after the last. */
static const char *next_name(const char **at, size_t *length) {
  const char *name = *at + strspn(*at, " \n");
  *length = strcspn(name, " \n");
  *at = name + *length;
  return *length > 0 ? name : NULL;
}

static bool gives(const dr_binding *part, const char *wanted, size_t wanted_length) {
  const char *at = part->gives ? part->gives : "", *name;
  size_t length;
  while ((name = next_name(&at, &length)))
    if (length == wanted_length && memcmp(name, wanted, length) == 0) return true;
  return false;
}

static const dr_binding *find_part(const char *wanted, size_t length) {
  size_t i = 0;
  while (part_at(i) && !gives(part_at(i), wanted, length)) i++;
  return part_at(i);
}

bool dr__part_gives(const char *name, size_t length) {
  return find_part(name, length) != NULL;
}

/* Notes in the registry, at the part's address, that it was run. [-1, +0, throws] */
static void note(lua_State *L, const dr_binding *part) {
  lua_rawsetp(L, LUA_REGISTRYINDEX, part);
}

/* Runs a part; false when that was done in this state, or is being done. One that fails, which only
 * a lack of memory brings about, is run again when it is asked for again. [-0, +0, throws] */
static bool run(lua_State *L, const dr_binding *part) {
  luaL_checkstack(L, 4, NULL);
  bool known = lua_rawgetp(L, LUA_REGISTRYINDEX, part) != LUA_TNIL;
  lua_pop(L, 1);
  if (known) return false;
  dr__embedded_push(L, part->lua);
  lua_getfield(L, LUA_REGISTRYINDEX, "deployrun.prelude");
  lua_pushboolean(L, 1);
  note(L, part);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return true;
  lua_pushnil(L);
  note(L, part);
  return lua_error(L);
}

/* run_part(name) -> true when a part gave it just now */
static int l_run_part(lua_State *L) {
  size_t length;
  const char *wanted = luaL_checklstring(L, 1, &length);
  const dr_binding *part = find_part(wanted, length);
  lua_pushboolean(L, part && run(L, part));
  return 1;
}

/* part_names(prefix) -> what the parts give of that prefix, without it */
static int l_part_names(lua_State *L) {
  size_t prefix_length, length;
  const char *prefix = luaL_checklstring(L, 1, &prefix_length), *name;
  lua_Integer count = 0;
  lua_newtable(L);
  for (size_t i = 0; part_at(i); i++) {
    const char *at = part_at(i)->gives ? part_at(i)->gives : "";
    while ((name = next_name(&at, &length))) {
      if (length <= prefix_length || memcmp(name, prefix, prefix_length) != 0) continue;
      const char *rest = name + prefix_length;
      size_t rest_length = length - prefix_length;
      if (memchr(rest, ':', rest_length) || memchr(rest, '.', rest_length)) continue;
      lua_pushlstring(L, rest, rest_length);
      lua_rawseti(L, 2, ++count);
    }
  }
  return 1;
}

const luaL_Reg dr__parts_functions[] = {
    {"run_part", l_run_part}, {"part_names", l_part_names}, {NULL, NULL}};

/* __index of `core`: the C functions of a binding. */
static int l_functions(lua_State *L) {
  const char *name = lua_tostring(L, 2);
  for (const dr_binding *const *binding = dr__bindings; name && *binding; binding++) {
    if (!(*binding)->functions || strcmp((*binding)->name, name) != 0) continue;
    lua_newtable(L);
    luaL_setfuncs(L, (*binding)->functions, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, 1, name);
    return 1;
  }
  return 0;
}

void dr__parts_open(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, l_functions);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
}

void dr__parts_begin(lua_State *L) {
  for (const dr_binding *const *binding = dr__bindings; *binding; binding++)
    if ((*binding)->lua && !(*binding)->gives) (void)run(L, *binding);
}
