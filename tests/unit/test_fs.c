/* test_fs.c - hashes and path patterns. */
#include "fs/fs_glob.h"
#include "remove_folder.h"
#include "sha256.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* ------------------------------------------------------------ hashes */

/* The hash of `times` times the text, added in pieces of `piece` bytes. */
static void hash(char hex[65], const char *text, size_t times, size_t piece) {
  dr_sha256 state;
  size_t length = strlen(text);
  dr__sha256_init(&state);
  for (size_t i = 0; i < times; i++)
    for (size_t at = 0; at < length; at += piece)
      dr__sha256_add(&state, text + at, length - at < piece ? length - at : piece);
  dr__sha256_hex(&state, hex);
}

/* The examples of FIPS 180-4 and of NIST's long message. */
static void the_standards_examples(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t times;
    const char *hex;
  } known[] = {
      {"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {"aaaaaaaaaa", 100000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    char hex[65];
    hash(hex, known[i].text, known[i].times, 1000);
    assert_string_equal(hex, known[i].hex);
  }
}

static void the_pieces_do_not_matter(void **state) {
  (void)state;
  char text[300];
  for (size_t length = 0; length < sizeof text; length++) {
    char whole[65];
    char pieces[65];
    memset(text, 'x', length);
    text[length] = '\0';
    hash(whole, text, 1, sizeof text);
    hash(pieces, text, 1, 7);
    assert_string_equal(whole, pieces);
  }
}

/* ------------------------------------------------------------ patterns */

static char folder[] = "/tmp/test_fs.XXXXXX";

/* Makes an empty file, and before it its folder. */
static void touch(const char *path) {
  char whole[256];
  snprintf(whole, sizeof whole, "%s/%s", folder, path);
  char *slash = strrchr(whole, '/');
  *slash = '\0';
  mkdir(whole, 0700);
  *slash = '/';
  FILE *file = fopen(whole, "w");
  assert_non_null(file);
  fclose(file);
}

static int make_tree(void **state) {
  (void)state;
  static const char *const paths[] = {"b.txt",    "a.txt",       ".hidden.txt", "sub/c.txt",
                                      "sub/d.md", "other/c.txt", "[x]"};
  assert_non_null(mkdtemp(folder));
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) touch(paths[i]);
  return 0;
}

static int remove_tree(void **state) {
  (void)state;
  return remove_folder(folder);
}

/* Compares the matches, without the folder, joined by spaces. */
static void expect(const char *pattern, const char *expected) {
  char whole[256];
  char joined[512] = "";
  atomic_bool stop = false;
  dr_err err = DR_ERR_INIT;
  snprintf(whole, sizeof whole, "%s/%s", folder, pattern);
  json_t *paths = dr__fs_glob(whole, &stop, &err);
  assert_string_equal(err.message, "");
  for (size_t i = 0; i < json_array_size(paths); i++) {
    size_t used = strlen(joined);
    snprintf(joined + used, sizeof joined - used, "%s%s", i ? " " : "",
             json_string_value(json_array_get(paths, i)) + strlen(folder) + 1);
  }
  json_decref(paths);
  assert_string_equal(joined, expected);
}

static void patterns_match_names(void **state) {
  (void)state;
  expect("*.txt", "a.txt b.txt");
  expect(".*.txt", ".hidden.txt");
  expect("?.txt", "a.txt b.txt");
  expect("[b-z].txt", "b.txt");
  expect("*/c.txt", "other/c.txt sub/c.txt");
  expect("sub/*", "sub/c.txt sub/d.md");
  expect("s*/*.md", "sub/d.md");
  expect("a.txt", "a.txt");
  expect("none", "");
  expect("none/*", "");
  expect("a.txt/*", "");
  expect("\\[x\\]", "[x]");
  expect("[[]x]", "[x]");
}

static void a_stopped_search_says_so(void **state) {
  (void)state;
  atomic_bool stop = true;
  dr_err err = DR_ERR_INIT;
  assert_null(dr__fs_glob("/*", &stop, &err));
  assert_string_equal(err.code, "cancelled");
  dr_err_clear(&err);
  assert_null(dr__fs_glob("", &stop, &err));
  assert_string_equal(err.code, "fs.pattern");
  dr_err_clear(&err);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_standards_examples),
      cmocka_unit_test(the_pieces_do_not_matter),
      cmocka_unit_test(patterns_match_names),
      cmocka_unit_test(a_stopped_search_says_so),
  };
  return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
