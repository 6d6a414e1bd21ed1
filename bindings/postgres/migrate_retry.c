/* migrate_retry.c - a statement that failed. Where that was because a lock was not to be had in
 * time, or in a deadlock, it is tried again: later and later, so that those who waited behind it
 * get through first. Who holds the lock is asked and told. Called from callbacks, on the runtime's
 * thread.
 */
#include "migrate_run.h"

#include "core/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SQL_SHOWN = 120, MOST_SECONDS = 10 };

static bool is_lock(const dr_err *err) {
  return strcmp(err->code, "postgres.lock_timeout") == 0 ||
         strcmp(err->code, "postgres.deadlock") == 0;
}

static int64_t attempts_of(const dr_migrate *self) {
  return dr__arg_integer(self->op, "lock_attempts", 10);
}

static void give_up(dr_pg_steps *steps) {
  dr_migrate *self = steps->data;
  dr__migrate_fail_at(steps, self->failed, &self->err);
}

/* 1, 2, 4, 8, 10, 10 … seconds, or as the recipe says at most. */
static double pause_of(const dr_migrate *self) {
  double most = dr__arg_number(self->op, "lock_pause", MOST_SECONDS), seconds = 1;
  for (int i = 1; i < self->attempt && seconds < most; i++) seconds *= 2;
  return seconds < most ? seconds : most;
}

static const char *lock_of(const dr_migrate *self) {
  const char *lock =
      json_string_value(json_object_get(dr__migrate_judged(self, self->failed), "lock"));
  return lock ? lock : "a lock";
}

static void write_relations(const dr_migrate *self, char *text, size_t size) {
  size_t i;
  const json_t *name, *on = json_object_get(dr__migrate_judged(self, self->failed), "on");
  text[0] = '\0';
  json_array_foreach(on, i, name) {
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : " on ", json_string_value(name));
  }
}

/* "pid 4711 (psql, idle in transaction for 40 s): UPDATE …" */
static void write_blocker(const dr_pg_answer *answer, char *text, size_t size) {
  dr__copy_text(text, size, "nobody who can be seen any more");
  if (!answer || answer->rows == 0) return;
  const char *name = dr__pg_field(answer, 0, "application_name");
  const char *state = dr__pg_field(answer, 0, "state"), *sql = dr__pg_field(answer, 0, "query");
  snprintf(text, size, "pid %lld (%s, %s, in a transaction for %lld s): %.*s%s",
           (long long)dr__pg_integer(answer, 0, "pid", 0), name && name[0] ? name : "no name",
           state ? state : "?", (long long)dr__pg_integer(answer, 0, "seconds", 0), SQL_SHOWN,
           sql ? sql : "", sql && strlen(sql) > SQL_SHOWN ? "…" : "");
}

/* The error as it is told in the end. */
static void explain(dr_migrate *self, const char *relations, const char *blocker) {
  char message[2 * sizeof self->err.message];
  if (strcmp(self->err.code, "postgres.lock_timeout") != 0) return;
  snprintf(message, sizeof message, "no lock (%s%s) within %g s, %d times; held by %s",
           lock_of(self), relations, dr__arg_number(self->op, "lock_timeout", 2), self->attempt,
           blocker);
  dr__copy_text(self->err.message, sizeof self->err.message, message);
  dr__err_hint(&self->err,
               "end that transaction, or choose a quieter time; nothing of this step was "
               "changed. lock_attempts says how often, lock_timeout how long is tried");
}

static void again(dr_pg_steps *steps) {
  dr_migrate *self = steps->data;
  self->attempt++;
  dr_err_clear(&self->err);
  self->again(steps);
}

static void on_blockers(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  dr_migrate *self = steps->data;
  char relations[160], blocker[400];
  if (err) dr_err_clear(err);
  write_relations(self, relations, sizeof relations);
  write_blocker(answer, blocker, sizeof blocker);
  explain(self, relations, blocker);
  if (self->attempt >= attempts_of(self)) {
    give_up(steps);
    return;
  }
  double seconds = pause_of(self);
  dr__op_log(self->op, "%s:%d got no lock (%s%s), attempt %d of %lld: held by %s; again in %g s",
             self->file->path,
             self->file->script.statements[self->failed < self->file->end ? self->failed : 0].line,
             lock_of(self), relations, self->attempt, (long long)attempts_of(self), blocker,
             seconds);
  if (dr__pg_steps_after(steps, seconds, again) == 0) return;
  dr__err_nomem(&self->err);
  give_up(steps);
}

/* Those who hold a lock on the statement's relations, the oldest transaction first; malloc'd. */
static char *blockers_sql(const dr_migrate *self) {
  const json_t *on = json_object_get(dr__migrate_judged(self, self->failed), "on"), *name;
  char *text = NULL;
  size_t size = 0, i;
  FILE *out = open_memstream(&text, &size);
  if (!out) return NULL;
  fputs("SELECT a.pid, a.application_name, a.state, a.query,"
        " extract(epoch FROM clock_timestamp() - a.xact_start)::int AS seconds"
        " FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
        " WHERE l.granted AND l.pid <> pg_backend_pid() AND l.relation IN (NULL",
        out);
  json_array_foreach(on, i, name) {
    char *literal = dr__migrate_literal(json_string_value(name));
    if (literal) fprintf(out, ", to_regclass(%s)", literal);
    free(literal);
  }
  fputs(") ORDER BY a.xact_start LIMIT 1", out);
  bool bad = ferror(out) != 0;
  if (fclose(out) == 0 && !bad) return text;
  free(text);
  return NULL;
}

static void on_rolled_back(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  (void)answer;
  if (err) dr_err_clear(err);
  if (dr__pg_state(steps->pg) != DR_PG_IDLE)
    give_up(steps);
  else
    dr__migrate_send(steps, blockers_sql(steps->data), on_blockers);
}

void dr__migrate_failed(dr_pg_steps *steps, size_t failed, dr_err *err,
                        void (*retry)(dr_pg_steps *steps)) {
  dr_migrate *self = steps->data;
  dr__err_move(&self->err, err);
  self->failed = failed;
  self->again = retry;
  if (!is_lock(&self->err) || dr__pg_state(steps->pg) == DR_PG_LOST)
    give_up(steps);
  else
    dr__pg_steps_go(steps, &(dr_pg_step){.sql = "ROLLBACK; " DR_MIGRATE_OWN_ROLE "; RESET ALL",
                                         .next = on_rolled_back});
}
