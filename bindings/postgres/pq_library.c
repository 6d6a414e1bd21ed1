/* pq_library.c - libpq, loaded when it is first needed. Owns the table of its functions. Called by
 * the files of this folder; any thread. */
#include "pq_library.h"

#include "../library.h"

dr_pq dr__pq;

static const char *const names[] = {
#define X(name) #name,
    DR_PQ_FUNCTIONS(X)
#undef X
        NULL};

static dr_library library = {
    .file = "libpq.so.5", /* since 2006 */
    .names = names,
    .table = &dr__pq,
    .code = "postgres.setup",
    .hint = "install it (Debian package libpq5, version 14 or later)",
};

int dr__pq_load(dr_err *err) {
  return dr__library_load(&library, err);
}
