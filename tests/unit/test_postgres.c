/* test_postgres.c - a server's words as errors, its rows as JSON, and memory that fails at the N-th
 * allocation for every N while they are made and while a connection is tried: nothing crashes,
 * hangs or leaks. Queries on a real server: tests/bindings/postgres.sh.
 *
 * The allocator of the whole program is failing_heap.h's. Under a sanitizer, which has an allocator
 * of its own, the sweep is left out.
 */
#include "postgres/connection.h"
#include "postgres/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "failing_heap.h"

/* ------------------------------------------------------------ errors */

static void explain(dr_err *err, const char *sqlstate, const char *sql, int position) {
  const dr_pg_problem problem = {.sqlstate = sqlstate,
                                 .message = "it went wrong",
                                 .sql = sql,
                                 .position = position,
                                 .line = 10};
  dr__pg_explain(err, &problem);
}

static void a_sqlstate_has_a_code(void **state) {
  (void)state;
  static const char *const known[][2] = {
      {"42601", "postgres.syntax"},      {"55P03", "postgres.lock_timeout"},
      {"40P01", "postgres.deadlock"},    {"40001", "postgres.serialization"},
      {"25006", "postgres.read_only"},   {"28P01", "postgres.auth"},
      {"3D000", "postgres.no_database"}, {"53300", "postgres.connections"},
      {"57P03", "postgres.starting"},    {"57P01", "postgres.lost"},
      {"23505", "postgres.constraint"},  {"XX000", "postgres.statement"},
      {"", "postgres.statement"}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    dr_err err = DR_ERR_INIT;
    explain(&err, known[i][0], NULL, 0);
    assert_string_equal(err.code, known[i][1]);
    assert_non_null(strstr(err.message, known[i][0]));
    dr_err_clear(&err);
  }
}

static void the_place_is_marked(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  explain(&err, "42703", "select\n  'äö', nope", 16);
  assert_non_null(strstr(err.message, "(SQLSTATE 42703, line 11)"));
  assert_non_null(strstr(err.detail, "line 11:   'äö', nope\n                 ^\n"));
  explain(&err, "42703", "select nope", 8);
  assert_string_equal(err.detail, "line 10: select nope\n                ^");
  explain(&err, "42703", "x", 4711); /* beyond the end */
  assert_non_null(strstr(err.detail, "line 10: x\n          ^"));
  dr_err_clear(&err);
}

static void a_long_line_is_shown_around_the_place(void **state) {
  (void)state;
  static char sql[4001];
  dr_err err = DR_ERR_INIT;
  for (size_t i = 0; i < 4000; i++) sql[i] = "ä"[i % 2];
  explain(&err, "42601", sql, 1500);
  assert_true(strlen(err.detail) < 600);
  const char *mark = strchr(err.detail, '^');
  assert_non_null(mark);
  const char *line_end = strchr(err.detail, '\n');
  assert_true(mark > line_end && mark - line_end < 100);
  assert_int_not_equal(err.detail[9] & 0xC0, 0x80); /* no character is cut in two */
  dr_err_clear(&err);
}

static void a_refusal_is_understood(void **state) {
  (void)state;
  static const char *const said[][3] = {
      {"connection to server at \"h\" (1.2.3.4), port 5432 failed: FATAL:  28P01: password "
       "authentication failed for user \"x\"\nLOCATION:  auth_failed, auth.c:334\n",
       "postgres.auth", "password authentication failed for user \"x\" (SQLSTATE 28P01)"},
      {"connection to server at \"h\" (1.2.3.4), port 5432 failed: FATAL:  28000: no pg_hba.conf "
       "entry for host \"1.2.3.4\", user \"x\", database \"y\", no encryption\n",
       "postgres.auth", "(SQLSTATE 28000)"},
      {"connection to server at \"h\" (1.2.3.4), port 5432 failed: FATAL:  53300: sorry, too many "
       "clients already\n",
       "postgres.connections", "sorry"},
      {"connection to server at \"h\" (1.2.3.4), port 5432 failed: Connection refused\n\tIs the "
       "server running on that host and accepting TCP/IP connections?\n",
       "postgres.unreachable", "Connection refused"},
      {"connection to server at \"h\" (1.2.3.4), port 5432 failed: server certificate for \"a\" "
       "does "
       "not match host name \"h\"\n",
       "postgres.tls", "does not match"},
      {"", "postgres.unreachable", "the connection failed"}};
  for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
    dr_err err = DR_ERR_INIT;
    dr__pg_explain_connect(&err, said[i][0]);
    assert_string_equal(err.code, said[i][1]);
    assert_non_null(strstr(err.message, said[i][2]));
    assert_true(err.hint[0] != '\0');
    assert_null(err.detail);
    dr_err_clear(&err);
  }
  dr_err err = DR_ERR_INIT;
  dr__pg_explain_connect(&err,
                         "connection to server at \"a\" (::1), port 1 failed: Connection "
                         "refused\n\tIs it?\nconnection to server at \"a\" (127.0.0.1), port 1 "
                         "failed: Connection refused\n\tIs it?\n");
  assert_non_null(strstr(err.detail, "(::1)"));
  assert_non_null(strstr(err.detail, "(127.0.0.1)"));
  dr_err_clear(&err);
}

