/* docker_lines.c - see docker_lines.h. Pure, any thread. */
#include "docker_lines.h"

#include <string.h>

static void tell(dr_lines *lines) {
  dr_text *part = &lines->part;
  while (part->length > 0 && part->bytes[part->length - 1] == '\r') part->length--;
  if (part->length > 0 && !part->failed) {
    part->bytes[part->length] = '\0';
    lines->on_line(lines->data, part->bytes, part->length);
  }
  if (part->failed) dr__text_free(part);
  part->length = 0;
}

static void keep(dr_lines *lines, const char *bytes, size_t length) {
  size_t room = DR_LINE_LONGEST - lines->part.length;
  dr__text_add(&lines->part, bytes, length < room ? length : room);
}

void dr__lines_feed(dr_lines *lines, const char *bytes, size_t length) {
  while (length > 0) {
    const char *end = memchr(bytes, '\n', length);
    size_t taken = end ? (size_t)(end - bytes) : length;
    keep(lines, bytes, taken);
    if (!end) return;
    tell(lines);
    bytes += taken + 1;
    length -= taken + 1;
  }
}

void dr__lines_end(dr_lines *lines) {
  tell(lines);
}

void dr__lines_free(dr_lines *lines) {
  dr__text_free(&lines->part);
}
