/* tar.h - a tar archive as a stream, made while it is read. Pure C, one thread at a time. */
#ifndef DR_TAR_H
#define DR_TAR_H

#include "text.h"

#include <stdint.h>

enum { DR_TAR_BLOCK = 512 };

/* Adds the header of one entry to `out`, in the ustar form; a long or odd name, a long link and a
 * large size get a pax header before it. `type` is 'f', 'l' (with `link`). False when memory is
 * short.
 */
bool dr__tar_header(dr_text *out, const char *path, char type, unsigned mode, int64_t size,
                    const char *link);

typedef struct dr_tar dr_tar;

/* An empty archive of what is below `root`; NULL when memory is short. */
dr_tar *dr__tar_new(const char *root);
void dr__tar_free(void *data);

/* Adds a file with a text; a file that is read from the root when its turn comes, from `offset` on,
 * `size` bytes; or a link. False when memory is short. */
bool dr__tar_add_text(dr_tar *tar, const char *path, const char *text, size_t length);
bool dr__tar_add_file(dr_tar *tar, const char *path, const char *source, unsigned mode,
                      int64_t offset, int64_t size);
bool dr__tar_add_link(dr_tar *tar, const char *path, const char *link);

/* The length of the whole archive. To be asked once all is added. */
uint64_t dr__tar_length(dr_tar *tar);

/* The next bytes; 0 at the end, or a negative errno. A file that has become shorter is -ESTALE. */
long dr__tar_read(dr_tar *tar, char *buffer, size_t size);

#endif
