/* swarm.c - the ops of a swarm: init, leave, services, update, rollback by the Engine's API; stack
 * deploy and remove by the docker command, because the API knows no compose files. Waiting is in
 * swarm_converge.c. Called through the gate and from the loop, on the runtime's thread.
 */
#include "swarm.h"

#include "core/err.h"
#include "docker/docker_check.h"
#include "docker/docker_registry.h"
#include "swarm_state.h"
#include "target/target.h"

#include <stdlib.h>
#include <string.h>

enum { SLOW = 120, DEPLOY_TIMEOUT = 600, SETTLE = 20 };

void dr__swarm_explain(dr_err *err) {
  bool manager = strstr(err->message, "not a swarm manager") != NULL;
  bool service = strstr(err->message, "service ") && strstr(err->message, "not found");
  if (strncmp(err->code, "docker.", 7) != 0 || (!manager && !service)) return;
  dr__copy_text(err->code, sizeof err->code,
                manager ? "swarm.not_manager" : "swarm.no_such_service");
  dr__err_hint(err, "%s",
               manager ? "swarm:init() makes this engine one; a worker must be asked for nothing"
                       : "`docker service ls` lists all");
}

static void fail(dr_docker_steps *steps, dr_err *err) {
  dr__swarm_explain(err);
  dr__docker_steps_fail(steps, err);
}

static void end_changed(dr_docker_steps *steps, bool unchanged) {
  dr__docker_steps_done(steps, json_pack("{s:b}", "unchanged", unchanged));
}

static json_t *assume_change(const dr_op *op) {
  (void)op;
  return json_pack("{s:b}", "unchanged", 0);
}

static int check_service(const dr_op *op, dr_err *err) {
  return dr__docker_check_name(dr__arg_string(op, "service", ""), "name of a service", err);
}

static int check_update(const dr_op *op, dr_err *err) {
  const char *order = dr__arg_string(op, "order", "start-first");
  dr_image_name name;
  int status = check_service(op, err);
  if (status) return status;
  if (strcmp(order, "start-first") != 0 && strcmp(order, "stop-first") != 0)
    return dr__fail(err, "recipe.argument", "order is \"start-first\" or \"stop-first\"");
  if (dr__arg_integer(op, "replicas", 0) < 0)
    return dr__fail(err, "recipe.argument", "replicas is a whole number, 0 or more");
  return dr__arg(op, "image") ? dr__image_name(dr__arg_string(op, "image", ""), &name, err) : DR_OK;
}

static int check_stack(const dr_op *op, dr_err *err) {
  const json_t *files = dr__arg(op, "files");
  if (files && json_array_size(files) == 0)
    return dr__fail(err, "recipe.argument", "a stack needs a compose file");
  return dr__docker_check_name(dr__arg_string(op, "stack", ""), "name of a stack", err);
}

/* Begins the steps of an op that keeps no data. */
static int begin(dr_op *op, const dr_docker_step *step, dr_err *err) {
  dr_docker_steps *steps = dr__docker_steps_new(op, NULL, NULL, err);
  if (steps) return dr__docker_steps_begin(steps, step, err);
  free(step->path);
  return DR_FAILED;
}

/* ------------------------------------------------------------ swarm.info, swarm.services */

static json_t *info_of(const json_t *info) {
  const json_t *swarm = json_object_get(info, "Swarm");
  const char *state = json_string_value(json_object_get(swarm, "LocalNodeState"));
  return json_pack("{s:b, s:b, s:I, s:I}", "active", state && strcmp(state, "active") == 0,
                   "manager", json_is_true(json_object_get(swarm, "ControlAvailable")), "nodes",
                   json_integer_value(json_object_get(swarm, "Nodes")), "managers",
                   json_integer_value(json_object_get(swarm, "Managers")));
}

static json_t *parse_info(dr_op *op, const dr_engine_answer *answer, dr_err *err) {
  (void)op;
  (void)err;
  return info_of(answer->json);
}

static int start_info(dr_op *op, dr_err *err) {
  const dr_docker_call_spec spec = {.path = strdup("/info"), .parse = parse_info};
  return dr__docker_call(op, &spec, err);
}

static char *preview_info(const dr_op *op) {
  (void)op;
  return strdup("docker info (swarm)");
}

