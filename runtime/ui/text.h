/* ui/text.h - text for people: what is safe to show, how wide it is, where to cut or wrap it, and
 * how numbers and times read. Pure functions; UTF-8 in, UTF-8 out, independent of the locale.
 *
 * Everything that comes from outside (a command's output, a step's name, an error) is made harmless
 * here before it reaches a terminal or a log. Output is cleaned: escape sequences and control
 * characters are taken out. What a person is about to approve (a plan's previews) is spelled out
 * instead: nothing may hide in it.
 */
#ifndef UI_TEXT_H
#define UI_TEXT_H

#include "buffer.h"

#include <stdint.h>

/* Reads one character of `length` > 0 bytes into *rune and returns its size in bytes. A byte that
 * is not UTF-8 is U+FFFD and 1. */
size_t ui_utf8_next(const char *text, size_t length, uint32_t *rune);

/* The columns a character takes: 0 (combining, zero width), 1 or 2 (East Asian wide, emoji). */
size_t ui_rune_width(uint32_t rune);

/* The columns a clean text takes on one line. */
size_t ui_text_width(const char *text);

/* Adds `length` bytes of text as one harmless line: escape sequences and control characters are
 * left out, a line end or tab is one space, bytes that are not UTF-8 become U+FFFD. Of a line
 * redrawn with carriage returns only the last drawing stays. */
void ui_add_clean_bytes(ui_buf *out, const char *text, size_t length);
void ui_add_clean(ui_buf *out, const char *text);

/* Adds `length` bytes of one line so that each character is seen: a control character or one
 * without width is written as an escape ("\x1b", "\u202e"), a tab as four spaces. */
void ui_add_spelled_bytes(ui_buf *out, const char *text, size_t length);

/* Adds a clean text, cut to `width` columns; a text that was cut ends with `mark`. */
void ui_add_cut(ui_buf *out, const char *text, size_t width, const char *mark);

/* Adds a clean text and fills up with spaces to `width` columns. */
void ui_add_padded(ui_buf *out, const char *text, size_t width);

/* How a block of text is laid out by ui_add_block(). */
typedef struct ui_block {
  size_t indent;   /* column of every line */
  size_t width;    /* lines are wrapped at spaces before this column; 0: never */
  bool spelled;    /* ui_add_spelled_bytes(), and what was wrapped stands 2 more to the right */
  const char *bar; /* put before every line but the first, after the indent; or NULL */
} ui_block;

/* Adds text of any number of lines, nothing lost. The first line continues where `out` ends,
 * which the caller has filled up to the indent (bar included) or further. Ends without a line end.
 */
void ui_add_block(ui_buf *out, const char *text, const ui_block *block);

/* Adds a few clean words, styles allowed, that belong behind a line: after two spaces, or below it
 * where they would not fit. */
void ui_add_behind(ui_buf *out, const char *text, const ui_block *block);

/* Adds a time: "0.3 s", "12.4 s", "2 min 05 s", "1 h 02 min". Negative is 0. */
void ui_add_seconds(ui_buf *out, double seconds);

/* Adds a count with thousands separated: "1,204". */
void ui_add_count(ui_buf *out, double count);

/* Adds "1 step" or "8 steps", with ui_add_count(). */
void ui_add_counted(ui_buf *out, double count, const char *one, const char *many);

#endif
