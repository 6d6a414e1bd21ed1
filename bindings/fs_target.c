/* fs_target.c - writing a file on a target, and asking about one: the ops target.write and
 * target.stat.
 *
 * Called by the gate on the runtime's thread. Each is one shell script run in the op's view, so
 * that sudo, a folder and a container work as for any command. The text goes by standard input.
 */
#include "fs.h"

#include "core/err.h"
#include "sha256.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const dr_arg dr__fs_write_args[] = {{"path", DR_ARG_STRING, DR_REQUIRED},
                                    {"text", DR_ARG_STRING, DR_REQUIRED},
                                    {"mode", DR_ARG_STRING, 0},
                                    {0}};

enum { NO_CHANGE = 3, CUT_OFF = 4, TIMEOUT_SECONDS = 120 };

/* $f is set before. A symbolic link is followed. The new file is written beside the old one, with
 * the old one's mode and owner unless told otherwise, made durable, and moved over it: whoever
 * reads sees the old or the new text, and a connection that is cut leaves the old one, because the
 * length is checked first. */
static const char write_script[] =
    "l=$1; m=$2\n"
    "[ ! -L \"$f\" ] || f=$(readlink -f -- \"$f\")\n"
    "d=$(dirname -- \"$f\"); umask 077\n"
    "t=$(mktemp \"$d/.deployrun.XXXXXX\") || exit 1\n"
    "trap 'rm -f \"$t\"' EXIT\n"
    "trap 'exit 1' TERM HUP INT\n"
    "cat >\"$t\" || exit 1\n"
    "[ \"$(wc -c <\"$t\")\" -eq \"$l\" ] || exit 4\n"
    "if [ -e \"$f\" ]; then\n"
    "  o=$(stat -c %a -- \"$f\"); [ -n \"$m\" ] || m=$o\n"
    "  if [ \"${o#0}\" = \"${m#0}\" ] && cmp -s \"$t\" \"$f\"; then exit 3; fi\n"
    "  chown \"$(stat -c %u:%g -- \"$f\")\" \"$t\" 2>/dev/null\n"
    "fi\n"
    "chmod \"${m:-644}\" \"$t\" || exit 1\n"
    "sync \"$t\" 2>/dev/null || sync\n"
    "mv -f -- \"$t\" \"$f\" || exit 1\n"
    "sync \"$d\" 2>/dev/null\n"
    "exit 0\n";

static const char stat_script[] = "[ -e \"$f\" ] || [ -L \"$f\" ] || exit 3\n"
                                  "stat -L -c '%f %s %Y %a %U %G' -- \"$f\" 2>/dev/null || stat -c "
                                  "'%f %s %Y %a %U %G' -- \"$f\"\n";

json_t *dr__fs_script(const char *path, const char *script, json_t *words) {
  char *quoted = dr__folder_quote(path);
  dr_text text = {0};
  dr__text_printf(&text, "f=%s\n%s", quoted ? quoted : "", script);
  char *line = dr__text_take(&text);
  json_t *command =
      quoted && line ? json_pack("[s, s, o, s]", "/bin/sh", "-c", json_string_nocheck(line), "sh")
                     : NULL; /* a file's name may be any bytes */
  int failed = command && words ? json_array_extend(command, words) : -1;
  free(quoted);
  free(line);
  json_decref(words);
  if (failed == 0) return command;
  json_decref(command);
  return NULL;
}

static json_t *script_command(const dr_op *op, const char *script, json_t *words) {
  return dr__fs_script(dr__arg_string(op, "path", ""), script, words);
}

static int check_path(const dr_op *op, dr_err *err) {
  const json_t *path = dr__arg(op, "path");
  if (json_string_length(path) > 0 && strlen(json_string_value(path)) == json_string_length(path))
    return DR_OK;
  return dr__fail(err, "recipe.argument", "%s needs a path without a zero byte", op->spec->name);
}

/* ------------------------------------------------------------ target.write */

/* The beginning of the text's hash is shown: a change of the text is a change of the plan. */
char *dr__fs_preview_write(const dr_op *op) {
  char hex[65];
  dr_sha256 hash;
  char *line = NULL;
  const json_t *text = dr__arg(op, "text");
  const char *mode = dr__arg_string(op, "mode", NULL);
  const char *cwd = op->target->cwd;
  const char *path = dr__arg_string(op, "path", "");
  bool relative = cwd && path[0] != '/' && path[0] != '~';
  dr__sha256_init(&hash);
  dr__sha256_add(&hash, json_string_value(text), json_string_length(text));
  dr__sha256_hex(&hash, hex);
  int length = asprintf(&line, "write %s%s%s (%zu bytes, sha256 %.12s…%s%s)", relative ? cwd : "",
                        relative ? "/" : "", path, json_string_length(text), hex,
                        mode ? ", mode " : "", mode ? mode : "");
  return length < 0 ? NULL : line;
}

json_t *dr__fs_assume_write(const dr_op *op) {
  (void)op;
  return json_pack("{s:b}", "changed", 1);
}

