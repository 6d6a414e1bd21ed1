/* git.c - checkouts: their state, what is in their history, and bringing them to another commit.
 * The ops, and what a plan says about them.
 *
 * Called by the gate and, through it, git.lua; on the runtime's thread. target:git() is served by
 * the target's own git (git_run.c, git_script.c). git.open() is this machine by libgit2
 * (git_local.c): the same ops with the argument `library`; what goes over the network is left to
 * git there too (docs/decisions/0016-two-gits.md).
 */
#include "git.h"

#include "core/err.h"
#include "ops/binding.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const dr_lua_source dr__lua_git;

/* ------------------------------------------------------------ starting */

static int start(dr_op *op, dr_err *err) {
  return dr__arg_boolean(op, "library", false) ? dr__git_local(op, err) : dr__git_run(op, err);
}

/* is_checkout is asked outside the folder, which may not exist. */
static char *preview_is_checkout(const dr_op *op) {
  char *folder = dr__folder_quote(dr__arg_string(op, "folder", "."));
  json_t *command =
      folder ? json_sprintf("cd %s 2>/dev/null && git rev-parse --is-inside-work-tree", folder)
             : NULL;
  char *line = command ? dr__exec_preview(op, command) : NULL;
  json_decref(command);
  free(folder);
  return line;
}

static json_t *parse_is_checkout(dr_op *op, int status, json_t *result, dr_err *err) {
  bool inside = strncmp(dr__exec_text(op, 1), "true", 4) == 0;
  bool plain =
      dr__exec_text(op, 2)[0] == '\0' || strstr(dr__exec_text(op, 2), "not a git repository");
  json_decref(result);
  if (status == 0 || plain) return json_pack("{s:b}", "yes", status == 0 && inside);
  return dr__git_fail(op, status, err);
}

static int start_is_checkout(dr_op *op, dr_err *err) {
  if (dr__arg_boolean(op, "library", false)) return dr__git_local(op, err);
  char *folder = dr__folder_quote(dr__arg_string(op, "folder", "."));
  char *before = NULL;
  if (!folder || asprintf(&before, "cd %s 2>/dev/null || exit 1\n", folder) < 0) before = NULL;
  free(folder);
  if (!before) return dr__err_nomem(err);
  json_t *words = json_pack("[s, s]", "rev-parse", "--is-inside-work-tree");
  json_t *command = dr__git_script_command(DR_GIT_ONE, before, words);
  free(before);
  dr_exec_spec spec = {.command = command,
                       .env = dr__git_env(true),
                       .timeout = DR_GIT_QUERY_SECONDS,
                       .quiet = true,
                       .any_status = true,
                       .parse = parse_is_checkout};
  return dr__exec_op(op, &spec, err);
}

/* ------------------------------------------------------------ what a plan says */

/* `git WORDS`; with libgit2 the same is done without the program. */
static char *preview(const dr_op *op) {
  json_t *command = json_pack("[s]", "git");
  json_t *words = dr__git_words(op);
  if (command && words) json_array_extend(command, words);
  char *line = command ? dr__exec_preview(op, command) : NULL;
  json_decref(command);
  json_decref(words);
  return line;
}

static char *preview_pushed(const dr_op *op) {
  const char *branch = dr__arg_string(op, "branch", "the branch");
  json_t *line = json_pack("[s, s, s, o]", "git", "ls-remote",
                           dr__arg_string(op, "remote", "origin"), json_string(branch));
  char *text = line ? dr__exec_preview(op, line) : NULL;
  json_decref(line);
  return text;
}

static void add_ours(dr_text *text, const dr_op *op) {
  const json_t *ours = dr__arg(op, "ours");
  for (size_t i = 0; i < json_array_size(ours); i++)
    dr__text_printf(text, "%s%s", i == 0 ? "; local edits win in " : ", ",
                    json_string_value(json_array_get(ours, i)));
}

