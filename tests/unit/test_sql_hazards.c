/* test_sql_hazards.c - the classifier judges each row of hazards/table.txt as it stands there; and
 * what the table does not show: exemptions over several scripts, annotations, advice, Django's SQL.
 */
#include "postgres/hazards.h"

#include "hazard_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Judges a script in a world; NULL: one that knows nothing. */
static json_t *classify_in(dr_sql_world *world, const char *sql) {
  dr_sql_script script;
  dr_err err = DR_ERR_INIT;
  if (dr__sql_split(sql, strlen(sql), &script, &err) != DR_OK)
    fail_msg("%s: %s %s", sql, err.code, err.message);
  json_t *result = dr__sql_classify(&script, world, &err);
  if (!result) fail_msg("%s: %s %s", sql, err.code, err.message);
  assert_int_equal(json_array_size(json_object_get(result, "statements")), script.count);
  dr__sql_script_free(&script);
  return result;
}

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

static json_t *last_of(const json_t *result) {
  json_t *statements = json_object_get(result, "statements");
  return json_array_get(statements, json_array_size(statements) - 1);
}

static json_t *at(const json_t *result, const char *key, size_t index) {
  return json_array_get(json_object_get(result, key), index);
}

/* ------------------------------------------------------------ the table */

/* What was judged, as a row of the table says it; malloc'd. */
static char *describe(const json_t *statement) {
  char *out = NULL;
  size_t size, i;
  FILE *file = open_memstream(&out, &size);
  json_t *relation;
  fprintf(file, "%s | %s | ", text_of(statement, "kind"), text_of(statement, "class"));
  json_array_foreach(json_object_get(statement, "on"), i, relation) {
    const char *name = json_string_value(relation);
    fprintf(file, "%s%s %s", i ? ", " : "", name,
            text_of(json_object_get(statement, "locks"), name));
  }
  fprintf(file, "%s |", json_array_size(json_object_get(statement, "on")) ? "" : "-");
  bool rewrite = json_is_true(json_object_get(statement, "rewrite"));
  bool scan = json_is_true(json_object_get(statement, "scan"));
  fputs(rewrite ? " rewrite" : scan ? " scan" : "", file);
  fputs(json_object_get(statement, "loses") ? " loses" : "", file);
  fputs(strcmp(text_of(statement, "transaction"), "alone") == 0 ? " alone" : "", file);
  fclose(file);
  return out;
}

static char *expected(const hazard_row *row) {
  char *out = NULL;
  size_t size;
  FILE *file = open_memstream(&out, &size);
  fprintf(file, "%s | %s | %s |", row->kind, row->class, row->locks);
  static const char *const words[] = {"rewrite", "scan", "loses", "alone"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (hazard_row_has(row, words[i])) fprintf(file, " %s", words[i]);
  }
  fclose(file);
  return out;
}

static void each_row_is_judged_as_the_table_says(void **state) {
  (void)state;
  hazard_rows rows;
  hazard_rows_read(&rows);
  assert_true(rows.count >= 120);
  json_t *catalog = hazard_catalog();
  int wrong = 0;
  for (size_t i = 0; i < rows.count; i++) {
    dr_sql_world *world = dr__sql_world_new(catalog);
    json_t *result = classify_in(world, rows.items[i].sql);
    char *found = describe(last_of(result));
    char *wanted = expected(&rows.items[i]);
    if (strcmp(found, wanted) != 0) {
      print_error("table.txt:%d: %s\n  judged:  %s\n  instead: %s\n", rows.items[i].line,
                  rows.items[i].sql, found, wanted);
      wrong++;
    }
    free(found);
    free(wanted);
    json_decref(result);
    dr__sql_world_free(world);
  }
  json_decref(catalog);
  hazard_rows_free(&rows);
  assert_int_equal(wrong, 0);
}

/* ------------------------------------------------------------ worlds */

static void what_an_earlier_script_created_is_exempt(void **state) {
  (void)state;
  dr_sql_world *world = dr__sql_world_new(NULL);
  json_decref(classify_in(world, "CREATE TABLE public.t (a varchar(5)); CREATE TABLE s.u (a int)"));
  json_t *result =
      classify_in(world, "CREATE INDEX ON public.t (a); ALTER TABLE s.u ADD b int NOT NULL;"
                         "ALTER TABLE u ADD b int NOT NULL");
  assert_string_equal(text_of(at(result, "statements", 0), "class"), "compatible");
  assert_string_equal(text_of(at(result, "statements", 0), "lock"), "");
  assert_int_equal(json_array_size(json_object_get(at(result, "statements", 0), "hazards")), 0);
  assert_string_equal(text_of(at(result, "statements", 1), "class"), "compatible");
  assert_string_equal(text_of(at(result, "statements", 2), "class"), "breaking");
  assert_string_equal(text_of(result, "class"), "breaking");
  json_decref(result);
  dr__sql_world_free(world);
}

