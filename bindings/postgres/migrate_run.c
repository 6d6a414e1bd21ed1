/* migrate_run.c - see migrate_run.h: from the reviewed files to the last record. Called through the
 * gate and from callbacks, on the runtime's thread; the files are read by a worker.
 *
 * What was reviewed is what runs: the arguments hold the hash of each file, the files are read once
 * more and must have it, and what is pending is decided once more under the lock and must have been
 * reviewed.
 */
#include "migrate_run.h"

#include "migrate.h"
#include "migrate_plan.h"
#include "work.h"

#include "core/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *entry, const char *key) {
  const char *text = json_string_value(json_object_get(entry, key));
  return text ? text : "";
}

static void free_run(void *data) {
  dr_migrate *self = data;
  dr__pg_close(self->other);
  dr__migration_files_free(&self->files);
  dr__migrate_message_free(&self->message);
  json_decref(self->rows);
  json_decref(self->families);
  json_decref(self->todo);
  json_decref(self->applied);
  dr_err_clear(&self->err);
  free(self);
}

/* ------------------------------------------------------------ ends */

void dr__migrate_fail(dr_pg_steps *steps, dr_err *err) {
  dr_err own = DR_ERR_INIT; /* err may be part of what is freed */
  dr__err_move(&own, err);
  dr__pg_steps_fail(steps, &own);
}

void dr__migrate_place(const dr_migrate *self, size_t statement, dr_err *err) {
  char message[2 * sizeof err->message];
  const dr_sql_script *script = &self->file->script;
  if (strcmp(err->code, "cancelled") == 0 || strcmp(err->code, "out_of_memory") == 0) return;
  if (statement < self->file->end)
    snprintf(message, sizeof message, "%.900s:%d: %s", self->file->path,
             script->statements[statement].line, err->message);
  else
    snprintf(message, sizeof message, "%.900s, at the end of its transaction: %s", self->file->path,
             err->message);
  dr__copy_text(err->message, sizeof err->message, message);
}

/* The server was sent more than the statement: the detail ends with the statement alone. */
static void show_statement(const dr_migrate *self, size_t statement, dr_err *err) {
  static const char mark[] = "statement: ";
  const char *old = err->detail ? err->detail : "";
  const char *at = strstr(old, mark);
  size_t kept = at ? (size_t)(at - old) : strlen(old);
  char *sql = statement < self->file->end ? dr__sql_text(&self->file->script, statement) : NULL;
  char *text = NULL;
  int length = sql ? asprintf(&text, "%.*s%s%s%.2000s%s", (int)kept, old,
                              kept > 0 && old[kept - 1] != '\n' ? "\n" : "", mark, sql,
                              strlen(sql) > 2000 ? " …" : "")
                   : -1;
  if (length > 0) dr__err_detail(err, text, (size_t)length);
  if (length > 0) free(text);
  free(sql);
}

void dr__migrate_fail_at(dr_pg_steps *steps, size_t statement, dr_err *err) {
  show_statement(steps->data, statement, err);
  dr__migrate_place(steps->data, statement, err);
  dr__migrate_fail(steps, err);
}

void dr__migrate_send(dr_pg_steps *steps, char *sql, dr_pg_next next) {
  dr__pg_steps_go(steps, &(dr_pg_step){.text = sql, .next = next});
}

/* ------------------------------------------------------------ the file at hand */

static const char *version_at_hand(const dr_migrate *self) {
  return json_string_value(json_array_get(self->todo, self->at));
}

const json_t *dr__migrate_row(const dr_migrate *self) {
  return dr__migration_find(self->rows, version_at_hand(self));
}

const json_t *dr__migrate_judged(const dr_migrate *self, size_t statement) {
  const json_t *entry = dr__migration_find(dr__arg(self->op, "run"), version_at_hand(self));
  if (!entry) { /* what goes down comes newest first */
    size_t i;
    const json_t *one, *run = dr__arg(self->op, "run");
    json_array_foreach(run, i, one) {
      if (dr__version_compare(text_of(one, "version"), version_at_hand(self)) == 0) entry = one;
    }
  }
  return json_array_get(json_object_get(entry, "statements"), statement);
}

bool dr__migrate_blocks(const dr_migrate *self, size_t statement) {
  const char *blocks = text_of(dr__migrate_judged(self, statement), "blocks");
  return strcmp(blocks, "reads") == 0 || strcmp(blocks, "writes") == 0;
}

