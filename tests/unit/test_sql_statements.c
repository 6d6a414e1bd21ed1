/* test_sql_statements.c - scripts are split where PostgreSQL's parser says, hashed by their words,
 * and what cannot be run is refused with a name. */
#include "postgres/statements.h"

#include "core/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* When PL/pgSQL is nested deeper than its parser goes, libpg_query forgets one byte. */
/* NOLINTNEXTLINE(bugprone-reserved-identifier,cert-*): the sanitizer's name */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
/* NOLINTNEXTLINE(bugprone-reserved-identifier,cert-*) */
const char *__lsan_default_suppressions(void) {
  return "leak:pg_query_raw_parse";
}

static dr_sql_script split(const char *sql) {
  dr_sql_script script;
  dr_err err = DR_ERR_INIT;
  if (dr__sql_split(sql, strlen(sql), &script, &err) != DR_OK)
    fail_msg("%s: %s %s", sql, err.code, err.message);
  return script;
}

typedef void put_statement(FILE *to, const dr_sql_script *script, const dr_sql_statement *one);

/* Splits a script, lets `put` write something of each statement, and compares that. */
static void assert_told(put_statement *put, const char *sql, const char *expected) {
  dr_sql_script script = split(sql);
  char *told = NULL;
  size_t size;
  FILE *to = open_memstream(&told, &size);
  for (size_t i = 0; i < script.count; i++) put(to, &script, &script.statements[i]);
  fclose(to);
  if (strcmp(told, expected) != 0) fail_msg("%s: %s, not %s", sql, told, expected);
  free(told);
  dr__sql_script_free(&script);
}

/* A script, and what is told of it. */
typedef struct told {
  const char *sql;
  const char *expected;
} told;

static void assert_all_told(put_statement *put, const told *rows, size_t count) {
  for (size_t i = 0; i < count; i++) assert_told(put, rows[i].sql, rows[i].expected);
}

/* Its line, and its text in brackets. */
static void put_text(FILE *to, const dr_sql_script *script, const dr_sql_statement *one) {
  fprintf(to, "%d[%.*s]", one->line, (int)one->length, script->text + one->offset);
}

static void statements_end_where_the_parser_says(void **state) {
  (void)state;
  static const told rows[] = {
      {"", ""},
      {" -- nothing\n/* at all */ ;;;", ""},
      {"SELECT 1", "1[SELECT 1]"},
      {"SELECT 1;\n\n  SELECT 2  ;", "1[SELECT 1]3[SELECT 2]"},
      {";;SELECT 1;;\n;SELECT 2;", "1[SELECT 1]2[SELECT 2]"},
      {"-- a; b\nSELECT 1 /* ; */ , 2 -- c\n; -- d", "2[SELECT 1 /* ; */ , 2]"},
      {"/* a /* b; */ ; */ SELECT 1", "1[SELECT 1]"},
      {"SELECT ';', $$;$$, $a$ $$ ; $a$, \"a;b\", E'\\';' ; SELECT 2",
       "1[SELECT ';', $$;$$, $a$ $$ ; $a$, \"a;b\", E'\\';']1[SELECT 2]"},
      {"CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; "
       "END;\nSELECT 3",
       "1[CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; "
       "END]2[SELECT 3]"},
      {"CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2); SELECT 3",
       "1[CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2)]1[SELECT 3]"},
      {"DO $do$\nBEGIN\n  PERFORM 1;\nEND\n$do$;\nSELECT 1;",
       "1[DO $do$\nBEGIN\n  PERFORM 1;\nEND\n$do$]6[SELECT 1]"},
      {"DROP TABLE U&\"uralt\" ;SELECT U&'a''b' /* c */; SELECT u&'d!0061' UESCAPE '!'",
       "1[DROP TABLE U&\"uralt\"]1[SELECT U&'a''b']1[SELECT u&'d!0061' UESCAPE '!']"},
      {"\xEF\xBB\xBFSELECT 1;\r\nSELECT 'a\r\nb';\r\nSELECT 3\r\n",
       "1[SELECT 1]2[SELECT 'a\r\nb']4[SELECT 3]"},
  };
  assert_all_told(put_text, rows, sizeof rows / sizeof *rows);
}

