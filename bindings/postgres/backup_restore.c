/* backup_restore.c - the ops postgres.restore and postgres.rehearse: a backup into a new database.
 *
 * Called by the gate and by the loop, on the runtime's thread. In order: the files are hashed
 * before a server is touched; a database with a name of its own is made like the one that was
 * backed up; pg_restore fills it and stops at the first error; its rows are counted and compared
 * with the manifest. A rehearsal drops it and notes in the manifest that the backup was restored
 * once; a restore leaves it, with settings, grants and fresh statistics, to be swapped in
 * (backup_swap.c). Whatever fails, the new database is dropped; the one that is served is never
 * touched. Where the rows are not those that were backed up, that is noted too: the backup is
 * refuted, and counts no more.
 */
#include "backup.h"

#include "backup_database.h"
#include "backup_files.h"
#include "backup_manifest.h"
#include "backup_reading.h"
#include "core/err.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const dr_arg dr__restore_args[] = {DR_PG_DB_ARG,
                                   {"path", DR_ARG_STRING, DR_REQUIRED},
                                   {"database", DR_ARG_STRING, 0},
                                   {"maintenance", DR_ARG_STRING, 0},
                                   {"owners", DR_ARG_BOOLEAN, 0},
                                   /* refuse when clients are connected to the database */
                                   {"unused", DR_ARG_BOOLEAN, 0},
                                   DR_BACKUP_TOOLS_ARGS,
                                   {0}};

typedef struct restore {
  dr_backup_reading reading; /* first */
  bool rehearsal;
  bool made;  /* the new database is there */
  bool noted; /* in the manifest */
  bool quiet; /* the new database's triggers do not fire */
  char *maintenance;
  char *database; /* the one it will take the place of */
  char name[DR_BACKUP_NAME];
  uint64_t begun_ms;
} restore;

static void free_restore(void *data) {
  restore *self = data;
  dr__backup_reading_free(&self->reading);
  free(self->maintenance);
  free(self->database);
  free(self);
}

static void fail(dr_backup_job *job, dr_err *err) {
  dr__backup_job_fail(job, err);
}

static void fail_nomem(dr_backup_job *job) {
  dr_err err = DR_ERR_INIT;
  dr__err_nomem(&err);
  dr__backup_job_fail(job, &err);
}

/* ------------------------------------------------------------ the words */

/* No subscriptions: where they had got to is not in a backup, and a database that has one cannot be
 * dropped. */
static json_t *restore_words(bool owners) {
  json_t *words = json_pack("[s, s, s, s]", "pg_restore", "--exit-on-error", "--no-password",
                            "--no-subscriptions");
  if (!owners) {
    json_array_append_new(words, json_string("--no-owner"));
    json_array_append_new(words, json_string("--no-privileges"));
  }
  return words;
}

static const char *maintenance_of(const dr_op *op) {
  return dr__arg_string(op, "maintenance", "postgres");
}

/* What is done before and after pg_restore, in words. */
static char *preview(const dr_op *op, const char *kind, const char *after) {
  dr_text text = {0};
  char name[DR_BACKUP_NAME];
  json_t *words = restore_words(dr__arg_boolean(op, "owners", true));
  snprintf(name, sizeof name, "deployrun_%s_TIME_%.24s", kind, dr__arg_string(op, "database", "…"));
  json_array_append_new(words, dr__backup_dbname(dr__arg(op, "db"), name));
  char *line = words ? dr__shell_quote(words) : NULL;
  const char *path = dr__arg_string(op, "path", "");
  dr__text_printf(&text,
                  "compare the SHA-256 of %s, CREATE DATABASE %s, zstd -d | %s%s, count the "
                  "rows of each table%s",
                  path, name, line ? line : "", dr__backup_tools_here(op) ? "" : " (there)", after);
  json_decref(words);
  free(line);
  return dr__text_take(&text);
}

char *dr__restore_preview(const dr_op *op) {
  return preview(op, "restoring", ", ANALYZE");
}

char *dr__rehearse_preview(const dr_op *op) {
  return preview(op, "scratch", ", DROP DATABASE");
}

json_t *dr__restore_assume(const dr_op *op) {
  return json_pack(
      "{s:s, s:o, s:s, s:i, s:i, s:f, s:b}", "path", dr__arg_string(op, "path", ""), "database",
      json_sprintf("deployrun_restoring_TIME_%.24s", dr__arg_string(op, "database", "…")), "taken",
      "(unknown until then)", "tables", 0, "rows", 0, "seconds", 0.0, "noted", true);
}

