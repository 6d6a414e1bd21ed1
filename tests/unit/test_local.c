/* test_local.c - commands on this machine, through the transport alone: how they begin and how they
 * end. */
#include "fake_op.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* One command under way and what came of it. */
typedef struct command {
  uv_loop_t *loop;
  dr_transport *transport;
  dr_exec *exec;
  dr_text streams[2];
  dr_exec_exit how;
  int exits;
} command;

static void on_output(void *data, int stream, const char *bytes, size_t length) {
  command *c = data;
  assert_int_equal(c->exits, 0);
  dr__text_add(&c->streams[stream - 1], bytes, length);
}

static void on_exited(void *data, dr_exec_exit *how) {
  command *c = data;
  c->exits++;
  c->how.status = how->status;
  memcpy(c->how.signal, how->signal, sizeof how->signal);
  dr__err_move(&c->how.err, &how->err);
}

static int start(command *c, dr_exec_request *request, dr_err *err) {
  *c = (command){.loop = fake_loop_new()};
  c->transport = dr__local_new(c->loop);
  request->on_output = on_output;
  request->on_exit = on_exited;
  request->data = c;
  int status = c->transport->klass->exec(c->transport, request, &c->exec, err);
  assert_int_equal(c->exits, 0);
  json_decref(request->argv);
  json_decref(request->env);
  return status;
}

/* Starts what can be started. */
static void begin(command *c, dr_exec_request request) {
  dr_err err = DR_ERR_INIT;
  if (start(c, &request, &err) != DR_OK) fail_msg("%s: %s", err.code, err.message);
}

static void cancel(command *c) {
  c->transport->klass->cancel(c->exec);
}

static void wait_for_exit(command *c) {
  double began = fake_now_ms();
  while (c->exits == 0 && fake_now_ms() - began < 20000) uv_run(c->loop, UV_RUN_ONCE);
  assert_int_equal(c->exits, 1);
}

/* Turns the loop until something was written. */
static void wait_for_output(command *c) {
  while (c->streams[0].length == 0 && c->exits == 0) uv_run(c->loop, UV_RUN_ONCE);
}

static void finish(command *c) {
  dr__transport_unref(c->transport);
  fake_loop_free(c->loop);
  dr__text_free(&c->streams[0]);
  dr__text_free(&c->streams[1]);
  dr_err_clear(&c->how.err);
}

static json_t *shell(const char *line) {
  return json_pack("[s, s, s]", "/bin/sh", "-c", line);
}

/* Starts, waits, and compares output and status. */
static void expect(dr_exec_request request, const char *output, int status) {
  command c;
  begin(&c, request);
  wait_for_exit(&c);
  assert_string_equal(c.streams[0].bytes ? c.streams[0].bytes : "", output);
  assert_int_equal(c.how.status, status);
  finish(&c);
}

static void expect_not_started(dr_exec_request request, const char *code) {
  command c;
  dr_err err = DR_ERR_INIT;
  assert_int_not_equal(start(&c, &request, &err), DR_OK);
  assert_string_equal(err.code, code);
  assert_true(strlen(err.message) > 0);
  dr_err_clear(&err);
  finish(&c);
  assert_int_equal(c.exits, 0);
}

/* True when the process has ended, whether or not somebody has asked how. */
static bool has_ended(pid_t pid) {
  char path[64];
  char line[512] = "";
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  FILE *file = fopen(path, "r");
  if (!file) return true;
  bool read = fgets(line, sizeof line, file) != NULL;
  fclose(file);
  return !read || strstr(line, ") Z ") != NULL;
}

/* True once the process has ended; waits at most a second for it. */
static bool is_gone(pid_t pid) {
  for (int i = 0; i < 100; i++) {
    if (has_ended(pid)) return true;
    usleep(10000);
  }
  return false;
}

static void a_command_writes_and_exits(void **state) {
  (void)state;
  expect((dr_exec_request){.argv = shell("echo out; echo err >&2; exit 3")}, "out\n", 3);
}

static void exact_words_reach_the_program(void **state) {
  (void)state;
  expect((dr_exec_request){.argv = json_pack("[s, s, s, s]", "printf", "[%s]", "a b", "$HOME")},
         "[a b][$HOME]", 0);
}

static void folder_and_environment_are_set(void **state) {
  (void)state;
  setenv("DR_TEST_KEPT", "kept", 1);
  setenv("DR_TEST_OVER", "old", 1);
  expect((dr_exec_request){.argv = shell("pwd; echo $DR_TEST_KEPT $DR_TEST_OVER $DR_TEST_NEW"),
                           .cwd = "/usr",
                           .env = json_pack("{s:s, s:s}", "DR_TEST_OVER", "over", "DR_TEST_NEW",
                                            "new")},
         "/usr\nkept over new\n", 0);
}

