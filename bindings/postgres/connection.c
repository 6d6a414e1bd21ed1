/* connection.c - see connection.h: connecting, closing and looking. Owns libpq's connection and the
 * handles that watch it, which are freed by their close callbacks. Queries are in query.c. Called
 * on the loop's thread.
 *
 * libpq tries its addresses one after another, but only a refusal makes it go on: one that is
 * silent would take all the time there is. So each gets its share of that, and then libpq begins
 * again without it.
 */
#include "internal.h"

#include "../text.h"
#include "error.h"

#include "core/err.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* A peer that is cut off without a word is noticed after 25 s; libpq would leave that to the
 * system, which waits two hours. */
static const char *const defaults[][2] = {{"keepalives_idle", "10"},
                                          {"keepalives_interval", "5"},
                                          {"keepalives_count", "3"},
                                          {"tcp_user_timeout", "25000"},
                                          {NULL, NULL}};

/* ------------------------------------------------------------ handles */

static void on_closed(uv_handle_t *handle) {
  free(handle);
}

void dr__pg_unwatch(dr_pg *pg) {
  if (pg->poll) uv_poll_stop(pg->poll);
}

static void forget_poll(dr_pg *pg) {
  if (!pg->poll) return;
  uv_poll_stop(pg->poll);
  uv_close((uv_handle_t *)pg->poll, on_closed);
  pg->poll = NULL;
}

bool dr__pg_watch(dr_pg *pg, int events, uv_poll_cb on_ready) {
  int fd = pq(socket)(pg->conn);
  if (pg->poll && pg->poll_fd != fd) forget_poll(pg);
  if (fd < 0) return false;
  if (!pg->poll) {
    pg->poll = malloc(sizeof *pg->poll);
    if (!pg->poll) return false;
    if (uv_poll_init(pg->loop, pg->poll, fd) != 0) {
      free(pg->poll);
      pg->poll = NULL;
      return false;
    }
    pg->poll->data = pg;
    pg->poll_fd = fd;
  }
  return uv_poll_start(pg->poll, events, on_ready) == 0;
}

void dr__pg_wait(dr_pg *pg, double seconds, uv_timer_cb on_time) {
  uv_update_time(pg->loop);
  uv_timer_start(pg->timer, on_time, seconds > 0 ? (uint64_t)(seconds * 1000 + 0.5) : 0, 0);
}

/* ------------------------------------------------------------ the end of connecting */

static void drop_conn(dr_pg *pg) {
  forget_poll(pg);
  if (pg->conn) pq(finish)(pg->conn);
  pg->conn = NULL;
}

/* One that is kept for later does not keep the loop alive. */
static void connected(dr_pg *pg) {
  uv_timer_stop(pg->timer);
  dr__pg_unwatch(pg);
  pq(setnonblocking)(pg->conn, 1);
  pg->stage = DR_PG_STAGE_IDLE;
  json_decref(pg->places);
  pg->places = NULL;
  pg->on_connected(pg->connect_data, NULL);
}

static void fail_connecting(dr_pg *pg, dr_err *err) {
  uv_timer_stop(pg->timer);
  drop_conn(pg);
  pg->stage = DR_PG_STAGE_LOST;
  pg->on_connected(pg->connect_data, err);
  dr_err_clear(err);
}

static void fail_nomem(dr_pg *pg) {
  dr_err err = DR_ERR_INIT;
  dr__err_nomem(&err);
  fail_connecting(pg, &err);
}

static void refused(dr_pg *pg) {
  dr_err err = DR_ERR_INIT;
  dr__pg_explain_connect(&err, pq(errorMessage)(pg->conn));
  fail_connecting(pg, &err);
}

/* ------------------------------------------------------------ attempts */

static void attempt(dr_pg *pg);

/* The values of one key of all places as "a,b,c"; malloc'd. NULL: out of memory. */
static char *join_places(const json_t *places, const char *key, bool twice) {
  dr_text list = {.failed = false};
  size_t i;
  json_t *place;
  for (int pass = 0; pass < (twice ? 2 : 1); pass++) {
    json_array_foreach(places, i, place) {
      if (i > 0 || pass > 0) dr__text_puts(&list, ",");
      dr__text_puts(&list, json_string_value(json_object_get(place, key)));
    }
  }
  return dr__text_take(&list);
}

typedef struct words {
  const char **keys;
  const char **values;
  size_t count;
} words;

/* A later one counts. */
static void put(words *all, const char *key, const char *value) {
  all->keys[all->count] = key;
  all->values[all->count++] = value;
}

static void put_keywords(words *all, const dr_pg *pg) {
  const char *key;
  json_t *value;
  json_object_foreach(pg->keywords, key, value) put(all, key, json_string_value(value));
  for (int i = 0; defaults[i][0]; i++)
    if (!json_object_get(pg->effective, defaults[i][0])) put(all, defaults[i][0], defaults[i][1]);
  put(all, "client_encoding", "UTF8");
}

