/* backup_list.c - a folder of backups as a whole: what is in it, what may go, and its removal. See
 * backup_files.h. Owns nothing; called on the ops' threads and by tests.
 */
#include "backup_files.h"

#include "backup_manifest.h"
#include "core/err.h"
#include "fs/fs.h"
#include "transfer/local_place.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ------------------------------------------------------------ the list */

/* The name in "NAME.json" or "NAME.dump.zst", malloc'd; *dump: which. NULL: neither. */
static char *name_of(const char *file, bool *dump) {
  size_t length = strlen(file);
  static const char *const known[] = {DR_BACKUP_JSON, DR_BACKUP_DUMP};
  for (size_t i = 0; file[0] != '.' && i < 2; i++) {
    size_t tail = strlen(known[i]);
    if (length <= tail || strcmp(file + length - tail, known[i]) != 0) continue;
    *dump = i == 1;
    return strndup(file, length - tail);
  }
  return NULL;
}

/* {name, manifest}, {name, problem, message}, or NULL when it is no backup of ours. */
static json_t *entry_of(const char *folder, const char *name) {
  dr_err err = DR_ERR_INIT;
  char *path = NULL;
  json_t *entry = NULL;
  if (asprintf(&path, "%s/%s", folder, name) < 0) return NULL;
  json_t *manifest = dr__backup_open(path, &err);
  if (manifest)
    entry = json_pack("{s:s, s:o}", "name", name, "manifest", manifest);
  else
    entry = json_pack("{s:s, s:s, s:s}", "name", name, "problem", err.code, "message", err.message);
  dr_err_clear(&err);
  free(path);
  return entry;
}

static const char *taken_of(const json_t *entry) {
  return dr__backup_manifest_text(json_object_get(entry, "manifest"), "taken");
}

typedef struct place {
  json_t *entry;
} place;

/* Newest first; those without a manifest last, by name. */
static int compare(const void *a, const void *b) {
  const json_t *one = ((const place *)a)->entry, *other = ((const place *)b)->entry;
  int order = strcmp(taken_of(other), taken_of(one));
  return order ? order
               : strcmp(dr__backup_manifest_text(other, "name"),
                        dr__backup_manifest_text(one, "name"));
}

static json_t *sorted(json_t *list) {
  size_t count = json_array_size(list);
  place *entries = calloc(count + 1, sizeof *entries);
  json_t *result = entries ? json_array() : NULL;
  for (size_t i = 0; result && i < count; i++) entries[i].entry = json_array_get(list, i);
  if (result) qsort(entries, count, sizeof *entries, compare);
  for (size_t i = 0; result && i < count; i++) json_array_append(result, entries[i].entry);
  free(entries);
  json_decref(list);
  return result;
}

static bool has_name(const json_t *list, const char *name) {
  size_t i;
  json_t *entry;
  json_array_foreach((json_t *)list, i, entry) {
    if (strcmp(dr__backup_manifest_text(entry, "name"), name) == 0) return true;
  }
  return false;
}

/* Whether the list is to have it: one whose manifest cannot be read is known by its name only. */
static bool is_wanted(const json_t *entry, const char *database) {
  char prefix[256];
  const json_t *manifest = json_object_get(entry, "manifest");
  if (!database) return true;
  if (manifest) return strcmp(dr__backup_manifest_text(manifest, "database"), database) == 0;
  dr__backup_file_name(database, prefix, sizeof prefix - 40);
  const char *name = dr__backup_manifest_text(entry, "name");
  size_t length = strlen(prefix);
  return strncmp(name, prefix, length) == 0 && name[length] == '-';
}

json_t *dr__backup_list(const char *folder, const char *database, dr_err *err) {
  char *whole = dr__fs_expand(folder);
  DIR *entries = whole ? opendir(whole) : NULL;
  json_t *list = json_array();
  if (!entries) {
    int failed = whole ? errno : ENOMEM;
    free(whole);
    if (failed == ENOENT) return list;
    json_decref(list);
    dr__fail(err, "backup.folder", "the folder %.700s: %s", folder, strerror(failed));
    return NULL;
  }
  for (struct dirent *file; (file = readdir(entries));) {
    bool dump = false;
    char *name = name_of(file->d_name, &dump);
    json_t *entry = name && !has_name(list, name) ? entry_of(whole, name) : NULL;
    /* any other program's JSON is none of ours */
    bool ours =
        entry && is_wanted(entry, database) &&
        (dump || strcmp(dr__backup_manifest_text(entry, "problem"), "backup.manifest") != 0);
    if (ours) json_array_append(list, entry);
    json_decref(entry);
    free(name);
  }
  closedir(entries);
  free(whole);
  list = sorted(list);
  if (!list) dr__err_nomem(err);
  return list;
}

/* ------------------------------------------------------------ what may go */

json_t *dr__backup_surplus(const json_t *list, const char *cluster, const char *database,
                           int64_t keep) {
  json_t *names = json_array();
  int64_t verified = 0;
  size_t i;
  json_t *entry;
  json_array_foreach((json_t *)list, i, entry) {
    const json_t *manifest = json_object_get(entry, "manifest");
    if (!manifest || keep < 1 ||
        strcmp(dr__backup_manifest_text(manifest, "database"), database) != 0 ||
        strcmp(dr__backup_manifest_text(manifest, "cluster"), cluster) != 0)
      continue;
    if (verified >= keep)
      json_array_insert(names, 0, json_object_get(entry, "name"));
    else if (json_is_true(json_object_get(entry, "verified")))
      verified++;
  }
  return names;
}

int dr__backup_remove(const char *folder, const char *name, dr_err *err) {
  static const char *const order[] = {DR_BACKUP_JSON, DR_BACKUP_DUMP, DR_BACKUP_GLOBALS};
  char *whole = dr__fs_expand(folder);
  int failed = whole ? 0 : ENOMEM;
  for (size_t i = 0; !failed && i < sizeof order / sizeof *order; i++) {
    char *path = NULL;
    if (asprintf(&path, "%s/%s%s", whole, name, order[i]) < 0) path = NULL;
    if (!path || (unlink(path) != 0 && errno != ENOENT)) failed = path ? errno : ENOMEM;
    free(path);
    if (i == 0 && !failed) dr__sync_folder(whole);
  }
  if (whole) dr__sync_folder(whole);
  free(whole);
  if (!failed) return DR_OK;
  return dr__fail(err, "backup.write", "the old backup %.300s could not be removed: %s", name,
                  strerror(failed));
}

int dr__backup_discard(const char *path, dr_err *err) {
  char *stem = dr__backup_path(path, "");
  char *slash = stem ? strrchr(stem, '/') : NULL;
  if (!stem) return dr__err_nomem(err);
  if (slash) *slash = '\0';
  int status = dr__backup_remove(slash ? stem : ".", slash ? slash + 1 : stem, err);
  free(stem);
  return status;
}
