/* migrate_judged.c - see migrate_judged.h. Called by migrate_review.c on a worker thread. */
#include "migrate_judged.h"

#include "postgres/hazards.h"
#include "sha256.h"

#include "core/err.h"

#include <stdlib.h>
#include <string.h>

/* A judgement takes some 3 KB. */
enum { MOST_STATEMENTS = 5000 };

void dr__migrations_judged_free(dr_migrations_judged *kept) {
  json_decref(kept->files);
  *kept = (dr_migrations_judged){0};
}

static void add_text(dr_sha256 *hash, const char *text, size_t length) {
  dr__sha256_add(hash, &length, sizeof length); /* so that a text cannot pass for two */
  dr__sha256_add(hash, text, length);
}

static int write_key(char key[DR_SQL_HASH_SIZE], const dr_migration_file *const *files,
                     size_t count, const json_t *catalog, dr_err *err) {
  char *known = catalog ? json_dumps(catalog, JSON_COMPACT | JSON_SORT_KEYS) : strdup("");
  dr_sha256 hash;
  if (!known) return dr__err_nomem(err);
  dr__sha256_init(&hash);
  add_text(&hash, known, strlen(known));
  for (size_t i = 0; i < count; i++)
    add_text(&hash, files[i]->script.text, files[i]->script.length);
  dr__sha256_hex(&hash, key);
  free(known);
  return DR_OK;
}

static json_t *judge_all(const dr_migration_file *const *files, size_t count, const json_t *catalog,
                         const atomic_bool *stop, dr_err *err) {
  json_t *all = json_array();
  dr_sql_world *world = dr__sql_world_new(catalog);
  int status = all && world ? DR_OK : dr__err_nomem(err);
  for (size_t i = 0; i < count && status == DR_OK; i++) {
    if (atomic_load(stop)) status = dr__fail(err, "cancelled", "it was stopped");
    dr__sql_world_new_session(world);
    json_t *one = status == DR_OK ? dr__sql_classify(&files[i]->script, world, err) : NULL;
    if (!one)
      status = DR_FAILED;
    else if (json_array_append_new(all, one) != 0)
      status = dr__err_nomem(err);
  }
  dr__sql_world_free(world);
  if (status == DR_OK) return all;
  json_decref(all);
  return NULL;
}

/* Keeps a copy, unless it is too much; without memory for it nothing is kept. */
static void keep(dr_migrations_judged *kept, const char *key, const json_t *judged,
                 const dr_migration_file *const *files, size_t count) {
  size_t statements = 0;
  for (size_t i = 0; i < count; i++) statements += files[i]->script.count;
  dr__migrations_judged_free(kept);
  if (count == 0 || statements > MOST_STATEMENTS) return;
  if ((kept->files = json_deep_copy(judged))) memcpy(kept->key, key, DR_SQL_HASH_SIZE);
}

json_t *dr__migrations_judge(const dr_migration_file *const *files, size_t count,
                             const json_t *catalog, dr_migrations_judged *kept,
                             const atomic_bool *stop, dr_err *err) {
  char key[DR_SQL_HASH_SIZE];
  if (!kept) return judge_all(files, count, catalog, stop, err);
  if (write_key(key, files, count, catalog, err) != DR_OK) return NULL;
  if (kept->files && strcmp(kept->key, key) == 0) {
    json_t *known = json_incref(kept->files);
    dr__migrations_judged_free(kept);
    return known;
  }
  json_t *judged = judge_all(files, count, catalog, stop, err);
  if (judged) keep(kept, key, judged, files, count);
  return judged;
}
