/* test_env_file.c - env files in the dialects of compose, systemd and docker run. */
#include "env/env_file.h"

#include "core/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct pair {
  const char *line;
  const char *value; /* of A; NULL: env_file.syntax */
} pair;

/* For a file that is right and has no A. */
static const char absent[] = "(absent)";

/* The value of the last A in the text; malloc'd, NULL when it is wrong. */
static char *value_of_a(const char *text, dr_env_dialect dialect, dr_err *err) {
  json_t *variables = dr__env_file_parse(text, strlen(text), dialect, err);
  char *value = NULL;
  size_t i;
  json_t *entry;
  json_array_foreach(variables, i, entry) {
    if (strcmp(json_string_value(json_object_get(entry, "name")), "A") != 0) continue;
    free(value);
    value = strdup(json_string_value(json_object_get(entry, "value")));
  }
  json_decref(variables);
  return value;
}

static void check_all(const pair *pairs, size_t count, dr_env_dialect dialect) {
  for (size_t i = 0; i < count; i++) {
    dr_err err = DR_ERR_INIT;
    char *value = value_of_a(pairs[i].line, dialect, &err);
    if (pairs[i].value == absent) {
      if (value || err.code[0])
        fail_msg("%s has an A, or is wrong: %s", pairs[i].line, err.message);
    } else if (pairs[i].value) {
      if (!value || strcmp(value, pairs[i].value) != 0)
        fail_msg("%s is read as %s, not %s", pairs[i].line, value ? value : err.message,
                 pairs[i].value);
    } else {
      if (value) fail_msg("%s is read as %s", pairs[i].line, value);
      assert_string_equal(err.code, "env_file.syntax");
    }
    free(value);
    dr_err_clear(&err);
  }
}

#define CHECK(pairs, dialect) check_all(pairs, sizeof(pairs) / sizeof(pairs)[0], dialect)

static void compose_2_reads_quotes_escapes_and_comments(void **state) {
  static const pair pairs[] = {
      {"A=b", "b"},
      {"A=", ""},
      {"  export A = b  \r\n", "b"},
      {"export\tA=b", "b"},
      {"\xEF\xBB\xBF"
       "A=b",
       "b"},
      {"A: b", "b"},
      {"A=b c # d", "b c"},
      {"A=b#c", "b#c"},
      {"A=b\t# c", "b\t# c"},
      {"A=# c", "# c"},
      {"A=b\xC2\xA0", "b"},
      {"A='b # $c \\n'", "b # $c \\n"},
      {"A='Let\\'s go!'", "Let's go!"},
      {"A='b\\\\'", "b\\\\"},
      {"A='${B}'", "${B}"},
      {"A=\"b\\nc \\\" \\\\ \\$d\" # e", "b\nc \" \\ $d"},
      {"A=\"\\' \\q \\c \\0101 \\0377 \\012 \\0\"", "\\' \\q \\c A \xC3\xBF \\12 \\"},
      {"A=\"b\nc\"\nB=1", "b\nc"},
      {"A='b\nc'", "b\nc"},
      {"A=1\nA=2", "2"},
      {"A=1\nA", "1"},
      {"# A=1\n\nA=2", "2"},
      {"A", absent},
      {"export A\nB=1", absent},
      {"A.B-C[0]=1\n1A=2\n\xC3\x84=3", absent},
      {"A='b", NULL},
      {"A=\"b\\\"", NULL},
      {"A='b' c", NULL},
      {"A=\"\\0000\"", NULL},
      {"A # c", NULL},
      {"A b=c", NULL},
      {"=c", NULL},
  };
  (void)state;
  CHECK(pairs, DR_ENV_COMPOSE);
}

static void compose_2_puts_variables_in(void **state) {
  static const pair pairs[] = {
      {"B=x\nA=$B-${B}-${C:-d}-${B:-e}", "x-x-d-x"},
      {"B=\nA=${B:-d}${B-e}", "d"},
      {"B=x\nA=${B:+y}${C:+z}${B+1}", "y1"},
      {"B=x\nA=${B:?b}${C?c}", "x"},
      {"B=x\nA=${B:-${C:-d}}", "x"},
      {"A=${B:-${C:-d}}e", "de"},
      {"A=${B:-{x}}", "{x}"},
      {"A=$$b", "$b"},
      {"A=\"$$b \\${c}\"", "$b ${c}"},
      {"B='$C'\nA=$B", "$C"},
      {"B\nA=${B-d}", "d"},
      {"A=$", NULL},
      {"A=b $1", NULL},
      {"A=${b", NULL},
      {"A=${}", NULL},
      {"A=${b/c}", NULL},
      {"A=${b:c}", NULL},
  };
  (void)state;
  CHECK(pairs, DR_ENV_COMPOSE);
}

