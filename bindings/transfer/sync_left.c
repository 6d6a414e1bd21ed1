/* sync_left.c - see sync_left.h. Called by sync_op.c; fuzzed.
 *
 * The listing says "left FOLDER", a record for each file in it up to "end", the paths that were to
 * arrive up to "sums", and their hashes up to "there", each with a zero byte behind it
 * (sync_script.c). Paths begin with "./" and hashes are hex, so that no name is taken for one of
 * these words.
 */
#include "sync_left.h"

#include "sha256.h"

#include "core/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void dr__sync_left_key(const char *from, char key[13]) {
  char hex[65];
  dr__sha256_of(from, strlen(from), hex);
  dr__copy_text(key, 13, hex);
}

void dr__sync_left_free(dr_sync_left *left) {
  dr__manifest_free(&left->files);
  left->name[0] = '\0';
}

/* ------------------------------------------------------------ reading */

typedef struct cursor {
  const char *at, *end;
} cursor;

/* The next record, or NULL at the end. */
static const char *next(cursor *c) {
  const char *record = c->at;
  size_t size = strnlen(record, (size_t)(c->end - record));
  if (record + size == c->end) return NULL;
  c->at += size + 1;
  return record;
}

/* Moves behind the record that is this word; false when there is none. */
static bool skip_to(cursor *c, const char *word) {
  const char *record;
  while ((record = next(c)))
    if (strcmp(record, word) == 0) return true;
  return false;
}

/* The name is used in a script's words: it is one that the script itself gave. */
static bool read_name(dr_sync_left *left, const char *record) {
  static const char begin[] = "left ./.deployrun-sync.";
  static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.";
  if (!record || strncmp(record, begin, sizeof begin - 1) != 0) return false;
  const char *name = record + sizeof "left " - 1, *rest = record + sizeof begin - 1;
  if (strlen(name) >= sizeof left->name || rest[strspn(rest, safe)] != '\0') return false;
  dr__copy_text(left->name, sizeof left->name, name);
  return true;
}

static dr_entry *find_in(const dr_sync_left *left, const char *folder, const char *path) {
  char *whole = NULL;
  if (asprintf(&whole, "%s/%s", folder, path) < 0) return NULL;
  dr_entry *found = dr__manifest_find(&left->files, whole);
  free(whole);
  return found && found->type == 'f' ? found : NULL;
}

/* Gives the files their hashes; those that the cut has separated from theirs get none. */
static bool read_sums(dr_sync_left *left, cursor *names) {
  cursor sums = *names;
  if (!skip_to(&sums, "sums")) return false;
  for (const char *path; (path = next(names)) && strncmp(path, "./", 2) == 0;) {
    const char *sum = next(&sums);
    if (!sum || strlen(sum) != 64) return false;
    dr_entry *e = find_in(left, "new", path + 2);
    if (e) dr__copy_text(e->sha256, sizeof e->sha256, sum);
  }
  const char *last = next(&sums);
  return last && strcmp(last, "there") == 0;
}

size_t dr__sync_left_read(dr_sync_left *out, const char *bytes, size_t length) {
  *out = (dr_sync_left){.files = {.available = -1}};
  cursor all = {bytes, bytes + length}, files;
  const char *first = length > 0 ? next(&all) : NULL;
  if (!first || strncmp(first, "left ", 5) != 0) return 0;
  files = all;
  cursor names = all, whole = all;
  if (!skip_to(&whole, "there") || !skip_to(&names, "end")) return 0;
  bool understood = read_name(out, first) &&
                    dr__manifest_read(&out->files, files.at, (size_t)(names.at - files.at)) &&
                    read_sums(out, &names);
  if (!understood) dr__sync_left_free(out);
  return (size_t)(whole.at - bytes);
}

/* ------------------------------------------------------------ the plan */

void dr__sync_left_apply(const dr_sync_left *left, dr_sync_plan *plan, const dr_manifest *here,
                         const dr_sync_rules *rules) {
  for (size_t i = 0; left->name[0] && i < here->count; i++) {
    const dr_entry *e = &here->entries[i];
    if (plan->here[i] != DR_CHANGE_SEND || e->type != 'f') continue;
    const dr_entry *arrived = find_in(left, "new", e->path);
    if (!arrived || strcmp(arrived->sha256, e->sha256) != 0) continue;
    const dr_entry *rest = find_in(left, "rest", e->path);
    int64_t have = arrived->size + (rest ? rest->size : 0);
    if (have < arrived->size || have > e->size) continue;
    bool whole = have == e->size && !rest;
    plan->have[i] = have;
    plan->remode[i] = !whole || arrived->mode != dr__sync_mode(e, rules);
    plan->kept += have;
    if (have < e->size) plan->twice += e->size - have;
  }
}
