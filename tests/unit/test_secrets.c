/* Masking: no sink may show a secret, in whole, in part, or in another spelling. */
#include "core/err.h"
#include "core/secrets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int with_secrets(void **state) {
  dr_secrets *secrets = dr__secrets_new();
  *state = secrets;
  return secrets ? 0 : -1;
}

static int without_secrets(void **state) {
  dr__secrets_free(*state);
  return 0;
}

static void assert_masked(const dr_secrets *secrets, const char *text, const char *expected) {
  size_t length = strlen(text);
  char *masked = dr__secrets_mask(secrets, text, &length);
  assert_string_equal(masked, expected);
  assert_int_equal(length, strlen(expected));
  free(masked);
}

static void a_secret_is_replaced_by_its_name(void **state) {
  assert_true(dr__secrets_add(*state, "DB", "hunter2"));
  assert_masked(*state, "password=hunter2;", "password=[secret DB];");
  assert_masked(*state, "hunter2hunter2", "[secret DB][secret DB]");
  assert_masked(*state, "hunter", "hunter");
  assert_masked(*state, "", "");
  assert_string_equal(dr__secrets_found(*state, "my hunter2", 10), "DB");
  assert_null(dr__secrets_found(*state, "my hunter2", 9));
}

static void zero_bytes_do_not_end_the_text(void **state) {
  dr__secrets_add(*state, "DB", "hunter2");
  size_t length = 11;
  char *masked = dr__secrets_mask(*state, "a\0b hunter2", &length);
  assert_int_equal(length, 15);
  assert_memory_equal(masked, "a\0b [secret DB]", 16);
  free(masked);
}

static void a_short_value_is_refused(void **state) {
  assert_false(dr__secrets_add(*state, "PIN", "123"));
  assert_false(dr__secrets_add(*state, "NONE", ""));
  assert_masked(*state, "123", "123");
  assert_true(dr__secrets_add(*state, "PIN", "1234"));
}

static void a_value_may_be_told_twice(void **state) {
  assert_true(dr__secrets_add(*state, "A", "hunter2"));
  assert_true(dr__secrets_add(*state, "B", "hunter2"));
  assert_masked(*state, "hunter2", "[secret A]");
}

static void base64_is_masked_wherever_it_begins(void **state) {
  dr__secrets_add(*state, "DB", "hunter2secret");
  assert_masked(*state, "aHVudGVyMnNlY3JldA==", "[secret DB]");
  /* "u:hunter2secret", "me:hunter2secret", "you:hunter2secret!" as in an Authorization header */
  static const char *const inside[] = {"dTpodW50ZXIyc2VjcmV0",
                                       "bWU6aHVudGVyMnNlY3JldA==", "eW91Omh1bnRlcjJzZWNyZXQh"};
  for (size_t i = 0; i < 3; i++) {
    size_t length = strlen(inside[i]);
    char *masked = dr__secrets_mask(*state, inside[i], &length);
    assert_non_null(strstr(masked, "[secret DB]"));
    assert_true(length <= strlen("xxxxxx[secret DB]xxxx"));
    free(masked);
  }
}

static void percent_encoding_is_masked_in_both_cases(void **state) {
  dr__secrets_add(*state, "DB", "p@ss/word");
  assert_masked(*state, "u:p%40ss%2Fword@db", "u:[secret DB]@db");
  assert_masked(*state, "u:p%40ss%2fword@db", "u:[secret DB]@db");
}

static void json_spelling_is_masked(void **state) {
  dr__secrets_add(*state, "DB", "a\"quote\\and/slash");
  assert_masked(*state, "{\"p\":\"a\\\"quote\\\\and/slash\"}", "{\"p\":\"[secret DB]\"}");
}

static void a_quote_is_masked_as_a_shell_has_it(void **state) {
  dr__secrets_add(*state, "DB", "ab'\"cd'e");
  assert_masked(*state, "'PW=ab'\\''\"cd'\\''e'", "'PW=[secret DB]'");
  assert_masked(*state, "'{\"p\":\"ab'\\''\\\"cd'\\''e\"}'", "'{\"p\":\"[secret DB]\"}'");
  assert_masked(*state, "ab'\"cd'e", "[secret DB]");
}

