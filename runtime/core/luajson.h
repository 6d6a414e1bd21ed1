/* core/luajson.h - values between Lua and JSON, and error objects between Lua and dr_err. */
#ifndef DR_CORE_LUAJSON_H
#define DR_CORE_LUAJSON_H

#include "core/err.h"

#include <lauxlib.h>
#include <lua.h>

/* Pushes a JSON value as plain Lua values; null is nil, NULL is nil. [-0, +1, memory] */
void dr__json_push(lua_State *L, const json_t *value);

/* Reads the Lua value at index. A table with [1] or made by json.array is an array, any other an
 * object; a dry run's stub is what it stands for, and counts as read. Returns a new reference, or
 * NULL with *problem set to a short static text (a function inside, nested too deep, too large, a
 * key that is no string), or to NULL when memory is short. Throws nothing. [-0, +0, -] */
json_t *dr__json_read(lua_State *L, int index, const char **problem);

/* Pushes a box for a JSON value that is to be given back even when something throws. [-0, +1,
 * memory] */
json_t **dr__json_box(lua_State *L);

/* Pushes a new error object made of err, which is moved from. [-0, +1, memory] */
void dr__error_push(lua_State *L, dr_err *err);

/* Throws err as an error object; err is moved from. Never returns. */
int dr__error_throw(lua_State *L, dr_err *err);

/* Throws a new error object, with the recipe's position. Never returns. [-0, +0, throws] */
int dr__error_raise(lua_State *L, const char *code, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Throws out_of_memory. Never returns. */
int dr__error_nomem(lua_State *L);

/* Fills err from any thrown value at index: an error object, or text from the Lua machine (code
 * recipe.error).
 * [-0, +0, memory] */
void dr__error_read(lua_State *L, int index, dr_err *err);

/* Makes whatever was thrown, on top of the stack, an error object that knows its recipe line: the
 * line that is running, so this belongs into a message handler. [-1, +1, memory] */
void dr__error_normalize(lua_State *L);

/* dr__error_read() outside of protected calls. [-0, +0, -] */
void dr__error_take(lua_State *L, int index, dr_err *err);

bool dr__error_is(lua_State *L, int index);

/* True for errors that pcall in a recipe does not catch: cancellation and the limits on time and
 * memory. */
bool dr__error_is_fatal(lua_State *L, int index);

/* The recipe file:line that is running: the innermost level whose chunk is not part of deployrun;
 * in a lane that has none (a method of a group of hosts), the line that started the lane; "" if
 * none. */
void dr__lua_where(lua_State *L, char *buffer, size_t size);

/* The metatable of error objects. [-0, +1, memory] */
void dr__error_class(lua_State *L);

#endif
