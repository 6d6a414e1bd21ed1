/* docker.c - the docker ops, and the table that describes all of them. Most are one call to the
 * Engine (docker_call.c); docker_exec.c and docker_waiting.c hold the others. Called through the
 * gate, on the runtime's thread.
 */
#include "docker.h"

#include "core/err.h"
#include "docker_check.h"
#include "docker_json.h"
#include "target/target.h"

#include <stdlib.h>
#include <string.h>

static char *container_path(const dr_op *op, const char *after) {
  return dr__engine_path("/containers/", dr__arg_string(op, "container", ""), after);
}

static char *preview_of(const dr_op *op, const char *verb) {
  char shown[160];
  dr__docker_shown(op, shown, sizeof shown);
  return dr__http_format("docker %s %s", verb, shown);
}

/* ------------------------------------------------------------ docker.info */

static json_t *parse_info(dr_op *op, const dr_engine_answer *answer, dr_err *err) {
  static const char *const fields[][2] = {{"version", "ServerVersion"},
                                          {"name", "Name"},
                                          {"system", "OperatingSystem"},
                                          {"architecture", "Architecture"},
                                          {"cpus", "NCPU"},
                                          {"memory", "MemTotal"},
                                          {"storage", "Driver"},
                                          {"containers", "Containers"},
                                          {"running", "ContainersRunning"},
                                          {"images", "Images"}};
  (void)op;
  (void)err;
  json_t *result = json_object();
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
    json_t *value = json_object_get(answer->json, fields[i][1]);
    if (value) json_object_set(result, fields[i][0], value);
  }
  return result;
}

static int start_info(dr_op *op, dr_err *err) {
  const dr_docker_call_spec spec = {.path = strdup("/info"), .parse = parse_info};
  return dr__docker_call(op, &spec, err);
}

static char *preview_info(const dr_op *op) {
  (void)op;
  return strdup("docker info");
}

/* ------------------------------------------------------------ docker.list */

static json_t *parse_list(dr_op *op, const dr_engine_answer *answer, dr_err *err) {
  (void)op;
  (void)err;
  json_t *containers = json_array();
  size_t i;
  json_t *item;
  json_array_foreach(answer->json, i, item) {
    json_array_append_new(containers, dr__docker_listed(item));
  }
  return json_pack("{s:o}", "containers", containers);
}

/* {"label": ["a=b"], "name": ["api"], "status": ["exited"]} */
static json_t *filters_of(const dr_op *op) {
  json_t *labels = json_array();
  json_t *filters = json_object();
  const char *key;
  json_t *value;
  json_object_foreach(dr__arg(op, "labels"), key, value) {
    json_array_append_new(labels, json_sprintf("%s=%s", key, json_string_value(value)));
  }
  if (json_array_size(labels) > 0) json_object_set(filters, "label", labels);
  json_decref(labels);
  if (dr__arg(op, "named"))
    json_object_set_new(filters, "name", json_pack("[O]", dr__arg(op, "named")));
  if (dr__arg(op, "status")) json_object_set(filters, "status", dr__arg(op, "status"));
  return filters;
}

static char *list_path(const dr_op *op) {
  json_t *filters = filters_of(op);
  char *text = json_dumps(filters, JSON_COMPACT);
  const char *before = dr__arg_boolean(op, "all", false) ? "/containers/json?all=1&filters="
                                                         : "/containers/json?filters=";
  char *path = text ? dr__engine_path(before, text, "") : NULL;
  free(text);
  json_decref(filters);
  return path;
}

static int start_list(dr_op *op, dr_err *err) {
  const dr_docker_call_spec spec = {.path = list_path(op), .parse = parse_list};
  return dr__docker_call(op, &spec, err);
}

static char *preview_list(const dr_op *op) {
  char *text = strdup(dr__arg_boolean(op, "all", false) ? "docker ps --all" : "docker ps");
  const char *key;
  json_t *value;
  json_object_foreach(dr__arg(op, "labels"), key, value) {
    char *longer =
        text ? dr__http_format("%s --filter label=%s=%s", text, key, json_string_value(value))
             : NULL;
    free(text);
    text = longer;
  }
  return text;
}

