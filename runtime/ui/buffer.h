/* ui/buffer.h - a growable text: every line of the command is composed in one before it is written.
 *
 * When memory is short the text stays as it was and `failed` is set; composing goes on, so that a
 * caller checks nothing and the worst outcome is a missing piece of text.
 */
#ifndef UI_BUFFER_H
#define UI_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

typedef struct ui_buf {
  char *text; /* NUL-terminated once anything was added; may be NULL before */
  size_t length;
  size_t capacity;
  bool failed;
} ui_buf;

#define UI_BUF_INIT                                                                                \
  { .text = NULL }

void ui_buf_add(ui_buf *buf, const char *text);
void ui_buf_add_bytes(ui_buf *buf, const char *bytes, size_t length);
void ui_buf_fill(ui_buf *buf, char byte, size_t times);
void ui_buf_printf(ui_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The text so far; never NULL. Valid until the buffer is changed. */
const char *ui_buf_text(const ui_buf *buf);

/* Empties the buffer and keeps its memory. */
void ui_buf_reset(ui_buf *buf);

/* Gives the memory back; the buffer is empty and may be used again. */
void ui_buf_free(ui_buf *buf);

#endif
