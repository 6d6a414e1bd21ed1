/* sync_install.h - what is sent for a sync: an archive with the new files, their hashes, and the
 * script that puts them in their places. Pure C. */
#ifndef DR_SYNC_INSTALL_H
#define DR_SYNC_INSTALL_H

#include "manifest.h"
#include "tar.h"

/* The script: the owners of what is replaced, then folders, then files and links (moved, so that
 * whoever reads sees the old or the new one), then modes and owners, then what goes. It runs in the
 * destination with $s as the place of the new files, and names nothing outside of it. malloc'd;
 * NULL when memory is short. */
char *dr__sync_install_script(const dr_manifest *here, const dr_manifest *there,
                              const dr_sync_plan *plan, const dr_sync_rules *rules);

/* The whole archive; NULL when memory is short. */
dr_tar *dr__sync_archive(const char *root, const dr_manifest *here, const dr_manifest *there,
                         const dr_sync_plan *plan, const dr_sync_rules *rules);

#endif
