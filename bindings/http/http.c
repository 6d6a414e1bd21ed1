/* http.c - the runtime's HTTP client, the op http.expect, and the table of the http ops. Called
 * through the gate and from the loop, on the runtime's thread. The `self` of http.expect is its
 * wait under way, which is gone before the op is told to be over.
 */
#include "http.h"

#include "core/err.h"
#include "http_route.h"
#include "http_wait.h"
#include "http_watch.h"

#include <stdio.h>
#include <stdlib.h>

enum { EXPECT_TIMEOUT = 5, EXPECT_ATTEMPTS = 12, EXPECT_INTERVAL = 5 };

/* ------------------------------------------------------------ the client of a runtime */

static void close_client(void *client) {
  dr__http_free(client);
}

dr_http *dr__http_of(dr_runtime *rt, dr_err *err) {
  dr_http *http = dr__runtime_get(rt, "http");
  if (http || dr__http_new(&http, dr__runtime_loop(rt), err) != 0) return http;
  if (dr__runtime_put(rt, "http", http, close_client) == 0) return http;
  dr__http_free(http);
  dr__err_nomem(err);
  return NULL;
}

static void fail_cancelled(dr_op *op) {
  dr__op_fail_cancelled(op, "the request was cancelled");
}

/* ------------------------------------------------------------ http.expect */

static const char *name_of(const dr_op *op) {
  return dr__arg_string(op, "name", dr__arg_string(op, "url", ""));
}

/* attempts × interval is the bound, unless `within` says it. One attempt is one request, without a
 * wait. */
static double bound_of(const dr_op *op) {
  int64_t attempts = dr__arg_integer(op, "attempts", EXPECT_ATTEMPTS);
  double interval = dr__arg_number(op, "interval", EXPECT_INTERVAL);
  double otherwise = attempts > 1 ? (double)attempts * interval : 0;
  return dr__arg_number(op, "within", otherwise);
}

static void drop_wait(dr_op *op) {
  if (op->self) dr__http_wait_cancel(op->self);
  op->self = NULL;
}

static void cancel_wait(dr_op *op) {
  drop_wait(op);
  fail_cancelled(op);
}

static void on_progress(void *data, const char *last, unsigned attempts, double seconds) {
  dr_op *op = data;
  (void)attempts;
  dr__op_progress(op, "%s: %s (%.0f of %.0f s)", name_of(op), last, seconds, bound_of(op));
}

static void on_waited(void *data, dr_http_waited *waited) {
  dr_op *op = data;
  dr_err nomem = DR_ERR_INIT;
  op->self = NULL;
  json_t *result = waited->answer ? dr__http_result(waited->answer) : NULL;
  if (!result) {
    if (!waited->err) dr__err_nomem(&nomem);
    if (waited->err && waited->err->cause) {
      dr__http_explain_route(dr__op_runtime(op), op->args, waited->err->cause);
    }
    dr__op_fail(op, waited->err ? waited->err : &nomem);
    return;
  }
  json_object_set_new(result, "attempts", json_integer(waited->attempts));
  json_object_set_new(result, "seconds", json_real(waited->seconds));
  dr__op_done(op, result);
}

static int check_expect(const dr_op *op, dr_err *err) {
  const dr_http_expectation expected = dr__http_expectation_of(op->args);
  int status = dr__http_check_url(op, err);
  if (!status) status = dr__http_check_follow(op, err);
  return status ? status : dr__http_expectation_check(&expected, err);
}

static int start_expect(dr_op *op, dr_err *err) {
  dr_http *http = dr__http_of(dr__op_runtime(op), err);
  if (!http) return DR_FAILED;
  dr_http_wait *wait;
  int status = dr__http_route_fixed(dr__op_runtime(op), op->target, op->args, err);
  if (status) return status;
  const dr_http_wait_options options = {
      .request = dr__http_request_of(op->args, EXPECT_TIMEOUT),
      .expected = dr__http_expectation_of(op->args),
      .within_s = bound_of(op),
      .pause_s = dr__arg_number(op, "pause", 0),
      .in_a_row = (unsigned)dr__arg_integer(op, "in_a_row", 1),
      .on_progress = on_progress,
      .on_done = on_waited,
      .data = op,
  };
  status = dr__op_whole(op, err);
  if (status == DR_OK) status = dr__http_wait_start(&wait, http, &options, err);
  if (status) return status;
  op->self = wait;
  op->cancel = cancel_wait;
  op->release = drop_wait;
  return 0;
}

