/* docker_engine.c - one call to the Docker Engine after another. Owns the calls under way; called
 * by the docker ops and, through http_client.c, by libuv; on the runtime's thread.
 */
#include "docker_engine.h"

#include "core/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_VERSION "1.41"

enum { USUAL_TIMEOUT = 30, MAX_ANSWER = 32 << 20 };

struct dr_engine {
  dr_http *http;
  char *socket;
  char version[16];
};

struct dr_engine_call {
  dr_engine *engine;
  dr_http_transfer *transfer;
  char *method;
  char *path;
  json_t *body;
  json_t *headers;
  double timeout_s;
  bool negotiated; /* it is the second try, in the version the engine asked for */
  int (*on_body)(void *data, const char *bytes, size_t length);
  void (*on_done)(void *data, dr_engine_answer *answer, dr_err *err);
  void *data;
};

dr_engine *dr__engine_new(dr_http *http, const char *socket) {
  dr_engine *engine = calloc(1, sizeof *engine);
  if (!engine) return NULL;
  engine->http = http;
  engine->socket = strdup(socket);
  dr__copy_text(engine->version, sizeof engine->version, FIRST_VERSION);
  if (engine->socket) return engine;
  free(engine);
  return NULL;
}

void dr__engine_free(dr_engine *engine) {
  if (!engine) return;
  free(engine->socket);
  free(engine);
}

const char *dr__engine_socket(const dr_engine *engine) {
  return engine->socket;
}

static void call_free(dr_engine_call *call) {
  free(call->method);
  free(call->path);
  json_decref(call->body);
  json_decref(call->headers);
  free(call);
}

void dr__engine_cancel(dr_engine_call *call) {
  dr__http_cancel(call->transfer);
  call_free(call);
}

/* ------------------------------------------------------------ errors */

static void explain_unreachable(dr_err *err, const char *socket) {
  struct stat found;
  if (stat(socket, &found) != 0 && errno == ENOENT) {
    dr__fail(err, "docker.unreachable", "there is no Docker Engine at %s", socket);
    dr__err_hint(err, "install and start it (systemctl start docker), or set "
                      "DOCKER_HOST=unix:///path/of/docker.sock");
  } else if (access(socket, R_OK | W_OK) != 0 && errno == EACCES) {
    dr__fail(err, "docker.denied", "this user may not use the Docker Engine at %s", socket);
    dr__err_hint(err, "run as root, or add the user to the group docker and log in again");
  } else {
    dr__fail(err, "docker.unreachable", "the Docker Engine at %s does not answer", socket);
    dr__err_hint(err, "is it running? systemctl status docker");
  }
}

/* An HTTP error in Docker's words, with the HTTP error as its cause. */
static void translate(const dr_engine_call *call, dr_err *err, dr_err *out) {
  const char *socket = call->engine->socket;
  if (strcmp(err->code, "http.connect") == 0) {
    explain_unreachable(out, socket);
  } else if (strcmp(err->code, "http.timeout") == 0) {
    dr__fail(out, "docker.timeout", "the Docker Engine did not finish %s %s within %g s",
             call->method, call->path, call->timeout_s);
    dr__err_hint(out,
                 "is the machine overloaded? The engine's own log says more: journalctl -u docker");
  } else if (strcmp(err->code, "http.closed") == 0) {
    dr__fail(out, "docker.unreachable", "the Docker Engine at %s closed the connection", socket);
    dr__err_hint(out, "was it stopped or restarted? systemctl status docker");
  } else {
    dr__err_move(out, err);
    return;
  }
  dr__err_because(out, err);
}

/* ------------------------------------------------------------ answers */

static int send_call(dr_engine_call *call, dr_err *err);

static void end_failed(dr_engine_call *call, dr_err *err) {
  call->on_done(call->data, NULL, err);
  dr_err_clear(err);
  call_free(call);
}

static void end_answered(dr_engine_call *call, const dr_http_response *response) {
  json_t *json =
      json_loadb(response->body, response->body_length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
  dr_engine_answer answer = {.status = response->status, .json = json};
  call->on_done(call->data, &answer, NULL);
  json_decref(json);
  call_free(call);
}

/* True when the engine wants another version and the call has been sent again. */
static bool negotiate(dr_engine_call *call, const dr_http_response *response, dr_err *err) {
  char version[sizeof call->engine->version];
  if (response->status != 400 || call->negotiated) return false;
  if (!dr__engine_wanted_version(response->body, version, sizeof version)) return false;
  memcpy(call->engine->version, version, sizeof version);
  call->negotiated = true;
  return send_call(call, err) == 0;
}

static void on_response(void *data, dr_http_response *response, dr_err *err) {
  dr_engine_call *call = data;
  dr_err problem = DR_ERR_INIT;
  if (err) {
    translate(call, err, &problem);
  } else if (response->status / 100 == 2 || response->status == 304) {
    end_answered(call, response);
    return;
  } else if (negotiate(call, response, &problem)) {
    return;
  } else if (!problem.code[0]) {
    dr__engine_explain(&problem, response->status, response->body, response->body_length);
  }
  end_failed(call, &problem);
}

static int pass_body(void *data, const char *bytes, size_t length) {
  const dr_engine_call *call = data;
  return call->on_body(call->data, bytes, length);
}

/* ------------------------------------------------------------ calls */

static int send_call(dr_engine_call *call, dr_err *err) {
  char *url = dr__http_format("http://docker/v%s%s", call->engine->version, call->path);
  if (!url) return dr__err_nomem(err);
  const dr_http_request request = {
      .method = call->method,
      .url = url,
      .headers = call->headers,
      .json = call->body,
      .unix_socket = call->engine->socket,
      .timeout_s = call->timeout_s,
      .max_body = MAX_ANSWER,
      .on_body = call->on_body ? pass_body : NULL,
      .on_done = on_response,
      .data = call,
  };
  int status = dr__http_start(&call->transfer, call->engine->http, &request, err);
  free(url);
  return status;
}

int dr__engine_start(dr_engine_call **out, dr_engine *engine, const dr_engine_request *request,
                     dr_err *err) {
  dr_engine_call *call = calloc(1, sizeof *call);
  if (!call) return dr__err_nomem(err);
  call->engine = engine;
  call->method = strdup(request->method ? request->method : "GET");
  call->path = strdup(request->path);
  call->body = request->body ? json_deep_copy(request->body) : NULL;
  call->headers = json_incref(request->headers);
  call->timeout_s = request->timeout_s > 0 ? request->timeout_s : USUAL_TIMEOUT;
  call->on_body = request->on_body;
  call->on_done = request->on_done;
  call->data = request->data;
  bool made = call->method && call->path && (!request->body || call->body);
  int status = made ? send_call(call, err) : dr__err_nomem(err);
  if (status) {
    call_free(call);
    return status;
  }
  *out = call;
  return 0;
}
