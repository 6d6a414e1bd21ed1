/* core/recipe.c - loading a recipe: its top level is evaluated, without any way to act, and its
 * description kept. */
#include "core/luajson.h"
#include "core/params.h"
#include "core/runtime.h"

#include <stdlib.h>
#include <string.h>

/* Argument 1: path, as it is. Result: the table made by recipe{…}. */
static int l_evaluate(lua_State *L) {
  const char *path = lua_touserdata(L, 1);
  dr__sandbox_load(L, path);
  lua_call(L, 0, 1);
  dr__prelude_push(L, "check_recipe");
  lua_insert(L, -2);
  lua_pushstring(L, path);
  lua_call(L, 2, 1);
  return 1;
}

static int l_on_error(lua_State *L) {
  lua_settop(L, 1);
  dr__error_normalize(L);
  return 1;
}

int dr__recipe_evaluate(dr_walk *run, dr_err *err) {
  lua_State *L = run->L;
  dr_mode mode = run->mode;
  if (run->evaluated) return 0;
  run->mode = DR_MODE_LOAD;
  dr__cpu_restart(run);
  lua_pushcfunction(L, l_on_error);
  lua_pushcfunction(L, l_evaluate);
  lua_pushlightuserdata(L, run->rt->recipe_path);
  int status = lua_pcall(L, 1, 1, -3);
  run->mode = mode;
  lua_remove(L, -2);
  run->evaluated = status == LUA_OK;
  if (run->evaluated) return 0;
  dr__error_take(L, -1, err);
  lua_pop(L, 1);
  if (!err->where[0]) dr__copy_text(err->where, sizeof err->where, run->rt->recipe_path);
  return (int)dr_err_status(err);
}

/* Argument 1: the recipe's table; leaves its description as plain data. */
static int l_describe(lua_State *L) {
  dr__prelude_push(L, "describe");
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

/* Brings the defaults to their types. */
static int normalize(json_t *params, dr_err *err) {
  size_t i;
  json_t *declaration;
  json_array_foreach(params, i, declaration) {
    json_t *initial = json_object_get(declaration, "default");
    if (!initial) continue;
    json_t *value = dr__param_normalize(declaration, initial, err);
    if (!value && strcmp(err->code, "out_of_memory") == 0) return DR_FAILED;
    if (!value) {
      dr__copy_text(err->where, sizeof err->where,
                    json_string_value(json_object_get(declaration, "where")));
      return DR_RECIPE;
    }
    if (json_object_set_new(declaration, "default", value) != 0) return dr__err_nomem(err);
  }
  return 0;
}

static char *copy_field(const json_t *description, const char *key) {
  const char *text = json_string_value(json_object_get(description, key));
  return strdup(text ? text : "");
}

/* Keeps the description (borrowed) in the runtime. */
static int keep(dr_runtime *rt, const json_t *description, dr_err *err) {
  json_t *params = json_object_get(description, "params");
  rt->params = json_is_array(params) ? json_incref(params) : json_array();
  rt->recipe_summary = copy_field(description, "summary");
  rt->recipe_name = copy_field(description, "name");
  if (!rt->params || !rt->recipe_name || !rt->recipe_summary) return dr__err_nomem(err);
  return normalize(rt->params, err);
}

/* The description of the recipe on top of the run's stack, where it stays; NULL with err filled. */
static json_t *describe(dr_walk *run, dr_err *err) {
  const char *problem;
  lua_pushcfunction(run->L, l_describe);
  lua_pushvalue(run->L, -2);
  if (lua_pcall(run->L, 1, 1, 0) != LUA_OK) {
    dr__error_take(run->L, -1, err);
    return NULL;
  }
  json_t *description = dr__json_read(run->L, -1, &problem);
  lua_pop(run->L, 1);
  if (!description && !problem)
    dr__err_nomem(err);
  else if (!description)
    dr__fail(err, "recipe.param", "the recipe's params cannot be described: %s", problem);
  return description;
}

int dr__recipe_describe(dr_runtime *rt, dr_err *err) {
  dr_walk *run = dr__run_new(rt, err);
  if (!run) return (int)dr_err_status(err);
  int failed = dr__recipe_evaluate(run, err);
  json_t *description = failed ? NULL : describe(run, err);
  if (!description) {
    dr__run_free(run);
    return (int)dr_err_status(err);
  }
  rt->next = run; /* the first walk goes on where this stopped */
  failed = keep(rt, description, err);
  json_decref(description);
  return failed;
}
