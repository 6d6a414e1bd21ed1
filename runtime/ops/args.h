/* ops/args.h - the arguments of an op, from a Lua table to checked JSON. */
#ifndef DR_OPS_ARGS_H
#define DR_OPS_ARGS_H

#include "ops/op.h"

#include <lua.h>

/* Reads the table at index by the op's dr_arg table into the JSON object `args`. nil is an empty
 * table; metamethods are not asked. Non-zero with err filled: recipe.option (unknown name, naming
 * the near one), recipe.argument (wrong type, or missing). Throws nothing but memory errors. */
int dr__args_read(lua_State *L, int index, const dr_opspec *spec, json_t *args, dr_err *err);

#endif
