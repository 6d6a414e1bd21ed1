/* local_folder.h - putting files that arrived one after another in one stream into a folder of this
 * machine. Pure C, any thread; waits for the disk. */
#ifndef DR_LOCAL_FOLDER_H
#define DR_LOCAL_FOLDER_H

#include "manifest.h"

/* Makes the folder when there is none (and those above it when `parents`), and in it a staging
 * folder with an empty file `all` for the stream. *staging is malloc'd. Returns the file, or -1
 * with err filled. */
int dr__local_folder_begin(const char *root, bool parents, char **staging, dr_err *err);

/* Splits the stream into the files that `plan` sends, in their order, compares each with its hash,
 * and when all are right puts them and the links in their places. Fails with transfer.corrupt or
 * fs.failed; nothing is replaced before all is verified. */
int dr__local_folder_install(const char *root, const char *staging, const dr_manifest *source,
                             const dr_sync_plan *plan, const atomic_bool *stop, dr_err *err);

/* Removes the staging folder and what is left in it. */
void dr__local_folder_end(const char *staging);

#endif
