/* git.h - what the files of the git binding share. git.c has the ops; each is done either by the
 * target's own git (git_run.c, git_script.c) or, for git.open, by libgit2 (git_local.c). Both give
 * the same results and the same errors (git_failure.h). */
#ifndef DR_GIT_H
#define DR_GIT_H

#include "target/target.h"

enum { DR_GIT_QUERY_SECONDS = 60, DR_GIT_NETWORK_SECONDS = 600 };

/* ---- git_words.c: what git is called with, from an op's arguments; pure. New arrays. */

/* The words of an op's main command, without the program; NULL for an op that has none. */
json_t *dr__git_words(const dr_op *op);

/* How git is asked for the commit a revision names; a new string. */
json_t *dr__git_commit_word(const char *revision);

/* dr_opspec.check: refuses names that would be options, or nothing, and counts below one. */
int dr__git_check(const dr_op *op, dr_err *err);

/* ---- git_run.c */

/* Begins an op that is one git command, or a few. */
int dr__git_run(dr_op *op, dr_err *err);

/* git's environment, as far as its scripts do not set it; a query must not even refresh the index.
 * NULL when memory is short. */
json_t *dr__git_env(bool query);

/* Fails the op with what git said; where it helps, the target is asked for more first. For parse:
 * the status is not 0; returns NULL, with err filled or another command begun. */
json_t *dr__git_fail(dr_op *op, int status, dr_err *err);

/* Asks the target for the facts that belong to an error. True: begun, and the op will fail with
 * them; err is cleared. False: there is nothing to ask, err stays. */
bool dr__git_inquire(dr_op *op, dr_err *err);

/* ---- git_script.c */

/* Begins an op that is a script (update, reset, revert, pop, clone). */
int dr__git_script(dr_op *op, dr_err *err);

/* sh -c with a script of ours, or NULL. `words` is taken over; `before` is put before the script,
 * behind git_common.sh, which says for every git that is run what a person's settings would change.
 * DR_GIT_ONE is git itself with these words.
 */
typedef enum dr_git_text { DR_GIT_ONE, DR_GIT_UPDATE, DR_GIT_CLONE, DR_GIT_INQUIRE } dr_git_text;
json_t *dr__git_script_command(dr_git_text which, const char *before, json_t *words);

/* ---- git_local.c */

/* Begins an op on a local checkout by libgit2, on a worker thread. */
int dr__git_local(dr_op *op, dr_err *err);

#endif
