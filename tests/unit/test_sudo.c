/* test_sudo.c - sudo's words are understood, and a password goes in without being seen. */
#include "target/sudo.h"

#include "core/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void means(dr_sudo_verdict verdict, const char *text) {
  if (dr__sudo_verdict(text, true) != verdict) fail_msg("misunderstood: %s", text);
}

/* As sudo 1.8 and 1.9 write them. */
static void each_refusal_is_understood(void **state) {
  (void)state;
  means(DR_SUDO_PASSWORD, "sudo: a password is required\n");
  means(DR_SUDO_PASSWORD, "sudo: a terminal is required to read the password; either use the -S "
                          "option to read from standard input or configure an askpass helper\n"
                          "sudo: a password is required\n");
  means(DR_SUDO_PASSWORD, "sudo: interactive authentication is required\n");
  means(DR_SUDO_WRONG, "Sorry, try again.\nsudo: no password was provided\n"
                       "sudo: 1 incorrect password attempt\n");
  means(DR_SUDO_WRONG, "sudo: 3 incorrect password attempts\r\n");
  means(DR_SUDO_TERMINAL, "sudo: sorry, you must have a tty to run sudo\n");
  means(DR_SUDO_REFUSED, "app is not in the sudoers file.\n");
  means(DR_SUDO_REFUSED, "app is not in the sudoers file.  This incident will be reported.\n");
  means(DR_SUDO_REFUSED,
        "Sorry, user app is not allowed to execute '/usr/bin/true' as root on web1.\n");
  means(DR_SUDO_REFUSED, "Sorry, user app may not run sudo on web1.\n");
  means(DR_SUDO_REFUSED, "app is not allowed to run sudo on web1.  This incident will be "
                         "reported.\n");
  means(DR_SUDO_NO_USER, "sudo: unknown user nosuch\n"
                         "sudo: error initializing audit plugin sudoers_audit\n");
  means(DR_SUDO_NO_USER, "sudo: unknown user: nosuch\n");
  means(DR_SUDO_NO_PROGRAM, "sudo: nosuch: command not found\n");
  means(DR_SUDO_OTHER, "sudo: effective uid is not 0, is sudo installed setuid root?\n");
  means(DR_SUDO_SILENT, "");
}

/* A host that cannot find its own name warns before it refuses. */
static void a_warning_before_it_is_passed_over(void **state) {
  (void)state;
  means(DR_SUDO_PASSWORD, "sudo: unable to resolve host web1: Name or service not known\n"
                          "sudo: a password is required\n");
}

/* It had begun: its own words stand beside those of the sudo it used. */
static void a_script_that_used_sudo_itself_is_not_meant(void **state) {
  (void)state;
  static const char *const texts[] = {"restarting …\nsudo: a password is required\n",
                                      "sudo: a password is required\nrestart failed\n",
                                      "the docs say: sudo: a password is required\n"};
  for (size_t i = 0; i < 3; i++) {
    means(DR_SUDO_SILENT, texts[i]);
  }
  assert_int_equal(dr__sudo_verdict(texts[0], false), DR_SUDO_PASSWORD);
}

static void a_missing_sudo_is_told_by_a_shell(void **state) {
  (void)state;
  static const char *const texts[] = {
      "sh: 1: exec: sudo: not found\n", "bash: line 1: exec: sudo: not found\n",
      "zsh:1: command not found: sudo\n", "there is no program \"sudo\" on this machine"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    assert_int_equal(dr__sudo_verdict_of(127, texts[i], true), DR_SUDO_MISSING);
  assert_int_equal(dr__sudo_verdict_of(127, "sh: 1: git: not found\n", true), DR_SUDO_SILENT);
}

static void a_password_becomes_the_first_line_of_input_and_no_word(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  dr_command command = {
      .argv = json_pack("[s, s, s, s, s, s, s]", "sudo", "-n", "-u", "app", "--", "cat", "-"),
      .input = strdup("input"),
      .input_length = 5};
  assert_int_equal(dr__sudo_arm(&command, "hush 'hush", &err), DR_OK);
  assert_int_equal(command.input_length, 16);
  assert_memory_equal(command.input, "hush 'hush\ninput", 16);
  char *line = dr__shell_quote(command.argv);
  assert_null(strstr(line, "hush"));
  assert_null(strstr(line, "sudo -n"));
  const char *end = " sh -u app -- cat -";
  assert_string_equal(line + strlen(line) - strlen(end), end);
  free(line);
  dr__command_clear(&command);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_refusal_is_understood),
      cmocka_unit_test(a_warning_before_it_is_passed_over),
      cmocka_unit_test(a_script_that_used_sudo_itself_is_not_meant),
      cmocka_unit_test(a_missing_sudo_is_told_by_a_shell),
      cmocka_unit_test(a_password_becomes_the_first_line_of_input_and_no_word),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
