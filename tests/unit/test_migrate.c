/* test_migrate.c - migrations without a server: names, order, what is pending, what is refused, and
 * the messages that are sent. */
#include "postgres/migrate_judged.h"
#include "postgres/migrate_plan.h"
#include "postgres/migrate_sql.h"

#include "core/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* A JSON value written with ' instead of ". */
static json_t *json(const char *text) {
  char *copy = strdup(text);
  assert_non_null(copy);
  for (char *c = copy; *c; c++)
    if (*c == '\'') *c = '"';
  json_t *value = json_loads(copy, JSON_DECODE_ANY, NULL);
  free(copy);
  assert_non_null(value);
  return value;
}

static void assert_json(json_t *value, const char *expected) {
  json_t *other = json(expected);
  char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
  if (!json_equal(value, other)) fail_msg("%s is not %s", text, expected);
  free(text);
  json_decref(other);
}

/* ------------------------------------------------------------ names */

static void names_have_a_version_and_a_direction(void **state) {
  dr_migration_name name;
  (void)state;
  assert_true(dr__migration_name_parse("0007_add_phone.up.sql", &name));
  assert_string_equal(name.version, "0007");
  assert_string_equal(name.name, "add_phone");
  assert_int_equal(name.direction, DR_UP);
  assert_true(dr__migration_name_parse("20240131120000_a.down.sql", &name));
  assert_string_equal(name.version, "20240131120000");
  assert_int_equal(name.direction, DR_DOWN);
  assert_true(dr__migration_name_parse("1_x.y-z.sql", &name));
  assert_string_equal(name.name, "x.y-z");
  assert_int_equal(name.direction, DR_UP);
}

static void other_names_are_not_guessed(void **state) {
  static const char *const wrong[] = {
      "create.sql", "0001.sql",  "0001_.sql", "0001_.up.sql", "0001-a.sql",
      "V1__a.sql",  "1_a b.sql", "1_a'b.sql", "1_a.sql.orig", "1234567890123456789_a.sql",
      "",           ".sql",      "1_a\n.sql"};
  dr_migration_name name;
  (void)state;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    if (dr__migration_name_parse(wrong[i], &name)) fail_msg("%s is taken", wrong[i]);
}

static void versions_are_numbers(void **state) {
  (void)state;
  assert_int_equal(dr__version_compare("7", "0007"), 0);
  assert_true(dr__version_compare("9", "10") < 0);
  assert_true(dr__version_compare("20240131120000", "0042") > 0);
}

static void files_are_paired_and_ordered(void **state) {
  dr_err err = DR_ERR_INIT;
  json_t *names = json("['10_c.sql', '2_b.down.sql', '0001_a.up.sql', '2_b.up.sql']");
  json_t *list = dr__migrations_from_names("m", names, &err);
  (void)state;
  assert_json(list, "[{'version': '0001', 'name': 'a', 'up': '0001_a.up.sql'},"
                    " {'version': '2', 'name': 'b', 'up': '2_b.up.sql', 'down': '2_b.down.sql'},"
                    " {'version': '10', 'name': 'c', 'up': '10_c.sql'}]");
  json_decref(list);
  json_decref(names);
}

static void wrong_folders_are_refused_by_name(void **state) {
  static const char *const wrong[][2] = {
      {"['1_a.sql', '01_b.sql']", "have the same version"},
      {"['1_a.sql', '1_a.up.sql']", "have the same version"},
      {"['1_a.up.sql', '1_b.down.sql']", "have the same version"},
      {"['1_a.down.sql']", "has no file that goes up"},
      {"['readme.sql']", "is no name of a migration"},
      {"[]", "there is no migration"}};
  (void)state;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    dr_err err = DR_ERR_INIT;
    json_t *names = json(wrong[i][0]);
    assert_null(dr__migrations_from_names("m", names, &err));
    assert_string_equal(err.code, "postgres.migration_file");
    if (!strstr(err.message, wrong[i][1])) fail_msg("%s: %s", wrong[i][0], err.message);
    json_decref(names);
    dr_err_clear(&err);
  }
}