static json_t *assume_list(const dr_op *op) {
  (void)op;
  return json_pack("{s:[]}", "containers");
}

/* --------------------------------------------------------- docker.inspect, docker.image_inspect */

static json_t *parse_container(dr_op *op, const dr_engine_answer *answer, dr_err *err) {
  (void)op;
  (void)err;
  return dr__docker_container(answer->json);
}

static int start_inspect(dr_op *op, dr_err *err) {
  const dr_docker_call_spec spec = {.path = container_path(op, "/json"), .parse = parse_container};
  return dr__docker_call(op, &spec, err);
}

static char *preview_inspect(const dr_op *op) {
  return preview_of(op, "inspect");
}

static json_t *assume_inspect(const dr_op *op) {
  return json_pack(
      "{s:s, s:s, s:s, s:s, s:b, s:{}, s:{}, s:{}}", "id", dr__arg_string(op, "container", ""),
      "name", dr__arg_string(op, "name", dr__arg_string(op, "container", "")), "image_id",
      "sha256:unknown", "state", "running", "running", 1, "labels", "networks", "ports");
}

/* ------------------------------------------------------------ docker.top */

/* The Engine gives a table {Titles, Processes}; asked for the pid and the command line, in that
 * order. */
static json_t *parse_top(dr_op *op, const dr_engine_answer *answer, dr_err *err) {
  (void)op;
  (void)err;
  json_t *processes = json_array(), *row;
  size_t i;
  json_array_foreach(json_object_get(answer->json, "Processes"), i, row) {
    const char *pid = json_string_value(json_array_get(row, 0));
    json_t *command = json_array_get(row, 1);
    if (!pid || !json_is_string(command)) continue;
    json_array_append_new(
        processes,
        json_pack("{s:I, s:O}", "pid", (json_int_t)strtoll(pid, NULL, 10), "command", command));
  }
  return json_pack("{s:o}", "processes", processes);
}

static int start_top(dr_op *op, dr_err *err) {
  const dr_docker_call_spec spec = {.path = container_path(op, "/top?ps_args=-eo%20pid,args"),
                                    .parse = parse_top};
  return dr__docker_call(op, &spec, err);
}

static char *preview_top(const dr_op *op) {
  return preview_of(op, "top");
}

static json_t *assume_top(const dr_op *op) {
  (void)op;
  return json_pack("{s:[]}", "processes");
}

static json_t *parse_image(dr_op *op, const dr_engine_answer *answer, dr_err *err) {
  (void)op;
  (void)err;
  return dr__docker_image(answer->json);
}

static int start_image(dr_op *op, dr_err *err) {
  const dr_docker_call_spec spec = {
      .path = dr__engine_path("/images/", dr__arg_string(op, "image", ""), "/json"),
      .parse = parse_image};
  return dr__docker_call(op, &spec, err);
}

static char *preview_image(const dr_op *op) {
  return dr__http_format("docker image inspect %s", dr__arg_string(op, "image", ""));
}

static json_t *assume_image(const dr_op *op) {
  return json_pack("{s:s, s:[s], s:{}}", "id", "sha256:unknown", "tags",
                   dr__arg_string(op, "image", ""), "labels");
}

/* ------------------------------------------------------------ docker.tag */

/* "host:5000/team/api:v2" → repository and tag; a colon before a slash belongs to the host. */
static char *tag_path(const dr_op *op) {
  const char *name = dr__arg_string(op, "tag", "");
  const char *slash = strrchr(name, '/');
  const char *colon = strchr(slash ? slash : name, ':');
  char *repository = colon ? strndup(name, (size_t)(colon - name)) : strdup(name);
  char *query = repository ? dr__engine_path("/tag?repo=", repository, "&tag=") : NULL;
  char *whole = query ? dr__engine_path(query, colon ? colon + 1 : "latest", "") : NULL;
  char *path = whole ? dr__engine_path("/images/", dr__arg_string(op, "image", ""), whole) : NULL;
  free(whole);
  free(query);
  free(repository);
  return path;
}

