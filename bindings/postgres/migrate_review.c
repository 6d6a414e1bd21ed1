/* migrate_review.c - see migrate_review.h. Called on a worker thread by the op
 * postgres.migration_review. */
#include "migrate_review.h"

#include "postgres/hazards.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct review {
  const json_t *ask;
  const atomic_bool *stop;
  dr_migrations_judged *kept; /* borrowed, may be NULL */
  const char *dir;
  bool down;
  bool status;               /* facts are wanted, no refusals */
  json_t *files;             /* owned */
  json_t *rows;              /* borrowed; NULL: not known */
  json_t *plan;              /* owned */
  dr_migration_files loaded; /* as many as files; in this direction */
} review;

static const char *text_of(const json_t *entry, const char *key) {
  return json_string_value(json_object_get(entry, key));
}

/* ------------------------------------------------------------ reading the files */

/* Whether the statements that were begun of a half-applied file are still those of the file. */
static int judge_half(const review *self, const dr_migration_file *file, json_t *entry,
                      dr_err *err) {
  int same = dr__migration_begun(file, dr__migration_find(self->rows, file->name.version), err);
  if (same < 0) return DR_FAILED;
  if (same == 2) return DR_OK;
  return json_object_set_new(entry, "begun", json_boolean(same)) ? dr__err_nomem(err) : DR_OK;
}

static int load_one(review *self, size_t i, dr_err *err) {
  json_t *entry = json_array_get(self->files, i);
  dr_migration_file up = {0}, *file = &self->loaded.list[i];
  if (atomic_load(self->stop)) return dr__fail(err, "cancelled", "it was stopped");
  if (self->down && !text_of(entry, "down")) file = &up;
  int status = dr__migration_load(self->down ? &up : file, self->dir, text_of(entry, "up"), err);
  if (status == DR_OK && file != &up && self->down)
    status = dr__migration_load(file, self->dir, text_of(entry, "down"), err);
  if (status == DR_OK &&
      json_object_set_new(entry, "sha256",
                          json_string(self->down ? up.script.hash : file->script.hash)) != 0)
    status = dr__err_nomem(err);
  if (status == DR_OK && file != &up) status = judge_half(self, file, entry, err);
  self->loaded.list[i].name = file->name;
  dr__migration_free(&up);
  return status;
}

static int load_all(review *self, dr_err *err) {
  self->files = dr__migrations_list(self->dir, err);
  if (!self->files) return DR_FAILED;
  size_t count = json_array_size(self->files);
  self->loaded.list = calloc(count, sizeof *self->loaded.list);
  if (!self->loaded.list) return dr__err_nomem(err);
  self->loaded.count = count;
  int status = DR_OK;
  for (size_t i = 0; i < count && status == DR_OK; i++) status = load_one(self, i, err);
  return status;
}

static int compare_loaded(const void *version, const void *file) {
  return dr__version_compare(version, ((const dr_migration_file *)file)->name.version);
}

/* The file of a version in this direction, or NULL. */
static const dr_migration_file *loaded_of(const review *self, const char *version) {
  const dr_migration_file *file = bsearch(version, self->loaded.list, self->loaded.count,
                                          sizeof *self->loaded.list, compare_loaded);
  return file && file->path ? file : NULL;
}

/* A file that goes down and cannot be read is found when its migration goes up, not when it is
 * needed. */
static int check_down_of(const review *self, const char *version, dr_err *err) {
  const char *down = text_of(dr__migration_find(self->files, version), "down");
  dr_migration_file file = {0};
  int status = down ? dr__migration_load(&file, self->dir, down, err) : DR_OK;
  dr__migration_free(&file);
  return status;
}

/* ------------------------------------------------------------ judging statements */

static bool is_accepted(const json_t *statement, const char *hazard) {
  size_t i;
  const json_t *one;
  json_array_foreach(json_object_get(statement, "accepted"), i, one) {
    if (text_of(one, "hazard") && strcmp(text_of(one, "hazard"), hazard) == 0) return true;
  }
  return false;
}

const char *dr__migration_class(const json_t *statement) {
  const json_t *hazards = json_object_get(statement, "hazards"), *one;
  const char *worst = "compatible";
  size_t i;
  json_array_foreach(hazards, i, one) {
    const char *class = text_of(one, "class");
    if (!class || is_accepted(statement, text_of(one, "hazard"))) continue;
    if (dr__sql_class_rank(class) > dr__sql_class_rank(worst)) worst = class;
  }
  return json_array_size(hazards) > 0 ? worst : text_of(statement, "class");
}

