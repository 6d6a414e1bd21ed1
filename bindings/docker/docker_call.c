/* docker_call.c - the engines of a runtime, and ops that are one call to an engine. Called through
 * the gate and from the loop, on the runtime's thread.
 */
#include "docker.h"

#include "core/err.h"
#include "docker_steps.h"
#include "http/http.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------ the engines of a runtime */

typedef struct entry {
  struct entry *next;
  dr_engine *engine;
} entry;

typedef struct engines {
  entry *first;
} engines;

static void close_engines(void *value) {
  engines *all = value;
  while (all->first) {
    entry *gone = all->first;
    all->first = gone->next;
    dr__engine_free(gone->engine);
    free(gone);
  }
  free(all);
}

/* The client is made first, so that it is closed last. */
static engines *engines_of(dr_runtime *rt, dr_http **http, dr_err *err) {
  *http = dr__http_of(rt, err);
  if (!*http) return NULL;
  engines *all = dr__runtime_keep(rt, "docker.engines", sizeof *all, close_engines);
  if (!all) dr__err_nomem(err);
  return all;
}

static dr_engine *add_engine(engines *all, dr_http *http, const char *socket, dr_err *err) {
  entry *fresh = calloc(1, sizeof *fresh);
  dr_engine *engine = dr__engine_new(http, socket);
  if (!fresh || !engine) {
    free(fresh);
    dr__engine_free(engine);
    dr__err_nomem(err);
    return NULL;
  }
  fresh->engine = engine;
  fresh->next = all->first;
  all->first = fresh;
  return engine;
}

dr_engine *dr__docker_engine_of(const dr_op *op, dr_err *err) {
  dr_http *http;
  const char *socket = dr__arg_string(op, "socket", "");
  engines *all = engines_of(dr__op_runtime(op), &http, err);
  if (!all) return NULL;
  for (entry *it = all->first; it; it = it->next) {
    if (strcmp(dr__engine_socket(it->engine), socket) == 0) return it->engine;
  }
  return add_engine(all, http, socket, err);
}

/* ------------------------------------------------------------ ends of ops */

void dr__docker_fail(dr_op *op, dr_err *err) {
  dr__docker_explain_tunnel(dr__op_runtime(op), dr__arg_string(op, "socket", ""), err);
  dr__op_fail(op, err);
}

void dr__docker_fail_cancelled(dr_op *op) {
  dr__op_fail_cancelled(op, "%s was cancelled", op->spec->name);
}

void dr__docker_shown(const dr_op *op, char *text, size_t size) {
  const char *id = dr__arg_string(op, "container", "");
  const char *name = dr__arg_string(op, "name", "");
  size_t length = strlen(id);
  bool is_id = length == 64 && strspn(id, "0123456789abcdef") == 64;
  snprintf(text, size, "%.*s%s%s%s", is_id ? 12 : (int)length, id,
           name[0] && strcmp(name, id) != 0 ? " (" : "", strcmp(name, id) != 0 ? name : "",
           name[0] && strcmp(name, id) != 0 ? ")" : "");
}

/* ------------------------------------------------------------ one call */

typedef struct call {
  json_t *(*parse)(dr_op *op, const dr_engine_answer *answer, dr_err *err);
} call;

static json_t *usual_result(const dr_engine_answer *answer) {
  return json_pack("{s:b}", "unchanged", answer->status == 304);
}

static void on_answer(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  const call *self = steps->data;
  dr_err problem = DR_ERR_INIT;
  json_t *result = NULL;
  if (err)
    dr__err_move(&problem, err);
  else
    result = self->parse ? self->parse(steps->op, answer, &problem) : usual_result(answer);
  if (problem.code[0])
    dr__docker_steps_fail(steps, &problem);
  else
    dr__docker_steps_done(steps, result);
}

int dr__docker_call(dr_op *op, const dr_docker_call_spec *spec, dr_err *err) {
  call *self = calloc(1, sizeof *self);
  dr_docker_steps *steps = self ? dr__docker_steps_new(op, self, free, err) : NULL;
  const dr_docker_step step = {.method = spec->method,
                               .path = spec->path,
                               .body = spec->body,
                               .timeout_s = spec->timeout_s,
                               .changes = op->spec->kind == DR_ACTION,
                               .next = on_answer};
  if (steps) {
    self->parse = spec->parse;
    return dr__docker_steps_begin(steps, &step, err);
  }
  free(spec->path);
  json_decref(spec->body);
  return self ? DR_FAILED : dr__err_nomem(err);
}