static void what_may_have_been_there_is_not_exempt(void **state) {
  (void)state;
  static const char *const scripts[] = {
      "CREATE TABLE IF NOT EXISTS t (a int); ALTER TABLE t ADD b int NOT NULL",
      "DO $$ BEGIN CREATE TABLE t (a int); END $$; ALTER TABLE t ADD b int NOT NULL",
      "CREATE TABLE t (a int); DROP TABLE t; ALTER TABLE t ADD b int NOT NULL",
      "CREATE TABLE t (a int); ALTER TABLE t RENAME TO u; ALTER TABLE t ADD b int NOT NULL",
      "CREATE TABLE t (a int); ROLLBACK; DROP TABLE t",
      "CREATE TABLE t (a int); DO $$ BEGIN DROP TABLE t; END $$; DROP TABLE t",
      "CREATE TEMP TABLE IF NOT EXISTS t (a int); DROP TABLE t",
      "CREATE TEMP TABLE t (a int); DISCARD TEMP; DROP TABLE t",
      "CREATE TEMP TABLE t (a int); VACUUM u; DROP TABLE t",
      "CREATE TEMP TABLE t (a int); ALTER TABLE t RENAME TO u; DROP TABLE t",
      ("ALTER TABLE t ADD a int, DROP COLUMN a; ALTER TABLE t RENAME b TO a;"
       "ALTER TABLE t DROP COLUMN a")};
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    json_t *result = classify_in(NULL, scripts[i]);
    assert_string_equal(text_of(last_of(result), "class"), "breaking");
    json_decref(result);
  }
}

static void what_may_mean_something_else_is_not_exempt(void **state) {
  (void)state;
  static const char *const scripts[] = {
      "CREATE TABLE t (a int); SET ROLE x; DROP TABLE t",
      "SET search_path = a; CREATE TABLE t (a int); RESET ALL; DROP TABLE t",
      "SET search_path = a; CREATE TABLE t (a int); RESET search_path; DROP TABLE t",
      "SET LOCAL search_path = a; CREATE TABLE t (a int); COMMIT; DROP TABLE t",
      "SET search_path = a; CREATE TABLE t (a int); VACUUM u; DROP TABLE t",
      "CREATE TABLE t (a int); SET SCHEMA 'a'; DROP TABLE t",
      "CREATE TABLE t (a int); DO $$ BEGIN SET search_path = a; END $$; DROP TABLE t",
      ("CREATE TABLE t (a int); INSERT INTO t SELECT 1 WHERE set_config('Search_Path', 'a', true)"
       " IS NULL; DROP TABLE t"),
      "CREATE TABLE t (a int); SELECT set_config(a, 'a', true) FROM t; DROP TABLE t",
      "CREATE TABLE t (a int); DROP TABLE public.t",
      "CREATE TABLE s.t (a int); DROP TABLE t",
      "CREATE TABLE pg_class (a int); DROP TABLE pg_class",
      "CREATE TEMP TABLE t (a int); DROP TABLE s.t",
      "CREATE TEMP SEQUENCE q; DROP SEQUENCE public.q",
      "CREATE TEMP VIEW v AS SELECT 1; DROP VIEW public.v",
      "SELECT 1 AS a INTO TEMP t; DROP TABLE public.t",
      "CREATE SCHEMA s; ALTER SCHEMA o RENAME TO s; DROP TABLE s.t",
      "CREATE SCHEMA s; ALTER TABLE t SET SCHEMA s; DROP TABLE s.t",
      "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP FUNCTION f(text)",
      "CREATE TYPE e AS ENUM ('a'); SET search_path = a; DROP TYPE e"};
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    json_t *result = classify_in(NULL, scripts[i]);
    if (strcmp(text_of(last_of(result), "class"), "breaking") != 0)
      fail_msg("%s: %s", scripts[i], text_of(last_of(result), "class"));
    json_decref(result);
  }
}

