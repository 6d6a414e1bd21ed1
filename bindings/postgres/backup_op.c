/* backup_op.c - the op postgres.backup: one database into files of a folder on this machine.
 *
 * Called by the gate and by the loop, on the runtime's thread. In order: the server is asked who it
 * is, and pg_dump, which must not be older; a transaction of ours locks the tables for reading, so
 * that nobody empties or drops one meanwhile, and exports its snapshot; pg_dump writes that
 * snapshot into a pipe, whose other end a thread compresses, hashes and writes, while our
 * connection counts the same snapshot's rows; pg_dumpall writes the roles; a thread brings all to
 * the disk and names it. Whatever fails, the partial files are removed.
 */
#include "backup.h"

#include "backup_database.h"
#include "backup_files.h"
#include "backup_manifest.h"
#include "backup_stream.h"
#include "core/err.h"
#include "sha256.h"
#include "text.h"
#include "transfer/transfer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOCK_WAIT_S = 30, LOCK_ATTEMPTS = 5, PIPE = 1024 * 1024 };

const dr_arg dr__backup_args[] = {DR_PG_DB_ARG,
                                  {"dir", DR_ARG_STRING, DR_REQUIRED},
                                  {"globals", DR_ARG_BOOLEAN, 0},
                                  {"role_passwords", DR_ARG_BOOLEAN, 0},
                                  {"lock_timeout", DR_ARG_DURATION, 0},
                                  DR_BACKUP_TOOLS_ARGS,
                                  {0}};

typedef struct backup {
  char *dir;
  char *database;
  char *globals; /* text, or NULL */
  char *text;    /* of the manifest */
  json_t *manifest;
  json_t *properties;
  char server[33], pg_dump[33], cluster[33], snapshot[64];
  int major;     /* of the server */
  int64_t taken; /* ms */
  uint64_t begun_ms;
  dr_backup_draft draft;
  dr_backup_stream stream;
  bool counted;
  int attempt; /* to lock the tables */
  dr_backup_next on_locked;
} backup;

static void free_backup(void *data) {
  backup *self = data;
  dr__backup_draft_close(&self->draft);
  if (self->stream.input >= 0) close(self->stream.input);
  json_decref(self->manifest);
  json_decref(self->properties);
  free(self->dir);
  free(self->database);
  free(self->globals);
  free(self->text);
  free(self);
}

static void clean(dr_backup_job *job) {
  backup *self = job->data;
  dr__backup_draft_close(&self->draft);
  dr__backup_job_end(job);
}

/* ------------------------------------------------------------ the words */

static double lock_wait(const dr_op *op) {
  return dr__arg_number(op, "lock_timeout", LOCK_WAIT_S);
}

static json_t *dump_words(const dr_op *op, const char *snapshot) {
  return json_pack("[s, s, s, s, o, o]", "pg_dump", "--format=custom", "--compress=0",
                   "--no-password", json_sprintf("--lock-wait-timeout=%.0f", lock_wait(op) * 1000),
                   json_sprintf("--snapshot=%s", snapshot));
}

static json_t *globals_words(const dr_op *op) {
  json_t *words = json_pack("[s, s, s]", "pg_dumpall", "--globals-only", "--no-password");
  if (!dr__arg_boolean(op, "role_passwords", false))
    json_array_append_new(words, json_string("--no-role-passwords"));
  return words;
}

static void add_command(dr_text *text, const dr_op *op, json_t *words) {
  json_array_append_new(words, dr__backup_dbname(dr__arg(op, "db"), NULL));
  char *line = dr__shell_quote(words);
  if (line) dr__text_puts(text, line);
  free(line);
  json_decref(words);
}

char *dr__backup_preview(const dr_op *op) {
  dr_text text = {0};
  const char *dir = dr__arg_string(op, "dir", "");
  dr__text_puts(&text, dr__backup_tools_here(op) ? "on this machine: " : "");
  add_command(&text, op, dump_words(op, "…"));
  dr__text_printf(&text, " | zstd → %s/DATABASE-TIME.dump.zst on this machine", dir);
  if (dr__arg_boolean(op, "globals", true)) {
    dr__text_puts(&text, "; ");
    add_command(&text, op, globals_words(op));
    dr__text_puts(&text, " → .globals.sql");
  }
  return dr__text_take(&text);
}

