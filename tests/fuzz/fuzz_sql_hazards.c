/* Any text as a script, half of them made of words of SQL, is judged: each statement gets a class,
 * and whatever libpg_query writes as JSON can be read. */
#include "postgres/hazards.h"

#include "sql_words.h"

static void check_result(const dr_sql_script *script, const json_t *result) {
  const json_t *statements = json_object_get(result, "statements");
  int worst = 0;
  size_t i;
  json_t *one;
  if (json_array_size(statements) != script->count) abort();
  json_array_foreach(statements, i, one) {
    const char *class = json_string_value(json_object_get(one, "class"));
    if (!class || !json_string_value(json_object_get(one, "kind"))) abort();
    if (dr__sql_class_rank(class) > worst) worst = dr__sql_class_rank(class);
  }
  if (dr__sql_class_rank(json_string_value(json_object_get(result, "class"))) != worst) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  size_t length;
  char *text = sql_of(input, size, &length);
  if (!text) return 0;
  dr_sql_script script;
  dr_err err = DR_ERR_INIT;
  if (dr__sql_split(text, length, &script, &err) == DR_OK) {
    json_t *result = dr__sql_classify(&script, NULL, &err);
    if (!result) abort();
    check_result(&script, result);
    json_decref(result);
  } else if (strncmp(err.code, "postgres.", 9) != 0) {
    abort();
  }
  dr__sql_script_free(&script);
  dr_err_clear(&err);
  free(text);
  return 0;
}
