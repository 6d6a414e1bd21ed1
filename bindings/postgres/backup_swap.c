/* backup_swap.c - the ops postgres.swap, postgres.kept and postgres.drop_kept: which database has
 * the name that is served.
 *
 * Called by the gate and by the loop, on the runtime's thread. A swap is one transaction of two
 * renames on one connection, so that whatever ends it, either both names have changed or none. A
 * rename waits for a database's sessions to end and lets no new one in meanwhile; with `disconnect`
 * a second connection ends them while it waits. The time from then to the end of the transaction is
 * what clients notice, and is in the result.
 */
#include "backup.h"

#include "backup_database.h"
#include "core/err.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAINTENANCE                                                                                \
  {"maintenance", DR_ARG_STRING, 0}, {                                                             \
    "timeout", DR_ARG_DURATION, 0                                                                  \
  }

const dr_arg dr__swap_args[] = {DR_PG_DB_ARG,
                                {"from", DR_ARG_STRING, DR_REQUIRED},
                                {"database", DR_ARG_STRING, DR_REQUIRED},
                                {"keep_as", DR_ARG_STRING, DR_REQUIRED}, /* kept or undone */
                                {"disconnect", DR_ARG_BOOLEAN, 0},
                                MAINTENANCE,
                                {0}};
const dr_arg dr__kept_args[] = {DR_PG_DB_ARG, {"database", DR_ARG_STRING, 0}, MAINTENANCE, {0}};
const dr_arg dr__drop_kept_args[] = {DR_PG_DB_ARG,
                                     {"database", DR_ARG_STRING, DR_REQUIRED},
                                     {"names", DR_ARG_STRINGS, DR_REQUIRED},
                                     {"unknown", DR_ARG_BOOLEAN, 0}, /* until then, in a plan */
                                     MAINTENANCE,
                                     {0}};

static const char *maintenance_of(const dr_op *op) {
  return dr__arg_string(op, "maintenance", "postgres");
}

/* ------------------------------------------------------------ swapping */

typedef struct swap {
  char kept[DR_BACKUP_NAME]; /* "" when there was none to keep */
  char *renames;
  bool done;
  uint64_t begun_ns;
} swap;

static void free_swap(void *data) {
  free(((swap *)data)->renames);
  free(data);
}

char *dr__swap_preview(const dr_op *op) {
  char *text = NULL;
  const char *database = dr__arg_string(op, "database", "");
  int length = asprintf(
      &text,
      "%sBEGIN; ALTER DATABASE %s RENAME TO deployrun_%s_TIME_%.24s; ALTER DATABASE %s RENAME TO "
      "%s; COMMIT",
      dr__arg_boolean(op, "disconnect", false) ? "end the sessions of both; " : "", database,
      dr__arg_string(op, "keep_as", "kept"), database, dr__arg_string(op, "from", ""), database);
  return length < 0 ? NULL : text;
}

json_t *dr__swap_assume(const dr_op *op) {
  const char *database = dr__arg_string(op, "database", "");
  return json_pack(
      "{s:s, s:o, s:f}", "database", database, "kept",
      json_sprintf("deployrun_%s_TIME_%.24s", dr__arg_string(op, "keep_as", "kept"), database),
      "gap", 0.0);
}

static bool asks_to_disconnect(const dr_backup_job *job) {
  return dr__arg_boolean(job->op, "disconnect", false);
}

static void on_swapped(dr_backup_job *job, const dr_pg_answer *answer) {
  swap *self = job->data;
  (void)answer;
  self->done = true;
  double gap = (double)(uv_hrtime() - self->begun_ns) / 1e9;
  if (job->busy[DR_BACKUP_OTHER]) dr__backup_job_close(job, DR_BACKUP_OTHER);
  json_t *result =
      json_pack("{s:s, s:f}", "database", dr__arg_string(job->op, "database", ""), "gap", gap);
  if (result && self->kept[0]) json_object_set_new(result, "kept", json_string(self->kept));
  dr__backup_job_done(job, result);
}

/* The server says 55006 when sessions are left after its own patience of 5 s, and in its detail
 * which. */