/* ------------------------------------------------------------ the end */

static void drop_new(dr_backup_job *job) {
  const restore *self = job->data;
  if (self->made)
    dr__backup_drop_and_end(job, self->maintenance, self->name);
  else
    dr__backup_job_end(job);
}

static int act_refute(void *data, dr_err *err) {
  dr_backup_job *job = data;
  const restore *self = job->data;
  (void)err;
  if (!dr__backup_refute(self->reading.path, self->reading.manifest, job->err.message))
    dr__err_hint(&job->err, "the manifest could not be changed: remove the backup, so that nobody "
                            "relies on it");
  return DR_OK;
}

static void clean(dr_backup_job *job) {
  if (strcmp(job->err.code, "backup.program") == 0 && job->restoring) {
    dr__copy_text(job->err.code, sizeof job->err.code, "backup.restore");
    dr__err_hint(&job->err, "nothing was changed: the new database was dropped. A role that does "
                            "not exist is in the backup's .globals.sql; or say owners = false");
  }
  if (strcmp(job->err.code, "backup.counts") == 0)
    dr__backup_job_thread(job, act_refute, NULL, job, NULL, drop_new);
  else
    drop_new(job);
}

static void tell_subscriptions(dr_backup_job *job) {
  const restore *self = job->data;
  const json_t *properties = json_object_get(self->reading.manifest, "properties");
  size_t i;
  json_t *name;
  json_array_foreach(json_object_get(properties, "subscriptions"), i, name) {
    dr__op_log(job->op,
               "the subscription %s is not restored: make it anew, with a copy of its data",
               json_string_value(name));
  }
}

static void done(dr_backup_job *job) {
  const restore *self = job->data;
  const json_t *manifest = self->reading.manifest;
  if (!self->rehearsal) tell_subscriptions(job);
  double seconds = (double)(uv_now(job->loop) - self->begun_ms) / 1000;
  dr__backup_job_done(job, json_pack("{s:s, s:s, s:s, s:i, s:I, s:f, s:b}", "path",
                                     dr__arg_string(job->op, "path", ""), "database", self->name,
                                     "taken", dr__backup_manifest_text(manifest, "taken"), "tables",
                                     (int)json_array_size(json_object_get(manifest, "tables")),
                                     "rows", (json_int_t)dr__backup_manifest_rows(manifest),
                                     "seconds", seconds, "noted", self->noted));
}

static int act_note(void *data, dr_err *err) {
  restore *self = data;
  (void)err;
  self->noted = dr__backup_note(self->reading.path, self->reading.manifest, "restore");
  return DR_OK;
}

static void on_scratch_dropped(dr_backup_job *job, const dr_pg_answer *answer) {
  restore *self = job->data;
  (void)answer;
  self->made = false;
  dr__backup_job_thread(job, act_note, NULL, self, NULL, done);
}

static void drop_scratch(dr_backup_job *job) {
  const restore *self = job->data;
  dr__backup_job_close(job, DR_BACKUP_OTHER);
  char *text = dr__backup_drop_text(job->pg[DR_BACKUP_MAIN], self->name);
  dr__backup_job_query(job, DR_BACKUP_MAIN, text, NULL, on_scratch_dropped);
  free(text);
}

/* ------------------------------------------------------------ what makes it whole: settings */

/* "ALTER DATABASE x …", malloc'd; NULL when memory is short. */
static char *alter_text(dr_backup_job *job, const char *what) {
  const restore *self = job->data;
  char *name = dr__pg_identifier(job->pg[DR_BACKUP_MAIN], self->name);
  char *text = NULL;
  if (!name || asprintf(&text, "ALTER DATABASE %s %s", name, what) < 0) text = NULL;
  free(name);
  return text;
}

static void on_dressed(dr_backup_job *job, const dr_pg_answer *answer) {
  (void)answer;
  done(job);
}

static void on_dress(dr_backup_job *job, const dr_pg_answer *answer) {
  const restore *self = job->data;
  dr_text text = {0};
  char *loud = alter_text(job, "RESET session_replication_role");
  if (!loud) text.failed = true;
  if (self->quiet && loud) dr__text_printf(&text, "%s;\n", loud);
  free(loud);
  for (size_t i = 0; i < answer->rows; i++)
    dr__text_printf(&text, "%s;\n", dr__pg_text(answer, i, 0));
  char *sql = dr__text_take(&text);
  if (sql && !*sql)
    on_dressed(job, NULL);
  else
    dr__backup_job_query(job, DR_BACKUP_MAIN, sql, NULL, on_dressed);
  free(sql);
}

