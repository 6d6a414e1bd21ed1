/* postgres/hazard_drop.c - judges DROP. What the scripts themselves created may go without harm.
 * Pure; one thread at a time. */
#include "postgres/hazard_judge.h"

#include <string.h>

/* How objects of a kind are named in a DropStmt, and what dropping one means. */
typedef enum naming { RELATION, ON_TABLE, TYPE, FUNCTION, SCHEMA, OTHER } naming;

typedef struct drop_entry {
  const char *type;
  naming naming;
  dr_sql_rule_id rule;
} drop_entry;

static const drop_entry entries[] = {
    {"OBJECT_TABLE", RELATION, DR_SQL_RULE_DROP_TABLE},
    {"OBJECT_FOREIGN_TABLE", RELATION, DR_SQL_RULE_DROP_TABLE},
    {"OBJECT_VIEW", RELATION, DR_SQL_RULE_DROP_VIEW},
    {"OBJECT_MATVIEW", RELATION, DR_SQL_RULE_DROP_VIEW},
    {"OBJECT_SEQUENCE", RELATION, DR_SQL_RULE_DROP_SEQUENCE},
    {"OBJECT_INDEX", RELATION, DR_SQL_RULE_DROP_INDEX},
    {"OBJECT_STATISTIC_EXT", OTHER, DR_SQL_RULE_DROP_STATISTICS},
    {"OBJECT_TRIGGER", ON_TABLE, DR_SQL_RULE_DROP_TRIGGER},
    {"OBJECT_RULE", ON_TABLE, DR_SQL_RULE_DROP_RULE},
    {"OBJECT_POLICY", ON_TABLE, DR_SQL_RULE_DROP_POLICY},
    {"OBJECT_TYPE", TYPE, DR_SQL_RULE_DROP_OBJECT},
    {"OBJECT_DOMAIN", TYPE, DR_SQL_RULE_DROP_OBJECT},
    {"OBJECT_FUNCTION", FUNCTION, DR_SQL_RULE_DROP_OBJECT},
    {"OBJECT_PROCEDURE", FUNCTION, DR_SQL_RULE_DROP_OBJECT},
    {"OBJECT_ROUTINE", FUNCTION, DR_SQL_RULE_DROP_OBJECT},
    {"OBJECT_AGGREGATE", FUNCTION, DR_SQL_RULE_DROP_OBJECT},
    {"OBJECT_SCHEMA", SCHEMA, DR_SQL_RULE_DROP_SCHEMA},
};

static const drop_entry *entry_of(const char *type) {
  static const drop_entry other = {"", OTHER, DR_SQL_RULE_DROP_OBJECT};
  for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
    if (strcmp(entries[i].type, type) == 0) return &entries[i];
  }
  return &other;
}

static const json_t *names_of(const json_t *object) {
  const json_t *list = dr__tree_array(dr__tree_as(object, "List"), "items");
  if (!list) list = dr__tree_array(dr__tree_as(object, "TypeName"), "names");
  if (!list) list = dr__tree_array(dr__tree_as(object, "ObjectWithArgs"), "objname");
  return list;
}

/* A function by name and arguments, or by its name when the statement gives none: then there is
 * only one. */
static void drop_function(dr_sql_judgement *j, dr_sql_rule_id rule, const json_t *object,
                          const char *name) {
  const json_t *fields = dr__tree_as(object, "ObjectWithArgs");
  char whole[DR_SQL_FUNCTION_SIZE];
  dr__judge_function_name(whole, name, dr__tree_array(fields, "objargs"));
  bool plain = dr__tree_flag(fields, "args_unspecified");
  if (dr__world_created(j->world, "function", plain ? name : whole))
    dr__judge_own(j, rule, NULL);
  else
    dr__judge(j, rule, NULL, name);
  dr__world_forget(j->world, "function", name);
  dr__world_forget(j->world, "function", whole);
}

/* Objects that are no relations: nothing counts when a script created them. */
static void drop_own(dr_sql_judgement *j, dr_sql_rule_id rule, const char *kind, const char *name) {
  if (dr__world_created(j->world, kind, name))
    dr__judge_own(j, rule, NULL);
  else
    dr__judge(j, rule, NULL, name);
  dr__world_forget(j->world, kind, name);
}

static void drop_one(dr_sql_judgement *j, const drop_entry *entry, dr_sql_rule_id rule,
                     const json_t *object) {
  char name[DR_SQL_NAME_SIZE];
  dr__tree_name(name, names_of(object), entry->naming == ON_TABLE ? 1 : 0);
  switch (entry->naming) {
  case RELATION:
    dr__judge(j, rule, name, NULL);
    dr__world_forget(j->world, "relation", name);
    break;
  case ON_TABLE: dr__judge(j, rule, name, NULL); break;
  case TYPE: drop_own(j, rule, "type", name); break;
  case FUNCTION: drop_function(j, rule, object, name); break;
  case SCHEMA:
    dr__tree_put_name(name, dr__tree_string(object));
    drop_own(j, rule, "schema", name);
    break;
  case OTHER: dr__judge(j, rule, NULL, *name ? name : dr__tree_string(object)); break;
  }
}

static void judge_drop(dr_sql_judgement *j, json_t *fields) {
  const drop_entry *entry = entry_of(dr__tree_text(fields, "removeType"));
  const json_t *objects = dr__tree_array(fields, "objects");
  bool concurrent = dr__tree_flag(fields, "concurrent");
  size_t i;
  json_t *one;
  json_array_foreach(objects, i, one) {
    drop_one(j, entry, concurrent ? DR_SQL_RULE_DROP_INDEX_C : entry->rule, one);
  }
}

static void judge_drop_owned(dr_sql_judgement *j, json_t *fields) {
  (void)fields;
  dr__judge(j, DR_SQL_RULE_DROP_OWNED, NULL, NULL);
}

static void judge_drop_object(dr_sql_judgement *j, json_t *fields) {
  (void)fields;
  dr__judge(j, DR_SQL_RULE_DROP_OBJECT, NULL, NULL);
}

static void judge_drop_database(dr_sql_judgement *j, json_t *fields) {
  dr__judge(j, DR_SQL_RULE_DROP_DATABASE, NULL, dr__tree_text(fields, "dbname"));
}

const dr_sql_judge_entry dr__judges_of_drops[] = {{"DropStmt", judge_drop},
                                                  {"DropOwnedStmt", judge_drop_owned},
                                                  {"DropRoleStmt", judge_drop_object},
                                                  {"DropUserMappingStmt", judge_drop_object},
                                                  {"DropSubscriptionStmt", judge_drop_object},
                                                  {"DropTableSpaceStmt", judge_drop_object},
                                                  {"DropdbStmt", judge_drop_database},
                                                  {NULL, NULL}};