static void places_are_counted_in_lines_and_characters(void **state) {
  (void)state;
  dr_sql_script script = split("SELECT 'äöü'; SELECT 2;\n /* ü */ SELECT 3");
  assert_int_equal(script.count, 3);
  assert_int_equal(script.statements[0].column, 1);
  assert_int_equal(script.statements[1].column, 15);
  assert_int_equal(script.statements[2].line, 2);
  assert_int_equal(script.statements[2].column, 10);
  dr__sql_script_free(&script);
}

/* Its comments with their lines, as "[1-- a|2-- b]". */
static void put_comments(FILE *to, const dr_sql_script *script, const dr_sql_statement *one) {
  fputc('[', to);
  for (size_t i = 0; i < one->comment_count; i++) {
    const dr_sql_comment *comment = &script->comments[one->comments + i];
    fprintf(to, "%s%d%.*s", i ? "|" : "", comment->line, (int)comment->length,
            script->text + comment->offset);
  }
  fputc(']', to);
}

static void a_comment_belongs_to_the_statement_behind_it_or_on_its_line(void **state) {
  (void)state;
  static const told rows[] = {
      {"-- a\n-- b\nSELECT 1;\n\n-- c\nSELECT 2", "[1-- a|2-- b][5-- c]"},
      {"SELECT 1; -- a\nSELECT 2; -- b", "[1-- a][2-- b]"},
      {"SELECT 1 -- a\n; -- b\n-- c\nSELECT 2", "[1-- a][2-- b|3-- c]"},
      {"SELECT 1; /* a */ SELECT 2", "[][1/* a */]"},
      {"SELECT 1; /* a\n */ SELECT 2", "[1/* a\n */][]"},
      {"SELECT 1;\r\n-- a\r\nSELECT 2;\r\n-- b\r\n", "[][2-- a]"},
  };
  assert_all_told(put_comments, rows, sizeof rows / sizeof *rows);
}

static void words_alone_make_the_hash(void **state) {
  (void)state;
  static const char *const same[] = {
      "SELECT a FROM \"T\" WHERE b = 'C\nD'; SELECT 2",
      "select A\n  from \"T\" -- x\n where b='C\nD';\n;select 2;",
      "\xEF\xBB\xBF/* y */ SELECT a FROM \"T\" WHERE b = 'C\r\nD';\r\nSELECT 2;\r\n"};
  static const char *const other[] = {"SELECT a FROM \"T\" WHERE b = 'c\nD'; SELECT 2",
                                      "SELECT a FROM \"t\" WHERE b = 'C\nD'; SELECT 2",
                                      "SELECT a FROM \"T\" WHERE b = 'C\nD' SELECT",
                                      "SELECT a FROM \"T\" WHERE b = 'C\nD'; SELECT 2 AS b",
                                      "SELECT 2; SELECT a FROM \"T\" WHERE b = 'C\nD'"};
  char first[DR_SQL_HASH_SIZE], hash[DR_SQL_HASH_SIZE];
  assert_int_equal(dr__sql_hash(same[0], strlen(same[0]), first, NULL), DR_OK);
  assert_int_equal(strlen(first), 64);
  for (size_t i = 1; i < sizeof same / sizeof *same; i++) {
    assert_int_equal(dr__sql_hash(same[i], strlen(same[i]), hash, NULL), DR_OK);
    assert_string_equal(hash, first);
  }
  for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
    if (dr__sql_hash(other[i], strlen(other[i]), hash, NULL) != DR_OK) continue;
    assert_string_not_equal(hash, first);
  }
  assert_int_equal(dr__sql_hash("SELECT U&'one'", 14, first, NULL), DR_OK);
  assert_int_equal(dr__sql_hash("SELECT U&'two'", 14, hash, NULL), DR_OK);
  assert_string_not_equal(hash, first);
}

/* Kept in databases: it must be the same in every version. This is the SHA-256 of the words in
 * small letters, each with a zero byte behind it. */
