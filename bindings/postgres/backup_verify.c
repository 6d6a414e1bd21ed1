/* backup_verify.c - the op postgres.verify_backup: a backup is read to its last byte.
 *
 * Called by the gate and by the loop, on the runtime's thread. Sizes and hashes are compared with
 * the manifest, everything is decompressed, and pg_restore reads the whole archive (`--list` alone
 * accepts half a file). When it is well, that is noted in the manifest, unless a rehearsal follows
 * whose outcome is waited for.
 */
#include "backup.h"

#include "backup_files.h"
#include "backup_manifest.h"
#include "backup_reading.h"
#include "core/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const dr_arg dr__backup_verify_args[] = {{"path", DR_ARG_STRING, DR_REQUIRED},
                                         {"fresh", DR_ARG_BOOLEAN, 0},
                                         {"note", DR_ARG_BOOLEAN, 0},
                                         DR_BACKUP_TOOLS_ARGS,
                                         {0}};

typedef struct verify {
  dr_backup_reading reading; /* first */
  bool fresh;                /* just made: when it is bad it is of no use to anybody */
  bool to_note;
  bool noted;
} verify;

static void free_verify(void *data) {
  dr__backup_reading_free(&((verify *)data)->reading);
  free(data);
}

char *dr__backup_verify_preview(const dr_op *op) {
  char *text = NULL;
  int length =
      asprintf(&text,
               "read all of %s: SHA-256 as in its manifest, zstd -d | pg_restore "
               "--file=/dev/null%s",
               dr__arg_string(op, "path", ""), dr__backup_tools_here(op) ? "" : " (there)");
  return length < 0 ? NULL : text;
}

json_t *dr__backup_verify_assume(const dr_op *op) {
  return json_pack("{s:s, s:s, s:s, s:i, s:i, s:b}", "path", dr__arg_string(op, "path", ""), "how",
                   "read", "taken", "(unknown until then)", "tables", 0, "rows", 0, "noted", true);
}

static void on_noted(dr_backup_job *job) {
  const verify *self = job->data;
  const json_t *manifest = self->reading.manifest;
  if (self->to_note && !self->noted)
    dr__op_log(job->op, "the folder may not be written to: that the backup was verified is not "
                        "noted there, and it will not count for keep");
  dr__backup_job_done(
      job, json_pack("{s:s, s:s, s:s, s:i, s:I, s:b}", "path", dr__arg_string(job->op, "path", ""),
                     "how", "read", "taken", dr__backup_manifest_text(manifest, "taken"), "tables",
                     (int)json_array_size(json_object_get(manifest, "tables")), "rows",
                     (json_int_t)dr__backup_manifest_rows(manifest), "noted", self->noted));
}

/* The dump's hash is known by now. */
static int act_note(void *data, dr_err *err) {
  verify *self = data;
  dr_backup_reading *reading = &self->reading;
  if (dr__backup_hash_globals(reading->path, reading->manifest, &reading->stream.stop, err) !=
      DR_OK)
    return DR_FAILED;
  self->noted = self->to_note && dr__backup_note(reading->path, reading->manifest, "read");
  return DR_OK;
}

static void on_read(dr_backup_job *job) {
  verify *self = job->data;
  dr__backup_job_thread(job, act_note, NULL, self, &self->reading.stream.stop, on_noted);
}

static void on_opened(dr_backup_job *job) {
  const dr_backup_words words = {.argv = json_pack("[s, s]", "pg_restore", "--file=/dev/null"),
                                 .output_fd = -1};
  dr__backup_reading_go(job, &words, on_read);
}

static bool is_bad(const dr_err *err) {
  static const char *const codes[] = {"backup.corrupt", "backup.truncated", "backup.unreadable",
                                      "backup.missing"};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    if (strcmp(err->code, codes[i]) == 0) return true;
  return false;
}

static int act_discard(void *data, dr_err *err) {
  return dr__backup_discard(((verify *)data)->reading.path, err);
}

/* What pg_restore says of an archive that is whole but none; and nothing that looks like a backup
 * is left where a new one is bad. */
static void clean(dr_backup_job *job) {
  const verify *self = job->data;
  if (strcmp(job->err.code, "backup.program") == 0)
    dr__copy_text(job->err.code, sizeof job->err.code, "backup.unreadable");
  if (!self->fresh || !is_bad(&job->err)) {
    dr__backup_job_end(job);
    return;
  }
  dr__err_hint(&job->err, "the backup that was just made was removed, older ones were not; look at "
                          "the server's log, the disk and the network, then take another");
  dr__backup_job_thread(job, act_discard, NULL, job->data, NULL, dr__backup_job_end);
}

int dr__backup_verify_start(dr_op *op, dr_err *err) {
  verify *self = calloc(1, sizeof *self);
  if (self && dr__backup_reading_new(&self->reading, dr__arg_string(op, "path", "")) != DR_OK) {
    free(self);
    self = NULL;
  }
  dr_backup_job *job = dr__backup_job_new(op, false, self, free_verify, err);
  if (!job || !self) return DR_FAILED;
  self->fresh = dr__arg_boolean(op, "fresh", false);
  self->to_note = dr__arg_boolean(op, "note", true);
  job->clean = clean;
  job->pulse = dr__backup_reading_pulse;
  dr__backup_reading_open(job, on_opened);
  return DR_OK;
}
