/* An answer of a server against an expectation, both out of the input: the comparison ends, its
 * reason and the description for a person are valid text.
 */
#include "http/http_expect.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void check_text(const char *text) {
  json_t *json = json_string(text);
  if (!json) abort();
  json_decref(json);
}

static void compare(json_t *expected, dr_http_response *answer) {
  char why[160];
  const dr_http_expectation all = {
      .status = json_object_get(expected, "status"),
      .body = json_string_value(json_object_get(expected, "body")),
      .json = json_object_get(expected, "json"),
      .header = json_object_get(expected, "header"),
  };
  if (dr__http_expectation_check(&all, NULL) != 0) return;
  if (dr__http_expectation_met(&all, answer, why, sizeof why) != (why[0] == '\0')) abort();
  check_text(why);
  dr__http_expectation_example(all.status);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

/* The input is an expectation, a line end, and a body. */
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  const uint8_t *end = size > 0 ? memchr(input, '\n', size) : NULL;
  if (!end) return 0;
  size_t length = size - (size_t)(end + 1 - input);
  char *body = malloc(length + 1);
  if (!body) return 0;
  memcpy(body, end + 1, length);
  body[length] = '\0';
  dr_http_response answer = {
      .status = 200 + (int)(size % 400), .body = body, .body_length = length, .url = "http://x/"};
  json_t *expected = json_loadb((const char *)input, (size_t)(end - input), 0, NULL);
  if (json_is_object(expected)) compare(expected, &answer);
  char *shown = dr__http_describe(&answer);
  if (shown) check_text(shown);
  free(shown);
  free(dr__http_version_of(&answer, "a.0.b"));
  json_decref(expected);
  free(body);
  return 0;
}
