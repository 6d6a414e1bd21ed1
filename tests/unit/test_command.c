/* test_command.c - what a view makes of a command: words, input, the line for a far shell, the
 * preview.
 *
 * Quoting and the secrets' way through standard input are not compared with expected text but run
 * by the machine's /bin/sh: what counts is what arrives. */
#include "core/err.h"
#include "target/target.h"
#include "text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ------------------------------------------------------------ fixtures */

static void destroy(dr_transport *transport) {
  (void)transport;
}

static const dr_transport_class nowhere_class = {.kind = "nowhere", .destroy = destroy};
static dr_transport nowhere = {.klass = &nowhere_class, .references = 1, .name = "nowhere"};

static dr_target *plain(void) {
  dr_target *target = dr__target_new(&nowhere, "web1");
  assert_non_null(target);
  return target;
}

/* Replaces a view by a changed one. */
static dr_target *swap(dr_target *old, dr_target *fresh) {
  assert_non_null(fresh);
  dr__target_unref(old);
  return fresh;
}

static dr_target *with_env(dr_target *target, const char *name, const char *value) {
  json_t *env = json_pack("{s:s}", name, value);
  target = swap(target, dr__target_env(target, env));
  json_decref(env);
  return target;
}

static dr_target *inside(dr_target *target, json_t *words) {
  target = swap(target, dr__target_within(target, "web1 api", words));
  json_decref(words);
  return target;
}

/* Everything with "hush" in it is a secret. */
static const char *secret_in(const char *value, void *data) {
  (void)data;
  return strstr(value, "hush") ? "HUSH" : NULL;
}

static dr_command build(dr_target *target, json_t *command, const char *input) {
  dr_command built;
  dr_err err = DR_ERR_INIT;
  int status = dr__command_build(&built, target, command, input, input ? strlen(input) : 0,
                                 secret_in, NULL, &err);
  assert_string_equal(err.message, "");
  assert_int_equal(status, DR_OK);
  json_decref(command);
  dr__target_unref(target);
  return built;
}

static void expect_refused(dr_target *target, json_t *command, const char *code) {
  dr_command built;
  dr_err err = DR_ERR_INIT;
  assert_int_not_equal(dr__command_build(&built, target, command, NULL, 0, secret_in, NULL, &err),
                       DR_OK);
  assert_string_equal(err.code, code);
  assert_null(built.argv);
  dr_err_clear(&err);
  json_decref(command);
  dr__target_unref(target);
}

static json_t *words(const char *first, ...) {
  json_t *list = json_array();
  va_list args;
  va_start(args, first);
  for (const char *word = first; word; word = va_arg(args, const char *))
    json_array_append_new(list, json_string(word));
  va_end(args);
  return list;
}

/* Runs `sh -c line` with `input` and returns what it wrote; the status goes to *status. */
static char *run_shell(const char *line, const char *input, size_t length, int *status) {
  int in[2];
  int out[2];
  assert_int_equal(pipe(in), 0);
  assert_int_equal(pipe(out), 0);
  assert_int_equal(write(in[1], input ? input : "", length), (ssize_t)length);
  close(in[1]);
  pid_t child = fork();
  if (child == 0) {
    dup2(in[0], 0);
    dup2(out[1], 1);
    close(out[0]);
    close(out[1]);
    execl("/bin/sh", "sh", "-c", line, (char *)NULL);
    _exit(99);
  }
  close(in[0]);
  close(out[1]);
  dr_text text = {0};
  char buffer[4096];
  for (ssize_t got; (got = read(out[0], buffer, sizeof buffer)) > 0;)
    dr__text_add(&text, buffer, (size_t)got);
  close(out[0]);
  waitpid(child, status, 0);
  return dr__text_take(&text);
}

/* Runs a built command as a far shell would, and compares what it wrote. */
static void expect_output(dr_command *command, const char *expected) {
  char *line = dr__command_line(command);
  assert_non_null(line);
  int status = 0;
  char *output = run_shell(line, command->input, command->input_length, &status);
  assert_string_equal(output, expected);
  assert_int_equal(status, 0);
  free(output);
  free(line);
  dr__command_clear(command);
}

static void expect_preview(dr_target *target, json_t *command, const char *expected) {
  char *line = dr__command_preview(target, command, secret_in, NULL);
  assert_string_equal(line, expected);
  free(line);
  json_decref(command);
  dr__target_unref(target);
}

