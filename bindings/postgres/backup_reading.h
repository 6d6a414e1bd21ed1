/* backup_reading.h - a backup that is read: checked against its manifest, decompressed into a pipe
 * to pg_restore, and judged at the end. What verifying and restoring share. Runtime's thread.
 */
#ifndef DR_POSTGRES_BACKUP_READING_H
#define DR_POSTGRES_BACKUP_READING_H

#include "backup_job.h"
#include "backup_stream.h"

typedef struct dr_backup_reading {
  char *path;       /* of any of its files, "~/" made whole; owned */
  json_t *manifest; /* owned */
  dr_backup_stream stream;
  bool hash_first;
  dr_backup_next next;
} dr_backup_reading;

/* DR_OK, or out of memory. */
int dr__backup_reading_new(dr_backup_reading *reading, const char *path);
void dr__backup_reading_free(dr_backup_reading *reading);

/* Opens the backup, with `hash_first` hashes its files, and asks pg_restore for its version: one
 * older than the pg_dump that wrote the backup is refused. The reading is the first field of the
 * job's data. */
void dr__backup_reading_open(dr_backup_job *job, dr_backup_next next);

/* Gives all of the archive to pg_restore (argv taken over). `next` when both sides have ended well
 * and the bytes are those of the manifest. */
void dr__backup_reading_go(dr_backup_job *job, const dr_backup_words *words, dr_backup_next next);

/* "1.2 GiB of 3 GiB read": for pulse. */
void dr__backup_reading_pulse(dr_backup_job *job);

#endif
