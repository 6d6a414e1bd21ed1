/* migrate_lock.c - one runner at a time: an advisory lock of the session, taken before anything is
 * read and given back with the connection. Called from callbacks, on the runtime's thread.
 *
 * The lock is polled. One that is waited for would be held up in an open statement, and an index
 * that the other runner builds concurrently waits for every open statement: a deadlock.
 */
#include "migrate_run.h"

#include "core/err.h"

#include <stdio.h>
#include <string.h>

#define POLL_SECONDS 0.2
enum { TELL_EVERY = 10, SQL_SHOWN = 160 };

static const char try_lock[] = "SELECT pg_try_advisory_lock(" DR_MIGRATE_LOCK ") AS got";

static const char ask_holder[] =
    "SELECT a.pid, a.usename, a.application_name, coalesce(host(a.client_addr), 'local') AS client,"
    " to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS since,"
    " a.query FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
    " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND l.classid::bigint = " DR_MIGRATE_LOCK "::bigint >> 32"
    " AND l.objid::bigint = " DR_MIGRATE_LOCK "::bigint & 4294967295";

static const char is_there[] =
    "SELECT to_regclass('deployrun.schema_migrations') IS NOT NULL AS there";

static void take(dr_pg_steps *steps);

static const char *cell(const dr_pg_answer *answer, const char *name) {
  const char *text = dr__pg_field(answer, 0, name);
  return text && text[0] ? text : "?";
}

static void note_holder(dr_migrate *self, const dr_pg_answer *answer) {
  self->holder[0] = '\0';
  if (answer->rows == 0) return;
  snprintf(self->holder, sizeof self->holder,
           "pid %s (%s, user %s, from %s, since %s UTC), at: %.*s%s", cell(answer, "pid"),
           cell(answer, "application_name"), cell(answer, "usename"), cell(answer, "client"),
           cell(answer, "since"), SQL_SHOWN, cell(answer, "query"),
           strlen(cell(answer, "query")) > SQL_SHOWN ? "…" : "");
}

static void fail_locked(dr_pg_steps *steps) {
  const dr_migrate *self = steps->data;
  dr_err err = DR_ERR_INIT;
  dr__fail(&err, "postgres.migration_locked",
           "another run migrates this database, and did not end within %g s: %s",
           dr__arg_number(self->op, "within", 0),
           self->holder[0] ? self->holder : "not to be seen");
  dr__err_hint(&err, "wait for it, or give it longer: within = seconds; pg_terminate_backend(pid) "
                     "ends one that hangs");
  dr__migrate_fail(steps, &err);
}

static void on_holder(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  dr_migrate *self = steps->data;
  if (err) {
    dr__migrate_fail(steps, err);
    return;
  }
  note_holder(self, answer);
  if (self->holder[0])
    dr__op_progress(self->op, "waits for another run that migrates: %s", self->holder);
  if (uv_hrtime() >= self->lock_until_ns)
    fail_locked(steps);
  else if (dr__pg_steps_after(steps, POLL_SECONDS, take) != 0) {
    dr_err lost = DR_ERR_INIT;
    dr__err_nomem(&lost);
    dr__migrate_fail(steps, &lost);
  }
}

static void ask_who(dr_pg_steps *steps) {
  dr__pg_steps_go(steps, &(dr_pg_step){.sql = ask_holder, .next = on_holder});
}

static void wait_more(dr_pg_steps *steps) {
  dr_migrate *self = steps->data;
  bool late = uv_hrtime() >= self->lock_until_ns;
  if (late || self->polls++ % TELL_EVERY == 0) {
    ask_who(steps);
    return;
  }
  if (dr__pg_steps_after(steps, POLL_SECONDS, take) == 0) return;
  dr_err err = DR_ERR_INIT;
  dr__err_nomem(&err);
  dr__migrate_fail(steps, &err);
}

/* ------------------------------------------------------------ the table */

static void on_families(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  dr_migrate *self = steps->data;
  dr_err lost = DR_ERR_INIT;
  if (!err && !(self->families = dr__pg_rows(answer, &lost))) err = &lost;
  if (err)
    dr__migrate_fail(steps, err);
  else
    dr__migrate_decide(steps);
}

static void on_rows(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  dr_migrate *self = steps->data;
  dr_err lost = DR_ERR_INIT;
  if (!err && !(self->rows = dr__pg_rows(answer, &lost))) err = &lost;
  if (err)
    dr__migrate_fail(steps, err);
  else
    dr__pg_steps_go(steps, &(dr_pg_step){.sql = dr__migrate_select_families, .next = on_families});
}

static void on_made(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  (void)answer;
  if (err)
    dr__migrate_fail(steps, err);
  else
    dr__pg_steps_go(steps, &(dr_pg_step){.sql = dr__migrate_select_rows, .next = on_rows});
}

static void on_looked(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  const char *there = err ? NULL : dr__pg_field(answer, 0, "there");
  if (err || (there && there[0] == 't'))
    on_made(steps, answer, err);
  else
    dr__pg_steps_go(steps, &(dr_pg_step){.sql = dr__migrate_create_table, .next = on_made});
}

/* ------------------------------------------------------------ the lock */

static void on_polled(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err) {
  const char *got = err ? NULL : dr__pg_field(answer, 0, "got");
  if (err)
    dr__migrate_fail(steps, err);
  else if (got && got[0] == 't')
    dr__pg_steps_go(steps, &(dr_pg_step){.sql = is_there, .next = on_looked});
  else
    wait_more(steps);
}

static void take(dr_pg_steps *steps) {
  dr__pg_steps_go(steps, &(dr_pg_step){.sql = try_lock, .next = on_polled});
}

void dr__migrate_take_lock(dr_pg_steps *steps) {
  dr_migrate *self = steps->data;
  double within = dr__arg_number(self->op, "within", 0);
  self->lock_until_ns = uv_hrtime() + (uint64_t)(within * 1e9);
  take(steps);
}
