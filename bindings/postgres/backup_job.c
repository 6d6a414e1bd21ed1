/* backup_job.c - see backup_job.h. Owns the job: its connections, its program, its thread, and the
 * order in which they end. Called by the backup ops and by the loop, on the runtime's thread.
 */
#include "backup_job.h"

#include "core/err.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PULSE_MS = 500, USUAL_TIMEOUT = 6 * 3600, CLEANING_TIMEOUT = 60 };

/* ------------------------------------------------------------ freeing */

static void on_freed(uv_handle_t *handle) {
  free(handle);
}

static void free_job(dr_backup_job *job) {
  for (int i = 0; i < DR_BACKUP_CONNECTIONS; i++) dr__pg_close(job->pg[i]);
  if (job->timer) uv_close((uv_handle_t *)job->timer, on_freed);
  if (job->free_data) job->free_data(job->data);
  dr__target_unref(job->tools);
  json_decref(job->tables);
  dr__pg_way_free(job->way);
  dr_err_clear(&job->err);
  dr_err_clear(&job->held);
  dr_err_clear(&job->refusal);
  free(job);
}

/* ------------------------------------------------------------ the end */

static bool is_moving(const dr_backup_job *job) {
  bool moves = job->program || job->thread;
  for (int i = 0; i < DR_BACKUP_CONNECTIONS; i++) moves = moves || job->busy[i];
  return moves;
}

void dr__backup_job_end(dr_backup_job *job) {
  job->cleaned = true;
  if (is_moving(job)) return;
  if (job->timer) uv_timer_stop(job->timer);
  if (job->op && job->way) dr__pg_way_lost(dr__op_runtime(job->op), job->way, &job->err);
  if (job->op)
    dr__op_fail(job->op, &job->err);
  else
    free_job(job);
}

/* Goes on with failing as soon as nothing moves any more. */
static void settle(dr_backup_job *job) {
  if (is_moving(job)) return;
  for (int i = 0; i < DR_BACKUP_CONNECTIONS; i++) dr__backup_job_close(job, i);
  if (!job->clean || job->cleaned || job->cleaning) {
    dr__backup_job_end(job);
    return;
  }
  job->cleaning = true;
  job->stop = NULL;
  job->clean(job);
}

static void stop_all(dr_backup_job *job) {
  if (job->stop) atomic_store(job->stop, true);
  if (job->program) dr__backup_program_stop(job->program);
  for (int i = 0; i < DR_BACKUP_CONNECTIONS; i++) {
    if (job->connecting[i]) dr__backup_job_close(job, i);
    if (job->busy[i]) dr__pg_cancel(job->pg[i]);
  }
}

void dr__backup_job_fail(dr_backup_job *job, dr_err *err) {
  if (!job->failing) dr__err_move(&job->err, err);
  bool first = !job->failing || job->cleaning;
  dr_err_clear(err);
  job->failing = true;
  if (first) stop_all(job);
  settle(job);
}

void dr__backup_job_done(dr_backup_job *job, json_t *result) {
  dr_err err = DR_ERR_INIT;
  if (!result) {
    dr__err_nomem(&err);
    dr__backup_job_fail(job, &err);
    return;
  }
  for (int i = 0; i < DR_BACKUP_CONNECTIONS; i++) dr__backup_job_close(job, i);
  if (job->timer) uv_timer_stop(job->timer);
  dr__op_done(job->op, result);
}

/* True when what has just ended was to end: the job fails, and this was the last or not. */
static bool is_over(dr_backup_job *job) {
  bool over = job->failing && (!job->cleaning || job->cleaned);
  if (over) settle(job);
  return over;
}

/* ------------------------------------------------------------ connections */

void dr__backup_job_close(dr_backup_job *job, int which) {
  dr__pg_close(job->pg[which]);
  job->pg[which] = NULL;
  job->busy[which] = job->connecting[which] = job->tries[which] = false;
}

static void on_main_unbounded(dr_backup_job *job, const dr_pg_answer *answer) {
  (void)answer;
  job->on_connected[DR_BACKUP_MAIN](job);
}

static void on_other_unbounded(dr_backup_job *job, const dr_pg_answer *answer) {
  (void)answer;
  job->on_connected[DR_BACKUP_OTHER](job);
}

/* Which of them there are depends on the server's version. */
static const char sql_unbounded[] =
    "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name IN"
    " ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',"
    "  'idle_session_timeout', 'transaction_timeout')";

static void connected(dr_backup_job *job, int which, dr_err *err) {
  job->busy[which] = job->connecting[which] = false;
  if (is_over(job)) return;
  if (!err) {
    dr__backup_job_query(job, which, sql_unbounded, NULL,
                         which == DR_BACKUP_MAIN ? on_main_unbounded : on_other_unbounded);
    return;
  }
  if (job->op) dr__pg_way_explain(dr__op_runtime(job->op), job->way, err);
  dr__backup_job_fail(job, err);
}

