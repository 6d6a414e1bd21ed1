/* local_place.h - a file of this machine that is to be replaced at once: it grows as a partial file
 * beside its destination and is then moved over it. Pure C, any thread; everything here may wait
 * for the disk. */
#ifndef DR_LOCAL_PLACE_H
#define DR_LOCAL_PLACE_H

#include <deployrun.h>

#include <stdatomic.h>

typedef struct dr_local_place {
  char *path;   /* the destination, links followed; owned */
  char *folder; /* owned */
  char *part;   /* owned */
  bool found;
  unsigned mode; /* of the file there */
} dr_local_place;

/* Finds the places for a path ("~/" allowed) and the beginning of the new file's SHA-256. Makes
 * missing folders when `parents`. DR_FAILED with err filled. To be freed in any case. */
int dr__local_place_find(dr_local_place *place, const char *path, const char *sha256, bool parents,
                         dr_err *err);
void dr__local_place_free(dr_local_place *place);

/* True when the file there has this size and hash. */
bool dr__local_place_same(const dr_local_place *place, int64_t size, const char *sha256,
                          const atomic_bool *stop);

/* The bytes of a partial file that can be gone on with, 0 when there is none. A larger one is
 * removed. */
int64_t dr__local_place_partial(const dr_local_place *place, int64_t size);

/* Fails with transfer.no_space when the disk has no room for so many bytes. */
int dr__local_place_room(const dr_local_place *place, int64_t needed, dr_err *err);

/* Opens the partial file to add to it; -1 with errno. */
int dr__local_place_open(const dr_local_place *place);

/* The partial file is whole: compares its hash, gives it its mode, makes it durable and moves it to
 * its place. Fails with transfer.corrupt (it is removed) or fs.failed. */
int dr__local_place_install(const dr_local_place *place, const char *sha256, unsigned mode,
                            const atomic_bool *stop, dr_err *err);

/* Makes the folder and those above it. Returns 0 or an errno. */
int dr__make_folders(const char *path);

/* Makes what was done in a folder durable. */
void dr__sync_folder(const char *path);

#endif
