/* core/params.c - reading typed params. Called when a recipe is loaded and when values are set; no
 * I/O. */
#include "core/params.h"

#include "core/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t dr__name_distance(const char *a, const char *b) {
  enum { LONGEST = 64 };
  size_t rows[3][LONGEST + 1];
  size_t la = strlen(a), lb = strlen(b);
  if (la > LONGEST || lb > LONGEST) return LONGEST;
  for (size_t j = 0; j <= lb; j++) rows[0][j] = j;
  for (size_t i = 1; i <= la; i++) {
    size_t *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
    now[0] = i;
    for (size_t j = 1; j <= lb; j++) {
      size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);
      if (last[j] + 1 < best) best = last[j] + 1;
      if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
      bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped && before[j - 2] + 1 < best) best = before[j - 2] + 1;
      now[j] = best;
    }
  }
  return rows[la % 3][lb];
}

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

static void hint_near(const json_t *declarations, const char *name, dr_err *err) {
  char all[512] = "";
  const char *near = NULL;
  size_t i, best = strlen(name) / 3 + 2;
  json_t *declaration;
  json_array_foreach(declarations, i, declaration) {
    const char *other = text_of(declaration, "name");
    size_t distance = dr__name_distance(name, other);
    if (distance < best) {
      best = distance;
      near = other;
    }
    size_t used = strlen(all);
    snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "", other);
  }
  if (near)
    dr__err_hint(err, "did you mean '%s'? The params are: %s", near, all);
  else if (all[0])
    dr__err_hint(err, "the params are: %s", all);
  else
    dr__err_hint(err, "this recipe has no params");
}

json_t *dr__param_find(const json_t *declarations, const char *name, dr_err *err) {
  size_t i;
  json_t *declaration;
  json_array_foreach(declarations, i, declaration) {
    if (strcmp(text_of(declaration, "name"), name) == 0) return declaration;
  }
  dr__fail(err, "param.unknown", "the recipe has no param '%s'", name);
  hint_near(declarations, name, err);
  return NULL;
}

double dr__duration_parse(const char *text) {
  static const struct {
    const char *unit;
    double seconds;
  } units[] = {{"", 1}, {"ms", 0.001}, {"s", 1}, {"m", 60}, {"min", 60}, {"h", 3600}, {"d", 86400}};
  char *end;
  errno = 0;
  double value = strtod(text, &end);
  if (end == text || errno || !isfinite(value) || value < 0) return -1;
  while (*end == ' ') end++;
  for (size_t i = 0; i < sizeof units / sizeof *units; i++)
    if (strcmp(end, units[i].unit) == 0) return value * units[i].seconds;
  return -1;
}

static json_t *wrong(const json_t *declaration, const char *text, const char *expected,
                     dr_err *err) {
  dr__fail(err, "param.type", "param '%s' takes %s, not '%s'", text_of(declaration, "name"),
           expected, text);
  const char *help = text_of(declaration, "help");
  if (help[0]) dr__err_hint(err, "%s: %s", text_of(declaration, "name"), help);
  return NULL;
}

static json_t *parse_list(const char *text) {
  json_t *list = json_array();
  while (list && *text) {
    size_t length = strcspn(text, ",");
    const char *from = text;
    size_t trimmed = length;
    while (trimmed > 0 && *from == ' ') from++, trimmed--;
    while (trimmed > 0 && from[trimmed - 1] == ' ') trimmed--;
    if (trimmed > 0) json_array_append_new(list, json_stringn(from, trimmed));
    text += length + (text[length] == ',');
  }
  return list;
}

static json_t *parse_integer(const json_t *declaration, const char *text, dr_err *err) {
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (end == text || *end || errno) return wrong(declaration, text, "a whole number", err);
  return json_integer(value);
}

static json_t *parse_number(const json_t *declaration, const char *text, dr_err *err) {
  char *end;
  double value = strtod(text, &end);
  if (end == text || *end || !isfinite(value)) return wrong(declaration, text, "a number", err);
  return json_real(value);
}

