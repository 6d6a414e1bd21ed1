/* text.h - a growing buffer of bytes. Pure C, any thread. A failed allocation is remembered, so
 * that a row of additions is checked once, at the end. */
#ifndef DR_TEXT_H
#define DR_TEXT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct dr_text {
  char *bytes; /* always NUL-terminated when not NULL */
  size_t length;
  size_t capacity;
  bool failed; /* memory was short: the content is incomplete */
} dr_text;

void dr__text_add(dr_text *text, const char *bytes, size_t length);
void dr__text_puts(dr_text *text, const char *string);
void dr__text_printf(dr_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The content as a string the caller frees, NULL when memory was short; the buffer is empty again.
 */
char *dr__text_take(dr_text *text);

/* Frees the content; the buffer may be used again. */
void dr__text_free(dr_text *text);

#endif
