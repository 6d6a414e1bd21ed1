/* postgres/script_error.c - what is wrong with a script that PostgreSQL's parser refused: a command
 * of psql, rows behind COPY … FROM STDIN, or a mistake. Pure, any thread. Called by statements.c
 * and trees.c.
 *
 * The parser stops at the first thing it does not know. Whether rows or a psql command stand there
 * is found out with the text before that place, which scans and, statement by statement, parses. */
#include "postgres/script_error.h"

#include "core/err.h"

#include <jansson.h>
#include <pg_query.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int dr__sql_line(const char *text, size_t offset) {
  int line = 1;
  const char *end = text + offset;
  for (const char *at = text; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++) line++;
  return line;
}

static int column_of(const char *text, size_t offset) {
  size_t start = offset;
  while (start > 0 && text[start - 1] != '\n') start--;
  int column = 1;
  for (size_t i = start; i < offset; i++) column += ((unsigned char)text[i] & 0xC0) != 0x80;
  return column;
}

/* ------------------------------------------------------------ COPY */

int dr__sql_copy_error(int line, bool from, dr_err *err) {
  dr__fail(err, "postgres.copy_data",
           "line %d: COPY … %s moves rows between the server and psql, which does not run this",
           line, from ? "FROM STDIN" : "TO STDOUT");
  dr__err_hint(err, "%s",
               from ? "write the rows as INSERT, or load them with pg_restore or psql"
                    : "read rows with a query instead");
  return DR_FAILED;
}

enum { LONGEST_COPY = 8000, MAX_PIECES = 100 };

/* COPY … FROM STDIN; one that is longer than any real one is not looked at. */
static bool copies_from_client(const char *piece) {
  if (strlen(piece) > LONGEST_COPY) return false;
  PgQueryParseResult result = pg_query_parse(piece);
  json_t *tree = result.error || !result.parse_tree ? NULL : json_loads(result.parse_tree, 0, NULL);
  json_t *statement = json_array_get(json_object_get(tree, "stmts"), 0);
  json_t *copy = json_object_get(json_object_get(statement, "stmt"), "CopyStmt");
  bool copies =
      json_is_true(json_object_get(copy, "is_from")) && !json_object_get(copy, "filename");
  json_decref(tree);
  pg_query_free_parse_result(result);
  return copies;
}

/* True when the piece parses; *copies when it is COPY … FROM STDIN. */
static bool parses(const char *piece, bool *copies) {
  PgQuerySplitResult result = pg_query_split_with_parser(piece);
  bool good = !result.error;
  pg_query_free_split_result(result);
  *copies = good && strncasecmp(piece, "COPY", 4) == 0 && copies_from_client(piece);
  return good;
}

static bool piece_parses(const char *text, size_t start, size_t end, bool *copies, bool *failed) {
  char *piece = strndup(text + start, end - start);
  bool good = piece && parses(piece, copies);
  if (!piece) *failed = true;
  free(piece);
  return good;
}

/* The first COPY … FROM STDIN among the statements that end before a place; its first byte, or
 * SIZE_MAX. A ";" that does not end a statement leaves a piece that does not parse: it is then
 * taken together with the next. */
static size_t find_copy(const char *text, const dr_sql_tokens *tokens, bool *failed) {
  size_t start = SIZE_MAX;
  int pieces = 0;
  for (size_t i = 0; i < tokens->count && pieces < MAX_PIECES; i++) {
    const dr_sql_token *token = &tokens->items[i];
    if (dr__sql_is_comment(text, token)) continue;
    if (start == SIZE_MAX) start = token->start;
    if (!dr__sql_is_char(text, token, ';')) continue;
    bool copies = false;
    if (!piece_parses(text, start, token->start, &copies, failed)) {
      pieces++;
      continue;
    }
    if (copies) return start;
    start = SIZE_MAX;
    pieces = 0;
  }
  return SIZE_MAX;
}

/* ------------------------------------------------------------ psql's commands */

static const dr_sql_token *find_backslash(const char *text, const dr_sql_tokens *tokens) {
  for (size_t i = 0; i < tokens->count; i++) {
    if (dr__sql_is_char(text, &tokens->items[i], '\\')) return &tokens->items[i];
  }
  return NULL;
}

static int fail_meta_command(const char *text, size_t offset, dr_err *err) {
  int length = (int)strcspn(text + offset, " \t\r\n;");
  dr__fail(err, "postgres.meta_command", "line %d: %.*s is a command of psql, not SQL",
           dr__sql_line(text, offset), length < 40 ? length : 40, text + offset);
  dr__err_hint(err,
               "take it out: the connection, the files and their order are given in the recipe");
  return DR_FAILED;
}

/* ------------------------------------------------------------ the rest */

static int fail_syntax(const char *text, const dr_sql_mistake *mistake, dr_err *err) {
  dr__fail(err, "postgres.syntax", "line %d, column %d: %s", dr__sql_line(text, mistake->offset),
           column_of(text, mistake->offset), mistake->message);
  if (text[mistake->offset] == ':')
    dr__err_hint(err, "variables such as :name are psql's own; write the value");
  else if (strncmp(mistake->message, "memory exhausted", 16) == 0)
    dr__err_hint(err, "it is nested too deep for PostgreSQL's parser");
  else
    dr__err_hint(err, "PostgreSQL %s reads it so; nothing was sent to a server", PG_MAJORVERSION);
  return DR_FAILED;
}

/* The words before a place; none when they cannot be scanned. */
static int scan_before(const dr_sql_script *script, size_t length, dr_sql_tokens *tokens,
                       dr_err *err) {
  dr_sql_mistake mistake = {0};
  char *before = strndup(script->text, length);
  if (!before) return dr__err_nomem(err);
  int status = dr__sql_scan(before, length, tokens, &mistake, err);
  free(before);
  return mistake.message[0] ? DR_OK : status;
}

int dr__sql_script_error(const dr_sql_script *script, const dr_sql_mistake *mistake, dr_err *err) {
  if (strcmp(mistake->message, "out of memory") == 0) return dr__err_nomem(err);
  size_t length = mistake->offset + (script->text[mistake->offset] == '\\' ? 1 : 0);
  dr_sql_tokens tokens = {0};
  bool failed = false;
  int status = scan_before(script, length, &tokens, err);
  size_t copy = find_copy(script->text, &tokens, &failed);
  const dr_sql_token *backslash = find_backslash(script->text, &tokens);
  if (status == DR_OK) {
    if (failed)
      dr__err_nomem(err);
    else if (copy != SIZE_MAX)
      dr__sql_copy_error(dr__sql_line(script->text, copy), true, err);
    else if (backslash)
      fail_meta_command(script->text, backslash->start, err);
    else
      fail_syntax(script->text, mistake, err);
  }
  free(tokens.items);
  return DR_FAILED;
}