static json_t *parse_write(dr_op *op, int status, json_t *result, dr_err *err) {
  json_decref(result);
  if (status == 0 || status == NO_CHANGE) return json_pack("{s:b}", "changed", status == 0);
  dr__exec_failed(op, status, err);
  dr__copy_text(err->code, sizeof err->code, "fs.failed");
  snprintf(err->message, sizeof err->message, "%.800s could not be written%s",
           dr__arg_string(op, "path", ""),
           status == CUT_OFF ? ": the text did not arrive whole" : "");
  return NULL;
}

bool dr__fs_mode_ok(const char *mode) {
  size_t length = strlen(mode);
  return strspn(mode, "01234567") == length && (length == 0 || length == 3 || length == 4);
}

int dr__fs_check_write(const dr_op *op, dr_err *err) {
  if (dr__fs_mode_ok(dr__arg_string(op, "mode", ""))) return DR_OK;
  return dr__fail(err, "recipe.argument", ":write: mode is three or four octal digits, \"0644\"");
}

int dr__fs_start_write(dr_op *op, dr_err *err) {
  const json_t *text = dr__arg(op, "text");
  const char *mode = dr__arg_string(op, "mode", "");
  if (check_path(op, err) != DR_OK) return DR_FAILED;
  json_t *size = json_sprintf("%zu", json_string_length(text));
  json_t *words = json_pack("[o, s]", size, mode);
  dr_exec_spec spec = {.command = script_command(op, write_script, words),
                       .timeout = TIMEOUT_SECONDS,
                       .input = json_string_value(text),
                       .input_length = json_string_length(text),
                       .any_status = true,
                       .quiet = true,
                       .parse = parse_write};
  return dr__exec_op(op, &spec, err);
}

/* ------------------------------------------------------------ target.stat */

char *dr__fs_preview_stat(const dr_op *op) {
  char *text = NULL;
  return asprintf(&text, "stat %s", dr__arg_string(op, "path", "")) < 0 ? NULL : text;
}

static const char *type_of(unsigned long mode) {
  switch (mode & 0170000) {
  case 0100000: return "file";
  case 0040000: return "folder";
  case 0120000: return "link";
  default: return "other";
  }
}

/* The next word of a line as a JSON string; moves *at behind it. NULL when there is none. */
static json_t *next_word(const char **at) {
  const char *word = *at + strspn(*at, " ");
  size_t length = strcspn(word, " \n");
  *at = word + length;
  return length > 0 ? json_stringn_nocheck(word, length) : NULL;
}

/* The next number of a line, of a base; moves *at behind it. False when there is none. */
static bool next_number(const char **at, int base, long long *out) {
  char *end = NULL;
  *out = strtoll(*at, &end, base);
  bool found = end != *at && *end == ' ';
  *at = end;
  return found;
}

/* "81a4 6 1700000000 644 root root" as {found, type, size, mtime, mode, owner, group}; NULL when it
 * is not, so that other words are never taken for an answer. */
static json_t *read_stat(const char *line) {
  long long mode, size, mtime;
  const char *at = line;
  if (!next_number(&at, 16, &mode) || !next_number(&at, 10, &size) || !next_number(&at, 10, &mtime))
    return NULL;
  json_t *bits = next_word(&at);
  json_t *owner = next_word(&at);
  json_t *group = next_word(&at);
  return json_pack("{s:b, s:s, s:I, s:I, s:o, s:o, s:o}", "found", 1, "type",
                   type_of((unsigned long)mode), "size", (json_int_t)size, "mtime",
                   (json_int_t)mtime, "mode", bits, "owner", owner, "group", group);
}

static json_t *parse_stat(dr_op *op, int status, json_t *result, dr_err *err) {
  json_decref(result);
  if (status == NO_CHANGE) return json_pack("{s:b}", "found", 0);
  json_t *info = status == 0 ? read_stat(dr__exec_text(op, 1)) : NULL;
  if (!info && status == 0)
    dr__fail(err, "fs.failed", "what stat says of %.400s is no answer: \"%.200s\"",
             dr__arg_string(op, "path", ""), dr__exec_text(op, 1));
  else if (!info)
    dr__exec_failed(op, status, err);
  return info;
}

json_t *dr__fs_assume_stat(const dr_op *op) {
  (void)op;
  return json_pack("{s:b, s:s, s:i, s:i, s:s, s:s, s:s}", "found", 1, "type", "file", "size", 0,
                   "mtime", 0, "mode", "644", "owner", "", "group", "");
}

int dr__fs_start_stat(dr_op *op, dr_err *err) {
  if (check_path(op, err) != DR_OK) return DR_FAILED;
  dr_exec_spec spec = {.command = script_command(op, stat_script, json_array()),
                       .timeout = TIMEOUT_SECONDS,
                       .any_status = true,
                       .quiet = true,
                       .parse = parse_stat};
  return dr__exec_op(op, &spec, err);
}
