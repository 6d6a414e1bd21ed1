/* docker_wait.c - see docker_wait.h. Owns a timer, the inspection under way, the HTTP check and, at
 * the end, the reading of the log. Called by the op docker.wait_healthy and by the loop, on the
 * runtime's thread. Freed by the timer's close callback.
 */
#include "docker_wait.h"

#include "core/err.h"
#include "docker_logs.h"
#include "http/http_args.h"
#include "http/http_wait.h"

#include <stdlib.h>
#include <string.h>

enum { PAUSE_MS = 50, INSPECT_TIMEOUT = 10, CHECK_TIMEOUT = 5, OOM_LOOKS = 10 };

struct dr_docker_wait {
  dr_http *http;
  dr_engine *engine;
  dr_docker_wait_options options;
  uv_timer_t timer;
  uint64_t started_ns;
  uint64_t steady_since_ns; /* since when it has been seen running without a break; 0: not */
  dr_engine_call *inspecting;
  dr_docker_logs *logs;
  dr_http_wait *checking;
  char socket[256]; /* through which the HTTP check goes; "": directly */
  json_t *url;      /* of the HTTP check: {url, headers, …}, owned */
  char answer[200]; /* why the last answer was not good enough, or "" */
  bool answers;     /* the HTTP check was met */
  bool seen;        /* `state` is filled */
  int first_restarts;
  int oom_looks; /* at a container that was killed: the engine may hear later that it was for memory
                  */
  dr_container_state state;
  dr_err err; /* why it ends, while the log is read */
};

static double seconds_of(const dr_docker_wait *wait) {
  return (double)(uv_hrtime() - wait->started_ns) / 1e9;
}

static const char *name_of(const dr_docker_wait *wait) {
  if (wait->options.name) return wait->options.name;
  return wait->state.name[0] ? wait->state.name : wait->options.container;
}

const char *dr__docker_exit_meaning(int code) {
  switch (code) {
  case 125: return "the engine could not run it";
  case 126: return "its command cannot be executed";
  case 127: return "its command was not found";
  case 137: return "killed by signal 9, KILL";
  case 139: return "crashed by signal 11, SEGV";
  case 143: return "ended by signal 15, TERM";
  default: return "";
  }
}

/* ------------------------------------------------------------ the end */

static void on_closed(uv_handle_t *handle) {
  dr_docker_wait *wait = handle->data;
  json_decref(wait->url);
  dr_err_clear(&wait->err);
  free(wait);
}

static void stop_checking(dr_docker_wait *wait) {
  if (wait->inspecting) dr__engine_cancel(wait->inspecting);
  if (wait->checking) dr__http_wait_cancel(wait->checking);
  wait->inspecting = NULL;
  wait->checking = NULL;
}

void dr__docker_wait_cancel(dr_docker_wait *wait) {
  stop_checking(wait);
  if (wait->logs) dr__docker_logs_cancel(wait->logs);
  wait->logs = NULL;
  uv_close((uv_handle_t *)&wait->timer, on_closed);
}

/* The wait's memory lives until its timer is closed. */
static void end(dr_docker_wait *wait, dr_docker_waited waited) {
  waited.seconds = seconds_of(wait);
  dr__docker_wait_cancel(wait);
  wait->options.on_done(wait->options.data, &waited);
}

static void end_well(dr_docker_wait *wait, const char *how) {
  end(wait, (dr_docker_waited){.state = &wait->state, .how = how});
}

static void end_failed(dr_docker_wait *wait) {
  end(wait, (dr_docker_waited){.err = &wait->err});
}

static void on_logs(void *data, const dr_capture *log, dr_err *err) {
  dr_docker_wait *wait = data;
  (void)err; /* the reason to fail is known already */
  wait->logs = NULL;
  char *tail = log ? dr__capture_tail(log) : NULL;
  const char *check = wait->state.last_check;
  char *detail = dr__http_format("%s%s%s%s", check[0] ? "health check: " : "", check,
                                 check[0] ? "\n" : "", tail ? tail : "");
  if (detail && detail[0]) dr__err_detail(&wait->err, detail, strlen(detail));
  free(detail);
  free(tail);
  end_failed(wait);
}

