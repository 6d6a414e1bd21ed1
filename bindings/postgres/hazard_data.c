/* postgres/hazard_data.c - judges what reads and writes rows. Pure; one thread at a time. */
#include "postgres/hazard_judge.h"

#include <string.h>

static bool is_locking(const char *kind, json_t *fields, void *data) {
  (void)fields;
  (void)data;
  return strcmp(kind, "LockingClause") == 0;
}

static void judge_select(dr_sql_judgement *j, json_t *fields) {
  json_t *into = json_object_get(fields, "intoClause");
  bool locks = dr__tree_any(fields, is_locking, NULL);
  char relation[DR_SQL_NAME_SIZE];
  if (into) {
    dr__tree_relation(relation, json_object_get(into, "rel"));
    dr__judge(j, DR_SQL_RULE_CREATE_TABLE, NULL, relation);
    dr__judge_created(j, "relation", relation, true);
  }
  dr__judge_lock(j, locks ? DR_SQL_RULE_READ_FOR_UPDATE : DR_SQL_RULE_READ, NULL, NULL,
                 DR_SQL_NO_LOCK);
  json_t *from = json_object_get(fields, "fromClause");
  const json_t *first = dr__tree_as(json_array_get(from, 0), "RangeVar");
  dr__tree_relation(relation, first);
  if (locks && first) dr__judge_also(j, relation, DR_SQL_ROW_SHARE);
  dr__judge_queries(j, fields);
  if (into) dr__judge_bulk(j, DR_SQL_ACCESS_SHARE);
}

/* Names that begin with pg_ mean PostgreSQL's own, unless they have another schema. A change of
 * pg_settings is one of the session's settings. */
static bool is_catalog(const char *relation) {
  return strncmp(relation, "pg_catalog.", 11) == 0 ||
         (strncmp(relation, "pg_", 3) == 0 && dr__tree_schema_length(relation) == 0);
}

/* A write to what scripts created counts when it reaches rows that were there before. */
static void judge_target(dr_sql_judgement *j, const char *relation, dr_sql_rule_id rule,
                         int events) {
  int marks = dr__world_marks(j->world, relation);
  bool through = (marks & DR_SQL_REACHES_OLD) && dr__world_created(j->world, "relation", relation);
  dr__judge(j, rule, through ? NULL : relation, relation);
  if (marks & events) dr__judge(j, DR_SQL_RULE_FIRE, NULL, relation);
}

static void judge_write(dr_sql_judgement *j, json_t *fields, dr_sql_rule_id rule, int events) {
  char relation[DR_SQL_NAME_SIZE];
  dr__tree_relation(relation, json_object_get(fields, "relation"));
  judge_target(j, relation, rule, events);
  if (is_catalog(relation)) {
    dr__judge(j, DR_SQL_RULE_WRITE_CATALOG, relation, NULL);
    dr__world_new_path(j->world);
  }
  dr__judge_queries(j, fields);
}

static void judge_insert(dr_sql_judgement *j, json_t *fields) {
  const json_t *query = dr__tree_as(json_object_get(fields, "selectStmt"), "SelectStmt");
  json_t *conflict = json_object_get(fields, "onConflictClause");
  bool updates = dr__tree_is(conflict, "action", "ONCONFLICT_UPDATE");
  judge_write(j, fields, DR_SQL_RULE_INSERT, DR_SQL_ON_INSERT | (updates ? DR_SQL_ON_UPDATE : 0));
  if (query && !json_object_get(query, "valuesLists")) dr__judge_bulk(j, DR_SQL_ROW_EXCLUSIVE);
}

/* What may differ from row to row. */
static bool is_variable(const char *kind, json_t *fields, void *data) {
  static const char *const kinds[] = {"ColumnRef", "SubLink", "FuncCall", "ParamRef",
                                      "CurrentOfExpr"};
  (void)fields;
  (void)data;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (strcmp(kind, kinds[i]) == 0) return true;
  }
  return false;
}

static bool is_variable_node(json_t *node) {
  return is_variable(dr__tree_kind(node), NULL, NULL) || dr__tree_any(node, is_variable, NULL);
}

/* "id = id" */
static bool compares_itself(const json_t *expression) {
  const json_t *left = dr__tree_as(json_object_get(expression, "lexpr"), "ColumnRef");
  const json_t *right = dr__tree_as(json_object_get(expression, "rexpr"), "ColumnRef");
  return left && strcmp(dr__tree_last(dr__tree_array(expression, "name")), "=") == 0 &&
         json_equal(json_object_get(left, "fields"), json_object_get(right, "fields"));
}

/* True when a condition picks no rows out: none, a constant one (but for a plain FALSE), x = x. */
static bool picks_all(json_t *condition) {
  const json_t *constant = dr__tree_as(condition, "A_Const");
  const json_t *several = dr__tree_as(condition, "BoolExpr");
  const json_t *value = json_object_get(constant, "boolval");
  if (!condition) return true;
  if (value) return dr__tree_flag(value, "boolval");
  if (!is_variable_node(condition)) return true;
  if (compares_itself(dr__tree_as(condition, "A_Expr"))) return true;
  bool any = dr__tree_is(several, "boolop", "OR_EXPR");
  bool all = dr__tree_is(several, "boolop", "AND_EXPR");
  size_t i, count = 0;
  json_t *one;
  json_array_foreach(dr__tree_array(several, "args"), i, one) count += picks_all(one);
  return (any && count > 0) || (all && count == i);
}

