/* backup_reading.c - see backup_reading.h. Owns the descriptors of the file and the pipe while they
 * are read. Called by backup_verify.c and backup_restore.c, on the runtime's thread.
 */
#include "backup_reading.h"

#include "backup_files.h"
#include "backup_manifest.h"
#include "core/err.h"
#include "fs/fs.h"
#include "transfer/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIPE = 1024 * 1024 };

int dr__backup_reading_new(dr_backup_reading *reading, const char *path) {
  *reading = (dr_backup_reading){.path = dr__fs_expand(path)};
  reading->stream.input = reading->stream.output = -1;
  return reading->path ? DR_OK : DR_FAILED;
}

static void close_stream(dr_backup_stream *stream) {
  if (stream->input >= 0) close(stream->input);
  if (stream->output >= 0) close(stream->output);
  stream->input = stream->output = -1;
}

void dr__backup_reading_free(dr_backup_reading *reading) {
  close_stream(&reading->stream);
  json_decref(reading->manifest);
  free(reading->path);
}

/* ------------------------------------------------------------ the end */

static int refuse_hash(const char *what, dr_err *err) {
  dr__fail(err, "backup.corrupt", "the backup is damaged: %s is not what was written", what);
  dr__err_hint(err, "nothing was restored from it; use another backup, and look at the disk this "
                    "one was on");
  return DR_FAILED;
}

/* Of damaged bytes pg_restore has much to say; what counts is that they are damaged. */
static int judge(const dr_backup_reading *reading, dr_err *err) {
  const dr_backup_stream *stream = &reading->stream;
  const json_t *archive = json_object_get(reading->manifest, "archive");
  if (strcmp(stream->packed_sha256, dr__backup_manifest_text(archive, "sha256")) != 0)
    return refuse_hash("its file", err);
  if (strcmp(stream->plain_sha256, dr__backup_manifest_text(archive, "plain_sha256")) != 0)
    return refuse_hash("its archive", err);
  return DR_OK;
}

/* The bytes are right, and pg_restore is content. */
static int judge_end(const dr_backup_reading *reading, dr_err *err) {
  if (!reading->stream.broken) return DR_OK;
  dr__fail(err, "backup.unreadable", "pg_restore did not read the backup to its end");
  dr__err_hint(err, "it is whole, but no archive of pg_dump; take another backup");
  return DR_FAILED;
}

static void go_on_when_both_ended(dr_backup_job *job) {
  dr_backup_reading *reading = job->data;
  dr_err err = DR_ERR_INIT;
  if (job->thread || job->program) return;
  close_stream(&reading->stream);
  job->holds_failure = false;
  int status = judge(reading, &err);
  if (status == DR_OK && job->held.code[0]) {
    dr__err_move(&err, &job->held);
    status = DR_FAILED;
  }
  if (status == DR_OK) status = judge_end(reading, &err);
  if (status == DR_OK)
    reading->next(job);
  else
    dr__backup_job_fail(job, &err);
}

static void on_written(dr_backup_job *job, const char *output) {
  (void)output;
  go_on_when_both_ended(job);
}

/* ------------------------------------------------------------ the bytes */

/* pg_restore sees the end. */
static void close_pipe(void *data) {
  dr_backup_stream *stream = &((dr_backup_reading *)data)->stream;
  close(stream->output);
  stream->output = -1;
}

/* Where it fails, the pipe is closed when that has been told: else pg_restore's surprise at the end
 * would be heard first. */
static int act_unpack(void *data, dr_err *err) {
  int status = dr__backup_unpack(&((dr_backup_reading *)data)->stream, err);
  if (status == DR_OK) close_pipe(data);
  return status;
}

static int open_both(dr_backup_reading *reading, int *reader, dr_err *err) {
  int ends[2];
  char *file = dr__backup_path(reading->path, DR_BACKUP_DUMP);
  if (!file) return dr__err_nomem(err);
  reading->stream.input = open(file, O_RDONLY | O_CLOEXEC);
  int failed = reading->stream.input < 0 ? errno : 0;
  free(file);
  if (failed) return dr__fail(err, "backup.read", "%.700s: %s", reading->path, strerror(failed));
  if (pipe2(ends, O_CLOEXEC) != 0)
    return dr__fail(err, "backup.setup", "no pipe could be made: %s", strerror(errno));
  (void)fcntl(ends[1], F_SETPIPE_SZ, PIPE); /* a smaller one is slower, no more */
  *reader = ends[0];
  reading->stream.output = ends[1];
  return DR_OK;
}

void dr__backup_reading_go(dr_backup_job *job, const dr_backup_words *words, dr_backup_next next) {
  dr_backup_reading *reading = job->data;
  dr_err err = DR_ERR_INIT;
  dr_backup_words all = *words;
  reading->next = next;
  atomic_store(&reading->stream.plain, 0);
  atomic_store(&reading->stream.packed, 0);
  if (open_both(reading, &all.input_fd, &err) != DR_OK) {
    json_decref(all.argv);
    dr__backup_job_fail(job, &err);
    return;
  }
  job->holds_failure = true;
  dr__backup_job_thread(job, act_unpack, close_pipe, reading, &reading->stream.stop,
                        go_on_when_both_ended);
  if (!job->failing) {
    dr__backup_job_run(job, &all, on_written);
    return;
  }
  close(all.input_fd);
  json_decref(all.argv);
}

void dr__backup_reading_pulse(dr_backup_job *job) {
  dr_backup_reading *reading = job->data;
  char done[32], all[32];
  if (job->thread && reading->manifest)
    dr__op_progress(
        job->op, "%s of %s read",
        dr__transfer_size(done, (double)atomic_load(&reading->stream.packed)),
        dr__transfer_size(all, (double)dr__backup_manifest_bytes(reading->manifest, "archive")));
}

/* ------------------------------------------------------------ the beginning */

static void on_version(dr_backup_job *job, const char *output) {
  dr_backup_reading *reading = job->data;
  char version[33], of_dump[33];
  dr_err err = DR_ERR_INIT;
  int major = dr__backup_version(output, version, sizeof version);
  int needed = dr__backup_version(dr__backup_manifest_text(reading->manifest, "pg_dump"), of_dump,
                                  sizeof of_dump);
  if (major >= needed) {
    reading->next(job);
    return;
  }
  dr__fail(&err, "backup.old_pg_restore",
           "pg_restore on %s is %s, older than the pg_dump %s that wrote the backup",
           dr__target_name(job->tools), version, of_dump);
  dr__err_hint(&err, "nothing was done; install postgresql-client-%d there", needed);
  dr__backup_job_fail(job, &err);
}

static void on_opened(dr_backup_job *job) {
  const dr_backup_words words = {
      .argv = json_pack("[s, s]", "pg_restore", "--version"), .input_fd = -1, .output_fd = -1};
  dr__backup_job_run(job, &words, on_version);
}

static int act_open(void *data, dr_err *err) {
  dr_backup_reading *reading = data;
  reading->manifest = dr__backup_open(reading->path, err);
  if (!reading->manifest) return DR_FAILED;
  if (!reading->hash_first) return DR_OK;
  return dr__backup_hash(reading->path, reading->manifest, &reading->stream.stop, err);
}

void dr__backup_reading_open(dr_backup_job *job, dr_backup_next next) {
  dr_backup_reading *reading = job->data;
  reading->next = next;
  dr__backup_job_thread(job, act_open, NULL, reading, &reading->stream.stop, on_opened);
}