static void expect_words(const dr_command *command, const char *expected) {
  char *line = dr__shell_quote(command->argv);
  assert_string_equal(line, expected);
  free(line);
}

/* ------------------------------------------------------------ quoting */

static void quotes_only_where_it_must(void **state) {
  (void)state;
  json_t *list = words("git", "log", "--format=%H", "a b", "", "it's", "$HOME", "~", "=x", NULL);
  char *line = dr__shell_quote(list);
  assert_string_equal(line, "git log --format=%H 'a b' '' 'it'\\''s' '$HOME' '~' '=x'");
  free(line);
  json_decref(list);
}

static void the_first_word_is_neither_assignment_nor_keyword(void **state) {
  (void)state;
  json_t *assignment = words("A=b", "A=b", NULL);
  json_t *keyword = words("if", "if", NULL);
  char *line = dr__shell_quote(assignment);
  assert_string_equal(line, "'A=b' A=b");
  free(line);
  line = dr__shell_quote(keyword);
  assert_string_equal(line, "'if' if");
  free(line);
  json_decref(assignment);
  json_decref(keyword);
}

/* A deterministic generator: the same words in each run. */
static unsigned next_random(uint64_t *seed) {
  *seed = *seed * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(*seed >> 33);
}

static void any_word_reaches_the_program_unchanged(void **state) {
  (void)state;
  static const char alphabet[] = "ab'\"\\$`!*?[]{}()<>|&;~#=%^ \t\n-+.,:/@\x7f\x01";
  uint64_t seed = 42;
  for (int round = 0; round < 60; round++) {
    json_t *list = words("printf", "[%s]", NULL);
    dr_text expected = {0};
    for (int i = 0; i < 4; i++) {
      char word[12] = "";
      size_t length = next_random(&seed) % sizeof word;
      for (size_t k = 0; k < length; k++)
        word[k] = alphabet[next_random(&seed) % (sizeof alphabet - 1)];
      word[length < sizeof word ? length : sizeof word - 1] = '\0';
      json_array_append_new(list, json_string(word));
      dr__text_printf(&expected, "[%s]", word);
    }
    dr_command command = build(plain(), list, NULL);
    char *text = dr__text_take(&expected);
    expect_output(&command, text);
    free(text);
  }
}

/* ------------------------------------------------------------ building */

static void exact_words_stay_exact(void **state) {
  (void)state;
  dr_target *target = plain();
  target = with_env(swap(target, dr__target_cd(target, "/srv")), "A", "b c");
  dr_target *kept = dr__target_ref(target);
  dr_command command = build(target, words("git", "pull", NULL), NULL);
  expect_words(&command, "git pull");
  assert_string_equal(command.cwd, "/srv");
  assert_string_equal(json_string_value(json_object_get(command.env, "A")), "b c");
  char *line = dr__command_line(&command);
  assert_string_equal(line, "cd /srv || { echo 'deployrun: cannot enter the folder' >&2; exit 125; "
                            "}; export A='b c'; exec git pull");
  free(line);
  dr__command_clear(&command);
  dr__target_unref(kept);
}

static void a_string_is_for_the_shell(void **state) {
  (void)state;
  dr_command command = build(plain(), json_string("echo a | tr a b"), NULL);
  expect_words(&command, "/bin/sh -c 'echo a | tr a b'");
  expect_output(&command, "b\n");
}

static void sudo_stands_outside_folder_and_environment(void **state) {
  (void)state;
  dr_target *target = plain();
  target = swap(target, dr__target_sudo(target, "app"));
  dr_command command = build(dr__target_ref(target), words("id", NULL), NULL);
  expect_words(&command, "sudo -n -u app -- id");
  dr__command_clear(&command);
  target = with_env(target, "A", "b");
  command = build(dr__target_ref(target), words("id", NULL), NULL);
  expect_words(&command, "sudo -n -u app -- env A=b id");
  assert_null(command.env);
  dr__command_clear(&command);
  target = swap(target, dr__target_cd(target, "~/my app"));
  command = build(target, words("id", NULL), NULL);
  assert_null(command.cwd);
  assert_string_equal(json_string_value(json_array_get(command.argv, 7)),
                      "cd ~/'my app' || { echo 'deployrun: cannot enter the folder' >&2; exit 125; "
                      "}; export A=b; exec \"$@\"");
  dr__command_clear(&command);
}

