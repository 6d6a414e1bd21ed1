/* http_probe_op.c - the probes of a runtime: begun by the op http.probe, ended by http.probe_stop
 * or with the runtime. Owns the list of probes under way, kept in the runtime. Called through the
 * gate, on the runtime's thread.
 */
#include "http.h"
#include "http_probe.h"
#include "http_route.h"

#include "core/err.h"

#include <stdlib.h>

enum { PROBE_TIMEOUT = 5 };

typedef struct entry {
  struct entry *next;
  int64_t id;
  dr_http_probe *probe;
} entry;

typedef struct probes {
  entry *first;
} probes;

static void close_probes(void *value) {
  probes *all = value;
  while (all->first) {
    entry *gone = all->first;
    all->first = gone->next;
    json_decref(dr__http_probe_stop(gone->probe));
    free(gone);
  }
  free(all);
}

/* The list of a runtime. The client is made first, so that it is closed last. */
static probes *probes_of(dr_runtime *rt, dr_http **http, dr_err *err) {
  *http = dr__http_of(rt, err);
  if (!*http) return NULL;
  probes *all = dr__runtime_keep(rt, "http.probes", sizeof *all, close_probes);
  if (!all) dr__err_nomem(err);
  return all;
}

/* Takes the probe with this number off the list; NULL: there is none. */
static dr_http_probe *take(probes *all, int64_t id) {
  for (entry **place = &all->first; *place; place = &(*place)->next) {
    entry *found = *place;
    if (found->id != id) continue;
    dr_http_probe *probe = found->probe;
    *place = found->next;
    free(found);
    return probe;
  }
  return NULL;
}

/* ------------------------------------------------------------ http.probe */

const dr_arg dr__http_probe_args[] = {DR_HTTP_ARGS,
                                      DR_HTTP_EXPECT_ARGS,
                                      {"probe", DR_ARG_INTEGER, DR_REQUIRED},
                                      {"every", DR_ARG_DURATION, 0},
                                      {"version", DR_ARG_STRING, 0},
                                      {0}};

static double every_of(const dr_op *op) {
  return dr__arg_number(op, "every", 0.1);
}

static int begin(dr_op *op, dr_http *http, dr_http_probe **out, dr_err *err) {
  int status = dr__http_route_fixed(dr__op_runtime(op), op->target, op->args, err);
  if (status) return status;
  const dr_http_probe_options options = {
      .request = dr__http_request_of(op->args, PROBE_TIMEOUT),
      .expected = dr__http_expectation_of(op->args),
      .every_s = every_of(op),
      .version = dr__arg_string(op, "version", NULL),
      .owner = op->args,
  };
  return dr__http_probe_start(out, http, &options, err);
}

int dr__http_probe_check(const dr_op *op, dr_err *err) {
  const dr_http_expectation expected = dr__http_expectation_of(op->args);
  if (!(every_of(op) >= 0.005))
    return dr__fail(err, "recipe.argument", "http.probe: every must be at least 0.005 seconds");
  if (dr__http_check_url(op, err) != 0 || dr__http_check_follow(op, err) != 0) return DR_FAILED;
  return dr__http_expectation_check(&expected, err);
}

int dr__http_probe_op_start(dr_op *op, dr_err *err) {
  dr_http *http;
  probes *all = probes_of(dr__op_runtime(op), &http, err);
  if (!all) return DR_FAILED;
  int64_t id = dr__arg_integer(op, "probe", 0);
  dr_http_probe *left_over = take(all, id); /* of a run that was stopped at once */
  if (left_over) json_decref(dr__http_probe_stop(left_over));
  entry *fresh = calloc(1, sizeof *fresh);
  if (!fresh) return dr__err_nomem(err);
  int status = begin(op, http, &fresh->probe, err);
  if (status) {
    free(fresh);
    return status;
  }
  fresh->id = id;
  fresh->next = all->first;
  all->first = fresh;
  dr__op_done(op, json_object());
  return 0;
}

char *dr__http_probe_op_preview(const dr_op *op) {
  char *request = dr__http_preview_request(op);
  char *expected = dr__http_preview_expectation(op);
  char *text = NULL;
  if (request && expected) {
    text = dr__http_format("%s every %g s in the background: expect %s", request, every_of(op),
                           expected);
  }
  free(request);
  free(expected);
  return text;
}

/* ------------------------------------------------------------ http.probe_stop */

const dr_arg dr__http_probe_stop_args[] = {
    {"probe", DR_ARG_INTEGER, DR_REQUIRED}, {"url", DR_ARG_STRING, DR_REQUIRED}, {0}};

/* What a probe reports that never ran: in a dry run, or in a resumed run that began after it. */
static json_t *empty_report(const dr_op *op) {
  return json_pack("{s:s, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:{}}", "url",
                   dr__arg_string(op, "url", ""), "requests", 0, "failures", 0, "longest_gap", 0.0,
                   "seconds", 0.0, "p50_ms", 0.0, "p95_ms", 0.0, "max_ms", 0.0, "statuses");
}

/* The event has the report's fields, with `failures` under the name that events give it. */
static void emit(dr_runtime *rt, json_t *report) {
  json_t *fields = json_copy(report);
  if (!fields) return;
  json_object_set(fields, "failed", json_object_get(report, "failures"));
  json_object_del(fields, "failures");
  dr__runtime_emit(rt, DR_EVENT_PROBE, fields);
}

int dr__http_probe_stop_start(dr_op *op, dr_err *err) {
  dr_http *http;
  probes *all = probes_of(dr__op_runtime(op), &http, err);
  if (!all) return DR_FAILED;
  dr_http_probe *probe = take(all, dr__arg_integer(op, "probe", 0));
  json_t *report = probe ? dr__http_probe_stop(probe) : empty_report(op);
  if (!report) return dr__err_nomem(err);
  if (probe) emit(dr__op_runtime(op), report);
  dr__op_done(op, report);
  return 0;
}

char *dr__http_probe_stop_preview(const dr_op *op) {
  char *url = dr__http_safe_url(dr__arg_string(op, "url", ""));
  char *text = url ? dr__http_format("report how %s answered meanwhile", url) : NULL;
  free(url);
  return text;
}

json_t *dr__http_probe_stop_assume(const dr_op *op) {
  return empty_report(op);
}
