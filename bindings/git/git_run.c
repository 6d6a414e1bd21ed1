/* git_run.c - ops that are one git command on the target, or a few in a row.
 *
 * Called by git.c on the runtime's thread. An op is a list of steps; each step is a git command in
 * the view's folder, with the settings of git_common.sh. What the steps find
 * out is gathered in an object that goes from command to command as exec_op's carry. When git
 * fails, its words name the failure (git_failure.c), and a short script asks the target for the
 * facts that belong to it: which files, whose lock, how far apart (git_inquire.sh).
 */
#include "git.h"

#include "core/err.h"
#include "git_failure.h"
#include "git_pairs.h"
#include "git_status.h"
#include "ops/binding.h"

#include <stdio.h>
#include <string.h>

typedef struct step {
  /* git's words, or NULL when the step is not needed. */
  json_t *(*words)(const dr_op *op, const json_t *facts);
  /* Takes what was found into the facts. 0, or not 0 with err filled. */
  int (*take)(const dr_op *op, int status, const json_t *text, json_t *facts, dr_err *err);
  int accepts; /* a status that is no failure, besides 0 */
  bool accepts_any;
  bool network;
  bool writes;
} step;

/* ------------------------------------------------------------ commands */

json_t *dr__git_env(bool query) {
  json_t *env = json_pack("{s:s}", "LC_ALL", "C");
  if (env && query) json_object_set_new(env, "GIT_OPTIONAL_LOCKS", json_string("0"));
  return env;
}

static void set(json_t *facts, const char *key, json_t *value) {
  json_object_set_new(facts, key, value);
}

static json_t *first_line(const json_t *text) {
  const char *line = json_string_value(text);
  return json_stringn_nocheck(line, strcspn(line, "\n"));
}

static const char *fact(const json_t *facts, const char *key) {
  return json_string_value(json_object_get(facts, key));
}

/* ------------------------------------------------------------ steps */

static json_t *main_words(const dr_op *op, const json_t *facts) {
  (void)facts;
  return dr__git_words(op);
}

static json_t *head_words(const dr_op *op, const json_t *facts) {
  (void)op;
  (void)facts;
  return json_pack("[s, s, s, s]", "rev-parse", "--verify", "--quiet", "HEAD");
}

static json_t *branch_words(const dr_op *op, const json_t *facts) {
  (void)op;
  (void)facts;
  return json_pack("[s, s, s, s]", "symbolic-ref", "--short", "-q", "HEAD");
}

static int take_nothing(const dr_op *op, int status, const json_t *text, json_t *facts,
                        dr_err *err) {
  (void)op;
  (void)status;
  (void)text;
  (void)facts;
  (void)err;
  return DR_OK;
}

static int take_commit(const dr_op *op, int status, const json_t *text, json_t *facts,
                       dr_err *err) {
  (void)op;
  (void)status;
  (void)err;
  set(facts, "commit", first_line(text));
  return DR_OK;
}

/* Status 1: HEAD is not a branch; the result then has none. */
static int take_branch(const dr_op *op, int status, const json_t *text, json_t *facts,
                       dr_err *err) {
  (void)op;
  (void)err;
  if (status == 0) set(facts, "branch", first_line(text));
  return DR_OK;
}

static int take_status(const dr_op *op, int status, const json_t *text, json_t *facts,
                       dr_err *err) {
  (void)op;
  (void)status;
  json_t *parsed = dr__git_status_parse(json_string_value(text), json_string_length(text), err);
  if (!parsed) return DR_FAILED;
  json_object_update(facts, parsed);
  json_decref(parsed);
  return DR_OK;
}

static int take_log(const dr_op *op, int status, const json_t *text, json_t *facts, dr_err *err) {
  (void)op;
  (void)status;
  json_t *pairs = dr__git_pairs_parse(json_string_value(text), json_string_length(text), err);
  json_t *commits = pairs ? dr__git_commits_parse(pairs, err) : NULL;
  json_decref(pairs);
  if (!commits) return DR_FAILED;
  set(facts, "commits", commits);
  return DR_OK;
}

static int take_list(const json_t *text, const char *key, json_t *facts, dr_err *err) {
  json_t *paths = dr__git_list_parse(json_string_value(text), json_string_length(text), err);
  if (!paths) return DR_FAILED;
  set(facts, key, paths);
  return DR_OK;
}

static int take_paths(const dr_op *op, int status, const json_t *text, json_t *facts, dr_err *err) {
  (void)op;
  (void)status;
  return take_list(text, "paths", facts, err);
}

