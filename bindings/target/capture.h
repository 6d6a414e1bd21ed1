/* capture.h - what a command wrote: the first bytes of each stream for its result, and the last
 * lines of both, in the order they came, for an error. Pure C, any thread. */
#ifndef DR_CAPTURE_H
#define DR_CAPTURE_H

#include "text.h"

#include <jansson.h>

typedef struct dr_capture {
  dr_text streams[2]; /* stdout, stderr: the first `keep` bytes */
  size_t keep;
  bool truncated[2];
  dr_text
      tail; /* the end of both, interleaved; at least DR_TAIL_BYTES of it when there was so much */
  int tail_stream;
} dr_capture;

enum { DR_TAIL_BYTES = 16 * 1024, DR_TAIL_LINES = 20 };

/* Takes bytes of stream 1 or 2. */
void dr__capture_add(dr_capture *capture, int stream, const char *bytes, size_t length);

/* True when memory was short for some of what was to be kept: it must not be taken for all there
 * was. */
bool dr__capture_is_short(const dr_capture *capture);

/* The stream's kept bytes, NUL-terminated; "" when there are none. */
const char *dr__capture_bytes(const dr_capture *capture, int stream);

/* {status, stdout, stderr, ok} and, only when true, truncated. The texts are the bytes as they
 * came; what writes them down (the journal, an event) sees to those that are no UTF-8. New
 * reference, NULL when memory is short or was so while the bytes came. */
json_t *dr__capture_result(const dr_capture *capture, int status);

/* The last DR_TAIL_LINES lines, malloc'd; "" when nothing was written; NULL when
 * memory is short. */
char *dr__capture_tail(const dr_capture *capture);

void dr__capture_free(dr_capture *capture);

/* A string for people out of any bytes: each that is no UTF-8 is replaced by U+FFFD and sets
 * *binary. New reference, NULL when memory is short. */
json_t *dr__text_json(const char *bytes, size_t length, bool *binary);

#endif
