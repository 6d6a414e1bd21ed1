/* The arithmetic of the probe: silences, percentiles, versions. */
#include "http/http_stats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static double number(const json_t *report, const char *key) {
  const json_t *value = json_object_get(report, key);
  assert_true(json_is_number(value));
  return json_number_value(value);
}

static void add(dr_http_stats *stats, uint64_t ms, bool good, const char *version) {
  const dr_sample sample = {.now_us = ms * 1000,
                            .latency_us = 2000,
                            .answered = true,
                            .good = good,
                            .status = good ? "200" : "502",
                            .version = version};
  dr__http_stats_add(stats, &sample);
}

static void the_longest_silence_is_between_good_answers(void **state) {
  (void)state;
  dr_http_stats stats;
  dr__http_stats_begin(&stats, 1000000);
  add(&stats, 1100, true, NULL);
  add(&stats, 1200, false, NULL);
  add(&stats, 1300, false, NULL);
  add(&stats, 1400, true, NULL);
  json_t *report = dr__http_stats_report(&stats, 1500000);
  assert_true(fabs(number(report, "longest_gap") - 0.3) < 1e-9);
  assert_true(fabs(number(report, "longest_gap_at") - 0.1) < 1e-9);
  assert_int_equal((int)number(report, "requests"), 4);
  assert_int_equal((int)number(report, "failures"), 2);
  assert_int_equal((int)number(json_object_get(report, "statuses"), "502"), 2);
  json_decref(report);
}

static void a_silence_that_lasts_to_the_end_counts(void **state) {
  (void)state;
  dr_http_stats stats;
  dr__http_stats_begin(&stats, 0);
  json_t *report = dr__http_stats_report(&stats, 2500000);
  assert_true(fabs(number(report, "longest_gap") - 2.5) < 1e-9);
  assert_null(json_object_get(report, "p50_ms"));
  json_decref(report);
}

static void percentiles_are_exact_to_two_percent(void **state) {
  (void)state;
  dr_http_stats stats;
  dr__http_stats_begin(&stats, 0);
  for (uint64_t i = 1; i <= 10000; i++) {
    const dr_sample sample = {
        .now_us = i * 1000, .latency_us = i * 37, .answered = true, .good = true, .status = "200"};
    dr__http_stats_add(&stats, &sample);
  }
  double p50 = (double)dr__http_stats_percentile(&stats, 0.5);
  double p95 = (double)dr__http_stats_percentile(&stats, 0.95);
  assert_true(fabs(p50 / (5000 * 37.0) - 1) < 0.02);
  assert_true(fabs(p95 / (9500 * 37.0) - 1) < 0.02);
  assert_int_equal(dr__http_stats_percentile(&stats, 1), 370000);
  assert_int_equal(stats.max_us, 370000);
}

static void extreme_latencies_stay_in_the_histogram(void **state) {
  (void)state;
  dr_http_stats stats;
  dr__http_stats_begin(&stats, 0);
  const uint64_t values[] = {0,   1,          63,         64,         65,        127,
                             128, 1ull << 36, 1ull << 37, 1ull << 60, UINT64_MAX};
  for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
    const dr_sample sample = {
        .now_us = i, .latency_us = values[i], .answered = true, .good = true, .status = "200"};
    dr__http_stats_add(&stats, &sample);
  }
  assert_true(dr__http_stats_percentile(&stats, 0.01) == 0);
  assert_true(dr__http_stats_percentile(&stats, 1) >= 1ull << 37);
}

static void the_change_of_version_is_dated(void **state) {
  (void)state;
  dr_http_stats stats;
  dr__http_stats_begin(&stats, 0);
  add(&stats, 100, true, "1");
  add(&stats, 200, true, "2");
  add(&stats, 300, true, "1");
  add(&stats, 400, true, "2");
  json_t *report = dr__http_stats_report(&stats, 500000);
  assert_string_equal(json_string_value(json_object_get(report, "first_version")), "1");
  assert_string_equal(json_string_value(json_object_get(report, "last_version")), "2");
  assert_true(fabs(number(report, "version_changed_at") - 0.2) < 1e-9);
  assert_true(fabs(number(report, "version_settled_at") - 0.3) < 1e-9);
  assert_int_equal((int)number(json_object_get(report, "versions"), "1"), 2);
  json_decref(report);
}

static void a_version_settles_no_sooner_than_it_comes(void **state) {
  (void)state;
  dr_http_stats stats;
  dr__http_stats_begin(&stats, 0);
  add(&stats, 100, true, "1");
  add(&stats, 200, false, NULL);
  add(&stats, 400, true, "2");
  json_t *report = dr__http_stats_report(&stats, 500000);
  assert_true(fabs(number(report, "version_changed_at") - 0.4) < 1e-9);
  assert_true(fabs(number(report, "version_settled_at") - 0.4) < 1e-9);
  json_decref(report);
}

static void the_most_frequent_cause_is_told(void **state) {
  (void)state;
  dr_http_stats stats;
  dr__http_stats_begin(&stats, 0);
  add(&stats, 100, true, NULL);
  json_t *report = dr__http_stats_report(&stats, 200000);
  assert_null(json_object_get(report, "cause"));
  json_decref(report);
  add(&stats, 300, false, NULL);
  for (int i = 0; i < 2; i++) {
    char why[200];
    memset(why, 'x', sizeof why - 1);
    why[sizeof why - 1] = '\0';
    const dr_sample sample = {.now_us = 400000, .status = "http.connect", .why = why};
    dr__http_stats_add(&stats, &sample);
  }
  report = dr__http_stats_report(&stats, 500000);
  const char *cause = json_string_value(json_object_get(report, "cause"));
  assert_int_equal(strncmp(cause, "xxxx", 4), 0);
  assert_string_equal(strstr(cause, "…"), "…");
  json_decref(report);
}

static void many_statuses_and_versions_stay_bounded(void **state) {
  (void)state;
  dr_http_stats stats;
  dr__http_stats_begin(&stats, 0);
  for (int i = 0; i < 100; i++) {
    char text[16];
    snprintf(text, sizeof text, "%d", 400 + i);
    const dr_sample sample = {.now_us = 1, .answered = true, .status = text, .version = text};
    dr__http_stats_add(&stats, &sample);
  }
  json_t *report = dr__http_stats_report(&stats, 2);
  assert_int_equal(json_object_size(json_object_get(report, "statuses")), DR_STATS_STATUSES);
  assert_int_equal((int)number(json_object_get(report, "statuses"), "other"),
                   100 - DR_STATS_STATUSES + 1);
  assert_int_equal(json_object_size(json_object_get(report, "versions")), DR_STATS_VERSIONS);
  json_decref(report);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_longest_silence_is_between_good_answers),
      cmocka_unit_test(a_silence_that_lasts_to_the_end_counts),
      cmocka_unit_test(percentiles_are_exact_to_two_percent),
      cmocka_unit_test(extreme_latencies_stay_in_the_histogram),
      cmocka_unit_test(the_change_of_version_is_dated),
      cmocka_unit_test(a_version_settles_no_sooner_than_it_comes),
      cmocka_unit_test(the_most_frequent_cause_is_told),
      cmocka_unit_test(many_statuses_and_versions_stay_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
