/* test_lock.c - who holds a lock, as it is written and read, and what a lock may be called. */
#include "lock/lock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void what_is_written_is_read(void **state) {
  (void)state;
  dr_lock_holder holder = {"anna@laptop", "4121", "rolling", "2026-01-31T14:02:11Z"};
  dr_lock_holder read;
  json_t *command = dr__lock_command("deploy", &holder);
  assert_string_equal(json_string_value(json_array_get(command, 4)), "/tmp/deployrun-deploy.lock");
  assert_true(dr__lock_parse(json_string_value(json_array_get(command, 5)), &read));
  assert_string_equal(read.who, "anna@laptop");
  assert_string_equal(read.process, "4121");
  assert_string_equal(read.recipe, "rolling");
  assert_string_equal(read.since, "2026-01-31T14:02:11Z");
  json_decref(command);
}

static void what_is_no_holder_is_not_believed(void **state) {
  (void)state;
  dr_lock_holder read;
  assert_false(dr__lock_parse("", &read));
  assert_false(dr__lock_parse("\n", &read));
  assert_false(dr__lock_parse("somebody", &read));
  assert_false(dr__lock_parse("\t1\tx\t2026", &read));
  assert_false(dr__lock_parse("a\tb\tc\t\n", &read));
}

static void control_bytes_and_long_fields_do_no_harm(void **state) {
  (void)state;
  dr_lock_holder read;
  char text[1000];
  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  memcpy(text + 500, "\t1\tr\x1b[2J\t2026\nmore", 18);
  text[518] = '\0';
  assert_true(dr__lock_parse(text, &read));
  assert_int_equal(strlen(read.who), sizeof read.who - 1);
  assert_string_equal(read.recipe, "r?[2J");
  assert_string_equal(read.since, "2026");
}

static void names_are_names_of_files(void **state) {
  (void)state;
  assert_true(dr__lock_name_ok("deploy"));
  assert_true(dr__lock_name_ok("shop-1.api_x"));
  assert_false(dr__lock_name_ok(""));
  assert_false(dr__lock_name_ok(".hidden"));
  assert_false(dr__lock_name_ok("a/b"));
  assert_false(dr__lock_name_ok("a b"));
  assert_false(dr__lock_name_ok("../../etc/passwd"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_written_is_read),
      cmocka_unit_test(what_is_no_holder_is_not_believed),
      cmocka_unit_test(control_bytes_and_long_fields_do_no_harm),
      cmocka_unit_test(names_are_names_of_files),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
