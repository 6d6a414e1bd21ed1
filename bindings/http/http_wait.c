/* http_wait.c - polls a URL until it answers as expected. Owns the requests of the poll and one
 * uv_timer. Called by ops and by libuv on the runtime's thread. Freed by the timer's close
 * callback.
 */
#include "http_wait.h"

#include "core/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AT_ONCE = 3 };

static const uint64_t first_pause_ns = 25 * 1000000ull;
static const uint64_t longest_pause_ns = 75 * 1000000ull;
static const uint64_t patience_ns =
    300 * 1000000ull; /* with an unanswered request, before another goes out */

typedef struct attempt {
  dr_http_wait *wait;
  dr_http_transfer *transfer; /* NULL: this place is free */
} attempt;

struct dr_http_wait {
  dr_http *http;
  dr_http_wait_options options;
  uv_timer_t timer;
  uint64_t started_ns;
  uint64_t deadline_ns;
  uint64_t next_ns; /* when the next request is due */
  uint64_t pause_ns;
  attempt attempts[AT_ONCE];
  unsigned sent;
  unsigned good;
  char last[1024]; /* why the last answer was not good enough */
  char *shown;     /* that answer, for a person; or NULL */
  dr_err last_err; /* or the reason why there was none */
};

static double seconds_since(uint64_t then_ns) {
  return (double)(uv_hrtime() - then_ns) / 1e9;
}

/* ------------------------------------------------------------ the end */

static void on_closed(uv_handle_t *handle) {
  dr_http_wait *wait = handle->data;
  free(wait->shown);
  dr_err_clear(&wait->last_err);
  free(wait);
}

static void drop(dr_http_wait *wait) {
  for (unsigned i = 0; i < AT_ONCE; i++) {
    if (wait->attempts[i].transfer) dr__http_cancel(wait->attempts[i].transfer);
    wait->attempts[i].transfer = NULL;
  }
  uv_close((uv_handle_t *)&wait->timer, on_closed);
}

void dr__http_wait_cancel(dr_http_wait *wait) {
  drop(wait);
}

static void end(dr_http_wait *wait, dr_http_response *answer, dr_err *err) {
  dr_http_waited waited = {.answer = answer,
                           .err = err,
                           .attempts = wait->sent,
                           .seconds = seconds_since(wait->started_ns)};
  drop(wait); /* its memory lives until the timer is closed */
  wait->options.on_done(wait->options.data, &waited);
}

static void end_too_late(dr_http_wait *wait) {
  dr_err err = DR_ERR_INIT;
  char *url = dr__http_safe_url(wait->options.request.url);
  const char *last = wait->last[0] ? wait->last : "nothing was answered at all";
  if (wait->options.within_s > 0) {
    dr__fail(&err, "http.expect_failed",
             "%s did not answer as expected within %g s (%u requests): %s", url ? url : "",
             wait->options.within_s, wait->sent, last);
  } else {
    dr__fail(&err, "http.expect_failed", "%s did not answer as expected: %s", url ? url : "", last);
  }
  free(url);
  if (wait->last_err.code[0]) {
    dr__err_hint(&err, "%s",
                 wait->last_err.hint[0] ? wait->last_err.hint : "see the service's log");
    dr__err_because(&err, &wait->last_err);
  } else {
    dr__err_hint(&err, "the service's log should say why it answers like this");
    if (wait->shown) dr__err_detail(&err, wait->shown, strlen(wait->shown));
  }
  end(wait, NULL, &err);
  dr_err_clear(&err);
}

/* ------------------------------------------------------------ answers */

static void plan_next(dr_http_wait *wait);

/* Remembers why the answer was not good enough, for the progress line and for the end. */
static void remember(dr_http_wait *wait, const dr_http_response *answer, dr_err *err,
                     const char *why) {
  wait->good = 0;
  free(wait->shown);
  wait->shown = answer ? dr__http_describe(answer) : NULL;
  dr_err_clear(&wait->last_err);
  if (err) dr__err_move(&wait->last_err, err);
  dr__copy_text(wait->last, sizeof wait->last, err ? dr__http_reason(wait->last_err.message) : why);
}