static void a_home_folder_is_found(void **state) {
  (void)state;
  setenv("HOME", "/usr", 1);
  expect((dr_exec_request){.argv = shell("pwd"), .cwd = "~/lib"}, "/usr/lib\n", 0);
}

static void input_arrives_and_ends(void **state) {
  (void)state;
  expect((dr_exec_request){.argv = shell("cat; echo end"), .input = "a\nb", .input_length = 3},
         "a\nbend\n", 0);
  expect((dr_exec_request){.argv = shell("cat; echo end")}, "end\n", 0);
}

static void input_is_a_file_that_can_be_opened(void **state) {
  (void)state;
  expect((dr_exec_request){.argv = shell("cat /dev/stdin >/dev/stdout"),
                           .input = "a",
                           .input_length = 1},
         "a", 0);
}

static void much_input_flows_while_the_output_is_read(void **state) {
  (void)state;
  size_t length = 8u << 20;
  char *input = malloc(length);
  memset(input, 'x', length);
  expect((dr_exec_request){.argv = shell("cat | wc -c | tr -d ' '"),
                           .input = input,
                           .input_length = length},
         "8388608\n", 0);
  command c;
  begin(&c,
        (dr_exec_request){.argv = json_pack("[s]", "cat"), .input = input, .input_length = length});
  wait_for_exit(&c);
  assert_int_equal(c.streams[0].length, length);
  finish(&c);
  free(input);
}

static void input_that_nobody_reads_does_no_harm(void **state) {
  (void)state;
  size_t length = 1u << 20;
  char *input = calloc(1, length);
  expect((dr_exec_request){.argv = shell("exec <&-; sleep 0.1; echo done"),
                           .input = input,
                           .input_length = length},
         "done\n", 0);
  free(input);
}

static void a_program_that_does_not_exist_is_not_found(void **state) {
  (void)state;
  expect_not_started((dr_exec_request){.argv = json_pack("[s]", "no-such-program-here")},
                     "command.not_found");
  expect_not_started((dr_exec_request){.argv = json_pack("[s]", "/no/such/program")},
                     "command.not_found");
}

static void a_file_that_may_not_be_executed_says_so(void **state) {
  (void)state;
  expect_not_started((dr_exec_request){.argv = json_pack("[s]", "/etc/passwd")},
                     "command.not_executable");
}

static void a_folder_that_does_not_exist_says_so(void **state) {
  (void)state;
  expect_not_started((dr_exec_request){.argv = shell("true"), .cwd = "/no/such/folder"},
                     "command.no_such_folder");
  expect_not_started((dr_exec_request){.argv = shell("true"), .cwd = "/etc/passwd"},
                     "command.no_such_folder");
}

static void a_signal_is_no_status(void **state) {
  (void)state;
  command c;
  begin(&c, (dr_exec_request){.argv = shell("kill -KILL $$")});
  wait_for_exit(&c);
  assert_string_equal(c.how.signal, "KILL");
  assert_int_equal(c.how.status, -1);
  finish(&c);
}

static void a_cancel_reaches_the_whole_tree(void **state) {
  (void)state;
  command c;
  begin(&c, (dr_exec_request){.argv = shell("sleep 60 & echo $!; wait")});
  wait_for_output(&c);
  double began = fake_now_ms();
  cancel(&c);
  wait_for_exit(&c);
  assert_true(fake_now_ms() - began < 2000);
  assert_string_equal(c.how.signal, "TERM");
  assert_true(is_gone((pid_t)strtol(c.streams[0].bytes, NULL, 10)));
  finish(&c);
}

/* A child that ignores TERM. */
static void begin_stubborn(command *c) {
  begin(c, (dr_exec_request){.argv = shell("trap '' TERM; echo ready; while :; do sleep 1; done")});
  wait_for_output(c);
}

static void a_child_that_ignores_term_is_killed_after_five_seconds(void **state) {
  (void)state;
  command c;
  begin_stubborn(&c);
  double began = fake_now_ms();
  cancel(&c);
  wait_for_exit(&c);
  assert_true(fake_now_ms() - began > 4500);
  assert_true(fake_now_ms() - began < 8000);
  assert_string_equal(c.how.signal, "KILL");
  finish(&c);
}

