/* query.c - one query on a connection: sending it, reading its answers row by row, ending it early.
 * Called by whoever asks and by the loop, on its thread. A request to cancel is sent by a thread of
 * its own that nobody waits for: libpq connects for it, which on a network that is cut off takes
 * minutes.
 */
#include "internal.h"

#include "error.h"

#include "core/err.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The server ignores a request that arrives before the query does, so it is sent again. */
static const double CANCEL_AGAIN = 0.5;

/* ------------------------------------------------------------ cancelling */

static void *send_cancel_main(void *data) {
  PGcancel *cancel = data;
  char unused[256];
  pq(cancel)(cancel, unused, sizeof unused);
  pq(freeCancel)(cancel);
  return NULL;
}

/* Without signals: one that this thread took while it waits for minutes in libpq might not be
 * noticed until then, and libpq writes without MSG_NOSIGNAL, so that a tunnel which closes at once
 * would end the process. */
static bool begin_without_signals(pthread_t *thread, const pthread_attr_t *attributes,
                                  PGcancel *cancel) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool begun = pthread_create(thread, attributes, send_cancel_main, cancel) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return begun;
}

static void send_cancel(dr_pg *pg) {
  pthread_t thread;
  pthread_attr_t attributes;
  PGcancel *cancel = pq(getCancel)(pg->conn);
  if (!cancel) return;
  pg->cancel_sent = true;
  bool begun = false;
  if (pthread_attr_init(&attributes) == 0) {
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    begun = begin_without_signals(&thread, &attributes, cancel);
    pthread_attr_destroy(&attributes);
  }
  if (!begun) pq(freeCancel)(cancel);
}

/* ------------------------------------------------------------ the end */

static void clear_running(dr_pg_running *query) {
  free(query->sql);
  dr__pg_answer_clear(&query->answer);
  dr__pg_answer_clear(&query->last);
  dr_err_clear(&query->err);
  *query = (dr_pg_running){.line = 0};
}

void dr__pg_query_drop(dr_pg *pg) {
  if (pg->stage == DR_PG_STAGE_QUERY) send_cancel(pg);
  pg->stage = DR_PG_STAGE_LOST;
  clear_running(&pg->query);
}

/* The query is over. What it holds is moved out first: on_done may begin another, or close the
 * connection. */
static void end(dr_pg *pg, dr_pg_stage stage) {
  dr_pg_running done = pg->query;
  pg->query = (dr_pg_running){.line = 0};
  pg->stage = stage;
  uv_timer_stop(pg->timer);
  dr__pg_unwatch(pg);
  if (done.whole && !done.failed && stage == DR_PG_STAGE_IDLE) dr_err_clear(&done.err);
  bool well = !done.err.code[0];
  done.on_done(done.data, well ? &done.last : NULL, well ? NULL : &done.err);
  clear_running(&done);
}

static void note_nomem(dr_pg *pg) {
  if (!pg->query.err.code[0] || pg->query.whole) dr__err_nomem(&pg->query.err);
  pg->query.whole = false;
}

static void lost(dr_pg *pg) {
  dr_err *err = &pg->query.err;
  if (!err->code[0]) {
    const char *why = pq(errorMessage)(pg->conn);
    dr__fail(err, "postgres.lost", "the connection was lost while a statement ran: %.*s",
             (int)strcspn(why, "\n"), why);
    dr__err_hint(err, "whether it was done is not known: look before it is done again; a "
                      "transaction that was open is rolled back");
  }
  end(pg, DR_PG_STAGE_LOST);
}

/* ------------------------------------------------------------ ending early */

static void on_still_running(uv_timer_t *timer) {
  dr_pg *pg = timer->data;
  if (uv_now(pg->loop) >= pg->query.give_up_ms) {
    lost(pg);
    return;
  }
  send_cancel(pg);
  dr__pg_wait(pg, CANCEL_AGAIN, on_still_running);
}

