/* Errors in C: what they hold, what they become as JSON, and which exit status is theirs. */
#include "core/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_code_decides_the_exit_status(void **state) {
  static const struct {
    const char *code;
    dr_status status;
  } expected[] = {{"", DR_OK},
                  {"command.failed", DR_FAILED},
                  {"usage.file", DR_USAGE},
                  {"param.type", DR_USAGE},
                  {"recipe.syntax", DR_RECIPE},
                  {"lock.held", DR_REFUSED},
                  {"lock.lost", DR_FAILED},
                  {"cancelled", DR_INTERRUPTED},
                  {"recipes", DR_FAILED},
                  {"out_of_memory", DR_FAILED}};
  (void)state;
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
    dr_err err = DR_ERR_INIT;
    dr__copy_text(err.code, sizeof err.code, expected[i].code);
    assert_int_equal(dr_err_status(&err), expected[i].status);
  }
}

static void failing_fills_the_error_and_returns_its_status(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  assert_int_equal(dr__fail(&err, "param.type", "%s takes %d", "port", 7), DR_USAGE);
  assert_string_equal(err.message, "port takes 7");
  assert_int_equal(dr__fail(NULL, "lock.held", "nobody looks"), DR_REFUSED);
  dr_err_clear(&err);
}

static void a_new_failure_forgets_the_one_before(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT, cause = DR_ERR_INIT;
  dr__fail(&err, "command.failed", "first");
  dr__err_hint(&err, "a hint");
  dr__err_detail(&err, "lines", 5);
  dr__fail(&cause, "ssh.lost", "why");
  dr__err_because(&err, &cause);
  dr__fail(&err, "command.failed", "then: %s", err.message);
  assert_string_equal(err.message, "then: first");
  assert_string_equal(err.hint, "");
  assert_null(err.detail);
  assert_null(err.cause);
  dr_err_clear(&err);
}

static void a_long_text_is_cut_between_characters(void **state) {
  (void)state;
  char buffer[6];
  dr__copy_text(buffer, sizeof buffer, "ab€€"); /* 2 + 3 + 3 bytes */
  assert_string_equal(buffer, "ab€");
  dr__copy_text(buffer, 5, "ab€€");
  assert_string_equal(buffer, "ab");
  dr__copy_text(buffer, sizeof buffer, NULL);
  assert_string_equal(buffer, "");

  dr_err err = DR_ERR_INIT;
  char whole[3001];
  for (size_t i = 0; i < 3000; i += 3) memcpy(whole + i, "€", 3);
  whole[3000] = '\0';
  dr__fail(&err, "x", "%s", whole);
  assert_int_equal(strlen(err.message) % 3, 0);
  assert_true(strlen(err.message) > sizeof err.message - 4);
}

static void causes_survive_moving_and_copying(void **state) {
  (void)state;
  dr_err outer = DR_ERR_INIT, inner = DR_ERR_INIT, moved = DR_ERR_INIT, copy = DR_ERR_INIT;
  dr__fail(&outer, "compose.failed", "outer");
  dr__fail(&inner, "ssh.lost", "inner");
  dr__err_detail(&inner, "last line", 9);
  dr__err_because(&outer, &inner);
  assert_string_equal(inner.code, "");
  dr__err_move(&moved, &outer);
  assert_null(outer.cause);
  dr__err_copy(&copy, &moved);
  dr_err_clear(&moved);
  assert_string_equal(copy.cause->code, "ssh.lost");
  assert_string_equal(copy.cause->detail, "last line");
  dr_err_clear(&copy);
  dr_err_clear(NULL);
}

static void every_field_survives_json(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT, cause = DR_ERR_INIT, back = DR_ERR_INIT;
  dr__fail(&err, "command.failed", "it failed");
  dr__err_hint(&err, "try again");
  dr__err_target(&err, "web1");
  dr__copy_text(err.op, sizeof err.op, "target.run");
  dr__copy_text(err.where, sizeof err.where, "deploy.lua:3");
  dr__err_detail(&err, "no such file", 12);
  dr__fail(&cause, "ssh.lost", "gone");
  dr__err_because(&err, &cause);
  json_t *json = dr__err_to_json(&err);
  dr__err_from_json(&back, json);
  assert_string_equal(back.code, err.code);
  assert_string_equal(back.message, err.message);
  assert_string_equal(back.hint, err.hint);
  assert_string_equal(back.target, err.target);
  assert_string_equal(back.op, err.op);
  assert_string_equal(back.where, err.where);
  assert_string_equal(back.detail, err.detail);
  assert_string_equal(back.cause->message, "gone");
  json_decref(json);
  dr_err_clear(&err);
  dr_err_clear(&back);
}

static void a_message_with_odd_bytes_is_not_lost_in_json(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  dr__fail(&err, "usage.file", "cannot read caf\xe9");
  json_t *json = dr__err_to_json(&err);
  assert_string_equal(json_string_value(json_object_get(json, "message")), "cannot read caf\\xE9");
  json_decref(json);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_code_decides_the_exit_status),
      cmocka_unit_test(failing_fills_the_error_and_returns_its_status),
      cmocka_unit_test(a_new_failure_forgets_the_one_before),
      cmocka_unit_test(a_long_text_is_cut_between_characters),
      cmocka_unit_test(causes_survive_moving_and_copying),
      cmocka_unit_test(every_field_survives_json),
      cmocka_unit_test(a_message_with_odd_bytes_is_not_lost_in_json),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