static bool is_skipped(const json_t *statement) {
  return json_is_true(json_object_get(statement, "skipped"));
}

/* The worst of the statements that will be run, and whether something is lost. */
static int sum_up(json_t *entry) {
  const char *worst = "compatible";
  bool loses = false;
  size_t i;
  const json_t *statement;
  json_array_foreach(json_object_get(entry, "statements"), i, statement) {
    const char *class = dr__migration_class(statement);
    if (is_skipped(statement)) continue;
    loses = loses || json_object_get(statement, "loses");
    if (class && dr__sql_class_rank(class) > dr__sql_class_rank(worst)) worst = class;
  }
  return json_object_set_new(entry, "class", json_string(worst)) |
         json_object_set_new(entry, "loses", json_boolean(loses));
}

/* Marks what was run before and what only brackets the file. */
static int mark_skipped(const dr_migration_file *file, json_t *statements, size_t done) {
  size_t i;
  json_t *statement;
  int failed = 0;
  json_array_foreach(statements, i, statement) {
    if (i < done || i < file->first || i >= file->end)
      failed |= json_object_set_new(statement, "skipped", json_true());
  }
  return failed;
}

static int check_annotations(const dr_migration_file *file, const json_t *judged, dr_err *err) {
  const json_t *problem = json_array_get(json_object_get(judged, "problems"), 0);
  if (!problem) return DR_OK;
  return dr__fail(err, "postgres.migration_file", "%s:%d: %s", file->path,
                  (int)json_integer_value(json_object_get(problem, "line")),
                  text_of(problem, "message"));
}

static bool has_hazard(const json_t *statement, const char *name) {
  size_t i;
  const json_t *one;
  json_array_foreach(json_object_get(statement, "hazards"), i, one) {
    if (strcmp(text_of(one, "hazard"), name) == 0) return true;
  }
  return false;
}

/* The lock that keeps other runs out is one of the session's advisory locks. */
static int check_unlocks(const dr_migration_file *file, const json_t *judged, dr_err *err) {
  size_t i;
  const json_t *statement;
  json_array_foreach(json_object_get(judged, "statements"), i, statement) {
    if (!has_hazard(statement, "advisory-unlock")) continue;
    dr__fail(err, "postgres.migration_file",
             "%s:%d: pg_advisory_unlock could give up the lock that migrations hold", file->path,
             (int)json_integer_value(json_object_get(statement, "line")));
    dr__err_hint(err, "take pg_advisory_xact_lock, which ends with the file's transaction");
    return DR_FAILED;
  }
  return DR_OK;
}

static const char *file_name(const dr_migration_file *file) {
  const char *slash = strrchr(file->path, '/');
  return slash ? slash + 1 : file->path;
}

static json_t *entry_of(const dr_migration_file *file, const json_t *judged, size_t done) {
  json_t *entry =
      json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:O, s:O}", "version", file->name.version, "name",
                file->name.name, "file", file_name(file), "sha256", file->script.hash, "done",
                (json_int_t)done, "count", (json_int_t)(file->end - file->first), "statements",
                json_object_get(judged, "statements"), "lint", json_object_get(judged, "lint"));
  if (!entry) return NULL;
  if (mark_skipped(file, json_object_get(entry, "statements"), done) == 0 && sum_up(entry) == 0)
    return entry;
  json_decref(entry);
  return NULL;
}

/* What was done of a row that is half in this direction. */
static size_t done_of(const review *self, const char *version) {
  const json_t *row = dr__migration_find(self->rows, version);
  const char *direction = text_of(row, "direction");
  bool same = direction && strcmp(direction, self->down ? "down" : "up") == 0;
  return same ? (size_t)json_integer_value(json_object_get(row, "done")) : 0;
}

static int take_judged(const review *self, const dr_migration_file *file, const json_t *judged,
                       json_t *run, dr_err *err) {
  const char *version = file->name.version;
  if (atomic_load(self->stop)) return dr__fail(err, "cancelled", "it was stopped");
  size_t done = self->rows ? done_of(self, version) : 0;
  if (done >= file->end) done = 0;
  int status = self->status ? DR_OK : check_annotations(file, judged, err);
  if (status == DR_OK && !self->status) status = check_unlocks(file, judged, err);
  if (status == DR_OK && !self->down) status = check_down_of(self, version, err);
  if (status == DR_OK && json_array_append_new(run, entry_of(file, judged, done)) != 0)
    status = dr__err_nomem(err);
  return status;
}

