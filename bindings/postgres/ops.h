/* ops.h - the ops of a database object, and what they share. Runtime's thread; the table of them is
 * in postgres.c. */
#ifndef DR_PG_OPS_H
#define DR_PG_OPS_H

#include "ops/binding.h"
#include "steps.h"

/* Seconds, when a recipe does not say. */
enum { DR_PG_QUERY_TIMEOUT = 60, DR_PG_EXEC_TIMEOUT = 600, DR_PG_LOCK_TIMEOUT = 5 };

/* ---- query_op.c: postgres.query */
extern const dr_arg dr__pg_query_args[];
int dr__pg_query_check(const dr_op *op, dr_err *err);
json_t *dr__pg_query_assume(const dr_op *op);
int dr__pg_query_start(dr_op *op, dr_err *err);

/* ---- exec_op.c: postgres.exec */
extern const dr_arg dr__pg_exec_args[];
int dr__pg_exec_check(const dr_op *op, dr_err *err);
json_t *dr__pg_exec_assume(const dr_op *op);
int dr__pg_exec_start(dr_op *op, dr_err *err);

/* ---- wait_op.c: postgres.wait_ready */
extern const dr_arg dr__pg_wait_args[];
char *dr__pg_wait_preview(const dr_op *op);
json_t *dr__pg_wait_assume(const dr_op *op);
int dr__pg_wait_start(dr_op *op, dr_err *err);

/* ---- container_op.c: postgres.container */
extern const dr_arg dr__pg_container_args[];
char *dr__pg_container_preview(const dr_op *op);
json_t *dr__pg_container_assume(const dr_op *op);
int dr__pg_container_start(dr_op *op, dr_err *err);

/* ---- op_args.c: for all of them */

/* "shop", "the service web": which database the op's argument says. */
const char *dr__pg_shown_db(const dr_op *op);

/* The preview of SQL: the database, the text, and what $1, $2 … are. */
char *dr__pg_preview(const dr_op *op);

/* The argument "params", texts and false for NULL, as dr_pg_step takes it; a new reference, NULL
 * when there is none. *failed is set when memory is short. */
json_t *dr__pg_params(const dr_op *op, bool *failed);

/* Refuses params that are no list of texts and false. */
int dr__pg_check_params(const dr_op *op, dr_err *err);

#endif
