/* cli/common.c - what the commands share: loading a recipe only to look at it, and telling an
 * error. */
#include "cli.h"

#include "../ui/jsonl.h"
#include "../ui/report.h"
#include "../ui/text.h"

#include <stdlib.h>

int cli_load(dr_runtime **out, const char *recipe, dr_err *err) {
  dr_options options = DR_OPTIONS_INIT;
  int status = dr_runtime_new(out, &options, err);
  if (status == DR_OK) status = dr_load(*out, recipe, err);
  if (status != DR_OK) {
    dr_runtime_free(*out);
    *out = NULL;
  }
  return status;
}

void cli_add_path(ui_buf *out, const char *path) {
  char *resolved = realpath(path, NULL);
  ui_add_clean(out, resolved != NULL ? resolved : path);
  free(resolved);
}

int cli_error(const cli_args *args, ui_screen *screen, dr_err *err, int status) {
  if (args->json) ui_jsonl_error(screen, err, status);
  ui_report_error(screen, err);
  dr_err_clear(err);
  return status;
}
