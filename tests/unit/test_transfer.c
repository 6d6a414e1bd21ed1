/* test_transfer.c - the parts of transfers that need no target: answers of scripts, manifests and
 * what differs between two, the script that installs, and the archive. */
#include "transfer/sync_install.h"
#include "transfer/sync_left.h"
#include "transfer/transfer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* ------------------------------------------------------------ the probe */

static void facts_are_read(void **state) {
  (void)state;
  dr_transfer_facts facts;
  assert_true(dr__transfer_read_facts("found 640 1000:33 12 app:domain users\nhash " HASH
                                      "\npartial 7\navailable 4\nend\n",
                                      &facts));
  assert_true(facts.found);
  assert_string_equal(facts.mode, "640");
  assert_string_equal(facts.owner, "app:domain users");
  assert_string_equal(facts.sha256, HASH);
  assert_int_equal(facts.size, 12);
  assert_int_equal(facts.partial, 7);
  assert_int_equal(facts.available, 4096);
  assert_true(dr__transfer_read_facts("available \nend\n", &facts));
  assert_false(facts.found);
  assert_int_equal(facts.available, -1);
}

static void an_answer_that_is_cut_off_or_odd_is_none(void **state) {
  (void)state;
  static const char *const wrong[] = {"",
                                      "available 4\n",
                                      "Welcome!\nend\n",
                                      "found 999 0:0 1 a:b\nend\n",
                                      "found 644 0:0 x a:b\nend\n",
                                      "partial -1\nend\n",
                                      "found 644\nend\n"};
  dr_transfer_facts facts;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    assert_false(dr__transfer_read_facts(wrong[i], &facts));
}

static void owners_are_compared_by_name_and_number(void **state) {
  (void)state;
  const dr_transfer_facts facts = {.ids = "1000:33", .owner = "app:www"};
  static const char *const same[] = {"app", "1000", "app:www", "1000:33", "app:33", ":www"};
  static const char *const other[] = {"ap", "appx", "www", "app:app", "33", "app:www2"};
  for (size_t i = 0; i < 6; i++) {
    assert_true(dr__transfer_owned(&facts, same[i]));
    assert_false(dr__transfer_owned(&facts, other[i]));
  }
}

/* ------------------------------------------------------------ manifests */

#define RECORD(text) text "\0"

static bool read_list(dr_manifest *out, const char *bytes, size_t size) {
  bool read = dr__manifest_read(out, bytes, size);
  if (!read) dr__manifest_free(out);
  return read;
}

static void a_listing_is_read_in_order(void **state) {
  (void)state;
  static const char list[] = RECORD("41ed 4096 0:0 root:root .")
      RECORD("81a4 3 0:0 a:domain users ./b/new\nline") RECORD("41ed 4096 0:0 root:root ./b")
          RECORD("a1ff 0 0:0 root:root ./a") RECORD("../x") RECORD("available 10") "end";
  dr_manifest m;
  assert_true(read_list(&m, list, sizeof list));
  assert_int_equal(m.count, 3);
  assert_string_equal(m.entries[0].path, "a");
  assert_string_equal(m.entries[0].link, "../x");
  assert_string_equal(m.entries[2].path, "b/new\nline");
  assert_string_equal(m.entries[2].owner, "a:domain users");
  assert_int_equal(m.entries[2].mode, 0644);
  assert_int_equal(m.available, 10240);
  dr__manifest_free(&m);
}

static void a_listing_tells_who_may_do_what(void **state) {
  (void)state;
  static const char list[] = RECORD("45ed 4096 0:33 root:www .") RECORD("41ed 0 0:0 a:b ./a")
      RECORD("416d 0 0:0 a:b ./b") RECORD("a1ff 0 0:0 a:b ./l") RECORD("closed ./a")
          RECORD("closed ./b") RECORD("user 1000:1000 1000 27") "end";
  dr_manifest m;
  assert_true(read_list(&m, list, sizeof list));
  assert_int_equal(m.count, 3);
  assert_string_equal(m.entries[2].link, "closed ./a"); /* what a link says is no remark */
  assert_false(m.entries[0].closed);
  assert_true(m.entries[1].closed);
  assert_string_equal(m.user, "1000:1000 1000 27");
  assert_string_equal(m.group, "33"); /* the folder is setgid */
  dr__manifest_free(&m);
  static const char odd[] = RECORD("41ed 0 0:$(id) a:b ./a") "end";
  assert_false(read_list(&m, odd, sizeof odd));
}

