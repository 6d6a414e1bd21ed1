/* test_backup.c - the parts of a backup that need no server: the stream through zstd, the manifest,
 * the files of a folder, and which of them may go. */
#include "postgres/backup_files.h"
#include "postgres/backup_manifest.h"
#include "postgres/backup_stream.h"

#include "core/err.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { PLAIN = 3 * 1024 * 1024 + 17 };

static const char sixty_four[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/* ------------------------------------------------------------ the stream */

/* A file with the bytes, to be read from its beginning. */
static int file_of(const char *bytes, size_t length) {
  char path[] = "/tmp/deployrun-test-XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  unlink(path);
  assert_int_equal(write(fd, bytes, length), (long)length);
  lseek(fd, 0, SEEK_SET);
  return fd;
}

static char *some_bytes(void) {
  char *bytes = malloc(PLAIN);
  assert_non_null(bytes);
  unsigned state = 1;
  for (size_t i = 0; i < PLAIN; i++) {
    state = state * 1103515245u + 12345u;
    bytes[i] = (char)(i % 7 ? "COPY orders"[i % 11] : (char)(state >> 24));
  }
  return bytes;
}

/* Packs bytes into a new file; fills the stream. */
static int packed(const char *bytes, size_t length, dr_backup_stream *stream) {
  dr_err err = DR_ERR_INIT;
  *stream = (dr_backup_stream){.input = file_of(bytes, length), .output = file_of("", 0)};
  assert_int_equal(dr__backup_pack(stream, &err), DR_OK);
  close(stream->input);
  lseek(stream->output, 0, SEEK_SET);
  return stream->output;
}

static void what_was_packed_is_unpacked(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  dr_backup_stream in, out = {.output = file_of("", 0)};
  char *bytes = some_bytes();
  char *again = malloc(PLAIN);
  out.input = packed(bytes, PLAIN, &in);
  assert_int_equal(dr__backup_unpack(&out, &err), DR_OK);
  assert_int_equal(pread(out.output, again, PLAIN, 0), PLAIN);
  assert_memory_equal(bytes, again, PLAIN);
  assert_int_equal(atomic_load(&in.plain), PLAIN);
  assert_int_equal(atomic_load(&out.plain), PLAIN);
  assert_int_equal(atomic_load(&in.packed), lseek(out.input, 0, SEEK_END));
  assert_string_equal(in.plain_sha256, out.plain_sha256);
  assert_string_equal(in.packed_sha256, out.packed_sha256);
  assert_string_not_equal(in.packed_sha256, in.plain_sha256);
  close(out.input);
  close(out.output);
  free(bytes);
  free(again);
}

static void nothing_is_packed_and_unpacked(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  dr_backup_stream in, out = {.output = -1};
  out.input = packed("", 0, &in);
  assert_true(atomic_load(&in.packed) > 0);
  assert_int_equal(dr__backup_unpack(&out, &err), DR_OK);
  assert_int_equal(atomic_load(&out.plain), 0);
  close(out.input);
}

static void assert_corrupt(const char *bytes, size_t length) {
  dr_err err = DR_ERR_INIT;
  dr_backup_stream stream = {.input = file_of(bytes, length), .output = -1};
  assert_int_equal(dr__backup_unpack(&stream, &err), DR_FAILED);
  assert_string_equal(err.code, "backup.corrupt");
  assert_true(err.hint[0]);
  dr_err_clear(&err);
  close(stream.input);
}

static void a_damaged_stream_is_noticed(void **state) {
  (void)state;
  dr_backup_stream in;
  char *bytes = some_bytes();
  int fd = packed(bytes, PLAIN, &in);
  size_t length = (size_t)lseek(fd, 0, SEEK_END);
  char *file = malloc(length + 4);
  assert_int_equal(pread(fd, file, length, 0), (long)length);
  assert_corrupt(file, 0);
  assert_corrupt(file, length / 2);
  for (size_t cut = 1; cut < 8; cut++) assert_corrupt(file, length - cut);
  for (size_t at = 0; at < length; at += length / 50) {
    file[at] ^= 4;
    assert_corrupt(file, length);
    file[at] ^= 4;
  }
  memcpy(file + length, "abc", 4);
  assert_corrupt(file, length + 3);
  close(fd);
  free(file);
  free(bytes);
}

static void a_full_disk_is_named(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  char *bytes = some_bytes();
  dr_backup_stream stream = {.input = file_of(bytes, PLAIN),
                             .output = open("/dev/full", O_WRONLY | O_CLOEXEC)};
  assert_int_equal(dr__backup_pack(&stream, &err), DR_FAILED);
  assert_string_equal(err.code, "backup.no_space");
  dr_err_clear(&err);
  close(stream.input);
  close(stream.output);
  free(bytes);
}

static void a_stopped_stream_ends(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  dr_backup_stream stream = {.input = file_of("abc", 3), .output = file_of("", 0), .stop = true};
  assert_int_equal(dr__backup_pack(&stream, &err), DR_FAILED);
  assert_string_equal(err.code, "cancelled");
  dr_err_clear(&err);
  close(stream.input);
  close(stream.output);
}

static void a_reader_that_ends_does_not_end_the_judgement(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  dr_backup_stream in, out = {0};
  int ends[2];
  char *bytes = some_bytes();
  assert_int_equal(pipe(ends), 0);
  close(ends[0]);
  out.input = packed(bytes, PLAIN, &in);
  out.output = ends[1];
  assert_int_equal(dr__backup_unpack(&out, &err), DR_OK);
  assert_true(out.broken);
  assert_string_equal(in.plain_sha256, out.plain_sha256);
  close(out.input);
  close(ends[1]);
  free(bytes);
}

/* ------------------------------------------------------------ the manifest */

static json_t *manifest_of(const char *database, const char *taken) {
  json_t *manifest = json_pack(
      "{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:{s:i, s:s, s:i, s:s}, s:{s:s}, s:[{s:s, s:s, s:i}]}",
      "format", DR_BACKUP_FORMAT, "database", database, "taken", taken, "by", "anna@laptop",
      "cluster", "7", "server", "15.14", "pg_dump", "15.14", "archive", "bytes", 4, "sha256",
      sixty_four, "plain_bytes", 12, "plain_sha256", sixty_four, "properties", "owner", "shop",
      "tables", "schema", "public", "name", "orders", "rows", 3);
  assert_non_null(manifest);
  return manifest;
}

static void assert_refused(const char *text, const char *why) {
  dr_err err = DR_ERR_INIT;
  assert_null(dr__backup_manifest_read(text, strlen(text), &err));
  assert_string_equal(err.code, "backup.manifest");
  assert_true(err.hint[0]);
  if (!strstr(err.message, why)) fail_msg("\"%s\" does not say \"%s\"", err.message, why);
  dr_err_clear(&err);
}

static void a_manifest_is_read_as_it_was_written(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  json_t *manifest = manifest_of("shop", "2026-11-29T16:53:45.000Z");
  char *text = dr__backup_manifest_print(manifest);
  json_t *read = dr__backup_manifest_read(text, strlen(text), &err);
  assert_non_null(read);
  assert_string_equal(dr__backup_manifest_text(read, "database"), "shop");
  assert_int_equal(dr__backup_manifest_bytes(read, "archive"), 4);
  assert_string_equal(dr__backup_manifest_sha256(read, "archive"), sixty_four);
  assert_int_equal(dr__backup_manifest_rows(read), 3);
  free(text);
  assert_true(dr__backup_manifest_verified(read, "2026-11-29T17:00:00.000Z", "restore"));
  assert_true(dr__backup_manifest_verified(read, "2026-11-29T18:00:00.000Z", "read"));
  text = dr__backup_manifest_print(read);
  json_decref(read);
  read = dr__backup_manifest_read(text, strlen(text), &err);
  assert_non_null(read);
  assert_string_equal(dr__backup_manifest_text(json_object_get(read, "verified"), "how"),
                      "restore");
  json_decref(read);
  json_decref(manifest);
  free(text);
}

static void a_refuted_backup_is_verified_by_a_restore_only(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  json_t *manifest = manifest_of("shop", "2026-11-29T16:53:45.000Z");
  assert_true(dr__backup_manifest_verified(manifest, "2026-11-29T17:00:00.000Z", "restore"));
  assert_true(dr__backup_manifest_refuted(manifest, "2026-11-29T18:00:00.000Z", "no rows"));
  assert_true(dr__backup_manifest_verified(manifest, "2026-11-29T19:00:00.000Z", "read"));
  char *text = dr__backup_manifest_print(manifest);
  json_t *read = dr__backup_manifest_read(text, strlen(text), &err);
  assert_non_null(read);
  assert_null(json_object_get(read, "verified"));
  assert_string_equal(dr__backup_manifest_text(json_object_get(read, "refuted"), "why"), "no rows");
  assert_true(dr__backup_manifest_verified(read, "2026-11-29T20:00:00.000Z", "restore"));
  assert_null(json_object_get(read, "refuted"));
  json_decref(read);
  json_decref(manifest);
  free(text);
}

static void an_edited_manifest_is_refused(void **state) {
  (void)state;
  json_t *manifest = manifest_of("shop", "2026-11-29T16:53:45.000Z");
  char *text = dr__backup_manifest_print(manifest);
  char *rows = strstr(text, "\"rows\": 3");
  rows[8] = '4';
  assert_refused(text, "was changed");
  rows[8] = '3';
  text[strlen(text) / 2] = '\0';
  assert_refused(text, "is no JSON");
  assert_refused("", "is empty");
  assert_refused("[]", "is no JSON object");
  assert_refused("{}", "has no format");
  assert_refused("{\"format\": 2}", "later deployrun");
  free(text);
  json_decref(manifest);
}

/* Each part is needed, also when the seal is right. */
static void a_manifest_without_a_part_is_refused(void **state) {
  (void)state;
  static const char *const parts[] = {"database", "taken",   "by",         "server",
                                      "pg_dump",  "archive", "properties", "tables"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    json_t *manifest = manifest_of("shop", "2026-11-29T16:53:45.000Z");
    json_object_del(manifest, parts[i]);
    char *text = dr__backup_manifest_print(manifest);
    assert_refused(text, parts[i]);
    free(text);
    json_decref(manifest);
  }
  json_t *manifest = manifest_of("shop", "yesterday");
  char *text = dr__backup_manifest_print(manifest);
  assert_refused(text, "taken");
  free(text);
  json_decref(manifest);
}

static void tables_are_compared(void **state) {
  (void)state;
  char why[256] = "";
  json_t *wanted = json_pack("[{s:s, s:s, s:i}, {s:s, s:s, s:i}]", "schema", "public", "name", "a",
                             "rows", 1, "schema", "public", "name", "b", "rows", 2);
  json_t *found = json_pack("[{s:s, s:s, s:i}, {s:s, s:s, s:i}]", "schema", "public", "name", "b",
                            "rows", 2, "schema", "public", "name", "a", "rows", 1);
  assert_true(dr__backup_tables_same(wanted, found, why, sizeof why));
  json_object_set_new(json_array_get(found, 0), "rows", json_integer(1));
  assert_false(dr__backup_tables_same(wanted, found, why, sizeof why));
  assert_string_equal(why, "public.b has 1 rows and had 2");
  json_array_remove(found, 0);
  assert_false(dr__backup_tables_same(wanted, found, why, sizeof why));
  assert_string_equal(why, "public.b is missing");
  json_decref(wanted);
  json_decref(found);
}

static void versions_are_read(void **state) {
  (void)state;
  char version[33];
  assert_int_equal(
      dr__backup_version("pg_dump (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)", version, 33), 15);
  assert_string_equal(version, "15.14");
  assert_int_equal(dr__backup_version("pg_dump (PostgreSQL) 9.6.24", version, 33), 9);
  assert_int_equal(dr__backup_version("pg_dump (PostgreSQL) 18beta1", version, 33), 18);
  assert_int_equal(dr__backup_version("15.14", version, 33), 15);
  assert_int_equal(dr__backup_version("", version, 33), 0);
  assert_int_equal(dr__backup_version("pg_dump: not found", version, 33), 0);
  assert_string_equal(version, "");
}

/* ------------------------------------------------------------ the files */

static char folder[64];

static int make_folder(void **state) {
  (void)state;
  memcpy(folder, "/tmp/deployrun-test-XXXXXX", 27);
  return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "%s", folder);
  char *const words[] = {"rm", "-rf", command, NULL};
  pid_t child = fork();
  if (child == 0) {
    execvp("rm", words);
    _exit(1);
  }
  return 0;
}

