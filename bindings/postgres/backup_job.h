/* backup_job.h - an op that backs up or restores: connections, a program and a thread at the same
 * time, and one way to its end. Without Lua; runtime's thread.
 *
 * An op makes its job in start() and lives in callbacks: each begins the next thing, or ends the
 * op. What fails first is what the op fails with; then everything else is stopped, and when nothing
 * moves any more, `clean` takes away what was made (a partial file, a new database). Cancelling is
 * a failure like any other. So nothing is left behind that looks like a backup, and no program goes
 * on unseen.
 */
#ifndef DR_POSTGRES_BACKUP_JOB_H
#define DR_POSTGRES_BACKUP_JOB_H

#include "backup_program.h"
#include "backup_thread.h"
#include "database.h"

typedef struct dr_backup_job dr_backup_job;

/* What comes next: after connecting, a query (answer), a program (output), a thread. It went well:
 * failures do not come here. */
typedef void (*dr_backup_next)(dr_backup_job *job);
typedef void (*dr_backup_answered)(dr_backup_job *job, const dr_pg_answer *answer);
typedef void (*dr_backup_wrote)(dr_backup_job *job, const char *output);

enum { DR_BACKUP_MAIN, DR_BACKUP_OTHER, DR_BACKUP_CONNECTIONS }; /* a job's connections */

struct dr_backup_job {
  dr_op *op;      /* NULL once it was released */
  dr_pg_way *way; /* of the argument "db"; NULL for a job that needs no server */
  dr_pg *pg[DR_BACKUP_CONNECTIONS];
  void *data; /* the op's own */
  void (*free_data)(void *data);
  /* All has stopped and the job is to fail: take away what was made, then dr__backup_job_end().
   * It may connect and query; a failure there ends the job all the same. NULL: nothing. */
  void (*clean)(dr_backup_job *job);
  void (*pulse)(dr_backup_job *job); /* twice a second while it goes on, to tell how far; or NULL */
  bool failing;                      /* it will fail; in clean it always is */
  bool restoring;                    /* pg_restore fills a database */
  /* A program's failure does not fail the job at once but waits in `held`, and the job goes on as
   * if it had ended well: what it was given is to be judged first. */
  bool holds_failure;
  dr_err held;
  dr_err refusal; /* of dr__backup_job_try() */
  json_t *tables; /* to be counted, see backup_database.h; owned */
  /* --- of backup_database.c */
  size_t counted;
  int counting_on;
  dr_backup_next on_tables_counted;
  dr_backup_next on_no_sessions;
  const char *dropping; /* borrowed from the op's data */
  /* --- its own */
  uv_loop_t *loop;
  dr_target *tools; /* where programs run; referenced */
  const char *password;
  dr_backup_program *program;
  dr_backup_thread *thread;
  atomic_bool *stop; /* of the thread */
  dr_backup_answered on_answer[DR_BACKUP_CONNECTIONS];
  bool tries[DR_BACKUP_CONNECTIONS];
  bool busy[DR_BACKUP_CONNECTIONS];
  dr_backup_next on_connected[DR_BACKUP_CONNECTIONS];
  dr_backup_wrote on_wrote;
  dr_backup_next on_thread;
  uv_timer_t *timer;
  double timeout_s;
  uint64_t begun_ms;
  dr_err err;
  bool connecting[DR_BACKUP_CONNECTIONS];
  bool cleaning, cleaned;
};

/* Makes the job of an op whose arguments are DR_BACKUP_TOOLS_ARGS, with `server` also "db". `data`
 * (malloc'd or NULL) is taken over, also on failure. NULL with err filled. */
dr_backup_job *dr__backup_job_new(dr_op *op, bool server, void *data, void (*free_data)(void *),
                                  dr_err *err);

/* Where the programs run: "here" or "target" (the op's); and how long all of it may take. */
#define DR_BACKUP_TOOLS_ARGS                                                                       \
  {"tools", DR_ARG_STRING, 0}, {                                                                   \
    "timeout", DR_ARG_DURATION, 0                                                                  \
  }

/* The parts. Each fails the job when it cannot begin or goes wrong.
 * dbname: NULL is the way's own. What the role or the database bounds (statement_timeout and the
 * like) does not bind such a connection: the job has a bound of its own. */
void dr__backup_job_connect(dr_backup_job *job, int which, const char *dbname, dr_backup_next next);
void dr__backup_job_close(dr_backup_job *job, int which);

/* params (array, taken over) or NULL; several statements are allowed without. */
void dr__backup_job_query(dr_backup_job *job, int which, const char *sql, json_t *params,
                          dr_backup_answered next);

/* The same, but where the server refuses it the job goes on: `next` gets NULL for the answer, and
 * job->refusal is why. */
void dr__backup_job_try(dr_backup_job *job, int which, const char *sql, json_t *params,
                        dr_backup_answered next);

/* Runs a program; argv (taken over) gets the words of the connection when `connects`; dbname as
 * above. Descriptors (taken over) or -1. */
typedef struct dr_backup_words {
  json_t *argv;
  bool connects;
  const char *dbname;
  int input_fd, output_fd;
} dr_backup_words;
void dr__backup_job_run(dr_backup_job *job, const dr_backup_words *words, dr_backup_wrote next);

/* Runs act(data) on a thread; `stop`, when not NULL, is set when the job fails. */
void dr__backup_job_thread(dr_backup_job *job, int (*act)(void *, dr_err *),
                           void (*after_trouble)(void *), void *data, atomic_bool *stop,
                           dr_backup_next next);

/* The ends. The result is taken over; NULL is out of memory. err is moved from. */
void dr__backup_job_done(dr_backup_job *job, json_t *result);
void dr__backup_job_fail(dr_backup_job *job, dr_err *err);
void dr__backup_job_end(dr_backup_job *job); /* for clean only */

/* The words that say where the database is, without any secret: "--dbname=host=… user=…". For
 * programs and previews; new reference, NULL when memory is short. */
json_t *dr__backup_dbname(const json_t *keywords, const char *dbname);

/* Where the op's tools are: true when on this machine. */
bool dr__backup_tools_here(const dr_op *op);

#endif
