/* ui/fold.h - the same ops of many lanes as one: a plan for 64 hosts that do the same is read as
 * one. Lanes of one `parallel` are compared whole: only those that do exactly the same, in the same
 * order, are folded. Called by plan.c, main thread.
 */
#ifndef UI_FOLD_H
#define UI_FOLD_H

#include "screen.h"

#include <stdbool.h>

enum { UI_FOLD_INDENT = 15 }; /* of what stands below an op's first line */

/* An op as it would be printed, but for its number and its target. Copied. */
typedef struct ui_fold_op {
  double number;
  size_t indent;
  const char *lane;    /* "main/web1" */
  const char *target;  /* clean */
  const char *what;    /* "action  compose.run" */
  const char *effects; /* "[change]" or "" */
  const char *body;    /* the lines below it */
} ui_fold_op;

typedef struct ui_fold ui_fold;

/* NULL when memory is short. */
ui_fold *ui_fold_new(void);
void ui_fold_free(ui_fold *fold);

/* True when ops of this lane may stand together with those that are kept; else flush first. */
bool ui_fold_fits(const ui_fold *fold, const char *lane);

/* Keeps an op; false when memory is short, nothing is kept then. */
bool ui_fold_add(ui_fold *fold, const ui_fold_op *op);

/* Adds what is kept to the text, and keeps nothing any more. */
void ui_fold_flush(ui_fold *fold, ui_buf *out, const ui_screen *screen);

/* How many ops were not printed because an equal one was. */
size_t ui_fold_saved(const ui_fold *fold);

#endif
