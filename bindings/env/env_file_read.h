/* env_file_read.h - what the readers of env_file.c and env_file_compose.c share: a place in the
 * text, and the variables found so far. Pure, any thread.
 */
#ifndef DR_ENV_FILE_READ_H
#define DR_ENV_FILE_READ_H

#include "env_file.h"

#include "text.h"

#include <stddef.h>

typedef struct dr_env_reader {
  const char *at;
  const char *end;
  int line;          /* of `at` */
  int begun;         /* the line on which the statement begins */
  json_t *variables; /* in the order of the file */
  json_t *known;     /* name -> the value of its last line, null where it stood alone */
  dr_err *err;
} dr_env_reader;

bool dr__env_at_end(const dr_env_reader *r);

/* The byte at `at`, which is left behind; counts the lines. Not at the end. */
char dr__env_take(dr_env_reader *r);

void dr__env_skip_line(dr_env_reader *r);

/* Fills the error with env_file.syntax and the line; returns DR_FAILED. */
int dr__env_wrong(dr_env_reader *r, int line, const char *why);

/* Adds a variable; a NULL value says that a name stands there alone: what it is then comes from the
 * environment of who reads the file. */
int dr__env_keep(dr_env_reader *r, const char *name, size_t length, dr_text *value);

/* One statement of a file of compose, from its first letter to behind its line. */
int dr__env_read_compose(dr_env_reader *r, bool version_1);

#endif
