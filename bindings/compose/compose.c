/* compose.c - docker compose by its command line: there is no API for it. Each op builds the words
 * of one command and runs it on the target (exec_op.c); what the containers themselves do is seen
 * through the Engine (docker.c). Version 2 (`docker compose`) and version 1 (`docker-compose`) take
 * the same words here; which of them the target has is found once, by compose.open. Called through
 * the gate on the runtime's thread.
 */
#include "compose_check.h"
#include "compose_error.h"
#include "compose_yaml.h"
#include "target/target.h"

#include "core/err.h"
#include "ops/binding.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const dr_lua_source dr__lua_compose, dr__lua_compose_replace, dr__lua_compose_recreate,
    dr__lua_nginx;

/* Seconds a command may take, and may go on after a cancel: cut off while the Engine makes a
 * container, it would leave one that nobody knows. */
enum { QUICK = 60, SLOW = 3600, SETTLE = 20 };

/* ------------------------------------------------------------ words */

static void add(json_t *words, const char *word) {
  json_array_append_new(words, json_string(word));
}

static void add_if(json_t *words, const dr_op *op, const char *name, const char *word) {
  if (dr__arg_boolean(op, name, false)) add(words, word);
}

static void add_all(json_t *words, json_t *list) {
  json_array_extend(words, list);
}

static void add_files(json_t *words, const dr_op *op) {
  json_t *file;
  size_t i;
  json_array_foreach(dr__arg(op, "files"), i, file) {
    add(words, "-f");
    json_array_append(words, file);
  }
}

/* docker-compose -p tour -f docker-compose.yml VERB */
static json_t *begin(const dr_op *op, const char *verb) {
  json_t *words = json_array(), *profile;
  size_t i;
  add_all(words, dr__arg(op, "compose"));
  add(words, "-p");
  add(words, dr__arg_string(op, "project", ""));
  add_files(words, op);
  json_array_foreach(dr__arg(op, "profiles"), i, profile) {
    add(words, "--profile");
    json_array_append(words, profile);
  }
  add(words, verb);
  return words;
}

/* --flag name=value for each pair */
static void add_pairs(json_t *words, const dr_op *op, const char *name, const char *flag) {
  const char *key;
  json_t *value;
  json_object_foreach(dr__arg(op, name), key, value) {
    add(words, flag);
    json_array_append_new(words, json_sprintf("%s=%s", key, json_string_value(value)));
  }
}

static void add_timeout(json_t *words, const dr_op *op) {
  double seconds = dr__arg_number(op, "grace", -1);
  if (seconds < 0) return;
  add(words, "-t");
  json_array_append_new(words, json_sprintf("%.0f", seconds));
}

static json_t *config_words(const dr_op *op) {
  return begin(op, "config");
}

static json_t *build_words(const dr_op *op) {
  json_t *words = begin(op, "build");
  add_if(words, op, "no_cache", "--no-cache");
  add_if(words, op, "pull", "--pull");
  add_pairs(words, op, "args", "--build-arg");
  add_all(words, dr__arg(op, "services"));
  return words;
}

static json_t *pull_words(const dr_op *op) {
  json_t *words = begin(op, "pull");
  add_all(words, dr__arg(op, "services"));
  return words;
}

static json_t *up_words(const dr_op *op) {
  json_t *words = begin(op, "up");
  add(words, "-d");
  add_if(words, op, "no_deps", "--no-deps");
  add_if(words, op, "no_recreate", "--no-recreate");
  add_if(words, op, "force_recreate", "--force-recreate");
  add_if(words, op, "remove_orphans", "--remove-orphans");
  add_timeout(words, op);
  add_pairs(words, op, "scale", "--scale");
  add_all(words, dr__arg(op, "services"));
  return words;
}

static json_t *scale_words(const dr_op *op) {
  json_t *words = begin(op, "up");
  const char *service = dr__arg_string(op, "service", "");
  add(words, "-d");
  add(words, "--no-deps");
  add(words, "--no-recreate");
  add(words, "--scale");
  json_array_append_new(words,
                        json_sprintf("%s=%d", service, (int)dr__arg_integer(op, "count", 1)));
  add(words, service);
  return words;
}

static json_t *verb_words(const dr_op *op) {
  json_t *words = begin(op, strchr(op->spec->name, '.') + 1);
  add_timeout(words, op);
  add_all(words, dr__arg(op, "services"));
  return words;
}

