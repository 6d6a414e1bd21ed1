/* cli/help.c - `deployrun --help`, on one screen. */
#include "cli.h"

static const char help[] =
    "deployrun runs deploy recipes.\n"
    "\n"
    "  deployrun RECIPE [key=value ...] [options]   run a recipe\n"
    "  deployrun RECIPE [key=value ...] --dry-run   show everything it would do, change nothing\n"
    "  deployrun list                               name the bundled recipes\n"
    "  deployrun show RECIPE                        explain a recipe and its params\n"
    "  deployrun check RECIPE ...                   look for mistakes in recipes, run nothing\n"
    "\n"
    "RECIPE is a name from `deployrun list` or the path of a .lua file.\n"
    "\n"
    "      --dry-run      print the plan instead of running\n"
    "      --set-file F   read params from a file of `name = value` lines\n"
    "      --env-file F   read KEY=value lines for the recipe's env and secrets\n"
    "  -v, --verbose      show every operation and its output\n"
    "  -q, --quiet        show failures and the last line only\n"
    "      --json         write events as JSON lines on stdout\n"
    "      --no-color     no colours (NO_COLOR and TERM=dumb are heeded too)\n"
    "  -h, --help         this text\n"
    "      --version      the version\n"
    "\n"
    "Ctrl-C once stops and undoes, twice stops at once.\n"
    "\n"
    "Exit status: 0 done · 1 failed, undone or not begun · 2 wrong usage or params · 3 wrong "
    "recipe\n"
    "             4 refused, a lock is held · 5 failed and an undo failed too · 130 interrupted\n";

int cli_help(ui_screen *screen) {
  ui_buf out = UI_BUF_INIT;
  ui_buf_add(&out, help);
  ui_put(screen, UI_OUT, &out);
  ui_buf_free(&out);
  return DR_OK;
}
