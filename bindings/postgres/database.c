/* database.c - see database.h: the way from an op's target to its database, and the connections a
 * runtime keeps between ops, which end with it. Called by steps.c and postgres.c on the runtime's
 * thread.
 */
#include "database.h"

#include "address.h"

#include "target/tunnels.h"

#include "core/err.h"
#include "core/runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USUAL_FOLDER "/var/run/postgresql"
#define USUAL_PORT "5432"

/* ------------------------------------------------------------ keywords */

static const char *word(const json_t *keywords, const char *key) {
  const char *text = json_string_value(json_object_get(keywords, key));
  return text ? text : "";
}

static bool set(json_t *keywords, const char *key, const char *value) {
  return json_object_set_new_nocheck(keywords, key, json_string_nocheck(value)) == 0;
}

static bool set_missing(json_t *keywords, const char *key, const char *value) {
  return word(keywords, key)[0] || set(keywords, key, value);
}

/* "shop on db1:5432", "shop on /var/run/postgresql". */
static char *name_of(const json_t *known, const dr_target *target) {
  const char *host = word(known, "host");
  const char *port = word(known, "port");
  const char *at = target && dr__is_ssh(target->transport) ? " of " : "";
  char *name = NULL;
  if (!host[0]) host = word(known, "hostaddr");
  if (!host[0]) host = USUAL_FOLDER;
  if (asprintf(&name, "%s on %s%s%s%s%s", word(known, "dbname"), host, host[0] == '/' ? "" : ":",
               host[0] == '/' ? "" : port, at, at[0] ? target->transport->name : "") < 0)
    return NULL;
  return name;
}

/* ------------------------------------------------------------ through a host */

static int fail_way(dr_err *err, const char *message, const char *hint) {
  dr__fail(err, "postgres.no_way", "%s", message);
  dr__err_hint(err, "%s", hint);
  return DR_FAILED;
}

static int check_target(const dr_target *target, dr_err *err) {
  if (target->within)
    return fail_way(err, "the target lies inside another machine: there is no tunnel into it",
                    "of a compose stack: stack:postgres(service); else ask from the host, at the "
                    "container's address or published port");
  if (target->sudo)
    return fail_way(err, "a database is not reached by sudo",
                    "the server's socket knows who logged in: log in as the system user that the "
                    "role belongs to, or give a role and a password");
  return 0;
}

/* What libpq on the far side would take when nothing else is said: this machine's PG* variables are
 * about this machine. A service is looked up here, because it was named. */
static json_t *remote_keywords(const json_t *keywords, const dr_target *target, dr_err *err) {
  json_t *own = word(keywords, "service")[0] ? dr__pg_effective(keywords, err)
                                             : json_copy((json_t *)keywords);
  if (!own) {
    if (!err->code[0]) dr__err_nomem(err);
    return NULL;
  }
  json_object_del(own, "service");
  bool whole =
      set_missing(own, "host", word(own, "hostaddr")[0] ? word(own, "hostaddr") : USUAL_FOLDER) &&
      set_missing(own, "port", USUAL_PORT) &&
      set_missing(own, "user", dr__ssh_user(target->transport)) &&
      set_missing(own, "dbname", word(own, "user"));
  json_object_del(own, "hostaddr");
  json_t *known = whole ? dr__pg_effective(own, err) : NULL;
  whole = known && set_missing(own, "password", word(known, "password"));
  json_decref(known);
  if (whole) return own;
  if (!err->code[0]) dr__err_nomem(err);
  json_decref(own);
  return NULL;
}

static int check_remote(const json_t *keywords, dr_err *err) {
  const char *sslmode = word(keywords, "sslmode");
  long port = strtol(word(keywords, "port"), NULL, 10);
  if (strchr(word(keywords, "host"), ','))
    return fail_way(err, "several hosts cannot be tried through a tunnel", "name one host");
  if (port < 1 || port > 65535)
    return fail_way(err, "the port is no port", "the usual one is 5432");
  if (strncmp(sslmode, "verify", 6) == 0 || strcmp(sslmode, "require") == 0)
    return fail_way(err, "there is no TLS through a tunnel",
                    "the way to the host is encrypted by SSH already: leave sslmode out; where the "
                    "server takes nobody without TLS, add a hostnossl line for that host to its "
                    "pg_hba.conf");
  return 0;
}