/* wait->err is filled: adds the last log lines, then ends. */
static void end_with_log(dr_docker_wait *wait) {
  dr_err ignored = DR_ERR_INIT;
  stop_checking(wait);
  uv_timer_stop(&wait->timer);
  const dr_docker_logs_options options = {.container = wait->options.container,
                                          .tail = wait->options.tail,
                                          .on_done = on_logs,
                                          .data = wait};
  if (dr__docker_logs_start(&wait->logs, wait->engine, &options, &ignored) == 0) return;
  dr_err_clear(&ignored);
  end_failed(wait);
}

/* ------------------------------------------------------------ what is wrong */

static void fail_exited(dr_docker_wait *wait) {
  const dr_container_state *state = &wait->state;
  bool memory = dr__docker_out_of_memory(state);
  const char *meaning = state->oom_killed ? "killed because its memory ran out"
                        : memory          ? "killed, most likely because its memory ran out"
                                          : dr__docker_exit_meaning(state->exit_code);
  bool again = state->restarts > wait->first_restarts || strcmp(state->status, "restarting") == 0;
  if (state->failure[0]) {
    dr__fail(&wait->err, "docker.exited", "%s could not be started: %s", name_of(wait),
             state->failure);
  } else {
    dr__fail(&wait->err, memory ? "docker.out_of_memory" : "docker.exited",
             "%s exited with code %d%s%s%s", name_of(wait), state->exit_code,
             meaning[0] ? " (" : "", meaning, meaning[0] ? ")" : "");
  }
  if (memory && state->memory_limit > 0)
    dr__err_hint(&wait->err, "its limit is %.0f MB: raise it, or let the program need less%s",
                 (double)state->memory_limit / 1048576,
                 state->oom_killed ? "" : "; unless somebody killed it (docker kill, docker stop)");
  else
    dr__err_hint(&wait->err, "%s",
                 again ? "it is being restarted again and again; its last log lines are shown"
                       : "its last log lines are shown; run the image by hand to look closer");
}

static void fail_unhealthy(dr_docker_wait *wait) {
  dr__fail(&wait->err, "docker.unhealthy", "%s is running, but its health check fails",
           name_of(wait));
  dr__err_hint(&wait->err, "what the check said and the last log lines are shown");
}

/* What it is waited for. */
static const char *lacking(const dr_docker_wait *wait) {
  const dr_container_state *state = &wait->state;
  if (!wait->seen) return "the Docker Engine has not answered yet";
  if (!state->running) return "it is not running yet";
  if (wait->options.only_running) return "it has not been running long enough yet";
  if (state->health == DR_HEALTH_STARTING) return "its health check has not passed yet";
  if (!wait->options.http) return "it has not been running long enough yet";
  return wait->answer[0] ? wait->answer : "it does not answer as expected yet";
}

static void fail_late(dr_docker_wait *wait, dr_err *cause) {
  dr__fail(&wait->err, "docker.unhealthy", "%s was not healthy within %g s: %s", name_of(wait),
           wait->options.within_s, cause ? cause->message : lacking(wait));
  dr__err_hint(&wait->err,
               "its last log lines are shown. If it only needs longer, raise the time it is given");
  if (cause) dr__err_because(&wait->err, cause);
}

/* ------------------------------------------------------------ the HTTP check */

static void on_answer(void *data, const char *last, unsigned attempts, double seconds) {
  dr_docker_wait *wait = data;
  (void)attempts;
  (void)seconds;
  dr__copy_text(wait->answer, sizeof wait->answer, last);
}

