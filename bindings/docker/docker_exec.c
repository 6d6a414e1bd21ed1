/* docker_exec.c - the op docker.exec: a command in a running container. Three calls: create it,
 * start it and read what it writes until it ends, ask for its exit code. Called through the gate
 * and from the loop, on the runtime's thread.
 *
 * The Engine cannot end an exec: when the op is cancelled or out of time the command may go on in
 * the container, and the error says so.
 */
#include "docker.h"

#include "core/err.h"
#include "docker_frames.h"
#include "target/capture.h"
#include "target/target.h"

#include <stdlib.h>
#include <string.h>

enum { KEEP = 1 << 20, USUAL_TIMEOUT = 600, ASK_AGAIN_MS = 10, ASKED_ENOUGH = 500 };

typedef struct exec {
  dr_op *op;
  dr_engine *engine;
  dr_engine_call *under_way;
  uv_timer_t *timer;
  dr_frames frames;
  dr_capture capture;
  char *id;
  bool started; /* the command may run */
  int asked;
} exec;

/* ------------------------------------------------------------ the end */

static void on_freed(uv_handle_t *handle) {
  free(handle);
}

static void release(dr_op *op) {
  exec *self = op->self;
  if (!self) return;
  op->self = NULL;
  if (self->under_way) dr__engine_cancel(self->under_way);
  if (self->timer) uv_close((uv_handle_t *)self->timer, on_freed);
  dr__capture_free(&self->capture);
  free(self->id);
  free(self);
}

static void cancel(dr_op *op) {
  bool started = ((const exec *)op->self)->started;
  release(op);
  if (started)
    dr__op_fail_cancelled(op, "%s was cancelled; the command may still run in the container",
                          op->spec->name);
  else
    dr__docker_fail_cancelled(op);
}

static void fail(exec *self, dr_err *err) {
  char *tail = dr__capture_tail(&self->capture);
  if (tail && tail[0]) dr__err_detail(err, tail, strlen(tail));
  free(tail);
  dr__docker_fail(self->op, err);
}

static void fail_status(exec *self, int status) {
  dr_err err = DR_ERR_INIT;
  char shown[160], command[160];
  dr__docker_shown(self->op, shown, sizeof shown);
  dr__command_name(dr__arg(self->op, "command"), command, sizeof command);
  dr__fail(&err, "command.failed", "%s in %s exited with status %d", command, shown, status);
  dr__err_hint(&err, "%s",
               status == 126   ? "the program exists but may not be executed"
               : status == 127 ? "the program was not found in the container"
                               : "what it wrote last is shown; run it by hand there (docker "
                                 "exec) to see more. Where that status is no failure, say "
                                 "any_status = true");
  fail(self, &err);
}

static void end(exec *self, int status) {
  dr_err err = DR_ERR_INIT;
  if (status != 0 && !dr__arg_boolean(self->op, "any_status", false)) {
    fail_status(self, status);
    return;
  }
  json_t *result = dr__capture_result(&self->capture, status);
  if (result) {
    dr__op_done(self->op, result);
    return;
  }
  dr__err_nomem(&err);
  fail(self, &err);
}

/* ------------------------------------------------------------ the calls, last to first */

static int call(exec *self, const char *method, const char *before, const char *name,
                const char *after, const json_t *body,
                void (*on_done)(void *, dr_engine_answer *, dr_err *), dr_err *err) {
  char *path = dr__engine_path(before, name, after);
  if (!path) return dr__err_nomem(err);
  const dr_engine_request request = {
      .method = method, .path = path, .body = body, .on_done = on_done, .data = self};
  int status = dr__op_whole(self->op, err);
  if (status == DR_OK) status = dr__engine_start(&self->under_way, self->engine, &request, err);
  free(path);
  return status;
}

static void ask(exec *self);

static void on_ask_again(uv_timer_t *timer) {
  ask(timer->data);
}

/* Right after the output has ended the Engine may not know yet that the command has too. */
static void on_inspected(void *data, dr_engine_answer *answer, dr_err *err) {
  exec *self = data;
  self->under_way = NULL;
  if (err) {
    fail(self, err);
    return;
  }
  const json_t *code = json_object_get(answer->json, "ExitCode");
  if (json_is_true(json_object_get(answer->json, "Running")) && ++self->asked < ASKED_ENOUGH) {
    uv_timer_start(self->timer, on_ask_again, ASK_AGAIN_MS, 0);
  } else if (json_is_integer(code)) {
    end(self, (int)json_integer_value(code));
  } else {
    dr_err lost = DR_ERR_INIT;
    dr__fail(&lost, "command.status_lost", "the Docker Engine does not tell how the command ended");
    fail(self, &lost);
  }
}

static void ask(exec *self) {
  dr_err err = DR_ERR_INIT;
  if (call(self, "GET", "/exec/", self->id, "/json", NULL, on_inspected, &err) != 0)
    fail(self, &err);
}

static void on_output(void *data, int stream, const char *bytes, size_t length) {
  exec *self = data;
  dr__capture_add(&self->capture, stream, bytes, length);
  dr__op_output(self->op, stream, bytes, length);
}

static int on_body(void *data, const char *bytes, size_t length) {
  exec *self = data;
  dr__frames_feed(&self->frames, bytes, length);
  return 0;
}

