/* The stream of a container's output, cut into pieces by its own first bytes: no byte is lost but
 * headers, none is made up, and a stream is 1 or 2.
 */
#include "docker/docker_frames.h"

#include <stdlib.h>

typedef struct count {
  size_t given;
} count;

static void on_output(void *data, int stream, const char *bytes, size_t length) {
  count *out = data;
  if (stream != 1 && stream != 2) abort();
  if (length == 0) abort();
  volatile char last = bytes[length - 1]; /* readable to the end */
  (void)last;
  out->given += length;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  count out = {0};
  dr_frames frames = {.on_output = on_output, .data = &out};
  if (size == 0) return 0;
  size_t step = 1 + input[0] % 32;
  for (size_t at = 1; at < size; at += step) {
    dr__frames_feed(&frames, (const char *)input + at, size - at < step ? size - at : step);
  }
  dr__frames_end(&frames);
  if (out.given > size - 1) abort();
  if (frames.mode == DR_FRAMES_RAW && out.given == 0 && size > 1) abort();
  return 0;
}
