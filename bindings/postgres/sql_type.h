/* postgres/sql_type.h - what a change of a column's type does to its values, by the TypeName nodes
 * of parse trees. Pure, any thread. Used by hazard_alter.c. */
#ifndef DR_POSTGRES_SQL_TYPE_H
#define DR_POSTGRES_SQL_TYPE_H

#include <deployrun.h>

#include <jansson.h>
#include <stdbool.h>

typedef enum dr_sql_type_change {
  DR_SQL_TYPE_KEEPS,    /* old values stay as they are on the disk: no rewrite */
  DR_SQL_TYPE_REWRITES, /* all old values fit, but rows are written anew */
  DR_SQL_TYPE_NARROWS   /* some may not fit, or mean something else */
} dr_sql_type_change;

/* Both are fields of a TypeName. */
dr_sql_type_change dr__sql_type_change(const json_t *from, const json_t *to);

/* The TypeName of a type as format_type() writes it ("character varying(20)"); new reference, NULL
 * with err filled when it is no type (postgres.syntax) or memory is short. */
json_t *dr__sql_type_read(const char *text, dr_err *err);

/* serial, bigserial …: what CREATE TABLE and ADD COLUMN turn into a sequence. */
bool dr__sql_type_is_serial(const json_t *type);

#endif
