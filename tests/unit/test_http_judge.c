/* test_http_judge.c - the rule by which http.watch decides: what a window of samples means. */
#include "http/http_judge.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint64_t second = 1000000;

typedef struct bench {
  dr_judge judge;
  uint64_t now_us;
  char why[256];
  bool bad; /* some window was */
} bench;

static bench *bench_new(dr_judge_limits limits) {
  bench *b = calloc(1, sizeof *b);
  assert_non_null(b);
  dr__judge_begin(&b->judge, &limits);
  b->now_us = 1000 * second;
  return b;
}

static dr_judge_limits usual(void) {
  return (dr_judge_limits){.window_s = 60,
                           .max_error_rate = 0.01,
                           .max_latency_s = {0, 1, 0},
                           .min_samples = 20,
                           .min_bad = 5};
}

/* `count` samples, one a second, judged one by one. */
static void feed(bench *b, unsigned count, bool good, double seconds) {
  for (unsigned i = 0; i < count; i++) {
    const dr_judged sample = {.at_us = b->now_us,
                              .latency_us = (uint64_t)(seconds * 1e6),
                              .answered = true,
                              .good = good};
    dr__judge_add(&b->judge, &sample);
    b->now_us += second;
    if (!b->bad) b->bad = !dr__judge_window(&b->judge, b->now_us, b->why, sizeof b->why);
  }
}

static void one_bad_answer_does_not_decide(void **state) {
  (void)state;
  bench *b = bench_new(usual());
  feed(b, 30, true, 0.1);
  feed(b, 1, false, 0.1);
  feed(b, 30, true, 0.1);
  assert_false(b->bad);
  assert_true(dr__judge_whole(&b->judge, b->now_us, b->why, sizeof b->why));
  free(b);
}

static void a_burst_below_min_bad_does_not_decide(void **state) {
  (void)state;
  bench *b = bench_new(usual());
  feed(b, 20, true, 0.1);
  feed(b, 4, false, 0.1);
  feed(b, 20, true, 0.1);
  assert_false(b->bad);
  free(b);
}

static void as_many_as_min_bad_decide_and_say_why(void **state) {
  (void)state;
  bench *b = bench_new(usual());
  feed(b, 20, true, 0.1);
  feed(b, 5, false, 0.1);
  assert_true(b->bad);
  assert_string_equal(b->why, "5 of the last 25 answers were bad (20 %, at most 1 %)");
  free(b);
}

static void too_few_samples_do_not_decide_before_the_end(void **state) {
  (void)state;
  bench *b = bench_new(usual());
  feed(b, 19, false, 0.1);
  assert_false(b->bad);
  assert_false(dr__judge_whole(&b->judge, b->now_us, b->why, sizeof b->why));
  assert_string_equal(b->why, "19 of all 19 answers were bad (100 %, at most 1 %)");
  free(b);
}

static void what_left_the_window_is_forgotten(void **state) {
  (void)state;
  bench *b = bench_new(usual());
  feed(b, 20, true, 0.1);
  feed(b, 4, false, 0.1);
  feed(b, 60, true, 0.1);
  feed(b, 4, false, 0.1);
  assert_false(b->bad);
  assert_false(dr__judge_whole(&b->judge, b->now_us, b->why, sizeof b->why)); /* 8 of 88 in all */
  free(b);
}

static void a_rate_that_is_allowed_is_allowed(void **state) {
  (void)state;
  dr_judge_limits limits = usual();
  limits.max_error_rate = 0.5;
  bench *b = bench_new(limits);
  for (int i = 0; i < 30; i++) {
    feed(b, 1, true, 0.1);
    feed(b, 1, false, 0.1);
  }
  assert_false(b->bad);
  assert_true(dr__judge_whole(&b->judge, b->now_us, b->why, sizeof b->why));
  free(b);
}

static void slow_answers_decide_by_the_95th_percentile(void **state) {
  (void)state;
  bench *b = bench_new(usual());
  feed(b, 40, true, 0.1);
  feed(b, 4, true, 3);
  assert_false(b->bad);
  feed(b, 1, true, 3);
  assert_true(b->bad);
  assert_string_equal(b->why, "95 % of the last 45 answers took up to 3 s (at most 1 s)");
  free(b);
}

static void expect_percentile(int which, unsigned slow, const char *why) {
  dr_judge_limits limits = usual();
  limits.window_s = 600;
  limits.max_latency_s[1] = 0;
  limits.max_latency_s[which] = 1;
  bench *b = bench_new(limits);
  feed(b, 50, true, 0.1);
  feed(b, slow - 1, true, 3);
  assert_false(b->bad);
  feed(b, 1, true, 3);
  assert_true(b->bad);
  assert_string_equal(b->why, why);
  free(b);
}

static void half_or_99_of_100_decide_where_they_are_limited(void **state) {
  (void)state;
  expect_percentile(0, 51, "50 % of the last 101 answers took up to 3 s (at most 1 s)");
  expect_percentile(2, 5, "99 % of the last 55 answers took up to 3 s (at most 1 s)");
}

static void more_samples_than_are_kept_leave_the_newest(void **state) {
  (void)state;
  dr_judge_limits limits = usual();
  limits.window_s = 1e6;
  limits.min_samples = 20;
  bench *b = bench_new(limits);
  for (unsigned i = 0; i < 2 * DR_JUDGE_SAMPLES; i++) {
    const dr_judged sample = {.at_us = b->now_us, .answered = true, .good = i < DR_JUDGE_SAMPLES};
    dr__judge_add(&b->judge, &sample);
  }
  assert_int_equal(b->judge.count, DR_JUDGE_SAMPLES);
  assert_int_equal(b->judge.total, 2 * DR_JUDGE_SAMPLES);
  assert_false(dr__judge_window(&b->judge, b->now_us, b->why, sizeof b->why));
  free(b);
}

static void no_samples_are_no_verdict(void **state) {
  (void)state;
  bench *b = bench_new(usual());
  assert_true(dr__judge_window(&b->judge, b->now_us, b->why, sizeof b->why));
  assert_true(dr__judge_whole(&b->judge, b->now_us, b->why, sizeof b->why));
  free(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_bad_answer_does_not_decide),
      cmocka_unit_test(a_burst_below_min_bad_does_not_decide),
      cmocka_unit_test(as_many_as_min_bad_decide_and_say_why),
      cmocka_unit_test(too_few_samples_do_not_decide_before_the_end),
      cmocka_unit_test(what_left_the_window_is_forgotten),
      cmocka_unit_test(a_rate_that_is_allowed_is_allowed),
      cmocka_unit_test(slow_answers_decide_by_the_95th_percentile),
      cmocka_unit_test(half_or_99_of_100_decide_where_they_are_limited),
      cmocka_unit_test(more_samples_than_are_kept_leave_the_newest),
      cmocka_unit_test(no_samples_are_no_verdict),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
