/* hazards.c - asks a server whether the table of hazards is true. Run by hazards.sh, which starts
 * the server; the connection is told by PGHOST and its like.
 *
 * Each row runs in a transaction that is rolled back. Around its last statement are compared: the
 * lock it holds on each relation that was there before (pg_locks), the files of those (a rewrite
 * gives new ones), the rows that were read of them, and whether a transaction block was refused.
 * Then the statements of old_code.sql are tried. */
#include "postgres/hazard_rules.h"
#include "postgres/statements.h"

#include "../unit/hazard_rows.h"

#include <libpq-fe.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct trial {
  PGconn *server;
  const hazard_row *row;
  const char *old_code;
  int wrong;
} trial;

/* ------------------------------------------------------------ reporting */

__attribute__((format(printf, 2, 3))) static void complain(trial *t, const char *format, ...) {
  va_list args;
  fprintf(stderr, "table.txt:%d: ", t->row->line);
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fprintf(stderr, "\n  %s\n", t->row->sql);
  t->wrong++;
}

/* ------------------------------------------------------------ asking */

/* Runs statements; the SQLSTATE of what went wrong, "" for nothing. `message` may be NULL. */
static const char *run(PGconn *server, const char *sql, char *message, size_t size) {
  static char state[6];
  PGresult *result = PQexec(server, sql);
  ExecStatusType status = PQresultStatus(result);
  bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
  const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  snprintf(state, sizeof state, "%s", good ? "" : code ? code : "?????");
  if (message) snprintf(message, size, "%s", PQresultErrorMessage(result));
  PQclear(result);
  return state;
}

static void must_run(PGconn *server, const char *sql) {
  char message[1000];
  if (!*run(server, sql, message, sizeof message)) return;
  fprintf(stderr, "%s: %s", sql, message);
  exit(1);
}

/* The JSON that a query answers with. */
static json_t *ask(PGconn *server, const char *sql) {
  PGresult *result = PQexec(server, sql);
  json_t *answer = PQntuples(result) == 1 && !PQgetisnull(result, 0, 0)
                       ? json_loads(PQgetvalue(result, 0, 0), 0, NULL)
                       : json_object();
  if (PQresultStatus(result) != PGRES_TUPLES_OK) {
    fprintf(stderr, "%s", PQresultErrorMessage(result));
    exit(1);
  }
  PQclear(result);
  return answer;
}

/* oid → {name, kind, file, read} of the relations of the user. */
static json_t *relations(PGconn *server) {
  return ask(server,
             "SELECT json_object_agg(c.oid, json_build_object("
             "'name', CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || relname,"
             "'kind', relkind, 'file', relfilenode::bigint,"
             "'read', pg_stat_get_xact_tuples_returned(c.oid)))"
             "FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
             "WHERE n.nspname IN ('public', 'attic')");
}

/* oid → number of the strongest lock, as in dr_sql_lock. */
static json_t *locks(PGconn *server) {
  return ask(
      server,
      "SELECT json_object_agg(relation, mode) FROM (SELECT relation, max(array_position("
      "ARRAY['AccessShareLock', 'RowShareLock', 'RowExclusiveLock', 'ShareUpdateExclusiveLock',"
      "'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'], mode)) "
      "AS mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' "
      "GROUP BY relation) AS held");
}

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

static json_int_t number_of(const json_t *object, const char *key) {
  return json_integer_value(json_object_get(object, key));
}

/* ------------------------------------------------------------ comparing */

/* The lock that the row tells for a relation; NO_LOCK when it tells none. */
static dr_sql_lock told_lock(const hazard_row *row, const char *relation) {
  size_t length = strlen(relation);
  for (const char *at = row->locks; at; at = strstr(at, ", ")) {
    if (*at == ',') at += 2;
    if (strncmp(at, "public.", 7) == 0) at += 7;
    if (strncmp(at, relation, length) != 0 || at[length] != ' ') continue;
    const char *name = at + length + 1;
    size_t size = strcspn(name, ",");
    for (int lock = DR_SQL_ACCESS_SHARE; lock <= DR_SQL_ACCESS_EXCLUSIVE; lock++) {
      const char *known = dr__sql_lock_name((dr_sql_lock)lock);
      if (strlen(known) == size && strncmp(known, name, size) == 0) return (dr_sql_lock)lock;
    }
  }
  return DR_SQL_NO_LOCK;
}

static const char *lock_text(dr_sql_lock lock) {
  const char *name = dr__sql_lock_name(lock);
  return name ? name : "no lock";
}

/* Indexes, sequences and types are compared when the row names them; a table that is not named may
 * only have been read. */
static void compare_lock(trial *t, const json_t *relation, dr_sql_lock held) {
  const char *name = text_of(relation, "name");
  dr_sql_lock told = told_lock(t->row, name);
  bool table = strchr("rpvm", *text_of(relation, "kind")) != NULL;
  if (told == held) return;
  if (told == DR_SQL_NO_LOCK && (!table || held <= DR_SQL_ROW_SHARE)) return;
  if (told == DR_SQL_NO_LOCK && hazard_row_has(t->row, "!more")) return;
  if (told > held && hazard_row_has(t->row, "!lock")) return;
  complain(t, "%s: %s, not %s", name, lock_text(held), lock_text(told));
}

