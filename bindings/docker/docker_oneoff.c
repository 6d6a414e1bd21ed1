/* docker_oneoff.c - the op docker.oneoff: a command in a new container of its own, to its end.
 * Create (by a name of ours, so that it can be removed whatever was heard of it), start, follow
 * what it writes, ask how it ended, remove. Called through the gate and from the loop, on the
 * runtime's thread.
 *
 * The container is removed however the op ends: also when it is cancelled or out of time. One that
 * a killed deployrun left behind has the label deployrun.oneoff.
 */
#include "docker_create.h"

#include "core/err.h"
#include "docker_check.h"
#include "docker_frames.h"
#include "docker_json.h"
#include "target/capture.h"
#include "target/target.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEEP = 1 << 20, USUAL_TIMEOUT = 3600, MARGIN = 60, REMOVE_TIMEOUT = 20, OOM_LOOKS = 10 };

typedef struct oneoff {
  dr_docker_create create;
  dr_op *op;
  dr_frames frames;
  dr_capture capture;
  int status;
  int oom_looks; /* the engine may hear later that it was killed for memory */
  dr_err err;    /* how it failed, while the container is removed */
} oneoff;

static void oneoff_free(void *data) {
  oneoff *self = data;
  dr__docker_create_clear(&self->create);
  dr__capture_free(&self->capture);
  dr_err_clear(&self->err);
  free(self);
}

static double bound_of(const dr_op *op) {
  return dr__arg_number(op, "timeout", USUAL_TIMEOUT);
}

static char *container_path(const oneoff *self, const char *after) {
  return dr__engine_path("/containers/", self->create.container, after);
}

/* ------------------------------------------------------------ the end */

static void finish(dr_docker_steps *steps) {
  oneoff *self = steps->data;
  if (!self->err.code[0]) {
    dr__docker_steps_done(steps, dr__capture_result(&self->capture, self->status));
    return;
  }
  char *tail = dr__capture_tail(&self->capture);
  if (tail && tail[0] && !self->err.detail) dr__err_detail(&self->err, tail, strlen(tail));
  free(tail);
  dr__docker_steps_fail(steps, &self->err);
}

static void on_removed(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  oneoff *self = steps->data;
  (void)answer;
  bool gone = !err || strcmp(err->code, "docker.no_such_container") == 0;
  if (!gone && self->err.code[0])
    dr__docker_left_behind(&self->err, self->create.container, err);
  else if (!gone)
    dr__err_move(&self->err, err);
  finish(steps);
}

/* self->err says whether it went well. */
static void clean_up(dr_docker_steps *steps) {
  const oneoff *self = steps->data;
  dr__docker_steps_after(steps, 0, NULL);
  if (!self->create.container[0]) {
    finish(steps);
    return;
  }
  const dr_docker_step step = {.method = "DELETE",
                               .path = container_path(self, "?force=1&v=1"),
                               .timeout_s = REMOVE_TIMEOUT,
                               .changes = true,
                               .next = on_removed};
  dr__docker_steps_go(steps, &step);
}

static void give_up(dr_docker_steps *steps, dr_err *err) {
  oneoff *self = steps->data;
  dr__err_move(&self->err, err);
  clean_up(steps);
}

/* However the call under way ended: what it made has our name. */
static void on_cancelled(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *ended) {
  dr_err err = DR_ERR_INIT;
  (void)answer;
  (void)ended;
  dr__docker_create_clear(steps->data);
  dr__fail(&err, "cancelled", "it was stopped");
  give_up(steps, &err);
}

static void fail_late(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *ended) {
  dr_err err = DR_ERR_INIT;
  (void)answer;
  (void)ended;
  dr__fail(&err, "command.timeout", "the command in a new container of %s did not end within %g s",
           dr__arg_string(steps->op, "image", ""), bound_of(steps->op));
  dr__err_hint(&err, "if it may take longer, say timeout = seconds");
  give_up(steps, &err);
}

static void on_late(dr_docker_steps *steps) {
  dr__docker_steps_stop(steps, fail_late);
}

/* ------------------------------------------------------------ how it ended */

static void judge(dr_docker_steps *steps, const dr_container_state *state) {
  oneoff *self = steps->data;
  const dr_op *op = steps->op;
  const char *image = dr__arg_string(op, "image", "");
  if (dr__docker_out_of_memory(state)) {
    dr__fail(&self->err, "docker.out_of_memory",
             "the command in a new container of %s was killed%s its memory ran out", image,
             state->oom_killed ? ":" : ", most likely because");
    dr__err_hint(&self->err, "raise its limit (memory = \"1g\"), or give the server more%s",
                 state->oom_killed ? "" : "; unless somebody killed it (docker kill, docker stop)");
  } else if (self->status != 0 && !dr__arg_boolean(op, "any_status", false)) {
    dr__fail(&self->err, "command.failed",
             "the command in a new container of %s exited with status %d", image, self->status);
    dr__err_hint(&self->err, "%s",
                 self->status == 137
                     ? "it was killed by signal KILL: by somebody, or for memory"
                     : "what it wrote last is shown. Where that status is no failure, say "
                       "any_status = true");
  }
}

static void on_inspected(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err);

