/* core/lane.c - the scheduler: lanes, the ready queue, cancellation, and the only lua_resume of the
 * program.
 *
 * A lane waits by yielding the sentinel. Completion callbacks store their result in C and call
 * dr__lane_ready(); dr__lanes_turn() then resumes the lane from the run's driver, never from inside
 * a callback. The body of a lane is a C trampoline around lua_pcallk, so that <close> handlers may
 * wait while an error unwinds.
 */
#include "core/lane.h"

#include "core/luajson.h"
#include "ops/gate.h"

#include <stdlib.h>
#include <string.h>

static const char sentinel = 's';

void dr__lane_push_sentinel(lua_State *L) {
  lua_pushlightuserdata(L, (void *)&sentinel);
}

/* ------------------------------------------------------------ body */

/* Brings whatever was thrown to an error object that knows its recipe line. Runs where the error
 * happened. */
static int l_on_error(lua_State *L) {
  lua_settop(L, 1);
  dr__error_normalize(L);
  return 1;
}

/* Stack: handler, results or error. Leaves ok, results… for the joiner. */
static int lane_finish(lua_State *L, int status, lua_KContext context) {
  (void)context;
  lua_pushboolean(L, status == LUA_OK || status == LUA_YIELD);
  lua_replace(L, 1);
  return lua_gettop(L);
}

static int l_lane_body(lua_State *L) {
  lua_pushcfunction(L, l_on_error);
  lua_insert(L, 1);
  return lane_finish(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, 0, lane_finish), 0);
}

dr_lane *dr__lane_new(dr_walk *run, lua_State *L, int nargs, const char *id) {
  luaL_checkstack(L, 2, NULL);
  lua_State *co = lua_newthread(L);
  int anchor = luaL_ref(L, LUA_REGISTRYINDEX);
  dr_lane *lane = calloc(1, sizeof *lane);
  json_t *assumed = run->current ? json_copy(run->current->assumed) : json_array();
  if (!lane || !assumed || !lua_checkstack(co, nargs + 4)) {
    luaL_unref(L, LUA_REGISTRYINDEX, anchor);
    json_decref(assumed);
    free(lane);
    dr__error_nomem(L);
    return NULL;
  }
  lane->assumed = assumed;
  lane->run = run;
  lane->co = co;
  lane->anchor = anchor;
  lane->nargs = nargs + 1;
  lane->parent = run->current;
  dr__copy_text(lane->id, sizeof lane->id, id);
  if (lane->parent) {
    lane->depth = lane->parent->depth;
    memcpy(lane->step, lane->parent->step, sizeof lane->step);
    dr__lua_where(L, lane->where, sizeof lane->where);
  }
  lua_pushcfunction(co, l_lane_body);
  lua_xmove(L, co, nargs + 1);
  lane->next = run->lanes;
  run->lanes = lane;
  dr__lane_ready(lane);
  return lane;
}

void dr__lane_free(dr_lane *lane) {
  dr_lane **at = &lane->run->lanes;
  while (*at && *at != lane) at = &(*at)->next;
  if (*at) *at = lane->next;
  for (dr_lane *other = lane->run->lanes; other; other = other->next) {
    if (other->parent == lane) other->parent = NULL;
    if (other->joined_by == lane) other->joined_by = NULL;
  }
  luaL_unref(lane->run->L, LUA_REGISTRYINDEX, lane->anchor);
  json_decref(lane->assumed);
  dr_err_clear(&lane->reason);
  free(lane);
}

/* ------------------------------------------------------------ scheduling */

void dr__lane_ready(dr_lane *lane) {
  dr_walk *run = lane->run;
  if (lane->queued || lane->finished || lane == run->current) return;
  lane->queued = true;
  lane->next_ready = NULL;
  if (run->ready_last)
    run->ready_last->next_ready = lane;
  else
    run->ready_first = lane;
  run->ready_last = lane;
  /* Callbacks that run before the loop polls (timers) must not let it sleep on a ready lane. */
  if (run->turning_loop) uv_stop(&run->rt->loop);
}

