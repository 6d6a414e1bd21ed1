/* migrate.c - the ops of migrations: what was applied (postgres.migration_state), what would be run
 * (postgres.migration_review, on this machine), and running it (postgres.migrate, _down:
 * migrate_run.c). Called through the gate, on the runtime's thread.
 */
#include "migrate.h"

#include "fs/fs.h"
#include "migrate_preview.h"
#include "migrate_review.h"
#include "migrate_sql.h"
#include "postgres/database.h"
#include "postgres/steps.h"
#include "work.h"

#include "ops/binding.h"

#include "core/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const dr_lua_source dr__lua_postgres_migrate;

/* ------------------------------------------------------------ postgres.migration_state */

/* 42P01, 3F000: there is no such table, or no such schema. */
static void on_rows(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  const char *sqlstate = dr__pg_sqlstate(steps->pg);
  dr_err lost = DR_ERR_INIT;
  json_t *rows = NULL;
  if (err && (strcmp(sqlstate, "42P01") == 0 || strcmp(sqlstate, "3F000") == 0))
    dr__pg_steps_done(steps, json_pack("{s:[]}", "rows"));
  else if (err || !(rows = dr__pg_rows(answer, &lost)))
    dr__pg_steps_fail(steps, err ? err : &lost);
  else
    dr__pg_steps_done(steps, json_pack("{s:o}", "rows", rows));
}

static void on_connected(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  (void)answer;
  if (err)
    dr__pg_steps_fail(steps, err);
  else
    dr__pg_steps_go(steps, &(dr_pg_step){.sql = dr__migrate_select_rows, .next = on_rows});
}

static int start_state(dr_op *op, dr_err *err) {
  dr_pg_steps *steps = dr__pg_steps_new(op, NULL, NULL, NULL, err);
  return steps ? dr__pg_steps_connect(steps, on_connected, err) : DR_FAILED;
}

static char *preview_state(const dr_op *op) {
  (void)op;
  return strdup("which migrations are applied (deployrun.schema_migrations)");
}

static json_t *assume_state(const dr_op *op) {
  (void)op;
  return json_pack("{s:[]}", "rows");
}

/* ------------------------------------------------------------ postgres.migration_review */

/* What one review has, on its way between the threads. */
typedef struct reviewing {
  json_t *ask;
  dr_migrations_judged kept; /* taken from the runtime's, and given back */
} reviewing;

static void free_reviewing(void *data) {
  reviewing *self = data;
  json_decref(self->ask);
  dr__migrations_judged_free(&self->kept);
  free(self);
}

static void close_kept(void *value) {
  dr__migrations_judged_free(value);
  free(value);
}

/* What the runtime keeps of the last review; NULL when memory is short. */
static dr_migrations_judged *kept_of(dr_runtime *rt) {
  return dr__runtime_keep(rt, "judged migrations", sizeof(dr_migrations_judged), close_kept);
}

/* Of two reviews at a time, the later begins with nothing, and what the last one has stays. */
static void exchange_kept(dr_op *op, reviewing *self) {
  dr_migrations_judged *kept = kept_of(dr__op_runtime(op)), mine = self->kept;
  if (!kept) return;
  self->kept = *kept;
  *kept = mine;
}

static int act_review(dr_work *work) {
  reviewing *self = work->data;
  work->result = dr__migrations_review(self->ask, &self->kept, &work->stop, &work->err);
  return work->result ? DR_OK : DR_FAILED;
}

/* The action is told the folder as it was found. */
static void after_review(dr_op *op, dr_work *work) {
  dr_err err = DR_ERR_INIT;
  reviewing *self = work->data;
  exchange_kept(op, self);
  if (json_object_set(work->result, "dir", json_object_get(self->ask, "dir")) == 0) {
    dr__op_done(op, json_incref(work->result));
    return;
  }
  dr__err_nomem(&err);
  dr__op_fail(op, &err);
}

static int start_review(dr_op *op, dr_err *err) {
  reviewing *self = calloc(1, sizeof *self);
  char *dir = dr__fs_expand(dr__arg_string(op, "dir", ""));
  if (self && dir) self->ask = json_deep_copy(op->args);
  bool ready = self && self->ask && json_object_set_new(self->ask, "dir", json_string(dir)) == 0;
  free(dir);
  if (ready) {
    exchange_kept(op, self);
    return dr__work_start(op, act_review, after_review, self, free_reviewing, err);
  }
  if (self) free_reviewing(self);
  return dr__err_nomem(err);
}

static char *preview_review(const dr_op *op) {
  char *text = NULL;
  int length =
      asprintf(&text, "read and judge the migrations in %s", dr__arg_string(op, "dir", ""));
  return length < 0 ? NULL : text;
}