static void the_beginning_of_a_secret_that_was_cut_is_masked(void **state) {
  dr__secrets_add(*state, "DB", "hunter2-and-much-more");
  dr__secrets_add(*state, "SHORT", "hunter");
  dr__secrets_add(*state, "HOOK", "https://hooks.test/T0/B0");
  assert_masked(*state, "p: hunter2-a…", "p: [secret DB]…");
  assert_masked(*state, "body \"p: hunter2-a\"…", "body \"p: [secret DB]\"…");
  assert_masked(*state, "PASSWORD 'hunter2-and-muc …\n", "PASSWORD '[secret DB] …\n");
  assert_masked(*state, "POST https://hooks.…", "POST [secret HOOK]…");
  assert_masked(*state, "write https://… or hun…", "write https://… or hun…");
  json_t *value = json_pack("{s:s}", "detail", "p: hunter2-and…");
  json_t *masked = dr__secrets_mask_json(*state, value);
  assert_string_equal(json_string_value(json_object_get(masked, "detail")), "p: [secret DB]…");
  json_decref(masked);
  json_decref(value);
}

static void each_line_of_a_long_secret_is_masked(void **state) {
  dr__secrets_add(*state, "KEY",
                  "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhk\r\nxx\n-----END KEY-----\n");
  assert_masked(*state, "MIIEvQIBADANBgkqhk", "[secret KEY]");
  assert_masked(*state, "xx and }", "xx and }");
}

static void a_line_break_at_the_end_hides_nothing(void **state) {
  dr__secrets_add(*state, "PIN", "12345\n");
  assert_masked(*state, "code 12345.", "code [secret PIN].");
}

static void the_longest_secret_wins(void **state) {
  dr__secrets_add(*state, "SHORT", "pass");
  dr__secrets_add(*state, "LONG", "password");
  assert_masked(*state, "password pass", "[secret LONG] [secret SHORT]");
}

static void overlapping_secrets_leave_nothing(void **state) {
  dr__secrets_add(*state, "A", "abcdef");
  dr__secrets_add(*state, "B", "defghi");
  assert_masked(*state, "x abcdefghi y", "x [secret A] y");
  assert_masked(*state, "defghi", "[secret B]");
}

static void json_is_masked_everywhere(void **state) {
  dr__secrets_add(*state, "DB", "hunter2");
  json_t *value = json_loads("{\"a hunter2\": [\"hunter2\", {\"b\": \"x hunter2\"}], \"n\": 7,"
                             " \"nothing\": null, \"yes\": true}",
                             0, NULL);
  json_t *masked = dr__secrets_mask_json(*state, value);
  char *text = json_dumps(masked, JSON_COMPACT | JSON_SORT_KEYS);
  assert_string_equal(text, "{\"a [secret DB]\":[\"[secret DB]\",{\"b\":\"x [secret DB]\"}],"
                            "\"n\":7,\"nothing\":null,\"yes\":true}");
  free(text);
  json_decref(masked);
  json_decref(value);
}

static void json_without_a_secret_is_not_copied(void **state) {
  dr__secrets_add(*state, "DB", "hunter2");
  json_t *value = json_pack("{s:[s, {s:s}]}", "a", "b", "c", "hunter");
  json_t *masked = dr__secrets_mask_json(*state, value);
  assert_ptr_equal(masked, value);
  json_decref(masked);
  json_decref(value);
}

static void a_fixed_buffer_is_masked_in_place(void **state) {
  char buffer[24] = "a hunter2 b";
  dr__secrets_add(*state, "DATABASE", "hunter2");
  dr__secrets_mask_buffer(*state, buffer, sizeof buffer);
  assert_string_equal(buffer, "a [secret DATABASE] b");
  char small[12] = "a hunter2 b";
  dr__secrets_mask_buffer(*state, small, sizeof small);
  assert_string_equal(small, "a [secret D");
}

