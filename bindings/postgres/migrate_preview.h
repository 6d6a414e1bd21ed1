/* migrate_preview.h - the arguments of the actions that migrate, as a person reviews them. Pure C,
 * any thread. */
#ifndef DR_MIGRATE_PREVIEW_H
#define DR_MIGRATE_PREVIEW_H

#include <jansson.h>

/* What will be run: the files in order with their hashes, and each statement with its class, what
 * it locks, scans, rewrites and loses. `args` are those of postgres.migrate. malloc'd, NULL when
 * memory is short. */
char *dr__migrate_preview(const json_t *args);

/* DR_CHANGE and what else these statements do to the world. */
unsigned dr__migrate_effects(const json_t *args);

#endif