static json_t *assume_review(const dr_op *op) {
  return json_pack(
      "{s:[], s:[], s:[], s:[], s:s, s:O, s:{s:[], s:[], s:[], s:[], s:[], s:[], s:[]}}", "files",
      "run", "baseline", "edited", "class", "unknown", "dir", dr__arg(op, "dir"), "facts",
      "applied", "pending", "half", "half_down", "edited", "missing", "out_of_order");
}

/* ------------------------------------------------------------ postgres.migrate, _down */

static int check_migrate(const dr_op *op, dr_err *err) {
  double lock = dr__arg_number(op, "lock_timeout", 0);
  if (lock >= 0.01 && lock <= 3600 && dr__arg_integer(op, "lock_attempts", 0) >= 1) return DR_OK;
  dr__fail(err, "recipe.argument",
           "lock_timeout is 0.01 to 3600 seconds and lock_attempts 1 or more");
  dr__err_hint(err, "whoever uses the table waits as long as a statement waits for its lock");
  return DR_FAILED;
}

static char *preview_migrate(const dr_op *op) {
  return dr__migrate_preview(op->args);
}

static unsigned effects_of_migrate(const dr_op *op) {
  return dr__migrate_effects(op->args);
}

static json_t *assume_migrate(const dr_op *op) {
  json_t *applied = json_array(), *entry;
  size_t i;
  json_array_foreach(dr__arg(op, "run"), i, entry) {
    json_array_append_new(applied,
                          json_pack("{s:O, s:O, s:f}", "version", json_object_get(entry, "version"),
                                    "name", json_object_get(entry, "name"), "seconds", 0.0));
  }
  return json_pack("{s:o, s:f}", "applied", applied, "seconds", 0.0);
}

#define PLAN_ARGS                                                                                  \
  {"dir", DR_ARG_STRING, DR_REQUIRED}, {"direction", DR_ARG_STRING, 0}, {"to", DR_ARG_STRING, 0},  \
      {"steps", DR_ARG_INTEGER, 0}, {"baseline_to", DR_ARG_STRING, 0},                             \
      {"accept_edited", DR_ARG_STRINGS, 0}, {"accept_missing", DR_ARG_STRINGS, 0},                 \
      {"accept_out_of_order", DR_ARG_STRINGS, 0}, {                                                \
    "accept_begun", DR_ARG_STRINGS, 0                                                              \
  }

static const dr_arg state_args[] = {DR_PG_DB_ARG, {0}};

static const dr_arg review_args[] = {PLAN_ARGS,
                                     {"applied", DR_ARG_ANY, 0},
                                     {"allow", DR_ARG_STRING, 0},
                                     {"catalog", DR_ARG_ANY, 0},
                                     {"status", DR_ARG_BOOLEAN, 0},
                                     {0}};

static const dr_arg migrate_args[] = {DR_PG_DB_ARG,
                                      PLAN_ARGS,
                                      {"files", DR_ARG_ANY, DR_REQUIRED},
                                      {"run", DR_ARG_ANY, DR_REQUIRED},
                                      {"baseline", DR_ARG_ANY, 0},
                                      {"edited", DR_ARG_ANY, 0},
                                      {"unknown", DR_ARG_BOOLEAN, 0},
                                      {"lock_timeout", DR_ARG_DURATION, DR_REQUIRED},
                                      {"lock_attempts", DR_ARG_INTEGER, DR_REQUIRED},
                                      {"lock_pause", DR_ARG_DURATION, 0},
                                      {"statement_timeout", DR_ARG_DURATION, 0},
                                      {"within", DR_ARG_DURATION, DR_REQUIRED},
                                      {"timeout", DR_ARG_DURATION, DR_REQUIRED},
                                      {0}};

/* Twice the same is nothing the second time: what was applied is in the database. */
#define MIGRATE(op_name)                                                                           \
  {                                                                                                \
    .name = "postgres." op_name, .kind = DR_ACTION,                                                \
    .effects = DR_CHANGE | DR_DOWNTIME | DR_DESTRUCTIVE | DR_IRREVERSIBLE,                         \
    .effects_of = effects_of_migrate, .idempotent = true, .touches = DR_AREA_DATABASE,             \
    .args = migrate_args, .check = check_migrate, .preview = preview_migrate,                      \
    .assume = assume_migrate, .start = dr__migrate_start                                           \
  }

static const dr_opspec ops[] = {
    {.name = "postgres.migration_state",
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_DATABASE | DR_AREA_CONTAINERS | DR_AREA_SERVICES,
     .args = state_args,
     .preview = preview_state,
     .assume = assume_state,
     .start = start_state},
    {.name = "postgres.migration_review",
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_FILES,
     .args = review_args,
     .preview = preview_review,
     .assume = assume_review,
     .start = start_review},
    MIGRATE("migrate"),
    MIGRATE("migrate_down"),
    {0},
};

const dr_binding dr__binding_postgres_migrate = {
    .name = "postgres_migrate",
    .ops = ops,
    .lua = &dr__lua_postgres_migrate,
    .gives = "Database:migrate Database:migrate_down Database:migration_status"};