/* The files of `versions`; malloc'd, NULL with err filled. */
static const dr_migration_file **files_of(const review *self, const json_t *versions, dr_err *err) {
  const dr_migration_file **files = calloc(json_array_size(versions) + 1, sizeof(void *));
  int status = files ? DR_OK : dr__err_nomem(err);
  size_t i;
  const json_t *version;
  json_array_foreach(versions, i, version) {
    if (status != DR_OK) break;
    files[i] = loaded_of(self, json_string_value(version));
    if (!files[i])
      status =
          dr__fail(err, "postgres.migration_file", "%s has no file", json_string_value(version));
  }
  if (status == DR_OK) return files;
  free(files);
  return NULL;
}

/* The files of `versions` as `run` has them; new reference or NULL. */
static json_t *judge(const review *self, const json_t *versions, dr_err *err) {
  size_t count = json_array_size(versions);
  const json_t *catalog = json_object_get(self->ask, "catalog");
  json_t *run = json_array(), *judged = NULL;
  const dr_migration_file **files = run ? files_of(self, versions, err) : NULL;
  int status = run ? DR_OK : dr__err_nomem(err);
  if (files) judged = dr__migrations_judge(files, count, catalog, self->kept, self->stop, err);
  if (!judged) status = DR_FAILED;
  for (size_t i = 0; i < count && status == DR_OK; i++)
    status = take_judged(self, files[i], json_array_get(judged, i), run, err);
  free(files);
  json_decref(judged);
  if (status == DR_OK) return run;
  json_decref(run);
  return NULL;
}

/* ------------------------------------------------------------ what may run */

enum { TOLD = 5, LIST_SIZE = 900 };

static bool is_too_bad(const json_t *statement, int allowed) {
  return !is_skipped(statement) && dr__sql_class_rank(dr__migration_class(statement)) > allowed;
}

/* "0003_x.up.sql:4 drop-column (breaking): code that reads it fails", a line each. */
static size_t list_hazards(char list[LIST_SIZE], const json_t *entry, int allowed, size_t told) {
  size_t i, j, count = 0;
  const json_t *statement, *hazard;
  json_array_foreach(json_object_get(entry, "statements"), i, statement) {
    if (!is_too_bad(statement, allowed)) continue;
    json_array_foreach(json_object_get(statement, "hazards"), j, hazard) {
      const char *name = text_of(hazard, "hazard"), *class = text_of(hazard, "class");
      if (dr__sql_class_rank(class) <= allowed || is_accepted(statement, name)) continue;
      size_t used = strlen(list);
      if (told + count++ < TOLD)
        snprintf(list + used, LIST_SIZE - used, "%s%s:%d %s (%s): %s", used ? "\n" : "",
                 text_of(entry, "file"),
                 (int)json_integer_value(json_object_get(statement, "line")), name, class,
                 text_of(hazard, "reason"));
    }
  }
  return count;
}

static int allowed_rank(const json_t *ask) {
  const char *allow = text_of(ask, "allow");
  if (allow && strcmp(allow, "breaking") == 0) return dr__sql_class_rank("unknown");
  return dr__sql_class_rank(allow ? allow : "conditional");
}

static int check_hazards(const review *self, const json_t *run, dr_err *err) {
  char list[LIST_SIZE] = "";
  int allowed = allowed_rank(self->ask);
  size_t i, count = 0;
  const json_t *entry;
  json_array_foreach(run, i, entry) count += list_hazards(list, entry, allowed, count);
  if (count == 0) return DR_OK;
  char first[256];
  snprintf(first, sizeof first, "%.*s", (int)strcspn(list, "\n"), list);
  dr__fail(err, "postgres.migration_hazard", "%zu statement%s could hurt what runs now: %s", count,
           count == 1 ? "" : "s", first);
  dr__err_detail(err, list, strlen(list));
  dr__err_hint(err, "accept it by a comment before the statement (docs/migrations.md), or say "
                    "allow = \"breaking\" where nothing uses the database meanwhile");
  return DR_FAILED;
}

/* ------------------------------------------------------------ the whole */

