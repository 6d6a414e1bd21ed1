/* docker_waiting.c - the ops docker.logs, docker.wait_healthy, docker.wait_running and
 * docker.wait_exited. Called through the gate and from the loop, on the runtime's thread.
 */
#include "docker.h"

#include "core/err.h"
#include "docker_check.h"
#include "docker_frames.h"
#include "docker_logs.h"
#include "docker_steps.h"
#include "docker_wait.h"
#include "http/http.h"

#include <stdlib.h>
#include <string.h>

enum {
  USUAL_TAIL = 100,
  USUAL_WITHIN = 60,
  SHOWN_TAIL = 20,
  USUAL_SETTLED = 5,
  USUAL_EXITED = 600
};

/* ------------------------------------------------------------ docker.logs */

static void release_logs(dr_op *op) {
  if (op->self) dr__docker_logs_cancel(op->self);
  op->self = NULL;
}

static void cancel_logs(dr_op *op) {
  release_logs(op);
  dr__docker_fail_cancelled(op);
}

static void on_logs(void *data, const dr_capture *log, dr_err *err) {
  dr_op *op = data;
  dr_err nomem = DR_ERR_INIT;
  bool binary = false;
  op->self = NULL;
  json_t *text = log && !dr__capture_is_short(log)
                     ? dr__text_json(dr__capture_bytes(log, 1), log->streams[0].length, &binary)
                     : NULL;
  if (text) {
    dr__op_done(op, json_pack("{s:o, s:b}", "text", text, "truncated", log->truncated[0]));
    return;
  }
  if (!err) dr__err_nomem(&nomem);
  dr__docker_fail(op, err ? err : &nomem);
}

static void on_logs_output(void *data, int stream, const char *bytes, size_t length) {
  dr__op_output(data, stream, bytes, length);
}

int dr__docker_logs_op_start(dr_op *op, dr_err *err) {
  dr_engine *engine = dr__docker_engine_of(op, err);
  if (!engine) return DR_FAILED;
  dr_docker_logs *logs;
  double follow = dr__arg_number(op, "follow", 0);
  const dr_docker_logs_options options = {
      .container = dr__arg_string(op, "container", ""),
      .tail = dr__arg_integer(op, "tail", USUAL_TAIL),
      .since = dr__arg_number(op, "since", 0),
      .timestamps = dr__arg_boolean(op, "timestamps", false),
      .follow = follow,
      .on_output = follow > 0 ? on_logs_output : NULL,
      .on_done = on_logs,
      .data = op,
  };
  int status = dr__docker_logs_start(&logs, engine, &options, err);
  if (status) return status;
  op->self = logs;
  op->cancel = cancel_logs;
  op->release = release_logs;
  return 0;
}

char *dr__docker_logs_preview(const dr_op *op) {
  char shown[160];
  dr__docker_shown(op, shown, sizeof shown);
  double follow = dr__arg_number(op, "follow", 0);
  long long tail = dr__arg_integer(op, "tail", USUAL_TAIL);
  if (follow > 0)
    return dr__http_format("docker logs --tail %lld --follow %s (for %g s)", tail, shown, follow);
  return dr__http_format("docker logs --tail %lld %s", tail, shown);
}

json_t *dr__docker_logs_assume(const dr_op *op) {
  (void)op;
  return json_pack("{s:s, s:b}", "text", "", "truncated", 0);
}

const dr_arg dr__docker_logs_args[] = {{"socket", DR_ARG_STRING, DR_REQUIRED},
                                       {"container", DR_ARG_STRING, DR_REQUIRED},
                                       {"name", DR_ARG_STRING, 0},
                                       {"tail", DR_ARG_INTEGER, 0},
                                       {"since", DR_ARG_NUMBER, 0},
                                       {"timestamps", DR_ARG_BOOLEAN, 0},
                                       {"follow", DR_ARG_DURATION, 0},
                                       {0}};

/* ------------------------------------------------------------ docker.wait_healthy */

static void release_wait(dr_op *op) {
  if (op->self) dr__docker_wait_cancel(op->self);
  op->self = NULL;
}

static void cancel_wait(dr_op *op) {
  release_wait(op);
  dr__docker_fail_cancelled(op);
}

