/* postgres/classify.c - Lua glue of the classifier: dr.core.postgres_sql.classify, which
 * postgres_sql.lua makes postgres.classify. A pure function: it asks nobody and changes nothing. On
 * the runtime's thread. */
#include "postgres/hazards.h"

#include "core/luajson.h"
#include "ops/binding.h"

extern const dr_lua_source dr__lua_postgres_sql;

/* What a call owns, in one userdata: the collector gives it back whatever is thrown. */
typedef struct call {
  dr_sql_script script;
  dr_sql_world *world;
} call;

static int call_gc(lua_State *L) {
  call *c = lua_touserdata(L, 1);
  dr__sql_script_free(&c->script);
  dr__sql_world_free(c->world);
  c->world = NULL;
  return 0;
}

static call *new_call(lua_State *L) {
  call *c = lua_newuserdatauv(L, sizeof *c, 0);
  *c = (call){0};
  if (luaL_newmetatable(L, "deployrun.postgres.classify")) {
    lua_pushcfunction(L, call_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return c;
}

/* Judges the text on top of the stack and puts the result there instead. [-1, +1, throws] */
static void classify(lua_State *L, call *c, json_t **result) {
  size_t length;
  dr_err err = DR_ERR_INIT;
  const char *sql = luaL_checklstring(L, -1, &length);
  int status = dr__sql_split(sql, length, &c->script, &err);
  if (status == DR_OK) *result = dr__sql_classify(&c->script, c->world, &err);
  dr__sql_script_free(&c->script);
  if (!*result) dr__error_throw(L, &err);
  lua_pop(L, 1);
  dr__json_push(L, *result);
  json_decref(*result);
  *result = NULL;
}

/* classify({sql…}, catalog or nil) -> {result…}: of scripts that run one behind the other; throws
 */
static int l_classify(lua_State *L) {
  const char *problem = "";
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  json_t **catalog = dr__json_box(L);
  json_t **result = dr__json_box(L);
  call *c = new_call(L);
  if (!lua_isnil(L, 2)) {
    *catalog = dr__json_read(L, 2, &problem);
    if (!*catalog && !problem) return dr__error_nomem(L);
    if (!*catalog)
      return dr__error_raise(L, "recipe.argument", "", "postgres.classify: catalog: %s", problem);
  }
  c->world = dr__sql_world_new(*catalog);
  if (!c->world) return dr__error_nomem(L);
  lua_Integer count = luaL_len(L, 1);
  lua_createtable(L, (int)count, 0);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_geti(L, 1, i);
    classify(L, c, result);
    lua_seti(L, -2, i);
  }
  return 1;
}

static const luaL_Reg functions[] = {{"classify", l_classify}, {NULL, NULL}};

const dr_binding dr__binding_postgres_sql = {.name = "postgres_sql",
                                             .functions = functions,
                                             .lua = &dr__lua_postgres_sql,
                                             .gives = "Postgres.classify"};
