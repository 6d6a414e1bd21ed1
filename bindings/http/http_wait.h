/* http_wait.h - asks a URL again and again until the answer is the expected one. Without Lua.
 *
 * The first request goes out at once. A wrong answer is followed by the next request after a pause
 * that grows from 25 ms to `pause_s` (75 ms when it is 0), so that a service is noticed less than
 * 100 ms after it first answers well. A request that hangs does not hold up the wait: further ones
 * go out beside it, three at most. Each uses a fresh connection, because a kept one may lead to the
 * process that is being replaced.
 *
 * Used by the ops (http.c, docker_wait.c), on the runtime's thread.
 */
#ifndef DR_HTTP_WAIT_H
#define DR_HTTP_WAIT_H

#include "http_expect.h"

typedef struct dr_http_wait dr_http_wait;

/* How a wait ended. */
typedef struct dr_http_waited {
  dr_http_response
      *answer;       /* the expected one; NULL when there is an error; as in on_done of a request */
  dr_err *err;       /* http.expect_failed with the last answer as detail; may be moved from */
  unsigned attempts; /* requests sent */
  double seconds;
} dr_http_waited;

/* What a wait shall do. The request and the expectation are copied, but what they point to is
 * borrowed until the wait ends. */
typedef struct dr_http_wait_options {
  dr_http_request
      request; /* its callbacks and no_reuse are set by the wait; timeout_s is for each request */
  dr_http_expectation expected;
  double within_s;   /* the bound of the whole; 0: one request decides */
  double pause_s;    /* the longest pause between two requests; 0: 0.075 */
  unsigned in_a_row; /* good answers that must come one after another; 0: 1 */
  /* The last answer in one line, after each request; may be NULL. */
  void (*on_progress)(void *data, const char *last, unsigned attempts, double seconds);
  /* The end, exactly once, never from inside dr__http_wait_start(); the wait is gone. */
  void (*on_done)(void *data, dr_http_waited *waited);
  void *data;
} dr_http_wait_options;

/* Returns 0, or an error (recipe.argument, http.url, out_of_memory …) and then on_done will not be
 * called. */
int dr__http_wait_start(dr_http_wait **out, dr_http *http, const dr_http_wait_options *options,
                        dr_err *err);

/* Ends the wait early; on_done is not called, the wait is gone. */
void dr__http_wait_cancel(dr_http_wait *wait);

#endif
