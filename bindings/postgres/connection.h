/* connection.h - one connection to a PostgreSQL server, by libpq, on a libuv loop. Without Lua.
 *
 * A dr_pg does one thing at a time: it connects, or runs one query, or is idle. Everything is
 * called on the loop's thread and every callback comes back on it, never from inside the call that
 * began the work. Nothing here blocks: names are resolved and cancel requests are sent by libuv's
 * workers. Ops do not use it directly: see steps.h.
 */
#ifndef DR_PG_CONNECTION_H
#define DR_PG_CONNECTION_H

#include "answer.h"

#include <uv.h>

typedef struct dr_pg dr_pg;

enum {
  DR_PG_CONNECT_TIMEOUT = 10, /* seconds, when nothing says otherwise */
  DR_PG_CANCEL_TIMEOUT = 5,   /* seconds for a server to end a statement it was told to end */
  DR_PG_MAX_ROWS = 100000,    /* of one answer, when a query does not say */
  DR_PG_MAX_BYTES = 8 << 20   /* of one answer's text */
};

/* What the server says beside an answer. Borrowed during the call; "" where it says nothing. */
typedef struct dr_pg_notice {
  const char *severity; /* "NOTICE", "WARNING", "INFO" … */
  const char *sqlstate;
  const char *message;
  const char *detail;
  const char *hint;
} dr_pg_notice;

/* Borrowed during dr__pg_connect(). */
typedef struct dr_pg_connecting {
  const json_t *keywords; /* object: libpq's keywords → strings; what is not there libpq finds in
                             the PG* variables, the service file and its own defaults */
  double timeout_s;       /* for all of it, names and several hosts too; 0: connect_timeout of the
                             keywords, else DR_PG_CONNECT_TIMEOUT */
  /* The end, once: err is NULL when the connection stands; else it may be moved from. Codes:
   * postgres.unreachable postgres.starting postgres.auth postgres.no_database postgres.tls
   * postgres.connections postgres.timeout postgres.setup postgres.connect out_of_memory */
  void (*on_done)(void *data, dr_err *err);
  void *data;
} dr_pg_connecting;

/* Begins to connect. Returns 0; or DR_FAILED with err filled and *out NULL. The connection is the
 * caller's, whatever becomes of it: it ends by dr__pg_close() only. */
int dr__pg_connect(dr_pg **out, uv_loop_t *loop, const dr_pg_connecting *how, dr_err *err);

/* Ends the connection, whatever it does: no callback is called any more. An open transaction is
 * rolled back by the server. NULL is allowed. May be called from a callback. */
void dr__pg_close(dr_pg *pg);

/* Borrowed during dr__pg_query(), except the data. */
typedef struct dr_pg_query {
  const char *sql;
  /* Array of strings and nulls for $1, $2 …; then sql is one statement (extended protocol). NULL:
   * sql may be several statements, which are one transaction unless they say otherwise (simple
   * protocol). */
  const json_t *params;
  bool one_statement; /* extended protocol without params: a second statement is an error */
  double timeout_s;   /* then it is cancelled on the server: postgres.timeout. 0: none */
  size_t max_rows;    /* of one answer; more is postgres.too_large, and is not fetched. 0:
                         DR_PG_MAX_ROWS */
  size_t max_bytes;   /* 0: DR_PG_MAX_BYTES */
  int line;           /* of the first line of sql in its file; 0: 1 */
  /* Each statement that was done, in order; the answer is borrowed. Or NULL. */
  void (*on_answer)(void *data, const dr_pg_answer *answer);
  void (*on_notice)(void *data, const dr_pg_notice *notice); /* or NULL */
  /* The end, once. Well: the answer to the last statement, borrowed, and err NULL. Else answer is
   * NULL and err says why (may be moved from); codes as error.h lists them. */
  void (*on_done)(void *data, const dr_pg_answer *answer, dr_err *err);
  void *data;
} dr_pg_query;

/* Begins a query on an idle connection. Returns 0, or DR_FAILED with err filled and then on_done is
 * not called. */
int dr__pg_query(dr_pg *pg, const dr_pg_query *query, dr_err *err);

/* Tells the server to end the statement under way (by a thread of its own); on_done follows with
 * the code "cancelled", after DR_PG_CANCEL_TIMEOUT seconds at the latest, and then the connection
 * is lost. Where no query is under way: nothing. */
void dr__pg_cancel(dr_pg *pg);

typedef enum dr_pg_state {
  DR_PG_BUSY,        /* it connects, or a query is under way */
  DR_PG_IDLE,        /* no transaction */
  DR_PG_TRANSACTION, /* a transaction is open */
  DR_PG_FAILED,      /* a transaction is open and failed: only ROLLBACK is taken */
  DR_PG_LOST         /* the connection is gone */
} dr_pg_state;

/* Looks without waiting, so that a connection the server has closed meanwhile is seen. */
dr_pg_state dr__pg_state(dr_pg *pg);

/* True until the connection stands, or failed. */
bool dr__pg_connecting(const dr_pg *pg);

/* True when the server was ever told to end a statement on it, by dr__pg_cancel() or because it
 * took too long or said too much. Such a request may arrive late and end the next statement, so the
 * connection is good for a ROLLBACK and for nothing that matters. */
bool dr__pg_cancel_sent(const dr_pg *pg);

/* SQLSTATE of the latest error the server sent on it, "" when it sent none. */
const char *dr__pg_sqlstate(const dr_pg *pg);

int dr__pg_server_version(const dr_pg *pg); /* 150004; 0 before it is connected */
int dr__pg_backend(const dr_pg *pg);        /* pid of the server's process for it */

/* What the server reported of a setting: "in_hot_standby", "server_encoding" …; or NULL. */
const char *dr__pg_setting(const dr_pg *pg, const char *name);

/* A text as an SQL literal or identifier, quotes included; malloc'd, NULL when memory is short or
 * the text is no UTF-8. The connection must stand. */
char *dr__pg_literal(dr_pg *pg, const char *text);
char *dr__pg_identifier(dr_pg *pg, const char *text);

#endif