static int start_tag(dr_op *op, dr_err *err) {
  const dr_docker_call_spec spec = {.method = "POST", .path = tag_path(op)};
  return dr__docker_call(op, &spec, err);
}

static char *preview_tag(const dr_op *op) {
  return dr__http_format("docker tag %s %s", dr__arg_string(op, "image", ""),
                         dr__arg_string(op, "tag", ""));
}

/* -------------------------------------------------------- docker.start stop restart kill remove */

enum { STOP_MARGIN = 30, USUAL_GRACE = 10, UNKNOWN_GRACE = 300 };

static int start_start(dr_op *op, dr_err *err) {
  const dr_docker_call_spec spec = {
      .method = "POST", .path = container_path(op, "/start"), .timeout_s = 120};
  return dr__docker_call(op, &spec, err);
}

static char *preview_start(const dr_op *op) {
  return preview_of(op, "start");
}

/* The call lasts as long as the container takes to stop: without a time-out of ours, its own, which
 * may be long. */
static int stop_or_restart(dr_op *op, const char *verb, dr_err *err) {
  bool given = dr__arg(op, "timeout") != NULL;
  double grace = dr__arg_number(op, "timeout", UNKNOWN_GRACE);
  char *after = given ? dr__http_format("/%s?t=%.0f", verb, grace) : dr__http_format("/%s", verb);
  const dr_docker_call_spec spec = {.method = "POST",
                                    .path = after ? container_path(op, after) : NULL,
                                    .timeout_s = grace + STOP_MARGIN};
  free(after);
  return dr__docker_call(op, &spec, err);
}

static int start_stop(dr_op *op, dr_err *err) {
  return stop_or_restart(op, "stop", err);
}
static int start_restart(dr_op *op, dr_err *err) {
  return stop_or_restart(op, "restart", err);
}

static char *preview_with_grace(const dr_op *op, const char *verb) {
  char text[64];
  if (!dr__arg(op, "timeout")) return preview_of(op, verb);
  snprintf(text, sizeof text, "%s --time %.0f", verb, dr__arg_number(op, "timeout", USUAL_GRACE));
  return preview_of(op, text);
}

static char *preview_stop(const dr_op *op) {
  return preview_with_grace(op, "stop");
}
static char *preview_restart(const dr_op *op) {
  return preview_with_grace(op, "restart");
}

static int start_kill(dr_op *op, dr_err *err) {
  char *after = dr__engine_path("/kill?signal=", dr__arg_string(op, "signal", "KILL"), "");
  const dr_docker_call_spec spec = {.method = "POST",
                                    .path = after ? container_path(op, after) : NULL};
  free(after);
  return dr__docker_call(op, &spec, err);
}

static char *preview_kill(const dr_op *op) {
  char text[64];
  snprintf(text, sizeof text, "kill --signal %.40s", dr__arg_string(op, "signal", "KILL"));
  return preview_of(op, text);
}

static int start_remove(dr_op *op, dr_err *err) {
  const char *after = dr__arg_boolean(op, "force", false)
                          ? (dr__arg_boolean(op, "volumes", false) ? "?force=1&v=1" : "?force=1")
                          : (dr__arg_boolean(op, "volumes", false) ? "?v=1" : "");
  const dr_docker_call_spec spec = {
      .method = "DELETE", .path = container_path(op, after), .timeout_s = 120};
  return dr__docker_call(op, &spec, err);
}

static char *preview_remove(const dr_op *op) {
  char text[64];
  snprintf(text, sizeof text, "rm%s%s", dr__arg_boolean(op, "force", false) ? " --force" : "",
           dr__arg_boolean(op, "volumes", false) ? " --volumes" : "");
  return preview_of(op, text);
}

static json_t *assume_change(const dr_op *op) {
  (void)op;
  return json_pack("{s:b}", "unchanged", 0);
}