static int take_tags(const dr_op *op, int status, const json_t *text, json_t *facts, dr_err *err) {
  (void)op;
  (void)status;
  (void)err;
  json_t *tags = json_array();
  const char *at = json_string_value(text);
  for (size_t length; tags && *at; at += length + (at[length] == '\n')) {
    length = strcspn(at, "\n");
    if (length > 0) json_array_append_new(tags, json_stringn_nocheck(at, length));
  }
  set(facts, "tags", tags);
  return DR_OK;
}

/* Where the branch is not named, it is the one that is checked out. */
static int check_branch(const dr_op *op, int status, const json_t *text, json_t *facts,
                        dr_err *err) {
  take_branch(op, status, text, facts, err);
  if (status == 0 || dr__arg_string(op, "branch", NULL)) return DR_OK;
  return dr__git_failure(err, "git.detached", NULL);
}

/* ---- is_pushed: where the branch is on the remote, and whether HEAD is in it */

/* The remote answers "COMMIT<tab>refs/heads/main", or with status 2 that it has no such branch. */
static int take_remote(const dr_op *op, int status, const json_t *text, json_t *facts,
                       dr_err *err) {
  (void)op;
  (void)err;
  const char *line = json_string_value(text);
  set(facts, "pushed", json_false());
  if (status == 0) set(facts, "remote_commit", json_stringn(line, strcspn(line, "\t\n")));
  return DR_OK;
}

static json_t *remote_words(const dr_op *op, const json_t *facts) {
  const char *branch = dr__arg_string(op, "branch", fact(facts, "branch"));
  return json_pack("[s, s, s, o]", "ls-remote", "--exit-code",
                   dr__arg_string(op, "remote", "origin"), json_sprintf("refs/heads/%s", branch));
}

static json_t *within_words(const dr_op *op, const json_t *facts) {
  (void)op;
  const char *commit = fact(facts, "remote_commit");
  return commit ? json_pack("[s, s, s, s]", "merge-base", "--is-ancestor", "HEAD", commit) : NULL;
}

static int take_within(const dr_op *op, int status, const json_t *text, json_t *facts,
                       dr_err *err) {
  (void)op;
  (void)text;
  (void)err;
  set(facts, "pushed", json_boolean(status == 0));
  set(facts, "known", json_boolean(status <= 1));
  return DR_OK;
}

/* The remote's commit is not here yet: what the last fetch knew of the branch has to do. */
static json_t *fetched_words(const dr_op *op, const json_t *facts) {
  const char *branch = dr__arg_string(op, "branch", fact(facts, "branch"));
  const json_t *known = json_object_get(facts, "known");
  if (!json_is_false(known) || !branch) return NULL;
  return json_pack(
      "[s, s, s, o]", "merge-base", "--is-ancestor", "HEAD",
      json_sprintf("refs/remotes/%s/%s", dr__arg_string(op, "remote", "origin"), branch));
}

static int take_fetched(const dr_op *op, int status, const json_t *text, json_t *facts,
                        dr_err *err) {
  (void)op;
  (void)text;
  (void)err;
  set(facts, "pushed", json_boolean(status == 0));
  return DR_OK;
}

/* ---- what moves HEAD: where it was, the move, where it is, what changed */

static int take_from(const dr_op *op, int status, const json_t *text, json_t *facts, dr_err *err) {
  (void)op;
  (void)err;
  if (status == 0) set(facts, "from", first_line(text));
  return DR_OK;
}

static int take_to(const dr_op *op, int status, const json_t *text, json_t *facts, dr_err *err) {
  (void)op;
  (void)status;
  (void)err;
  const char *from = fact(facts, "from");
  set(facts, "to", first_line(text));
  const char *to = fact(facts, "to");
  bool moved = to && (!from || strcmp(from, to) != 0);
  set(facts, "moved", json_boolean(moved));
  set(facts, "changed", json_array());
  return DR_OK;
}

static json_t *moved_words(const dr_op *op, const json_t *facts) {
  (void)op;
  const char *from = fact(facts, "from");
  const char *to = fact(facts, "to");
  if (!from || !to || strcmp(from, to) == 0) return NULL;
  return json_pack("[s, s, s, s, s, s, s]", "diff", "-z", "--name-only", "--no-renames", from, to,
                   "--");
}

static int take_moved(const dr_op *op, int status, const json_t *text, json_t *facts, dr_err *err) {
  (void)op;
  (void)status;
  return take_list(text, "changed", facts, err);
}

