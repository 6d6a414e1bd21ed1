/* migrate_sql.c - see migrate_sql.h. Called by migrate_run.c and migrate_alone.c. */
#include "migrate_sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const dr__migrate_create_table =
    "CREATE SCHEMA IF NOT EXISTS deployrun;"
    "CREATE TABLE IF NOT EXISTS deployrun.schema_migrations ("
    " version text PRIMARY KEY,"
    " name text NOT NULL,"
    " sha256 text NOT NULL,"                 /* of the statements of the file that went up */
    " direction text NOT NULL DEFAULT 'up'," /* 'down' while it is being taken back */
    " statements integer NOT NULL,"
    " done integer NOT NULL,"
    " running integer," /* the statement that was begun outside of a transaction */
    " prefix text,"     /* sha256 of the statements that were begun, while not all are done */
    " baseline boolean NOT NULL DEFAULT false,"
    " began_at timestamptz NOT NULL DEFAULT now(),"
    " ended_at timestamptz,"
    " seconds double precision NOT NULL DEFAULT 0,"
    " applied_by text NOT NULL)";

const char *const dr__migrate_select_rows =
    "SELECT version, name, sha256, direction, statements, done, running, prefix, baseline,"
    " to_char(ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS applied_at,"
    " seconds, applied_by FROM deployrun.schema_migrations";

const char *const dr__migrate_select_families =
    "WITH RECURSIVE t(root, member) AS (SELECT inhparent, inhrelid FROM pg_catalog.pg_inherits"
    " UNION SELECT t.root, i.inhrelid FROM t JOIN pg_catalog.pg_inherits i ON i.inhparent = "
    "t.member)"
    " SELECT pg_catalog.quote_ident(c.relname) AS name, pg_catalog.count(*) AS members"
    " FROM t JOIN pg_catalog.pg_class c ON c.oid = t.root WHERE c.relkind IN ('r', 'p', 'f')"
    " GROUP BY c.oid, c.relname";

char *dr__migrate_literal(const char *text) {
  char *out = malloc(2 * strlen(text) + 5), *at = out;
  if (!out) return NULL;
  if (strchr(text, '\\')) {
    *at++ = ' ';
    *at++ = 'E';
  }
  *at++ = '\'';
  for (; *text; text++) {
    if (*text == '\'' || *text == '\\') *at++ = *text;
    *at++ = *text;
  }
  *at++ = '\'';
  *at = '\0';
  return out;
}

/* ------------------------------------------------------------ records */

static const char *seconds_of(const dr_migrate_mark *mark, char buffer[48]) {
  if (mark->seconds < 0) return "extract(epoch FROM clock_timestamp() - now())";
  snprintf(buffer, 48, "%.6f", mark->seconds);
  return buffer;
}

/* 'sha256' of what was begun, or NULL for a whole file. */
static int prefix_of(const dr_migrate_mark *mark, char buffer[DR_SQL_HASH_SIZE + 3], dr_err *err) {
  char hash[DR_SQL_HASH_SIZE];
  size_t end = mark->running >= 0 ? (size_t)mark->running + 1 : mark->done;
  snprintf(buffer, DR_SQL_HASH_SIZE + 3, "NULL");
  if (mark->done >= mark->file->end) return DR_OK;
  if (dr__migration_prefix(mark->file, end, hash, err) != DR_OK) return DR_FAILED;
  snprintf(buffer, DR_SQL_HASH_SIZE + 3, "'%s'", hash);
  return DR_OK;
}

static char *record_up(const dr_migrate_mark *mark, const char *name, const char *by,
                       const char *running, const char *prefix) {
  char number[48], *sql = NULL;
  bool whole = mark->done >= mark->file->end;
  const char *conflict =
      mark->first
          ? ""
          : " ON CONFLICT (version) DO UPDATE SET name = EXCLUDED.name, sha256 = EXCLUDED.sha256,"
            " statements = EXCLUDED.statements, done = EXCLUDED.done, running = EXCLUDED.running,"
            " prefix = EXCLUDED.prefix, ended_at = EXCLUDED.ended_at,"
            " seconds = m.seconds + EXCLUDED.seconds, applied_by = EXCLUDED.applied_by";
  int length = asprintf(
      &sql,
      "INSERT INTO deployrun.schema_migrations AS m (version, name, sha256, statements, done,"
      " running, prefix, ended_at, seconds, applied_by) VALUES ('%s', %s, '%s', %zu, %zu, %s, %s,"
      " %s, %s, %s)%s",
      mark->version, name, mark->file->script.hash, mark->file->end, mark->done, running, prefix,
      whole ? "clock_timestamp()" : "NULL", seconds_of(mark, number), by, conflict);
  return length < 0 ? NULL : sql;
}