static void on_answer(void *data, dr_http_response *answer, dr_err *err) {
  attempt *it = data;
  dr_http_wait *wait = it->wait;
  char why[1024] = "";
  it->transfer = NULL;
  if (answer && dr__http_expectation_met(&wait->options.expected, answer, why, sizeof why)) {
    if (++wait->good >= wait->options.in_a_row) {
      end(wait, answer, NULL);
      return;
    }
    snprintf(wait->last, sizeof wait->last, "as expected %u of %u times in a row", wait->good,
             wait->options.in_a_row);
  } else {
    remember(wait, answer, err, why);
  }
  if (wait->options.on_progress) {
    wait->options.on_progress(wait->options.data, wait->last, wait->sent,
                              seconds_since(wait->started_ns));
  }
  if (wait->options.within_s <= 0 && wait->good == 0) {
    end_too_late(wait);
    return;
  }
  wait->next_ns = uv_hrtime() + wait->pause_ns;
  wait->pause_ns += wait->pause_ns / 2;
  plan_next(wait);
}

/* ------------------------------------------------------------ requests */

static unsigned under_way(const dr_http_wait *wait) {
  unsigned count = 0;
  for (unsigned i = 0; i < AT_ONCE; i++) count += wait->attempts[i].transfer ? 1 : 0;
  return count;
}

/* Where the next request may go; NULL: nowhere now. When one request is to decide, none goes out
 * beside it. */
static attempt *free_place(dr_http_wait *wait) {
  if (wait->options.within_s <= 0 && under_way(wait) > 0) return NULL;
  for (unsigned i = 0; i < AT_ONCE; i++) {
    if (!wait->attempts[i].transfer) return &wait->attempts[i];
  }
  return NULL;
}

static int send_one(dr_http_wait *wait, attempt *place, dr_err *err) {
  dr_http_request request = wait->options.request;
  request.no_reuse = true;
  request.on_body = NULL;
  request.on_done = on_answer;
  request.data = place;
  wait->sent++;
  wait->next_ns = uv_hrtime() + patience_ns * (under_way(wait) + 1);
  return dr__http_start(&place->transfer, wait->http, &request, err);
}

static uint64_t limit_pause(const dr_http_wait *wait) {
  double seconds = wait->options.pause_s;
  return seconds > 0 ? (uint64_t)(seconds * 1e9) : longest_pause_ns;
}

static void on_timer(uv_timer_t *timer) {
  dr_http_wait *wait = timer->data;
  uint64_t now = uv_hrtime();
  if (now >= wait->deadline_ns) {
    end_too_late(wait);
    return;
  }
  attempt *place = free_place(wait);
  dr_err err = DR_ERR_INIT;
  if (now >= wait->next_ns && place && send_one(wait, place, &err) != 0) {
    end(wait, NULL, &err);
    dr_err_clear(&err);
    return;
  }
  plan_next(wait);
}

/* The timer goes off when the next request or the end is due, whichever is first. */
static void plan_next(dr_http_wait *wait) {
  uint64_t longest = limit_pause(wait);
  if (wait->pause_ns > longest) wait->pause_ns = longest;
  uint64_t due = wait->deadline_ns;
  if (free_place(wait) && wait->next_ns < due) due = wait->next_ns;
  uint64_t now = uv_hrtime();
  uv_update_time(wait->timer.loop);
  uv_timer_start(&wait->timer, on_timer, due > now ? (due - now + 999999) / 1000000 : 0, 0);
}

int dr__http_wait_start(dr_http_wait **out, dr_http *http, const dr_http_wait_options *options,
                        dr_err *err) {
  *out = NULL;
  int status = dr__http_expectation_check(&options->expected, err);
  if (status) return status;
  dr_http_wait *wait = calloc(1, sizeof *wait);
  if (!wait) return dr__err_nomem(err);
  wait->http = http;
  wait->options = *options;
  if (wait->options.in_a_row == 0) wait->options.in_a_row = 1;
  wait->started_ns = uv_hrtime();
  wait->pause_ns = first_pause_ns;
  wait->deadline_ns =
      options->within_s > 0 ? wait->started_ns + (uint64_t)(options->within_s * 1e9) : UINT64_MAX;
  for (unsigned i = 0; i < AT_ONCE; i++) wait->attempts[i].wait = wait;
  uv_timer_init(dr__http_loop(http), &wait->timer);
  wait->timer.data = wait;
  status = send_one(wait, &wait->attempts[0], err);
  if (status) {
    drop(wait);
    return status;
  }
  plan_next(wait);
  *out = wait;
  return 0;
}