/* ------------------------------------------------------------ plans */

static const char files[] =
    "[{'version': '1', 'name': 'a', 'sha256': 'A', 'up': '1', 'down': '1'},"
    " {'version': '2', 'name': 'b', 'sha256': 'B', 'up': '2'},"
    " {'version': '3', 'name': 'c', 'sha256': 'C', 'up': '3', 'down': '3'},"
    " {'version': '4', 'name': 'd', 'sha256': 'D', 'up': '4', 'down': '4'}]";

#define ROW(version, name, sha)                                                                    \
  "{'version': '" version "', 'name': '" name "', 'sha256': '" sha                                 \
  "', 'direction': 'up', 'statements': 1, 'done': 1}"
#define HALF(version, name, way)                                                                   \
  "{'version': '" version "', 'name': '" name "', 'sha256': 'Z', 'direction': '" way               \
  "', 'statements': 3, 'done': 1}"

typedef json_t *(*planner)(const json_t *, const json_t *, const json_t *, dr_err *);

static void check_plan(planner plan, const char *rows, const char *options, const char *expected) {
  dr_err err = DR_ERR_INIT;
  json_t *f = json(files), *r = json(rows), *o = json(options);
  json_t *found = plan(f, r, o, &err);
  if (!found) fail_msg("%s: %s %s", rows, err.code, err.message);
  assert_json(found, expected);
  json_decref(found);
  json_decref(f);
  json_decref(r);
  json_decref(o);
}

static void check_refused(planner plan, const char *rows, const char *options, const char *code,
                          const char *words) {
  dr_err err = DR_ERR_INIT;
  json_t *f = json(files), *r = json(rows), *o = json(options);
  if (plan(f, r, o, &err)) fail_msg("%s %s is not refused", rows, options);
  assert_string_equal(err.code, code);
  if (!strstr(err.message, words)) fail_msg("%s is not said: %s", words, err.message);
  json_decref(f);
  json_decref(r);
  json_decref(o);
  dr_err_clear(&err);
}

static void what_is_pending_runs_in_order(void **state) {
  (void)state;
  check_plan(dr__migrations_up, "[]", "{}",
             "{'run': ['1', '2', '3', '4'], 'baseline': [], 'edited': []}");
  check_plan(dr__migrations_up, "[" ROW("002", "b", "B") ", " ROW("1", "a", "A") "]", "{'to': '3'}",
             "{'run': ['3'], 'baseline': [], 'edited': []}");
  check_plan(dr__migrations_up, "[" ROW("1", "a", "A") ", " HALF("2", "b", "up") "]", "{}",
             "{'run': ['2', '3', '4'], 'baseline': [], 'edited': []}");
  check_plan(dr__migrations_up, "[" ROW("1", "a", "A") "]", "{'to': '1'}",
             "{'run': [], 'baseline': [], 'edited': []}");
}

static void what_does_not_fit_is_refused_with_names(void **state) {
  (void)state;
  check_refused(dr__migrations_up, "[" ROW("1", "a", "X") "]", "{}", "postgres.migration_edited",
                "1_a");
  check_refused(dr__migrations_up, "[" ROW("0", "old", "X") "]", "{}", "postgres.migration_missing",
                "0_old");
  check_refused(dr__migrations_up, "[" ROW("3", "c", "C") "]", "{}",
                "postgres.migration_out_of_order", "1_a, 2_b");
  check_refused(dr__migrations_up, "[" ROW("3", "c", "C") "]", "{'accept_out_of_order': ['1']}",
                "postgres.migration_out_of_order", "2_b");
  check_refused(dr__migrations_up, "[" HALF("1", "a", "down") "]", "{}", "postgres.migration_half",
                "1_a");
  check_refused(dr__migrations_up, "[]", "{'to': '9'}", "postgres.migration_unknown", "to = \"9\"");
  check_refused(dr__migrations_up, "[]", "{'to': 'c'}", "postgres.migration_unknown", "to = \"c\"");
}

