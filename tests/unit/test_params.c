/* Typed params: what each type takes, what it refuses, and the help a person gets. */
#include "core/params.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *declared(const char *type) {
  return json_pack("{s:s, s:s, s:s, s:[s,s]}", "name", "it", "type", type, "help", "what it is",
                   "choices", "fast", "slow");
}

/* What a param of the type makes of the text, as JSON; "" when it is refused. Static. */
static const char *reads(const char *type, const char *text) {
  static char answer[256];
  dr_err err = DR_ERR_INIT;
  json_t *declaration = declared(type);
  json_t *value = dr__param_parse(declaration, text, &err);
  char *json =
      value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
  dr__copy_text(answer, sizeof answer, json);
  assert_string_equal(err.code, value ? "" : "param.type");
  if (!value) assert_non_null(strstr(err.message, "'it'"));
  free(json);
  json_decref(value);
  json_decref(declaration);
  dr_err_clear(&err);
  return answer;
}

static void text_and_paths(void **state) {
  (void)state;
  assert_string_equal(reads("string", "a b"), "\"a b\"");
  assert_string_equal(reads("string", ""), "\"\"");
  assert_string_equal(reads("string", "caf\xe9"), "");
  assert_string_equal(reads("path", "/srv/app"), "\"/srv/app\"");
  assert_string_equal(reads("path", ""), "");
}

static void numbers(void **state) {
  (void)state;
  assert_string_equal(reads("int", "-12"), "-12");
  assert_string_equal(reads("int", "1.5"), "");
  assert_string_equal(reads("int", "12x"), "");
  assert_string_equal(reads("int", ""), "");
  assert_string_equal(reads("int", "99999999999999999999"), "");
  assert_string_equal(reads("number", "0.5"), "0.5");
  assert_string_equal(reads("number", "nan"), "");
  assert_string_equal(reads("number", "1e999"), "");
}

static void yes_and_no(void **state) {
  static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off",
                                                                              "0"};
  (void)state;
  for (size_t i = 0; i < 4; i++) {
    assert_string_equal(reads("bool", yes[i]), "true");
    assert_string_equal(reads("bool", no[i]), "false");
  }
  assert_string_equal(reads("bool", "maybe"), "");
}

static void one_of_the_choices(void **state) {
  (void)state;
  assert_string_equal(reads("enum", "slow"), "\"slow\"");
  assert_string_equal(reads("enum", "slo"), "");
}

static void a_list_is_split_at_commas(void **state) {
  (void)state;
  assert_string_equal(reads("list", "api, worker ,beat"), "[\"api\",\"worker\",\"beat\"]");
  assert_string_equal(reads("list", ""), "[]");
  assert_string_equal(reads("list", ",,a"), "[\"a\"]");
}

static void urls_and_hosts(void **state) {
  (void)state;
  assert_string_equal(reads("url", "http://localhost:8000/health"),
                      "\"http://localhost:8000/health\"");
  assert_string_equal(reads("url", "localhost"), "");
  assert_string_equal(reads("url", "ftp://x/"), "");
  assert_string_equal(reads("host", "deploy@web1:2222"), "\"deploy@web1:2222\"");
  assert_string_equal(reads("host", "-oProxyCommand=x"), "");
  assert_string_equal(reads("host", "a b"), "");
  assert_string_equal(reads("hosts", "web1, web2"), "[\"web1\",\"web2\"]");
  assert_string_equal(reads("hosts", "web1,web1"), "");
  assert_string_equal(reads("hosts", " , "), "");
}

static void durations_have_units(void **state) {
  (void)state;
  assert_string_equal(reads("duration", "90"), "90.0");
  assert_string_equal(reads("duration", "90s"), "90.0");
  assert_string_equal(reads("duration", "1.5h"), "5400.0");
  assert_string_equal(reads("duration", "5 m"), "300.0");
  assert_string_equal(reads("duration", "250ms"), "0.25");
  assert_string_equal(reads("duration", "2d"), "172800.0");
  assert_string_equal(reads("duration", "5 parsecs"), "");
  assert_string_equal(reads("duration", "-5"), "");
  assert_string_equal(reads("duration", "inf"), "");
  assert_string_equal(reads("duration", "m"), "");
  assert_string_equal(reads("duration", "1e400"), "");
}

static json_t *web_and_workers(void) {
  return json_pack("[{s:s,s:s},{s:s,s:s,s:[s]},{s:s,s:s,s:b,s:s}]", "name", "web", "type", "string",
                   "name", "workers", "type", "list", "default", "celery", "name", "dir", "type",
                   "path", "required", 1, "help", "the checkout");
}

