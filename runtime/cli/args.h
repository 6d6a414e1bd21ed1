/* cli/args.h - the command line, read into a struct. Pure: looks at nothing but argv. */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include "../ui/terminal.h"

#include <deployrun.h>

typedef enum cli_command {
  CLI_RUN, /* deployrun RECIPE [key=value…] */
  CLI_LIST,
  CLI_SHOW,
  CLI_CHECK,
  CLI_HELP,
  CLI_VERSION
} cli_command;

/* An option that may be given several times, in order. */
typedef struct cli_words {
  const char **items; /* the items point into argv */
  size_t count;
} cli_words;

typedef struct cli_args {
  cli_command command;
  cli_words recipes; /* one; of `check` one or more */
  cli_words params;  /* "key=value", in order; for CLI_RUN */
  cli_words set_files;
  cli_words env_files;
  bool dry_run;
  bool json;
  bool no_color;
  ui_loudness loudness;
} cli_args;

/* Reads argv. Returns DR_OK, or DR_USAGE with err filled; what was understood so far (--json,
 * --no-color) is in *args in both cases. Free with cli_args_free(). */
int cli_args_read(cli_args *args, int argc, char **argv, dr_err *err);
void cli_args_free(cli_args *args);

/* The command a word is nearly the name of ("lsit"), or NULL. */
const char *cli_near_command(const char *word);

/* How many single edits (insert, delete, replace, swap of neighbours) lie between two short words.
 */
size_t cli_distance(const char *a, const char *b);

#endif
