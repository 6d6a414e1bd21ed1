/* migrate_run.h - one run of migrations: what its parts share. Without Lua; runtime's thread.
 *
 *   migrate_run.c      from the files to the last record: the order of everything
 *   migrate_pool.c     is there a pooler between that would give the session away?
 *   migrate_lock.c     one runner at a time, and what the database says was applied
 *   migrate_step.c     a step that is one transaction
 *   migrate_alone.c    a statement that cannot be in one
 *   migrate_retry.c    a lock that was not to be had: who has it, and once more
 *
 * Each part calls the next by a function of this header; any of them ends the op by
 * dr__migrate_fail(). Cancelling is left to steps.h: the statement under way is ended on the
 * server, and what was recorded stands.
 */
#ifndef DR_MIGRATE_RUN_H
#define DR_MIGRATE_RUN_H

#include "migrate_load.h"
#include "migrate_sql.h"
#include "postgres/steps.h"

typedef struct dr_migrate {
  dr_op *op;
  dr_migration_files files; /* as many as the argument `run`, in that order */
  char by[160];             /* who is recorded */
  uint64_t began_ns;
  /* migrate_pool.c */
  dr_pg *other; /* a second connection, while it is being found out */
  int64_t backend, other_backend;
  int rounds;
  /* migrate_lock.c */
  uint64_t lock_until_ns;
  int polls;
  char holder[600]; /* who has the lock; "" */
  json_t *families; /* [{name, members}]: tables that have children */
  /* migrate_run.c */
  json_t *rows; /* of deployrun.schema_migrations */
  json_t *todo; /* versions, in order */
  size_t at;    /* of todo */
  dr_migration_file *file;
  size_t step;     /* of the file */
  json_t *applied; /* the result: [{version, name, seconds}] */
  uint64_t file_began_ns;
  /* of the step under way */
  dr_migrate_message message;
  size_t answered; /* statements of the message that were done */
  bool begun;      /* the statement was begun before, by a run that was cut off */
  uint64_t step_began_ns;
  int attempt;                       /* from 1 */
  void (*again)(dr_pg_steps *steps); /* what is tried again */
  size_t failed;                     /* the statement that failed */
  dr_err err;                        /* how */
} dr_migrate;

/* ---- migrate_run.c */

/* The rows are there: what is to be done is decided once more, and begun. */
void dr__migrate_decide(dr_pg_steps *steps);

/* The step is recorded: on to the next, or the next file, or the end. */
void dr__migrate_step_done(dr_pg_steps *steps);

/* Ends the op. err is moved from. */
void dr__migrate_fail(dr_pg_steps *steps, dr_err *err);

/* Ends the op with what a statement of the file failed with: file and line before the message. */
void dr__migrate_fail_at(dr_pg_steps *steps, size_t statement, dr_err *err);

/* The same, but without ending it. */
void dr__migrate_place(const dr_migrate *self, size_t statement, dr_err *err);

/* Sends a text (malloc'd, taken over; NULL is out of memory). */
void dr__migrate_send(dr_pg_steps *steps, char *sql, dr_pg_next next);

/* What the review said of a statement of the file at hand; NULL when it said nothing. */
const json_t *dr__migrate_judged(const dr_migrate *self, size_t statement);

/* True when others have to wait for the lock that the statement takes. */
bool dr__migrate_blocks(const dr_migrate *self, size_t statement);

/* The record of the file at hand after `done` statements. NULL with err filled. */
char *dr__migrate_mark_text(const dr_migrate *self, size_t done, int64_t running, double seconds,
                            dr_err *err);

/* The longest time the statement at hand may still take, in seconds. */
double dr__migrate_left(const dr_migrate *self);

/* The row of the file at hand, or NULL. */
const json_t *dr__migrate_row(const dr_migrate *self);

/* ---- the others, in the order in which they are called */

void dr__migrate_check_pool(dr_pg_steps *steps);  /* migrate_pool.c */
void dr__migrate_take_lock(dr_pg_steps *steps);   /* migrate_lock.c */
void dr__migrate_together_go(dr_pg_steps *steps); /* migrate_step.c */
void dr__migrate_alone_go(dr_pg_steps *steps);    /* migrate_alone.c */

/* migrate_retry.c: statement `failed` failed with err (moved from). Where that was for a lock, and
 * there are attempts left, calls `retry` later; else ends the op. */
void dr__migrate_failed(dr_pg_steps *steps, size_t failed, dr_err *err,
                        void (*retry)(dr_pg_steps *steps));

#endif
