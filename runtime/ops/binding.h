/* ops/binding.h - how a binding is made known: its ops, its Lua part and its C functions.
 *
 * Each binding ends with its op table and one dr_binding; bindings/init.c lists them. The
 * ops are callable through dr.op("name"). A binding's Lua part (NAME.lua in its folder, embedded)
 * is run once in each Lua state, when the first of the names that it gives is asked for
 * (core/parts.c), with the private table `dr` as its argument:
 *
 * - dr.op(name): function(target, args) that calls an op through the gate; args is a table of named
 *   arguments checked against the op's dr_arg table; returns its result
 * - dr.class(name, methods): metatable whose objects answer an unknown method with an error that
 *   names the near ones; objects are made with setmetatable({}, class)
 * - dr.Target: the methods of every target; a binding adds its own (Target.git, Target.compose)
 * - dr.open(prefix, table): the table, to which other bindings may add
 * - dr.global(name, value): makes a global for recipes
 * - dr.fail{code=, message=, hint=, target=, detail=, cause=}: throws an error object
 * - dr.wrong(message, hint): throws that an argument is not what the function takes
 * - dr.check_options(what, options, allowed): throws for an option whose name is not in `allowed`
 * - dr.copy(table), dr.pick(table, names): a new table with the same fields, or with these
 * - dr.guarded(fn, cleanup): runs fn, and cleanup when it fails; returns what fn returns
 * - dr.is_error(value): true for error objects
 * - dr.assumed(value): true when value is an op's stub of a dry run
 * - dr.dry(): true in a dry run and in the walk before a run
 * - dr.core.<binding>.<fn>: the binding's C functions
 */
#ifndef DR_OPS_BINDING_H
#define DR_OPS_BINDING_H

#include "ops/op.h"

#include <lauxlib.h>
#include <lua.h>

typedef struct dr_lua_source {
  const char *name;          /* "bindings/compose/compose.lua" */
  const unsigned char *text; /* as embedded by CMake */
  size_t size;
  const unsigned char *code; /* what the Lua of the build made of it, or NULL */
  size_t code_size;
  const char *lua; /* the lua_ident of that Lua */
} dr_lua_source;

typedef struct dr_binding {
  const char *name;          /* "compose" */
  const dr_opspec *ops;      /* ends with {0}; or NULL */
  const luaL_Reg *functions; /* pure or view-making C functions, no effects; or NULL */
  const dr_lua_source *lua;  /* or NULL */
  /* Every name that `lua` gives, with spaces between: globals ("fs"), methods of targets
   * (":write"), members of tables that another part opened ("Engine:pull"), fields of dr
   * ("dr.with_options"). NULL: it is run when a state is made. */
  const char *gives;
} dr_binding;

/* NULL-terminated; defined in bindings/init.c. */
extern const dr_binding *const dr__bindings[];

/* The spec of an op, or NULL. */
const dr_opspec *dr__op_find(const char *name);

/* Pushes a target as its Lua object (takes a new reference) / reads one (throws recipe.argument).
 * In target.c. */
void dr__target_push(lua_State *L, struct dr_target *target);
struct dr_target *dr__target_check(lua_State *L, int index);

/* Per-runtime state of a binding (connection pools, the curl multi handle): made on first use,
 * given back by `close` when the runtime is freed, in reverse order, before the loop is closed;
 * close may run the loop. */
typedef struct dr_runtime dr_runtime;
void *dr__runtime_get(dr_runtime *rt, const char *key);
int dr__runtime_put(dr_runtime *rt, const char *key, void *value, void (*close)(void *value));

/* What is kept under the key; when there is none yet, `size` zeroed bytes from malloc, which are
 * kept from now on (close frees them). NULL when memory is short. */
void *dr__runtime_keep(dr_runtime *rt, const char *key, size_t size, void (*close)(void *value));

/* What an op needs of its surroundings. */
dr_runtime *dr__op_runtime(const dr_op *op);
dr_runtime *dr__lua_runtime(lua_State *L);
uv_loop_t *dr__runtime_loop(dr_runtime *rt);

/* The name of a secret known to the runtime whose value the text contains, or NULL. `data` is the
 * dr_runtime. */
const char *dr__runtime_secret_in(const char *value, void *data);

/* Asks the person at the terminal through dr_options.asker; malloc'd answer or NULL. A `secret`
 * answer is registered for masking under `name`. */
char *dr__runtime_ask(dr_runtime *rt, const char *question, const char *secret_name);

/* Registers a value to be masked everywhere as [secret NAME]. Values shorter than 4 bytes are
 * refused (false). */
bool dr__runtime_mask(dr_runtime *rt, const char *name, const char *value);

/* Ends the run under way as Ctrl-C does, but with this error, whose code must be one that a recipe
 * cannot catch (dr__error_is_fatal): what the run rests on is gone. Steps are undone. False when no
 * run is under way or it is already ending. */
bool dr__runtime_stop(dr_runtime *rt, const dr_err *reason);

/* Tells the observer an event {…} of a type (reference taken over), e.g. a probe's report. */
void dr__runtime_emit(dr_runtime *rt, dr_event_type type, json_t *fields);

#endif