static void an_override_names_the_versions(void **state) {
  (void)state;
  check_plan(dr__migrations_up, "[" ROW("1", "a", "X") "]", "{'accept_edited': ['01'], 'to': '2'}",
             "{'run': ['2'], 'baseline': [], 'edited': ['1']}");
  check_plan(dr__migrations_up, "[" ROW("0", "old", "X") "]",
             "{'accept_missing': ['0'], 'to': '1'}",
             "{'run': ['1'], 'baseline': [], 'edited': []}");
  check_plan(dr__migrations_up, "[" ROW("3", "c", "C") "]",
             "{'accept_out_of_order': ['1', '2'], 'to': '3'}",
             "{'run': ['1', '2'], 'baseline': [], 'edited': []}");
}

static void a_baseline_is_for_an_empty_table(void **state) {
  (void)state;
  check_plan(dr__migrations_up, "[]", "{'baseline_to': '2'}",
             "{'run': ['3', '4'], 'baseline': ['1', '2'], 'edited': []}");
  check_plan(dr__migrations_up, "[" ROW("1", "a", "A") ", " ROW("2", "b", "B") "]",
             "{'baseline_to': '2'}", "{'run': ['3', '4'], 'baseline': [], 'edited': []}");
  check_refused(dr__migrations_up, "[" ROW("1", "a", "A") "]", "{'baseline_to': '2'}",
                "postgres.migration_baseline", "baseline = \"2\"");
  check_refused(dr__migrations_up, "[]", "{'baseline_to': '8'}", "postgres.migration_unknown",
                "baseline = \"8\"");
}

static void going_down_begins_with_the_newest(void **state) {
  static const char all[] = "[" ROW("1", "a", "A") ", " ROW("2", "b", "B") ", " ROW(
      "3", "c", "C") ", " ROW("4", "d", "D") "]";
  (void)state;
  check_plan(dr__migrations_down, all, "{'steps': 1}", "{'run': ['4']}");
  check_plan(dr__migrations_down, all, "{'to': '2'}", "{'run': ['4', '3']}");
  check_refused(dr__migrations_down, all, "{'to': '1'}", "postgres.migration_no_down", "2_b");
  check_refused(dr__migrations_down, all, "{'to': '0'}", "postgres.migration_no_down", "2_b");
  check_plan(dr__migrations_down, "[" ROW("1", "a", "A") "]", "{'to': '0'}", "{'run': ['1']}");
  check_plan(dr__migrations_down, "[]", "{'steps': 3}", "{'run': []}");
  check_plan(dr__migrations_down, "[" ROW("1", "a", "A") ", " HALF("3", "c", "down") "]",
             "{'steps': 1}", "{'run': ['3']}");
  check_refused(dr__migrations_down, "[" HALF("3", "c", "up") "]", "{'steps': 1}",
                "postgres.migration_half", "3_c");
}

/* ------------------------------------------------------------ files and messages */

static dr_migration_file load(const char *text, dr_err *err) {
  char folder[] = "/tmp/migrate.XXXXXX", path[64];
  dr_migration_file file;
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/1_a.up.sql", folder);
  FILE *out = fopen(path, "w");
  assert_non_null(out);
  fputs(text, out);
  fclose(out);
  dr__migration_load(&file, folder, "1_a.up.sql", err);
  unlink(path);
  rmdir(folder);
  return file;
}

static void a_file_is_cut_where_a_statement_must_stand_alone(void **state) {
  dr_err err = DR_ERR_INIT;
  dr_migration_file file =
      load("CREATE TABLE t (a int);\nALTER TABLE t ADD b int;\n"
           "CREATE INDEX CONCURRENTLY \"I\" ON s.t (a);\nVACUUM t;\nUPDATE t SET b = 1;",
           &err);
  (void)state;
  assert_string_equal(err.message, "");
  assert_int_equal(file.step_count, 4);
  assert_int_equal(file.steps[0].kind, DR_STEP_TOGETHER);
  assert_int_equal(file.steps[0].count, 2);
  assert_int_equal(file.steps[1].kind, DR_STEP_INDEX);
  assert_string_equal(file.steps[1].index, "\"s\".\"I\"");
  assert_int_equal(file.steps[2].kind, DR_STEP_ALONE);
  assert_int_equal(file.steps[3].first, 4);
  dr__migration_free(&file);
}

