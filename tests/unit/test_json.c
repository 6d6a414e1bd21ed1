/* JSON out of bytes that may not be UTF-8. */
#include "core/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_string_becomes(const char *text, const char *expected) {
  json_t *string = dr__json_string(text);
  assert_string_equal(json_string_value(string), expected);
  json_decref(string);
}

static void good_text_stays_as_it_is(void **state) {
  (void)state;
  assert_string_becomes("", "");
  assert_string_becomes(NULL, "");
  assert_string_becomes("plain, caf\xc3\xa9, \xe2\x82\xac, \xf0\x9f\x9a\x80",
                        "plain, caf\xc3\xa9, \xe2\x82\xac, \xf0\x9f\x9a\x80");
}

static void bytes_that_are_not_utf8_are_spelled(void **state) {
  (void)state;
  assert_string_becomes("caf\xe9 \xc3\xa9", "caf\\xE9 \xc3\xa9");
  assert_string_becomes("\xe2\x82", "\\xE2\\x82");                   /* cut off */
  assert_string_becomes("\xc0\xaf", "\\xC0\\xAF");                   /* longer than needed */
  assert_string_becomes("\xed\xa0\x80", "\\xED\\xA0\\x80");          /* half of a pair */
  assert_string_becomes("\xf4\x90\x80\x80", "\\xF4\\x90\\x80\\x80"); /* past the last */
  assert_string_becomes("\xff\xfe", "\\xFF\\xFE");
}

static void a_program_gets_every_byte(void **state) {
  (void)state;
  json_t *value = json_object();
  json_object_set_new(value, "text", json_string("good"));
  json_object_set_new(value, "bytes", json_stringn_nocheck("\xff\x00\x01", 3));
  json_object_set_new(value, "list", json_pack("[o, i]", json_stringn_nocheck("\xe9", 1), 5));
  char *text = dr__json_text(value);
  assert_string_equal(text, "{\"text\":\"good\",\"bytes\":{\"$base64\":\"/wAB\"},"
                            "\"list\":[{\"$base64\":\"6Q==\"},5]}");
  free(text);
  json_decref(value);
}

static void a_key_that_is_not_utf8_keeps_its_value(void **state) {
  (void)state;
  json_t *value = json_object();
  json_object_set_new_nocheck(value, "\xe9", json_integer(1));
  char *text = dr__json_text(value);
  assert_string_equal(text, "{\"\\\\xE9\":1}");
  free(text);
  json_decref(value);
}

static void a_value_may_stand_alone(void **state) {
  (void)state;
  json_t *number = json_real(0.1);
  char *text = dr__json_text(number);
  assert_string_equal(text, "0.1");
  free(text);
  json_decref(number);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(good_text_stays_as_it_is),
      cmocka_unit_test(bytes_that_are_not_utf8_are_spelled),
      cmocka_unit_test(a_program_gets_every_byte),
      cmocka_unit_test(a_key_that_is_not_utf8_keeps_its_value),
      cmocka_unit_test(a_value_may_stand_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
