/* ops/gate.c - the gate. Every binding call passes l_call(), which asks, in this order:
 *
 *   may ops be called at all (not while a file is loaded) · is the lane to stop · are the arguments
 * right · would a secret become visible · dry run? record it, answer with a stub · else: journal
 * the intent (an action's is on the disk before it begins, together with those of other lanes) · do
 * it · journal the outcome · tell the observer · give the result or throw the error
 *
 * No binding decides any of this, so no binding can forget it. The op lives in a box on the lane's
 * own stack: when anything throws, the box is collected and the op with it.
 */
#include "ops/gate.h"

#include "core/json.h"
#include "core/lane.h"
#include "core/luajson.h"
#include "core/params.h"
#include "ops/args.h"
#include "ops/journal.h"
#include "ops/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {
    [DR_QUERY] = "query", [DR_ACTION] = "action", [DR_CHECK] = "check"};

enum { BOX = 3 }; /* stack: target, args, box */

/* ------------------------------------------------------------ the box */

static int l_box_release(lua_State *L) {
  dr_op **box = lua_touserdata(L, 1);
  dr_op *op = *box;
  if (!op) return 0;
  *box = NULL;
  if (op->release) op->release(op);
  dr__op_output_end(op);
  if (op->target) dr__target_unref(op->target);
  json_decref(op->args);
  json_decref(op->result);
  dr_err_clear(&op->err);
  free(op->preview);
  free(op);
  return 0;
}

