/* Events as an observer reads them. */
#include "core/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int with_event(void **state) {
  *state = dr__event_new(DR_EVENT_OP_FAILED,
                         "{\"seq\": 7, \"op\": \"target.run\", \"ok\": false, \"seconds\": 1.5,"
                         " \"none\": null, \"effects\": [\"change\", \"downtime\"],"
                         " \"error\": {\"message\": \"no\", \"cause\": {\"code\": \"ssh.lost\"}}}");
  return *state ? 0 : -1;
}

static int without_event(void **state) {
  dr__event_free(*state);
  return 0;
}

static void a_field_is_read_by_its_path(void **state) {
  const dr_event *event = *state;
  assert_string_equal(dr_event_text(event, "op"), "target.run");
  assert_string_equal(dr_event_text(event, "error.message"), "no");
  assert_string_equal(dr_event_text(event, "error.cause.code"), "ssh.lost");
  assert_string_equal(dr_event_text(event, "effects.1"), "downtime");
}

static void an_absent_field_is_empty(void **state) {
  const dr_event *event = *state;
  assert_string_equal(dr_event_text(event, "nothing"), "");
  assert_string_equal(dr_event_text(event, "none"), "");
  assert_string_equal(dr_event_text(event, "effects.2"), "");
  assert_string_equal(dr_event_text(event, "effects.x"), "");
  assert_string_equal(dr_event_text(event, "effects.-1"), "");
  assert_string_equal(dr_event_text(event, "op.deeper"), "");
  assert_string_equal(dr_event_text(event, "error..message"), "");
  char path[200];
  memset(path, 'x', sizeof path - 1);
  path[sizeof path - 1] = '\0';
  assert_string_equal(dr_event_text(event, path), "");
  assert_int_equal(dr_event_count(event, "nothing"), 0);
}

static void numbers_and_booleans_are_numbers(void **state) {
  const dr_event *event = *state;
  assert_true(dr_event_number(event, "seconds", -1) == 1.5);
  assert_true(dr_event_number(event, "seq", -1) == 7);
  assert_true(dr_event_number(event, "ok", -1) == 0);
  assert_true(dr_event_number(event, "op", -1) == -1);
  assert_true(dr_event_number(event, "nothing", -1) == -1);
}

static void other_fields_are_text_as_json(void **state) {
  const dr_event *event = *state;
  assert_string_equal(dr_event_text(event, "seconds"), "1.5");
  assert_string_equal(dr_event_text(event, "ok"), "false");
  assert_string_equal(dr_event_text(event, "effects"), "[\"change\",\"downtime\"]");
  assert_int_equal(dr_event_count(event, "effects"), 2);
}

static void an_event_is_one_line_of_json_with_its_name(void **state) {
  const dr_event *event = *state;
  const char *line = dr_event_json(event);
  assert_null(strchr(line, '\n'));
  json_t *json = json_loads(line, 0, NULL);
  assert_string_equal(json_string_value(json_object_get(json, "event")), "op_failed");
  assert_int_equal(json_integer_value(json_object_get(json, "seq")), 7);
  json_decref(json);
  assert_ptr_equal(line, dr_event_json(event));
}

static void binary_fields_make_valid_json(void **state) {
  (void)state;
  json_t *fields = json_object();
  json_object_set_new(fields, "line", json_stringn_nocheck("\xff\xfe", 2));
  dr_event *event = dr__event_make(DR_EVENT_OUTPUT, fields);
  json_t *json = json_loads(dr_event_json(event), 0, NULL);
  assert_string_equal(json_string_value(json_object_get(json_object_get(json, "line"), "$base64")),
                      "//4=");
  json_decref(json);
  dr__event_free(event);
}

static void every_type_has_a_name_of_its_own(void **state) {
  (void)state;
  const char *names[DR_EVENT_TICK + 1];
  for (int type = 0; type <= DR_EVENT_TICK; type++) {
    dr_event *event = dr__event_new((dr_event_type)type, "{}");
    names[type] = dr_event_name(event);
    assert_non_null(names[type]);
    assert_int_equal(dr_event_kind(event), type);
    for (int other = 0; other < type; other++) assert_string_not_equal(names[type], names[other]);
    dr__event_free(event);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, with_event, without_event)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_field_is_read_by_its_path),
      TEST(an_absent_field_is_empty),
      TEST(numbers_and_booleans_are_numbers),
      TEST(other_fields_are_text_as_json),
      TEST(an_event_is_one_line_of_json_with_its_name),
      cmocka_unit_test(binary_fields_make_valid_json),
      cmocka_unit_test(every_type_has_a_name_of_its_own),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
