/* docker_progress.h - reads what the Engine tells while it pulls or pushes an image: lines of JSON,
 * one for each move of each layer. The answer's status is 200 long before it has worked out: a
 * failure is a line too. Pure, any thread, fuzzed.
 */
#ifndef DR_DOCKER_PROGRESS_H
#define DR_DOCKER_PROGRESS_H

#include "docker_lines.h"

#include <stdbool.h>
#include <stdint.h>

enum { DR_PROGRESS_LAYERS = 512 }; /* more are not counted */

typedef struct dr_progress_layer {
  char id[20];
  int64_t done;  /* bytes moved */
  int64_t total; /* 0: not known yet */
  bool finished; /* it is there */
} dr_progress_layer;

typedef struct dr_progress {
  dr_lines lines;
  dr_progress_layer *layers;
  size_t count;
  char digest[80];  /* "sha256:…" of the image, or "" */
  char error[1024]; /* the Engine's words, or "" */
  char status[160]; /* the last line that is about no layer */
  bool up_to_date;  /* nothing was pulled */
  bool ended;       /* the last line of a success was seen */
} dr_progress;

/* Prepares the progress of one image; freed by dr__progress_free(). */
void dr__progress_init(dr_progress *progress);
void dr__progress_free(dr_progress *progress);

/* Takes the next bytes of the stream. */
void dr__progress_feed(dr_progress *progress, const char *bytes, size_t length);
void dr__progress_end(dr_progress *progress);

/* "3 of 5 layers, 12.3 of 40.1 MB"; or the last status while no layer is known. */
void dr__progress_show(const dr_progress *progress, char *text, size_t size);

#endif
