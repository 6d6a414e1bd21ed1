/* postgres/hazards.h - what each statement of a script may do to those who use the database, on two
 * axes: does code written for the schema before keep working, and what is locked, scanned,
 * rewritten or lost. Judged by the parse tree alone; no connection. Pure: no I/O, no Lua, any
 * thread; fuzzed. Used by postgres.classify and by migrations. The table of judgements:
 * docs/hazards.md.
 */
#ifndef DR_POSTGRES_HAZARDS_H
#define DR_POSTGRES_HAZARDS_H

#include "postgres/statements.h"

/* What is known of the database besides the statement at hand: the objects that scripts classified
 * before it created (nobody uses those yet, so nothing about them is a hazard), and the caller's
 * facts. One for a run over several scripts, in the order in which they will run; not shared
 * between threads. */
typedef struct dr_sql_world dr_sql_world;

/* `catalog` (borrowed, may be NULL): {"orders" or "sales.orders": {"column": "character
 * varying(20)", "other": {"type": "integer", "not_null": true, "checked": false}, …}}, types as
 * format_type() writes them; checked: a CHECK names the column, or an index with an expression or a
 * predicate has to do with it. By them a change of a column's type is judged, which is "unknown"
 * without, and a default that is dropped. NULL when memory is short. */
dr_sql_world *dr__sql_world_new(const json_t *catalog);
void dr__sql_world_free(dr_sql_world *world);

/* The next script runs in a new session: with the search_path that it has by itself, and without
 * the temporary tables of the one before. */
void dr__sql_world_new_session(dr_sql_world *world);

/* Judges the statements of a script in order, and notes what they create in the world (NULL: one
 * that knows nothing). New reference:
 *
 *   class        the worst of all statements; "compatible" for none
 *   statements   array, as many as script->count, of
 *     line, text       of the statement (a text longer than 2,000 bytes is cut)
 *     kind             a name for what it does: "add-column", "drop-column", "create-index" …
 *     class            "compatible"   code written for the schema before keeps working
 *                      "conditional"  it does when something holds that the reasons name
 *                      "breaking"     it does not
 *                      "unknown"      cannot be told; to be treated as breaking
 *     hazards          array of {hazard, class, reason}: what was found; empty for a harmless one.
 *                      The name is that which an annotation accepts
 *     on               array of the relations that it locks, as written, most locked first; in
 *                      quotes where a name needs them. Also those that statements before it in the
 *                      script have locked, when it reads or writes rows in bulk
 *     locks            object: relation → the lock that is held there
 *     lock             the strongest lock it takes on a relation that was there before, as
 *                      PostgreSQL names it: "ACCESS EXCLUSIVE" …; left out for none
 *     blocks           "reads", "writes", "schema" or left out: what waits while the lock is held
 *     scan, rewrite    true when a table is read or written anew as a whole under that lock
 *     loses            what is gone afterwards, as a text; left out for nothing
 *     transaction      "inside" or "alone"; `alone` says why
 *     control          "begin", "commit", "rollback", "savepoint", "prepared" or left out
 *     accepted         array of {hazard, reason, line}: of the annotations that applied
 *   lint         array of {line, rule, message}: idempotency, order; advice, no hazard
 *   problems     array of {line, message}: annotations without a reason, or that match nothing
 *
 * NULL with err filled: postgres.too_large, out_of_memory. */
json_t *dr__sql_classify(const dr_sql_script *script, dr_sql_world *world, dr_err *err);

/* How bad a class is: 0 compatible, 1 conditional, 2 breaking, 3 unknown; 3 for any other text. */
int dr__sql_class_rank(const char *name);

#endif