static void judge_update(dr_sql_judgement *j, json_t *fields) {
  bool all = picks_all(json_object_get(fields, "whereClause"));
  judge_write(j, fields, all ? DR_SQL_RULE_UPDATE_ALL : DR_SQL_RULE_UPDATE, DR_SQL_ON_UPDATE);
  dr__judge_bulk(j, DR_SQL_ROW_EXCLUSIVE);
}

static void judge_delete(dr_sql_judgement *j, json_t *fields) {
  bool all = picks_all(json_object_get(fields, "whereClause"));
  judge_write(j, fields, all ? DR_SQL_RULE_DELETE_ALL : DR_SQL_RULE_DELETE, DR_SQL_ON_DELETE);
  dr__judge_bulk(j, DR_SQL_ROW_EXCLUSIVE);
}

static void judge_merge(dr_sql_judgement *j, json_t *fields) {
  judge_write(j, fields, DR_SQL_RULE_MERGE, DR_SQL_ON_INSERT | DR_SQL_ON_UPDATE | DR_SQL_ON_DELETE);
}

static void judge_truncate(dr_sql_judgement *j, json_t *fields) {
  const json_t *relations = dr__tree_array(fields, "relations");
  size_t i;
  json_t *one;
  json_array_foreach(relations, i, one) {
    char relation[DR_SQL_NAME_SIZE];
    dr__tree_relation(relation, dr__tree_as(one, "RangeVar"));
    judge_target(j, relation, DR_SQL_RULE_TRUNCATE, DR_SQL_ON_TRUNCATE);
  }
}

/* Out of a table or of a query, which may write. */
static void judge_copy_out(dr_sql_judgement *j, json_t *fields) {
  json_t *query = json_object_get(fields, "query");
  if (!dr__tree_flag(fields, "is_program"))
    dr__judge_lock(j, DR_SQL_RULE_COPY_OUT, NULL, dr__tree_text(fields, "filename"),
                   DR_SQL_NO_LOCK);
  if (query)
    dr__judge_tree(j, query);
  else
    dr__judge_reads(j, fields);
}

static void judge_copy(dr_sql_judgement *j, json_t *fields) {
  if (dr__tree_flag(fields, "is_program"))
    dr__judge(j, DR_SQL_RULE_COPY_PROGRAM, NULL, dr__tree_text(fields, "filename"));
  bool in = dr__tree_flag(fields, "is_from");
  if (in)
    judge_write(j, fields, DR_SQL_RULE_COPY_IN, DR_SQL_ON_INSERT);
  else
    judge_copy_out(j, fields);
  dr__judge_bulk(j, in ? DR_SQL_ROW_EXCLUSIVE : DR_SQL_ACCESS_SHARE);
}

/* What is only planned is not done, but locks all the same. */
static void judge_planned(dr_sql_judgement *j, json_t *query) {
  dr_sql_judgement planned;
  dr__judge(j, DR_SQL_RULE_NOTHING, NULL, NULL);
  if (dr__judgement_begin(&planned, j->world) != DR_OK) j->failed = true;
  planned.uncertain = true;
  if (!j->failed) dr__judge_tree(&planned, query);
  const char *relation;
  json_t *lock;
  json_object_foreach(planned.on, relation, lock) {
    dr__judge_also(j, relation, (dr_sql_lock)json_integer_value(lock));
  }
  j->failed |= planned.failed;
  dr__judgement_free(&planned);
}

static void judge_explain(dr_sql_judgement *j, json_t *fields) {
  json_t *query = json_object_get(fields, "query");
  if (dr__tree_switch(dr__tree_array(fields, "options"), "analyze"))
    dr__judge_tree(j, query);
  else
    judge_planned(j, query);
}

static void judge_query(dr_sql_judgement *j, json_t *fields) {
  dr__judge_tree(j, json_object_get(fields, "query"));
}

static void judge_execute(dr_sql_judgement *j, json_t *fields) {
  dr__judge(j, DR_SQL_RULE_DYNAMIC, NULL, dr__tree_text(fields, "name"));
}

const dr_sql_judge_entry dr__judges_of_data[] = {
    {"SelectStmt", judge_select},   {"InsertStmt", judge_insert},
    {"UpdateStmt", judge_update},   {"DeleteStmt", judge_delete},
    {"MergeStmt", judge_merge},     {"TruncateStmt", judge_truncate},
    {"CopyStmt", judge_copy},       {"ExplainStmt", judge_explain},
    {"PrepareStmt", judge_query},   {"DeclareCursorStmt", judge_query},
    {"ExecuteStmt", judge_execute}, {NULL, NULL}};
