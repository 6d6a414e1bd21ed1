/* postgres/hazard_objects.c - judges what concerns types, functions, roles, rights, settings and
 * the upkeep of tables, and renames. Pure; one thread at a time. */
#include "postgres/hazard_judge.h"

#include <string.h>

static void judge_range(dr_sql_judgement *j, const json_t *range, dr_sql_rule_id rule) {
  char relation[DR_SQL_NAME_SIZE];
  dr__tree_relation(relation, range);
  dr__judge(j, rule, range ? relation : NULL, NULL);
}

/* ------------------------------------------------------------ types */

static void judge_create_type(dr_sql_judgement *j, json_t *fields) {
  char name[DR_SQL_NAME_SIZE];
  json_t *names = dr__tree_array(fields, "typeName");
  if (!names) names = dr__tree_array(fields, "domainname");
  if (names)
    dr__tree_name(name, names, 0);
  else
    dr__tree_relation(name, json_object_get(fields, "typevar"));
  dr__judge(j, DR_SQL_RULE_CREATE_OBJECT, NULL, name);
  dr__judge_created(j, "type", name, true);
}

/* The type that a statement changes: nobody's yet when the scripts made it. */
static void judge_type(dr_sql_judgement *j, const json_t *fields, dr_sql_rule_id rule) {
  char name[DR_SQL_NAME_SIZE];
  dr__tree_name(name, dr__tree_array(fields, "typeName"), 0);
  if (dr__world_created(j->world, "type", name))
    dr__judge_own(j, rule, NULL);
  else
    dr__judge(j, rule, NULL, name);
}

static void judge_enum(dr_sql_judgement *j, json_t *fields) {
  bool renames = json_object_get(fields, "oldVal") != NULL;
  judge_type(j, fields, renames ? DR_SQL_RULE_RENAME_VALUE : DR_SQL_RULE_ADD_VALUE);
}

/* Only SET NOT NULL ("O") and ADD CONSTRAINT ("C"), and VALIDATE ("V"), look at rows. */
static void judge_domain(dr_sql_judgement *j, json_t *fields) {
  bool tightens = dr__tree_is(fields, "subtype", "O") || dr__tree_is(fields, "subtype", "C") ||
                  dr__tree_is(fields, "subtype", "V");
  judge_type(j, fields, tightens ? DR_SQL_RULE_ALTER_DOMAIN : DR_SQL_RULE_LOOSEN_DOMAIN);
}

/* ------------------------------------------------------------ functions and others */

static void judge_function(dr_sql_judgement *j, json_t *fields) {
  char name[DR_SQL_NAME_SIZE];
  dr__tree_name(name, dr__tree_array(fields, "funcname"), 0);
  bool replaces = dr__tree_flag(fields, "replace");
  bool is_new = !replaces || dr__world_created(j->world, "function", name);
  dr__judge(j, is_new ? DR_SQL_RULE_CREATE_OBJECT : DR_SQL_RULE_REPLACE_FUNCTION, NULL, name);
  dr__judge_created(j, "function", name, !replaces);
}

static void judge_schema(dr_sql_judgement *j, json_t *fields) {
  const char *name = dr__tree_text(fields, "schemaname");
  json_t *elements = dr__tree_array(fields, "schemaElts");
  dr__judge(j, DR_SQL_RULE_CREATE_OBJECT, NULL, name);
  if (*name) dr__judge_created(j, "schema", name, !dr__tree_flag(fields, "if_not_exists"));
  size_t i;
  json_t *one;
  json_array_foreach(elements, i, one) {
    dr__judge_tree(j, one);
  }
}

static void judge_create_object(dr_sql_judgement *j, json_t *fields) {
  (void)fields;
  dr__judge(j, DR_SQL_RULE_CREATE_OBJECT, NULL, NULL);
}

static void judge_alter_object(dr_sql_judgement *j, json_t *fields) {
  (void)fields;
  dr__judge(j, DR_SQL_RULE_ALTER_OBJECT, NULL, NULL);
}

static void judge_alter_policy(dr_sql_judgement *j, json_t *fields) {
  char relation[DR_SQL_NAME_SIZE];
  dr__tree_relation(relation, json_object_get(fields, "table"));
  dr__judge_lock(j, DR_SQL_RULE_ALTER_OBJECT, relation, dr__tree_text(fields, "policy_name"),
                 DR_SQL_ACCESS_EXCLUSIVE);
}

