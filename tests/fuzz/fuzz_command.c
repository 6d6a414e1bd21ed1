/* Commands: whatever the words, a POSIX shell that reads the quoted line finds the same words, and
 * a secret is never among what a process list shows. The input is the words, with zero bytes
 * between them. */
#include "target/target.h"

#include "core/err.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char *secret_in(const char *value, void *data) {
  (void)data;
  return strstr(value, "hush") ? "HUSH" : NULL;
}

static json_t *read_words(const uint8_t *input, size_t size) {
  json_t *words = json_array();
  for (size_t at = 0; at < size;) {
    const char *word = (const char *)input + at;
    size_t length = strnlen(word, size - at);
    json_t *text = json_stringn(word, length); /* NULL: not UTF-8 */
    if (text) json_array_append_new(words, text);
    at += length + 1;
  }
  return words;
}

/* What means nothing to any shell, wherever it stands. */
static const char safe[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+:,./-=";

/* Reads one word as a shell does, of the quoting that is used: plain, '…' and \'. */
static const char *unquote(const char *at, char *word) {
  while (*at != '\0' && *at != ' ') {
    if (*at == '\'') {
      const char *end = strchr(at + 1, '\'');
      if (!end) abort();
      memcpy(word, at + 1, (size_t)(end - at - 1));
      word += end - at - 1;
      at = end + 1;
    } else {
      bool escaped = *at == '\\';
      if (escaped) at++;
      if (*at == '\0' || (!escaped && !strchr(safe, *at))) abort();
      *word++ = *at++;
    }
  }
  *word = '\0';
  return *at == ' ' ? at + 1 : at;
}

static void check_quoting(const json_t *words) {
  char *line = dr__shell_quote(words);
  char *word = line ? malloc(strlen(line) + 1) : NULL;
  const char *at = line;
  size_t i;
  const json_t *text;
  if (!word) abort();
  json_array_foreach(words, i, text) {
    at = unquote(at, word);
    if (strcmp(word, json_string_value(text)) != 0) abort();
  }
  if (*at != '\0') abort();
  free(word);
  free(line);
}

static void check_secrecy(const dr_target *view, const json_t *words) {
  dr_command command;
  dr_err err = DR_ERR_INIT;
  if (dr__command_build(&command, view, words, NULL, 0, secret_in, NULL, &err) == DR_OK) {
    char *argv = json_dumps(command.argv, 0);
    char *env = command.env ? json_dumps(command.env, 0) : NULL;
    if (!argv || secret_in(argv, NULL) || (env && secret_in(env, NULL))) abort();
    free(argv);
    free(env);
  } else if (!err.code[0]) {
    abort();
  }
  dr__command_clear(&command);
  char *preview = dr__command_preview(view, words, secret_in, NULL);
  free(preview);
  dr_err_clear(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  static dr_transport transport = {.references = 1, .name = "web1"};
  json_t *words = read_words(input, size);
  if (json_array_size(words) > 0) {
    const char *first = json_string_value(json_array_get(words, 0));
    json_t *env = json_pack("{s:s}", "A", first);
    dr_target *plain = dr__target_new(&transport, "web1");
    dr_target *folder = dr__target_cd(plain, first);
    dr_target *sudo = dr__target_sudo(folder, size % 2 ? "deploy" : NULL);
    dr_target *full = dr__target_env(sudo, env);
    check_quoting(words);
    check_secrecy(plain, words);
    if (!secret_in(first, NULL)) check_secrecy(full, words);
    dr__target_unref(full);
    dr__target_unref(sudo);
    dr__target_unref(folder);
    dr__target_unref(plain);
    json_decref(env);
  }
  json_decref(words);
  return 0;
}
