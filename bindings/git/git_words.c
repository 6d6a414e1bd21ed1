/* git_words.c - what git is called with. Called by git.c for previews and by git_run.c to do it, so
 * that what is shown is what is done. Pure: no I/O, no Lua. */
#include "git.h"

#include "core/err.h"
#include "git_pairs.h"

#include <string.h>

/* Adds what is not NULL. */
static void add(json_t *words, const char *word) {
  if (word) json_array_append_new(words, json_string(word));
}

static void add_new(json_t *words, json_t *word) {
  json_array_append_new(words, word);
}

static void add_paths(json_t *words, const dr_op *op) {
  json_t *paths = dr__arg(op, "paths");
  add(words, "--");
  if (paths) json_array_extend(words, paths);
}

static const char *revision(const dr_op *op) {
  return dr__arg_string(op, "revision", "HEAD");
}

static void add_log(json_t *words, const dr_op *op) {
  const char *from = dr__arg_string(op, "from", NULL);
  const char *to = dr__arg_string(op, "to", "HEAD");
  add(words, "-z");
  add(words, DR_GIT_LOG_FORMAT);
  add_new(words, json_sprintf("--max-count=%lld", (long long)dr__arg_integer(op, "limit", 100)));
  add(words, to);
  if (from) add_new(words, json_sprintf("^%s", from));
  add_paths(words, op);
}

static void add_changed(json_t *words, const dr_op *op) {
  add(words, "-z");
  add(words, "--name-only");
  add(words, "--no-renames");
  add(words, dr__arg_string(op, "from", ""));
  add(words, dr__arg_string(op, "to", "HEAD"));
  add_paths(words, op);
}

static void add_pull(json_t *words, const dr_op *op) {
  const char *branch = dr__arg_string(op, "branch", NULL);
  bool ff_only = dr__arg_boolean(op, "ff_only", true);
  add(words, "--no-rebase");
  add(words, ff_only ? "--ff-only" : "--ff");
  if (!ff_only) add(words, "--no-edit");
  add(words, dr__arg_string(op, "remote", branch ? "origin" : NULL));
  add(words, branch);
}

static void add_fetch(json_t *words, const dr_op *op) {
  add(words, dr__arg_boolean(op, "prune", false) ? "--prune" : "--no-prune");
  if (dr__arg_boolean(op, "tags", false)) add(words, "--tags");
  add(words, dr__arg_string(op, "remote", NULL));
}

static void add_checkout(json_t *words, const dr_op *op) {
  add(words, "--quiet");
  if (strcmp(op->spec->name, "git.checkout_hard") == 0) add(words, "--force");
  add(words, revision(op));
  add(words, "--");
}

static void add_tag(json_t *words, const dr_op *op) {
  const char *message = dr__arg_string(op, "message", NULL);
  if (message) add(words, "--cleanup=whitespace");
  if (message) add(words, "-m");
  add(words, message);
  add(words, dr__arg_string(op, "name", ""));
  add(words, revision(op));
}

/* Nothing is ever pushed by force. */
static void add_push(json_t *words, const dr_op *op) {
  const char *branch = dr__arg_string(op, "branch", NULL);
  const json_t *tags = dr__arg(op, "tags");
  add(words, "--porcelain");
  add(words, dr__arg_string(op, "remote", "origin"));
  add_new(words, branch ? json_sprintf("HEAD:refs/heads/%s", branch) : json_string("HEAD"));
  for (size_t i = 0; i < json_array_size(tags); i++)
    add_new(words, json_sprintf("refs/tags/%s", json_string_value(json_array_get(tags, i))));
}

static void add_stash(json_t *words, const dr_op *op) {
  add(words, "push");
  add(words, "--quiet");
  add(words, "-m");
  add(words, dr__arg_string(op, "message", "deployrun"));
}

json_t *dr__git_commit_word(const char *revision) {
  if (strncmp(revision, ":/", 2) == 0) return json_string(revision); /* takes nothing behind it */
  return json_sprintf("%s^{commit}", revision);
}

static void add_commit(json_t *words, const dr_op *op) {
  add(words, "--verify");
  add_new(words, dr__git_commit_word(revision(op)));
}

