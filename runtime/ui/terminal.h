/* ui/terminal.h - the view of a run for a person: events in, lines and a live region out.
 *
 *   rolling · dir=/srv/app · run 20251121-0600-1f2e
 *   [1/8] Update code … 0.8 s
 *   [2/8] Build images … ⠹ 12.4 s               <- redrawn in place on a terminal
 *         compose.build on local · Step 7/12
 *
 * Made by cli/run.c, given to the library as its observer. Main thread.
 */
#ifndef UI_TERMINAL_H
#define UI_TERMINAL_H

#include "screen.h"

#include <deployrun.h>

typedef enum ui_loudness {
  UI_QUIET,  /* failures and the final line */
  UI_NORMAL, /* steps */
  UI_VERBOSE /* ops and their output too */
} ui_loudness;

/* A param that may be shown in the first line: when its value is not its default. */
typedef struct ui_shown_param {
  const char *name;
  const char *initial; /* or NULL */
} ui_shown_param;

typedef struct ui_view_options {
  ui_screen *screen; /* must outlive the view */
  ui_loudness loudness;
  const ui_shown_param *params; /* borrowed as long as the view */
  size_t param_count;
} ui_view_options;

typedef struct ui_view ui_view;

/* Makes a view; NULL when memory is short. Free with ui_view_free(). */
ui_view *ui_view_new(const ui_view_options *options);
void ui_view_free(ui_view *view);

/* A dr_observer; `data` is the ui_view. */
void ui_view_event(const dr_event *event, void *data);

/* Takes the live lines off, before somebody else writes to the terminal (a question), and leaves
 * behind what the steps under way are. The next event brings the live lines back. */
void ui_view_pause(ui_view *view);

/* Adds a param's value from a RUN_STARTED, where secrets are masked, as it would be typed: a list
 * is "a,b". */
void ui_add_param_value(ui_buf *out, const dr_event *event, const char *name);

/* True when the view has told the end of a run: the error of dr_run() need not be told again. */
bool ui_view_ended(const ui_view *view);

#endif
