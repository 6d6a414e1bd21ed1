/* docker_objects.c - the ops on networks and volumes, and docker.stats. Most are one call to the
 * Engine. Called through the gate and from the loop, on the runtime's thread.
 */
#include "docker_json.h"
#include "docker_steps.h"

#include "core/err.h"
#include "docker_check.h"

#include <stdlib.h>
#include <string.h>

static const char *name_of(const dr_op *op) {
  return dr__arg_string(op, "name", "");
}

static void copy(json_t *to, const char *name, const json_t *from, const char *key) {
  json_t *value = json_object_get(from, key);
  if (value && !json_is_null(value)) json_object_set(to, name, value);
}

static json_t *assume_change(const dr_op *op) {
  (void)op;
  return json_pack("{s:b}", "unchanged", 0);
}

/* A thing that has to be gone, and is already: no failure. */
static void on_removed(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  bool missing = err && strcmp(err->code, "docker.not_found") == 0;
  (void)answer;
  if (err && !missing)
    dr__docker_steps_fail(steps, err);
  else
    dr__docker_steps_done(steps, json_pack("{s:b}", "unchanged", missing));
}

static int begin(dr_op *op, const dr_docker_step *step, dr_err *err) {
  dr_docker_steps *steps = dr__docker_steps_new(op, NULL, NULL, err);
  if (steps) return dr__docker_steps_begin(steps, step, err);
  free(step->path);
  json_decref(step->body);
  return DR_FAILED;
}

/* ------------------------------------------------------------ docker.networks */

static json_t *network_facts(const json_t *network) {
  json_t *out = json_object();
  const json_t *pool =
      json_array_get(json_object_get(json_object_get(network, "IPAM"), "Config"), 0);
  copy(out, "id", network, "Id");
  copy(out, "name", network, "Name");
  copy(out, "driver", network, "Driver");
  copy(out, "scope", network, "Scope");
  copy(out, "internal", network, "Internal");
  copy(out, "attachable", network, "Attachable");
  copy(out, "labels", network, "Labels");
  copy(out, "subnet", pool, "Subnet");
  return out;
}

static json_t *parse_networks(dr_op *op, const dr_engine_answer *answer, dr_err *err) {
  json_t *list = json_array();
  size_t i;
  const json_t *network;
  (void)op;
  (void)err;
  json_array_foreach(answer->json, i, network) json_array_append_new(list, network_facts(network));
  return json_pack("{s:o}", "list", list);
}

static int start_networks(dr_op *op, dr_err *err) {
  const dr_docker_call_spec spec = {.path = strdup("/networks"), .parse = parse_networks};
  return dr__docker_call(op, &spec, err);
}

static char *preview_networks(const dr_op *op) {
  (void)op;
  return strdup("docker network ls");
}

static json_t *assume_list(const dr_op *op) {
  (void)op;
  return json_pack("{s:[]}", "list");
}

/* ------------------------------------------------------------ docker.network_create */

static json_t *network_body(const dr_op *op) {
  json_t *body = json_pack("{s:O, s:b, s:s, s:b, s:b}", "Name", dr__arg(op, "name"),
                           "CheckDuplicate", 1, "Driver", dr__arg_string(op, "driver", "bridge"),
                           "Internal", dr__arg_boolean(op, "internal", false), "Attachable",
                           dr__arg_boolean(op, "attachable", false));
  json_t *labels = dr__arg(op, "labels"), *subnet = dr__arg(op, "subnet");
  if (labels) json_object_set(body, "Labels", labels);
  if (subnet)
    json_object_set_new(body, "IPAM", json_pack("{s:[{s:O}]}", "Config", "Subnet", subnet));
  return body;
}

static void on_made(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  (void)answer;
  if (err)
    dr__docker_steps_fail(steps, err);
  else
    dr__docker_steps_done(steps, json_pack("{s:b}", "unchanged", 0));
}

/* One that is there must be of the wanted kind. */
static void judge_network(dr_docker_steps *steps, const json_t *network) {
  const char *driver = json_string_value(json_object_get(network, "Driver"));
  const char *wanted = dr__arg_string(steps->op, "driver", "bridge");
  dr_err err = DR_ERR_INIT;
  if (driver && strcmp(driver, wanted) == 0) {
    dr__docker_steps_done(steps, json_pack("{s:b}", "unchanged", 1));
    return;
  }
  dr__fail(&err, "docker.name_in_use", "there is already a network named %s, with the driver %s",
           name_of(steps->op), driver ? driver : "?");
  dr__err_hint(&err, "remove it, or use another name");
  dr__docker_steps_fail(steps, &err);
}

static void on_network(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  if (answer) {
    judge_network(steps, answer->json);
  } else if (strcmp(err->code, "docker.not_found") != 0) {
    dr__docker_steps_fail(steps, err);
  } else {
    const dr_docker_step step = {.method = "POST",
                                 .path = strdup("/networks/create"),
                                 .body = network_body(steps->op),
                                 .changes = true,
                                 .next = on_made};
    dr__docker_steps_go(steps, &step);
  }
}