static json_t *name_and_properties(const restore *self) {
  char *properties = json_dumps(json_object_get(self->reading.manifest, "properties"), 0);
  json_t *params = properties ? json_pack("[s, s]", self->name, properties) : NULL;
  free(properties);
  return params;
}

static void on_analyzed(dr_backup_job *job, const dr_pg_answer *answer) {
  (void)answer;
  json_t *params = name_and_properties(job->data);
  dr__backup_job_close(job, DR_BACKUP_OTHER);
  if (params)
    dr__backup_job_query(job, DR_BACKUP_MAIN, dr__backup_sql_dress, params, on_dress);
  else
    fail_nomem(job);
}

/* ------------------------------------------------------------ what is in it now */

static void on_counted(dr_backup_job *job) {
  const restore *self = job->data;
  char why[512];
  dr_err err = DR_ERR_INIT;
  const json_t *wanted = json_object_get(self->reading.manifest, "tables");
  if (!dr__backup_tables_same(wanted, job->tables, why, sizeof why)) {
    dr__fail(&err, "backup.counts", "what was restored is not what was backed up: %s", why);
    dr__err_hint(&err, "the new database was dropped, the one that is served was not touched, and "
                       "the backup counts as bad from now on. Do triggers or rules of it delete "
                       "rows?");
    fail(job, &err);
  } else if (self->rehearsal) {
    drop_scratch(job);
  } else {
    dr__backup_job_query(job, DR_BACKUP_OTHER, "ANALYZE", NULL, on_analyzed);
  }
}

static void on_tables(dr_backup_job *job, const dr_pg_answer *answer) {
  job->tables = dr__backup_tables(answer);
  if (job->tables)
    dr__backup_count(job, DR_BACKUP_OTHER, on_counted);
  else
    fail_nomem(job);
}

static void on_visible(dr_backup_job *job, const dr_pg_answer *answer) {
  (void)answer;
  dr__backup_job_query(job, DR_BACKUP_OTHER, dr__backup_sql_tables, NULL, on_tables);
}

/* All rows are to be seen, whatever policies say. */
static void on_other_connected(dr_backup_job *job) {
  dr__backup_job_query(job, DR_BACKUP_OTHER, "SET row_security = off", NULL, on_visible);
}

static void on_restored(dr_backup_job *job) {
  const restore *self = job->data;
  job->restoring = false;
  dr__backup_job_connect(job, DR_BACKUP_OTHER, self->name, on_other_connected);
}

/* ------------------------------------------------------------ the new database */

static void on_quiet(dr_backup_job *job, const dr_pg_answer *answer) {
  restore *self = job->data;
  self->quiet = answer != NULL;
  const dr_backup_words words = {.argv = restore_words(dr__arg_boolean(job->op, "owners", true)),
                                 .connects = true,
                                 .dbname = self->name,
                                 .output_fd = -1};
  job->restoring = true;
  dr__backup_reading_go(job, &words, on_restored);
}

/* Event triggers that are restored fire at what is restored after them, and what they write is not
 * in the backup. Who may not say so may not make event triggers either. */
static void on_made(dr_backup_job *job, const dr_pg_answer *answer) {
  (void)answer;
  char *text = alter_text(job, "SET session_replication_role = replica");
  dr__backup_job_try(job, DR_BACKUP_MAIN, text, NULL, on_quiet);
  free(text);
}

static void on_create(dr_backup_job *job, const dr_pg_answer *answer) {
  restore *self = job->data;
  const char *sql = dr__pg_text(answer, 0, 0);
  self->made = true; /* from now on it may be there, whatever is heard of it */
  dr__backup_job_query(job, DR_BACKUP_MAIN, sql, NULL, on_made);
}

static void create(dr_backup_job *job) {
  restore *self = job->data;
  char stamp[24];
  json_t *params;
  dr__backup_stamp(stamp, sizeof stamp);
  dr__backup_name(self->name, self->rehearsal ? "scratch" : "restoring", stamp, self->database);
  params = name_and_properties(self);
  if (params)
    dr__backup_job_query(job, DR_BACKUP_MAIN, dr__backup_sql_create, params, on_create);
  else
    fail_nomem(job);
}

/* ------------------------------------------------------------ leftovers */

static void drop_next(dr_backup_job *job);

static void on_leftover_dropped(dr_backup_job *job, const dr_pg_answer *answer) {
  if (!answer)
    dr__op_log(job->op, "warning: %s could not be dropped: %s",
               json_string_value(json_array_get(job->tables, 0)), job->refusal.message);
  json_array_remove(job->tables, 0);
  drop_next(job);
}