static void a_second_cancel_kills_at_once(void **state) {
  (void)state;
  command c;
  begin_stubborn(&c);
  double began = fake_now_ms();
  cancel(&c);
  cancel(&c);
  wait_for_exit(&c);
  assert_true(fake_now_ms() - began < 2000);
  assert_string_equal(c.how.signal, "KILL");
  finish(&c);
}

static void a_grandchild_that_outlives_a_cancel_is_killed_too(void **state) {
  (void)state;
  command c;
  begin(
      &c,
      (dr_exec_request){
          .argv = shell(
              "(trap '' TERM; exec >/dev/null 2>&1; while :; do sleep 1; done) & echo $!; wait")});
  wait_for_output(&c);
  cancel(&c);
  wait_for_exit(&c);
  assert_true(is_gone((pid_t)strtol(c.streams[0].bytes, NULL, 10)));
  finish(&c);
}

static void a_grandchild_that_holds_the_output_is_not_waited_for(void **state) {
  (void)state;
  command c;
  double began = fake_now_ms();
  begin(&c, (dr_exec_request){.argv = shell("sleep 30 & echo $!")});
  wait_for_exit(&c);
  assert_true(fake_now_ms() - began < 4000);
  assert_int_equal(c.how.status, 0);
  pid_t sleeper = (pid_t)strtol(c.streams[0].bytes, NULL, 10);
  assert_int_equal(kill(sleeper, SIGKILL), 0); /* it lives: a daemon may be wanted */
  finish(&c);
}

static void late_output_of_a_grandchild_is_kept(void **state) {
  (void)state;
  expect((dr_exec_request){.argv = shell("(sleep 0.3; echo late) & echo early")}, "early\nlate\n",
         0);
}

static void held_input_ends_the_command_when_it_is_cancelled(void **state) {
  (void)state;
  command c;
  begin(&c,
        (dr_exec_request){.argv = shell("trap '' TERM; read -r line; echo $line; cat; echo end"),
                          .input = "first\n",
                          .input_length = 6,
                          .hold_input = true});
  wait_for_output(&c);
  for (int i = 0; i < 5; i++) uv_run(c.loop, UV_RUN_NOWAIT);
  assert_int_equal(c.exits, 0);
  cancel(&c);
  wait_for_exit(&c);
  assert_string_equal(c.streams[0].bytes, "first\nend\n");
  finish(&c);
}

static void a_terminal_is_one(void **state) {
  (void)state;
  expect(
      (dr_exec_request){.argv = shell("test -t 0 && test -t 1 && test -t 2 && test -e /dev/tty && "
                                      "echo yes >/dev/tty; cat"),
                        .input = "typed",
                        .input_length = 5,
                        .pty = true},
      "yes\r\ntyped", 0);
}

static void a_hundred_megabytes_pass(void **state) {
  (void)state;
  command c;
  begin(&c, (dr_exec_request){.argv = shell("head -c 104857600 /dev/zero")});
  wait_for_exit(&c);
  assert_int_equal(c.streams[0].length, 104857600);
  finish(&c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_command_writes_and_exits),
      cmocka_unit_test(exact_words_reach_the_program),
      cmocka_unit_test(folder_and_environment_are_set),
      cmocka_unit_test(a_home_folder_is_found),
      cmocka_unit_test(input_arrives_and_ends),
      cmocka_unit_test(input_is_a_file_that_can_be_opened),
      cmocka_unit_test(much_input_flows_while_the_output_is_read),
      cmocka_unit_test(input_that_nobody_reads_does_no_harm),
      cmocka_unit_test(a_program_that_does_not_exist_is_not_found),
      cmocka_unit_test(a_file_that_may_not_be_executed_says_so),
      cmocka_unit_test(a_folder_that_does_not_exist_says_so),
      cmocka_unit_test(a_signal_is_no_status),
      cmocka_unit_test(a_cancel_reaches_the_whole_tree),
      cmocka_unit_test(a_child_that_ignores_term_is_killed_after_five_seconds),
      cmocka_unit_test(a_second_cancel_kills_at_once),
      cmocka_unit_test(a_grandchild_that_outlives_a_cancel_is_killed_too),
      cmocka_unit_test(a_grandchild_that_holds_the_output_is_not_waited_for),
      cmocka_unit_test(late_output_of_a_grandchild_is_kept),
      cmocka_unit_test(held_input_ends_the_command_when_it_is_cancelled),
      cmocka_unit_test(a_terminal_is_one),
      cmocka_unit_test(a_hundred_megabytes_pass),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