static void a_view_within_another_keeps_the_two_apart(void **state) {
  (void)state;
  dr_target *target = plain();
  target = swap(target, dr__target_sudo(target, NULL));
  target = inside(target, words("compose", "exec", "-T", "api", NULL));
  dr_command command = build(dr__target_ref(target), words("id", NULL), NULL);
  expect_words(&command, "sudo -n -- compose exec -T api id");
  dr__command_clear(&command);
  target = with_env(target, "A", "b");
  target = swap(target, dr__target_sudo(target, "app"));
  command = build(target, words("id", NULL), NULL);
  expect_words(&command, "sudo -n -- compose exec -T api sudo -n -u app -- env A=b id");
  dr__command_clear(&command);
}

static void a_program_named_like_an_assignment_survives_env(void **state) {
  (void)state;
  dr_target *target = with_env(inside(plain(), words("env", NULL)), "A", "b");
  dr_command command = build(target, words("x=y", NULL), NULL);
  assert_string_equal(json_string_value(json_array_get(command.argv, 3)),
                      "export A=b; exec \"$@\"");
  dr__command_clear(&command);
}

static void a_relative_folder_is_joined(void **state) {
  (void)state;
  dr_target *target = plain();
  target = swap(target, dr__target_cd(target, "a"));
  target = swap(target, dr__target_cd(target, "b/"));
  target = swap(target, dr__target_cd(target, "c"));
  assert_string_equal(target->cwd, "a/b/c");
  target = swap(target, dr__target_cd(target, "~"));
  assert_string_equal(target->cwd, "~");
  target = swap(target, dr__target_cd(target, "/x"));
  assert_string_equal(target->cwd, "/x");
  dr__target_unref(target);
}

static void a_folder_that_is_not_there_says_so(void **state) {
  (void)state;
  dr_target *target = plain();
  target = swap(target, dr__target_cd(target, "/no/such/folder"));
  dr_command command = build(dr__target_ref(target), words("id", NULL), NULL);
  char *line = dr__command_line(&command);
  int status = 0;
  dr_text quiet = {0};
  dr__text_printf(&quiet, "exec 2>&1; %s", line);
  char *output = run_shell(quiet.bytes, NULL, 0, &status);
  assert_int_equal(WEXITSTATUS(status), DR_NOT_BEGUN);
  assert_non_null(strstr(output, DR_NO_FOLDER_MARK));
  free(output);
  free(line);
  dr__text_free(&quiet);
  dr__command_clear(&command);
  dr__target_unref(target);
}

static void what_is_no_command_is_refused(void **state) {
  (void)state;
  expect_refused(plain(), json_array(), "command.argument");
  expect_refused(plain(), json_integer(1), "command.argument");
  expect_refused(plain(), json_pack("[s, i]", "echo", 1), "command.argument");
  expect_refused(plain(), json_stringn("a\0b", 3), "command.argument");
  expect_refused(with_env(plain(), "A B", "c"), words("id", NULL), "command.argument");
  expect_refused(with_env(plain(), "1A", "c"), words("id", NULL), "command.argument");
}

/* ------------------------------------------------------------ secrets */

static void a_secret_arrives_and_is_in_no_word(void **state) {
  (void)state;
  dr_target *target = with_env(with_env(plain(), "TOKEN", " hush \\n'\" $x "), "A", "b");
  dr_target *kept = dr__target_ref(target);
  dr_command command =
      build(target, json_string("printf '[%s]' \"$TOKEN\" \"$A\"; cat"), "the input");
  char *line = dr__command_line(&command);
  assert_null(strstr(line, "hush"));
  free(line);
  expect_output(&command, "[ hush \\n'\" $x ][b]the input");
  dr__target_unref(kept);
}

static void a_secret_of_many_lines_arrives_whole(void **state) {
  (void)state;
  static const char key[] = "-----BEGIN hush-----\n  a\\b\n\nlast\n";
  dr_target *target = with_env(plain(), "KEY", key);
  dr_command command = build(target, json_string("printf '[%s]' \"$KEY\"; cat"), "rest\n");
  expect_output(&command, "[-----BEGIN hush-----\n  a\\b\n\nlast\n]rest\n");
}

