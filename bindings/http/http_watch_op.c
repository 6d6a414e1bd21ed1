/* http_watch_op.c - the op http.watch: asks URLs at a constant rate for some minutes and fails when
 * a threshold is crossed (http_judge.h has the rule). Called through the gate and from the loop, on
 * the runtime's thread. An op's `self` is its watch; the memory outlives the op until its timer is
 * closed.
 */
#include "http.h"
#include "http_judge.h"
#include "http_route.h"
#include "http_stats.h"
#include "http_watch.h"

#include "core/err.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVERY = 1, DURING = 600, WINDOW = 60, TIMEOUT = 5, MIN_SAMPLES = 20, MIN_BAD = 5 };
enum { AT_ONCE = 64, SHOWN_BAD = 5, MAX_URLS = 32 };

typedef struct watch watch;

/* One URL that is watched. */
typedef struct watched {
  watch *all;
  json_t *args; /* the op's, with this URL and the way to it */
  dr_judge judge;
  dr_http_stats stats;
  char *bad[SHOWN_BAD]; /* the last bad answers, for a person; a ring */
  unsigned bad_count;
} watched;

typedef struct shot {
  struct shot *previous, *next;
  watched *what;
  dr_http_transfer *transfer;
  uint64_t sent_us;
} shot;

struct watch {
  dr_op *op; /* NULL once it is over */
  uv_timer_t timer;
  uint64_t started_us;
  uint64_t count; /* rounds that were due */
  unsigned under_way;
  shot *shots;
  size_t url_count;
  watched urls[];
};

static uint64_t now_us(void) {
  return uv_hrtime() / 1000;
}

static double every_of(const dr_op *op) {
  return dr__arg_number(op, "every", EVERY);
}
static double during_of(const dr_op *op) {
  return dr__arg_number(op, "during", DURING);
}

/* ------------------------------------------------------------ the end */

static void on_closed(uv_handle_t *handle) {
  watch *all = handle->data;
  for (size_t i = 0; i < all->url_count; i++) {
    json_decref(all->urls[i].args);
    for (unsigned k = 0; k < SHOWN_BAD; k++) free(all->urls[i].bad[k]);
  }
  free(all);
}

static void drop(dr_op *op) {
  watch *all = op->self;
  op->self = NULL;
  if (!all) return;
  all->op = NULL;
  for (shot *it = all->shots, *next; it; it = next) {
    next = it->next;
    if (it->transfer) dr__http_cancel(it->transfer);
    free(it);
  }
  all->shots = NULL;
  uv_close((uv_handle_t *)&all->timer, on_closed);
}

static void cancel(dr_op *op) {
  drop(op);
  dr__op_fail_cancelled(op, "the watch was cancelled");
}

static const char *url_of(const watched *it) {
  return json_string_value(json_object_get(it->args, "url"));
}

/* {requests, failures, urls {URL: report}}; NULL when memory is short. */
static json_t *report_of(const watch *all) {
  json_t *urls = json_object();
  uint64_t requests = 0;
  uint64_t failures = 0;
  int failed = 0;
  for (size_t i = 0; i < all->url_count; i++) {
    const watched *it = &all->urls[i];
    char *shown = dr__http_safe_url(url_of(it));
    json_t *report = dr__http_stats_report(&it->stats, now_us());
    requests += it->stats.requests;
    failures += it->stats.failures;
    failed |= !shown || json_object_set_new(urls, shown, report) != 0;
    free(shown);
  }
  json_t *report = json_pack("{s:I, s:I, s:f, s:o}", "requests", (json_int_t)requests, "failures",
                             (json_int_t)failures, "seconds",
                             (double)(now_us() - all->started_us) / 1e6, "urls", urls);
  if (!failed) return report;
  json_decref(report);
  return NULL;
}

/* The last bad answers, oldest first, as the error's detail. */
static void add_bad_answers(const watched *it, dr_err *err) {
  dr_text text = {0};
  unsigned kept = it->bad_count < SHOWN_BAD ? it->bad_count : SHOWN_BAD;
  for (unsigned i = it->bad_count - kept; i < it->bad_count; i++) {
    const char *bad = it->bad[i % SHOWN_BAD];
    if (bad) dr__text_printf(&text, "%s%s", text.length ? "\n" : "", bad);
  }
  if (text.bytes) dr__err_detail(err, text.bytes, text.length);
  dr__text_free(&text);
}