char *dr__migrate_mark_text(const dr_migrate *self, size_t done, int64_t running, double seconds,
                            dr_err *err) {
  const json_t *row = dr__migrate_row(self);
  bool together = self->file->steps[self->step].kind == DR_STEP_TOGETHER;
  const dr_migrate_mark mark = {.file = self->file,
                                .version = row ? text_of(row, "version") : self->file->name.version,
                                .done = done,
                                .running = running,
                                .seconds = seconds,
                                .first = !row && self->step == 0 && together,
                                .by = self->by};
  return dr__migrate_record(&mark, err);
}

double dr__migrate_left(const dr_migrate *self) {
  double left =
      dr__arg_number(self->op, "timeout", 3600) - (double)(uv_hrtime() - self->began_ns) / 1e9;
  return left > 0.001 ? left : 0.001;
}

/* ------------------------------------------------------------ from step to step */

static void begin_step(dr_pg_steps *steps) {
  dr_migrate *self = steps->data;
  self->attempt = 1;
  self->begun = false;
  if (self->file->steps[self->step].kind == DR_STEP_TOGETHER)
    dr__migrate_together_go(steps);
  else
    dr__migrate_alone_go(steps);
}

static json_t *result_of(const dr_migrate *self) {
  return json_pack("{s:O, s:f}", "applied", self->applied, "seconds",
                   (double)(uv_hrtime() - self->began_ns) / 1e9);
}

static bool is_down(const dr_migrate *self) {
  return strcmp(dr__arg_string(self->op, "direction", "up"), "down") == 0;
}

/* The statements of the file that a run before this one has done. */
static size_t done_before(const dr_migrate *self) {
  const json_t *row = dr__migrate_row(self);
  bool same = strcmp(text_of(row, "direction"), is_down(self) ? "down" : "up") == 0;
  size_t done = same ? (size_t)json_integer_value(json_object_get(row, "done")) : 0;
  return done < self->file->end ? done : 0; /* a whole one, about to be taken back */
}

/* The files come in the order of the versions to be done, so the next one is right behind. */
static dr_migration_file *file_of(const dr_migrate *self, const char *version) {
  size_t next = self->file ? (size_t)(self->file - self->files.list) + 1 : 0;
  for (size_t i = 0; i < self->files.count; i++) {
    dr_migration_file *file = &self->files.list[(next + i) % self->files.count];
    if (dr__version_compare(file->name.version, version) == 0) return file;
  }
  return NULL;
}

static void begin_file(dr_pg_steps *steps) {
  dr_migrate *self = steps->data;
  size_t count = json_array_size(self->todo);
  if (self->at >= count) {
    dr__pg_steps_done(steps, result_of(self));
    return;
  }
  self->file = file_of(self, version_at_hand(self));
  self->file_began_ns = uv_hrtime();
  size_t done = done_before(self);
  for (self->step = 0;
       self->step + 1 < self->file->step_count &&
       self->file->steps[self->step].first + self->file->steps[self->step].count <= done;)
    self->step++;
  dr__op_progress(self->op, "%zu of %zu: %s", self->at + 1, count, self->file->path);
  begin_step(steps);
}

static int note_applied(dr_migrate *self) {
  json_t *entry = json_pack("{s:s, s:s, s:f}", "version", self->file->name.version, "name",
                            self->file->name.name, "seconds",
                            (double)(uv_hrtime() - self->file_began_ns) / 1e9);
  return json_array_append_new(self->applied, entry);
}

void dr__migrate_step_done(dr_pg_steps *steps) {
  dr_migrate *self = steps->data;
  dr_err err = DR_ERR_INIT;
  dr__migrate_message_free(&self->message);
  if (++self->step < self->file->step_count) {
    begin_step(steps);
  } else if (note_applied(self) != 0) {
    dr__err_nomem(&err);
    dr__migrate_fail(steps, &err);
  } else {
    self->at++;
    begin_file(steps);
  }
}

/* ----------------------------------------------------------- deciding once more, under the lock */

/* Every version of `now` was reviewed; `reviewed` are versions, or entries that have one. */
static int check_reviewed(const json_t *now, const json_t *reviewed, const char *what,
                          dr_err *err) {
  bool entries = json_is_object(json_array_get(reviewed, 0));
  size_t i;
  const json_t *one;
  json_array_foreach(now, i, one) {
    const char *version = json_string_value(one);
    bool found =
        entries ? dr__migration_find(reviewed, version) != NULL : dr__version_in(reviewed, version);
    if (found) continue;
    dr__fail(err, "postgres.migration_changed",
             "%s is %s now, and was not when this was reviewed: the database has changed meanwhile",
             version, what);
    dr__err_hint(err, "nothing was changed; look at the plan once more, and run it again");
    return DR_FAILED;
  }
  return DR_OK;
}

