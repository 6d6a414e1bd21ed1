/* What counts as the expected answer, and what is said of one that is not. */
#include "http/http_expect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char body[] =
    "{\"version\":\"2\",\"n\":3,\"x\":null,\"deep\":{\"list\":[{\"name\":\"a\"}]},\"a.b\":true}";

static dr_http_response answer_with(int status) {
  return (dr_http_response){
      .status = status, .body = body, .body_length = strlen(body), .url = "http://x/"};
}

static json_t *parse(const char *text) {
  json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
  assert_non_null(json);
  return json;
}

static bool status_met(const char *wanted, int status) {
  char why[200];
  json_t *json = wanted ? parse(wanted) : NULL;
  const dr_http_expectation expected = {.status = json};
  const dr_http_response answer = answer_with(status);
  assert_int_equal(dr__http_expectation_check(&expected, NULL), 0);
  bool met = dr__http_expectation_met(&expected, &answer, why, sizeof why);
  assert_true(met == (why[0] == '\0'));
  json_decref(json);
  return met;
}

static void statuses_fit_alone_as_a_class_and_in_a_list(void **state) {
  (void)state;
  assert_true(status_met(NULL, 204));
  assert_false(status_met(NULL, 302));
  assert_true(status_met("200", 200));
  assert_false(status_met("200", 201));
  assert_true(status_met("\"3xx\"", 302));
  assert_true(status_met("[200, 204, \"3xx\"]", 301));
  assert_false(status_met("[200, 204]", 502));
}

static void a_senseless_status_is_the_recipes_fault(void **state) {
  (void)state;
  const char *const bad[] = {"\"9xx\"", "\"abc\"", "\"\"", "[]", "7", "true", "{}", "[200, \"x\"]"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    dr_err err = DR_ERR_INIT;
    json_t *json = parse(bad[i]);
    const dr_http_expectation expected = {.status = json};
    assert_int_equal(dr__http_expectation_check(&expected, &err), DR_RECIPE);
    assert_string_equal(err.code, "recipe.argument");
    json_decref(json);
  }
}

static void the_reason_names_both_statuses(void **state) {
  (void)state;
  char why[200];
  json_t *list = parse("[200, 204, \"3xx\"]");
  const dr_http_expectation expected = {.status = list};
  const dr_http_response answer = answer_with(502);
  assert_false(dr__http_expectation_met(&expected, &answer, why, sizeof why));
  assert_string_equal(why, "the status is 502 Bad Gateway, expected 200, 204 or 3xx");
  json_decref(list);
}

static bool json_met(const char *wanted, char *why, size_t size) {
  json_t *json = parse(wanted);
  const dr_http_expectation expected = {.json = json};
  const dr_http_response answer = answer_with(200);
  bool met = dr__http_expectation_met(&expected, &answer, why, size);
  json_decref(json);
  return met;
}

static void json_fields_are_compared_by_path_and_type(void **state) {
  (void)state;
  char why[200];
  assert_true(json_met("{\"version\":\"2\",\"n\":3.0,\"deep.list.0.name\":\"a\",\"a.b\":true}", why,
                       sizeof why));
  assert_false(json_met("{\"version\":2}", why, sizeof why));
  assert_string_equal(why, "the JSON field version is \"2\", expected 2");
  assert_false(json_met("{\"deep.list.1.name\":\"a\"}", why, sizeof why));
  assert_string_equal(why, "the JSON field deep.list.1.name is missing, expected \"a\"");
  assert_false(json_met("{\"deep.list.x\":1}", why, sizeof why));
  assert_false(json_met("{\"deep.list.0.name.more\":1}", why, sizeof why));
}

static void a_body_that_is_no_json_is_said_to_be_none(void **state) {
  (void)state;
  char why[200];
  char html[] = "<html>";
  json_t *json = parse("{\"a\":1}");
  const dr_http_expectation expected = {.json = json};
  const dr_http_response answer = {.status = 200, .body = html, .body_length = strlen(html)};
  assert_false(dr__http_expectation_met(&expected, &answer, why, sizeof why));
  assert_string_equal(why, "the body is no JSON");
  json_decref(json);
}

static void long_values_are_cut_in_the_reason(void **state) {
  (void)state;
  char why[300];
  char letters[201] = "";
  char wanted[300];
  for (size_t i = 0; i < 200; i++) letters[i] = i % 2 ? '\xA4' : '\xC3';
  snprintf(wanted, sizeof wanted, "{\"version\":\"%s\"}", letters);
  assert_false(json_met(wanted, why, sizeof why));
  assert_non_null(strstr(why, "…"));
  json_t *text = json_string(why);
  assert_non_null(text);
  json_decref(text);
}