/* New things through which old rows are reached. */
static void what_reaches_old_rows_is_not_exempt(void **state) {
  (void)state;
  static const char *const scripts[][2] = {
      {"breaking", "CREATE SCHEMA s CREATE TABLE t (a int); DROP TABLE t"},
      {"breaking", "CREATE SCHEMA AUTHORIZATION s CREATE TABLE t (a int); DROP TABLE t"},
      {"breaking", "CREATE SCHEMA s CREATE TABLE n (a int) CREATE INDEX t ON n (a); DROP TABLE t"},
      {"breaking", ("CREATE TABLE n (a int) PARTITION BY LIST (a);"
                    "ALTER TABLE n ATTACH PARTITION t DEFAULT; DROP TABLE n")},
      {"breaking", ("CREATE SCHEMA s; CREATE TABLE s.n (a int) PARTITION BY LIST (a);"
                    "ALTER TABLE s.n ATTACH PARTITION t DEFAULT; DROP SCHEMA s CASCADE")},
      {"breaking", ("CREATE TABLE m (a int) PARTITION BY LIST (a);"
                    "CREATE TABLE n PARTITION OF m DEFAULT PARTITION BY LIST (a);"
                    "ALTER TABLE n ATTACH PARTITION t DEFAULT; ALTER TABLE m DROP COLUMN a")},
      {"conditional", ("CREATE TABLE n (a int) PARTITION BY LIST (a);"
                       "ALTER TABLE n ATTACH PARTITION t DEFAULT; TRUNCATE n")},
      {"breaking", "CREATE TABLE n (a int); ALTER SEQUENCE q OWNED BY n.a; DROP TABLE n"},
      {"conditional", "CREATE TABLE n (); ALTER TABLE t INHERIT n; DELETE FROM n"},
      {"conditional", "CREATE VIEW n AS SELECT * FROM t; DELETE FROM n"},
      {"conditional", "CREATE VIEW n AS SELECT * FROM t; ALTER VIEW n RENAME TO m; DELETE FROM m"},
      {"conditional", "CREATE TEMP VIEW n AS SELECT * FROM t; UPDATE n SET a = 1"},
      {"conditional", "CREATE SCHEMA s CREATE VIEW n AS SELECT 1 AS a; DELETE FROM s.n"},
      {"conditional", "CREATE FOREIGN TABLE n (a int) SERVER s; DELETE FROM n"},
      {"conditional", "CREATE TABLE n (a int); ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES n;"
                      "TRUNCATE n CASCADE"},
      {"unknown", ("CREATE TABLE n (a int); CREATE RULE r AS ON INSERT TO n DO ALSO DELETE FROM t;"
                   "INSERT INTO n VALUES (1)")},
      {"unknown", ("CREATE TABLE n (a int); CREATE TRIGGER r AFTER INSERT ON n"
                   " EXECUTE FUNCTION f(); INSERT INTO n VALUES (1)")},
      {"unknown", ("CREATE TABLE n (a int); CREATE TRIGGER r BEFORE UPDATE ON n"
                   " EXECUTE FUNCTION f(); INSERT INTO n VALUES (1)"
                   " ON CONFLICT (a) DO UPDATE SET a = 2")},
      {"unknown", "CREATE FUNCTION lower(int) RETURNS int LANGUAGE sql AS 'SELECT 1';"
                  "SELECT lower(5)"},
      {"unknown", "CREATE FUNCTION s.now() RETURNS int LANGUAGE sql AS 'SELECT 1';"
                  "ALTER TABLE n ADD a int DEFAULT now()"},
      {"unknown", "CREATE OPERATOR @#@ (leftarg = int, rightarg = int, function = f);"
                  "SELECT 1 @#@ 2"}};
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    json_t *result = classify_in(NULL, scripts[i][1]);
    if (strcmp(text_of(last_of(result), "class"), scripts[i][0]) != 0)
      fail_msg("%s: %s", scripts[i][1], text_of(last_of(result), "class"));
    json_decref(result);
  }
}

