/* git_failure.c - the failures of git by name: the words by which each is known, and the message
 * and the hint of each code. Called by git_run.c, git_script.c and git_local.c; no I/O.
 *
 * Where git or a script of ours tells facts (files, a lock, numbers of commits), they become part
 * of the message. git's words are looked at only where neither its exit status nor its machine
 * formats tell the kind of a failure.
 */
#include "git_failure.h"

#include "git_pairs.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

/* Words git writes with LC_ALL=C. The first match counts: what explains others stands before them
 * (a full disk also says that the remote could not be read). */
static const struct words {
  const char *words;
  const char *code;
} all_words[] = {
    {"git: not found", "command.not_found"},
    {"git: command not found", "command.not_found"},
    {"No space left on device", "git.no_space"},
    {"Disk quota exceeded", "git.no_space"},
    {"dubious ownership", "git.unsafe_owner"},
    {"unsafe repository", "git.unsafe_owner"},
    {"not a git repository", "git.not_a_checkout"},
    {"must be run in a work tree", "git.not_a_checkout"},
    {"refusing to merge unrelated histories", "git.unrelated"},
    {"Not possible to fast-forward", "git.diverged"},
    {"Need to specify how to reconcile", "git.diverged"},
    {"(non-fast-forward)", "git.diverged"},
    {"(fetch first)", "git.diverged"},
    {"[remote rejected]", "git.rejected"},
    {"[rejected]", "git.rejected"},
    {"untracked working tree files would be", "git.in_the_way"},
    {"untracked working tree file", "git.in_the_way"},
    {"would be overwritten by", "git.dirty"},
    {"Please commit or stash", "git.dirty"},
    {"unmerged files", "git.conflict"},
    {"You have not concluded your", "git.conflict"},
    {"Automatic merge failed", "git.conflict"},
    {"could not revert", "git.conflict"},
    {"you need to resolve your current index", "git.conflict"},
    {".lock': File exists", "git.locked"},
    {"cannot lock ref", "git.locked"},
    {"There is no tracking information", "git.no_remote"},
    {"No remote repository specified", "git.no_remote"},
    {"does not appear to be a git repository", "git.no_remote"},
    {"No such remote", "git.no_remote"},
    {"No configured push destination", "git.no_remote"},
    {"couldn't find remote ref", "git.not_found"},
    {"Could not find remote branch", "git.not_found"},
    {"Remote branch", "git.not_found"},
    {"You are not currently on a branch", "git.detached"},
    {"did not match any", "git.not_found"},
    {"does not match any", "git.not_found"},
    {"invalid reference", "git.not_found"},
    {"Failed to resolve", "git.not_found"},
    {"bad revision", "git.not_found"},
    {"unknown revision", "git.not_found"},
    {"bad object", "git.not_found"},
    {"malformed object name", "git.not_found"},
    {"Invalid symmetric difference", "git.not_found"},
    {"Invalid revision range", "git.not_found"},
    {"Needed a single revision", "git.not_found"},
    {"does not have any commits yet", "git.not_found"},
    {"is not a valid tag name", "git.not_found"},
    {"repository not found", "git.not_found"},
    {"Repository not found", "git.not_found"},
    {"Please tell me who you are", "git.no_identity"},
    {"unable to auto-detect email address", "git.no_identity"},
    {"empty ident name", "git.no_identity"},
    {"Permission denied (", "git.auth"},
    {"could not read Username", "git.auth"},
    {"could not read Password", "git.auth"},
    {"Authentication failed", "git.auth"},
    {"Host key verification failed", "git.host_key"},
    {"Could not resolve host", "git.unreachable"},
    {"unable to access", "git.unreachable"},
    {"does not exist", "git.no_remote"},
    {"Could not read from remote repository", "git.unreachable"},
    {"the remote end hung up", "git.unreachable"},
    {"early EOF", "git.unreachable"},
    {"insufficient permission for adding an object", "git.denied"},
    {"Permission denied", "git.denied"},
    {"Read-only file system", "git.denied"},
    {"loose object", "git.corrupt"},
    {"index file corrupt", "git.corrupt"},
    {"unable to read tree", "git.corrupt"},
};

