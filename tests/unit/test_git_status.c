/* test_git_status.c - git's machine-readable status, well-formed and broken. */
#include "git/git_status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HASH "1111111111111111111111111111111111111111"
#define MODES "N... 100644 100644 100644 " HASH " " HASH " "

/* A string literal with its inner zero bytes; the one at its end is the last record's. */
#define PARSE(text) parse(text, sizeof(text))

static json_t *parse(const char *text, size_t length) {
  dr_err err = DR_ERR_INIT;
  json_t *status = dr__git_status_parse(text, length, &err);
  assert_string_equal(err.message, "");
  assert_non_null(status);
  return status;
}

static void refuse(const char *text, size_t length) {
  dr_err err = DR_ERR_INIT;
  assert_null(dr__git_status_parse(text, length, &err));
  assert_string_equal(err.code, "git.output");
  dr_err_clear(&err);
}

static const char *text_of(const json_t *object, const char *key) {
  return json_string_value(json_object_get(object, key));
}

static void expect_change(const json_t *status, size_t i, const char *state, const char *path) {
  const json_t *change = json_array_get(json_object_get(status, "changes"), i);
  assert_string_equal(text_of(change, "state"), state);
  assert_string_equal(text_of(change, "path"), path);
}

static void a_clean_branch(void **state) {
  (void)state;
  json_t *status = PARSE("# branch.oid " HASH "\0# branch.head main\0"
                         "# branch.upstream origin/main\0# branch.ab +2 -3");
  assert_true(json_is_true(json_object_get(status, "clean")));
  assert_string_equal(text_of(status, "head"), HASH);
  assert_string_equal(text_of(status, "branch"), "main");
  assert_string_equal(text_of(status, "upstream"), "origin/main");
  assert_int_equal(json_integer_value(json_object_get(status, "ahead")), 2);
  assert_int_equal(json_integer_value(json_object_get(status, "behind")), 3);
  json_decref(status);
}

static void no_commit_and_no_branch_are_absent(void **state) {
  (void)state;
  json_t *status = PARSE("# branch.oid (initial)\0# branch.head (detached)\0# later.header x");
  assert_null(json_object_get(status, "head"));
  assert_null(json_object_get(status, "branch"));
  json_decref(status);
}

static void every_kind_of_change(void **state) {
  (void)state;
  json_t *status = PARSE("1 .M " MODES "a file\0"
                         "2 R. " MODES "R100 new name\0old name\0"
                         "u UU N... 100644 100644 100644 100644 " HASH " " HASH " " HASH " both\0"
                         "? un known\0"
                         "! ignored");
  assert_true(json_is_false(json_object_get(status, "clean")));
  expect_change(status, 0, ".M", "a file");
  expect_change(status, 1, "R.", "new name");
  assert_string_equal(text_of(json_array_get(json_object_get(status, "changes"), 1), "from"),
                      "old name");
  expect_change(status, 2, "UU", "both");
  expect_change(status, 3, "??", "un known");
  expect_change(status, 4, "!!", "ignored");
  json_decref(status);
}

static void nothing_is_clean(void **state) {
  (void)state;
  json_t *status = parse("", 0);
  assert_true(json_is_true(json_object_get(status, "clean")));
  json_decref(status);
}

static void broken_output_is_refused(void **state) {
  (void)state;
  static const char *const broken[] = {"x", "1",  "1 .M", "1 .M N...", "1.M",
                                       "?", "?x", "u",    "2",         "!"};
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
    refuse(broken[i], strlen(broken[i]) + 1);
  refuse("? not ended", 11);
  refuse("2 R. " MODES "R100 new name", sizeof("2 R. " MODES "R100 new name"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_clean_branch),
      cmocka_unit_test(no_commit_and_no_branch_are_absent),
      cmocka_unit_test(every_kind_of_change),
      cmocka_unit_test(nothing_is_clean),
      cmocka_unit_test(broken_output_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
