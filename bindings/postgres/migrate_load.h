/* migrate_load.h - migration files as they will be run: read, split into statements, hashed, and
 * cut into steps. Pure C, any thread; reads files. */
#ifndef DR_MIGRATE_LOAD_H
#define DR_MIGRATE_LOAD_H

#include "migrate_names.h"
#include "postgres/statements.h"

/* Each is judged, and shown in the plan. */
enum { DR_MIGRATION_STATEMENTS = 20000 };

/* How a step is run. */
typedef enum dr_step_kind {
  DR_STEP_TOGETHER, /* its statements and their record are one transaction */
  DR_STEP_INDEX,    /* CREATE INDEX CONCURRENTLY: may leave an invalid index behind */
  DR_STEP_BLOCK, /* DO or CALL with a COMMIT inside: how far one came that was cut off is unknown */
  DR_STEP_ALONE  /* any other statement that cannot run inside a transaction block */
} dr_step_kind;

/* Statements [first, first + count) of a file. */
typedef struct dr_migration_step {
  dr_step_kind kind;
  size_t first, count;
  char *index; /* of DR_STEP_INDEX, as an SQL name: "public"."tours_name"; else NULL */
} dr_migration_step;

typedef struct dr_migration_file {
  dr_migration_name name;
  char *path;
  dr_sql_script script;
  size_t first, end; /* its statements without a BEGIN and COMMIT around all of them */
  char begin[64];    /* "BEGIN ISOLATION LEVEL …" when that BEGIN says more than BEGIN; else "" */
  bool own_lock_timeout; /* it sets that itself */
  dr_migration_step *steps;
  size_t step_count;
} dr_migration_file;

/* Reads a file of a folder; `out` is to be given back in any case. Errors name file and line:
 * postgres.syntax, postgres.encoding, postgres.meta_command, postgres.copy_data,
 * postgres.migration_file (no statement, a transaction of its own, an index that is built
 * concurrently and has no name, a temporary table or a setting across transactions, other rules for
 * texts than those it is read by), postgres.too_large, fs.not_found, fs.failed. */
int dr__migration_load(dr_migration_file *out, const char *folder, const char *file, dr_err *err);
void dr__migration_free(dr_migration_file *file);

/* The hash of the statements before number `end`: that of what was run of a half-applied file. */
int dr__migration_prefix(const dr_migration_file *file, size_t end, char hash[DR_SQL_HASH_SIZE],
                         dr_err *err);

/* Of a half-applied file, by its row in the table: 1 when the statements that were begun are still
 * those of the file, 0 when they are not, 2 when the row is not half in the file's direction; -1
 * with err filled. */
int dr__migration_begun(const dr_migration_file *file, const json_t *row, dr_err *err);

/* Several files, owned. */
typedef struct dr_migration_files {
  dr_migration_file *list;
  size_t count;
} dr_migration_files;

void dr__migration_files_free(dr_migration_files *files);

#endif
