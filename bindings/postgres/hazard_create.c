/* postgres/hazard_create.c - judges CREATE of tables, views, indexes and what hangs on tables, and
 * notes in the world what is new. Pure; one thread at a time. */
#include "postgres/hazard_judge.h"
#include "postgres/sql_type.h"

#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------ tables */

static bool is_type(const json_t *constraint, const char *type) {
  return dr__tree_is(constraint, "contype", type);
}

/* A foreign key of the new table locks the table it points to. */
static bool lock_referenced(const char *kind, json_t *fields, void *data) {
  if (strcmp(kind, "Constraint") != 0 || !is_type(fields, "CONSTR_FOREIGN")) return false;
  char other[DR_SQL_NAME_SIZE];
  dr__tree_relation(other, json_object_get(fields, "pktable"));
  dr__judge_also(data, other, DR_SQL_SHARE_ROW_EXCLUSIVE);
  return false;
}

static void note_column(dr_sql_judgement *j, const char *relation, const json_t *fields) {
  const json_t *constraints = dr__tree_array(fields, "constraints");
  dr_sql_column known = {.added = true, .type = json_object_get(fields, "typeName")};
  size_t i;
  json_t *one;
  json_array_foreach(constraints, i, one) {
    const json_t *constraint = dr__tree_as(one, "Constraint");
    known.required |=
        is_type(constraint, "CONSTR_NOTNULL") || is_type(constraint, "CONSTR_PRIMARY");
  }
  dr__world_set_column(j->world, relation, dr__tree_text(fields, "colname"), &known);
}

static void note_table(dr_sql_judgement *j, const char *relation, const json_t *fields) {
  const json_t *elements = dr__tree_array(fields, "tableElts");
  bool certain = !dr__tree_flag(fields, "if_not_exists");
  dr__judge_created(j, "relation", relation, certain);
  if (!certain || j->uncertain) return;
  size_t i;
  json_t *one;
  json_array_foreach(elements, i, one) {
    const json_t *column = dr__tree_as(one, "ColumnDef");
    if (column) note_column(j, relation, column);
  }
}

static void judge_parents(dr_sql_judgement *j, const json_t *fields) {
  const json_t *parents = dr__tree_array(fields, "inhRelations");
  bool partition = json_object_get(fields, "partbound") != NULL;
  size_t i;
  json_t *one;
  json_array_foreach(parents, i, one) {
    char parent[DR_SQL_NAME_SIZE];
    dr__tree_relation(parent, dr__tree_as(one, "RangeVar"));
    dr__judge(j, partition ? DR_SQL_RULE_CREATE_PARTITION : DR_SQL_RULE_INHERIT_FROM, parent, NULL);
  }
}

static void judge_create_table(dr_sql_judgement *j, json_t *fields) {
  char relation[DR_SQL_NAME_SIZE];
  dr__tree_relation(relation, json_object_get(fields, "relation"));
  if (!json_object_get(fields, "inhRelations"))
    dr__judge(j, DR_SQL_RULE_CREATE_TABLE, NULL, relation);
  judge_parents(j, fields);
  dr__tree_any(fields, lock_referenced, j);
  note_table(j, relation, fields);
}

static void judge_create_as(dr_sql_judgement *j, json_t *fields) {
  const json_t *into = json_object_get(fields, "into");
  char relation[DR_SQL_NAME_SIZE];
  dr__tree_relation(relation, json_object_get(into, "rel"));
  dr__judge(j, DR_SQL_RULE_CREATE_TABLE, NULL, relation);
  json_t *query = json_object_get(fields, "query");
  if (dr__tree_as(query, "ExecuteStmt"))
    dr__judge_tree(j, query);
  else
    dr__judge_queries(j, query);
  if (!dr__tree_flag(into, "skipData")) dr__judge_bulk(j, DR_SQL_ACCESS_SHARE);
  dr__judge_created(j, "relation", relation, !dr__tree_flag(fields, "if_not_exists"));
}

/* Its rows are elsewhere, and may have been there before. */
static void judge_create_foreign_table(dr_sql_judgement *j, json_t *fields) {
  json_t *base = json_object_get(fields, "base");
  char relation[DR_SQL_NAME_SIZE];
  dr__tree_relation(relation, json_object_get(base, "relation"));
  judge_create_table(j, base);
  dr__world_mark(j->world, relation, DR_SQL_REACHES_OLD);
}

/* ------------------------------------------------------------ views, sequences */

static void judge_view(dr_sql_judgement *j, json_t *fields) {
  char relation[DR_SQL_NAME_SIZE];
  bool replaces = dr__tree_flag(fields, "replace");
  dr__tree_relation(relation, json_object_get(fields, "view"));
  dr__judge(j, replaces ? DR_SQL_RULE_REPLACE_VIEW : DR_SQL_RULE_CREATE_VIEW,
            replaces ? relation : NULL, relation);
  dr__judge_reads(j, json_object_get(fields, "query"));
  dr__judge_created(j, "relation", relation, !replaces);
  dr__world_mark(j->world, relation, DR_SQL_REACHES_OLD);
}

static void judge_create_sequence(dr_sql_judgement *j, json_t *fields) {
  char relation[DR_SQL_NAME_SIZE];
  dr__tree_relation(relation, json_object_get(fields, "sequence"));
  dr__judge(j, DR_SQL_RULE_CREATE_OBJECT, NULL, relation);
  dr__judge_created(j, "relation", relation, !dr__tree_flag(fields, "if_not_exists"));
}

