/* cli/help.c - `deployrun --help`, on one screen. */
#include "cli.h"

#include "../ui/text.h"

#include <string.h>

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

/* Where the second column of a line begins, behind two spaces or more; 0: it has none. */
static size_t second_column(const char *line, size_t length) {
  for (size_t i = length; i > 2; i--) {
    if (line[i - 1] == ' ' && line[i - 2] == ' ') return strspn(line, " ") < i ? i : 0;
  }
  return 0;
}

/* A line that does not fit: its second column stands below the first. */
static void add_narrow(ui_buf *out, const char *line, size_t length, size_t width) {
  size_t margin = strspn(line, " ");
  size_t second = second_column(line, length);
  size_t first = second > 0 ? second : length;
  ui_block block = {.indent = margin + 2, .width = width};
  ui_buf left = UI_BUF_INIT, right = UI_BUF_INIT;
  ui_buf_add_bytes(&left, line + margin, first - margin);
  while (left.length > 0 && left.text[left.length - 1] == ' ') left.text[--left.length] = '\0';
  ui_buf_add_bytes(&right, line + first, length - first);
  ui_buf_fill(out, ' ', margin);
  ui_add_block(out, ui_buf_text(&left), &block);
  if (right.length > 0) {
    block.indent = 8;
    ui_buf_add(out, "\n        ");
    ui_add_block(out, ui_buf_text(&right), &block);
  }
  ui_buf_free(&left);
  ui_buf_free(&right);
}

int cli_help(ui_screen *screen) {
  ui_buf out = UI_BUF_INIT;
  size_t width = ui_wrap_width(screen, UI_OUT);
  for (const char *line = help; *line != '\0';) {
    size_t length = strcspn(line, "\n");
    if (width > 0 && length > width) {
      add_narrow(&out, line, length, width);
    } else {
      ui_buf_add_bytes(&out, line, length);
    }
    ui_buf_add(&out, "\n");
    line += length + 1;
  }
  ui_put(screen, UI_OUT, &out);
  ui_buf_free(&out);
  return DR_OK;
}