static void headers_are_compared_by_name_in_any_case(void **state) {
  (void)state;
  char why[200];
  json_t *got = parse("{\"x-version\":\"7\"}");
  json_t *right = parse("{\"X-Version\":\"7\"}");
  json_t *wrong = parse("{\"X-Version\":\"8\"}");
  dr_http_response answer = answer_with(200);
  answer.headers = got;
  dr_http_expectation expected = {.header = right};
  assert_true(dr__http_expectation_met(&expected, &answer, why, sizeof why));
  expected.header = wrong;
  assert_false(dr__http_expectation_met(&expected, &answer, why, sizeof why));
  assert_string_equal(why, "the header X-Version is \"7\", expected \"8\"");
  json_decref(got);
  json_decref(right);
  json_decref(wrong);
}

static void versions_come_from_a_field_or_a_header(void **state) {
  (void)state;
  json_t *headers = parse("{\"x-version\":\"7\"}");
  dr_http_response answer = answer_with(200);
  answer.headers = headers;
  const struct {
    const char *where, *version;
  } cases[] = {{"version", "2"}, {"n", "3"}, {"header:X-Version", "7"}, {"deep.list.0.name", "a"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char *version = dr__http_version_of(&answer, cases[i].where);
    assert_string_equal(version, cases[i].version);
    free(version);
  }
  assert_null(dr__http_version_of(&answer, "x"));
  assert_null(dr__http_version_of(&answer, "header:none"));
  assert_null(dr__http_version_of(&answer, "deep.none"));
  json_decref(headers);
}

static void only_the_first_lines_of_a_long_body_are_shown(void **state) {
  (void)state;
  char text[8001] = "";
  for (size_t i = 0; i < 8000; i++) text[i] = "line 12\n"[i % 8];
  const dr_http_response answer = {.status = 500, .body = text, .body_length = strlen(text)};
  char *shown = dr__http_describe(&answer);
  assert_true(strncmp(shown, "500 Internal Server Error\nline 12\n", 34) == 0);
  assert_true(strlen(shown) < 200);
  assert_string_equal(shown + strlen(shown) - strlen("…"), "…");
  free(shown);
}

static void passwords_in_urls_are_not_shown(void **state) {
  (void)state;
  const struct {
    const char *url, *shown;
  } cases[] = {{"http://a:b@c/d", "http://a:***@c/d"},
               {"https://a:p@ss@c:8/?x=y:z@w", "https://a:***@c:8/?x=y:z@w"},
               {"http://a@c/", "http://a@c/"},
               {"http://c/a:b@d", "http://c/a:b@d"},
               {"http://c:80/", "http://c:80/"},
               {"nonsense", "nonsense"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char *shown = dr__http_safe_url(cases[i].url);
    assert_string_equal(shown, cases[i].shown);
    free(shown);
  }
}

static void bytes_that_are_not_utf8_are_replaced(void **state) {
  (void)state;
  const char bytes[] = "a\xff\xC3\xA4\xC3\xED\xA0\x80\xE2\x82\xAC\xF0\x9F\x98\x80\xF5z\xE2\x82";
  json_t *text = dr__http_json_text(bytes, sizeof bytes - 1);
  const char *r = "\xEF\xBF\xBD";
  char *wanted = dr__http_format("a%s\xC3\xA4%s%s%s%s\xE2\x82\xAC\xF0\x9F\x98\x80%sz%s%s", r, r, r,
                                 r, r, r, r, r);
  assert_string_equal(json_string_value(text), wanted);
  free(wanted);
  json_decref(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(statuses_fit_alone_as_a_class_and_in_a_list),
      cmocka_unit_test(a_senseless_status_is_the_recipes_fault),
      cmocka_unit_test(the_reason_names_both_statuses),
      cmocka_unit_test(json_fields_are_compared_by_path_and_type),
      cmocka_unit_test(a_body_that_is_no_json_is_said_to_be_none),
      cmocka_unit_test(long_values_are_cut_in_the_reason),
      cmocka_unit_test(headers_are_compared_by_name_in_any_case),
      cmocka_unit_test(versions_come_from_a_field_or_a_header),
      cmocka_unit_test(only_the_first_lines_of_a_long_body_are_shown),
      cmocka_unit_test(passwords_in_urls_are_not_shown),
      cmocka_unit_test(bytes_that_are_not_utf8_are_replaced),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
