/* What a registry, an engine, a swarm or a recipe may give the docker binding to read: nothing of
 * it crashes, and what comes out can be written. The first byte chooses the reader. */
#include "compose/compose_error.h"
#include "docker/docker_json.h"
#include "docker/docker_progress.h"
#include "docker/docker_prune.h"
#include "docker/docker_registry.h"
#include "docker/docker_spec.h"
#include "swarm/swarm_state.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void written(json_t *json) {
  char *text = json ? json_dumps(json, JSON_ENCODE_ANY) : NULL;
  if (json && !text) abort();
  free(text);
  json_decref(json);
}

static void progress(const char *bytes, size_t length) {
  char shown[200];
  dr_progress it;
  size_t half = length / 2;
  dr__progress_init(&it);
  dr__progress_feed(&it, bytes, half);
  dr__progress_feed(&it, bytes + half, length - half);
  dr__progress_end(&it);
  dr__progress_show(&it, shown, sizeof shown);
  dr__progress_free(&it);
}

static void notations(const char *text) {
  dr_err err = DR_ERR_INIT;
  dr_port port;
  dr_image_name name;
  int64_t bytes;
  dr__docker_port(text, &port, &err);
  dr__docker_volume(text, &err);
  dr__docker_size(text, &bytes, &err);
  dr__image_name(text, &name, &err);
  dr__registry_explain(&err, "pull", "x", text);
  dr__compose_explain(&err, text);
  dr_err_clear(&err);
}

static void env_file(const char *bytes, size_t length) {
  dr_err err = DR_ERR_INIT;
  json_t *env = json_array();
  dr__docker_env_file(".env", bytes, length, env, &err);
  dr_err_clear(&err);
  written(env);
}

static void json(const char *bytes, size_t length) {
  dr_err err = DR_ERR_INIT;
  dr_swarm_state state;
  json_t *it = json_loadb(bytes, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
  const dr_prune_rule rule = {"r", 1, true};
  if (!it) return;
  written(dr__docker_create_body(it, it, &err));
  written(dr__docker_run_words(it, true));
  written(dr__docker_prunable(it, it, &rule));
  written(dr__docker_stats(it));
  written(dr__swarm_service(it));
  written(dr__swarm_changed_spec(it, it));
  dr__swarm_judge(it, it, &state);
  dr_err_clear(&err);
  json_decref(it);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  if (size == 0) return 0;
  const char *bytes = (const char *)input + 1;
  size_t length = size - 1;
  char *text = strndup(bytes, length);
  if (!text) return 0;
  switch (input[0] % 4) {
  case 0: progress(bytes, length); break;
  case 1: notations(text); break;
  case 2: env_file(bytes, length); break;
  default: json(bytes, length); break;
  }
  free(text);
  return 0;
}
