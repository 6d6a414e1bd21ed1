/* sync_left.h - what a sync that was cut off has left in its staging folder on the target, and what
 * of it need not be sent again. Pure C. */
#ifndef DR_SYNC_LEFT_H
#define DR_SYNC_LEFT_H

#include "manifest.h"

typedef struct dr_sync_left {
  char name[64]; /* of the staging folder, "" when there is none */
  /* "new/a/b" are files as they arrived; "rest/a/b" is what is to be added to one that had been
   * gone on with. sha256 is of what the whole is to be, and only of those in new/. */
  dr_manifest files;
} dr_sync_left;

/* Part of a staging folder's name: the same for each sync of that folder of this machine. */
void dr__sync_left_key(const char *from, char key[13]);

/* Takes what the listing script says about a staging folder from the beginning of its answer.
 * Returns the length of that part: 0 when there is none, or when it is not understood. To be freed
 * in any case. */
size_t dr__sync_left_read(dr_sync_left *out, const char *bytes, size_t length);
void dr__sync_left_free(dr_sync_left *left);

/* Notes in the plan what of the files to be sent is there. Sizes decide, as nothing was hashed:
 * what was damaged is found when all has arrived. */
void dr__sync_left_apply(const dr_sync_left *left, dr_sync_plan *plan, const dr_manifest *here,
                         const dr_sync_rules *rules);

#endif
