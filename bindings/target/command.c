/* command.c - from a view and a command to the words a transport runs, and to the line a person
 * reads.
 *
 * Pure: no I/O, no Lua, any thread. Called by exec_op.c, lock.c and the previews of ops; fuzzed.
 *
 * A view may lie within another (a service within a host). Composing starts with the command's
 * words in the innermost view and wraps outwards:
 *
 *     [words that lead in] [sudo -n -u USER --] [sh -c 'SCRIPT exec "$@"' sh] [env A=b] command
 *
 * The SCRIPT enters the folder and reads the secrets from standard input, one line each, outermost
 * view first, before the command takes over the rest of it. It stands inside sudo and inside the
 * container, because sudo's env_reset and the container's boundary would lose what was set outside;
 * and `read`, a builtin of the shell, takes no byte beyond its line from a pipe. On the machine
 * itself without sudo the transport sets folder and plain environment, so that no shell stands
 * between.
 */
#include "target.h"

#include "core/err.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What building a command gathers on the way from the innermost view to the machine. */
typedef struct builder {
  json_t *words;   /* array, owned */
  json_t *secrets; /* array of values, in the order they are read; owned */
  dr_secret_in secret_in;
  void *data;
  dr_err *err;
} builder;

/* ------------------------------------------------------------ quoting */

static bool is_reserved(const char *word) {
  static const char *const reserved[] = {"if",     "then",     "else", "elif",  "fi",    "do",
                                         "done",   "case",     "esac", "while", "for",   "until",
                                         "select", "function", "time", "in",    "coproc"};
  for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
    if (strcmp(word, reserved[i]) == 0) return true;
  return false;
}

/* True when a POSIX shell takes the word as it stands. The first word of a line must also not look
 * like an assignment or be a word of the language. */
static bool is_plain(const char *word, bool first) {
  static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                             "_@%+=:,./-";
  if (word[0] == '\0' || word[0] == '=' || word[strspn(word, safe)] != '\0') return false;
  return !first || (!strchr(word, '=') && !is_reserved(word));
}

static void add_quoted(dr_text *text, const char *word) {
  dr__text_puts(text, "'");
  for (const char *quote; (quote = strchr(word, '\'')); word = quote + 1) {
    dr__text_add(text, word, (size_t)(quote - word));
    dr__text_puts(text, "'\\''");
  }
  dr__text_puts(text, word);
  dr__text_puts(text, "'");
}

static void add_word(dr_text *text, const char *word, bool first) {
  if (is_plain(word, first))
    dr__text_puts(text, word);
  else
    add_quoted(text, word);
}

static void add_words(dr_text *text, const json_t *words) {
  for (size_t i = 0; i < json_array_size(words); i++) {
    if (i > 0) dr__text_puts(text, " ");
    add_word(text, json_string_value(json_array_get(words, i)), i == 0);
  }
}

/* A path as a program takes it: "~/" stays outside the quotes, so that the far side's shell expands
 * it; a leading '-' is no option. */
static void add_folder(dr_text *text, const char *folder) {
  if (strcmp(folder, "~") == 0) {
    dr__text_puts(text, folder);
  } else if (strncmp(folder, "~/", 2) == 0) {
    dr__text_puts(text, "~/");
    if (folder[2]) add_word(text, folder + 2, false);
  } else {
    dr__text_puts(text, folder[0] == '-' ? "./" : "");
    add_word(text, folder, false);
  }
}

static void add_cd(dr_text *text, const char *folder) {
  dr__text_puts(text, "cd ");
  add_folder(text, folder);
  dr__text_printf(text, " || { echo '%s' >&2; exit %d; }; ", DR_NO_FOLDER_MARK, DR_NOT_BEGUN);
}

char *dr__folder_quote(const char *path) {
  dr_text text = {0};
  add_folder(&text, path);
  return dr__text_take(&text);
}

char *dr__shell_quote(const json_t *argv) {
  dr_text text = {0};
  add_words(&text, argv);
  return dr__text_take(&text);
}

void dr__command_name(const json_t *command, char *buffer, size_t size) {
  char *line =
      json_is_string(command) ? strdup(json_string_value(command)) : dr__shell_quote(command);
  char text[120];
  dr__copy_text(text, sizeof text, line ? line : "the command");
  text[strcspn(text, "\n")] = '\0';
  bool cut = line && strlen(line) > strlen(text);
  snprintf(buffer, size, "\"%s%s\"", text, cut ? " …" : "");
  free(line);
}