/* ------------------------------------------------------------ answers */

/* Two columns, so many rows; false when memory was short. */
static bool fill(dr_pg_answer *answer, int rows) {
  bool whole = dr__pg_answer_columns(answer, 2) && dr__pg_answer_column(answer, 0, "n", 20) &&
               dr__pg_answer_column(answer, 1, "t", 25);
  for (int i = 0; whole && i < rows; i++) {
    whole = dr__pg_answer_cell(answer, i % 2 ? "9223372036854775807" : NULL, i % 2 ? 19 : 0) &&
            dr__pg_answer_cell(answer, "text", 4);
    if (whole) dr__pg_answer_row_done(answer);
  }
  return whole;
}

static void rows_keep_their_values(void **state) {
  (void)state;
  dr_pg_answer answer = {.affected = -1};
  dr_err err = DR_ERR_INIT;
  assert_true(fill(&answer, 5000));
  assert_int_equal(answer.rows, 5000);
  assert_null(dr__pg_text(&answer, 0, 0));
  assert_null(dr__pg_text(&answer, 5000, 0));
  assert_null(dr__pg_text(&answer, 0, 2));
  assert_null(dr__pg_field(&answer, 1, "none"));
  assert_string_equal(dr__pg_field(&answer, 4999, "t"), "text");
  assert_int_equal(dr__pg_integer(&answer, 1, "n", 0), INT64_MAX);
  assert_int_equal(dr__pg_integer(&answer, 0, "n", -3), -3);
  assert_int_equal(dr__pg_integer(&answer, 0, "t", -3), -3);
  json_t *rows = dr__pg_rows(&answer, &err);
  assert_int_equal(json_array_size(rows), 5000);
  assert_true(json_is_null(json_object_get(json_array_get(rows, 0), "n")));
  assert_int_equal(json_integer_value(json_object_get(json_array_get(rows, 1), "n")), INT64_MAX);
  json_decref(rows);
  dr__pg_answer_clear(&answer);
}

/* ------------------------------------------------------------ memory */

static void on_connected(void *data, dr_err *err) {
  *(bool *)data = true;
  assert_non_null(err);
}

static void try_to_connect(uv_loop_t *loop, const json_t *keywords) {
  dr_pg *pg;
  dr_err err = DR_ERR_INIT;
  bool done = false;
  const dr_pg_connecting how = {
      .keywords = keywords, .timeout_s = 20, .on_done = on_connected, .data = &done};
  if (dr__pg_connect(&pg, loop, &how, &err) == 0) {
    while (!done) uv_run(loop, UV_RUN_ONCE);
    dr__pg_close(pg);
  }
  uv_run(loop, UV_RUN_DEFAULT);
  dr_err_clear(&err);
}

/* One round with the n-th allocation failing; false when there were fewer. */
static bool round_of(uv_loop_t *loop, const json_t *keywords, long n) {
  dr_pg_answer answer = {.affected = -1};
  dr_err err = DR_ERR_INIT;
  failed = false;
  fail_at = n;
  if (fill(&answer, 300)) json_decref(dr__pg_rows(&answer, &err));
  dr__pg_answer_clear(&answer);
  explain(&err, "42601", "select\nx", 8);
  try_to_connect(loop, keywords);
  fail_at = 0;
  dr_err_clear(&err);
  return failed;
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  uv_loop_t loop;
  uv_loop_init(&loop);
  json_t *keywords =
      json_pack("{s:s, s:s, s:s}", "host", "127.0.0.1,127.0.0.1", "port", "1", "user", "x");
  for (int i = 0; i < 3; i++) round_of(&loop, keywords, 0);
  const long before = SWEEP ? living : 0;
  for (long n = 1; SWEEP && round_of(&loop, keywords, n); n++) {
    if (living > before)
      fail_msg("%ld allocations left over after number %ld failed", living - before, n);
  }
  json_decref(keywords);
  uv_loop_close(&loop);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_sqlstate_has_a_code),
      cmocka_unit_test(the_place_is_marked),
      cmocka_unit_test(a_long_line_is_shown_around_the_place),
      cmocka_unit_test(a_refusal_is_understood),
      cmocka_unit_test(rows_keep_their_values),
      cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