/* The one place that resumes Lua. */
static void resume(dr_lane *lane) {
  dr_walk *run = lane->run;
  int nresults = 0;
  run->current = lane;
  dr__cpu_restart(run);
  int status = lua_resume(lane->co, run->L, lane->nargs, &nresults);
  run->current = NULL;
  lane->nargs = 0;
  if (status == LUA_YIELD) {
    lua_pop(lane->co, nresults);
    return;
  }
  lane->finished = true;
  /* The trampoline returns ok, values…; only running out of memory around it gets past it, as a
   * bare error. */
  lane->ok = status == LUA_OK && lua_toboolean(lane->co, -nresults);
  if (status == LUA_OK) lua_remove(lane->co, -nresults);
  if (lane->joined_by) dr__lane_ready(lane->joined_by);
}

void dr__lanes_turn(dr_walk *run) {
  do {
    while (run->ready_first) {
      dr_lane *lane = run->ready_first;
      run->ready_first = lane->next_ready;
      if (!run->ready_first) run->ready_last = NULL;
      lane->queued = false;
      resume(lane);
    }
  } while (dr__gate_begin(run));
}

/* ------------------------------------------------------------ cancellation */

static void cancel_pending(dr_lane *lane) {
  if (lane->pending && !lane->pending->finished && lane->pending->cancel)
    lane->pending->cancel(lane->pending);
}

void dr__lane_cancel(dr_lane *lane, const dr_err *reason) {
  if (lane->finished || lane->cancel != DR_CANCEL_NONE) return;
  lane->cancel = DR_CANCEL_ASKED;
  dr__err_copy(&lane->reason, reason);
  cancel_pending(lane);
  if (!lane->pending) dr__lane_ready(lane);
}

void dr__lanes_abort(dr_walk *run) {
  for (dr_lane *lane = run->lanes; lane; lane = lane->next) {
    if (lane->finished) continue;
    cancel_pending(lane);
    if (!lane->pending) dr__lane_ready(lane);
  }
}

bool dr__lane_can_wait(lua_State *L) {
  const dr_lane *lane = dr__lua_run(L)->current;
  return lane && lane->blocked == 0 && lua_isyieldable(L);
}

void dr__lane_reason(dr_lane *lane, dr_err *err) {
  if (lane) lane->cancel = DR_CANCEL_THROWN;
  if (lane && lane->reason.code[0])
    dr__err_copy(err, &lane->reason);
  else
    dr__fail(err, "cancelled", "stopped at once");
}

void dr__lane_check(lua_State *L, dr_lane *lane) {
  bool aborted = lane->run->cancel_level >= 2;
  if (lane->cancel != DR_CANCEL_ASKED && !aborted) return;
  dr_err err = DR_ERR_INIT;
  dr__lane_reason(lane, &err);
  dr__error_throw(L, &err);
}

/* ------------------------------------------------------------ for the prelude */

static dr_lane *check_lane(lua_State *L, int index) {
  dr_lane *lane = dr__lua_run(L)->lanes;
  while (lane && lane != lua_touserdata(L, index)) lane = lane->next;
  if (!lane) luaL_argerror(L, index, "not a lane that lives");
  return lane;
}

static dr_lane *check_current(lua_State *L) {
  dr_lane *lane = dr__lua_run(L)->current;
  if (!lane)
    dr__error_raise(L, "recipe.effect_at_load", "move this call into the recipe's run function",
                    "a recipe's top level can describe, but not act");
  return lane;
}