static void inspect(dr_docker_steps *steps) {
  const dr_docker_step step = {.path = container_path(steps->data, "/json"), .next = on_inspected};
  dr__docker_steps_go(steps, &step);
}

static void on_inspected(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  oneoff *self = steps->data;
  dr_container_state state;
  if (err) {
    give_up(steps, err);
    return;
  }
  dr__docker_state(answer->json, &state);
  self->status = state.exit_code;
  bool killed = self->status == 137 && !dr__docker_out_of_memory(&state);
  if (killed && self->oom_looks++ < OOM_LOOKS) {
    dr__docker_steps_after(steps, 0.05, inspect);
    return;
  }
  if (!state.running)
    judge(steps, &state);
  else
    dr__fail(&self->err, "command.status_lost",
             "the Docker Engine does not tell how the command ended");
  clean_up(steps);
}

static void on_waited(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  (void)answer;
  if (err) {
    give_up(steps, err);
    return;
  }
  inspect(steps);
}

/* ------------------------------------------------------------ what it writes */

static void on_output(void *data, int stream, const char *bytes, size_t length) {
  oneoff *self = data;
  dr__capture_add(&self->capture, stream, bytes, length);
  dr__op_output(self->op, stream, bytes, length);
}

static int on_body(void *data, const char *bytes, size_t length) {
  oneoff *self = ((dr_docker_steps *)data)->data;
  dr__frames_feed(&self->frames, bytes, length);
  return 0;
}

static void on_written(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  oneoff *self = steps->data;
  (void)answer;
  dr__frames_end(&self->frames);
  if (err) {
    give_up(steps, err);
    return;
  }
  const dr_docker_step step = {.method = "POST",
                               .path = container_path(self, "/wait"),
                               .timeout_s = bound_of(steps->op) + MARGIN,
                               .next = on_waited};
  dr__docker_steps_go(steps, &step);
}

/* ------------------------------------------------------------ the beginning */

static void on_started(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  (void)answer;
  if (err) {
    dr__docker_explain_start(err, "the new container");
    give_up(steps, err);
    return;
  }
  const dr_docker_step step = {.path =
                                   container_path(steps->data, "/logs?follow=1&stdout=1&stderr=1"),
                               .timeout_s = bound_of(steps->op) + MARGIN,
                               .on_body = on_body,
                               .next = on_written};
  dr__docker_steps_go(steps, &step);
}

static void on_created(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  (void)answer;
  if (err) {
    give_up(steps, err);
    return;
  }
  const dr_docker_step step = {.method = "POST",
                               .path = container_path(steps->data, "/start"),
                               .changes = true,
                               .next = on_started};
  dr__docker_steps_go(steps, &step);
}

static void create(dr_docker_steps *steps) {
  oneoff *self = steps->data;
  json_object_set_new(json_object_get(self->create.body, "Labels"), "deployrun.oneoff",
                      json_string("1"));
  if (dr__docker_steps_after(steps, bound_of(steps->op), on_late) != 0) {
    dr_err err = DR_ERR_INIT;
    dr__err_nomem(&err);
    dr__docker_steps_fail(steps, &err);
    return;
  }
  snprintf(self->create.container, sizeof self->create.container, "deployrun-oneoff-%d-%llx",
           (int)getpid(), (unsigned long long)uv_hrtime());
  dr__docker_create_go(steps, self->create.container, on_created);
}

static int start_oneoff(dr_op *op, dr_err *err) {
  oneoff *self = calloc(1, sizeof *self);
  if (!self) return dr__err_nomem(err);
  self->op = op;
  self->capture.keep = KEEP;
  self->frames.on_output = on_output;
  self->frames.data = self;
  dr_docker_steps *steps = dr__docker_steps_new(op, self, oneoff_free, err);
  if (!steps) return DR_FAILED;
  steps->on_cancel = on_cancelled;
  return dr__docker_create_begin(steps, create, err);
}

static char *preview_oneoff(const dr_op *op) {
  json_t *words = dr__docker_run_words(op->args, false);
  json_array_insert_new(words, 2, json_string("--rm"));
  char *text = dr__shell_quote(words);
  json_decref(words);
  return text;
}

static json_t *assume_oneoff(const dr_op *op) {
  (void)op;
  return json_pack("{s:i, s:s, s:s, s:b}", "status", 0, "stdout", "", "stderr", "", "ok", 1);
}

static const dr_arg oneoff_args[] = {{"socket", DR_ARG_STRING, DR_REQUIRED},
                                     DR_DOCKER_RUN_FIELDS,
                                     {"timeout", DR_ARG_DURATION, 0},
                                     {"any_status", DR_ARG_BOOLEAN, 0},
                                     {0}};

static const dr_opspec ops[] = {
    {.name = "docker.oneoff",
     .check = dr__docker_check_run,
     .kind = DR_ACTION,
     .effects = DR_CHANGE,
     .touches = (unsigned)DR_AREA_ALL,
     .args = oneoff_args,
     .preview = preview_oneoff,
     .assume = assume_oneoff,
     .start = start_oneoff},
    {0},
};

const dr_binding dr__binding_docker_oneoff = {.name = "docker_oneoff", .ops = ops};