static void what_means_the_same_is_exempt(void **state) {
  (void)state;
  static const char *const scripts[] = {
      "SELECT set_config('search_path', '', false); CREATE TABLE s.t (a int); DROP TABLE s.t",
      "SET search_path = a; CREATE TABLE t (a int); SET work_mem = '1MB'; DROP TABLE t",
      "CREATE TEMP TABLE t (a int); CREATE INDEX i ON t (a); DROP INDEX i",
      "CREATE TABLE t (a int); CREATE TEMP TABLE t (a int); DROP TABLE t; DROP TABLE t",
      "CREATE TEMP TABLE t (a int); ALTER TABLE t RENAME TO u; DROP TABLE u",
      "CREATE TABLE \"T t\" (a int); DROP TABLE \"T t\"",
      "CREATE SCHEMA s CREATE TABLE t (a int) CREATE VIEW v AS SELECT 1; DROP TABLE s.t",
      "CREATE VIEW v AS SELECT a FROM t; DROP VIEW v",
      ("CREATE SEQUENCE q; CREATE TABLE n (a int DEFAULT nextval('q'));"
       "ALTER SEQUENCE q OWNED BY n.a; DROP TABLE n"),
      ("CREATE TABLE n (a int) PARTITION BY LIST (a); CREATE TABLE m (a int);"
       "ALTER TABLE n ATTACH PARTITION m DEFAULT; DROP TABLE n"),
      ("CREATE TABLE n (a int); CREATE TRIGGER r BEFORE UPDATE ON n EXECUTE FUNCTION f();"
       "INSERT INTO n VALUES (1)"),
      ("CREATE FUNCTION lower(int) RETURNS int LANGUAGE sql AS 'SELECT 1';"
       "SELECT pg_catalog.lower('A')"),
      ("CREATE FUNCTION f(int, text[]) RETURNS int LANGUAGE sql AS 'SELECT 1';"
       "DROP FUNCTION f(integer, text[])"),
      "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP FUNCTION f"};
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    json_t *result = classify_in(NULL, scripts[i]);
    if (strcmp(text_of(last_of(result), "class"), "compatible") != 0)
      fail_msg("%s: %s", scripts[i], text_of(last_of(result), "class"));
    json_decref(result);
  }
}

static void a_new_session_has_no_temporary_tables_and_its_own_path(void **state) {
  (void)state;
  dr_sql_world *world = dr__sql_world_new(NULL);
  json_decref(classify_in(world, "CREATE TABLE p (a int); SET search_path = x;"
                                 "CREATE TABLE q (a int); CREATE TEMP TABLE t (a int)"));
  dr__sql_world_new_session(world);
  json_t *result = classify_in(world, "DROP TABLE p; DROP TABLE q; DROP TABLE t");
  assert_string_equal(text_of(at(result, "statements", 0), "class"), "compatible");
  assert_string_equal(text_of(at(result, "statements", 1), "class"), "breaking");
  assert_string_equal(text_of(at(result, "statements", 2), "class"), "breaking");
  json_decref(result);
  dr__sql_world_free(world);
}

/* "t" may be "public.t": what was done to the one makes the other worse, never better. */
static void another_name_of_a_table_makes_nothing_better(void **state) {
  (void)state;
  json_t *result =
      classify_in(NULL, "ALTER TABLE t ADD a int NOT NULL DEFAULT 1;"
                        "ALTER TABLE public.t ALTER a DROP DEFAULT; ALTER TABLE s.t DROP COLUMN a");
  assert_string_equal(text_of(at(result, "statements", 1), "kind"), "drop-default-required");
  assert_string_equal(text_of(at(result, "statements", 2), "class"), "breaking");
  json_decref(result);
}

static void the_old_type_comes_from_the_run_before_the_catalog(void **state) {
  (void)state;
  json_t *catalog =
      json_pack("{s:{s:{s:s, s:b}}}", "t", "a", "type", "character varying(5)", "checked", false);
  dr_sql_world *world = dr__sql_world_new(catalog);
  json_t *result = classify_in(world, "ALTER TABLE t ALTER a TYPE varchar(9);"
                                      "ALTER TABLE t ALTER a TYPE varchar(7);"
                                      "ALTER TABLE public.t ALTER a TYPE varchar(12)");
  assert_string_equal(text_of(at(result, "statements", 0), "kind"), "widen-type");
  assert_string_equal(text_of(at(result, "statements", 1), "kind"), "change-type");
  assert_string_equal(text_of(at(result, "statements", 2), "kind"), "change-type-unknown");
  json_decref(result);
  dr__sql_world_free(world);
  json_decref(catalog);
}

static void a_catalog_may_say_that_a_column_is_not_null(void **state) {
  (void)state;
  json_t *catalog = json_pack("{s:{s:{s:s, s:b}, s:s}}", "t", "a", "type", "integer", "not_null", 1,
                              "b", "integer");
  dr_sql_world *world = dr__sql_world_new(catalog);
  json_t *result = classify_in(world, "ALTER TABLE t ALTER a DROP DEFAULT, ALTER a TYPE bigint;"
                                      "ALTER TABLE t ALTER b DROP DEFAULT");
  assert_string_equal(text_of(at(result, "statements", 0), "kind"), "drop-default-required");
  assert_string_equal(text_of(at(at(result, "statements", 0), "hazards", 1), "hazard"),
                      "widen-type-rewrite");
  assert_string_equal(text_of(at(result, "statements", 1), "kind"), "drop-default-unknown");
  json_decref(result);
  dr__sql_world_free(world);
  json_decref(catalog);
}

