/* wait_op.c - the op postgres.wait_ready: waits until a server lets us in and answers. Called
 * through the gate and from the loop, on the runtime's thread.
 *
 * A server that is not there yet, is starting or has no connection left is asked again; one that
 * refuses the user, the database or the certificate will not change its mind.
 */
#include "ops.h"

#include "database.h"

#include "core/err.h"

#include <stdlib.h>
#include <string.h>

/* The guide's numbers. */
enum { USUAL_ATTEMPTS = 30, USUAL_INTERVAL = 2, ATTEMPT_TIMEOUT = 5 };

typedef struct waiting {
  int64_t attempt;
  int64_t attempts;
  double interval_s;
} waiting;

static bool will_pass(const char *code) {
  static const char *const codes[] = {"postgres.unreachable", "postgres.starting",
                                      "postgres.connections", "postgres.lost", "postgres.timeout"};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    if (strcmp(code, codes[i]) == 0) return true;
  return false;
}

static void try_once(dr_pg_steps *steps);

static void fail_waiting(dr_pg_steps *steps, dr_err *err) {
  const waiting *it = steps->data;
  dr_err own = DR_ERR_INIT;
  dr__fail(&own, "postgres.not_ready",
           "the server is not ready after %lld attempts, %g s apart: %s", (long long)it->attempts,
           it->interval_s, err->message);
  dr__err_hint(&own, "%s", err->hint);
  dr__err_because(&own, err);
  dr__pg_steps_fail(steps, &own);
}

static void try_later(dr_pg_steps *steps, dr_err *err) {
  const waiting *it = steps->data;
  dr__op_progress(steps->op, "attempt %lld of %lld: %s", (long long)it->attempt,
                  (long long)it->attempts, err->message);
  if (!will_pass(err->code)) {
    dr__pg_steps_fail(steps, err);
  } else if (it->attempt >= it->attempts) {
    fail_waiting(steps, err);
  } else {
    dr_err_clear(err);
    if (dr__pg_steps_after(steps, it->interval_s > 0.001 ? it->interval_s : 0.001, try_once) == 0)
      return;
    dr__err_nomem(err);
    dr__pg_steps_fail(steps, err);
  }
}

static void on_answered(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  const waiting *it = steps->data;
  (void)answer;
  if (err)
    try_later(steps, err);
  else
    dr__pg_steps_done(steps, json_pack("{s:I}", "attempts", (json_int_t)it->attempt));
}

static void on_connected(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  (void)answer;
  if (err)
    try_later(steps, err);
  else
    dr__pg_steps_go(
        steps, &(dr_pg_step){.sql = "SELECT 1", .timeout_s = ATTEMPT_TIMEOUT, .next = on_answered});
}

static void try_once(dr_pg_steps *steps) {
  waiting *it = steps->data;
  dr_err err = DR_ERR_INIT;
  it->attempt++;
  if (dr__pg_steps_connect(steps, on_connected, &err) != 0) try_later(steps, &err);
}

int dr__pg_wait_start(dr_op *op, dr_err *err) {
  waiting *it = calloc(1, sizeof *it);
  const dr_pg_steps_options options = {.connect_timeout_s =
                                           dr__arg_number(op, "timeout", ATTEMPT_TIMEOUT)};
  if (!it) return dr__err_nomem(err);
  it->attempt = 1;
  it->attempts = dr__arg_integer(op, "attempts", USUAL_ATTEMPTS);
  it->interval_s = dr__arg_number(op, "interval", USUAL_INTERVAL);
  dr_pg_steps *steps = dr__pg_steps_new(op, it, free, &options, err);
  return steps ? dr__pg_steps_connect(steps, on_connected, err) : DR_FAILED;
}

char *dr__pg_wait_preview(const dr_op *op) {
  char *text = NULL;
  if (asprintf(&text, "wait until %s answers: at most %lld attempts, %g s apart",
               dr__pg_shown_db(op), (long long)dr__arg_integer(op, "attempts", USUAL_ATTEMPTS),
               dr__arg_number(op, "interval", USUAL_INTERVAL)) < 0)
    return NULL;
  return text;
}

json_t *dr__pg_wait_assume(const dr_op *op) {
  (void)op;
  return json_pack("{s:i}", "attempts", 1);
}

const dr_arg dr__pg_wait_args[] = {DR_PG_DB_ARG,
                                   {"attempts", DR_ARG_INTEGER, 0},
                                   {"interval", DR_ARG_DURATION, 0},
                                   {"timeout", DR_ARG_DURATION, 0},
                                   {0}};
