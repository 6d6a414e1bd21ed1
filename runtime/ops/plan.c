/* ops/plan.c - recording a dry run. The gate calls it; nothing here touches the world.
 *
 * An action or check is recorded and answered with a stub. A query is really asked, unless a
 * planned action touches what it reads: then its answer would be stale, and it is recorded as
 * unknown and answered with a stub too.
 */
#include "ops/plan.h"

#include "core/json.h"
#include "core/lane.h"
#include "core/luajson.h"

#include <string.h>

static const char *const kind_names[] = {
    [DR_QUERY] = "query", [DR_ACTION] = "action", [DR_CHECK] = "check"};

static const char *machine_of(const dr_op *op) {
  return op->target ? dr__target_machine(op->target) : "";
}

/* What planned actions touch on the op's machine; for an op without a target, on any machine. */
static unsigned dirty_areas(const dr_op *op) {
  const char *machine;
  json_t *areas;
  unsigned dirty = 0;
  json_object_foreach(op->run->dirty, machine, areas) {
    if (!op->target || strcmp(machine, machine_of(op)) == 0)
      dirty |= (unsigned)json_integer_value(areas);
  }
  return dirty;
}

dr_verdict dr__plan_judge(const dr_op *op) {
  if (op->spec->kind != DR_QUERY) return DR_PLAN_RECORD;
  return dirty_areas(op) & op->spec->reads ? DR_PLAN_UNKNOWN : DR_PLAN_ASK;
}

bool dr__op_planned(const dr_op *op, unsigned areas) {
  return op->run->mode == DR_MODE_DRY && (dirty_areas(op) & areas) != 0;
}

static void touch_machine(json_t *dirty, const char *machine, unsigned areas) {
  json_int_t known = json_integer_value(json_object_get(dirty, machine));
  json_object_set_new(dirty, machine, json_integer((json_int_t)((unsigned)known | areas)));
}

static void touch(dr_op *op) {
  touch_machine(op->run->dirty, machine_of(op), op->spec->touches);
  if (op->spec->touches_here) touch_machine(op->run->dirty, "local", op->spec->touches_here);
}

static json_t *effects_of(const dr_op *op) {
  static const char *const names[] = {"change", "downtime", "destructive", "irreversible"};
  unsigned found = op->spec->effects_of ? op->spec->effects_of(op) : op->spec->effects;
  json_t *effects = json_array();
  for (unsigned i = 0; i < 4; i++)
    if (found & (1u << i)) json_array_append_new(effects, json_string(names[i]));
  return effects;
}

/* Adds an entry (reference taken over, NULL when memory was short). */
static bool add(dr_walk *run, json_t *entry) {
  return entry && json_array_append_new(run->plan, entry) == 0;
}

int dr__plan_add(dr_op *op, const char *preview, dr_verdict verdict) {
  dr_lane *lane = op->lane;
  int number = op->run->planned + 1;
  json_t *entry = json_pack(
      "{s:i, s:s, s:s, s:o, s:o, s:o, s:b, s:b, s:b, s:o, s:o, s:o, s:o, s:i}", "n", number, "op",
      op->spec->name, "kind", kind_names[op->spec->kind], "target",
      dr__json_string(op->target ? dr__target_name(op->target) : ""), "preview",
      dr__json_string(preview), "effects", effects_of(op), "assumed", 0, "unknown",
      verdict == DR_PLAN_UNKNOWN, "done", verdict == DR_PLAN_ASK, "assumes",
      json_copy(lane->assumed), "where", dr__json_string(op->where), "lane",
      dr__json_string(lane->id), "step", dr__json_string(lane->step), "depth", lane->depth);
  if (!add(op->run, entry)) return 0;
  if (op->spec->kind == DR_ACTION) touch(op);
  return op->run->planned = number;
}

void dr__plan_unknown(const dr_op *op) {
  size_t i;
  json_t *entry;
  json_array_foreach(op->run->plan, i, entry) {
    if (json_integer_value(json_object_get(entry, "n")) != op->planned) continue;
    json_object_set_new(entry, "unknown", json_true());
    json_object_set_new(entry, "done", json_false());
  }
}

bool dr__plan_step(dr_walk *run, const char *step, int depth) {
  if (depth == 0) run->steps++;
  return add(run, json_pack("{s:o, s:i, s:i, s:o, s:b}", "step", dr__json_string(step), "index",
                            depth == 0 ? run->steps : 0, "depth", depth, "lane",
                            dr__json_string(run->current->id), "undo", 0));
}

void dr__plan_undo(dr_walk *run, const char *step) {
  for (size_t i = json_array_size(run->plan); i > 0; i--) {
    json_t *entry = json_array_get(run->plan, i - 1);
    const char *name = json_string_value(json_object_get(entry, "step"));
    if (json_object_get(entry, "op") || !name || strcmp(name, step) != 0) continue;
    json_object_set_new(entry, "undo", json_true());
    return;
  }
}

void dr__plan_log(dr_walk *run, json_t *message) {
  json_array_append(run->plan, message);
}