/* spawn(id, fn) -> lane */
static int l_spawn(lua_State *L) {
  const char *id = luaL_checkstring(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  dr__lane_check(L, check_current(L));
  lua_pushlightuserdata(L, dr__lane_new(dr__lua_run(L), L, 0, id));
  return 1;
}

/* Waits until the lane of argument 1 is finished; then gives ok, values… and frees it. A waiter
 * that is cancelled throws, and the lane goes on living. It throws even when the lane is finished,
 * by the same cancellation perhaps: else the waiter's own would be left for its <close> handlers.
 */
static int join_k(lua_State *L, int status, lua_KContext context) {
  (void)status;
  (void)context;
  dr_walk *run = dr__lua_run(L);
  dr_lane *lane = check_lane(L, 1);
  if (run->current->cancel == DR_CANCEL_ASKED) {
    lane->joined_by = NULL;
    dr__lane_check(L, run->current);
  }
  if (!lane->finished) {
    lane->joined_by = run->current;
    dr__lane_push_sentinel(L);
    return lua_yieldk(L, 1, 0, join_k);
  }
  int count = lane->ok ? lua_gettop(lane->co) : 1; /* below an error stands what it left behind */
  luaL_checkstack(L, count + 1, NULL);
  lua_pushboolean(L, lane->ok);
  lua_xmove(lane->co, L, count);
  dr__lane_free(lane);
  return count + 1;
}

/* join(lane) -> ok, values… */
static int l_join(lua_State *L) {
  lua_settop(L, 1);
  return join_k(L, LUA_OK, 0);
}

/* cancel(lane, message): a sibling failed. */
static int l_cancel(lua_State *L) {
  dr_err reason = DR_ERR_INIT;
  dr__fail(&reason, "cancelled", "%s", luaL_checkstring(L, 2));
  dr__lane_cancel(check_lane(L, 1), &reason);
  dr_err_clear(&reason);
  return 0;
}

/* lane_id([new]) -> the current lane's id before */
static int l_lane_id(lua_State *L) {
  dr_lane *lane = check_current(L);
  lua_pushstring(L, lane->id);
  if (!lua_isnoneornil(L, 1)) dr__copy_text(lane->id, sizeof lane->id, luaL_checkstring(L, 1));
  return 1;
}

/* in_step(name, depth) -> name and depth before */
static int l_in_step(lua_State *L) {
  dr_lane *lane = check_current(L);
  lua_pushstring(L, lane->step);
  lua_pushinteger(L, lane->depth);
  if (lua_isnoneornil(L, 1)) return 2;
  dr__copy_text(lane->step, sizeof lane->step, luaL_checkstring(L, 1));
  lane->depth = (int)luaL_checkinteger(L, 2);
  return 2;
}

/* acted([covered]) -> how many actions the lane and those below have begun, less those covered: an
 * undo was given for them */
static int l_acted(lua_State *L) {
  dr_lane *lane = check_current(L);
  int64_t covered = luaL_optinteger(L, 1, 0);
  for (dr_lane *above = lane; above; above = above->parent) above->acted -= covered;
  lua_pushinteger(L, lane->acted);
  return 1;
}

/* unwinding(): steps are being undone from here on */
static int l_unwinding(lua_State *L) {
  dr_walk *run = dr__lua_run(L);
  run->unwinding = true;
  dr__cpu_restart(run);
  return 0;
}

/* this_lane() -> lane */
static int l_this_lane(lua_State *L) {
  lua_pushlightuserdata(L, check_current(L));
  return 1;
}

/* block(n): n = 1 while the lane runs a coroutine from where it could not wait, -1 afterwards */
static int l_block(lua_State *L) {
  dr_lane *lane = dr__lua_run(L)->current;
  if (lane) lane->blocked += (int)luaL_checkinteger(L, 1);
  return 0;
}

/* can_wait() -> true when an op may be called here */
static int l_can_wait(lua_State *L) {
  lua_pushboolean(L, dr__lane_can_wait(L));
  return 1;
}

/* aborted() -> true once everything is to stop at once, true when a person said so */
static int l_aborted(lua_State *L) {
  dr_walk *run = dr__lua_run(L);
  lua_pushboolean(L, run->cancel_level >= 2);
  lua_pushboolean(L, atomic_load(&run->rt->cancels) >= 2);
  return 2;
}

const luaL_Reg dr__lane_functions[] = {
    {"spawn", l_spawn},         {"join", l_join},         {"cancel", l_cancel},
    {"lane_id", l_lane_id},     {"in_step", l_in_step},   {"acted", l_acted},
    {"this_lane", l_this_lane}, {"aborted", l_aborted},   {"unwinding", l_unwinding},
    {"block", l_block},         {"can_wait", l_can_wait}, {NULL, NULL}};
