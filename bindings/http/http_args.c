/* http_args.c - between the JSON of an op and the HTTP client: arguments to requests, answers to
 * results, and both to the words of a plan. Pure: no I/O, no Lua. Called by the http ops on the
 * runtime's thread.
 */
#include "http_args.h"

#include "core/err.h"
#include "ops/binding.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_BODY = 300, KEEP_BODY = 1 << 20 };

static const char *string_at(json_t *args, const char *name) {
  return json_string_value(json_object_get(args, name));
}

static double number_at(json_t *args, const char *name, double otherwise) {
  const json_t *value = json_object_get(args, name);
  return json_is_number(value) ? json_number_value(value) : otherwise;
}

dr_http_request dr__http_request_of(json_t *args, double timeout) {
  json_int_t max_body = json_integer_value(json_object_get(args, "max_body"));
  json_int_t follow = json_integer_value(json_object_get(args, "follow"));
  return (dr_http_request){
      .method = string_at(args, "method"),
      .url = string_at(args, "url"),
      .headers = json_object_get(args, "headers"),
      .bearer = string_at(args, "bearer"),
      .user = string_at(args, "user"),
      .password = string_at(args, "password"),
      .unix_socket = string_at(args, "unix_socket"),
      .address = string_at(args, "address"),
      .ca_file = string_at(args, "ca"),
      .insecure = json_is_true(json_object_get(args, "insecure")),
      .timeout_s = number_at(args, "timeout", timeout),
      .connect_timeout_s = number_at(args, "connect_timeout", 0),
      .max_body = max_body > 0 ? (size_t)max_body : KEEP_BODY,
      .cut_body = true,
      .follow_redirects = follow > 0,
      .max_redirects = follow > 0 ? (unsigned)follow : 0,
      .cookies = json_object_get(args, "cookies"),
  };
}

dr_http_expectation dr__http_expectation_of(json_t *args) {
  return (dr_http_expectation){
      .status = json_object_get(args, "status"),
      .body = string_at(args, "body"),
      .json = json_object_get(args, "json"),
      .header = json_object_get(args, "header"),
  };
}

/* ------------------------------------------------------------ results */

json_t *dr__http_result(const dr_http_response *answer) {
  json_t *body = dr__http_json_text(answer->body, answer->body_length);
  json_t *result = json_pack("{s:i, s:O, s:o, s:f, s:s, s:s}", "status", answer->status, "headers",
                             answer->headers, "body", body, "seconds", answer->seconds, "url",
                             answer->url, "address", answer->address);
  if (result && answer->truncated) json_object_set_new(result, "truncated", json_true());
  if (result && answer->cookies) json_object_set(result, "cookies", answer->cookies);
  if (result && answer->redirect) {
    json_object_set_new(result, "redirect", json_string(answer->redirect));
  }
  if (!result || !dr__http_is_json(answer)) return result;
  json_t *decoded = dr__http_decode(answer);
  if (decoded) json_object_set_new(result, "json", decoded);
  return result;
}

/* Sets the value at "a.b.c", making the objects on the way. */
static void set_at(json_t *root, const char *path, json_t *value) {
  json_t *here = root;
  for (const char *dot; here && (dot = strchr(path, '.')); path = dot + 1) {
    char *key = strndup(path, (size_t)(dot - path));
    json_t *inner = key ? json_object_get(here, key) : NULL;
    if (key && !inner) json_object_set_new(here, key, inner = json_object());
    free(key);
    here = inner;
  }
  if (here) json_object_set(here, path, value);
}

json_t *dr__http_assume(json_t *args) {
  const dr_http_expectation expected = dr__http_expectation_of(args);
  json_t *json = json_object();
  const char *path;
  json_t *value;
  json_object_foreach(expected.json, path, value) {
    set_at(json, path, value);
  }
  const char *url = string_at(args, "url");
  return json_pack("{s:i, s:o, s:s, s:o, s:f, s:s, s:s, s:i}", "status",
                   dr__http_expectation_example(expected.status), "headers",
                   expected.header ? json_incref(expected.header) : json_object(), "body",
                   expected.body ? expected.body : "", "json", json, "seconds", 0.0, "url",
                   url ? url : "", "address", "", "attempts", 1);
}

/* ------------------------------------------------------------ previews */

/* Headers that carry a key are named, not shown. */
bool dr__http_is_private(const char *name) {
  static const char *const parts[] = {"authorization", "cookie", "token",
                                      "secret",        "key",    "password"};
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    if (strcasestr(name, parts[i])) return true;
  }
  return false;
}