static void compare_relations(trial *t, const json_t *first, const json_t *before,
                              const json_t *after) {
  json_t *held = locks(t->server);
  bool rewritten = false, scanned = false;
  const char *oid;
  json_t *relation;
  json_object_foreach((json_t *)first, oid, relation) {
    compare_lock(t, relation, (dr_sql_lock)number_of(held, oid));
    const json_t *was = json_object_get(before, oid), *is = json_object_get(after, oid);
    bool table = strchr("rm", *text_of(relation, "kind")) != NULL;
    if (!table || !is) continue;
    rewritten |= number_of(was, "file") != number_of(is, "file");
    scanned |= number_of(is, "read") > number_of(was, "read");
  }
  json_decref(held);
  bool rewrite = hazard_row_has(t->row, "rewrite");
  bool scan = rewrite || hazard_row_has(t->row, "scan");
  bool strong = strstr(t->row->locks, "EXCLUSIVE") && !strstr(t->row->locks, "ROW EXCLUSIVE");
  if (rewritten != rewrite && !hazard_row_has(t->row, "!rewrite"))
    complain(t, rewritten ? "is rewritten" : "is not rewritten");
  if (scan && !rewrite && !scanned && !hazard_row_has(t->row, "!scan"))
    complain(t, "is not scanned");
  if (!scan && scanned && strong && !hazard_row_has(t->row, "!scan")) complain(t, "is scanned");
}

static void try_old_code(trial *t) {
  char message[2000];
  if (hazard_row_has(t->row, "!old")) return;
  must_run(t->server, "SAVEPOINT old_code");
  bool fails = *run(t->server, t->old_code, message, sizeof message);
  must_run(t->server, "ROLLBACK TO old_code");
  if (strcmp(t->row->class, "compatible") == 0 && fails) complain(t, "breaks: %s", message);
  if (strcmp(t->row->class, "breaking") == 0 && !fails)
    complain(t, "breaks nothing of old_code.sql");
}

/* ------------------------------------------------------------ rows */

/* Runs the statements of a script up to `count`; those before the last must work. */
static const char *run_script(trial *t, const dr_sql_script *script, size_t first, size_t count,
                              char *message, size_t size) {
  const char *state = "";
  for (size_t i = first; i < count && !*state; i++) {
    char *sql = dr__sql_text(script, i);
    state = run(t->server, sql, message, size);
    free(sql);
  }
  return state;
}

static void try_alone(trial *t, const dr_sql_script *script) {
  char message[1000];
  const char *state = run_script(t, script, 0, script->count, message, sizeof message);
  bool refused = strcmp(state, "25001") == 0 || strcmp(state, "2D000") == 0;
  if (!refused) complain(t, "runs in a transaction block: %s %s", state, message);
}

static void try_inside(trial *t, const dr_sql_script *script) {
  char message[1000];
  json_t *first = relations(t->server);
  if (*run_script(t, script, 0, script->count - 1, message, sizeof message))
    complain(t, "%s", message);
  json_t *before = relations(t->server);
  if (*run_script(t, script, script->count - 1, script->count, message, sizeof message)) {
    complain(t, "%s", message);
  } else {
    json_t *after = relations(t->server);
    compare_relations(t, first, before, after);
    try_old_code(t);
    json_decref(after);
  }
  json_decref(before);
  json_decref(first);
}

static void try_row(trial *t) {
  dr_sql_script script;
  dr_err err = DR_ERR_INIT;
  if (dr__sql_split(t->row->sql, strlen(t->row->sql), &script, &err) != DR_OK) {
    complain(t, "%s", err.message);
  } else if (!hazard_row_has(t->row, "!server")) {
    must_run(t->server, "BEGIN");
    if (hazard_row_has(t->row, "alone"))
      try_alone(t, &script);
    else
      try_inside(t, &script);
    must_run(t->server, "ROLLBACK");
  }
  dr__sql_script_free(&script);
  dr_err_clear(&err);
}

/* Without any change old code works, or the comparison would say nothing. */
static void check_old_code(trial *t) {
  static hazard_row nothing = {.class = "compatible", .work = "", .sql = "(no change)"};
  t->row = &nothing;
  must_run(t->server, "BEGIN");
  try_old_code(t);
  must_run(t->server, "ROLLBACK");
}

int main(void) {
  hazard_rows rows;
  char *world = hazard_file("world.sql"), *old_code = hazard_file("old_code.sql");
  trial t = {.server = PQconnectdb(""), .old_code = old_code};
  if (PQstatus(t.server) != CONNECTION_OK) {
    fprintf(stderr, "%s", PQerrorMessage(t.server));
    return 1;
  }
  hazard_rows_read(&rows);
  must_run(t.server, "SET client_min_messages = error");
  /* In UTC a timestamp becomes one with time zone without a rewrite. */
  must_run(t.server, "SET timezone = 'Europe/Berlin'");
  must_run(t.server, world);
  check_old_code(&t);
  for (size_t i = 0; i < rows.count; i++) {
    t.row = &rows.items[i];
    try_row(&t);
  }
  printf("%zu rows, %d wrong\n", rows.count, t.wrong);
  PQfinish(t.server);
  hazard_rows_free(&rows);
  free(old_code);
  free(world);
  return t.wrong == 0 ? 0 : 1;
}