static void on_main_connected(void *data, dr_err *err) {
  connected(data, DR_BACKUP_MAIN, err);
}

static void on_other_connected(void *data, dr_err *err) {
  connected(data, DR_BACKUP_OTHER, err);
}

void dr__backup_job_connect(dr_backup_job *job, int which, const char *dbname,
                            dr_backup_next next) {
  dr_err err = DR_ERR_INIT;
  json_t *keywords = json_copy(job->way->keywords);
  bool made =
      keywords && (!dbname || json_object_set_new(keywords, "dbname", json_string(dbname)) == 0);
  dr_pg_connecting how = {.keywords = keywords,
                          .on_done =
                              which == DR_BACKUP_MAIN ? on_main_connected : on_other_connected,
                          .data = job};
  job->on_connected[which] = next;
  dr__backup_job_close(job, which);
  int status = made ? dr__pg_connect(&job->pg[which], job->loop, &how, &err) : dr__err_nomem(&err);
  job->busy[which] = job->connecting[which] = status == DR_OK;
  json_decref(keywords);
  if (status != DR_OK) dr__backup_job_fail(job, &err);
}

static void answered(dr_backup_job *job, int which, const dr_pg_answer *answer, dr_err *err) {
  bool tried = job->tries[which];
  job->busy[which] = job->tries[which] = false;
  if (is_over(job)) return;
  if (err && tried) {
    dr__err_move(&job->refusal, err);
    job->on_answer[which](job, NULL);
  } else if (err) {
    dr__backup_job_fail(job, err);
  } else {
    job->on_answer[which](job, answer);
  }
}

static void on_main_answered(void *data, const dr_pg_answer *answer, dr_err *err) {
  answered(data, DR_BACKUP_MAIN, answer, err);
}

static void on_other_answered(void *data, const dr_pg_answer *answer, dr_err *err) {
  answered(data, DR_BACKUP_OTHER, answer, err);
}

void dr__backup_job_query(dr_backup_job *job, int which, const char *sql, json_t *params,
                          dr_backup_answered next) {
  dr_err err = DR_ERR_INIT;
  dr_pg_query query = {.sql = sql,
                       .params = params,
                       .timeout_s = job->cleaning ? CLEANING_TIMEOUT : 0,
                       .on_done = which == DR_BACKUP_MAIN ? on_main_answered : on_other_answered,
                       .data = job};
  job->on_answer[which] = next;
  int status = sql ? dr__op_whole(job->op, &err) : dr__err_nomem(&err);
  if (status == DR_OK) status = dr__pg_query(job->pg[which], &query, &err);
  job->busy[which] = status == DR_OK;
  if (status != DR_OK) job->tries[which] = false;
  json_decref(params);
  if (status != DR_OK) dr__backup_job_fail(job, &err);
}

void dr__backup_job_try(dr_backup_job *job, int which, const char *sql, json_t *params,
                        dr_backup_answered next) {
  job->tries[which] = true;
  dr__backup_job_query(job, which, sql, params, next);
}

/* ------------------------------------------------------------ programs and threads */

static void on_program_ended(void *owner, const char *output, dr_err *err) {
  dr_backup_job *job = owner;
  job->program = NULL;
  if (is_over(job)) return;
  if (err->code[0] && job->holds_failure) dr__err_move(&job->held, err);
  if (err->code[0])
    dr__backup_job_fail(job, err);
  else
    job->on_wrote(job, output);
}

void dr__backup_job_run(dr_backup_job *job, const dr_backup_words *words, dr_backup_wrote next) {
  dr_err err = DR_ERR_INIT;
  const json_t *keywords = NULL;
  if (words->connects)
    keywords = dr__backup_tools_here(job->op) ? job->way->keywords : dr__arg(job->op, "db");
  bool whole =
      words->argv &&
      (!words->connects ||
       json_array_append_new(words->argv, dr__backup_dbname(keywords, words->dbname)) == 0);
  dr_backup_command command = {.view = job->tools,
                               .argv = whole ? words->argv : NULL,
                               .password = words->connects ? job->password : NULL,
                               .input_fd = words->input_fd,
                               .output_fd = words->output_fd,
                               .on_end = on_program_ended,
                               .owner = job};
  if (!whole) json_decref(words->argv);
  job->on_wrote = next;
  job->program = dr__backup_program_start(job->op, &command, &err);
  if (!job->program) dr__backup_job_fail(job, &err);
}

/* It failed and now only waits for the other end of its pipe; its error comes when it has ended. */
static void on_thread_troubled(void *owner) {
  dr_backup_job *job = owner;
  bool first = !job->failing;
  job->failing = true;
  if (first) stop_all(job);
}

static void on_thread_ended(void *owner, dr_err *err) {
  dr_backup_job *job = owner;
  job->thread = NULL;
  job->stop = NULL;
  if (job->failing && !job->err.code[0]) dr__err_move(&job->err, err);
  if (is_over(job)) return;
  if (err->code[0])
    dr__backup_job_fail(job, err);
  else
    job->on_thread(job);
}