static json_t *kill_words(const dr_op *op) {
  json_t *words = begin(op, "kill");
  add(words, "-s");
  add(words, dr__arg_string(op, "signal", "KILL"));
  add_all(words, dr__arg(op, "services"));
  return words;
}

static json_t *remove_words(const dr_op *op) {
  json_t *words = begin(op, "rm");
  add(words, "-f");
  add(words, "-s");
  add_all(words, dr__arg(op, "services"));
  return words;
}

static json_t *down_words(const dr_op *op) {
  json_t *words = begin(op, "down");
  add_if(words, op, "remove_orphans", "--remove-orphans");
  add_if(words, op, "volumes", "--volumes");
  add_timeout(words, op);
  return words;
}

static json_t *logs_words(const dr_op *op) {
  json_t *words = begin(op, "logs");
  add(words, "--no-color");
  json_array_append_new(words, json_sprintf("--tail=%d", (int)dr__arg_integer(op, "tail", 50)));
  add_all(words, dr__arg(op, "services"));
  return words;
}

/* ------------------------------------------------------------ running */

typedef json_t *(*make_words)(const dr_op *op);

static make_words words_of(const dr_op *op) {
  static const struct {
    const char *name;
    make_words make;
  } makers[] = {
      {"compose.config", config_words}, {"compose.build", build_words},
      {"compose.pull", pull_words},     {"compose.up", up_words},
      {"compose.scale", scale_words},   {"compose.remove", remove_words},
      {"compose.down", down_words},     {"compose.logs", logs_words},
      {"compose.kill", kill_words},
  };
  for (size_t i = 0; i < sizeof makers / sizeof *makers; i++)
    if (strcmp(op->spec->name, makers[i].name) == 0) return makers[i].make;
  return verb_words;
}

static char *preview(const dr_op *op) {
  json_t *words = words_of(op)(op);
  char *text = dr__exec_preview(op, words);
  json_decref(words);
  return text;
}

/* Names what the command only says in words. */
static void explain(dr_op *op, dr_err *err) {
  if (strcmp(err->code, "command.failed") != 0) return;
  dr__compose_explain(err, dr__exec_text(op, 2));
  if (strcmp(err->code, "compose.file") != 0) return;
  const char *folder = op->target->cwd ? op->target->cwd : "";
  const char *file = json_string_value(json_array_get(dr__arg(op, "files"), 0));
  snprintf(err->message, sizeof err->message, "there is no compose file %s%sin %s",
           file ? file : "", file ? " " : "", folder[0] ? folder : "that folder");
}

static int run_words(dr_op *op, dr_err *err, double timeout, bool quiet,
                     json_t *(*parse)(dr_op *, int, json_t *, dr_err *)) {
  dr_exec_spec spec = {.command = words_of(op)(op),
                       .timeout = dr__arg_number(op, "timeout", timeout),
                       .quiet = quiet,
                       .settle = op->spec->touches & DR_AREA_CONTAINERS ? SETTLE : 0,
                       .parse = parse,
                       .fail = explain};
  return dr__exec_op(op, &spec, err);
}

static int start_slow(dr_op *op, dr_err *err) {
  return run_words(op, err, SLOW, false, NULL);
}

static int start_logs(dr_op *op, dr_err *err) {
  return run_words(op, err, QUICK, true, NULL);
}

/* What recipes see of a service. Environment, command and build arguments are left out: they hold
 * secrets, and what an op returns goes into the journal. */
static json_t *service_facts(json_t *service) {
  static const char *const kept[] = {"image",   "container_name", "ports",   "network_mode",
                                     "restart", "depends_on",     "volumes", "stop_grace_period"};
  json_t *facts = json_object();
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
    json_t *value = json_object_get(service, kept[i]);
    if (value) json_object_set(facts, kept[i], value);
  }
  json_object_set_new(facts, "build", json_boolean(json_object_get(service, "build")));
  json_object_set_new(facts, "healthcheck", json_boolean(json_object_get(service, "healthcheck")));
  return facts;
}

static json_t *names_of(json_t *map) {
  json_t *names = json_array(), *value;
  const char *name;
  json_object_foreach(map, name, value) json_array_append_new(names, json_string(name));
  return names;
}

