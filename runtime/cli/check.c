/* cli/check.c - `deployrun check RECIPE…`: loads each recipe, which has no effects, and reports
 * what is wrong. The status is that of the first one that is not right. */
#include "cli.h"

#include "../ui/text.h"

static void print_good(ui_screen *screen, const dr_runtime *rt) {
  ui_buf out = UI_BUF_INIT;
  dr_param param;
  size_t count = 0;
  while (dr_recipe_param(rt, count, &param)) count++;
  ui_add_clean(&out, dr_recipe_name(rt));
  ui_buf_printf(&out, " is fine %s ", ui_dot(screen));
  ui_add_counted(&out, (double)count, "param", "params");
  ui_buf_printf(&out, " %s ", ui_dot(screen));
  cli_add_path(&out, dr_recipe_path(rt));
  ui_buf_add(&out, "\n");
  ui_put(screen, UI_OUT, &out);
  ui_buf_free(&out);
}

static int check_one(const cli_args *args, ui_screen *screen, const char *recipe) {
  dr_err err = DR_ERR_INIT;
  dr_runtime *rt = NULL;
  int status = cli_load(&rt, recipe, &err);
  if (status != DR_OK) return cli_error(args, screen, &err, status);
  if (!args->json && args->loudness != UI_QUIET) print_good(screen, rt);
  dr_runtime_free(rt);
  return DR_OK;
}

int cli_check(const cli_args *args, ui_screen *screen) {
  int status = DR_OK;
  for (size_t i = 0; i < args->recipes.count; i++) {
    int one = check_one(args, screen, args->recipes.items[i]);
    if (status == DR_OK) status = one;
  }
  return status;
}