static void what_stands_in_itself_too_deep_is_refused(void **state) {
  dr_err err = DR_ERR_INIT;
  char text[1024];
  char *end = stpcpy(text, "A=");
  (void)state;
  for (int i = 0; i < 100; i++) end = stpcpy(end, "${B:-");
  for (int i = 0; i < 100; i++) end = stpcpy(end, "}");
  assert_null(value_of_a(text, DR_ENV_COMPOSE, &err));
  assert_string_equal(err.message, "line 1: too many ${ inside each other");
  dr_err_clear(&err);
}

/* Each of these was compared with docker-compose 1.29.2; binding.env_files does it again. */
static void compose_1_reads_what_python_dotenv_reads(void **state) {
  static const pair pairs[] = {
      {"A=pa$word", "pa$word"},
      {"A=$$b $", "$$b $"},
      {"A=# c", "# c"},
      {"A=b\t# c", "b"},
      {"A='Let\\'s go!'", "Let's go!"},
      {"A='b\\'", "b\\"},
      {"A='b\\\\'", "b\\"},
      {"A=\"\\t\\a\\' \\$ \\c\"", "\t\a' \\$ \\c"},
      {"A=\"b\r\nc\"", "b\nc"},
      {"B=x\nA='${B}'", "x"},
      {"B=x\nA=${B:+x}", "${B:+x}"},
      {"B=x\nA=${B:-${C:-d}}", "x}"},
      {"B=\nA=${B:-d}", ""},
      {"A=${B:-d}${C}", "d"},
      {"B\nA=${B:-d}", ""},
      {"a.b=x\nA=${a.b}", "x"},
      {"A=1\nA", absent},
      {"A # c", absent},
      {"'A'=b", "b"},
      {"A.B-C=1\n1A=2", absent},
      {"A: b", NULL},
      {"A='b' c", NULL},
      {"A='b", NULL},
      {"''=b", NULL},
      {"=c", NULL},
  };
  (void)state;
  CHECK(pairs, DR_ENV_COMPOSE_V1);
}

static void systemd_reads_its_own_quotes_and_continuations(void **state) {
  static const pair pairs[] = {
      {"A=b", "b"},
      {"A= b c  ", "b c"},
      {"A=b # c", "b # c"},
      {"; A=1\n# A=2\nA=3", "3"},
      {"# c \\\n\nA=3", "3"},
      {"# c \\\n# d\nA=3", "3"},
      {"# c \\\\\nA=3", "3"},
      {"# c \\\nA=3", NULL},
      {"A=b\\\nc", "bc"},
      {"A=b\\ ", "b "},
      {"A=\\n", "n"},
      {"A=\"b \\\" \\$ \\` \\\\ \\n\"", "b \" $ ` \\ \\n"},
      {"A=\"b\nc\"", "b\nc"},
      {"A=\"b\\\nc\"", "bc"},
      {"A='b \" $c \\'", "b \" $c \\"},
      {"A='b'\"c\"d", "bcd"},
      {"A=\"b\" c \"d\"", "bc \"d\""},
      {"A=b\"c\"", "b\"c\""},
      {"A=it's", "it's"},
      {"A=${B}", "${B}"},
      {"A=\"b", NULL},
      {"export A=b", NULL},
      {"A", NULL},
  };
  (void)state;
  CHECK(pairs, DR_ENV_SYSTEMD);
}

static void docker_run_takes_the_line_as_it_stands(void **state) {
  static const pair pairs[] = {
      {"A=b", "b"},        {"A='b'", "'b'"}, {"A= b # c ", " b # c "}, {"A=$B\"\r\nC=1", "$B\""},
      {"# A=1\nA=2", "2"}, {"A =b", NULL},   {"A\nB=1", absent},       {"A.B=1", absent},
      {"=1", NULL},
  };
  (void)state;
  CHECK(pairs, DR_ENV_DOCKER);
}

static void an_error_names_the_line_and_never_a_value(void **state) {
  static const char text[] = "A=1\nB=\"x\ny\"\nC='hidden value";
  dr_err err = DR_ERR_INIT;
  (void)state;
  assert_null(dr__env_file_parse(text, strlen(text), DR_ENV_COMPOSE, &err));
  assert_string_equal(err.message, "line 4: the quote ' is not closed");
  dr_err_clear(&err);
  assert_null(dr__env_file_parse("A=1\0B=2", 7, DR_ENV_COMPOSE, &err));
  assert_string_equal(err.code, "env_file.syntax");
  dr_err_clear(&err);
}