static json_t *parse_config(dr_op *op, int status, json_t *result, dr_err *err) {
  (void)op;
  (void)status;
  json_t *text = json_object_get(result, "stdout"), *service;
  json_t *config = dr__yaml_read(json_string_value(text), json_string_length(text), err);
  json_decref(result);
  if (!config) return NULL;
  json_t *services = json_object_get(config, "services"), *known = json_object();
  const char *name;
  json_object_foreach(services, name, service)
    json_object_set_new(known, name, service_facts(service));
  json_t *networks = names_of(json_object_get(config, "networks"));
  json_t *volumes = names_of(json_object_get(config, "volumes"));
  json_decref(config);
  if (json_object_size(known) > 0)
    return json_pack("{s:o, s:o, s:o}", "services", known, "networks", networks, "volumes",
                     volumes);
  json_decref(known);
  json_decref(networks);
  json_decref(volumes);
  dr__fail(err, "compose.invalid", "the compose configuration has no services");
  return NULL;
}

static int start_config(dr_op *op, dr_err *err) {
  return run_words(op, err, QUICK, true, parse_config);
}

/* ------------------------------------------------------------ compose.open */

/* One round trip: which compose there is, the folder, the project's name where it is set. Version 2
 * also takes a name from the compose file: what it goes by stands in what `config` prints. Words:
 * "known" when the name was given, then -f FILE…. */
static const char open_script[] =
    "k=$1; shift; n=; "
    "if v=$(docker compose version --short 2>/dev/null); then c='docker compose'; "
    "elif v=$(docker-compose version --short 2>/dev/null); then c=docker-compose; "
    "else c=none; fi; echo \"$c\"; echo \"${v:-0}\"; pwd -P; case $k$c,$v in "
    "known* | none,* | *,1.*) ;; "
    "*) n=$($c \"$@\" config 2>/dev/null | sed -n 's/^name: *//p' | head -n 1) ;; esac; "
    "echo \"${n:-${COMPOSE_PROJECT_NAME:-$(sed -n 's/^COMPOSE_PROJECT_NAME=//p' .env 2>/dev/null | "
    "tail -n 1)}}\"";

static json_t *open_words(const dr_op *op) {
  json_t *words = json_pack("[s, s, s, s, s]", "sh", "-c", open_script, "compose",
                            dr__arg(op, "project") ? "known" : "");
  add_files(words, op);
  return words;
}