static void an_unknown_param_names_the_near_one_and_all(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  json_t *declarations = web_and_workers();
  assert_null(dr__param_find(declarations, "wokrers", &err));
  assert_string_equal(err.code, "param.unknown");
  assert_non_null(strstr(err.hint, "did you mean 'workers'?"));
  assert_non_null(strstr(err.hint, "web, workers, dir"));
  assert_null(dr__param_find(declarations, "something-else", &err));
  assert_null(strstr(err.hint, "did you mean"));
  assert_non_null(dr__param_find(declarations, "web", &err));
  json_decref(declarations);
  assert_null(dr__param_find(NULL, "web", &err));
  assert_non_null(strstr(err.hint, "no params"));
}

static void near_means_few_edits(void **state) {
  (void)state;
  assert_int_equal(dr__name_distance("healthy", "healthy"), 0);
  assert_int_equal(dr__name_distance("helathy", "healthy"), 1); /* a swap */
  assert_int_equal(dr__name_distance("heathy", "healthy"), 1);
  assert_int_equal(dr__name_distance("", "abc"), 3);
  assert_int_equal(dr__name_distance("kitten", "sitting"), 3);
  char longest[80];
  memset(longest, 'x', sizeof longest - 1);
  longest[sizeof longest - 1] = '\0';
  assert_int_equal(dr__name_distance(longest, "x"), 64);
}

static void given_values_win_over_defaults(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  json_t *declarations = web_and_workers();
  json_t *given = json_pack("{s:s}", "dir", "/srv");
  json_t *values = dr__param_values(declarations, given, &err);
  assert_string_equal(json_string_value(json_object_get(values, "dir")), "/srv");
  assert_int_equal(json_array_size(json_object_get(values, "workers")), 1);
  assert_null(json_object_get(values, "web"));
  json_decref(values);
  json_decref(given);
  json_decref(declarations);
}

static void a_required_param_must_be_given(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  json_t *declarations = web_and_workers();
  assert_null(dr__param_values(declarations, NULL, &err));
  assert_string_equal(err.code, "param.missing");
  assert_non_null(strstr(err.hint, "dir=…"));
  assert_non_null(strstr(err.hint, "the checkout"));
  json_decref(declarations);
}

/* The default, given as JSON, as a param of the type keeps it; "" when the recipe is wrong. */
static const char *keeps(const char *type, const char *json) {
  static char answer[256];
  dr_err err = DR_ERR_INIT;
  json_t *declaration = declared(type), *given = json_loads(json, JSON_DECODE_ANY, NULL);
  json_t *value = dr__param_normalize(declaration, given, &err);
  char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
  dr__copy_text(answer, sizeof answer, text);
  assert_string_equal(err.code, value ? "" : "recipe.param");
  free(text);
  json_decref(value);
  json_decref(given);
  json_decref(declaration);
  return answer;
}

static void a_default_is_brought_to_its_type(void **state) {
  (void)state;
  assert_string_equal(keeps("duration", "\"5m\""), "300.0");
  assert_string_equal(keeps("duration", "90"), "90.0");
  assert_string_equal(keeps("list", "[\"a\",\"b\"]"), "[\"a\",\"b\"]");
  assert_string_equal(keeps("list", "{}"), "[]"); /* an empty Lua table */
  assert_string_equal(keeps("list", "\"a,b\""), "[\"a\",\"b\"]");
  assert_string_equal(keeps("bool", "true"), "true");
  assert_string_equal(keeps("string", "5"), "\"5\"");
  assert_string_equal(keeps("number", "0.3333333333333333"), "0.33333333333333331");
}

static void a_default_of_another_type_is_the_recipes_fault(void **state) {
  (void)state;
  assert_string_equal(keeps("int", "\"many\""), "");
  assert_string_equal(keeps("list", "[1,2]"), "");
  assert_string_equal(keeps("string", "[\"a\"]"), "");
  assert_string_equal(keeps("string", "{\"a\":1}"), "");
  assert_string_equal(keeps("enum", "\"medium\""), "");
}

static void a_value_is_shown_as_it_would_be_typed(void **state) {
  (void)state;
  json_t *list = json_pack("[s,s]", "api", "beat");
  char *text = dr__param_text(list);
  assert_string_equal(text, "api,beat");
  free(text);
  json_decref(list);
  json_t *seconds = json_real(300);
  text = dr__param_text(seconds);
  assert_string_equal(text, "300.0");
  free(text);
  json_decref(seconds);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(text_and_paths),
      cmocka_unit_test(numbers),
      cmocka_unit_test(yes_and_no),
      cmocka_unit_test(one_of_the_choices),
      cmocka_unit_test(a_list_is_split_at_commas),
      cmocka_unit_test(urls_and_hosts),
      cmocka_unit_test(durations_have_units),
      cmocka_unit_test(an_unknown_param_names_the_near_one_and_all),
      cmocka_unit_test(near_means_few_edits),
      cmocka_unit_test(given_values_win_over_defaults),
      cmocka_unit_test(a_required_param_must_be_given),
      cmocka_unit_test(a_default_is_brought_to_its_type),
      cmocka_unit_test(a_default_of_another_type_is_the_recipes_fault),
      cmocka_unit_test(a_value_is_shown_as_it_would_be_typed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
