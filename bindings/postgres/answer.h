/* answer.h - what a server said to one statement: rows as text, their columns, the command tag.
 * Pure C, no I/O; made by connection.c, read by whoever asked. A NULL is no text.
 */
#ifndef DR_PG_ANSWER_H
#define DR_PG_ANSWER_H

#include <deployrun.h>

#include <jansson.h>

typedef struct dr_pg_column {
  char *name;
  unsigned type; /* its oid in pg_type: 16 bool, 20 int8, 25 text … */
} dr_pg_column;

typedef struct dr_pg_answer {
  char tag[64];     /* "UPDATE 3", "CREATE TABLE"; "" for an empty statement */
  int64_t affected; /* rows; -1 when the tag has no number */
  size_t rows;
  size_t columns; /* 0: the statement gives no rows at all */
  dr_pg_column *column;
  size_t used; /* bytes of text in all rows, each cell's NUL counted */
  /* --- its own */
  char *bytes;
  size_t room;
  size_t *cells; /* the place of each in bytes plus 1; 0: NULL */
  size_t filled;
  size_t cells_room;
} dr_pg_answer;

/* The text of a cell, counted from 0; NULL for a NULL and for what is not there. Borrowed. */
const char *dr__pg_text(const dr_pg_answer *answer, size_t row, size_t column);

/* The same by the column's name; NULL too when there is no such column. */
const char *dr__pg_field(const dr_pg_answer *answer, size_t row, const char *name);

/* The same as a number; `otherwise` for a NULL and for what is no whole number. */
int64_t dr__pg_integer(const dr_pg_answer *answer, size_t row, const char *name, int64_t otherwise);

/* The place of a column, or -1. */
int dr__pg_column(const dr_pg_answer *answer, const char *name);

/* The rows as a JSON array of objects, by the columns' names: int2, int4, int8 and oid as integers,
 * float4 and float8 as reals (text where JSON has no such number: "NaN", "Infinity"), bool as
 * booleans, all else as text; a NULL is null. NULL with err filled: two columns of one name
 * (postgres.column), or memory. */
json_t *dr__pg_rows(const dr_pg_answer *answer, dr_err *err);

/* Frees what it holds and makes it empty. */
void dr__pg_answer_clear(dr_pg_answer *answer);

/* For connection.c: the columns first, then cell by cell; row_done counts a row whose cells are all
 * there. False when memory is short. */
bool dr__pg_answer_columns(dr_pg_answer *answer, size_t count);
bool dr__pg_answer_column(dr_pg_answer *answer, size_t place, const char *name, unsigned type);
bool dr__pg_answer_cell(dr_pg_answer *answer, const char *text, size_t length);
void dr__pg_answer_row_done(dr_pg_answer *answer);

#endif
