/* postgres/statement_facts.h - what a script's statements do to transactions. Pure, any thread.
 * Used by statements.c. */
#ifndef DR_POSTGRES_STATEMENT_FACTS_H
#define DR_POSTGRES_STATEMENT_FACTS_H

#include "postgres/statements.h"

/* Sets `control` and `alone` of each statement. Fails with postgres.copy_data, postgres.syntax,
 * out_of_memory. */
int dr__sql_add_facts(dr_sql_script *script, dr_err *err);

#endif
