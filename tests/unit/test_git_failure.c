/* test_git_failure.c - what git says, by name; and the facts that make a message whole. */
#include "git/git_failure.h"
#include "git/git_pairs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect(const char *said, const char *code) {
  dr_err err = DR_ERR_INIT;
  assert_true(dr__git_failure_said(&err, said));
  assert_string_equal(err.code, code);
  assert_true(err.message[0] != '\0');
  dr_err_clear(&err);
}

/* As git 2.30 to 2.47 write them; several of these lines stand in one output, and the one that
 * explains the others counts. */
static void known_words(void **state) {
  (void)state;
  expect("fatal: write error: No space left on device\nfatal: index-pack failed\nfatal: the remote "
         "end hung up unexpectedly",
         "git.no_space");
  expect("fatal: detected dubious ownership in repository at '/srv/app'", "git.unsafe_owner");
  expect("fatal: unsafe repository ('/srv/app' is owned by someone else)", "git.unsafe_owner");
  expect("git@host: Permission denied (publickey).\nfatal: Could not read from remote repository.",
         "git.auth");
  expect("Host key verification failed.\nfatal: Could not read from remote repository.",
         "git.host_key");
  expect("ssh: Could not resolve hostname x: Name or service not known\nfatal: Could not read from "
         "remote repository.",
         "git.unreachable");
  expect("fatal: '/nothing' does not appear to be a git repository\nfatal: Could not read from "
         "remote repository.",
         "git.no_remote");
  expect("fatal: Unable to create '/srv/app/.git/index.lock': File exists.", "git.locked");
  expect("error: insufficient permission for adding an object to repository database",
         "git.denied");
  expect("error: The following untracked working tree files would be overwritten by merge:\n\ta",
         "git.in_the_way");
  expect("error: Your local changes to the following files would be overwritten by merge:\n\ta",
         "git.dirty");
  expect("!\tHEAD:refs/heads/main\t[rejected] (fetch first)\nDone", "git.diverged");
  expect("!\tHEAD:refs/heads/main\t[remote rejected] (pre-receive hook declined)", "git.rejected");
  expect("fatal: unable to auto-detect email address (got 'a@b.(none)')", "git.no_identity");
  expect("error: src refspec refs/tags/nope does not match any", "git.not_found");
  expect("sh: 1: git: not found", "command.not_found");
}

static void unknown_words(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  assert_false(dr__git_failure_said(&err, "fatal: something quite new"));
  assert_false(dr__git_failure_said(&err, ""));
  assert_string_equal(err.code, "");
}

static void any_other_failure_is_in_gits_words(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  dr__git_failure_other(&err, "hint: a\nerror: b\nfatal: c\nhint: d");
  assert_string_equal(err.code, "git.failed");
  assert_string_equal(err.message, "git could not do it: fatal: c");
  dr__git_failure_other(&err, "one line\nand another");
  assert_string_equal(err.message, "git could not do it: one line");
  dr__git_failure_other(&err, "");
  assert_string_equal(err.message, "git could not do it");
  dr_err_clear(&err);
}

static void a_way_out_stands_in_the_hint(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  json_t *pairs = json_pack("{s:[s]}", "command", "rm -f '/x/.git/deployrun/plan'");
  dr__git_failure(&err, "git.interrupted", pairs);
  assert_non_null(strstr(err.hint, "git stash list: rm -f '/x/.git/deployrun/plan'"));
  json_decref(pairs);
  dr_err_clear(&err);
}

static void expect_message(const char *code, json_t *pairs, const char *message) {
  dr_err err = DR_ERR_INIT;
  dr__git_failure(&err, code, pairs);
  assert_non_null(strstr(err.message, message));
  json_decref(pairs);
  dr_err_clear(&err);
}

static void facts_stand_in_the_message(void **state) {
  (void)state;
  expect_message("git.dirty", json_pack("{s:[s, s]}", "path", "a", "b"), ": a, b");
  json_t *paths = json_array();
  for (int i = 0; i < 20; i++) json_array_append_new(paths, json_sprintf("f%d", i));
  expect_message("git.conflict", json_pack("{s:o}", "path", paths), "f7 and 12 more");
  expect_message("git.conflict", json_pack("{s:[s]}", "doing", "MERGE_HEAD"), "in the middle of");
  expect_message("git.locked",
                 json_pack("{s:[s], s:[s], s:[s]}", "lock", "/x/.git/index.lock", "age", "7",
                           "holder", "42 git gc"),
                 ": /x/.git/index.lock, made 7 s ago, held by process 42 git gc");
  expect_message("git.diverged", json_pack("{s:[s], s:[s]}", "ahead", "2", "behind", "3"),
                 "2 commits only here, 3 only there");
  expect_message("git.not_found", NULL, "there is no such");
}

static void a_message_that_is_too_long_is_cut(void **state) {
  (void)state;
  char name[3000];
  memset(name, 'x', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  dr_err err = DR_ERR_INIT;
  json_t *pairs = json_pack("{s:[s]}", "path", name);
  dr__git_failure(&err, "git.dirty", pairs);
  assert_int_equal(strlen(err.message), sizeof err.message - 1);
  json_decref(pairs);
  dr_err_clear(&err);
}

#define PAIRS(text) dr__git_pairs_parse(text, sizeof(text), &err)

static void pairs_are_read(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  json_t *pairs = PAIRS("path\0a\0path\0b\nc\0to\0x\0none\0");
  assert_non_null(pairs);
  assert_string_equal(dr__git_pair(pairs, "to"), "x");
  assert_null(dr__git_pair(pairs, "none"));
  json_t *list = dr__git_pair_list(pairs, "path");
  assert_int_equal(json_array_size(list), 2);
  assert_string_equal(json_string_value(json_array_get(list, 1)), "b\nc");
  json_decref(list);
  json_decref(pairs);
  assert_null(dr__git_pairs_parse("path\0a", 6, &err)); /* cut off */
  assert_string_equal(err.code, "git.output");
  dr_err_clear(&err);
}

static void commits_are_read(void **state) {
  (void)state;
  dr_err err = DR_ERR_INIT;
  json_t *pairs = PAIRS("commit\0abc\x1f"
                        "17\x1f"
                        "A. Nobody\x1f"
                        "fix: a\x1f"
                        "b\0commit\0broken");
  json_t *commits = dr__git_commits_parse(pairs, &err);
  assert_int_equal(json_array_size(commits), 2);
  json_t *first = json_array_get(commits, 0);
  assert_string_equal(json_string_value(json_object_get(first, "commit")), "abc");
  assert_int_equal(json_integer_value(json_object_get(first, "time")), 17);
  assert_string_equal(json_string_value(json_object_get(first, "author")), "A. Nobody");
  assert_string_equal(json_string_value(json_object_get(first, "subject")), "fix: a\x1f"
                                                                            "b");
  json_decref(commits);
  json_decref(pairs);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_words),
      cmocka_unit_test(unknown_words),
      cmocka_unit_test(any_other_failure_is_in_gits_words),
      cmocka_unit_test(a_way_out_stands_in_the_hint),
      cmocka_unit_test(facts_stand_in_the_message),
      cmocka_unit_test(a_message_that_is_too_long_is_cut),
      cmocka_unit_test(pairs_are_read),
      cmocka_unit_test(commits_are_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