void dr__backup_job_thread(dr_backup_job *job, int (*act)(void *, dr_err *),
                           void (*after_trouble)(void *), void *data, atomic_bool *stop,
                           dr_backup_next next) {
  dr_err err = DR_ERR_INIT;
  dr_backup_work work = {.act = act,
                         .after_trouble = after_trouble,
                         .on_trouble = on_thread_troubled,
                         .on_end = on_thread_ended,
                         .data = data,
                         .owner = job};
  job->on_thread = next;
  job->stop = stop;
  job->thread = dr__backup_thread_start(job->loop, &work, &err);
  if (!job->thread) dr__backup_job_fail(job, &err);
}

/* ------------------------------------------------------------ the beginning */

static void on_pulse(uv_timer_t *timer) {
  dr_backup_job *job = timer->data;
  double seconds = (double)(uv_now(timer->loop) - job->begun_ms) / 1000;
  if (job->failing) return;
  if (job->pulse && job->op) job->pulse(job);
  if (seconds < job->timeout_s) return;
  dr_err err = DR_ERR_INIT;
  dr__fail(&err, "backup.timeout", "it did not end within %g s and was stopped", job->timeout_s);
  dr__err_hint(&err, "if it may take longer, say timeout = seconds");
  dr__backup_job_fail(job, &err);
}

/* Where it fails already, it ends soon, and what it takes away is taken away. */
static void stop(dr_backup_job *job) {
  dr_err err = DR_ERR_INIT;
  if (job->failing) return;
  dr__fail(&err, "cancelled", "it was stopped");
  dr__backup_job_fail(job, &err);
}

static void on_cancel(dr_op *op) {
  stop(op->self);
}

/* The op is over, or its run was thrown away: then the job still takes away what it made. */
static void on_release(dr_op *op) {
  dr_backup_job *job = op->self;
  op->self = NULL;
  job->op = NULL;
  if (op->finished)
    free_job(job);
  else
    stop(job);
}

/* True when the op's target is this machine, or none, which means the same. */
static bool is_this_machine(const dr_target *target) {
  return !target || (!target->within && strcmp(target->transport->klass->kind, "local") == 0);
}

/* The view that programs run on. New reference, NULL when memory is short. */
static dr_target *tools_of(const dr_op *op) {
  if (op->target && (!dr__backup_tools_here(op) || is_this_machine(op->target)))
    return dr__target_ref(op->target);
  dr_transport *transport = dr__local_new(op->loop);
  dr_target *target = transport ? dr__target_new(transport, "local") : NULL;
  if (transport) dr__transport_unref(transport);
  return target;
}

/* The way to the server: from the machine itself, also where the op's target is a container on it.
 */
static dr_pg_way *way_of(const dr_op *op, dr_err *err) {
  if (!op->target || !op->target->within) return dr__pg_of(op, err);
  dr_transport *transport = op->target->transport;
  dr_target *machine = dr__target_new(transport, transport->name);
  if (!machine) {
    dr__err_nomem(err);
    return NULL;
  }
  dr_pg_way *way =
      dr__pg_way_new(dr__op_runtime(op), machine, dr__arg(op, "db"), "deployrun backup", err);
  dr__target_unref(machine);
  return way;
}

static int set_up(dr_backup_job *job, dr_op *op, bool server, dr_err *err) {
  job->tools = tools_of(op);
  job->timer = calloc(1, sizeof *job->timer);
  if (!job->tools || !job->timer) {
    free(job->timer);
    job->timer = NULL;
    return dr__err_nomem(err);
  }
  uv_timer_init(op->loop, job->timer);
  job->timer->data = job;
  job->begun_ms = uv_now(op->loop);
  job->timeout_s = dr__arg_number(op, "timeout", USUAL_TIMEOUT);
  uv_timer_start(job->timer, on_pulse, PULSE_MS, PULSE_MS);
  if (!server) return DR_OK;
  job->way = way_of(op, err);
  if (!job->way) return DR_FAILED;
  job->password = json_string_value(json_object_get(job->way->keywords, "password"));
  return DR_OK;
}

dr_backup_job *dr__backup_job_new(dr_op *op, bool server, void *data, void (*free_data)(void *),
                                  dr_err *err) {
  dr_backup_job *job = data ? calloc(1, sizeof *job) : NULL;
  if (!job) {
    if (data && free_data) free_data(data);
    dr__err_nomem(err);
    return NULL;
  }
  job->loop = op->loop;
  job->data = data;
  job->free_data = free_data;
  if (set_up(job, op, server, err) != DR_OK) {
    free_job(job);
    return NULL;
  }
  job->op = op;
  op->self = job;
  op->cancel = on_cancel;
  op->release = on_release;
  return job;
}
