/* target.c - targets in Lua: the object, its views, and the ops target.connect, run, read and
 * check.
 *
 * Called by the gate (the ops, and what it needs of a target) and by target.lua (the functions), on
 * the runtime's thread. A target in Lua is a box with one counted reference; making a view has no
 * effect on the world, so that the functions here are no ops.
 */
#include "target.h"

#include "core/err.h"
#include "core/json.h"
#include "core/luajson.h"
#include "core/runtime.h"
#include "hosts.h"
#include "ops/binding.h"
#include "sudo.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

extern const dr_lua_source dr__lua_target;

enum {
  RUN_KEEP = 1024 * 1024, /* bytes of output an action's result keeps: it goes into the journal */
  RUN_SECONDS = 3600,     /* bounds, where the recipe gives none */
  READ_SECONDS = 60,
  CHECK_SECONDS = 60
};

static const char box_name[] = "deployrun.target";

/* What a target is in Lua. */
typedef struct box {
  dr_target *target; /* referenced; NULL until it is filled */
} box;

/* ------------------------------------------------------------ the object */

static int l_gc(lua_State *L) {
  box *b = lua_touserdata(L, 1);
  dr__target_unref(b->target);
  b->target = NULL;
  return 0;
}

static int l_tostring(lua_State *L) {
  lua_pushstring(L, dr__target_name(dr__target_check(L, 1)));
  return 1;
}

/* Pushes an empty box, to be filled: what is acquired next has an owner. [-0, +1, memory] */
static box *push_box(lua_State *L) {
  box *b = lua_newuserdatauv(L, sizeof *b, 0);
  b->target = NULL;
  if (luaL_newmetatable(L, box_name)) {
    lua_pushcfunction(L, l_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, l_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushliteral(L, "target");
    lua_setfield(L, -2, "__name");
    lua_pushliteral(L, "target");
    lua_setfield(L, -2, "__metatable");
    dr__prelude_push(L, "target_class");
    lua_getfield(L, -1, "__index");
    lua_setfield(L, -3, "__index");
    lua_pop(L, 1);
  }
  lua_setmetatable(L, -2);
  return b;
}

/* Fills a box with a new reference. [-0, +0, throws when it is NULL] */
static int fill(lua_State *L, box *b, dr_target *target) {
  if (!target) return luaL_error(L, "not enough memory");
  b->target = target;
  return 1;
}

void dr__target_push(lua_State *L, dr_target *target) {
  box *b = push_box(L);
  b->target = dr__target_ref(target);
}

dr_target *dr__target_check(lua_State *L, int index) {
  box *b = luaL_testudata(L, index, box_name);
  if (b && b->target) return b->target;
  dr__error_raise(L, "recipe.argument", "call a target's method with a colon: target:run(…)",
                  "a target is needed here, not a %s", luaL_typename(L, index));
  return NULL;
}

const char *dr__target_name(const dr_target *target) {
  return target->name;
}

/* The same machine may be reached as several users. */
const char *dr__target_machine(const dr_target *target) {
  const char *at = strrchr(target->transport->name, '@');
  return at ? at + 1 : target->transport->name;
}

void dr__target_prepare(dr_target *target) {
  dr_transport *transport = target->transport;
  if (transport->klass->prepare) transport->klass->prepare(transport);
}

/* ------------------------------------------------------------ functions */

/* host(name, options) -> target */
static int l_host(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const char *problem;
  box *b = push_box(L);
  json_t *options = dr__json_read(L, 2, &problem);
  if (!options && !problem) return dr__error_nomem(L);
  if (!options)
    return dr__error_raise(L, "recipe.argument", NULL, "host: an option is %s", problem);
  dr_transport *transport = NULL;
  dr_err err = DR_ERR_INIT;
  int status = dr__hosts_get(&transport, dr__lua_runtime(L), options, &err);
  json_decref(options);
  if (status != DR_OK) {
    dr__err_target(&err, name);
    dr__lua_where(L, err.where, sizeof err.where);
    return dr__error_throw(L, &err);
  }
  dr_target *target = dr__target_new(transport, name);
  dr__transport_unref(transport);
  return fill(L, b, target);
}

/* cd(target, folder) -> target */
static int l_cd(lua_State *L) {
  const dr_target *target = dr__target_check(L, 1);
  const char *folder = luaL_checkstring(L, 2);
  return fill(L, push_box(L), dr__target_cd(target, folder));
}

/* The table at index, whose keys and values are strings, as an object. NULL: memory is short. */
static json_t *read_strings(lua_State *L, int index) {
  json_t *map = json_object();
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    size_t length = 0;
    const char *value = lua_tolstring(L, -1, &length);
    json_object_set_new_nocheck(map, lua_tostring(L, -2), json_stringn_nocheck(value, length));
    lua_pop(L, 1);
  }
  return dr__json_in_order(map);
}