static bool exists(const char *name) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return access(path, F_OK) == 0;
}

static void write_file(const char *name, const char *text) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

/* 2026-01-01T00:00:00Z and so many days */
/* Milliseconds: so many days after the first of 2026. */
static int64_t day(int days) {
  return 1000 * (INT64_C(1767225600) + days * INT64_C(86400));
}

static void keep_one(const char *database, int days, bool globals) {
  dr_err err = DR_ERR_INIT;
  dr_backup_draft draft;
  char taken[32];
  dr__backup_time(day(days), taken, sizeof taken);
  assert_int_equal(dr__backup_draft_open(&draft, folder, database, day(days), &err), DR_OK);
  assert_int_equal(write(draft.fd, "dump", 4), 4);
  json_t *manifest = manifest_of(database, taken);
  if (globals) {
    assert_int_equal(dr__backup_draft_globals(&draft, "CREATE ROLE shop;", &err), DR_OK);
    json_object_set_new(manifest, "globals",
                        json_pack("{s:i, s:s}", "bytes", 17, "sha256", sixty_four));
  }
  char *text = dr__backup_manifest_print(manifest);
  assert_int_equal(dr__backup_draft_keep(&draft, text, &err), DR_OK);
  dr__backup_draft_close(&draft);
  free(text);
  json_decref(manifest);
}