static void on_checked(void *data, dr_http_waited *waited) {
  dr_docker_wait *wait = data;
  wait->checking = NULL;
  if (waited->answer) {
    wait->answers = true;
    if (wait->state.health == DR_HEALTH_NONE || wait->state.health == DR_HEALTH_HEALTHY)
      end_well(wait, "answers");
    return;
  }
  fail_late(wait, waited->err);
  end_with_log(wait);
}

static int port_of(const dr_docker_wait *wait) {
  json_int_t port = json_integer_value(json_object_get(wait->options.http, "port"));
  return port > 0 && port < 65536 ? (int)port : 80;
}

/* The request's JSON: `http` with the URL of the container's own address. */
static json_t *request_of(const dr_docker_wait *wait) {
  json_t *http = wait->options.http;
  const char *path = json_string_value(json_object_get(http, "path"));
  const char *host = json_string_value(json_object_get(http, "host"));
  const char *scheme = json_string_value(json_object_get(http, "scheme"));
  json_t *request = json_copy(http);
  json_object_set_new(request, "url",
                      json_sprintf("%s://%s:%d/%s", scheme ? scheme : "http", wait->state.address,
                                   port_of(wait), path ? path + (path[0] == '/') : ""));
  json_object_set_new(request, "headers", json_pack("{s:s}", "Host", host ? host : "localhost"));
  return request;
}

static int find_route(dr_docker_wait *wait) {
  const dr_docker_wait_options *o = &wait->options;
  if (!o->route) return 0;
  return o->route(o->data, wait->state.address, port_of(wait), wait->socket, sizeof wait->socket,
                  &wait->err);
}

/* After a restart its address may be another. */
static void forget_check(dr_docker_wait *wait) {
  if (wait->checking) dr__http_wait_cancel(wait->checking);
  wait->checking = NULL;
  wait->answer[0] = '\0';
  wait->answers = false;
  json_decref(wait->url);
  wait->url = NULL;
}

static int begin_check(dr_docker_wait *wait) {
  wait->url = request_of(wait);
  if (!wait->url) return dr__err_nomem(&wait->err);
  int status = find_route(wait);
  if (status) return status;
  dr_http_wait_options options = {
      .request = dr__http_request_of(wait->url, CHECK_TIMEOUT),
      .expected = dr__http_expectation_of(wait->url),
      .within_s = wait->options.within_s - seconds_of(wait),
      .on_progress = on_answer,
      .on_done = on_checked,
      .data = wait,
  };
  if (options.within_s < 0.001) options.within_s = 0.001;
  options.request.direct = true;
  if (wait->socket[0]) options.request.unix_socket = wait->socket;
  return dr__http_wait_start(&wait->checking, wait->http, &options, &wait->err);
}

/* ------------------------------------------------------------ inspecting */

static bool has_ended(const dr_docker_wait *wait) {
  const dr_container_state *state = &wait->state;
  bool restarted = state->restarts - wait->first_restarts > wait->options.restarts;
  if (restarted) return true;
  if (strcmp(state->status, "restarting") == 0) return wait->options.restarts == 0;
  return strcmp(state->status, "exited") == 0 || strcmp(state->status, "dead") == 0;
}

static bool is_steady(dr_docker_wait *wait, bool restarted) {
  uint64_t now = uv_hrtime();
  if (!wait->state.running || restarted) wait->steady_since_ns = 0;
  if (!wait->state.running) return false;
  if (wait->steady_since_ns == 0) wait->steady_since_ns = now;
  return (double)(now - wait->steady_since_ns) / 1e9 >= wait->options.steady_s;
}

