/* answer.c - see answer.h. All cells of an answer lie in one block of text. Called by connection.c,
 * which fills an answer, and by whoever reads one; runtime's thread.
 */
#include "answer.h"

#include "core/err.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 256 };

/* Oids of pg_type that never change. */
enum { BOOL = 16, INT8 = 20, INT2 = 21, INT4 = 23, OID = 26, FLOAT4 = 700, FLOAT8 = 701 };

/* ------------------------------------------------------------ filling */

bool dr__pg_answer_columns(dr_pg_answer *answer, size_t count) {
  answer->column = calloc(count ? count : 1, sizeof *answer->column);
  if (answer->column) answer->columns = count;
  return answer->column != NULL;
}

bool dr__pg_answer_column(dr_pg_answer *answer, size_t place, const char *name, unsigned type) {
  answer->column[place].name = strdup(name);
  answer->column[place].type = type;
  return answer->column[place].name != NULL;
}

/* Makes room for `count` more items of `size` bytes behind `used`; false when memory is short. */
static bool grow(void **items, size_t *room, size_t used, size_t count, size_t size) {
  size_t wanted = *room ? *room : FIRST_ROOM;
  while (wanted - used < count) wanted *= 2;
  if (wanted == *room) return true;
  void *grown = realloc(*items, wanted * size);
  if (!grown) return false;
  *items = grown;
  *room = wanted;
  return true;
}

bool dr__pg_answer_cell(dr_pg_answer *answer, const char *text, size_t length) {
  void *cells = answer->cells;
  void *bytes = answer->bytes;
  bool grown = grow(&cells, &answer->cells_room, answer->filled, 1, sizeof *answer->cells);
  grown = grown && (!text || grow(&bytes, &answer->room, answer->used, length + 1, 1));
  answer->cells = cells;
  answer->bytes = bytes;
  if (!grown) return false;
  answer->cells[answer->filled++] = text ? answer->used + 1 : 0;
  if (!text) return true;
  memcpy(answer->bytes + answer->used, text, length);
  answer->bytes[answer->used + length] = '\0';
  answer->used += length + 1;
  return true;
}

void dr__pg_answer_row_done(dr_pg_answer *answer) {
  answer->rows++;
}

void dr__pg_answer_clear(dr_pg_answer *answer) {
  for (size_t i = 0; i < answer->columns; i++) free(answer->column[i].name);
  free(answer->column);
  free(answer->bytes);
  free(answer->cells);
  *answer = (dr_pg_answer){.affected = -1};
}

/* ------------------------------------------------------------ reading */

const char *dr__pg_text(const dr_pg_answer *answer, size_t row, size_t column) {
  if (row >= answer->rows || column >= answer->columns) return NULL;
  size_t place = answer->cells[row * answer->columns + column];
  return place ? answer->bytes + place - 1 : NULL;
}

int dr__pg_column(const dr_pg_answer *answer, const char *name) {
  for (size_t i = 0; i < answer->columns; i++)
    if (strcmp(answer->column[i].name, name) == 0) return (int)i;
  return -1;
}

const char *dr__pg_field(const dr_pg_answer *answer, size_t row, const char *name) {
  int column = dr__pg_column(answer, name);
  return column < 0 ? NULL : dr__pg_text(answer, row, (size_t)column);
}

/* False unless the whole text is a number that fits. */
static bool read_integer(const char *text, int64_t *number) {
  char *end;
  errno = 0;
  *number = strtoll(text, &end, 10);
  return end != text && *end == '\0' && errno == 0;
}

int64_t dr__pg_integer(const dr_pg_answer *answer, size_t row, const char *name,
                       int64_t otherwise) {
  const char *text = dr__pg_field(answer, row, name);
  int64_t number;
  return text && read_integer(text, &number) ? number : otherwise;
}

/* ------------------------------------------------------------ as JSON */

static json_t *real_of(const char *text) {
  char *end;
  double number = strtod(text, &end);
  if (end == text || *end != '\0' || !isfinite(number)) return json_string_nocheck(text);
  return json_real(number);
}

static json_t *integer_of(const char *text) {
  int64_t number;
  return read_integer(text, &number) ? json_integer(number) : json_string_nocheck(text);
}

static json_t *value_of(const char *text, unsigned type) {
  if (!text) return json_null();
  switch (type) {
  case BOOL: return json_boolean(text[0] == 't');
  case INT2:
  case INT4:
  case INT8:
  case OID: return integer_of(text);
  case FLOAT4:
  case FLOAT8: return real_of(text);
  default: return json_string_nocheck(text);
  }
}

/* A row is a table by name: of two columns of one name the first would be lost. */
static int check_names(const dr_pg_answer *answer, dr_err *err) {
  for (size_t i = 0; i < answer->columns; i++) {
    if (dr__pg_column(answer, answer->column[i].name) == (int)i) continue;
    dr__fail(err, "postgres.column", "the answer has two columns named \"%s\"",
             answer->column[i].name);
    dr__err_hint(err, "give one of them another name: select a.id, b.id as b_id …");
    return DR_FAILED;
  }
  return 0;
}

static json_t *row_of(const dr_pg_answer *answer, size_t row) {
  json_t *object = json_object();
  for (size_t i = 0; object && i < answer->columns; i++) {
    const dr_pg_column *column = &answer->column[i];
    json_t *value = value_of(dr__pg_text(answer, row, i), column->type);
    if (value && json_object_set_new_nocheck(object, column->name, value) == 0) continue;
    json_decref(object);
    object = NULL;
  }
  return object;
}

json_t *dr__pg_rows(const dr_pg_answer *answer, dr_err *err) {
  if (check_names(answer, err) != 0) return NULL;
  json_t *rows = json_array();
  for (size_t i = 0; rows && i < answer->rows; i++) {
    json_t *row = row_of(answer, i);
    if (row && json_array_append_new(rows, row) == 0) continue;
    json_decref(rows);
    rows = NULL;
  }
  if (!rows) dr__err_nomem(err);
  return rows;
}
