/* postgres/hazard_judge.h - what a statement turned out to do, collected rule by rule while its
 * parse tree is walked; and the list of who judges which kind of node. Pure; one thread at a time.
 * Used by hazards.c and the files hazard_*.c, which hold the judges. */
#ifndef DR_POSTGRES_HAZARD_JUDGE_H
#define DR_POSTGRES_HAZARD_JUDGE_H

#include "postgres/hazard_rules.h"
#include "postgres/sql_world.h"
#include "postgres/tree.h"

typedef struct dr_sql_judgement {
  dr_sql_world *world;
  const dr_sql_rule *kind; /* the heaviest rule; NULL: none yet */
  dr_sql_class class;
  dr_sql_lock lock; /* the strongest */
  int work;
  bool is_bulk;          /* rows that were there before are read or written in bulk */
  dr_sql_lock bulk_lock; /* the weakest lock that this takes by itself */
  json_t *on;            /* relation → its strongest lock */
  json_t *hazards;       /* [{hazard, class, reason}] */
  json_t *loses;         /* [text] */
  bool uncertain;        /* in a block that may not run: what it creates may be there already */
  int nested;            /* blocks around the statement */
  bool failed;           /* memory was short */
} dr_sql_judgement;

/* DR_OK or out of memory; released by dr__judgement_free() in either case. */
int dr__judgement_begin(dr_sql_judgement *j, dr_sql_world *world);
void dr__judgement_free(dr_sql_judgement *j);

/* Notes that the statement does what the rule says. `relation` is what it locks (NULL: none,
 * or some that it does not name): one that scripts created is nobody's yet, so nothing counts
 * against it. `object` names what the reason is about; NULL: the relation. */
void dr__judge(dr_sql_judgement *j, dr_sql_rule_id id, const char *relation, const char *object);

/* The same with another lock than the rule's. */
void dr__judge_lock(dr_sql_judgement *j, dr_sql_rule_id id, const char *relation,
                    const char *object, dr_sql_lock lock);

/* The same when what it touches was made by the scripts, in a table that was there before: only the
 * lock counts. */
void dr__judge_own(dr_sql_judgement *j, dr_sql_rule_id id, const char *relation);

/* The same for each relation of a list. */
void dr__judge_relations(dr_sql_judgement *j, dr_sql_rule_id id, const json_t *relations);

/* A lock beside, of a rule that was noted: the table a foreign key points to. */
void dr__judge_also(dr_sql_judgement *j, const char *relation, dr_sql_lock lock);

/* Rows are read or written in bulk, under a lock that this alone would take; it counts when the
 * statement has to do with relations that were there before. */
void dr__judge_bulk(dr_sql_judgement *j, dr_sql_lock lock);

/* At the end of a statement: what takes its time holds up those who wait for what the transaction
 * has locked. */
void dr__judge_held(dr_sql_judgement *j);

/* All relations that a part of a tree names are read. */
void dr__judge_reads(dr_sql_judgement *j, json_t *part);

/* The same, and queries in a WITH of it that write are judged. */
void dr__judge_queries(dr_sql_judgement *j, json_t *part);

/* All functions that a tree calls are judged by what they do. */
void dr__judge_calls(dr_sql_judgement *j, json_t *tree);

/* True for a setting on which it depends what a name without a schema means. */
bool dr__moves_names(const char *setting);

/* True for the setting that makes triggers and foreign keys be skipped. */
bool dr__skips_triggers(const char *setting);

/* Notes in the world that the relation is new, unless that is uncertain. */
void dr__judge_created(dr_sql_judgement *j, const char *kind, const char *name, bool certain);

enum { DR_SQL_FUNCTION_SIZE = 2 * DR_SQL_NAME_SIZE };

/* "name(type,type[])" of a function: `arguments` are TypeName or FunctionParameter nodes. "" when
 * it is too long. */
void dr__judge_function_name(char whole[DR_SQL_FUNCTION_SIZE], const char *name,
                             const json_t *arguments);

/* Judges the statements of a text inside the statement at hand. */
void dr__judge_text(dr_sql_judgement *j, const char *sql);

typedef void dr_sql_judge(dr_sql_judgement *j, json_t *fields);

typedef struct dr_sql_judge_entry {
  const char *node; /* NULL ends the list */
  dr_sql_judge *judge;
} dr_sql_judge_entry;

extern const dr_sql_judge_entry dr__judges_of_tables[];  /* hazard_alter.c */
extern const dr_sql_judge_entry dr__judges_of_creates[]; /* hazard_create.c */
extern const dr_sql_judge_entry dr__judges_of_drops[];   /* hazard_drop.c */
extern const dr_sql_judge_entry dr__judges_of_objects[]; /* hazard_objects.c */
extern const dr_sql_judge_entry dr__judges_of_data[];    /* hazard_data.c */
extern const dr_sql_judge_entry dr__judges_of_blocks[];  /* hazard_block.c */

/* Judges one statement by its tree: finds who knows its kind. */
void dr__judge_tree(dr_sql_judgement *j, json_t *tree);

/* True for NULL, with or without a cast. */
bool dr__is_null(const json_t *expression);

/* False for a condition of which it is known that a NULL in a column does not make it false. */
bool dr__may_forbid_null(json_t *condition);

/* True when the expression calls a function that is not known to give the same all through a
 * statement: a default with it is worked out for each row. */
bool dr__calls_volatile(const dr_sql_world *world, json_t *expression);

#endif
