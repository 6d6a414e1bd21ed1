/* ui/screen.h - where text goes: the two output streams, their colours, and the live region at the
 * bottom of a terminal that is redrawn in place. The views above it compose lines and know no
 * escape sequence.
 *
 * Nothing here looks at the process: streams, width, clock and abilities are given, so that every
 * view is tested without a terminal. ui_screen_detect() fills them in for the real thing.
 */
#ifndef UI_SCREEN_H
#define UI_SCREEN_H

#include "buffer.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>

typedef enum ui_stream {
  UI_OUT, /* progress, plans, results */
  UI_ERR  /* failures and what else must not be lost in a pipe */
} ui_stream;

typedef enum ui_style {
  UI_PLAIN,
  UI_BOLD,
  UI_DIM,
  UI_GOOD,
  UI_BAD,
  UI_WARN,
  UI_NOTE,
  UI_HOST, /* the first of four colours that tell hosts apart and mean nothing else */
  UI_STYLES = UI_HOST + 4
} ui_style;

enum { UI_REGION_LINES = 2 };

typedef struct ui_screen {
  FILE *out;
  FILE *err;
  bool live;     /* out can be redrawn: a terminal that knows cursor movement */
  bool color[2]; /* by ui_stream */
  bool wrap[2];  /* by ui_stream: a person looks at it, long text is wrapped at the width */
  bool utf8;     /* "…" and "·" may be written; else "..." and "-" */
  size_t (*columns)(
      void *data); /* width now, at least 20; also called while drawing, to notice a resize */
  int64_t (*clock_ms)(void *data);
  void *data;
  int lost; /* errno of the first write to out that failed, but for a reader that went away; or 0 */
  /* Counts what a signal handler wrote itself, over the region's rows: after it nothing of the
   * region is on the terminal. NULL: none. */
  const volatile sig_atomic_t *intrusions;
  /* --- the region; the caller leaves these zero */
  size_t region_lines;
  size_t region_width[UI_REGION_LINES];
  sig_atomic_t intrusions_seen;
  volatile sig_atomic_t region_rows; /* rows it takes on the terminal now; for a signal handler */
  ui_buf frame;
} ui_screen;

/* What the command line and the environment wish for. */
typedef struct ui_wishes {
  bool no_color;
  bool no_live;
} ui_wishes;

/* Fills a screen for stdout and stderr: terminals, NO_COLOR, TERM=dumb and the locale's character
 * set are looked at. A locale that names no character set (C, POSIX, none) counts as UTF-8, which
 * is what today's terminals and logs show. Free with ui_screen_free(). */
void ui_screen_detect(ui_screen *screen, const ui_wishes *wishes);

/* Takes the region off the terminal and frees what the screen owns (not the streams). */
void ui_screen_free(ui_screen *screen);

/* Writes text (whole lines) to a stream and flushes it. The region is taken off before; the next
 * ui_region_draw() puts it back. A stream that cannot be written to (closed pipe, full disk)
 * stops nothing, no deploy ends because nobody reads about it: `lost` says so at the end. */
void ui_put(ui_screen *screen, ui_stream to, const ui_buf *text);

/* Flushes a stream that somebody else wrote to, and notes in `lost` what could not be written. */
void ui_flush(ui_screen *screen, ui_stream to);

/* Draws the region: `count` lines of clean text (at most UI_REGION_LINES), styled after cutting to
 * the width. A screen that is not live ignores it. */
typedef struct ui_region_line {
  const char *text;
  ui_style style;
} ui_region_line;
void ui_region_draw(ui_screen *screen, const ui_region_line *lines, size_t count);

/* Takes the region off. */
void ui_region_clear(ui_screen *screen);

/* Adds text in a style, if the stream has colours. */
void ui_paint(ui_buf *buf, const ui_screen *screen, ui_stream to, ui_style style, const char *text);

/* Width to wrap at on a stream; 0 where text is not wrapped. */
size_t ui_wrap_width(const ui_screen *screen, ui_stream to);

/* The signs that have a plain form: */
const char *ui_dots(const ui_screen *screen);  /* … or ... */
const char *ui_dot(const ui_screen *screen);   /* · or - */
const char *ui_arrow(const ui_screen *screen); /* → or -> */
const char *ui_bar(const ui_screen *screen);   /* │ or | */

#endif
