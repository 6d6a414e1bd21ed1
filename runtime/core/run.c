/* core/run.c - a run from beginning to end: the loop is turned until the main lane is finished,
 * cancellation is acted on, and the outcome is told and journalled. Runs on the thread that called
 * dr_run() or dr_plan(). */
#include "core/json.h"
#include "core/lane.h"
#include "core/luajson.h"
#include "core/params.h"
#include "ops/journal.h"
#include "ops/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 100 };

/* ------------------------------------------------------------ making */

/* A name that sorts by time and does not repeat: 20260131-235959-1a2b3c. */
static void make_id(char *id, size_t size) {
  struct timespec now;
  struct tm parts;
  unsigned char noise[3] = {0};
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &parts);
  uv_random(NULL, NULL, noise, sizeof noise, 0, NULL);
  size_t used = strftime(id, size, "%Y%m%d-%H%M%S", &parts);
  snprintf(id + used, size - used, "-%02x%02x%02x", noise[0], noise[1], noise[2]);
}

dr_walk *dr__run_new(dr_runtime *rt, dr_err *err) {
  dr_walk *run = calloc(1, sizeof *run);
  if (!run) {
    dr__err_nomem(err);
    return NULL;
  }
  run->rt = rt;
  dr__cpu_restart(run);
  run->plan = json_array();
  run->dirty = json_object();
  uv_timer_init(&rt->loop, &run->grace);
  uv_timer_init(&rt->loop, &run->tick);
  run->grace.data = run->tick.data = run;
  if (!run->plan || !run->dirty)
    dr__err_nomem(err);
  else if ((run->L = dr__sandbox_new(run, err)))
    return run;
  dr__run_free(run);
  return NULL;
}

static void on_closed(uv_handle_t *handle) {
  *(int *)handle->data -= 1;
}

void dr__run_free(dr_walk *run) {
  int open = 2;
  if (run->L) {
    while (run->lanes) dr__lane_free(run->lanes);
    lua_close(run->L);
  }
  run->grace.data = run->tick.data = &open;
  uv_close((uv_handle_t *)&run->grace, on_closed);
  uv_close((uv_handle_t *)&run->tick, on_closed);
  while (open > 0) uv_run(&run->rt->loop, UV_RUN_ONCE);
  dr__journal_close(run->journal);
  json_decref(run->plan);
  json_decref(run->dirty);
  json_decref(run->values);
  if (run->rt->run == run) run->rt->run = NULL;
  free(run);
}

/* ------------------------------------------------------------ journal */

static json_t *journal_head(dr_walk *run) {
  dr_runtime *rt = run->rt;
  char host[128] = "", when[32];
  struct tm parts;
  time_t now = time(NULL);
  gethostname(host, sizeof host - 1);
  strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
  return json_pack("{s:s, s:i, s:s, s:s, s:o, s:s, s:O, s:O, s:o, s:o, s:i}", "type", "run",
                   "format", 1, "id", run->id, "deployrun", DR_VERSION, "recipe",
                   dr__json_string(rt->recipe_path), "started", when, "params", run->values,
                   "sources", rt->sources, "host", dr__json_string(host), "user",
                   dr__json_string(getenv("USER")), "pid", (int)getpid());
}

static void open_journal(dr_walk *run, dr_err *err) {
  dr_runtime *rt = run->rt;
  run->journal = dr__journal_open(rt->options.state_dir, run->id, rt->secrets, err);
}

static int begin_journal(dr_walk *run, dr_err *err) {
  if (!run->journal) open_journal(run, err);
  if (!run->journal) return DR_FAILED;
  if (run->headed) return 0;
  int failed = dr__journal_write(run->journal, journal_head(run), false, err);
  run->headed = !failed;
  return failed;
}

int dr__run_journal(dr_walk *run, json_t *line, dr_err *err) {
  int failed = begin_journal(run, err);
  if (failed) {
    json_decref(line);
    return failed;
  }
  return dr__journal_write(run->journal, line, false, err);
}

int dr__run_begin_actions(dr_walk *run, dr_err *err) {
  int failed = dr__journal_sync(run->journal, err);
  if (!failed) run->changed = true;
  return failed;
}

/* ------------------------------------------------------------ cancelling */

static void on_grace_over(uv_timer_t *timer) {
  dr_walk *run = timer->data;
  run->cancel_level = 2;
  dr__lanes_abort(run);
}

static void cancel_lanes(dr_walk *run, const dr_err *reason) {
  for (dr_lane *lane = run->lanes; lane; lane = lane->next) dr__lane_cancel(lane, reason);
}

bool dr__runtime_stop(dr_runtime *rt, const dr_err *reason) {
  dr_walk *run = rt->run;
  if (!run || run->unwinding || run->cancel_level > 0) return false;
  cancel_lanes(run, reason);
  uv_timer_start(&run->grace, on_grace_over, rt->options.grace_ms, 0);
  return true;
}

