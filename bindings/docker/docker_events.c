/* docker_events.c - the ops docker.events, docker.wait_event and docker.wait_log: what the Engine
 * tells as it happens. Called through the gate and from the loop, on the runtime's thread.
 */
#include "docker_frames.h"
#include "docker_lines.h"
#include "docker_steps.h"
#include "target/capture.h"

#include "core/err.h"
#include "docker_check.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_EVENTS = 10000, USUAL_WITHIN = 60, MARGIN = 60 };

typedef struct watch {
  dr_lines lines;
  json_t *events;
  json_t *found; /* the first event, or the line that fits */
  bool one;      /* the first is enough */
  bool more;     /* there were too many */
  /* of docker.wait_log */
  dr_frames frames;
  dr_capture log;
  dr_op *op;
  regex_t pattern;
  bool compiled;
} watch;

static void watch_free(void *data) {
  watch *self = data;
  if (self->compiled) regfree(&self->pattern);
  dr__lines_free(&self->lines);
  dr__capture_free(&self->log);
  json_decref(self->events);
  json_decref(self->found);
  free(self);
}

static double bound_of(const dr_op *op) {
  return dr__arg_number(op, "within", USUAL_WITHIN);
}

/* ------------------------------------------------------------ events */

/* {type, action, id, name, image, exit_code, time, attributes}; attributes are what the Engine
 * tells of the container: its labels too. */
static json_t *event_of(const json_t *line) {
  static const char *const told[][2] = {
      {"name", "name"}, {"image", "image"}, {"exit_code", "exitCode"}, {"signal", "signal"}};
  const json_t *actor = json_object_get(line, "Actor");
  const json_t *attributes = json_object_get(actor, "Attributes");
  const char *type = json_string_value(json_object_get(line, "Type"));
  const char *action = json_string_value(json_object_get(line, "Action"));
  const char *id = json_string_value(json_object_get(actor, "ID"));
  json_t *event = json_pack("{s:s, s:s, s:s, s:f}", "type", type ? type : "", "action",
                            action ? action : "", "id", id ? id : "", "time",
                            (double)json_integer_value(json_object_get(line, "timeNano")) / 1e9);
  for (size_t i = 0; event && i < sizeof told / sizeof *told; i++) {
    json_t *value = json_object_get(attributes, told[i][1]);
    if (value) json_object_set(event, told[i][0], value);
  }
  return event;
}

static void on_event(void *data, const char *text, size_t length) {
  watch *self = data;
  json_t *line = json_loadb(text, length, 0, NULL);
  if (json_is_object(line) && self->one && !self->found) self->found = event_of(line);
  if (json_is_object(line) && !self->one) {
    if (json_array_size(self->events) < MOST_EVENTS)
      json_array_append_new(self->events, event_of(line));
    else
      self->more = true;
  }
  json_decref(line);
}

static int on_body(void *data, const char *bytes, size_t length) {
  watch *self = ((dr_docker_steps *)data)->data;
  dr__lines_feed(&self->lines, bytes, length);
  return self->found != NULL;
}

/* Seconds since 1970; the Engine reads fractions. */
static double now_seconds(void) {
  uv_timeval64_t now = {0};
  uv_gettimeofday(&now);
  return (double)now.tv_sec + (double)now.tv_usec / 1e6;
}

static char *events_path(const dr_op *op, bool waits) {
  double now = now_seconds();
  char *text = json_dumps(dr__arg(op, "filters"), JSON_COMPACT);
  char *filters = text ? dr__engine_path("&filters=", text, "") : strdup("");
  double since = dr__arg_number(op, "since", waits ? now : 0);
  char *path = NULL;
  if (filters && waits)
    path = dr__http_format("/events?since=%.6f%s", since, filters);
  else if (filters)
    path = dr__http_format("/events?since=%.6f&until=%.6f%s", since,
                           dr__arg_number(op, "until_", now), filters);
  free(filters);
  free(text);
  return path;
}

static watch *watch_new(dr_err *err) {
  watch *self = calloc(1, sizeof *self);
  if (!self) {
    dr__err_nomem(err);
    return NULL;
  }
  self->lines.on_line = on_event;
  self->lines.data = self;
  self->events = json_array();
  return self;
}

static void on_told(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  watch *self = steps->data;
  (void)answer;
  if (err) {
    dr__docker_steps_fail(steps, err);
    return;
  }
  dr__lines_end(&self->lines);
  dr__docker_steps_done(steps,
                        json_pack("{s:O, s:b}", "events", self->events, "truncated", self->more));
}

/* filters = { event = { "die" } }, as docker_objects.lua arranges it. */
static int check_filters(const dr_op *op, dr_err *err) {
  static const char all[] =
      "config, container, daemon, event, image, label, network, node, plugin, "
      "scope, secret, service, type, volume";
  const char *name;
  json_t *values;
  json_object_foreach(dr__arg(op, "filters"), name, values) {
    const char *at = name[strspn(name, "abcdefghijklmnopqrstuvwxyz")] ? NULL : strstr(all, name);
    size_t length = strlen(name);
    bool whole = at && (at == all || at[-1] == ' ') && (at[length] == ',' || at[length] == '\0');
    if (whole) continue;
    dr__fail(err, "recipe.argument", "events have no filter '%.40s'", name);
    dr__err_hint(err, "the filters are: %s", all);
    return DR_RECIPE;
  }
  return DR_OK;
}

