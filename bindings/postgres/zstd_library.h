/* zstd_library.h - libzstd, loaded when the first backup is due and not before. Included in place
 * of <zstd.h>; its functions are called by their usual names. Any thread. */
#ifndef DR_POSTGRES_ZSTD_LIBRARY_H
#define DR_POSTGRES_ZSTD_LIBRARY_H

#include <zstd.h>

#include <deployrun.h>

#define DR_ZSTD_FUNCTIONS(X)                                                                       \
  X(ZSTD_CCtx_setParameter)                                                                        \
  X(ZSTD_compressStream2)                                                                          \
  X(ZSTD_createCCtx)                                                                               \
  X(ZSTD_createDCtx)                                                                               \
  X(ZSTD_decompressStream)                                                                         \
  X(ZSTD_freeCCtx)                                                                                 \
  X(ZSTD_freeDCtx)                                                                                 \
  X(ZSTD_getErrorName)                                                                             \
  X(ZSTD_isError)

typedef struct dr_zstd {
#define X(name) __typeof__(&(name)) name##_;
  DR_ZSTD_FUNCTIONS(X)
#undef X
} dr_zstd;

/* Filled by dr__zstd_load(). */
extern dr_zstd dr__zstd;

/* Loads the library unless it is loaded. Returns 0, or DR_FAILED with err filled (backup.setup). */
int dr__zstd_load(dr_err *err);

#define ZSTD_CCtx_setParameter dr__zstd.ZSTD_CCtx_setParameter_
#define ZSTD_compressStream2 dr__zstd.ZSTD_compressStream2_
#define ZSTD_createCCtx dr__zstd.ZSTD_createCCtx_
#define ZSTD_createDCtx dr__zstd.ZSTD_createDCtx_
#define ZSTD_decompressStream dr__zstd.ZSTD_decompressStream_
#define ZSTD_freeCCtx dr__zstd.ZSTD_freeCCtx_
#define ZSTD_freeDCtx dr__zstd.ZSTD_freeDCtx_
#define ZSTD_getErrorName dr__zstd.ZSTD_getErrorName_
#define ZSTD_isError dr__zstd.ZSTD_isError_

#endif