static void the_hash_of_a_script_never_changes(void **state) {
  (void)state;
  char hash[DR_SQL_HASH_SIZE];
  const char *sql = "CREATE TABLE a (id int); -- b\nINSERT INTO a VALUES (1);";
  assert_int_equal(dr__sql_hash(sql, strlen(sql), hash, NULL), DR_OK);
  assert_string_equal(hash, "f7470de8dec00d245499baa0a5f425c6e9fedcbd29f7bde959425286e9ca6a92");
}

typedef struct refusal {
  const char *sql;
  size_t length; /* 0: strlen */
  const char *code;
  const char *message; /* its beginning */
} refusal;

static void what_is_no_script_is_refused_by_name(void **state) {
  (void)state;
  static const refusal refusals[] = {
      {"SELECT 1;\nSELECT äö fro;\nSELEC 3", 0, "postgres.syntax",
       "line 3, column 1: syntax error at or near \"SELEC\""},
      {"SELECT 'äö'; SELEC", 0, "postgres.syntax", "line 1, column 14: syntax error"},
      {"CREATE TABLE t (\n  id int,\n)", 0, "postgres.syntax", "line 3, column 1: syntax error"},
      {"SELECT (1", 0, "postgres.syntax", "line 1, column 10: syntax error at end of input"},
      {"SELECT 1;\nSELECT 'abc", 0, "postgres.syntax",
       "line 2, column 8: unterminated quoted string"},
      {"SELECT $a$ b", 0, "postgres.syntax", "line 1, column 8: unterminated dollar-quoted string"},
      {"SELECT 1 /* /* */", 0, "postgres.syntax", "line 1, column 10: unterminated /* comment"},
      {"SELECT :name", 0, "postgres.syntax", "line 1, column 8: syntax error at or near \":\""},
      {"SELECT '\xFF'", 0, "postgres.encoding", "line 1: a byte that is not UTF-8"},
      {"SELECT 1;\n\xC3", 0, "postgres.encoding", "line 2: a byte that is not UTF-8"},
      {"SELECT 1\0;", 10, "postgres.encoding", "line 1: a zero byte"},
      {"\\i other.sql", 0, "postgres.meta_command", "line 1: \\i is a command of psql"},
      {"SELECT 1;\n\\connect db\nSELECT 2;", 0, "postgres.meta_command", "line 2: \\connect is"},
      {"\\echo don't\nSELECT 1;", 0, "postgres.meta_command", "line 1: \\echo is"},
      {"\\restrict\nSELECT 1;", 0, "postgres.meta_command", "line 1: \\restrict is"},
      {"\\restrict a b\nSELECT 1;", 0, "postgres.meta_command", "line 1: \\restrict is"},
      {" \\restrict a\nSELECT 1;", 0, "postgres.meta_command", "line 1: \\restrict is"},
      {"\\restrict a\n\\! rm\n", 0, "postgres.meta_command", "line 2: \\! is"},
      {"SELECT 1 \\gexec\n", 0, "postgres.meta_command", "line 1: \\gexec is"},
      {"-- a\nCOPY t FROM stdin;\n1\tit's; so\n\\.\nSELECT 1;", 0, "postgres.copy_data",
       "line 2: COPY … FROM STDIN"},
      {"SELECT 1;\nCOPY t (a, b) FROM stdin WITH CSV;\n\\.\n", 0, "postgres.copy_data", "line 2:"},
      {"CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END;\n"
       "COPY t FROM stdin;\n1\n\\.\n",
       0, "postgres.copy_data", "line 2:"},
      {"COPY t FROM stdin", 0, "postgres.copy_data", "line 1: COPY … FROM STDIN"},
      {"COPY t TO stdout", 0, "postgres.copy_data", "line 1: COPY … TO STDOUT"},
  };
  for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
    const refusal *one = &refusals[i];
    dr_sql_script script;
    dr_err err = DR_ERR_INIT;
    size_t length = one->length ? one->length : strlen(one->sql);
    assert_int_equal(dr__sql_split(one->sql, length, &script, &err), DR_FAILED);
    if (strcmp(err.code, one->code) != 0 ||
        strncmp(err.message, one->message, strlen(one->message)) != 0)
      fail_msg("%s: %s: %s", one->sql, err.code, err.message);
    assert_string_not_equal(err.hint, "");
    dr__sql_script_free(&script);
    dr_err_clear(&err);
  }
}

