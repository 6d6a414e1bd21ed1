/* Any text as a script: what is split lies in the text, in order, and is one statement again when
 * it is read alone; what is not split is refused with a name. Half of the inputs are made of words
 * of SQL.
 */
#include "postgres/statements.h"

#include "sql_words.h"

static void check_statement(const dr_sql_script *script, size_t index) {
  const dr_sql_statement *one = &script->statements[index];
  size_t before = index > 0 ? one[-1].offset + one[-1].length : 0;
  if (one->offset < before || one->length == 0) abort();
  if (one->offset + one->length > script->length || one->line < 1 || one->column < 1) abort();
  if (one->comments + one->comment_count > script->comment_count) abort();
  char *text = dr__sql_text(script, index);
  dr_sql_script alone;
  if (dr__sql_split(text, strlen(text), &alone, NULL) != DR_OK || alone.count != 1) abort();
  if (alone.statements[0].offset != 0 || alone.statements[0].length != one->length) abort();
  dr__sql_script_free(&alone);
  free(text);
}

static void check_script(const dr_sql_script *script) {
  if (strlen(script->hash) != 64) abort();
  for (size_t i = 0; i < script->count; i++) check_statement(script, i);
  for (size_t i = 0; i < script->comment_count; i++) {
    const dr_sql_comment *one = &script->comments[i];
    if (one->length < 2 || one->offset + one->length > script->length) abort();
    if (i > 0 && (one->offset < one[-1].offset || one->line < one[-1].line)) abort();
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  size_t length;
  char *text = sql_of(input, size, &length);
  if (!text) return 0;
  dr_sql_script script;
  dr_err err = DR_ERR_INIT;
  if (dr__sql_split(text, length, &script, &err) == DR_OK)
    check_script(&script);
  else if (strncmp(err.code, "postgres.", 9) != 0 || !err.message[0])
    abort();
  dr__sql_script_free(&script);
  dr_err_clear(&err);
  free(text);
  return 0;
}