/* `in FOLDER: git VERB …` of what is more than one git command. */
static char *preview_words(const dr_op *op, const char *format, const char *a, const char *b) {
  dr_text text = {0};
  const char *folder = op->target->cwd;
  if (folder) dr__text_printf(&text, "cd %s && ", folder);
  dr__text_printf(&text, format, a, b);
  add_ours(&text, op);
  return dr__text_take(&text);
}

static char *preview_update(const dr_op *op) {
  bool keep = dr__arg_boolean(op, "keep_local", false);
  return preview_words(op,
                       keep ? "git fetch %s %s, and forward to it with the local edits kept"
                            : "git fetch %s %s, and forward to it",
                       dr__arg_string(op, "remote", "(its remote)"),
                       dr__arg_string(op, "branch", "(its branch)"));
}

static char *preview_reset(const dr_op *op) {
  bool hard = strcmp(op->spec->name, "git.reset_hard") == 0;
  bool keep = dr__arg_boolean(op, "keep", false);
  return preview_words(op,
                       keep ? "git reset --%s %s, with the local edits kept" : "git reset --%s %s",
                       hard ? "hard" : "keep", dr__arg_string(op, "revision", ""));
}

static char *preview_revert(const dr_op *op) {
  return preview_words(op, "git revert --no-edit %s%s", dr__arg_string(op, "revision", ""), "");
}

static char *preview_pop(const dr_op *op) {
  return preview_words(op, "git stash pop %s%s", dr__arg_string(op, "stash", "stash@{0}"), "");
}

static char *preview_clone(const dr_op *op) {
  const char *branch = dr__arg_string(op, "branch", NULL);
  json_t *words = json_pack("[s, s, s, s]", "git", "clone", dr__arg_string(op, "url", ""),
                            dr__arg_string(op, "folder", "."));
  if (words && branch) json_array_insert_new(words, 2, json_sprintf("--branch=%s", branch));
  if (words && dr__arg(op, "depth"))
    json_array_insert_new(words, 2,
                          json_sprintf("--depth=%lld", (long long)dr__arg_integer(op, "depth", 0)));
  char *line = words ? dr__exec_preview(op, words) : NULL;
  json_decref(words);
  return line;
}

#define LATER "(unknown until then)"

static json_t *assume_commit(const dr_op *op) {
  (void)op;
  return json_pack("{s:s}", "commit", LATER);
}

static json_t *assume_status(const dr_op *op) {
  (void)op;
  return json_pack("{s:b, s:[]}", "clean", 1, "changes");
}

static json_t *assume_yes(const dr_op *op) {
  (void)op;
  return json_pack("{s:b}", "yes", 1);
}

static json_t *assume_log(const dr_op *op) {
  (void)op;
  return json_pack("{s:[]}", "commits");
}

static json_t *assume_paths(const dr_op *op) {
  (void)op;
  return json_pack("{s:[]}", "paths");
}

static json_t *assume_tags(const dr_op *op) {
  (void)op;
  return json_pack("{s:[]}", "tags");
}

static json_t *assume_pushed(const dr_op *op) {
  (void)op;
  return json_pack("{s:b}", "pushed", 1);
}

static json_t *assume_move(const dr_op *op) {
  (void)op;
  return json_pack("{s:b, s:s, s:s, s:[], s:[], s:[], s:[]}", "moved", 1, "from", LATER, "to",
                   LATER, "changed", "commits", "kept", "conflicts");
}

static json_t *assume_tag(const dr_op *op) {
  (void)op;
  return json_pack("{s:b, s:s}", "created", 1, "commit", LATER);
}

static json_t *assume_stash(const dr_op *op) {
  (void)op;
  return json_pack("{s:b, s:s}", "stashed", 1, "commit", LATER);
}

static json_t *assume_clone(const dr_op *op) {
  (void)op;
  return json_pack("{s:b, s:s}", "cloned", 1, "commit", LATER);
}

/* ------------------------------------------------------------ table */

#define LIBRARY                                                                                    \
  { "library", DR_ARG_BOOLEAN, 0 }
#define TIMEOUT                                                                                    \
  { "timeout", DR_ARG_DURATION, 0 }
#define REQUIRED(name)                                                                             \
  { name, DR_ARG_STRING, DR_REQUIRED }
