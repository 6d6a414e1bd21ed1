/* ui/screen.c - streams, colours and the live region (screen.h). Used by the views in ui/ and by
 * cli/, main thread. */
#include "screen.h"

#include "text.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

enum { ECHOED = 2 }; /* room that a line leaves for the "^C" a terminal writes behind it */

/* ------------------------------------------------------------ styles and signs */

static const char *const codes[] = {
    [UI_PLAIN] = "",      [UI_BOLD] = "1",      [UI_DIM] = "2",       [UI_GOOD] = "32",
    [UI_BAD] = "1;31",    [UI_WARN] = "33",     [UI_NOTE] = "36",     [UI_HOST] = "35",
    [UI_HOST + 1] = "34", [UI_HOST + 2] = "95", [UI_HOST + 3] = "94",
};

static void paint(ui_buf *buf, bool color, ui_style style, const char *text) {
  if (!color || style == UI_PLAIN) {
    ui_buf_add(buf, text);
  } else {
    ui_buf_printf(buf, "\033[%sm%s\033[0m", codes[style], text);
  }
}

void ui_paint(ui_buf *buf, const ui_screen *screen, ui_stream to, ui_style style,
              const char *text) {
  paint(buf, screen->color[to], style, text);
}

size_t ui_wrap_width(const ui_screen *screen, ui_stream to) {
  return screen->wrap[to] ? screen->columns(screen->data) : 0;
}

const char *ui_dots(const ui_screen *screen) {
  return screen->utf8 ? "…" : "...";
}

const char *ui_dot(const ui_screen *screen) {
  return screen->utf8 ? "·" : "-";
}

const char *ui_arrow(const ui_screen *screen) {
  return screen->utf8 ? "→" : "->";
}

const char *ui_bar(const ui_screen *screen) {
  return screen->utf8 ? "│ " : "| ";
}

/* ------------------------------------------------------------ the region */

/* A signal handler wrote its own lines, and took the region off before. */
static void notice_intrusion(ui_screen *screen) {
  if (screen->intrusions == NULL || *screen->intrusions == screen->intrusions_seen) return;
  screen->intrusions_seen = *screen->intrusions;
  screen->region_lines = 0;
}

/* Rows the drawn region takes at today's width: a terminal made narrower wraps it anew. */
static size_t region_rows(const ui_screen *screen) {
  size_t columns = screen->columns(screen->data);
  size_t rows = 0;
  for (size_t i = 0; i < screen->region_lines; i++) {
    size_t width = screen->region_width[i];
    rows += width == 0 ? 1 : (width + columns - 1) / columns;
  }
  return rows;
}

/* Adds what erases the region; the cursor stands at the end of its last line. Row by row, not by
 * "erase to the end of the screen": of that, some terminals keep a copy in the history each time.
 */
static void erase(ui_screen *screen, ui_buf *frame) {
  notice_intrusion(screen);
  size_t rows = region_rows(screen);
  screen->region_rows = 0;
  if (screen->region_lines == 0) return;
  ui_buf_add(frame, "\r\033[2K");
  for (size_t i = 1; i < rows; i++) ui_buf_add(frame, "\033[A\033[2K");
  screen->region_lines = 0;
}

void ui_flush(ui_screen *screen, ui_stream to) {
  FILE *stream = to == UI_OUT ? screen->out : screen->err;
  bool failed = fflush(stream) != 0 || ferror(stream) != 0;
  if (failed && to == UI_OUT && errno != EPIPE && screen->lost == 0) screen->lost = errno;
  clearerr(stream);
}

/* One fwrite and one flush, so that a frame reaches the terminal whole. */
static void write_all(ui_screen *screen, ui_stream to, const ui_buf *text) {
  FILE *stream = to == UI_OUT ? screen->out : screen->err;
  if (text->length > 0) (void)fwrite(text->text, 1, text->length, stream);
  ui_flush(screen, to);
}

/* A signal handler that writes its own lines waits while the terminal and region_rows differ. */
static sigset_t hold_signals(void) {
  sigset_t all, before;
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_BLOCK, &all, &before);
  return before;
}

static void release_signals(sigset_t before) {
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void ui_region_draw(ui_screen *screen, const ui_region_line *lines, size_t count) {
  if (!screen->live) return;
  ui_buf *frame = &screen->frame;
  ui_buf_reset(frame);
  sigset_t before = hold_signals();
  erase(screen, frame);
  size_t room = screen->columns(screen->data) - ECHOED - 1;
  ui_buf cut = UI_BUF_INIT;
  for (size_t i = 0; i < count && i < UI_REGION_LINES; i++) {
    ui_buf_reset(&cut);
    ui_add_cut(&cut, lines[i].text, room, ui_dots(screen));
    if (i > 0) ui_buf_add(frame, "\n");
    paint(frame, screen->color[UI_OUT], lines[i].style, ui_buf_text(&cut));
    screen->region_width[i] = ui_text_width(ui_buf_text(&cut));
    screen->region_lines = i + 1;
  }
  ui_buf_free(&cut);
  write_all(screen, UI_OUT, frame);
  screen->region_rows = (sig_atomic_t)region_rows(screen);
  release_signals(before);
}

void ui_region_clear(ui_screen *screen) {
  if (!screen->live) return;
  ui_buf_reset(&screen->frame);
  sigset_t before = hold_signals();
  erase(screen, &screen->frame);
  write_all(screen, UI_OUT, &screen->frame);
  release_signals(before);
}

void ui_put(ui_screen *screen, ui_stream to, const ui_buf *text) {
  if (screen->live && to == UI_OUT) {
    ui_buf_reset(&screen->frame);
    sigset_t before = hold_signals();
    erase(screen, &screen->frame);
    ui_buf_add_bytes(&screen->frame, ui_buf_text(text), text->length);
    write_all(screen, UI_OUT, &screen->frame);
    release_signals(before);
    return;
  }
  ui_region_clear(screen);
  write_all(screen, to, text);
}

void ui_screen_free(ui_screen *screen) {
  ui_region_clear(screen);
  ui_buf_free(&screen->frame);
}