/* Of half-applied files: are the statements that were begun those of the file? */
static int judge_half(const dr_migrate *self, json_t *files, dr_err *err) {
  for (size_t i = 0; i < self->files.count; i++) {
    const dr_migration_file *file = &self->files.list[i];
    const json_t *row = dr__migration_find(self->rows, file->name.version);
    int same = dr__migration_begun(file, row, err);
    if (same < 0) return DR_FAILED;
    json_t *entry = dr__migration_find(files, file->name.version);
    if (same < 2 && json_object_set_new(entry, "begun", json_boolean(same)) != 0)
      return dr__err_nomem(err);
  }
  return DR_OK;
}

/* What is to be done now; new reference, or NULL with err filled. */
static json_t *plan_now(dr_migrate *self, dr_err *err) {
  const dr_op *op = self->op;
  json_t *files = json_deep_copy(dr__arg(op, "files")), *plan = NULL;
  int status = files ? judge_half(self, files, err) : dr__err_nomem(err);
  if (status == DR_OK)
    plan = is_down(self) ? dr__migrations_down(files, self->rows, op->args, err)
                         : dr__migrations_up(files, self->rows, op->args, err);
  json_decref(files);
  if (!plan) return NULL;
  status = check_reviewed(json_object_get(plan, "run"), dr__arg(op, "run"), "pending", err);
  if (status == DR_OK)
    status = check_reviewed(json_object_get(plan, "baseline"), dr__arg(op, "baseline"),
                            "to be marked", err);
  if (status == DR_OK)
    status = check_reviewed(json_object_get(plan, "edited"), dr__arg(op, "edited"), "edited", err);
  if (status == DR_OK) return plan;
  json_decref(plan);
  return NULL;
}

static void on_marked(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  (void)answer;
  if (err)
    dr__migrate_fail(steps, err);
  else
    begin_file(steps);
}

static bool put_taken(FILE *out, char *sql) {
  if (sql) fprintf(out, "%s;", sql);
  free(sql);
  return sql != NULL;
}

/* The records that need no statements: one transaction. malloc'd, NULL when memory is short. */
static char *marks_of(const dr_migrate *self, const json_t *plan) {
  char *text = NULL;
  size_t size = 0, i;
  const json_t *version, *files = dr__arg(self->op, "files");
  FILE *out = open_memstream(&text, &size);
  if (!out) return NULL;
  bool well = true;
  fputs("BEGIN;", out);
  json_array_foreach(json_object_get(plan, "baseline"), i, version) {
    const json_t *file = dr__migration_find(files, json_string_value(version));
    well = well && put_taken(out, dr__migrate_baseline(file, self->by));
  }
  json_array_foreach(json_object_get(plan, "edited"), i, version) {
    const json_t *file = dr__migration_find(files, json_string_value(version));
    const json_t *row = dr__migration_find(self->rows, json_string_value(version));
    well = well &&
           put_taken(out, dr__migrate_rehash(text_of(row, "version"), text_of(file, "sha256")));
  }
  fputs("COMMIT", out);
  well = !ferror(out) && well;
  if (fclose(out) == 0 && well) return text;
  free(text);
  return NULL;
}

void dr__migrate_decide(dr_pg_steps *steps) {
  dr_migrate *self = steps->data;
  dr_err err = DR_ERR_INIT;
  json_t *plan = plan_now(self, &err);
  if (!plan) {
    dr__migrate_fail(steps, &err);
    return;
  }
  self->todo = json_incref(json_object_get(plan, "run"));
  bool marks = json_array_size(json_object_get(plan, "baseline")) +
                   json_array_size(json_object_get(plan, "edited")) >
               0;
  if (marks)
    dr__migrate_send(steps, marks_of(self, plan), on_marked);
  else
    begin_file(steps);
  json_decref(plan);
}

/* ------------------------------------------------------------ the beginning */

/* Else a backslash in a text would end it elsewhere than where it was reviewed. */
static bool reads_as_reviewed(const dr_pg *pg, dr_err *err) {
  const char *setting = dr__pg_setting(pg, "standard_conforming_strings");
  if (!setting || strcmp(setting, "off") != 0) return true;
  dr__fail(err, "postgres.migration_file",
           "this database has standard_conforming_strings = off, and would read the texts of the "
           "files otherwise than they were reviewed");
  dr__err_hint(err, "ALTER DATABASE … (or the role) SET standard_conforming_strings = on");
  return false;
}

