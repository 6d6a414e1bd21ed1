/* postgres/hazard_lint.h - advice about scripts that is no hazard: can they run twice, do their
 * statements stand in the order that works. Pure; one thread at a time. Used by hazards.c. */
#ifndef DR_POSTGRES_HAZARD_LINT_H
#define DR_POSTGRES_HAZARD_LINT_H

#include "postgres/sql_world.h"

typedef struct dr_sql_lint {
  const dr_sql_script *script;
  const dr_sql_world *world;
  json_t *written; /* relation → true: rows were changed by a statement before */
  json_t *out;     /* [{line, rule, message}] */
  int line;
  bool failed; /* memory was short */
} dr_sql_lint;

/* Looks at one statement, judged before; all of a script in order. */
void dr__lint(dr_sql_lint *lint, size_t index, const json_t *tree);

#endif
