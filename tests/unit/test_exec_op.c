/* test_exec_op.c - an op that is one command: its result, its errors, its bounds, its secrets. */
#include "fake_op.h"

#include "target/capture.h"
#include "target/sudo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ------------------------------------------------------------ fixtures */

typedef struct bench {
  uv_loop_t *loop;
  fake_op *fake;
} bench;

/* An op on this machine; `view` (may be NULL) makes the view of a plain target. */
static bench on_local(dr_target *(*view)(dr_target *plain)) {
  bench b = {.loop = fake_loop_new()};
  dr_transport *transport = dr__local_new(b.loop);
  dr_target *target = dr__target_new(transport, "local");
  dr__transport_unref(transport);
  if (view) {
    dr_target *plain = target;
    target = view(plain);
    dr__target_unref(plain);
  }
  b.fake = fake_op_new(b.loop, target, NULL);
  return b;
}

static void start(bench *b, dr_exec_spec spec) {
  dr_err err = DR_ERR_INIT;
  int status = dr__exec_op(&b->fake->op, &spec, &err);
  assert_string_equal(err.message, "");
  assert_int_equal(status, DR_OK);
  assert_false(b->fake->op.finished);
}

static json_t *run(bench *b, dr_exec_spec spec) {
  start(b, spec);
  fake_op_wait(b->fake, 20);
  return b->fake->op.result;
}

/* Runs and expects a failure with a code. */
static const dr_err *run_failing(bench *b, dr_exec_spec spec, const char *code) {
  run(b, spec);
  assert_true(b->fake->op.failed);
  assert_string_equal(b->fake->op.err.code, code);
  return &b->fake->op.err;
}

static void end(bench *b) {
  fake_op_free(b->fake);
  fake_loop_free(b->loop);
}

static const char *text_of(const json_t *result, const char *key) {
  return json_string_value(json_object_get(result, key));
}

static json_int_t status_of(const json_t *result) {
  return json_integer_value(json_object_get(result, "status"));
}

/* ------------------------------------------------------------ results */

static void the_result_has_status_and_both_streams(void **state) {
  (void)state;
  bench b = on_local(NULL);
  json_t *result = run(&b, (dr_exec_spec){.command = json_string("echo out; echo err >&2")});
  assert_int_equal(status_of(result), 0);
  assert_string_equal(text_of(result, "stdout"), "out\n");
  assert_string_equal(text_of(result, "stderr"), "err\n");
  assert_true(json_is_true(json_object_get(result, "ok")));
  assert_null(json_object_get(result, "truncated"));
  assert_non_null(strstr(b.fake->shown.bytes, "out\n"));
  end(&b);
}

static void a_quiet_command_is_not_shown(void **state) {
  (void)state;
  bench b = on_local(NULL);
  run(&b, (dr_exec_spec){.command = json_string("echo out"), .quiet = true});
  assert_int_equal(b.fake->shown.length, 0);
  end(&b);
}

static void input_is_given(void **state) {
  (void)state;
  bench b = on_local(NULL);
  char input[] = "abc";
  dr_exec_spec spec = {.command = json_string("tr a-c d-f"), .input = input, .input_length = 3};
  start(&b, spec);
  memset(input, 'x', sizeof input); /* it was only borrowed */
  fake_op_wait(b.fake, 5);
  assert_string_equal(text_of(b.fake->op.result, "stdout"), "def");
  end(&b);
}

static void any_status_can_be_a_result(void **state) {
  (void)state;
  bench b = on_local(NULL);
  json_t *result = run(&b, (dr_exec_spec){.command = json_string("exit 4"), .any_status = true});
  assert_int_equal(status_of(result), 4);
  assert_true(json_is_false(json_object_get(result, "ok")));
  end(&b);
}

static void a_missing_program_is_status_127_where_any_is_welcome(void **state) {
  (void)state;
  bench b = on_local(NULL);
  json_t *result =
      run(&b, (dr_exec_spec){.command = json_pack("[s]", "no-such-program"), .any_status = true});
  assert_int_equal(status_of(result), 127);
  assert_non_null(strstr(text_of(result, "stderr"), "no-such-program"));
  end(&b);
}

static void output_beyond_the_bound_is_dropped_and_said(void **state) {
  (void)state;
  bench b = on_local(NULL);
  json_t *result = run(&b, (dr_exec_spec){.command = json_string("head -c 104857600 /dev/zero"),
                                          .keep = 1000,
                                          .quiet = true});
  assert_int_equal(json_string_length(json_object_get(result, "stdout")), 1000);
  assert_true(json_is_true(json_object_get(result, "truncated")));
  end(&b);
}

