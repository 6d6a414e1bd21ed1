/* migrate_alone.c - a statement that cannot be inside a transaction block. It cannot be recorded in
 * the moment it is done either, so it is recorded twice: that it begins, and that it is done. A run
 * that finds it begun looks what became of it. Called from callbacks, on the runtime's thread.
 *
 *   CREATE INDEX CONCURRENTLY   no index: build it. A valid one: it was built. An invalid one: the
 *                               build failed or was cut off; it is dropped and built again. One
 *                               that is there before this migration began is not touched.
 *   DO, CALL with a COMMIT      nobody can say how far it came: refused, unless the recipe has
 *                               accept_begun for its version, which runs it again from its start.
 *   all others                  run again; "it is there already" or "it is not there" then means
 *                               that it was done.
 */
#include "migrate_plan.h"
#include "migrate_run.h"

#include "core/err.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOTICES_LOSS = 140000 /* client_connection_check_interval */ };

static const dr_migration_step *step_of(const dr_migrate *self) {
  return &self->file->steps[self->step];
}

static void done(dr_pg_steps *steps, double seconds);

/* ------------------------------------------------------------ the statement itself */

/* It was begun before, and the server says that there is nothing left to do. */
static bool was_done(const dr_migrate *self, const char *sqlstate) {
  static const char *const states[] = {"42P04", "42710", "42P07", "42701", /* it is there */
                                       "3D000", "42704", "42P01", "42703" /* it is not there */};
  bool tells = self->begun && step_of(self)->kind != DR_STEP_BLOCK;
  for (size_t i = 0; tells && i < sizeof states / sizeof *states; i++)
    if (strcmp(sqlstate, states[i]) == 0) return true;
  return false;
}

static void add_hint(const dr_migrate *self, dr_err *err) {
  const dr_migration_step *step = step_of(self);
  if (step->kind == DR_STEP_INDEX)
    dr__err_hint(err,
                 "it may have left the invalid index %s; the next run drops that and goes on "
                 "here. What stands before it in the file is applied",
                 step->index);
  else if (step->kind == DR_STEP_BLOCK)
    dr__err_hint(err,
                 "what it had committed stays, as does what stands before it in the file. Look how "
                 "far it came; accept_begun = { \"%s\" } runs it again from its beginning",
                 self->file->name.version);
  else
    dr__err_hint(err, "what stands before it in the file is applied; the next run goes on here");
}

static void on_noted(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  dr_migrate *self = steps->data;
  dr_err how = DR_ERR_INIT;
  (void)answer;
  if (err) dr_err_clear(err); /* the first error is told */
  dr__err_move(&how, &self->err);
  if (step_of(self)->kind == DR_STEP_BLOCK)
    dr__migrate_fail_at(steps, step_of(self)->first, &how); /* twice may be once too often */
  else
    dr__migrate_failed(steps, step_of(self)->first, &how, dr__migrate_alone_go);
}

/* It failed, and is not under way any more: so a later "it is there already" is none of ours. What
 * a build of an index or a block leaves behind is, whatever became of it. */
static void note_failure(dr_pg_steps *steps, dr_err *err) {
  dr_migrate *self = steps->data;
  char *sql = NULL, *record = NULL;
  size_t first = step_of(self)->first;
  dr__err_move(&self->err, err);
  self->begun = step_of(self)->kind != DR_STEP_ALONE;
  bool idle = dr__pg_state(steps->pg) == DR_PG_IDLE;
  if (!self->begun && idle) record = dr__migrate_mark_text(self, first, -1, 0, err);
  if (record && asprintf(&sql, DR_MIGRATE_OWN_ROLE "; RESET ALL; %s", record) < 0) sql = NULL;
  free(record);
  if (sql)
    dr__migrate_send(steps, sql, on_noted);
  else
    on_noted(steps, NULL, NULL);
}

static void on_ran(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  dr_migrate *self = steps->data;
  (void)answer;
  double seconds = (double)(uv_hrtime() - self->step_began_ns) / 1e9;
  if (!err) {
    done(steps, seconds);
  } else if (was_done(self, dr__pg_sqlstate(steps->pg)) && strcmp(err->code, "cancelled") != 0) {
    dr__op_log(self->op, "%s:%d was done by a run that was cut off: %s", self->file->path,
               self->file->script.statements[step_of(self)->first].line, err->message);
    dr_err_clear(err);
    done(steps, seconds);
  } else {
    if (!err->hint[0] || step_of(self)->kind != DR_STEP_ALONE) add_hint(self, err);
    note_failure(steps, err);
  }
}

static void run(dr_pg_steps *steps) {
  dr_migrate *self = steps->data;
  const dr_sql_statement *statement = &self->file->script.statements[step_of(self)->first];
  self->step_began_ns = uv_hrtime();
  dr__pg_steps_go(steps,
                  &(dr_pg_step){.text = dr__sql_text(&self->file->script, step_of(self)->first),
                                .line = statement->line,
                                .timeout_s = dr__migrate_left(self),
                                .next = on_ran});
}

static void on_begun(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  (void)answer;
  if (err)
    dr__migrate_fail(steps, err);
  else
    run(steps);
}

