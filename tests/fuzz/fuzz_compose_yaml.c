/* YAML: any text is read or refused, within bounds, and what was read can be written as JSON. */
#include "compose/compose_yaml.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  dr_err err = DR_ERR_INIT;
  json_t *json = dr__yaml_read((const char *)input, size, &err);
  if (!json && !err.code[0]) abort();
  if (json) {
    char *text = json_dumps(json, JSON_ENCODE_ANY);
    if (!text) abort();
    free(text);
  }
  json_decref(json);
  dr_err_clear(&err);
  return 0;
}