static char *preview_expect(const dr_op *op) {
  char *request = dr__http_preview_request(op);
  char *expected = dr__http_preview_expectation(op);
  double within = bound_of(op);
  char *text = NULL;
  if (request && expected && within > 0) {
    text = dr__http_format("%s: expect %s within %g s", request, expected, within);
  } else if (request && expected) {
    text = dr__http_format("%s: expect %s", request, expected);
  }
  free(request);
  free(expected);
  return text;
}

static json_t *assume_expect(const dr_op *op) {
  return dr__http_assume(op->args);
}

/* ------------------------------------------------------------ the ops */

static const dr_arg expect_args[] = {DR_HTTP_ARGS,
                                     DR_HTTP_EXPECT_ARGS,
                                     {"attempts", DR_ARG_INTEGER, 0},
                                     {"interval", DR_ARG_DURATION, 0},
                                     {"within", DR_ARG_DURATION, 0},
                                     {"pause", DR_ARG_DURATION, 0},
                                     {"in_a_row", DR_ARG_INTEGER, 0},
                                     {0}};

static const dr_opspec ops[] = {
    {.name = "http.get",
     .check = dr__http_request_check,
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_CONTAINERS | DR_AREA_SERVICES | DR_AREA_NETWORK,
     .args = dr__http_get_args,
     .preview = dr__http_request_preview,
     .assume = dr__http_request_assume,
     .start = dr__http_request_start},
    {.name = "http.send",
     .check = dr__http_request_check,
     .kind = DR_ACTION,
     .effects = DR_CHANGE,
     .args = dr__http_send_args,
     .preview = dr__http_request_preview,
     .assume = dr__http_request_assume,
     .start = dr__http_request_start},
    {.name = "http.certificate",
     .check = dr__http_certificate_check,
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_CONTAINERS | DR_AREA_SERVICES | DR_AREA_NETWORK,
     .args = dr__http_certificate_args,
     .preview = dr__http_certificate_preview,
     .assume = dr__http_certificate_assume,
     .start = dr__http_certificate_start},
    {.name = "notify.send",
     .check = dr__http_check_url,
     .kind = DR_ACTION,
     .effects = DR_CHANGE,
     .args = dr__http_notify_args,
     .preview = dr__http_notify_preview,
     .assume = dr__http_request_assume,
     .start = dr__http_request_start},
    {.name = "http.expect",
     .kind = DR_CHECK,
     .idempotent = true,
     .args = expect_args,
     .check = check_expect,
     .preview = preview_expect,
     .assume = assume_expect,
     .start = start_expect},
    {.name = "http.watch",
     .kind = DR_CHECK,
     .idempotent = true,
     .args = dr__http_watch_args,
     .check = dr__http_watch_check,
     .preview = dr__http_watch_preview,
     .assume = dr__http_watch_assume,
     .start = dr__http_watch_start},
    {.name = "http.probe",
     .kind = DR_CHECK,
     .idempotent = true,
     .args = dr__http_probe_args,
     .check = dr__http_probe_check,
     .preview = dr__http_probe_op_preview,
     .start = dr__http_probe_op_start},
    {.name = "http.probe_stop",
     .kind = DR_CHECK,
     .idempotent = true,
     .args = dr__http_probe_stop_args,
     .preview = dr__http_probe_stop_preview,
     .assume = dr__http_probe_stop_assume,
     .start = dr__http_probe_stop_start},
    {0},
};

extern const dr_lua_source dr__lua_http;

/* mask(name, value): the value is a secret from now on. */
static int l_mask(lua_State *L) {
  dr__runtime_mask(dr__lua_runtime(L), luaL_checkstring(L, 1), luaL_checkstring(L, 2));
  return 0;
}

static const luaL_Reg functions[] = {{"mask", l_mask}, {NULL, NULL}};

extern const dr_lua_source dr__lua_http_watch, dr__lua_notify, dr__lua_template;

const dr_binding dr__binding_notify = {.name = "notify", .lua = &dr__lua_notify, .gives = "notify"};
const dr_binding dr__binding_template = {
    .name = "template", .lua = &dr__lua_template, .gives = "template"};

/* Its op is in the table above. */
const dr_binding dr__binding_http_watch = {
    .name = "http_watch", .lua = &dr__lua_http_watch, .gives = "dr.http_watch"};

const dr_binding dr__binding_http = {.name = "http",
                                     .ops = ops,
                                     .functions = functions,
                                     .lua = &dr__lua_http,
                                     .gives = "http :http dr.bound dr.http_functions dr.http_args"};
