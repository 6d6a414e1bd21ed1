/* docker_run.c - the ops docker.run, docker.rename and docker.env_file. Called through the gate and
 * from the loop, on the runtime's thread.
 *
 * docker.run may be done twice: it knows a container of its own by the name and by a label with the
 * hash of its configuration, leaves one that runs alone and starts one that does not.
 */
#include "docker_create.h"

#include "core/err.h"
#include "docker_check.h"
#include "target/target.h"

#include <stdlib.h>
#include <string.h>

enum { START_TIMEOUT = 120 };

typedef struct run {
  dr_docker_create create;
  dr_err err;  /* why it did not come to run, while what was made is removed */
  bool making; /* POST /containers/create was begun */
  bool made;   /* by this op */
} run;

static void run_free(void *data) {
  run *self = data;
  dr__docker_create_clear(&self->create);
  dr_err_clear(&self->err);
  free(self);
}

static const char *name_of(const dr_docker_steps *steps) {
  return dr__arg_string(steps->op, "name", "");
}

/* ------------------------------------------------------------ docker.run, last step to first */

static void end_well(dr_docker_steps *steps, bool unchanged) {
  const run *self = steps->data;
  dr__docker_steps_done(steps, json_pack("{s:s, s:s, s:s, s:b}", "id", self->create.container,
                                         "name", name_of(steps), "image_id", self->create.image_id,
                                         "unchanged", unchanged));
}

static void on_taken_away(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  run *self = steps->data;
  (void)answer;
  bool gone = !err || strcmp(err->code, "docker.no_such_container") == 0;
  if (!gone) dr__docker_left_behind(&self->err, name_of(steps), err);
  dr__docker_steps_fail(steps, &self->err);
}

/* Fails, and takes away what this op made. */
static void give_up(dr_docker_steps *steps, dr_err *err) {
  run *self = steps->data;
  if (!self->made) {
    dr__docker_steps_fail(steps, err);
    return;
  }
  self->made = false;
  dr__err_move(&self->err, err);
  const dr_docker_step step = {
      .method = "DELETE",
      .path = dr__engine_path("/containers/", self->create.container, "?force=1&v=1"),
      .changes = true,
      .next = on_taken_away};
  dr__docker_steps_go(steps, &step);
}

static void on_started(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  (void)answer;
  if (!err) {
    end_well(steps, false);
    return;
  }
  dr__docker_explain_start(err, name_of(steps));
  give_up(steps, err);
}

static void start_container(dr_docker_steps *steps) {
  const run *self = steps->data;
  const dr_docker_step step = {
      .method = "POST",
      .path = dr__engine_path("/containers/", self->create.container, "/start"),
      .timeout_s = START_TIMEOUT,
      .changes = true,
      .next = on_started};
  dr__docker_steps_go(steps, &step);
}

static void fail_name_in_use(dr_docker_steps *steps, const char *how) {
  dr_err err = DR_ERR_INIT;
  dr__fail(&err, "docker.name_in_use", "there is already a container named %s, and %s",
           name_of(steps), how);
  dr__err_hint(&err, "docker:replace{ name = \"%s\", … } puts a new one in its place",
               name_of(steps));
  dr__docker_steps_fail(steps, &err);
}

static void on_created(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  run *self = steps->data;
  dr_err problem = DR_ERR_INIT;
  self->making = false;
  if (err && strcmp(err->code, "docker.conflict") == 0) {
    fail_name_in_use(steps, "it was made just now");
  } else if (err) {
    dr__docker_steps_fail(steps, err);
  } else if (dr__docker_created(steps, answer, &problem)) {
    self->made = true;
    start_container(steps);
  } else {
    dr__docker_steps_fail(steps, &problem);
  }
}

static void make(dr_docker_steps *steps) {
  run *self = steps->data;
  self->making = true;
  dr__docker_create_go(steps, name_of(steps), on_created);
}

/* A container that this op made and could not see running is taken away; one that was there before
 * is left, and so is one whose removal is under way. */
static void on_cancelled(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *ended) {
  run *self = steps->data;
  dr_err err = DR_ERR_INIT, problem = DR_ERR_INIT;
  dr__docker_create_clear(&self->create);
  if (self->making && answer) self->made = dr__docker_created(steps, answer, &problem);
  dr_err_clear(&problem);
  dr__fail(&err, "cancelled", "%s was not started: it was stopped", name_of(steps));
  if (self->making && !answer && !ended)
    dr__err_hint(&err, "the engine did not say whether it was made: docker ps -a");
  give_up(steps, &err);
}