/* Running, and nothing speaks against it; true when the wait has ended. */
static bool judge_running(dr_docker_wait *wait, bool restarted) {
  const dr_container_state *state = &wait->state;
  bool steady = is_steady(wait, restarted);
  if (wait->options.only_running) {
    if (steady) end_well(wait, "running");
    return steady;
  }
  if (!state->running || state->health == DR_HEALTH_STARTING) return false;
  if (wait->options.http && !wait->answers) {
    if (wait->checking || !state->address[0]) return false;
    if (begin_check(wait) == 0) return false;
    end_failed(wait);
    return true;
  }
  if (state->health == DR_HEALTH_NONE && !wait->answers && !steady) return false;
  end_well(wait, wait->answers                        ? "answers"
                 : state->health == DR_HEALTH_HEALTHY ? "healthy"
                                                      : "running");
  return true;
}

/* Killed, and not known for what: the engine hears of the end and of the memory separately. */
static bool may_be_out_of_memory(dr_docker_wait *wait) {
  return wait->state.exit_code == 137 && !dr__docker_out_of_memory(&wait->state) &&
         wait->oom_looks++ < OOM_LOOKS;
}

/* Decides what the newest inspection means; true when the wait has ended or reads the log to end.
 */
static bool judge(dr_docker_wait *wait, bool restarted) {
  if (has_ended(wait) && may_be_out_of_memory(wait)) return false;
  if (has_ended(wait))
    fail_exited(wait);
  else if (wait->state.health == DR_HEALTH_UNHEALTHY && !wait->options.only_running)
    fail_unhealthy(wait);
  else
    return judge_running(wait, restarted);
  end_with_log(wait);
  return true;
}

static void on_timer(uv_timer_t *timer);

static void look_again_soon(dr_docker_wait *wait) {
  uv_update_time(wait->timer.loop);
  uv_timer_start(&wait->timer, on_timer, PAUSE_MS, 0);
}

static void on_inspected(void *data, dr_engine_answer *answer, dr_err *err) {
  dr_docker_wait *wait = data;
  wait->inspecting = NULL;
  if (err) {
    dr__err_move(&wait->err, err);
    end_failed(wait);
    return;
  }
  dr_container_state before = wait->state;
  dr__docker_state(answer->json, &wait->state);
  if (!wait->seen) wait->first_restarts = wait->state.restarts;
  bool restarted = wait->seen && strcmp(before.started, wait->state.started) != 0;
  wait->seen = true;
  if (restarted) forget_check(wait);
  if (judge(wait, restarted)) return;
  if (wait->options.on_progress)
    wait->options.on_progress(wait->options.data, lacking(wait), seconds_of(wait));
  look_again_soon(wait);
}

static int inspect(dr_docker_wait *wait, dr_err *err) {
  char *path = dr__engine_path("/containers/", wait->options.container, "/json");
  if (!path) return dr__err_nomem(err);
  const dr_engine_request request = {
      .path = path, .timeout_s = INSPECT_TIMEOUT, .on_done = on_inspected, .data = wait};
  int status = dr__engine_start(&wait->inspecting, wait->engine, &request, err);
  free(path);
  return status;
}

static void on_timer(uv_timer_t *timer) {
  dr_docker_wait *wait = timer->data;
  if (seconds_of(wait) >= wait->options.within_s && wait->checking) {
    look_again_soon(wait); /* the check is out of time too, and knows more */
  } else if (seconds_of(wait) >= wait->options.within_s) {
    fail_late(wait, NULL);
    end_with_log(wait);
  } else if (inspect(wait, &wait->err) != 0) {
    end_failed(wait);
  }
}

int dr__docker_wait_start(dr_docker_wait **out, dr_http *http, dr_engine *engine,
                          const dr_docker_wait_options *options, dr_err *err) {
  dr_docker_wait *wait = calloc(1, sizeof *wait);
  if (!wait) return dr__err_nomem(err);
  wait->http = http;
  wait->engine = engine;
  wait->options = *options;
  wait->started_ns = uv_hrtime();
  uv_timer_init(dr__http_loop(http), &wait->timer);
  wait->timer.data = wait;
  int status = inspect(wait, err);
  if (status)
    dr__docker_wait_cancel(wait);
  else
    *out = wait;
  return status;
}
