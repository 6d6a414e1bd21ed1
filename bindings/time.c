/* time.c - waiting and the time of day, as ops, so that a plan shows each wait and a journal each
 * answer. Called through the gate on the runtime's thread. */
#include "core/err.h"
#include "ops/binding.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ------------------------------------------------------------ time.now */

static int start_now(dr_op *op, dr_err *err) {
  (void)err;
  dr__op_done(op, json_pack("{s:I}", "seconds", (json_int_t)time(NULL)));
  return 0;
}

/* ------------------------------------------------------------ time.sleep */

static void on_freed(uv_handle_t *handle) {
  free(handle);
}

static void on_over(uv_timer_t *timer) {
  dr__op_done(timer->data, json_object());
}

static void cancel_sleep(dr_op *op) {
  dr__op_fail_cancelled(op, "the wait was cancelled");
}

static void release_sleep(dr_op *op) {
  if (op->self) uv_close(op->self, on_freed);
  op->self = NULL;
}

static int start_sleep(dr_op *op, dr_err *err) {
  uv_timer_t *timer = malloc(sizeof *timer);
  if (!timer) return dr__err_nomem(err);
  uv_timer_init(op->loop, timer);
  timer->data = op;
  op->self = timer;
  op->cancel = cancel_sleep;
  op->release = release_sleep;
  const char *reason = dr__arg_string(op, "reason", "");
  if (*reason) dr__op_progress(op, "waiting: %s", reason);
  double ms = dr__arg_number(op, "seconds", 0) * 1000;
  uv_update_time(op->loop); /* a timer counts from the loop's time, which may be an old one */
  uv_timer_start(timer, on_over, ms < 1e15 ? (uint64_t)ceil(ms) : (uint64_t)1e15, 0);
  return 0;
}

static char *preview_sleep(const dr_op *op) {
  char *text = NULL;
  const char *reason = dr__arg_string(op, "reason", "");
  int length = asprintf(&text, "wait %g s%s%s", dr__arg_number(op, "seconds", 0),
                        *reason ? ": " : "", reason);
  return length < 0 ? NULL : text;
}

/* ------------------------------------------------------------ wait.until */

/* Marks the beginning of a recipe's own wait(); the waiting itself is queries and sleeps. */
static int start_until(dr_op *op, dr_err *err) {
  (void)err;
  dr__op_done(op, json_object());
  return 0;
}

static char *preview_until(const dr_op *op) {
  char *text = NULL;
  int length = asprintf(&text, "wait until %s (at most %g s)", dr__arg_string(op, "name", ""),
                        dr__arg_number(op, "within", 0));
  return length < 0 ? NULL : text;
}

static const dr_arg sleep_args[] = {
    {"seconds", DR_ARG_DURATION, DR_REQUIRED}, {"reason", DR_ARG_STRING, 0}, {0}};
static const dr_arg until_args[] = {
    {"name", DR_ARG_STRING, DR_REQUIRED}, {"within", DR_ARG_DURATION, DR_REQUIRED}, {0}};

static const dr_opspec ops[] = {
    {.name = "time.now", .kind = DR_QUERY, .idempotent = true, .start = start_now},
    {.name = "time.sleep",
     .kind = DR_CHECK,
     .idempotent = true,
     .args = sleep_args,
     .preview = preview_sleep,
     .start = start_sleep},
    {.name = "wait.until",
     .kind = DR_CHECK,
     .idempotent = true,
     .args = until_args,
     .preview = preview_until,
     .start = start_until},
    {0},
};

const dr_binding dr__binding_time = {.name = "time", .ops = ops};
