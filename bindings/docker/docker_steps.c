/* docker_steps.c - see docker_steps.h. Owns the call under way and a timer, which is freed by its
 * close callback. Called by docker ops and by the loop, on the runtime's thread.
 */
#include "docker_steps.h"

#include "core/err.h"

#include <stdlib.h>

static void on_freed(uv_handle_t *handle) {
  free(handle);
}

void dr__docker_steps_halt(dr_docker_steps *steps) {
  if (steps->under_way) dr__engine_cancel(steps->under_way);
  steps->under_way = NULL;
}

static void release(dr_op *op) {
  dr_docker_steps *steps = op->self;
  if (!steps) return;
  op->self = NULL;
  dr__docker_steps_halt(steps);
  if (steps->timer) uv_close((uv_handle_t *)steps->timer, on_freed);
  if (steps->free_data) steps->free_data(steps->data);
  free(steps);
}

/* The call that was to come to its end took too long. */
static void on_settle_over(dr_docker_steps *steps) {
  dr_docker_next then = steps->then;
  steps->then = NULL;
  dr__docker_steps_halt(steps);
  then(steps, NULL, NULL);
}

void dr__docker_steps_stop(dr_docker_steps *steps, dr_docker_next then) {
  steps->then = then;
  bool settles = steps->under_way && steps->changes;
  if (!settles || dr__docker_steps_after(steps, DR_DOCKER_SETTLE, on_settle_over) != 0)
    on_settle_over(steps);
}

/* Of an op without on_cancel. When a call has come to its end, that may have been the last: then
 * the op is done. If not, dr__docker_steps_go() ends it. */
static void end_cancelled(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  dr_op *op = steps->op;
  if (answer || err) {
    steps->next(steps, answer, err);
    return;
  }
  release(op);
  dr__docker_fail_cancelled(op);
}

static void cancel(dr_op *op) {
  dr_docker_steps *steps = op->self;
  bool again = steps->cancelled;
  steps->cancelled = true;
  if (!again)
    dr__docker_steps_stop(steps, steps->on_cancel ? steps->on_cancel : end_cancelled);
  else if (steps->then)
    on_settle_over(steps);
}

dr_docker_steps *dr__docker_steps_new(dr_op *op, void *data, void (*free_data)(void *data),
                                      dr_err *err) {
  dr_docker_steps *steps = calloc(1, sizeof *steps);
  dr_engine *engine = steps ? dr__docker_engine_of(op, err) : NULL;
  if (!engine) {
    if (!steps) dr__err_nomem(err);
    if (free_data) free_data(data);
    free(steps);
    return NULL;
  }
  steps->op = op;
  steps->engine = engine;
  steps->data = data;
  steps->free_data = free_data;
  op->self = steps;
  op->cancel = cancel;
  op->release = release;
  return steps;
}

/* ------------------------------------------------------------ calls */

static void on_done(void *data, dr_engine_answer *answer, dr_err *err) {
  dr_docker_steps *steps = data;
  dr_docker_next next = steps->then ? steps->then : steps->next;
  if (steps->then) (void)dr__docker_steps_after(steps, 0, NULL);
  steps->under_way = NULL;
  steps->then = NULL;
  next(steps, answer, err);
}

static void step_free(const dr_docker_step *step) {
  free(step->path);
  json_decref(step->body);
  json_decref(step->headers);
}

int dr__docker_steps_begin(dr_docker_steps *steps, const dr_docker_step *step, dr_err *err) {
  int status = DR_FAILED;
  steps->next = step->next;
  steps->changes = step->changes;
  if (step->path) {
    const dr_engine_request request = {.method = step->method,
                                       .path = step->path,
                                       .body = step->body,
                                       .headers = step->headers,
                                       .timeout_s = step->timeout_s,
                                       .on_body = step->on_body,
                                       .on_done = on_done,
                                       .data = steps};
    status = dr__op_whole(steps->op, err);
    if (status == DR_OK) status = dr__engine_start(&steps->under_way, steps->engine, &request, err);
  } else {
    dr__err_nomem(err);
  }
  step_free(step);
  return status;
}

void dr__docker_steps_go(dr_docker_steps *steps, const dr_docker_step *step) {
  dr_err err = DR_ERR_INIT;
  if (steps->cancelled && !steps->on_cancel) {
    step_free(step);
    if (steps->timer) uv_timer_stop(steps->timer);
    dr__docker_fail_cancelled(steps->op);
  } else if (dr__docker_steps_begin(steps, step, &err) != 0) {
    dr__docker_steps_fail(steps, &err);
  }
}

/* ------------------------------------------------------------ time */

static void on_timer(uv_timer_t *timer) {
  dr_docker_steps *steps = timer->data;
  steps->on_time(steps);
}

int dr__docker_steps_after(dr_docker_steps *steps, double seconds,
                           void (*on_time)(dr_docker_steps *steps)) {
  if (!steps->timer) {
    steps->timer = calloc(1, sizeof *steps->timer);
    if (!steps->timer) return DR_FAILED;
    uv_timer_init(steps->op->loop, steps->timer);
    steps->timer->data = steps;
  }
  steps->on_time = on_time;
  uv_timer_stop(steps->timer);
  uv_update_time(steps->op->loop);
  if (seconds > 0 && seconds < 1e9)
    uv_timer_start(steps->timer, on_timer, (uint64_t)(seconds * 1000 + 0.5), 0);
  return 0;
}

/* ------------------------------------------------------------ ends */

void dr__docker_steps_done(dr_docker_steps *steps, json_t *result) {
  dr_err err = DR_ERR_INIT;
  if (result) {
    if (steps->timer) uv_timer_stop(steps->timer);
    dr__op_done(steps->op, result);
    return;
  }
  dr__err_nomem(&err);
  dr__docker_steps_fail(steps, &err);
}

void dr__docker_steps_fail(dr_docker_steps *steps, dr_err *err) {
  if (steps->timer) uv_timer_stop(steps->timer);
  dr__docker_fail(steps->op, err);
}