static void what_is_written_is_read_again(void **state) {
  static const char *const values[] = {"",         "b",   "b c",     "it's",  "a \"b\"", "#x",
                                       "a\nb\n",   "\\n", "a\\",     " a ",   "`x`",     "p@ss;w%",
                                       "\xC3\xA4", "=",   "a\tb\rc", "${B}x", "$$",      "'",
                                       "\"'\"",    "a#b", "$",       "b c\\"};
  static const dr_env_dialect dialects[] = {DR_ENV_COMPOSE, DR_ENV_SYSTEMD, DR_ENV_DOCKER,
                                            DR_ENV_COMPOSE_V1};
  (void)state;
  for (size_t d = 0; d < DR_ENV_DIALECTS; d++) {
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
      dr_err err = DR_ERR_INIT;
      json_t *variables = json_pack("[{s:s, s:s}, {s:s, s:s}]", "name", "A", "value", values[i],
                                    "name", "Z", "value", "1");
      char *text = dr__env_file_format(variables, dialects[d], &err);
      json_decref(variables);
      if (!text) {
        assert_string_equal(err.code, "env_file.format");
        dr_err_clear(&err);
        assert_true(dialects[d] != DR_ENV_SYSTEMD);
        continue;
      }
      char *value = value_of_a(text, dialects[d], &err);
      if (!value || strcmp(value, values[i]) != 0)
        fail_msg("dialect %zu: \"%s\" was written as %s and read as %s", d, values[i], text,
                 value ? value : err.message);
      free(value);
      free(text);
    }
  }
}

static void what_no_dialect_can_say_is_refused_by_name(void **state) {
  dr_err err = DR_ERR_INIT;
  (void)state;
  json_t *both = json_pack("[{s:s, s:s}]", "name", "A", "value", "it's $5");
  assert_null(dr__env_file_format(both, DR_ENV_COMPOSE, &err));
  assert_string_equal(err.code, "env_file.format");
  assert_non_null(strstr(err.message, "the variable A"));
  assert_null(strstr(err.message, "$5"));
  json_decref(both);
  dr_err_clear(&err);
  json_t *braces = json_pack("[{s:s, s:s}]", "name", "A", "value", "${B}");
  assert_null(dr__env_file_format(braces, DR_ENV_COMPOSE, &err));
  json_decref(braces);
  dr_err_clear(&err);
  json_t *end = json_pack("[{s:s, s:s}]", "name", "A", "value", "b c's\\");
  assert_null(dr__env_file_format(end, DR_ENV_COMPOSE, &err));
  json_decref(end);
  dr_err_clear(&err);
  json_t *name = json_pack("[{s:s, s:s}]", "name", "A B", "value", "x");
  assert_null(dr__env_file_format(name, DR_ENV_SYSTEMD, &err));
  json_decref(name);
  dr_err_clear(&err);
}

static void keys_are_known_by_name_or_by_a_url_with_a_password(void **state) {
  (void)state;
  assert_true(dr__env_file_is_secret("SECRET_KEY", "x"));
  assert_true(dr__env_file_is_secret("db_password", "x"));
  assert_true(dr__env_file_is_secret("DATABASE_URL", "postgres://u:p@h/db"));
  assert_false(dr__env_file_is_secret("DATABASE_URL", "postgres://u@h/db"));
  assert_false(dr__env_file_is_secret("URL", "https://h:8000/a@b"));
  assert_false(dr__env_file_is_secret("DB_USER", "postgres"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(compose_2_reads_quotes_escapes_and_comments),
      cmocka_unit_test(compose_2_puts_variables_in),
      cmocka_unit_test(what_stands_in_itself_too_deep_is_refused),
      cmocka_unit_test(compose_1_reads_what_python_dotenv_reads),
      cmocka_unit_test(systemd_reads_its_own_quotes_and_continuations),
      cmocka_unit_test(docker_run_takes_the_line_as_it_stands),
      cmocka_unit_test(an_error_names_the_line_and_never_a_value),
      cmocka_unit_test(what_is_written_is_read_again),
      cmocka_unit_test(what_no_dialect_can_say_is_refused_by_name),
      cmocka_unit_test(keys_are_known_by_name_or_by_a_url_with_a_password),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
