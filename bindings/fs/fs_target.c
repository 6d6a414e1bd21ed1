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
#include "transfer/transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const dr_arg dr__fs_write_args[] = {{"path", DR_ARG_STRING, DR_REQUIRED},
                                    {"text", DR_ARG_STRING, DR_REQUIRED},
                                    {"mode", DR_ARG_STRING, 0},
                                    {"owner", DR_ARG_STRING, 0},
                                    {0}};

enum { NO_CHANGE = 3, CUT_OFF = 4, TIMEOUT_SECONDS = 120 };

/* $1 length, $2 mode or "", $3 owner or "". Standard input: the hash as a line, as arguments can be
 * seen by others, then the text. $f is set before. A symbolic link is followed.
 * The new file is written beside the old one, with the old one's mode and owner unless told
 * otherwise, verified, made durable, and moved over it: whoever reads sees the old or the new text,
 * and a connection that is cut leaves the old one. Ends as uploads do (transfer.h), but for 1, 3
 * and 4. */
static const char write_script[] =
    "LC_ALL=C; export LC_ALL; l=$1; m=$2; owner=$3\n"
    "IFS= read -r hash || exit 4\n" DR_TRANSFER_SUM DR_TRANSFER_MAY_OWN
    "[ ! -L \"$f\" ] || f=$(readlink -f -- \"$f\")\n"
    "[ ! -d \"$f\" ] || exit 21\n"
    "[ ! -e \"$f\" ] || [ -f \"$f\" ] || exit 24\n"
    "d=$(dirname -- \"$f\"); umask 077\n"
    "if [ -f \"$f\" ]; then\n"
    "  o=$(stat -c %a -- \"$f\") && i=$(stat -c %u:%g -- \"$f\") || exit 1\n"
    "  m=${m:-$o}\n"
    "  if [ \"${o#0}\" = \"${m#0}\" ] && [ -r \"$f\" ] && sum \"$f\" && [ \"$h\" = \"$hash\" ]; "
    "then\n"
    "    [ -n \"$owner\" ] || exit 3\n"
    "    chown -- \"$owner\" \"$f\" || exit 30\n"
    "    [ \"$i\" != \"$(stat -c %u:%g -- \"$f\")\" ] || exit 3\n"
    "    chmod \"$m\" \"$f\" || exit 30\n"
    "    exit 0\n"
    "  fi\n"
    "  may_own \"${owner:-$i}\" \"$d\" || {\n"
    "    stat -c 'the old file belongs to %U:%G' -- \"$f\" >&2\n"
    "    exit 30\n"
    "  }\n"
    "  owner=${owner:-$i}\n"
    "elif [ -n \"$owner\" ]; then may_own \"$owner\" \"$d\" || exit 30; fi\n"
    "full() { echo \"$e\" >&2; case $e in *'No space'* | *quota*) exit 25 ;; esac; exit 1; }\n"
    "t=$(mktemp \"$d/.deployrun.XXXXXX\" 2>&1) || { e=$t; full; }\n"
    "trap 'rm -f \"$t\"' EXIT\n"
    "trap 'exit 1' TERM HUP INT PIPE\n"
    "e=$(cat 2>&1 >\"$t\") || full\n"
    "[ \"$(wc -c <\"$t\")\" -eq \"$l\" ] || exit 4\n"
    "sum \"$t\" || exit 31\n"
    "[ \"$h\" = \"$hash\" ] || exit 28\n"
    "if [ -n \"$owner\" ] && [ \"$owner\" != \"$(stat -c %u:%g -- \"$t\")\" ]; then\n"
    "  chown -- \"$owner\" \"$t\" || exit 30\n"
    "fi\n"
    "chmod \"${m:-644}\" \"$t\" || exit 1\n"
    "sync \"$t\" 2>/dev/null || sync\n"
    "mv -f -- \"$t\" \"$f\" || exit 1\n"
    "sync \"$d\" 2>/dev/null || sync\n"
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