/* Tells the server to end the query; why is noted already. */
static void end_early(dr_pg *pg) {
  if (pg->query.ending) return;
  pg->query.ending = true;
  send_cancel(pg);
  dr__pg_wait(pg, CANCEL_AGAIN, on_still_running);
  pg->query.give_up_ms = uv_now(pg->loop) + DR_PG_CANCEL_TIMEOUT * 1000;
}

void dr__pg_cancel(dr_pg *pg) {
  if (pg->stage != DR_PG_STAGE_QUERY) return;
  if (!pg->query.err.code[0]) {
    dr__fail(&pg->query.err, "cancelled", "the statement was cancelled");
    pg->query.whole = true;
  }
  end_early(pg);
}

static void on_overdue(uv_timer_t *timer) {
  dr_pg *pg = timer->data;
  dr__fail(&pg->query.err, "postgres.timeout",
           "the statement did not end within %g s and was cancelled", pg->query.timeout_s);
  dr__err_hint(&pg->query.err, "is it waiting for a lock, or does it lack an index? More time: "
                               "timeout");
  dr__err_detail(&pg->query.err, pg->query.sql, strlen(pg->query.sql));
  pg->query.whole = true;
  end_early(pg);
}

/* ------------------------------------------------------------ answers */

static const char *field(const PGresult *result, int code) {
  const char *text = pq(resultErrorField)(result, code);
  return text ? text : "";
}

void dr__pg_on_notice(void *data, const PGresult *result) {
  const dr_pg *pg = data;
  if (!pg->query.on_notice) return;
  const dr_pg_notice notice = {
      .severity = field(result, PG_DIAG_SEVERITY_NONLOCALIZED),
      .sqlstate = field(result, PG_DIAG_SQLSTATE),
      .message = field(result, PG_DIAG_MESSAGE_PRIMARY),
      .detail = field(result, PG_DIAG_MESSAGE_DETAIL),
      .hint = field(result, PG_DIAG_MESSAGE_HINT),
  };
  pg->query.on_notice(pg->query.data, &notice);
}

static void take_columns(dr_pg *pg, const PGresult *result) {
  dr_pg_answer *answer = &pg->query.answer;
  size_t count = (size_t)pq(nfields)(result);
  bool whole = dr__pg_answer_columns(answer, count);
  for (size_t i = 0; whole && i < count; i++)
    whole = dr__pg_answer_column(answer, i, pq(fname)(result, (int)i), pq(ftype)(result, (int)i));
  if (!whole) note_nomem(pg);
}

static void too_large(dr_pg *pg) {
  const dr_pg_running *query = &pg->query;
  if (query->answer.rows >= query->max_rows)
    dr__fail(&pg->query.err, "postgres.too_large", "the answer has more than %zu rows",
             query->max_rows);
  else
    dr__fail(&pg->query.err, "postgres.too_large", "the answer is larger than %zu bytes",
             query->max_bytes);
  pg->query.whole = false;
  dr__err_hint(&pg->query.err, "ask for less: count or sum on the server, LIMIT, fewer columns");
  end_early(pg);
}

/* One row. Once there is a problem nothing is kept. */
static void take_row(dr_pg *pg, const PGresult *result) {
  dr_pg_answer *answer = &pg->query.answer;
  if (!answer->column) take_columns(pg, result);
  if (pg->query.err.code[0] && !pg->query.whole) return;
  size_t size = answer->used;
  for (size_t i = 0; i < answer->columns; i++) size += (size_t)pq(getlength)(result, 0, (int)i) + 1;
  if (answer->rows >= pg->query.max_rows || size > pg->query.max_bytes) {
    too_large(pg);
    return;
  }
  for (size_t i = 0; i < answer->columns; i++) {
    bool is_null = pq(getisnull)(result, 0, (int)i);
    if (dr__pg_answer_cell(answer, is_null ? NULL : pq(getvalue)(result, 0, (int)i),
                           (size_t)pq(getlength)(result, 0, (int)i)))
      continue;
    note_nomem(pg);
    end_early(pg);
    return;
  }
  dr__pg_answer_row_done(answer);
}