static int start_events(dr_op *op, dr_err *err) {
  watch *self = watch_new(err);
  dr_docker_steps *steps = self ? dr__docker_steps_new(op, self, watch_free, err) : NULL;
  if (!steps) return DR_FAILED;
  const dr_docker_step step = {.path = events_path(op, false), .on_body = on_body, .next = on_told};
  return dr__docker_steps_begin(steps, &step, err);
}

/* "event=die container=api" */
static char *shown_filters(const dr_op *op) {
  dr_text text = {0};
  const char *key;
  json_t *values, *value;
  size_t i;
  dr__text_puts(&text, "");
  json_object_foreach(dr__arg(op, "filters"), key, values) {
    json_array_foreach(values, i, value)
      dr__text_printf(&text, " %s=%s", key,
                      json_string_value(value) ? json_string_value(value) : "");
  }
  return dr__text_take(&text);
}

static char *preview_events(const dr_op *op) {
  char *filters = shown_filters(op);
  char *text = filters ? dr__http_format("docker events%s", filters) : NULL;
  free(filters);
  return text;
}

static json_t *assume_events(const dr_op *op) {
  (void)op;
  return json_pack("{s:[], s:b}", "events", "truncated", 0);
}

/* ------------------------------------------------------------ docker.wait_event */

static void fail_late(dr_docker_steps *steps) {
  dr_err err = DR_ERR_INIT;
  char *filters = shown_filters(steps->op);
  dr__docker_steps_halt(steps);
  dr__fail(&err, "docker.no_event", "within %g s the Docker Engine told no event%s",
           bound_of(steps->op), filters ? filters : "");
  dr__err_hint(&err, "give since = a time before what should cause it, or a longer within");
  free(filters);
  dr__docker_steps_fail(steps, &err);
}

static void on_event_end(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  watch *self = steps->data;
  (void)answer;
  if (self->found)
    dr__docker_steps_done(steps, json_incref(self->found));
  else if (err)
    dr__docker_steps_fail(steps, err);
  else
    fail_late(steps);
}

static int start_wait_event(dr_op *op, dr_err *err) {
  watch *self = watch_new(err);
  dr_docker_steps *steps = self ? dr__docker_steps_new(op, self, watch_free, err) : NULL;
  if (!steps) return DR_FAILED;
  self->one = true;
  if (dr__docker_steps_after(steps, bound_of(op), fail_late) != 0) return dr__err_nomem(err);
  const dr_docker_step step = {.path = events_path(op, true),
                               .timeout_s = bound_of(op) + MARGIN,
                               .on_body = on_body,
                               .next = on_event_end};
  return dr__docker_steps_begin(steps, &step, err);
}

static char *preview_wait_event(const dr_op *op) {
  char *filters = shown_filters(op);
  char *text = filters
                   ? dr__http_format("wait for the event%s (at most %g s)", filters, bound_of(op))
                   : NULL;
  free(filters);
  return text;
}

static json_t *assume_event(const dr_op *op) {
  (void)op;
  return json_pack("{s:s, s:s, s:s, s:f}", "type", "", "action", "", "id", "", "time", 0.0);
}

/* ------------------------------------------------------------ docker.wait_log */

static void on_log_line(void *data, const char *line, size_t length) {
  watch *self = data;
  bool binary = false;
  if (!self->found && regexec(&self->pattern, line, 0, NULL, 0) == 0)
    self->found = dr__text_json(line, length, &binary);
}

static void on_output(void *data, int stream, const char *bytes, size_t length) {
  watch *self = data;
  dr__capture_add(&self->log, stream, bytes, length);
  dr__op_output(self->op, stream, bytes, length);
  dr__lines_feed(&self->lines, bytes, length);
}

static int on_log_body(void *data, const char *bytes, size_t length) {
  watch *self = ((dr_docker_steps *)data)->data;
  dr__frames_feed(&self->frames, bytes, length);
  return self->found != NULL;
}

static void fail_no_line(dr_docker_steps *steps, bool ended) {
  const watch *self = steps->data;
  char shown[160];
  dr_err err = DR_ERR_INIT;
  dr__docker_shown(steps->op, shown, sizeof shown);
  if (ended)
    dr__fail(&err, "docker.no_such_line", "%s ended and never wrote what fits \"%s\"", shown,
             dr__arg_string(steps->op, "pattern", ""));
  else
    dr__fail(&err, "docker.no_such_line", "within %g s %s wrote nothing that fits \"%s\"",
             bound_of(steps->op), shown, dr__arg_string(steps->op, "pattern", ""));
  dr__err_hint(&err, "its last lines are shown");
  char *tail = dr__capture_tail(&self->log);
  if (tail && tail[0]) dr__err_detail(&err, tail, strlen(tail));
  free(tail);
  dr__docker_steps_fail(steps, &err);
}