static json_t *result_of(const backup *self, const char *path) {
  const json_t *archive = json_object_get(self->manifest, "archive");
  return json_pack("{s:s, s:s, s:s, s:O, s:O, s:O, s:i, s:I, s:s, s:s, s:O}", "path", path,
                   "database", self->database, "cluster", self->cluster, "bytes",
                   json_object_get(archive, "bytes"), "plain_bytes",
                   json_object_get(archive, "plain_bytes"), "sha256",
                   json_object_get(archive, "sha256"), "tables",
                   (int)json_array_size(json_object_get(self->manifest, "tables")), "rows",
                   (json_int_t)dr__backup_manifest_rows(self->manifest), "server", self->server,
                   "pg_dump", self->pg_dump, "seconds", json_object_get(self->manifest, "seconds"));
}

json_t *dr__backup_assume(const dr_op *op) {
  return json_pack("{s:o, s:s, s:s, s:i, s:i, s:s, s:i, s:i, s:s, s:s, s:f}", "path",
                   json_sprintf("%s/DATABASE-TIME.dump.zst", dr__arg_string(op, "dir", "")),
                   "database", "(unknown until then)", "cluster", "", "bytes", 0, "plain_bytes", 0,
                   "sha256", "(unknown until then)", "tables", 0, "rows", 0, "server", "",
                   "pg_dump", "", "seconds", 0.0);
}

/* ------------------------------------------------------------ the end */

static void on_kept(dr_backup_job *job) {
  const backup *self = job->data;
  char size[32], plain[32];
  char *path = NULL;
  if (asprintf(&path, "%s/%s" DR_BACKUP_DUMP, self->draft.folder, self->draft.name) < 0)
    path = NULL;
  dr__op_log(job->op, "%s: %s of %s, %lld rows of %d tables", path ? path : self->draft.name,
             dr__transfer_size(size, (double)atomic_load(&self->stream.packed)),
             dr__transfer_size(plain, (double)atomic_load(&self->stream.plain)),
             (long long)dr__backup_manifest_rows(self->manifest),
             (int)json_array_size(json_object_get(self->manifest, "tables")));
  dr__backup_job_done(job, path ? result_of(self, path) : NULL);
  free(path);
}

static int act_keep(void *data, dr_err *err) {
  backup *self = data;
  int status = self->globals ? dr__backup_draft_globals(&self->draft, self->globals, err) : DR_OK;
  return status == DR_OK ? dr__backup_draft_keep(&self->draft, self->text, err) : status;
}

static json_t *who_and_where(void) {
  char host[64] = "?";
  size_t size = sizeof host;
  uv_passwd_t user;
  bool known = uv_os_get_passwd(&user) == 0;
  uv_os_gethostname(host, &size);
  json_t *text = json_sprintf("%s@%s", known ? user.username : "?", host);
  if (known) uv_os_free_passwd(&user);
  return text;
}

static bool add_globals(const backup *self) {
  char hex[65];
  if (!self->globals) return true;
  dr__sha256_of(self->globals, strlen(self->globals), hex);
  json_t *file = json_pack("{s:I, s:s}", "bytes", (json_int_t)strlen(self->globals), "sha256", hex);
  return json_object_set_new(self->manifest, "globals", file) == 0;
}

static bool make_manifest(dr_backup_job *job) {
  backup *self = job->data;
  char taken[32];
  dr__backup_time(self->taken, taken, sizeof taken);
  double seconds = (double)(uv_now(job->loop) - self->begun_ms) / 1000;
  self->manifest =
      json_pack("{s:i, s:s, s:s, s:o, s:s, s:s, s:s, s:s, s:f, s:{s:I, s:s, s:I, s:s}, s:O, s:O}",
                "format", DR_BACKUP_FORMAT, "database", self->database, "taken", taken, "by",
                who_and_where(), "deployrun", DR_VERSION, "cluster", self->cluster, "server",
                self->server, "pg_dump", self->pg_dump, "seconds", seconds, "archive", "bytes",
                (json_int_t)atomic_load(&self->stream.packed), "sha256", self->stream.packed_sha256,
                "plain_bytes", (json_int_t)atomic_load(&self->stream.plain), "plain_sha256",
                self->stream.plain_sha256, "properties", self->properties, "tables", job->tables);
  self->text =
      self->manifest && add_globals(self) ? dr__backup_manifest_print(self->manifest) : NULL;
  return self->text != NULL;
}

