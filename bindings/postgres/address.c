/* address.c - see address.h. Owns a look-up under way: names are resolved one after another by
 * libuv's workers; its memory is given back when the last worker is done with it.
 */
#include "address.h"

#include "pq_library.h"

#include "core/err.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------ keywords */

static const char refused_value[] = "deployrun-only-asks";

/* libpq tells the keywords it would use of a connection only. So one is begun that it refuses,
 * before it does anything, for a value no server is asked about. */
static PGconn *begin_refused(const json_t *keywords) {
  size_t count = json_object_size(keywords), used = 0;
  const char **words = calloc(2 * (count + 2), sizeof *words);
  if (!words) return NULL;
  const char **values = words + count + 2;
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)keywords, key, value) {
    if (strcmp(key, "target_session_attrs") == 0) continue;
    words[used] = key;
    values[used++] = json_string_value(value);
  }
  words[used] = "target_session_attrs";
  values[used] = refused_value;
  PGconn *conn = pq(connectStartParams)(words, values, 0);
  free(words);
  return conn;
}

static json_t *read_keywords(PGconn *conn, dr_err *err) {
  PQconninfoOption *options = pq(conninfo)(conn);
  json_t *found = json_object();
  bool whole = options && found;
  for (const PQconninfoOption *it = options; whole && it->keyword; it++) {
    if (!it->val || !it->val[0] || strcmp(it->keyword, "target_session_attrs") == 0) continue;
    whole = json_object_set_new_nocheck(found, it->keyword, json_string_nocheck(it->val)) == 0;
  }
  const char *password = pq(pass)(conn);
  if (whole && password && password[0])
    whole = json_object_set_new(found, "password", json_string_nocheck(password)) == 0;
  if (options) pq(conninfoFree)(options);
  if (whole) return found;
  json_decref(found);
  dr__err_nomem(err);
  return NULL;
}

/* Keywords that say hostaddr = "" have none, whatever PGHOSTADDR says. */
static bool has_no_address(const json_t *keywords) {
  const json_t *hostaddr = json_object_get(keywords, "hostaddr");
  return hostaddr && json_string_length(hostaddr) == 0;
}

/* libpq leaves out what it has no memory for, and would connect to another place then. */
static bool has_place(const json_t *found, const json_t *keywords) {
  static const char *const place[] = {"host", "hostaddr", "port", "user", "dbname"};
  bool all = true;
  for (size_t i = 0; i < sizeof place / sizeof *place; i++) {
    if (json_string_length(json_object_get(keywords, place[i])) > 0)
      all = all && json_object_get(found, place[i]);
  }
  return all;
}

json_t *dr__pg_effective(const json_t *keywords, dr_err *err) {
  if (dr__pq_load(err) != 0) return NULL;
  PGconn *conn = begin_refused(keywords);
  json_t *found = NULL;
  if (!conn) {
    dr__err_nomem(err);
  } else if (strstr(pq(errorMessage)(conn), refused_value)) {
    found = read_keywords(conn, err);
    if (found && has_no_address(keywords)) json_object_del(found, "hostaddr");
    if (found && !has_place(found, keywords)) {
      json_decref(found);
      found = NULL;
      dr__err_nomem(err);
    }
  } else {
    const char *why = pq(errorMessage)(conn);
    dr__fail(err, "postgres.connect", "libpq cannot use these keywords: %.*s",
             (int)strcspn(why, "\n"), why);
    dr__err_hint(err,
                 "the keywords are those of libpq: host, port, dbname, user, password, sslmode, "
                 "service …");
  }
  if (conn) pq(finish)(conn);
  return found;
}

/* ------------------------------------------------------------ the look-up */

struct dr_pg_lookup {
  uv_getaddrinfo_t request;
  uv_timer_t *timer; /* to begin with; freed by its close callback */
  uv_loop_t *loop;
  json_t *asked;  /* array of {host, hostaddr, port} */
  json_t *places; /* the same, each with its address */
  size_t next;    /* of asked */
  bool resolving;
  bool cancelled;
  dr_err err; /* of the latest name that has no address */
  void (*on_done)(void *data, json_t *places, dr_err *err);
  void *data;
};

static void on_timer_closed(uv_handle_t *handle) {
  free(handle);
}

static void lookup_free(dr_pg_lookup *lookup) {
  if (lookup->timer) uv_close((uv_handle_t *)lookup->timer, on_timer_closed);
  json_decref(lookup->asked);
  json_decref(lookup->places);
  dr_err_clear(&lookup->err);
  free(lookup);
}

static void finish(dr_pg_lookup *lookup) {
  bool found = json_array_size(lookup->places) > 0;
  if (!found && !lookup->err.code[0]) dr__err_nomem(&lookup->err);
  lookup->on_done(lookup->data, found ? lookup->places : NULL, found ? NULL : &lookup->err);
  lookup_free(lookup);
}

static const char *text_of(const json_t *place, const char *key) {
  const char *text = json_string_value(json_object_get(place, key));
  return text ? text : "";
}