#define TEXT(name)                                                                                 \
  { name, DR_ARG_STRING, 0 }
#define FLAG(name)                                                                                 \
  { name, DR_ARG_BOOLEAN, 0 }
#define LIST(name)                                                                                 \
  { name, DR_ARG_STRINGS, 0 }

static const dr_arg plain_args[] = {LIBRARY, {0}};
static const dr_arg is_checkout_args[] = {REQUIRED("folder"), LIBRARY, {0}};
static const dr_arg revision_args[] = {TEXT("revision"), LIBRARY, {0}};
static const dr_arg log_args[] = {TEXT("from"),  TEXT("to"), {"limit", DR_ARG_INTEGER, 0},
                                  LIST("paths"), LIBRARY,    {0}};
static const dr_arg changed_args[] = {REQUIRED("from"), TEXT("to"), LIST("paths"), LIBRARY, {0}};
static const dr_arg pushed_args[] = {TEXT("remote"), TEXT("branch"), TIMEOUT, {0}};
static const dr_arg pull_args[] = {FLAG("ff_only"), TEXT("remote"), TEXT("branch"), TIMEOUT, {0}};
static const dr_arg fetch_args[] = {TEXT("remote"), FLAG("prune"), FLAG("tags"), TIMEOUT, {0}};
static const dr_arg update_args[] = {FLAG("keep_local"), LIST("ours"), TEXT("remote"),
                                     TEXT("branch"),     TIMEOUT,      {0}};
static const dr_arg move_args[] = {REQUIRED("revision"), FLAG("keep"), TIMEOUT, {0}};
static const dr_arg reset_args[] = {REQUIRED("revision"), FLAG("keep"), LIST("ours"), TIMEOUT, {0}};
static const dr_arg hard_args[] = {REQUIRED("revision"), TIMEOUT, {0}};
static const dr_arg revert_args[] = {
    REQUIRED("revision"), {"mainline", DR_ARG_INTEGER, 0}, TIMEOUT, {0}};
static const dr_arg tag_args[] = {
    REQUIRED("name"), TEXT("revision"), TEXT("message"), LIBRARY, {0}};
static const dr_arg push_args[] = {TEXT("remote"), TEXT("branch"), LIST("tags"), TIMEOUT, {0}};
static const dr_arg stash_args[] = {TEXT("message"), {0}};
static const dr_arg pop_args[] = {TEXT("stash"), LIST("ours"), TIMEOUT, {0}};
static const dr_arg clone_args[] = {REQUIRED("folder"),           REQUIRED("url"), TEXT("branch"),
                                    {"depth", DR_ARG_INTEGER, 0}, TIMEOUT,         {0}};

#define QUERY .kind = DR_QUERY, .idempotent = true, .reads = DR_AREA_GIT
#define ACTION .kind = DR_ACTION, .effects = DR_CHANGE
#define TOUCHES_GIT .touches = DR_AREA_GIT
#define TOUCHES_ALL .touches = (DR_AREA_GIT | DR_AREA_FILES)