/* ------------------------------------------------------------ docker.wait_exited */

static char *preview_wait_exited(const dr_op *op) {
  return preview_of(op, "wait");
}

static json_t *assume_exit(const dr_op *op) {
  (void)op;
  return json_pack("{s:i}", "exit_code", 0);
}

/* ------------------------------------------------------------ where the engine is */

/* locate(target, socket or nil) -> path of a unix socket; or nil, code, message, hint. [-2, +1 or
 * 4, memory] */
static int l_locate(lua_State *L) {
  char socket[256];
  dr_err err = DR_ERR_INIT;
  struct dr_target *target = dr__target_check(L, 1);
  const char *remote = luaL_optstring(L, 2, NULL);
  if (dr__docker_locate(dr__lua_runtime(L), target, remote, socket, sizeof socket, &err) == 0) {
    lua_pushstring(L, socket);
    return 1;
  }
  char message[sizeof err.message];
  char hint[sizeof err.hint];
  char code[sizeof err.code];
  dr__copy_text(message, sizeof message, err.message);
  dr__copy_text(hint, sizeof hint, err.hint);
  dr__copy_text(code, sizeof code, err.code);
  dr_err_clear(&err);
  lua_pushnil(L);
  lua_pushstring(L, code);
  lua_pushstring(L, message);
  lua_pushstring(L, hint);
  return 4;
}

static const luaL_Reg functions[] = {{"locate", l_locate}, {NULL, NULL}};

/* ------------------------------------------------------------ the ops */

#define SOCKET                                                                                     \
  { "socket", DR_ARG_STRING, DR_REQUIRED }
#define CONTAINER                                                                                  \
  SOCKET, {"container", DR_ARG_STRING, DR_REQUIRED}, {                                             \
    "name", DR_ARG_STRING, 0                                                                       \
  }

static const dr_arg info_args[] = {SOCKET, {0}};
static const dr_arg list_args[] = {SOCKET,
                                   {"labels", DR_ARG_MAP, 0},
                                   {"named", DR_ARG_STRING, 0},
                                   {"status", DR_ARG_STRINGS, 0},
                                   {"all", DR_ARG_BOOLEAN, 0},
                                   {0}};
static const dr_arg container_args[] = {CONTAINER, {0}};
static const dr_arg grace_args[] = {CONTAINER, {"timeout", DR_ARG_DURATION, 0}, {0}};
static const dr_arg kill_args[] = {CONTAINER, {"signal", DR_ARG_STRING, 0}, {0}};
static const dr_arg remove_args[] = {
    CONTAINER, {"force", DR_ARG_BOOLEAN, 0}, {"volumes", DR_ARG_BOOLEAN, 0}, {0}};
static const dr_arg exited_args[] = {CONTAINER, {"within", DR_ARG_DURATION, 0}, {0}};
static const dr_arg image_args[] = {SOCKET, {"image", DR_ARG_STRING, DR_REQUIRED}, {0}};
static const dr_arg tag_args[] = {
    SOCKET, {"image", DR_ARG_STRING, DR_REQUIRED}, {"tag", DR_ARG_STRING, DR_REQUIRED}, {0}};

