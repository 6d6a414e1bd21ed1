/* error.h - a server's errors in deployrun's words. Pure C, no I/O, no libpq.
 *
 * Codes, by SQLSTATE (the message ends with it):
 *   postgres.syntax 42601 · postgres.lock_timeout 55P03 · postgres.deadlock 40P01 ·
 *   postgres.serialization 40001 · postgres.read_only 25006 · postgres.timeout 57014 by
 *   statement_timeout · postgres.auth 28xxx · postgres.denied 42501 · postgres.no_database 3D000 ·
 *   postgres.connections 53300 · postgres.starting 57P03 · postgres.lost 57P01, 57P02, and a
 *   connection that ended · postgres.constraint 23xxx · postgres.disk_full 53100 ·
 *   postgres.transaction 25001 · postgres.cancelled 57014 by somebody else · postgres.statement all
 *   others
 * Of connecting also: postgres.unreachable postgres.tls postgres.connect
 * The error's detail holds, a line each: the server's detail, hint and context, the table, column
 * or constraint, and the statement with its line, marked where the server points to.
 */
#ifndef DR_PG_ERROR_H
#define DR_PG_ERROR_H

#include <deployrun.h>

/* What a server says of an error; NULL where it says nothing. Borrowed. */
typedef struct dr_pg_problem {
  const char *sqlstate;
  const char *message;
  const char *detail;
  const char *hint;
  const char *context;
  const char *table;
  const char *column;
  const char *constraint;
  int position;    /* in characters from 1, in `sql`; 0: none */
  const char *sql; /* what was sent */
  int line;        /* of its first line in its file; 0: 1 */
} dr_pg_problem;

/* Fills err. */
void dr__pg_explain(dr_err *err, const dr_pg_problem *problem);

/* Fills err from what libpq says of a connection that did not come about; the SQLSTATE of a refusal
 * is found in it (PQERRORS_VERBOSE). */
void dr__pg_explain_connect(dr_err *err, const char *text);

#endif
