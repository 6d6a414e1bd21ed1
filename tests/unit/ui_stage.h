/* A screen without a terminal for the tests of ui/: two memory streams, a width and a clock that
 * the test sets. */
#ifndef UI_STAGE_H
#define UI_STAGE_H

#include "core/event.h"
#include "ui/screen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct stage {
  ui_screen screen;
  char *out;
  char *err;
  size_t out_size;
  size_t err_size;
  size_t columns;
  int64_t now_ms;
} stage;

static size_t stage_columns(void *data) {
  return ((stage *)data)->columns;
}

static int64_t stage_clock(void *data) {
  return ((stage *)data)->now_ms;
}

/* A stage where nothing is redrawn or wrapped and nothing has colours: a log file. */
static stage *stage_new(void) {
  stage *s = calloc(1, sizeof *s);
  assert_non_null(s);
  s->columns = 80;
  s->now_ms = 1000;
  s->screen = (ui_screen){
      .out = open_memstream(&s->out, &s->out_size),
      .err = open_memstream(&s->err, &s->err_size),
      .utf8 = true,
      .columns = stage_columns,
      .clock_ms = stage_clock,
      .data = s,
  };
  return s;
}

static void stage_free(stage *s) {
  ui_screen_free(&s->screen);
  fclose(s->screen.out);
  fclose(s->screen.err);
  free(s->out);
  free(s->err);
  free(s);
}

/* What was written so far. */
static inline const char *stage_out(stage *s) {
  fflush(s->screen.out);
  return s->out;
}

static inline const char *stage_err(stage *s) {
  fflush(s->screen.err);
  return s->err;
}

/* Tells an observer an event made of JSON. */
static inline void tell(dr_observer observer, void *data, dr_event_type type, const char *json) {
  dr_event *event = dr__event_new(type, json);
  assert_non_null(event);
  observer(event, data);
  dr__event_free(event);
}

#define assert_has(text, part)                                                                     \
  do {                                                                                             \
    if (strstr((text), (part)) == NULL) fail_msg("no \"%s\" in:\n%s", (part), (text));             \
  } while (0)
#define assert_has_not(text, part)                                                                 \
  do {                                                                                             \
    if (strstr((text), (part)) != NULL) fail_msg("\"%s\" in:\n%s", (part), (text));                \
  } while (0)

#endif