/* A checkout without keep or hard leaves a dirty tree alone. */
static json_t *dirty_words(const dr_op *op, const json_t *facts) {
  bool careless = dr__arg_boolean(op, "keep", false) || !fact(facts, "from");
  return careless ? NULL : json_pack("[s, s, s, s]", "diff", "-z", "--name-only", "HEAD");
}

static int take_dirty(const dr_op *op, int status, const json_t *text, json_t *facts, dr_err *err) {
  (void)op;
  (void)status;
  (void)facts;
  json_t *pairs = json_object();
  int failed = pairs ? take_list(text, "path", pairs, err) : dr__err_nomem(err);
  if (failed == DR_OK && json_array_size(json_object_get(pairs, "path")) > 0)
    failed = dr__git_failure(err, "git.dirty", pairs);
  json_decref(pairs);
  return failed;
}

/* ---- tag: nothing to do where it is already; elsewhere it is another's */

static json_t *tagged_words(const dr_op *op, const json_t *facts) {
  (void)facts;
  return json_pack("[s, s, s, o]", "rev-parse", "--verify", "--quiet",
                   json_sprintf("refs/tags/%s^{commit}", dr__arg_string(op, "name", "")));
}

static int take_tagged(const dr_op *op, int status, const json_t *text, json_t *facts,
                       dr_err *err) {
  (void)op;
  (void)err;
  if (status == 0) set(facts, "tagged", first_line(text));
  return DR_OK;
}

static json_t *to_tag_words(const dr_op *op, const json_t *facts) {
  (void)facts;
  return json_pack("[s, s, o]", "rev-parse", "--verify",
                   dr__git_commit_word(dr__arg_string(op, "revision", "HEAD")));
}

static int take_to_tag(const dr_op *op, int status, const json_t *text, json_t *facts,
                       dr_err *err) {
  (void)status;
  const char *tagged = fact(facts, "tagged");
  set(facts, "commit", first_line(text));
  const char *commit = fact(facts, "commit");
  set(facts, "created", json_boolean(!tagged));
  if (!commit) return dr__err_nomem(err);
  if (!tagged || strcmp(tagged, commit) == 0) return DR_OK;
  json_t *pairs =
      json_pack("{s:[o]}", "name",
                json_sprintf("the tag %s is at %.12s", dr__arg_string(op, "name", ""), tagged));
  dr__git_failure(err, "git.exists", pairs);
  json_decref(pairs);
  return DR_FAILED;
}

static json_t *tag_words(const dr_op *op, const json_t *facts) {
  return fact(facts, "tagged") ? NULL : dr__git_words(op);
}

/* ---- push: git says of each name what became of it, "=<tab>…" where nothing had to be done */

static int take_push(const dr_op *op, int status, const json_t *text, json_t *facts, dr_err *err) {
  (void)op;
  (void)status;
  (void)err;
  bool pushed = false;
  const char *line = json_string_value(text);
  for (; line; line = strchr(line, '\n')) {
    line += *line == '\n';
    pushed = pushed || (line[0] && line[1] == '\t' && line[0] != '=');
  }
  set(facts, "pushed", json_boolean(pushed));
  return DR_OK;
}

/* ---- stash */

static json_t *stashed_words(const dr_op *op, const json_t *facts) {
  (void)op;
  (void)facts;
  return json_pack("[s, s, s, s]", "rev-parse", "--verify", "--quiet", "refs/stash");
}

static int take_stash_before(const dr_op *op, int status, const json_t *text, json_t *facts,
                             dr_err *err) {
  (void)op;
  (void)err;
  if (status == 0) set(facts, "before", first_line(text));
  return DR_OK;
}

static int take_stash_after(const dr_op *op, int status, const json_t *text, json_t *facts,
                            dr_err *err) {
  (void)op;
  (void)err;
  json_t *after = status == 0 ? first_line(text) : NULL;
  const char *before = fact(facts, "before");
  bool stashed = after && (!before || strcmp(before, json_string_value(after)) != 0);
  set(facts, "stashed", json_boolean(stashed));
  if (stashed) set(facts, "commit", json_incref(after));
  json_decref(after);
  json_object_del(facts, "before");
  return DR_OK;
}

/* ------------------------------------------------------------ the ops */

enum { STEPS_MAX = 6 };