static void on_log_late(dr_docker_steps *steps) {
  dr__docker_steps_halt(steps);
  fail_no_line(steps, false);
}

static void on_log_end(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  watch *self = steps->data;
  (void)answer;
  if (!self->found && !err) {
    dr__frames_end(&self->frames);
    dr__lines_end(&self->lines);
  }
  if (self->found)
    dr__docker_steps_done(steps, json_pack("{s:O}", "line", self->found));
  else if (err)
    dr__docker_steps_fail(steps, err);
  else
    fail_no_line(steps, true);
}

static int compile(watch *self, const dr_op *op, dr_err *err) {
  char words[200];
  const char *pattern = dr__arg_string(op, "pattern", "");
  int status = regcomp(&self->pattern, pattern, REG_EXTENDED | REG_NOSUB);
  self->compiled = status == 0;
  if (self->compiled) return 0;
  regerror(status, &self->pattern, words, sizeof words);
  dr__fail(err, "recipe.argument", "\"%.200s\" is no extended regular expression: %s", pattern,
           words);
  return DR_RECIPE;
}

static int check_pattern(const dr_op *op, dr_err *err) {
  int problem = dr__docker_check_container(op, err);
  if (problem) return problem;
  watch *self = watch_new(err);
  int status = self ? compile(self, op, err) : DR_FAILED;
  if (self) watch_free(self);
  return status;
}

static char *log_path(const dr_op *op) {
  char *after = dr__http_format("/logs?follow=1&stdout=1&stderr=1&since=%.3f",
                                dr__arg_number(op, "since", 0));
  char *path =
      after ? dr__engine_path("/containers/", dr__arg_string(op, "container", ""), after) : NULL;
  free(after);
  return path;
}

static int start_wait_log(dr_op *op, dr_err *err) {
  watch *self = watch_new(err);
  dr_docker_steps *steps = self ? dr__docker_steps_new(op, self, watch_free, err) : NULL;
  if (!steps) return DR_FAILED;
  self->op = op;
  self->lines.on_line = on_log_line;
  self->frames.on_output = on_output;
  self->frames.data = self;
  int status = compile(self, op, err);
  if (status) return status;
  if (dr__docker_steps_after(steps, bound_of(op), on_log_late) != 0) return dr__err_nomem(err);
  const dr_docker_step step = {.path = log_path(op),
                               .timeout_s = bound_of(op) + MARGIN,
                               .on_body = on_log_body,
                               .next = on_log_end};
  return dr__docker_steps_begin(steps, &step, err);
}

static char *preview_wait_log(const dr_op *op) {
  char shown[160];
  dr__docker_shown(op, shown, sizeof shown);
  return dr__http_format("wait until the log of %s has a line that fits \"%s\" (at most %g s)",
                         shown, dr__arg_string(op, "pattern", ""), bound_of(op));
}

static json_t *assume_line(const dr_op *op) {
  (void)op;
  return json_pack("{s:s}", "line", "");
}

/* ------------------------------------------------------------ the ops */

#define SOCKET                                                                                     \
  { "socket", DR_ARG_STRING, DR_REQUIRED }

static const dr_arg events_args[] = {SOCKET,
                                     {"since", DR_ARG_NUMBER, 0},
                                     {"until_", DR_ARG_NUMBER, 0},
                                     {"filters", DR_ARG_ANY, 0},
                                     {0}};
static const dr_arg wait_event_args[] = {SOCKET,
                                         {"since", DR_ARG_NUMBER, 0},
                                         {"within", DR_ARG_DURATION, 0},
                                         {"filters", DR_ARG_ANY, 0},
                                         {0}};
static const dr_arg wait_log_args[] = {SOCKET,
                                       {"container", DR_ARG_STRING, DR_REQUIRED},
                                       {"name", DR_ARG_STRING, 0},
                                       {"pattern", DR_ARG_STRING, DR_REQUIRED},
                                       {"since", DR_ARG_NUMBER, 0},
                                       {"within", DR_ARG_DURATION, 0},
                                       {0}};

static const dr_opspec ops[] = {
    {.name = "docker.events",
     .check = check_filters,
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_CONTAINERS | DR_AREA_IMAGES | DR_AREA_NETWORK,
     .args = events_args,
     .preview = preview_events,
     .assume = assume_events,
     .start = start_events},
    {.name = "docker.wait_event",
     .check = check_filters,
     .kind = DR_CHECK,
     .idempotent = true,
     .args = wait_event_args,
     .preview = preview_wait_event,
     .assume = assume_event,
     .start = start_wait_event},
    {.name = "docker.wait_log",
     .check = check_pattern,
     .kind = DR_CHECK,
     .idempotent = true,
     .args = wait_log_args,
     .preview = preview_wait_log,
     .assume = assume_line,
     .start = start_wait_log},
    {0},
};

const dr_binding dr__binding_docker_events = {.name = "docker_events", .ops = ops};