/* What a statement is judged as when the catalog says nothing about the column but its type. */
typedef struct less_known {
  const char *sql, *kind;
} less_known;

static void what_is_not_known_of_a_column_makes_nothing_better(void **state) {
  (void)state;
  static const less_known list[] = {
      {"ALTER TABLE t ALTER a DROP DEFAULT", "drop-default-unknown"},
      {"ALTER TABLE t ALTER a SET DEFAULT NULL::text", "drop-default-unknown"},
      {"ALTER TABLE t ALTER a DROP NOT NULL; ALTER TABLE t ALTER a DROP DEFAULT", "drop-default"},
      {"DO $$ BEGIN ALTER TABLE t ALTER a DROP NOT NULL; END $$; ALTER TABLE t ALTER a DROP "
       "DEFAULT",
       "drop-default-unknown"},
      {"ALTER TABLE t RENAME a TO b; ALTER TABLE t ALTER b DROP DEFAULT", "drop-default-unknown"},
      {"ALTER TABLE t ADD COLUMN IF NOT EXISTS b int; ALTER TABLE t ALTER b DROP DEFAULT",
       "drop-default-unknown"},
      {"ALTER TABLE t ADD b int DEFAULT 0, ADD PRIMARY KEY (b); ALTER TABLE t ALTER b DROP DEFAULT",
       "drop-default-unknown"},
      {"ALTER TABLE t ADD b int DEFAULT 0; ALTER TABLE t ADD CHECK (coalesce(b, 0) > 0);"
       "ALTER TABLE t ALTER b DROP DEFAULT",
       "drop-default-unknown"},
      {"ALTER TABLE t ADD b int DEFAULT 0; ALTER TABLE t ADD CHECK (b > 0 AND b IN (1, 2));"
       "ALTER TABLE t ALTER b DROP DEFAULT",
       "drop-default"},
      {"ALTER TABLE t ALTER a TYPE varchar(9)", "widen-type-scan"},
      {"ALTER TABLE t ADD b varchar(5); ALTER TABLE t ALTER b TYPE varchar(9)", "widen-type"},
      {"ALTER TABLE t ADD b varchar(5) CHECK (b > ''); ALTER TABLE t ALTER b TYPE varchar(9)",
       "widen-type-scan"}};
  json_t *catalog = json_pack("{s:{s:s}}", "t", "a", "character varying(5)");
  for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
    dr_sql_world *world = dr__sql_world_new(catalog);
    json_t *result = classify_in(world, list[i].sql);
    if (strcmp(text_of(last_of(result), "kind"), list[i].kind) != 0)
      fail_msg("%s: %s", list[i].sql, text_of(last_of(result), "kind"));
    json_decref(result);
    dr__sql_world_free(world);
  }
  json_decref(catalog);
}

static void an_index_is_new_in_the_schema_of_its_table(void **state) {
  (void)state;
  json_t *result = classify_in(NULL, "CREATE INDEX i ON s.t (a); DROP INDEX s.i; DROP INDEX i");
  assert_string_equal(text_of(at(result, "statements", 1), "class"), "compatible");
  assert_string_equal(text_of(at(result, "statements", 2), "class"), "conditional");
  json_decref(result);
}

/* Tables that are not named are locked all the same. */
static void a_lock_is_told_without_its_tables(void **state) {
  (void)state;
  json_t *result = classify_in(NULL, "DROP OWNED BY x; REINDEX SCHEMA s; SELECT 1;"
                                     "COMMENT ON FUNCTION f() IS 'x'; CREATE TABLE t (a int)");
  assert_string_equal(text_of(at(result, "statements", 0), "lock"), "ACCESS EXCLUSIVE");
  assert_string_equal(text_of(at(result, "statements", 1), "lock"), "SHARE");
  for (size_t i = 2; i < 5; i++)
    assert_string_equal(text_of(at(result, "statements", i), "lock"), "");
  json_decref(result);
}

/* The reason that a statement has the hazard for; "" without it. */
static const char *reason_for(const json_t *statement, const char *hazard) {
  size_t i;
  json_t *one;
  json_array_foreach(json_object_get(statement, "hazards"), i, one) {
    if (strcmp(text_of(one, "hazard"), hazard) == 0) return text_of(one, "reason");
  }
  return "";
}

