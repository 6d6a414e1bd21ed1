/* cli/signals.h - Ctrl-C and its like while a recipe runs. */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

#include <deployrun.h>

#include <signal.h>

/* Counts the signals that asked for an end; each one has written its own line. */
extern volatile sig_atomic_t cli_interrupts;

/* Where the line of a signal is written. */
typedef struct cli_signal_options {
  int fd;        /* stderr, or the terminal with the live lines when stderr is elsewhere */
  bool terminal; /* it is one, and has written "^C" where it stood */
  const volatile sig_atomic_t *rows; /* of live lines that stand there, to be taken off; or NULL */
  bool dry_run;                      /* nothing needs to be undone */
  bool narrow;                       /* it has no room for a sentence on one line */
} cli_signal_options;

/* From now on SIGINT, SIGTERM and SIGHUP (unless ignored, as by nohup) cancel what `rt` does: the
 * first lets undo run, the second ends that too, the third ends the process as the signal would
 * have. */
void cli_signals_begin(dr_runtime *rt, const cli_signal_options *options);

/* Restores what was before; must come before dr_runtime_free(). */
void cli_signals_end(void);

#endif
