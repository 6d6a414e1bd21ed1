/* op_args.c - what postgres.query and postgres.exec have in common: their parameters and how they
 * are previewed. Called through the gate, on the runtime's thread; no I/O.
 */
#include "ops.h"

#include "../text.h"

#include "core/err.h"

#include <string.h>

const char *dr__pg_shown_db(const dr_op *op) {
  const json_t *db = dr__arg(op, "db");
  static const char *const keys[] = {"dbname", "service", "user"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    const char *text = json_string_value(json_object_get(db, keys[i]));
    if (text && text[0]) return text;
  }
  return "the default database";
}

/* Without the empty lines that a long string of Lua begins and ends with. */
static void add_trimmed(dr_text *text, const char *sql) {
  sql += strspn(sql, " \t\r\n");
  size_t length = strlen(sql);
  while (length > 0 && strchr(" \t\r\n", sql[length - 1])) length--;
  dr__text_add(text, sql, length);
}

char *dr__pg_preview(const dr_op *op) {
  dr_text text = {.failed = false};
  size_t i;
  json_t *param;
  dr__text_printf(&text, "%s: ", dr__pg_shown_db(op));
  add_trimmed(&text, dr__arg_string(op, "sql", ""));
  json_array_foreach(dr__arg(op, "params"), i, param) {
    if (json_is_string(param))
      dr__text_printf(&text, "\n  $%zu = '%s'", i + 1, json_string_value(param));
    else
      dr__text_printf(&text, "\n  $%zu = NULL", i + 1);
  }
  return dr__text_take(&text);
}

json_t *dr__pg_params(const dr_op *op, bool *failed) {
  const json_t *given = dr__arg(op, "params");
  size_t i;
  json_t *param;
  *failed = false;
  if (!given || json_array_size(given) == 0) return NULL;
  json_t *params = json_array();
  json_array_foreach((json_t *)given, i, param) {
    json_t *value = json_is_string(param) ? json_incref(param) : json_null();
    if (params && json_array_append_new(params, value) == 0) continue;
    *failed = true;
  }
  if (!params || *failed) {
    *failed = true;
    json_decref(params);
    return NULL;
  }
  return params;
}

int dr__pg_check_params(const dr_op *op, dr_err *err) {
  const json_t *given = dr__arg(op, "params");
  size_t i;
  json_t *param;
  bool good = !given || json_is_array(given) || json_object_size(given) == 0;
  json_array_foreach((json_t *)given, i, param) {
    good = good && (json_is_string(param) || json_is_false(param));
    if (!json_is_string(param) || strlen(json_string_value(param)) == json_string_length(param))
      continue;
    dr__fail(err, "recipe.argument", "$%zu holds a zero byte, which PostgreSQL's text cannot",
             i + 1);
    dr__err_hint(err, "encode it, for example decode($%zu, 'hex')", i + 1);
    return DR_FAILED;
  }
  if (good) return 0;
  return dr__fail(err, "recipe.argument", "the parameters of %s are a list of texts",
                  op->spec->name);
}