static void judge_setting(dr_sql_judgement *j, json_t *fields) {
  (void)fields;
  dr__judge(j, DR_SQL_RULE_SERVER_SETTING, NULL, NULL);
}

static void judge_sequence(dr_sql_judgement *j, json_t *fields) {
  judge_range(j, json_object_get(fields, "sequence"), DR_SQL_RULE_ALTER_SEQUENCE);
}

static void judge_nothing(dr_sql_judgement *j, json_t *fields) {
  (void)fields;
  dr__judge(j, DR_SQL_RULE_NOTHING, NULL, NULL);
}

/* ------------------------------------------------------------ names, owners, rights */

typedef struct rename_entry {
  const char *type;
  dr_sql_rule_id rule;
} rename_entry;

static dr_sql_rule_id rename_rule(const json_t *fields) {
  static const rename_entry entries[] = {
      {"OBJECT_TABLE", DR_SQL_RULE_RENAME_TABLE},
      {"OBJECT_VIEW", DR_SQL_RULE_RENAME_TABLE},
      {"OBJECT_MATVIEW", DR_SQL_RULE_RENAME_TABLE},
      {"OBJECT_SEQUENCE", DR_SQL_RULE_RENAME_TABLE},
      {"OBJECT_FOREIGN_TABLE", DR_SQL_RULE_RENAME_TABLE},
      {"OBJECT_COLUMN", DR_SQL_RULE_RENAME_COLUMN},
      {"OBJECT_TABCONSTRAINT", DR_SQL_RULE_RENAME_CONSTRAINT},
      {"OBJECT_INDEX", DR_SQL_RULE_RENAME_INDEX},
  };
  for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
    if (dr__tree_is(fields, "renameType", entries[i].type)) return entries[i].rule;
  }
  return DR_SQL_RULE_RENAME_OBJECT;
}

/* A relation that a script created keeps being new under its new name. */
static void follow_name(dr_sql_judgement *j, const json_t *range, const char *new_name) {
  char before[DR_SQL_NAME_SIZE], after[DR_SQL_NAME_SIZE];
  dr__tree_relation(before, range);
  if (j->uncertain || !dr__world_created(j->world, "relation", before)) return;
  json_t *moved = json_copy((json_t *)range);
  if (!moved || json_object_set_new(moved, "relname", json_string(new_name)) != 0) j->failed = true;
  dr__tree_relation(after, moved);
  json_decref(moved);
  dr__world_forget(j->world, "relation", before);
  dr__world_create(j->world, "relation", after);
}

static void judge_rename(dr_sql_judgement *j, json_t *fields) {
  const json_t *range = json_object_get(fields, "relation");
  const char *old_name = dr__tree_text(fields, "subname");
  dr_sql_rule_id rule = rename_rule(fields);
  char relation[DR_SQL_NAME_SIZE];
  dr__tree_relation(relation, range);
  if (rule == DR_SQL_RULE_RENAME_OBJECT) {
    dr__judge(j, rule, NULL, range ? relation : *old_name ? old_name : NULL);
    return;
  }
  dr__judge(j, rule, relation, *old_name ? old_name : NULL);
  if (!*old_name) follow_name(j, range, dr__tree_text(fields, "newname"));
}

static void judge_set_schema(dr_sql_judgement *j, json_t *fields) {
  const json_t *range = json_object_get(fields, "relation");
  if (range)
    judge_range(j, range, DR_SQL_RULE_SET_SCHEMA);
  else
    dr__judge(j, DR_SQL_RULE_RENAME_OBJECT, NULL, NULL);
}

static void judge_grant(dr_sql_judgement *j, json_t *fields) {
  dr__judge(j, dr__tree_flag(fields, "is_grant") ? DR_SQL_RULE_GRANT : DR_SQL_RULE_REVOKE, NULL,
            NULL);
}

static void judge_default_grant(dr_sql_judgement *j, json_t *fields) {
  judge_grant(j, json_object_get(fields, "action"));
}

/* ------------------------------------------------------------ comments */