static char *record_down(const dr_migrate_mark *mark, const char *by, const char *running,
                         const char *prefix) {
  char *sql = NULL;
  int length =
      mark->done >= mark->file->end
          ? asprintf(&sql, "DELETE FROM deployrun.schema_migrations WHERE version = '%s'",
                     mark->version)
          : asprintf(&sql,
                     "UPDATE deployrun.schema_migrations SET direction = 'down', statements = %zu,"
                     " done = %zu, running = %s, prefix = %s, ended_at = NULL, applied_by = %s"
                     " WHERE version = '%s'",
                     mark->file->end, mark->done, running, prefix, by, mark->version);
  return length < 0 ? NULL : sql;
}

char *dr__migrate_record(const dr_migrate_mark *mark, dr_err *err) {
  char prefix[DR_SQL_HASH_SIZE + 3], running[24] = "NULL";
  if (prefix_of(mark, prefix, err) != DR_OK) return NULL;
  if (mark->running >= 0) snprintf(running, sizeof running, "%" PRId64, mark->running);
  char *name = dr__migrate_literal(mark->file->name.name), *by = dr__migrate_literal(mark->by);
  char *sql = NULL;
  if (name && by)
    sql = mark->file->name.direction == DR_UP ? record_up(mark, name, by, running, prefix)
                                              : record_down(mark, by, running, prefix);
  free(name);
  free(by);
  if (!sql) dr__err_nomem(err);
  return sql;
}

char *dr__migrate_baseline(const json_t *file, const char *by) {
  char *name = dr__migrate_literal(json_string_value(json_object_get(file, "name")));
  char *who = dr__migrate_literal(by), *sql = NULL;
  int length = !name || !who
                   ? -1
                   : asprintf(&sql,
                              "INSERT INTO deployrun.schema_migrations (version, name, sha256,"
                              " statements, done, baseline, ended_at, applied_by) VALUES"
                              " ('%s', %s, '%s', 0, 0, true, now(), %s)",
                              json_string_value(json_object_get(file, "version")), name,
                              json_string_value(json_object_get(file, "sha256")), who);
  free(name);
  free(who);
  return length < 0 ? NULL : sql;
}

char *dr__migrate_rehash(const char *version, const char *sha256) {
  char *sql = NULL;
  int length =
      asprintf(&sql, "UPDATE deployrun.schema_migrations SET sha256 = '%s' WHERE version = '%s'",
               sha256, version);
  return length < 0 ? NULL : sql;
}

/* ------------------------------------------------------------ messages */

void dr__migrate_message_free(dr_migrate_message *message) {
  free(message->sql);
  free(message->owner);
  memset(message, 0, sizeof *message);
}

/* A text that grows, and the owners of its statements. */
typedef struct writer {
  FILE *out;
  dr_migrate_message *message;
} writer;

static void put(writer *w, long owner, const char *sql) {
  fputs(sql, w->out);
  fputc(';', w->out);
  w->message->owner[w->message->owners++] = owner;
}

static void put_limits(writer *w, const char *word, const dr_migrate_settings *settings) {
  char sql[80];
  snprintf(sql, sizeof sql, "SET %s lock_timeout = %" PRId64, word, settings->lock_ms);
  put(w, -1, sql);
  if (settings->statement_ms <= 0) return;
  snprintf(sql, sizeof sql, "SET %s statement_timeout = %" PRId64, word, settings->statement_ms);
  put(w, -1, sql);
}

static size_t count_waits(const dr_migration_step *step, const size_t *waits) {
  size_t count = 0;
  for (size_t i = 0; waits && i < step->count; i++) count += waits[step->first + i];
  return count;
}

/* A file that sets the limit itself has the say. */
static bool shares_wait(const dr_migration_file *file, const dr_migration_step *step,
                        const size_t *waits) {
  return count_waits(step, waits) > 1 && !file->own_lock_timeout;
}

enum { LEAST_SHARE_MS = 50 };

/* What is left of the wait, in equal parts for the tables of one statement: the server counts anew
 * for each of them, partitions among them. A part that is too small would not get any lock. */
