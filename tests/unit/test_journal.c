/* The journal on the disk: private, whole lines, and a clear answer when it cannot be written. */
#include "core/json.h"
#include "ops/journal.h"
#include "remove_folder.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct place {
  char state_dir[64]; /* does not exist yet */
  dr_secrets *secrets;
} place;

static int with_place(void **state) {
  place *p = calloc(1, sizeof *p);
  char folder[] = "/tmp/test_journal.XXXXXX";
  if (!p || !mkdtemp(folder)) {
    free(p);
    return -1;
  }
  snprintf(p->state_dir, sizeof p->state_dir, "%s/a/b", folder);
  p->secrets = dr__secrets_new();
  *state = p;
  return 0;
}

static int without_place(void **state) {
  place *p = *state;
  p->state_dir[strlen(p->state_dir) - strlen("/a/b")] = '\0';
  remove_folder(p->state_dir);
  dr__secrets_free(p->secrets);
  free(p);
  return 0;
}

static dr_journal *open_journal(const place *p) {
  dr_err err = DR_ERR_INIT;
  dr_journal *journal = dr__journal_open(p->state_dir, "run1", p->secrets, &err);
  assert_string_equal(err.message, "");
  return journal;
}

static void write_line(dr_journal *journal, const char *key, const char *value) {
  dr_err err = DR_ERR_INIT;
  assert_int_equal(dr__journal_write(journal, json_pack("{s:s}", key, value), true, &err), 0);
}

/* The whole file; static. */
static const char *read_journal(const place *p) {
  static char text[70000];
  char path[128];
  snprintf(path, sizeof path, "%s/runs/run1/journal.jsonl", p->state_dir);
  FILE *file = fopen(path, "r");
  assert_non_null(file);
  size_t length = fread(text, 1, sizeof text - 1, file);
  text[length] = '\0';
  fclose(file);
  return text;
}

static unsigned mode_of(const place *p, const char *path) {
  char whole[128];
  struct stat info;
  snprintf(whole, sizeof whole, "%s%s", p->state_dir, path);
  assert_int_equal(stat(whole, &info), 0);
  return info.st_mode & 0777;
}

static void only_its_owner_can_look_into_it(void **state) {
  umask(0);
  dr_journal *journal = open_journal(*state);
  assert_int_equal(mode_of(*state, ""), 0700);
  assert_int_equal(mode_of(*state, "/runs"), 0700);
  assert_int_equal(mode_of(*state, "/runs/run1"), 0700);
  assert_int_equal(mode_of(*state, "/runs/run1/journal.jsonl"), 0600);
  assert_non_null(strstr(dr__journal_path(journal), "/runs/run1"));
  dr__journal_close(journal);
}

static void each_line_is_one_json_value(void **state) {
  dr_journal *journal = open_journal(*state);
  dr_err err = DR_ERR_INIT;
  write_line(journal, "type", "two\nlines");
  json_t *binary = json_object();
  json_object_set_new(binary, "stdout", json_stringn_nocheck("\xff", 1));
  assert_int_equal(dr__journal_write(journal, binary, false, &err), 0);
  assert_string_equal(read_journal(*state),
                      "{\"type\":\"two\\nlines\"}\n{\"stdout\":{\"$base64\":\"/w==\"}}\n");
  dr__journal_close(journal);
}

static void secrets_do_not_reach_the_disk(void **state) {
  place *p = *state;
  dr_journal *journal = open_journal(p);
  dr__secrets_add(p->secrets, "DB", "hunter2");
  write_line(journal, "args", "psql postgres://app:hunter2@db");
  write_line(journal, "hunter2", "aHVudGVyMg==");
  assert_null(strstr(read_journal(p), "hunter2"));
  assert_null(strstr(read_journal(p), "aHVudGVyMg"));
  assert_non_null(strstr(read_journal(p), "app:[secret DB]@db"));
  dr__journal_close(journal);
}

static void a_run_is_not_written_over_another(void **state) {
  place *p = *state;
  dr_err err = DR_ERR_INIT;
  dr_journal *journal = open_journal(p);
  write_line(journal, "first", "run");
  dr__journal_close(journal);
  assert_null(dr__journal_open(p->state_dir, "run1", p->secrets, &err));
  assert_string_equal(err.code, "journal.create");
}

/* It is made while the walk before a run waits, and that walk may refuse the run. */
static void a_journal_without_a_line_is_not_kept(void **state) {
  place *p = *state;
  char folder[300];
  dr_journal *journal = open_journal(p);
  snprintf(folder, sizeof folder, "%s", dr__journal_path(journal));
  assert_int_equal(access(folder, F_OK), 0);
  dr__journal_close(journal);
  assert_int_not_equal(access(folder, F_OK), 0);
}

static void a_folder_that_cannot_be_written_is_named(void **state) {
  const place *p = *state;
  dr_err err = DR_ERR_INIT;
  assert_null(dr__journal_open("/proc/nowhere", "run1", p->secrets, &err));
  assert_string_equal(err.code, "journal.create");
  assert_non_null(strstr(err.message, "/proc/nowhere/runs/run1"));
  assert_non_null(strstr(err.hint, "XDG_STATE_HOME"));
}

/* A full disk, as the kernel tells it: here by the limit on the size of files. */
static void a_full_disk_is_an_error_and_leaves_whole_lines(void **state) {
  place *p = *state;
  struct rlimit before, small = {.rlim_cur = 100, .rlim_max = RLIM_INFINITY};
  dr_journal *journal = open_journal(p);
  dr_err err = DR_ERR_INIT;
  char many[200];
  memset(many, 'x', sizeof many - 1);
  many[sizeof many - 1] = '\0';
  write_line(journal, "first", "fits");
  signal(SIGXFSZ, SIG_IGN);
  getrlimit(RLIMIT_FSIZE, &before);
  small.rlim_max = before.rlim_max;
  setrlimit(RLIMIT_FSIZE, &small);
  int failed = dr__journal_write(journal, json_pack("{s:s}", "second", many), true, &err);
  setrlimit(RLIMIT_FSIZE, &before);
  assert_int_not_equal(failed, 0);
  assert_string_equal(err.code, "journal.write");
  assert_non_null(strstr(err.message, "File too large"));
  write_line(journal, "third", "fits again");
  assert_string_equal(read_journal(p), "{\"first\":\"fits\"}\n{\"third\":\"fits again\"}\n");
  dr__journal_close(journal);
}

static void no_line_at_all_is_an_error(void **state) {
  dr_journal *journal = open_journal(*state);
  dr_err err = DR_ERR_INIT;
  assert_int_not_equal(dr__journal_write(journal, NULL, true, &err), 0);
  assert_string_equal(err.code, "out_of_memory");
  dr__journal_close(journal);
  dr__journal_close(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, with_place, without_place)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(only_its_owner_can_look_into_it),
      TEST(each_line_is_one_json_value),
      TEST(secrets_do_not_reach_the_disk),
      TEST(a_run_is_not_written_over_another),
      TEST(a_journal_without_a_line_is_not_kept),
      TEST(a_folder_that_cannot_be_written_is_named),
      TEST(a_full_disk_is_an_error_and_leaves_whole_lines),
      TEST(no_line_at_all_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
