/* docker_create.c - see docker_create.h. Owns what is read of env files until the container is
 * made. Called by docker ops and by the loop, on the runtime's thread.
 */
#include "docker_create.h"

#include "core/err.h"

#include <stdlib.h>
#include <string.h>

void dr__docker_create_clear(dr_docker_create *self) {
  if (self->reading) dr__docker_read_cancel(self->reading);
  self->reading = NULL;
  json_decref(self->env);
  json_decref(self->body);
  self->env = self->body = NULL;
}

static void fail(dr_docker_steps *steps, dr_err *err) {
  dr__docker_steps_fail(steps, err);
}

/* ------------------------------------------------------------ the image */

static void on_image(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  dr_docker_create *self = steps->data;
  const char *image = dr__arg_string(steps->op, "image", "");
  if (err) {
    if (strcmp(err->code, "docker.no_such_image") == 0)
      dr__err_hint(err, "pull it first: docker:pull(\"%s\")", image);
    fail(steps, err);
    return;
  }
  const char *id = json_string_value(json_object_get(answer->json, "Id"));
  dr__copy_text(self->image_id, sizeof self->image_id, id ? id : "");
  self->ready(steps);
}

static void look_at_image(dr_docker_steps *steps) {
  const dr_docker_step step = {
      .path = dr__engine_path("/images/", dr__arg_string(steps->op, "image", ""), "/json"),
      .next = on_image};
  dr__docker_steps_go(steps, &step);
}

/* ------------------------------------------------------------ the body */

static void make_body(dr_docker_steps *steps) {
  dr_docker_create *self = steps->data;
  dr_err err = DR_ERR_INIT;
  self->body = dr__docker_create_body(steps->op->args, self->env, &err);
  if (self->body && dr__docker_config_hash(self->body, self->hash)) {
    json_object_set_new(json_object_get(self->body, "Labels"), DR_CONFIG_LABEL,
                        json_string(self->hash));
    look_at_image(steps);
    return;
  }
  if (!err.code[0]) dr__err_nomem(&err);
  fail(steps, &err);
}

/* ------------------------------------------------------------ env files */

static void read_next(dr_docker_steps *steps);

static const char *file_of(const dr_docker_steps *steps) {
  const dr_docker_create *self = steps->data;
  return json_string_value(json_array_get(dr__arg(steps->op, "env_file"), self->file));
}

static void on_read(void *data, const char *text, size_t length, dr_err *err) {
  dr_docker_steps *steps = data;
  dr_docker_create *self = steps->data;
  dr_err problem = DR_ERR_INIT;
  self->reading = NULL;
  if (err)
    dr__err_move(&problem, err);
  else
    dr__docker_env_file(file_of(steps), text, length, self->env, &problem);
  if (problem.code[0]) {
    fail(steps, &problem);
    return;
  }
  self->file++;
  read_next(steps);
}

static void read_next(dr_docker_steps *steps) {
  dr_docker_create *self = steps->data;
  const char *path = file_of(steps);
  dr_err err = DR_ERR_INIT;
  if (!path)
    make_body(steps);
  else if (dr__docker_read(&self->reading, steps->op, path, on_read, steps, &err) != 0)
    fail(steps, &err);
}

int dr__docker_create_begin(dr_docker_steps *steps, void (*ready)(dr_docker_steps *steps),
                            dr_err *err) {
  dr_docker_create *self = steps->data;
  self->ready = ready;
  self->env = json_array();
  if (!self->env || dr__docker_steps_after(steps, 0.001, read_next) != 0) return dr__err_nomem(err);
  return 0;
}

/* ------------------------------------------------------------ the container */

void dr__docker_create_go(dr_docker_steps *steps, const char *name, dr_docker_next next) {
  dr_docker_create *self = steps->data;
  const dr_docker_step step = {.method = "POST",
                               .path = name ? dr__engine_path("/containers/create?name=", name, "")
                                            : strdup("/containers/create"),
                               .body = json_incref(self->body),
                               .timeout_s = 120,
                               .changes = true,
                               .next = next};
  dr__docker_steps_go(steps, &step);
}

bool dr__docker_created(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err) {
  dr_docker_create *self = steps->data;
  const char *id = json_string_value(json_object_get(answer->json, "Id"));
  dr__copy_text(self->container, sizeof self->container, id ? id : "");
  if (id) return true;
  dr__fail(err, "docker.engine", "the Docker Engine gave the new container no id");
  return false;
}

void dr__docker_explain_start(dr_err *err, const char *name) {
  bool port = strstr(err->message, "port is already allocated") ||
              strstr(err->message, "address already in use");
  if (strncmp(err->code, "docker.", 7) != 0 || err->cause) return;
  dr_err problem = DR_ERR_INIT;
  dr__fail(&problem, port ? "docker.port_in_use" : "docker.not_started",
           "%s could not be started: %s", name, err->message);
  dr__err_hint(&problem, "%s",
               port ? "another container or program has the port: `ss -ltnp` and `docker ps` there"
                    : "the engine's words say why; the container was taken away again");
  dr_err_clear(err);
  dr__err_move(err, &problem);
}

void dr__docker_left_behind(dr_err *err, const char *container, const dr_err *why) {
  size_t length = strlen(err->message);
  snprintf(err->message + length, sizeof err->message - length,
           "; its container %.80s could not be removed and may still run: %.300s", container,
           why->message);
  dr__err_hint(err, "look at it and remove it there: docker rm --force %.80s", container);
}
