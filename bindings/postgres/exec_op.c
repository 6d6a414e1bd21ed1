/* exec_op.c - the op postgres.exec: statements that change something, in one transaction unless the
 * recipe says otherwise. Called through the gate and from the loop, on the runtime's thread.
 */
#include "ops.h"

#include "database.h"
#include "statements.h"

#include "core/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------ check */

static bool in_transaction(const dr_op *op) {
  return dr__arg_boolean(op, "transaction", true);
}

static int fail_transaction(dr_err *err, const char *message, const char *hint) {
  dr__fail(err, "postgres.transaction", "%s", message);
  dr__err_hint(err, "%s", hint);
  return DR_FAILED;
}

static int check_statement(const dr_sql_statement *statement, dr_err *err) {
  char message[512];
  if (statement->alone) {
    snprintf(message, sizeof message, "line %d: %s", statement->line, statement->alone);
    return fail_transaction(err, message, "give it to db:exec alone, with transaction = false");
  }
  if (statement->control == DR_SQL_PLAIN || statement->control == DR_SQL_SAVEPOINT) return 0;
  snprintf(message, sizeof message, "line %d: db:exec makes the transaction itself",
           statement->line);
  return fail_transaction(err, message,
                          "leave BEGIN and COMMIT out; or say transaction = false, and those of "
                          "the script count");
}

static int check_script(const dr_op *op, const dr_sql_script *script, dr_err *err) {
  int status = 0;
  if (script->count == 0) return dr__fail(err, "recipe.argument", "db:exec was given no statement");
  if (script->count > 1 && json_array_size(dr__arg(op, "params")) > 0) {
    dr__fail(err, "recipe.argument", "parameters belong to one statement, and there are %zu",
             script->count);
    dr__err_hint(err, "call db:exec for each of them");
    return DR_FAILED;
  }
  for (size_t i = 0; status == 0 && in_transaction(op) && i < script->count; i++)
    status = check_statement(&script->statements[i], err);
  return status;
}

int dr__pg_exec_check(const dr_op *op, dr_err *err) {
  const char *sql = dr__arg_string(op, "sql", "");
  dr_sql_script script = {.count = 0};
  int status = dr__pg_check_params(op, err);
  if (status || !dr__arg_boolean(op, "check", true)) return status;
  status = dr__sql_split(sql, json_string_length(dr__arg(op, "sql")), &script, err);
  if (status == 0) status = check_script(op, &script, err);
  dr__sql_script_free(&script);
  return status;
}

json_t *dr__pg_exec_assume(const dr_op *op) {
  (void)op;
  return json_pack("{s:s, s:i, s:[], s:[], s:[]}", "tag", "", "affected", 0, "rows", "statements",
                   "notices");
}

/* ------------------------------------------------------------ result */

/* {tag, affected} of each statement that was done. */
static void on_statement(dr_pg_steps *steps, const dr_pg_answer *answer) {
  json_t *result = steps->data;
  json_array_append_new(json_object_get(result, "statements"),
                        json_pack("{s:s, s:I}", "tag", answer->tag, "affected",
                                  (json_int_t)(answer->affected < 0 ? 0 : answer->affected)));
}

/* Puts the last answer into the result; false with err filled. */
static bool put_last(json_t *result, const dr_pg_answer *answer, dr_err *err) {
  json_t *rows = dr__pg_rows(answer, err);
  if (!rows) return false;
  json_t *last = json_pack("{s:s, s:I, s:o}", "tag", answer->tag, "affected",
                           (json_int_t)(answer->affected < 0 ? 0 : answer->affected), "rows", rows);
  bool put = last && json_object_update(result, last) == 0;
  json_decref(last);
  if (!put) dr__err_nomem(err);
  return put;
}

static void finish(dr_pg_steps *steps) {
  json_t *result = json_incref(steps->data);
  if (json_object_set(result, "notices", steps->notices) != 0) {
    json_decref(result);
    result = NULL;
  }
  dr__pg_steps_done(steps, result);
}

/* ------------------------------------------------------------ steps */

static void on_committed(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  (void)answer;
  if (err)
    dr__pg_steps_fail(steps, err);
  else
    finish(steps);
}

/* The statements are done: what they left of the transaction decides. */
static void settle(dr_pg_steps *steps) {
  dr_err err = DR_ERR_INIT;
  dr_pg_state state = dr__pg_state(steps->pg);
  if (state == DR_PG_IDLE) {
    finish(steps);
  } else if (state == DR_PG_TRANSACTION && in_transaction(steps->op)) {
    dr__pg_steps_go(
        steps,
        &(dr_pg_step){.sql = "COMMIT", .timeout_s = DR_PG_EXEC_TIMEOUT, .next = on_committed});
  } else {
    fail_transaction(&err, "the statements leave a transaction open, which was rolled back",
                     "end it with COMMIT in the same call");
    dr__pg_steps_fail(steps, &err);
  }
}

static void on_done(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  dr_err own = DR_ERR_INIT;
  if (err || !put_last(steps->data, answer, &own))
    dr__pg_steps_fail(steps, err ? err : &own);
  else
    settle(steps);
}

static void run_statements(dr_pg_steps *steps) {
  bool failed;
  const dr_op *op = steps->op;
  json_t *params = dr__pg_params(op, &failed);
  dr_err err = DR_ERR_INIT;
  if (failed) {
    dr__err_nomem(&err);
    dr__pg_steps_fail(steps, &err);
    return;
  }
  dr__pg_steps_go(steps,
                  &(dr_pg_step){.sql = dr__arg_string(op, "sql", ""),
                                .params = params,
                                .timeout_s = dr__arg_number(op, "timeout", DR_PG_EXEC_TIMEOUT),
                                .on_answer = on_statement,
                                .next = on_done});
}

static void on_prepared(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  (void)answer;
  if (err)
    dr__pg_steps_fail(steps, err);
  else
    run_statements(steps);
}

/* In a transaction the limit ends with it. Without one, the connection is of this op alone. */
static void on_connected(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  char *sql = NULL;
  double seconds = dr__arg_number(steps->op, "lock_timeout", DR_PG_LOCK_TIMEOUT);
  const char *before = in_transaction(steps->op) ? "BEGIN; SET LOCAL" : "SET";
  (void)answer;
  if (err) {
    dr__pg_steps_fail(steps, err);
    return;
  }
  if (asprintf(&sql, "%s lock_timeout = %.0f", before, seconds * 1000) < 0) sql = NULL;
  dr__pg_steps_go(
      steps, &(dr_pg_step){.text = sql, .timeout_s = DR_PG_QUERY_TIMEOUT, .next = on_prepared});
}

static void free_result(void *data) {
  json_decref(data);
}

int dr__pg_exec_start(dr_op *op, dr_err *err) {
  json_t *result = json_pack("{s:[]}", "statements");
  const dr_pg_steps_options options = {.alone = !in_transaction(op)};
  if (!result) return dr__err_nomem(err);
  dr_pg_steps *steps = dr__pg_steps_new(op, result, free_result, &options, err);
  return steps ? dr__pg_steps_connect(steps, on_connected, err) : DR_FAILED;
}

const dr_arg dr__pg_exec_args[] = {DR_PG_DB_ARG,
                                   {"sql", DR_ARG_STRING, DR_REQUIRED},
                                   {"params", DR_ARG_ANY, 0},
                                   {"timeout", DR_ARG_DURATION, 0},
                                   {"lock_timeout", DR_ARG_DURATION, 0},
                                   {"transaction", DR_ARG_BOOLEAN, 0},
                                   {"check", DR_ARG_BOOLEAN, 0},
                                   {0}};