static void bytes_that_are_no_text_are_kept(void **state) {
  (void)state;
  bench b = on_local(NULL);
  json_t *result = run(&b, (dr_exec_spec){.command = json_string("printf 'a\\377\\000b'")});
  const json_t *text = json_object_get(result, "stdout");
  assert_int_equal(json_string_length(text), 4);
  assert_memory_equal(json_string_value(text), "a\377\000b", 4);
  end(&b);
}

static void bytes_can_be_made_text_for_people(void **state) {
  (void)state;
  static const char bytes[] = "a\377b\303\251c\355\240\200";
  bool binary = false;
  json_t *text = dr__text_json(bytes, sizeof bytes - 1, &binary);
  assert_string_equal(json_string_value(text), "a\xEF\xBF\xBD"
                                               "b\xC3\xA9"
                                               "c\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  assert_true(binary);
  json_decref(text);
}

static void bytes_that_are_no_text_do_not_spoil_an_error(void **state) {
  (void)state;
  bench b = on_local(NULL);
  const dr_err *err = run_failing(
      &b,
      (dr_exec_spec){
          .command = json_string("head -c 200000 /dev/urandom; printf 'x\\000y\\nend\\n'; exit 1")},
      "command.failed");
  assert_non_null(strstr(err->detail, "x?y\nend\n"));
  json_t *json = dr__err_to_json(err);
  char *dumped = json_dumps(json, 0);
  assert_non_null(dumped);
  free(dumped);
  json_decref(json);
  end(&b);
}

/* ------------------------------------------------------------ errors */

static void a_failed_command_shows_its_last_lines(void **state) {
  (void)state;
  bench b = on_local(NULL);
  const dr_err *err =
      run_failing(&b, (dr_exec_spec){.command = json_string("seq 1 50; echo because >&2; exit 1")},
                  "command.failed");
  assert_string_equal(err->message, "\"seq 1 50; echo because >&2; exit 1\" exited with status 1");
  assert_non_null(strstr(err->detail, "because\n"));
  assert_non_null(strstr(err->detail, "50\n"));
  assert_null(strstr(err->detail, "30\n"));
  end(&b);
}

static void exact_words_are_quoted_in_the_message(void **state) {
  (void)state;
  bench b = on_local(NULL);
  const dr_err *err = run_failing(
      &b, (dr_exec_spec){.command = json_pack("[s, s, s]", "test", "a b", "=")}, "command.failed");
  assert_non_null(strstr(err->message, "\"test 'a b' '='\" exited with status 2"));
  end(&b);
}

static void a_missing_program_is_not_found(void **state) {
  (void)state;
  bench b = on_local(NULL);
  run_failing(&b, (dr_exec_spec){.command = json_pack("[s]", "no-such-program")},
              "command.not_found");
  end(&b);
  b = on_local(NULL);
  const dr_err *err = run_failing(&b, (dr_exec_spec){.command = json_string("no-such-program -x")},
                                  "command.not_found");
  assert_non_null(strstr(err->detail, "no-such-program"));
  end(&b);
}

static dr_target *in_no_folder(dr_target *plain) {
  return dr__target_cd(plain, "/no/such/folder");
}

static dr_target *within_no_folder(dr_target *plain) {
  json_t *words = json_pack("[s]", "env");
  dr_target *within = dr__target_within(plain, "service", words);
  dr_target *view = in_no_folder(within);
  dr__target_unref(within);
  json_decref(words);
  return view;
}

static void a_missing_folder_is_named(void **state) {
  (void)state;
  dr_target *(*views[])(dr_target *) = {in_no_folder, within_no_folder};
  for (size_t i = 0; i < 2; i++) {
    bench b = on_local(views[i]);
    const dr_err *err =
        run_failing(&b, (dr_exec_spec){.command = json_string("true"), .any_status = true},
                    "command.no_such_folder");
    assert_non_null(strstr(err->message, "/no/such/folder"));
    end(&b);
  }
}

static void a_killed_command_is_a_failure_even_where_any_status_is_welcome(void **state) {
  (void)state;
  bench b = on_local(NULL);
  const dr_err *err =
      run_failing(&b, (dr_exec_spec){.command = json_string("kill -KILL $$"), .any_status = true},
                  "command.signal");
  assert_non_null(strstr(err->message, "KILL"));
  end(&b);
}

static void a_time_limit_stops_a_child_that_ignores_term(void **state) {
  (void)state;
  bench b = on_local(NULL);
  const dr_err *err = run_failing(
      &b,
      (dr_exec_spec){.command = json_string("trap '' TERM; echo ready; while :; do sleep 1; done"),
                     .timeout = 0.2},
      "command.timeout");
  assert_non_null(strstr(err->message, "did not end within 0.2 s"));
  assert_string_equal(err->detail, "ready\n");
  end(&b);
}

static dr_target *with_sudo(dr_target *plain) {
  return dr__target_sudo(plain, "app");
}

/* Puts a script called sudo before everything else in the PATH. */
typedef struct fake_sudo {
  char folder[64];
  char path[96];
  char path_before[4096];
} fake_sudo;

static void install_sudo(fake_sudo *sudo, const char *script) {
  const char *path_now = getenv("PATH");
  char path[5000];
  snprintf(sudo->folder, sizeof sudo->folder, "/tmp/test_exec_op.XXXXXX");
  assert_non_null(mkdtemp(sudo->folder));
  snprintf(sudo->path, sizeof sudo->path, "%s/sudo", sudo->folder);
  FILE *file = fopen(sudo->path, "w");
  assert_non_null(file);
  fputs(script, file);
  fclose(file);
  chmod(sudo->path, 0755);
  snprintf(sudo->path_before, sizeof sudo->path_before, "%s", path_now ? path_now : "");
  snprintf(path, sizeof path, "%s:%s", sudo->folder, sudo->path_before);
  setenv("PATH", path, 1);
}

static void remove_sudo(fake_sudo *sudo) {
  setenv("PATH", sudo->path_before, 1);
  unlink(sudo->path);
  rmdir(sudo->folder);
}

static void a_sudo_that_wants_a_password_says_so(void **state) {
  (void)state;
  fake_sudo sudo;
  install_sudo(&sudo, "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n");
  bench b = on_local(with_sudo);
  const dr_err *err =
      run_failing(&b, (dr_exec_spec){.command = json_string("id")}, "sudo.password");
  assert_non_null(strstr(err->hint, "sudoers"));
  end(&b);
  remove_sudo(&sudo);
}

static void a_script_that_used_sudo_half_way_has_failed_by_itself(void **state) {
  (void)state;
  fake_sudo sudo;
  install_sudo(&sudo, "#!/bin/sh\necho begun\necho 'sudo: a password is required' >&2\nexit 1\n");
  bench b = on_local(with_sudo);
  run_failing(&b, (dr_exec_spec){.command = json_string("id")}, "command.failed");
  end(&b);
  remove_sudo(&sudo);
}

/* Asks as sudo does: the askpass program, with the prompt as its word. With SUDO_FREE set, not at
 * all. */
static const char asking_sudo[] =
    "#!/bin/sh\n"
    "while [ \"$1\" != -- ]; do [ \"$1\" != -p ] || prompt=$2; shift; done; shift\n"
    "[ -n \"$SUDO_FREE\" ] || given=$(\"$SUDO_ASKPASS\" \"$prompt\")\n"
    "again=$(\"$SUDO_ASKPASS\" \"$prompt\")\n"
    "unset SUDO_ASKPASS\n"
    "echo \"${#given} ${#again}\" >&2\n"
    "grep -c 'hush[ ]hush' /proc/$$/cmdline /proc/$$/environ /proc/$PPID/cmdline >&2\n"
    "exec \"$@\"\n";

/* The command's input is its own, whether sudo asks or not; and a second question gets nothing. */
static void a_password_reaches_sudo_and_nobody_else(void **state) {
  (void)state;
  fake_sudo sudo;
  install_sudo(&sudo, asking_sudo);
  for (int free_of_it = 0; free_of_it < 2; free_of_it++) {
    if (free_of_it) setenv("SUDO_FREE", "1", 1);
    bench b = on_local(with_sudo);
    assert_true(dr__sudo_keep(b.fake->op.target->transport, "hush hush"));
    json_t *result =
        run(&b, (dr_exec_spec){.command = json_string("cat"), .input = "a\nb", .input_length = 3});
    assert_string_equal(text_of(result, "stdout"), "a\nb");
    const char *seen = text_of(result, "stderr");
    assert_memory_equal(seen, free_of_it ? "0 9" : "9 0", 3);
    assert_non_null(strstr(seen, "cmdline:0\n"));
    assert_non_null(strstr(seen, "environ:0\n"));
    assert_null(strstr(seen, ":1\n"));
    end(&b);
  }
  unsetenv("SUDO_FREE");
  remove_sudo(&sudo);
}

static void a_password_is_not_typed_on_a_terminal(void **state) {
  (void)state;
  fake_sudo sudo;
  install_sudo(&sudo, "#!/bin/sh\n[ \"$1\" = -n ] || exit 9\n"
                      "echo 'sudo: a password is required' >&2\nexit 1\n");
  bench b = on_local(with_sudo);
  assert_true(dr__sudo_keep(b.fake->op.target->transport, "hush hush"));
  const dr_err *err =
      run_failing(&b, (dr_exec_spec){.command = json_string("id"), .pty = true}, "sudo.password");
  assert_non_null(strstr(err->hint, "pty = true"));
  end(&b);
  remove_sudo(&sudo);
}

static dr_target *with_sudo_and_secret(dr_target *plain) {
  json_t *env = json_pack("{s:s, s:s}", "TOKEN", "hush\nhush", "OPEN", "a b");
  dr_target *other = dr__target_env(plain, env);
  dr_target *folder = dr__target_cd(other, "/usr");
  dr_target *view = dr__target_sudo(folder, NULL);
  dr__target_unref(other);
  dr__target_unref(folder);
  json_decref(env);
  return view;
}

/* sudo keeps neither environment nor, as far as its rules say so, the folder. */
static void environment_folder_and_secrets_get_through_sudo(void **state) {
  (void)state;
  fake_sudo sudo;
  install_sudo(&sudo, "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift\ncd /\n"
                      "exec env -i PATH=\"$PATH\" \"$@\"\n");
  bench b = on_local(with_sudo_and_secret);
  json_t *result = run(&b, (dr_exec_spec){.command = json_string("pwd; echo \"$TOKEN|$OPEN\"; cat"),
                                          .input = "input",
                                          .input_length = 5});
  assert_string_equal(text_of(result, "stdout"), "/usr\nhush\nhush|a b\ninput");
  end(&b);
  remove_sudo(&sudo);
}

/* ------------------------------------------------------------ cancelling */

static void a_cancelled_op_fails_with_cancelled(void **state) {
  (void)state;
  bench b = on_local(NULL);
  start(&b, (dr_exec_spec){.command = json_string("sleep 60")});
  uv_run(b.loop, UV_RUN_NOWAIT);
  b.fake->op.cancel(&b.fake->op);
  fake_op_wait(b.fake, 5);
  assert_string_equal(b.fake->op.err.code, "cancelled");
  end(&b);
}

static void a_cancel_before_the_delay_is_over_needs_no_process(void **state) {
  (void)state;
  bench b = on_local(NULL);
  start(&b, (dr_exec_spec){.command = json_string("sleep 60"), .delay = 60});
  b.fake->op.cancel(&b.fake->op);
  fake_op_wait(b.fake, 1);
  assert_string_equal(b.fake->op.err.code, "cancelled");
  end(&b);
}

static void an_op_released_too_early_leaves_nothing_behind(void **state) {
  (void)state;
  bench b = on_local(NULL);
  start(&b, (dr_exec_spec){.command = json_string("sleep 60")});
  end(&b); /* the loop closes: the process has ended and all memory is free */
}

/* ------------------------------------------------------------ parsing */

static json_t *first_line(dr_op *op, int status, json_t *result, dr_err *err) {
  (void)op;
  (void)err;
  assert_int_equal(status, 0);
  json_t *line = json_stringn(text_of(result, "stdout"), strcspn(text_of(result, "stdout"), "\n"));
  json_decref(result);
  return line;
}

static void a_parse_makes_the_result(void **state) {
  (void)state;
  bench b = on_local(NULL);
  json_t *result =
      run(&b, (dr_exec_spec){.command = json_string("echo a; echo b"), .parse = first_line});
  assert_string_equal(json_string_value(result), "a");
  end(&b);
}

/* Begins the command again until it has run three times. */
static json_t *three_times(dr_op *op, int status, json_t *result, dr_err *err) {
  json_int_t count = json_integer_value(dr__exec_carry(op)) + 1;
  assert_string_equal(dr__exec_text(op, 1), "again\n");
  json_decref(result);
  if (count == 3) return json_integer(status);
  dr_exec_spec spec = {.command = json_string("echo again; exit 5"),
                       .any_status = true,
                       .delay = 0.05,
                       .carry = json_integer(count),
                       .parse = three_times};
  dr__exec_op(op, &spec, err);
  return NULL;
}

static void a_parse_may_begin_another_command(void **state) {
  (void)state;
  bench b = on_local(NULL);
  double began = fake_now_ms();
  json_t *result =
      run(&b, (dr_exec_spec){.command = json_string("echo again"), .parse = three_times});
  assert_int_equal(json_integer_value(result), 5);
  assert_true(fake_now_ms() - began >= 100);
  end(&b);
}

static json_t *refuse(dr_op *op, int status, json_t *result, dr_err *err) {
  json_decref(result);
  dr__exec_failed(op, status, err);
  return NULL;
}

static void rename_error(dr_op *op, dr_err *err) {
  if (strstr(dr__exec_text(op, 2), "diverged")) dr__fail(err, "git.diverged", "renamed");
}

static void a_failure_can_be_named_better(void **state) {
  (void)state;
  bench b = on_local(NULL);
  run_failing(
      &b, (dr_exec_spec){.command = json_string("echo diverged >&2; exit 1"), .fail = rename_error},
      "git.diverged");
  end(&b);
  b = on_local(NULL);
  run_failing(&b,
              (dr_exec_spec){.command = json_string("exit 1"), .any_status = true, .parse = refuse},
              "command.failed");
  end(&b);
}

/* ------------------------------------------------------------ secrets */

static dr_target *with_secret(dr_target *plain) {
  json_t *env = json_pack("{s:s, s:s}", "TOKEN", "hush", "OPEN", "yes");
  dr_target *view = dr__target_env(plain, env);
  json_decref(env);
  return view;
}

static void a_secret_reaches_the_program_and_no_command_line(void **state) {
  (void)state;
  bench b = on_local(with_secret);
  json_t *result =
      run(&b, (dr_exec_spec){.command = json_string("echo $TOKEN $OPEN; "
                                                    "cat /proc/[0-9]*/cmdline 2>/dev/null | "
                                                    "tr '\\0' ' ' | grep -c hus[h] >&2"),
                             .any_status = true});
  assert_string_equal(text_of(result, "stdout"), "hush yes\n");
  assert_string_equal(text_of(result, "stderr"), "0\n");
  end(&b);
}

static void a_secret_cannot_go_through_a_terminal(void **state) {
  (void)state;
  bench b = on_local(with_secret);
  dr_err err = DR_ERR_INIT;
  dr_exec_spec spec = {.command = json_string("env"), .pty = true};
  assert_int_not_equal(dr__exec_op(&b.fake->op, &spec, &err), DR_OK);
  assert_string_equal(err.code, "command.argument");
  dr_err_clear(&err);
  end(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_result_has_status_and_both_streams),
      cmocka_unit_test(a_quiet_command_is_not_shown),
      cmocka_unit_test(input_is_given),
      cmocka_unit_test(any_status_can_be_a_result),
      cmocka_unit_test(a_missing_program_is_status_127_where_any_is_welcome),
      cmocka_unit_test(output_beyond_the_bound_is_dropped_and_said),
      cmocka_unit_test(bytes_that_are_no_text_are_kept),
      cmocka_unit_test(bytes_can_be_made_text_for_people),
      cmocka_unit_test(bytes_that_are_no_text_do_not_spoil_an_error),
      cmocka_unit_test(a_failed_command_shows_its_last_lines),
      cmocka_unit_test(exact_words_are_quoted_in_the_message),
      cmocka_unit_test(a_missing_program_is_not_found),
      cmocka_unit_test(a_missing_folder_is_named),
      cmocka_unit_test(a_killed_command_is_a_failure_even_where_any_status_is_welcome),
      cmocka_unit_test(a_time_limit_stops_a_child_that_ignores_term),
      cmocka_unit_test(a_sudo_that_wants_a_password_says_so),
      cmocka_unit_test(a_script_that_used_sudo_half_way_has_failed_by_itself),
      cmocka_unit_test(a_password_reaches_sudo_and_nobody_else),
      cmocka_unit_test(a_password_is_not_typed_on_a_terminal),
      cmocka_unit_test(environment_folder_and_secrets_get_through_sudo),
      cmocka_unit_test(a_cancelled_op_fails_with_cancelled),
      cmocka_unit_test(a_cancel_before_the_delay_is_over_needs_no_process),
      cmocka_unit_test(an_op_released_too_early_leaves_nothing_behind),
      cmocka_unit_test(a_parse_makes_the_result),
      cmocka_unit_test(a_parse_may_begin_another_command),
      cmocka_unit_test(a_failure_can_be_named_better),
      cmocka_unit_test(a_secret_reaches_the_program_and_no_command_line),
      cmocka_unit_test(a_secret_cannot_go_through_a_terminal),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