/* A socket's folder, an address, or one that the keywords name beside the host. */
static bool needs_no_resolver(const json_t *place) {
  const char *host = text_of(place, "host");
  struct in6_addr address;
  return text_of(place, "hostaddr")[0] || !host[0] || host[0] == '/' || host[0] == '@' ||
         inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

static void go_on(dr_pg_lookup *lookup);

static void fail_name(dr_pg_lookup *lookup, const char *host, const char *why) {
  dr__fail(&lookup->err, "postgres.unreachable", "the name %s has no address: %s", host, why);
  dr__err_hint(&lookup->err, "is it spelled right? Names of a compose network are known inside it "
                             "only: stack:postgres(…) finds the address");
}

static void add_addresses(dr_pg_lookup *lookup, const json_t *place, const struct addrinfo *found) {
  for (const struct addrinfo *it = found; it; it = it->ai_next) {
    char text[64];
    if (uv_ip_name(it->ai_addr, text, sizeof text) != 0) continue;
    json_array_append_new(lookup->places,
                          json_pack("{s:s, s:s, s:s}", "host", text_of(place, "host"), "hostaddr",
                                    text, "port", text_of(place, "port")));
  }
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found) {
  dr_pg_lookup *lookup = request->data;
  const json_t *place = json_array_get(lookup->asked, lookup->next++);
  lookup->resolving = false;
  if (lookup->cancelled) {
    uv_freeaddrinfo(found);
    lookup_free(lookup);
    return;
  }
  if (status == 0)
    add_addresses(lookup, place, found);
  else
    fail_name(lookup, text_of(place, "host"), uv_strerror(status));
  uv_freeaddrinfo(found);
  go_on(lookup);
}

/* Begins to resolve the next name; ends the look-up when there is none. */
static void go_on(dr_pg_lookup *lookup) {
  static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
  for (; lookup->next < json_array_size(lookup->asked); lookup->next++) {
    json_t *place = json_array_get(lookup->asked, lookup->next);
    if (needs_no_resolver(place)) {
      json_array_append(lookup->places, place);
      continue;
    }
    int status = uv_getaddrinfo(lookup->loop, &lookup->request, on_resolved, text_of(place, "host"),
                                NULL, &hints);
    lookup->resolving = status == 0;
    if (status == 0) return;
    fail_name(lookup, text_of(place, "host"), uv_strerror(status));
  }
  finish(lookup);
}

static void on_begin(uv_timer_t *timer) {
  go_on(timer->data);
}

void dr__pg_lookup_cancel(dr_pg_lookup *lookup) {
  if (!lookup) return;
  lookup->cancelled = true;
  if (lookup->resolving)
    uv_cancel((uv_req_t *)&lookup->request);
  else
    lookup_free(lookup);
}

/* ------------------------------------------------------------ lists */

/* The item number `i` of "a,b,c" as a new JSON string; of a list of one, that one for any i. */
static json_t *item_of(const char *list, size_t i, bool one_for_all) {
  const char *at = list;
  bool single = one_for_all && !strchr(list, ',');
  for (size_t k = 0; k < i && !single; k++) {
    at += strcspn(at, ",");
    at += *at == ',';
  }
  return json_stringn_nocheck(at, strcspn(at, ","));
}

static size_t items_in(const char *list) {
  size_t count = 1;
  for (; *list; list++) count += *list == ',';
  return count;
}

/* The places that host, hostaddr and port name; NULL when memory is short. */
static json_t *split_places(const json_t *effective) {
  const char *host = text_of(effective, "host");
  const char *hostaddr = text_of(effective, "hostaddr");
  const char *port = text_of(effective, "port");
  size_t count = items_in(hostaddr[0] ? hostaddr : host);
  json_t *places = json_array();
  for (size_t i = 0; places && i < count; i++) {
    json_t *place = json_pack("{s:o, s:o, s:o}", "host", item_of(host, i, false), "hostaddr",
                              item_of(hostaddr, i, false), "port", item_of(port, i, true));
    if (place && json_array_append_new(places, place) == 0) continue;
    json_decref(places);
    places = NULL;
  }
  return places;
}

int dr__pg_lookup(dr_pg_lookup **out, uv_loop_t *loop, const json_t *effective,
                  void (*on_done)(void *data, json_t *places, dr_err *err), void *data,
                  dr_err *err) {
  dr_pg_lookup *lookup = calloc(1, sizeof *lookup);
  uv_timer_t *timer = malloc(sizeof *timer);
  *out = NULL;
  if (!lookup || !timer) {
    free(lookup);
    free(timer);
    return dr__err_nomem(err);
  }
  uv_timer_init(loop, timer);
  timer->data = lookup;
  *lookup = (dr_pg_lookup){.request = {.data = lookup},
                           .timer = timer,
                           .loop = loop,
                           .asked = split_places(effective),
                           .places = json_array(),
                           .on_done = on_done,
                           .data = data};
  if (!lookup->asked || !lookup->places) {
    lookup_free(lookup);
    return dr__err_nomem(err);
  }
  uv_timer_start(timer, on_begin, 0, 0);
  *out = lookup;
  return 0;
}
