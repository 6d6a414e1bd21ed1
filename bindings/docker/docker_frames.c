/* docker_frames.c - see docker_frames.h. Pure, any thread. */
#include "docker_frames.h"

#include <stdbool.h>
#include <string.h>

static bool is_header(const unsigned char *bytes) {
  return bytes[0] <= 3 && bytes[1] == 0 && bytes[2] == 0 && bytes[3] == 0;
}

static void tell(dr_frames *frames, int stream, const char *bytes, size_t length) {
  if (length > 0) frames->on_output(frames->data, stream, bytes, length);
}

/* From here on the stream is bare; so is what was taken for a header. */
static void turn_raw(dr_frames *frames) {
  frames->mode = DR_FRAMES_RAW;
  tell(frames, 1, (const char *)frames->header, frames->have);
  frames->have = 0;
}

static void begin_frame(dr_frames *frames) {
  const unsigned char *h = frames->header;
  if (!is_header(h)) {
    turn_raw(frames);
    return;
  }
  frames->mode = DR_FRAMES_FRAMED;
  frames->stream = h[0] >= 2 ? 2 : 1;
  frames->left = (uint32_t)h[4] << 24 | (uint32_t)h[5] << 16 | (uint32_t)h[6] << 8 | h[7];
  frames->have = 0;
}

/* Takes bytes of a header; returns how many. */
static size_t take_header(dr_frames *frames, const char *bytes, size_t length) {
  size_t wanted = sizeof frames->header - frames->have;
  size_t taken = length < wanted ? length : wanted;
  memcpy(frames->header + frames->have, bytes, taken);
  frames->have += taken;
  if (frames->have == sizeof frames->header) begin_frame(frames);
  return taken;
}

static size_t take_output(dr_frames *frames, const char *bytes, size_t length) {
  size_t taken = length < frames->left ? length : frames->left;
  tell(frames, frames->stream, bytes, taken);
  frames->left -= (uint32_t)taken;
  return taken;
}

void dr__frames_feed(dr_frames *frames, const char *bytes, size_t length) {
  while (length > 0) {
    size_t taken = length;
    if (frames->mode == DR_FRAMES_RAW)
      tell(frames, 1, bytes, length);
    else if (frames->left > 0)
      taken = take_output(frames, bytes, length);
    else
      taken = take_header(frames, bytes, length);
    bytes += taken;
    length -= taken;
  }
}

void dr__frames_end(dr_frames *frames) {
  if (frames->mode == DR_FRAMES_UNKNOWN) turn_raw(frames);
}
