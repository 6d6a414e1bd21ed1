/* http_probe.c - the background probe: a uv_timer on an absolute schedule and the requests it
 * sends. Owns both and the statistics. Called by http.c and by libuv on the runtime's thread. Freed
 * by the timer's close callback.
 */
#include "http_probe.h"

#include "core/err.h"
#include "http_stats.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct shot {
  struct shot *previous, *next;
  dr_http_probe *probe;
  dr_http_transfer *transfer;
  uint64_t sent_us;
} shot;

struct dr_http_probe {
  dr_http *http;
  dr_http_probe_options options;
  uv_timer_t timer;
  uint64_t started_us;
  uint64_t count; /* requests that were due */
  unsigned under_way;
  shot *shots;
  dr_http_stats stats;
};

static uint64_t now_us(void) {
  return uv_hrtime() / 1000;
}

static uint64_t due_us(const dr_http_probe *probe, uint64_t n) {
  return probe->started_us + (uint64_t)(probe->options.every_s * 1e6 * (double)n);
}

/* ------------------------------------------------------------ one request */

static void shot_free(shot *it) {
  dr_http_probe *probe = it->probe;
  if (it->previous) it->previous->next = it->next;
  if (it->next) it->next->previous = it->previous;
  if (probe->shots == it) probe->shots = it->next;
  probe->under_way--;
  free(it);
}

static shot *shot_new(dr_http_probe *probe) {
  shot *it = calloc(1, sizeof *it);
  if (!it) return NULL;
  it->probe = probe;
  it->sent_us = now_us();
  it->next = probe->shots;
  if (probe->shots) probe->shots->previous = it;
  probe->shots = it;
  probe->under_way++;
  return it;
}

static void on_answer(void *data, dr_http_response *answer, dr_err *err) {
  shot *it = data;
  dr_http_probe *probe = it->probe;
  char status[16] = "";
  char why[256];
  char *version = NULL;
  dr_sample sample = {.now_us = now_us(), .status = err ? err->code : status};
  sample.latency_us = sample.now_us - it->sent_us;
  if (answer) {
    sample.answered = true;
    sample.good = dr__http_expectation_met(&probe->options.expected, answer, why, sizeof why);
    snprintf(status, sizeof status, "%d", answer->status);
    if (probe->options.version) version = dr__http_version_of(answer, probe->options.version);
    sample.version = version;
  }
  if (!sample.good) sample.why = answer ? why : dr__http_reason(err->message);
  dr__http_stats_add(&probe->stats, &sample);
  free(version);
  shot_free(it);
}

static void not_sent(dr_http_probe *probe, const char *why) {
  const dr_sample sample = {.now_us = now_us(), .status = why};
  dr__http_stats_add(&probe->stats, &sample);
}

static int send_one(dr_http_probe *probe, dr_err *err) {
  shot *it = shot_new(probe);
  if (!it) return dr__err_nomem(err);
  dr_http_request request = probe->options.request;
  request.no_reuse = true;
  request.background = true;
  request.on_body = NULL;
  request.on_done = on_answer;
  request.data = it;
  int status = dr__http_start(&it->transfer, probe->http, &request, err);
  if (status) shot_free(it);
  return status;
}

/* ------------------------------------------------------------ the schedule */

static void on_due(uv_timer_t *timer);

static void plan_next(dr_http_probe *probe) {
  uint64_t due = due_us(probe, probe->count);
  uint64_t now = now_us();
  uv_update_time(probe->timer.loop);
  uv_timer_start(&probe->timer, on_due, due > now ? (due - now + 500) / 1000 : 0, 0);
}

static void send_due(dr_http_probe *probe) {
  dr_err err = DR_ERR_INIT;
  if (probe->under_way >= DR_PROBE_AT_ONCE) {
    not_sent(probe, "not sent");
  } else if (send_one(probe, &err) != 0) {
    not_sent(probe, err.code);
  }
  dr_err_clear(&err);
}

/* What fell due while the loop was busy elsewhere goes out now: the rate stays what it was said to
 * be. */
static void on_due(uv_timer_t *timer) {
  dr_http_probe *probe = timer->data;
  uint64_t now = now_us();
  uint64_t due = due_us(probe, probe->count);
  if (now > due) dr__http_stats_late(&probe->stats, now - due);
  while (due_us(probe, probe->count) <= now + 500) {
    send_due(probe);
    probe->count++;
  }
  plan_next(probe);
}

/* ------------------------------------------------------------ start and stop */

int dr__http_probe_start(dr_http_probe **out, dr_http *http, const dr_http_probe_options *options,
                         dr_err *err) {
  *out = NULL;
  int status = dr__http_expectation_check(&options->expected, err);
  if (status) return status;
  if (!(options->every_s >= 0.005)) {
    return dr__fail(err, "recipe.argument", "every must be at least 0.005 seconds");
  }
  dr_http_probe *probe = calloc(1, sizeof *probe);
  if (!probe) return dr__err_nomem(err);
  probe->http = http;
  probe->options = *options;
  json_incref(probe->options.owner);
  probe->started_us = now_us();
  dr__http_stats_begin(&probe->stats, probe->started_us);
  uv_timer_init(dr__http_loop(http), &probe->timer);
  probe->timer.data = probe;
  uv_unref((uv_handle_t *)&probe->timer);
  status = send_one(probe, err); /* also finds out whether the request can be made at all */
  if (status) {
    json_decref(dr__http_probe_stop(probe));
    return status;
  }
  probe->count = 1;
  plan_next(probe);
  *out = probe;
  return 0;
}

json_t *dr__http_probe_report(const dr_http_probe *probe) {
  json_t *report = dr__http_stats_report(&probe->stats, now_us());
  char *url = dr__http_safe_url(probe->options.request.url);
  if (report && url) json_object_set_new(report, "url", json_string(url));
  free(url);
  return report;
}

static void on_closed(uv_handle_t *handle) {
  dr_http_probe *probe = handle->data;
  json_decref(probe->options.owner);
  free(probe);
}

json_t *dr__http_probe_stop(dr_http_probe *probe) {
  json_t *report = dr__http_probe_report(probe);
  for (shot *it = probe->shots, *next; it; it = next) {
    next = it->next;
    dr__http_cancel(it->transfer);
    free(it);
  }
  probe->shots = NULL;
  uv_close((uv_handle_t *)&probe->timer, on_closed);
  return report;
}
