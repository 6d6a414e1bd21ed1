/* migrate_judged.h - the judgements of migration files in the order in which they run, and what is
 * kept of them: the review of the plan and the review of the run judge the same files, as a rule,
 * and judging takes most of a review's time. Pure of Lua and loop, any thread. */
#ifndef DR_MIGRATE_JUDGED_H
#define DR_MIGRATE_JUDGED_H

#include "migrate_load.h"

#include <stdatomic.h>

/* The last judgements. They hang on nothing but the catalog and the text of each file, so those are
 * the key: when a byte of one changed, all are judged anew. Zeroed: none. */
typedef struct dr_migrations_judged {
  char key[DR_SQL_HASH_SIZE];
  json_t *files; /* owned */
} dr_migrations_judged;

void dr__migrations_judged_free(dr_migrations_judged *kept);

/* Judges files in their order, each knowing what those before it create; `catalog` as hazards.h has
 * it, may be NULL. Looks at *stop between files. `kept` (not shared between threads; may be NULL)
 * gives away what it has, or takes a copy of what it has not, unless that is too much. An array of
 * what dr__sql_classify() gives for each, which is the caller's to change. New reference, or NULL
 * with err filled. */
json_t *dr__migrations_judge(const dr_migration_file *const *files, size_t count,
                             const json_t *catalog, dr_migrations_judged *kept,
                             const atomic_bool *stop, dr_err *err);

#endif
