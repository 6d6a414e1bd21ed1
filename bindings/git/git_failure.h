/* git_failure.h - the failures of git by name. Pure C, any thread. */
#ifndef DR_GIT_FAILURE_H
#define DR_GIT_FAILURE_H

#include "core/err.h"

/* What git wrote, with LC_ALL=C, as an error: code, message and hint are set, the detail stays.
 * False when nothing known is in it. */
bool dr__git_failure_said(dr_err *err, const char *said);

/* Any other failure: git.failed, with the last of git's words that says what is wrong. */
void dr__git_failure_other(dr_err *err, const char *said);

/* The error of a code, with what belongs to it out of pairs (git_pairs.h), all of them optional:
 *   path       files, in git.dirty, git.conflict, git.in_the_way …
 *   name       what was not found
 *   lock age holder   the lock's file, its age in seconds, "PID COMMAND" of the git that has it
 *   ahead behind      commits only here, only there
 *   doing edits       what is under way; the commit of the local edits
 *   command           what a person can do about it there, for the hint
 * Returns DR_FAILED. */
int dr__git_failure(dr_err *err, const char *code, const json_t *pairs);

#endif