static void secrets_of_an_outer_view_are_read_first(void **state) {
  (void)state;
  dr_target *target = with_env(plain(), "OUTER", "hush outer");
  target = with_env(inside(target, words("env", "-u", "OUTER", NULL)), "INNER", "hush inner");
  target = with_env(target, "MORE", "hush more");
  dr_command command =
      build(target, json_string("printf '[%s]' \"$OUTER\" \"$INNER\" \"$MORE\"; cat"), "input");
  expect_output(&command, "[][hush inner][hush more]input");
}

static void a_secret_in_a_word_is_refused(void **state) {
  (void)state;
  expect_refused(plain(), words("login", "-phush", NULL), "secret.in_command");
  expect_refused(plain(), json_string("login -p hush"), "secret.in_command");
  dr_target *target = plain();
  expect_refused(swap(target, dr__target_cd(target, "/srv/hush")), words("id", NULL),
                 "secret.in_command");
  expect_refused(inside(plain(), words("enter", "hush", NULL)), words("id", NULL),
                 "secret.in_command");
}

/* ------------------------------------------------------------ preview */

static void the_preview_reads_like_a_person_would_write_it(void **state) {
  (void)state;
  expect_preview(plain(), words("git", "pull", NULL), "git pull");
  expect_preview(plain(), json_string("a | b"), "a | b");
  dr_target *target = plain();
  target = swap(target, dr__target_cd(target, "~/shop"));
  expect_preview(dr__target_ref(target), json_string("a | b"), "cd ~/shop && a | b");
  target = with_env(swap(target, dr__target_sudo(target, "app")), "A", "b c");
  expect_preview(dr__target_ref(target), words("git", "pull", NULL),
                 "cd ~/shop && sudo -u app A='b c' git pull");
  expect_preview(target, json_string("a | b"), "cd ~/shop && sudo -u app A='b c' sh -c 'a | b'");
}

static void the_preview_of_a_view_within_another(void **state) {
  (void)state;
  dr_target *target = plain();
  target = swap(target, dr__target_cd(target, "/srv"));
  target = inside(target, words("compose", "exec", "-T", "api", NULL));
  expect_preview(dr__target_ref(target), words("python", "manage.py", "migrate", NULL),
                 "cd /srv && compose exec -T api python manage.py migrate");
  expect_preview(dr__target_ref(target), json_string("a | b"),
                 "cd /srv && compose exec -T api sh -c 'a | b'");
  target = with_env(target, "A", "b");
  expect_preview(target, words("env", NULL), "cd /srv && compose exec -T api sh -c 'A=b env'");
}

static void a_secret_that_quoting_changes_is_not_shown(void **state) {
  (void)state;
  expect_preview(with_env(plain(), "A", "hush'hush"), words("env", NULL), "A=[secret] env");
  expect_preview(with_env(plain(), "A", "hush hush"), words("env", NULL), "A='hush hush' env");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(quotes_only_where_it_must),
      cmocka_unit_test(the_first_word_is_neither_assignment_nor_keyword),
      cmocka_unit_test(any_word_reaches_the_program_unchanged),
      cmocka_unit_test(exact_words_stay_exact),
      cmocka_unit_test(a_string_is_for_the_shell),
      cmocka_unit_test(sudo_stands_outside_folder_and_environment),
      cmocka_unit_test(a_view_within_another_keeps_the_two_apart),
      cmocka_unit_test(a_program_named_like_an_assignment_survives_env),
      cmocka_unit_test(a_relative_folder_is_joined),
      cmocka_unit_test(a_folder_that_is_not_there_says_so),
      cmocka_unit_test(what_is_no_command_is_refused),
      cmocka_unit_test(a_secret_arrives_and_is_in_no_word),
      cmocka_unit_test(a_secret_of_many_lines_arrives_whole),
      cmocka_unit_test(secrets_of_an_outer_view_are_read_first),
      cmocka_unit_test(a_secret_in_a_word_is_refused),
      cmocka_unit_test(the_preview_reads_like_a_person_would_write_it),
      cmocka_unit_test(the_preview_of_a_view_within_another),
      cmocka_unit_test(a_secret_that_quoting_changes_is_not_shown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