static dr_op *new_op(lua_State *L, dr_walk *run, const dr_opspec *spec) {
  dr_op **box = lua_newuserdatauv(L, sizeof(void *), 0);
  *box = NULL;
  if (luaL_newmetatable(L, "deployrun.op")) {
    lua_pushcfunction(L, l_box_release);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  dr_op *op = *box = calloc(1, sizeof *op);
  if (!op || !(op->args = json_object())) {
    dr__error_nomem(L);
    return NULL;
  }
  op->spec = spec;
  op->run = run;
  op->lane = run->current;
  op->loop = &run->rt->loop;
  op->denied = dr__json_denied();
  dr__lua_where(L, op->where, sizeof op->where);
  return op;
}

/* ------------------------------------------------------------ failing */

/* Completes an error with what the op knows, masks it, and throws it. Never returns. */
static int throw(lua_State * L, dr_op *op, dr_err *err) {
  if (!err->op[0]) dr__copy_text(err->op, sizeof err->op, op->spec->name);
  if (!err->where[0]) dr__copy_text(err->where, sizeof err->where, op->where);
  if (!err->target[0] && op->target)
    dr__copy_text(err->target, sizeof err->target, dr__target_name(op->target));
  dr__secrets_mask_err(op->run->rt->secrets, err);
  return dr__error_throw(L, err);
}

static int throw_text(lua_State *L, dr_op *op, const char *code, const char *message,
                      const char *hint) {
  dr__fail(&op->err, code, "%s", message);
  dr__err_hint(&op->err, "%s", hint);
  return throw(L, op, &op->err);
}

/* ------------------------------------------------------------ admitting */

/* Words of a command are seen by everybody who can list processes. Throws when `text` holds a
 * secret; `number` says which word it is, 0 that it is the whole command. */
static void refuse_secret(lua_State *L, dr_op *op, const char *text, size_t number) {
  const char *name = text ? dr__runtime_secret_in(text, op->run->rt) : NULL;
  char word[64] = "the command";
  if (!name) return;
  if (number) snprintf(word, sizeof word, "word %zu of the command", number);
  dr__fail(&op->err, "secret.in_command",
           "%s holds the secret %s, which every process list would show", word, name);
  dr__err_hint(&op->err,
               "give it by the environment (target:env{…}) or as stdin; a variable of an env file "
               "that is no secret is read with plain = { \"%s\" }",
               name);
  throw(L, op, &op->err);
}

static void refuse_secrets(lua_State *L, dr_op *op) {
  for (const dr_arg *arg = op->spec->args; arg && arg->name; arg++) {
    json_t *value = dr__arg(op, arg->name), *word;
    size_t i;
    if (arg->type != DR_ARG_COMMAND) continue;
    refuse_secret(L, op, json_string_value(value), 0);
    json_array_foreach(value, i, word) {
      refuse_secret(L, op, json_string_value(word), i + 1);
    }
  }
}

static void admit(lua_State *L, dr_op *op) {
  if (op->run->mode == DR_MODE_LOAD || !op->lane)
    throw_text(L, op, "recipe.effect_at_load", "a recipe's top level can describe, but not act",
               "move this call into the recipe's run function");
  if (!dr__lane_can_wait(L))
    throw_text(L, op, "recipe.cannot_wait", "this call cannot wait where it stands",
               "call it outside of table.sort, string.gsub and metamethods");
  dr__run_interrupt(op->run);
  dr__lane_check(L, op->lane);
  if (!lua_isnil(L, 1)) op->target = dr__target_ref(dr__target_check(L, 1));
  int failed = dr__args_read(L, 2, op->spec, op->args, &op->err);
  lua_settop(L, BOX);
  if (!failed && op->spec->check) failed = op->spec->check(op, &op->err);
  if (dr__op_whole(op, &op->err) != DR_OK || failed) throw(L, op, &op->err);
  refuse_secrets(L, op);
  op->preview = op->spec->preview ? op->spec->preview(op) : strdup(op->spec->name);
  if (!op->preview) dr__error_nomem(L);
  if (dr__op_whole(op, &op->err) != DR_OK) throw(L, op, &op->err);
}

/* ------------------------------------------------------------ recording */

static void journal(lua_State *L, dr_op *op, json_t *line) {
  dr_err err = DR_ERR_INIT;
  if (dr__run_journal(op->run, line, &err) != 0) throw(L, op, &err);
}

static json_t *target_name(const dr_op *op) {
  return dr__json_string(op->target ? dr__target_name(op->target) : "");
}

static void write_intent(lua_State *L, dr_op *op) {
  json_t *line = json_pack(
      "{s:s, s:I, s:o, s:o, s:s, s:s, s:o, s:b, s:o, s:O, s:o}", "type", "intent", "seq",
      (json_int_t)op->seq, "lane", dr__json_string(op->lane->id), "step",
      dr__json_string(op->lane->step), "op", op->spec->name, "kind", kind_names[op->spec->kind],
      "target", target_name(op), "idempotent",
      op->spec->idempotent || dr__arg_boolean(op, "idempotent", false), "preview",
      dr__json_string(op->preview), "args", op->args, "where", dr__json_string(op->where));
  journal(L, op, line);
}

static double seconds_of(const dr_op *op) {
  return (double)(uv_hrtime() - op->started_ns) / 1e9;
}

static void write_outcome(lua_State *L, dr_op *op) {
  json_t *line = json_pack("{s:s, s:I, s:b, s:f}", "type", "outcome", "seq", (json_int_t)op->seq,
                           "ok", !op->failed, "seconds", seconds_of(op));
  int lost = op->failed ? json_object_set_new(line, "error", dr__err_to_json(&op->err))
                        : json_object_set(line, "result", op->result);
  if (lost) {
    json_decref(line);
    line = NULL;
  }
  journal(L, op, line);
}

static json_t *event_fields(const dr_op *op) {
  return json_pack("{s:I, s:s, s:s, s:o, s:o, s:o}", "seq", (json_int_t)op->seq, "op",
                   op->spec->name, "kind", kind_names[op->spec->kind], "target", target_name(op),
                   "lane", dr__json_string(op->lane->id), "step", dr__json_string(op->lane->step));
}

static void tell_started(const dr_op *op) {
  json_t *fields = event_fields(op);
  json_object_set_new(fields, "preview", dr__json_string(op->preview));
  dr__tell(op->run->rt, DR_EVENT_OP_STARTED, fields);
}

static void tell_ended(const dr_op *op) {
  json_t *fields = event_fields(op);
  json_object_set_new(fields, "seconds", json_real(seconds_of(op)));
  if (op->failed) {
    json_object_set_new(fields, "code", json_string(op->err.code));
    json_object_set_new(fields, "message", dr__json_string(op->err.message));
  }
  dr__tell(op->run->rt, op->failed ? DR_EVENT_OP_FAILED : DR_EVENT_OP_FINISHED, fields);
}

/* ------------------------------------------------------------ doing */

/* Where memory was short, what failed is often not what was asked for it, but what was built of
 * what is lacking then. */
static void explain_shortage(dr_op *op) {
  dr_err seen = DR_ERR_INIT, shortage = DR_ERR_INIT;
  if (strcmp(op->err.code, "out_of_memory") == 0 || strcmp(op->err.code, "cancelled") == 0) return;
  if (dr__op_whole(op, &shortage) == DR_OK) return;
  dr__err_move(&seen, &op->err);
  dr__err_move(&op->err, &shortage);
  dr__err_because(&op->err, &seen);
}

/* The op is over: record it, then throw or give the result. */
static int finish(lua_State *L, dr_op *op) {
  op->lane->pending = NULL;
  if (op->failed) explain_shortage(op);
  if (op->run->mode == DR_MODE_RUN) {
    write_outcome(L, op);
    tell_ended(op);
  }
  if (op->failed && strcmp(op->err.code, "cancelled") != 0) return throw(L, op, &op->err);
  dr__run_interrupt(op->run);
  dr__lane_check(L, op->lane);
  if (op->failed) return throw(L, op, &op->err);
  if (op->assumed) {
    dr__plan_unknown(op);
    dr__plan_push_stub(L, op, op->planned);
  } else {
    dr__json_push(L, op->result);
  }
  lua_replace(L, 1);
  lua_pushcfunction(L, l_box_release);
  lua_pushvalue(L, BOX);
  lua_call(L, 1, 0);
  lua_settop(L, 1);
  return 1;
}

static int wait_k(lua_State *L, int status, lua_KContext context) {
  (void)status;
  (void)context;
  dr_op *op = *(dr_op **)lua_touserdata(L, BOX);
  if (op->finished) return finish(L, op);
  dr__lane_push_sentinel(L);
  return lua_yieldk(L, 1, 0, wait_k);
}

static void begin(dr_op *op) {
  if (op->spec->start(op, &op->err) == 0) return;
  op->finished = true;
  op->failed = true;
}

/* The intents of all lanes that act in one turn come to the disk together: on many hosts that is
 * one wait for the disk, not one each. */
static void begin_later(dr_op *op) {
  dr_walk *run = op->run;
  if (!run->to_begin) run->to_begin_end = &run->to_begin;
  *run->to_begin_end = op;
  run->to_begin_end = &op->next;
}

/* A lane may have been told to stop in the same turn. */
static bool may_begin(dr_op *op, const dr_err *lost) {
  if (lost->code[0])
    dr__err_copy(&op->err, lost);
  else if (op->lane->cancel == DR_CANCEL_ASKED || op->run->cancel_level >= 2)
    dr__fail(&op->err, "cancelled", "stopped before it was begun");
  else
    return true;
  op->finished = true;
  op->failed = true;
  return false;
}

bool dr__gate_begin(dr_walk *run) {
  dr_op *op = run->to_begin;
  dr_err lost = DR_ERR_INIT;
  if (!op) return false;
  run->to_begin = NULL;
  (void)dr__run_begin_actions(run, &lost);
  while (op) {
    dr_op *next = op->next;
    dr_lane *lane = op->lane;
    if (may_begin(op, &lost)) {
      for (dr_lane *above = lane; above; above = above->parent) above->acted++;
      begin(op);
    }
    if (op->finished) dr__lane_ready(lane);
    op = next;
  }
  dr_err_clear(&lost);
  return true;
}

static int perform(lua_State *L, dr_op *op) {
  op->seq = ++op->run->seq;
  op->started_ns = uv_hrtime();
  bool acts = op->run->mode == DR_MODE_RUN && op->spec->kind == DR_ACTION;
  if (acts && op->target) dr__target_prepare(op->target);
  if (op->run->mode == DR_MODE_RUN) {
    write_intent(L, op);
    tell_started(op);
  }
  op->lane->pending = op;
  if (acts)
    begin_later(op);
  else
    begin(op);
  return wait_k(L, LUA_OK, 0);
}

static int record(lua_State *L, dr_op *op, dr_verdict verdict) {
  size_t length = strlen(op->preview);
  char *masked = dr__secrets_mask(op->run->rt->secrets, op->preview, &length);
  if (!masked) dr__error_nomem(L);
  free(op->preview);
  op->preview = masked;
  op->planned = dr__plan_add(op, op->preview, verdict);
  if (op->planned == 0) dr__error_nomem(L);
  if (verdict == DR_PLAN_ASK) return perform(L, op);
  dr__plan_push_stub(L, op, op->planned);
  return 1;
}

static int l_call(lua_State *L) {
  lua_settop(L, 2);
  dr_op *op = new_op(L, dr__lua_run(L), lua_touserdata(L, lua_upvalueindex(1)));
  admit(L, op);
  if (op->run->mode == DR_MODE_DRY) return record(L, op, dr__plan_judge(op));
  return perform(L, op);
}

/* ------------------------------------------------------------ for the prelude */

/* op(name) -> function(target, args) */
static int l_op(lua_State *L) {
  const dr_opspec *spec = dr__op_find(luaL_checkstring(L, 1));
  if (!spec) return luaL_error(L, "there is no op '%s'", lua_tostring(L, 1));
  lua_pushlightuserdata(L, (void *)spec);
  lua_pushcclosure(L, l_call, 1);
  return 1;
}

/* op_options(name) -> {option = true} of what the op takes */
static int l_op_options(lua_State *L) {
  const dr_opspec *spec = dr__op_find(luaL_checkstring(L, 1));
  if (!spec) return luaL_error(L, "there is no op '%s'", lua_tostring(L, 1));
  lua_newtable(L);
  for (const dr_arg *arg = spec->args; arg && arg->name; arg++) {
    lua_pushboolean(L, true);
    lua_setfield(L, -2, arg->name);
  }
  return 1;
}

/* assumed(value) -> boolean */
static int l_assumed(lua_State *L) {
  lua_pushboolean(L, dr__plan_is_stub(L, 1));
  return 1;
}

/* stub_values(value) -> what a stub stands for, to be read only; nil when it is no stub */
static int l_stub_values(lua_State *L) {
  return dr__plan_push_values(L, 1) ? 1 : 0;
}

/* mode() -> "load", "dry" or "run" */
static int l_mode(lua_State *L) {
  static const char *const names[] = {
      [DR_MODE_LOAD] = "load", [DR_MODE_DRY] = "dry", [DR_MODE_RUN] = "run"};
  lua_pushstring(L, names[dr__lua_run(L)->mode]);
  return 1;
}

/* plan_step(name, depth): a step begins in a dry run */
static int l_plan_step(lua_State *L) {
  if (!dr__plan_step(dr__lua_run(L), luaL_checkstring(L, 1), (int)luaL_checkinteger(L, 2)))
    dr__error_nomem(L);
  return 0;
}

/* tell(type, fields): an event of a run; a dry run keeps what is logged in its plan */
static int l_tell(lua_State *L) {
  static const char *const names[] = {
      "step_started",  "step_finished", "step_failed", "undo_started",
      "undo_finished", "undo_failed",   "log",         NULL};
  static const dr_event_type types[] = {
      DR_EVENT_STEP_STARTED,  DR_EVENT_STEP_FINISHED, DR_EVENT_STEP_FAILED, DR_EVENT_UNDO_STARTED,
      DR_EVENT_UNDO_FINISHED, DR_EVENT_UNDO_FAILED,   DR_EVENT_LOG};
  int which = luaL_checkoption(L, 1, NULL, names);
  dr_walk *run = dr__lua_run(L);
  const char *problem;
  json_t *fields = dr__json_read(L, 2, &problem);
  if (!fields && !problem) return dr__error_nomem(L);
  if (!fields) return luaL_error(L, "event field: %s", problem);
  if (run->mode != DR_MODE_RUN) {
    if (types[which] == DR_EVENT_LOG) dr__plan_log(run, fields);
    json_decref(fields);
    return 0;
  }
  if (types[which] != DR_EVENT_LOG) {
    dr_err err = DR_ERR_INIT;
    json_t *line = json_pack("{s:s, s:O}", "type", names[which], "fields", fields);
    if (dr__run_journal(run, line, &err) != 0) dr_err_clear(&err);
  }
  dr__tell(run->rt, types[which], fields);
  return 0;
}

/* raise{code=, message=, hint=, …}: throws an error object with the recipe's position */
static int l_raise(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  if (lua_getfield(L, 1, "where") == LUA_TNIL) {
    char where[256];
    dr__lua_where(L, where, sizeof where);
    lua_pushstring(L, where);
    lua_setfield(L, 1, "where");
  }
  lua_settop(L, 1);
  dr__error_class(L);
  lua_setmetatable(L, 1);
  return lua_error(L);
}

/* normal_error(value) -> error object, whatever was thrown; as a message handler it knows the line
 */
static int l_normal_error(lua_State *L) {
  lua_settop(L, 1);
  dr__error_normalize(L);
  return 1;
}

static int l_is_error(lua_State *L) {
  lua_pushboolean(L, dr__error_is(L, 1));
  return 1;
}

static int l_is_fatal(lua_State *L) {
  lua_pushboolean(L, dr__error_is_fatal(L, 1));
  return 1;
}

/* where() -> "file:line" of the recipe */
static int l_where(lua_State *L) {
  char where[256];
  dr__lua_where(L, where, sizeof where);
  lua_pushstring(L, where);
  return 1;
}

/* clock() -> seconds of a clock that never goes back */
static int l_clock(lua_State *L) {
  lua_pushnumber(L, (lua_Number)uv_hrtime() / 1e9);
  return 1;
}

/* plan_undo(step): the step of the plan can be taken back */
static int l_plan_undo(lua_State *L) {
  dr__plan_undo(dr__lua_run(L), luaL_checkstring(L, 1));
  return 0;
}

/* json_encode(value, indented) -> text, its keys in order */
static int l_json_encode(lua_State *L) {
  const char *problem;
  lua_settop(L, 2);
  json_t **value = dr__json_box(L);
  size_t flags =
      JSON_ENCODE_ANY | JSON_SORT_KEYS | (lua_toboolean(L, 2) ? JSON_INDENT(2) : JSON_COMPACT);
  const unsigned long before = dr__json_denied();
  *value = dr__json_read(L, 1, &problem);
  if (!*value && !problem) return dr__error_nomem(L);
  if (!*value)
    return dr__error_raise(L, "recipe.argument", NULL, "cannot be written as JSON: %s", problem);
  size_t size = dr__json_keys_are_text(*value) ? json_dumpb(*value, NULL, 0, flags) : 0;
  if (dr__json_denied() != before) return dr__error_nomem(L);
  if (size == 0)
    return dr__error_raise(L, "recipe.argument", NULL,
                           "cannot be written as JSON: text that is not UTF-8");
  char *text = lua_newuserdatauv(L, size, 0);
  size = json_dumpb(*value, text, size, flags);
  if (dr__json_denied() != before) return dr__error_nomem(L);
  lua_pushlstring(L, text, size);
  return 1;
}

/* json_decode(text) -> value */
static int l_json_decode(lua_State *L) {
  size_t length;
  json_error_t problem;
  const char *text = luaL_checklstring(L, 1, &length);
  json_t **value = dr__json_box(L);
  const unsigned long before = dr__json_denied();
  *value = json_loadb(text, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &problem);
  if (dr__json_denied() != before) return dr__error_nomem(L);
  if (!*value)
    return dr__error_raise(L, "json.syntax", NULL, "not JSON: %s at line %d, column %d",
                           problem.text, problem.line, problem.column);
  dr__json_push(L, *value);
  return 1;
}

/* duration(value) -> seconds */
static int l_duration(lua_State *L) {
  int type = lua_type(L, 1);
  double seconds = type == LUA_TNUMBER   ? lua_tonumber(L, 1)
                   : type == LUA_TSTRING ? dr__duration_parse(lua_tostring(L, 1))
                                         : -1;
  if (!(seconds >= 0 && isfinite(seconds)))
    return dr__error_raise(L, "recipe.argument", "write 90, \"90s\", \"5m\" or \"1h\"",
                           "'%s' is not a duration", luaL_tolstring(L, 1, NULL));
  lua_pushnumber(L, seconds);
  return 1;
}

static int l_name_distance(lua_State *L) {
  lua_pushinteger(L,
                  (lua_Integer)dr__name_distance(luaL_checkstring(L, 1), luaL_checkstring(L, 2)));
  return 1;
}

const luaL_Reg dr__gate_functions[] = {{"op", l_op},
                                       {"op_options", l_op_options},
                                       {"assumed", l_assumed},
                                       {"stub_values", l_stub_values},
                                       {"mode", l_mode},
                                       {"plan_step", l_plan_step},
                                       {"tell", l_tell},
                                       {"raise", l_raise},
                                       {"normal_error", l_normal_error},
                                       {"is_error", l_is_error},
                                       {"is_fatal", l_is_fatal},
                                       {"where", l_where},
                                       {"clock", l_clock},
                                       {"plan_undo", l_plan_undo},
                                       {"json_encode", l_json_encode},
                                       {"json_decode", l_json_decode},
                                       {"duration", l_duration},
                                       {"name_distance", l_name_distance},
                                       {NULL, NULL}};