static void keep(dr_backup_job *job) {
  dr_err err = DR_ERR_INIT;
  if (make_manifest(job)) {
    dr__backup_job_thread(job, act_keep, NULL, job->data, NULL, on_kept);
    return;
  }
  dr__err_nomem(&err);
  dr__backup_job_fail(job, &err);
}

static void on_globals(dr_backup_job *job, const char *output) {
  backup *self = job->data;
  self->globals = strdup(output);
  keep(job);
}

/* ------------------------------------------------------------ while it is dumped */

static void on_snapshot_over(dr_backup_job *job, const dr_pg_answer *answer) {
  (void)answer;
  dr__backup_job_close(job, DR_BACKUP_MAIN);
  if (!dr__arg_boolean(job->op, "globals", true)) {
    keep(job);
    return;
  }
  const dr_backup_words words = {
      .argv = globals_words(job->op), .connects = true, .input_fd = -1, .output_fd = -1};
  dr__backup_job_run(job, &words, on_globals);
}

/* Dump, thread and counting end in any order; the transaction was there for all of it. */
static void go_on_when_all_is_done(dr_backup_job *job) {
  const backup *self = job->data;
  if (job->program || job->thread || !self->counted) return;
  dr__backup_job_query(job, DR_BACKUP_MAIN, "COMMIT", NULL, on_snapshot_over);
}

static void on_counted(dr_backup_job *job) {
  ((backup *)job->data)->counted = true;
  go_on_when_all_is_done(job);
}

static void on_dumped(dr_backup_job *job, const char *output) {
  (void)output;
  go_on_when_all_is_done(job);
}

static int act_pack(void *data, dr_err *err) {
  return dr__backup_pack(&((backup *)data)->stream, err);
}

/* pg_dump may be held up by a full pipe: what it still writes is read, until it is stopped. */
static void drain(void *data) {
  dr__backup_drain(&((backup *)data)->stream);
}

static void pulse(dr_backup_job *job) {
  const backup *self = job->data;
  char size[32], plain[32];
  if (job->thread)
    dr__op_progress(job->op, "%s dumped, %s written",
                    dr__transfer_size(plain, (double)atomic_load(&self->stream.plain)),
                    dr__transfer_size(size, (double)atomic_load(&self->stream.packed)));
}

static void dump(dr_backup_job *job) {
  backup *self = job->data;
  dr_err err = DR_ERR_INIT;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    dr__fail(&err, "backup.setup", "no pipe could be made");
    dr__backup_job_fail(job, &err);
    return;
  }
  (void)fcntl(ends[1], F_SETPIPE_SZ, PIPE); /* a smaller one is slower, no more */
  self->stream.input = ends[0];
  self->stream.output = self->draft.fd;
  dr__backup_job_thread(job, act_pack, drain, self, &self->stream.stop, go_on_when_all_is_done);
  const dr_backup_words words = {.argv = dump_words(job->op, self->snapshot),
                                 .connects = true,
                                 .input_fd = -1,
                                 .output_fd = ends[1]};
  if (job->failing) {
    close(ends[1]);
    json_decref(words.argv);
    return;
  }
  dr__backup_job_run(job, &words, on_dumped);
  if (!job->failing) dr__backup_count(job, DR_BACKUP_MAIN, on_counted);
}

/* ------------------------------------------------------------ the files */

static void on_draft(dr_backup_job *job) {
  dump(job);
}

static int act_draft(void *data, dr_err *err) {
  backup *self = data;
  return dr__backup_draft_open(&self->draft, self->dir, self->database, self->taken, err);
}

static void on_locked_again(dr_backup_job *job) {
  dr__backup_job_thread(job, act_draft, NULL, job->data, NULL, on_draft);
}