static const dr_opspec ops[] = {
    {.name = "git.head",
     .check = dr__git_check,
     QUERY,
     .args = plain_args,
     .preview = preview,
     .assume = assume_commit,
     .start = start},
    {.name = "git.commit",
     .check = dr__git_check,
     QUERY,
     .args = revision_args,
     .preview = preview,
     .assume = assume_commit,
     .start = start},
    {.name = "git.branch",
     .check = dr__git_check,
     QUERY,
     .args = plain_args,
     .preview = preview,
     .start = start},
    {.name = "git.status",
     .check = dr__git_check,
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_GIT | DR_AREA_FILES,
     .args = plain_args,
     .preview = preview,
     .assume = assume_status,
     .start = start},
    {.name = "git.is_checkout",
     .check = dr__git_check,
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_FILES,
     .args = is_checkout_args,
     .preview = preview_is_checkout,
     .assume = assume_yes,
     .start = start_is_checkout},
    {.name = "git.log",
     .check = dr__git_check,
     QUERY,
     .args = log_args,
     .preview = preview,
     .assume = assume_log,
     .start = start},
    {.name = "git.changed",
     .check = dr__git_check,
     QUERY,
     .args = changed_args,
     .preview = preview,
     .assume = assume_paths,
     .start = start},
    {.name = "git.tags",
     .check = dr__git_check,
     QUERY,
     .args = revision_args,
     .preview = preview,
     .assume = assume_tags,
     .start = start},
    {.name = "git.is_pushed",
     .check = dr__git_check,
     QUERY,
     .args = pushed_args,
     .preview = preview_pushed,
     .assume = assume_pushed,
     .start = start},
    {.name = "git.fetch",
     .check = dr__git_check,
     ACTION,
     .idempotent = true,
     TOUCHES_GIT,
     .args = fetch_args,
     .preview = preview,
     .start = start},
    {.name = "git.pull",
     .check = dr__git_check,
     ACTION,
     .idempotent = true,
     TOUCHES_ALL,
     .args = pull_args,
     .preview = preview,
     .assume = assume_move,
     .start = start},
    {.name = "git.update",
     .check = dr__git_check,
     ACTION,
     .idempotent = true,
     TOUCHES_ALL,
     .args = update_args,
     .preview = preview_update,
     .assume = assume_move,
     .start = dr__git_script},
    {.name = "git.checkout",
     .check = dr__git_check,
     ACTION,
     .idempotent = true,
     TOUCHES_ALL,
     .args = move_args,
     .preview = preview,
     .assume = assume_move,
     .start = start},
    {.name = "git.checkout_hard",
     .check = dr__git_check,
     .kind = DR_ACTION,
     .effects = DR_CHANGE | DR_DESTRUCTIVE,
     .idempotent = true,
     TOUCHES_ALL,
     .args = hard_args,
     .preview = preview,
     .assume = assume_move,
     .start = start},
    {.name = "git.reset",
     .check = dr__git_check,
     ACTION,
     .idempotent = true,
     TOUCHES_ALL,
     .args = reset_args,
     .preview = preview_reset,
     .assume = assume_move,
     .start = dr__git_script},
    {.name = "git.reset_hard",
     .check = dr__git_check,
     .kind = DR_ACTION,
     .effects = DR_CHANGE | DR_DESTRUCTIVE,
     .idempotent = true,
     TOUCHES_ALL,
     .args = hard_args,
     .preview = preview_reset,
     .assume = assume_move,
     .start = dr__git_script},
    {.name = "git.revert",
     .check = dr__git_check,
     ACTION,
     .idempotent = true,
     TOUCHES_ALL,
     .args = revert_args,
     .preview = preview_revert,
     .assume = assume_move,
     .start = dr__git_script},
    {.name = "git.tag",
     .check = dr__git_check,
     ACTION,
     .idempotent = true,
     TOUCHES_GIT,
     .args = tag_args,
     .preview = preview,
     .assume = assume_tag,
     .start = start},
    {.name = "git.push",
     .check = dr__git_check,
     ACTION,
     .idempotent = true,
     TOUCHES_GIT,
     .args = push_args,
     .preview = preview,
     .assume = assume_pushed,
     .start = start},
    {.name = "git.stash",
     .check = dr__git_check,
     ACTION,
     TOUCHES_ALL,
     .args = stash_args,
     .preview = preview,
     .assume = assume_stash,
     .start = start},
    {.name = "git.pop",
     .check = dr__git_check,
     ACTION,
     TOUCHES_ALL,
     .args = pop_args,
     .preview = preview_pop,
     .assume = assume_move,
     .start = dr__git_script},
    {.name = "git.clone",
     .check = dr__git_check,
     ACTION,
     .idempotent = true,
     TOUCHES_ALL,
     .args = clone_args,
     .preview = preview_clone,
     .assume = assume_clone,
     .start = dr__git_script},
    {0},
};

const dr_binding dr__binding_git = {
    .name = "git", .ops = ops, .lua = &dr__lua_git, .gives = "git :git"};