/* A project's name as compose makes it of a folder: lower case letters, digits, '-' and '_'. */
static json_t *project_of(const char *folder, size_t length) {
  char name[128];
  size_t used = 0;
  const char *last = folder + length;
  while (last > folder && last[-1] != '/') last--;
  for (; last < folder + length && used + 1 < sizeof name; last++) {
    char c = *last;
    if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
    bool kept =
        (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || ((c == '-' || c == '_') && used > 0);
    if (kept) name[used++] = c;
  }
  return json_stringn(used ? name : "default", used ? used : 7);
}

static void forget(void *known) {
  json_decref(known);
}

/* The answers of this runtime, by machine and folder: asking takes a second, and what is installed
 * does not change between the walk and the run. Borrowed; NULL when memory is short. */
static json_t *known_answers(const dr_op *op) {
  static const char key[] = "compose.open";
  json_t *known = dr__runtime_get(dr__op_runtime(op), key);
  if (known) return known;
  known = json_object();
  if (known && dr__runtime_put(dr__op_runtime(op), key, known, forget) == 0) return known;
  json_decref(known);
  return NULL;
}

static json_t *place_of(const dr_op *op) {
  json_t *words = open_words(op);
  char *command = dr__exec_preview(op, words);
  json_t *place = json_sprintf("%s: %s", dr__target_machine(op->target), command ? command : "");
  free(command);
  json_decref(words);
  return place;
}

/* The name as the recipe gives it, as it is set (perhaps between quotes), or as the folder's. */
static json_t *name_of(const dr_op *op, const char *set, size_t length, const char *folder,
                       size_t folder_length) {
  json_t *given = dr__arg(op, "project");
  bool quoted = length >= 2 && (*set == '"' || *set == '\'') && set[length - 1] == *set;
  if (given) return json_incref(given);
  if (quoted) return json_stringn(set + 1, length - 2);
  return length ? json_stringn(set, length) : project_of(folder, folder_length);
}

static json_t *opened_of(dr_op *op, const char *text, const char *planned, dr_err *err) {
  const char *line[4] = {"", "", "", ""};
  size_t length[4] = {0};
  for (int i = 0; i < 4 && text && *text; i++) {
    line[i] = text;
    length[i] = strcspn(text, "\n");
    text += length[i] + (text[length[i]] == '\n');
  }
  if (strncmp(line[0], "none", 4) == 0) {
    dr__fail(err, "compose.missing", "neither `docker compose` nor `docker-compose` is there");
    dr__err_hint(err, "install Docker with its compose plugin, or docker-compose");
    return NULL;
  }
  if (planned) {
    line[2] = planned;
    length[2] = strlen(planned);
    while (length[2] > 1 && planned[length[2] - 1] == '/') length[2]--;
    length[3] = 0;
  }
  bool plugin = strncmp(line[0], "docker compose", strlen("docker compose")) == 0;
  return json_pack(
      "{s:o, s:o, s:o, s:o}", "command",
      plugin ? json_pack("[s, s]", "docker", "compose") : json_pack("[s]", "docker-compose"),
      "version", json_stringn(line[1], length[1]), "folder", json_stringn(line[2], length[2]),
      "project", name_of(op, line[3], length[3], line[2], length[2]));
}

static json_t *parse_open(dr_op *op, int status, json_t *result, dr_err *err) {
  (void)status;
  const char *text = json_string_value(json_object_get(result, "stdout"));
  json_t *opened = opened_of(op, text, NULL, err), *place = place_of(op);
  json_decref(result);
  if (opened && place) json_object_set(known_answers(op), json_string_value(place), opened);
  json_decref(place);
  return opened;
}

/* Nothing of this is kept: when the folder is there it is asked again. */
static json_t *parse_planned(dr_op *op, int status, json_t *result, dr_err *err) {
  (void)status;
  const char *text = json_string_value(json_object_get(result, "stdout"));
  json_t *opened = opened_of(op, text, op->target->cwd, err);
  json_decref(result);
  op->assumed = opened != NULL;
  return opened;
}

/* In a dry run a folder that is not there may be made by what was planned before (a clone, a sync):
 * which compose there is can be asked elsewhere, and the name is the one the folder will give. */
static void ask_elsewhere(dr_op *op, dr_err *err) {
  if (strcmp(err->code, "command.no_such_folder") != 0 || !op->target->cwd ||
      !dr__op_planned(op, DR_AREA_FILES | DR_AREA_GIT))
    return;
  dr_exec_spec spec = {.command = open_words(op),
                       .view = dr__target_cd(op->target, "/"),
                       .timeout = QUICK,
                       .quiet = true,
                       .parse = parse_planned};
  dr_err own = DR_ERR_INIT;
  if (dr__exec_op(op, &spec, &own) != DR_OK) dr__err_move(err, &own);
}

static char *preview_open(const dr_op *op) {
  (void)op;
  return strdup("which compose is there, and what is the project");
}

static int start_open(dr_op *op, dr_err *err) {
  json_t *place = place_of(op);
  json_t *opened = json_object_get(known_answers(op), json_string_value(place));
  json_decref(place);
  if (opened) {
    dr__op_done(op, json_incref(opened));
    return 0;
  }
  dr_exec_spec spec = {.command = open_words(op),
                       .timeout = QUICK,
                       .quiet = true,
                       .parse = parse_open,
                       .fail = ask_elsewhere};
  return dr__exec_op(op, &spec, err);
}

static json_t *assume_open(const dr_op *op) {
  (void)op;
  return json_pack("{s:[s], s:s, s:s, s:s}", "command", "docker-compose", "version", "0", "folder",
                   "", "project", "");
}

static json_t *assume_config(const dr_op *op) {
  (void)op;
  return json_pack("{s:{}, s:[], s:[]}", "services", "networks", "volumes");
}

static json_t *assume_done(const dr_op *op) {
  (void)op;
  return json_pack("{s:i, s:s, s:s, s:b}", "status", 0, "stdout", "", "stderr", "", "ok", 1);
}

/* ------------------------------------------------------------ the ops */

#define COMMON                                                                                     \
  {"compose", DR_ARG_STRINGS, DR_REQUIRED}, {"project", DR_ARG_STRING, DR_REQUIRED},               \
      {"files", DR_ARG_STRINGS, 0}, {                                                              \
    "timeout", DR_ARG_DURATION, 0                                                                  \
  }
#define SERVICES                                                                                   \
  { "services", DR_ARG_STRINGS, 0 }
#define GRACE                                                                                      \
  { "grace", DR_ARG_DURATION, 0 }

static const dr_arg open_args[] = {
    {"files", DR_ARG_STRINGS, 0}, {"project", DR_ARG_STRING, 0}, {0}};
static const dr_arg config_args[] = {COMMON, {"profiles", DR_ARG_STRINGS, 0}, {0}};
static const dr_arg build_args[] = {COMMON,
                                    SERVICES,
                                    {"no_cache", DR_ARG_BOOLEAN, 0},
                                    {"pull", DR_ARG_BOOLEAN, 0},
                                    {"args", DR_ARG_MAP, 0},
                                    {0}};
static const dr_arg services_args[] = {COMMON, SERVICES, {0}};
static const dr_arg stop_args[] = {COMMON, SERVICES, GRACE, {0}};
static const dr_arg up_args[] = {COMMON,
                                 SERVICES,
                                 GRACE,
                                 {"no_deps", DR_ARG_BOOLEAN, 0},
                                 {"no_recreate", DR_ARG_BOOLEAN, 0},
                                 {"force_recreate", DR_ARG_BOOLEAN, 0},
                                 {"remove_orphans", DR_ARG_BOOLEAN, 0},
                                 {"scale", DR_ARG_MAP, 0},
                                 {0}};
static const dr_arg scale_args[] = {
    COMMON, {"service", DR_ARG_STRING, DR_REQUIRED}, {"count", DR_ARG_INTEGER, DR_REQUIRED}, {0}};
static const dr_arg kill_args[] = {COMMON, SERVICES, {"signal", DR_ARG_STRING, 0}, {0}};
static const dr_arg down_args[] = {
    COMMON, GRACE, {"remove_orphans", DR_ARG_BOOLEAN, 0}, {"volumes", DR_ARG_BOOLEAN, 0}, {0}};
static const dr_arg logs_args[] = {COMMON, SERVICES, {"tail", DR_ARG_INTEGER, 0}, {0}};

#define RUNNING (DR_AREA_CONTAINERS | DR_AREA_SERVICES | DR_AREA_NETWORK)

#define ACTION(NAME, ARGS, EFFECTS, TOUCHES)                                                       \
  {                                                                                                \
    .name = "compose." NAME, .kind = DR_ACTION, .effects = (EFFECTS), .idempotent = true,          \
    .touches = (TOUCHES), .args = (ARGS), .check = dr__compose_check, .preview = preview,          \
    .assume = assume_done, .start = start_slow                                                     \
  }

static const dr_opspec ops[] = {
    {.name = "compose.open",
     .kind = DR_QUERY,
     .idempotent = true,
     .args = open_args,
     .preview = preview_open,
     .assume = assume_open,
     .start = start_open},
    {.name = "compose.config",
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_FILES,
     .args = config_args,
     .preview = preview,
     .assume = assume_config,
     .start = start_config},
    {.name = "compose.logs",
     .check = dr__compose_check,
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_CONTAINERS,
     .args = logs_args,
     .preview = preview,
     .assume = assume_done,
     .start = start_logs},
    ACTION("build", build_args, DR_CHANGE, DR_AREA_IMAGES),
    ACTION("pull", services_args, DR_CHANGE, DR_AREA_IMAGES),
    ACTION("up", up_args, DR_CHANGE | DR_DOWNTIME, RUNNING),
    ACTION("scale", scale_args, DR_CHANGE, RUNNING),
    ACTION("start", services_args, DR_CHANGE, RUNNING),
    ACTION("stop", stop_args, DR_CHANGE | DR_DOWNTIME, RUNNING),
    ACTION("restart", stop_args, DR_CHANGE | DR_DOWNTIME, RUNNING),
    ACTION("kill", kill_args, DR_CHANGE | DR_DOWNTIME, RUNNING),
    ACTION("remove", services_args, DR_CHANGE | DR_DOWNTIME | DR_DESTRUCTIVE, RUNNING),
    ACTION("down", down_args, DR_CHANGE | DR_DOWNTIME | DR_DESTRUCTIVE, RUNNING),
    {0},
};

const dr_binding dr__binding_compose = {
    .name = "compose", .ops = ops, .lua = &dr__lua_compose, .gives = ":compose dr.Stack"};

/* Built in Lua on the ops of compose and docker alone. */
const dr_binding dr__binding_compose_replace = {
    .name = "compose_replace",
    .lua = &dr__lua_compose_replace,
    .gives = "Stack:replace Stack:restore Stack:verify_images"};
const dr_binding dr__binding_compose_recreate = {
    .name = "compose_recreate",
    .lua = &dr__lua_compose_recreate,
    .gives = "Stack:record_for_rollback Stack:previous_image Stack:recreate"};
const dr_binding dr__binding_nginx = {
    .name = "nginx", .lua = &dr__lua_nginx, .gives = "Stack:proxy"};
