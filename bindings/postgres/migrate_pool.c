/* migrate_pool.c - is there a pooler between here and the server that gives a session to somebody
 * else between two statements (PgBouncer with pool_mode = transaction)? An advisory lock taken
 * through one belongs to nobody. Called from callbacks, on the runtime's thread.
 *
 * A pooler makes up the process id that it tells a client, so with a server of one's own the two
 * are the same, and one question is enough. Behind a pooler a second connection tells: where
 * sessions are kept, it never gets the server process of the first one, and the first one keeps its
 * own.
 */
#include "migrate_run.h"
#include "postgres/database.h"

#include "core/err.h"

enum { ROUNDS = 3 };

static const char ask_backend[] = "SELECT pg_backend_pid() AS pid";

static void fail_pooled(dr_pg_steps *steps) {
  dr_err err = DR_ERR_INIT;
  dr__fail(&err, "postgres.pooled",
           "this connection goes through a pooler that changes the server session between "
           "statements");
  dr__err_hint(&err, "migrations need a session of their own, for their lock: connect to the "
                     "server itself, or to a pool with pool_mode = session");
  dr__migrate_fail(steps, &err);
}

static void go_on(dr_pg_steps *steps) {
  dr_migrate *self = steps->data;
  dr__pg_close(self->other);
  self->other = NULL;
  dr__migrate_take_lock(steps);
}

static void ask_other(dr_pg_steps *steps);

static void on_own_again(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  dr_migrate *self = steps->data;
  if (err) {
    dr__migrate_fail(steps, err);
    return;
  }
  if (dr__pg_integer(answer, 0, "pid", 0) != self->backend)
    fail_pooled(steps);
  else if (++self->rounds < ROUNDS)
    ask_other(steps);
  else
    go_on(steps);
}

static void on_other(void *data, const dr_pg_answer *answer, dr_err *err) {
  dr_pg_steps *steps = data;
  dr_migrate *self = steps->data;
  if (err) {
    dr__migrate_fail(steps, err);
    return;
  }
  self->other_backend = dr__pg_integer(answer, 0, "pid", 0);
  if (self->other_backend == self->backend) {
    fail_pooled(steps);
    return;
  }
  dr__pg_steps_go(steps, &(dr_pg_step){.sql = ask_backend, .next = on_own_again});
}

static void ask_other(dr_pg_steps *steps) {
  dr_migrate *self = steps->data;
  dr_err err = DR_ERR_INIT;
  const dr_pg_query query = {
      .sql = ask_backend, .timeout_s = DR_PG_CONNECT_TIMEOUT, .on_done = on_other, .data = steps};
  if (dr__pg_query(self->other, &query, &err) != DR_OK) dr__migrate_fail(steps, &err);
}

static void on_connected(void *data, dr_err *err) {
  if (err)
    dr__migrate_fail(data, err);
  else
    ask_other(data);
}

static void connect_other(dr_pg_steps *steps) {
  dr_migrate *self = steps->data;
  dr_err err = DR_ERR_INIT;
  const dr_pg_connecting how = {
      .keywords = steps->way->keywords, .on_done = on_connected, .data = steps};
  if (dr__pg_connect(&self->other, steps->op->loop, &how, &err) != DR_OK)
    dr__migrate_fail(steps, &err);
}

static void on_own(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  dr_migrate *self = steps->data;
  if (err) {
    dr__migrate_fail(steps, err);
    return;
  }
  self->backend = dr__pg_integer(answer, 0, "pid", 0);
  if (self->backend == dr__pg_backend(steps->pg))
    go_on(steps);
  else
    connect_other(steps);
}

void dr__migrate_check_pool(dr_pg_steps *steps) {
  dr__pg_steps_go(steps, &(dr_pg_step){.sql = ask_backend, .next = on_own});
}