static int decide(review *self, dr_err *err) {
  if (!self->rows) {
    self->plan = json_pack("{s:[], s:[], s:[]}", "run", "baseline", "edited");
    return self->plan ? DR_OK : dr__err_nomem(err);
  }
  if (self->status) {
    json_t *facts = dr__migrations_compare(self->files, self->rows);
    self->plan = facts ? json_pack("{s:O, s:[], s:[]}", "run", json_object_get(facts, "pending"),
                                   "baseline", "edited")
                       : NULL;
    json_decref(facts);
    return self->plan ? DR_OK : dr__err_nomem(err);
  }
  self->plan = self->down ? dr__migrations_down(self->files, self->rows, self->ask, err)
                          : dr__migrations_up(self->files, self->rows, self->ask, err);
  return self->plan ? DR_OK : DR_FAILED;
}

static const char *worst_of(const json_t *run) {
  const char *worst = "compatible";
  size_t i;
  const json_t *entry;
  json_array_foreach(run, i, entry) {
    const char *class = text_of(entry, "class");
    if (dr__sql_class_rank(class) > dr__sql_class_rank(worst)) worst = class;
  }
  return worst;
}

/* What can be told better when the columns are known. */
static bool is_unsure(const char *hazard) {
  static const char *const names[] = {"change-type-unknown", "drop-default-unknown",
                                      "widen-type-scan"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (strcmp(hazard, names[i]) == 0) return true;
  }
  return false;
}

/* The relations whose columns are to be asked about; new reference, NULL when memory is short. */
static json_t *needed_columns(const json_t *run) {
  json_t *needs = json_array();
  int failed = needs ? 0 : -1;
  size_t i, j, k, m;
  const json_t *entry, *statement, *hazard;
  json_t *name;
  json_array_foreach(run, i, entry) {
    json_array_foreach(json_object_get(entry, "statements"), j, statement) {
      json_array_foreach(json_object_get(statement, "hazards"), k, hazard) {
        if (!is_unsure(text_of(hazard, "hazard"))) continue;
        json_array_foreach(json_object_get(statement, "on"), m, name)
          failed |= json_array_append(needs, name);
      }
    }
  }
  if (!failed) return needs;
  json_decref(needs);
  return NULL;
}

static json_t *answer(const review *self, const json_t *run) {
  json_t *facts = self->rows ? dr__migrations_compare(self->files, self->rows) : NULL;
  json_t *result =
      json_pack("{s:O, s:O, s:s}", "files", self->files, "run", run, "class", worst_of(run));
  int failed = !result || (self->rows && !facts);
  if (!failed && facts) failed = json_object_set(result, "facts", facts);
  const json_t *baseline = json_object_get(self->plan, "baseline"),
               *edited = json_object_get(self->plan, "edited");
  if (!failed && baseline) failed = json_object_set(result, "baseline", (json_t *)baseline);
  if (!failed && edited) failed = json_object_set(result, "edited", (json_t *)edited);
  json_decref(facts);
  if (!failed) return result;
  json_decref(result);
  return NULL;
}

json_t *dr__migrations_review(const json_t *ask, dr_migrations_judged *kept,
                              const atomic_bool *stop, dr_err *err) {
  const char *direction = text_of(ask, "direction");
  review self = {.ask = ask,
                 .stop = stop,
                 .kept = kept,
                 .dir = text_of(ask, "dir"),
                 .down = direction && strcmp(direction, "down") == 0,
                 .status = json_is_true(json_object_get(ask, "status")),
                 .rows = json_object_get(ask, "applied")};
  json_t *run = NULL, *needs = NULL, *result = NULL;
  int status = load_all(&self, err);
  if (status == DR_OK) status = decide(&self, err);
  if (status == DR_OK && !(run = judge(&self, json_object_get(self.plan, "run"), err)))
    status = DR_FAILED;
  bool asks = status == DR_OK && self.rows && !json_object_get(ask, "catalog");
  if (asks && !(needs = needed_columns(run))) status = dr__err_nomem(err);
  asks = json_array_size(needs) > 0;
  if (status == DR_OK && !asks && !self.status && !self.down)
    status = check_hazards(&self, run, err);
  if (status == DR_OK && !(result = answer(&self, run))) status = dr__err_nomem(err);
  if (status == DR_OK && asks && json_object_set(result, "needs", needs) != 0) {
    json_decref(result);
    result = NULL;
    dr__err_nomem(err);
  }
  json_decref(needs);
  json_decref(run);
  json_decref(self.plan);
  json_decref(self.files);
  dr__migration_files_free(&self.loaded);
  return result;
}