/* Opens the tunnel and makes the keywords lead into it. libpq finds a socket by its folder and
 * port.
 */
static int open_tunnel(dr_runtime *rt, const dr_target *target, dr_pg_way *way, dr_err *err) {
  json_t *keywords = way->keywords;
  const char *host = word(keywords, "host");
  const char *port = word(keywords, "port");
  char name[32], path[256], key[320];
  snprintf(name, sizeof name, ".s.PGSQL.%s", port);
  snprintf(path, sizeof path, "%s/%s", host, name);
  snprintf(key, sizeof key, "postgres %s:%s", host, port);
  dr_ssh_tunnel_spec spec = {.kind = DR_SSH_TUNNEL_TCP,
                             .host = host,
                             .port = (int)strtol(port, NULL, 10),
                             .path = path,
                             .name = name};
  if (host[0] == '/') spec.kind = DR_SSH_TUNNEL_UNIX;
  int status = dr__tunnel_through(rt, target, key, &spec, way->tunnel, sizeof way->tunnel, err);
  if (status) return status;
  char folder[sizeof way->tunnel];
  dr__copy_text(folder, sizeof folder, way->tunnel);
  *strrchr(folder, '/') = '\0';
  json_object_del(keywords, "sslmode");
  return set(keywords, "host", folder) && set(keywords, "hostaddr", "") ? 0 : dr__err_nomem(err);
}

/* ------------------------------------------------------------ the way */

void dr__pg_way_free(dr_pg_way *way) {
  if (!way) return;
  json_decref(way->keywords);
  free(way->name);
  free(way);
}

static int fill_remote(dr_runtime *rt, const dr_target *target, const json_t *keywords,
                       dr_pg_way *way, dr_err *err) {
  way->keywords = remote_keywords(keywords, target, err);
  if (!way->keywords || check_remote(way->keywords, err) != 0) return DR_FAILED;
  way->name = name_of(way->keywords, target);
  return way->name ? open_tunnel(rt, target, way, err) : dr__err_nomem(err);
}

static int fill_direct(const json_t *keywords, dr_pg_way *way, dr_err *err) {
  json_t *known = dr__pg_effective(keywords, err);
  if (!known) return DR_FAILED;
  way->name = name_of(known, NULL);
  way->keywords = json_copy((json_t *)keywords);
  json_decref(known);
  return way->name && way->keywords ? 0 : dr__err_nomem(err);
}

dr_pg_way *dr__pg_way_new(dr_runtime *rt, dr_target *target, const json_t *keywords,
                          const char *application, dr_err *err) {
  dr_pg_way *way = calloc(1, sizeof *way);
  if (!way) {
    dr__err_nomem(err);
    return NULL;
  }
  int status = target ? check_target(target, err) : 0;
  if (status == 0)
    status = target && dr__is_ssh(target->transport) ? fill_remote(rt, target, keywords, way, err)
                                                     : fill_direct(keywords, way, err);
  if (status == 0 && !set(way->keywords, "fallback_application_name", application))
    status = dr__err_nomem(err);
  if (status == 0) return way;
  dr__pg_way_free(way);
  return NULL;
}

dr_pg_way *dr__pg_of(const dr_op *op, dr_err *err) {
  char application[64];
  snprintf(application, sizeof application, "deployrun %s", op->run->id);
  return dr__pg_way_new(op->run->rt, op->target, dr__arg(op, "db"), application, err);
}