/* True when the container was made with the same configuration from the same image. */
static bool is_same(const run *self, const json_t *inspected) {
  const json_t *labels = json_object_get(json_object_get(inspected, "Config"), "Labels");
  const char *hash = json_string_value(json_object_get(labels, DR_CONFIG_LABEL));
  const char *image = json_string_value(json_object_get(inspected, "Image"));
  return hash && image && strcmp(hash, self->create.hash) == 0 &&
         strcmp(image, self->create.image_id) == 0;
}

static void use_existing(dr_docker_steps *steps, const json_t *inspected) {
  run *self = steps->data;
  const char *id = json_string_value(json_object_get(inspected, "Id"));
  const json_t *state = json_object_get(inspected, "State");
  if (!id || !is_same(self, inspected)) {
    fail_name_in_use(steps, "it was made of another image or configuration");
    return;
  }
  dr__copy_text(self->create.container, sizeof self->create.container, id);
  if (json_is_true(json_object_get(state, "Running")))
    end_well(steps, true);
  else
    start_container(steps);
}

static void on_existing(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  if (answer)
    use_existing(steps, answer->json);
  else if (strcmp(err->code, "docker.no_such_container") == 0)
    make(steps);
  else
    dr__docker_steps_fail(steps, err);
}

static void look_for_name(dr_docker_steps *steps) {
  const dr_docker_step step = {.path = dr__engine_path("/containers/", name_of(steps), "/json"),
                               .next = on_existing};
  dr__docker_steps_go(steps, &step);
}

static int start_run(dr_op *op, dr_err *err) {
  run *self = calloc(1, sizeof *self);
  if (!self) return dr__err_nomem(err);
  dr_docker_steps *steps = dr__docker_steps_new(op, self, run_free, err);
  if (!steps) return DR_FAILED;
  steps->on_cancel = on_cancelled;
  return dr__docker_create_begin(steps, look_for_name, err);
}

/* ----------------------------------------- docker.same: would docker.run find it as it wants it */

static void on_compared(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  if (err && strcmp(err->code, "docker.no_such_container") != 0) {
    dr__docker_steps_fail(steps, err);
    return;
  }
  const json_t *state = answer ? json_object_get(answer->json, "State") : NULL;
  bool same = answer && is_same(steps->data, answer->json) &&
              json_is_true(json_object_get(state, "Running"));
  dr__docker_steps_done(steps, json_pack("{s:b}", "same", same));
}

static void compare(dr_docker_steps *steps) {
  const dr_docker_step step = {.path = dr__engine_path("/containers/", name_of(steps), "/json"),
                               .next = on_compared};
  dr__docker_steps_go(steps, &step);
}

static int start_same(dr_op *op, dr_err *err) {
  run *self = calloc(1, sizeof *self);
  if (!self) return dr__err_nomem(err);
  dr_docker_steps *steps = dr__docker_steps_new(op, self, run_free, err);
  return steps ? dr__docker_create_begin(steps, compare, err) : DR_FAILED;
}

static char *preview_same(const dr_op *op) {
  return dr__http_format("does %s run as it should already", dr__arg_string(op, "name", ""));
}

static json_t *assume_same(const dr_op *op) {
  (void)op;
  return json_pack("{s:b}", "same", 0);
}

/* ------------------------------------------------------------ previews */

static char *preview_run(const dr_op *op) {
  json_t *words = dr__docker_run_words(op->args, true);
  char *text = dr__shell_quote(words);
  json_decref(words);
  return text;
}

static json_t *assume_run(const dr_op *op) {
  const char *name = dr__arg_string(op, "name", "");
  return json_pack("{s:s, s:s, s:s, s:b}", "id", name, "name", name, "image_id", "sha256:unknown",
                   "unchanged", 0);
}

/* ------------------------------------------------------------ docker.rename */

static int start_rename(dr_op *op, dr_err *err) {
  char *after = dr__engine_path("/rename?name=", dr__arg_string(op, "to", ""), "");
  const dr_docker_call_spec spec = {
      .method = "POST",
      .path = after ? dr__engine_path("/containers/", dr__arg_string(op, "container", ""), after)
                    : NULL};
  free(after);
  return dr__docker_call(op, &spec, err);
}

static char *preview_rename(const dr_op *op) {
  char shown[160];
  dr__docker_shown(op, shown, sizeof shown);
  return dr__http_format("docker rename %s %s", shown, dr__arg_string(op, "to", ""));
}

static json_t *assume_rename(const dr_op *op) {
  (void)op;
  return json_pack("{s:b}", "unchanged", 0);
}