void dr__run_interrupt(dr_walk *run) {
  int wanted = atomic_load(&run->rt->cancels);
  if (wanted <= run->cancel_level) return;
  bool first = run->cancel_level == 0;
  run->cancel_level = wanted > 2 ? 2 : wanted;
  if (first) {
    dr_err reason = DR_ERR_INIT;
    dr__fail(&reason, "cancelled", "interrupted");
    if (!run->unwinding) cancel_lanes(run, &reason);
    dr_err_clear(&reason);
    uv_timer_start(&run->grace, on_grace_over, run->rt->options.grace_ms, 0);
  }
  if (run->cancel_level >= 2) dr__lanes_abort(run);
}

/* ------------------------------------------------------------ driving */

static void on_tick(uv_timer_t *timer) {
  dr_walk *run = timer->data;
  dr__tell(run->rt, DR_EVENT_TICK,
           json_pack("{s:f}", "seconds", (double)(uv_hrtime() - run->started_ns) / 1e9));
}

static bool all_finished(const dr_walk *run) {
  for (const dr_lane *lane = run->lanes; lane; lane = lane->next)
    if (!lane->finished) return false;
  return true;
}

/* Makes the run while the walk before it waits, and its journal, for which disks are waited for.
 * What fails is tried again when its turn has come. */
static void make_next(dr_runtime *rt) {
  dr_err ignored = DR_ERR_INIT;
  dr_walk *next = dr__run_new(rt, &ignored);
  if (next && dr__recipe_evaluate(next, &ignored) == 0) {
    make_id(next->id, sizeof next->id);
    open_journal(next, &ignored);
    rt->next = next;
  } else if (next) {
    dr__run_free(next);
  }
  dr_err_clear(&ignored);
}

/* Turns the loop until every lane is finished. */
static void drive(dr_walk *run) {
  dr__run_interrupt(run);
  dr__lanes_turn(run);
  if (run->before && !all_finished(run)) make_next(run->rt);
  while (!all_finished(run)) {
    run->turning_loop = true;
    uv_run(&run->rt->loop, UV_RUN_ONCE);
    run->turning_loop = false;
    dr__run_interrupt(run);
    dr__lanes_turn(run);
  }
}

/* Starts the main lane: prelude.main(recipe, values). Runs protected; argument 1 is the recipe. */
static int l_start(lua_State *L) {
  dr_walk *run = dr__lua_run(L);
  dr__prelude_push(L, "main");
  lua_insert(L, 1);
  dr__json_push(L, run->values);
  lua_pushinteger(L, run->steps_known);
  dr__lane_new(run, L, 3, "main");
  return 0;
}

/* What main came to. */
typedef struct outcome {
  dr_err err;
  json_t *undone;     /* names of steps, last first */
  json_t *not_undone; /* steps whose undo failed or was not begun */
  bool undo_failed;
} outcome;

/* Main returns nothing when all went well, else {error=, undone=, undo_failed=}. */
static int l_read_outcome(lua_State *L) {
  outcome *out = lua_touserdata(L, 1);
  const char *problem;
  if (lua_isnil(L, 2)) return 0;
  lua_getfield(L, 2, "error");
  dr__error_read(L, -1, &out->err);
  lua_getfield(L, 2, "undone");
  out->undone = dr__json_read(L, -1, &problem);
  lua_getfield(L, 2, "not_undone");
  out->not_undone = dr__json_read(L, -1, &problem);
  lua_getfield(L, 2, "undo_failed");
  out->undo_failed = lua_toboolean(L, -1);
  return 0;
}

static void read_outcome(dr_walk *run, dr_lane *lane, outcome *out) {
  lua_State *L = run->L;
  lua_pushcfunction(L, l_read_outcome);
  lua_pushlightuserdata(L, out);
  if (lua_gettop(lane->co) > 0)
    lua_xmove(lane->co, L, 1);
  else
    lua_pushnil(L);
  if (!lane->ok || lua_pcall(L, 2, 0, 0) != LUA_OK) dr__error_take(L, -1, &out->err);
}

/* Evaluates the recipe and walks it in the run's mode. */
static void walk(dr_walk *run, outcome *out) {
  if (dr__recipe_evaluate(run, &out->err) != 0) return;
  lua_pushcfunction(run->L, l_start);
  lua_insert(run->L, -2);
  if (lua_pcall(run->L, 1, 0, 0) != LUA_OK) {
    dr__error_take(run->L, -1, &out->err);
    return;
  }
  dr_lane *lane = run->lanes;
  uv_timer_start(&run->tick, on_tick, TICK_MS, TICK_MS);
  drive(run);
  read_outcome(run, lane, out);
  dr__secrets_mask_err(run->rt->secrets, &out->err);
}

/* ------------------------------------------------------------ telling */

