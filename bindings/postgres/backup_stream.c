/* backup_stream.c - see backup_stream.h. Owns its buffers and the zstd context of one stream.
 *
 * Level 3, one thread (docs/decisions/0031-where-backups-are-made.md has the measurement). Each
 * frame carries zstd's own checksum, so that `zstd -t` of anybody's finds damage too.
 */
#include "backup_stream.h"

#include "core/err.h"
#include "sha256.h"
#include "target/child_io.h"
#include "zstd_library.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LEVEL = 3, ROOM = 256 * 1024 };

typedef struct work {
  dr_backup_stream *stream;
  dr_sha256 plain, packed;
  char *in, *out; /* ROOM bytes each */
} work;

static int begin(work *w, dr_backup_stream *stream, dr_err *err) {
  *w = (work){.stream = stream, .in = malloc(ROOM), .out = malloc(ROOM)};
  dr__sha256_init(&w->plain);
  dr__sha256_init(&w->packed);
  if (w->in && w->out) return dr__zstd_load(err);
  return dr__err_nomem(err);
}

static void end(work *w) {
  dr__sha256_hex(&w->plain, w->stream->plain_sha256);
  dr__sha256_hex(&w->packed, w->stream->packed_sha256);
  free(w->in);
  free(w->out);
}

static void count_plain(work *w, const char *bytes, size_t length) {
  dr__sha256_add(&w->plain, bytes, length);
  atomic_fetch_add(&w->stream->plain, length);
}

static void count_packed(work *w, const char *bytes, size_t length) {
  dr__sha256_add(&w->packed, bytes, length);
  atomic_fetch_add(&w->stream->packed, length);
}

/* The next piece: its length, 0 at the end, -1 with err filled. */
static ssize_t take(work *w, dr_err *err) {
  ssize_t got;
  do {
    if (atomic_load(&w->stream->stop)) {
      dr__fail(err, "cancelled", "it was stopped");
      return -1;
    }
    got = read(w->stream->input, w->in, ROOM);
  } while (got < 0 && errno == EINTR);
  if (got < 0) dr__fail(err, "backup.read", "reading failed: %s", strerror(errno));
  return got;
}

static int fail_write(int number, dr_err *err) {
  if (number != ENOSPC && number != EDQUOT) {
    dr__fail(err, "backup.write", "writing failed: %s", strerror(number));
    dr__err_hint(err, "look at that disk; nothing that looks like a backup was left");
    return DR_FAILED;
  }
  dr__fail(err, "backup.no_space", "the disk is full: %s", strerror(number));
  dr__err_hint(err, "nothing was left there and no older backup was removed; make room (df -h), "
                    "then run again");
  return DR_FAILED;
}

static int put(const work *w, const char *bytes, size_t length, dr_err *err) {
  for (size_t done = 0; done < length;) {
    long written = dr__child_write(w->stream->output, bytes + done, length - done);
    if (written < 0) {
      errno = (int)-written;
      return fail_write(errno, err);
    }
    done += (size_t)written;
  }
  return DR_OK;
}

/* ------------------------------------------------------------ packing */

static int zstd_failed(size_t code, dr_err *err) {
  return dr__fail(err, "backup.write", "zstd: %s", ZSTD_getErrorName(code));
}

/* Compresses one piece; with ZSTD_e_end all that is still held back. */
static int pack_piece(work *w, ZSTD_CCtx *context, size_t length, ZSTD_EndDirective mode,
                      dr_err *err) {
  ZSTD_inBuffer in = {w->in, length, 0};
  size_t left;
  do {
    ZSTD_outBuffer out = {w->out, ROOM, 0};
    left = ZSTD_compressStream2(context, &out, &in, mode);
    if (ZSTD_isError(left)) return zstd_failed(left, err);
    count_packed(w, w->out, out.pos);
    if (put(w, w->out, out.pos, err) != DR_OK) return DR_FAILED;
  } while (mode == ZSTD_e_end ? left > 0 : in.pos < in.size);
  return DR_OK;
}

