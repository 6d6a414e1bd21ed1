/* postgres/sql_type.c - which changes of a column's type keep the rows as they are. Pure, any
 * thread.
 *
 * PostgreSQL rewrites a table unless the cast is binary or its length function only widens:
 * ATColumnChangeRequiresRewrite() and the functions' prosupport. tests/bindings/hazards.c asks
 * a server about each pair. Called by hazard_alter.c, hazard_create.c and sql_world.c. */
#include "postgres/sql_type.h"

#include "postgres/statements.h"
#include "postgres/tree.h"

#include "core/err.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { NO_LIMIT = INT_MAX, INTERVAL_FULL = 0x7FFF };

typedef struct type {
  char name[DR_SQL_NAME_SIZE];
  size_t dimensions;
  int mods[2];
  size_t mod_count;
} type;

static type type_of(const json_t *fields) {
  type out = {.dimensions = json_array_size(dr__tree_array(fields, "arrayBounds"))};
  const json_t *mods = dr__tree_array(fields, "typmods");
  snprintf(out.name, sizeof out.name, "%s", dr__tree_last(dr__tree_array(fields, "names")));
  size_t i;
  json_t *mod;
  json_array_foreach(mods, i, mod) {
    const json_t *value = json_object_get(dr__tree_as(mod, "A_Const"), "ival");
    if (i < 2) out.mods[out.mod_count++] = (int)json_integer_value(json_object_get(value, "ival"));
  }
  return out;
}

static bool is(const type *one, const char *name) {
  return strcmp(one->name, name) == 0;
}

static bool in(const type *one, const char *const names[], size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (is(one, names[i])) return true;
  }
  return false;
}

#define IN(one, names) in(one, names, sizeof(names) / sizeof *(names))

/* ------------------------------------------------------------ lengths and precisions */

static int limit_of(const type *one, size_t index) {
  return index < one->mod_count ? one->mods[index] : NO_LIMIT;
}

static dr_sql_type_change widens(int from, int to) {
  return to >= from ? DR_SQL_TYPE_KEEPS : DR_SQL_TYPE_NARROWS;
}

/* numeric(p, s): s is 0 when only p is given. */
static dr_sql_type_change change_numeric(const type *from, const type *to) {
  if (to->mod_count == 0) return DR_SQL_TYPE_KEEPS;
  if (from->mod_count == 0) return DR_SQL_TYPE_NARROWS;
  int from_scale = from->mod_count > 1 ? from->mods[1] : 0;
  int to_scale = to->mod_count > 1 ? to->mods[1] : 0;
  if (from_scale == to_scale) return widens(from->mods[0], to->mods[0]);
  bool fits = to_scale >= from_scale && to->mods[0] - to_scale >= from->mods[0] - from_scale;
  return fits ? DR_SQL_TYPE_REWRITES : DR_SQL_TYPE_NARROWS;
}

/* Seconds have 6 digits at most, so (6) is no limit. interval's first number says which fields. */
static dr_sql_type_change change_time(const type *from, const type *to) {
  bool interval = is(from, "interval");
  int fields_from = interval && from->mod_count > 0 ? from->mods[0] : INTERVAL_FULL;
  int fields_to = interval && to->mod_count > 0 ? to->mods[0] : INTERVAL_FULL;
  int digits_from = limit_of(from, interval ? 1 : 0);
  int digits_to = limit_of(to, interval ? 1 : 0);
  if (fields_to != fields_from && fields_to != INTERVAL_FULL) return DR_SQL_TYPE_NARROWS;
  return digits_to >= 6 ? DR_SQL_TYPE_KEEPS : widens(digits_from, digits_to);
}

