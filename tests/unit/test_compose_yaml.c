/* YAML as docker-compose 1 prints it, and YAML made to hurt. */
#include "compose/compose_yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static dr_err err;

static json_t *read_text(const char *text) {
  dr_err_clear(&err);
  return dr__yaml_read(text, strlen(text), &err);
}

static void assert_becomes(const char *yaml, const char *expected) {
  json_t *value = read_text(yaml);
  if (!value) fail_msg("%s: %s", yaml, err.message);
  char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
  assert_string_equal(text, expected);
  free(text);
  json_decref(value);
}

static void assert_refused(const char *yaml, const char *why) {
  assert_null(read_text(yaml));
  assert_string_equal(err.code, "yaml.syntax");
  if (!strstr(err.message, why)) fail_msg("%s", err.message);
  dr_err_clear(&err);
}

/* What `docker-compose config` of version 1.29 prints for a small project. */
static const char version_one[] = "networks:\n"
                                  "  default:\n"
                                  "    name: shop_default\n"
                                  "services:\n"
                                  "  api:\n"
                                  "    build:\n"
                                  "      context: /srv/shop\n"
                                  "    depends_on:\n"
                                  "      db:\n"
                                  "        condition: service_healthy\n"
                                  "    environment:\n"
                                  "      DEBUG: '0'\n"
                                  "      EMPTY: ''\n"
                                  "      NOTHING: null\n"
                                  "    healthcheck:\n"
                                  "      interval: 5s\n"
                                  "      retries: 3\n"
                                  "      test:\n"
                                  "      - CMD-SHELL\n"
                                  "      - curl -f http://localhost:8000/health/ || exit 1\n"
                                  "    ports:\n"
                                  "    - published: 8000\n"
                                  "      target: 8000\n"
                                  "    - 127.0.0.1:9000:9000/tcp\n"
                                  "    restart: 'no'\n"
                                  "    tty: true\n"
                                  "  db:\n"
                                  "    image: postgres:15\n"
                                  "version: '3.9'\n"
                                  "volumes:\n"
                                  "  data: {}\n";

static json_t *at(json_t *value, const char *a, const char *b, const char *c) {
  return json_object_get(json_object_get(json_object_get(value, a), b), c);
}

static void the_configuration_of_compose_one_is_read(void **state) {
  (void)state;
  json_t *config = read_text(version_one);
  assert_non_null(config);
  json_t *environment = at(config, "services", "api", "environment");
  assert_string_equal(json_string_value(json_object_get(environment, "DEBUG")), "0");
  assert_string_equal(json_string_value(json_object_get(environment, "EMPTY")), "");
  assert_true(json_is_null(json_object_get(environment, "NOTHING")));
  json_t *ports = at(config, "services", "api", "ports");
  assert_int_equal(json_integer_value(json_object_get(json_array_get(ports, 0), "published")),
                   8000);
  assert_string_equal(json_string_value(json_array_get(ports, 1)), "127.0.0.1:9000:9000/tcp");
  assert_true(json_is_true(at(config, "services", "api", "tty")));
  assert_string_equal(json_string_value(at(config, "services", "api", "restart")), "no");
  assert_string_equal(json_string_value(json_object_get(config, "version")), "3.9");
  assert_true(json_is_object(json_object_get(json_object_get(config, "volumes"), "data")));
  json_decref(config);
}

static void plain_scalars_have_types_and_quoted_ones_are_text(void **state) {
  (void)state;
  assert_becomes("[1, -2, 0, '3', \"4\", 1.5, 007, 0x10, 1e3, 12ab]",
                 "[1,-2,0,\"3\",\"4\",\"1.5\",\"007\",\"0x10\",\"1e3\",\"12ab\"]");
  assert_becomes("[true, false, 'true', yes, no, ~, null, 'null']",
                 "[true,false,\"true\",\"yes\",\"no\",null,null,\"null\"]");
  assert_becomes("[99999999999999999999, -]", "[\"99999999999999999999\",\"-\"]");
  assert_becomes("{80: web, true: x}", "{\"80\":\"web\",\"true\":\"x\"}");
  assert_becomes("", "null");
  assert_becomes("a: |\n  one\n  two\n", "{\"a\":\"one\\ntwo\\n\"}");
}

static void aliases_are_copies(void **state) {
  (void)state;
  assert_becomes("base: &b {x: [1]}\none: *b\ntwo: *b\n",
                 "{\"base\":{\"x\":[1]},\"one\":{\"x\":[1]},\"two\":{\"x\":[1]}}");
}

static void what_is_no_yaml_says_where(void **state) {
  (void)state;
  assert_refused("a: b\n  c: [1, 2\n", "line 2");
  assert_refused("a: *nobody\n", "undefined alias");
  assert_refused("{a: b", "line");
  assert_refused("a: \xff\n", "not YAML");
  assert_refused("? [a, b]\n: c\n", "a key that is not text");
}

/* open × depth, then the rest. malloc'd. */
static char *nested(const char *open, size_t depth, const char *rest) {
  size_t length = strlen(open);
  char *text = malloc(length * depth + strlen(rest) + 1);
  assert_non_null(text);
  char *end = text;
  for (size_t i = 0; i < depth; i++) end = stpcpy(end, open);
  stpcpy(end, rest);
  return text;
}

static void nesting_is_bounded(void **state) {
  (void)state;
  char *deep = nested("- ", 101, "x\n");
  assert_refused(deep, "too deep");
  free(deep);
  char *enough = nested("- ", 50, "x\n");
  json_t *value = read_text(enough);
  assert_non_null(value);
  json_decref(value);
  free(enough);
  char *bomb = nested("[", 10000, "");
  assert_null(read_text(bomb));
  free(bomb);
  dr_err_clear(&err);
}

static void an_alias_of_itself_ends(void **state) {
  (void)state;
  assert_refused("&a [*a]\n", "too deep");
  assert_refused("&a {b: *a}\n", "too deep");
}

static void a_billion_laughs_are_refused(void **state) {
  (void)state;
  char text[4096] = "l0: &l0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n";
  for (int i = 1; i < 10; i++) {
    size_t used = strlen(text);
    snprintf(text + used, sizeof text - used,
             "l%d: &l%d [*l%d, *l%d, *l%d, *l%d, *l%d, *l%d, *l%d, *l%d, *l%d, *l%d]\n", i, i,
             i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
  }
  assert_refused(text, "too large");
}

static void a_long_text_repeated_is_refused(void **state) {
  (void)state;
  char *long_text = nested("x", 1000000, "\n");
  char *many = nested("- *a\n", 1000, "");
  char *text = malloc(strlen(long_text) + strlen(many) + 16);
  assert_non_null(text);
  snprintf(text, strlen(long_text) + strlen(many) + 16, "- &a %s%s", long_text, many);
  assert_refused(text, "too large");
  free(text);
  free(many);
  free(long_text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_configuration_of_compose_one_is_read),
      cmocka_unit_test(plain_scalars_have_types_and_quoted_ones_are_text),
      cmocka_unit_test(aliases_are_copies),
      cmocka_unit_test(what_is_no_yaml_says_where),
      cmocka_unit_test(nesting_is_bounded),
      cmocka_unit_test(an_alias_of_itself_ends),
      cmocka_unit_test(a_billion_laughs_are_refused),
      cmocka_unit_test(a_long_text_repeated_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