/* ------------------------------------------------------------ building */

/* The name of a secret in it, or NULL. */
static const char *holds_secret(const builder *b, const char *value) {
  return b->secret_in ? b->secret_in(value, b->data) : NULL;
}

/* A string that a process can be given: no zero byte inside. */
static bool is_word(const json_t *value) {
  return json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value);
}

/* The command's own words as a new array, or NULL with err filled. No command is one there was no
 * memory to write. */
static json_t *command_words(const json_t *command, dr_err *err) {
  if (!command) {
    dr__err_nomem(err);
    return NULL;
  }
  bool whole = json_is_string(command) ? is_word(command) : json_array_size(command) > 0;
  for (size_t i = 0; whole && i < json_array_size(command); i++)
    whole = is_word(json_array_get(command, i));
  if (!whole) {
    dr__fail(err, "command.argument",
             "a command is a string, or a list of strings that begins with "
             "the program; a zero byte is not allowed in it");
    return NULL;
  }
  json_t *words = json_is_string(command)
                      ? json_pack("[s, s, O]", "/bin/sh", "-c", (json_t *)command)
                      : json_copy((json_t *)command);
  if (!words) dr__err_nomem(err);
  return words;
}

/* Puts `front` (array, reference taken over; NULL is out of memory) before the words gathered so
 * far. */
static int put_before(builder *b, json_t *front) {
  if (!front || json_array_extend(front, b->words) != 0) {
    json_decref(front);
    return dr__err_nomem(b->err);
  }
  json_decref(b->words);
  b->words = front;
  return DR_OK;
}

static size_t count_lines(const char *value) {
  size_t lines = 1;
  for (; (value = strchr(value, '\n')); value++) lines++;
  return lines;
}

/* Adds the reading of one secret. A value of several lines is read by a loop: `read` takes one
 * line. */
static void add_read(dr_text *script, const char *name, const char *value) {
  size_t lines = count_lines(value);
  dr__text_printf(script, "IFS= read -r %s || exit %d; ", name, DR_NOT_BEGUN);
  if (lines > 1)
    dr__text_printf(script,
                    "dr_n=%zu; while [ $dr_n -gt 0 ]; do IFS= read -r dr_l || exit %d; "
                    "%s=\"$%s\n$dr_l\"; dr_n=$((dr_n-1)); done; ",
                    lines - 1, DR_NOT_BEGUN, name, name);
  dr__text_printf(script, "export %s; ", name);
}

/* Sorts a view's environment: `plain` gets what may be seen as an object; for each secret the
 * script gets its reading, and `secrets` its value. */
static int sort_env(builder *b, const json_t *env, json_t *plain, json_t *secrets,
                    dr_text *script) {
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)env, name, value) {
    if (!dr__env_name_ok(name))
      return dr__fail(b->err, "command.argument", "\"%s\" is no name for an environment variable",
                      name);
    if (!is_word(value))
      return dr__fail(b->err, "command.argument",
                      "the environment variable %s must be a string without a zero byte", name);
    if (!holds_secret(b, json_string_value(value))) {
      if (json_object_set(plain, name, value) != 0) return dr__err_nomem(b->err);
      continue;
    }
    add_read(script, name, json_string_value(value));
    if (json_array_append(secrets, value) != 0) return dr__err_nomem(b->err);
  }
  return DR_OK;
}

/* Puts the plain environment before the words: by env(1), or in the script where env(1) would take
 * the program's name for an assignment or where there is a shell anyway. */
static int put_env(builder *b, const json_t *plain, dr_text *script) {
  if (json_object_size(plain) == 0) return DR_OK;
  const char *program = json_string_value(json_array_get(b->words, 0));
  bool by_script = script->length > 0 || strchr(program, '=');
  json_t *front = by_script ? NULL : json_pack("[s]", "env");
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)plain, name, value) {
    if (by_script) {
      dr__text_printf(script, "export %s=", name);
      add_word(script, json_string_value(value), false);
      dr__text_puts(script, "; ");
    } else if (json_array_append_new(front,
                                     json_sprintf("%s=%s", name, json_string_value(value))) != 0) {
      json_decref(front);
      return dr__err_nomem(b->err);
    }
  }
  return by_script ? DR_OK : put_before(b, front);
}