/* job->tables holds the names for as long as there are any, first the one that is dropped. */
static void drop_next(dr_backup_job *job) {
  const restore *self = job->data;
  const char *name = json_string_value(json_array_get(job->tables, 0));
  while (name && !dr__backup_name_stamp(name, "scratch", self->database)) {
    json_array_remove(job->tables, 0);
    name = json_string_value(json_array_get(job->tables, 0));
  }
  if (!name) {
    json_decref(job->tables);
    job->tables = NULL;
    create(job);
    return;
  }
  dr__op_log(job->op, "dropping %s, which a run that was killed left behind", name);
  char *text = dr__backup_drop_text(job->pg[DR_BACKUP_MAIN], name);
  dr__backup_job_try(job, DR_BACKUP_MAIN, text, NULL, on_leftover_dropped);
  free(text);
}

static void on_leftovers(dr_backup_job *job, const dr_pg_answer *answer) {
  job->tables = json_array();
  for (size_t i = 0; job->tables && i < answer->rows; i++)
    json_array_append_new(job->tables, json_string(dr__pg_text(answer, i, 0)));
  if (job->tables)
    drop_next(job);
  else
    fail_nomem(job);
}

/* Scratch databases that nobody is connected to, that are ours to drop, and that were made an hour
 * ago or earlier: what another run has just made may have no connection yet. One that was being
 * restored may wait for its swap, and is left to db:drop_kept. */
static const char sql_leftovers[] =
    "SELECT d.datname FROM pg_catalog.pg_database d"
    " WHERE d.datname ~ '^deployrun_scratch_[0-9]{17}_'"
    " AND pg_catalog.pg_has_role(d.datdba, 'MEMBER')"
    " AND pg_catalog.substring(d.datname, '_([0-9]{17})_') <"
    "  pg_catalog.to_char((pg_catalog.now() - interval '1 hour') AT TIME ZONE 'UTC',"
    "   'YYYYMMDDHH24MISSMS')"
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid)";

static void ask_leftovers(dr_backup_job *job) {
  dr__backup_job_query(job, DR_BACKUP_MAIN, sql_leftovers, NULL, on_leftovers);
}

/* ------------------------------------------------------------ the beginning */

static void on_connected(dr_backup_job *job) {
  restore *self = job->data;
  dr_err err = DR_ERR_INIT;
  char version[33];
  int server = dr__pg_server_version(job->pg[DR_BACKUP_MAIN]) / 10000;
  int needed = dr__backup_version(dr__backup_manifest_text(self->reading.manifest, "server"),
                                  version, sizeof version);
  if (server >= needed) {
    if (dr__arg_boolean(job->op, "unused", false))
      dr__backup_sessions(job, self->database, NULL, false, ask_leftovers);
    else
      ask_leftovers(job);
    return;
  }
  dr__fail(&err, "backup.older_server",
           "the backup is of a PostgreSQL %s and the server is a PostgreSQL %d", version, server);
  dr__err_hint(&err, "nothing was done; restore it into a server of that version or a later one");
  fail(job, &err);
}

static void on_opened(dr_backup_job *job) {
  restore *self = job->data;
  if (!self->database)
    self->database = strdup(dr__backup_manifest_text(self->reading.manifest, "database"));
  if (self->database)
    dr__backup_job_connect(job, DR_BACKUP_MAIN, self->maintenance, on_connected);
  else
    fail_nomem(job);
}

static restore *new_restore(const dr_op *op) {
  restore *self = calloc(1, sizeof *self);
  const char *database = dr__arg_string(op, "database", NULL);
  if (!self) return NULL;
  self->begun_ms = uv_now(op->loop);
  self->rehearsal = strcmp(op->spec->name, "postgres.rehearse") == 0;
  self->maintenance = strdup(maintenance_of(op));
  self->database = database ? strdup(database) : NULL;
  int status = dr__backup_reading_new(&self->reading, dr__arg_string(op, "path", ""));
  self->reading.hash_first = true;
  if (status == DR_OK && self->maintenance && (self->database || !database)) return self;
  free_restore(self);
  return NULL;
}

int dr__restore_start(dr_op *op, dr_err *err) {
  dr_backup_job *job = dr__backup_job_new(op, true, new_restore(op), free_restore, err);
  if (!job) return DR_FAILED;
  job->clean = clean;
  job->pulse = dr__backup_reading_pulse;
  dr__backup_reading_open(job, on_opened);
  return DR_OK;
}
