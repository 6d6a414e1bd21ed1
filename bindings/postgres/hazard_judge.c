/* postgres/hazard_judge.c - collects what a statement does. Pure; one thread at a time. See the
 * header. */
#include "postgres/hazard_judge.h"

#include "core/err.h"

#include <stdio.h>
#include <string.h>

int dr__judgement_begin(dr_sql_judgement *j, dr_sql_world *world) {
  *j = (dr_sql_judgement){
      .world = world, .on = json_object(), .hazards = json_array(), .loses = json_array()};
  return j->on && j->hazards && j->loses ? DR_OK : DR_FAILED;
}

void dr__judgement_free(dr_sql_judgement *j) {
  json_decref(j->on);
  json_decref(j->hazards);
  json_decref(j->loses);
  *j = (dr_sql_judgement){0};
}

/* ------------------------------------------------------------ findings */

void dr__judge_also(dr_sql_judgement *j, const char *relation, dr_sql_lock lock) {
  if (lock == DR_SQL_NO_LOCK || dr__world_created(j->world, "relation", relation)) return;
  json_int_t before = json_integer_value(json_object_get(j->on, relation));
  if (lock > before && json_object_set_new(j->on, relation, json_integer(lock)) != 0)
    j->failed = true;
  if (lock > j->lock) j->lock = lock;
}

static bool is_noted(const json_t *hazards, const char *name, const char *reason) {
  size_t i;
  json_t *one;
  json_array_foreach(hazards, i, one) {
    if (dr__tree_is(one, "hazard", name) && dr__tree_is(one, "reason", reason)) return true;
  }
  return false;
}

static void note_hazard(dr_sql_judgement *j, const dr_sql_rule *rule, const char *object) {
  char reason[512];
  snprintf(reason, sizeof reason, "%s%s%s", object ? object : "", object ? ": " : "", rule->reason);
  if (is_noted(j->hazards, rule->name, reason)) return;
  json_t *hazard = json_pack("{s:s, s:s, s:s}", "hazard", rule->name, "class",
                             dr__sql_class_name(rule->class), "reason", reason);
  if (json_array_append_new(j->hazards, hazard) != 0) j->failed = true;
}

static void note_loss(dr_sql_judgement *j, const dr_sql_rule *rule, const char *object) {
  char text[DR_SQL_NAME_SIZE * 2];
  snprintf(text, sizeof text, "%s%s%s", object ? object : "", object ? ": " : "", rule->loses);
  if (json_array_append_new(j->loses, json_string(text)) != 0) j->failed = true;
}

/* A statement is named after the heaviest thing it does. */
static void take_kind(dr_sql_judgement *j, const dr_sql_rule *rule) {
  if (j->kind && rule->class <= j->kind->class &&
      (rule->class < j->kind->class || rule->lock <= j->kind->lock))
    return;
  j->kind = rule;
}

void dr__judge_lock(dr_sql_judgement *j, dr_sql_rule_id id, const char *relation,
                    const char *object, dr_sql_lock lock) {
  const dr_sql_rule *rule = dr__sql_rule(id);
  take_kind(j, rule);
  if (relation && dr__world_created(j->world, "relation", relation)) return;
  if (relation) dr__judge_also(j, relation, lock);
  if (!relation && lock > j->lock) j->lock = lock;
  if (rule->class > j->class) j->class = rule->class;
  if (rule->work > j->work) j->work = rule->work;
  bool holds_up = rule->work != DR_SQL_READS && lock >= DR_SQL_SHARE;
  bool hazard = rule->class != DR_SQL_COMPATIBLE || rule->loses || holds_up;
  if (hazard) note_hazard(j, rule, object ? object : relation);
  if (rule->loses) note_loss(j, rule, object ? object : relation);
}

void dr__judge(dr_sql_judgement *j, dr_sql_rule_id id, const char *relation, const char *object) {
  dr__judge_lock(j, id, relation, object, dr__sql_rule(id)->lock);
}

void dr__judge_relations(dr_sql_judgement *j, dr_sql_rule_id id, const json_t *relations) {
  size_t i;
  json_t *one;
  json_array_foreach(relations, i, one) {
    char relation[DR_SQL_NAME_SIZE];
    dr__tree_relation(relation, dr__tree_as(one, "RangeVar"));
    dr__judge(j, id, relation, NULL);
  }
}