/* ------------------------------------------------------------ the tables and their moment */

static void begin(dr_backup_job *job);

static void on_holders(dr_backup_job *job, const dr_pg_answer *answer) {
  dr_err err = DR_ERR_INIT;
  dr_text who = {0};
  for (size_t i = 0; i < answer->rows; i++)
    dr__text_printf(&who, "%s\n", dr__pg_text(answer, i, 0));
  dr__fail(&err, "backup.locked", "the tables could not be locked for reading within %g s",
           lock_wait(job->op));
  dr__err_hint(&err, "nothing was written; end that transaction, choose a quieter time, or say a "
                     "longer lock_timeout");
  if (who.bytes) dr__err_detail(&err, who.bytes, who.length);
  dr__text_free(&who);
  dr__backup_job_fail(job, &err);
}

static void on_rolled_back(dr_backup_job *job, const dr_pg_answer *answer) {
  (void)answer;
  begin(job);
}

/* A table may have gone since it was listed. */
static void on_lock_tried(dr_backup_job *job, const dr_pg_answer *answer) {
  backup *self = job->data;
  const char *why = job->refusal.message;
  if (answer)
    self->on_locked(job);
  else if (strcmp(job->refusal.code, "postgres.timeout") == 0)
    dr__backup_job_query(job, DR_BACKUP_MAIN, dr__backup_sql_holders, NULL, on_holders);
  else if ((strstr(why, "42P01") || strstr(why, "3F000")) && ++self->attempt < LOCK_ATTEMPTS)
    dr__backup_job_query(job, DR_BACKUP_MAIN, "ROLLBACK", NULL, on_rolled_back);
  else
    dr__backup_job_fail(job, &job->refusal);
}

/* The bound is for all of them together. */
static void lock(dr_backup_job *job, dr_backup_next next) {
  dr_text text = {0};
  size_t i;
  json_t *table;
  ((backup *)job->data)->on_locked = next;
  dr__text_printf(&text, "SET LOCAL statement_timeout = %.0f; LOCK TABLE",
                  lock_wait(job->op) * 1000);
  json_array_foreach(job->tables, i, table) {
    dr__text_printf(&text, "%s ONLY %s", i > 0 ? "," : "",
                    json_string_value(json_object_get(table, "quoted")));
  }
  dr__text_puts(&text, " IN ACCESS SHARE MODE; SET LOCAL statement_timeout = 0");
  char *sql = dr__text_take(&text);
  if (json_array_size(job->tables) == 0)
    next(job);
  else
    dr__backup_job_try(job, DR_BACKUP_MAIN, sql, NULL, on_lock_tried);
  free(sql);
}

static bool take_tables(dr_backup_job *job, const dr_pg_answer *answer) {
  dr_err err = DR_ERR_INIT;
  json_decref(job->tables);
  job->tables = dr__backup_tables(answer);
  if (job->tables) return true;
  dr__err_nomem(&err);
  dr__backup_job_fail(job, &err);
  return false;
}

/* Those that the snapshot has: what came after the first list is not locked yet. */
static void on_tables(dr_backup_job *job, const dr_pg_answer *answer) {
  if (take_tables(job, answer)) lock(job, on_locked_again);
}

static void on_snapshot(dr_backup_job *job, const dr_pg_answer *answer) {
  backup *self = job->data;
  self->taken = dr__backup_now();
  dr__copy_text(self->snapshot, sizeof self->snapshot, dr__pg_text(answer, 0, 0));
  dr__backup_job_query(job, DR_BACKUP_MAIN, dr__backup_sql_tables, NULL, on_tables);
}

static void on_locked(dr_backup_job *job) {
  dr__backup_job_query(job, DR_BACKUP_MAIN, "SELECT pg_catalog.pg_export_snapshot()", NULL,
                       on_snapshot);
}

static void on_begun(dr_backup_job *job, const dr_pg_answer *answer) {
  (void)answer;
  lock(job, on_locked);
}

/* The transaction is to live as long as the dump, and to see what pg_dump sees. Its moment is that
 * of the first statement that reads, so the locks come first: TRUNCATE empties a table for older
 * snapshots too. */