static void on_connected(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  dr_err odd = DR_ERR_INIT;
  (void)answer;
  if (err)
    dr__migrate_fail(steps, err);
  else if (!reads_as_reviewed(steps->pg, &odd))
    dr__migrate_fail(steps, &odd);
  else
    dr__migrate_check_pool(steps);
}

static int check_hash(const dr_migration_file *file, const json_t *reviewed, dr_err *err) {
  if (strcmp(file->script.hash, text_of(reviewed, "sha256")) == 0) return DR_OK;
  dr__fail(err, "postgres.migration_changed", "%s was edited after it was reviewed", file->path);
  dr__err_hint(err, "nothing was changed; look at the plan once more, and run it again");
  return DR_FAILED;
}

typedef struct reading {
  json_t *asked; /* {dir, run: [{file, sha256}]}: the worker's own */
  dr_migration_files files;
} reading;

/* New reference, NULL when memory is short. */
static json_t *what_to_read(const dr_op *op) {
  json_t *run = json_array();
  size_t i;
  const json_t *entry;
  int failed = run ? 0 : -1;
  json_array_foreach(dr__arg(op, "run"), i, entry)
    failed |= json_array_append_new(run, json_pack("{s:s, s:s}", "file", text_of(entry, "file"),
                                                   "sha256", text_of(entry, "sha256")));
  json_t *asked =
      failed ? NULL : json_pack("{s:s, s:O}", "dir", dr__arg_string(op, "dir", ""), "run", run);
  json_decref(run);
  return asked;
}

static void free_reading(void *data) {
  reading *self = data;
  json_decref(self->asked);
  dr__migration_files_free(&self->files);
  free(self);
}

/* On the worker: the files that were reviewed, read once more. */
static int act_read(dr_work *work) {
  reading *self = work->data;
  const json_t *run = json_object_get(self->asked, "run");
  size_t count = json_array_size(run);
  self->files.list = calloc(count + 1, sizeof *self->files.list);
  if (!self->files.list) return dr__err_nomem(&work->err);
  int status = DR_OK;
  while (status == DR_OK && self->files.count < count && !atomic_load(&work->stop)) {
    const json_t *one = json_array_get(run, self->files.count);
    dr_migration_file *file = &self->files.list[self->files.count++];
    status =
        dr__migration_load(file, text_of(self->asked, "dir"), text_of(one, "file"), &work->err);
    if (status == DR_OK) status = check_hash(file, one, &work->err);
  }
  return status;
}

static void write_by(char *by, size_t size) {
  char host[64] = "?";
  size_t length = sizeof host;
  uv_passwd_t user;
  uv_os_gethostname(host, &length);
  bool known = uv_os_get_passwd(&user) == 0;
  snprintf(by, size, "%.60s@%s", known ? user.username : "?", host);
  if (known) uv_os_free_passwd(&user);
}

static int begin(dr_op *op, reading *read, dr_err *err) {
  dr_migrate *self = calloc(1, sizeof *self);
  const dr_pg_steps_options options = {.alone = true};
  if (!self) return dr__err_nomem(err);
  self->op = op;
  self->began_ns = uv_hrtime();
  self->files = read->files;
  memset(&read->files, 0, sizeof read->files);
  write_by(self->by, sizeof self->by);
  if (!(self->applied = json_array())) {
    free_run(self);
    return dr__err_nomem(err);
  }
  dr_pg_steps *steps = dr__pg_steps_new(op, self, free_run, &options, err);
  return steps ? dr__pg_steps_connect(steps, on_connected, err) : DR_FAILED;
}

static void after_read(dr_op *op, dr_work *work) {
  dr_err err = DR_ERR_INIT;
  if (begin(op, work->data, &err) != DR_OK) dr__op_fail(op, &err);
}

static bool is_empty(const dr_op *op, const char *list) {
  return json_array_size(dr__arg(op, list)) == 0;
}

int dr__migrate_start(dr_op *op, dr_err *err) {
  if (is_empty(op, "run") && is_empty(op, "baseline") && is_empty(op, "edited")) {
    dr__op_done(op, json_pack("{s:[], s:f}", "applied", "seconds", 0.0));
    return DR_OK;
  }
  reading *read = calloc(1, sizeof *read);
  if (!read || !(read->asked = what_to_read(op))) {
    free(read);
    return dr__err_nomem(err);
  }
  return dr__work_start(op, act_read, after_read, read, free_reading, err);
}