/* Through a tunnel a server that does not listen looks like a connection that was closed. */
void dr__pg_way_explain(dr_runtime *rt, const dr_pg_way *way, dr_err *err) {
  dr_err own = DR_ERR_INIT;
  const char *host = "";
  const dr_err *why = way->tunnel[0] ? dr__tunnel_error(rt, way->tunnel, &host) : NULL;
  if (strncmp(err->code, "postgres.", 9) != 0) return;
  if (!why || !why->code[0] || strcmp(err->code, "postgres.unreachable") != 0) {
    dr__err_copy(&own, err);
    snprintf(err->message, sizeof err->message, "no connection to %s: %.700s", way->name,
             own.message);
    dr_err_clear(&own);
    return;
  }
  dr__err_copy(&own, why);
  dr__fail(err, "postgres.unreachable", "no connection to %s: %s", way->name, own.message);
  dr__err_hint(err, "does the server listen there? `ss -ltnx` on %s lists ports and sockets", host);
  dr__err_because(err, &own);
  dr_err_clear(&own);
}

void dr__pg_way_lost(dr_runtime *rt, const dr_pg_way *way, dr_err *err) {
  static const char *const made_of_it[] = {"postgres.lost", "backup.program", "backup.restore",
                                           "backup.unreadable"};
  const char *host = "";
  const dr_err *why = way->tunnel[0] ? dr__tunnel_error(rt, way->tunnel, &host) : NULL;
  bool fits = false;
  for (size_t i = 0; i < sizeof made_of_it / sizeof *made_of_it; i++)
    fits = fits || strcmp(err->code, made_of_it[i]) == 0;
  if (!fits || !why || strncmp(why->code, "ssh.", 4) != 0) return;
  dr_err own = DR_ERR_INIT;
  dr__err_move(&own, err);
  dr__err_copy(err, why);
  dr__err_because(err, &own);
}

/* ------------------------------------------------------------ kept connections */

typedef struct kept {
  struct kept *next;
  dr_pg *pg;
  json_t *keywords;
  char *name;
} kept;

typedef struct kept_list {
  kept *first;
} kept_list;

static void kept_free(kept *it) {
  dr__pg_close(it->pg);
  json_decref(it->keywords);
  free(it->name);
  free(it);
}

static void close_all(void *value) {
  kept_list *list = value;
  while (list->first) {
    kept *gone = list->first;
    list->first = gone->next;
    kept_free(gone);
  }
  free(list);
}

/* Takes the first connection to the way's database out of the list; NULL when there is none. */
static kept *unlink_kept(kept_list *list, const dr_pg_way *way) {
  kept **at = &list->first;
  while (*at && strcmp((*at)->name, way->name) != 0) at = &(*at)->next;
  kept *found = *at;
  if (found) *at = found->next;
  return found;
}

/* Those of an earlier walk, of another role, or that the server has closed are closed here. */
dr_pg *dr__pg_take(dr_runtime *rt, const dr_pg_way *way) {
  kept_list *list = dr__runtime_get(rt, "postgres");
  kept *it;
  while (list && (it = unlink_kept(list, way))) {
    dr_pg *pg = it->pg;
    bool fits = json_equal(it->keywords, way->keywords) && dr__pg_state(pg) == DR_PG_IDLE;
    if (fits) it->pg = NULL;
    kept_free(it);
    if (fits) return pg;
  }
  return NULL;
}

static bool is_kept(const kept_list *list, const dr_pg_way *way) {
  const kept *it = list->first;
  while (it && !json_equal(it->keywords, way->keywords)) it = it->next;
  return it != NULL;
}

void dr__pg_keep(dr_runtime *rt, const dr_pg_way *way, dr_pg *pg) {
  kept_list *list = dr__runtime_keep(rt, "postgres", sizeof *list, close_all);
  bool wanted =
      list && !dr__pg_cancel_sent(pg) && dr__pg_state(pg) == DR_PG_IDLE && !is_kept(list, way);
  kept *fresh = wanted ? calloc(1, sizeof *fresh) : NULL;
  if (!fresh) {
    dr__pg_close(pg);
    return;
  }
  *fresh = (kept){.next = list->first,
                  .pg = pg,
                  .keywords = json_copy(way->keywords),
                  .name = strdup(way->name)};
  if (!fresh->keywords || !fresh->name) {
    kept_free(fresh);
    return;
  }
  list->first = fresh;
}

void dr__pg_forget(dr_runtime *rt, const dr_pg_way *way) {
  kept_list *list = dr__runtime_get(rt, "postgres");
  kept *it;
  while (list && (it = unlink_kept(list, way))) kept_free(it);
}