static void fail_bad(dr_op *op, const watched *it, const char *why) {
  dr_err err = DR_ERR_INIT;
  char *shown = dr__http_safe_url(url_of(it));
  dr__fail(&err, "http.watch_failed", "%s: %s, %.0f s into the watch", shown ? shown : "", why,
           (double)(now_us() - it->all->started_us) / 1e6);
  free(shown);
  dr__err_hint(&err, "the service's log says more");
  add_bad_answers(it, &err);
  drop(op);
  dr__op_fail(op, &err);
}

static void end_well(dr_op *op) {
  dr_err err = DR_ERR_INIT;
  json_t *report = report_of(op->self);
  drop(op);
  if (report) {
    dr__op_done(op, report);
    return;
  }
  dr__err_nomem(&err);
  dr__op_fail(op, &err);
}

/* ------------------------------------------------------------ one request */

static void shot_free(shot *it) {
  watch *all = it->what->all;
  if (it->previous) it->previous->next = it->next;
  if (it->next) it->next->previous = it->previous;
  if (all->shots == it) all->shots = it->next;
  all->under_way--;
  free(it);
}

static void remember(watched *it, const dr_http_response *answer, const char *why) {
  char *shown = answer ? dr__http_describe(answer) : NULL;
  char *text = dr__http_format("%.0f s: %s%s%s", (double)(now_us() - it->all->started_us) / 1e6,
                               why, shown ? "\n  " : "", shown ? shown : "");
  free(shown);
  char **place = &it->bad[it->bad_count++ % SHOWN_BAD];
  free(*place);
  *place = text;
}

static void tell_progress(const watch *all) {
  uint64_t requests = 0;
  uint64_t failures = 0;
  for (size_t i = 0; i < all->url_count; i++) {
    requests += all->urls[i].stats.requests;
    failures += all->urls[i].stats.failures;
  }
  dr__op_progress(all->op, "%llu answers, %llu bad, p95 %.0f ms (%.0f of %.0f s)",
                  (unsigned long long)requests, (unsigned long long)failures,
                  (double)dr__http_stats_percentile(&all->urls[0].stats, 0.95) / 1e3,
                  (double)(now_us() - all->started_us) / 1e6, during_of(all->op));
}

/* Counts a request that is over, good or bad; may end the op. */
static void count(watched *it, const dr_sample *sample) {
  char why[256];
  const dr_judged judged = {.at_us = sample->now_us,
                            .latency_us = sample->latency_us,
                            .answered = sample->answered,
                            .good = sample->good};
  dr__http_stats_add(&it->stats, sample);
  dr__judge_add(&it->judge, &judged);
  tell_progress(it->all);
  if (!dr__judge_window(&it->judge, sample->now_us, why, sizeof why))
    fail_bad(it->all->op, it, why);
}

static void on_answer(void *data, dr_http_response *answer, dr_err *err) {
  shot *over = data;
  watched *it = over->what;
  char status[16] = "";
  char why[512] = "";
  dr_sample sample = {.now_us = now_us(), .status = status};
  sample.latency_us = sample.now_us - over->sent_us;
  shot_free(over);
  if (answer) {
    const dr_http_expectation expected = dr__http_expectation_of(it->args);
    sample.answered = true;
    sample.good = dr__http_expectation_met(&expected, answer, why, sizeof why);
    snprintf(status, sizeof status, "%d", answer->status);
  } else {
    dr__http_explain_route(dr__op_runtime(it->all->op), it->args, err);
    sample.status = err->code;
    dr__copy_text(why, sizeof why, err->message);
  }
  if (!sample.good) remember(it, answer, why);
  count(it, &sample);
}

static int send_one(watched *it, dr_err *err) {
  watch *all = it->all;
  dr_http *http = dr__http_of(dr__op_runtime(all->op), err);
  shot *fresh = http ? calloc(1, sizeof *fresh) : NULL;
  if (!fresh) return http ? dr__err_nomem(err) : DR_FAILED;
  fresh->what = it;
  fresh->sent_us = now_us();
  fresh->next = all->shots;
  if (all->shots) all->shots->previous = fresh;
  all->shots = fresh;
  all->under_way++;
  dr_http_request request = dr__http_request_of(it->args, TIMEOUT);
  request.no_reuse = true;
  request.on_done = on_answer;
  request.data = fresh;
  int status = dr__http_start(&fresh->transfer, http, &request, err);
  if (status) shot_free(fresh);
  return status;
}

