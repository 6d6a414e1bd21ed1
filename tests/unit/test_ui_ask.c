/* Questions are asked on the terminal itself, and a secret is never seen on it. */
#include "ui/ask.h"

#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static volatile sig_atomic_t interrupts;

static void on_interrupt(int number) {
  (void)number;
  interrupts++;
}

/* In the child, on a terminal of its own: exit status 7 when the answer was "abc", 8 when there was
 * none. */
static void ask_and_exit(bool secret) {
  const struct sigaction action = {.sa_handler = on_interrupt};
  (void)sigaction(SIGINT, &action, NULL);
  ui_ask_options options = {.interrupts = &interrupts};
  char *answer = ui_ask("Password?", secret, &options);
  int status = answer == NULL ? 8 : strcmp(answer, "abc") == 0 ? 7 : 9;
  free(answer);
  _exit(status);
}

/* Reads until the terminal shows `part` or is closed. */
static void read_until(int terminal, char *seen, size_t size, const char *part) {
  size_t length = strlen(seen);
  while (part == NULL || strstr(seen, part) == NULL) {
    ssize_t got = read(terminal, seen + length, size - length - 1);
    if (got <= 0) return;
    length += (size_t)got;
    seen[length] = '\0';
  }
}

/* What a person sees who types `keys`; *status is the child's. */
static void play(bool secret, const char *keys, char *seen, size_t size, int *status) {
  int terminal = -1;
  seen[0] = '\0';
  pid_t child = forkpty(&terminal, NULL, NULL, NULL);
  assert_true(child >= 0);
  if (child == 0) ask_and_exit(secret);
  read_until(terminal, seen, size, "Password? ");
  assert_int_equal(write(terminal, keys, strlen(keys)), (ssize_t)strlen(keys));
  read_until(terminal, seen, size, NULL);
  assert_int_equal(waitpid(child, status, 0), child);
  (void)close(terminal);
}

static void a_secret_is_not_echoed(void **state) {
  (void)state;
  char seen[256];
  int status = 0;
  play(true, "abc\n", seen, sizeof seen, &status);
  assert_int_equal(WEXITSTATUS(status), 7);
  assert_null(strstr(seen, "abc"));
}

static void an_answer_is_echoed(void **state) {
  (void)state;
  char seen[256];
  int status = 0;
  play(false, "abc\n", seen, sizeof seen, &status);
  assert_int_equal(WEXITSTATUS(status), 7);
  assert_non_null(strstr(seen, "abc"));
}

static void an_interrupt_ends_the_question(void **state) {
  (void)state;
  char seen[256];
  int status = 0;
  play(true, "ab\003", seen, sizeof seen, &status);
  assert_int_equal(WEXITSTATUS(status), 8);
}

static void end_of_input_is_no_answer(void **state) {
  (void)state;
  char seen[256];
  int status = 0;
  play(false, "\004", seen, sizeof seen, &status);
  assert_int_equal(WEXITSTATUS(status), 8);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_secret_is_not_echoed),
      cmocka_unit_test(an_answer_is_echoed),
      cmocka_unit_test(an_interrupt_ends_the_question),
      cmocka_unit_test(end_of_input_is_no_answer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
