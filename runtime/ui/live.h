/* ui/live.h - what is under way right now: steps, ops and an undo, in one or several lanes; and the
 * two lines that say so at the bottom of a terminal. The run view (terminal.c) feeds it; it prints
 * nothing.
 */
#ifndef UI_LIVE_H
#define UI_LIVE_H

#include "screen.h"

#include <deployrun.h>

/* A step under way. */
typedef struct ui_step {
  char *name; /* clean; may be NULL when memory is short */
  char *lane;
  int index; /* 0: not counted, nested */
  int total;
  int depth;
  int64_t began_ms;
  bool headed; /* its "[3/8] Name …" line was written */
} ui_step;

/* An op under way. */
typedef struct ui_op {
  double seq;
  char *name;
  char *target;
  char *lane;
  char *doing;  /* last line of output, or the first of the preview */
  double share; /* of its bytes that are moved, 0 to 1; negative: it moves none */
  int64_t seen_ms;
} ui_op;

typedef struct ui_live {
  ui_step *steps; /* in the order they began */
  size_t step_count;
  size_t step_capacity;
  ui_op *ops;
  size_t op_count;
  size_t op_capacity;
  char *undo; /* the step being undone, or NULL */
  int64_t undo_began_ms;
  bool undo_headed; /* its "Undo  Name …" line was written */
  int64_t began_ms; /* of the first event */
  unsigned frame;   /* of the spinner */
  ui_buf op_line;   /* the second line as drawn last; it stays a moment when its op is over */
  int64_t op_line_ms;
} ui_live;

void ui_live_free(ui_live *live);

/* A step began: from its STEP_STARTED event. */
void ui_live_step_began(ui_live *live, const dr_event *event, int64_t now_ms);

/* The step an event is about, or NULL. */
ui_step *ui_live_step(ui_live *live, const dr_event *event);

/* The innermost step under way in a lane or in the lanes that enclose it ("main" for "main/web1");
 * NULL if none. */
ui_step *ui_live_lane_step(ui_live *live, const char *lane);

/* A step, or all ops and steps, are over. */
void ui_live_step_ended(ui_live *live, ui_step *step);
void ui_live_all_ended(ui_live *live);

/* Ops begin, say something (OUTPUT, PROGRESS) and end. */
void ui_live_op_began(ui_live *live, const dr_event *event, int64_t now_ms);
void ui_live_op_said(ui_live *live, const dr_event *event, const char *field, int64_t now_ms);
void ui_live_op_ended(ui_live *live, const dr_event *event);

/* The op with the event's seq, or NULL. */
ui_op *ui_live_op(ui_live *live, const dr_event *event);

/* The lane of an OUTPUT or PROGRESS event's op, or "". */
const char *ui_live_lane(ui_live *live, const dr_event *event);

/* Adds "[3/8] Build images", indented by the step's depth. */
void ui_live_add_title(ui_buf *out, const ui_step *step);

/* Draws the two lines: step, spinner and elapsed time; op and last output. `waiting` is shown while
 * no step is. */
void ui_live_draw(ui_live *live, ui_screen *screen, const char *waiting);

#endif