static void explain(dr_backup_job *job) {
  dr_err own = DR_ERR_INIT;
  if (strstr(job->err.message, "55006")) {
    dr__err_move(&own, &job->err);
    dr__fail(&job->err, "backup.in_use",
             "the databases were not swapped: sessions are left in them");
    dr__err_hint(&job->err, "nothing was changed; stop what uses the database%s",
                 asks_to_disconnect(job) ? "" : ", or say disconnect = true");
    if (own.detail) dr__err_detail(&job->err, own.detail, strlen(own.detail));
    dr__err_because(&job->err, &own);
    dr_err_clear(&own);
  }
  dr__backup_job_end(job);
}

static void end_sessions(dr_backup_job *job);

static void on_sessions_ended(dr_backup_job *job, const dr_pg_answer *answer) {
  (void)answer;
  if (!((swap *)job->data)->done) end_sessions(job);
}

/* Again and again while the rename waits: who was on its way in when the rename began is in now. */
static void end_sessions(dr_backup_job *job) {
  dr__backup_job_query(
      job, DR_BACKUP_OTHER,
      "SELECT pg_catalog.pg_sleep(0.02) FROM (SELECT"
      " pg_catalog.count(pg_catalog.pg_terminate_backend(pid))"
      " FROM pg_catalog.pg_stat_activity"
      " WHERE datname IN ($1, $2) AND pid <> pg_catalog.pg_backend_pid()) AS ended",
      json_pack("[s, s]", dr__arg_string(job->op, "database", ""),
                dr__arg_string(job->op, "from", "")),
      on_sessions_ended);
}

static void rename_both(dr_backup_job *job) {
  swap *self = job->data;
  self->begun_ns = uv_hrtime();
  dr__backup_job_query(job, DR_BACKUP_MAIN, self->renames, NULL, on_swapped);
  if (!job->failing && asks_to_disconnect(job)) end_sessions(job);
}

/* The statements; the old database is there, or there is none to keep. */
static char *renames_of(dr_backup_job *job, const swap *self) {
  dr_pg *pg = job->pg[DR_BACKUP_MAIN];
  char *database = dr__pg_identifier(pg, dr__arg_string(job->op, "database", ""));
  char *from = dr__pg_identifier(pg, dr__arg_string(job->op, "from", ""));
  char *kept = dr__pg_identifier(pg, self->kept);
  dr_text text = {0};
  if (!database || !from || !kept) text.failed = true;
  dr__text_puts(&text, "BEGIN; ");
  if (self->kept[0]) dr__text_printf(&text, "ALTER DATABASE %s RENAME TO %s; ", database, kept);
  dr__text_printf(&text, "ALTER DATABASE %s RENAME TO %s; COMMIT", from, database);
  free(database);
  free(from);
  free(kept);
  return dr__text_take(&text);
}

/* ------------------------------------------------------------ before it */

static void go(dr_backup_job *job) {
  if (asks_to_disconnect(job))
    dr__backup_job_connect(job, DR_BACKUP_OTHER, maintenance_of(job->op), rename_both);
  else
    rename_both(job);
}

static void on_found(dr_backup_job *job, const dr_pg_answer *answer) {
  swap *self = job->data;
  dr_err err = DR_ERR_INIT;
  const char *from = dr__arg_string(job->op, "from", "");
  const char *old = dr__pg_field(answer, 0, "old"), *new = dr__pg_field(answer, 0, "new");
  char stamp[24];
  if (!new || *new != 't') {
    dr__fail(&err, "backup.no_database", "there is no database %s", from);
    dr__err_hint(&err, "db:kept() lists those of earlier restores");
    dr__backup_job_fail(job, &err);
    return;
  }
  dr__backup_stamp(stamp, sizeof stamp);
  if (old && *old == 't')
    dr__backup_name(self->kept, dr__arg_string(job->op, "keep_as", "kept"), stamp,
                    dr__arg_string(job->op, "database", ""));
  self->renames = renames_of(job, self);
  if (self->renames) {
    dr__backup_sessions(job, dr__arg_string(job->op, "database", ""), from, asks_to_disconnect(job),
                        go);
    return;
  }
  dr__err_nomem(&err);
  dr__backup_job_fail(job, &err);
}