static void a_listing_that_leads_outside_is_refused(void **state) {
  (void)state;
  static const char *const wrong[] = {"../x",   "./../x",  "./a/../../x", "/etc/passwd",
                                      "./a//b", "./a/./b", "./",          "./.."};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    char list[128];
    dr_manifest m;
    int length = snprintf(list, sizeof list, "81a4 3 0:0 a:b %s%cend%c", wrong[i], 0, 0);
    assert_false(read_list(&m, list, (size_t)length));
  }
}

static void a_listing_that_is_cut_off_is_refused(void **state) {
  (void)state;
  static const char list[] =
      RECORD("81a4 3 0:0 a:b ./x") RECORD("a1ff 0 0:0 a:b ./y") RECORD("z") "end";
  dr_manifest m;
  for (size_t size = 0; size < sizeof list; size++) assert_false(read_list(&m, list, size));
  assert_true(read_list(&m, list, sizeof list));
  dr__manifest_free(&m);
  static const char twins[] = RECORD("81a4 3 0:0 a:b ./x") RECORD("81a4 3 0:0 a:b ./x") "end";
  assert_false(read_list(&m, twins, sizeof twins));
}

static void patterns_leave_out_names_and_paths(void **state) {
  (void)state;
  json_t *patterns = json_pack("[s, s, s, s]", "*.pyc", "/var", "docs/draft*", "cache/");
  static const char *const out[] = {"a.pyc", "x/y/a.pyc",   "var",
                                    "var/x", "docs/draft1", "a/cache/b"};
  static const char *const in[] = {"a.py",       "x/var",         "docs",
                                   "docs/final", "a/docs/draft1", "cached"};
  for (size_t i = 0; i < 6; i++) {
    assert_true(dr__manifest_excludes(patterns, out[i]));
    assert_false(dr__manifest_excludes(patterns, in[i]));
  }
  json_decref(patterns);
}

static void put(dr_manifest *m, char type, const char *path, const char *content) {
  dr_entry *e = dr__manifest_add(m, path, strlen(path));
  e->type = type;
  e->mode = type == 'd' ? 0755 : 0644;
  e->size = type == 'f' ? (int64_t)strlen(content) : 0;
  if (type == 'l') e->link = strdup(content);
  if (type == 'f') snprintf(e->sha256, sizeof e->sha256, "%s", content);
  snprintf(e->ids, sizeof e->ids, "0:0");
  snprintf(e->owner, sizeof e->owner, "root:root");
  dr__manifest_sort(m);
}

static void only_what_differs_is_installed(void **state) {
  (void)state;
  dr_manifest here = {0}, there = {0};
  dr_sync_plan plan;
  json_t *exclude = json_pack("[s]", "kept");
  dr_sync_rules rules = {.exclude = exclude, .remove = true};
  put(&here, 'f', "same", "1");
  put(&there, 'f', "same", "1");
  put(&here, 'f', "it's", "1");
  put(&there, 'f', "it's", "2");
  put(&here, 'd', "new", "");
  put(&here, 'l', "new/link", "../same");
  put(&there, 'd', "old", "");
  put(&there, 'f', "old/gone", "1");
  put(&there, 'f', "old/kept", "1");
  put(&here, 'f', "mode", "1");
  put(&there, 'f', "mode", "1");
  dr__manifest_find(&there, "mode")->mode = 0600;
  assert_true(dr__manifest_compare(&plan, &here, &there, &rules));
  assert_int_equal(plan.send, 3);
  assert_int_equal(plan.adjust, 1);
  assert_int_equal(plan.remove, 2);
  assert_int_equal(plan.bytes, 1);
  char *script = dr__sync_install_script(&here, &there, &plan, &rules);
  assert_string_equal(script, "mkdir -- ./new\n"
                              "mv -f -- \"$s\"/new/'./it'\\''s' ./\n"
                              "mv -f -- \"$s\"/new/./new/link ./new/\n"
                              "chmod 755 ./new\n"
                              "chmod 644 ./mode\n"
                              "rm -f -- ./old/gone\n"
                              "rmdir -- ./old 2>/dev/null || :\n"
                              "exit 0\n");
  free(script);
  dr__sync_plan_free(&plan);
  rules.remove = false;
  assert_true(dr__manifest_compare(&plan, &here, &there, &rules));
  assert_int_equal(plan.remove, 0);
  dr__sync_plan_free(&plan);
  dr__manifest_free(&here);
  dr__manifest_free(&there);
  json_decref(exclude);
}

