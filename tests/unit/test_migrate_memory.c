/* Memory fails at the N-th allocation, for every N, while migrations are read, judged, planned and
 * written as messages: it never crashes or leaks (under a sanitizer), and it never says that all
 * went well when a part was left out. Wrapped by the linker are the allocations of the project's
 * own code; jansson's are among them. */
#include "postgres/migrate_preview.h"
#include "postgres/migrate_review.h"
#include "postgres/migrate_sql.h"

#include "core/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <pg_query.h>

static long countdown; /* 0: nothing fails */
static bool failed;
static bool parsing; /* inside what is let through */

static bool is_denied(void) {
  if (countdown == 0 || parsing || --countdown > 0) return false;
  return failed = true;
}

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-*): names the linker wants */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
FILE *__real_open_memstream(char **text, size_t *size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
int __wrap_asprintf(char **text, const char *format, ...) __attribute__((format(printf, 2, 3)));
FILE *__wrap_open_memstream(char **text, size_t *size);

void *__wrap_malloc(size_t size) {
  return is_denied() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
  return is_denied() ? NULL : __real_calloc(count, size);
}

int __wrap_asprintf(char **text, const char *format, ...) {
  *text = (char *)format; /* what it is after a failure is not defined */
  if (is_denied()) return -1;
  va_list args;
  va_start(args, format);
  int length = vasprintf(text, format, args);
  va_end(args);
  return length;
}

FILE *__wrap_open_memstream(char **text, size_t *size) {
  return is_denied() ? NULL : __real_open_memstream(text, size);
}

#define LET_THROUGH(result, name, types, values)                                                   \
  result __real_##name types;                                                                      \
  result __wrap_##name types;                                                                      \
  result __wrap_##name types {                                                                     \
    parsing = true;                                                                                \
    result out = __real_##name values;                                                             \
    parsing = false;                                                                               \
    return out;                                                                                    \
  }

LET_THROUGH(PgQueryScanResult, pg_query_scan, (const char *sql), (sql))
LET_THROUGH(PgQueryParseResult, pg_query_parse, (const char *sql), (sql))
LET_THROUGH(PgQuerySplitResult, pg_query_split_with_parser, (const char *sql), (sql))
LET_THROUGH(PgQueryPlpgsqlParseResult, pg_query_parse_plpgsql, (const char *sql), (sql))
LET_THROUGH(json_t *, json_loads, (const char *text, size_t flags, json_error_t *error),
            (text, flags, error))
/* NOLINTEND(bugprone-reserved-identifier,cert-*) */

static char folder[] = "/tmp/migrate-memory.XXXXXX";
static const char *const names[] = {"1_a.up.sql", "1_a.down.sql", "2_b.up.sql", "2_b.down.sql"};
enum { FILES = sizeof names / sizeof *names };
static const char *const texts[] = {
    "CREATE TABLE t (a int);\nALTER TABLE t ADD b text;",
    "-- deployrun: accept drop-table: it is a test\nDROP TABLE t;",
    "ALTER TABLE t DROP COLUMN b;\nCREATE INDEX CONCURRENTLY i ON t (a);\nALTER TABLE t ADD z int;",
    "DROP INDEX CONCURRENTLY i;\nALTER TABLE t DROP COLUMN z;\nALTER TABLE t ADD b text;"};

static void path_of(char *path, size_t size, size_t i) {
  snprintf(path, size, "%s/%s", folder, names[i]);
}

static int begin(void **state) {
  char path[128];
  (void)state;
  json_set_alloc_funcs(__wrap_malloc, free);
  if (!mkdtemp(folder)) return -1;
  for (size_t i = 0; i < FILES; i++) {
    path_of(path, sizeof path, i);
    FILE *out = fopen(path, "w");
    if (!out || fputs(texts[i], out) < 0 || fclose(out) != 0) return -1;
  }
  return 0;
}

static int end(void **state) {
  char path[128];
  (void)state;
  for (size_t i = 0; i < FILES; i++) {
    path_of(path, sizeof path, i);
    unlink(path);
  }
  return rmdir(folder);
}

/* Each returns what it made as a text (malloc'd), or NULL. */
typedef char *(*work)(const json_t *args, dr_err *err);

static char *review(const json_t *args, dr_err *err) {
  atomic_bool stop = false;
  dr_migrations_judged kept = {0};
  json_t *found = dr__migrations_review(args, &kept, &stop, err), *again = NULL;
  if (found) again = dr__migrations_review(args, &kept, &stop, err);
  dr__migrations_judged_free(&kept);
  parsing = true; /* jansson writes broken text when memory is short */
  if (again) assert_true(json_equal(found, again));
  char *text = again ? json_dumps(again, JSON_SORT_KEYS) : NULL;
  parsing = false;
  json_decref(found);
  json_decref(again);
  return text;
}

static char *preview(const json_t *args, dr_err *err) {
  char *text = dr__migrate_preview(args);
  if (!text) dr__err_nomem(err);
  return text;
}

static char *message(const json_t *args, dr_err *err) {
  dr_migration_file file;
  dr_migrate_message out = {0};
  const dr_migrate_settings settings = {.lock_ms = 1000};
  char *record = NULL;
  (void)args;
  int status = dr__migration_load(&file, folder, "2_b.up.sql", err);
  const dr_migrate_mark mark = {
      .file = &file, .version = "2", .done = 1, .running = 1, .by = "b\\"};
  if (status == DR_OK && !(record = dr__migrate_record(&mark, err))) status = DR_FAILED;
  if (status == DR_OK &&
      dr__migrate_together(&out, &file, &file.steps[0], &settings, NULL, record) != DR_OK)
    dr__err_nomem(err);
  char *text = out.sql;
  out.sql = NULL;
  dr__migrate_message_free(&out);
  free(record);
  dr__migration_free(&file);
  return text;
}

