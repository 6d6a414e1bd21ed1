/* docker_logs.c - reads a container's log. Owns the call under way and what came so far. Called by
 * docker ops and by the loop, on the runtime's thread.
 */
#include "docker_logs.h"

#include "core/err.h"
#include "docker_frames.h"

#include <stdlib.h>
#include <string.h>

struct dr_docker_logs {
  dr_engine_call *call;
  dr_frames frames;
  dr_capture log;
  bool follows;
  void (*on_output)(void *data, int stream, const char *bytes, size_t length);
  void (*on_done)(void *data, const dr_capture *log, dr_err *err);
  void *data;
};

static void logs_free(dr_docker_logs *logs) {
  dr__capture_free(&logs->log);
  free(logs);
}

void dr__docker_logs_cancel(dr_docker_logs *logs) {
  dr__engine_cancel(logs->call);
  logs_free(logs);
}

static void on_output(void *data, int stream, const char *bytes, size_t length) {
  dr_docker_logs *logs = data;
  if (logs->on_output) logs->on_output(logs->data, stream, bytes, length);
  dr__capture_add(&logs->log, 1, bytes, length);
}

static int on_body(void *data, const char *bytes, size_t length) {
  dr_docker_logs *logs = data;
  dr__frames_feed(&logs->frames, bytes, length);
  return 0;
}

/* Following ends with the container, or when its time is over. */
static void on_done(void *data, dr_engine_answer *answer, dr_err *err) {
  dr_docker_logs *logs = data;
  bool whole = answer || (logs->follows && strcmp(err->code, "docker.timeout") == 0);
  dr__frames_end(&logs->frames);
  logs->on_done(logs->data, whole ? &logs->log : NULL, whole ? NULL : err);
  logs_free(logs);
}

static char *path_of(const dr_docker_logs_options *options) {
  char tail[32] = "all";
  if (options->tail > 0) snprintf(tail, sizeof tail, "%lld", (long long)options->tail);
  char *after = dr__http_format("/logs?stdout=1&stderr=1&tail=%s&since=%.3f%s%s", tail,
                                options->since, options->timestamps ? "&timestamps=1" : "",
                                options->follow > 0 ? "&follow=1" : "");
  char *path = after ? dr__engine_path("/containers/", options->container, after) : NULL;
  free(after);
  return path;
}

int dr__docker_logs_start(dr_docker_logs **out, dr_engine *engine,
                          const dr_docker_logs_options *options, dr_err *err) {
  dr_docker_logs *logs = calloc(1, sizeof *logs);
  char *path = path_of(options);
  if (!logs || !path) {
    free(logs);
    free(path);
    return dr__err_nomem(err);
  }
  logs->log.keep = DR_LOGS_KEEP;
  logs->frames.on_output = on_output;
  logs->frames.data = logs;
  logs->follows = options->follow > 0;
  logs->on_output = options->on_output;
  logs->on_done = options->on_done;
  logs->data = options->data;
  const dr_engine_request request = {.path = path,
                                     .timeout_s = options->follow,
                                     .on_body = on_body,
                                     .on_done = on_done,
                                     .data = logs};
  int status = dr__engine_start(&logs->call, engine, &request, err);
  free(path);
  if (status)
    logs_free(logs);
  else
    *out = logs;
  return status;
}
