/* http_expect.h - what an HTTP answer is expected to be, and whether one is. Pure: no I/O, no Lua,
 * any thread. Used by the wait (http_wait.c), the probe (http_probe.c) and the ops (http.c,
 * docker_wait.c).
 */
#ifndef DR_HTTP_EXPECT_H
#define DR_HTTP_EXPECT_H

#include "http_client.h"

/* All parts must hold; NULL asks nothing. Borrowed. */
typedef struct dr_http_expectation {
  const json_t *status; /* 200, "2xx", or an array of these; NULL: any 2xx */
  const char *body;     /* must be contained in the body */
  json_t *json;         /* object: "field.path" → value the JSON body must have there */
  json_t *header;       /* object: header name → exact value */
} dr_http_expectation;

/* Checks that the expectation makes sense. Returns 0, or DR_RECIPE with err filled
 * (recipe.argument). */
int dr__http_expectation_check(const dr_http_expectation *expected, dr_err *err);

/* True when the answer is as expected; else says why it is not in `why`. */
bool dr__http_expectation_met(const dr_http_expectation *expected, const dr_http_response *answer,
                              char *why, size_t size);

/* An example of a status that would be accepted, for a dry run. */
int dr__http_expectation_example(const json_t *status);

/* The value at "field.path" ("items.0.name" goes into arrays), borrowed; NULL when there is none. A
 * key that holds dots itself is found when the whole rest of the path is that key. */
json_t *dr__http_json_at(json_t *root, const char *path);

/* The body decoded as JSON; NULL when it is none or memory is short. */
json_t *dr__http_decode(const dr_http_response *answer);

/* True when the answer says that its body is JSON. */
bool dr__http_is_json(const dr_http_response *answer);

/* "502 Bad Gateway" and the first lines of the body, for a person. malloc'd; NULL when memory is
 * short. */
char *dr__http_describe(const dr_http_response *answer);

/* The version an answer tells, by "field.path" or "header:name": malloc'd text, NULL when it tells
 * none. */
char *dr__http_version_of(const dr_http_response *answer, const char *where);

#endif