static void a_file_that_sets_lock_timeout_is_known(void **state) {
  static const char *const texts[] = {"SET LOCAL lock_timeout = '9s'; SELECT 1",
                                      "SELECT set_config('lock_timeout', '9s', true)",
                                      "-- whatever lock_timeout is\nSELECT 'lock_timeout'"};
  (void)state;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    dr_err err = DR_ERR_INIT;
    dr_migration_file file = load(texts[i], &err);
    assert_string_equal(err.message, "");
    assert_int_equal(file.own_lock_timeout, i < 2);
    dr__migration_free(&file);
  }
}

static void more_statements_than_anybody_reviews_are_refused(void **state) {
  static const char one[] = "SELECT 1;\n";
  size_t count = DR_MIGRATION_STATEMENTS + 1, size = sizeof one - 1;
  char *text = malloc(count * size + 1);
  dr_err err = DR_ERR_INIT;
  (void)state;
  for (size_t i = 0; i < count; i++) memcpy(text + i * size, one, sizeof one);
  dr_migration_file file = load(text, &err);
  assert_string_equal(err.code, "postgres.too_large");
  dr__migration_free(&file);
  dr_err_clear(&err);
  text[(count - 1) * size] = '\0';
  file = load(text, &err);
  assert_string_equal(err.message, "");
  dr__migration_free(&file);
  free(text);
}

static void begin_and_commit_around_the_whole_are_left_out(void **state) {
  dr_err err = DR_ERR_INIT;
  dr_migration_file file = load("BEGIN;\nCREATE TABLE t (a int);\nCOMMIT;", &err);
  (void)state;
  assert_string_equal(err.message, "");
  assert_int_equal(file.first, 1);
  assert_int_equal(file.end, 2);
  dr__migration_free(&file);
}

static void what_a_file_must_not_hold_is_named_with_its_line(void **state) {
  static const char *const wrong[][3] = {
      {"SELECT 1;\nCOMMIT;\nSELECT 2;", "postgres.migration_file", "1_a.up.sql:2: "},
      {"BEGIN;\nVACUUM;\nCOMMIT;", "postgres.migration_file", "1_a.up.sql:2: "},
      {"\n\nCREATE INDEX CONCURRENTLY ON t (a);", "postgres.migration_file", "1_a.up.sql:3: "},
      {"-- nothing\n", "postgres.migration_file", "no statement"},
      {"SELECT 1;\nSELEC 2;", "postgres.syntax", "1_a.up.sql: "},
      {"BEGIN READ ONLY;\nSELECT 1;\nCOMMIT;", "postgres.migration_file", "1_a.up.sql:1: "},
      {"SELECT 1;\nCREATE TEMP TABLE a (b int);\nVACUUM c;\nSELECT 2;", "postgres.migration_file",
       "1_a.up.sql:2: a temporary table"},
      {"SET search_path = shop;\nCREATE INDEX CONCURRENTLY i ON t (a);", "postgres.migration_file",
       "1_a.up.sql:1: a setting does not last"},
      {"SELECT 1;\nSELECT set_config('role', 'other', false);\nVACUUM c;",
       "postgres.migration_file", "1_a.up.sql:2: a setting does not last"},
      {"SELECT 1;\nSET standard_conforming_strings = off;\nSELECT 'a\\';",
       "postgres.migration_file", "1_a.up.sql:2: this changes what the texts"},
      {"COPY t FROM STDIN;", "postgres.copy_data", "1_a.up.sql: "}};
  (void)state;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    dr_err err = DR_ERR_INIT;
    dr_migration_file file = load(wrong[i][0], &err);
    assert_string_equal(err.code, wrong[i][1]);
    if (!strstr(err.message, wrong[i][2])) fail_msg("%s: %s", wrong[i][0], err.message);
    dr__migration_free(&file);
    dr_err_clear(&err);
  }
}