static int start_network_create(dr_op *op, dr_err *err) {
  const dr_docker_step step = {.path = dr__engine_path("/networks/", name_of(op), ""),
                               .next = on_network};
  return begin(op, &step, err);
}

static char *preview_network_create(const dr_op *op) {
  const char *subnet = dr__arg_string(op, "subnet", "");
  return dr__http_format("docker network create --driver %s%s%s%s%s %s",
                         dr__arg_string(op, "driver", "bridge"), subnet[0] ? " --subnet " : "",
                         subnet, dr__arg_boolean(op, "internal", false) ? " --internal" : "",
                         dr__arg_boolean(op, "attachable", false) ? " --attachable" : "",
                         name_of(op));
}

static int start_network_remove(dr_op *op, dr_err *err) {
  const dr_docker_step step = {.method = "DELETE",
                               .path = dr__engine_path("/networks/", name_of(op), ""),
                               .changes = true,
                               .next = on_removed};
  return begin(op, &step, err);
}

static char *preview_network_remove(const dr_op *op) {
  return dr__http_format("docker network rm %s", name_of(op));
}

/* ----------------------------------------------------------- docker.network_connect _disconnect */

static int start_connect(dr_op *op, dr_err *err) {
  bool connect = strcmp(op->spec->name, "docker.network_connect") == 0;
  json_t *aliases = dr__arg(op, "aliases");
  json_t *body = json_pack("{s:O}", "Container", dr__arg(op, "container"));
  if (connect && aliases)
    json_object_set_new(body, "EndpointConfig", json_pack("{s:O}", "Aliases", aliases));
  const dr_docker_call_spec spec = {.method = "POST",
                                    .path = dr__engine_path("/networks/",
                                                            dr__arg_string(op, "network", ""),
                                                            connect ? "/connect" : "/disconnect"),
                                    .body = body};
  return dr__docker_call(op, &spec, err);
}

static char *preview_connect(const dr_op *op) {
  char shown[160];
  dr__docker_shown(op, shown, sizeof shown);
  return dr__http_format("docker network %s %s %s", strrchr(op->spec->name, '_') + 1,
                         dr__arg_string(op, "network", ""), shown);
}

/* ------------------------------------------------------------ volumes */

static json_t *parse_volumes(dr_op *op, const dr_engine_answer *answer, dr_err *err) {
  json_t *list = json_array();
  size_t i;
  const json_t *volume;
  (void)op;
  (void)err;
  json_array_foreach(json_object_get(answer->json, "Volumes"), i, volume) {
    json_t *out = json_object();
    copy(out, "name", volume, "Name");
    copy(out, "driver", volume, "Driver");
    copy(out, "folder", volume, "Mountpoint");
    copy(out, "labels", volume, "Labels");
    copy(out, "created", volume, "CreatedAt");
    json_array_append_new(list, out);
  }
  return json_pack("{s:o}", "list", list);
}

static int start_volumes(dr_op *op, dr_err *err) {
  const dr_docker_call_spec spec = {.path = strdup("/volumes"), .parse = parse_volumes};
  return dr__docker_call(op, &spec, err);
}

static char *preview_volumes(const dr_op *op) {
  (void)op;
  return strdup("docker volume ls");
}

/* The Engine itself leaves a volume that is there as it is. */
static int start_volume_create(dr_op *op, dr_err *err) {
  json_t *labels = dr__arg(op, "labels");
  json_t *body = json_pack("{s:O}", "Name", dr__arg(op, "name"));
  if (labels) json_object_set(body, "Labels", labels);
  const dr_docker_step step = {.method = "POST",
                               .path = strdup("/volumes/create"),
                               .body = body,
                               .changes = true,
                               .next = on_made};
  return begin(op, &step, err);
}

static char *preview_volume_create(const dr_op *op) {
  return dr__http_format("docker volume create %s", name_of(op));
}

static int start_volume_remove(dr_op *op, dr_err *err) {
  const dr_docker_step step = {.method = "DELETE",
                               .path = dr__engine_path("/volumes/", name_of(op), ""),
                               .changes = true,
                               .next = on_removed};
  return begin(op, &step, err);
}

static char *preview_volume_remove(const dr_op *op) {
  return dr__http_format("docker volume rm %s", name_of(op));
}

/* ------------------------------------------------------------ docker.stats */

static json_t *parse_stats(dr_op *op, const dr_engine_answer *answer, dr_err *err) {
  (void)err;
  json_t *stats = dr__docker_stats(answer->json);
  if (stats && dr__arg_boolean(op, "once", false))
    json_object_set_new(stats, "cpu_percent", json_real(0)); /* of one sample there is no rate */
  return stats;
}