/* Where no place has an address of its own, PGHOSTADDR must not give them one. libpq takes an empty
 * list for none, so there are two items in it at least. */
static PGconn *begin_at(dr_pg *pg, const char *host, const char *hostaddr, const char *port) {
  enum { OWN = 8 };
  size_t room = json_object_size(pg->keywords) + OWN + 1;
  words all = {.keys = calloc(2 * room, sizeof *all.keys)};
  if (!all.keys) return NULL;
  all.values = all.keys + room;
  put_keywords(&all, pg);
  put(&all, "host", host);
  put(&all, "hostaddr", hostaddr);
  put(&all, "port", port);
  PGconn *conn = pq(connectStartParams)(all.keys, all.values, 0);
  free(all.keys);
  return conn;
}

static PGconn *begin(dr_pg *pg) {
  bool twice = json_array_size(pg->places) == 1 && getenv("PGHOSTADDR");
  char *host = join_places(pg->places, "host", twice);
  char *hostaddr = join_places(pg->places, "hostaddr", twice);
  char *port = join_places(pg->places, "port", twice);
  PGconn *conn = host && hostaddr && port ? begin_at(pg, host, hostaddr, port) : NULL;
  free(host);
  free(hostaddr);
  free(port);
  return conn;
}

static void on_connectable(uv_poll_t *poll, int status, int events);

static void go_on(dr_pg *pg, PostgresPollingStatusType wanted) {
  bool watched = true;
  if (wanted == PGRES_POLLING_OK) {
    connected(pg);
    return;
  }
  if (wanted == PGRES_POLLING_FAILED) {
    refused(pg);
    return;
  }
  watched =
      dr__pg_watch(pg, wanted == PGRES_POLLING_READING ? UV_READABLE : UV_WRITABLE, on_connectable);
  if (!watched) fail_nomem(pg);
}

/* libpq may close its socket and open another, even under the same number: it is not watched
 * meanwhile. */
static void on_connectable(uv_poll_t *poll, int status, int events) {
  dr_pg *pg = poll->data;
  (void)status, (void)events;
  dr__pg_unwatch(pg);
  go_on(pg, pq(connectPoll)(pg->conn));
}

static bool is_at(const json_t *place, const char *key, const char *value) {
  const char *own = json_string_value(json_object_get(place, key));
  return !own || !own[0] || !value || strcmp(own, value) == 0;
}

/* Drops the place that was tried, and those before it. */
static void drop_silent_place(dr_pg *pg) {
  size_t last = 0, i;
  json_t *place;
  json_array_foreach(pg->places, i, place) {
    if (!is_at(place, "hostaddr", pq(hostaddr)(pg->conn)) ||
        !is_at(place, "host", pq(host)(pg->conn)) || !is_at(place, "port", pq(port)(pg->conn)))
      continue;
    last = i;
    break;
  }
  for (i = 0; i <= last; i++) json_array_remove(pg->places, 0);
}

static void too_late(dr_pg *pg) {
  dr_err err = DR_ERR_INIT;
  dr__fail(&err, "postgres.timeout", "the server did not let us in within %g s", pg->timeout_s);
  dr__err_hint(&err, "is it overloaded, or does a firewall swallow what is sent to it? More time: "
                     "connect_timeout");
  fail_connecting(pg, &err);
}

static void on_silence(uv_timer_t *timer) {
  dr_pg *pg = timer->data;
  if (json_array_size(pg->places) > 1) drop_silent_place(pg);
  if (json_array_size(pg->places) == 0 || uv_now(pg->loop) >= pg->deadline_ms) {
    too_late(pg);
    return;
  }
  drop_conn(pg);
  attempt(pg);
}

static void attempt(dr_pg *pg) {
  uint64_t now = uv_now(pg->loop);
  uint64_t left_ms = pg->deadline_ms > now ? pg->deadline_ms - now : 0;
  dr__pg_wait(pg, (double)left_ms / 1000 / (double)json_array_size(pg->places), on_silence);
  pg->conn = begin(pg);
  if (!pg->conn) {
    fail_nomem(pg);
    return;
  }
  pq(setErrorVerbosity)(pg->conn, PQERRORS_VERBOSE); /* with the SQLSTATE of a refusal */
  pq(setNoticeReceiver)(pg->conn, dr__pg_on_notice, pg);
  go_on(pg, pq(status)(pg->conn) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING);
}

static void on_places(void *data, json_t *places, dr_err *err) {
  dr_pg *pg = data;
  pg->lookup = NULL;
  if (err) {
    fail_connecting(pg, err);
    return;
  }
  pg->places = json_incref(places);
  attempt(pg);
}

static void on_names_silent(uv_timer_t *timer) {
  dr_pg *pg = timer->data;
  dr__pg_lookup_cancel(pg->lookup);
  pg->lookup = NULL;
  too_late(pg);
}

/* ------------------------------------------------------------ the interface */