static void add_head(json_t *words, const dr_op *op) {
  (void)op;
  add(words, "--verify");
  add(words, "HEAD");
}

static void add_branch(json_t *words, const dr_op *op) {
  (void)op;
  add(words, "--short");
  add(words, "-q");
  add(words, "HEAD");
}

static void add_status(json_t *words, const dr_op *op) {
  (void)op;
  add(words, "--porcelain=v2");
  add(words, "--branch");
  add(words, "--untracked-files=normal");
  add(words, "-z");
}

static void add_tags(json_t *words, const dr_op *op) {
  add(words, "--points-at");
  add(words, revision(op));
  add(words, "--format=%(refname:strip=2)");
  add(words, "refs/tags");
}

static const struct command {
  const char *op;
  const char *verb;
  void (*add)(json_t *words, const dr_op *op);
} commands[] = {
    {"git.head", "rev-parse", add_head},
    {"git.commit", "rev-parse", add_commit},
    {"git.branch", "symbolic-ref", add_branch},
    {"git.status", "status", add_status},
    {"git.log", "log", add_log},
    {"git.changed", "diff", add_changed},
    {"git.tags", "for-each-ref", add_tags},
    {"git.pull", "pull", add_pull},
    {"git.fetch", "fetch", add_fetch},
    {"git.checkout", "checkout", add_checkout},
    {"git.checkout_hard", "checkout", add_checkout},
    {"git.tag", "tag", add_tag},
    {"git.push", "push", add_push},
    {"git.stash", "stash", add_stash},
};

json_t *dr__git_words(const dr_op *op) {
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
    if (strcmp(op->spec->name, commands[i].op) != 0) continue;
    json_t *words = json_pack("[s]", commands[i].verb);
    if (words) commands[i].add(words, op);
    return words;
  }
  return NULL;
}

/* A name that begins with '-' would be an option; a colon or an asterisk would make a branch a
 * refspec. */
static int check_name(const char *value, const char *what, dr_err *err) {
  bool refspec = strcmp(what, "branch") == 0 && strpbrk(value, ":*+ ");
  if (value[0] != '-' && value[0] != '\0' && !refspec && !strpbrk(value, "\n")) return DR_OK;
  return dr__fail(err, "recipe.argument", "\"%s\" is no %s", value, what);
}

/* The local edits of a file win by its name from the top of the checkout. */
static int check_winner(const char *name, dr_err *err) {
  bool up = strncmp(name, "../", 3) == 0 || strstr(name, "/../");
  bool none = strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "./") == 0;
  if (name[0] != '/' && !up && !none) return DR_OK;
  dr__fail(err, "recipe.argument", "ours: \"%s\" is no file of the checkout", name);
  dr__err_hint(err, "files and folders are named from its top, also when :git() was given a folder "
                    "in it: backend/settings.py, or a pattern: backend/*.py");
  return DR_FAILED;
}

static int check_names(const dr_op *op, dr_err *err) {
  static const char *const names[] = {"remote", "branch", "revision", "from",
                                      "to",     "name",   "url",      "stash"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (check_name(dr__arg_string(op, names[i], "x"), names[i], err) != DR_OK) return DR_FAILED;
  static const char *const lists[] = {"tags", "ours"};
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    const json_t *list = dr__arg(op, lists[i]);
    for (size_t k = 0; k < json_array_size(list); k++)
      if (check_name(json_string_value(json_array_get(list, k)), lists[i], err) != DR_OK)
        return DR_FAILED;
  }
  const json_t *ours = dr__arg(op, "ours");
  for (size_t k = 0; k < json_array_size(ours); k++)
    if (check_winner(json_string_value(json_array_get(ours, k)), err) != DR_OK) return DR_FAILED;
  return DR_OK;
}

static int check_counts(const dr_op *op, dr_err *err) {
  static const char *const names[] = {"depth", "mainline"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (dr__arg(op, names[i]) && dr__arg_integer(op, names[i], 1) < 1)
      return dr__fail(err, "recipe.argument", "%s is a whole number, 1 or more", names[i]);
  return DR_OK;
}

int dr__git_check(const dr_op *op, dr_err *err) {
  int status = check_names(op, err);
  return status ? status : check_counts(op, err);
}
