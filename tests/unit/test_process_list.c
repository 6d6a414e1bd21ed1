/* test_process_list.c - processes as the script in /proc writes them, and signals in masks. The
 * script itself is run against this machine, by the shells there are. */
#include "process/process_list.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define HEAD "MARK\nT 1000.00\nN 0 root\nN 1000 ubuntu\n"
#define STAT(pid, name, parent)                                                                    \
  pid " (" name ") S " parent " 1 1 0 -1 4194560 1 2 3 4 5 6 0 0 20 0 1 0 50000 7"
#define RECORD(pid, name, parent, uid, group, folder, words)                                       \
  "\nMARK\nS " STAT(pid, name, parent) "\nU " uid "\nG " group "\nF " folder "\nC " words
#define END "\nMARK\nE\n"
#define LIST(text, filter) list(text, sizeof(text) - 1, filter)

static const dr_process_filter any = {.pid = -1, .parent = -1};

static json_t *list(const char *text, size_t length, const dr_process_filter *filter) {
  dr_err err = DR_ERR_INIT;
  json_t *processes = dr__process_list(text, length, "MARK", filter, &err);
  assert_string_equal(err.message, "");
  assert_non_null(processes);
  return processes;
}

static const char *text_of(const json_t *list, size_t i, const char *key) {
  return json_string_value(json_object_get(json_array_get(list, i), key));
}

static json_int_t number_of(const json_t *list, size_t i, const char *key) {
  return json_integer_value(json_object_get(json_array_get(list, i), key));
}

static void a_process_has_all_its_facts(void **state) {
  (void)state;
  json_t *got = LIST(HEAD RECORD("12", "my (app) 1", "1", "1000", "0::/system.slice/app.service/x",
                                 "/srv/a b", "python3\0-c\0a\nb\0\0last\0") END,
                     &any);
  assert_int_equal(json_array_size(got), 1);
  assert_int_equal(number_of(got, 0, "pid"), 12);
  assert_int_equal(number_of(got, 0, "parent"), 1);
  assert_int_equal(number_of(got, 0, "started"), 50000);
  assert_string_equal(text_of(got, 0, "name"), "my (app) 1");
  assert_string_equal(text_of(got, 0, "owner"), "ubuntu");
  assert_string_equal(text_of(got, 0, "unit"), "app.service");
  assert_string_equal(text_of(got, 0, "folder"), "/srv/a b");
  assert_string_equal(text_of(got, 0, "command"), "python3 -c a\nb  last");
  assert_int_equal(json_array_size(json_object_get(json_array_get(got, 0), "words")), 5);
  assert_true(json_real_value(json_object_get(json_array_get(got, 0), "age")) == 500);
  json_decref(got);
}

static void filters_take_what_is_meant(void **state) {
  (void)state;
  static const char text[] =
      HEAD RECORD("100", "gunicorn", "1", "1000", "0::/a.service", "/srv/a", "gunicorn\0a\0")
          RECORD("20", "gunicorn", "100", "0", "1:name=systemd:/x/b.service", "/srv/b/",
                 "gunicorn\0b\0") RECORD("3", "sh", "1", "7", "", "", "sh\0") END;
  static const struct {
    dr_process_filter filter;
    json_int_t pid;
  } cases[] = {
      {{.owner = "ubuntu", .pid = -1, .parent = -1}, 100},
      {{.owner = "7", .pid = -1, .parent = -1}, 3},
      {{.parent = 100, .pid = -1}, 20},
      {{.pid = 3, .parent = -1}, 3},
      {{.unit = "b.service", .pid = -1, .parent = -1}, 20},
      {{.folder = "/srv/a/", .pid = -1, .parent = -1}, 100},
      {{.command = "gunicorn b", .pid = -1, .parent = -1}, 20},
      {{.name = "sh", .pid = -1, .parent = -1}, 3},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    json_t *got = LIST(text, &cases[i].filter);
    assert_int_equal(json_array_size(got), 1);
    assert_int_equal(number_of(got, 0, "pid"), cases[i].pid);
    json_decref(got);
  }
  json_t *all = LIST(text, &any);
  assert_int_equal(number_of(all, 0, "pid"), 3);
  assert_int_equal(number_of(all, 2, "pid"), 100);
  json_decref(all);
}

static void a_command_line_cannot_pretend_to_be_a_process(void **state) {
  (void)state;
  json_t *got = LIST(HEAD RECORD("5", "x", "1", "0", "", "/",
                                 "x\0\nMARk\nS " STAT("1", "init", "0") "\nU 0\n") END,
                     &any);
  assert_int_equal(json_array_size(got), 1);
  assert_int_equal(number_of(got, 0, "pid"), 5);
  json_decref(got);
}

