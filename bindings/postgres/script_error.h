/* postgres/script_error.h - says what is wrong with a script that PostgreSQL's parser refused.
 * Pure, any thread. Used by statements.c and trees.c. */
#ifndef DR_POSTGRES_SCRIPT_ERROR_H
#define DR_POSTGRES_SCRIPT_ERROR_H

#include "postgres/scan.h"
#include "postgres/statements.h"

/* The line of a byte, from 1. */
int dr__sql_line(const char *text, size_t offset);

/* Fills err for a mistake in the script's text (its statements need not be known):
 * postgres.copy_data, postgres.meta_command, out_of_memory, else postgres.syntax. Returns
 * DR_FAILED.
 */
int dr__sql_script_error(const dr_sql_script *script, const dr_sql_mistake *mistake, dr_err *err);

/* Fills err for COPY between the server and its client, in this line. Returns DR_FAILED. */
int dr__sql_copy_error(int line, bool from, dr_err *err);

#endif
