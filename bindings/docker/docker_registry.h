/* docker_registry.h - names of images, credentials for registries, and what a registry's refusal
 * means. Pure, any thread.
 */
#ifndef DR_DOCKER_REGISTRY_H
#define DR_DOCKER_REGISTRY_H

#include <deployrun.h>

#include <jansson.h>

/* "host:5000/team/api:v2", "api@sha256:…" taken apart. */
typedef struct dr_image_name {
  char repository[256]; /* "host:5000/team/api" */
  char tag[136];        /* "v2", "sha256:…" for a digest, "latest" when the name has neither */
  char registry[256];   /* "host:5000"; "docker.io" when the name has none */
  bool digest;
} dr_image_name;

/* Returns 0, or DR_RECIPE with err filled (recipe.argument) when it is no name of an image. */
int dr__image_name(const char *text, dr_image_name *out, dr_err *err);

/* The headers {X-Registry-Auth: …} out of {username, password, server} (or {token}); those of
 * nobody when auth is NULL. The caller wipes nothing: the memory goes back as it is. NULL when
 * memory is short. */
json_t *dr__registry_headers(const json_t *auth, const char *registry);

/* Fills err from what the Engine says when a registry refuses. `verb` is "pull" or "push". Codes:
 * docker.registry_auth docker.registry_unreachable docker.image_missing docker.engine_lost
 * docker.pull_failed docker.push_failed. */
void dr__registry_explain(dr_err *err, const char *verb, const char *image, const char *words);

#endif