/* A manifest of the target with one file "x" that is to be replaced, and its user. */
static const dr_entry *judge_one(const char *ids, const char *user, const char *group,
                                 const dr_sync_rules *rules, char **script) {
  static dr_manifest here, there;
  static dr_entry found;
  dr_sync_plan plan;
  dr__manifest_free(&here);
  dr__manifest_free(&there);
  put(&here, 'f', "x", "1");
  put(&there, 'f', "x", "2");
  snprintf(there.entries[0].ids, sizeof there.entries[0].ids, "%s", ids);
  snprintf(there.group, sizeof there.group, "%s", group);
  there.user = strdup(user);
  assert_true(dr__manifest_compare(&plan, &here, &there, rules));
  *script = dr__sync_install_script(&here, &there, &plan, rules);
  const dr_entry *foreign = plan.foreign;
  if (foreign) found = *foreign;
  dr__sync_plan_free(&plan);
  dr__manifest_free(&here);
  dr__manifest_free(&there);
  return foreign ? &found : NULL;
}

static void whose_a_file_is_stays_as_it_was(void **state) {
  (void)state;
  static const char moved[] = "mv -f -- \"$s\"/new/./x ./\nexit 0\n";
  static const struct {
    const char *ids, *user, *group, *owner;
    const char
        *given; /* to whom it is given; "": it is theirs already; NULL: that cannot be done */
  } cases[] = {
      {"1000:1000", "1000:1000 1000 27", "", NULL, ""},
      {"1000:27", "1000:1000 1000 27", "", NULL, "1000:27"},
      {"1000:2", "1000:1000 1000 27", "", NULL, NULL},
      {"1000:1000", "1000:1000 1000 27", "27", NULL, "1000:1000"},
      {"1000:5", "1000:1000 1000 27", "5", NULL, ""},
      {"0:33", "1000:1000 1000 27 33", "", NULL, NULL},
      {"100:1000", "1000:1000 1000", "", NULL, NULL},
      {"0:33", "1000:1000 1000", "", "app", ""},
      {"0:33", "0:0 0", "", NULL, "0:33"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *script, expected[160] = "";
    const dr_sync_rules rules = {.owner = cases[i].owner};
    const dr_entry *foreign =
        judge_one(cases[i].ids, cases[i].user, cases[i].group, &rules, &script);
    assert_true((foreign != NULL) == (cases[i].given == NULL));
    if (cases[i].given && *cases[i].given)
      snprintf(expected, sizeof expected, "chown -h %s \"$s\"/new/./x || exit 30\n",
               cases[i].given);
    strncat(expected, moved, sizeof expected - strlen(expected) - 1);
    if (cases[i].given) assert_string_equal(script, expected);
    free(script);
  }
}

static void what_is_in_a_closed_folder_is_not_changed(void **state) {
  (void)state;
  dr_manifest here = {0}, there = {0};
  dr_sync_plan plan;
  dr_sync_rules rules = {0};
  put(&here, 'd', "d", "");
  put(&here, 'f', "d/same", "1");
  put(&there, 'd', "d", "");
  put(&there, 'f', "d/same", "1");
  put(&there, 'f', "d/gone", "1");
  dr__manifest_find(&there, "d")->closed = true;
  assert_true(dr__manifest_compare(&plan, &here, &there, &rules));
  assert_null(plan.closed);
  dr__sync_plan_free(&plan);
  rules.remove = true;
  assert_true(dr__manifest_compare(&plan, &here, &there, &rules));
  assert_string_equal(plan.closed->path, "d");
  dr__sync_plan_free(&plan);
  rules.remove = false;
  put(&here, 'l', "d/new", "x");
  assert_true(dr__manifest_compare(&plan, &here, &there, &rules));
  assert_string_equal(plan.closed->path, "d");
  dr__sync_plan_free(&plan);
  dr__manifest_free(&here);
  dr__manifest_free(&there);
}

static void a_folder_in_the_way_of_a_file_is_a_conflict(void **state) {
  (void)state;
  dr_manifest here = {0}, there = {0};
  dr_sync_plan plan;
  dr_sync_rules rules = {0};
  put(&here, 'f', "x", "1");
  put(&there, 'd', "x", "");
  put(&there, 'l', "x/y", "/etc");
  assert_true(dr__manifest_compare(&plan, &here, &there, &rules));
  assert_string_equal(plan.blocked, "x");
  dr__sync_plan_free(&plan);
  rules.remove = true;
  assert_true(dr__manifest_compare(&plan, &here, &there, &rules));
  assert_null(plan.blocked);
  char *script = dr__sync_install_script(&here, &there, &plan, &rules);
  assert_string_equal(script, "rm -f -- ./x/y\nrmdir -- ./x 2>/dev/null || :\n"
                              "mv -f -- \"$s\"/new/./x ./\nexit 0\n");
  free(script);
  dr__sync_plan_free(&plan);
  dr__manifest_free(&here);
  dr__manifest_free(&there);
}

/* ------------------------------------------------------------ what a cut-off sync has left */

#define SUM(digit) digit digit digit digit digit digit digit digit
#define A_SUM SUM("aaaaaaaa")
#define B_SUM SUM("bbbbbbbb")
static const char left_text[] = RECORD("left ./.deployrun-sync.0123456789ab.Xy12Zw")
    RECORD("8180 9 0:0 a:b ./names") RECORD("8180 9 0:0 a:b ./sums")
        RECORD("81a4 5 0:0 a:b ./new/a") RECORD("8180 2 0:0 a:b ./new/b")
            RECORD("8180 1 0:0 a:b ./rest/b") RECORD("8180 1 0:0 a:b ./new/other") RECORD("end")
                RECORD("./a") RECORD("./b") RECORD("./missing") RECORD("sums") RECORD(A_SUM)
                    RECORD(B_SUM) RECORD(A_SUM) RECORD("there");

static void put_sized(dr_manifest *m, const char *path, const char *sum, int64_t size) {
  put(m, 'f', path, sum);
  dr__manifest_find(m, path)->size = size;
}

static void what_a_sync_left_is_gone_on_with(void **state) {
  (void)state;
  dr_manifest here = {0};
  dr_sync_plan plan;
  dr_sync_left left;
  dr_sync_rules rules = {0};
  put_sized(&here, "a", A_SUM, 5);     /* whole */
  put_sized(&here, "b", B_SUM, 7);     /* three bytes of it */
  put_sized(&here, "other", A_SUM, 1); /* of which nobody said what it was to be */
  assert_int_equal(dr__sync_left_read(&left, left_text, sizeof left_text), sizeof left_text - 1);
  assert_string_equal(left.name, "./.deployrun-sync.0123456789ab.Xy12Zw");
  assert_true(dr__manifest_compare(&plan, &here, NULL, &rules));
  dr__sync_left_apply(&left, &plan, &here, &rules);
  assert_int_equal(plan.have[0], 5);
  assert_false(plan.remode[0]);
  assert_int_equal(plan.have[1], 3);
  assert_true(plan.remode[1]);
  assert_int_equal(plan.have[2], 0);
  assert_int_equal(plan.kept, 8);
  assert_int_equal(plan.twice, 4);
  char *script = dr__sync_install_script(&here, NULL, &plan, &rules);
  assert_string_equal(script, "mv -f -- \"$s\"/new/./a \"$s\"/new/./b \"$s\"/new/./other ./\n"
                              "chmod 644 ./b\nexit 0\n");
  free(script);
  dr__sync_plan_free(&plan);
  dr__manifest_free(&here);
  dr__sync_left_free(&left);
}

static void what_is_not_what_it_was_to_be_is_sent_anew(void **state) {
  (void)state;
  dr_manifest here = {0};
  dr_sync_plan plan;
  dr_sync_left left;
  dr_sync_rules rules = {.mode = "0600"};
  put_sized(&here, "a", B_SUM, 5);
  put_sized(&here, "b", B_SUM, 2);
  dr__sync_left_read(&left, left_text, sizeof left_text);
  assert_true(dr__manifest_compare(&plan, &here, NULL, &rules));
  dr__sync_left_apply(&left, &plan, &here, &rules);
  assert_int_equal(plan.kept, 0);
  dr__sync_plan_free(&plan);
  dr__manifest_free(&here);
  dr__sync_left_free(&left);
}

/* The listing behind it is read all the same. */
static void a_leaving_that_is_odd_is_passed_over(void **state) {
  (void)state;
  static const char *const wrong[] = {"left ./.deployrun-sync.x/../../etc", "left /etc",
                                      "left ./.deployrun-sync.$(id)"};
  dr_sync_left left;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    char text[160];
    int length = snprintf(text, sizeof text, "%s%cend%csums%cthere%c41ed", wrong[i], 0, 0, 0, 0);
    assert_int_equal(dr__sync_left_read(&left, text, (size_t)length + 1), length - 4);
    assert_string_equal(left.name, "");
    dr__sync_left_free(&left);
  }
  for (size_t size = 0; size < sizeof left_text - 1; size++) {
    assert_int_equal(dr__sync_left_read(&left, left_text, size), 0);
    assert_string_equal(left.name, "");
    dr__sync_left_free(&left);
  }
  static const char fewer[] = RECORD("left ./.deployrun-sync.0123456789ab.Xy12Zw") RECORD("end")
      RECORD("./a") RECORD("./b") RECORD("sums") RECORD(A_SUM) RECORD("there");
  assert_int_equal(dr__sync_left_read(&left, fewer, sizeof fewer), sizeof fewer - 1);
  assert_string_equal(left.name, "");
  dr__sync_left_free(&left);
}

