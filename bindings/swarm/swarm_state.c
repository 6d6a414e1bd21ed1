/* swarm_state.c - see swarm_state.h. Pure, any thread. */
#include "swarm_state.h"

#include "core/err.h"

#include <stdlib.h>
#include <string.h>

static const char *text_at(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

static json_t *at(const json_t *object, const char *first, const char *second) {
  return json_object_get(json_object_get(object, first), second);
}

/* ------------------------------------------------------------ tasks */

/* True when the task was made of the description that the service has now. */
static bool is_new(const json_t *task, const json_t *service) {
  const json_t *wanted = at(service, "Spec", "TaskTemplate");
  const json_t *spec = json_object_get(task, "Spec");
  json_int_t forced = json_integer_value(json_object_get(wanted, "ForceUpdate"));
  return json_equal(json_object_get(wanted, "ContainerSpec"),
                    json_object_get(spec, "ContainerSpec")) &&
         forced == json_integer_value(json_object_get(spec, "ForceUpdate"));
}

static bool is_state(const json_t *task, const char *state) {
  return strcmp(text_at(json_object_get(task, "Status"), "State"), state) == 0;
}

static bool is_failed(const json_t *task) {
  return is_state(task, "failed") || is_state(task, "rejected");
}

static void note_failure(const json_t *task, char *newest, size_t size, dr_swarm_state *out) {
  const json_t *status = json_object_get(task, "Status");
  const char *when = text_at(status, "Timestamp"), *why = text_at(status, "Err");
  if (!is_failed(task) || !why[0] || strcmp(when, newest) < 0) return;
  dr__copy_text(newest, size, when);
  dr__copy_text(out->failure, sizeof out->failure, why);
  dr__copy_text(out->task, sizeof out->task, text_at(task, "ID"));
}

static void count_tasks(const json_t *service, const json_t *tasks, dr_swarm_state *out) {
  const char *id = text_at(service, "ID");
  char newest[40] = "";
  size_t i;
  const json_t *task;
  json_array_foreach(tasks, i, task) {
    if (strcmp(text_at(task, "ServiceID"), id) != 0) continue;
    bool wanted = strcmp(text_at(task, "DesiredState"), "running") == 0;
    out->running += wanted && is_state(task, "running") && is_new(task, service);
    out->leaving += !wanted && is_state(task, "running");
    note_failure(task, newest, sizeof newest, out);
    out->shaky = out->shaky || (is_failed(task) && is_new(task, service));
  }
}

/* ------------------------------------------------------------ the service */

/* A rollback is completed for the swarm while tasks of the failed update still end, and while the
 * last of those before it only begins. */
static dr_swarm_verdict verdict_of(const dr_swarm_state *state) {
  const char *update = state->update;
  if (strcmp(update, "paused") == 0 || strcmp(update, "rollback_paused") == 0)
    return DR_SWARM_STUCK;
  bool back = strcmp(update, "rollback_completed") == 0;
  bool settled = back || !update[0] || strcmp(update, "completed") == 0;
  if (!settled || state->running < state->wanted || state->leaving > 0) return DR_SWARM_MOVING;
  return back ? DR_SWARM_ROLLED_BACK : DR_SWARM_WELL;
}

void dr__swarm_judge(const json_t *service, const json_t *tasks, dr_swarm_state *out) {
  const json_t *update = json_object_get(service, "UpdateStatus");
  memset(out, 0, sizeof *out);
  dr__copy_text(out->name, sizeof out->name, text_at(json_object_get(service, "Spec"), "Name"));
  dr__copy_text(out->update, sizeof out->update, text_at(update, "State"));
  dr__copy_text(out->message, sizeof out->message, text_at(update, "Message"));
  out->wanted = (int)json_integer_value(at(service, "ServiceStatus", "DesiredTasks"));
  count_tasks(service, tasks, out);
  out->verdict = verdict_of(out);
}

void dr__swarm_plain_image(const char *image, char *out, size_t size) {
  char plain[400];
  dr__copy_text(plain, sizeof plain, image);
  char *digest = strstr(plain, "@sha256:");
  if (digest) *digest = '\0';
  dr__copy_text(out, size, plain);
}

json_t *dr__swarm_service(const json_t *service) {
  const json_t *spec = json_object_get(service, "Spec");
  const json_t *container = at(spec, "TaskTemplate", "ContainerSpec");
  const json_t *status = json_object_get(service, "ServiceStatus");
  json_t *replicas = json_object_get(at(spec, "Mode", "Replicated"), "Replicas");
  json_t *labels = json_object_get(spec, "Labels");
  char image[400];
  dr__swarm_plain_image(text_at(container, "Image"), image, sizeof image);
  json_t *out = json_pack("{s:s, s:s, s:s, s:I, s:I, s:s}", "id", text_at(service, "ID"), "name",
                          text_at(spec, "Name"), "image", image, "wanted",
                          json_integer_value(json_object_get(status, "DesiredTasks")), "running",
                          json_integer_value(json_object_get(status, "RunningTasks")), "update",
                          text_at(json_object_get(service, "UpdateStatus"), "State"));
  if (!out) return NULL;
  if (json_is_integer(replicas)) json_object_set(out, "replicas", replicas);
  if (json_is_object(labels)) json_object_set(out, "labels", labels);
  const char *stack = text_at(labels, "com.docker.stack.namespace");
  if (stack[0]) json_object_set_new(out, "stack", json_string(stack));
  return out;
}

/* ------------------------------------------------------------ changes */

/* The object under the key, made when there is none. Borrowed. */
static json_t *sure(json_t *object, const char *key) {
  json_t *value = json_object_get(object, key);
  if (json_is_object(value)) return value;
  json_object_set_new(object, key, json_object());
  return json_object_get(object, key);
}

static void set(json_t *to, const char *key, json_t *value) {
  if (value) json_object_set(to, key, value);
}

static void set_time(json_t *to, const char *key, const json_t *seconds) {
  if (seconds)
    json_object_set_new(to, key, json_integer((json_int_t)(json_number_value(seconds) * 1e9)));
}

static void change_way(json_t *spec, const json_t *changes) {
  json_t *way = sure(spec, "UpdateConfig");
  json_t *order = json_object_get(changes, "order");
  set(way, "Order", order);
  set(way, "Parallelism", json_object_get(changes, "parallelism"));
  set(way, "MaxFailureRatio", json_object_get(changes, "max_failure_ratio"));
  set_time(way, "Monitor", json_object_get(changes, "monitor"));
  set_time(way, "Delay", json_object_get(changes, "delay"));
  const json_t *rollback = json_object_get(changes, "rollback");
  if (rollback)
    json_object_set_new(way, "FailureAction",
                        json_string(json_is_true(rollback) ? "rollback" : "pause"));
  if (!order) return;
  json_t *back = sure(spec, "RollbackConfig");
  json_object_set(back, "Order", order);
  if (!json_object_get(back, "Parallelism"))
    json_object_set_new(back, "Parallelism", json_integer(1));
}

/* NAME=value for each; what was set of that name is replaced. */
static void change_env(json_t *container, json_t *env) {
  json_t *all = json_array(), *old, *value;
  const char *name;
  size_t i;
  json_array_foreach(json_object_get(container, "Env"), i, old) {
    const char *text = json_string_value(old);
    char *key = text ? strndup(text, strcspn(text, "=")) : NULL;
    if (key && !json_object_get(env, key)) json_array_append(all, old);
    free(key);
  }
  json_object_foreach(env, name, value)
    json_array_append_new(all, json_sprintf("%s=%s", name, json_string_value(value)));
  json_object_set_new(container, "Env", all);
}

json_t *dr__swarm_changed_spec(const json_t *service, const json_t *changes) {
  json_t *spec = json_deep_copy(json_object_get(service, "Spec"));
  if (!json_is_object(spec)) {
    json_decref(spec);
    return NULL;
  }
  json_t *task = sure(spec, "TaskTemplate");
  json_t *container = sure(task, "ContainerSpec");
  json_t *replicas = json_object_get(changes, "replicas");
  json_t *env = json_object_get(changes, "env");
  set(container, "Image", json_object_get(changes, "image"));
  if (env) change_env(container, env);
  if (replicas) json_object_set(sure(sure(spec, "Mode"), "Replicated"), "Replicas", replicas);
  if (json_is_true(json_object_get(changes, "force")))
    json_object_set_new(task, "ForceUpdate",
                        json_integer(json_integer_value(json_object_get(task, "ForceUpdate")) + 1));
  change_way(spec, changes);
  return spec;
}
