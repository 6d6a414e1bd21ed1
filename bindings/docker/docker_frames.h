/* docker_frames.h - takes the Engine's stream of container output apart. Pure, any thread, fuzzed.
 *
 * Without a terminal the Engine sends frames: one byte of stream (0 and 1 are stdout, 2 and 3
 * stderr), three zero bytes, four bytes of length, big end first, then so many bytes. With a
 * terminal it sends the bare output. The older API does not say which; the first eight bytes tell.
 */
#ifndef DR_DOCKER_FRAMES_H
#define DR_DOCKER_FRAMES_H

#include <stddef.h>
#include <stdint.h>

typedef enum dr_frames_mode { DR_FRAMES_UNKNOWN, DR_FRAMES_FRAMED, DR_FRAMES_RAW } dr_frames_mode;

typedef struct dr_frames {
  dr_frames_mode mode; /* may be set by who knows; 0 is found out */
  unsigned char header[8];
  size_t have;   /* bytes of the header */
  uint32_t left; /* bytes of the frame still to come */
  int stream;    /* of the frame: 1 or 2 */
  /* Gets the output in pieces; stream is 1 or 2, length is never 0. */
  void (*on_output)(void *data, int stream, const char *bytes, size_t length);
  void *data;
} dr_frames;

/* Takes the next bytes of the stream, in pieces of any size. */
void dr__frames_feed(dr_frames *frames, const char *bytes, size_t length);

/* The stream has ended: what was held back to tell the mode is output. */
void dr__frames_end(dr_frames *frames);

#endif
