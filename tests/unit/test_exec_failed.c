/* test_exec_failed.c - how an op that is one command fails: its hints, and a file here that failed.
 */
#include "fake_op.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* An op on this machine, or on another transport. */
typedef struct bench {
  uv_loop_t *loop;
  fake_op *fake;
} bench;

static bench on_local(void) {
  bench b = {.loop = fake_loop_new()};
  dr_transport *transport = dr__local_new(b.loop);
  b.fake = fake_op_new(b.loop, dr__target_new(transport, "local"), NULL);
  dr__transport_unref(transport);
  return b;
}

static const dr_err *run_failing(bench *b, dr_exec_spec spec, const char *code) {
  dr_err err = DR_ERR_INIT;
  assert_int_equal(dr__exec_op(&b->fake->op, &spec, &err), DR_OK);
  fake_op_wait(b->fake, 20);
  assert_true(b->fake->op.failed);
  assert_string_equal(b->fake->op.err.code, code);
  return &b->fake->op.err;
}

static void end(bench *b) {
  fake_op_free(b->fake);
  fake_loop_free(b->loop);
}

static void every_failure_has_a_hint(void **state) {
  (void)state;
  static const struct {
    const char *command, *code, *hint;
  } cases[] = {{"exit 3", "command.failed", "any_status"},
               {"exit 126", "command.failed", "may not be executed"},
               {"kill -TERM $$", "command.signal", "shutdown"},
               {"kill -SEGV $$", "command.signal", "crashed"},
               {"kill -KILL $$", "command.signal", "memory"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    bench b = on_local();
    const dr_err *err =
        run_failing(&b, (dr_exec_spec){.command = json_string(cases[i].command)}, cases[i].code);
    assert_non_null(err->hint);
    assert_non_null(strstr(err->hint, cases[i].hint));
    end(&b);
  }
}

/* A transport whose command would not end when the file it was to fill here had failed. */
typedef struct stuck {
  dr_transport transport; /* first */
  uv_timer_t timer;
  dr_exec_request copy;
} stuck;

static void on_stuck(uv_timer_t *timer) {
  stuck *s = timer->data;
  dr_exec_exit how = {.status = -1};
  dr__fail(&how.err, "cancelled", "it did not end when it was told to");
  uv_close((uv_handle_t *)timer, NULL);
  s->copy.on_exit(s->copy.data, &how);
  dr_err_clear(&how.err);
}

static int exec_stuck(dr_transport *transport, const dr_exec_request *request, dr_exec **out,
                      dr_err *err) {
  stuck *s = (stuck *)transport;
  (void)err;
  s->copy = *request;
  s->timer.data = s;
  atomic_store(&request->files->failed, ENOSPC);
  uv_timer_init(transport->loop, &s->timer);
  uv_timer_start(&s->timer, on_stuck, 1, 0);
  *out = (dr_exec *)s;
  return DR_OK;
}

static void cancel_stuck(dr_exec *exec) {
  (void)exec;
}

static void destroy_stuck(dr_transport *transport) {
  (void)transport;
}

static void name_the_file(dr_op *op, dr_err *err) {
  if (dr__exec_file_error(op)) dr__fail(err, "transfer.no_space", "the disk here is full");
}

static void a_file_that_failed_is_no_interrupt(void **state) {
  (void)state;
  static const dr_transport_class klass = {
      .kind = "stuck", .exec = exec_stuck, .cancel = cancel_stuck, .destroy = destroy_stuck};
  bench b = {.loop = fake_loop_new()};
  stuck s = {.transport = {.klass = &klass, .references = 1, .loop = b.loop, .name = "stuck"}};
  b.fake = fake_op_new(b.loop, dr__target_new(&s.transport, "stuck"), NULL);
  run_failing(&b,
              (dr_exec_spec){.command = json_string("cat"),
                             .files = dr__exec_files_new(-1, -1),
                             .fail = name_the_file},
              "transfer.no_space");
  end(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_failure_has_a_hint),
      cmocka_unit_test(a_file_that_failed_is_no_interrupt),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
