/* test_durable.c - what is downloaded is on the disk before it takes the place of the old. */
#include "transfer/local_folder.h"
#include "transfer/local_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* What was written to the disk, in order: 'f' a file, 'd' a folder, 'r' for each rename. */
static char durable[16];

static void note(char what) {
  size_t length = strlen(durable);
  if (length + 1 < sizeof durable) durable[length] = what;
}

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-*): names the linker wants */
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);

int __wrap_fsync(int fd) {
  struct stat info;
  if (fstat(fd, &info) == 0) note(S_ISDIR(info.st_mode) ? 'd' : 'f');
  return __real_fsync(fd);
}

int __wrap_rename(const char *from, const char *to) {
  note('r');
  return __real_rename(from, to);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-*) */

#define HELLO "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

static void a_download_is_on_the_disk_before_it_is_seen(void **state) {
  const char *folder = *state;
  char path[128];
  dr_local_place place;
  dr_err err = DR_ERR_INIT;
  snprintf(path, sizeof path, "%s/hello", folder);
  assert_int_equal(dr__local_place_find(&place, path, HELLO, false, &err), DR_OK);
  int fd = dr__local_place_open(&place);
  assert_int_equal(write(fd, "hello", 5), 5);
  close(fd);
  memset(durable, 0, sizeof durable);
  assert_int_equal(dr__local_place_install(&place, HELLO, 0600, NULL, &err), DR_OK);
  assert_string_equal(durable, "frd");
  dr__local_place_free(&place);
  assert_int_equal(unlink(path), 0);
}

static void so_is_a_folder(void **state) {
  char root[128], path[160], *staging;
  dr_manifest there = {0};
  dr_sync_plan plan;
  dr_sync_rules rules = {0};
  dr_err err = DR_ERR_INIT;
  snprintf(root, sizeof root, "%s/down", (const char *)*state);
  snprintf(path, sizeof path, "%s/hello", root);
  dr_entry *e = dr__manifest_add(&there, "hello", 5);
  assert_non_null(e);
  e->type = 'f';
  e->mode = 0644;
  e->size = 5;
  snprintf(e->sha256, sizeof e->sha256, "%s", HELLO);
  assert_true(dr__manifest_compare(&plan, &there, NULL, &rules));
  int fd = dr__local_folder_begin(root, false, &staging, &err);
  assert_int_equal(write(fd, "hello", 5), 5);
  close(fd);
  memset(durable, 0, sizeof durable);
  assert_int_equal(dr__local_folder_install(root, staging, &there, &plan, NULL, &err), DR_OK);
  assert_string_equal(durable, "frd");
  dr__local_folder_end(staging);
  free(staging);
  dr__sync_plan_free(&plan);
  dr__manifest_free(&there);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(rmdir(root), 0);
}

static char folder[] = "/tmp/test_durable.XXXXXX";

static int make_folder(void **state) {
  *state = mkdtemp(folder);
  return *state ? 0 : -1;
}

static int remove_folder(void **state) {
  return rmdir(*state);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_download_is_on_the_disk_before_it_is_seen),
      cmocka_unit_test(so_is_a_folder),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
