/* ui/detect.c - a screen for the process's own stdout and stderr: what the terminal can do, how
 * wide it is, what the time is. The only file in ui/ that looks at the environment. Called by cli/,
 * main thread. */
#include "screen.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { LEAST_COLUMNS = 20, USUAL_COLUMNS = 80 };

/* The width of the first of stdout, stderr that is a terminal. */
static size_t columns_now(void *data) {
  (void)data;
  struct winsize size;
  int fds[] = {STDOUT_FILENO, STDERR_FILENO};
  for (size_t i = 0; i < 2; i++) {
    if (ioctl(fds[i], TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
      return size.ws_col < LEAST_COLUMNS ? LEAST_COLUMNS : size.ws_col;
    }
  }
  return USUAL_COLUMNS;
}

static int64_t monotonic_ms(void *data) {
  (void)data;
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool is_set(const char *name) {
  const char *value = getenv(name);
  return value != NULL && *value != '\0';
}

/* Only a locale that asks for another character set gets plain ASCII signs. */
static bool utf8_locale(void) {
  if (setlocale(LC_CTYPE, "") == NULL) return true;
  const char *codeset = nl_langinfo(CODESET);
  return strcmp(codeset, "UTF-8") == 0 || strcmp(codeset, "ANSI_X3.4-1968") == 0;
}

void ui_screen_detect(ui_screen *screen, const ui_wishes *wishes) {
  const char *term = getenv("TERM");
  bool able = term != NULL && *term != '\0' && strcmp(term, "dumb") != 0;
  bool color = able && !wishes->no_color && !is_set("NO_COLOR");
  bool out = isatty(STDOUT_FILENO) == 1;
  bool err = isatty(STDERR_FILENO) == 1;
  *screen = (ui_screen){
      .out = stdout,
      .err = stderr,
      .live = out && able && !wishes->no_live,
      .color = {out && color, err && color},
      .wrap = {out, err},
      .utf8 = utf8_locale(),
      .columns = columns_now,
      .clock_ms = monotonic_ms,
  };
}