static const struct recipe {
  const char *op;
  step steps[STEPS_MAX];
} recipes[] = {
    {"git.head", {{.words = main_words, .take = take_commit}}},
    {"git.commit", {{.words = main_words, .take = take_commit}}},
    {"git.branch", {{.words = main_words, .take = take_branch, .accepts = 1}}},
    {"git.status", {{.words = main_words, .take = take_status}}},
    {"git.log", {{.words = main_words, .take = take_log}}},
    {"git.changed", {{.words = main_words, .take = take_paths}}},
    {"git.tags", {{.words = main_words, .take = take_tags}}},
    {"git.is_pushed",
     {{.words = branch_words, .take = check_branch, .accepts = 1},
      {.words = remote_words, .take = take_remote, .accepts = 2, .network = true},
      {.words = within_words, .take = take_within, .accepts_any = true},
      {.words = fetched_words, .take = take_fetched, .accepts_any = true}}},
    {"git.fetch", {{.words = main_words, .take = take_nothing, .network = true, .writes = true}}},
    {"git.pull",
     {{.words = head_words, .take = take_from, .accepts = 1},
      {.words = main_words, .take = take_nothing, .network = true, .writes = true},
      {.words = head_words, .take = take_to},
      {.words = moved_words, .take = take_moved}}},
    {"git.checkout",
     {{.words = head_words, .take = take_from, .accepts = 1},
      {.words = dirty_words, .take = take_dirty},
      {.words = main_words, .take = take_nothing, .writes = true},
      {.words = head_words, .take = take_to},
      {.words = moved_words, .take = take_moved}}},
    {"git.checkout_hard",
     {{.words = head_words, .take = take_from, .accepts = 1},
      {.words = main_words, .take = take_nothing, .writes = true},
      {.words = head_words, .take = take_to},
      {.words = moved_words, .take = take_moved}}},
    {"git.tag",
     {{.words = tagged_words, .take = take_tagged, .accepts = 1},
      {.words = to_tag_words, .take = take_to_tag},
      {.words = tag_words, .take = take_nothing, .writes = true}}},
    {"git.push",
     {{.words = branch_words, .take = check_branch, .accepts = 1},
      {.words = main_words, .take = take_push, .network = true, .writes = true}}},
    {"git.stash",
     {{.words = stashed_words, .take = take_stash_before, .accepts = 1},
      {.words = main_words, .take = take_nothing, .writes = true},
      {.words = stashed_words, .take = take_stash_after, .accepts = 1}}},
};

/* ------------------------------------------------------------ the engine */

static const step *step_of(const dr_op *op, json_int_t number) {
  for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++)
    if (strcmp(recipes[i].op, op->spec->name) == 0 && number < STEPS_MAX &&
        recipes[i].steps[number].words)
      return &recipes[i].steps[number];
  return NULL;
}

static json_t *parse_step(dr_op *op, int status, json_t *result, dr_err *err);

static void better_not_found(dr_op *op, dr_err *err) {
  if (strcmp(err->code, "command.not_found") != 0) return;
  dr__copy_text(err->message, sizeof err->message, "git: the program was not found");
  dr__err_hint(err, "install git on %s", op->target->name);
}

/* Begins the step, or the next one that is needed. Takes over facts. False when there is none. */
static bool begin(dr_op *op, json_t *facts, json_int_t number, int *status, dr_err *err) {
  const step *next = step_of(op, number);
  json_t *words = next ? next->words(op, facts) : NULL;
  while (next && !words) {
    next = step_of(op, ++number);
    words = next ? next->words(op, facts) : NULL;
  }
  if (!next) return false;
  set(facts, "step", json_integer(number));
  double seconds = next->network || next->writes ? DR_GIT_NETWORK_SECONDS : DR_GIT_QUERY_SECONDS;
  dr_exec_spec spec = {
      .command = dr__git_script_command(DR_GIT_ONE, next->network ? "never_ask\n" : NULL, words),
      .env = dr__git_env(!next->writes),
      .timeout = dr__arg_number(op, "timeout", seconds),
      .quiet = !next->writes,
      .any_status = true,
      .carry = json_incref(facts),
      .parse = parse_step,
      .fail = better_not_found};
  *status = dr__exec_op(op, &spec, err);
  return true;
}

static json_t *parse_step(dr_op *op, int status, json_t *result, dr_err *err) {
  json_t *facts = json_incref(dr__exec_carry(op));
  json_int_t number = json_integer_value(json_object_get(facts, "step"));
  const step *done = step_of(op, number);
  json_t *text = json_object_get(result, "stdout");
  int began;
  json_t *answer = NULL;
  if (status != 0 && !done->accepts_any && status != done->accepts)
    dr__git_fail(op, status, err);
  else if (json_object_get(result, "truncated"))
    dr__fail(err, "git.output", "git wrote more than can be read");
  else if (done->take(op, status, text, facts, err) == DR_OK &&
           !begin(op, facts, number + 1, &began, err))
    answer = json_incref(facts);
  if (answer) json_object_del(answer, "step");
  json_decref(facts);
  json_decref(result);
  return answer;
}

