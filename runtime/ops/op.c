/* ops/op.c - the life of an op between the gate and its binding: completion, output, arguments, the
 * registry. */
#include "ops/op.h"

#include "core/json.h"
#include "core/lane.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const dr_opspec *dr__op_find(const char *name) {
  for (const dr_binding *const *binding = dr__bindings; *binding; binding++)
    for (const dr_opspec *spec = (*binding)->ops; spec && spec->name; spec++)
      if (strcmp(spec->name, name) == 0) return spec;
  return NULL;
}

int dr__op_whole(dr_op *op, dr_err *err) {
  const unsigned long before = op->denied;
  op->denied = dr__json_denied();
  return op->denied == before ? DR_OK : dr__err_nomem(err);
}

void dr__op_done(dr_op *op, json_t *result) {
  dr_err err = DR_ERR_INIT;
  if (dr__op_whole(op, &err) != DR_OK || !result) {
    json_decref(result);
    if (!result) dr__err_nomem(&err);
    dr__op_fail(op, &err);
    return;
  }
  if (op->finished) {
    json_decref(result);
    return;
  }
  dr__op_output_end(op);
  op->finished = true;
  op->result = result;
  dr__lane_ready(op->lane);
}

void dr__op_fail(dr_op *op, dr_err *err) {
  if (op->finished) {
    dr_err_clear(err);
    return;
  }
  dr__op_output_end(op);
  op->finished = true;
  op->failed = true;
  dr__err_move(&op->err, err);
  dr__lane_ready(op->lane);
}

void dr__op_fail_cancelled(dr_op *op, const char *format, ...) {
  dr_err err = DR_ERR_INIT;
  va_list args;
  va_start(args, format);
  dr__fail_v(&err, "cancelled", format, args);
  va_end(args);
  dr__op_fail(op, &err);
}

bool dr__op_cancelled(const dr_op *op) {
  const dr_walk *run = op->run;
  return op->lane->cancel == DR_CANCEL_ASKED || run->cancel_level >= 2 ||
         (atomic_load(&run->rt->cancels) > run->cancel_level && !run->unwinding);
}

dr_runtime *dr__op_runtime(const dr_op *op) {
  return op->run->rt;
}

json_t *dr__op_masked_args(const dr_op *op) {
  return dr__secrets_mask_json(op->run->rt->secrets, op->args);
}

/* ------------------------------------------------------------ output */

static void tell_line(dr_op *op, int stream, const char *line, size_t length) {
  if (op->run->mode != DR_MODE_RUN) return;
  if (length > 0 && line[length - 1] == '\r') length--;
  json_t *text = json_stringn(line, length);
  dr__tell(op->run->rt, DR_EVENT_OUTPUT,
           json_pack("{s:I, s:o, s:s, s:o}", "seq", (json_int_t)op->seq, "target",
                     dr__json_string(op->target ? dr__target_name(op->target) : ""), "stream",
                     stream == 2 ? "stderr" : "stdout", "line",
                     text ? text : json_string("(binary output)")));
}

enum { LONGEST_LINE = 4096 };

static void open_line(dr_op *op, dr_partial_line *line) {
  size_t longest = 2 * dr__secrets_longest(op->run->rt->secrets);
  line->size = longest > LONGEST_LINE ? longest : LONGEST_LINE;
  line->bytes = malloc(line->size);
}

/* Tells the beginning of a line that is too long to wait for its end; cut where neither a secret
 * nor a character is cut in two. */
static void tell_beginning(dr_op *op, int stream, dr_partial_line *line) {
  size_t cut = dr__secrets_cut(op->run->rt->secrets, line->bytes, line->length), whole = cut;
  while (whole > 0 && whole < line->length && ((unsigned char)line->bytes[whole] & 0xC0) == 0x80)
    whole--;
  if (whole > 0 && cut - whole < 4) cut = whole;
  if (cut == 0) cut = line->length;
  tell_line(op, stream, line->bytes, cut);
  line->length -= cut;
  memmove(line->bytes, line->bytes + cut, line->length);
}

/* Adds bytes to the unfinished line of a stream; a line longer than LONGEST_LINE is told in pieces.
 */
void dr__op_output(dr_op *op, int stream, const char *bytes, size_t length) {
  dr_partial_line *line = &op->lines[stream == 2];
  if (!line->bytes) open_line(op, line);
  if (!line->bytes) return;
  while (length > 0) {
    const char *end = memchr(bytes, '\n', length);
    size_t piece = end ? (size_t)(end - bytes) : length;
    if (piece > line->size - line->length) piece = line->size - line->length;
    memcpy(line->bytes + line->length, bytes, piece);
    line->length += piece;
    bytes += piece;
    length -= piece;
    if (length > 0 && *bytes == '\n') {
      tell_line(op, stream, line->bytes, line->length);
      line->length = 0;
      bytes++;
      length--;
    } else if (line->length == line->size) {
      tell_beginning(op, stream, line);
    }
  }
}

void dr__op_output_end(dr_op *op) {
  for (int i = 0; i < 2; i++) {
    if (op->lines[i].length > 0) tell_line(op, i + 1, op->lines[i].bytes, op->lines[i].length);
    free(op->lines[i].bytes);
    op->lines[i] = (dr_partial_line){0};
  }
}

void dr__op_progress(dr_op *op, const char *format, ...) {
  char message[512];
  va_list args;
  if (op->run->mode != DR_MODE_RUN) return;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  dr__tell(op->run->rt, DR_EVENT_PROGRESS,
           json_pack("{s:I, s:o, s:o}", "seq", (json_int_t)op->seq, "target",
                     dr__json_string(op->target ? dr__target_name(op->target) : ""), "message",
                     dr__json_string(message)));
}

void dr__op_moved(dr_op *op, uint64_t moved, uint64_t total, double rate, const char *message) {
  if (op->run->mode != DR_MODE_RUN) return;
  dr__tell(op->run->rt, DR_EVENT_PROGRESS,
           json_pack("{s:I, s:o, s:o, s:I, s:I, s:f}", "seq", (json_int_t)op->seq, "target",
                     dr__json_string(op->target ? dr__target_name(op->target) : ""), "message",
                     dr__json_string(message), "bytes", (json_int_t)moved, "total",
                     (json_int_t)total, "rate", rate));
}

void dr__op_log(dr_op *op, const char *format, ...) {
  char message[1024];
  va_list args;
  if (op->run->mode != DR_MODE_RUN) return;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  dr__tell(op->run->rt, DR_EVENT_LOG,
           json_pack("{s:s, s:o}", "level", "info", "message", dr__json_string(message)));
}

/* ------------------------------------------------------------ arguments */

json_t *dr__arg(const dr_op *op, const char *name) {
  return json_object_get(op->args, name);
}

const char *dr__arg_string(const dr_op *op, const char *name, const char *otherwise) {
  const char *text = json_string_value(dr__arg(op, name));
  return text ? text : otherwise;
}

int64_t dr__arg_integer(const dr_op *op, const char *name, int64_t otherwise) {
  json_t *value = dr__arg(op, name);
  return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

double dr__arg_number(const dr_op *op, const char *name, double otherwise) {
  json_t *value = dr__arg(op, name);
  return json_is_number(value) ? json_number_value(value) : otherwise;
}

bool dr__arg_boolean(const dr_op *op, const char *name, bool otherwise) {
  json_t *value = dr__arg(op, name);
  return json_is_boolean(value) ? json_is_true(value) : otherwise;
}