static void put_share(writer *w, bool first, size_t tables, const dr_migrate_settings *settings) {
  char sql[256];
  if (first) {
    put(w, -1,
        "SELECT set_config('deployrun.began', extract(epoch FROM clock_timestamp())::text, true)");
    if (tables == 1) return;
    int64_t share = settings->lock_ms / (int64_t)tables;
    if (share < LEAST_SHARE_MS) share = LEAST_SHARE_MS;
    snprintf(sql, sizeof sql, "SET LOCAL lock_timeout = %" PRId64, share);
  } else {
    snprintf(sql, sizeof sql,
             "SELECT set_config('lock_timeout', greatest(%d, (%" PRId64
             " - 1000 * (extract(epoch FROM clock_timestamp())"
             " - current_setting('deployrun.began')::numeric)) / %zu)::int::text, true)",
             LEAST_SHARE_MS, settings->lock_ms, tables);
  }
  put(w, -1, sql);
}

/* The statements as they stand in the file, line by line, so that the server's positions are those
 * of the file. */
static void put_statements(writer *w, const dr_migration_file *file, const dr_migration_step *step,
                           const dr_migrate_settings *settings, const size_t *waits) {
  bool share = shares_wait(file, step, waits), first = true;
  const dr_sql_script *script = &file->script;
  size_t from = script->statements[step->first].offset;
  for (size_t i = step->first; i < step->first + step->count; i++) {
    const dr_sql_statement *statement = &script->statements[i];
    fwrite(script->text + from, 1, statement->offset - from, w->out);
    if (share && waits[i] > 0) {
      put_share(w, first, waits[i], settings);
      first = false;
    }
    fwrite(script->text + statement->offset, 1, statement->length, w->out);
    from = statement->offset + statement->length;
    put(w, (long)i, "");
  }
}

/* Several statements, with ";" between them. */
static void put_own(writer *w, const char *sql) {
  put(w, -1, sql);
  while ((sql = strchr(sql, ';')) != NULL) {
    w->message->owner[w->message->owners++] = -1;
    sql++;
  }
}

/* The session is cleared in a transaction of its own: in that of the file it would count as a query
 * before SET TRANSACTION. */
static void put_step(writer *w, const dr_migration_file *file, const dr_migration_step *step,
                     const dr_migrate_settings *settings, const size_t *waits, const char *record) {
  put_own(w, "BEGIN;" DR_MIGRATE_NEW_SESSION ";COMMIT");
  put(w, -1, file->begin[0] ? file->begin : "BEGIN");
  put_limits(w, "LOCAL", settings);
  if (w->message->line > 1) { /* lines count from 1, so there is none before the first */
    fputc('\n', w->out);
    w->message->line--;
  }
  put_statements(w, file, step, settings, waits);
  fputc('\n', w->out);
  put_own(w, DR_MIGRATE_OWN_ROLE);
  put(w, -1, record);
  put(w, (long)(step->first + step->count), "COMMIT");
}

enum { OWN_STATEMENTS = 24 };

int dr__migrate_together(dr_migrate_message *out, const dr_migration_file *file,
                         const dr_migration_step *step, const dr_migrate_settings *settings,
                         const size_t *waits, const char *record) {
  size_t size = 0;
  memset(out, 0, sizeof *out);
  out->line = file->script.statements[step->first].line;
  out->owner = calloc(OWN_STATEMENTS + 2 * step->count, sizeof *out->owner);
  writer w = {.message = out};
  if (out->owner) w.out = open_memstream(&out->sql, &size);
  if (!w.out) return DR_FAILED;
  put_step(&w, file, step, settings, waits, record);
  bool bad = ferror(w.out) != 0;
  if (fclose(w.out) != 0 || bad) {
    free(out->sql);
    out->sql = NULL;
  }
  return out->sql ? DR_OK : DR_FAILED;
}

/* The server looks whether its client is still there, so that a killed run does not leave a build
 * going, with the lock, for hours. */
char *dr__migrate_before_alone(const dr_migrate_settings *settings, const char *record,
                               bool notices_loss) {
  char *sql = NULL;
  int length = asprintf(&sql,
                        DR_MIGRATE_NEW_SESSION "; %sSET lock_timeout = %" PRId64
                                               "; SET statement_timeout = %" PRId64 "; %s",
                        notices_loss ? "SET client_connection_check_interval = 1000; " : "",
                        settings->lock_ms, settings->statement_ms, record);
  return length < 0 ? NULL : sql;
}
