/* Any text as an env file in each dialect: reading ends, its values are text, and what is written
 * of them is read as the same.
 */
#include "env/env_file.h"

#include "core/err.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static json_t *names_and_values(const json_t *variables) {
  size_t i;
  json_t *entry;
  json_t *pairs = json_array();
  json_array_foreach(variables, i, entry) {
    json_array_append_new(pairs, json_pack("[O, O]", json_object_get(entry, "name"),
                                           json_object_get(entry, "value")));
  }
  return pairs;
}

static void round_trip(const json_t *variables, dr_env_dialect dialect) {
  dr_err err = DR_ERR_INIT;
  char *text = dr__env_file_format(variables, dialect, &err);
  if (!text) {
    dr_err_clear(&err);
    return;
  }
  json_t *again = dr__env_file_parse(text, strlen(text), dialect, &err);
  if (!again) abort();
  json_t *before = names_and_values(variables);
  json_t *after = names_and_values(again);
  if (!json_equal(before, after)) abort();
  json_decref(before);
  json_decref(after);
  json_decref(again);
  free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  if (size == 0) return 0;
  dr_err err = DR_ERR_INIT;
  dr_env_dialect dialect = (dr_env_dialect)(input[0] % DR_ENV_DIALECTS);
  char *text = malloc(size); /* of the exact size: reading behind it is found */
  if (!text) return 0;
  memcpy(text, input + 1, size - 1);
  json_t *variables = dr__env_file_parse(text, size - 1, dialect, &err);
  if (variables) {
    for (int other = 0; other < DR_ENV_DIALECTS; other++)
      round_trip(variables, (dr_env_dialect)other);
  }
  json_decref(variables);
  dr_err_clear(&err);
  free(text);
  return 0;
}