static const char *status_name(dr_status status) {
  switch (status) {
  case DR_OK: return "done";
  case DR_USAGE: return "usage";
  case DR_RECIPE: return "recipe";
  case DR_REFUSED: return "refused";
  case DR_UNDO_FAILED: return "undo_failed";
  case DR_INTERRUPTED: return "interrupted";
  case DR_FAILED: break;
  }
  return "failed";
}

/* A walk, whose journal is never written, names none. */
static void tell_started(dr_walk *run, const char *mode, int steps) {
  char journal[4096];
  snprintf(journal, sizeof journal, "%s/runs/%s", run->rt->options.state_dir, run->id);
  json_t *path = run->mode == DR_MODE_RUN ? dr__json_string(journal) : NULL;
  json_t *fields = json_pack("{s:s, s:o, s:o, s:s, s:O, s:i, s:o*}", "run", run->id, "recipe",
                             dr__json_string(run->rt->recipe_name), "path",
                             dr__json_string(run->rt->recipe_path), "mode", mode, "params",
                             run->values, "steps", steps, "journal", path);
  dr__tell(run->rt, DR_EVENT_RUN_STARTED, fields);
}

/* Journals and tells how it ended; moves the error to err and returns the status. */
static int tell_finished(dr_walk *run, outcome *out, dr_err *err) {
  dr_status status = dr_err_status(&out->err);
  if (out->undo_failed) status = DR_UNDO_FAILED;
  json_t *error = out->err.code[0] ? dr__err_to_json(&out->err) : json_null();
  json_t *journal = run->journal ? dr__json_string(dr__journal_path(run->journal)) : NULL;
  json_t *fields = json_pack("{s:s, s:s, s:i, s:f, s:o, s:o, s:o, s:b, s:b, s:o*}", "run", run->id,
                             "status", status_name(status), "exit_code", (int)status, "seconds",
                             (double)(uv_hrtime() - run->started_ns) / 1e9, "error", error,
                             "undone", out->undone ? out->undone : json_array(), "not_undone",
                             out->not_undone ? out->not_undone : json_array(), "begun",
                             run->mode == DR_MODE_RUN, "changed", run->changed, "journal", journal);
  if (run->journal) {
    dr_err ignored = DR_ERR_INIT;
    dr__journal_write(run->journal, json_pack("{s:s, s:O}", "type", "end", "fields", fields), true,
                      &ignored);
    dr_err_clear(&ignored);
  }
  dr__tell(run->rt, DR_EVENT_RUN_FINISHED, fields);
  dr__err_move(err, &out->err);
  return (int)status;
}

/* ------------------------------------------------------------ plan and run */

/* A run with the values of its params, which begins now. */
static dr_walk *begin(dr_runtime *rt, dr_mode mode, dr_err *err) {
  json_t *values = dr__param_values(rt->params, rt->given, err);
  dr_walk *run = !values ? NULL : rt->next ? rt->next : dr__run_new(rt, err);
  if (!run) {
    json_decref(values);
    return NULL;
  }
  rt->next = NULL;
  rt->run = run;
  run->mode = mode;
  run->values = values;
  run->started_ns = uv_hrtime();
  if (!run->id[0]) make_id(run->id, sizeof run->id);
  return run;
}

int dr__run_plan(dr_runtime *rt, dr_err *err) {
  dr_walk *run = begin(rt, DR_MODE_DRY, err);
  if (!run) return (int)dr_err_status(err);
  outcome out = {.err = DR_ERR_INIT};
  walk(run, &out);
  tell_started(run, "dry-run", 0); /* not before all that is secret is known */
  if (!dr__plan_tell(run) && !out.err.code[0]) dr__err_nomem(&out.err);
  int status = tell_finished(run, &out, err);
  dr__run_free(run);
  return status;
}

/* The walk before the run: finds what is wrong while nothing has been changed. Returns the number
 * of steps, or -1 with the outcome told. */
static int walk_before(dr_runtime *rt, dr_err *err, int *status) {
  dr_walk *run = begin(rt, DR_MODE_DRY, err);
  if (!run) {
    *status = (int)dr_err_status(err);
    return -1;
  }
  outcome out = {.err = DR_ERR_INIT};
  run->before = true;
  walk(run, &out);
  int steps = run->steps;
  if (out.err.code[0]) {
    tell_started(run, "run", 0);
    *status = tell_finished(run, &out, err);
    steps = -1;
    if (rt->next) dr__run_free(rt->next);
    rt->next = NULL;
  }
  dr__run_free(run);
  return steps;
}

int dr__run_execute(dr_runtime *rt, dr_err *err) {
  int status = DR_FAILED;
  int steps = walk_before(rt, err, &status);
  if (steps < 0) return status;
  dr_walk *run = begin(rt, DR_MODE_RUN, err);
  if (!run) return (int)dr_err_status(err);
  run->steps_known = steps;
  outcome out = {.err = DR_ERR_INIT};
  tell_started(run, "run", steps);
  walk(run, &out);
  status = tell_finished(run, &out, err);
  dr__run_free(run);
  return status;
}
