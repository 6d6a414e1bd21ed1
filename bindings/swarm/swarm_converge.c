/* swarm_converge.c - the op swarm.converge: waits until services are what they were told to be.
 * Looks some times a second at the services and their tasks, through the Engine of a manager.
 *
 * The swarm may call an update completed whose tasks end as soon as they begin (it misses those
 * that fail before it has noted their start), and between two ends such tasks run. So where a task
 * of the new description has failed, all must run for some time. And where a failed task was begun
 * again while the swarm rolled back, it tidies up by one more update, whose end hides the rollback.
 * Called through the gate and from the loop, on the runtime's thread.
 */
#include "swarm.h"

#include "core/err.h"
#include "docker/docker_check.h"
#include "docker/docker_frames.h"
#include "swarm_state.h"
#include "target/capture.h"

#include <stdlib.h>
#include <string.h>

enum { USUAL_WITHIN = 300 };
#define LOOK_EVERY 0.075
#define STEADY 8.0 /* seconds; the swarm begins a task again after 5 */

typedef struct converge {
  json_t *services;
  uint64_t started_ns;
  dr_swarm_state last; /* of the service that is not well yet */
  dr_swarm_state back; /* of one that was seen to go back; its name is "" when there is none */
  uint64_t well_ns;    /* since when all are well; 0: they are not */
  dr_err err;          /* while the log of a failed task is read */
  dr_frames frames;
  dr_capture log;
} converge;

static void converge_free(void *data) {
  converge *self = data;
  json_decref(self->services);
  dr_err_clear(&self->err);
  dr__capture_free(&self->log);
  free(self);
}

static double bound_of(const dr_op *op) {
  return dr__arg_number(op, "within", USUAL_WITHIN);
}

static double seconds_of(const converge *self) {
  return (double)(uv_hrtime() - self->started_ns) / 1e9;
}

static const char *subject_of(const dr_op *op) {
  return dr__arg_string(op, "service", dr__arg_string(op, "stack", ""));
}

/* ------------------------------------------------------------ the end */

static void on_log_output(void *data, int stream, const char *bytes, size_t length) {
  converge *self = data;
  dr__capture_add(&self->log, stream, bytes, length);
}

static int on_log_body(void *data, const char *bytes, size_t length) {
  converge *self = ((dr_docker_steps *)data)->data;
  dr__frames_feed(&self->frames, bytes, length);
  return 0;
}

static void on_log(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  converge *self = steps->data;
  (void)answer;
  (void)err; /* why it failed is known already */
  dr__frames_end(&self->frames);
  char *tail = dr__capture_tail(&self->log);
  if (tail && tail[0]) dr__err_detail(&self->err, tail, strlen(tail));
  free(tail);
  dr__docker_steps_fail(steps, &self->err);
}

/* self->err is filled: adds what the failed task wrote, where there is one. */
static void fail_with_log(dr_docker_steps *steps) {
  converge *self = steps->data;
  dr__docker_steps_after(steps, 0, NULL);
  if (!self->last.task[0]) {
    dr__docker_steps_fail(steps, &self->err);
    return;
  }
  self->frames.on_output = on_log_output;
  self->frames.data = self;
  const dr_docker_step step = {
      .path = dr__engine_path("/tasks/", self->last.task, "/logs?stdout=1&stderr=1&tail=20"),
      .timeout_s = 10,
      .on_body = on_log_body,
      .next = on_log};
  dr__docker_steps_go(steps, &step);
}

static void fail_update(dr_docker_steps *steps) {
  converge *self = steps->data;
  const dr_swarm_state *state = &self->last;
  bool back = state->verdict == DR_SWARM_ROLLED_BACK;
  const char *why = state->failure[0] ? state->failure : state->message;
  if (back) {
    dr__fail(&self->err, "swarm.rolled_back", "the update of %s failed and was rolled back: %s",
             state->name, why);
    dr__err_hint(&self->err, "what ran before runs again; what the failed task wrote is shown");
  } else {
    dr__fail(&self->err, "swarm.paused", "the update of %s failed and was paused: %s", state->name,
             why);
    dr__err_hint(&self->err,
                 "old and new tasks run side by side: swarm:rollback(\"%s\"), or "
                 "update again",
                 state->name);
  }
  fail_with_log(steps);
}

static void fail_late(dr_docker_steps *steps) {
  converge *self = steps->data;
  const dr_swarm_state *state = &self->last;
  dr__fail(&self->err, "swarm.not_converged",
           "within %g s %s did not come so far: %d of %d tasks run%s%s", bound_of(steps->op),
           state->name[0] ? state->name : subject_of(steps->op), state->running, state->wanted,
           state->failure[0] ? "; the last failed: " : "", state->failure);
  dr__err_hint(&self->err, "`docker service ps %s` shows each task", state->name);
  fail_with_log(steps);
}

static void end_well(dr_docker_steps *steps) {
  const converge *self = steps->data;
  dr__docker_steps_done(steps, json_pack("{s:b, s:I, s:f}", "converged", 1, "services",
                                         (json_int_t)json_array_size(self->services), "seconds",
                                         seconds_of(self)));
}

/* ------------------------------------------------------------ looking */

static void look(dr_docker_steps *steps);

/* True when what is well now, `shaky` or not, has been so for long enough. */
static bool is_steady(converge *self, bool shaky) {
  uint64_t now = uv_hrtime();
  if (self->well_ns == 0) self->well_ns = now;
  return !shaky || (double)(now - self->well_ns) / 1e9 >= STEADY;
}