static void on_swap_connected(dr_backup_job *job) {
  dr__backup_job_query(
      job, DR_BACKUP_MAIN,
      "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1) AS"
      " old, EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $2) AS new",
      json_pack("[s, s]", dr__arg_string(job->op, "database", ""),
                dr__arg_string(job->op, "from", "")),
      on_found);
}

int dr__swap_start(dr_op *op, dr_err *err) {
  dr_backup_job *job = dr__backup_job_new(op, true, calloc(1, sizeof(swap)), free_swap, err);
  if (!job) return DR_FAILED;
  dr__pg_forget(dr__op_runtime(op), job->way); /* our own sessions would be in the way */
  job->clean = explain;
  dr__backup_job_connect(job, DR_BACKUP_MAIN, maintenance_of(op), on_swap_connected);
  return DR_OK;
}

/* ------------------------------------------------------------ what was kept */

char *dr__kept_preview(const dr_op *op) {
  char *text = NULL;
  int length =
      asprintf(&text, "databases deployrun_*_TIME_%.40s", dr__arg_string(op, "database", "…"));
  return length < 0 ? NULL : text;
}

json_t *dr__kept_assume(const dr_op *op) {
  (void)op;
  return json_pack("{s:[]}", "kept");
}

static json_t *kept_of(const dr_pg_answer *answer, size_t row, const char *database) {
  const char *name = dr__pg_text(answer, row, 0);
  const char *stamp = dr__backup_name_stamp(name, NULL, database);
  if (!stamp) return NULL;
  const char *kind = name + strlen("deployrun_");
  return json_pack("{s:s, s:s%, s:o, s:I}", "name", name, "kind", kind, strcspn(kind, "_"), "at",
                   json_sprintf("%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", stamp, stamp + 4, stamp + 6,
                                stamp + 8, stamp + 10, stamp + 12),
                   "bytes", (json_int_t)dr__pg_integer(answer, row, "bytes", 0));
}

static void on_list(dr_backup_job *job, const dr_pg_answer *answer) {
  json_t *list = json_array();
  const json_t *keywords = dr__arg(job->op, "db");
  const char *own = json_string_value(json_object_get(keywords, "dbname"));
  const char *database = dr__arg_string(job->op, "database", own ? own : "");
  for (size_t i = 0; list && i < answer->rows; i++) {
    json_t *one = kept_of(answer, i, database);
    if (one) json_array_append_new(list, one);
  }
  dr__backup_job_done(job, list ? json_pack("{s:o}", "kept", list) : NULL);
}

static void on_list_connected(dr_backup_job *job) {
  dr__backup_job_query(job, DR_BACKUP_MAIN,
                       "SELECT datname, CASE WHEN pg_catalog.has_database_privilege(oid, 'CONNECT')"
                       " THEN pg_catalog.pg_database_size(oid) ELSE 0 END AS bytes"
                       " FROM pg_catalog.pg_database WHERE datname ~ '^deployrun_[a-z]+_[0-9]{17}_'"
                       " ORDER BY pg_catalog.substring(datname, '_([0-9]{17})_') DESC, datname",
                       NULL, on_list);
}

int dr__kept_start(dr_op *op, dr_err *err) {
  dr_backup_job *job = dr__backup_job_new(op, true, calloc(1, 1), free, err);
  if (!job) return DR_FAILED;
  dr__backup_job_connect(job, DR_BACKUP_MAIN, maintenance_of(op), on_list_connected);
  return DR_OK;
}

/* ------------------------------------------------------------ dropping them */

typedef struct dropping {
  size_t at;
} dropping;

char *dr__drop_kept_preview(const dr_op *op) {
  dr_text text = {0};
  size_t i;
  json_t *name;
  json_array_foreach(dr__arg(op, "names"), i, name) {
    dr__text_printf(&text, "%sDROP DATABASE \"%s\"", i > 0 ? "; " : "", json_string_value(name));
  }
  if (text.length == 0)
    dr__text_puts(&text, dr__arg_boolean(op, "unknown", false)
                             ? "DROP DATABASE each that restores have kept by then"
                             : "nothing is to be dropped");
  return dr__text_take(&text);
}