static dr_sql_type_change change_length(const type *from, const type *to) {
  static const char *const times[] = {"timestamp", "timestamptz", "time", "timetz", "interval"};
  static const char *const padded[] = {"bpchar", "bit"};
  if (is(from, "numeric")) return change_numeric(from, to);
  if (IN(from, times)) return change_time(from, to);
  bool rewrites = IN(from, padded);
  int was = limit_of(from, 0);
  int becomes = limit_of(to, 0);
  if (!rewrites) return widens(was, becomes);
  if (was == becomes) return DR_SQL_TYPE_KEEPS;
  return is(from, "bpchar") && becomes >= was ? DR_SQL_TYPE_REWRITES : DR_SQL_TYPE_NARROWS;
}

/* ------------------------------------------------------------ other types */

/* Smaller numbers first; each fits into those behind it. */
static int number_rank(const type *one) {
  static const char *const names[] = {"int2", "int4", "int8", "numeric"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (is(one, names[i])) return (int)i;
  }
  return -1;
}

static dr_sql_type_change change_kind(const type *from, const type *to) {
  int rank_from = number_rank(from);
  int rank_to = number_rank(to);
  if (rank_from >= 0 && rank_to > rank_from && to->mod_count == 0) {
    /* An int that becomes a numeric is another type for the code (Decimal), not a wider one. */
    return is(to, "numeric") ? DR_SQL_TYPE_NARROWS : DR_SQL_TYPE_REWRITES;
  }
  if (is(from, "float4") && is(to, "float8")) return DR_SQL_TYPE_REWRITES;
  if (is(from, "varchar") && is(to, "text")) return DR_SQL_TYPE_KEEPS;
  if (is(from, "text") && is(to, "varchar"))
    return to->mod_count == 0 ? DR_SQL_TYPE_KEEPS : DR_SQL_TYPE_NARROWS;
  if (is(from, "bpchar") && (is(to, "text") || is(to, "varchar"))) {
    int was = limit_of(from, 0);
    return limit_of(to, 0) >= was ? DR_SQL_TYPE_REWRITES : DR_SQL_TYPE_NARROWS;
  }
  if (is(from, "cidr") && is(to, "inet")) return DR_SQL_TYPE_KEEPS;
  return DR_SQL_TYPE_NARROWS;
}

dr_sql_type_change dr__sql_type_change(const json_t *from_fields, const json_t *to_fields) {
  type from = type_of(from_fields);
  type to = type_of(to_fields);
  bool same = strcmp(from.name, to.name) == 0;
  if (from.dimensions != 0 || to.dimensions != 0) {
    bool equal =
        same && from.mod_count == to.mod_count && memcmp(from.mods, to.mods, sizeof from.mods) == 0;
    bool arrays = (from.dimensions > 0) == (to.dimensions > 0);
    return equal && arrays ? DR_SQL_TYPE_KEEPS : DR_SQL_TYPE_NARROWS;
  }
  return same ? change_length(&from, &to) : change_kind(&from, &to);
}

/* ------------------------------------------------------------ reading */

json_t *dr__sql_type_read(const char *text, dr_err *err) {
  char sql[DR_SQL_NAME_SIZE * 2];
  int length = snprintf(sql, sizeof sql, "SELECT NULL::%s", text);
  dr_sql_script script = {0};
  json_t *tree = NULL;
  if (length > 0 && (size_t)length < sizeof sql &&
      dr__sql_split(sql, (size_t)length, &script, err) == DR_OK && script.count == 1)
    tree = dr__sql_tree(&script, 0, err);
  const json_t *targets = dr__tree_array(dr__tree_as(tree, "SelectStmt"), "targetList");
  const json_t *target = dr__tree_as(json_array_get(targets, 0), "ResTarget");
  const json_t *cast = dr__tree_as(json_object_get(target, "val"), "TypeCast");
  json_t *found = json_incref(json_object_get(cast, "typeName"));
  json_decref(tree);
  dr__sql_script_free(&script);
  return found;
}

bool dr__sql_type_is_serial(const json_t *fields) {
  static const char *const serials[] = {"serial",  "serial4",     "bigserial",
                                        "serial8", "smallserial", "serial2"};
  type one = type_of(fields);
  return json_array_size(dr__tree_array(fields, "names")) == 1 && IN(&one, serials);
}