static const struct failure {
  const char *code;
  const char *message;
  const char *hint;
} failures[] = {
    {"git.no_space", "the disk is full where the checkout is",
     "look at df -h there; what git fetched by halves it removes itself, git gc makes more room"},
    {"git.unsafe_owner", "the checkout belongs to another user, so git refuses it",
     "work as its owner with :as(\"user\"), or allow it once on that machine: git config --global "
     "--add safe.directory FOLDER"},
    {"git.not_a_checkout", "the folder is not a git checkout", "check the folder given to :git()"},
    {"git.unrelated", "the checkout and the remote branch have no commit in common",
     "is it the right remote? look at git remote -v there; the history may have been made anew"},
    {"git.shallow",
     "the checkout is a shallow clone that ends before the commit it would have in common with the "
     "remote branch",
     "fetch the history once, there: git fetch --unshallow"},
    {"git.diverged", "the checkout and the remote branch have gone different ways",
     "look at the checkout's own commits with git log @{u}..; keep them on a branch of their own, "
     "or drop them with :reset()"},
    {"git.rejected", "the remote refused what was pushed",
     "its own words say why: a protected branch, a hook, or a tag that exists there"},
    {"git.in_the_way", "files that git does not know are where files of the new commit belong",
     "move them away or remove them; they are nobody's backup"},
    {"git.dirty", "files were changed in the checkout",
     "look at them with git diff there; commit, stash or drop them, or keep them: "
     ":update{ keep_local = true }, :reset(revision, { keep = true })"},
    {"git.conflict", "the changes conflict with each other",
     "bring them together in a checkout of your own; for files whose local edits are to win: "
     ":update{ keep_local = true, ours = { … } }"},
    {"git.unfinished", "the checkout is in the middle of a merge, rebase or revert",
     "finish it there, or give it up with git merge --abort, git rebase --abort or git revert "
     "--abort"},
    {"git.locked", "another git command works on the checkout, or was killed in it",
     "wait for it; if no git is running there, remove the lock file"},
    {"git.no_remote", "the remote does not exist, or the branch has none",
     "look at git remote -v there, or name it: { remote = \"origin\", branch = \"main\" }"},
    {"git.not_found", "there is no such commit, branch, tag or repository",
     "fetch first, and check the name; was it pushed? A new repository has no commit yet"},
    {"git.detached", "the checkout is not on a branch",
     "check a branch out: :checkout(\"main\"), or name it: { remote = \"origin\", branch = "
     "\"main\" }"},
    {"git.no_identity", "git does not know who makes the commit",
     "git config user.name and user.email there, or :env{ GIT_AUTHOR_NAME = … }"},
    {"git.auth", "the remote does not accept the target's key or password",
     "give the user on the target a deploy key for that repository, or a credential helper"},
    {"git.host_key", "the target does not know the host key of the remote",
     "add it to known_hosts on the target, after comparing the fingerprint: ssh-keyscan HOST"},
    {"git.unreachable", "the remote cannot be reached or read",
     "look at git remote -v there: does it exist, may the target's user read it?"},
    {"git.denied", "the user may not write into the checkout",
     "some files belong to somebody else, often to root: work as the owner with :as(\"user\")"},
    {"git.corrupt", "the repository is damaged", "look at git fsck there; a new clone is quickest"},
    {"git.exists", "it exists already, and is something else", "choose another name"},
    {"git.merge_commit", "the commit is a merge, so it has several commits before it",
     "say which one to go back to: { mainline = 1 }"},
    {"git.submodule", "a submodule changes with the commit, and its files are not moved by this",
     "bring it there with :pull() or :checkout() and git submodule update"},
    {"git.untracked_stash", "the stash also holds files that git does not know",
     "apply it there by hand with git stash pop"},
    {"git.interrupted",
     "an update was interrupted here, and the checkout was changed since, so it cannot be ended",
     "copy what you need of it, then :reset(revision, { hard = true }), or there; the local edits "
     "of before the update are in git stash list"},
    {"git.unverified", "the checkout is not what it was to become",
     "a program that writes into the checkout may have changed the files, or they may not be "
     "removed; the next call tries again. To give it up: :reset(revision, { hard = true }), or "
     "there; the local edits are in git stash list"},
    {"git.sparse", "the checkout is sparse, and this would write the files that it leaves out",
     "bring it there with :pull() or :checkout(), or git sparse-checkout disable there"},
    {"git.no_such_file", "git knows no file of that name in the checkout",
     "ours names files and folders from the top of the checkout, also when :git() was given a "
     "folder in it"},
    {"git.library", "libgit2 cannot be used", "install it (Debian package libgit2-1.5)"},
    {"command.not_found", "git: the program was not found", "install git there"},
    {"git.failed", "git could not do it", ""},
    {"lock.no_flock", "there is no program flock on the target",
     "install the package util-linux there"},
};

