/* The command line: what people type, and what they mistype. */
#include "cli/args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { WORDS = 12 };

/* A command line read; `words` ends with NULL. */
typedef struct line {
  cli_args args;
  dr_err err;
  int status;
} line;

static line read_line(const char *const *words) {
  line in = {.status = -1};
  char *argv[WORDS] = {(char *)"deployrun"};
  int argc = 1;
  while (words[argc - 1] != NULL) {
    argv[argc] = (char *)words[argc - 1];
    argc++;
  }
  in.status = cli_args_read(&in.args, argc, argv, &in.err);
  return in;
}

#define READ(...) read_line((const char *const[]){__VA_ARGS__, NULL})

static void assert_wrong(line in, const char *message, const char *hint) {
  assert_int_equal(in.status, DR_USAGE);
  assert_string_equal(in.err.code, "usage.arguments");
  assert_string_equal(in.err.message, message);
  assert_string_equal(in.err.hint, hint);
  cli_args_free(&in.args);
}

static void options_may_stand_anywhere(void **state) {
  (void)state;
  line in = READ("--dry-run", "rolling", "-v", "dir=/srv/app", "--set-file", "a", "--set-file=b",
                 "web=x=y", "--env-file", "e");
  assert_int_equal(in.status, DR_OK);
  assert_int_equal(in.args.command, CLI_RUN);
  assert_string_equal(in.args.recipes.items[0], "rolling");
  assert_true(in.args.dry_run);
  assert_int_equal(in.args.loudness, UI_VERBOSE);
  assert_int_equal(in.args.params.count, 2);
  assert_string_equal(in.args.params.items[1], "web=x=y");
  assert_int_equal(in.args.set_files.count, 2);
  assert_string_equal(in.args.set_files.items[1], "b");
  assert_string_equal(in.args.env_files.items[0], "e");
  cli_args_free(&in.args);
}

static void a_param_is_given_once(void **state) {
  (void)state;
  assert_wrong(READ("rolling", "dir=/tmp", "web=a", "--", "dir=/var"),
               "the param dir is given twice", "give it once; it wins over --set-file");
  line in = READ("rolling", "dir=/tmp", "dirs=/var", "di=/x");
  assert_int_equal(in.status, DR_OK);
  cli_args_free(&in.args);
}

static void two_dashes_end_the_options(void **state) {
  (void)state;
  line in = READ("-q", "--json", "--", "-odd.lua", "a=--dry-run");
  assert_int_equal(in.status, DR_OK);
  assert_string_equal(in.args.recipes.items[0], "-odd.lua");
  assert_false(in.args.dry_run);
  assert_true(in.args.json);
  assert_int_equal(in.args.loudness, UI_QUIET);
  cli_args_free(&in.args);
}

static void commands_are_known(void **state) {
  (void)state;
  line in = READ("check", "a.lua", "b.lua");
  assert_int_equal(in.args.command, CLI_CHECK);
  assert_int_equal(in.args.recipes.count, 2);
  cli_args_free(&in.args);
  assert_int_equal(READ("list").args.command, CLI_LIST);
  assert_int_equal(READ("help", "show").args.command, CLI_HELP);
  assert_int_equal(READ("--version").args.command, CLI_VERSION);
  in = READ("rolling", "-h");
  assert_int_equal(in.args.command, CLI_HELP);
  cli_args_free(&in.args);
}

static void a_mistyped_option_is_guessed(void **state) {
  (void)state;
  assert_wrong(READ("rolling", "--dryrun"), "unknown option --dryrun", "did you mean --dry-run?");
  assert_wrong(READ("rolling", "--setfile=x"), "unknown option --setfile=x",
               "did you mean --set-file?");
  assert_wrong(READ("rolling", "--directory=/x"), "unknown option --directory=/x",
               "params are written without dashes: directory=/x; see `deployrun --help` for the "
               "options");
  assert_wrong(READ("rolling", "-x"), "unknown option -x", "see `deployrun --help`");
}

static void a_mistyped_command_is_guessed(void **state) {
  (void)state;
  assert_string_equal(cli_near_command("lsit"), "list");
  assert_null(cli_near_command("rolling"));
  assert_null(cli_near_command("list"));
  assert_wrong(READ("shwo", "rolling"), "\"rolling\" is not a param",
               "did you mean `deployrun show rolling`?");
  assert_wrong(READ("run", "rolling"), "\"rolling\" is not a param",
               "a recipe is run by its name alone: `deployrun rolling`");
}

static void what_is_missing_is_said(void **state) {
  (void)state;
  assert_wrong(READ("--json"), "which recipe?",
               "`deployrun list` names the bundled recipes, `deployrun --help` explains the rest");
  assert_wrong(READ("show"), "show needs a recipe",
               "give its name (`deployrun list`) or the path of its file");
  assert_wrong(READ("rolling", "--set-file"), "--set-file needs a file", "see `deployrun --help`");
  assert_wrong(READ("dir=/x"), "there is no recipe before dir=/x",
               "the recipe comes first: `deployrun RECIPE dir=/x`; `deployrun list` names them");
}

static void what_does_not_go_together_is_refused(void **state) {
  (void)state;
  assert_wrong(READ("list", "--dry-run"), "--dry-run goes with a recipe to run only",
               "see `deployrun --help`");
  assert_wrong(READ("rolling", "--json=yes"), "--json takes no value", "see `deployrun --help`");
  assert_wrong(READ("show", "a", "b"), "what is \"b\" for? One word too many",
               "see `deployrun --help`");
}

static void distance_counts_edits(void **state) {
  (void)state;
  assert_int_equal(cli_distance("list", "list"), 0);
  assert_int_equal(cli_distance("lsit", "list"), 1);
  assert_int_equal(cli_distance("", "abc"), 3);
  assert_int_equal(cli_distance("--dryrun", "--dry-run"), 1);
  assert_int_equal(cli_distance("kitten", "sitting"), 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(options_may_stand_anywhere),
      cmocka_unit_test(a_param_is_given_once),
      cmocka_unit_test(two_dashes_end_the_options),
      cmocka_unit_test(commands_are_known),
      cmocka_unit_test(a_mistyped_option_is_guessed),
      cmocka_unit_test(a_mistyped_command_is_guessed),
      cmocka_unit_test(what_is_missing_is_said),
      cmocka_unit_test(what_does_not_go_together_is_refused),
      cmocka_unit_test(distance_counts_edits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
