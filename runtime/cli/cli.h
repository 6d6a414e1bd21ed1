/* cli/cli.h - the commands of `deployrun`, one file each, and what they share. All on the main
 * thread; each command returns the exit status (dr_status).
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "../ui/screen.h"
#include "args.h"

#include <deployrun.h>

/* deployrun RECIPE: runs it, or shows its plan (run.c). */
int cli_run(const cli_args *args, ui_screen *screen);

/* deployrun list: the bundled recipes (list.c). */
int cli_list(const cli_args *args, ui_screen *screen);

/* deployrun show RECIPE: what it does and takes (show.c). */
int cli_show(const cli_args *args, ui_screen *screen);

/* deployrun check RECIPE…: loads each and reports what is wrong (check.c). */
int cli_check(const cli_args *args, ui_screen *screen);

/* deployrun --help (help.c). */
int cli_help(ui_screen *screen);

/* Makes a runtime without observer and loads a recipe. On failure *out is NULL and the status is
 * returned with err filled (common.c). */
int cli_load(dr_runtime **out, const char *recipe, dr_err *err);

/* Adds a path as a person would write it: without "..", where it can be resolved (common.c). */
void cli_add_path(ui_buf *out, const char *path);

/* Tells an error on stderr, and as JSON on stdout with --json; clears it and returns `status`
 * (common.c). */
int cli_error(const cli_args *args, ui_screen *screen, dr_err *err, int status);

#endif