static void a_process_that_ended_meanwhile_is_passed_over(void **state) {
  (void)state;
  json_t *got =
      LIST(HEAD "\nMARK\nS \nU \nG \nF \nC " RECORD("5", "x", "1", "", "", "", "") END, &any);
  assert_int_equal(json_array_size(got), 1);
  assert_int_equal(number_of(got, 0, "uid"), -1);
  json_decref(got);
}

static void output_that_is_not_whole_is_refused(void **state) {
  (void)state;
  static const char *const broken[] = {
      "",   "MARK",          "MARK\n",         "other\nT 1\n",
      HEAD, HEAD "\nMARK\n", HEAD "\nMARK\nE", HEAD RECORD("5", "x", "1", "0", "", "/", "x")};
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
    dr_err err = DR_ERR_INIT;
    assert_null(dr__process_list(broken[i], strlen(broken[i]), "MARK", &any, &err));
    assert_string_equal(err.code, "process.output");
    dr_err_clear(&err);
  }
}

static void signals_are_found_in_a_mask(void **state) {
  (void)state;
  char pattern[32];
  dr__signal_pattern(1, pattern, sizeof pattern);
  assert_string_equal(pattern, "*[13579bdf]");
  dr__signal_pattern(15, pattern, sizeof pattern);
  assert_string_equal(pattern, "*[4567cdef]???");
  dr__signal_pattern(21, pattern, sizeof pattern);
  assert_string_equal(pattern, "*[13579bdf]?????");
  assert_int_equal(dr__signal_number("SIGHUP"), SIGHUP);
  assert_int_equal(dr__signal_number("TTIN"), SIGTTIN);
  assert_int_equal(dr__signal_number("NONE"), 0);
  assert_true(dr__signal_is_message(SIGHUP));
  assert_false(dr__signal_is_message(SIGTERM));
}

/* Runs the script by a shell; the output in `out`. Returns its length, 0 when there is no such
 * shell.
 */
static size_t run_script(const char *shell, char *out, size_t size) {
  int in[2];
  int back[2];
  size_t length = 0;
  assert_int_equal(pipe(in), 0);
  assert_int_equal(pipe(back), 0);
  pid_t child = fork();
  if (child == 0) {
    dup2(in[0], 0);
    dup2(back[1], 1);
    close(in[1]);
    close(back[0]);
    if (strcmp(shell, "busybox") == 0)
      execlp(shell, shell, "sh", "-c", dr__process_script, "sh", (char *)NULL);
    else
      execlp(shell, shell, "-c", dr__process_script, "sh", (char *)NULL);
    _exit(127);
  }
  close(in[0]);
  close(back[1]);
  assert_int_equal(write(in[1], "MARK\n", 5), 5);
  close(in[1]);
  for (ssize_t got; (got = read(back[0], out + length, size - length)) > 0;) length += (size_t)got;
  close(back[0]);
  waitpid(child, NULL, 0);
  return length;
}

static void the_script_finds_this_process_by_every_shell(void **state) {
  static const char *const shells[] = {"sh", "dash", "bash", "busybox"};
  enum { SIZE = 4 * 1024 * 1024 };
  char *out = malloc(SIZE);
  (void)state;
  assert_non_null(out);
  dr_process_filter self = {.pid = getpid(), .parent = getppid()};
  for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
    char folder[1024];
    size_t length = run_script(shells[i], out, SIZE);
    if (length == 0) continue;
    json_t *got = list(out, length, &self);
    assert_int_equal(json_array_size(got), 1);
    assert_int_equal(number_of(got, 0, "uid"), getuid());
    assert_string_equal(text_of(got, 0, "folder"), getcwd(folder, sizeof folder));
    assert_non_null(strstr(text_of(got, 0, "command"), "test_process_list"));
    json_decref(got);
  }
  free(out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_process_has_all_its_facts),
      cmocka_unit_test(filters_take_what_is_meant),
      cmocka_unit_test(a_command_line_cannot_pretend_to_be_a_process),
      cmocka_unit_test(a_process_that_ended_meanwhile_is_passed_over),
      cmocka_unit_test(output_that_is_not_whole_is_refused),
      cmocka_unit_test(signals_are_found_in_a_mask),
      cmocka_unit_test(the_script_finds_this_process_by_every_shell),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