/* How many words of the name stand behind the relation's; -1 when it is none. */
static int words_behind_relation(const json_t *fields) {
  static const char *const whole[] = {"OBJECT_TABLE",    "OBJECT_VIEW",          "OBJECT_MATVIEW",
                                      "OBJECT_SEQUENCE", "OBJECT_FOREIGN_TABLE", "OBJECT_INDEX"};
  static const char *const part[] = {"OBJECT_COLUMN", "OBJECT_TABCONSTRAINT", "OBJECT_TRIGGER",
                                     "OBJECT_RULE", "OBJECT_POLICY"};
  for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
    if (dr__tree_is(fields, "objtype", whole[i])) return 0;
  }
  for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
    if (dr__tree_is(fields, "objtype", part[i])) return 1;
  }
  return -1;
}

static void judge_comment(dr_sql_judgement *j, json_t *fields) {
  const json_t *object = json_object_get(fields, "object");
  int behind = words_behind_relation(fields);
  char relation[DR_SQL_NAME_SIZE];
  if (behind >= 0)
    dr__tree_name(relation, dr__tree_array(dr__tree_as(object, "List"), "items"), (size_t)behind);
  dr__judge_lock(j, DR_SQL_RULE_COMMENT, behind >= 0 ? relation : NULL, NULL,
                 behind >= 0 ? DR_SQL_SHARE_UPDATE_EXCLUSIVE : DR_SQL_NO_LOCK);
}

/* ------------------------------------------------------------ upkeep */

static void judge_vacuum(dr_sql_judgement *j, json_t *fields) {
  const json_t *relations = dr__tree_array(fields, "rels");
  bool full = dr__tree_switch(dr__tree_array(fields, "options"), "full");
  dr_sql_rule_id rule = !dr__tree_flag(fields, "is_vacuumcmd") ? DR_SQL_RULE_ANALYZE
                        : full                                 ? DR_SQL_RULE_VACUUM_FULL
                                                               : DR_SQL_RULE_VACUUM;
  if (json_array_size(relations) == 0) dr__judge(j, rule, NULL, NULL);
  size_t i;
  json_t *one;
  json_array_foreach(relations, i, one) {
    judge_range(j, json_object_get(dr__tree_as(one, "VacuumRelation"), "relation"), rule);
  }
}

static void judge_cluster(dr_sql_judgement *j, json_t *fields) {
  judge_range(j, json_object_get(fields, "relation"), DR_SQL_RULE_CLUSTER);
}

/* Of an index it locks the index against readers, and the table, whose name is not told. */
static void judge_reindex(dr_sql_judgement *j, json_t *fields) {
  bool concurrent = dr__tree_switch(dr__tree_array(fields, "params"), "concurrently");
  if (!concurrent && dr__tree_is(fields, "kind", "REINDEX_OBJECT_INDEX")) {
    char index[DR_SQL_NAME_SIZE];
    dr__tree_relation(index, json_object_get(fields, "relation"));
    dr__judge_lock(j, DR_SQL_RULE_REINDEX, index, NULL, DR_SQL_ACCESS_EXCLUSIVE);
    return;
  }
  judge_range(j, json_object_get(fields, "relation"),
              concurrent ? DR_SQL_RULE_REINDEX_C : DR_SQL_RULE_REINDEX);
}

static void judge_refresh(dr_sql_judgement *j, json_t *fields) {
  judge_range(j, json_object_get(fields, "relation"),
              dr__tree_flag(fields, "concurrent") ? DR_SQL_RULE_REFRESH_C : DR_SQL_RULE_REFRESH);
}

static void judge_lock(dr_sql_judgement *j, json_t *fields) {
  const json_t *relations = dr__tree_array(fields, "relations");
  json_int_t mode = json_integer_value(json_object_get(fields, "mode"));
  dr_sql_lock lock =
      mode > 0 && mode <= DR_SQL_ACCESS_EXCLUSIVE ? (dr_sql_lock)mode : DR_SQL_ACCESS_EXCLUSIVE;
  size_t i;
  json_t *one;
  json_array_foreach(relations, i, one) {
    char relation[DR_SQL_NAME_SIZE];
    dr__tree_relation(relation, dr__tree_as(one, "RangeVar"));
    dr__judge_lock(j, DR_SQL_RULE_LOCK, relation, NULL, lock);
  }
}