static double timeout_of(const dr_pg_connecting *how, const json_t *effective) {
  const char *text = json_string_value(json_object_get(effective, "connect_timeout"));
  double own = text ? strtod(text, NULL) : 0;
  if (how->timeout_s > 0) return how->timeout_s;
  return own > 0 ? own : DR_PG_CONNECT_TIMEOUT;
}

static dr_pg *pg_new(uv_loop_t *loop, const dr_pg_connecting *how) {
  dr_pg *pg = calloc(1, sizeof *pg);
  uv_timer_t *timer = malloc(sizeof *timer);
  json_t *keywords = json_copy((json_t *)how->keywords);
  if (!pg || !timer || !keywords) {
    free(pg);
    free(timer);
    json_decref(keywords);
    return NULL;
  }
  uv_timer_init(loop, timer);
  timer->data = pg;
  *pg = (dr_pg){.loop = loop,
                .timer = timer,
                .keywords = keywords,
                .on_connected = how->on_done,
                .connect_data = how->data};
  return pg;
}

int dr__pg_connect(dr_pg **out, uv_loop_t *loop, const dr_pg_connecting *how, dr_err *err) {
  *out = NULL;
  dr_pg *pg = pg_new(loop, how);
  if (!pg) return dr__err_nomem(err);
  pg->effective = dr__pg_effective(how->keywords, err);
  if (!pg->effective || dr__pg_lookup(&pg->lookup, loop, pg->effective, on_places, pg, err) != 0) {
    dr__pg_close(pg);
    return DR_FAILED;
  }
  pg->timeout_s = timeout_of(how, pg->effective);
  dr__pg_wait(pg, pg->timeout_s, on_names_silent);
  pg->deadline_ms = uv_now(loop) + (uint64_t)(pg->timeout_s * 1000);
  *out = pg;
  return 0;
}

void dr__pg_close(dr_pg *pg) {
  if (!pg) return;
  dr__pg_query_drop(pg);
  dr__pg_lookup_cancel(pg->lookup);
  drop_conn(pg);
  uv_close((uv_handle_t *)pg->timer, on_closed);
  json_decref(pg->keywords);
  json_decref(pg->effective);
  json_decref(pg->places);
  free(pg);
}

/* Reads all that is there: the server says why it ends a connection before it does. */
static bool still_stands(dr_pg *pg) {
  struct pollfd set = {.fd = pq(socket)(pg->conn), .events = POLLIN};
  bool stands = pq(status)(pg->conn) == CONNECTION_OK;
  for (int looks = 0; stands && looks < 8 && poll(&set, 1, 0) > 0; looks++)
    stands = pq(consumeInput)(pg->conn) && pq(status)(pg->conn) == CONNECTION_OK;
  return stands;
}

dr_pg_state dr__pg_state(dr_pg *pg) {
  if (pg->stage == DR_PG_STAGE_CONNECTING || pg->stage == DR_PG_STAGE_QUERY) return DR_PG_BUSY;
  if (pg->stage == DR_PG_STAGE_LOST || !still_stands(pg)) {
    pg->stage = DR_PG_STAGE_LOST;
    return DR_PG_LOST;
  }
  switch (pq(transactionStatus)(pg->conn)) {
  case PQTRANS_IDLE: return DR_PG_IDLE;
  case PQTRANS_INTRANS: return DR_PG_TRANSACTION;
  case PQTRANS_INERROR: return DR_PG_FAILED;
  case PQTRANS_ACTIVE:
  case PQTRANS_UNKNOWN: break;
  }
  return DR_PG_LOST;
}

bool dr__pg_connecting(const dr_pg *pg) {
  return pg->stage == DR_PG_STAGE_CONNECTING;
}

bool dr__pg_cancel_sent(const dr_pg *pg) {
  return pg->cancel_sent;
}

const char *dr__pg_sqlstate(const dr_pg *pg) {
  return pg->sqlstate;
}

int dr__pg_server_version(const dr_pg *pg) {
  return pg->conn ? pq(serverVersion)(pg->conn) : 0;
}

int dr__pg_backend(const dr_pg *pg) {
  return pg->conn ? pq(backendPID)(pg->conn) : 0;
}

const char *dr__pg_setting(const dr_pg *pg, const char *name) {
  return pg->conn ? pq(parameterStatus)(pg->conn, name) : NULL;
}

/* What libpq allocated, copied so that free() is right for it. */
static char *own_copy(char *text) {
  char *copy = text ? strdup(text) : NULL;
  if (text) pq(freemem)(text);
  return copy;
}

char *dr__pg_literal(dr_pg *pg, const char *text) {
  return pg->conn ? own_copy(pq(escapeLiteral)(pg->conn, text, strlen(text))) : NULL;
}

char *dr__pg_identifier(dr_pg *pg, const char *text) {
  return pg->conn ? own_copy(pq(escapeIdentifier)(pg->conn, text, strlen(text))) : NULL;
}