/* env(target, strings) -> target */
static int l_env(lua_State *L) {
  const dr_target *target = dr__target_check(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checkstack(L, 4, NULL);
  box *b = push_box(L);
  json_t *env = read_strings(L, 2);
  dr_target *view = env ? dr__target_env(target, env) : NULL;
  json_decref(env);
  return fill(L, b, view);
}

/* env_name_ok(name) -> boolean */
static int l_env_name_ok(lua_State *L) {
  lua_pushboolean(L, dr__env_name_ok(luaL_checkstring(L, 1)));
  return 1;
}

/* sudo(target, user or nil) -> target */
static int l_sudo(lua_State *L) {
  const dr_target *target = dr__target_check(L, 1);
  const char *user = luaL_optstring(L, 2, NULL);
  return fill(L, push_box(L), dr__target_sudo(target, user));
}

/* within(target, name, words) -> target: what is reached by putting the words before each command
 */
static int l_within(lua_State *L) {
  dr_target *outer = dr__target_check(L, 1);
  const char *name = luaL_checkstring(L, 2);
  const char *problem;
  box *b = push_box(L);
  json_t *words = dr__json_read(L, 3, &problem);
  dr_target *target = json_is_array(words) ? dr__target_within(outer, name, words) : NULL;
  json_decref(words);
  return fill(L, b, target);
}

/* is_within(target) -> boolean: it lies within another, e.g. a container on a machine */
static int l_is_within(lua_State *L) {
  lua_pushboolean(L, dr__target_check(L, 1)->within != NULL);
  return 1;
}

/* name(target), machine(target), kind(target) -> string */
static int l_name(lua_State *L) {
  lua_pushstring(L, dr__target_name(dr__target_check(L, 1)));
  return 1;
}

static int l_machine(lua_State *L) {
  lua_pushstring(L, dr__target_machine(dr__target_check(L, 1)));
  return 1;
}

static int l_kind(lua_State *L) {
  lua_pushstring(L, dr__target_check(L, 1)->transport->klass->kind);
  return 1;
}

static const luaL_Reg functions[] = {{"host", l_host},
                                     {"cd", l_cd},
                                     {"env", l_env},
                                     {"env_name_ok", l_env_name_ok},
                                     {"sudo", l_sudo},
                                     {"within", l_within},
                                     {"is_within", l_is_within},
                                     {"name", l_name},
                                     {"machine", l_machine},
                                     {"kind", l_kind},
                                     {NULL, NULL}};

/* ------------------------------------------------------------ target.connect */

static char *preview_connect(const dr_op *op) {
  char *text = NULL;
  return asprintf(&text, "connect to %s", op->target->name) < 0 ? NULL : text;
}

static json_t *note_answer(dr_op *op, int status, json_t *result, dr_err *err) {
  (void)status;
  (void)err;
  dr__hosts_answered(dr__op_runtime(op), op->target->transport);
  json_decref(result);
  return json_object();
}

static bool in_walk(const dr_op *op) {
  return op->run->mode == DR_MODE_DRY;
}

static void note_failure(dr_op *op, dr_err *err) {
  if (in_walk(op)) dr__hosts_failed(dr__op_runtime(op), op->target->transport, err);
}

/* This machine needs no connection, and one that answered a moment ago (in the walk) is not asked
 * again. Nor is one that did not: its silence would cost its whole time once more. */
static int start_connect(dr_op *op, dr_err *err) {
  const dr_transport *transport = op->target->transport;
  if (!in_walk(op) && dr__hosts_failed_lately(dr__op_runtime(op), transport, err)) return DR_FAILED;
  if (strcmp(transport->klass->kind, "local") == 0 ||
      dr__hosts_answered_lately(dr__op_runtime(op), transport)) {
    dr__op_done(op, json_object());
    return DR_OK;
  }
  dr_exec_spec spec = {.command = json_pack("[s]", "true"),
                       .timeout = READ_SECONDS,
                       .quiet = true,
                       .connect_only = true,
                       .parse = note_answer,
                       .fail = note_failure};
  return dr__exec_op(op, &spec, err);
}

/* ------------------------------------------------------------ run and read */

static json_t *assume_success(const dr_op *op) {
  (void)op;
  return json_pack("{s:i, s:s, s:s, s:b}", "status", 0, "stdout", "", "stderr", "", "ok", 1);
}

/* The command, what it reads, and what the recipe calls it. */
static char *preview_command(const dr_op *op) {
  char *line = dr__exec_preview(op, dr__arg(op, "command"));
  const json_t *input = dr__arg(op, "stdin");
  const char *name = dr__arg_string(op, "name", NULL);
  if (!line || (!input && !name)) return line;
  char bytes[64] = "";
  if (input)
    snprintf(bytes, sizeof bytes, "  (%zu bytes on standard input)", json_string_length(input));
  char *text = NULL;
  int length = asprintf(&text, "%s%s%s%s", line, bytes, name ? "  # " : "", name ? name : "");
  free(line);
  return length < 0 ? NULL : text;
}

/* The spec both ops share; the caller adds what differs. */
static dr_exec_spec spec_of(const dr_op *op, double seconds) {
  const json_t *input = dr__arg(op, "stdin");
  return (dr_exec_spec){.command = json_incref(dr__arg(op, "command")),
                        .timeout = dr__arg_number(op, "timeout", seconds),
                        .input = json_string_value(input),
                        .input_length = json_string_length(input),
                        .any_status = dr__arg_boolean(op, "any_status", false),
                        .pty = dr__arg_boolean(op, "pty", false)};
}

static int start_run(dr_op *op, dr_err *err) {
  dr_exec_spec spec = spec_of(op, RUN_SECONDS);
  spec.keep = RUN_KEEP;
  spec.quiet = dr__arg_boolean(op, "quiet", false);
  return dr__exec_op(op, &spec, err);
}

/* A fact that was cut off is no fact. */
static json_t *refuse_cut_output(dr_op *op, int status, json_t *result, dr_err *err) {
  (void)op;
  (void)status;
  if (!json_object_get(result, "truncated")) return result;
  json_decref(result);
  dr__fail(err, "command.too_much_output", "the command wrote more than 16 MiB");
  dr__err_hint(err, "let it write to a file, or filter its output there");
  return NULL;
}

static int start_read(dr_op *op, dr_err *err) {
  dr_exec_spec spec = spec_of(op, READ_SECONDS);
  spec.quiet = true;
  spec.parse = refuse_cut_output;
  return dr__exec_op(op, &spec, err);
}

/* ------------------------------------------------------------ check */

static char *preview_check(const dr_op *op) {
  char *line = dr__exec_preview(op, dr__arg(op, "command"));
  char *text = NULL;
  if (!line) return NULL;
  int length = asprintf(&text, "until it succeeds, at most %g s: %s",
                        dr__arg_number(op, "within", CHECK_SECONDS), line);
  free(line);
  return length < 0 ? NULL : text;
}

static double seconds_since_start(const dr_op *op) {
  return (double)(uv_hrtime() - op->started_ns) / 1e9;
}

static int attempt(dr_op *op, json_int_t number, double delay, dr_err *err);

static void check_failed(dr_op *op, int status, dr_err *err) {
  json_int_t attempts = json_integer_value(dr__exec_carry(op));
  dr__exec_failed(op, status, err);
  char message[sizeof err->message];
  dr__copy_text(message, sizeof message, err->message);
  dr__copy_text(err->code, sizeof err->code, "check.timeout");
  snprintf(err->message, sizeof err->message,
           "%.800s, still after %.1f s and %" JSON_INTEGER_FORMAT " attempts", message,
           seconds_since_start(op), attempts);
}

/* One attempt is over: done, or the next one begins after a while, or there is no time for it. */
static json_t *after_attempt(dr_op *op, int status, json_t *result, dr_err *err) {
  json_int_t number = json_integer_value(dr__exec_carry(op));
  if (status == 0) {
    json_object_set_new(result, "attempts", json_integer(number));
    json_object_set_new(result, "seconds", json_real(seconds_since_start(op)));
    return result;
  }
  json_decref(result);
  double every = dr__arg_number(op, "every", 1);
  double left = dr__arg_number(op, "within", CHECK_SECONDS) - seconds_since_start(op);
  if (left <= every) {
    check_failed(op, status, err);
  } else {
    dr__op_progress(op, "attempt %d exited with status %d", (int)number, status);
    attempt(op, number + 1, every, err);
  }
  return NULL;
}

static void name_check_timeout(dr_op *op, dr_err *err) {
  (void)op;
  if (strcmp(err->code, "command.timeout") == 0)
    dr__copy_text(err->code, sizeof err->code, "check.timeout");
}

static int attempt(dr_op *op, json_int_t number, double delay, dr_err *err) {
  double left = dr__arg_number(op, "within", CHECK_SECONDS) - seconds_since_start(op) - delay;
  dr_exec_spec spec = {.command = json_incref(dr__arg(op, "command")),
                       .timeout = fmax(left, 0.1),
                       .delay = delay,
                       .any_status = true,
                       .quiet = true,
                       .carry = json_integer(number),
                       .parse = after_attempt,
                       .fail = name_check_timeout};
  return dr__exec_op(op, &spec, err);
}

static int start_check(dr_op *op, dr_err *err) {
  return attempt(op, 1, 0, err);
}

/* ------------------------------------------------------------ table */

static const dr_arg run_args[] = {{"command", DR_ARG_COMMAND, DR_REQUIRED},
                                  {"timeout", DR_ARG_DURATION, 0},
                                  {"stdin", DR_ARG_STRING, 0},
                                  {"any_status", DR_ARG_BOOLEAN, 0},
                                  {"name", DR_ARG_STRING, 0},
                                  {"idempotent", DR_ARG_BOOLEAN, 0},
                                  {"quiet", DR_ARG_BOOLEAN, 0},
                                  {"pty", DR_ARG_BOOLEAN, 0},
                                  {0}};

static const dr_arg read_args[] = {{"command", DR_ARG_COMMAND, DR_REQUIRED},
                                   {"timeout", DR_ARG_DURATION, 0},
                                   {"stdin", DR_ARG_STRING, 0},
                                   {"any_status", DR_ARG_BOOLEAN, 0},
                                   {"name", DR_ARG_STRING, 0},
                                   {0}};

static const dr_arg check_args[] = {{"command", DR_ARG_COMMAND, DR_REQUIRED},
                                    {"within", DR_ARG_DURATION, 0},
                                    {"every", DR_ARG_DURATION, 0},
                                    {0}};

static const dr_opspec ops[] = {
    {.name = "target.connect",
     .kind = DR_QUERY,
     .idempotent = true,
     .preview = preview_connect,
     .start = start_connect},
    {.name = "target.sudo",
     .kind = DR_QUERY,
     .idempotent = true,
     .preview = dr__sudo_preview,
     .start = dr__sudo_start},
    {.name = "target.run",
     .kind = DR_ACTION,
     .effects = DR_CHANGE,
     .touches = (unsigned)DR_AREA_ALL,
     .args = run_args,
     .preview = preview_command,
     .assume = assume_success,
     .start = start_run},
    {.name = "target.read",
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = (unsigned)DR_AREA_ALL,
     .args = read_args,
     .preview = preview_command,
     .assume = assume_success,
     .start = start_read},
    {.name = "target.check",
     .kind = DR_CHECK,
     .idempotent = true,
     .args = check_args,
     .preview = preview_check,
     .assume = assume_success,
     .start = start_check},
    {0},
};

const dr_binding dr__binding_target = {
    .name = "target",
    .ops = ops,
    .functions = functions,
    .lua = &dr__lua_target,
    .gives = "host :run :read :check :cd :sudo :as :env :name dr.with_options "
             "dr.make_host dr.host_options dr.connect"};