static void work_under_a_lock_that_is_held_is_a_hazard(void **state) {
  (void)state;
  static const char *const scripts[] = {
      ("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID;"
       "ALTER TABLE t VALIDATE CONSTRAINT c"),
      "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID, VALIDATE CONSTRAINT c",
      "ALTER TABLE t ADD b int; UPDATE t SET b = a WHERE b IS NULL",
      "ALTER TABLE t ADD b int; SAVEPOINT s; ROLLBACK TO s; UPDATE u SET b = a",
      "ALTER TABLE t ADD b int; INSERT INTO u SELECT * FROM v",
      "ALTER TABLE t ADD b int; COPY u FROM '/dev/null'",
      "ALTER TABLE t ADD b int; SELECT a INTO n FROM u",
      "DO $$ BEGIN ALTER TABLE t ADD b int; UPDATE t SET b = a; END $$",
      "ALTER TABLE t ADD b int DEFAULT 0 REFERENCES u"};
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    json_t *result = classify_in(NULL, scripts[i]);
    const char *reason = reason_for(last_of(result), "held-lock");
    if (strncmp(reason, "t (ACCESS EXCLUSIVE): the transaction holds", 43) != 0)
      fail_msg("%s: \"%s\"", scripts[i], reason);
    assert_string_equal(text_of(last_of(result), "lock"), "ACCESS EXCLUSIVE");
    assert_string_equal(text_of(last_of(result), "blocks"), "reads");
    assert_true(json_is_true(json_object_get(last_of(result), "scan")));
    json_decref(result);
  }
}

static void a_lock_that_is_given_back_or_harmless_is_no_hazard(void **state) {
  (void)state;
  static const char *const scripts[] = {
      "ALTER TABLE t ADD b int; COMMIT; UPDATE t SET b = a",
      "ALTER TABLE t ADD b int; ROLLBACK; UPDATE t SET b = a",
      "ALTER TABLE t ADD b int; CREATE INDEX CONCURRENTLY i ON t (a)",
      "ALTER TABLE t ADD b int; VACUUM v; UPDATE t SET b = a",
      "ALTER TABLE t ADD b int; INSERT INTO t VALUES (1)",
      "ALTER TABLE t ADD b int; CREATE TABLE n (a int); CREATE INDEX ON n (a)",
      "ALTER TABLE t ADD b int; CREATE TABLE n AS SELECT * FROM u WITH NO DATA",
      "CREATE TABLE t (a int); ALTER TABLE t ADD b int; UPDATE u SET b = a",
      "ALTER TABLE t VALIDATE CONSTRAINT c; UPDATE t SET b = a",
      "REFRESH MATERIALIZED VIEW v",
      "ALTER TABLE t ADD CHECK (a > 0)"};
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    json_t *result = classify_in(NULL, scripts[i]);
    if (*reason_for(last_of(result), "held-lock")) fail_msg("%s", scripts[i]);
    json_decref(result);
  }
  dr_sql_world *world = dr__sql_world_new(NULL);
  json_decref(classify_in(world, "ALTER TABLE t ADD b int"));
  json_t *result = classify_in(world, "UPDATE t SET b = a"); /* in a file of its own */
  assert_string_equal(reason_for(last_of(result), "held-lock"), "");
  json_decref(result);
  dr__sql_world_free(world);
}

/* ------------------------------------------------------------ annotations */

typedef struct annotation {
  const char *sql;
  const char *accepted; /* the reason; NULL: none */
  const char *problem;  /* its beginning; NULL: none */
} annotation;