int dr__git_run(dr_op *op, dr_err *err) {
  json_t *facts = json_object();
  int status = DR_FAILED;
  if (!facts || !begin(op, facts, 0, &status, err)) dr__err_nomem(err);
  json_decref(facts);
  return status;
}

/* ------------------------------------------------------------ failing */

/* What the inquiry found makes the error whole. The carry is the error as it was. */
static json_t *parse_inquiry(dr_op *op, int status, json_t *result, dr_err *err) {
  (void)status;
  const json_t *text = json_object_get(result, "stdout");
  dr_err ignored = DR_ERR_INIT;
  json_t *pairs = dr__git_pairs_parse(json_string_value(text), json_string_length(text), &ignored);
  dr__err_from_json(err, dr__exec_carry(op));
  char code[sizeof err->code];
  const char *instead = dr__git_pair(pairs, "instead");
  dr__copy_text(code, sizeof code, instead ? instead : err->code);
  dr__git_failure(err, code, pairs);
  dr_err_clear(&ignored);
  json_decref(pairs);
  json_decref(result);
  return NULL;
}

/* An inquiry that could not be made leaves the error as it was; what parse_inquiry made of it is
 * not touched. */
static void inquiry_failed(dr_op *op, dr_err *err) {
  if (strncmp(err->code, "git.", 4) == 0) return;
  dr_err was = DR_ERR_INIT;
  dr__err_from_json(&was, dr__exec_carry(op));
  dr__err_move(err, &was);
}

static bool has_facts(const char *code) {
  static const char *const codes[] = {"git.dirty", "git.conflict", "git.locked", "git.diverged",
                                      "git.not_found"};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    if (strcmp(code, codes[i]) == 0) return true;
  return false;
}

/* The code, and the revisions the op names, one of which may not exist. */
static json_t *inquiry_words(const dr_op *op, const char *code) {
  static const char *const names[] = {"revision", "from", "to"};
  json_t *words = json_pack("[s]", code);
  const json_t *tags = dr__arg(op, "tags");
  for (size_t i = 0; words && i < sizeof names / sizeof *names; i++)
    if (dr__arg(op, names[i]))
      json_array_append_new(words, dr__git_commit_word(dr__arg_string(op, names[i], "")));
  for (size_t i = 0; words && i < json_array_size(tags); i++)
    json_array_append_new(words,
                          json_sprintf("refs/tags/%s", json_string_value(json_array_get(tags, i))));
  return words;
}

bool dr__git_inquire(dr_op *op, dr_err *err) {
  bool named = dr__arg_boolean(op, "library", false) && strcmp(err->code, "git.not_found") == 0;
  if (!has_facts(err->code) || named) return false;
  json_t *was = dr__err_to_json(err);
  json_t *command = dr__git_script_command(DR_GIT_INQUIRE, NULL, inquiry_words(op, err->code));
  dr_exec_spec spec = {.command = command,
                       .env = dr__git_env(true),
                       .timeout = DR_GIT_QUERY_SECONDS,
                       .quiet = true,
                       .any_status = true,
                       .carry = was,
                       .parse = parse_inquiry,
                       .fail = inquiry_failed};
  dr_err cannot = DR_ERR_INIT;
  bool begun = false;
  if (command && was && spec.env) {
    begun = dr__exec_op(op, &spec, &cannot) == DR_OK;
  } else {
    json_decref(command);
    json_decref(was);
    json_decref(spec.env);
  }
  if (begun) dr_err_clear(err);
  dr_err_clear(&cannot);
  return begun;
}

json_t *dr__git_fail(dr_op *op, int status, dr_err *err) {
  const char *said = dr__exec_text(op, 2);
  dr__exec_failed(op, status, err);
  better_not_found(op, err);
  if (strcmp(err->code, "command.failed") != 0) return NULL;
  /* A quiet rev-parse says nothing when there is no such commit. */
  if (status == 1 && said[0] == '\0')
    dr__git_failure(err, "git.not_found", NULL);
  else if (!dr__git_failure_said(err, said) && !dr__git_failure_said(err, dr__exec_text(op, 1)))
    dr__git_failure_other(err, said);
  better_not_found(op, err);
  dr__git_inquire(op, err);
  return NULL;
}