static const struct failure *find(const char *code) {
  for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
    if (strcmp(failures[i].code, code) == 0) return &failures[i];
  return NULL;
}

/* Sets code, message and hint; a detail that is there stays. */
static void name(dr_err *err, const char *code) {
  const struct failure *known = find(code);
  dr__copy_text(err->code, sizeof err->code, code);
  dr__copy_text(err->message, sizeof err->message, known ? known->message : code);
  dr__err_hint(err, "%s", known ? known->hint : "");
}

bool dr__git_failure_said(dr_err *err, const char *said) {
  for (size_t i = 0; i < sizeof all_words / sizeof *all_words; i++) {
    if (!strstr(said, all_words[i].words)) continue;
    name(err, all_words[i].code);
    return true;
  }
  return false;
}

void dr__git_failure_other(dr_err *err, const char *said) {
  char line[256] = "";
  for (const char *at = said; at && *at; at = strchr(at, '\n')) {
    at += *at == '\n';
    size_t length = strcspn(at, "\n");
    bool telling = strncmp(at, "fatal: ", 7) == 0 || strncmp(at, "error: ", 7) == 0;
    if (length > 0 && (telling || !line[0]))
      snprintf(line, sizeof line, "%.*s", (int)(length < sizeof line ? length : sizeof line), at);
  }
  json_t *pairs =
      line[0] ? json_pack("{s:[o]}", "name", json_stringn_nocheck(line, strlen(line))) : NULL;
  dr__git_failure(err, "git.failed", pairs);
  json_decref(pairs);
}

/* ": a, b and 3 more" */
static void add_paths(dr_text *text, const json_t *pairs) {
  enum { SHOWN = 8 };
  const json_t *paths = json_object_get(pairs, "path");
  size_t count = json_array_size(paths);
  for (size_t i = 0; i < count && i < SHOWN; i++)
    dr__text_printf(text, "%s%s", i == 0 ? ": " : ", ",
                    json_string_value(json_array_get(paths, i)));
  if (count > SHOWN) dr__text_printf(text, " and %zu more", count - SHOWN);
}

static void add_lock(dr_text *text, const json_t *pairs) {
  const char *lock = dr__git_pair(pairs, "lock");
  const char *age = dr__git_pair(pairs, "age");
  const char *holder = dr__git_pair(pairs, "holder");
  if (!lock) return;
  dr__text_printf(text, ": %s", lock);
  if (age) dr__text_printf(text, ", made %s s ago", age);
  if (holder) dr__text_printf(text, ", held by process %s", holder);
  if (!holder) dr__text_puts(text, ", held by no git process that can be seen");
}

static void add_facts(dr_text *text, const json_t *pairs) {
  const char *ahead = dr__git_pair(pairs, "ahead");
  const char *behind = dr__git_pair(pairs, "behind");
  const char *subject = dr__git_pair(pairs, "name");
  if (subject) dr__text_printf(text, ": %s", subject);
  if (ahead && behind)
    dr__text_printf(text, ": %s commits only here, %s only there", ahead, behind);
  add_lock(text, pairs);
  add_paths(text, pairs);
}

int dr__git_failure(dr_err *err, const char *code, const json_t *pairs) {
  dr_text text = {0};
  if (strcmp(code, "git.conflict") == 0 && dr__git_pair(pairs, "doing")) code = "git.unfinished";
  name(err, code);
  dr__text_puts(&text, err->message);
  add_facts(&text, pairs);
  if (text.bytes && !text.failed) dr__copy_text(err->message, sizeof err->message, text.bytes);
  const char *command = dr__git_pair(pairs, "command");
  char hint[sizeof err->hint];
  dr__copy_text(hint, sizeof hint, err->hint);
  if (command) dr__err_hint(err, "%s: %s", hint, command);
  dr__text_free(&text);
  return DR_FAILED;
}
