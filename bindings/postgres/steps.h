/* steps.h - postgres ops that are several statements, one after another. Without Lua; runtime's
 * thread.
 *
 * An op makes its steps in start() and lives in the callbacks of its statements: each begins the
 * next, or ends the op:
 *
 *   start():      steps = dr__pg_steps_new(op, data, free, &(dr_pg_steps_options){…}, err);
 *                 return dr__pg_steps_connect(steps, on_connected, err);
 *   on_connected: if (err) dr__pg_steps_fail(steps, err);
 *                 else dr__pg_steps_go(steps, &(dr_pg_step){.sql = "BEGIN", .next = on_begun});
 *   …             dr__pg_steps_done(steps, result);
 *
 * The connection comes from those the runtime keeps (database.h) and goes back to them when the op
 * ends and no transaction is open. Notices are shown as the op's log.
 * Cancelling the op cancels the statement under way on the server, waits for that (bounded), and
 * ends the op with "cancelled"; an op that has on_cancel is asked there first.
 */
#ifndef DR_PG_STEPS_H
#define DR_PG_STEPS_H

#include "connection.h"

#include "ops/binding.h"

typedef struct dr_pg_steps dr_pg_steps;

enum { DR_PG_MAX_NOTICES = 200 }; /* kept of one op; all are shown */

/* The end of connecting or of one statement. err NULL: well (answer is NULL after connecting);
 * else err may be moved from. */
typedef void (*dr_pg_next)(dr_pg_steps *steps, const dr_pg_answer *answer, dr_err *err);

typedef struct dr_pg_steps_options {
  /* A connection of its own, closed at the end: for what belongs to a session (advisory locks, SET,
   * LISTEN). Else one that is kept may be used. */
  bool alone;
  double connect_timeout_s; /* 0: see connection.h */
  /* Asked to end early, with no statement under way any more; must end the op soon. NULL: it ends
   * at once. Asked once. What matters needs a new connection then (dr__pg_cancel_sent). */
  void (*on_cancel)(dr_pg_steps *steps);
} dr_pg_steps_options;

struct dr_pg_steps {
  dr_op *op;
  void *data;      /* the op's own */
  dr_pg *pg;       /* NULL while not connected */
  json_t *notices; /* array of {severity, code, message, detail, hint} so far; the op may take it */
  /* --- its own */
  dr_pg_steps_options options;
  void (*free_data)(void *data);
  struct dr_pg_way *way;
  dr_pg_next next;
  void (*on_answer)(dr_pg_steps *steps, const dr_pg_answer *answer);
  void (*on_time)(dr_pg_steps *steps);
  uv_timer_t *timer; /* or NULL */
  uv_timer_t *soon;  /* when a kept connection is taken; or NULL */
  dr_err err;        /* what the op fails with, while it is rolled back */
  bool under_way;    /* connecting, or a statement */
  bool cancelled;
  bool asked; /* on_cancel was called, or the op ends for it */
  bool ending;
};

/* One query. What is malloc'd or referenced is taken over, also on failure. */
typedef struct dr_pg_step {
  const char *sql;    /* borrowed during the call; or */
  char *text;         /* malloc'd, in its place; both NULL: out of memory */
  json_t *params;     /* array of strings and nulls; or NULL: see dr_pg_query */
  bool one_statement; /* the same, as max_rows, max_bytes and line are */
  double timeout_s;
  size_t max_rows;
  size_t max_bytes;
  int line;
  void (*on_answer)(dr_pg_steps *steps, const dr_pg_answer *answer); /* or NULL */
  dr_pg_next next;
} dr_pg_step;

/* Makes the steps of an op that has the argument "db" (database.h). `data` (malloc'd or NULL, taken
 * over also on failure) is given to free_data in the end. options may be NULL. NULL with err filled
 * when it fails. */
dr_pg_steps *dr__pg_steps_new(dr_op *op, void *data, void (*free_data)(void *data),
                              const dr_pg_steps_options *options, dr_err *err);

/* Connects, or takes a kept connection: `next` follows either way, never from inside this call. For
 * start(), and later to connect again: the connection there is, is closed. Returns 0, or an error.
 */
int dr__pg_steps_connect(dr_pg_steps *steps, dr_pg_next next, dr_err *err);

/* Begins a query, from a callback: where it cannot begin, the op fails. */
void dr__pg_steps_go(dr_pg_steps *steps, const dr_pg_step *step);

/* Calls on_time once after so many seconds; a new time replaces the one before, 0 takes it away.
 * Returns 0 or out of memory. */
int dr__pg_steps_after(dr_pg_steps *steps, double seconds, void (*on_time)(dr_pg_steps *steps));

/* The ends of the op. `result` is taken over; NULL is out of memory. err is moved from. Before it
 * fails, a transaction that is open is rolled back, so that its locks are gone then; where the op
 * is done, and for one that is alone, by closing the connection. */
void dr__pg_steps_done(dr_pg_steps *steps, json_t *result);
void dr__pg_steps_fail(dr_pg_steps *steps, dr_err *err);

#endif
