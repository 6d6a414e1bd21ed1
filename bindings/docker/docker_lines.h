/* docker_lines.h - a stream taken apart into lines, such as the Engine's events and progress: one
 * JSON object each. Pure, any thread, fuzzed.
 */
#ifndef DR_DOCKER_LINES_H
#define DR_DOCKER_LINES_H

#include "text.h"

enum { DR_LINE_LONGEST = 1 << 20 }; /* the rest of a longer one is dropped */

typedef struct dr_lines {
  dr_text part;
  /* Gets each line without its end ("\n", "\r\n"), NUL-terminated; empty ones are left out. */
  void (*on_line)(void *data, const char *line, size_t length);
  void *data;
} dr_lines;

/* Takes the next bytes, in pieces of any size. Memory that is short loses lines, nothing else. */
void dr__lines_feed(dr_lines *lines, const char *bytes, size_t length);

/* The stream has ended: what is left is a line. */
void dr__lines_end(dr_lines *lines);

void dr__lines_free(dr_lines *lines);

#endif