static bool is_running_op(const dr_op *op) {
  return strcmp(op->spec->name, "docker.wait_running") == 0;
}

/* How long it must have been running: what is asked for, or usual. */
static double steady_of(const dr_op *op) {
  return is_running_op(op) ? dr__arg_number(op, "settled", USUAL_SETTLED)
                           : dr__arg_number(op, "steady", 2);
}

static double bound_of(const dr_op *op) {
  return dr__arg_number(op, "within", USUAL_WITHIN + (is_running_op(op) ? steady_of(op) : 0));
}

static void on_progress(void *data, const char *what, double seconds) {
  dr_op *op = data;
  char shown[160];
  dr__docker_shown(op, shown, sizeof shown);
  dr__op_progress(op, "%s: %s (%.0f of %.0f s)", dr__arg_string(op, "name", shown), what, seconds,
                  bound_of(op));
}

static void on_waited(void *data, dr_docker_waited *waited) {
  dr_op *op = data;
  op->self = NULL;
  if (waited->err) {
    dr__docker_fail(op, waited->err);
    return;
  }
  dr__op_done(op, json_pack("{s:b, s:s, s:f, s:s, s:s}", "healthy", 1, "how", waited->how,
                            "seconds", waited->seconds, "address", waited->state->address, "name",
                            waited->state->name));
}

static int route(void *data, const char *address, int port, char *socket, size_t size,
                 dr_err *err) {
  const dr_op *op = data;
  return dr__docker_route(dr__op_runtime(op), op->target, address, port, socket, size, err);
}

static int begin_wait(dr_op *op, dr_engine *engine, dr_http *http, dr_err *err) {
  dr_docker_wait *wait;
  const dr_docker_wait_options options = {
      .container = dr__arg_string(op, "container", ""),
      .name = dr__arg_string(op, "name", NULL),
      .within_s = bound_of(op),
      .steady_s = steady_of(op),
      .only_running = is_running_op(op),
      .restarts = dr__arg_integer(op, "restarts", 0),
      .tail = dr__arg_integer(op, "tail", SHOWN_TAIL),
      .http = dr__arg(op, "http"),
      .route = route,
      .on_progress = on_progress,
      .on_done = on_waited,
      .data = op,
  };
  int status = dr__docker_wait_start(&wait, http, engine, &options, err);
  if (status) return status;
  op->self = wait;
  op->cancel = cancel_wait;
  op->release = release_wait;
  return 0;
}

int dr__docker_healthy_check(const dr_op *op, dr_err *err) {
  const json_t *check = dr__arg(op, "http"), *port = json_object_get(check, "port");
  int status = dr__docker_check_container(op, err);
  if (status) return status;
  if (check && !json_is_object(check)) {
    return dr__fail(err, "recipe.argument",
                    "http must be a table: {port = 8000, path = \"/health/\"}");
  }
  json_int_t number = json_integer_value(port);
  if (port && (number < 1 || number > 65535))
    return dr__fail(err, "recipe.argument", "http: a port is a number from 1 to 65535");
  return DR_OK;
}

int dr__docker_healthy_start(dr_op *op, dr_err *err) {
  dr_engine *engine = dr__docker_engine_of(op, err);
  dr_http *http = engine ? dr__http_of(dr__op_runtime(op), err) : NULL;
  return http ? begin_wait(op, engine, http, err) : DR_FAILED;
}

char *dr__docker_healthy_preview(const dr_op *op) {
  char shown[160];
  const json_t *http = dr__arg(op, "http");
  if (is_running_op(op)) {
    dr__docker_shown(op, shown, sizeof shown);
    return dr__http_format("wait until %s has been running for %g s (at most %g s)", shown,
                           steady_of(op), bound_of(op));
  }
  const char *path = json_string_value(json_object_get(http, "path"));
  dr__docker_shown(op, shown, sizeof shown);
  return dr__http_format("wait until %s is healthy%s%s (at most %g s)", shown,
                         http ? " and answers " : "", http ? (path ? path : "/") : "",
                         bound_of(op));
}

json_t *dr__docker_healthy_assume(const dr_op *op) {
  return json_pack("{s:b, s:s, s:f, s:s, s:s}", "healthy", 1, "how", "healthy", "seconds", 0.0,
                   "address", "", "name", dr__arg_string(op, "name", ""));
}

