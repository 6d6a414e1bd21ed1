/* core/err.c - dr_err: the one way a failure travels through the C code. No I/O, no Lua, any
 * thread. */
#include "core/err.h"

#include "core/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void dr__copy_text(char *buffer, size_t size, const char *text) {
  size_t length = text ? strlen(text) : 0;
  if (length >= size) {
    length = size - 1;
    while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80) length--;
  }
  if (length > 0) memmove(buffer, text, length);
  buffer[length] = '\0';
}

void dr_err_clear(dr_err *err) {
  if (!err) return;
  if (err->cause) {
    dr_err_clear(err->cause);
    free(err->cause);
  }
  free(err->detail);
  *err = (dr_err)DR_ERR_INIT;
}

dr_status dr_err_status(const dr_err *err) {
  const char *code = err->code;
  if (!code[0]) return DR_OK;
  if (strcmp(code, "cancelled") == 0) return DR_INTERRUPTED;
  if (strcmp(code, "lock.held") == 0) return DR_REFUSED;
  if (strncmp(code, "recipe.", 7) == 0) return DR_RECIPE;
  if (strncmp(code, "usage.", 6) == 0 || strncmp(code, "param.", 6) == 0) return DR_USAGE;
  return DR_FAILED;
}

/* Formats into a fixed buffer, cut at a character boundary. */
static void format_text(char *buffer, size_t size, const char *format, va_list args) {
  va_list again;
  va_copy(again, args);
  int length = vsnprintf(buffer, size, format, args);
  if (length >= (int)size) {
    char *whole = malloc((size_t)length + 1);
    if (whole) {
      vsnprintf(whole, (size_t)length + 1, format, again);
      dr__copy_text(buffer, size, whole);
      free(whole);
    }
  }
  va_end(again);
}

int dr__fail_v(dr_err *err, const char *code, const char *format, va_list args) {
  dr_err fresh = DR_ERR_INIT;
  dr__copy_text(fresh.code, sizeof fresh.code, code);
  format_text(fresh.message, sizeof fresh.message, format, args);
  if (err) {
    dr_err_clear(err);
    *err = fresh;
  }
  return (int)dr_err_status(&fresh);
}

int dr__fail(dr_err *err, const char *code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int status = dr__fail_v(err, code, format, args);
  va_end(args);
  return status;
}

void dr__err_hint(dr_err *err, const char *format, ...) {
  if (!err) return;
  va_list args;
  va_start(args, format);
  format_text(err->hint, sizeof err->hint, format, args);
  va_end(args);
}

void dr__err_target(dr_err *err, const char *target) {
  if (err) dr__copy_text(err->target, sizeof err->target, target);
}

void dr__err_detail(dr_err *err, const char *text, size_t length) {
  if (!err) return;
  free(err->detail);
  err->detail = text && length > 0 ? strndup(text, length) : NULL;
}

int dr__err_nomem(dr_err *err) {
  return dr__fail(err, "out_of_memory", "out of memory");
}

void dr__err_move(dr_err *to, dr_err *from) {
  dr_err_clear(to);
  *to = *from;
  *from = (dr_err)DR_ERR_INIT;
}

void dr__err_copy(dr_err *to, const dr_err *from) {
  dr_err copy = *from;
  copy.detail = from->detail ? strdup(from->detail) : NULL;
  copy.cause = from->cause ? calloc(1, sizeof *copy.cause) : NULL;
  if (copy.cause) dr__err_copy(copy.cause, from->cause);
  dr_err_clear(to);
  *to = copy;
}

void dr__err_because(dr_err *err, dr_err *cause) {
  dr_err *kept = calloc(1, sizeof *kept);
  if (!kept) {
    dr_err_clear(cause);
    return;
  }
  dr__err_move(kept, cause);
  if (err->cause) {
    dr_err_clear(err->cause);
    free(err->cause);
  }
  err->cause = kept;
}

static void put_text(json_t *object, const char *key, const char *text) {
  if (text && text[0]) json_object_set_new(object, key, dr__json_string(text));
}

json_t *dr__err_to_json(const dr_err *err) {
  json_t *object = json_object();
  if (!object) return NULL;
  put_text(object, "code", err->code);
  put_text(object, "message", err->message);
  put_text(object, "hint", err->hint);
  put_text(object, "target", err->target);
  put_text(object, "op", err->op);
  put_text(object, "where", err->where);
  put_text(object, "detail", err->detail);
  if (err->cause) json_object_set_new(object, "cause", dr__err_to_json(err->cause));
  return object;
}

static const char *get_text(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

void dr__err_from_json(dr_err *err, const json_t *json) {
  if (!err) return;
  dr_err_clear(err);
  dr__copy_text(err->code, sizeof err->code, get_text(json, "code"));
  dr__copy_text(err->message, sizeof err->message, get_text(json, "message"));
  dr__copy_text(err->hint, sizeof err->hint, get_text(json, "hint"));
  dr__copy_text(err->target, sizeof err->target, get_text(json, "target"));
  dr__copy_text(err->op, sizeof err->op, get_text(json, "op"));
  dr__copy_text(err->where, sizeof err->where, get_text(json, "where"));
  const char *detail = get_text(json, "detail");
  if (detail[0]) err->detail = strdup(detail);
  const json_t *cause = json_object_get(json, "cause");
  if (!json_is_object(cause)) return;
  err->cause = calloc(1, sizeof *err->cause);
  if (err->cause) dr__err_from_json(err->cause, cause);
}