static void a_draft_becomes_a_backup_at_once(void **state) {
  (void)state;
  struct stat info;
  char path[256];
  keep_one("shop", 0, true);
  assert_true(exists("shop-20260101T000000.000Z.dump.zst"));
  assert_true(exists("shop-20260101T000000.000Z.globals.sql"));
  assert_true(exists("shop-20260101T000000.000Z.json"));
  assert_false(exists(".shop-20260101T000000.000Z.dump.zst.part"));
  snprintf(path, sizeof path, "%s/shop-20260101T000000.000Z.dump.zst", folder);
  assert_int_equal(stat(path, &info), 0);
  assert_int_equal(info.st_mode & 0777, 0600);
  keep_one("shop", 0, false); /* in the same second */
  assert_true(exists("shop-20260101T000000.000Z.2.json"));
}

static void a_draft_that_is_not_kept_leaves_nothing(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  dr_backup_draft draft;
  assert_int_equal(dr__backup_draft_open(&draft, folder, "shop", day(0), &err), DR_OK);
  assert_int_equal(dr__backup_draft_globals(&draft, "x", &err), DR_OK);
  dr__backup_draft_close(&draft);
  assert_int_equal(rmdir(folder), 0);
}

static void what_a_killed_run_left_is_removed_and_nothing_else(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  dr_backup_draft other, draft;
  write_file(".shop-20250101T000000.000Z.dump.zst.part", "half");
  write_file(".shop2-20250101T000000Z.dump.zst.part", "another database's");
  write_file(".shop-notes.txt", "mine");
  assert_int_equal(dr__backup_draft_open(&other, folder, "shop", day(0), &err), DR_OK);
  assert_int_equal(dr__backup_draft_open(&draft, folder, "shop", day(1), &err), DR_OK);
  assert_false(exists(".shop-20250101T000000.000Z.dump.zst.part"));
  assert_true(exists(".shop2-20250101T000000Z.dump.zst.part"));
  assert_true(exists(".shop-notes.txt"));
  assert_true(exists(".shop-20260101T000000.000Z.dump.zst.part")); /* it is being written */
  dr__backup_draft_close(&other);
  dr__backup_draft_close(&draft);
}