static const dr_opspec ops[] = {
    {.name = "docker.info",
     .kind = DR_QUERY,
     .idempotent = true,
     .args = info_args,
     .preview = preview_info,
     .start = start_info},
    {.name = "docker.list",
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_CONTAINERS,
     .args = list_args,
     .preview = preview_list,
     .assume = assume_list,
     .start = start_list},
    {.name = "docker.inspect",
     .check = dr__docker_check_container,
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_CONTAINERS,
     .args = container_args,
     .preview = preview_inspect,
     .assume = assume_inspect,
     .start = start_inspect},
    {.name = "docker.top",
     .check = dr__docker_check_container,
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_CONTAINERS,
     .args = container_args,
     .preview = preview_top,
     .assume = assume_top,
     .start = start_top},
    {.name = "docker.image_inspect",
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_IMAGES,
     .args = image_args,
     .preview = preview_image,
     .assume = assume_image,
     .start = start_image},
    {.name = "docker.logs",
     .check = dr__docker_check_container,
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_CONTAINERS,
     .args = dr__docker_logs_args,
     .preview = dr__docker_logs_preview,
     .assume = dr__docker_logs_assume,
     .start = dr__docker_logs_op_start},
    {.name = "docker.start",
     .check = dr__docker_check_container,
     .kind = DR_ACTION,
     .effects = DR_CHANGE,
     .idempotent = true,
     .touches = DR_AREA_CONTAINERS,
     .args = container_args,
     .preview = preview_start,
     .assume = assume_change,
     .start = start_start},
    {.name = "docker.stop",
     .check = dr__docker_check_container,
     .kind = DR_ACTION,
     .effects = DR_CHANGE | DR_DOWNTIME,
     .idempotent = true,
     .touches = DR_AREA_CONTAINERS,
     .args = grace_args,
     .preview = preview_stop,
     .assume = assume_change,
     .start = start_stop},
    {.name = "docker.restart",
     .check = dr__docker_check_container,
     .kind = DR_ACTION,
     .effects = DR_CHANGE | DR_DOWNTIME,
     .idempotent = true,
     .touches = DR_AREA_CONTAINERS,
     .args = grace_args,
     .preview = preview_restart,
     .assume = assume_change,
     .start = start_restart},
    {.name = "docker.kill",
     .check = dr__docker_check_kill,
     .kind = DR_ACTION,
     .effects = DR_CHANGE | DR_DOWNTIME,
     .touches = DR_AREA_CONTAINERS,
     .args = kill_args,
     .preview = preview_kill,
     .assume = assume_change,
     .start = start_kill},
    {.name = "docker.remove",
     .check = dr__docker_check_container,
     .kind = DR_ACTION,
     .effects = DR_CHANGE | DR_DESTRUCTIVE,
     .touches = DR_AREA_CONTAINERS,
     .args = remove_args,
     .preview = preview_remove,
     .assume = assume_change,
     .start = start_remove},
    {.name = "docker.tag",
     .check = dr__docker_check_tag,
     .kind = DR_ACTION,
     .effects = DR_CHANGE,
     .idempotent = true,
     .touches = DR_AREA_IMAGES,
     .args = tag_args,
     .preview = preview_tag,
     .assume = assume_change,
     .start = start_tag},
    {.name = "docker.exec",
     .check = dr__docker_check_container,
     .kind = DR_ACTION,
     .effects = DR_CHANGE,
     .touches = (unsigned)DR_AREA_ALL,
     .args = dr__docker_exec_args,
     .preview = dr__docker_exec_preview,
     .assume = dr__docker_exec_assume,
     .start = dr__docker_exec_start},
    {.name = "docker.wait_healthy",
     .check = dr__docker_healthy_check,
     .kind = DR_CHECK,
     .idempotent = true,
     .args = dr__docker_healthy_args,
     .preview = dr__docker_healthy_preview,
     .assume = dr__docker_healthy_assume,
     .start = dr__docker_healthy_start},
    {.name = "docker.wait_running",
     .check = dr__docker_healthy_check,
     .kind = DR_CHECK,
     .idempotent = true,
     .args = dr__docker_running_args,
     .preview = dr__docker_healthy_preview,
     .assume = dr__docker_healthy_assume,
     .start = dr__docker_healthy_start},
    {.name = "docker.wait_exited",
     .check = dr__docker_check_container,
     .kind = DR_CHECK,
     .idempotent = true,
     .args = exited_args,
     .preview = preview_wait_exited,
     .assume = assume_exit,
     .start = dr__docker_exited_start},
    {0},
};

extern const dr_lua_source dr__lua_docker;

const dr_binding dr__binding_docker = {
    .name = "docker",
    .ops = ops,
    .functions = functions,
    .lua = &dr__lua_docker,
    .gives = ":docker dr.Engine dr.docker_socket dr.engine_caller dr.with_container"};
