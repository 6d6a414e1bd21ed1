/* postgres.c - the binding postgres: the table of its ops, and what its Lua part needs of C. Called
 * through the gate and by postgres.lua, on the runtime's thread.
 */
#include "ops.h"

#include "database.h"
#include "pq_library.h"

#include "core/luajson.h"

#include <string.h>

extern const dr_lua_source dr__lua_postgres, dr__lua_postgres_stack;

/* ------------------------------------------------------------ functions */

/* The options of a connection string; NULL with err filled. */
static json_t *parse_dsn(const char *dsn, dr_err *err) {
  char *why = NULL;
  if (dr__pq_load(err) != 0) return NULL;
  PQconninfoOption *options = pq(conninfoParse)(dsn, &why);
  json_t *keywords = options ? json_object() : NULL;
  for (const PQconninfoOption *it = options; keywords && it->keyword; it++)
    if (it->val) json_object_set_new(keywords, it->keyword, json_string_nocheck(it->val));
  if (options) pq(conninfoFree)(options);
  if (!options) {
    dr__fail(err, "postgres.connect", "this is no connection string: %.*s",
             (int)strcspn(why ? why : "", "\n"), why ? why : "");
    dr__err_hint(err, "write postgres://user@host:5432/database, or host=… dbname=…; other "
                      "characters in a password as %%40");
  } else if (!keywords) {
    dr__err_nomem(err);
  }
  if (why) pq(freemem)(why);
  return keywords;
}

/* parse(dsn) -> table of libpq's keywords. The text may hold a password, so that it is in no error.
 */
static int l_parse(lua_State *L) {
  const char *dsn = luaL_checkstring(L, 1);
  dr_err err = DR_ERR_INIT;
  json_t **keywords = dr__json_box(L);
  *keywords = parse_dsn(dsn, &err);
  if (!*keywords) return dr__error_throw(L, &err);
  dr__json_push(L, *keywords);
  return 1;
}

/* hide(password) -> whether it can be masked */
static int l_hide(lua_State *L) {
  const char *password = luaL_checkstring(L, 1);
  lua_pushboolean(L, dr__runtime_mask(dr__lua_runtime(L), "postgres password", password));
  return 1;
}

/* close(target or nil, keywords): no connection to that database is kept any longer */
static int l_close(lua_State *L) {
  const char *problem;
  dr_err err = DR_ERR_INIT;
  dr_runtime *rt = dr__lua_runtime(L);
  struct dr_target *target = lua_isnil(L, 1) ? NULL : dr__target_check(L, 1);
  json_t **keywords = dr__json_box(L);
  *keywords = dr__json_read(L, 2, &problem);
  if (!*keywords && !problem) return dr__error_nomem(L);
  if (!*keywords) return luaL_error(L, "keywords: %s", problem);
  dr_pg_way *way = dr__pg_way_new(rt, target, *keywords, "", &err);
  if (way) dr__pg_forget(rt, way);
  dr__pg_way_free(way);
  dr_err_clear(&err);
  return 0;
}

static const luaL_Reg functions[] = {
    {"parse", l_parse}, {"hide", l_hide}, {"close", l_close}, {NULL, NULL}};

/* ------------------------------------------------------------ the ops */

/* Of a container's database also what changes containers may change the answer: it may not be there
 * yet, or be another. */
#define QUERY(NAME, READS)                                                                         \
  {                                                                                                \
    .name = (NAME), .kind = DR_QUERY, .idempotent = true, .reads = (READS),                        \
    .args = dr__pg_query_args, .check = dr__pg_query_check, .preview = dr__pg_preview,             \
    .assume = dr__pg_query_assume, .start = dr__pg_query_start                                     \
  }

static const dr_opspec ops[] = {
    QUERY("postgres.query", DR_AREA_DATABASE),
    QUERY("postgres.query_service", DR_AREA_DATABASE | DR_AREA_CONTAINERS | DR_AREA_SERVICES),
    {.name = "postgres.exec",
     .kind = DR_ACTION,
     .effects = DR_CHANGE,
     .touches = DR_AREA_DATABASE,
     .args = dr__pg_exec_args,
     .check = dr__pg_exec_check,
     .preview = dr__pg_preview,
     .assume = dr__pg_exec_assume,
     .start = dr__pg_exec_start},
    {.name = "postgres.wait_ready",
     .kind = DR_CHECK,
     .idempotent = true,
     .args = dr__pg_wait_args,
     .preview = dr__pg_wait_preview,
     .assume = dr__pg_wait_assume,
     .start = dr__pg_wait_start},
    {.name = "postgres.container",
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_CONTAINERS,
     .args = dr__pg_container_args,
     .preview = dr__pg_container_preview,
     .assume = dr__pg_container_assume,
     .start = dr__pg_container_start},
    {0},
};

const dr_binding dr__binding_postgres = {
    .name = "postgres",
    .ops = ops,
    .functions = functions,
    .lua = &dr__lua_postgres,
    .gives = "postgres :postgres dr.Database dr.Postgres dr.new_database dr.postgres_keywords"};

/* Built in Lua on the ops of postgres, docker and compose. */
const dr_binding dr__binding_postgres_stack = {
    .name = "postgres_stack", .lua = &dr__lua_postgres_stack, .gives = "Stack:postgres"};
