/* ui/buffer.c - the growable text of buffer.h. Used by every file in ui/ and cli/, on the main
 * thread. */
#include "buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for `more` bytes and the NUL. */
static bool reserve(ui_buf *buf, size_t more) {
  if (more >= buf->capacity - buf->length) {
    size_t capacity = (buf->length + more + 1) * 2;
    char *text = realloc(buf->text, capacity);
    if (text == NULL) {
      buf->failed = true;
      return false;
    }
    buf->text = text;
    buf->capacity = capacity;
  }
  return true;
}

void ui_buf_add_bytes(ui_buf *buf, const char *bytes, size_t length) {
  if (length == 0 || !reserve(buf, length)) return;
  memcpy(buf->text + buf->length, bytes, length);
  buf->length += length;
  buf->text[buf->length] = '\0';
}

void ui_buf_add(ui_buf *buf, const char *text) {
  ui_buf_add_bytes(buf, text, strlen(text));
}

void ui_buf_fill(ui_buf *buf, char byte, size_t times) {
  if (times == 0 || !reserve(buf, times)) return;
  memset(buf->text + buf->length, byte, times);
  buf->length += times;
  buf->text[buf->length] = '\0';
}

void ui_buf_printf(ui_buf *buf, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int need = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (need < 0 || !reserve(buf, (size_t)need)) return;
  va_start(args, format);
  (void)vsnprintf(buf->text + buf->length, (size_t)need + 1, format, args);
  va_end(args);
  buf->length += (size_t)need;
}

const char *ui_buf_text(const ui_buf *buf) {
  return buf->text != NULL ? buf->text : "";
}

void ui_buf_reset(ui_buf *buf) {
  buf->length = 0;
  buf->failed = false;
  if (buf->text != NULL) buf->text[0] = '\0';
}

void ui_buf_free(ui_buf *buf) {
  free(buf->text);
  *buf = (ui_buf)UI_BUF_INIT;
}
