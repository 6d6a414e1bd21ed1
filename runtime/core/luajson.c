/* core/luajson.c - conversions at the border of Lua: JSON values and error objects. Called on the
 * runtime's thread, inside protected calls. */
#include "core/luajson.h"

#include "core/json.h"
#include "core/lane.h"
#include "core/runtime.h"

#include "ops/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 64, LARGEST = 64 << 20 };

static const char error_class_name[] = "deployrun.error";

void dr__json_push(lua_State *L, const json_t *value) {
  luaL_checkstack(L, 4, "JSON nested too deep");
  switch (value ? json_typeof(value) : JSON_NULL) {
  case JSON_OBJECT: {
    const char *key;
    json_t *item;
    lua_createtable(L, 0, (int)json_object_size(value));
    json_object_foreach((json_t *)value, key, item) {
      dr__json_push(L, item);
      lua_setfield(L, -2, key);
    }
    break;
  }
  case JSON_ARRAY:
    lua_createtable(L, (int)json_array_size(value), 0);
    for (size_t i = 0; i < json_array_size(value); i++) {
      dr__json_push(L, json_array_get(value, i));
      lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    break;
  case JSON_STRING: lua_pushlstring(L, json_string_value(value), json_string_length(value)); break;
  case JSON_INTEGER: lua_pushinteger(L, json_integer_value(value)); break;
  case JSON_REAL: lua_pushnumber(L, json_real_value(value)); break;
  case JSON_TRUE:
  case JSON_FALSE: lua_pushboolean(L, json_is_true(value)); break;
  case JSON_NULL: lua_pushnil(L); break;
  }
}

/* One reading of a Lua value. */
typedef struct reading {
  lua_State *L;
  const char *problem;
  size_t left; /* bytes the JSON may still take, roughly: a table met twice counts twice */
} reading;

static json_t *read_value(reading *r, int index, int depth);

static bool take_room(reading *r, size_t bytes) {
  enum { VALUE = 64 };
  if (bytes + VALUE > r->left) {
    r->problem = "larger than 64 MiB";
    return false;
  }
  r->left -= bytes + VALUE;
  return true;
}

static json_t *read_array(reading *r, int index, int depth) {
  lua_State *L = r->L;
  json_t *array = json_array();
  lua_Integer count = (lua_Integer)lua_rawlen(L, index);
  for (lua_Integer i = 1; array && i <= count; i++) {
    lua_rawgeti(L, index, i);
    json_t *item = read_value(r, lua_gettop(L), depth + 1);
    lua_pop(L, 1);
    if (!item || json_array_append_new(array, item) != 0) {
      json_decref(array);
      array = NULL;
    }
  }
  return array;
}

/* The value on top of the stack under the key below it, into object. */
static bool read_member(reading *r, json_t *object, int depth) {
  lua_State *L = r->L;
  if (lua_type(L, -2) != LUA_TSTRING) {
    r->problem = "a key that is not a string";
    return false;
  }
  const char *key = lua_tostring(L, -2);
  json_t *item = take_room(r, strlen(key)) ? read_value(r, lua_gettop(L), depth + 1) : NULL;
  return item && json_object_set_new_nocheck(object, key, item) == 0;
}

static json_t *read_object(reading *r, int index, int depth) {
  lua_State *L = r->L;
  json_t *object = json_object();
  lua_pushnil(L);
  while (object && lua_next(L, index) != 0) {
    bool read = read_member(r, object, depth);
    lua_pop(L, read ? 1 : 2);
    if (read) continue;
    json_decref(object);
    return NULL;
  }
  return dr__json_in_order(object);
}

static bool is_array(lua_State *L, int index) {
  if (lua_rawlen(L, index) > 0) return true;
  if (luaL_getmetafield(L, index, "__name") == LUA_TNIL) return false;
  const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
  bool array = strcmp(name, "json.array") == 0;
  lua_pop(L, 1);
  return array;
}

/* True when a list has keys that are no places in it; they would be lost. */
static bool has_other_keys(lua_State *L, int index) {
  lua_Integer count = (lua_Integer)lua_rawlen(L, index);
  bool other = false;
  lua_pushnil(L);
  while (!other && lua_next(L, index) != 0) {
    lua_pop(L, 1);
    lua_Integer key = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
    other = key < 1 || key > count;
  }
  if (other) lua_pop(L, 1);
  return other;
}

static json_t *read_table(reading *r, int index, int depth) {
  lua_State *L = r->L;
  if (depth >= DEEPEST || !lua_checkstack(L, 4)) {
    r->problem = "nested too deep";
    return NULL;
  }
  if (dr__plan_push_values(L, index)) { /* the stub of a dry run: what it stands for */
    json_t *value = read_value(r, lua_gettop(L), depth);
    lua_pop(L, 1);
    return value;
  }
  if (!is_array(L, index)) return read_object(r, index, depth);
  if (has_other_keys(L, index)) {
    r->problem = "a table that is a list and has named fields too";
    return NULL;
  }
  return read_array(r, index, depth);
}

static json_t *read_number(reading *r, int index) {
  if (lua_isinteger(r->L, index)) return json_integer(lua_tointeger(r->L, index));
  json_t *real = json_real(lua_tonumber(r->L, index));
  if (!real) r->problem = "a number that is not finite";
  return real;
}

static json_t *read_text(reading *r, int index) {
  size_t length;
  const char *text = lua_tolstring(r->L, index, &length);
  return take_room(r, length) ? json_stringn_nocheck(text, length) : NULL;
}

static json_t *read_value(reading *r, int index, int depth) {
  if (!take_room(r, 0)) return NULL;
  switch (lua_type(r->L, index)) {
  case LUA_TNIL: return json_null();
  case LUA_TBOOLEAN: return json_boolean(lua_toboolean(r->L, index));
  case LUA_TNUMBER: return read_number(r, index);
  case LUA_TSTRING: return read_text(r, index);
  case LUA_TTABLE: return read_table(r, index, depth);
  default: r->problem = luaL_typename(r->L, index); return NULL;
  }
}

json_t *dr__json_read(lua_State *L, int index, const char **problem) {
  reading r = {.L = L, .left = LARGEST};
  const unsigned long before = dr__json_denied();
  json_t *value = read_value(&r, lua_absindex(L, index), 0);
  *problem = dr__json_denied() == before ? r.problem : NULL;
  return value;
}

static int l_json_box_gc(lua_State *L) {
  json_t **box = lua_touserdata(L, 1);
  json_decref(*box);
  *box = NULL;
  return 0;
}

json_t **dr__json_box(lua_State *L) {
  json_t **box = lua_newuserdatauv(L, sizeof(void *), 0);
  *box = NULL;
  if (luaL_newmetatable(L, "deployrun.json_box")) {
    lua_pushcfunction(L, l_json_box_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return box;
}

/* ------------------------------------------------------------ error objects */

static int l_error_tostring(lua_State *L) {
  static const char *const keys[] = {"where", "message", "code"};
  for (int i = 0; i < 3; i++) lua_getfield(L, 1, keys[i]);
  const char *where = lua_tostring(L, 2);
  lua_pushfstring(L, "%s%s%s [%s]", where ? where : "", where ? ": " : "",
                  lua_tostring(L, 3) ? lua_tostring(L, 3) : "?",
                  lua_tostring(L, 4) ? lua_tostring(L, 4) : "?");
  return 1;
}

void dr__error_class(lua_State *L) {
  if (!luaL_newmetatable(L, error_class_name)) return;
  lua_pushcfunction(L, l_error_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushliteral(L, "error");
  lua_setfield(L, -2, "__metatable");
}

/* A box that clears a dr_err when it is collected, so that a memory error in between loses nothing.
 */
static int l_err_box_gc(lua_State *L) {
  dr_err_clear(lua_touserdata(L, 1));
  return 0;
}

static dr_err *push_err_box(lua_State *L) {
  dr_err *box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = (dr_err)DR_ERR_INIT;
  if (luaL_newmetatable(L, "deployrun.err_box")) {
    lua_pushcfunction(L, l_err_box_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return box;
}

static void set_text(lua_State *L, const char *key, const char *text) {
  if (!text || !text[0]) return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, key);
}

static void push_object(lua_State *L, const dr_err *err) {
  luaL_checkstack(L, 6, NULL);
  lua_newtable(L);
  set_text(L, "code", err->code);
  set_text(L, "message", err->message);
  set_text(L, "hint", err->hint);
  set_text(L, "target", err->target);
  set_text(L, "op", err->op);
  set_text(L, "where", err->where);
  set_text(L, "detail", err->detail);
  if (err->cause) {
    push_object(L, err->cause);
    lua_setfield(L, -2, "cause");
  }
  dr__error_class(L);
  lua_setmetatable(L, -2);
}

void dr__error_push(lua_State *L, dr_err *err) {
  dr_err *box = push_err_box(L);
  dr__err_move(box, err);
  push_object(L, box);
  dr_err_clear(box);
  lua_remove(L, -2);
}

int dr__error_throw(lua_State *L, dr_err *err) {
  dr__error_push(L, err);
  return lua_error(L);
}

int dr__error_raise(lua_State *L, const char *code, const char *hint, const char *format, ...) {
  dr_err *box = push_err_box(L);
  va_list args;
  va_start(args, format);
  dr__fail_v(box, code, format, args);
  va_end(args);
  if (hint) dr__err_hint(box, "%s", hint);
  dr__lua_where(L, box->where, sizeof box->where);
  return dr__error_throw(L, box);
}

int dr__error_nomem(lua_State *L) {
  return dr__error_raise(L, "out_of_memory", NULL, "out of memory");
}

bool dr__error_is(lua_State *L, int index) {
  if (!lua_istable(L, index) || !lua_getmetatable(L, index)) return false;
  luaL_getmetatable(L, error_class_name);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same;
}

/* What the Lua machine throws when its allocator refuses. */
static bool is_memory_error(lua_State *L, int index) {
  return lua_type(L, index) == LUA_TSTRING &&
         strcmp(lua_tostring(L, index), "not enough memory") == 0;
}

bool dr__error_is_fatal(lua_State *L, int index) {
  static const char *const fatal[] = {"cancelled", "lock.lost", "recipe.cpu_limit",
                                      "recipe.memory_limit"};
  if (is_memory_error(L, index)) return true;
  if (!dr__error_is(L, index)) return false;
  lua_getfield(L, index, "code");
  const char *code = lua_tostring(L, -1);
  bool found = false;
  for (size_t i = 0; code && i < sizeof fatal / sizeof *fatal; i++)
    found = found || strcmp(code, fatal[i]) == 0;
  lua_pop(L, 1);
  return found;
}

static void get_text(lua_State *L, int index, const char *key, char *buffer, size_t size) {
  lua_getfield(L, index, key);
  dr__copy_text(buffer, size, lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "");
  lua_pop(L, 1);
}

static void read_object_fields(lua_State *L, int index, dr_err *err, int depth) {
  get_text(L, index, "code", err->code, sizeof err->code);
  get_text(L, index, "message", err->message, sizeof err->message);
  get_text(L, index, "hint", err->hint, sizeof err->hint);
  get_text(L, index, "target", err->target, sizeof err->target);
  get_text(L, index, "op", err->op, sizeof err->op);
  get_text(L, index, "where", err->where, sizeof err->where);
  lua_getfield(L, index, "detail");
  if (lua_type(L, -1) == LUA_TSTRING) err->detail = strdup(lua_tostring(L, -1));
  lua_getfield(L, index, "cause");
  if (depth < 8 && dr__error_is(L, -1)) {
    err->cause = calloc(1, sizeof *err->cause);
    if (err->cause) read_object_fields(L, lua_gettop(L), err->cause, depth + 1);
  }
  lua_pop(L, 2);
  if (!err->code[0]) dr__copy_text(err->code, sizeof err->code, "recipe.error");
}

/* Splits "file.lua:12: message" as the Lua machine writes it. A line of deployrun's own Lua says
 * nothing to the person who wrote the recipe. */
static void read_message(const char *text, dr_err *err) {
  const char *at = strstr(text, ".lua:");
  const char *end = at ? strstr(at + 5, ": ") : NULL;
  bool positioned = end && strspn(at + 5, "0123456789") == (size_t)(end - at - 5);
  dr__fail(err, "recipe.error", "%s", positioned ? end + 2 : text);
  if (!positioned || strncmp(text, "deployrun/", 10) == 0) return;
  char where[sizeof err->where];
  snprintf(where, sizeof where, "%.*s", (int)(end - text), text);
  dr__copy_text(err->where, sizeof err->where, where);
}

static void memory_limit(dr_err *err) {
  dr__fail(err, "recipe.memory_limit", "the recipe used more memory than it may");
  dr__err_hint(err, "look for a table or a text that grows without end");
}

void dr__error_read(lua_State *L, int index, dr_err *err) {
  index = lua_absindex(L, index);
  dr_err_clear(err);
  if (dr__error_is(L, index)) {
    luaL_checkstack(L, 6, NULL);
    read_object_fields(L, index, err, 0);
  } else if (is_memory_error(L, index)) {
    memory_limit(err);
  } else if (lua_type(L, index) == LUA_TSTRING) {
    read_message(lua_tostring(L, index), err);
  } else {
    dr__fail(err, "recipe.error", "the recipe threw a %s value", luaL_typename(L, index));
    dr__err_hint(err, "throw text with error(\"…\"), or call fail(message, hint)");
  }
}

void dr__error_normalize(lua_State *L) {
  if (dr__error_is(L, -1)) return;
  dr_err err = DR_ERR_INIT;
  dr__error_read(L, -1, &err);
  if (!err.where[0]) dr__lua_where(L, err.where, sizeof err.where);
  dr__error_push(L, &err);
  lua_replace(L, -2);
}

static int l_error_read(lua_State *L) {
  dr__error_read(L, 1, lua_touserdata(L, 2));
  return 0;
}

void dr__error_take(lua_State *L, int index, dr_err *err) {
  index = lua_absindex(L, index);
  if (lua_checkstack(L, 4)) {
    lua_pushcfunction(L, l_error_read);
    lua_pushvalue(L, index);
    lua_pushlightuserdata(L, err);
    if (lua_pcall(L, 2, 0, 0) == LUA_OK) return;
    lua_pop(L, 1);
  }
  memory_limit(err);
}

void dr__lua_where(lua_State *L, char *buffer, size_t size) {
  lua_Debug frame;
  buffer[0] = '\0';
  for (int level = 0; lua_getstack(L, level, &frame); level++) {
    lua_getinfo(L, "Sl", &frame);
    if (frame.source[0] != '@' || frame.currentline <= 0) continue;
    snprintf(buffer, size, "%s:%d", frame.source + 1, frame.currentline);
    return;
  }
  const dr_walk *run = dr__lua_run(L);
  if (run && run->current) dr__copy_text(buffer, size, run->current->where);
}