/* The text `piece` so many times between two others; malloc'd. */
static char *repeat(const char *before, const char *piece, size_t count, const char *after) {
  size_t length = strlen(piece);
  char *text = malloc(strlen(before) + count * length + strlen(after) + 1);
  char *end = stpcpy(text, before);
  for (size_t i = 0; i < count; i++) end = stpcpy(end, piece);
  stpcpy(end, after);
  return text;
}

/* What pg_dump writes around a dump. The key may begin with a digit. */
static void the_brackets_of_pg_dump_are_no_statements(void **state) {
  (void)state;
  static const char dump[] = "--\n\\restrict 1bCd\n\nSELECT 1;\nSELECT '\n\\restrict aB1\n';\r\n"
                             "\\unrestrict aB1\n";
  dr_sql_script script;
  dr_err err = DR_ERR_INIT;
  assert_int_equal(dr__sql_split(dump, strlen(dump), &script, &err), DR_OK);
  assert_int_equal(script.count, 2);
  assert_int_equal(script.statements[0].line, 4);
  char *text = dr__sql_text(&script, 1);
  assert_string_equal(text, "SELECT '\n\\restrict aB1\n'");
  free(text);
  dr__sql_script_free(&script);
}

static void deep_nesting_is_an_error_and_no_crash(void **state) {
  (void)state;
  /* More than fits on the stack; less where the parser stops by itself, or nothing is nested. */
  enum { DEEP = 70000, LESS = 12000 };
  static const struct {
    const char *before, *piece, *after;
    size_t count;
  } nests[] = {{"SELECT 1", "+1", "", DEEP},
               {"SELECT 1, 2", " UNION ALL SELECT 1, 2", "", DEEP},
               {"CREATE TABLE a (b int DEFAULT 1", "+f(1, 2)", ")", DEEP},
               {"SELECT * FROM a", " JOIN b USING (c, d)", "", LESS},
               {"SELECT 1", "::int", "", LESS},
               {"SELECT ", "(", "1", LESS},
               {"SELECT ", "NOT ", "true", LESS},
               {"CREATE VIEW v AS SELECT ", "ARRAY[", "1", LESS},
               {"DO $$ BEGIN PERFORM 1", "+1", "; END $$", LESS},
               {"DO $$ BEGIN ", "BEGIN ", " END $$", LESS},
               {"CREATE TABLE a (b int", ", CHECK ((((1))))", ")", 1000}};
  for (size_t i = 0; i < sizeof nests / sizeof *nests; i++) {
    char *sql = repeat(nests[i].before, nests[i].piece, nests[i].count, nests[i].after);
    dr_sql_script script;
    dr_err err = DR_ERR_INIT;
    int status = dr__sql_split(sql, strlen(sql), &script, &err);
    if (status == DR_OK && script.count > 0) {
      json_t *tree = dr__sql_tree(&script, 0, &err);
      if (!tree) assert_string_equal(err.code, "postgres.too_large");
      json_decref(tree);
    } else {
      assert_string_equal(err.code, "postgres.syntax");
    }
    dr__sql_script_free(&script);
    dr_err_clear(&err);
    free(sql);
  }
}

static void a_script_of_many_rows_is_read(void **state) {
  (void)state;
  char *sql = repeat("INSERT INTO t VALUES (0, 'a')", ",\n(1, 'b''c;')", 20000, ";\nSELECT 2;");
  dr_sql_script script = split(sql);
  assert_int_equal(script.count, 2);
  assert_int_equal(script.statements[1].line, 20002);
  assert_in_range(script.statements[0].depth, 1, 100);
  dr__sql_script_free(&script);
  free(sql);
}