/* A request that could not even be sent is a bad answer. */
static void send_or_count(watched *it) {
  dr_err err = DR_ERR_INIT;
  bool full = it->all->under_way >= AT_ONCE;
  if (!full && send_one(it, &err) == 0) return;
  const dr_sample sample = {.now_us = now_us(), .status = full ? "not sent" : err.code};
  remember(it, NULL, full ? "not sent: too many requests hang" : err.message);
  dr_err_clear(&err);
  count(it, &sample);
}

/* ------------------------------------------------------------ the schedule */

static void on_due(uv_timer_t *timer);

static uint64_t due_us(const watch *all) {
  return all->started_us + (uint64_t)(every_of(all->op) * 1e6 * (double)all->count);
}

static uint64_t end_us(const watch *all) {
  return all->started_us + (uint64_t)(during_of(all->op) * 1e6);
}

static void plan_next(watch *all) {
  uint64_t due = due_us(all) < end_us(all) ? due_us(all) : end_us(all);
  uint64_t now = now_us();
  uv_update_time(all->timer.loop);
  uv_timer_start(&all->timer, on_due, due > now ? (due - now + 999) / 1000 : 0, 0);
}

static void finish(watch *all) {
  char why[256];
  for (size_t i = 0; i < all->url_count; i++) {
    watched *it = &all->urls[i];
    if (dr__judge_whole(&it->judge, now_us(), why, sizeof why)) continue;
    fail_bad(all->op, it, why);
    return;
  }
  end_well(all->op);
}

static void on_due(uv_timer_t *timer) {
  watch *all = timer->data;
  if (now_us() >= end_us(all)) {
    finish(all);
    return;
  }
  all->count++;
  for (size_t i = 0; i < all->url_count && all->op; i++) send_or_count(&all->urls[i]);
  if (all->op) plan_next(all);
}

/* ------------------------------------------------------------ the beginning */

static dr_judge_limits limits_of(const dr_op *op) {
  dr_judge_limits limits = {
      .window_s = dr__arg_number(op, "window", WINDOW),
      .max_error_rate = dr__arg_number(op, "max_error_rate", 0.01),
      .max_latency_s = {dr__arg_number(op, "max_p50", 0), dr__arg_number(op, "max_p95", 0),
                        dr__arg_number(op, "max_p99", 0)},
      .min_samples = (unsigned)dr__arg_integer(op, "min_samples", MIN_SAMPLES),
      .min_bad = (unsigned)dr__arg_integer(op, "min_bad", MIN_BAD),
  };
  double needed = every_of(op) * (limits.min_samples + 1);
  if (limits.window_s < needed) limits.window_s = needed; /* else it could never judge */
  return limits;
}

int dr__http_watch_check(const dr_op *op, dr_err *err) {
  const dr_http_expectation expected = dr__http_expectation_of(op->args);
  size_t urls = json_array_size(dr__arg(op, "urls"));
  double rate = dr__arg_number(op, "max_error_rate", 0);
  int64_t samples = dr__arg_integer(op, "min_samples", MIN_SAMPLES);
  const char *wrong = urls == 0 || urls > MAX_URLS ? "urls are 1 to 32 URLs"
                      : !(every_of(op) >= 0.01)    ? "every must be at least 0.01 seconds"
                      : rate < 0 || rate > 1       ? "max_error_rate is a share from 0 to 1"
                      : samples < 1 || samples > DR_JUDGE_SAMPLES
                          ? "min_samples is a number from 1 to 4096"
                      : dr__arg_integer(op, "min_bad", MIN_BAD) < 1 ? "min_bad must be at least 1"
                                                                    : NULL;
  if (wrong) return dr__fail(err, "recipe.argument", "http.watch: %s", wrong);
  for (size_t i = 0; i < urls; i++) {
    const char *url = json_string_value(json_array_get(dr__arg(op, "urls"), i));
    dr__http_hide(op, url);
    if (dr__http_check_address(url, err) != 0) return DR_FAILED;
  }
  if (dr__http_check_follow(op, err) != 0) return DR_FAILED;
  return dr__http_expectation_check(&expected, err);
}