const dr_arg dr__docker_healthy_args[] = {{"socket", DR_ARG_STRING, DR_REQUIRED},
                                          {"container", DR_ARG_STRING, DR_REQUIRED},
                                          {"name", DR_ARG_STRING, 0},
                                          {"within", DR_ARG_DURATION, 0},
                                          {"steady", DR_ARG_DURATION, 0},
                                          {"restarts", DR_ARG_INTEGER, 0},
                                          {"tail", DR_ARG_INTEGER, 0},
                                          {"http", DR_ARG_ANY, 0},
                                          {0}};

const dr_arg dr__docker_running_args[] = {{"socket", DR_ARG_STRING, DR_REQUIRED},
                                          {"container", DR_ARG_STRING, DR_REQUIRED},
                                          {"name", DR_ARG_STRING, 0},
                                          {"settled", DR_ARG_DURATION, 0},
                                          {"within", DR_ARG_DURATION, 0},
                                          {"restarts", DR_ARG_INTEGER, 0},
                                          {"tail", DR_ARG_INTEGER, 0},
                                          {0}};

/* ------------------------------------------------------------ docker.wait_exited */

typedef struct exited {
  dr_frames frames;
  dr_capture log;
  dr_err err; /* that it still runs, while its log is read */
} exited;

static void exited_free(void *data) {
  exited *self = data;
  dr__capture_free(&self->log);
  dr_err_clear(&self->err);
  free(self);
}

static void on_log_output(void *data, int stream, const char *bytes, size_t length) {
  exited *self = data;
  (void)stream;
  dr__capture_add(&self->log, 1, bytes, length);
}

static int on_log_body(void *data, const char *bytes, size_t length) {
  exited *self = ((dr_docker_steps *)data)->data;
  dr__frames_feed(&self->frames, bytes, length);
  return 0;
}

static void on_log(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  exited *self = steps->data;
  (void)answer;
  (void)err; /* the reason to fail is known already */
  dr__frames_end(&self->frames);
  char *tail = dr__capture_tail(&self->log);
  if (tail && tail[0]) dr__err_detail(&self->err, tail, strlen(tail));
  free(tail);
  dr__docker_steps_fail(steps, &self->err);
}

/* It runs longer than it was given. */
static void fail_running(dr_docker_steps *steps) {
  exited *self = steps->data;
  const dr_op *op = steps->op;
  char shown[160], after[64];
  dr__docker_shown(op, shown, sizeof shown);
  dr__fail(&self->err, "wait.timeout", "%s did not end within %g s", shown,
           dr__arg_number(op, "within", USUAL_EXITED));
  dr__err_hint(&self->err, "its last log lines are shown. If it only needs longer, say within = "
                           "seconds");
  snprintf(after, sizeof after, "/logs?stdout=1&stderr=1&tail=%d", SHOWN_TAIL);
  const dr_docker_step step = {
      .path = dr__engine_path("/containers/", dr__arg_string(op, "container", ""), after),
      .on_body = on_log_body,
      .next = on_log};
  dr__docker_steps_go(steps, &step);
}

static void on_exited(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  if (err && strcmp(err->code, "docker.timeout") == 0) {
    fail_running(steps);
  } else if (err) {
    dr__docker_steps_fail(steps, err);
  } else {
    json_t *code = json_object_get(answer->json, "StatusCode");
    dr__docker_steps_done(steps, json_pack("{s:O}", "exit_code", code ? code : json_null()));
  }
}

int dr__docker_exited_start(dr_op *op, dr_err *err) {
  exited *self = calloc(1, sizeof *self);
  if (!self) return dr__err_nomem(err);
  self->log.keep = DR_LOGS_KEEP;
  self->frames.on_output = on_log_output;
  self->frames.data = self;
  dr_docker_steps *steps = dr__docker_steps_new(op, self, exited_free, err);
  if (!steps) return DR_FAILED;
  const dr_docker_step step = {
      .method = "POST",
      .path = dr__engine_path("/containers/", dr__arg_string(op, "container", ""), "/wait"),
      .timeout_s = dr__arg_number(op, "within", USUAL_EXITED),
      .next = on_exited};
  return dr__docker_steps_begin(steps, &step, err);
}