static void assert_open_fails(const char *name, const char *code) {
  dr_err err = DR_ERR_INIT;
  char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  assert_null(dr__backup_open(path, &err));
  assert_string_equal(err.code, code);
  dr_err_clear(&err);
}

static void what_is_wrong_with_a_backup_has_a_name(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  char path[256];
  keep_one("shop", 0, true);
  assert_open_fails("shop-20250101T000000.000Z", "backup.not_found");
  snprintf(path, sizeof path, "%s/shop-20260101T000000.000Z.dump.zst", folder);
  json_t *manifest = dr__backup_open(path, &err); /* by the name of any of its files */
  assert_non_null(manifest);
  assert_int_equal(dr__backup_hash(path, manifest, NULL, &err), DR_FAILED);
  assert_string_equal(err.code, "backup.corrupt");
  dr_err_clear(&err);
  json_decref(manifest);
  write_file("shop-20260101T000000.000Z.dump.zst", "dum");
  assert_open_fails("shop-20260101T000000.000Z", "backup.truncated");
  write_file("shop-20260101T000000.000Z.dump.zst", "");
  assert_open_fails("shop-20260101T000000.000Z", "backup.truncated");
  write_file("shop-20260101T000000.000Z.dump.zst", "dumps");
  assert_open_fails("shop-20260101T000000.000Z", "backup.corrupt");
  unlink(path);
  assert_open_fails("shop-20260101T000000.000Z", "backup.missing");
  write_file("shop-20260101T000000.000Z.dump.zst", "dump");
  snprintf(path, sizeof path, "%s/shop-20260101T000000.000Z.json", folder);
  unlink(path);
  assert_open_fails("shop-20260101T000000.000Z", "backup.no_manifest");
}

static void a_note_is_kept(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  char path[256];
  keep_one("shop", 0, false);
  snprintf(path, sizeof path, "%s/shop-20260101T000000.000Z", folder);
  json_t *manifest = dr__backup_open(path, &err);
  assert_true(dr__backup_note(path, manifest, "read"));
  json_decref(manifest);
  manifest = dr__backup_open(path, &err);
  assert_non_null(manifest);
  assert_string_equal(dr__backup_manifest_text(json_object_get(manifest, "verified"), "how"),
                      "read");
  json_decref(manifest);
}