static void the_isolation_that_a_file_begins_with_is_kept(void **state) {
  static const char *const begins[][2] = {
      {"BEGIN; SELECT 1; COMMIT", ""},
      {"START TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT 1; COMMIT",
       "BEGIN ISOLATION LEVEL serializable"},
      {"BEGIN READ WRITE, ISOLATION LEVEL REPEATABLE READ; SELECT 1; END",
       "BEGIN ISOLATION LEVEL repeatable read READ WRITE"},
      {"BEGIN READ WRITE; SELECT 1; COMMIT", "BEGIN READ WRITE"}};
  (void)state;
  for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
    dr_err err = DR_ERR_INIT;
    dr_migration_file file = load(begins[i][0], &err);
    assert_string_equal(err.message, "");
    assert_string_equal(file.begin, begins[i][1]);
    dr__migration_free(&file);
  }
}

static void a_step_is_one_message_with_its_record(void **state) {
  dr_err err = DR_ERR_INIT;
  dr_migration_file file =
      load("-- a\nALTER TABLE t ADD a int; -- b\nALTER TABLE u ADD b int;", &err);
  const dr_migrate_settings settings = {.lock_ms = 2000};
  const size_t waits[] = {1, 1};
  dr_migrate_message message;
  (void)state;
  assert_int_equal(dr__migrate_together(&message, &file, &file.steps[0], &settings, waits, "R"),
                   DR_OK);
  assert_string_equal(
      message.sql,
      "BEGIN;" DR_MIGRATE_NEW_SESSION ";COMMIT;BEGIN;SET LOCAL lock_timeout = 2000;\n"
      "SELECT set_config('deployrun.began', extract(epoch FROM clock_timestamp())::text, true);"
      "ALTER TABLE t ADD a int;; -- b\n"
      "SELECT set_config('lock_timeout', greatest(50, (2000 - 1000 * (extract(epoch FROM "
      "clock_timestamp()) - current_setting('deployrun.began')::numeric)) / 1)::int::text, true);"
      "ALTER TABLE u ADD b int;\n" DR_MIGRATE_OWN_ROLE ";R;COMMIT;");
  assert_int_equal(message.line, 1);
  assert_int_equal(message.owners, 20);
  assert_int_equal(message.owner[10], -1);
  assert_int_equal(message.owner[13], 0);
  assert_int_equal(message.owner[15], 1);
  assert_int_equal(message.owner[19], 2);
  dr__migrate_message_free(&message);
  dr__migration_free(&file);
}

static void tables_of_one_statement_share_its_wait(void **state) {
  dr_err err = DR_ERR_INIT;
  dr_migration_file file = load("ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u;", &err);
  const dr_migrate_settings settings = {.lock_ms = 2000};
  const size_t waits[] = {2};
  dr_migrate_message message;
  (void)state;
  assert_int_equal(dr__migrate_together(&message, &file, &file.steps[0], &settings, waits, "R"),
                   DR_OK);
  assert_non_null(strstr(message.sql, "true);SET LOCAL lock_timeout = 1000;ALTER TABLE t"));
  dr__migrate_message_free(&message);
  dr__migration_free(&file);
}

static void a_text_is_quoted_whatever_the_settings(void **state) {
  char *plain = dr__migrate_literal("it's"), *odd = dr__migrate_literal("a\\'b");
  (void)state;
  assert_string_equal(plain, "'it''s'");
  assert_string_equal(odd, " E'a\\\\''b'");
  free(plain);
  free(odd);
}

/* ------------------------------------------------------------ judgements that are kept */