static void an_annotation_accepts_a_hazard_with_a_reason(void **state) {
  (void)state;
  static const annotation annotations[] = {
      {"-- deployrun: accept drop-table: gone since 2.3\nDROP TABLE t", "gone since 2.3", NULL},
      {"DROP TABLE t; -- deployrun: accept drop-table: gone: since 2.3 ", "gone: since 2.3", NULL},
      {"/* deployrun: accept drop-table: gone\n * since 2.3 */ DROP TABLE t", "gone\n * since 2.3",
       NULL},
      {"--deployrun:accept drop-table , drop-column:gone\r\nDROP TABLE t", "gone",
       "the statement has no hazard \"drop-column\""},
      {"-- deployrun: accept drop-table\nDROP TABLE t", NULL, "no reason is given"},
      {"-- deployrun: accept drop-table:  \nDROP TABLE t", NULL, "no reason is given"},
      {"-- deployrun: accept drop-tabel: gone\nDROP TABLE t", NULL,
       "there is no hazard \"drop-tabel\""},
      {"-- deployrun: accept create-index: fine\nDROP TABLE t", NULL,
       "the statement has no hazard \"create-index\""},
      {"-- deployrun: allow drop-table: gone\nDROP TABLE t", NULL, "no annotation of deployrun"},
      {"DROP TABLE t;\n\n-- deployrun: accept drop-table: gone", NULL,
       "no statement stands behind"},
      {"-- accept drop-table: gone\nDROP TABLE t", NULL, NULL},
      {"SELECT '-- deployrun: accept drop-table: gone'; DROP TABLE t", NULL, NULL},
  };
  for (size_t i = 0; i < sizeof annotations / sizeof *annotations; i++) {
    const annotation *one = &annotations[i];
    json_t *result = classify_in(NULL, one->sql);
    json_t *statement = last_of(result);
    const char *problem = text_of(at(result, "problems", 0), "message");
    const char *reason = text_of(at(statement, "accepted", 0), "reason");
    const char *begins = one->problem ? one->problem : "";
    bool fits = one->problem ? strncmp(problem, begins, strlen(begins)) == 0 : !*problem;
    if (strcmp(reason, one->accepted ? one->accepted : "") != 0 || !fits)
      fail_msg("%s: accepted \"%s\", problem \"%s\"", one->sql, reason, problem);
    assert_string_equal(text_of(at(statement, "hazards", 0), "accepted"), reason);
    json_decref(result);
  }
}

/* ------------------------------------------------------------ advice */

/* The rules of the advice about a script, with lines: "1 idempotent, 2 order". */
static void assert_advice(const char *sql, const char *expected_advice) {
  json_t *result = classify_in(NULL, sql);
  char found[400] = "";
  size_t i;
  json_t *one;
  json_array_foreach(json_object_get(result, "lint"), i, one) {
    size_t used = strlen(found);
    snprintf(found + used, sizeof found - used, "%s%d %s", i ? ", " : "",
             (int)json_integer_value(json_object_get(one, "line")), text_of(one, "rule"));
  }
  if (strcmp(found, expected_advice) != 0) fail_msg("%s: %s, not %s", sql, found, expected_advice);
  json_decref(result);
}

static void advice_is_given_where_a_script_cannot_run_twice(void **state) {
  (void)state;
  assert_advice("CREATE TABLE t (a int);\nCREATE INDEX ON t (a)", "1 idempotent, 2 idempotent");
  assert_advice("CREATE TABLE IF NOT EXISTS t (a int); CREATE INDEX IF NOT EXISTS i ON t (a)", "");
  assert_advice("ALTER TABLE t ADD COLUMN a int", "1 idempotent");
  assert_advice("ALTER TABLE t ADD COLUMN IF NOT EXISTS a int, DROP COLUMN IF EXISTS b", "");
  assert_advice("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)", "1 idempotent");
  assert_advice("CREATE TYPE e AS ENUM ('a')", "1 idempotent");
  assert_advice("DROP TABLE t; DROP TABLE IF EXISTS t", "1 idempotent");
  assert_advice("CREATE OR REPLACE VIEW v AS SELECT 1; CREATE VIEW w AS SELECT 1", "1 idempotent");
  assert_advice("INSERT INTO t VALUES (1); INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
                "1 idempotent");
  assert_advice("DO $$ BEGIN CREATE TYPE e AS ENUM ('a'); END $$", "1 idempotent");
  assert_advice("DO $$ BEGIN CREATE TYPE e AS ENUM ('a'); "
                "EXCEPTION WHEN duplicate_object THEN NULL; END $$",
                "");
  assert_advice("DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_type WHERE typname = 'e') THEN "
                "CREATE TYPE e AS ENUM ('a'); END IF; END $$",
                "");
  assert_advice("DO $$ BEGIN IF NOT EXISTS (SELECT FROM information_schema.columns) THEN "
                "ALTER TABLE t ADD a int; END IF; END $$",
                "");
}

