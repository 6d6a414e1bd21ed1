/* Answers of a Docker Engine: any JSON is read, and what comes out can be written. */
#include "docker/docker_engine.h"
#include "docker/docker_json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void check(json_t *json) {
  char *text = json_dumps(json, JSON_ENCODE_ANY);
  if (!text) abort();
  free(text);
  json_decref(json);
}

static void refuse(const uint8_t *input, size_t size) {
  char version[16];
  dr_err err = DR_ERR_INIT;
  dr__engine_explain(&err, 400 + (int)(size % 110), (const char *)input, size);
  if (!err.code[0]) abort();
  dr__engine_wanted_version(err.message, version, sizeof version);
  dr_err_clear(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  dr_container_state state;
  refuse(input, size);
  json_t *json = json_loadb((const char *)input, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
  if (!json) return 0;
  dr__docker_state(json, &state);
  if (strlen(state.name) >= sizeof state.name) abort();
  check(dr__docker_container(json));
  check(dr__docker_listed(json));
  check(dr__docker_image(json));
  json_decref(json);
  return 0;
}