static void names_of_files_do_not_mislead(void **state) {
  (void)state;
  char name[64];
  dr__backup_file_name("Shop_2", name, sizeof name);
  assert_string_equal(name, "Shop_2");
  dr__backup_file_name("../a b", name, sizeof name);
  assert_string_equal(name, "%2E.%2Fa%20b");
  char small[12];
  dr__backup_file_name("//////////", small, sizeof small);
  assert_true(strlen(small) < sizeof small);
}

/* ------------------------------------------------------------ retention */

/* Marks the entries of a list as verified where the text has 'v'. */
static void mark(json_t *list, const char *marks) {
  for (size_t i = 0; marks[i]; i++)
    json_object_set_new(json_array_get(list, i), "verified", json_boolean(marks[i] == 'v'));
}

static void assert_surplus(const json_t *list, int keep, const char *expected) {
  json_t *names = dr__backup_surplus(list, "7", "shop", keep);
  char found[256] = "";
  size_t i;
  json_t *name;
  json_array_foreach(names, i, name) {
    size_t used = strlen(found);
    snprintf(found + used, sizeof found - used, "%.2s ", json_string_value(name) + 11);
  }
  assert_string_equal(found, expected);
  json_decref(names);
}

static void only_what_is_older_than_enough_verified_ones_goes(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  for (int i = 0; i < 5; i++) keep_one("shop", i, false);
  keep_one("shop2", 9, false);
  write_file("shop-notes.json", "{}");
  write_file("shop-20250101T000000.000Z.dump.zst", "no manifest");
  json_t *list = dr__backup_list(folder, "shop", &err);
  assert_int_equal(json_array_size(list), 6); /* the one without a manifest is told */
  mark(list, "vvvvv");
  assert_surplus(list, 3, "01 02 ");
  assert_surplus(list, 5, "");
  assert_surplus(list, 1, "01 02 03 04 ");
  assert_surplus(list, 0, "");
  mark(list, "--vv-"); /* newest first: what is new and not verified counts for nothing */
  assert_surplus(list, 2, "01 ");
  assert_surplus(list, 1, "01 02 ");
  assert_surplus(list, 3, "");
  mark(list, "-----");
  assert_surplus(list, 1, "");
  json_t *names = dr__backup_surplus(list, "8", "shop", 1); /* another server's */
  assert_int_equal(json_array_size(names), 0);
  json_decref(names);
  json_decref(list);
  assert_int_equal(dr__backup_remove(folder, "shop-20260101T000000.000Z", &err), DR_OK);
  assert_false(exists("shop-20260101T000000.000Z.dump.zst"));
  assert_false(exists("shop-20260101T000000.000Z.json"));
  assert_true(exists("shop-20260102T000000.000Z.json"));
}

static void a_folder_that_is_not_there_is_empty(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  json_t *list = dr__backup_list("/nonexistent/backups", NULL, &err);
  assert_int_equal(json_array_size(list), 0);
  json_decref(list);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_was_packed_is_unpacked),
      cmocka_unit_test(nothing_is_packed_and_unpacked),
      cmocka_unit_test(a_damaged_stream_is_noticed),
      cmocka_unit_test(a_full_disk_is_named),
      cmocka_unit_test(a_stopped_stream_ends),
      cmocka_unit_test(a_reader_that_ends_does_not_end_the_judgement),
      cmocka_unit_test(a_manifest_is_read_as_it_was_written),
      cmocka_unit_test(a_refuted_backup_is_verified_by_a_restore_only),
      cmocka_unit_test(an_edited_manifest_is_refused),
      cmocka_unit_test(a_manifest_without_a_part_is_refused),
      cmocka_unit_test(tables_are_compared),
      cmocka_unit_test(versions_are_read),
      cmocka_unit_test(names_of_files_do_not_mislead),
      cmocka_unit_test(a_folder_that_is_not_there_is_empty),
      IN_FOLDER(a_draft_becomes_a_backup_at_once),
      IN_FOLDER(a_draft_that_is_not_kept_leaves_nothing),
      IN_FOLDER(what_a_killed_run_left_is_removed_and_nothing_else),
      IN_FOLDER(what_is_wrong_with_a_backup_has_a_name),
      IN_FOLDER(a_note_is_kept),
      IN_FOLDER(only_what_is_older_than_enough_verified_ones_goes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
