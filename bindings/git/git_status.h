/* git_status.h - reads what `git status --porcelain=v2 --branch -z` writes. Pure C, any thread. */
#ifndef DR_GIT_STATUS_H
#define DR_GIT_STATUS_H

#include "core/err.h"

/* {clean, head?, branch?, upstream?, ahead?, behind?, changes: [{path, state, from?}]}. state is
 * git's two letters ("M.", "??", "UU"). head is absent in a repository without commits, branch
 * where HEAD is detached. New reference, or NULL with err filled (git.output). */
json_t *dr__git_status_parse(const char *bytes, size_t length, dr_err *err);

#endif