static void a_secret_cut_off_by_its_buffer_is_masked(void **state) {
  char buffer[12] = "a: hunter2s";
  dr__secrets_add(*state, "DB", "hunter2secret");
  dr__secrets_mask_buffer(*state, buffer, sizeof buffer);
  assert_null(strstr(buffer, "hunt"));
}

static void an_error_is_masked_with_its_causes(void **state) {
  dr__secrets_add(*state, "DB", "hunter2");
  dr_err err = DR_ERR_INIT, cause = DR_ERR_INIT;
  dr__fail(&err, "x", "hunter2");
  dr__err_hint(&err, "not hunter2");
  dr__err_target(&err, "hunter2@db");
  dr__err_detail(&err, "said hunter2", 12);
  dr__fail(&cause, "y", "because hunter2");
  dr__err_detail(&cause, "hunter2", 7);
  dr__err_because(&err, &cause);
  dr__secrets_mask_err(*state, &err);
  assert_string_equal(err.message, "[secret DB]");
  assert_string_equal(err.hint, "not [secret DB]");
  assert_string_equal(err.target, "[secret DB]@db");
  assert_string_equal(err.detail, "said [secret DB]");
  assert_string_equal(err.cause->message, "because [secret DB]");
  assert_string_equal(err.cause->detail, "[secret DB]");
  dr_err_clear(&err);
}

/* Shows a text piece by piece, as output is shown, through a buffer of 64 bytes. */
static void assert_masked_in_pieces(const dr_secrets *secrets, const char *text) {
  char buffer[64], shown[512] = "";
  size_t held = 0, left = strlen(text);
  while (left > 0) {
    size_t piece = left < sizeof buffer - held ? left : sizeof buffer - held;
    memcpy(buffer + held, text, piece);
    text += piece;
    left -= piece;
    held += piece;
    size_t cut = left > 0 ? dr__secrets_cut(secrets, buffer, held) : held;
    assert_true(cut > 0);
    char *masked = dr__secrets_mask(secrets, buffer, &(size_t){cut});
    strncat(shown, masked, sizeof shown - strlen(shown) - 1);
    free(masked);
    memmove(buffer, buffer + cut, held - cut);
    held -= cut;
  }
  assert_null(strstr(shown, "0123"));
  assert_null(strstr(shown, "6789"));
  assert_non_null(strstr(shown, "x[secret DB]y"));
}

static void no_secret_is_cut_in_two(void **state) {
  dr__secrets_add(*state, "DB", "0123456789");
  for (size_t before = 0; before < 80; before++) {
    char text[256];
    memset(text, '-', sizeof text);
    memcpy(text + before, "x0123456789y", 12);
    text[before + 100] = '\0';
    assert_masked_in_pieces(*state, text);
  }
}

static void without_secrets_all_can_be_shown(void **state) {
  assert_int_equal(dr__secrets_cut(*state, "anything", 8), 8);
  assert_int_equal(dr__secrets_longest(*state), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, with_secrets, without_secrets)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_secret_is_replaced_by_its_name),
      TEST(zero_bytes_do_not_end_the_text),
      TEST(a_short_value_is_refused),
      TEST(a_value_may_be_told_twice),
      TEST(base64_is_masked_wherever_it_begins),
      TEST(percent_encoding_is_masked_in_both_cases),
      TEST(json_spelling_is_masked),
      TEST(a_quote_is_masked_as_a_shell_has_it),
      TEST(the_beginning_of_a_secret_that_was_cut_is_masked),
      TEST(each_line_of_a_long_secret_is_masked),
      TEST(a_line_break_at_the_end_hides_nothing),
      TEST(the_longest_secret_wins),
      TEST(overlapping_secrets_leave_nothing),
      TEST(json_is_masked_everywhere),
      TEST(json_without_a_secret_is_not_copied),
      TEST(a_fixed_buffer_is_masked_in_place),
      TEST(a_secret_cut_off_by_its_buffer_is_masked),
      TEST(an_error_is_masked_with_its_causes),
      TEST(no_secret_is_cut_in_two),
      TEST(without_secrets_all_can_be_shown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