static int pack(work *w, ZSTD_CCtx *context, dr_err *err) {
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, LEVEL);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  for (;;) {
    ssize_t got = take(w, err);
    if (got < 0) return DR_FAILED;
    count_plain(w, w->in, (size_t)got);
    ZSTD_EndDirective mode = got == 0 ? ZSTD_e_end : ZSTD_e_continue;
    if (pack_piece(w, context, (size_t)got, mode, err) != DR_OK) return DR_FAILED;
    if (got == 0) return DR_OK;
  }
}

int dr__backup_pack(dr_backup_stream *stream, dr_err *err) {
  work w;
  int status = begin(&w, stream, err);
  ZSTD_CCtx *context = status == DR_OK ? ZSTD_createCCtx() : NULL;
  if (status == DR_OK) status = context ? pack(&w, context, err) : dr__err_nomem(err);
  if (context) ZSTD_freeCCtx(context);
  end(&w);
  return status;
}

/* ------------------------------------------------------------ unpacking */

static int corrupt(const char *why, dr_err *err) {
  dr__fail(err, "backup.corrupt", "the backup is damaged: %s", why);
  dr__err_hint(err, "nothing was restored from it; take another backup, and look at the disk "
                    "this one was on");
  return DR_FAILED;
}

/* Hands on what was decompressed. A reader that has ended tells itself why; the rest is still read,
 * since the whole is to be judged. */
static int give(const work *w, size_t length, dr_err *err) {
  dr_backup_stream *stream = w->stream;
  dr_err failed = DR_ERR_INIT;
  if (stream->output < 0 || stream->broken) return DR_OK;
  errno = 0;
  int status = put(w, w->out, length, &failed);
  stream->broken = status != DR_OK && errno == EPIPE;
  if (stream->broken)
    dr_err_clear(&failed);
  else if (status != DR_OK)
    dr__err_move(err, &failed);
  return stream->broken ? DR_OK : status;
}

/* Decompresses one piece; *left is what the frame still wants, 0 at its end. */
static int unpack_piece(work *w, ZSTD_DCtx *context, size_t length, size_t *left, dr_err *err) {
  ZSTD_inBuffer in = {w->in, length, 0};
  bool full = false;
  while (in.pos < in.size || (full && *left > 0)) {
    ZSTD_outBuffer out = {w->out, ROOM, 0};
    *left = ZSTD_decompressStream(context, &out, &in);
    if (ZSTD_isError(*left)) return corrupt(ZSTD_getErrorName(*left), err);
    count_plain(w, w->out, out.pos);
    if (give(w, out.pos, err) != DR_OK) return DR_FAILED;
    full = out.pos == out.size;
  }
  return DR_OK;
}

static int unpack(work *w, ZSTD_DCtx *context, dr_err *err) {
  size_t left = 1; /* an empty file is no whole stream */
  for (;;) {
    ssize_t got = take(w, err);
    if (got < 0) return DR_FAILED;
    if (got == 0) return left == 0 ? DR_OK : corrupt("it ends in the middle", err);
    count_packed(w, w->in, (size_t)got);
    if (unpack_piece(w, context, (size_t)got, &left, err) != DR_OK) return DR_FAILED;
  }
}

int dr__backup_unpack(dr_backup_stream *stream, dr_err *err) {
  work w;
  int status = begin(&w, stream, err);
  ZSTD_DCtx *context = status == DR_OK ? ZSTD_createDCtx() : NULL;
  if (status == DR_OK) status = context ? unpack(&w, context, err) : dr__err_nomem(err);
  if (context) ZSTD_freeDCtx(context);
  end(&w);
  return status;
}

void dr__backup_drain(dr_backup_stream *stream) {
  char piece[4096];
  ssize_t got;
  do got = read(stream->input, piece, sizeof piece);
  while (got > 0 || (got < 0 && errno == EINTR));
}