/* ------------------------------------------------------------ indexes, statistics */

/* An index is in the schema of its table. */
static void note_index(dr_sql_judgement *j, const json_t *fields, const char *table,
                       const char *name) {
  char index[2 * DR_SQL_NAME_SIZE];
  bool temporary = dr__world_is_temporary(j->world, table);
  int schema = (int)dr__tree_schema_length(table);
  snprintf(index, sizeof index, "%s%.*s%s%s", temporary ? "pg_temp." : "", schema, table,
           schema ? "." : "", name);
  dr__judge_created(j, "relation", index, !dr__tree_flag(fields, "if_not_exists"));
}

/* An expression or a predicate. */
static bool has_expression(const json_t *fields) {
  const json_t *columns = dr__tree_array(fields, "indexParams");
  bool found = json_object_get(fields, "whereClause") != NULL;
  size_t i;
  json_t *one;
  json_array_foreach(columns, i, one) {
    found |= json_object_get(dr__tree_as(one, "IndexElem"), "expr") != NULL;
  }
  return found;
}

static void judge_index(dr_sql_judgement *j, json_t *fields) {
  static const dr_sql_rule_id rules[2][2] = {
      {DR_SQL_RULE_CREATE_INDEX, DR_SQL_RULE_CREATE_UNIQUE},
      {DR_SQL_RULE_CREATE_INDEX_C, DR_SQL_RULE_CREATE_UNIQUE_C}};
  char relation[DR_SQL_NAME_SIZE];
  char name[DR_SQL_NAME_SIZE];
  dr__tree_put_name(name, dr__tree_text(fields, "idxname"));
  dr__tree_relation(relation, json_object_get(fields, "relation"));
  dr__judge(j, rules[dr__tree_flag(fields, "concurrent")][dr__tree_flag(fields, "unique")],
            relation, NULL);
  if (*name) note_index(j, fields, relation, name);
  if (has_expression(fields)) dr__world_mark(j->world, relation, DR_SQL_CHECKED);
}

static void judge_statistics(dr_sql_judgement *j, json_t *fields) {
  dr__judge_relations(j, DR_SQL_RULE_CREATE_STATISTICS, dr__tree_array(fields, "relations"));
}

/* ------------------------------------------------------------ what hangs on tables */

static void judge_on_relation(dr_sql_judgement *j, const json_t *range, dr_sql_rule_id rule) {
  char relation[DR_SQL_NAME_SIZE];
  dr__tree_relation(relation, range);
  dr__judge(j, rule, relation, NULL);
}

static void mark_range(dr_sql_judgement *j, const json_t *range, json_int_t marks) {
  char relation[DR_SQL_NAME_SIZE];
  dr__tree_relation(relation, range);
  dr__world_mark(j->world, relation, (int)marks);
}

static void judge_trigger(dr_sql_judgement *j, json_t *fields) {
  const json_t *range = json_object_get(fields, "relation");
  judge_on_relation(j, range, DR_SQL_RULE_CREATE_TRIGGER);
  mark_range(j, range, json_integer_value(json_object_get(fields, "events")));
}

/* One ON SELECT makes a view of the table. */
static void judge_rule(dr_sql_judgement *j, json_t *fields) {
  const json_t *range = json_object_get(fields, "relation");
  int marks = dr__tree_is(fields, "event", "CMD_INSERT")   ? DR_SQL_ON_INSERT
              : dr__tree_is(fields, "event", "CMD_UPDATE") ? DR_SQL_ON_UPDATE
              : dr__tree_is(fields, "event", "CMD_DELETE") ? DR_SQL_ON_DELETE
                                                           : DR_SQL_REACHES_OLD;
  judge_on_relation(j, range, DR_SQL_RULE_CREATE_RULE);
  mark_range(j, range, marks);
}

static void judge_policy(dr_sql_judgement *j, json_t *fields) {
  judge_on_relation(j, json_object_get(fields, "table"), DR_SQL_RULE_CREATE_POLICY);
}

/* ------------------------------------------------------------ publications */

static bool publish_table(const char *kind, json_t *fields, void *data) {
  if (strcmp(kind, "pubtable") == 0)
    judge_on_relation(data, json_object_get(fields, "relation"), DR_SQL_RULE_PUBLISH);
  return false;
}

static void judge_publication(dr_sql_judgement *j, json_t *fields) {
  dr__judge_lock(j, DR_SQL_RULE_PUBLISH, NULL, NULL, DR_SQL_NO_LOCK);
  dr__tree_any(fields, publish_table, j);
}

const dr_sql_judge_entry dr__judges_of_creates[] = {
    {"CreateStmt", judge_create_table},
    {"CreateTableAsStmt", judge_create_as},
    {"CreateForeignTableStmt", judge_create_foreign_table},
    {"ViewStmt", judge_view},
    {"CreateSeqStmt", judge_create_sequence},
    {"IndexStmt", judge_index},
    {"CreateStatsStmt", judge_statistics},
    {"CreateTrigStmt", judge_trigger},
    {"RuleStmt", judge_rule},
    {"CreatePolicyStmt", judge_policy},
    {"CreatePublicationStmt", judge_publication},
    {NULL, NULL}};
