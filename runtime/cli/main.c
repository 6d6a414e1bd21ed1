/* cli/main.c - the command `deployrun`: reads the command line and calls the command asked for.
 * Uses the library by deployrun.h alone. */
#include "cli.h"

#include "../ui/report.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* A standard stream that is closed would be the first file or connection opened, and progress would
 * be written into it. */
static void open_standard_streams(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) (void)open("/dev/null", O_RDWR);
  }
}

/* Each host takes two files; the usual limit of 1,024 would end at 500 hosts. */
static void allow_many_files(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int show_version(ui_screen *screen) {
  ui_buf out = UI_BUF_INIT;
  ui_buf_add(&out, "deployrun " DR_VERSION "\n");
  ui_put(screen, UI_OUT, &out);
  ui_buf_free(&out);
  return DR_OK;
}

static int dispatch(const cli_args *args, ui_screen *screen) {
  switch (args->command) {
  case CLI_LIST: return cli_list(args, screen);
  case CLI_SHOW: return cli_show(args, screen);
  case CLI_CHECK: return cli_check(args, screen);
  case CLI_HELP: return cli_help(screen);
  case CLI_VERSION: return show_version(screen);
  case CLI_RUN: break;
  }
  return cli_run(args, screen);
}

/* Says that output was lost. That is a failure of what is only output; a run is what it did. */
static int tell_lost(const cli_args *args, ui_screen *screen, int status) {
  bool run = args->command == CLI_RUN && !args->dry_run;
  dr_err err = DR_ERR_INIT;
  if (screen->lost == 0) return status;
  snprintf(err.code, sizeof err.code, "output.lost");
  snprintf(err.message, sizeof err.message, "output could not be written: %s",
           strerror(screen->lost));
  if (run) {
    snprintf(err.hint, sizeof err.hint,
             "the exit status is that of the run all the same; its journal has what was done");
  }
  ui_report_error(screen, &err);
  return run || status != DR_OK ? status : DR_FAILED;
}

int main(int argc, char **argv) {
  cli_args args;
  dr_err err = DR_ERR_INIT;
  ui_screen screen;
  open_standard_streams();
  allow_many_files();
  /* A deploy under way does not die because a pager was closed. */
  (void)signal(SIGPIPE, SIG_IGN);
  int status = cli_args_read(&args, argc, argv, &err);
  ui_wishes wishes = {.no_color = args.no_color, .no_live = args.json};
  ui_screen_detect(&screen, &wishes);
  if (status != DR_OK) {
    status = cli_error(&args, &screen, &err, status);
  } else {
    status = dispatch(&args, &screen);
  }
  status = tell_lost(&args, &screen, status);
  ui_screen_free(&screen);
  cli_args_free(&args);
  return status;
}