/* A tree of all rows would take two hundred times the memory of the script. */
static void the_tree_of_many_rows_has_the_first(void **state) {
  (void)state;
  char *sql = repeat("INSERT INTO t (a, b) VALUES (f(0, 1), '(')", ", (1, 'b')", 20000,
                     " ON CONFLICT (a) DO NOTHING");
  dr_sql_script script = split(sql);
  json_t *tree = dr__sql_tree(&script, 0, NULL);
  json_t *insert = json_object_get(tree, "InsertStmt");
  json_t *select = json_object_get(json_object_get(insert, "selectStmt"), "SelectStmt");
  assert_int_equal(json_array_size(json_object_get(select, "valuesLists")), 1);
  assert_non_null(json_object_get(insert, "onConflictClause"));
  json_decref(tree);
  dr__sql_script_free(&script);
  free(sql);
}

static void a_statement_of_too_many_words_has_no_tree(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  char *sql = repeat("SELECT 1", ", 1", 30000, "");
  dr_sql_script script = split(sql);
  assert_null(dr__sql_tree(&script, 0, &err));
  assert_string_equal(err.code, "postgres.too_large");
  dr__sql_script_free(&script);
  free(sql);
}

static void too_much_is_refused(void **state) {
  (void)state;
  dr_sql_script script;
  dr_err err = DR_ERR_INIT;
  assert_int_equal(dr__sql_split("", (size_t)DR_SQL_MAX_BYTES + 1, &script, &err), DR_FAILED);
  assert_string_equal(err.code, "postgres.too_large");
  dr__sql_script_free(&script);
}

static void transactions_of_the_script_itself_are_recognised(void **state) {
  (void)state;
  static const dr_sql_control expected[] = {
      DR_SQL_BEGIN,    DR_SQL_BEGIN,     DR_SQL_COMMIT,    DR_SQL_COMMIT,    DR_SQL_ROLLBACK,
      DR_SQL_ROLLBACK, DR_SQL_SAVEPOINT, DR_SQL_SAVEPOINT, DR_SQL_SAVEPOINT, DR_SQL_PREPARED,
      DR_SQL_PREPARED, DR_SQL_PREPARED,  DR_SQL_PLAIN};
  dr_sql_script script = split(
      "BEGIN; START TRANSACTION READ ONLY; COMMIT AND CHAIN; END; ROLLBACK; ABORT; SAVEPOINT a;"
      "RELEASE a; ROLLBACK TO a; PREPARE TRANSACTION 'a'; COMMIT PREPARED 'a';"
      "ROLLBACK PREPARED 'a'; SELECT 1");
  assert_int_equal(script.count, sizeof expected / sizeof *expected);
  for (size_t i = 0; i < script.count; i++)
    assert_int_equal(script.statements[i].control, expected[i]);
  dr__sql_script_free(&script);
}

/* "a" when it must run alone. */
static void put_alone(FILE *to, const dr_sql_script *script, const dr_sql_statement *one) {
  (void)script;
  fputc(one->alone ? 'a' : '-', to);
}

static void what_stands_alone_is_known_however_it_is_written(void **state) {
  (void)state;
  static const told rows[] = {
      {"create\n\tindex concurrently i ON t (a); CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)",
       "aa"},
      {"CREATE/* b */INDEX CONCURRENTLY i ON t (a); DROP INDEX /* b */ Concurrently i", "aa"},
      {"ALTER TABLE p DETACH PARTITION q CONCURRENTLY; ALTER TABLE p DETACH PARTITION q", "a-"},
      {"CREATE TABLESPACE s LOCATION '/s'; DROP TABLESPACE s; VACUUM", "aaa"},
      {"CREATE INDEX i ON t (a); CREATE TABLE \"concurrently\" (a int); DROP TABLE t", "---"},
  };
  assert_all_told(put_alone, rows, sizeof rows / sizeof *rows);
}

