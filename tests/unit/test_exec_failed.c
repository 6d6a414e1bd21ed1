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

static void an_option_that_the_op_does_not_take_is_not_advised(void **state) {
  static const dr_opspec none = {.name = "fake"};
  bench b = on_local();
  (void)state;
  b.fake->op.spec = &none;
  const dr_err *err =
      run_failing(&b, (dr_exec_spec){.command = json_string("exit 3")}, "command.failed");
  assert_null(strstr(err->hint, "any_status"));
  end(&b);
}

/* A transport whose command would not end: the file it was to fill here has failed, or it was told
 * to. */
typedef struct stuck {
  dr_transport transport; /* first */
  uv_timer_t timer;
  dr_exec_request copy;
  const char *code; /* what it ends with */
  bool not_begun;
} stuck;

static void on_stuck(uv_timer_t *timer) {
  stuck *s = timer->data;
  dr_exec_exit how = {.status = -1, .not_begun = s->not_begun};
  dr__fail(&how.err, s->code, "it did not end when it was told to");
  dr__err_hint(&how.err, "look there");
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
  uv_timer_init(transport->loop, &s->timer);
  if (request->files) {
    atomic_store(&request->files->failed, ENOSPC);
    uv_timer_start(&s->timer, on_stuck, 1, 0);
  }
  *out = (dr_exec *)s;
  return DR_OK;
}

static void cancel_stuck(dr_exec *exec) {
  stuck *s = (stuck *)exec;
  uv_timer_start(&s->timer, on_stuck, 1, 0);
}

static void destroy_stuck(dr_transport *transport) {
  (void)transport;
}

/* A bench on such a transport, which is `s` from now on. */
static bench on_stuck_one(stuck *s, const char *code) {
  static const dr_transport_class klass = {
      .kind = "stuck", .exec = exec_stuck, .cancel = cancel_stuck, .destroy = destroy_stuck};
  bench b = {.loop = fake_loop_new()};
  *s = (stuck){.transport = {.klass = &klass, .references = 1, .loop = b.loop, .name = "stuck"},
               .code = code};
  b.fake = fake_op_new(b.loop, dr__target_new(&s->transport, "stuck"), NULL);
  return b;
}

static void name_the_file(dr_op *op, dr_err *err) {
  if (dr__exec_file_error(op)) dr__fail(err, "transfer.no_space", "the disk here is full");
}

static void a_file_that_failed_is_no_interrupt(void **state) {
  (void)state;
  stuck s;
  bench b = on_stuck_one(&s, "cancelled");
  run_failing(&b,
              (dr_exec_spec){.command = json_string("cat"),
                             .files = dr__exec_files_new(-1, -1),
                             .fail = name_the_file},
              "transfer.no_space");
  end(&b);
}

static void a_command_that_may_still_run_is_not_called_stopped(void **state) {
  (void)state;
  static const char *const codes[] = {"command.stuck", "ssh.connection_lost"};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    stuck s;
    bench b = on_stuck_one(&s, codes[i]);
    const dr_err *err = run_failing(
        &b, (dr_exec_spec){.command = json_string("upgrade"), .timeout = 0.02}, "command.timeout");
    assert_string_equal(err->message, "\"upgrade\" did not end within 0.02 s and may still run");
    assert_string_equal(err->hint, "look there");
    assert_string_equal(err->cause->code, codes[i]);
    end(&b);
  }
  stuck s;
  bench b = on_stuck_one(&s, "command.stuck");
  dr_exec_spec spec = {.command = json_string("upgrade")};
  dr_err err = DR_ERR_INIT;
  assert_int_equal(dr__exec_op(&b.fake->op, &spec, &err), DR_OK);
  b.fake->op.cancel(&b.fake->op);
  fake_op_wait(b.fake, 5);
  assert_string_equal(b.fake->op.err.code, "cancelled");
  assert_string_equal(b.fake->op.err.message,
                      "it was told to stop and may still run: it did not end when it was told to");
  end(&b);
}

static void a_command_that_never_began_is_not_called_stopped(void **state) {
  (void)state;
  stuck s;
  bench b = on_stuck_one(&s, "cancelled");
  s.not_begun = true;
  const dr_err *err = run_failing(
      &b, (dr_exec_spec){.command = json_string("upgrade"), .timeout = 0.02}, "command.timeout");
  assert_string_equal(err->message, "\"upgrade\" did not begin within 0.02 s");
  assert_non_null(err->cause);
  end(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_failure_has_a_hint),
      cmocka_unit_test(an_option_that_the_op_does_not_take_is_not_advised),
      cmocka_unit_test(a_file_that_failed_is_no_interrupt),
      cmocka_unit_test(a_command_that_may_still_run_is_not_called_stopped),
      cmocka_unit_test(a_command_that_never_began_is_not_called_stopped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
