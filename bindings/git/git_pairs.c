/* git_pairs.c - fields with a zero byte behind each: lists of paths, and the pairs of a word and
 * its value that our scripts write. Called by git_run.c and git_script.c; no I/O, fuzzed. */
#include "git_pairs.h"

#include <stdlib.h>
#include <string.h>

/* The next field as a C string, or NULL at the end; moves *at behind it. Sets *broken when bytes
 * without an end are left. */
static const char *next_field(const char **at, const char *end, bool *broken) {
  const char *field = *at;
  const char *stop = field < end ? memchr(field, '\0', (size_t)(end - field)) : NULL;
  *broken = *broken || (!stop && field < end);
  if (stop) *at = stop + 1;
  return stop ? field : NULL;
}

static int add_text(json_t *array, const char *text) {
  return text[0] == '\0' ? 0
                         : json_array_append_new(array, json_stringn_nocheck(text, strlen(text)));
}

static json_t *finish(json_t *value, bool broken, dr_err *err) {
  if (value && !broken) return value;
  json_decref(value);
  dr__fail(err, "git.output", "what git wrote could not be understood");
  return NULL;
}

json_t *dr__git_list_parse(const char *bytes, size_t length, dr_err *err) {
  json_t *list = json_array();
  const char *at = bytes;
  bool broken = !list;
  for (const char *field; !broken && (field = next_field(&at, bytes + length, &broken));)
    broken = add_text(list, field) != 0;
  return finish(list, broken, err);
}

/* The array of a word, made when it is the first of its kind. Borrowed. */
static json_t *values_of(json_t *pairs, const char *word) {
  json_t *values = json_object_get(pairs, word);
  if (values) return values;
  return json_object_set_new(pairs, word, json_array()) == 0 ? json_object_get(pairs, word) : NULL;
}

json_t *dr__git_pairs_parse(const char *bytes, size_t length, dr_err *err) {
  json_t *pairs = json_object();
  const char *at = bytes;
  bool broken = !pairs;
  for (const char *word; !broken && (word = next_field(&at, bytes + length, &broken));) {
    const char *value = next_field(&at, bytes + length, &broken);
    json_t *values = value ? values_of(pairs, word) : NULL;
    broken = broken || !values || add_text(values, value) != 0;
  }
  return finish(pairs, broken, err);
}

const char *dr__git_pair(const json_t *pairs, const char *word) {
  return json_string_value(json_array_get(json_object_get(pairs, word), 0));
}

json_t *dr__git_pair_list(const json_t *pairs, const char *word) {
  json_t *values = json_object_get(pairs, word);
  return values ? json_incref(values) : json_array();
}

/* The text up to a unit separator, as a JSON string; moves *at behind it. */
static json_t *next_unit(const char **at) {
  size_t length = strcspn(*at, "\x1f");
  json_t *text = json_stringn_nocheck(*at, length);
  *at += length + ((*at)[length] == '\x1f');
  return text;
}

static json_t *read_commit(const char *text) {
  json_t *commit = next_unit(&text);
  char *end = NULL;
  long long time = strtoll(text, &end, 10);
  text = *end == '\x1f' ? end + 1 : end;
  json_t *author = next_unit(&text);
  return json_pack("{s:o, s:I, s:o, s:o}", "commit", commit, "time", (json_int_t)time, "author",
                   author, "subject", json_stringn_nocheck(text, strlen(text)));
}

json_t *dr__git_commits_parse(const json_t *pairs, dr_err *err) {
  json_t *commits = json_array();
  const json_t *texts = json_object_get(pairs, "commit");
  bool broken = !commits;
  for (size_t i = 0; !broken && i < json_array_size(texts); i++)
    broken = json_array_append_new(commits,
                                   read_commit(json_string_value(json_array_get(texts, i)))) != 0;
  return finish(commits, broken, err);
}
