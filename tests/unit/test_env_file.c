/* test_env_file.c - env files in the dialects of compose, systemd and docker run. */
#include "env_file.h"

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
    if (pairs[i].value) {
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

static void compose_reads_quotes_escapes_and_comments(void **state) {
  static const pair pairs[] = {
      {"A=b", "b"},
      {"A=", ""},
      {"  export A = b  \r\n", "b"},
      {"\xEF\xBB\xBF"
       "A=b",
       "b"},
      {"A=b c # d", "b c"},
      {"A=b#c", "b#c"},
      {"A=# c", ""},
      {"A='b # $c \\n'", "b # $c \\n"},
      {"A=\"b\\nc \\\" \\\\ \\$d\" # e", "b\nc \" \\ $d"},
      {"A=\"b\nc\"\nB=1", "b\nc"},
      {"A='b\nc'", "b\nc"},
      {"A=1\nA=2", "2"},
      {"# A=1\n\nA=2", "2"},
      {"B=x\nA=$B-${B}-${C:-d}-${B:-e}", "x-x-d-x"},
      {"B=\nA=${B:-d}${B-e}", "d"},
      {"A=$$b $", "$b $"},
      {"A=${b", "${b"},
      {"A='b", NULL},
      {"A=\"b\\\"", NULL},
      {"A='b' c", NULL},
      {"A", NULL},
      {"A b=c", NULL},
      {"1A=c", NULL},
      {"=c", NULL},
      {"A-B=c", NULL},
  };
  (void)state;
  CHECK(pairs, DR_ENV_COMPOSE);
}

static void systemd_reads_its_own_quotes_and_continuations(void **state) {
  static const pair pairs[] = {
      {"A=b", "b"},
      {"A= b c  ", "b c"},
      {"A=b # c", "b # c"},
      {"; A=1\n# A=2\nA=3", "3"},
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
      {"# A=1\nA=2", "2"}, {"A =b", NULL},
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
                                       "\"'\"",    "a#b", "$"};
  static const dr_env_dialect dialects[] = {DR_ENV_COMPOSE, DR_ENV_SYSTEMD, DR_ENV_DOCKER};
  (void)state;
  for (size_t d = 0; d < 3; d++) {
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
      cmocka_unit_test(compose_reads_quotes_escapes_and_comments),
      cmocka_unit_test(systemd_reads_its_own_quotes_and_continuations),
      cmocka_unit_test(docker_run_takes_the_line_as_it_stands),
      cmocka_unit_test(an_error_names_the_line_and_never_a_value),
      cmocka_unit_test(what_is_written_is_read_again),
      cmocka_unit_test(what_no_dialect_can_say_is_refused_by_name),
      cmocka_unit_test(keys_are_known_by_name_or_by_a_url_with_a_password),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
