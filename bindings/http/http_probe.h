/* http_probe.h - asks a URL at a constant rate in the background and measures what users would have
 * noticed.
 *
 * The schedule is absolute: request n is due n × every seconds after the start, whatever the
 * service does with the earlier ones, so that a service that hangs is seen as what it is. Each
 * request has a connection of its own, as a new visitor would. A probe does not keep the loop
 * alive. Used by http.c, on the runtime's thread.
 */
#ifndef DR_HTTP_PROBE_H
#define DR_HTTP_PROBE_H

#include "http_expect.h"

typedef struct dr_http_probe dr_http_probe;

enum {
  DR_PROBE_AT_ONCE = 256
}; /* requests under way; a further one that is due counts as failed, not sent */

typedef struct dr_http_probe_options {
  dr_http_request request; /* its callbacks, no_reuse and background are set by the probe */
  dr_http_expectation expected;
  double every_s;      /* at least 0.005 */
  const char *version; /* "field.path" or "header:name" of the version; or NULL */
  json_t *owner;       /* what all of the above is borrowed from; the probe keeps a reference */
} dr_http_probe_options;

/* Begins to probe. Returns 0, or an error and *out NULL. */
int dr__http_probe_start(dr_http_probe **out, dr_http *http, const dr_http_probe_options *options,
                         dr_err *err);

/* Drops the requests under way, frees the probe and returns its report (http_stats.h, with `url`);
 * NULL when memory is short. */
json_t *dr__http_probe_stop(dr_http_probe *probe);

/* The report so far. */
json_t *dr__http_probe_report(const dr_http_probe *probe);

#endif