json_t *dr__drop_kept_assume(const dr_op *op) {
  return json_pack("{s:O}", "dropped", dr__arg(op, "names"));
}

static const char *dropped_name(const dr_backup_job *job) {
  const dropping *self = job->data;
  return json_string_value(json_array_get(dr__arg(job->op, "names"), self->at));
}

static void drop_one(dr_backup_job *job);

static void on_one_dropped(dr_backup_job *job, const dr_pg_answer *answer) {
  dropping *self = job->data;
  dr_err err = DR_ERR_INIT;
  if (answer) {
    self->at++;
    drop_one(job);
    return;
  }
  bool in_use = strstr(job->refusal.message, "55006") != NULL;
  dr__fail(&err, in_use ? "backup.in_use" : job->refusal.code, "%s could not be dropped: %s",
           dropped_name(job), job->refusal.message);
  dr__err_hint(&err, "%s", in_use ? "stop what uses it, then try again" : job->refusal.hint);
  dr__err_because(&err, &job->refusal);
  dr__backup_job_fail(job, &err);
}

/* A slot would go with its database, and nobody would be told; a subscription is in the way. */
static const char sql_keepers[] =
    "SELECT 'the logical replication slot ' || slot_name FROM pg_catalog.pg_replication_slots"
    " WHERE database = $1"
    " UNION ALL SELECT 'the subscription ' || s.subname FROM pg_catalog.pg_subscription s"
    " JOIN pg_catalog.pg_database d ON d.oid = s.subdbid WHERE d.datname = $1";

static void on_keepers(dr_backup_job *job, const dr_pg_answer *answer) {
  const char *name = dropped_name(job);
  dr_err err = DR_ERR_INIT;
  dr_text what = {0};
  if (answer->rows == 0) {
    char *text = dr__backup_drop_text(job->pg[DR_BACKUP_MAIN], name);
    dr__backup_job_try(job, DR_BACKUP_MAIN, text, NULL, on_one_dropped);
    free(text);
    return;
  }
  for (size_t i = 0; i < answer->rows && i < 10; i++)
    dr__text_printf(&what, "%s%s", i > 0 ? ", " : "", dr__pg_text(answer, i, 0));
  dr__fail(&err, "backup.in_use", "%s was not dropped: it still has %s", name,
           what.bytes ? what.bytes : "what others use");
  dr__err_hint(&err,
               "a slot that nobody reads any more: SELECT pg_drop_replication_slot('NAME'); a "
               "subscription, in that database: ALTER SUBSCRIPTION NAME DISABLE; ALTER "
               "SUBSCRIPTION NAME SET (slot_name = NONE); DROP SUBSCRIPTION NAME");
  dr__text_free(&what);
  dr__backup_job_fail(job, &err);
}

static void drop_one(dr_backup_job *job) {
  const json_t *names = dr__arg(job->op, "names");
  const char *name = dropped_name(job);
  dr_err err = DR_ERR_INIT;
  if (!name) {
    dr__backup_job_done(job, json_pack("{s:O}", "dropped", names));
    return;
  }
  const char *stamp = dr__backup_name_stamp(name, NULL, dr__arg_string(job->op, "database", ""));
  if (!stamp) {
    dr__fail(&err, "recipe.argument", "\"%s\" is no database that a restore has kept", name);
    dr__backup_job_fail(job, &err);
    return;
  }
  dr__backup_job_query(job, DR_BACKUP_MAIN, sql_keepers, json_pack("[s]", name), on_keepers);
}

int dr__drop_kept_start(dr_op *op, dr_err *err) {
  dr_backup_job *job = dr__backup_job_new(op, true, calloc(1, sizeof(dropping)), free, err);
  if (!job) return DR_FAILED;
  dr__backup_job_connect(job, DR_BACKUP_MAIN, maintenance_of(op), drop_one);
  return DR_OK;
}
