/* http_certificate.c - the op http.certificate: what certificate a server shows, and whether this
 * machine trusts it. Two connections: one that takes any certificate, to read it; one that does
 * not, to judge it. Called through the gate and from the loop, on the runtime's thread. An op's
 * `self` is its state here, freed by release.
 */
#include "http.h"

#include "core/err.h"
#include "http_route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { TIMEOUT = 15, DAY = 24 * 60 * 60 };

typedef struct looking {
  dr_http_transfer *transfer; /* NULL when none is under way */
  json_t *result;             /* what the first connection told */
} looking;

static void drop(dr_op *op) {
  looking *it = op->self;
  if (it && it->transfer) dr__http_cancel(it->transfer);
  if (it) json_decref(it->result);
  free(it);
  op->self = NULL;
}

static void cancel(dr_op *op) {
  drop(op);
  dr__op_fail_cancelled(op, "the request was cancelled");
}

static int connect_to(dr_op *op, bool judge, void (*on_done)(void *, dr_http_response *, dr_err *),
                      dr_err *err) {
  looking *it = op->self;
  dr_http *http = dr__http_of(dr__op_runtime(op), err);
  if (!http) return DR_FAILED;
  dr_http_request request = dr__http_request_of(op->args, TIMEOUT);
  request.connect_only = true;
  request.certificates = !judge;
  request.insecure = !judge;
  request.no_reuse = true;
  request.on_done = on_done;
  request.data = op;
  return dr__http_start(&it->transfer, http, &request, err);
}

static void fail(dr_op *op, dr_err *err) {
  dr__http_explain_route(dr__op_runtime(op), op->args, err);
  dr__op_fail(op, err);
}

/* The second connection: trusted, or the reason why not. Only what is wrong with the certificate
 * counts; a server that does not answer a second time is a failure. */
static void on_judged(void *data, dr_http_response *answer, dr_err *err) {
  dr_op *op = data;
  looking *it = op->self;
  it->transfer = NULL;
  if (err && strncmp(err->code, "http.tls", 8) != 0) {
    fail(op, err);
    return;
  }
  json_object_set_new(it->result, "trusted", json_boolean(answer != NULL));
  if (err) {
    json_object_set_new(it->result, "error", json_string(err->code));
    json_object_set_new(it->result, "why", json_string(err->message));
  }
  json_t *result = it->result;
  it->result = NULL;
  dr__op_done(op, result);
}

/* "2026-11-05 12:00:00 UTC", or "". */
static json_t *date_text(const json_t *seconds) {
  char text[40] = "";
  struct tm parts;
  time_t at = (time_t)json_integer_value(seconds);
  if (json_is_integer(seconds) && gmtime_r(&at, &parts)) {
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts);
  }
  return json_string(text);
}

/* Whole days, rounded down: 0 is "today", a negative number long ago. */
static json_t *days_left(const json_t *not_after) {
  double left = difftime((time_t)json_integer_value(not_after), time(NULL)) / DAY;
  return json_integer((json_int_t)(left < 0 ? left - 1 : left));
}

static json_t *facts_of(const dr_http_response *answer) {
  json_t *first = json_array_get(answer->certificates, 0);
  const json_t *end = json_object_get(first, "not_after");
  if (!json_is_integer(end)) return NULL;
  json_t *facts = json_deep_copy(first);
  if (!facts) return NULL;
  json_object_set_new(facts, "days_left", days_left(end));
  json_object_set_new(facts, "expires", date_text(end));
  json_object_set_new(facts, "chain",
                      json_integer((json_int_t)json_array_size(answer->certificates)));
  json_object_set_new(facts, "address", json_string(answer->address));
  return facts;
}

static void on_read(void *data, dr_http_response *answer, dr_err *err) {
  dr_op *op = data;
  looking *it = op->self;
  dr_err own = DR_ERR_INIT;
  it->transfer = NULL;
  if (err) {
    fail(op, err);
    return;
  }
  it->result = facts_of(answer);
  if (it->result && connect_to(op, true, on_judged, &own) == 0) return;
  if (!it->result) {
    dr__fail(&own, "http.no_certificate", "%s showed no certificate that can be read",
             dr__arg_string(op, "url", ""));
    dr__err_hint(&own, "is it a TLS port?");
  }
  dr__op_fail(op, &own);
}

int dr__http_certificate_check(const dr_op *op, dr_err *err) {
  if (strncasecmp(dr__arg_string(op, "url", ""), "https://", 8) != 0) {
    dr__fail(err, "recipe.argument", "http.certificate: %s is not https",
             dr__arg_string(op, "url", ""));
    dr__err_hint(err, "give a host's name, \"host:port\", or a URL that begins with https://");
    return DR_FAILED;
  }
  return dr__http_check_url(op, err);
}

int dr__http_certificate_start(dr_op *op, dr_err *err) {
  if (!dr__http_of(dr__op_runtime(op), err)) return DR_FAILED;
  int status = dr__http_route(dr__op_runtime(op), op->target, op->args, err);
  if (status) return status;
  op->self = calloc(1, sizeof(looking));
  if (!op->self) return dr__err_nomem(err);
  op->cancel = cancel;
  op->release = drop;
  return connect_to(op, false, on_read, err);
}

char *dr__http_certificate_preview(const dr_op *op) {
  char *url = dr__http_safe_url(dr__arg_string(op, "url", ""));
  char *text = url ? dr__http_format("look at the certificate of %s", url) : NULL;
  free(url);
  return text;
}

/* A dry run goes on as with a good one. */
json_t *dr__http_certificate_assume(const dr_op *op) {
  (void)op;
  return json_pack("{s:s, s:s, s:[], s:i, s:i, s:i, s:s, s:b, s:i, s:s}", "subject", "", "issuer",
                   "", "names", "not_before", 0, "not_after", 0, "days_left", 90, "expires", "",
                   "trusted", 1, "chain", 1, "address", "");
}

const dr_arg dr__http_certificate_args[] = {DR_HTTP_ARGS, {0}};