bool dr__http_is_key(const dr_op *op, const char *name, const char *value) {
  return dr__http_is_private(name) || dr__runtime_secret_in(value, dr__op_runtime(op));
}

static void add_body(dr_text *to, const char *body) {
  json_t *text = dr__http_json_text(body, strnlen(body, SHOWN_BODY));
  char *quoted = text ? json_dumps(text, JSON_ENCODE_ANY) : NULL;
  json_decref(text);
  if (quoted)
    dr__text_printf(to, ", body %s%s", quoted, strlen(body) > SHOWN_BODY ? "…" : "");
  else
    to->failed = true;
  free(quoted);
}

static void add_json(dr_text *to, const char *before, const json_t *json) {
  char *text = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
  char shown[SHOWN_BODY];
  dr__copy_text(shown, sizeof shown, text ? text : "");
  dr__text_printf(to, "%s%s%s", before, shown, text && strlen(text) >= sizeof shown ? "…" : "");
  if (!text) to->failed = true;
  free(text);
}

static void add_credentials(dr_text *to, json_t *args) {
  const char *user = string_at(args, "user");
  if (string_at(args, "bearer"))
    dr__text_puts(to, ", with a bearer token");
  else if (user)
    dr__text_printf(to, ", as user %s", user);
  if (json_integer_value(json_object_get(args, "follow")) > 0) {
    dr__text_printf(to, ", following %d redirects",
                    (int)json_integer_value(json_object_get(args, "follow")));
  }
  if (json_is_true(json_object_get(args, "insecure")))
    dr__text_puts(to, ", taking ANY certificate");
}

static void add_request(dr_text *to, json_t *args) {
  const char *method = string_at(args, "method");
  const char *url = string_at(args, "url");
  const char *address = string_at(args, "address");
  const char *name;
  json_t *value;
  char *shown = dr__http_safe_url(url ? url : "");
  if (!shown || !args) to->failed = true;
  dr__text_printf(to, "%s %s", method ? method : "GET", shown ? shown : "");
  free(shown);
  if (address) dr__text_printf(to, " at %s", address);
  json_object_foreach(json_object_get(args, "headers"), name, value) {
    dr__text_printf(to, ", %s: %s", name,
                    dr__http_is_private(name) ? "…" : json_string_value(value));
  }
  add_credentials(to, args);
}

char *dr__http_preview_request(const dr_op *op) {
  json_t *args = dr__op_masked_args(op);
  dr_text text = {0};
  add_request(&text, args);
  json_decref(args);
  return dr__text_take(&text);
}

static void add_status(dr_text *to, const json_t *status) {
  size_t count = json_is_array(status) ? json_array_size(status) : 1;
  for (size_t i = 0; i < count; i++) {
    const json_t *one = json_is_array(status) ? json_array_get(status, i) : status;
    if (i > 0) dr__text_puts(to, i + 1 == count ? " or " : ", ");
    if (json_is_integer(one))
      dr__text_printf(to, "%d", (int)json_integer_value(one));
    else
      dr__text_puts(to, json_is_string(one) ? json_string_value(one) : "2xx");
  }
}

char *dr__http_preview_send(const dr_op *op) {
  json_t *args = dr__op_masked_args(op);
  dr_text text = {0};
  const json_t *json = json_object_get(args, "json");
  const char *body = string_at(args, "body");
  add_request(&text, args);
  if (json)
    add_json(&text, ", JSON ", json);
  else if (body)
    add_body(&text, body);
  if (json_object_get(args, "status")) {
    dr__text_puts(&text, ": expect ");
    add_status(&text, json_object_get(args, "status"));
  }
  json_decref(args);
  return dr__text_take(&text);
}

char *dr__http_preview_expectation(const dr_op *op) {
  json_t *args = dr__op_masked_args(op);
  const dr_http_expectation expected = dr__http_expectation_of(args);
  dr_text text = {0};
  const char *name;
  json_t *value;
  text.failed = !args;
  add_status(&text, expected.status);
  if (expected.body) dr__text_printf(&text, ", body contains \"%s\"", expected.body);
  json_object_foreach(expected.json, name, value) {
    dr__text_printf(&text, ", JSON %s", name);
    add_json(&text, " = ", value);
  }
  json_object_foreach(expected.header, name, value) {
    dr__text_printf(&text, ", %s: %s", name, json_string_value(value));
  }
  json_decref(args);
  return dr__text_take(&text);
}