/* A lock that nobody waits behind may take its time. */
static dr_migrate_settings settings_of(const dr_migrate *self) {
  bool blocks = dr__migrate_blocks(self, step_of(self)->first);
  return (dr_migrate_settings){
      .lock_ms = blocks ? (int64_t)(dr__arg_number(self->op, "lock_timeout", 2) * 1000) : 0,
      .statement_ms = (int64_t)(dr__arg_number(self->op, "statement_timeout", 0) * 1000)};
}

static void record_begin(dr_pg_steps *steps) {
  dr_migrate *self = steps->data;
  dr_err err = DR_ERR_INIT;
  const dr_migrate_settings settings = settings_of(self);
  size_t first = step_of(self)->first;
  char *record = dr__migrate_mark_text(self, first, (int64_t)first, 0, &err);
  if (!record) {
    dr__migrate_fail(steps, &err);
    return;
  }
  char *sql =
      dr__migrate_before_alone(&settings, record, dr__pg_server_version(steps->pg) >= NOTICES_LOSS);
  free(record);
  dr__migrate_send(steps, sql, on_begun);
}

static void on_recorded(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  (void)answer;
  if (err)
    dr__migrate_fail(steps, err);
  else
    dr__migrate_step_done(steps);
}

/* A setting that the statement changed must not stand in the record's way. */
static void done(dr_pg_steps *steps, double seconds) {
  dr_migrate *self = steps->data;
  dr_err err = DR_ERR_INIT;
  char *sql = NULL;
  char *record = dr__migrate_mark_text(self, step_of(self)->first + 1, -1, seconds, &err);
  if (!record) {
    dr__migrate_fail(steps, &err);
    return;
  }
  if (asprintf(&sql, DR_MIGRATE_OWN_ROLE "; RESET ALL; %s", record) < 0) sql = NULL;
  free(record);
  dr__migrate_send(steps, sql, on_recorded);
}

/* ------------------------------------------------------------ an index */

static void on_dropped(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  const dr_migrate *self = steps->data;
  (void)answer;
  if (err)
    dr__migrate_failed(steps, step_of(self)->first, err, dr__migrate_alone_go);
  else
    record_begin(steps);
}

static void drop_invalid(dr_pg_steps *steps) {
  dr_migrate *self = steps->data;
  char *sql = NULL;
  dr__op_log(self->op,
             "the index %s is invalid, of a build that failed or was cut off: it is "
             "dropped and built again",
             step_of(self)->index);
  if (asprintf(&sql, "DROP INDEX CONCURRENTLY %s", step_of(self)->index) < 0) sql = NULL;
  dr__pg_steps_go(
      steps, &(dr_pg_step){.text = sql, .timeout_s = dr__migrate_left(self), .next = on_dropped});
}

static void refuse_invalid(dr_pg_steps *steps) {
  const dr_migrate *self = steps->data;
  dr_err err = DR_ERR_INIT;
  dr__fail(&err, "postgres.invalid_index",
           "the index %s is there and is invalid, but not by this migration", step_of(self)->index);
  dr__err_hint(&err,
               "when nobody is building it (pg_stat_progress_create_index), DROP INDEX "
               "CONCURRENTLY %s and run it again",
               step_of(self)->index);
  dr__migrate_fail_at(steps, step_of(self)->first, &err);
}

static void on_index(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  dr_migrate *self = steps->data;
  if (err) {
    dr__migrate_fail(steps, err);
    return;
  }
  const char *valid = dr__pg_field(answer, 0, "valid");
  if (!valid) {
    record_begin(steps);
  } else if (valid[0] != 't') {
    if (self->begun)
      drop_invalid(steps);
    else
      refuse_invalid(steps);
  } else if (self->begun) {
    dr__op_log(self->op, "the index %s was built by a run that was cut off", step_of(self)->index);
    done(steps, 0);
  } else {
    run(steps); /* the server says that it is there, or passes over it where the statement allows */
  }
}

static void look_for_index(dr_pg_steps *steps) {
  const dr_migrate *self = steps->data;
  char *sql = NULL, *name = dr__migrate_literal(step_of(self)->index);
  if (!name || asprintf(&sql,
                        "SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = "
                        "to_regclass(%s)",
                        name) < 0)
    sql = NULL;
  free(name);
  dr__migrate_send(steps, sql, on_index);
}

/* The first attempt of this run: a run before it may have begun the statement. */
static void note_begun(dr_migrate *self) {
  const json_t *running = json_object_get(dr__migrate_row(self), "running");
  if (json_is_integer(running) && json_integer_value(running) == (json_int_t)step_of(self)->first)
    self->begun = true;
}

static void refuse_begun(dr_pg_steps *steps) {
  const dr_migrate *self = steps->data;
  dr_err err = DR_ERR_INIT;
  dr__fail(&err, "postgres.migration_begun",
           "a run that was cut off, or failed, has begun this block, which commits by itself: how "
           "far it came cannot be known");
  add_hint(self, &err);
  dr__migrate_fail_at(steps, step_of(self)->first, &err);
}

void dr__migrate_alone_go(dr_pg_steps *steps) {
  dr_migrate *self = steps->data;
  if (self->attempt == 1) note_begun(self);
  bool accepted = dr__version_in(dr__arg(self->op, "accept_begun"), self->file->name.version);
  if (step_of(self)->kind == DR_STEP_INDEX)
    look_for_index(steps);
  else if (step_of(self)->kind == DR_STEP_BLOCK && self->begun && !accepted)
    refuse_begun(steps);
  else
    record_begin(steps);
}
