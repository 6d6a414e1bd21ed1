/* ops/args.c - checking what a recipe passes to an op against the op's table of arguments. Called
 * by the gate. */
#include "ops/args.h"

#include "core/json.h"
#include "core/luajson.h"
#include "core/params.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const type_names[] = {
    [DR_ARG_STRING] = "a string",
    [DR_ARG_INTEGER] = "a whole number",
    [DR_ARG_NUMBER] = "a number",
    [DR_ARG_BOOLEAN] = "true or false",
    [DR_ARG_DURATION] = "a duration: seconds, or text such as \"90s\" or \"5m\"",
    [DR_ARG_COMMAND] = "a command: a list of words, or text for the shell",
    [DR_ARG_STRINGS] = "a list of strings",
    [DR_ARG_MAP] = "a table of names and values",
    [DR_ARG_ANY] = "plain data",
};

/* A string, or a whole number as one; NULL for anything else. Throws nothing. */
static json_t *read_word(lua_State *L, int index) {
  size_t length;
  if (lua_isinteger(L, index)) return json_sprintf("%" PRId64, (int64_t)lua_tointeger(L, index));
  if (lua_type(L, index) != LUA_TSTRING) return NULL;
  const char *text = lua_tolstring(L, index, &length);
  return json_stringn_nocheck(text, length);
}

/* A list of strings and numbers as strings; NULL when something else is in it. */
static json_t *read_strings(lua_State *L, int index) {
  json_t *list = json_array();
  lua_Integer count = (lua_Integer)lua_rawlen(L, index);
  for (lua_Integer i = 1; list && i <= count; i++) {
    lua_rawgeti(L, index, i);
    json_t *word = read_word(L, lua_gettop(L));
    lua_pop(L, 1);
    if (word && json_array_append_new(list, word) == 0) continue;
    json_decref(list);
    return NULL;
  }
  return list;
}

static json_t *read_strings_or_one(lua_State *L, int index) {
  if (lua_istable(L, index)) return read_strings(L, index);
  if (lua_type(L, index) != LUA_TSTRING) return NULL;
  json_t *list = json_array();
  if (list && json_array_append_new(list, read_word(L, index)) == 0) return list;
  json_decref(list);
  return NULL;
}

static json_t *read_command(lua_State *L, int index) {
  if (lua_istable(L, index)) return lua_rawlen(L, index) > 0 ? read_strings(L, index) : NULL;
  return lua_type(L, index) == LUA_TSTRING && lua_rawlen(L, index) > 0 ? read_word(L, index) : NULL;
}

/* A string, number or boolean as text; NULL for anything else. */
static json_t *read_plain(lua_State *L, int index) {
  if (lua_isboolean(L, index)) return json_string(lua_toboolean(L, index) ? "true" : "false");
  if (lua_type(L, index) != LUA_TNUMBER || lua_isinteger(L, index)) return read_word(L, index);
  char text[48];
  snprintf(text, sizeof text - 2, LUA_NUMBER_FMT, lua_tonumber(L, index));
  if (text[strspn(text, "-0123456789")] == '\0') memcpy(text + strlen(text), ".0", 3);
  return json_string(text);
}

static json_t *read_map(lua_State *L, int index) {
  if (!lua_istable(L, index)) return NULL;
  json_t *map = json_object();
  lua_pushnil(L);
  while (map && lua_next(L, index) != 0) {
    bool named = lua_type(L, -2) == LUA_TSTRING;
    json_t *value = named ? read_plain(L, lua_gettop(L)) : NULL;
    bool read = value && json_object_set_new_nocheck(map, lua_tostring(L, -2), value) == 0;
    lua_pop(L, read ? 1 : 2);
    if (read) continue;
    json_decref(map);
    return NULL;
  }
  return dr__json_in_order(map);
}

static json_t *read_duration(lua_State *L, int index) {
  double seconds = lua_type(L, index) == LUA_TNUMBER   ? lua_tonumber(L, index)
                   : lua_type(L, index) == LUA_TSTRING ? dr__duration_parse(lua_tostring(L, index))
                                                       : -1;
  return seconds >= 0 ? json_real(seconds) : NULL;
}

static json_t *read_string(lua_State *L, int index) {
  return lua_type(L, index) == LUA_TSTRING ? read_word(L, index) : NULL;
}

/* NULL when the value is of another type; then *problem may say more. */
static json_t *read_one(lua_State *L, int index, dr_arg_type type, const char **problem) {
  lua_checkstack(L, 6);
  switch (type) {
  case DR_ARG_STRING: return read_string(L, index);
  case DR_ARG_INTEGER:
    return lua_isinteger(L, index) ? json_integer(lua_tointeger(L, index)) : NULL;
  case DR_ARG_NUMBER:
    return lua_type(L, index) == LUA_TNUMBER ? json_real(lua_tonumber(L, index)) : NULL;
  case DR_ARG_BOOLEAN:
    return lua_isboolean(L, index) ? json_boolean(lua_toboolean(L, index)) : NULL;
  case DR_ARG_DURATION: return read_duration(L, index);
  case DR_ARG_COMMAND: return read_command(L, index);
  case DR_ARG_STRINGS: return read_strings_or_one(L, index);
  case DR_ARG_MAP: return read_map(L, index);
  case DR_ARG_ANY: return dr__json_read(L, index, problem);
  }
  return NULL;
}

