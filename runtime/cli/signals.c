/* cli/signals.c - signal handlers of the command (signals.h). The library installs none; here, and
 * only here, they are. The handler runs on any thread at any moment: it touches atomics, calls
 * dr_cancel() and write(), no more. */
#include "signals.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

volatile sig_atomic_t cli_interrupts;

static _Atomic(dr_runtime *) running;
static volatile sig_atomic_t output;
static volatile sig_atomic_t terminal;
static const volatile sig_atomic_t *volatile live_rows;
static volatile sig_atomic_t dry;
static volatile sig_atomic_t narrow;

enum { SIGNALS = 3 };
static const int signals[SIGNALS] = {SIGINT, SIGTERM, SIGHUP};
static struct sigaction before[SIGNALS];

/* Each in two pieces, which a narrow terminal shows below each other. */
static const char *const first_run[] = {"Interrupted: stopping, undoing …",
                                        "press Ctrl-C again to stop at once\n"};
static const char *const first_dry[] = {"Interrupted: stopping;", "nothing was changed\n"};
static const char *const second[] = {"Stopping at once;", "press Ctrl-C once more if this hangs\n"};

static void put(const char *text) {
  ssize_t ignored = write(output, text, strlen(text));
  (void)ignored;
}

/* Takes the live lines off, with the "^C" behind the last; where there are none, begins a new line,
 * because what stands on this one may be a question. */
static void begin_line(void) {
  sig_atomic_t rows = live_rows != NULL ? *live_rows : 0;
  if (!terminal) return;
  put(rows > 0 ? "\r\033[2K" : "\n");
  while (rows-- > 1) put("\033[A\033[2K");
}

static void say(const char *const pieces[2]) {
  begin_line();
  put(pieces[0]);
  put(narrow ? "\n" : " ");
  put(pieces[1]);
}

static void on_signal(int number) {
  int saved = errno;
  dr_runtime *rt = atomic_load(&running);
  int count = cli_interrupts + 1;
  cli_interrupts = count;
  if (count > 2 || rt == NULL) {
    (void)signal(number, SIG_DFL);
    (void)raise(number);
  } else {
    say(count == 2 ? second : dry ? first_dry : first_run);
    dr_cancel(rt);
  }
  errno = saved;
}

void cli_signals_begin(dr_runtime *rt, const cli_signal_options *options) {
  struct sigaction action = {.sa_handler = on_signal};
  (void)sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < SIGNALS; i++) (void)sigaddset(&action.sa_mask, signals[i]);
  cli_interrupts = 0;
  output = options->fd;
  terminal = options->terminal;
  live_rows = options->rows;
  dry = options->dry_run;
  narrow = options->narrow;
  atomic_store(&running, rt);
  for (size_t i = 0; i < SIGNALS; i++) {
    (void)sigaction(signals[i], NULL, &before[i]);
    bool spared = signals[i] == SIGHUP && before[i].sa_handler == SIG_IGN;
    if (!spared) (void)sigaction(signals[i], &action, NULL);
  }
}

void cli_signals_end(void) {
  for (size_t i = 0; i < SIGNALS; i++) (void)sigaction(signals[i], &before[i], NULL);
  atomic_store(&running, NULL);
  live_rows = NULL;
}