/* A statement was done. */
static void take_end(dr_pg *pg, PGresult *result) {
  dr_pg_running *query = &pg->query;
  if (query->err.code[0] && !query->whole) return;
  if (!query->answer.column && pq(resultStatus)(result) == PGRES_TUPLES_OK)
    take_columns(pg, result);
  const char *affected = pq(cmdTuples)(result);
  dr__copy_text(query->answer.tag, sizeof query->answer.tag, pq(cmdStatus)(result));
  query->answer.affected = affected[0] ? strtoll(affected, NULL, 10) : -1;
  dr__pg_answer_clear(&query->last);
  query->last = query->answer;
  query->answer = (dr_pg_answer){.affected = -1};
  if (query->on_answer) query->on_answer(query->data, &query->last);
}

/* The statement failed on the server, or libpq could not go on. */
static void take_error(dr_pg *pg, const PGresult *result) {
  dr_pg_running *query = &pg->query;
  const char *sqlstate = pq(resultErrorField)(result, PG_DIAG_SQLSTATE);
  const char *position = pq(resultErrorField)(result, PG_DIAG_STATEMENT_POSITION);
  if (!sqlstate) return; /* the connection was lost, which is told where that is seen */
  dr__copy_text(pg->sqlstate, sizeof pg->sqlstate, sqlstate);
  query->failed = true;
  if (query->err.code[0]) return;
  const dr_pg_problem problem = {
      .sqlstate = sqlstate,
      .message = pq(resultErrorField)(result, PG_DIAG_MESSAGE_PRIMARY),
      .detail = pq(resultErrorField)(result, PG_DIAG_MESSAGE_DETAIL),
      .hint = pq(resultErrorField)(result, PG_DIAG_MESSAGE_HINT),
      .context = pq(resultErrorField)(result, PG_DIAG_CONTEXT),
      .table = pq(resultErrorField)(result, PG_DIAG_TABLE_NAME),
      .column = pq(resultErrorField)(result, PG_DIAG_COLUMN_NAME),
      .constraint = pq(resultErrorField)(result, PG_DIAG_CONSTRAINT_NAME),
      .position = position ? (int)strtol(position, NULL, 10) : 0,
      .sql = query->sql,
      .line = query->line,
  };
  dr__pg_explain(&query->err, &problem);
}

/* True when the connection cannot be used any longer. */
static bool take(dr_pg *pg, PGresult *result) {
  switch (pq(resultStatus)(result)) {
  case PGRES_SINGLE_TUPLE: take_row(pg, result); return false;
  case PGRES_TUPLES_OK:
  case PGRES_COMMAND_OK:
  case PGRES_EMPTY_QUERY: take_end(pg, result); return false;
  case PGRES_COPY_IN:
  case PGRES_COPY_OUT:
  case PGRES_COPY_BOTH:
    if (pg->query.err.code[0]) return true;
    dr__fail(&pg->query.err, "postgres.copy_data",
             "COPY between the server and its client is not possible here");
    dr__err_hint(
        &pg->query.err,
        "use INSERT and SELECT; files go by psql's \\copy with target:run, whole databases by "
        "db:backup");
    return true;
  default: take_error(pg, result); return false;
  }
}

/* ------------------------------------------------------------ the loop */

static void on_ready(uv_poll_t *poll, int status, int events);

/* Takes all answers that are there. Non-zero when the query is over, and the connection may be gone
 * with it. */
static int take_answers(dr_pg *pg) {
  while (!pq(isBusy)(pg->conn)) {
    PGresult *result = pq(getResult)(pg->conn);
    if (!result) {
      bool stands = pq(status)(pg->conn) == CONNECTION_OK;
      if (stands)
        end(pg, DR_PG_STAGE_IDLE);
      else
        lost(pg);
      return 1;
    }
    bool useless = take(pg, result);
    pq(clear)(result);
    if (useless) {
      end(pg, DR_PG_STAGE_LOST);
      return 1;
    }
  }
  return 0;
}