/* The Engine takes two samples, a second apart, so that there is a rate; one when asked for. */
static int start_stats(dr_op *op, dr_err *err) {
  const char *after =
      dr__arg_boolean(op, "once", false) ? "/stats?stream=0&one-shot=1" : "/stats?stream=0";
  const dr_docker_call_spec spec = {
      .path = dr__engine_path("/containers/", dr__arg_string(op, "container", ""), after),
      .parse = parse_stats};
  return dr__docker_call(op, &spec, err);
}

static char *preview_stats(const dr_op *op) {
  char shown[160];
  dr__docker_shown(op, shown, sizeof shown);
  return dr__http_format("docker stats --no-stream %s", shown);
}

static json_t *assume_stats(const dr_op *op) {
  (void)op;
  return json_pack("{s:b, s:f, s:i, s:i}", "measured", 0, "cpu_percent", 0.0, "memory", 0, "pids",
                   0);
}

/* ------------------------------------------------------------ the ops */

#define SOCKET                                                                                     \
  { "socket", DR_ARG_STRING, DR_REQUIRED }
#define NAME                                                                                       \
  SOCKET, {                                                                                        \
    "name", DR_ARG_STRING, DR_REQUIRED                                                             \
  }

static const dr_arg none_args[] = {SOCKET, {0}};
static const dr_arg name_args[] = {NAME, {0}};
static const dr_arg network_args[] = {NAME,
                                      {"driver", DR_ARG_STRING, 0},
                                      {"subnet", DR_ARG_STRING, 0},
                                      {"internal", DR_ARG_BOOLEAN, 0},
                                      {"attachable", DR_ARG_BOOLEAN, 0},
                                      {"labels", DR_ARG_MAP, 0},
                                      {0}};
static const dr_arg connect_args[] = {SOCKET,
                                      {"container", DR_ARG_STRING, DR_REQUIRED},
                                      {"name", DR_ARG_STRING, 0},
                                      {"network", DR_ARG_STRING, DR_REQUIRED},
                                      {"aliases", DR_ARG_STRINGS, 0},
                                      {0}};
static const dr_arg volume_args[] = {NAME, {"labels", DR_ARG_MAP, 0}, {0}};
static const dr_arg stats_args[] = {SOCKET,
                                    {"container", DR_ARG_STRING, DR_REQUIRED},
                                    {"name", DR_ARG_STRING, 0},
                                    {"once", DR_ARG_BOOLEAN, 0},
                                    {0}};

#define ASK(NAME, READS, ARGS, FUNCTION, ASSUME)                                                   \
  {                                                                                                \
    .name = "docker." NAME, .kind = DR_QUERY, .idempotent = true, .reads = (READS),                \
    .args = (ARGS), .preview = preview_##FUNCTION, .assume = (ASSUME), .start = start_##FUNCTION   \
  }
#define ACT(NAME, EFFECTS, TOUCHES, ARGS, FUNCTION, CHECK)                                         \
  {                                                                                                \
    .name = "docker." NAME, .kind = DR_ACTION, .check = (CHECK), .effects = DR_CHANGE | (EFFECTS), \
    .idempotent = true, .touches = (TOUCHES), .args = (ARGS), .preview = preview_##FUNCTION,       \
    .assume = assume_change, .start = start_##FUNCTION                                             \
  }

static const dr_opspec ops[] = {
    ASK("networks", DR_AREA_NETWORK, none_args, networks, assume_list),
    ASK("volumes", DR_AREA_CONTAINERS, none_args, volumes, assume_list),
    ASK("stats", DR_AREA_CONTAINERS, stats_args, stats, assume_stats),
    ACT("network_create", 0, DR_AREA_NETWORK, network_args, network_create,
        dr__docker_check_object),
    ACT("network_remove", DR_DESTRUCTIVE, DR_AREA_NETWORK, name_args, network_remove,
        dr__docker_check_object),
    ACT("network_connect", 0, DR_AREA_NETWORK | DR_AREA_CONTAINERS, connect_args, connect,
        dr__docker_check_container),
    ACT("network_disconnect", DR_DOWNTIME, DR_AREA_NETWORK | DR_AREA_CONTAINERS, connect_args,
        connect, dr__docker_check_container),
    ACT("volume_create", 0, DR_AREA_CONTAINERS, volume_args, volume_create,
        dr__docker_check_object),
    ACT("volume_remove", DR_DESTRUCTIVE | DR_IRREVERSIBLE, DR_AREA_CONTAINERS, name_args,
        volume_remove, dr__docker_check_object),
    {0},
};

extern const dr_lua_source dr__lua_docker_objects;

const dr_binding dr__binding_docker_objects = {
    .name = "docker_objects",
    .ops = ops,
    .lua = &dr__lua_docker_objects,
    .gives = "Engine:networks Engine:network_create Engine:network_remove "
             "Engine:network_connect Engine:network_disconnect Engine:volumes "
             "Engine:volume_create Engine:volume_remove Engine:stats Engine:events "
             "Engine:wait_event Engine:wait_log"};
