/* ui/jsonl.c - events and errors as JSON lines (jsonl.h). Used by cli/, main thread. */
#include "jsonl.h"

#include "text.h"

#include <string.h>

enum { PACE_MS = 1000 };

void ui_jsonl_event(const dr_event *event, void *data) {
  ui_screen *screen = data;
  if (dr_event_kind(event) == DR_EVENT_TICK) return;
  (void)fputs(dr_event_json(event), screen->out);
  (void)fputc('\n', screen->out);
  ui_flush(screen, UI_OUT);
}

bool ui_jsonl_due(ui_jsonl_pace *pace, const dr_event *event, int64_t now_ms) {
  double total = dr_event_number(event, "total", 0);
  if (dr_event_kind(event) != DR_EVENT_PROGRESS || total <= 0) return true;
  double seq = dr_event_number(event, "seq", 0);
  size_t place = (size_t)seq % (sizeof pace->seq / sizeof pace->seq[0]);
  bool same = pace->told_ms[place] > 0 && pace->seq[place] >= seq && pace->seq[place] <= seq;
  if (same && now_ms - pace->told_ms[place] < PACE_MS) return false;
  pace->seq[place] = seq;
  pace->told_ms[place] = now_ms;
  return true;
}

void ui_json_string(ui_buf *out, const char *text) {
  size_t length = strlen(text);
  ui_buf_add(out, "\"");
  for (size_t i = 0; i < length;) {
    uint32_t rune;
    size_t size = ui_utf8_next(text + i, length - i, &rune);
    if (rune == '"' || rune == '\\') {
      ui_buf_printf(out, "\\%c", (int)rune);
    } else if (rune == '\n') {
      ui_buf_add(out, "\\n");
    } else if (rune < 0x20) {
      ui_buf_printf(out, "\\u%04x", (unsigned)rune);
    } else if (rune == 0xFFFD) {
      ui_buf_add(out, "\xEF\xBF\xBD");
    } else {
      ui_buf_add_bytes(out, text + i, size);
    }
    i += size;
  }
  ui_buf_add(out, "\"");
}

/* Adds ,"name":"text" unless the text is empty. */
static void add_field(ui_buf *out, const char *name, const char *text) {
  if (text == NULL || *text == '\0') return;
  ui_buf_printf(out, ",\"%s\":", name);
  ui_json_string(out, text);
}

static void add_error(ui_buf *out, const dr_err *err) {
  ui_buf_add(out, "{\"code\":");
  ui_json_string(out, err->code);
  add_field(out, "message", err->message);
  add_field(out, "hint", err->hint);
  add_field(out, "target", err->target);
  add_field(out, "op", err->op);
  add_field(out, "where", err->where);
  add_field(out, "detail", err->detail);
  if (err->cause != NULL) {
    ui_buf_add(out, ",\"cause\":");
    add_error(out, err->cause);
  }
  ui_buf_add(out, "}");
}

void ui_jsonl_error(ui_screen *screen, const dr_err *err, int status) {
  ui_buf line = UI_BUF_INIT;
  ui_buf_printf(&line, "{\"event\":\"error\",\"exit_code\":%d,\"error\":", status);
  add_error(&line, err);
  ui_buf_add(&line, "}\n");
  ui_put(screen, UI_OUT, &line);
  ui_buf_free(&line);
}
