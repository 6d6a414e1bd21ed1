/* core/sandbox.c - the Lua state of a run: which parts of Lua a recipe sees, and how much memory
 * and computing it may use. Everything is allow-listed; the way to the world is the gate alone.
 */
#include "core/lane.h"
#include "core/luajson.h"
#include "ops/gate.h"

#include <limits.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

extern const dr_lua_source dr__lua_prelude, dr__lua_sandbox;

/* In the registry: the table that is _ENV of recipes and their modules. */
static const char globals_name[] = "deployrun.globals";

/* Its address is the key, in the registry, of the error that stopped the recipe last. */
static const char stop_key = 's';

dr_walk *dr__lua_run(lua_State *L) {
  return *(dr_walk **)lua_getextraspace(L);
}

/* ------------------------------------------------------------ limits */

/* The allocator of a run: counts, and refuses what is over the limit. */
static void *limited_alloc(void *data, void *block, size_t old_size, size_t new_size) {
  dr_walk *run = data;
  size_t old = block ? old_size : 0;
  if (new_size == 0) {
    free(block);
    run->memory_used -= old;
    return NULL;
  }
  if (new_size > old && run->memory_used - old + new_size > run->rt->options.memory_limit)
    return NULL;
  void *moved = realloc(block, new_size);
  if (!moved && new_size <= old) moved = block; /* to shrink never fails */
  if (moved) run->memory_used += new_size - old;
  return moved;
}

enum { HOOK_EVERY = 10000 }; /* Lua instructions */

void dr__cpu_restart(dr_walk *run) {
  run->resumed_ns = uv_hrtime();
  run->overrun = false;
}

/* True when Lua has computed for too long; a second time after an eighth of the limit, which is for
 * cleaning up. */
static bool is_overrun(const dr_walk *run) {
  uint64_t limit = (uint64_t)run->rt->options.cpu_limit_ms * 1000000u;
  return uv_hrtime() - run->resumed_ns > (run->overrun ? limit + limit / 8 : limit);
}

static bool is_cancelled(const dr_walk *run) {
  bool asked = run->current ? run->current->cancel == DR_CANCEL_ASKED : run->cancel_level > 0;
  return asked || run->cancel_level >= 2;
}

/* deployrun's own Lua is not stopped half-way: it waits for lanes, and undoes. */
static bool is_own(lua_State *L, lua_Debug *frame) {
  return lua_getinfo(L, "S", frame) && strncmp(frame->source, "=deployrun/", 11) == 0;
}

/* Pushes the error that stops the recipe. */
static void push_stop(lua_State *L, dr_walk *run) {
  dr_err err = DR_ERR_INIT;
  if (is_cancelled(run)) {
    dr__lane_reason(run->current, &err);
  } else {
    run->overrun = true;
    dr__fail(&err, "recipe.cpu_limit", "the recipe computed for %u ms without waiting for anything",
             run->rt->options.cpu_limit_ms);
    dr__err_hint(&err, "look for a loop that never ends near this line");
    dr__lua_where(L, err.where, sizeof err.where);
  }
  dr__error_push(L, &err);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &stop_key);
}

/* Looks at the clock and at dr_cancel() while Lua computes. When it is to stop, every instruction
 * is looked at from then on: the next one of the recipe throws. What still computes then is a
 * recipe that goes on in its __close handlers; each of them ends with its first instruction, by the
 * same error again, for which no memory is needed. */
static void on_count(lua_State *L, lua_Debug *frame) {
  dr_walk *run = dr__lua_run(L);
  dr__run_interrupt(run);
  bool stop = is_cancelled(run) || is_overrun(run), again = stop && lua_gethookcount(L) == 1;
  int every = stop ? 1 : HOOK_EVERY;
  if (lua_gethookcount(L) != every) lua_sethook(L, on_count, LUA_MASKCOUNT, every);
  if (!stop || is_own(L, frame)) return;
  if (!again || lua_rawgetp(L, LUA_REGISTRYINDEX, &stop_key) == LUA_TNIL) push_stop(L, run);
  lua_error(L);
}

/* ------------------------------------------------------------ base functions */

/* What the Lua machine throws is text; a recipe gets it as an error object, like all others. What a
 * recipe throws itself stays as it is. */
static int l_on_text(lua_State *L) {
  lua_settop(L, 1);
  if (lua_type(L, 1) == LUA_TSTRING) dr__error_normalize(L);
  return 1;
}

/* pcall and xpcall as in Lua, except that cancellation and the limits go through them. `below`
 * counts what stands below the results. */
static int finish_pcall(lua_State *L, int status, lua_KContext below) {
  bool ok = status == LUA_OK || status == LUA_YIELD;
  if (!ok && dr__error_is_fatal(L, -1)) return lua_error(L);
  if (!ok) {
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
  }
  return lua_gettop(L) - (int)below;
}

