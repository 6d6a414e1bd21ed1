/* query_op.c - the op postgres.query: one statement that reads. Called through the gate and from
 * the loop, on the runtime's thread.
 *
 * It runs in a dry run too, so it must not change anything. A read-only transaction is not enough:
 * it allows COPY to a file or a program, NOTIFY, SET, the end of the transaction itself, and
 * EXPLAIN ANALYZE of CREATE TABLE AS (measured with 15). So only SELECT, VALUES, TABLE, SHOW and
 * EXPLAIN of them are taken, by the parser's word; one statement only, by the extended protocol;
 * and what it did is rolled back. What remains is a function that acts outside of tables
 * (pg_terminate_backend): decision 0028.
 */
#include "ops.h"

#include "database.h"
#include "statements.h"

#include "core/err.h"

#include <stdlib.h>
#include <string.h>

static int fail_kind(dr_err *err) {
  dr__fail(err, "postgres.read_only", "db:query takes one SELECT, VALUES, TABLE, SHOW or EXPLAIN");
  dr__err_hint(err, "use db:exec for all else: a dry run shows it and does not do it");
  return DR_FAILED;
}

static bool reads(const json_t *tree) {
  const json_t *select = json_object_get(tree, "SelectStmt");
  const json_t *explained = json_object_get(json_object_get(tree, "ExplainStmt"), "query");
  if (explained) return reads(explained);
  return (select && !json_object_get(select, "intoClause")) ||
         json_object_get(tree, "VariableShowStmt");
}

static int check_script(const dr_sql_script *script, dr_err *err) {
  if (script->count != 1) return fail_kind(err);
  json_t *tree = dr__sql_tree(script, 0, err);
  if (!tree) return DR_FAILED;
  int status = reads(tree) ? 0 : fail_kind(err);
  json_decref(tree);
  return status;
}

int dr__pg_query_check(const dr_op *op, dr_err *err) {
  const char *sql = dr__arg_string(op, "sql", "");
  dr_sql_script script = {.count = 0};
  int status = dr__pg_check_params(op, err);
  if (status == 0)
    status = dr__sql_split(sql, json_string_length(dr__arg(op, "sql")), &script, err);
  if (status == 0) status = check_script(&script, err);
  dr__sql_script_free(&script);
  return status;
}

json_t *dr__pg_query_assume(const dr_op *op) {
  (void)op;
  return json_pack("{s:[], s:[], s:[]}", "rows", "columns", "notices");
}

/* ------------------------------------------------------------ steps */

static void on_ended(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  (void)answer;
  if (err) {
    dr__pg_steps_fail(steps, err);
    return;
  }
  json_t *result = steps->data;
  steps->data = NULL;
  if (json_object_set(result, "notices", steps->notices) != 0) {
    json_decref(result);
    result = NULL;
  }
  dr__pg_steps_done(steps, result);
}

static json_t *names_of(const dr_pg_answer *answer) {
  json_t *names = json_array();
  for (size_t i = 0; names && i < answer->columns; i++) {
    if (json_array_append_new(names, json_string_nocheck(answer->column[i].name)) == 0) continue;
    json_decref(names);
    return NULL;
  }
  return names;
}

static void on_answered(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  dr_err own = DR_ERR_INIT;
  json_t *rows = err ? NULL : dr__pg_rows(answer, &own);
  if (!rows) {
    dr__pg_steps_fail(steps, err ? err : &own);
    return;
  }
  steps->data = json_pack("{s:o, s:o}", "rows", rows, "columns", names_of(answer));
  if (steps->data) {
    dr__pg_steps_go(steps, &(dr_pg_step){.sql = "ROLLBACK", .next = on_ended});
    return;
  }
  dr__err_nomem(&own);
  dr__pg_steps_fail(steps, &own);
}

static void on_begun(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  bool failed = false;
  const dr_op *op = steps->op;
  json_t *params = err ? NULL : dr__pg_params(op, &failed);
  dr_err own = DR_ERR_INIT;
  (void)answer;
  if (failed) dr__err_nomem(&own);
  if (err || failed) {
    dr__pg_steps_fail(steps, err ? err : &own);
    return;
  }
  dr__pg_steps_go(steps,
                  &(dr_pg_step){.sql = dr__arg_string(op, "sql", ""),
                                .params = params,
                                .one_statement = true,
                                .timeout_s = dr__arg_number(op, "timeout", DR_PG_QUERY_TIMEOUT),
                                .max_rows = (size_t)dr__arg_integer(op, "max_rows", 0),
                                .next = on_answered});
}

static void on_connected(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  (void)answer;
  if (err)
    dr__pg_steps_fail(steps, err);
  else
    dr__pg_steps_go(steps, &(dr_pg_step){.sql = "BEGIN READ ONLY",
                                         .timeout_s = DR_PG_QUERY_TIMEOUT,
                                         .next = on_begun});
}

static void free_result(void *data) {
  json_decref(data);
}

int dr__pg_query_start(dr_op *op, dr_err *err) {
  dr_pg_steps *steps = dr__pg_steps_new(op, NULL, free_result, NULL, err);
  return steps ? dr__pg_steps_connect(steps, on_connected, err) : DR_FAILED;
}

const dr_arg dr__pg_query_args[] = {DR_PG_DB_ARG,
                                    {"sql", DR_ARG_STRING, DR_REQUIRED},
                                    {"params", DR_ARG_ANY, 0},
                                    {"timeout", DR_ARG_DURATION, 0},
                                    {"max_rows", DR_ARG_INTEGER, 0},
                                    {0}};