static void on_ended(void *data, dr_engine_answer *answer, dr_err *err) {
  exec *self = data;
  (void)answer;
  self->under_way = NULL;
  dr__frames_end(&self->frames);
  if (!err) {
    ask(self);
    return;
  }
  if (strcmp(err->code, "docker.timeout") == 0)
    dr__fail(err, "command.timeout",
             "the command did not end within %g s and may still run in the container",
             dr__arg_number(self->op, "timeout", USUAL_TIMEOUT));
  fail(self, err);
}

static int run(exec *self, dr_err *err) {
  char *path = dr__engine_path("/exec/", self->id, "/start");
  json_t *body = json_pack("{s:b, s:b}", "Detach", 0, "Tty", 0);
  int status = DR_FAILED;
  if (path && body) {
    const dr_engine_request request = {.method = "POST",
                                       .path = path,
                                       .body = body,
                                       .timeout_s =
                                           dr__arg_number(self->op, "timeout", USUAL_TIMEOUT),
                                       .on_body = on_body,
                                       .on_done = on_ended,
                                       .data = self};
    status = dr__op_whole(self->op, err);
    if (status == DR_OK) status = dr__engine_start(&self->under_way, self->engine, &request, err);
    self->started = status == DR_OK;
  } else {
    dr__err_nomem(err);
  }
  json_decref(body);
  free(path);
  return status;
}

static void on_created(void *data, dr_engine_answer *answer, dr_err *err) {
  exec *self = data;
  dr_err problem = DR_ERR_INIT;
  self->under_way = NULL;
  if (err) {
    fail(self, err);
    return;
  }
  const char *id = json_string_value(json_object_get(answer->json, "Id"));
  self->id = id ? strdup(id) : NULL;
  if (!id)
    dr__fail(&problem, "docker.engine", "the Docker Engine gave the command no id");
  else if (!self->id)
    dr__err_nomem(&problem);
  if (problem.code[0] || run(self, &problem) != 0) fail(self, &problem);
}

/* ------------------------------------------------------------ the op */

static json_t *words_of(json_t *command) {
  if (json_is_array(command)) return json_incref(command);
  return json_pack("[s, s, O]", "/bin/sh", "-c", command);
}

static json_t *environment_of(json_t *env) {
  json_t *list = json_array();
  const char *name;
  json_t *value;
  json_object_foreach(env, name, value) {
    json_array_append_new(list, json_sprintf("%s=%s", name, json_string_value(value)));
  }
  return list;
}

static json_t *body_of(const dr_op *op) {
  return json_pack("{s:b, s:b, s:b, s:o, s:o, s:s*, s:s*}", "AttachStdout", 1, "AttachStderr", 1,
                   "Tty", 0, "Cmd", words_of(dr__arg(op, "command")), "Env",
                   environment_of(dr__arg(op, "env")), "User", dr__arg_string(op, "user", NULL),
                   "WorkingDir", dr__arg_string(op, "dir", NULL));
}

static int create(exec *self, dr_err *err) {
  json_t *body = body_of(self->op);
  if (!body) return dr__err_nomem(err);
  int status = call(self, "POST", "/containers/", dr__arg_string(self->op, "container", ""),
                    "/exec", body, on_created, err);
  json_decref(body);
  return status;
}

int dr__docker_exec_start(dr_op *op, dr_err *err) {
  exec *self = calloc(1, sizeof *self);
  uv_timer_t *timer = calloc(1, sizeof *timer);
  if (!self || !timer) {
    free(self);
    free(timer);
    return dr__err_nomem(err);
  }
  uv_timer_init(op->loop, timer);
  timer->data = self;
  self->op = op;
  self->timer = timer;
  self->capture.keep = KEEP;
  self->frames.on_output = on_output;
  self->frames.data = self;
  op->self = self;
  op->cancel = cancel;
  op->release = release;
  self->engine = dr__docker_engine_of(op, err);
  return self->engine ? create(self, err) : DR_FAILED;
}

char *dr__docker_exec_preview(const dr_op *op) {
  char shown[160];
  json_t *words = words_of(dr__arg(op, "command"));
  char *line = words ? dr__shell_quote(words) : NULL;
  const char *user = dr__arg_string(op, "user", "");
  dr__docker_shown(op, shown, sizeof shown);
  char *text = line ? dr__http_format("docker exec %s%s%s%s %s", user[0] ? "--user " : "", user,
                                      user[0] ? " " : "", shown, line)
                    : NULL;
  free(line);
  json_decref(words);
  return text;
}

json_t *dr__docker_exec_assume(const dr_op *op) {
  (void)op;
  return json_pack("{s:i, s:s, s:s, s:b}", "status", 0, "stdout", "", "stderr", "", "ok", 1);
}

const dr_arg dr__docker_exec_args[] = {{"socket", DR_ARG_STRING, DR_REQUIRED},
                                       {"container", DR_ARG_STRING, DR_REQUIRED},
                                       {"name", DR_ARG_STRING, 0},
                                       {"command", DR_ARG_COMMAND, DR_REQUIRED},
                                       {"user", DR_ARG_STRING, 0},
                                       {"dir", DR_ARG_STRING, 0},
                                       {"env", DR_ARG_MAP, 0},
                                       {"timeout", DR_ARG_DURATION, 0},
                                       {"any_status", DR_ARG_BOOLEAN, 0},
                                       {0}};
