/* http_request_op.c - the ops that are one request: http.get, http.send and notify.send.
 * Called through the gate
 * and from the loop, on the runtime's thread. An op's `self` is its state here, freed by release.
 *
 * Redirects are followed here, not by libcurl: each may lead to a place that needs a tunnel of its
 * own, and no key of any kind must go along to another place.
 */
#include "http.h"

#include "core/err.h"
#include "http_expect.h"
#include "http_route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { GET_TIMEOUT = 30, SECRET_MIN = 8 };

typedef struct asking {
  dr_http_transfer *transfer; /* NULL when none is under way */
  int64_t hops;               /* redirects still to be followed here */
} asking;

static void drop(dr_op *op) {
  asking *it = op->self;
  if (it && it->transfer) dr__http_cancel(it->transfer);
  free(it);
  op->self = NULL;
}

static void cancel(dr_op *op) {
  drop(op);
  dr__op_fail_cancelled(op, "the request was cancelled");
}

/* ------------------------------------------------------------ secrets in an answer */

static void hide(const dr_op *op, const char *name, const char *value) {
  if (value) dr__runtime_mask(dr__op_runtime(op), name, value);
}

/* A cookie often is a key: the seventh field of libcurl's lines is its value. Short ones are words
 * such as "light", which masking would take out of every text. */
static void hide_cookies(const dr_op *op, const json_t *cookies) {
  size_t i;
  json_t *line;
  json_array_foreach(cookies, i, line) {
    const char *value = strrchr(json_string_value(line), '\t');
    if (value && strlen(value + 1) >= SECRET_MIN) hide(op, "cookie", value + 1);
  }
}

/* What the recipe called secret, before the journal sees it. */
static void hide_secrets(const dr_op *op, const dr_http_response *answer) {
  size_t i;
  json_t *where;
  json_array_foreach(dr__arg(op, "secret"), i, where) {
    char *value = dr__http_version_of(answer, json_string_value(where));
    hide(op, json_string_value(where), value);
    free(value);
  }
}

/* ------------------------------------------------------------ redirects */

static int send_request(dr_op *op, dr_err *err);

/* Credentials stay with the place they were meant for. */
static void forget_credentials(dr_op *op) {
  static const char *const names[] = {"bearer", "user", "password"};
  const char *name;
  json_t *value;
  void *next;
  json_t *headers = dr__arg(op, "headers");
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) json_object_del(op->args, names[i]);
  json_object_foreach_safe(headers, next, name, value) {
    if (dr__http_is_key(op, name, json_string_value(value))) json_object_del(headers, name);
  }
}

static bool same_place(const char *one, const char *other) {
  dr_http_place a = {.port = 0};
  dr_http_place b = {.port = 0};
  dr_err err = DR_ERR_INIT;
  bool same = dr__http_place_of(&a, one, &err) == 0 && dr__http_place_of(&b, other, &err) == 0 &&
              a.port == b.port && strcasecmp(a.host, b.host) == 0 &&
              strcmp(a.scheme, b.scheme) == 0;
  dr_err_clear(&err);
  return same;
}

/* The arguments of the next hop: 307 and 308 repeat the request, the others ask with GET. */
static void turn(dr_op *op, const dr_http_response *answer) {
  const char *method = dr__arg_string(op, "method", "GET");
  const char *url = dr__arg_string(op, "url", "");
  if (answer->status != 307 && answer->status != 308 && strcmp(method, "HEAD") != 0) {
    json_object_set_new(op->args, "method", json_string("GET"));
    json_object_del(op->args, "json");
    json_object_del(op->args, "body");
  }
  bool same = same_place(url, answer->redirect);
  if (!same) forget_credentials(op);
  if (!same) {
    json_object_del(op->args, "unix_socket");
    json_object_del(op->args, "address");
  }
  json_object_set_new(op->args, "url", json_string(answer->redirect));
  if (answer->cookies) json_object_set(op->args, "cookies", answer->cookies);
}

static bool follows(const dr_op *op, const dr_http_response *answer) {
  return dr__arg_integer(op, "follow", 0) > 0 && answer->redirect;
}

static int follow(dr_op *op, const dr_http_response *answer, dr_err *err) {
  asking *it = op->self;
  if (it->hops-- <= 0) {
    dr__fail(err, "http.redirects", "%s: more than %d redirects; the last one points to %s",
             answer->url, (int)dr__arg_integer(op, "follow", 0), answer->redirect);
    dr__err_hint(err, "the addresses send each other in circles, or `follow` is too small");
    return DR_FAILED;
  }
  turn(op, answer);
  return send_request(op, err);
}

/* ------------------------------------------------------------ one request */

static json_t *result_of(const dr_op *op, dr_http_response *answer) {
  hide_cookies(op, answer->cookies);
  hide_secrets(op, answer);
  return dr__http_result(answer);
}

/* True when the recipe did not say which status must come, or this one came; else fills err. */
static bool status_met(const dr_op *op, const dr_http_response *answer, dr_err *err) {
  const dr_http_expectation expected = {.status = dr__arg(op, "status")};
  char why[160];
  if (!expected.status || dr__http_expectation_met(&expected, answer, why, sizeof why)) return true;
  char *shown = dr__http_describe(answer);
  dr__fail(err, "http.status", "%s %s: %s", dr__arg_string(op, "method", "GET"), answer->url, why);
  dr__err_hint(err, answer->status >= 500
                        ? "the service's log should say why; how far it came is not known"
                        : "is this the URL, the method and what it takes? The answer may say more");
  if (shown) dr__err_detail(err, shown, strlen(shown));
  free(shown);
  return false;
}