static json_t *parse_bool(const json_t *declaration, const char *text, dr_err *err) {
  static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off",
                                                                              "0"};
  for (size_t i = 0; i < 4; i++) {
    if (strcmp(text, yes[i]) == 0) return json_true();
    if (strcmp(text, no[i]) == 0) return json_false();
  }
  return wrong(declaration, text, "true or false", err);
}

static json_t *parse_enum(const json_t *declaration, const char *text, dr_err *err) {
  char expected[256] = "one of";
  size_t i;
  json_t *choice;
  json_array_foreach(json_object_get(declaration, "choices"), i, choice) {
    const char *known = json_string_value(choice);
    if (known && strcmp(known, text) == 0) return json_string(text);
    size_t used = strlen(expected);
    snprintf(expected + used, sizeof expected - used, "%s %s", i ? "," : "", known ? known : "?");
  }
  return wrong(declaration, text, expected, err);
}

static json_t *parse_duration(const json_t *declaration, const char *text, dr_err *err) {
  double seconds = dr__duration_parse(text);
  if (seconds < 0) return wrong(declaration, text, "a duration such as 90s, 5m or 1h", err);
  return json_real(seconds);
}

static json_t *parse_url(const json_t *declaration, const char *text, dr_err *err) {
  const char *rest = strstr(text, "://");
  bool known = strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
  if (!known || !rest[3] || strpbrk(text, " \t\r\n"))
    return wrong(declaration, text, "a URL such as http://localhost/health/", err);
  return json_string(text);
}

static json_t *parse_path(const json_t *declaration, const char *text, dr_err *err) {
  return *text ? json_string(text) : wrong(declaration, text, "a path", err);
}

static json_t *parse_host(const json_t *declaration, const char *text, dr_err *err) {
  if (!*text || *text == '-' || strpbrk(text, " \t\r\n/"))
    return wrong(declaration, text, "a host: local, a name of ~/.ssh/config, or user@name:port",
                 err);
  return json_string(text);
}

/* Hosts, each as for one; the same one twice is a slip that would be noticed too late. */
static json_t *parse_hosts(const json_t *declaration, const char *text, dr_err *err) {
  json_t *list = parse_list(text);
  size_t i, j;
  json_t *host, *other;
  if (list && json_array_size(list) == 0) {
    dr__fail(err, "param.type", "param '%s' names no host", text_of(declaration, "name"));
    json_decref(list);
    return NULL;
  }
  json_array_foreach(list, i, host) {
    json_t *good = parse_host(declaration, json_string_value(host), err);
    json_decref(good);
    bool twice = false;
    json_array_foreach(list, j, other) twice = twice || (j < i && json_equal(host, other));
    if (good && !twice) continue;
    if (good)
      dr__fail(err, "param.type", "param '%s' names the host %s twice",
               text_of(declaration, "name"), json_string_value(host));
    json_decref(list);
    return NULL;
  }
  return list;
}

json_t *dr__param_parse(const json_t *declaration, const char *text, dr_err *err) {
  const char *type = text_of(declaration, "type");
  json_t *value = NULL;
  dr_err_clear(err);
  if (strcmp(type, "string") == 0)
    value = json_string(text);
  else if (strcmp(type, "path") == 0)
    value = parse_path(declaration, text, err);
  else if (strcmp(type, "list") == 0)
    value = parse_list(text);
  else if (strcmp(type, "int") == 0)
    value = parse_integer(declaration, text, err);
  else if (strcmp(type, "number") == 0)
    value = parse_number(declaration, text, err);
  else if (strcmp(type, "bool") == 0)
    value = parse_bool(declaration, text, err);
  else if (strcmp(type, "enum") == 0)
    value = parse_enum(declaration, text, err);
  else if (strcmp(type, "duration") == 0)
    value = parse_duration(declaration, text, err);
  else if (strcmp(type, "url") == 0)
    value = parse_url(declaration, text, err);
  else if (strcmp(type, "host") == 0)
    value = parse_host(declaration, text, err);
  else if (strcmp(type, "hosts") == 0)
    value = parse_hosts(declaration, text, err);
  if (!value && !err->code[0] && dr__is_utf8(text))
    dr__err_nomem(err);
  else if (!value && !err->code[0])
    wrong(declaration, text, "valid text", err);
  return value;
}

