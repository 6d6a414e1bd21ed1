/* address.h - where libpq would connect to, and the addresses of names there: libpq asks the
 * resolver itself otherwise, and that blocks. Without Lua; called by connection.c and database.c on
 * the loop's thread.
 */
#ifndef DR_PG_ADDRESS_H
#define DR_PG_ADDRESS_H

#include <deployrun.h>

#include <jansson.h>
#include <uv.h>

/* The keywords with all that libpq adds to them: PG* variables, service file, defaults, and the
 * password of ~/.pgpass for the first host. A new object of strings, what is not set left out; NULL
 * with err filled (postgres.connect, postgres.setup). target_session_attrs is not in it. */
json_t *dr__pg_effective(const json_t *keywords, dr_err *err);

typedef struct dr_pg_lookup dr_pg_lookup;

/* Finds the addresses of the hosts of effective keywords. on_done is called once, never from inside
 * this call: `places` is an array of {host, hostaddr, port}, each one address to try, borrowed; or
 * err is filled (postgres.unreachable) when no host has one, and may be moved from. The lookup is
 * gone then. Returns 0, or an error. */
int dr__pg_lookup(dr_pg_lookup **out, uv_loop_t *loop, const json_t *effective,
                  void (*on_done)(void *data, json_t *places, dr_err *err), void *data,
                  dr_err *err);

/* Ends it early; on_done is not called. NULL is allowed. */
void dr__pg_lookup_cancel(dr_pg_lookup *lookup);

#endif
