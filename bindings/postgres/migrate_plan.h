/* migrate_plan.h - which migrations are to run: the files of a folder beside what the database says
 * was applied. Pure C on JSON, any thread.
 *
 *   files    [{version, name, sha256, up, down}] in order, as dr__migrations_list() makes them and
 *            migrate_load.c completes them; `sha256` is that of the file that goes up, and `begun`
 *            (of a half-applied one) whether its first statements are still those that were run
 *   applied  the rows of deployrun.schema_migrations, in any order: [{version, name, sha256,
 *            direction ("up" or "down"), statements, done}]
 */
#ifndef DR_MIGRATE_PLAN_H
#define DR_MIGRATE_PLAN_H

#include "migrate_names.h"

/* The two side by side:
 *   applied       versions that are applied whole, in order
 *   pending       versions of files that are not, or half, in order
 *   half          versions of which a beginning was applied; `half_down`: was taken back
 *   edited        applied, but the file has other statements now
 *   missing       applied, but there is no file
 *   out_of_order  pending, but a later one is applied
 * New reference; NULL when memory is short. */
json_t *dr__migrations_compare(const json_t *files, const json_t *applied);

/* What going up means. `options`: {to, baseline_to, accept_edited, accept_missing,
 * accept_out_of_order}, the last three arrays of versions; all may be absent. Returns
 *   run       versions to run, in order
 *   baseline  versions to be marked as applied without running them
 *   edited    versions whose new hash is to be recorded (accept_edited)
 * New reference, or NULL with err filled: postgres.migration_edited, …_missing, …_out_of_order,
 * …_half, …_unknown, …_baseline. */
json_t *dr__migrations_up(const json_t *files, const json_t *applied, const json_t *options,
                          dr_err *err);

/* What going down means. `options`: {to} or {steps}, and accept_edited, accept_missing. Returns
 * {run}: versions to take back, newest first. NULL with err filled: as above, and
 * postgres.migration_no_down. */
json_t *dr__migrations_down(const json_t *files, const json_t *applied, const json_t *options,
                            dr_err *err);

/* The entry of a version in an array of objects, borrowed, or NULL. */
json_t *dr__migration_find(const json_t *list, const char *version);

/* True when an array of strings has the version, however it is written there. */
bool dr__version_in(const json_t *versions, const char *version);

#endif
