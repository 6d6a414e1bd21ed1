/* zstd_library.c - libzstd, loaded when it is first needed. Owns the table of its functions. Called
 * by backup_stream.c and before it by the ops; any thread.
 */
#include "zstd_library.h"

#include "library.h"

dr_zstd dr__zstd;

static const char *const names[] = {
#define X(name) #name,
    DR_ZSTD_FUNCTIONS(X)
#undef X
        NULL};

static dr_library library = {
    .file = "libzstd.so.1", /* since 2016 */
    .names = names,
    .table = &dr__zstd,
    .code = "backup.setup",
    .hint = "install it (Debian package libzstd1, version 1.4 or later)",
};

int dr__zstd_load(dr_err *err) {
  return dr__library_load(&library, err);
}
