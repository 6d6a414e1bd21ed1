/* postgres/trees.c - the parse tree of one statement, and the PL/pgSQL in it, as JSON. Pure, any
 * thread. Contract in statements.h. Called by whoever looks into a
 * statement: the judges, the ops, sql_type.c.
 *
 * libpg_query writes a tree with a function that calls itself for each level and looks at no limit
 * (about 140 bytes of stack a level), so what could be too deep is not given to it. */
#include "postgres/script_error.h"
#include "postgres/statements.h"
#include "postgres/tree.h"
#include "text.h"

#include "core/err.h"

#include <pg_query.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DEEPEST = 4000, MOST_WORDS = 50000, SHORT = 1000 };

static void fail_deep(int line, dr_err *err) {
  dr__fail(err, "postgres.too_large",
           "line %d: the statement is too long, or nested too deep, to be looked into", line);
}

/* jansson reads 2048 levels at most. What it says when memory is short is that the text is wrong;
 * but libpg_query writes what can be read (the fuzzer holds it to that). */
static json_t *read_json(int line, const char *text, dr_err *err) {
  json_error_t error = {0};
  json_t *json = text ? json_loads(text, 0, &error) : NULL;
  if (json) return json;
  if (text && json_error_code(&error) == json_error_stack_overflow)
    fail_deep(line, err);
  else
    dr__err_nomem(err);
  return NULL;
}

static void fail_parse(const dr_sql_script *script, size_t index, const PgQueryError *error,
                       dr_err *err) {
  const dr_sql_statement *statement = &script->statements[index];
  dr_sql_mistake mistake;
  dr__sql_mistake_set(&mistake, script->text + statement->offset, statement->length, error->message,
                      error->cursorpos);
  mistake.offset += statement->offset;
  dr__sql_script_error(script, &mistake, err);
}

static json_t *take_tree(const json_t *root) {
  const json_t *first = json_array_get(json_object_get(root, "stmts"), 0);
  return json_incref(json_object_get(first, "stmt"));
}

/* The statement without the rows behind the first. */
static char *short_text(const dr_sql_script *script, const dr_sql_statement *statement) {
  const char *start = script->text + statement->offset;
  dr_text text = {0};
  dr__text_add(&text, start, statement->first_row);
  dr__text_add(&text, start + statement->last_row, statement->length - statement->last_row);
  return dr__text_take(&text);
}

json_t *dr__sql_tree(const dr_sql_script *script, size_t index, dr_err *err) {
  const dr_sql_statement *statement = &script->statements[index];
  bool rows = statement->words > SHORT && statement->last_row > statement->first_row;
  if (statement->depth > DEEPEST || (statement->words > MOST_WORDS && !rows)) {
    fail_deep(statement->line, err);
    return NULL;
  }
  char *text = rows ? short_text(script, statement) : dr__sql_text(script, index);
  if (!text) {
    dr__err_nomem(err);
    return NULL;
  }
  PgQueryParseResult result = pg_query_parse(text);
  json_t *root = NULL;
  if (result.error)
    fail_parse(script, index, result.error, err);
  else
    root = read_json(statement->line, result.parse_tree, err);
  json_t *tree = root ? take_tree(root) : NULL;
  if (root && !tree) dr__err_nomem(err);
  json_decref(root);
  pg_query_free_parse_result(result);
  free(text);
  return tree;
}

/* ------------------------------------------------------------ PL/pgSQL */

static const char *text_of_option(const json_t *fields, const char *name) {
  json_t *argument;
  dr__tree_option(dr__tree_array(fields, "args"), name, &argument);
  return argument ? dr__tree_string(argument) : "";
}

/* The body as a DO whose quotes cannot end early; malloc'd. */
static char *quote_body(const char *body) {
  dr_text text = {0};
  dr__text_puts(&text, "DO '");
  for (const char *at = body; *at; at++) {
    if (*at == '\'') dr__text_puts(&text, "'");
    dr__text_add(&text, at, 1);
  }
  dr__text_puts(&text, "'");
  return dr__text_take(&text);
}

static json_t *read_block(const char *sql, dr_err *err) {
  PgQueryPlpgsqlParseResult result = pg_query_parse_plpgsql(sql);
  json_t *functions = NULL;
  if (result.error)
    dr__fail(err, "postgres.syntax", "in PL/pgSQL: %s", result.error->message);
  else
    functions = read_json(1, result.plpgsql_funcs, err);
  pg_query_free_plpgsql_parse_result(result);
  return functions;
}

json_t *dr__sql_block(const json_t *fields, dr_err *err) {
  const char *language = text_of_option(fields, "language");
  if (*language && strcasecmp(language, "plpgsql") != 0) {
    dr__fail(err, "postgres.syntax", "a block in %s is not read", language);
    return NULL;
  }
  char *sql = quote_body(text_of_option(fields, "as"));
  json_t *block = sql ? read_block(sql, err) : NULL;
  if (!sql) dr__err_nomem(err);
  free(sql);
  return block;
}