const dr_sql_judge_entry dr__judges_of_objects[] = {
    {"CreateEnumStmt", judge_create_type},
    {"CompositeTypeStmt", judge_create_type},
    {"CreateRangeStmt", judge_create_type},
    {"CreateDomainStmt", judge_create_type},
    {"AlterEnumStmt", judge_enum},
    {"AlterDomainStmt", judge_domain},
    {"CreateFunctionStmt", judge_function},
    {"CreateSchemaStmt", judge_schema},
    {"DefineStmt", judge_create_object},
    {"CreateExtensionStmt", judge_create_object},
    {"CreateRoleStmt", judge_create_object},
    {"CreateCastStmt", judge_create_object},
    {"CreateConversionStmt", judge_create_object},
    {"CreateTransformStmt", judge_create_object},
    {"CreateAmStmt", judge_create_object},
    {"CreateOpClassStmt", judge_create_object},
    {"CreateOpFamilyStmt", judge_create_object},
    {"CreatePLangStmt", judge_create_object},
    {"CreateFdwStmt", judge_create_object},
    {"CreateForeignServerStmt", judge_create_object},
    {"CreateUserMappingStmt", judge_create_object},
    {"ImportForeignSchemaStmt", judge_create_object},
    {"CreatedbStmt", judge_create_object},
    {"CreateTableSpaceStmt", judge_create_object},
    {"CreateSubscriptionStmt", judge_create_object},
    {"CreateEventTrigStmt", judge_alter_object},
    {"AlterEventTrigStmt", judge_alter_object},
    {"AlterFunctionStmt", judge_alter_object},
    {"AlterExtensionStmt", judge_alter_object},
    {"AlterExtensionContentsStmt", judge_alter_object},
    {"AlterOwnerStmt", judge_alter_object},
    {"AlterObjectDependsStmt", judge_alter_object},
    {"AlterOperatorStmt", judge_alter_object},
    {"AlterOpFamilyStmt", judge_alter_object},
    {"AlterTypeStmt", judge_alter_object},
    {"AlterPolicyStmt", judge_alter_policy},
    {"AlterPublicationStmt", judge_alter_object},
    {"AlterSubscriptionStmt", judge_alter_object},
    {"AlterRoleStmt", judge_alter_object},
    {"AlterFdwStmt", judge_alter_object},
    {"AlterForeignServerStmt", judge_alter_object},
    {"AlterUserMappingStmt", judge_alter_object},
    {"AlterTSConfigurationStmt", judge_alter_object},
    {"AlterTSDictionaryStmt", judge_alter_object},
    {"AlterStatsStmt", judge_alter_object},
    {"AlterTableMoveAllStmt", judge_alter_object},
    {"ReassignOwnedStmt", judge_alter_object},
    {"AlterCollationStmt", judge_alter_object},
    {"AlterSeqStmt", judge_sequence},
    {"AlterRoleSetStmt", judge_setting},
    {"AlterDatabaseStmt", judge_setting},
    {"AlterDatabaseSetStmt", judge_setting},
    {"AlterDatabaseRefreshCollStmt", judge_setting},
    {"AlterSystemStmt", judge_setting},
    {"AlterTableSpaceOptionsStmt", judge_setting},
    {"RenameStmt", judge_rename},
    {"AlterObjectSchemaStmt", judge_set_schema},
    {"GrantStmt", judge_grant},
    {"GrantRoleStmt", judge_grant},
    {"AlterDefaultPrivilegesStmt", judge_default_grant},
    {"CommentStmt", judge_comment},
    {"SecLabelStmt", judge_comment},
    {"VacuumStmt", judge_vacuum},
    {"ClusterStmt", judge_cluster},
    {"ReindexStmt", judge_reindex},
    {"RefreshMatViewStmt", judge_refresh},
    {"LockStmt", judge_lock},
    {"VariableSetStmt", judge_nothing},
    {"VariableShowStmt", judge_nothing},
    {"TransactionStmt", judge_nothing},
    {"ConstraintsSetStmt", judge_nothing},
    {"DiscardStmt", judge_nothing},
    {"CheckPointStmt", judge_nothing},
    {"NotifyStmt", judge_nothing},
    {"ListenStmt", judge_nothing},
    {"UnlistenStmt", judge_nothing},
    {"DeallocateStmt", judge_nothing},
    {"ClosePortalStmt", judge_nothing},
    {"FetchStmt", judge_nothing},
    {"LoadStmt", judge_nothing},
    {NULL, NULL}};