static json_t *assume_info(const dr_op *op) {
  (void)op;
  return json_pack("{s:b, s:b, s:i, s:i}", "active", 1, "manager", 1, "nodes", 1, "managers", 1);
}

char *dr__swarm_services_path(const dr_op *op) {
  json_t *filters = json_object();
  json_t *service = dr__arg(op, "service"), *stack = dr__arg(op, "stack");
  if (service && !stack) json_object_set_new(filters, "name", json_pack("[O]", service));
  if (stack)
    json_object_set_new(
        filters, "label",
        json_pack("[o]", json_sprintf("com.docker.stack.namespace=%s", json_string_value(stack))));
  char *text = json_dumps(filters, JSON_COMPACT);
  char *path = text ? dr__engine_path("/services?status=1&filters=", text, "") : NULL;
  free(text);
  json_decref(filters);
  return path;
}

static void on_listed(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  json_t *list = json_array();
  size_t i;
  const json_t *service;
  if (err) {
    json_decref(list);
    fail(steps, err);
    return;
  }
  json_array_foreach(answer->json, i, service)
    json_array_append_new(list, dr__swarm_service(service));
  dr__docker_steps_done(steps, json_pack("{s:o}", "services", list));
}

static int start_services(dr_op *op, dr_err *err) {
  const dr_docker_step step = {.path = dr__swarm_services_path(op), .next = on_listed};
  return begin(op, &step, err);
}

static char *preview_services(const dr_op *op) {
  const char *stack = dr__arg_string(op, "stack", "");
  return dr__http_format("docker service ls%s%s", stack[0] ? " of " : "", stack);
}

static json_t *assume_services(const dr_op *op) {
  (void)op;
  return json_pack("{s:[]}", "services");
}

/* ------------------------------------------------------------ swarm.init, swarm.leave */

static void on_init(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  (void)answer;
  if (!err) {
    end_changed(steps, false);
    return;
  }
  if (strstr(err->message, "advertise"))
    dr__err_hint(err, "the machine has several addresses: init{ advertise = \"10.0.0.1\" }");
  fail(steps, err);
}

static void on_info_for_init(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  dr_err problem = DR_ERR_INIT;
  if (err) {
    fail(steps, err);
    return;
  }
  json_t *info = info_of(answer->json);
  bool active = json_is_true(json_object_get(info, "active"));
  bool manager = json_is_true(json_object_get(info, "manager"));
  json_decref(info);
  if (active && !manager) {
    dr__fail(&problem, "swarm.not_manager", "this engine is a worker of a swarm already");
    dr__err_hint(&problem, "talk to one of its managers, or let it leave first");
    dr__docker_steps_fail(steps, &problem);
  } else if (active) {
    end_changed(steps, true);
  } else {
    const dr_docker_step step = {
        .method = "POST",
        .path = strdup("/swarm/init"),
        .body = json_pack("{s:s, s:s, s:{}}", "ListenAddr",
                          dr__arg_string(steps->op, "listen", "0.0.0.0:2377"), "AdvertiseAddr",
                          dr__arg_string(steps->op, "advertise", ""), "Spec"),
        .timeout_s = SLOW,
        .changes = true,
        .next = on_init};
    dr__docker_steps_go(steps, &step);
  }
}

static int start_init(dr_op *op, dr_err *err) {
  const dr_docker_step step = {.path = strdup("/info"), .next = on_info_for_init};
  return begin(op, &step, err);
}

static char *preview_init(const dr_op *op) {
  const char *address = dr__arg_string(op, "advertise", "");
  return dr__http_format("docker swarm init%s%s", address[0] ? " --advertise-addr " : "", address);
}

static void on_left(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  bool outside = err && strstr(err->message, "not part of a swarm");
  (void)answer;
  if (err && !outside)
    fail(steps, err);
  else
    end_changed(steps, outside);
}

static int start_leave(dr_op *op, dr_err *err) {
  bool force = dr__arg_boolean(op, "force", false);
  const dr_docker_step step = {.method = "POST",
                               .path = strdup(force ? "/swarm/leave?force=1" : "/swarm/leave"),
                               .timeout_s = SLOW,
                               .changes = true,
                               .next = on_left};
  return begin(op, &step, err);
}

static char *preview_leave(const dr_op *op) {
  return strdup(dr__arg_boolean(op, "force", false) ? "docker swarm leave --force"
                                                    : "docker swarm leave");
}