static void watch(dr_pg *pg) {
  int left = pq(flush)(pg->conn);
  int events = left > 0 ? UV_READABLE | UV_WRITABLE : UV_READABLE;
  if (left < 0 || !dr__pg_watch(pg, events, on_ready)) lost(pg);
}

static void on_ready(uv_poll_t *poll, int status, int events) {
  dr_pg *pg = poll->data;
  (void)status, (void)events;
  /* What came before the end of the connection is still read: the server says why it ends. */
  bool readable = pq(consumeInput)(pg->conn) == 1;
  if (take_answers(pg)) return;
  if (readable)
    watch(pg);
  else
    lost(pg);
}

/* ------------------------------------------------------------ beginning */

/* The texts of an array; NULL with err filled. */
static const char **texts_of(const json_t *params, dr_err *err) {
  size_t i;
  json_t *param;
  const char **texts = calloc(json_array_size(params) + 1, sizeof *texts);
  if (!texts) dr__err_nomem(err);
  json_array_foreach((json_t *)params, i, param) {
    if (!texts) break;
    texts[i] = json_string_value(param);
    if (!texts[i] || strlen(texts[i]) == json_string_length(param)) continue;
    dr__fail(err, "recipe.argument", "$%zu holds a zero byte, which PostgreSQL's text cannot",
             i + 1);
    dr__err_hint(err, "encode it, for example decode($%zu, 'hex')", i + 1);
    free(texts);
    return NULL;
  }
  return texts;
}

static int send_query(dr_pg *pg, const dr_pg_query *query, dr_err *err) {
  int sent = 0;
  if (query->params || query->one_statement) {
    const char **texts = texts_of(query->params, err);
    if (!texts) return DR_FAILED;
    sent = pq(sendQueryParams)(pg->conn, query->sql, (int)json_array_size(query->params), NULL,
                               texts, NULL, NULL, 0);
    free(texts);
  } else {
    sent = pq(sendQuery)(pg->conn, query->sql);
  }
  if (sent) {
    pq(setSingleRowMode)(pg->conn);
    return 0;
  }
  const char *why = pq(errorMessage)(pg->conn);
  dr__fail(err, "postgres.lost", "the statement cannot be sent: %.*s", (int)strcspn(why, "\n"),
           why);
  return DR_FAILED;
}

static dr_pg_running running_of(const dr_pg_query *query) {
  return (dr_pg_running){.sql = strdup(query->sql),
                         .line = query->line,
                         .max_rows = query->max_rows ? query->max_rows : DR_PG_MAX_ROWS,
                         .max_bytes = query->max_bytes ? query->max_bytes : DR_PG_MAX_BYTES,
                         .timeout_s = query->timeout_s,
                         .answer = {.affected = -1},
                         .last = {.affected = -1},
                         .on_answer = query->on_answer,
                         .on_notice = query->on_notice,
                         .on_done = query->on_done,
                         .data = query->data};
}

int dr__pg_query(dr_pg *pg, const dr_pg_query *query, dr_err *err) {
  dr_pg_state state = dr__pg_state(pg);
  pg->sqlstate[0] = '\0';
  if (state == DR_PG_BUSY || state == DR_PG_LOST) {
    dr__fail(err, "postgres.lost", "the connection was lost before the statement was sent");
    return DR_FAILED;
  }
  pg->query = running_of(query);
  if (!pg->query.sql) return dr__err_nomem(err);
  if (send_query(pg, query, err) != 0 || pq(flush)(pg->conn) < 0 ||
      !dr__pg_watch(pg, UV_READABLE | UV_WRITABLE, on_ready)) {
    if (!err->code[0])
      dr__fail(err, "postgres.lost", "the connection was lost before the statement was sent");
    clear_running(&pg->query);
    return DR_FAILED;
  }
  pg->stage = DR_PG_STAGE_QUERY;
  uv_timer_stop(pg->timer);
  if (query->timeout_s > 0) dr__pg_wait(pg, query->timeout_s, on_overdue);
  return 0;
}
