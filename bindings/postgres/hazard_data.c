/* postgres/hazard_data.c - judges what reads and writes rows. Pure; one thread at a time. */
#include "postgres/hazard_judge.h"

#include <string.h>

static bool is_locking(const char *kind, json_t *fields, void *data) {
  (void)fields;
  (void)data;
  return strcmp(kind, "LockingClause") == 0;
}

static void judge_calls(dr_sql_judgement *j, json_t *fields) {
  const char *called = dr__calls_unknown(fields);
  if (called) dr__judge(j, DR_SQL_RULE_CALL, NULL, called);
}

/* Queries that a WITH of the statement holds may write, too. */
static bool judge_with(const char *kind, json_t *fields, void *data) {
  static const char *const writers[] = {"InsertStmt", "UpdateStmt", "DeleteStmt"};
  json_t *query = strcmp(kind, "CommonTableExpr") == 0 ? json_object_get(fields, "ctequery") : NULL;
  for (size_t i = 0; i < sizeof writers / sizeof *writers; i++) {
    if (dr__tree_as(query, writers[i])) dr__judge_tree(data, query);
  }
  return false;
}

static void judge_rest(dr_sql_judgement *j, json_t *fields) {
  dr__tree_any(fields, judge_with, j);
  dr__judge_reads(j, fields);
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
  judge_calls(j, fields);
  dr__judge_lock(j, locks ? DR_SQL_RULE_READ_FOR_UPDATE : DR_SQL_RULE_READ, NULL, NULL,
                 DR_SQL_NO_LOCK);
  json_t *from = json_object_get(fields, "fromClause");
  const json_t *first = dr__tree_as(json_array_get(from, 0), "RangeVar");
  dr__tree_relation(relation, first);
  if (locks && first) dr__judge_also(j, relation, DR_SQL_ROW_SHARE);
  judge_rest(j, fields);
}

static void judge_write(dr_sql_judgement *j, json_t *fields, dr_sql_rule_id rule) {
  char relation[DR_SQL_NAME_SIZE];
  dr__tree_relation(relation, json_object_get(fields, "relation"));
  dr__judge(j, rule, relation, NULL);
  judge_rest(j, fields);
}

static void judge_insert(dr_sql_judgement *j, json_t *fields) {
  judge_write(j, fields, DR_SQL_RULE_INSERT);
}

static void judge_update(dr_sql_judgement *j, json_t *fields) {
  bool some = json_object_get(fields, "whereClause") != NULL;
  judge_write(j, fields, some ? DR_SQL_RULE_UPDATE : DR_SQL_RULE_UPDATE_ALL);
}

static void judge_delete(dr_sql_judgement *j, json_t *fields) {
  bool some = json_object_get(fields, "whereClause") != NULL;
  judge_write(j, fields, some ? DR_SQL_RULE_DELETE : DR_SQL_RULE_DELETE_ALL);
}

static void judge_merge(dr_sql_judgement *j, json_t *fields) {
  judge_write(j, fields, DR_SQL_RULE_MERGE);
}

static void judge_truncate(dr_sql_judgement *j, json_t *fields) {
  dr__judge_relations(j, DR_SQL_RULE_TRUNCATE, dr__tree_array(fields, "relations"));
}

static void judge_copy(dr_sql_judgement *j, json_t *fields) {
  if (dr__tree_flag(fields, "is_from")) {
    judge_write(j, fields, DR_SQL_RULE_COPY_IN);
    return;
  }
  dr__judge_lock(j, DR_SQL_RULE_READ, NULL, NULL, DR_SQL_NO_LOCK);
  judge_rest(j, fields);
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