/* ------------------------------------------------------------ swarm.update, swarm.rollback */

typedef struct update {
  json_t *service;
  json_t *changes;
} update;

static void update_free(void *data) {
  update *self = data;
  json_decref(self->service);
  json_decref(self->changes);
  free(self);
}

static void on_updated(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  (void)answer;
  if (err)
    fail(steps, err);
  else
    end_changed(steps, false);
}

static json_t *registry_headers(const dr_op *op) {
  dr_image_name name;
  dr_err err = DR_ERR_INIT;
  const json_t *auth = dr__arg(op, "auth");
  bool known = dr__image_name(dr__arg_string(op, "image", ""), &name, &err) == 0;
  dr_err_clear(&err);
  return auth && known ? dr__registry_headers(auth, name.registry) : NULL;
}

static void send_update(dr_docker_steps *steps, const char *query, json_t *body) {
  const update *self = steps->data;
  const char *id = json_string_value(json_object_get(self->service, "ID"));
  const json_t *version = json_object_get(self->service, "Version");
  char *after =
      dr__http_format("/update?version=%lld%s",
                      (long long)json_integer_value(json_object_get(version, "Index")), query);
  const dr_docker_step step = {.method = "POST",
                               .path = after ? dr__engine_path("/services/", id ? id : "", after)
                                             : NULL,
                               .body = body,
                               .headers = registry_headers(steps->op),
                               .timeout_s = SLOW,
                               .changes = true,
                               .next = on_updated};
  free(after);
  dr__docker_steps_go(steps, &step);
}

static void change(dr_docker_steps *steps) {
  const update *self = steps->data;
  json_t *spec = dr__swarm_changed_spec(self->service, self->changes);
  dr_err err = DR_ERR_INIT;
  if (spec && json_equal(spec, json_object_get(self->service, "Spec"))) {
    json_decref(spec);
    end_changed(steps, true);
  } else if (spec) {
    send_update(steps, "", spec);
  } else {
    dr__err_nomem(&err);
    dr__docker_steps_fail(steps, &err);
  }
}

/* The registry tells which image the tag means now, so that every node runs the same. An image that
 * only this machine has stays as it is named. */
static void on_resolved(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  const update *self = steps->data;
  const char *image = dr__arg_string(steps->op, "image", "");
  dr_err problem = DR_ERR_INIT;
  dr_image_name name;
  bool own = dr__image_name(image, &name, &problem) == 0 && strcmp(name.registry, "docker.io") != 0;
  const json_t *descriptor = answer ? json_object_get(answer->json, "Descriptor") : NULL;
  const char *digest = json_string_value(json_object_get(descriptor, "digest"));
  dr_err_clear(&problem);
  if (err) dr__registry_explain(&problem, "pull", image, err->message);
  bool refused = strcmp(problem.code, "docker.image_missing") == 0 ||
                 strcmp(problem.code, "docker.registry_auth") == 0;
  if (own && refused) {
    dr__docker_steps_fail(steps, &problem);
    return;
  }
  dr_err_clear(&problem);
  if (digest) json_object_set_new(self->changes, "image", json_sprintf("%s@%s", image, digest));
  change(steps);
}

static void on_service(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  update *self = steps->data;
  const char *image = dr__arg_string(steps->op, "image", NULL);
  if (err) {
    fail(steps, err);
    return;
  }
  self->service = json_incref(answer->json);
  if (strcmp(steps->op->spec->name, "swarm.rollback") == 0) {
    json_t *spec = json_deep_copy(json_object_get(self->service, "Spec"));
    send_update(steps, "&rollback=previous", spec);
  } else if (image && !strchr(image, '@') && dr__arg_boolean(steps->op, "resolve", true)) {
    const dr_docker_step step = {.path = dr__engine_path("/distribution/", image, "/json"),
                                 .headers = registry_headers(steps->op),
                                 .next = on_resolved};
    dr__docker_steps_go(steps, &step);
  } else {
    change(steps);
  }
}

static int start_update(dr_op *op, dr_err *err) {
  update *self = calloc(1, sizeof *self);
  if (!self) return dr__err_nomem(err);
  self->changes = json_copy(op->args);
  dr_docker_steps *steps = dr__docker_steps_new(op, self, update_free, err);
  if (!steps) return DR_FAILED;
  const dr_docker_step step = {
      .path = dr__engine_path("/services/", dr__arg_string(op, "service", ""), ""),
      .next = on_service};
  return dr__docker_steps_begin(steps, &step, err);
}

