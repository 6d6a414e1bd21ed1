/* internal.h - what connection.c and query.c share: one connection, seen from within. Loop's
 * thread.
 */
#ifndef DR_PG_INTERNAL_H
#define DR_PG_INTERNAL_H

#include "connection.h"

#include "address.h"
#include "pq_library.h"

typedef enum dr_pg_stage {
  DR_PG_STAGE_CONNECTING,
  DR_PG_STAGE_IDLE,
  DR_PG_STAGE_QUERY,
  DR_PG_STAGE_LOST
} dr_pg_stage;

/* What the query under way is about. */
typedef struct dr_pg_running {
  char *sql;
  int line;
  size_t max_rows, max_bytes;
  double timeout_s;
  dr_pg_answer answer; /* of the statement that answers now */
  dr_pg_answer last;   /* of the one before it */
  bool ending;         /* the server was told to end it */
  uint64_t give_up_ms; /* then it is not waited for any longer */
  dr_err err;          /* the first problem */
  bool whole;          /* err is void when the server had done it all before it was told to end */
  bool failed;         /* the server said so */
  void (*on_answer)(void *data, const dr_pg_answer *answer);
  void (*on_notice)(void *data, const dr_pg_notice *notice);
  void (*on_done)(void *data, const dr_pg_answer *answer, dr_err *err);
  void *data;
} dr_pg_running;

struct dr_pg {
  uv_loop_t *loop;
  PGconn *conn;      /* or NULL */
  uv_timer_t *timer; /* of connecting, or of the query; freed by its close callback */
  uv_poll_t *poll;   /* of the connection's socket, or NULL; the same */
  int poll_fd;
  dr_pg_stage stage;
  char sqlstate[6];
  bool cancel_sent; /* a request may still arrive, and end what runs then */
  /* --- connecting */
  dr_pg_lookup *lookup; /* or NULL */
  json_t *keywords;
  json_t *effective;
  json_t *places; /* array of {host, hostaddr, port}: still to be tried */
  double timeout_s;
  uint64_t deadline_ms;
  void (*on_connected)(void *data, dr_err *err);
  void *connect_data;
  /* --- a query */
  dr_pg_running query;
};

/* Watches the connection's socket, whichever it is now, for UV_READABLE | UV_WRITABLE. False when
 * the loop cannot. */
bool dr__pg_watch(dr_pg *pg, int events, uv_poll_cb on_ready);
void dr__pg_unwatch(dr_pg *pg);

/* Waits so long, then calls on_time. */
void dr__pg_wait(dr_pg *pg, double seconds, uv_timer_cb on_time);

/* For PQsetNoticeReceiver. */
void dr__pg_on_notice(void *data, const PGresult *result);

/* Frees what a query holds; tells the server to end it when it is under way. */
void dr__pg_query_drop(dr_pg *pg);

#endif