int dr__fs_check_path(const dr_op *op, dr_err *err) {
  const json_t *path = dr__arg(op, "path");
  if (json_string_length(path) > 0 && strlen(json_string_value(path)) == json_string_length(path))
    return DR_OK;
  return dr__fail(err, "recipe.argument", "%s needs a path without a zero byte", op->spec->name);
}

/* ------------------------------------------------------------ target.write */

/* The beginning of the text's hash is shown: a change of the text is a change of the plan. */
char *dr__fs_preview_write(const dr_op *op) {
  char hex[65];
  char *line = NULL;
  const json_t *text = dr__arg(op, "text");
  const char *mode = dr__arg_string(op, "mode", NULL), *owner = dr__arg_string(op, "owner", NULL);
  const char *cwd = op->target->cwd;
  const char *path = dr__arg_string(op, "path", "");
  bool relative = cwd && path[0] != '/' && path[0] != '~';
  dr__sha256_of(json_string_value(text), json_string_length(text), hex);
  int length =
      asprintf(&line, "write %s%s%s (%zu bytes, sha256 %.12s…%s%s%s%s)", relative ? cwd : "",
               relative ? "/" : "", path, json_string_length(text), hex, mode ? ", mode " : "",
               mode ? mode : "", owner ? ", owner " : "", owner ? owner : "");
  return length < 0 ? NULL : line;
}

json_t *dr__fs_assume_write(const dr_op *op) {
  (void)op;
  return json_pack("{s:b}", "changed", 1);
}

static json_t *parse_write(dr_op *op, int status, json_t *result, dr_err *err) {
  json_decref(result);
  if (status == 0 || status == NO_CHANGE) return json_pack("{s:b}", "changed", status == 0);
  if (status != 1 && status != CUT_OFF) {
    dr__transfer_explain(op, status, dr__arg_string(op, "path", ""), err);
    return NULL;
  }
  const char *words = dr__exec_text(op, 2);
  dr__fail(err, "fs.failed", "%.800s could not be written%s", dr__arg_string(op, "path", ""),
           status == CUT_OFF ? ": the text did not arrive whole" : "");
  dr__err_hint(err, "%s",
               status == CUT_OFF
                   ? "nothing was replaced; run again"
                   : "its folder must exist, and this user be allowed to write in it: make it, or "
                     "use :sudo()");
  if (*words) dr__err_detail(err, words, strlen(words));
  return NULL;
}

bool dr__fs_mode_ok(const char *mode) {
  size_t length = strlen(mode);
  return strspn(mode, "01234567") == length && (length == 0 || length == 3 || length == 4);
}

int dr__fs_check_write(const dr_op *op, dr_err *err) {
  if (dr__fs_mode_ok(dr__arg_string(op, "mode", ""))) return dr__fs_check_path(op, err);
  return dr__fail(err, "recipe.argument", ":write: mode is three or four octal digits, \"0644\"");
}

int dr__fs_start_write(dr_op *op, dr_err *err) {
  const json_t *text = dr__arg(op, "text");
  char hex[65];
  dr_text input = {0};
  dr__sha256_of(json_string_value(text), json_string_length(text), hex);
  dr__text_printf(&input, "%s\n", hex);
  dr__text_add(&input, json_string_value(text), json_string_length(text));
  if (input.failed) {
    dr__text_free(&input);
    return dr__err_nomem(err);
  }
  json_t *words = json_pack("[o, s, s]", json_sprintf("%zu", json_string_length(text)),
                            dr__arg_string(op, "mode", ""), dr__arg_string(op, "owner", ""));
  dr_exec_spec spec = {.command = script_command(op, write_script, words),
                       .timeout = TIMEOUT_SECONDS,
                       .input = input.bytes,
                       .input_length = input.length,
                       .any_status = true,
                       .quiet = true,
                       .parse = parse_write};
  int status = dr__exec_op(op, &spec, err);
  dr__text_free(&input);
  return status;
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
  dr_exec_spec spec = {.command = script_command(op, stat_script, json_array()),
                       .timeout = TIMEOUT_SECONDS,
                       .any_status = true,
                       .quiet = true,
                       .parse = parse_stat};
  return dr__exec_op(op, &spec, err);
}
