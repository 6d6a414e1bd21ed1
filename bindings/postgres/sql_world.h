/* postgres/sql_world.h - what is known of the database while scripts are judged in order: what they
 * created and changed before, and the caller's facts. Pure; one thread at a time. Used by hazards.c
 * and the judges. Names are those of dr__tree_relation().
 *
 * A name without a schema means something only as long as the search_path is the same, so it counts
 * with the path under which it was used; "t" and "public.t" are never known to be the same, and may
 * always be. A temporary relation hides others of its name while it exists.
 */
#ifndef DR_POSTGRES_SQL_WORLD_H
#define DR_POSTGRES_SQL_WORLD_H

#include "postgres/hazard_rules.h"
#include "postgres/hazards.h"

/* True when memory was short for something that had to be noted. */
bool dr__world_failed(const dr_sql_world *world);

/* Names without a schema mean something else from here on. */
void dr__world_new_path(dr_sql_world *world);

/* Temporary relations are gone. */
void dr__world_drop_temporary(dr_sql_world *world);

/* What was set for a transaction alone is over. */
void dr__world_new_transaction(dr_sql_world *world);

/* What comes next is in another transaction, and in what may be another session: a statement that
 * is run alone stands before or behind. */
void dr__world_next_step(dr_sql_world *world);

/* Locks on relations that were there before, which the transaction holds up to its end: relation →
 * the strongest, as written; borrowed. */
void dr__world_hold(dr_sql_world *world, const char *relation, dr_sql_lock lock);
void dr__world_unlock(dr_sql_world *world);
const json_t *dr__world_held(const dr_sql_world *world);

/* What scripts did may be undone: nothing is known to be new. */
void dr__world_undo(dr_sql_world *world);

/* A temporary relation of this name, which has no schema, was created and is still there. */
bool dr__world_is_temporary(const dr_sql_world *world, const char *name);

/* Things that scripts created: kind is "relation" (tables, views, indexes, sequences), "type",
 * "function" (by name, and by name and arguments), "schema". A relation in a schema that was
 * created counts, too. */
void dr__world_create(dr_sql_world *world, const char *kind, const char *name);
void dr__world_forget(dr_sql_world *world, const char *kind, const char *name);
bool dr__world_created(const dr_sql_world *world, const char *kind, const char *name);

/* Marks of a relation: a write to it may reach rows that were there before, though scripts created
 * it (a view, a table that an old one refers to), or runs a trigger or rule that scripts created,
 * on these events. The numbers of the events are those of CreateTrigStmt. */
enum {
  DR_SQL_REACHES_OLD = 1,
  DR_SQL_CHECKED = 2, /* a CHECK, or an index with an expression or a predicate, was added */
  DR_SQL_ON_INSERT = 4,
  DR_SQL_ON_DELETE = 8,
  DR_SQL_ON_UPDATE = 16,
  DR_SQL_ON_TRUNCATE = 32,
  DR_SQL_FORBIDS_NULL = 64, /* a constraint was added that may forbid NULL, in whichever column */
  DR_SQL_RENAMED = 128,     /* it is not the one of that name that the caller's facts are about */
  DR_SQL_DOMAIN = 256,      /* a type that is a domain */
  DR_SQL_NO_DEFAULT = 512   /* of a domain */
};
void dr__world_mark(dr_sql_world *world, const char *relation, int marks);
int dr__world_marks(const dr_sql_world *world, const char *relation);

/* Functions and operators that scripts created, by the last part of their names: PostgreSQL's own
 * of that name may not be meant. */
void dr__world_hide_own(dr_sql_world *world, const char *name);
bool dr__world_hides_own(const dr_sql_world *world, const char *name);

typedef struct dr_sql_column {
  bool added;    /* by one of the scripts */
  bool required; /* NOT NULL, and known to be */
  bool unsure;   /* else: it may be */
  bool checked;  /* there may be a CHECK of it, or an index with an expression or a predicate */
  json_t *type;  /* fields of a TypeName; NULL: not known */
} dr_sql_column;

/* What is known of a column; its type is a new reference. What was changed under a name that may
 * mean the same table counts where it makes things worse. */
dr_sql_column dr__world_column(dr_sql_world *world, const char *relation, const char *column);
void dr__world_set_column(dr_sql_world *world, const char *relation, const char *column,
                          const dr_sql_column *known);

/* Constraints that scripts added. `not_null` is the column of a CHECK (column IS NOT NULL), or "".
 */
void dr__world_add_constraint(dr_sql_world *world, const char *relation, const char *name,
                              const char *not_null, bool valid);
void dr__world_validate(dr_sql_world *world, const char *relation, const char *name);
void dr__world_drop_constraint(dr_sql_world *world, const char *relation, const char *name);
bool dr__world_has_constraint(const dr_sql_world *world, const char *relation, const char *name);
bool dr__world_is_checked(const dr_sql_world *world, const char *relation, const char *column);

#endif
