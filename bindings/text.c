/* text.c - a growing buffer of bytes. Owns nothing but its buffers; called by the bindings that
 * compose commands and collect output, on any thread. */
#include "text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for `more` bytes and a NUL; doubles, so that many small additions stay cheap. */
static bool reserve(dr_text *text, size_t more) {
  if (text->failed || more >= SIZE_MAX / 2 - text->length) {
    text->failed = true;
    return false;
  }
  size_t needed = text->length + more + 1;
  if (needed <= text->capacity) return true;
  size_t capacity = text->capacity > 0 ? text->capacity : 64;
  while (capacity < needed) capacity *= 2;
  char *bytes = realloc(text->bytes, capacity);
  if (!bytes) {
    text->failed = true;
    return false;
  }
  text->bytes = bytes;
  text->capacity = capacity;
  return true;
}

void dr__text_add(dr_text *text, const char *bytes, size_t length) {
  if (!reserve(text, length)) return;
  if (length > 0) memcpy(text->bytes + text->length, bytes, length);
  text->length += length;
  text->bytes[text->length] = '\0';
}

void dr__text_puts(dr_text *text, const char *string) {
  dr__text_add(text, string, strlen(string));
}

void dr__text_printf(dr_text *text, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int length = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (length < 0 || !reserve(text, (size_t)length)) return;
  va_start(args, format);
  (void)vsnprintf(text->bytes + text->length, (size_t)length + 1, format, args);
  va_end(args);
  text->length += (size_t)length;
}

char *dr__text_take(dr_text *text) {
  dr__text_add(text, "", 0);
  char *bytes = text->failed ? NULL : text->bytes;
  if (text->failed) free(text->bytes);
  *text = (dr_text){0};
  return bytes;
}

void dr__text_free(dr_text *text) {
  free(text->bytes);
  *text = (dr_text){0};
}
