/* ui/tally.h - what a run has come to so far, counted and copied from its events, for the report at
 * its end (report.c). Fed by the run view (terminal.c); prints nothing.
 */
#ifndef UI_TALLY_H
#define UI_TALLY_H

#include "buffer.h"

#include <deployrun.h>

/* What one http.probe measured. Counts, seconds and milliseconds as the event gives them. */
typedef struct ui_probe {
  char *url;
  double requests;
  double failed;
  char *cause;      /* clean text: why most of these failed, or "" */
  double silence_s; /* the longest time without a good answer */
  double p95_ms;    /* negative: unknown */
  char *versions;   /* clean text: "version 1 → 2 after 8.3 s", or "" */
} ui_probe;

/* One undo that ran. */
typedef struct ui_undo {
  char *step;
  double seconds;
  char *error; /* NULL: it worked */
} ui_undo;

typedef struct ui_tally {
  char *recipe;
  char *run;
  char *journal;
  double steps; /* finished */
  double ops;   /* finished or failed, of a run (not of the walk before it) */
  double actions_begun;
  double warnings;
  ui_probe *probes;
  size_t probe_count;
  ui_undo *undos;
  size_t undo_count;
  char **finished; /* names of the outermost steps that were done */
  size_t finished_count;
  ui_buf halved;      /* outermost steps that failed when they had changed something */
  ui_buf failed_step; /* "[3/8] Replace services: Replace api" */
  double failed_after_s;
  ui_buf failed_message; /* of the step that failed */
  int failed_depth;
} ui_tally;

/* Counts an event. `arrow` is the sign between versions. */
void ui_tally_event(ui_tally *tally, const dr_event *event, const char *arrow);

void ui_tally_free(ui_tally *tally);

#endif
