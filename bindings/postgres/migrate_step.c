/* migrate_step.c - a step that is one transaction: its statements and its record go to the server
 * in one message, from BEGIN to COMMIT. Called from callbacks, on the runtime's thread.
 *
 * Which statement failed is known by how many were answered before it.
 */
#include "migrate_run.h"

#include "core/err.h"

#include <stdlib.h>
#include <string.h>

static const dr_migration_step *step_of(const dr_migrate *self) {
  return &self->file->steps[self->step];
}

/* The statement that was under way when the message failed. */
static size_t failed_statement(const dr_migrate *self) {
  const dr_migration_step *step = step_of(self);
  for (size_t i = self->answered; i < self->message.owners; i++)
    if (self->message.owner[i] >= 0) return (size_t)self->message.owner[i];
  return step->first + step->count;
}

static void on_answer(dr_pg_steps *steps, const dr_pg_answer *answer) {
  dr_migrate *self = steps->data;
  (void)answer;
  self->answered++;
}

static void on_done(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  dr_migrate *self = steps->data;
  (void)answer;
  if (err)
    dr__migrate_failed(steps, failed_statement(self), err, dr__migrate_together_go);
  else
    dr__migrate_step_done(steps);
}

/* A table with its children. Found by the name alone: of two in different schemas the families are
 * added up, which makes the parts of the wait too small at worst. */
static size_t family_size(const dr_migrate *self, const char *table) {
  size_t i, size = 1, length = strlen(table);
  const json_t *family;
  json_array_foreach(self->families, i, family) {
    const char *name = json_string_value(json_object_get(family, "name"));
    size_t tail = strlen(name);
    bool same = tail <= length && strcmp(table + length - tail, name) == 0 &&
                (tail == length || table[length - tail - 1] == '.');
    if (same) size += (size_t)json_integer_value(json_object_get(family, "members"));
  }
  return size;
}

/* How many tables each statement of the file waits for while others wait behind it; malloc'd, NULL
 * when memory is short. */
static size_t *waits_of(const dr_migrate *self) {
  const dr_migration_step *step = step_of(self);
  size_t *waits = calloc(self->file->script.count, sizeof *waits);
  for (size_t i = step->first; waits && i < step->first + step->count; i++) {
    const json_t *on = json_object_get(dr__migrate_judged(self, i), "on"), *table;
    size_t k;
    if (!dr__migrate_blocks(self, i)) continue;
    json_array_foreach(on, k, table) waits[i] += family_size(self, json_string_value(table));
    if (waits[i] == 0) waits[i] = 1;
  }
  return waits;
}

static int compose(dr_migrate *self, dr_err *err) {
  const dr_migration_step *step = step_of(self);
  const dr_migrate_settings settings = {
      .lock_ms = (int64_t)(dr__arg_number(self->op, "lock_timeout", 2) * 1000),
      .statement_ms = (int64_t)(dr__arg_number(self->op, "statement_timeout", 0) * 1000)};
  char *record = dr__migrate_mark_text(self, step->first + step->count, -1, -1, err);
  if (!record) return DR_FAILED;
  size_t *waits = waits_of(self);
  int status =
      waits ? dr__migrate_together(&self->message, self->file, step, &settings, waits, record)
            : DR_FAILED;
  free(waits);
  free(record);
  return status == DR_OK ? DR_OK : dr__err_nomem(err);
}

void dr__migrate_together_go(dr_pg_steps *steps) {
  dr_migrate *self = steps->data;
  dr_err err = DR_ERR_INIT;
  if (!self->message.sql && compose(self, &err) != DR_OK) {
    dr__migrate_fail(steps, &err);
    return;
  }
  self->answered = 0;
  dr__pg_steps_go(steps, &(dr_pg_step){.sql = self->message.sql,
                                       .line = self->message.line,
                                       .timeout_s = dr__migrate_left(self),
                                       .on_answer = on_answer,
                                       .next = on_done});
}
