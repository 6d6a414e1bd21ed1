/* backup_stream.h - a dump on its way: read from one descriptor, compressed or decompressed by
 * zstd, written to another, both sides hashed and counted. Pure C on blocking descriptors, in
 * memory that does not grow with the dump; runs on a thread of its own (backup_thread.c).
 */
#ifndef DR_POSTGRES_BACKUP_STREAM_H
#define DR_POSTGRES_BACKUP_STREAM_H

#include <deployrun.h>

#include <stdatomic.h>

typedef struct dr_backup_stream {
  int input;
  int output;          /* -1 when unpacking: only read it */
  atomic_bool stop;    /* any thread may set it: ends with `cancelled` at the next piece */
  atomic_ullong plain; /* bytes so far; any thread may look */
  atomic_ullong packed;
  bool broken;           /* unpacking: who read the output ended before all of it was written */
  char plain_sha256[65]; /* at the end */
  char packed_sha256[65];
} dr_backup_stream;

/* Compresses input to output, with a checksum in the stream. DR_FAILED with err filled:
 * backup.no_space, backup.write (output), backup.read (input), cancelled, or out of memory. */
int dr__backup_pack(dr_backup_stream *stream, dr_err *err);

/* Decompresses input, to its very end. DR_FAILED with err filled: backup.corrupt (what is read is
 * not a whole zstd stream), backup.read, backup.write, cancelled, or out of memory. */
int dr__backup_unpack(dr_backup_stream *stream, dr_err *err);

/* Reads input to its end and forgets it, so that who writes there is not held up. */
void dr__backup_drain(dr_backup_stream *stream);

#endif