static int put_script(builder *b, dr_text *script) {
  if (script->length == 0 && !script->failed) return DR_OK;
  dr__text_puts(script, "exec \"$@\"");
  char *text = dr__text_take(script);
  if (!text) return dr__err_nomem(b->err);
  json_t *front = json_pack("[s, s, s, s]", "sh", "-c", text, "sh");
  free(text);
  return put_before(b, front);
}

static int put_sudo(builder *b, const dr_target *view) {
  if (!view->sudo) return DR_OK;
  if (!view->user) return put_before(b, json_pack("[s, s, s]", "sudo", "-n", "--"));
  return put_before(b, json_pack("[s, s, s, s, s]", "sudo", "-n", "-u", view->user, "--"));
}

/* Reads of an outer view come before those of an inner one. */
static int put_secrets_before(builder *b, json_t *secrets) {
  if (json_array_extend(secrets, b->secrets) != 0) return dr__err_nomem(b->err);
  json_array_clear(b->secrets);
  return json_array_extend(b->secrets, secrets) == 0 ? DR_OK : dr__err_nomem(b->err);
}

/* Wraps the words in one view. On the machine itself without sudo, folder and plain environment are
 * left to the transport: *out has them. */
static int wrap(builder *b, const dr_target *view, json_t *plain, json_t *secrets,
                dr_command *out) {
  bool bare = !view->within && !view->sudo;
  dr_text script = {0};
  if (view->cwd && !bare) add_cd(&script, view->cwd);
  int status = sort_env(b, view->env, plain, secrets, &script);
  if (status == DR_OK && bare) {
    out->cwd = view->cwd;
    out->env = json_object_size(plain) > 0 ? json_incref(plain) : NULL;
  } else if (status == DR_OK) {
    status = put_env(b, plain, &script);
  }
  if (status == DR_OK) status = put_script(b, &script);
  if (status == DR_OK) status = put_sudo(b, view);
  if (status == DR_OK) status = put_secrets_before(b, secrets);
  if (status == DR_OK && view->within) status = put_before(b, json_copy(view->enter));
  dr__text_free(&script);
  return status;
}

static int wrap_all(builder *b, const dr_target *view, dr_command *out) {
  int status = DR_OK;
  for (; view && status == DR_OK; view = view->within) {
    json_t *plain = json_object();
    json_t *secrets = json_array();
    status = plain && secrets ? wrap(b, view, plain, secrets, out) : dr__err_nomem(b->err);
    json_decref(plain);
    json_decref(secrets);
  }
  return status;
}

/* Joins the secrets' lines and the caller's input in one allocation, so that no copy is left behind
 * by a growing buffer. */
static int join_input(dr_command *out, const json_t *secrets, const char *input, size_t length,
                      dr_err *err) {
  size_t total = length;
  for (size_t i = 0; i < json_array_size(secrets); i++)
    total += json_string_length(json_array_get(secrets, i)) + 1;
  if (total == 0) return DR_OK;
  char *at = out->input = malloc(total);
  if (!at) return dr__err_nomem(err);
  out->input_length = total;
  for (size_t i = 0; i < json_array_size(secrets); i++) {
    const json_t *value = json_array_get(secrets, i);
    memcpy(at, json_string_value(value), json_string_length(value));
    at += json_string_length(value);
    *at++ = '\n';
  }
  if (length > 0) memcpy(at, input, length);
  return DR_OK;
}

/* The last line of defence: whatever a view or an op was given, no word holds a secret. */
static int refuse_secrets(const builder *b, const dr_command *command) {
  const char *name = command->cwd ? holds_secret(b, command->cwd) : NULL;
  const char *where = name ? "the command's folder" : "the command";
  for (size_t i = 0; !name && i < json_array_size(command->argv); i++)
    name = holds_secret(b, json_string_value(json_array_get(command->argv, i)));
  if (!name) return DR_OK;
  dr__fail(b->err, "secret.in_command",
           "%s holds the secret %s, which every process list would show", where, name);
  dr__err_hint(b->err,
               "give it to the command in an environment variable: target:env{NAME = secret}"
               ":run(…), or by standard input: stdin = secret; a variable of an env file that is "
               "no secret is read with plain = { \"%s\" }",
               name);
  return DR_FAILED;
}