void dr__judge_own(dr_sql_judgement *j, dr_sql_rule_id id, const char *relation) {
  const dr_sql_rule *rule = dr__sql_rule(id);
  take_kind(j, rule);
  if (relation) dr__judge_also(j, relation, rule->lock);
}

void dr__judge_created(dr_sql_judgement *j, const char *kind, const char *name, bool certain) {
  if (certain && !j->uncertain) dr__world_create(j->world, kind, name);
}

/* ------------------------------------------------------------ what is read */

typedef struct reading {
  dr_sql_judgement *j;
  json_t *tree;
  const char *name; /* of a query of a WITH that is looked for */
} reading;

static bool is_named_query(const char *kind, json_t *fields, void *data) {
  const reading *r = data;
  return strcmp(kind, "CommonTableExpr") == 0 && dr__tree_is(fields, "ctename", r->name);
}

static bool note_read(const char *kind, json_t *fields, void *data) {
  (void)kind;
  reading *r = data;
  r->name = dr__tree_text(fields, "relname");
  if (!*r->name) return false;
  bool named = !json_object_get(fields, "schemaname") && dr__tree_any(r->tree, is_named_query, r);
  char relation[DR_SQL_NAME_SIZE];
  dr__tree_relation(relation, fields);
  if (!named) dr__judge_also(r->j, relation, DR_SQL_ACCESS_SHARE);
  return false;
}

void dr__judge_reads(dr_sql_judgement *j, json_t *part) {
  reading r = {.j = j, .tree = part};
  dr__tree_any(part, note_read, &r);
}

/* ------------------------------------------------------------ functions
 *
 * A function's name says nothing about what it does, and there is no catalog here. These are
 * PostgreSQL's own that migrations use. */

static const char *const stable_names[] = {"now",
                                           "transaction_timestamp",
                                           "statement_timestamp",
                                           "timezone",
                                           "date_trunc",
                                           "date_part",
                                           "to_char",
                                           "to_timestamp",
                                           "to_date",
                                           "lower",
                                           "upper",
                                           "length",
                                           "md5",
                                           "concat",
                                           "concat_ws",
                                           "format",
                                           "replace",
                                           "substring",
                                           "substr",
                                           "btrim",
                                           "ltrim",
                                           "rtrim",
                                           "left",
                                           "right",
                                           "lpad",
                                           "rpad",
                                           "split_part",
                                           "regexp_replace",
                                           "encode",
                                           "decode",
                                           "abs",
                                           "round",
                                           "ceil",
                                           "ceiling",
                                           "floor",
                                           "mod",
                                           "make_date",
                                           "make_interval",
                                           "make_timestamp",
                                           "make_timestamptz",
                                           "jsonb_build_object",
                                           "jsonb_build_array",
                                           "json_build_object",
                                           "json_build_array",
                                           "to_json",
                                           "to_jsonb",
                                           "array_to_string",
                                           "string_to_array",
                                           "array_length",
                                           "cardinality",
                                           "current_setting",
                                           "current_database",
                                           "current_schema",
                                           "version",
                                           "pg_backend_pid",
                                           "to_regclass",
                                           "to_regtype",
                                           "pg_typeof",
                                           "quote_ident",
                                           "quote_literal",
                                           "nullif",
                                           "extract",
                                           "position",
                                           "overlay",
                                           "sqrt",
                                           "power",
                                           "chr",
                                           "ascii",
                                           "initcap",
                                           "reverse",
                                           "repeat",
                                           "age",
                                           "like_escape",
                                           "translate",
                                           "array_append",
                                           "array_prepend",
                                           "array_cat",
                                           "array_remove"};