static int prepare(watched *it, watch *all, const char *url, dr_err *err) {
  const dr_op *op = all->op;
  const dr_judge_limits limits = limits_of(op);
  dr_http_place place;
  it->all = all;
  it->args = json_copy(op->args);
  if (!it->args || json_object_set_new(it->args, "url", json_string(url)) != 0)
    return dr__err_nomem(err);
  dr__judge_begin(&it->judge, &limits);
  dr__http_stats_begin(&it->stats, all->started_us);
  int status = dr__http_place_of(&place, url, err);
  if (status) return status;
  return dr__http_route_fixed(dr__op_runtime(op), op->target, it->args, err);
}

int dr__http_watch_start(dr_op *op, dr_err *err) {
  if (!dr__http_of(dr__op_runtime(op), err)) return DR_FAILED;
  json_t *urls = dr__arg(op, "urls");
  size_t url_count = json_array_size(urls);
  watch *all = calloc(1, sizeof *all + url_count * sizeof all->urls[0]);
  if (!all) return dr__err_nomem(err);
  all->op = op;
  all->url_count = url_count;
  all->started_us = now_us();
  uv_timer_init(op->loop, &all->timer);
  all->timer.data = all;
  op->self = all;
  op->cancel = cancel;
  op->release = drop;
  int status = DR_OK;
  for (size_t i = 0; i < url_count && !status; i++) {
    status = prepare(&all->urls[i], all, json_string_value(json_array_get(urls, i)), err);
  }
  if (!status) plan_next(all);
  return status;
}

/* ------------------------------------------------------------ what a plan says */

char *dr__http_watch_preview(const dr_op *op) {
  dr_text text = {0};
  size_t i;
  json_t *url;
  const char *also = dr__arg_string(op, "watched", NULL);
  const dr_judge_limits limits = limits_of(op);
  char *expected = dr__http_preview_expectation(op);
  dr__text_printf(&text, "watch for %g s, every %g s:", during_of(op), every_of(op));
  json_array_foreach(dr__arg(op, "urls"), i, url) {
    char *shown = dr__http_safe_url(json_string_value(url));
    dr__text_printf(&text, "%s %s", i ? "," : "", shown ? shown : "");
    free(shown);
  }
  dr__text_printf(&text, "; expect %s; at most %g %% bad", expected ? expected : "",
                  limits.max_error_rate * 100);
  for (i = 0; i < DR_JUDGE_PERCENTILES; i++)
    if (limits.max_latency_s[i] > 0)
      dr__text_printf(&text, ", p%d %g s", dr__judge_percentiles[i], limits.max_latency_s[i]);
  dr__text_printf(&text, " in %g s", limits.window_s);
  if (dr__arg_boolean(op, "insecure", false)) dr__text_puts(&text, ", taking ANY certificate");
  if (also) dr__text_printf(&text, "; %s", also);
  free(expected);
  return dr__text_take(&text);
}

json_t *dr__http_watch_assume(const dr_op *op) {
  (void)op;
  return json_pack("{s:i, s:i, s:f, s:{}}", "requests", 0, "failures", 0, "seconds", 0.0, "urls");
}

const dr_arg dr__http_watch_args[] = {DR_HTTP_ARGS,
                                      DR_HTTP_EXPECT_ARGS,
                                      {"urls", DR_ARG_STRINGS, DR_REQUIRED},
                                      {"every", DR_ARG_DURATION, 0},
                                      {"during", DR_ARG_DURATION, 0},
                                      {"window", DR_ARG_DURATION, 0},
                                      {"max_error_rate", DR_ARG_NUMBER, 0},
                                      {"max_p50", DR_ARG_DURATION, 0},
                                      {"max_p95", DR_ARG_DURATION, 0},
                                      {"max_p99", DR_ARG_DURATION, 0},
                                      {"min_samples", DR_ARG_INTEGER, 0},
                                      {"min_bad", DR_ARG_INTEGER, 0},
                                      {"watched", DR_ARG_STRING, 0},
                                      {0}};
