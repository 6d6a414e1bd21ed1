/* fake_op.c - see fake_op.h. */
#include "fake_op.h"

#include "ops/binding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

double fake_now_ms(void) {
  return (double)uv_hrtime() / 1e6;
}

uv_loop_t *fake_loop_new(void) {
  uv_loop_t *loop = malloc(sizeof *loop);
  assert_non_null(loop);
  assert_int_equal(uv_loop_init(loop), 0);
  return loop;
}

void fake_loop_free(uv_loop_t *loop) {
  while (uv_run(loop, UV_RUN_NOWAIT)) uv_run(loop, UV_RUN_ONCE);
  assert_int_equal(uv_loop_close(loop), 0);
  free(loop);
}

fake_op *fake_op_new(uv_loop_t *loop, dr_target *target, json_t *args) {
  static const dr_arg takes[] = {{"any_status", DR_ARG_BOOLEAN, 0}, {0}};
  static const dr_opspec spec = {.name = "fake", .args = takes};
  fake_op *fake = calloc(1, sizeof *fake);
  assert_non_null(fake);
  fake->op.spec = &spec;
  fake->op.loop = loop;
  fake->op.target = target;
  fake->op.args = args ? args : json_object();
  fake->op.started_ns = uv_hrtime();
  return fake;
}

static void on_bound(uv_timer_t *timer) {
  *(bool *)timer->data = true;
}

void fake_op_wait(fake_op *fake, double seconds) {
  uv_timer_t bound;
  bool over = false;
  uv_timer_init(fake->op.loop, &bound);
  bound.data = &over;
  uv_timer_start(&bound, on_bound, (uint64_t)(seconds * 1000), 0);
  while (!fake->op.finished && !over) uv_run(fake->op.loop, UV_RUN_ONCE);
  uv_close((uv_handle_t *)&bound, NULL);
  uv_run(fake->op.loop, UV_RUN_NOWAIT);
  if (over) fail_msg("the op did not end within %g s", seconds);
}

void fake_op_free(fake_op *fake) {
  if (fake->op.release) fake->op.release(&fake->op);
  dr__target_unref(fake->op.target);
  json_decref(fake->op.args);
  json_decref(fake->op.result);
  dr_err_clear(&fake->op.err);
  dr__text_free(&fake->shown);
  free(fake);
}

/* ---- what the core would do */

void dr__op_done(dr_op *op, json_t *result) {
  assert_false(op->finished);
  op->finished = true;
  op->result = result;
}

int dr__op_whole(dr_op *op, dr_err *err) {
  (void)op, (void)err;
  return DR_OK;
}

void dr__op_fail(dr_op *op, dr_err *err) {
  assert_false(op->finished);
  op->finished = op->failed = true;
  dr__err_move(&op->err, err);
}

void dr__op_output(dr_op *op, int stream, const char *bytes, size_t length) {
  (void)stream;
  dr__text_add(&((fake_op *)op)->shown, bytes, length);
}

void dr__op_progress(dr_op *op, const char *format, ...) {
  (void)op;
  (void)format;
}

dr_runtime *dr__op_runtime(const dr_op *op) {
  (void)op;
  return NULL;
}

/* Everything with "hush" in it is a secret. */
const char *dr__runtime_secret_in(const char *value, void *data) {
  (void)data;
  return strstr(value, "hush") ? "HUSH" : NULL;
}

json_t *dr__arg(const dr_op *op, const char *name) {
  return json_object_get(op->args, name);
}

const char *dr__arg_string(const dr_op *op, const char *name, const char *otherwise) {
  const char *text = json_string_value(dr__arg(op, name));
  return text ? text : otherwise;
}

double dr__arg_number(const dr_op *op, const char *name, double otherwise) {
  json_t *value = dr__arg(op, name);
  return value ? json_number_value(value) : otherwise;
}

bool dr__arg_boolean(const dr_op *op, const char *name, bool otherwise) {
  json_t *value = dr__arg(op, name);
  return value ? json_is_true(value) : otherwise;
}