/* ---------------------------------------------------------- docker.env_file: which names it has */

typedef struct look {
  dr_op *op;
  dr_docker_read *reading;
} look;

static void release_look(dr_op *op) {
  look *self = op->self;
  if (self && self->reading) dr__docker_read_cancel(self->reading);
  free(self);
  op->self = NULL;
}

static void cancel_look(dr_op *op) {
  release_look(op);
  dr__docker_fail_cancelled(op);
}

/* The names alone: the values stay where they are. */
static json_t *names_of(const json_t *env) {
  json_t *names = json_array();
  size_t i;
  const json_t *line;
  json_array_foreach(env, i, line) {
    const char *text = json_string_value(line);
    json_array_append_new(names, json_stringn(text, strcspn(text, "=")));
  }
  return json_pack("{s:o}", "names", names);
}

static void on_looked(void *data, const char *text, size_t length, dr_err *err) {
  look *self = data;
  dr_op *op = self->op;
  dr_err problem = DR_ERR_INIT;
  json_t *env = json_array();
  self->reading = NULL;
  if (err)
    dr__err_move(&problem, err);
  else
    dr__docker_env_file(dr__arg_string(op, "path", ""), text, length, env, &problem);
  if (problem.code[0])
    dr__op_fail(op, &problem);
  else
    dr__op_done(op, names_of(env));
  json_decref(env);
}

static int start_env_file(dr_op *op, dr_err *err) {
  look *self = calloc(1, sizeof *self);
  if (!self) return dr__err_nomem(err);
  self->op = op;
  op->self = self;
  op->cancel = cancel_look;
  op->release = release_look;
  return dr__docker_read(&self->reading, op, dr__arg_string(op, "path", ""), on_looked, self, err);
}

static char *preview_env_file(const dr_op *op) {
  return dr__http_format("which variables %s sets", dr__arg_string(op, "path", ""));
}

static json_t *assume_env_file(const dr_op *op) {
  (void)op;
  return json_pack("{s:[]}", "names");
}

/* ------------------------------------------------------------ the ops */

#define SOCKET                                                                                     \
  { "socket", DR_ARG_STRING, DR_REQUIRED }

static const dr_arg run_args[] = {SOCKET,
                                  {"name", DR_ARG_STRING, DR_REQUIRED},
                                  DR_DOCKER_RUN_FIELDS,
                                  {"restart", DR_ARG_STRING, 0},
                                  {"rm", DR_ARG_BOOLEAN, 0},
                                  {"health", DR_ARG_ANY, 0},
                                  {"stop_timeout", DR_ARG_DURATION, 0},
                                  {0}};
static const dr_arg rename_args[] = {SOCKET,
                                     {"container", DR_ARG_STRING, DR_REQUIRED},
                                     {"name", DR_ARG_STRING, 0},
                                     {"to", DR_ARG_STRING, DR_REQUIRED},
                                     {0}};
static const dr_arg env_file_args[] = {SOCKET, {"path", DR_ARG_STRING, DR_REQUIRED}, {0}};

#define RUNNING (DR_AREA_CONTAINERS | DR_AREA_SERVICES | DR_AREA_NETWORK)

static const dr_opspec ops[] = {
    {.name = "docker.run",
     .check = dr__docker_check_run,
     .kind = DR_ACTION,
     .effects = DR_CHANGE,
     .idempotent = true,
     .touches = RUNNING,
     .args = run_args,
     .preview = preview_run,
     .assume = assume_run,
     .start = start_run},
    {.name = "docker.same",
     .check = dr__docker_check_run,
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_FILES | DR_AREA_IMAGES | DR_AREA_CONTAINERS,
     .args = run_args,
     .preview = preview_same,
     .assume = assume_same,
     .start = start_same},
    {.name = "docker.rename",
     .check = dr__docker_check_rename,
     .kind = DR_ACTION,
     .effects = DR_CHANGE,
     .touches = DR_AREA_CONTAINERS,
     .args = rename_args,
     .preview = preview_rename,
     .assume = assume_rename,
     .start = start_rename},
    {.name = "docker.env_file",
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_FILES,
     .args = env_file_args,
     .preview = preview_env_file,
     .assume = assume_env_file,
     .start = start_env_file},
    {0},
};

extern const dr_lua_source dr__lua_docker_run;

const dr_binding dr__binding_docker_run = {
    .name = "docker_run",
    .ops = ops,
    .lua = &dr__lua_docker_run,
    .gives = "Engine:run Engine:oneoff Engine:env_file Engine:rename Engine:container "
             "Engine:replace Engine:restore"};