/* pcall(f, …): stack becomes handler, true, f, … */
static int l_pcall(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushcfunction(L, l_on_text);
  lua_insert(L, 1);
  lua_pushboolean(L, 1);
  lua_insert(L, 2);
  return finish_pcall(L, lua_pcallk(L, lua_gettop(L) - 3, LUA_MULTRET, 1, 1, finish_pcall), 1);
}

/* The recipe's handler (upvalue) sees what it may catch; the rest passes by. */
static int l_handler(lua_State *L) {
  l_on_text(L);
  if (dr__error_is_fatal(L, 1)) return 1;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 1, LUA_MULTRET);
  return lua_gettop(L);
}

/* xpcall(f, handler, …): stack becomes f, handler, true, f, … */
static int l_xpcall(lua_State *L) {
  int count = lua_gettop(L);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushvalue(L, 2);
  lua_pushcclosure(L, l_handler, 1);
  lua_replace(L, 2);
  lua_pushboolean(L, 1);
  lua_pushvalue(L, 1);
  lua_rotate(L, 3, 2);
  return finish_pcall(L, lua_pcallk(L, count - 2, LUA_MULTRET, 2, 2, finish_pcall), 2);
}

/* Gives the chunk on top of the stack its globals: the value below the top, popped. [-1, +0] */
static void set_globals(lua_State *L) {
  if (!lua_setupvalue(L, -2, 1)) lua_pop(L, 1);
}

/* load(text, name, mode, globals): text only; without `globals`, in the recipe's own. */
static int l_load(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  const char *name = luaL_optstring(L, 2, "=(load)");
  if (luaL_loadbufferx(L, text, length, name, "t") != LUA_OK) {
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
  }
  if (lua_isnone(L, 4))
    lua_getfield(L, LUA_REGISTRYINDEX, globals_name);
  else
    lua_pushvalue(L, 4);
  set_globals(L);
  return 1;
}

/* Throws what the compiler said of a file. Never returns. */
static void throw_syntax(lua_State *L, dr_err *said, const char *path) {
  dr_err err = DR_ERR_INIT;
  bool syntax = strcmp(said->code, "recipe.error") == 0;
  dr__fail(&err, syntax ? "recipe.syntax" : said->code, "%s%s", syntax ? "syntax error: " : "",
           said->message);
  dr__copy_text(err.where, sizeof err.where, said->where[0] ? said->where : path);
  dr_err_clear(said);
  dr__error_throw(L, &err);
}

/* use(globals, name, assigned): as a recipe uses it, for the error that it gets then. */
static int l_use(lua_State *L) {
  if (lua_toboolean(L, 3)) {
    lua_pushnil(L);
    lua_setfield(L, 1, lua_tostring(L, 2));
    return 0;
  }
  lua_pushvalue(L, 2);
  lua_gettable(L, 1);
  return 1;
}

/* check_globals(globals, chunk, path): throws when the chunk names a global that nobody gives. */
static int l_check_globals(lua_State *L) {
  dr_global unknown;
  dr_err err = DR_ERR_INIT;
  const char *path = lua_tostring(L, 3);
  lua_pushvalue(L, 2);
  if (!dr__globals_unknown(L, &unknown)) return 0;
  lua_pushcfunction(L, l_use);
  lua_pushvalue(L, 1);
  lua_pushlstring(L, unknown.name, unknown.length);
  lua_pushboolean(L, unknown.assigned);
  if (lua_pcall(L, 3, 0, 0) == LUA_OK) return 0;
  dr__error_read(L, -1, &err);
  snprintf(err.where, sizeof err.where, "%s:%zu", path, unknown.line);
  return dr__error_throw(L, &err);
}

void dr__sandbox_load(lua_State *L, const char *path) {
  dr_walk *run = dr__lua_run(L);
  dr_err err = DR_ERR_INIT;
  const json_t *text = dr__source_read(run->rt, path, &err);
  if (!text) dr__error_throw(L, &err);
  const char *name = lua_pushfstring(L, "@%s", path), *code = json_string_value(text);
  size_t mark = strncmp(code, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0; /* some editors begin with one */
  if (luaL_loadbufferx(L, code + mark, json_string_length(text) - mark, name, "t") != LUA_OK) {
    dr__error_read(L, -1, &err);
    throw_syntax(L, &err, path);
  }
  lua_remove(L, -2);
  lua_pushcfunction(L, l_check_globals);
  lua_getfield(L, LUA_REGISTRYINDEX, globals_name);
  lua_pushvalue(L, -3);
  lua_pushstring(L, path);
  lua_call(L, 3, 0);
  lua_getfield(L, LUA_REGISTRYINDEX, globals_name);
  set_globals(L);
}

static int l_run_module(lua_State *L) {
  dr__sandbox_load(L, lua_tostring(L, 1));
  lua_call(L, 0, 1);
  return 1;
}

/* Pushes the path of a module as text. [-0, +1, throws] */
static void push_module_path(lua_State *L, const char *name) {
  dr_err err = DR_ERR_INIT;
  char *path = dr__source_module(dr__lua_run(L)->rt, name, &err);
  if (!path && err.code[0]) dr__error_throw(L, &err);
  if (!path)
    dr__error_raise(L, "recipe.module",
                    "require finds files of the recipe's own folder and of the bundled library",
                    "there is no module '%s'", name);
  char copy[PATH_MAX];
  dr__copy_text(copy, sizeof copy, path);
  free(path);
  lua_pushstring(L, copy);
}

/* require(name): a module beside the recipe or of the bundled library. Its top level cannot act. */
static int l_require(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  dr_walk *run = dr__lua_run(L);
  lua_settop(L, 1);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, "deployrun.modules");
  int known = lua_getfield(L, 2, name);
  if (known == LUA_TLIGHTUSERDATA)
    return dr__error_raise(L, "recipe.module", "put what both need into a third module",
                           "module '%s' requires itself, maybe by way of others", name);
  if (known != LUA_TNIL) return 1;
  lua_pushcfunction(L, l_run_module);
  push_module_path(L, name);
  lua_pushlightuserdata(L, run);
  lua_setfield(L, 2, name); /* being loaded */
  dr_mode mode = run->mode;
  run->mode = DR_MODE_LOAD;
  int status = lua_pcall(L, 1, 1, 0);
  run->mode = mode;
  if (status == LUA_OK && lua_isnil(L, -1)) lua_pushboolean(L, 1);
  lua_pushvalue(L, -1);
  if (status != LUA_OK) lua_pushnil(L);
  lua_setfield(L, 2, name);
  return status == LUA_OK ? 1 : lua_error(L);
}

