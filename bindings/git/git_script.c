/* git_script.c - ops that are a script on the target: update, reset, revert and pop, which bring a
 * checkout to another state so that it can be killed at every step (git_update.sh), and clone.
 *
 * Called by git.c on the runtime's thread. The scripts are embedded beside the Lua parts and go to
 * the target as a word of the command, whole or not at all; what they answer is read by
 * git_pairs.c.
 */
#include "git.h"

#include "core/err.h"
#include "git_failure.h"
#include "git_pairs.h"
#include "ops/binding.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const dr_lua_source dr__lua_git_common, dr__lua_git_one, dr__lua_git_merge,
    dr__lua_git_update, dr__lua_git_clone, dr__lua_git_inquire;

enum { SAID_BY_SCRIPT = 70, CLONE_SECONDS = 3600 };

static void add_source(dr_text *text, const dr_lua_source *source) {
  dr__text_add(text, (const char *)source->text, source->size);
}

json_t *dr__git_script_command(dr_git_text which, const char *before, json_t *words) {
  static const dr_lua_source *const sources[] = {[DR_GIT_ONE] = &dr__lua_git_one,
                                                 [DR_GIT_UPDATE] = &dr__lua_git_update,
                                                 [DR_GIT_CLONE] = &dr__lua_git_clone,
                                                 [DR_GIT_INQUIRE] = &dr__lua_git_inquire};
  dr_text text = {0};
  add_source(&text, &dr__lua_git_common);
  if (before) dr__text_puts(&text, before);
  if (which == DR_GIT_UPDATE) add_source(&text, &dr__lua_git_merge);
  add_source(&text, sources[which]);
  char *script = dr__text_take(&text);
  json_t *command =
      script ? json_pack("[s, s, s, s]", "/bin/sh", "-c", script, "deployrun-git") : NULL;
  int failed = command && words ? json_array_extend(command, words) : -1;
  free(script);
  json_decref(words);
  if (failed == 0) return command;
  json_decref(command);
  return NULL;
}

/* ------------------------------------------------------------ the answers */

/* "lines backend/settings.py" as {path, how}. */
static json_t *read_conflicts(const json_t *pairs) {
  json_t *conflicts = json_array();
  const json_t *texts = json_object_get(pairs, "conflict");
  for (size_t i = 0; conflicts && i < json_array_size(texts); i++) {
    const char *text = json_string_value(json_array_get(texts, i));
    size_t length = strcspn(text, " ");
    const char *path = text + length + (text[length] == ' ');
    json_array_append_new(conflicts,
                          json_pack("{s:o, s:o}", "how", json_stringn_nocheck(text, length), "path",
                                    json_stringn_nocheck(path, strlen(path))));
  }
  return conflicts;
}

static json_t *moved_result(const json_t *pairs, dr_err *err) {
  const char *from = dr__git_pair(pairs, "from");
  const char *to = dr__git_pair(pairs, "to");
  json_t *commits = dr__git_commits_parse(pairs, err);
  if (!commits) return NULL;
  if (!from || !to) {
    json_decref(commits);
    dr__fail(err, "git.output", "the script did not say where the checkout is");
    return NULL;
  }
  return json_pack("{s:s, s:s, s:b, s:b, s:o, s:o, s:o, s:o}", "from", from, "to", to, "moved",
                   strcmp(from, to) != 0, "resumed", dr__git_pair(pairs, "resumed") != NULL,
                   "commits", commits, "changed", dr__git_pair_list(pairs, "changed"), "kept",
                   dr__git_pair_list(pairs, "kept"), "conflicts", read_conflicts(pairs));
}

static json_t *result_of(const dr_op *op, const json_t *pairs, dr_err *err) {
  const char *cloned = dr__git_pair(pairs, "cloned");
  const char *commit = dr__git_pair(pairs, "commit");
  if (strcmp(op->spec->name, "git.clone") != 0) return moved_result(pairs, err);
  return json_pack("{s:b, s:s*}", "cloned", cloned && strcmp(cloned, "yes") == 0, "commit", commit);
}

