/* cli/main.c - the command `deployrun`: reads the command line and calls the command asked for.
 * Uses the library by deployrun.h alone. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
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

static int dispatch(const cli_args *args, ui_screen *screen) {
  switch (args->command) {
  case CLI_LIST: return cli_list(args, screen);
  case CLI_SHOW: return cli_show(args, screen);
  case CLI_CHECK: return cli_check(args, screen);
  case CLI_HELP: return cli_help(screen);
  case CLI_VERSION: return puts("deployrun " DR_VERSION) < 0;
  case CLI_RUN: break;
  }
  return cli_run(args, screen);
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
  ui_screen_free(&screen);
  cli_args_free(&args);
  return status;
}