static const dr_arg *find_arg(const dr_opspec *spec, const char *name) {
  for (const dr_arg *arg = spec->args; arg && arg->name; arg++)
    if (strcmp(arg->name, name) == 0) return arg;
  return NULL;
}

static void unknown_option(const dr_opspec *spec, const char *name, dr_err *err) {
  char all[512] = "";
  const char *near = NULL;
  size_t best = strlen(name) / 3 + 2;
  for (const dr_arg *arg = spec->args; arg && arg->name; arg++) {
    size_t used = strlen(all), distance = dr__name_distance(name, arg->name);
    snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "", arg->name);
    if (distance < best) {
      best = distance;
      near = arg->name;
    }
  }
  dr__fail(err, "recipe.option", "%s has no option '%s'", spec->name, name);
  if (near)
    dr__err_hint(err, "did you mean '%s'? The options are: %s", near, all);
  else
    dr__err_hint(err, "the options are: %s", all);
}

static int reject_unknown(lua_State *L, int index, const dr_opspec *spec, dr_err *err) {
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    lua_pop(L, 1);
    const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    if (name && find_arg(spec, name)) continue;
    if (name)
      unknown_option(spec, name, err);
    else
      dr__fail(err, "recipe.argument", "%s takes named options, not a list", spec->name);
    lua_pop(L, 1);
    return -1;
  }
  return 0;
}

/* A value as it is shown to the person who wrote it: a text between quotes. What is cut off ends
 * with the "…" by which the beginning of a secret is known. */
static void show(lua_State *L, int index, char *shown, size_t size) {
  int type = lua_type(L, index);
  if (type == LUA_TSTRING) {
    char text[60];
    dr__copy_text(text, sizeof text, lua_tostring(L, index));
    bool whole = strcmp(text, lua_tostring(L, index)) == 0;
    snprintf(shown, size, "\"%s%s\"", text, whole ? "" : "…");
  } else if (type == LUA_TNUMBER || type == LUA_TBOOLEAN) {
    snprintf(shown, size, "%s", luaL_tolstring(L, index, NULL));
    lua_pop(L, 1);
  } else {
    snprintf(shown, size, "%s", lua_typename(L, type));
  }
}

/* What was given instead: of a list, which of its words is none. */
static void show_given(lua_State *L, int index, dr_arg_type type, char *shown, size_t size) {
  bool list = type == DR_ARG_COMMAND || type == DR_ARG_STRINGS;
  lua_Integer count = (lua_Integer)lua_rawlen(L, index), i = 1;
  if (!list || !lua_istable(L, index)) {
    show(L, index, shown, size);
    return;
  }
  for (; i <= count; i++) {
    char word[96];
    int kind = lua_rawgeti(L, index, i);
    bool good = kind == LUA_TSTRING || lua_isinteger(L, -1);
    show(L, lua_gettop(L), word, sizeof word);
    lua_pop(L, 1);
    if (good) continue;
    snprintf(shown, size, "a list whose word %d is %s", (int)i, word);
    return;
  }
  snprintf(shown, size, "an empty list");
}

/* Reads one argument into args. */
static int take(lua_State *L, int index, const dr_opspec *spec, const dr_arg *arg, json_t *args,
                dr_err *err) {
  int failed = 0;
  lua_pushstring(L, arg->name);
  lua_rawget(L, index);
  if (lua_isnil(L, -1)) {
    if (arg->flags & DR_REQUIRED)
      failed = dr__fail(err, "recipe.argument", "%s needs '%s', %s", spec->name, arg->name,
                        type_names[arg->type]);
  } else {
    const char *problem = NULL;
    json_t *value = read_one(L, lua_gettop(L), arg->type, &problem);
    if (!value || json_object_set_new(args, arg->name, value) != 0) {
      char given[160];
      show_given(L, lua_gettop(L), arg->type, given, sizeof given);
      failed = dr__fail(err, "recipe.argument", "%s: '%s' takes %s, not %s", spec->name, arg->name,
                        type_names[arg->type], given);
    }
    if (failed && problem) dr__err_hint(err, "it is, or has in it, %s", problem);
  }
  lua_pop(L, 1);
  return failed;
}

int dr__args_read(lua_State *L, int index, const dr_opspec *spec, json_t *args, dr_err *err) {
  if (lua_isnoneornil(L, index)) {
    lua_newtable(L);
    index = lua_gettop(L);
  }
  int failed = lua_istable(L, index)
                   ? reject_unknown(L, index, spec, err)
                   : dr__fail(err, "recipe.argument", "%s takes a table of options", spec->name);
  for (const dr_arg *arg = spec->args; !failed && arg && arg->name; arg++)
    failed = take(L, index, spec, arg, args, err);
  return failed;
}
