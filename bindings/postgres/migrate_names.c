/* migrate_names.c - see migrate_names.h. Called by migrate_load.c on a worker thread, and by the
 * fuzzer. */
#include "migrate_names.h"

#include "core/json.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool ends_with(const char *text, size_t length, const char *end) {
  size_t size = strlen(end);
  return length >= size && memcmp(text + length - size, end, size) == 0;
}

/* Letters, digits, '_', '-', '.' and whatever is not ASCII: what can be shown and typed. */
static bool is_name(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c < 0x80 && !isalnum(c) && c != '_' && c != '-' && c != '.') return false;
  }
  return length > 0 && length <= DR_MIGRATION_NAME_MAX;
}

bool dr__migration_name_parse(const char *file, dr_migration_name *out) {
  size_t digits = strspn(file, "0123456789"), length = strlen(file);
  if (digits == 0 || digits > DR_VERSION_DIGITS || file[digits] != '_') return false;
  if (!ends_with(file, length, ".sql")) return false;
  length -= strlen(".sql");
  out->direction = ends_with(file, length, ".down") ? DR_DOWN : DR_UP;
  if (out->direction == DR_DOWN) length -= strlen(".down");
  if (out->direction == DR_UP && ends_with(file, length, ".up")) length -= strlen(".up");
  if (length <= digits + 1 || !is_name(file + digits + 1, length - digits - 1)) return false;
  memcpy(out->version, file, digits);
  out->version[digits] = '\0';
  memcpy(out->name, file + digits + 1, length - digits - 1);
  out->name[length - digits - 1] = '\0';
  return true;
}

int dr__version_compare(const char *one, const char *other) {
  one += strspn(one, "0");
  other += strspn(other, "0");
  size_t a = strlen(one), b = strlen(other);
  if (a != b) return a < b ? -1 : 1;
  return strcmp(one, other);
}

/* ------------------------------------------------------------ a folder */

static int compare_names(const void *one, const void *other) {
  const char *a = *(const char *const *)one, *b = *(const char *const *)other;
  dr_migration_name left, right;
  bool known = dr__migration_name_parse(a, &left) && dr__migration_name_parse(b, &right);
  int order = known ? dr__version_compare(left.version, right.version) : 0;
  return order ? order : strcmp(a, b);
}

static int bad_name(const char *folder, const char *file, dr_err *err) {
  dr__fail(err, "postgres.migration_file", "%s/%s is no name of a migration", folder, file);
  dr__err_hint(err,
               "0001_name.up.sql, 0001_name.down.sql or 0001_name.sql: a number of at most %d "
               "digits, _, and letters, digits, '_', '-' and '.'",
               DR_VERSION_DIGITS);
  return DR_FAILED;
}

static const char *field(const json_t *entry, const char *key) {
  return json_string_value(json_object_get(entry, key));
}

static int duplicate(const char *folder, const char *one, const char *other, dr_err *err) {
  dr__fail(err, "postgres.migration_file", "%s and %s in %s have the same version", one, other,
           folder);
  dr__err_hint(err, "give the later one a number of its own");
  return DR_FAILED;
}

/* Adds a file to the migration before it, or begins another. Names come by their versions. */
static int add(json_t *list, const char *folder, const char *file, dr_err *err) {
  dr_migration_name name;
  if (!dr__migration_name_parse(file, &name)) return bad_name(folder, file, err);
  json_t *last = json_array_get(list, json_array_size(list) - 1);
  const char *key = name.direction == DR_UP ? "up" : "down";
  bool same = last && dr__version_compare(field(last, "version"), name.version) == 0;
  if (same && (strcmp(field(last, "name"), name.name) != 0 || json_object_get(last, key)))
    return duplicate(folder, field(last, "up") ? field(last, "up") : field(last, "down"), file,
                     err);
  int failed = 0;
  if (!same) {
    last = json_pack("{s:s, s:s}", "version", name.version, "name", name.name);
    failed = json_array_append_new(list, last);
  }
  if (!failed) failed = json_object_set_new(last, key, json_string(file));
  return failed ? dr__err_nomem(err) : DR_OK;
}

static int check_ups(const json_t *list, const char *folder, dr_err *err) {
  size_t i;
  const json_t *entry;
  json_array_foreach(list, i, entry) {
    if (!field(entry, "up"))
      return dr__fail(err, "postgres.migration_file", "%s/%s has no file that goes up beside it",
                      folder, field(entry, "down"));
  }
  if (json_array_size(list) > 0) return DR_OK;
  dr__fail(err, "postgres.migration_file", "there is no migration in %s", folder);
  dr__err_hint(err, "files are named 0001_name.up.sql");
  return DR_FAILED;
}

/* The names by their versions; malloc'd, NULL when memory is short. */
static const char **sort_names(const json_t *names) {
  size_t count = json_array_size(names);
  const char **sorted = calloc(count + 1, sizeof(char *));
  if (!sorted) return NULL;
  for (size_t i = 0; i < count; i++) sorted[i] = json_string_value(json_array_get(names, i));
  qsort(sorted, count, sizeof(char *), compare_names);
  return sorted;
}

json_t *dr__migrations_from_names(const char *folder, const json_t *names, dr_err *err) {
  const char **sorted = sort_names(names);
  json_t *list = json_array();
  int status = sorted && list ? DR_OK : dr__err_nomem(err);
  for (size_t i = 0; sorted && status == DR_OK && i < json_array_size(names); i++)
    status = add(list, folder, sorted[i], err);
  if (status == DR_OK) status = check_ups(list, folder, err);
  free(sorted);
  if (status == DR_OK) return list;
  json_decref(list);
  return NULL;
}

/* A name that is not UTF-8 is none of a migration, with its bytes written out. */
static int collect(DIR *folder, const char *path, json_t *names, dr_err *err) {
  const struct dirent *entry;
  for (errno = 0; (entry = readdir(folder)); errno = 0) {
    const char *name = entry->d_name;
    size_t length = strlen(name);
    if (name[0] == '.' || length < 4 || strcasecmp(name + length - 4, ".sql") != 0) continue;
    if (json_array_append_new(names, dr__json_string(name)) != 0) return dr__err_nomem(err);
  }
  return errno ? dr__fail(err, "fs.failed", "%s: %s", path, strerror(errno)) : DR_OK;
}

json_t *dr__migrations_list(const char *folder, dr_err *err) {
  DIR *open = opendir(folder);
  if (!open) {
    dr__fail(err, errno == ENOENT ? "fs.not_found" : "fs.failed", "%s: %s", folder,
             strerror(errno));
    dr__err_hint(err, "dir is the folder with the migrations, on the machine deployrun runs on");
    return NULL;
  }
  json_t *names = json_array(), *list = NULL;
  int status = names ? collect(open, folder, names, err) : dr__err_nomem(err);
  closedir(open);
  if (status == DR_OK) list = dr__migrations_from_names(folder, names, err);
  json_decref(names);
  return list;
}