static void add_words(json_t *words, const char *flag, json_t *value) {
  if (!value) return;
  json_array_append_new(words, json_string(flag));
  json_array_append_new(words, value);
}

static char *preview_update(const dr_op *op) {
  json_t *words = json_pack("[s, s, s]", "docker", "service", "update"), *env;
  const char *name;
  add_words(words, "--image", json_incref(dr__arg(op, "image")));
  add_words(words, "--update-order", json_incref(dr__arg(op, "order")));
  if (dr__arg(op, "rollback"))
    add_words(words, "--update-failure-action",
              json_string(dr__arg_boolean(op, "rollback", false) ? "rollback" : "pause"));
  if (dr__arg(op, "monitor"))
    add_words(words, "--update-monitor", json_sprintf("%gs", dr__arg_number(op, "monitor", 0)));
  if (dr__arg(op, "replicas"))
    add_words(words, "--replicas", json_sprintf("%d", (int)dr__arg_integer(op, "replicas", 0)));
  json_object_foreach(dr__arg(op, "env"), name, env)
    add_words(words, "--env-add", json_sprintf("%s=%s", name, json_string_value(env)));
  if (dr__arg_boolean(op, "force", false)) json_array_append_new(words, json_string("--force"));
  json_array_append(words, dr__arg(op, "service"));
  char *text = dr__shell_quote(words);
  json_decref(words);
  return text;
}

static char *preview_rollback(const dr_op *op) {
  return dr__http_format("docker service rollback %s", dr__arg_string(op, "service", ""));
}

/* ------------------------------------------------------------ stacks, by the command */

static void explain_deploy(dr_op *op, dr_err *err) {
  const char *text = dr__exec_text(op, 2);
  if (strcmp(err->code, "command.failed") != 0) return;
  if (strstr(text, "not a swarm manager")) {
    dr__copy_text(err->code, sizeof err->code, "swarm.not_manager");
    dr__err_hint(err, "swarm:init() makes this engine one");
  } else if (strstr(text, "yaml") || strstr(text, "dditional property") ||
             strstr(text, "nsupported") || strstr(text, "must be a")) {
    dr__copy_text(err->code, sizeof err->code, "compose.invalid");
    dr__err_hint(err, "a stack takes version 3 of the compose file: `docker stack config -c FILE`");
  }
}

static json_t *deploy_words(const dr_op *op) {
  json_t *words = json_pack("[s, s, s]", "docker", "stack", "deploy"), *file;
  size_t i;
  if (dr__arg_boolean(op, "prune", false)) json_array_append_new(words, json_string("--prune"));
  if (dr__arg_boolean(op, "registry_auth", false))
    json_array_append_new(words, json_string("--with-registry-auth"));
  json_array_foreach(dr__arg(op, "files"), i, file) add_words(words, "-c", json_incref(file));
  json_array_append(words, dr__arg(op, "stack"));
  return words;
}

static json_t *remove_words(const dr_op *op) {
  return json_pack("[s, s, s, O]", "docker", "stack", "rm", dr__arg(op, "stack"));
}

static json_t *words_of(const dr_op *op) {
  return strcmp(op->spec->name, "swarm.deploy") == 0 ? deploy_words(op) : remove_words(op);
}

static int start_stack(dr_op *op, dr_err *err) {
  dr_exec_spec spec = {.command = words_of(op),
                       .timeout = dr__arg_number(op, "timeout", DEPLOY_TIMEOUT),
                       .settle = SETTLE,
                       .fail = explain_deploy};
  return dr__exec_op(op, &spec, err);
}

static char *preview_stack(const dr_op *op) {
  json_t *words = words_of(op);
  char *text = dr__exec_preview(op, words);
  json_decref(words);
  return text;
}

static json_t *assume_done(const dr_op *op) {
  (void)op;
  return json_pack("{s:i, s:s, s:s, s:b}", "status", 0, "stdout", "", "stderr", "", "ok", 1);
}

/* ------------------------------------------------------------ the ops */

#define SOCKET                                                                                     \
  { "socket", DR_ARG_STRING, DR_REQUIRED }
#define SERVICE                                                                                    \
  { "service", DR_ARG_STRING, DR_REQUIRED }