static void on_listed(dr_backup_job *job, const dr_pg_answer *answer) {
  if (!take_tables(job, answer)) return;
  dr__backup_job_query(job, DR_BACKUP_MAIN,
                       "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;"
                       " SET LOCAL search_path = pg_catalog;"
                       " SET LOCAL statement_timeout = 0;"
                       " SET LOCAL lock_timeout = 0;"
                       " SET LOCAL idle_in_transaction_session_timeout = 0;"
                       " SET LOCAL row_security = off",
                       NULL, on_begun);
}

static void begin(dr_backup_job *job) {
  dr__backup_job_query(job, DR_BACKUP_MAIN, dr__backup_sql_tables, NULL, on_listed);
}

/* ------------------------------------------------------------ before it */

static void on_version(dr_backup_job *job, const char *output) {
  backup *self = job->data;
  dr_err err = DR_ERR_INIT;
  int major = dr__backup_version(output, self->pg_dump, sizeof self->pg_dump);
  if (major >= self->major) {
    begin(job);
    return;
  }
  if (major == 0)
    dr__fail(&err, "backup.old_pg_dump", "pg_dump on %s does not tell its version",
             dr__target_name(job->tools));
  else
    dr__fail(&err, "backup.old_pg_dump", "pg_dump on %s is %s, older than the server's %s",
             dr__target_name(job->tools), self->pg_dump, self->server);
  dr__err_hint(&err,
               "nothing was done; install postgresql-client-%d there, or use the server's own: "
               "tools = stack:service(\"db\")",
               self->major);
  dr__backup_job_fail(job, &err);
}

static void ask_version(dr_backup_job *job) {
  const dr_backup_words words = {
      .argv = json_pack("[s, s]", "pg_dump", "--version"), .input_fd = -1, .output_fd = -1};
  dr__backup_job_run(job, &words, on_version);
}

static void on_cluster(dr_backup_job *job, const dr_pg_answer *answer) {
  backup *self = job->data;
  const char *cluster = dr__pg_text(answer, 0, 0);
  dr__copy_text(self->cluster, sizeof self->cluster, cluster ? cluster : "");
  ask_version(job);
}

static void on_facts(dr_backup_job *job, const dr_pg_answer *answer) {
  backup *self = job->data;
  dr_err err = DR_ERR_INIT;
  const char *database = dr__pg_field(answer, 0, "database");
  const char *properties = dr__pg_field(answer, 0, "properties");
  const char *may_ask = dr__pg_field(answer, 0, "may_ask");
  dr__copy_text(self->server, sizeof self->server, dr__pg_field(answer, 0, "version"));
  self->server[strcspn(self->server, " ")] = '\0';
  self->major = (int)(dr__pg_integer(answer, 0, "number", 0) / 10000);
  self->database = database ? strdup(database) : NULL;
  self->properties = properties ? json_loads(properties, 0, NULL) : NULL;
  if (!self->database || !self->properties) {
    dr__err_nomem(&err);
    dr__backup_job_fail(job, &err);
  } else if (may_ask && *may_ask == 't') {
    dr__backup_job_query(job, DR_BACKUP_MAIN,
                         "SELECT system_identifier::text FROM pg_catalog.pg_control_system()", NULL,
                         on_cluster);
  } else {
    ask_version(job);
  }
}

static void on_connected(dr_backup_job *job) {
  dr__backup_job_query(job, DR_BACKUP_MAIN, dr__backup_sql_facts, NULL, on_facts);
}

int dr__backup_start(dr_op *op, dr_err *err) {
  backup *self = calloc(1, sizeof *self);
  if (self) {
    self->draft.fd = self->stream.input = -1;
    self->begun_ms = uv_now(op->loop);
    self->dir = strdup(dr__arg_string(op, "dir", ""));
  }
  if (self && !self->dir) {
    free_backup(self);
    self = NULL;
  }
  dr_backup_job *job = dr__backup_job_new(op, true, self, free_backup, err);
  if (!job) return DR_FAILED;
  job->clean = clean;
  job->pulse = pulse;
  dr__backup_job_connect(job, DR_BACKUP_MAIN, NULL, on_connected);
  return DR_OK;
}