char *dr__param_text(const json_t *value) {
  if (json_is_string(value)) return strdup(json_string_value(value));
  if (!json_is_array(value)) return json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(10));
  char *text = NULL;
  size_t size, i;
  json_t *item;
  FILE *stream = open_memstream(&text, &size);
  if (!stream) return NULL;
  json_array_foreach(value, i, item) fprintf(stream, "%s%s", i ? "," : "", json_string_value(item));
  if (fclose(stream) == 0) return text;
  free(text);
  return NULL;
}

/* Lists are given as Lua lists; everything else has one typed form. */
json_t *dr__param_normalize(const json_t *declaration, const json_t *value, dr_err *err) {
  const char *type = text_of(declaration, "type");
  bool list = strcmp(type, "list") == 0 || strcmp(type, "hosts") == 0;
  if (list && json_is_object(value) && json_object_size(value) == 0) return json_array();
  size_t i;
  json_t *item;
  json_array_foreach(value, i, item) {
    if (!json_is_string(item)) list = false;
  }
  bool number = strcmp(text_of(declaration, "type"), "number") == 0 && json_is_number(value);
  if ((json_is_array(value) && list) || number) return json_incref((json_t *)value);
  json_t *parsed = NULL;
  const bool plain = !json_is_array(value) && !json_is_object(value);
  char *text = plain ? dr__param_text(value) : NULL;
  if (text) parsed = dr__param_parse(declaration, text, err);
  if (plain && !text)
    dr__err_nomem(err);
  else if (!parsed && strcmp(err->code, "out_of_memory") != 0)
    dr__fail(err, "recipe.param", "the default of param '%s' is not a valid %s",
             text_of(declaration, "name"), text_of(declaration, "type"));
  free(text);
  return parsed;
}

/* All that are missing at once: "params 'dir', 'web' are required and were not given". */
static int missing(const json_t *absent, dr_err *err) {
  char names[sizeof err->message / 2] = "", ways[sizeof err->hint] = "";
  bool one = json_array_size(absent) == 1;
  size_t i, named = 0, shown = 0;
  json_t *declaration;
  json_array_foreach(absent, i, declaration) {
    const char *name = text_of(declaration, "name"), *help = text_of(declaration, "help");
    if (named < sizeof names)
      named += (size_t)snprintf(names + named, sizeof names - named, "%s'%s'", i ? ", " : "", name);
    if (shown < sizeof ways)
      shown += (size_t)snprintf(ways + shown, sizeof ways - shown, "%s%s=…%s%s", i ? "\n" : "",
                                name, help[0] ? ": " : "", help);
  }
  dr__fail(err, "param.missing", "param%s %s %s required and %s not given", one ? "" : "s", names,
           one ? "is" : "are", one ? "was" : "were");
  dr__err_hint(err, "give %s as %s", one ? "it" : "them", ways);
  return DR_USAGE;
}

json_t *dr__param_values(const json_t *declarations, const json_t *given, dr_err *err) {
  json_t *values = json_object(), *absent = json_array();
  int failed = values && absent ? 0 : dr__err_nomem(err);
  size_t i;
  json_t *declaration;
  json_array_foreach(declarations, i, declaration) {
    const char *name = text_of(declaration, "name");
    json_t *value = json_object_get(given, name);
    if (!value) value = json_object_get(declaration, "default");
    if (failed) break;
    if (value && json_object_set(values, name, value) != 0) failed = dr__err_nomem(err);
    if (value || !json_is_true(json_object_get(declaration, "required"))) continue;
    if (json_array_append(absent, declaration) != 0) failed = dr__err_nomem(err);
  }
  if (!failed && json_array_size(absent) > 0) failed = missing(absent, err);
  json_decref(absent);
  if (!failed) return values;
  json_decref(values);
  return NULL;
}
