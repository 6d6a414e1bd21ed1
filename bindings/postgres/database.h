/* database.h - how an op reaches its database, and the connections a runtime keeps. Without Lua;
 * runtime's thread.
 *
 * An op that speaks to a database has the argument DR_PG_DB_ARG, which the Lua database object
 * fills (db:call(op, args) in postgres.lua): an object of libpq's keywords and strings, as the op's
 * target sees the server. On an SSH host the way is a tunnel: to host:port as seen from there, or,
 * where `host` begins with "/", to the socket in that folder; without `host` to
 * /var/run/postgresql. Passwords in it are registered for masking by the Lua side.
 */
#ifndef DR_PG_DATABASE_H
#define DR_PG_DATABASE_H

#include "connection.h"

#include "ops/binding.h"

#define DR_PG_DB_ARG                                                                               \
  { "db", DR_ARG_MAP, DR_REQUIRED }

/* Where an op's database is: keywords that libpq can use on this machine, with the tunnel in them.
 */
typedef struct dr_pg_way {
  json_t *keywords; /* referenced; with application_name */
  char *name;       /* for messages: "shop on db1:5432", never a password */
  char tunnel[128]; /* the socket of the tunnel; "" when there is none */
} dr_pg_way;

/* The way of an op; NULL with err filled when there is none: postgres.no_way, postgres.connect,
 * postgres.setup, ssh.tunnel. */
dr_pg_way *dr__pg_of(const dr_op *op, dr_err *err);

/* The same of a target (NULL: this machine) and the keywords; `application` is how the server's
 * administrator sees it. */
dr_pg_way *dr__pg_way_new(dr_runtime *rt, struct dr_target *target, const json_t *keywords,
                          const char *application, dr_err *err);
void dr__pg_way_free(dr_pg_way *way);

/* Completes an error of connecting with the way's name and why its tunnel failed. */
void dr__pg_way_explain(dr_runtime *rt, const dr_pg_way *way, dr_err *err);

/* Where the SSH connection that the tunnel goes through was lost, that is the error, and what the
 * other end of the tunnel made of it becomes its cause: postgres.lost, and the words of programs
 * that used it. */
void dr__pg_way_lost(dr_runtime *rt, const dr_pg_way *way, dr_err *err);

/* Takes a kept connection that leads this way and still stands; NULL when there is none. */
dr_pg *dr__pg_take(dr_runtime *rt, const dr_pg_way *way);

/* Keeps a connection for the next op when it is idle and none is kept yet, else closes it. */
void dr__pg_keep(dr_runtime *rt, const dr_pg_way *way, dr_pg *pg);

/* Closes the kept ones that lead to the way's database. */
void dr__pg_forget(dr_runtime *rt, const dr_pg_way *way);

#endif
