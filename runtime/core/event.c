/* core/event.c - the events told to the observer: a type and named fields, readable by path or as a
 * JSON line. */
#include "core/event.h"

#include "core/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct dr_event {
  dr_event_type type;
  json_t *fields; /* object */
  char *text;     /* last answer of dr_event_text */
  char *json;     /* answer of dr_event_json */
};

static const char *const names[] = {
    [DR_EVENT_RUN_STARTED] = "run_started",
    [DR_EVENT_STEP_STARTED] = "step_started",
    [DR_EVENT_STEP_FINISHED] = "step_finished",
    [DR_EVENT_STEP_FAILED] = "step_failed",
    [DR_EVENT_OP_STARTED] = "op_started",
    [DR_EVENT_OP_FINISHED] = "op_finished",
    [DR_EVENT_OP_FAILED] = "op_failed",
    [DR_EVENT_OUTPUT] = "output",
    [DR_EVENT_PROGRESS] = "progress",
    [DR_EVENT_LOG] = "log",
    [DR_EVENT_UNDO_STARTED] = "undo_started",
    [DR_EVENT_UNDO_FINISHED] = "undo_finished",
    [DR_EVENT_UNDO_FAILED] = "undo_failed",
    [DR_EVENT_PROBE] = "probe",
    [DR_EVENT_PLAN_STEP] = "plan_step",
    [DR_EVENT_PLAN_OP] = "plan_op",
    [DR_EVENT_PLAN_FINISHED] = "plan_finished",
    [DR_EVENT_RUN_FINISHED] = "run_finished",
    [DR_EVENT_TICK] = "tick",
};

dr_event *dr__event_make(dr_event_type type, json_t *fields) {
  dr_event *event = calloc(1, sizeof *event);
  if (!event || !fields) {
    free(event);
    json_decref(fields);
    return NULL;
  }
  event->type = type;
  event->fields = fields;
  return event;
}

dr_event *dr__event_new(dr_event_type type, const char *json_fields) {
  return dr__event_make(type, json_loads(json_fields, 0, NULL));
}

void dr__event_free(dr_event *event) {
  if (!event) return;
  json_decref(event->fields);
  free(event->text);
  free(event->json);
  free(event);
}

dr_event_type dr_event_kind(const dr_event *event) {
  return event->type;
}

const char *dr_event_name(const dr_event *event) {
  return names[event->type];
}

/* The item of an array that a piece of a path names; NULL for what is no number. */
static json_t *item_of(const json_t *array, const char *key) {
  char *end;
  size_t index = strtoul(key, &end, 10);
  return end > key && !*end && *key != '-' ? json_array_get(array, index) : NULL;
}

/* Follows "error.cause.code" or "effects.0". */
static json_t *find(const dr_event *event, const char *path) {
  json_t *at = event->fields;
  char key[64];
  while (at && *path) {
    size_t length = strcspn(path, ".");
    if (length >= sizeof key) return NULL;
    memcpy(key, path, length);
    key[length] = '\0';
    at = json_is_array(at) ? item_of(at, key) : json_object_get(at, key);
    path += length + (path[length] == '.');
  }
  return at;
}

const char *dr_event_text(const dr_event *event, const char *path) {
  json_t *value = find(event, path);
  if (!value || json_is_null(value)) return "";
  if (json_is_string(value)) return json_string_value(value);
  dr_event *mutable = (dr_event *)event;
  free(mutable->text);
  mutable->text = dr__json_text(value);
  return mutable->text ? mutable->text : "";
}

double dr_event_number(const dr_event *event, const char *path, double otherwise) {
  json_t *value = find(event, path);
  if (json_is_boolean(value)) return json_is_true(value) ? 1 : 0;
  return json_is_number(value) ? json_number_value(value) : otherwise;
}

size_t dr_event_count(const dr_event *event, const char *path) {
  return json_array_size(find(event, path));
}

const char *dr_event_json(const dr_event *event) {
  dr_event *mutable = (dr_event *)event;
  if (!mutable->json) {
    json_t *line = json_pack("{s:s}", "event", names[event->type]);
    if (line && json_object_update(line, event->fields) == 0) mutable->json = dr__json_text(line);
    json_decref(line);
  }
  return mutable->json ? mutable->json : "";
}
