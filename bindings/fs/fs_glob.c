/* fs_glob.c - the paths that match a pattern, name by name from the left. Called by fs.c on a
 * worker thread.
 *
 * Not glob(3): glibc's frees twice when memory is short, and cannot be stopped. */
#include "fs_glob.h"

#include "text.h"

#include <dirent.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct search {
  json_t *found;
  dr_text path; /* what has been matched so far */
  atomic_bool *stop;
  dr_err *err;
} search;

static int look(search *s, const char *pattern);

static bool is_magic(const char *name, size_t length) {
  return memchr(name, '*', length) || memchr(name, '?', length) || memchr(name, '[', length);
}

/* Cuts the path back to what it was. */
static void cut(search *s, size_t length) {
  s->path.length = length;
  if (s->path.bytes) s->path.bytes[length] = '\0';
}

static int add_found(search *s) {
  struct stat info;
  if (s->path.failed) return dr__err_nomem(s->err);
  if (lstat(s->path.bytes, &info) != 0) return DR_OK;
  json_t *path = json_stringn_nocheck(s->path.bytes, s->path.length);
  return json_array_append_new(s->found, path) == 0 ? DR_OK : dr__err_nomem(s->err);
}

/* Adds one name and goes on with the rest of the pattern. */
static int descend(search *s, const char *name, size_t length, const char *rest) {
  size_t before = s->path.length;
  dr__text_add(&s->path, name, length);
  int status = s->path.failed ? dr__err_nomem(s->err) : look(s, rest);
  cut(s, before);
  return status;
}

/* Tries every name in the folder reached so far. */
static int try_names(search *s, const char *name, const char *rest) {
  if (atomic_load(s->stop)) return dr__fail(s->err, "cancelled", "it was stopped");
  DIR *folder = opendir(s->path.length > 0 ? s->path.bytes : ".");
  int status = DR_OK;
  if (!folder) return DR_OK;
  for (struct dirent *entry; status == DR_OK && (entry = readdir(folder));)
    if (fnmatch(name, entry->d_name, FNM_PERIOD) == 0)
      status = descend(s, entry->d_name, strlen(entry->d_name), rest);
  closedir(folder);
  return status;
}

/* Matches the rest of the pattern below the path reached so far. */
static int look(search *s, const char *pattern) {
  size_t slashes = strspn(pattern, "/");
  size_t before = s->path.length;
  dr__text_add(&s->path, pattern, slashes);
  pattern += slashes;
  size_t length = strcspn(pattern, "/");
  int status = DR_OK;
  if (length == 0) {
    status = add_found(s);
  } else if (!is_magic(pattern, length)) {
    status = descend(s, pattern, length, pattern + length);
  } else {
    char *name = strndup(pattern, length);
    status = name ? try_names(s, name, pattern + length) : dr__err_nomem(s->err);
    free(name);
  }
  cut(s, before);
  return status;
}

typedef struct item {
  json_t *path;
} item;

static int compare(const void *a, const void *b) {
  return strcmp(json_string_value(((const item *)a)->path),
                json_string_value(((const item *)b)->path));
}

/* A new array with the same strings in order. */
static json_t *sorted(const json_t *list) {
  size_t count = json_array_size(list);
  item *items = calloc(count + 1, sizeof *items);
  json_t *result = items ? json_array() : NULL;
  int failed = result ? 0 : -1;
  for (size_t i = 0; failed == 0 && i < count; i++) items[i].path = json_array_get(list, i);
  if (failed == 0) qsort(items, count, sizeof *items, compare);
  for (size_t i = 0; failed == 0 && i < count; i++)
    failed = json_array_append(result, items[i].path);
  free(items);
  if (failed == 0) return result;
  json_decref(result);
  return NULL;
}

json_t *dr__fs_glob(const char *pattern, atomic_bool *stop, dr_err *err) {
  search s = {.found = json_array(), .stop = stop, .err = err};
  json_t *result = NULL;
  int status = s.found ? DR_OK : dr__err_nomem(err);
  if (status == DR_OK && pattern[0] == '\0')
    status = dr__fail(err, "fs.pattern", "the pattern is empty");
  if (status == DR_OK) status = look(&s, pattern);
  if (status == DR_OK && !(result = sorted(s.found))) dr__err_nomem(err);
  json_decref(s.found);
  dr__text_free(&s.path);
  return result;
}
