/* ui/jsonl.h - the view for programs: one JSON object a line on stdout (--json). */
#ifndef UI_JSONL_H
#define UI_JSONL_H

#include "screen.h"

#include <deployrun.h>

/* A dr_observer; `data` is the ui_screen. Each event is one line of its `out`, flushed at once;
 * ticks are left out. A stream that cannot be written to stops nothing (ui_flush()). */
void ui_jsonl_event(const dr_event *event, void *data);

/* When which op last told how many bytes it has moved. */
typedef struct ui_jsonl_pace {
  double seq[16];
  int64_t told_ms[16];
} ui_jsonl_pace;

/* False for an event of bytes being moved when its op told of that less than a second ago: a file
 * of such lines would be large and say little. */
bool ui_jsonl_due(ui_jsonl_pace *pace, const dr_event *event, int64_t now_ms);

/* Adds a text as a JSON string, quotes included. Bytes that are not UTF-8 become U+FFFD. */
void ui_json_string(ui_buf *out, const char *text);

/* Writes an error that came up outside a run as a line {"event":"error",…}; `status` is the exit
 * code. */
void ui_jsonl_error(ui_screen *screen, const dr_err *err, int status);

#endif