static const char *const harmless_names[] = {"count",
                                             "sum",
                                             "min",
                                             "max",
                                             "avg",
                                             "array_agg",
                                             "string_agg",
                                             "json_agg",
                                             "jsonb_agg",
                                             "bool_and",
                                             "bool_or",
                                             "every",
                                             "row_number",
                                             "rank",
                                             "dense_rank",
                                             "lag",
                                             "lead",
                                             "ntile",
                                             "first_value",
                                             "last_value",
                                             "unnest",
                                             "generate_series",
                                             "generate_subscripts",
                                             "random",
                                             "clock_timestamp",
                                             "timeofday",
                                             "gen_random_uuid",
                                             "uuid_generate_v4",
                                             "uuid_generate_v1",
                                             "nextval",
                                             "currval",
                                             "lastval",
                                             "setval",
                                             "set_config",
                                             "pg_sleep",
                                             "pg_notify",
                                             "pg_advisory_lock",
                                             "pg_advisory_xact_lock",
                                             "pg_try_advisory_lock",
                                             "pg_advisory_unlock",
                                             "pg_try_advisory_xact_lock",
                                             "pg_get_serial_sequence",
                                             "pg_total_relation_size",
                                             "pg_relation_size",
                                             "pg_size_pretty",
                                             "has_table_privilege",
                                             "has_schema_privilege",
                                             "pg_is_in_recovery",
                                             "obj_description",
                                             "col_description",
                                             "jsonb_set",
                                             "jsonb_each",
                                             "jsonb_array_elements",
                                             "json_each",
                                             "json_array_elements",
                                             "regexp_matches",
                                             "regexp_match",
                                             "regexp_split_to_table",
                                             "jsonb_object_agg",
                                             "json_object_agg",
                                             "percentile_cont",
                                             "mode",
                                             "row_to_json",
                                             "pg_table_is_visible",
                                             "pg_get_constraintdef",
                                             "pg_get_indexdef",
                                             "txid_current",
                                             "format_type"};

static bool is_among(const char *name, const char *const names[], size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(name, names[i]) == 0) return true;
  }
  return false;
}

#define AMONG(name, names) is_among(name, names, sizeof(names) / sizeof *(names))

/* The name that a FuncCall calls when it can be one of PostgreSQL's own; "" for any other. */
static const char *own_name(const json_t *fields) {
  const json_t *names = dr__tree_array(fields, "funcname");
  bool qualified = json_array_size(names) > 1 &&
                   strcmp(dr__tree_string(json_array_get(names, 0)), "pg_catalog") != 0;
  return qualified ? "" : dr__tree_last(names);
}

static bool is_volatile(const char *kind, json_t *fields, void *data) {
  (void)data;
  return strcmp(kind, "FuncCall") == 0 && !AMONG(own_name(fields), stable_names);
}

bool dr__calls_volatile(json_t *expression) {
  return is_volatile(dr__tree_kind(expression), dr__tree_fields(expression), NULL) ||
         dr__tree_any(expression, is_volatile, NULL);
}

static bool is_unknown(const char *kind, json_t *fields, void *data) {
  if (strcmp(kind, "FuncCall") != 0) return false;
  const char *name = own_name(fields);
  if (AMONG(name, stable_names) || AMONG(name, harmless_names)) return false;
  const char **found = data;
  *found = dr__tree_last(dr__tree_array(fields, "funcname"));
  return true;
}

const char *dr__calls_unknown(json_t *tree) {
  const char *found = NULL;
  dr__tree_any(tree, is_unknown, &found);
  return found;
}

/* ------------------------------------------------------------ who judges what */

static dr_sql_judge *find(const dr_sql_judge_entry *entry, const char *kind) {
  while (entry->node && strcmp(entry->node, kind) != 0) entry++;
  return entry->judge;
}

static dr_sql_judge *judge_of(const char *kind) {
  dr_sql_judge *judge = find(dr__judges_of_tables, kind);
  if (!judge) judge = find(dr__judges_of_creates, kind);
  if (!judge) judge = find(dr__judges_of_drops, kind);
  if (!judge) judge = find(dr__judges_of_objects, kind);
  if (!judge) judge = find(dr__judges_of_data, kind);
  if (!judge) judge = find(dr__judges_of_blocks, kind);
  return judge;
}

void dr__judge_tree(dr_sql_judgement *j, json_t *tree) {
  dr_sql_judge *judge = judge_of(dr__tree_kind(tree));
  if (judge)
    judge(j, dr__tree_fields(tree));
  else
    dr__judge(j, DR_SQL_RULE_UNREAD, NULL, NULL);
}
