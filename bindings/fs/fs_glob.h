/* fs_glob.h - the paths that match a pattern. Pure of Lua and loop, any thread; reads folders. */
#ifndef DR_FS_GLOB_H
#define DR_FS_GLOB_H

#include "core/err.h"

#include <stdatomic.h>

/* The existing paths that match, sorted, as an array of strings. *, ? and […] match within one name
 * of the path, not a name's leading dot; a folder that cannot be read has no matches. Looks at
 * *stop between folders. New reference, or NULL with err filled (fs.pattern, cancelled). */
json_t *dr__fs_glob(const char *pattern, atomic_bool *stop, dr_err *err);

#endif