/* The service that is worst off is kept; true when all are well. */
static bool judge_all(converge *self, const json_t *tasks) {
  size_t i;
  const json_t *service;
  bool well = true, shaky = false;
  json_array_foreach(self->services, i, service) {
    dr_swarm_state state;
    dr__swarm_judge(service, tasks, &state);
    shaky = shaky || state.shaky;
    if (strncmp(state.update, "rollback_", 9) == 0) self->back = state;
    if (well && state.shaky) self->last = state;
    if (state.verdict == DR_SWARM_WELL) continue;
    if (well || state.verdict > self->last.verdict) self->last = state;
    well = false;
  }
  if (!well) self->well_ns = 0;
  if (!well || !is_steady(self, shaky)) return false;
  if (!self->back.name[0]) return true;
  self->last = self->back;
  self->last.verdict = DR_SWARM_ROLLED_BACK;
  return false;
}

static void show(dr_docker_steps *steps) {
  const converge *self = steps->data;
  const dr_swarm_state *state = &self->last;
  dr__op_progress(steps->op, "%s: %d of %d new tasks run, %d old%s%s (%.0f of %.0f s)", state->name,
                  state->running, state->wanted, state->leaving, state->update[0] ? ", " : "",
                  state->update, seconds_of(self), bound_of(steps->op));
}

static void on_tasks(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  converge *self = steps->data;
  if (err) {
    dr__docker_steps_fail(steps, err);
  } else if (judge_all(self, answer->json)) {
    end_well(steps);
  } else if (self->last.verdict >= DR_SWARM_ROLLED_BACK) {
    fail_update(steps);
  } else if (seconds_of(self) >= bound_of(steps->op)) {
    fail_late(steps);
  } else {
    show(steps);
    if (dr__docker_steps_after(steps, LOOK_EVERY, look) == 0) return;
    dr__err_nomem(&self->err);
    dr__docker_steps_fail(steps, &self->err);
  }
}

/* {"service": [id, …]} */
static char *tasks_path(const converge *self) {
  json_t *ids = json_array(), *service;
  size_t i;
  json_array_foreach(self->services, i, service)
    json_array_append(ids, json_object_get(service, "ID"));
  json_t *filters = json_pack("{s:o}", "service", ids);
  char *text = json_dumps(filters, JSON_COMPACT);
  char *path = text ? dr__engine_path("/tasks?filters=", text, "") : NULL;
  free(text);
  json_decref(filters);
  return path;
}

/* The Engine's filter by name takes every service whose name begins so. */
static json_t *chosen(const dr_op *op, json_t *services) {
  const char *name = dr__arg_string(op, "service", NULL);
  json_t *list = json_array(), *service;
  size_t i;
  json_array_foreach(services, i, service) {
    const json_t *own = json_object_get(json_object_get(service, "Spec"), "Name");
    const json_t *id = json_object_get(service, "ID");
    bool fits = !name || (json_is_string(own) && strcmp(json_string_value(own), name) == 0) ||
                (json_is_string(id) && strcmp(json_string_value(id), name) == 0);
    if (fits) json_array_append(list, service);
  }
  return list;
}

static void on_services(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  converge *self = steps->data;
  if (err) {
    dr__swarm_explain(err);
    dr__docker_steps_fail(steps, err);
    return;
  }
  json_decref(self->services);
  self->services = chosen(steps->op, answer->json);
  if (json_array_size(self->services) == 0) {
    dr__fail(&self->err, "swarm.no_such_service", "the swarm has no service of %s",
             subject_of(steps->op));
    dr__err_hint(&self->err, "`docker service ls` lists all");
    dr__docker_steps_fail(steps, &self->err);
    return;
  }
  const dr_docker_step step = {.path = tasks_path(self), .next = on_tasks};
  dr__docker_steps_go(steps, &step);
}

static void look(dr_docker_steps *steps) {
  const dr_docker_step step = {.path = dr__swarm_services_path(steps->op), .next = on_services};
  dr__docker_steps_go(steps, &step);
}

/* ------------------------------------------------------------ the op */

int dr__swarm_converge_check(const dr_op *op, dr_err *err) {
  bool service = dr__arg(op, "service") != NULL;
  return dr__docker_check_name(subject_of(op), service ? "name of a service" : "name of a stack",
                               err);
}

int dr__swarm_converge_start(dr_op *op, dr_err *err) {
  converge *self = calloc(1, sizeof *self);
  if (!self) return dr__err_nomem(err);
  self->started_ns = uv_hrtime();
  self->log.keep = 1 << 16;
  dr_docker_steps *steps = dr__docker_steps_new(op, self, converge_free, err);
  if (!steps) return DR_FAILED;
  return dr__docker_steps_after(steps, 0.001, look) == 0 ? 0 : dr__err_nomem(err);
}

char *dr__swarm_converge_preview(const dr_op *op) {
  const char *service = dr__arg_string(op, "service", NULL);
  return dr__http_format("wait until %s %s is as described (at most %g s)",
                         service ? "the service" : "every service of", subject_of(op),
                         bound_of(op));
}

json_t *dr__swarm_converge_assume(const dr_op *op) {
  (void)op;
  return json_pack("{s:b, s:i, s:f}", "converged", 1, "services", 1, "seconds", 0.0);
}

const dr_arg dr__swarm_converge_args[] = {{"socket", DR_ARG_STRING, DR_REQUIRED},
                                          {"service", DR_ARG_STRING, 0},
                                          {"stack", DR_ARG_STRING, 0},
                                          {"within", DR_ARG_DURATION, 0},
                                          {0}};