static const dr_arg info_args[] = {SOCKET, {0}};
static const dr_arg services_args[] = {
    SOCKET, {"stack", DR_ARG_STRING, 0}, {"service", DR_ARG_STRING, 0}, {0}};
static const dr_arg init_args[] = {
    SOCKET, {"advertise", DR_ARG_STRING, 0}, {"listen", DR_ARG_STRING, 0}, {0}};
static const dr_arg leave_args[] = {SOCKET, {"force", DR_ARG_BOOLEAN, 0}, {0}};
static const dr_arg update_args[] = {SOCKET,
                                     SERVICE,
                                     {"image", DR_ARG_STRING, 0},
                                     {"replicas", DR_ARG_INTEGER, 0},
                                     {"env", DR_ARG_MAP, 0},
                                     {"order", DR_ARG_STRING, 0},
                                     {"rollback", DR_ARG_BOOLEAN, 0},
                                     {"monitor", DR_ARG_DURATION, 0},
                                     {"parallelism", DR_ARG_INTEGER, 0},
                                     {"delay", DR_ARG_DURATION, 0},
                                     {"max_failure_ratio", DR_ARG_NUMBER, 0},
                                     {"force", DR_ARG_BOOLEAN, 0},
                                     {"auth", DR_ARG_MAP, 0},
                                     {"resolve", DR_ARG_BOOLEAN, 0},
                                     {0}};
static const dr_arg rollback_args[] = {SOCKET, SERVICE, {0}};
static const dr_arg deploy_args[] = {
    {"stack", DR_ARG_STRING, DR_REQUIRED}, {"files", DR_ARG_STRINGS, DR_REQUIRED},
    {"prune", DR_ARG_BOOLEAN, 0},          {"registry_auth", DR_ARG_BOOLEAN, 0},
    {"timeout", DR_ARG_DURATION, 0},       {0}};
static const dr_arg remove_args[] = {
    {"stack", DR_ARG_STRING, DR_REQUIRED}, {"timeout", DR_ARG_DURATION, 0}, {0}};

#define RUNNING (DR_AREA_CONTAINERS | DR_AREA_SERVICES | DR_AREA_NETWORK)

#define ACTION(NAME, EFFECTS, IDEMPOTENT, ARGS, FUNCTION, ASSUME, CHECK)                           \
  {                                                                                                \
    .name = "swarm." NAME, .kind = DR_ACTION, .check = (CHECK), .effects = DR_CHANGE | (EFFECTS),  \
    .idempotent = (IDEMPOTENT), .touches = RUNNING, .args = (ARGS), .preview = preview_##FUNCTION, \
    .assume = (ASSUME), .start = start_##FUNCTION                                                  \
  }

/* A rollback that is done twice goes forward again. */
#define start_rollback start_update

static const dr_opspec ops[] = {
    {.name = "swarm.info",
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_SERVICES,
     .args = info_args,
     .preview = preview_info,
     .assume = assume_info,
     .start = start_info},
    {.name = "swarm.services",
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_SERVICES,
     .args = services_args,
     .preview = preview_services,
     .assume = assume_services,
     .start = start_services},
    {.name = "swarm.converge",
     .check = dr__swarm_converge_check,
     .kind = DR_CHECK,
     .idempotent = true,
     .args = dr__swarm_converge_args,
     .preview = dr__swarm_converge_preview,
     .assume = dr__swarm_converge_assume,
     .start = dr__swarm_converge_start},
    ACTION("init", 0, true, init_args, init, assume_change, NULL),
    ACTION("leave", DR_DOWNTIME | DR_DESTRUCTIVE, true, leave_args, leave, assume_change, NULL),
    ACTION("update", 0, true, update_args, update, assume_change, check_update),
    ACTION("rollback", 0, false, rollback_args, rollback, assume_change, check_service),
    ACTION("deploy", DR_DOWNTIME, true, deploy_args, stack, assume_done, check_stack),
    ACTION("remove", DR_DOWNTIME | DR_DESTRUCTIVE, true, remove_args, stack, assume_done,
           check_stack),
    {0},
};

extern const dr_lua_source dr__lua_swarm;

const dr_binding dr__binding_swarm = {
    .name = "swarm", .ops = ops, .lua = &dr__lua_swarm, .gives = ":swarm"};