static void on_answer(void *data, dr_http_response *answer, dr_err *err) {
  dr_op *op = data;
  asking *it = op->self;
  dr_err own = DR_ERR_INIT;
  json_t *result = NULL;
  it->transfer = NULL;
  if (!answer) {
    dr__http_explain_route(dr__op_runtime(op), op->args, err);
    dr__err_move(&own, err);
  } else if (follows(op, answer)) {
    if (follow(op, answer, &own) == 0) return;
  } else if (!(result = result_of(op, answer))) {
    dr__err_nomem(&own);
  } else if (!status_met(op, answer, &own)) {
    json_decref(result);
    result = NULL;
  }
  if (result)
    dr__op_done(op, result);
  else
    dr__op_fail(op, &own);
}

static int send_request(dr_op *op, dr_err *err) {
  dr_http *http = dr__http_of(dr__op_runtime(op), err);
  if (!http) return DR_FAILED;
  asking *it = op->self;
  int status = dr__http_route(dr__op_runtime(op), op->target, op->args, err);
  if (status) return status;
  dr_http_request request = dr__http_request_of(op->args, GET_TIMEOUT);
  request.json = dr__arg(op, "json");
  request.body = dr__arg_string(op, "body", NULL);
  request.body_length = json_string_length(dr__arg(op, "body"));
  request.on_done = on_answer;
  request.data = op;
  request.follow_redirects = false;
  request.timeout_s -= (double)(uv_hrtime() - op->started_ns) / 1e9; /* of all hops together */
  if (request.timeout_s < 0.001) request.timeout_s = 0.001;
  if (dr__op_whole(op, err) != DR_OK) return DR_FAILED;
  return dr__http_start(&it->transfer, http, &request, err);
}

int dr__http_request_start(dr_op *op, dr_err *err) {
  op->self = calloc(1, sizeof(asking));
  if (!op->self) return dr__err_nomem(err);
  op->cancel = cancel;
  op->release = drop;
  ((asking *)op->self)->hops = dr__arg_integer(op, "follow", 0);
  return send_request(op, err);
}

/* ------------------------------------------------------------ what a plan says */

int dr__http_request_check(const dr_op *op, dr_err *err) {
  const dr_http_expectation expected = {.status = dr__arg(op, "status")};
  int status = dr__http_check_url(op, err);
  return status ? status : dr__http_expectation_check(&expected, err);
}

char *dr__http_request_preview(const dr_op *op) {
  return dr__http_preview_send(op);
}

/* The body of the request is no answer: of the arguments only URL and secrets count. */
json_t *dr__http_request_assume(const dr_op *op) {
  size_t i;
  json_t *where;
  json_t *fields = json_object();
  json_array_foreach(dr__arg(op, "secret"), i, where) {
    json_object_set_new(fields, json_string_value(where), json_string("(unknown until then)"));
  }
  json_t *args = json_pack("{s:O, s:o}", "url", dr__arg(op, "url"), "json", fields);
  if (dr__arg(op, "status")) json_object_set(args, "status", dr__arg(op, "status"));
  json_t *result = dr__http_assume(args);
  json_decref(args);
  return result;
}

const dr_arg dr__http_get_args[] = {DR_HTTP_ARGS,
                                    {"method", DR_ARG_STRING, 0},
                                    {"status", DR_ARG_ANY, 0},
                                    {"secret", DR_ARG_STRINGS, 0},
                                    {0}};

const dr_arg dr__http_send_args[] = {DR_HTTP_ARGS,
                                     {"method", DR_ARG_STRING, DR_REQUIRED},
                                     {"status", DR_ARG_ANY, 0},
                                     {"secret", DR_ARG_STRINGS, 0},
                                     {"json", DR_ARG_ANY, 0},
                                     {"body", DR_ARG_STRING, 0},
                                     {"idempotent", DR_ARG_BOOLEAN, 0},
                                     {0}};

/* ------------------------------------------------------------ notify.send */

/* Of the URL, which is a key, only the host. */
char *dr__http_notify_preview(const dr_op *op) {
  char *text = json_dumps(dr__arg(op, "json"), JSON_COMPACT | JSON_ENCODE_ANY);
  const char *url = dr__arg_string(op, "url", ""), *scheme = strstr(url, "://");
  const char *host = scheme ? scheme + 3 : url;
  size_t length = strcspn(host, "/?#");
  const char *at = memrchr(host, '@', length);
  if (at) length -= (size_t)(at + 1 - host), host = at + 1;
  char *line = text ? dr__http_format("%s to %.*s: %s", dr__arg_string(op, "service", "notify"),
                                      (int)length, host, text)
                    : NULL;
  free(text);
  return line;
}

const dr_arg dr__http_notify_args[] = {DR_HTTP_ARGS,
                                       {"method", DR_ARG_STRING, 0},
                                       {"service", DR_ARG_STRING, 0},
                                       {"secret", DR_ARG_STRINGS, 0},
                                       {"json", DR_ARG_ANY, DR_REQUIRED},
                                       {0}};
