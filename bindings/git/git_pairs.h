/* git_pairs.h - reads what git and our scripts write with a zero byte behind each field. Pure C,
 * any thread. */
#ifndef DR_GIT_PAIRS_H
#define DR_GIT_PAIRS_H

#include "core/err.h"

/* Pairs of a word and its value, as an object of arrays of values: {"path": ["a", "b"]}. Empty
 * values are left out. New reference, or NULL with err filled (git.output). */
json_t *dr__git_pairs_parse(const char *bytes, size_t length, dr_err *err);

/* The first value of a word, or NULL. Borrowed. */
const char *dr__git_pair(const json_t *pairs, const char *word);

/* All values of a word, an array that may be empty. New reference; NULL when memory is short. */
json_t *dr__git_pair_list(const json_t *pairs, const char *word);

/* The fields as an array, empty ones left out. New reference, or NULL with err filled. */
json_t *dr__git_list_parse(const char *bytes, size_t length, dr_err *err);

/* The words "commit" of pairs, as DR_GIT_LOG_FORMAT makes them: [{commit, time, author, subject}].
 * New reference, or NULL with err filled. */
#define DR_GIT_LOG_FORMAT "--format=commit%x00%H%x1f%ct%x1f%an%x1f%s"
json_t *dr__git_commits_parse(const json_t *pairs, dr_err *err);

#endif