/* ------------------------------------------------------------ stubs */

/* A stub has a metatable of its own: {number, values}, marked by this address as key. */
static const char stub_mark = 's';

/* Marks entry `number` of the plan as assumed, and the lane as depending on it. */
static void assume(lua_State *L, lua_Integer number) {
  dr_walk *run = dr__lua_run(L);
  size_t i;
  json_t *entry;
  json_array_foreach(run->plan, i, entry) {
    if (json_integer_value(json_object_get(entry, "n")) == number)
      json_object_set_new(entry, "assumed", json_true());
  }
  if (!run->current) return;
  json_array_foreach(run->current->assumed, i, entry) {
    if (json_integer_value(entry) == number) return;
  }
  json_array_append_new(run->current->assumed, json_integer(number));
}

bool dr__plan_is_stub(lua_State *L, int index) {
  if (!lua_istable(L, index) || !lua_getmetatable(L, index)) return false;
  bool stub = lua_rawgetp(L, -1, &stub_mark) != LUA_TNIL;
  lua_pop(L, 2);
  return stub;
}

bool dr__plan_push_values(lua_State *L, int index) {
  if (!dr__plan_is_stub(L, index)) return false;
  lua_getmetatable(L, index);
  lua_rawgeti(L, -1, 1);
  assume(L, lua_tointeger(L, -1));
  lua_pop(L, 1);
  lua_rawgeti(L, -1, 2);
  lua_remove(L, -2);
  return true;
}

static void check_values(lua_State *L) {
  if (!dr__plan_push_values(L, 1)) luaL_typeerror(L, 1, "result");
}

static int l_stub_index(lua_State *L) {
  check_values(L);
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  return 1;
}

static int l_stub_len(lua_State *L) {
  check_values(L);
  lua_pushinteger(L, (lua_Integer)lua_rawlen(L, -1));
  return 1;
}

static int l_stub_tostring(lua_State *L) {
  check_values(L);
  lua_getmetatable(L, 1);
  lua_rawgeti(L, -1, 1);
  lua_pushfstring(L, "<result of %I>", lua_tointeger(L, -1));
  return 1;
}

void dr__plan_push_stub(lua_State *L, dr_op *op, int number) {
  static const luaL_Reg methods[] = {{"__index", l_stub_index},
                                     {"__len", l_stub_len},
                                     {"__tostring", l_stub_tostring},
                                     {NULL, NULL}};
  if (!op->result) op->result = op->spec->assume ? op->spec->assume(op) : json_object();
  if (!op->result) dr__error_nomem(L);
  if (!json_is_object(op->result) && !json_is_array(op->result)) {
    assume(L, number);
    dr__json_push(L, op->result);
    return;
  }
  lua_newtable(L);
  lua_createtable(L, 2, 6);
  luaL_setfuncs(L, methods, 0);
  lua_pushliteral(L, "result");
  lua_setfield(L, -2, "__metatable");
  lua_pushboolean(L, true);
  lua_rawsetp(L, -2, &stub_mark);
  lua_pushinteger(L, number);
  lua_rawseti(L, -2, 1);
  dr__json_push(L, op->result);
  lua_rawseti(L, -2, 2);
  lua_setmetatable(L, -2);
}

/* ------------------------------------------------------------ telling */

typedef struct counts {
  int kinds[3];
  json_t *effects; /* name → number of ops */
} counts;

static void count(counts *so_far, const json_t *entry) {
  const char *kind = json_string_value(json_object_get(entry, "kind"));
  size_t i;
  json_t *effect;
  for (int k = 0; kind && k < 3; k++) so_far->kinds[k] += strcmp(kind, kind_names[k]) == 0;
  json_array_foreach(json_object_get(entry, "effects"), i, effect) {
    const char *name = json_string_value(effect);
    json_int_t known = json_integer_value(json_object_get(so_far->effects, name));
    json_object_set_new(so_far->effects, name, json_integer(known + 1));
  }
}

bool dr__plan_tell(dr_walk *run) {
  counts all = {.effects = json_object()};
  bool told = true;
  size_t i;
  json_t *entry;
  json_array_foreach(run->plan, i, entry) {
    dr_event_type type = json_object_get(entry, "op")        ? DR_EVENT_PLAN_OP
                         : json_object_get(entry, "message") ? DR_EVENT_LOG
                                                             : DR_EVENT_PLAN_STEP;
    if (type == DR_EVENT_PLAN_OP) count(&all, entry);
    told = dr__tell(run->rt, type, json_incref(entry)) && told;
  }
  return dr__tell(run->rt, DR_EVENT_PLAN_FINISHED,
                  json_pack("{s:o, s:i, s:i, s:i, s:o}", "recipe",
                            dr__json_string(run->rt->recipe_name), "actions", all.kinds[DR_ACTION],
                            "checks", all.kinds[DR_CHECK], "queries", all.kinds[DR_QUERY],
                            "effects", all.effects)) &&
         told;
}
