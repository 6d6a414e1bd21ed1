/* capture.c - keeps what a command wrote, within bounds, and makes its result. Called by exec_op.c
 * for each piece of output; no I/O, any thread. */
#include "capture.h"

#include <stdlib.h>
#include <string.h>

/* The tail keeps the last bytes of both streams. A stream that takes over in the middle of the
 * other's line begins a new one. */
static void add_tail(dr_capture *capture, int stream, const char *bytes, size_t length) {
  dr_text *tail = &capture->tail;
  if (tail->length > 0 && stream != capture->tail_stream && tail->bytes[tail->length - 1] != '\n')
    dr__text_puts(tail, "\n");
  capture->tail_stream = stream;
  if (length > DR_TAIL_BYTES) {
    bytes += length - DR_TAIL_BYTES;
    length = DR_TAIL_BYTES;
  }
  dr__text_add(tail, bytes, length);
  if (tail->failed || tail->length < 4 * DR_TAIL_BYTES) return;
  memmove(tail->bytes, tail->bytes + tail->length - DR_TAIL_BYTES, DR_TAIL_BYTES + 1);
  tail->length = DR_TAIL_BYTES;
}

void dr__capture_add(dr_capture *capture, int stream, const char *bytes, size_t length) {
  dr_text *text = &capture->streams[stream == 2];
  add_tail(capture, stream, bytes, length);
  size_t room = capture->keep > text->length ? capture->keep - text->length : 0;
  if (length > room) capture->truncated[stream == 2] = true;
  dr__text_add(text, bytes, length < room ? length : room);
}

bool dr__capture_is_short(const dr_capture *capture) {
  return capture->streams[0].failed || capture->streams[1].failed;
}

const char *dr__capture_bytes(const dr_capture *capture, int stream) {
  const dr_text *text = &capture->streams[stream == 2];
  return text->bytes ? text->bytes : "";
}

static json_t *stream_text(const dr_capture *capture, int stream) {
  return json_stringn_nocheck(dr__capture_bytes(capture, stream),
                              capture->streams[stream == 2].length);
}

json_t *dr__capture_result(const dr_capture *capture, int status) {
  if (dr__capture_is_short(capture)) return NULL;
  json_t *result =
      json_pack("{s:i, s:o, s:o, s:b}", "status", status, "stdout", stream_text(capture, 1),
                "stderr", stream_text(capture, 2), "ok", status == 0);
  bool cut = capture->truncated[0] || capture->truncated[1];
  if (!result || !cut || json_object_set_new(result, "truncated", json_true()) == 0) return result;
  json_decref(result);
  return NULL;
}

/* The length of the UTF-8 character at the beginning of bytes, 0 when there is none. Overlong
 * forms, surrogates and what is beyond U+10FFFF are none. */
static size_t utf8_length(const unsigned char *at, size_t left) {
  static const struct {
    unsigned char first, last, low, high;
    size_t length;
  } forms[] = {
      {0x00, 0x7F, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
      {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
      {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4}};
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    if (at[0] < forms[i].first || at[0] > forms[i].last) continue;
    size_t length = forms[i].length;
    if (length > left || (length > 1 && (at[1] < forms[i].low || at[1] > forms[i].high))) return 0;
    for (size_t k = 2; k < length; k++)
      if ((at[k] & 0xC0) != 0x80) return 0;
    return length;
  }
  return 0;
}

json_t *dr__text_json(const char *bytes, size_t length, bool *binary) {
  dr_text text = {0};
  size_t plain = 0; /* bytes that are text and were not yet copied */
  for (size_t at = 0; at < length;) {
    size_t step = utf8_length((const unsigned char *)bytes + at, length - at);
    plain += step;
    at += step;
    if (step > 0) continue;
    *binary = true;
    dr__text_add(&text, bytes + at - plain, plain);
    dr__text_puts(&text, "\xEF\xBF\xBD");
    plain = 0;
    at++;
  }
  dr__text_add(&text, bytes + length - plain, plain);
  json_t *string = text.failed ? NULL : json_stringn_nocheck(text.bytes, text.length);
  dr__text_free(&text);
  return string;
}

/* Where the last DR_TAIL_LINES lines begin. */
static const char *last_lines(const char *bytes, size_t length) {
  int lines = 0;
  const char *at = bytes + length;
  if (at > bytes && at[-1] == '\n') at--;
  while (at > bytes) {
    if (at[-1] == '\n' && ++lines == DR_TAIL_LINES) break;
    at--;
  }
  return at;
}

char *dr__capture_tail(const dr_capture *capture) {
  const dr_text *tail = &capture->tail;
  dr_text text = {0};
  if (tail->bytes) {
    const char *at = last_lines(tail->bytes, tail->length);
    dr__text_add(&text, at, (size_t)(tail->bytes + tail->length - at));
    for (size_t i = 0; i < text.length; i++)
      if (text.bytes[i] == '\0') text.bytes[i] = '?'; /* it would end the string */
  }
  return dr__text_take(&text);
}

void dr__capture_free(dr_capture *capture) {
  dr__text_free(&capture->streams[0]);
  dr__text_free(&capture->streams[1]);
  dr__text_free(&capture->tail);
}
