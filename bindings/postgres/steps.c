/* steps.c - see steps.h. Owns the connection of an op while it lasts. Called by the ops and by the
 * loop, on the runtime's thread.
 */
#include "steps.h"

#include "database.h"

#include "core/err.h"

#include <stdlib.h>
#include <string.h>

/* Seconds: for a rollback before the op fails, so that its locks are gone then; and for connecting
 * through a host that may have to be connected to first, and to ask a person for that. */
enum { ROLLBACK_TIMEOUT = 5, TUNNEL_TIMEOUT = 60 };

static void on_freed(uv_handle_t *handle) {
  free(handle);
}

static void drop_connection(dr_pg_steps *steps) {
  dr__pg_close(steps->pg);
  steps->pg = NULL;
  steps->under_way = false;
}

static void release(dr_op *op) {
  dr_pg_steps *steps = op->self;
  if (!steps) return;
  op->self = NULL;
  drop_connection(steps);
  if (steps->timer) uv_close((uv_handle_t *)steps->timer, on_freed);
  if (steps->soon) uv_close((uv_handle_t *)steps->soon, on_freed);
  dr__pg_way_free(steps->way);
  if (steps->free_data) steps->free_data(steps->data);
  json_decref(steps->notices);
  dr_err_clear(&steps->err);
  free(steps);
}

/* ------------------------------------------------------------ ends */

static void stop_timers(dr_pg_steps *steps) {
  if (steps->timer) uv_timer_stop(steps->timer);
  if (steps->soon) uv_timer_stop(steps->soon);
}

static void give_back(dr_pg_steps *steps) {
  dr_pg *pg = steps->pg;
  steps->pg = NULL;
  if (pg && steps->options.alone)
    dr__pg_close(pg);
  else if (pg)
    dr__pg_keep(dr__op_runtime(steps->op), steps->way, pg);
}

static void end_failed(dr_pg_steps *steps) {
  dr_err err = DR_ERR_INIT;
  dr_op *op = steps->op;
  give_back(steps);
  dr__err_move(&err, &steps->err);
  dr__pg_way_lost(dr__op_runtime(op), steps->way, &err);
  dr__op_fail(op, &err);
}

static void on_rolled_back(void *data, const dr_pg_answer *answer, dr_err *err) {
  dr_pg_steps *steps = data;
  (void)answer, (void)err;
  steps->under_way = false;
  end_failed(steps);
}

static bool roll_back(dr_pg_steps *steps) {
  dr_err err = DR_ERR_INIT;
  const dr_pg_query query = {
      .sql = "ROLLBACK", .timeout_s = ROLLBACK_TIMEOUT, .on_done = on_rolled_back, .data = steps};
  bool begun = dr__pg_query(steps->pg, &query, &err) == 0;
  dr_err_clear(&err);
  steps->under_way = begun;
  return begun;
}

void dr__pg_steps_fail(dr_pg_steps *steps, dr_err *err) {
  dr_pg_state state = steps->pg && !steps->under_way ? dr__pg_state(steps->pg) : DR_PG_LOST;
  stop_timers(steps);
  steps->ending = true;
  dr__err_move(&steps->err, err);
  if (state == DR_PG_LOST || state == DR_PG_BUSY) drop_connection(steps);
  bool open = state == DR_PG_TRANSACTION || state == DR_PG_FAILED;
  if (open && !steps->options.alone && roll_back(steps)) return;
  end_failed(steps);
}

void dr__pg_steps_done(dr_pg_steps *steps, json_t *result) {
  dr_err err = DR_ERR_INIT;
  if (!result) {
    dr__err_nomem(&err);
    dr__pg_steps_fail(steps, &err);
    return;
  }
  stop_timers(steps);
  steps->ending = true;
  give_back(steps);
  dr__op_done(steps->op, result);
}

/* ------------------------------------------------------------ cancelling */

static void fail_cancelled(dr_pg_steps *steps) {
  dr_err err = DR_ERR_INIT;
  dr__fail(&err, "cancelled", "the statement was cancelled");
  dr__pg_steps_fail(steps, &err);
}

/* Nothing is under way any more, and the op is to end. */
static void cancelled(dr_pg_steps *steps) {
  steps->asked = true;
  if (steps->options.on_cancel)
    steps->options.on_cancel(steps);
  else
    fail_cancelled(steps);
}

static void cancel(dr_op *op) {
  dr_pg_steps *steps = op->self;
  bool again = steps->cancelled;
  steps->cancelled = true;
  if (again || steps->ending) { /* nothing is waited for any longer */
    drop_connection(steps);
    fail_cancelled(steps);
    return;
  }
  stop_timers(steps);
  if (steps->pg && dr__pg_connecting(steps->pg)) drop_connection(steps);
  if (steps->pg && dr__pg_state(steps->pg) == DR_PG_BUSY) {
    dr__pg_cancel(steps->pg); /* on_query_done follows */
    return;
  }
  steps->under_way = false;
  cancelled(steps);
}

/* ------------------------------------------------------------ making */

dr_pg_steps *dr__pg_steps_new(dr_op *op, void *data, void (*free_data)(void *data),
                              const dr_pg_steps_options *options, dr_err *err) {
  dr_pg_steps *steps = calloc(1, sizeof *steps);
  json_t *notices = json_array();
  dr_pg_way *way = steps && notices ? dr__pg_of(op, err) : NULL;
  if (!way) {
    if (!steps || !notices) dr__err_nomem(err);
    if (free_data) free_data(data);
    json_decref(notices);
    free(steps);
    return NULL;
  }
  *steps =
      (dr_pg_steps){.op = op, .data = data, .free_data = free_data, .way = way, .notices = notices};
  if (options) steps->options = *options;
  op->self = steps;
  op->cancel = cancel;
  op->release = release;
  return steps;
}