/* text_error(value): what a recipe's pcall makes of it */
static const luaL_Reg base[] = {{"text_error", l_on_text}, {"pcall", l_pcall},
                                {"xpcall", l_xpcall},      {"load", l_load},
                                {"require", l_require},    {NULL, NULL}};

/* ------------------------------------------------------------ making the state */

static void open_libraries(lua_State *L) {
  static const luaL_Reg libraries[] = {{LUA_GNAME, luaopen_base},
                                       {LUA_TABLIBNAME, luaopen_table},
                                       {LUA_STRLIBNAME, luaopen_string},
                                       {LUA_MATHLIBNAME, luaopen_math},
                                       {LUA_UTF8LIBNAME, luaopen_utf8},
                                       {LUA_COLIBNAME, luaopen_coroutine},
                                       {NULL, NULL}};
  for (const luaL_Reg *library = libraries; library->func; library++) {
    luaL_requiref(L, library->name, library->func, 1);
    lua_pop(L, 1);
  }
}

/* core.os: the parts of the os library that only compute. */
static void add_os_functions(lua_State *L) {
  static const char *const names[] = {"time", "date", "difftime"};
  luaL_requiref(L, LUA_OSLIBNAME, luaopen_os, 0);
  lua_newtable(L);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    lua_getfield(L, -2, names[i]);
    lua_setfield(L, -2, names[i]);
  }
  lua_setfield(L, -3, "os");
  lua_pop(L, 1);
}

/* Builds everything but the bindings' Lua, which parts.c runs when it is asked for. Runs protected.
 */
static int l_build(lua_State *L) {
  lua_gc(L, LUA_GCSTOP); /* what is built here stays: to look for garbage among it is in vain */
  open_libraries(L);
  lua_newtable(L);
  luaL_setfuncs(L, base, 0);
  luaL_setfuncs(L, dr__lane_functions, 0);
  luaL_setfuncs(L, dr__gate_functions, 0);
  luaL_setfuncs(L, dr__parts_functions, 0);
  dr__lane_push_sentinel(L);
  lua_setfield(L, -2, "sentinel");
  add_os_functions(L);
  dr__parts_open(L);
  int core = lua_gettop(L);
  dr__embedded_push(L, &dr__lua_prelude);
  lua_pushvalue(L, core);
  lua_call(L, 1, 1);
  lua_pushvalue(L, -1);
  lua_setfield(L, LUA_REGISTRYINDEX, "deployrun.prelude");
  int dr = lua_gettop(L);
  dr__embedded_push(L, &dr__lua_sandbox);
  lua_pushvalue(L, dr);
  lua_pushvalue(L, core);
  lua_call(L, 2, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, globals_name);
  dr__parts_begin(L);
  lua_gc(L, LUA_GCRESTART);
  return 0;
}

lua_State *dr__sandbox_new(dr_walk *run, dr_err *err) {
  lua_State *L = lua_newstate(limited_alloc, run);
  if (!L) {
    dr__err_nomem(err);
    return NULL;
  }
  *(dr_walk **)lua_getextraspace(L) = run;
  lua_sethook(L, on_count, LUA_MASKCOUNT, HOOK_EVERY);
  lua_pushcfunction(L, l_build);
  if (lua_pcall(L, 0, 0, 0) == LUA_OK) return L;
  dr__error_take(L, -1, err);
  lua_close(L);
  return NULL;
}

void dr__prelude_push(lua_State *L, const char *name) {
  lua_getfield(L, LUA_REGISTRYINDEX, "deployrun.prelude");
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
}