/* ------------------------------------------------------------ archives */

static void a_header_is_as_tar_wants_it(void **state) {
  (void)state;
  dr_text out = {0};
  assert_true(dr__tar_header(&out, "a", 'f', 0640, 10, NULL));
  assert_int_equal(out.length, DR_TAR_BLOCK);
  assert_string_equal(out.bytes, "a");
  assert_string_equal(out.bytes + 100, "0000640");
  assert_string_equal(out.bytes + 124, "00000000012");
  assert_memory_equal(out.bytes + 257,
                      "ustar\0"
                      "00",
                      8);
  dr__text_free(&out);
  char name[300];
  memset(name, 'n', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  assert_true(dr__tar_header(&out, name, 'f', 0640, (int64_t)1 << 40, NULL));
  assert_int_equal(out.length, 3 * DR_TAR_BLOCK);
  assert_int_equal(out.bytes[156], 'x');
  assert_memory_equal(out.bytes + DR_TAR_BLOCK, "309 path=nnn", 12);
  assert_non_null(strstr(out.bytes + DR_TAR_BLOCK, "\n22 size=1099511627776\n"));
  dr__text_free(&out);
}

/* Reads an archive in pieces of `piece` bytes; malloc'd. */
static char *read_all(dr_tar *tar, size_t piece, size_t *length) {
  size_t room = (size_t)dr__tar_length(tar);
  char *all = malloc(room + piece);
  *length = 0;
  long got;
  while ((got = dr__tar_read(tar, all + *length, piece)) > 0) *length += (size_t)got;
  assert_int_equal(got, 0);
  assert_int_equal(*length, room);
  return all;
}

static dr_tar *small_archive(const char *folder) {
  dr_tar *tar = dr__tar_new(folder);
  assert_true(dr__tar_add_text(tar, "names", "x\n", 2));
  assert_true(dr__tar_add_text(tar, "none", NULL, 0));
  assert_true(dr__tar_add_file(tar, "new/file", "file", 0600, 0, 1000));
  assert_true(dr__tar_add_link(tar, "new/link", "../file"));
  return tar;
}

static void an_archive_is_the_same_however_it_is_read(void **state) {
  const char *folder = *state;
  dr_tar *tar = small_archive(folder);
  size_t length, other;
  char *whole = read_all(tar, 100000, &length);
  assert_int_equal(length % (20 * DR_TAR_BLOCK), 0);
  dr__tar_free(tar);
  tar = small_archive(folder);
  char *pieces = read_all(tar, 7, &other);
  assert_int_equal(length, other);
  assert_memory_equal(whole, pieces, length);
  dr__tar_free(tar);
  free(whole);
  free(pieces);
}

static void only_the_rest_of_a_file_is_sent(void **state) {
  const char *folder = *state;
  size_t length, other;
  dr_tar *whole = dr__tar_new(folder), *rest = dr__tar_new(folder);
  assert_true(dr__tar_add_file(whole, "x", "file", 0600, 0, 1000));
  assert_true(dr__tar_add_file(rest, "x", "file", 0600, 900, 100));
  char *all = read_all(whole, 100000, &length), *end = read_all(rest, 33, &other);
  assert_memory_equal(all + DR_TAR_BLOCK + 900, end + DR_TAR_BLOCK, 100);
  free(all);
  free(end);
  dr__tar_free(whole);
  dr__tar_free(rest);
}

static void a_file_that_became_shorter_is_seen(void **state) {
  const char *folder = *state;
  char buffer[4096];
  dr_tar *tar = dr__tar_new(folder);
  assert_true(dr__tar_add_file(tar, "new/file", "file", 0600, 0, 1001));
  assert_int_equal(dr__tar_read(tar, buffer, sizeof buffer), -ESTALE);
  dr__tar_free(tar);
  tar = dr__tar_new(folder);
  assert_true(dr__tar_add_file(tar, "new/none", "none", 0600, 0, 0));
  assert_int_equal(dr__tar_read(tar, buffer, sizeof buffer), -ESTALE);
  dr__tar_free(tar);
}

static void a_folder_is_scanned(void **state) {
  const char *folder = *state;
  char hex[65], again[65];
  dr_manifest m, other;
  dr_err err = DR_ERR_INIT;
  assert_int_equal(dr__manifest_scan(&m, folder, NULL, NULL, &err), DR_OK);
  assert_int_equal(m.count, 2);
  assert_string_equal(m.entries[0].path, "file");
  assert_int_equal(m.entries[0].size, 1000);
  assert_int_equal(m.entries[1].type, 'l');
  dr__manifest_digest(&m, hex);
  m.entries[0].mode ^= 1;
  dr__manifest_digest(&m, again);
  assert_string_not_equal(hex, again);
  dr__manifest_free(&m);
  json_t *exclude = json_pack("[s]", "li*");
  assert_int_equal(dr__manifest_scan(&other, folder, exclude, NULL, &err), DR_OK);
  assert_int_equal(other.count, 1);
  dr__manifest_free(&other);
  json_decref(exclude);
  atomic_bool stop = true;
  assert_int_not_equal(dr__manifest_scan(&m, folder, NULL, &stop, &err), DR_OK);
  assert_string_equal(err.code, "cancelled");
  dr_err_clear(&err);
  dr__manifest_free(&m);
}

/* ------------------------------------------------------------ a folder */

static char folder[] = "/tmp/test_transfer.XXXXXX";

static void in_folder(char *path, size_t size, const char *name) {
  snprintf(path, size, "%s/%s", folder, name);
}

static int make_folder(void **state) {
  char path[128];
  assert_non_null(mkdtemp(folder));
  in_folder(path, sizeof path, "file");
  FILE *file = fopen(path, "w");
  for (int i = 0; i < 1000; i++) fputc(i & 255, file);
  fclose(file);
  in_folder(path, sizeof path, "link");
  assert_int_equal(symlink("file", path), 0);
  *state = folder;
  return 0;
}

static int remove_folder(void **state) {
  (void)state;
  char path[128];
  in_folder(path, sizeof path, "file");
  unlink(path);
  in_folder(path, sizeof path, "link");
  unlink(path);
  return rmdir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(facts_are_read),
      cmocka_unit_test(an_answer_that_is_cut_off_or_odd_is_none),
      cmocka_unit_test(owners_are_compared_by_name_and_number),
      cmocka_unit_test(a_listing_is_read_in_order),
      cmocka_unit_test(a_listing_tells_who_may_do_what),
      cmocka_unit_test(a_listing_that_leads_outside_is_refused),
      cmocka_unit_test(a_listing_that_is_cut_off_is_refused),
      cmocka_unit_test(patterns_leave_out_names_and_paths),
      cmocka_unit_test(only_what_differs_is_installed),
      cmocka_unit_test(whose_a_file_is_stays_as_it_was),
      cmocka_unit_test(what_is_in_a_closed_folder_is_not_changed),
      cmocka_unit_test(a_folder_in_the_way_of_a_file_is_a_conflict),
      cmocka_unit_test(what_a_sync_left_is_gone_on_with),
      cmocka_unit_test(what_is_not_what_it_was_to_be_is_sent_anew),
      cmocka_unit_test(a_leaving_that_is_odd_is_passed_over),
      cmocka_unit_test(a_header_is_as_tar_wants_it),
      cmocka_unit_test(an_archive_is_the_same_however_it_is_read),
      cmocka_unit_test(only_the_rest_of_a_file_is_sent),
      cmocka_unit_test(a_file_that_became_shorter_is_seen),
      cmocka_unit_test(a_folder_is_scanned),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
