/* docker_spec.h - what `docker run` takes, read into what the Engine takes. Pure, any thread,
 * fuzzed: nothing here asks an engine.
 */
#ifndef DR_DOCKER_SPEC_H
#define DR_DOCKER_SPEC_H

#include <deployrun.h>

#include <jansson.h>
#include <stdint.h>

/* "8000", "8000:80", "127.0.0.1:8000:80/tcp", "[::1]:53:53/udp". */
typedef struct dr_port {
  char address[64]; /* "" is every address */
  int host;         /* 0: the engine chooses, or, with published false, none */
  int container;
  char protocol[8]; /* "tcp" "udp" "sctp" */
  bool published;
} dr_port;

/* Each returns 0, or DR_RECIPE with err filled (recipe.argument). */
int dr__docker_port(const char *text, dr_port *out, dr_err *err);

/* "media:/app/media", "/srv/app:/app:ro": checks it; the Engine reads it itself. */
int dr__docker_volume(const char *text, dr_err *err);

/* "512m", "2g", "1073741824" in bytes. */
int dr__docker_size(const char *text, int64_t *bytes, dr_err *err);

/* Reads an env file as `docker run --env-file` does: NAME=value a line, the value as it stands,
 * '#' begins a comment line. Appends to `env` (array of strings). The error names the line, never
 * what stands in it. Returns 0, or DR_FAILED with err filled (docker.env_file). */
int dr__docker_env_file(const char *name, const char *text, size_t length, json_t *env,
                        dr_err *err);

/* The body of POST /containers/create out of the fields of docker.run (see docker_run.c); `env` is
 * what the env files hold, or NULL. New reference; NULL with err filled. */
json_t *dr__docker_create_body(const json_t *fields, json_t *env, dr_err *err);

/* The same fields as a `docker run` line: an array of words. */
json_t *dr__docker_run_words(const json_t *fields, bool detached);

/* The label that says which configuration a container was made with; never shown. */
#define DR_CONFIG_LABEL "deployrun.config"

/* A hash of the body for that label: 64 hexadecimal digits. False when memory is short. */
bool dr__docker_config_hash(const json_t *body, char hex[65]);

#endif
