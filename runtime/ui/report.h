/* ui/report.h - what a person reads last: the summary of a good run, the one screen that explains a
 * failed one, and errors that came up before any run. Called by terminal.c and by cli/.
 */
#ifndef UI_REPORT_H
#define UI_REPORT_H

#include "screen.h"
#include "tally.h"

#include <deployrun.h>

/* Fills err from an event's `error` object (or from the fields under `path`). Clear it with
 * dr_err_clear(). */
void ui_error_from_event(dr_err *err, const dr_event *event, const char *path);

/* The end of a good run on stdout; `quiet` makes it one line. `event` is its RUN_FINISHED. */
void ui_report_done(ui_screen *screen, const ui_tally *tally, const dr_event *event, bool quiet);

/* The end of a run that failed, was refused or interrupted, on stderr. */
void ui_report_failed(ui_screen *screen, const ui_tally *tally, const dr_event *event);

/* An error outside a run on stderr: what is wrong, where, what to do. */
void ui_report_error(ui_screen *screen, const dr_err *err);

#endif