/* Whether two files were judged, rather than found among what is kept. */
static bool judged_anew(dr_migrations_judged *kept, const dr_migration_file *one,
                        const dr_migration_file *other, const json_t *catalog) {
  const dr_migration_file *const two[] = {one, other};
  atomic_bool stop = false;
  json_t *judged = dr__migrations_judge(two, 2, catalog, kept, &stop, NULL);
  assert_int_equal(json_array_size(judged), 2);
  json_decref(judged);
  return kept->files != NULL; /* what is found is given away */
}

static void a_judgement_is_kept_as_long_as_no_byte_changes(void **state) {
  dr_err err = DR_ERR_INIT;
  dr_migration_file create = load("CREATE TABLE t (a int);", &err),
                    alter = load("ALTER TABLE t ALTER a TYPE text;", &err),
                    noted = load("-- a note\nALTER TABLE t ALTER a TYPE text;", &err);
  json_t *catalog = json("{'t': {'a': 'integer'}}"), *other = json("{'t': {'a': 'varchar(3)'}}");
  dr_migrations_judged kept = {0};
  (void)state;
  assert_string_equal(err.message, "");
  assert_true(judged_anew(&kept, &create, &alter, NULL));
  assert_false(judged_anew(&kept, &create, &alter, NULL));
  assert_true(judged_anew(&kept, &alter, &create, NULL));
  assert_true(judged_anew(&kept, &create, &noted, NULL));
  assert_true(judged_anew(&kept, &create, &alter, catalog));
  assert_false(judged_anew(&kept, &create, &alter, catalog));
  assert_true(judged_anew(&kept, &create, &alter, other));
  dr__migrations_judged_free(&kept);
  json_decref(catalog);
  json_decref(other);
  dr__migration_free(&create);
  dr__migration_free(&alter);
  dr__migration_free(&noted);
}

static void what_is_judged_may_be_changed(void **state) {
  dr_err err = DR_ERR_INIT;
  dr_migration_file file = load("CREATE TABLE t (a int);", &err);
  const dr_migration_file *const one[] = {&file};
  dr_migrations_judged kept = {0};
  atomic_bool stop = false;
  (void)state;
  for (int i = 0; i < 3; i++) {
    json_t *judged = dr__migrations_judge(one, 1, NULL, &kept, &stop, NULL);
    json_t *statement = json_array_get(json_object_get(json_array_get(judged, 0), "statements"), 0);
    assert_null(json_object_get(statement, "skipped"));
    json_object_set_new(statement, "skipped", json_true());
    json_decref(judged);
  }
  dr__migrations_judged_free(&kept);
  dr__migration_free(&file);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_have_a_version_and_a_direction),
      cmocka_unit_test(other_names_are_not_guessed),
      cmocka_unit_test(versions_are_numbers),
      cmocka_unit_test(files_are_paired_and_ordered),
      cmocka_unit_test(wrong_folders_are_refused_by_name),
      cmocka_unit_test(what_is_pending_runs_in_order),
      cmocka_unit_test(what_does_not_fit_is_refused_with_names),
      cmocka_unit_test(an_override_names_the_versions),
      cmocka_unit_test(a_baseline_is_for_an_empty_table),
      cmocka_unit_test(going_down_begins_with_the_newest),
      cmocka_unit_test(a_judgement_is_kept_as_long_as_no_byte_changes),
      cmocka_unit_test(what_is_judged_may_be_changed),
      cmocka_unit_test(a_file_is_cut_where_a_statement_must_stand_alone),
      cmocka_unit_test(a_file_that_sets_lock_timeout_is_known),
      cmocka_unit_test(more_statements_than_anybody_reviews_are_refused),
      cmocka_unit_test(begin_and_commit_around_the_whole_are_left_out),
      cmocka_unit_test(what_a_file_must_not_hold_is_named_with_its_line),
      cmocka_unit_test(the_isolation_that_a_file_begins_with_is_kept),
      cmocka_unit_test(a_step_is_one_message_with_its_record),
      cmocka_unit_test(tables_of_one_statement_share_its_wait),
      cmocka_unit_test(a_text_is_quoted_whatever_the_settings),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