static void a_new_enum_value_that_is_used_must_be_committed_first(void **state) {
  (void)state;
  static const told rows[] = {
      {"ALTER TYPE e ADD VALUE 'x'; SELECT 1", "--"},
      {"ALTER TYPE e ADD VALUE 'x'; UPDATE t SET a = 'x'", "a-"},
      {"ALTER TYPE e ADD VALUE 'x'; UPDATE t SET a = 'xy'", "--"},
      {"ALTER TYPE e ADD VALUE 'x'; ALTER TABLE t ALTER a SET DEFAULT 'x'::e", "a-"},
      {"ALTER TYPE e ADD VALUE 'x'; DO $$ BEGIN UPDATE t SET a = 'x'; END $$", "a-"},
      {"UPDATE t SET a = 'x'; ALTER TYPE e ADD VALUE 'x'", "--"},
      {"ALTER TYPE e ADD VALUE 'x'; ALTER TYPE e ADD VALUE 'y' AFTER 'x'", "--"},
      {"CREATE TYPE e AS ENUM (); ALTER TYPE e ADD VALUE 'x'; INSERT INTO t VALUES ('x')", "---"},
      {"CREATE TYPE f AS ENUM (); ALTER TYPE e ADD VALUE 'x'; INSERT INTO t VALUES ('x')", "-a-"},
      {"ALTER TYPE e RENAME VALUE 'a' TO 'x'; INSERT INTO t VALUES ('x')", "--"},
  };
  assert_all_told(put_alone, rows, sizeof rows / sizeof *rows);
}

static void a_block_that_commits_must_run_alone(void **state) {
  (void)state;
  static const told rows[] = {
      {"DO $$ BEGIN PERFORM 1; END $$", "-"},
      {"DO $$ BEGIN FOR i IN 1..3 LOOP COMMIT; END LOOP; END $$", "a"},
      {"DO $$ BEGIN IF true THEN ROLLBACK; END IF; END $$", "a"},
      {"DO LANGUAGE plpython3u 'plpy.commit()'", "-"},
  };
  assert_all_told(put_alone, rows, sizeof rows / sizeof *rows);
}

static void what_ends_a_prepared_transaction_must_run_alone(void **state) {
  (void)state;
  assert_told(put_alone,
              "COMMIT PREPARED 'a'; ROLLBACK PREPARED 'a'; COMMIT; PREPARE TRANSACTION 'a'",
              "aa--");
}

static void a_statement_has_its_tree(void **state) {
  (void)state;
  dr_sql_script script = split("SELECT 1; CREATE TABLE \"ä\"\"\" (id int)");
  dr_err err = DR_ERR_INIT;
  json_t *tree = dr__sql_tree(&script, 1, &err);
  assert_non_null(tree);
  json_t *relation = json_object_get(json_object_get(tree, "CreateStmt"), "relation");
  assert_string_equal(json_string_value(json_object_get(relation, "relname")), "ä\"");
  json_decref(tree);
  dr__sql_script_free(&script);
  dr__sql_script_free(&script);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(statements_end_where_the_parser_says),
      cmocka_unit_test(places_are_counted_in_lines_and_characters),
      cmocka_unit_test(a_comment_belongs_to_the_statement_behind_it_or_on_its_line),
      cmocka_unit_test(words_alone_make_the_hash),
      cmocka_unit_test(the_hash_of_a_script_never_changes),
      cmocka_unit_test(what_is_no_script_is_refused_by_name),
      cmocka_unit_test(the_brackets_of_pg_dump_are_no_statements),
      cmocka_unit_test(deep_nesting_is_an_error_and_no_crash),
      cmocka_unit_test(a_script_of_many_rows_is_read),
      cmocka_unit_test(the_tree_of_many_rows_has_the_first),
      cmocka_unit_test(a_statement_of_too_many_words_has_no_tree),
      cmocka_unit_test(too_much_is_refused),
      cmocka_unit_test(transactions_of_the_script_itself_are_recognised),
      cmocka_unit_test(what_stands_alone_is_known_however_it_is_written),
      cmocka_unit_test(a_new_enum_value_that_is_used_must_be_committed_first),
      cmocka_unit_test(a_block_that_commits_must_run_alone),
      cmocka_unit_test(what_ends_a_prepared_transaction_must_run_alone),
      cmocka_unit_test(a_statement_has_its_tree),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