/* ------------------------------------------------------------ connecting */

static int start_timer(uv_timer_t **timer, dr_pg_steps *steps, double seconds,
                       uv_timer_cb on_time) {
  if (!*timer) {
    *timer = calloc(1, sizeof **timer);
    if (!*timer) return DR_FAILED;
    uv_timer_init(steps->op->loop, *timer);
    (*timer)->data = steps;
  }
  uv_timer_stop(*timer);
  uv_update_time(steps->op->loop);
  if (seconds >= 0 && seconds < 1e9)
    uv_timer_start(*timer, on_time, (uint64_t)(seconds * 1000 + 0.5), 0);
  return 0;
}

static void on_connected(void *data, dr_err *err) {
  dr_pg_steps *steps = data;
  steps->under_way = false;
  if (err) {
    drop_connection(steps);
    dr__pg_way_explain(dr__op_runtime(steps->op), steps->way, err);
  }
  steps->next(steps, NULL, err);
}

static void on_taken(uv_timer_t *timer) {
  on_connected(timer->data, NULL);
}

static double connect_timeout(const dr_pg_steps *steps) {
  const dr_pg_way *way = steps->way;
  double given = steps->options.connect_timeout_s;
  bool usual = given <= 0 && way->tunnel[0] && !json_object_get(way->keywords, "connect_timeout");
  return usual ? TUNNEL_TIMEOUT : given;
}

int dr__pg_steps_connect(dr_pg_steps *steps, dr_pg_next next, dr_err *err) {
  const dr_pg_connecting how = {.keywords = steps->way->keywords,
                                .timeout_s = connect_timeout(steps),
                                .on_done = on_connected,
                                .data = steps};
  int status = 0;
  drop_connection(steps);
  steps->next = next;
  if (!steps->options.alone) steps->pg = dr__pg_take(dr__op_runtime(steps->op), steps->way);
  if (!steps->pg)
    status = dr__pg_connect(&steps->pg, steps->op->loop, &how, err);
  else if (start_timer(&steps->soon, steps, 0, on_taken) != 0)
    status = dr__err_nomem(err);
  steps->under_way = status == 0;
  return status;
}

/* ------------------------------------------------------------ statements */

static void on_query_done(void *data, const dr_pg_answer *answer, dr_err *err) {
  dr_pg_steps *steps = data;
  steps->under_way = false;
  if (steps->cancelled && err)
    cancelled(steps);
  else
    steps->next(steps, answer, err);
}

static void on_answer(void *data, const dr_pg_answer *answer) {
  dr_pg_steps *steps = data;
  steps->on_answer(steps, answer);
}

static void on_notice(void *data, const dr_pg_notice *notice) {
  dr_pg_steps *steps = data;
  dr__op_log(steps->op, "%s: %s", notice->severity, notice->message);
  if (json_array_size(steps->notices) >= DR_PG_MAX_NOTICES) return;
  json_array_append_new(steps->notices, json_pack("{s:o, s:o, s:o, s:o, s:o}", "severity",
                                                  json_string_nocheck(notice->severity), "code",
                                                  json_string_nocheck(notice->sqlstate), "message",
                                                  json_string_nocheck(notice->message), "detail",
                                                  json_string_nocheck(notice->detail), "hint",
                                                  json_string_nocheck(notice->hint)));
}

static int begin_query(dr_pg_steps *steps, const dr_pg_step *step, dr_err *err) {
  const dr_pg_query query = {.sql = step->text ? step->text : step->sql,
                             .params = step->params,
                             .one_statement = step->one_statement,
                             .timeout_s = step->timeout_s,
                             .max_rows = step->max_rows,
                             .max_bytes = step->max_bytes,
                             .line = step->line,
                             .on_answer = step->on_answer ? on_answer : NULL,
                             .on_notice = on_notice,
                             .on_done = on_query_done,
                             .data = steps};
  steps->next = step->next;
  steps->on_answer = step->on_answer;
  if (!query.sql) return dr__err_nomem(err);
  if (dr__op_whole(steps->op, err) != DR_OK) return DR_FAILED;
  if (steps->pg) return dr__pg_query(steps->pg, &query, err);
  return dr__fail(err, "postgres.lost", "there is no connection for the statement");
}

void dr__pg_steps_go(dr_pg_steps *steps, const dr_pg_step *step) {
  dr_err err = DR_ERR_INIT;
  bool stop = steps->cancelled && !steps->asked; /* the statement before this one was quicker */
  steps->under_way = !stop && begin_query(steps, step, &err) == 0;
  free(step->text);
  json_decref(step->params);
  if (stop)
    cancelled(steps);
  else if (!steps->under_way)
    dr__pg_steps_fail(steps, &err);
}

/* ------------------------------------------------------------ time */

static void on_timer(uv_timer_t *timer) {
  dr_pg_steps *steps = timer->data;
  steps->on_time(steps);
}

int dr__pg_steps_after(dr_pg_steps *steps, double seconds, void (*on_time)(dr_pg_steps *steps)) {
  steps->on_time = on_time;
  return start_timer(&steps->timer, steps, seconds > 0 ? seconds : -1, on_timer);
}