int dr__command_build(dr_command *out, const dr_target *target, const json_t *command,
                      const char *input, size_t input_length, dr_secret_in secret_in, void *data,
                      dr_err *err) {
  *out = (dr_command){0};
  builder b = {.secret_in = secret_in, .data = data, .err = err};
  b.words = command_words(command, err);
  if (!b.words) return DR_FAILED;
  b.secrets = json_array();
  int status = b.secrets ? wrap_all(&b, target, out) : dr__err_nomem(err);
  out->argv = b.words;
  if (status == DR_OK) status = refuse_secrets(&b, out);
  if (status == DR_OK) status = join_input(out, b.secrets, input, input_length, err);
  json_decref(b.secrets);
  if (status != DR_OK) dr__command_clear(out);
  return status;
}

void dr__command_clear(dr_command *command) {
  json_decref(command->argv);
  json_decref(command->env);
  if (command->input) explicit_bzero(command->input, command->input_length);
  free(command->input);
  *command = (dr_command){0};
}

char *dr__command_line(const dr_command *command) {
  dr_text text = {0};
  if (command->cwd) add_cd(&text, command->cwd);
  const char *name;
  json_t *value;
  json_object_foreach(command->env, name, value) {
    dr__text_printf(&text, "export %s=", name);
    add_word(&text, json_string_value(value), false);
    dr__text_puts(&text, "; ");
  }
  /* exec: the shell does not stay, so that a signal reaches the program and its end is its own. */
  dr__text_puts(&text, "exec ");
  add_words(&text, command->argv);
  return dr__text_take(&text);
}

/* ------------------------------------------------------------ previewing */

/* `A=b ` of the environment. The gate masks a secret where it finds it as it is; one that quoting
 * would change is not shown. */
static void add_preview_env(dr_text *text, const json_t *env, dr_secret_in secret_in, void *data) {
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)env, name, value) {
    const char *string = json_string_value(value);
    bool hidden = secret_in && strpbrk(string, "'\n") && secret_in(string, data);
    dr__text_printf(text, "%s=", name);
    if (hidden)
      dr__text_puts(text, "[secret]");
    else
      add_word(text, string, false);
    dr__text_puts(text, " ");
  }
}

/* The command inside one view: `cd DIR && sudo -u USER A=b WORDS`. */
static void add_preview_view(dr_text *text, const dr_target *view, const json_t *command,
                             dr_secret_in secret_in, void *data) {
  if (view->cwd) {
    dr__text_puts(text, "cd ");
    add_folder(text, view->cwd);
    dr__text_puts(text, " && ");
  }
  if (view->sudo) dr__text_puts(text, "sudo ");
  if (view->sudo && view->user) {
    dr__text_puts(text, "-u ");
    add_word(text, view->user, false);
    dr__text_puts(text, " ");
  }
  add_preview_env(text, view->env, secret_in, data);
  bool wrapped = view->sudo || json_object_size(view->env) > 0;
  if (json_is_string(command) && wrapped) dr__text_puts(text, "sh -c ");
  if (json_is_string(command) && wrapped)
    add_quoted(text, json_string_value(command));
  else if (json_is_string(command))
    dr__text_puts(text, json_string_value(command));
  else
    add_words(text, command);
}

/* What the outer view is seen to run: the words that lead in, and then either the words themselves
 * or, where a folder or an environment is set inside, a shell line. */
static json_t *preview_outer(const dr_target *view, const json_t *command, const char *line) {
  json_t *words = json_copy(view->enter);
  bool exact = json_is_array(command) && !view->cwd && !view->sudo && !json_object_size(view->env);
  json_t *inner = exact ? json_copy((json_t *)command) : json_pack("[s, s, s]", "sh", "-c", line);
  bool joined = words && inner && json_array_extend(words, inner) == 0;
  json_decref(inner);
  if (joined) return words;
  json_decref(words);
  return NULL;
}

char *dr__command_preview(const dr_target *target, const json_t *command, dr_secret_in secret_in,
                          void *data) {
  dr_text text = {0};
  add_preview_view(&text, target, command, secret_in, data);
  char *line = dr__text_take(&text);
  if (!target->within || !line) return line;
  json_t *outer = preview_outer(target, command, line);
  free(line);
  line = outer ? dr__command_preview(target->within, outer, secret_in, data) : NULL;
  json_decref(outer);
  return line;
}