static void fail_differs(long n, const char *text, const char *whole) {
  size_t same = 0;
  while (text[same] == whole[same]) same++;
  same = same > 40 ? same - 40 : 0;
  fail_msg("allocation %ld: …%.90s is not …%.90s", n, text + same, whole + same);
}

/* Every allocation fails once; what comes out when none does, or an error, is all there may be. */
static void sweep(work act, const json_t *args) {
  dr_err err = DR_ERR_INIT;
  countdown = 0;
  char *whole = act(args, &err);
  if (!whole) {
    fail_msg("%s: %s", err.code, err.message);
    return;
  }
  long n = 0;
  do {
    failed = false;
    countdown = ++n;
    char *text = act(args, &err);
    countdown = 0;
    if (text && strcmp(text, whole) != 0) fail_differs(n, text, whole);
    if (!text && !err.code[0]) fail_msg("allocation %ld: no error", n);
    free(text);
    dr_err_clear(&err);
  } while (failed);
  free(whole);
  print_message("ok up to allocation %ld\n", n);
}

static json_t *ask(const char *direction) {
  return json_pack("{s:s, s:s, s:s, s:[{s:s, s:s, s:s, s:s, s:i, s:i}]}", "dir", folder,
                   "direction", direction, "allow", "breaking", "applied", "version", "1", "name",
                   "a", "sha256", "", "direction", "up", "statements", 2, "done", 2);
}

static void reviewing_up_and_down(void **state) {
  json_t *up = ask("up"), *down = ask("down");
  (void)state;
  json_object_set_new(up, "accept_edited", json_pack("[s]", "1"));
  json_object_set_new(down, "accept_edited", json_pack("[s]", "1"));
  json_object_set_new(down, "steps", json_integer(1));
  sweep(review, up);
  sweep(review, down);
  json_decref(up);
  json_decref(down);
}

static void what_is_shown_and_sent(void **state) {
  atomic_bool stop = false;
  dr_err err = DR_ERR_INIT;
  json_t *up = ask("up");
  (void)state;
  json_object_set_new(up, "accept_edited", json_pack("[s]", "1"));
  json_t *found = dr__migrations_review(up, NULL, &stop, &err);
  assert_non_null(found);
  json_object_set_new(found, "dir", json_string("m"));
  sweep(preview, found);
  sweep(message, found);
  json_decref(found);
  json_decref(up);
}

/* ------------------------------------------------------------ on a server */

static const char recipe[] =
    "return recipe { name = \"t\", run = function()\n"
    "  local db = postgres {}\n"
    "  local up = pcall(db.migrate, db, { dir = \"%s\", allow = \"breaking\" })\n"
    "  local down = pcall(db.migrate_down, db, { dir = \"%s\", to = \"0\" })\n"
    "  if not (up and down) then fail(\"something failed\") end\n"
    "end }\n";

/* The whole of a run. Its status. */
static int run(const char *path, const char *state, dr_err *err) {
  dr_options options = DR_OPTIONS_INIT;
  dr_runtime *rt = NULL;
  options.recipes_dir = folder;
  options.state_dir = state;
  int status = dr_runtime_new(&rt, &options, err);
  if (status == DR_OK) status = dr_load(rt, path, err);
  if (status == DR_OK) status = dr_run(rt, err);
  dr_runtime_free(rt);
  return status;
}

/* Whatever came of a run, one that has its memory ends it. */
static void running_up_and_down(void **state) {
  char path[64], states[64];
  dr_err err = DR_ERR_INIT;
  (void)state;
  snprintf(path, sizeof path, "%s.lua", folder);
  snprintf(states, sizeof states, "%s.state", folder);
  FILE *out = fopen(path, "w");
  assert_non_null(out);
  fprintf(out, recipe, folder, folder); /* NOLINT: the format is above */
  fclose(out);
  /* $MIGRATE_SWEEP says how many are passed over, unless all are wanted. */
  const char *given = getenv("DEPLOYRUN_WHOLE_SWEEP") ? "1" : getenv("MIGRATE_SWEEP");
  long step = given ? strtol(given, NULL, 10) : 1, n = 1;
  assert_true(step > 0);
  do {
    failed = false;
    countdown = n;
    run(path, states, &err);
    countdown = 0;
    dr_err_clear(&err);
    n += step;
  } while (failed);
  /* The last but one may have left something taken back by half: that is gone on with first. */
  run(path, states, &err);
  dr_err_clear(&err);
  if (run(path, states, &err) != DR_OK) fail_msg("in the end: %s %s", err.code, err.message);
  print_message("ok up to allocation %ld\n", n - step);
  unlink(path);
}

static int run_on_server(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(running_up_and_down)};
  return cmocka_run_group_tests(tests, begin, end);
}

int main(void) {
  if (getenv("MIGRATE_SWEEP")) return run_on_server();
  const struct CMUnitTest tests[] = {cmocka_unit_test(reviewing_up_and_down),
                                     cmocka_unit_test(what_is_shown_and_sent)};
  return cmocka_run_group_tests(tests, begin, end);
}
