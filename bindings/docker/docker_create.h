/* docker_create.h - what docker.run and docker.oneoff do first: read the env files on the target,
 * make the Engine's body, look at the image. Without Lua; runtime's thread.
 */
#ifndef DR_DOCKER_CREATE_H
#define DR_DOCKER_CREATE_H

#include "docker_spec.h"
#include "docker_steps.h"

/* ---- a small file of a target, read by its own user: never journalled, wiped afterwards */

typedef struct dr_docker_read dr_docker_read;

/* Begins to read; on_done comes once, later, with text or err (docker.env_file, or the transport's
 * own). Returns 0, or an error and then it is not called. */
int dr__docker_read(dr_docker_read **out, dr_op *op, const char *path,
                    void (*on_done)(void *data, const char *text, size_t length, dr_err *err),
                    void *data, dr_err *err);

/* on_done is not called any more. */
void dr__docker_read_cancel(dr_docker_read *read);

/* ---- the beginning of a new container: the first member of an op's data */

typedef struct dr_docker_create {
  json_t *env; /* what the env files hold */
  size_t file; /* how many of them are read */
  dr_docker_read *reading;
  json_t *body;       /* for POST /containers/create, with the label of its hash */
  char hash[65];      /* of the configuration */
  char image_id[80];  /* the image as it is now */
  char container[80]; /* id, once it is made */
  void (*ready)(dr_docker_steps *steps);
} dr_docker_create;

/* The fields that describe a container, for an op's argument table. */
#define DR_DOCKER_RUN_FIELDS                                                                       \
  {"image", DR_ARG_STRING, DR_REQUIRED}, {"command", DR_ARG_COMMAND, 0},                           \
      {"entrypoint", DR_ARG_STRINGS, 0}, {"env", DR_ARG_MAP, 0}, {"env_file", DR_ARG_STRINGS, 0},  \
      {"ports", DR_ARG_STRINGS, 0}, {"volumes", DR_ARG_STRINGS, 0}, {"network", DR_ARG_STRING, 0}, \
      {"aliases", DR_ARG_STRINGS, 0}, {"labels", DR_ARG_MAP, 0}, {"user", DR_ARG_STRING, 0},       \
      {"workdir", DR_ARG_STRING, 0}, {"hostname", DR_ARG_STRING, 0}, {"memory", DR_ARG_STRING, 0}, \
      {"cpus", DR_ARG_NUMBER, 0}, {"extra_hosts", DR_ARG_STRINGS, 0}, {"init", DR_ARG_BOOLEAN, 0}, \
  {                                                                                                \
    "read_only", DR_ARG_BOOLEAN, 0                                                                 \
  }

/* Begins from start(): when all is known, `ready` is called. `self` is steps->data. Returns 0, or
 * an error. */
int dr__docker_create_begin(dr_docker_steps *steps, void (*ready)(dr_docker_steps *steps),
                            dr_err *err);

/* Frees what it holds, not itself; it was calloc'd. */
void dr__docker_create_clear(dr_docker_create *self);

/* POST /containers/create; `next` gets the answer. Takes the id of the answer by
 * dr__docker_created(). `name` may be NULL. */
void dr__docker_create_go(dr_docker_steps *steps, const char *name, dr_docker_next next);
bool dr__docker_created(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err);

/* Says in the error of an op that its container was to be removed for it and could not be, and why.
 */
void dr__docker_left_behind(dr_err *err, const char *container, const dr_err *why);

/* Gives an error of a start its code: docker.port_in_use, docker.not_started. */
void dr__docker_explain_start(dr_err *err, const char *name);

#endif
