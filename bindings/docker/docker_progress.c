/* docker_progress.c - see docker_progress.h. Pure, any thread. */
#include "docker_progress.h"

#include "core/err.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_at(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

/* ------------------------------------------------------------ layers */

/* The layer with the id, made when it is new; NULL when there are too many or memory is short. */
static dr_progress_layer *layer_of(dr_progress *progress, const char *id) {
  for (size_t i = 0; i < progress->count; i++) {
    if (strcmp(progress->layers[i].id, id) == 0) return &progress->layers[i];
  }
  if (progress->count == DR_PROGRESS_LAYERS) return NULL;
  if (!progress->layers) progress->layers = calloc(DR_PROGRESS_LAYERS, sizeof *progress->layers);
  if (!progress->layers) return NULL;
  dr_progress_layer *fresh = &progress->layers[progress->count++];
  dr__copy_text(fresh->id, sizeof fresh->id, id);
  return fresh;
}

/* A layer's id is 12 hexadecimal digits; a line about the image has its tag in that place. */
static bool is_layer(const char *id) {
  return strlen(id) == 12 && strspn(id, "0123456789abcdef") == 12;
}

static bool says(const char *status, const char *const *words) {
  for (; *words; words++) {
    if (strncmp(status, *words, strlen(*words)) == 0) return true;
  }
  return false;
}

static void move_layer(dr_progress_layer *layer, const char *status, const json_t *detail) {
  static const char *const moving[] = {"Downloading", "Pushing", NULL};
  static const char *const moved[] = {"Download complete", "Verifying", "Extracting", NULL};
  static const char *const there[] = {"Pull complete",        "Already exists", "Pushed",
                                      "Layer already exists", "Mounted from",   NULL};
  if (says(status, there)) {
    layer->finished = true;
    layer->done = layer->total;
  } else if (says(status, moved)) {
    layer->done = layer->total;
  } else if (says(status, moving)) {
    json_int_t done = json_integer_value(json_object_get(detail, "current"));
    json_int_t total = json_integer_value(json_object_get(detail, "total"));
    if (total > 0) layer->total = total;
    if (done >= 0) layer->done = layer->total > 0 && done > layer->total ? layer->total : done;
  }
}

/* ------------------------------------------------------------ the image */

static void take_digest(dr_progress *progress, const char *status) {
  const char *at = strstr(status, "sha256:");
  size_t length = at ? 7 + strspn(at + 7, "0123456789abcdef") : 0;
  if (length != 7 + 64) return;
  memcpy(progress->digest, at, length);
  progress->digest[length] = '\0';
}

static void take_status(dr_progress *progress, const char *status) {
  dr__copy_text(progress->status, sizeof progress->status, status);
  if (strstr(status, "igest: ")) take_digest(progress, status);
  if (strncmp(status, "Status: ", 8) == 0) progress->ended = true;
  if (strncmp(status, "Status: Image is up to date", 27) == 0) progress->up_to_date = true;
}

static void take_error(dr_progress *progress, const json_t *line) {
  const char *words = text_at(json_object_get(line, "errorDetail"), "message");
  if (!words[0]) words = text_at(line, "error");
  if (words[0]) dr__copy_text(progress->error, sizeof progress->error, words);
}

static void on_line(void *data, const char *text, size_t length) {
  dr_progress *progress = data;
  json_t *line = json_loadb(text, length, JSON_ALLOW_NUL, NULL);
  const char *id = text_at(line, "id");
  const char *status = text_at(line, "status");
  dr_progress_layer *layer = is_layer(id) ? layer_of(progress, id) : NULL;
  if (layer)
    move_layer(layer, status, json_object_get(line, "progressDetail"));
  else if (status[0])
    take_status(progress, status);
  if (json_object_get(line, "aux")) progress->ended = true;
  take_error(progress, line);
  json_decref(line);
}

void dr__progress_init(dr_progress *progress) {
  memset(progress, 0, sizeof *progress);
  progress->lines.on_line = on_line;
  progress->lines.data = progress;
}

void dr__progress_free(dr_progress *progress) {
  dr__lines_free(&progress->lines);
  free(progress->layers);
  progress->layers = NULL;
  progress->count = 0;
}

void dr__progress_feed(dr_progress *progress, const char *bytes, size_t length) {
  dr__lines_feed(&progress->lines, bytes, length);
}

void dr__progress_end(dr_progress *progress) {
  dr__lines_end(&progress->lines);
}

void dr__progress_show(const dr_progress *progress, char *text, size_t size) {
  size_t finished = 0;
  double done = 0, total = 0;
  for (size_t i = 0; i < progress->count; i++) {
    finished += progress->layers[i].finished;
    done += (double)progress->layers[i].done;
    total += (double)progress->layers[i].total;
  }
  if (progress->count == 0)
    dr__copy_text(text, size, progress->status);
  else if (total > 0)
    snprintf(text, size, "%zu of %zu layers, %.1f of %.1f MB", finished, progress->count,
             done / 1e6, total / 1e6);
  else
    snprintf(text, size, "%zu of %zu layers", finished, progress->count);
}
