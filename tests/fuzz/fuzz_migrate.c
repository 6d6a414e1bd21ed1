/* Any text as the names of a folder's files: reading ends, each migration has a version and a file
 * that goes up, they are in order, and no file is lost or taken twice.
 */
#include "postgres/migrate_names.h"

#include "core/err.h"
#include "core/json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *entry, const char *key) {
  return json_string_value(json_object_get(entry, key));
}

/* Returns how many files the migration has. */
static size_t check_entry(const json_t *entry, const char *before) {
  const char *version = text_of(entry, "version");
  if (!version || !text_of(entry, "name") || !text_of(entry, "up")) abort();
  if (before && dr__version_compare(before, version) >= 0) abort();
  return text_of(entry, "down") ? 2 : 1;
}

static void check_list(const json_t *list, size_t names) {
  size_t i, files = 0;
  const json_t *entry;
  const char *before = NULL;
  json_array_foreach(list, i, entry) {
    files += check_entry(entry, before);
    before = text_of(entry, "version");
  }
  if (files != names) abort();
}

/* A name a line. */
static json_t *names_in(char *text) {
  json_t *names = json_array();
  char *rest = text, *line;
  while ((line = strsep(&rest, "\n")))
    if (line[0]) json_array_append_new(names, dr__json_string(line));
  return names;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  dr_err err = DR_ERR_INIT;
  char *text = malloc(size + 1);
  if (!text) return 0;
  memcpy(text, input, size);
  text[size] = '\0';
  json_t *names = names_in(text);
  json_t *list = dr__migrations_from_names("m", names, &err);
  if (list) check_list(list, json_array_size(names));
  if (!list && !err.code[0]) abort();
  json_decref(list);
  json_decref(names);
  dr_err_clear(&err);
  free(text);
  return 0;
}
