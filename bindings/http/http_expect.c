/* http_expect.c - compares an HTTP answer with what was expected. Pure, any thread. Called by
 * http_wait.c and http_probe.c. */
#include "http_expect.h"

#include "core/err.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_LINES = 12, SHOWN_BYTES = 1200, SHOWN_VALUE = 120 };

/* ------------------------------------------------------------ JSON */

json_t *dr__http_json_at(json_t *root, const char *path) {
  json_t *here = root;
  while (here && *path) {
    json_t *whole = json_object_get(here, path);
    if (whole) return whole;
    size_t length = strcspn(path, ".");
    if (json_is_array(here)) {
      char *end = NULL;
      size_t index = isdigit((unsigned char)*path) ? strtoul(path, &end, 10) : 0;
      here = end == path + length ? json_array_get(here, index) : NULL;
    } else {
      char *key = strndup(path, length);
      here = key ? json_object_get(here, key) : NULL;
      free(key);
    }
    path += length;
    if (*path == '.') path++;
  }
  return here;
}

json_t *dr__http_decode(const dr_http_response *answer) {
  return json_loadb(answer->body, answer->body_length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
}

bool dr__http_is_json(const dr_http_response *answer) {
  const char *type = json_string_value(json_object_get(answer->headers, "content-type"));
  return type && strcasestr(type, "json");
}

static bool same_value(const json_t *got, const json_t *wanted) {
  if (json_is_number(got) && json_is_number(wanted)) {
    return fabs(json_number_value(got) - json_number_value(wanted)) < 1e-9;
  }
  return json_equal(got, wanted) != 0;
}

/* ------------------------------------------------------------ status */

/* "2xx" stands for 200 to 299. */
static bool one_status_fits(const json_t *wanted, int status) {
  if (json_is_integer(wanted)) return json_integer_value(wanted) == status;
  const char *text = json_string_value(wanted);
  return text && text[0] - '0' == status / 100;
}

static bool status_fits(const json_t *wanted, int status) {
  if (!wanted || json_is_null(wanted)) return status >= 200 && status <= 299;
  if (!json_is_array(wanted)) return one_status_fits(wanted, status);
  for (size_t i = 0; i < json_array_size(wanted); i++) {
    if (one_status_fits(json_array_get(wanted, i), status)) return true;
  }
  return false;
}

static void print_status(const json_t *wanted, char *text, size_t size) {
  if (!wanted || json_is_null(wanted)) {
    snprintf(text, size, "2xx");
    return;
  }
  size_t count = json_is_array(wanted) ? json_array_size(wanted) : 1;
  size_t used = 0;
  text[0] = '\0';
  for (size_t i = 0; i < count && used < size; i++) {
    const json_t *one = json_is_array(wanted) ? json_array_get(wanted, i) : wanted;
    const char *joint = i == 0 ? "" : i + 1 == count ? " or " : ", ";
    int length =
        json_is_string(one)
            ? snprintf(text + used, size - used, "%s%s", joint, json_string_value(one))
            : snprintf(text + used, size - used, "%s%d", joint, (int)json_integer_value(one));
    used += length > 0 ? (size_t)length : 0;
  }
}

static bool status_is_sensible(const json_t *one) {
  const char *text = json_string_value(one);
  if (text) return text[0] >= '1' && text[0] <= '5' && strcmp(text + 1, "xx") == 0;
  return json_is_integer(one) && json_integer_value(one) >= 100 && json_integer_value(one) <= 599;
}

int dr__http_expectation_example(const json_t *status) {
  if (json_is_array(status)) status = json_array_get(status, 0);
  if (json_is_integer(status)) return (int)json_integer_value(status);
  const char *text = json_string_value(status);
  return text && text[0] >= '1' && text[0] <= '5' ? (text[0] - '0') * 100 : 200;
}

/* ------------------------------------------------------------ the whole */

/* Says why the answer is not as expected, cut to what fits; false. */
__attribute__((format(printf, 3, 4))) static bool no(char *why, size_t size, const char *format,
                                                     ...) {
  va_list args;
  char *text = NULL;
  va_start(args, format);
  int length = vasprintf(&text, format, args);
  va_end(args);
  dr__copy_text(why, size, length < 0 ? "it is not as expected" : text);
  if (length >= 0) free(text);
  return false;
}

static int check_status(const json_t *status, dr_err *err) {
  if (!status || json_is_null(status)) return 0;
  size_t count = json_is_array(status) ? json_array_size(status) : 1;
  bool sensible = count > 0;
  for (size_t i = 0; i < count; i++) {
    const json_t *one = json_is_array(status) ? json_array_get(status, i) : status;
    sensible = sensible && status_is_sensible(one);
  }
  if (sensible) return 0;
  return dr__fail(
      err, "recipe.argument",
      "status must be an HTTP status such as 200, a class such as \"2xx\", or a list of these");
}

int dr__http_expectation_check(const dr_http_expectation *expected, dr_err *err) {
  int status = check_status(expected->status, err);
  if (status) return status;
  if (expected->json && !json_is_object(expected->json)) {
    return dr__fail(err, "recipe.argument", "json must be a table: {[\"field.path\"] = value}");
  }
  return 0;
}

static void print_value(const json_t *value, char *text, size_t size) {
  char *dumped = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
  if (!dumped) {
    dr__copy_text(text, size, value ? "?" : "missing");
  } else if (strlen(dumped) >= size) {
    dr__copy_text(text, size - 4, dumped);
    memcpy(text + strlen(text), "…", sizeof "…");
  } else {
    dr__copy_text(text, size, dumped);
  }
  free(dumped);
}

static bool json_met(json_t *wanted, const dr_http_response *answer, char *why, size_t size) {
  json_t *body = dr__http_decode(answer);
  if (!body) {
    return no(why, size,
              answer->truncated
                  ? "the body is longer than max_body, so that its JSON cannot be read"
                  : "the body is no JSON");
  }
  const char *path;
  json_t *value;
  bool met = true;
  json_object_foreach(wanted, path, value) {
    json_t *got = dr__http_json_at(body, path);
    if (got && same_value(got, value)) continue;
    char got_text[SHOWN_VALUE];
    char wanted_text[SHOWN_VALUE];
    print_value(got, got_text, sizeof got_text);
    print_value(value, wanted_text, sizeof wanted_text);
    met = no(why, size, "the JSON field %s is %s, expected %s", path, got_text, wanted_text);
    break;
  }
  json_decref(body);
  return met;
}

/* A header of the answer, its name in any case. */
static const char *header_of(const dr_http_response *answer, const char *name) {
  char lower[128];
  size_t length = strlen(name);
  if (length >= sizeof lower) return NULL;
  for (size_t i = 0; i <= length; i++) lower[i] = (char)tolower((unsigned char)name[i]);
  return json_string_value(json_object_get(answer->headers, lower));
}

static bool header_met(json_t *wanted, const dr_http_response *answer, char *why, size_t size) {
  const char *name;
  json_t *value;
  json_object_foreach(wanted, name, value) {
    const char *text = json_string_value(value);
    const char *got = header_of(answer, name);
    if (got && text && strcmp(got, text) == 0) continue;
    return no(why, size, "the header %s is %s%s%s, expected \"%s\"", name, got ? "\"" : "",
              got ? got : "missing", got ? "\"" : "", text ? text : "");
  }
  return true;
}

bool dr__http_expectation_met(const dr_http_expectation *expected, const dr_http_response *answer,
                              char *why, size_t size) {
  why[0] = '\0';
  if (!status_fits(expected->status, answer->status)) {
    char wanted[80];
    print_status(expected->status, wanted, sizeof wanted);
    const char *phrase = dr__http_phrase(answer->status);
    return no(why, size, "the status is %d%s%s, expected %s", answer->status, phrase[0] ? " " : "",
              phrase, wanted);
  }
  if (expected->body &&
      !memmem(answer->body, answer->body_length, expected->body, strlen(expected->body))) {
    return no(why, size, "%s does not contain \"%s\"",
              answer->truncated ? "the part of the body that was kept (max_body)" : "the body",
              expected->body);
  }
  if (expected->json && !json_met(expected->json, answer, why, size)) return false;
  return !expected->header || header_met(expected->header, answer, why, size);
}

/* ------------------------------------------------------------ telling */

/* How much of the body is shown: whole lines as far as they fit. */
static size_t shown_part(const char *body, size_t length) {
  size_t end = 0;
  for (unsigned lines = 0; lines < SHOWN_LINES && end < length && end < SHOWN_BYTES; lines++) {
    const char *line_end = memchr(body + end, '\n', length - end);
    end = line_end ? (size_t)(line_end - body) + 1 : length;
  }
  if (end > SHOWN_BYTES) end = SHOWN_BYTES;
  while (end > 0 && end < length && ((unsigned char)body[end] & 0xC0) == 0x80) end--;
  return end;
}

char *dr__http_describe(const dr_http_response *answer) {
  size_t length = shown_part(answer->body, answer->body_length);
  const char *more = length < answer->body_length ? "\n…" : "";
  while (length > 0 && answer->body[length - 1] == '\n') length--;
  json_t *text = dr__http_json_text(answer->body, length);
  if (!text) return NULL;
  const char *phrase = dr__http_phrase(answer->status);
  const char *body = json_string_value(text);
  const char *to = answer->redirect ? answer->redirect : "";
  char *description =
      dr__http_format("%d%s%s%s%s%s%s%s", answer->status, phrase[0] ? " " : "", phrase,
                      to[0] ? ", to " : "", to, body[0] ? "\n" : "", body, more);
  json_decref(text);
  return description;
}

char *dr__http_version_of(const dr_http_response *answer, const char *where) {
  if (strncasecmp(where, "header:", 7) == 0) {
    const char *value = header_of(answer, where + 7);
    return value ? strdup(value) : NULL;
  }
  json_t *body = dr__http_decode(answer);
  const json_t *value = body ? dr__http_json_at(body, where) : NULL;
  char *version = NULL;
  if (json_is_string(value))
    version = strdup(json_string_value(value));
  else if (value && !json_is_null(value))
    version = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
  json_decref(body);
  return version;
}