/* The script's own words count first, then git's. */
static json_t *parse_script(dr_op *op, int status, json_t *result, dr_err *err) {
  const json_t *text = json_object_get(result, "stdout");
  json_t *answer = NULL;
  json_t *pairs = NULL;
  if (status == 0 || status == SAID_BY_SCRIPT)
    pairs = dr__git_pairs_parse(json_string_value(text), json_string_length(text), err);
  const char *code = dr__git_pair(pairs, "error");
  if (pairs && code) {
    dr__git_failure(err, code, pairs);
  } else if (pairs) {
    answer = result_of(op, pairs, err);
  } else if (!err->code[0]) {
    dr__git_fail(op, status, err);
  }
  json_decref(pairs);
  json_decref(result);
  return answer;
}

/* ------------------------------------------------------------ the words */

static const char *keep_word(const dr_op *op) {
  if (strcmp(op->spec->name, "git.reset_hard") == 0) return "drop";
  bool update = strcmp(op->spec->name, "git.update") == 0;
  return dr__arg_boolean(op, update ? "keep_local" : "keep", false) ? "yes" : "no";
}

static json_t *update_words(const dr_op *op) {
  const char *name = op->spec->name;
  json_t *words;
  if (strcmp(name, "git.update") == 0)
    words = json_pack("[s, s, s, s]", "update", keep_word(op), dr__arg_string(op, "remote", ""),
                      dr__arg_string(op, "branch", ""));
  else if (strcmp(name, "git.revert") == 0)
    words = json_pack("[s, o, s]", "revert",
                      dr__arg(op, "mainline")
                          ? json_sprintf("%d", (int)dr__arg_integer(op, "mainline", 1))
                          : json_string(""),
                      dr__arg_string(op, "revision", ""));
  else if (strcmp(name, "git.pop") == 0)
    words = json_pack("[s, s]", "pop", dr__arg_string(op, "stash", ""));
  else
    words = json_pack("[s, s, s]", "reset", keep_word(op), dr__arg_string(op, "revision", ""));
  json_t *ours = dr__arg(op, "ours");
  if (words && ours) json_array_extend(words, ours);
  return words;
}

/* "folder=QUOTED" for a script; malloc'd. */
static char *folder_line(const dr_op *op) {
  char *quoted = dr__folder_quote(dr__arg_string(op, "folder", "."));
  char *line = NULL;
  if (quoted && asprintf(&line, "folder=%s\n", quoted) < 0) line = NULL;
  free(quoted);
  return line;
}

static json_t *clone_command(const dr_op *op) {
  char *line = folder_line(op);
  int64_t depth = dr__arg_integer(op, "depth", 0);
  json_t *words =
      json_pack("[s, s, o]", dr__arg_string(op, "url", ""), dr__arg_string(op, "branch", ""),
                depth > 0 ? json_sprintf("%lld", (long long)depth) : json_string(""));
  json_t *command = line ? dr__git_script_command(DR_GIT_CLONE, line, words) : NULL;
  if (!line) json_decref(words);
  free(line);
  return command;
}

int dr__git_script(dr_op *op, dr_err *err) {
  bool clone = strcmp(op->spec->name, "git.clone") == 0;
  json_t *command =
      clone ? clone_command(op) : dr__git_script_command(DR_GIT_UPDATE, NULL, update_words(op));
  if (!command) return dr__err_nomem(err);
  double seconds = clone ? CLONE_SECONDS : DR_GIT_NETWORK_SECONDS;
  dr_exec_spec spec = {.command = command,
                       .env = dr__git_env(false),
                       .timeout = dr__arg_number(op, "timeout", seconds),
                       .quiet = true,
                       .any_status = true,
                       .parse = parse_script};
  return dr__exec_op(op, &spec, err);
}
