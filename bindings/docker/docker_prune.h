/* docker_prune.h - which images may go. Pure, any thread.
 *
 * Never: one that a container uses, stopped ones too; one among the newest `keep` of its
 * repository; one with a name elsewhere, which is also how deployrun records what a rollback needs
 * (see docker_run.lua). Only where `tagged` says so: one that still has a tag of the
 * repository.
 */
#ifndef DR_DOCKER_PRUNE_H
#define DR_DOCKER_PRUNE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct dr_prune_rule {
  const char *repository; /* NULL: images without any name, of whatever repository */
  int64_t keep;           /* so many of the newest of the repository stay */
  bool tagged;            /* old ones go even though they have a tag of the repository */
} dr_prune_rule;

/* `images` and `containers` are the Engine's lists (/images/json, /containers/json?all=1). Returns
 * {images: [{id, tags, created, size, refs}], kept: number}, newest first; `refs` is what to remove
 * of it. NULL when memory is short. */
json_t *dr__docker_prunable(const json_t *images, const json_t *containers,
                            const dr_prune_rule *rule);

#endif
