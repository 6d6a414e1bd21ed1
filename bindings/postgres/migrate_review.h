/* migrate_review.h - what a run of migrations would do, for a person to review and for the action
 * to hold on to: files read and hashed, compared with the database's record, statements judged.
 * Pure of Lua and loop, any thread; reads files. */
#ifndef DR_MIGRATE_REVIEW_H
#define DR_MIGRATE_REVIEW_H

#include "migrate_judged.h"
#include "migrate_plan.h"

#include <stdatomic.h>

/* `ask`: {dir, direction ("up" or "down"), applied (rows; absent: not known yet), to, steps,
 * baseline_to, accept_edited, accept_missing, accept_out_of_order, allow ("compatible",
 * "conditional", "breaking"), catalog (hazards.h), status (true: nothing is refused but what cannot
 * be read)}. Looks at *stop between files. Returns files     all of the folder, as migrate_plan.h
 * wants them run       those to be run, in order: [{version, name, file, sha256, done, count,
 * class, loses, statements, lint}]; statements as hazards.h gives them, with `skipped` for what was
 *             run before
 *   baseline, edited   versions, as dr__migrations_up()
 *   facts     as dr__migrations_compare(); absent when applied is
 *   class     the worst of what is run
 *   needs     names of relations, when facts of their columns would tell more: nothing is
 *             refused then, and it is to be asked once more with `catalog`
 * `kept` as dr__migrations_judge() has it. New reference, or NULL with err filled: those of
 * migrate_load.h and migrate_plan.h, and postgres.migration_hazard. */
json_t *dr__migrations_review(const json_t *ask, dr_migrations_judged *kept,
                              const atomic_bool *stop, dr_err *err);

/* The class of a judged statement without the hazards that a comment accepts. */
const char *dr__migration_class(const json_t *statement);

#endif
