/* Memory fails at the N-th allocation, for every N, while scripts are split and judged: nothing
 * crashes or leaks (under a sanitizer), and the result is the whole one or out_of_memory, never one
 * that says less.
 *
 * Wrapped by the linker are the project's own allocations; jansson is given the same ones. What
 * libpg_query asks for itself is let through: its scanner uses what malloc() gave without looking,
 * and its memory contexts end the process (docs/decisions/0027).
 */
#include "postgres/hazards.h"

#include <pg_query.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static long fail_at; /* counts down to the allocation that fails; 0: none does */
static bool failed;
static int inside; /* calls of libpg_query under way */

static bool is_denied(void) {
  if (inside > 0 || fail_at == 0 || --fail_at > 0) return false;
  failed = true;
  return true;
}

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-*): names the linker wants */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
char *__real_strndup(const char *text, size_t length);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
char *__wrap_strndup(const char *text, size_t length);

void *__wrap_malloc(size_t size) {
  return is_denied() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
  return is_denied() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size) {
  return is_denied() ? NULL : __real_realloc(block, size);
}

char *__wrap_strndup(const char *text, size_t length) {
  return is_denied() ? NULL : __real_strndup(text, length);
}

#define LET_THROUGH(result, function)                                                              \
  result __real_##function(const char *text);                                                      \
  result __wrap_##function(const char *text);                                                      \
  result __wrap_##function(const char *text) {                                                     \
    inside++;                                                                                      \
    result answer = __real_##function(text);                                                       \
    inside--;                                                                                      \
    return answer;                                                                                 \
  }

LET_THROUGH(PgQueryScanResult, pg_query_scan)
LET_THROUGH(PgQuerySplitResult, pg_query_split_with_parser)
LET_THROUGH(PgQueryParseResult, pg_query_parse)
LET_THROUGH(PgQueryPlpgsqlParseResult, pg_query_parse_plpgsql)

json_t *__real_json_loads(const char *text, size_t flags, json_error_t *error);
json_t *__wrap_json_loads(const char *text, size_t flags, json_error_t *error);

json_t *__wrap_json_loads(const char *text, size_t flags, json_error_t *error) {
  inside++;
  json_t *json = __real_json_loads(text, flags, error);
  inside--;
  return json;
}
/* NOLINTEND(bugprone-reserved-identifier,cert-*) */

static const char *const scripts[] = {
    "-- deployrun: accept drop-column: gone\nALTER TABLE t DROP COLUMN a; -- x",
    "-- deployrun: accept nothing-like-this: x\nSELECT 1;\n-- deployrun: accept read: x",
    "CREATE TABLE t (a varchar(5) NOT NULL); ALTER TABLE t ALTER a TYPE text; DROP TABLE t",
    "ALTER TABLE known ALTER a TYPE text, ADD CONSTRAINT c CHECK (a IS NOT NULL) NOT VALID",
    "ALTER TABLE t ADD CONSTRAINT c CHECK (a IS NOT NULL); ALTER TABLE t ALTER a SET NOT NULL",
    "ALTER TABLE t ADD a int REFERENCES u DEFAULT f(1) NOT NULL; UPDATE t SET a = 1",
    "CREATE TYPE e AS ENUM ('a'); ALTER TYPE f ADD VALUE 'x'; INSERT INTO t VALUES ('x')",
    "DO $$ BEGIN IF f() THEN UPDATE t SET a = 1; END IF; COMMIT; END $$",
    "DO $$ DECLARE n int := g(1); BEGIN EXECUTE 'DROP TABLE t'; n := f(2); END $$",
    "CREATE TABLE t (a int); ALTER TABLE t RENAME TO u; EXPLAIN SELECT a FROM u, v",
    "SELECT 1; SELEC 2",
    "COPY t FROM stdin;\n1\n\\.\n",
    "\\i other.sql",
};

/* The whole result, or NULL with err filled. */
static json_t *classify(const char *sql, const json_t *catalog, dr_err *err) {
  dr_sql_script script;
  json_t *result = NULL;
  if (dr__sql_split(sql, strlen(sql), &script, err) == DR_OK) {
    dr_sql_world *world = dr__sql_world_new(catalog);
    if (world)
      result = dr__sql_classify(&script, world, err);
    else
      snprintf(err->code, sizeof err->code, "out_of_memory");
    dr__sql_world_free(world);
  }
  dr__sql_script_free(&script);
  return result;
}

static void compare(const char *sql, const json_t *result, const dr_err *err, const json_t *whole,
                    const dr_err *whole_err, long denied) {
  bool same = whole ? json_equal(result, whole) : strcmp(err->code, whole_err->code) == 0;
  if (same || (!result && strcmp(err->code, "out_of_memory") == 0)) return;
  char *text = json_dumps(result, 0);
  fail_msg("%s: without allocation %ld: %s %s", sql, denied, err->code, text ? text : "");
}

/* The number of allocations that were failed. */
static long sweep(const char *sql, const json_t *catalog) {
  dr_err whole_err = DR_ERR_INIT;
  json_t *whole = classify(sql, catalog, &whole_err);
  long count = 0;
  do {
    dr_err err = DR_ERR_INIT;
    failed = false;
    fail_at = ++count;
    json_t *result = classify(sql, catalog, &err);
    fail_at = 0;
    compare(sql, result, &err, whole, &whole_err, count);
    json_decref(result);
    dr_err_clear(&err);
  } while (failed);
  json_decref(whole);
  dr_err_clear(&whole_err);
  return count - 1;
}

static void a_result_without_memory_is_an_error_and_never_says_less(void **state) {
  (void)state;
  json_set_alloc_funcs(__wrap_malloc, free);
  json_t *catalog = json_pack("{s:{s:s}}", "known", "a", "character varying(5)");
  long count = 0;
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) count += sweep(scripts[i], catalog);
  json_decref(catalog);
  print_message("%ld allocations\n", count);
  assert_true(count > 1000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_result_without_memory_is_an_error_and_never_says_less),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