static void advice_is_given_about_the_order(void **state) {
  (void)state;
  assert_advice("ALTER TABLE t ADD COLUMN IF NOT EXISTS a int NOT NULL DEFAULT 1",
                "1 nullable-first");
  assert_advice("UPDATE t SET a = NULL; ALTER TABLE t ALTER a DROP NOT NULL", "1 order");
  assert_advice("ALTER TABLE t ALTER a DROP NOT NULL; UPDATE t SET a = NULL", "");
  assert_advice("ALTER TYPE e ADD VALUE IF NOT EXISTS 'x'; UPDATE t SET a = 'x'", "1 enum-value");
  assert_advice("UPDATE t SET a = 'y'; ALTER TYPE e ADD VALUE IF NOT EXISTS 'x'", "1 order");
  assert_advice("ALTER TYPE e ADD VALUE IF NOT EXISTS 'x'", "");
}

static void advice_is_given_about_the_session(void **state) {
  (void)state;
  assert_advice("BEGIN; COMMIT", "1 transaction, 1 transaction");
  assert_advice("SET search_path = a; SET lock_timeout = 0; SET ROLE x; SET work_mem = '1MB'",
                "1 search-path, 1 session-setting, 1 session-setting");
}

/* ------------------------------------------------------------ Django */

/* What `manage.py sqlmigrate` printed for AddField(default=0), Django 3.2. */
static void djangos_added_field_with_a_default_is_breaking(void **state) {
  (void)state;
  json_t *result = classify_in(
      NULL, "BEGIN;\n--\n-- Add field seats to tour\n--\n"
            "ALTER TABLE \"tours_tour\" ADD COLUMN \"seats\" integer DEFAULT 0 NOT NULL;\n"
            "ALTER TABLE \"tours_tour\" ALTER COLUMN \"seats\" DROP DEFAULT;\nCOMMIT;\n");
  assert_string_equal(text_of(result, "class"), "breaking");
  assert_string_equal(text_of(at(result, "statements", 0), "control"), "begin");
  assert_string_equal(text_of(at(result, "statements", 1), "class"), "compatible");
  assert_string_equal(text_of(at(result, "statements", 2), "kind"), "drop-default-required");
  assert_int_equal(json_integer_value(json_object_get(at(result, "statements", 2), "line")), 6);
  assert_string_equal(text_of(at(result, "statements", 3), "control"), "commit");
  json_decref(result);
}

static void djangos_nullable_field_is_compatible(void **state) {
  (void)state;
  json_t *result =
      classify_in(NULL, "BEGIN;\n--\n-- Add field note to tour\n--\n"
                        "ALTER TABLE \"tours_tour\" ADD COLUMN \"note\" text NULL;\nCOMMIT;\n");
  assert_string_equal(text_of(result, "class"), "compatible");
  json_decref(result);
}

static void classes_have_ranks(void **state) {
  (void)state;
  assert_int_equal(dr__sql_class_rank("compatible"), 0);
  assert_int_equal(dr__sql_class_rank("breaking"), 2);
  assert_int_equal(dr__sql_class_rank("unknown"), 3);
  assert_int_equal(dr__sql_class_rank("?"), 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_row_is_judged_as_the_table_says),
      cmocka_unit_test(what_an_earlier_script_created_is_exempt),
      cmocka_unit_test(what_may_have_been_there_is_not_exempt),
      cmocka_unit_test(what_may_mean_something_else_is_not_exempt),
      cmocka_unit_test(what_reaches_old_rows_is_not_exempt),
      cmocka_unit_test(what_means_the_same_is_exempt),
      cmocka_unit_test(a_new_session_has_no_temporary_tables_and_its_own_path),
      cmocka_unit_test(another_name_of_a_table_makes_nothing_better),
      cmocka_unit_test(the_old_type_comes_from_the_run_before_the_catalog),
      cmocka_unit_test(a_catalog_may_say_that_a_column_is_not_null),
      cmocka_unit_test(what_is_not_known_of_a_column_makes_nothing_better),
      cmocka_unit_test(an_index_is_new_in_the_schema_of_its_table),
      cmocka_unit_test(a_lock_is_told_without_its_tables),
      cmocka_unit_test(work_under_a_lock_that_is_held_is_a_hazard),
      cmocka_unit_test(a_lock_that_is_given_back_or_harmless_is_no_hazard),
      cmocka_unit_test(an_annotation_accepts_a_hazard_with_a_reason),
      cmocka_unit_test(advice_is_given_where_a_script_cannot_run_twice),
      cmocka_unit_test(advice_is_given_about_the_order),
      cmocka_unit_test(advice_is_given_about_the_session),
      cmocka_unit_test(djangos_added_field_with_a_default_is_breaking),
      cmocka_unit_test(djangos_nullable_field_is_compatible),
      cmocka_unit_test(classes_have_ranks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
