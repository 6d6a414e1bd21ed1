/* postgres/hazard_objects.c - judges what concerns types, functions, roles, rights, settings and
 * the upkeep of tables, and renames. Pure; one thread at a time. */
#include "postgres/hazard_judge.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

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

/* A domain is noted with what it asks of columns; by default that of the type it is made of. */
static void judge_create_domain(dr_sql_judgement *j, json_t *fields) {
  char name[DR_SQL_NAME_SIZE], base[DR_SQL_NAME_SIZE];
  const json_t *constraints = dr__tree_array(fields, "constraints");
  judge_create_type(j, fields);
  dr__tree_name(name, dr__tree_array(fields, "domainname"), 0);
  dr__tree_name(base, dr__tree_array(json_object_get(fields, "typeName"), "names"), 0);
  int marks = dr__world_marks(j->world, base);
  if (!(marks & DR_SQL_DOMAIN)) marks = DR_SQL_DOMAIN | DR_SQL_NO_DEFAULT;
  size_t i;
  json_t *one;
  json_array_foreach(constraints, i, one) {
    const json_t *constraint = dr__tree_as(one, "Constraint");
    json_t *expression = json_object_get(constraint, "raw_expr");
    bool check = dr__tree_is(constraint, "contype", "CONSTR_CHECK");
    if (dr__tree_is(constraint, "contype", "CONSTR_NOTNULL") ||
        (check && dr__may_forbid_null(expression)))
      marks |= DR_SQL_FORBIDS_NULL;
    if (dr__tree_is(constraint, "contype", "CONSTR_DEFAULT"))
      marks = dr__is_null(expression) ? marks | DR_SQL_NO_DEFAULT : marks & ~DR_SQL_NO_DEFAULT;
  }
  dr__world_mark(j->world, name, marks);
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
  bool empties = dr__tree_is(fields, "subtype", "T") &&
                 (!json_object_get(fields, "def") || dr__is_null(json_object_get(fields, "def")));
  char name[DR_SQL_NAME_SIZE];
  dr__tree_name(name, dr__tree_array(fields, "typeName"), 0);
  judge_type(j, fields,
             tightens  ? DR_SQL_RULE_ALTER_DOMAIN
             : empties ? DR_SQL_RULE_DROP_DOMAIN_DEFAULT
                       : DR_SQL_RULE_LOOSEN_DOMAIN);
  if (tightens) dr__world_mark(j->world, name, DR_SQL_DOMAIN | DR_SQL_FORBIDS_NULL);
  if (empties) dr__world_mark(j->world, name, DR_SQL_DOMAIN | DR_SQL_NO_DEFAULT);
}

/* ------------------------------------------------------------ functions and others */

/* Adds to a text, which becomes "" for good when there is no room. */
static void add_to(char whole[DR_SQL_FUNCTION_SIZE], const char *text) {
  size_t used = strlen(whole), length = strlen(text);
  bool fits = used > 0 && used + length < DR_SQL_FUNCTION_SIZE;
  if (fits)
    memcpy(whole + used, text, length + 1);
  else
    whole[0] = '\0';
}

static bool is_input(const json_t *parameter) {
  return !dr__tree_is(parameter, "mode", "FUNC_PARAM_OUT") &&
         !dr__tree_is(parameter, "mode", "FUNC_PARAM_TABLE");
}

void dr__judge_function_name(char whole[DR_SQL_FUNCTION_SIZE], const char *name,
                             const json_t *arguments) {
  char type[DR_SQL_NAME_SIZE];
  size_t i;
  json_t *one;
  snprintf(whole, DR_SQL_FUNCTION_SIZE, "%s", name);
  add_to(whole, "(");
  json_array_foreach(arguments, i, one) {
    const json_t *parameter = dr__tree_as(one, "FunctionParameter");
    const json_t *fields =
        parameter ? json_object_get(parameter, "argType") : dr__tree_as(one, "TypeName");
    if (parameter && !is_input(parameter)) continue;
    dr__tree_name(type, dr__tree_array(fields, "names"), 0);
    add_to(whole, type);
    add_to(whole, json_array_size(dr__tree_array(fields, "arrayBounds")) ? "[]," : ",");
  }
  add_to(whole, ")");
}

static void judge_function(dr_sql_judgement *j, json_t *fields) {
  char name[DR_SQL_NAME_SIZE], whole[DR_SQL_FUNCTION_SIZE];
  dr__tree_name(name, dr__tree_array(fields, "funcname"), 0);
  dr__judge_function_name(whole, name, dr__tree_array(fields, "parameters"));
  bool replaces = dr__tree_flag(fields, "replace");
  bool is_new = !replaces || dr__world_created(j->world, "function", whole);
  size_t length = strlen(whole);
  bool plain = length > 1 && whole[length - 2] == '('; /* no arguments: no call can fit better */
  dr__judge(j,
            !is_new ? DR_SQL_RULE_REPLACE_FUNCTION
            : plain ? DR_SQL_RULE_CREATE_OBJECT
                    : DR_SQL_RULE_CREATE_FUNCTION,
            NULL, name);
  dr__judge_created(j, "function", name, !replaces);
  if (*whole) dr__judge_created(j, "function", whole, !replaces);
  dr__world_hide_own(j->world, dr__tree_last(dr__tree_array(fields, "funcname")));
}

/* What stands in a CREATE SCHEMA without a schema is made in that one. */
static void place_in(json_t *element, const char *schema, bool *failed) {
  static const char *const keys[] = {"relation", "view", "sequence"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    json_t *range = json_object_get(dr__tree_fields(element), keys[i]);
    if (range && json_object_set_new(range, "schemaname", json_string(schema)) != 0) *failed = true;
  }
}

static void judge_schema(dr_sql_judgement *j, json_t *fields) {
  char name[DR_SQL_NAME_SIZE];
  dr__tree_put_name(name, dr__tree_text(fields, "schemaname"));
  json_t *elements = dr__tree_array(fields, "schemaElts");
  dr__judge(j, DR_SQL_RULE_CREATE_OBJECT, NULL, name);
  if (*name) dr__judge_created(j, "schema", name, !dr__tree_flag(fields, "if_not_exists"));
  bool before = j->uncertain;
  if (!*name) j->uncertain = true; /* named after a role */
  size_t i;
  json_t *one;
  json_array_foreach(elements, i, one) {
    if (*name) place_in(one, dr__tree_text(fields, "schemaname"), &j->failed);
    dr__judge_tree(j, one);
  }
  j->uncertain = before;
}

/* Of operators, aggregates and the like. */
static void judge_define(dr_sql_judgement *j, json_t *fields) {
  dr__judge(j, DR_SQL_RULE_CREATE_OBJECT, NULL, NULL);
  dr__world_hide_own(j->world, dr__tree_last(dr__tree_array(fields, "defnames")));
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

/* A new owner takes an old sequence along when it is dropped. */
static void judge_sequence(dr_sql_judgement *j, json_t *fields) {
  const json_t *range = json_object_get(fields, "sequence");
  char sequence[DR_SQL_NAME_SIZE];
  dr__tree_relation(sequence, range);
  judge_range(j, range, DR_SQL_RULE_ALTER_SEQUENCE);
  if (dr__tree_option(dr__tree_array(fields, "options"), "owned_by", NULL) &&
      !dr__world_created(j->world, "relation", sequence))
    dr__world_undo(j->world);
}

static void judge_nothing(dr_sql_judgement *j, json_t *fields) {
  (void)fields;
  dr__judge(j, DR_SQL_RULE_NOTHING, NULL, NULL);
}

/* ------------------------------------------------------------ the session */

/* The path may hold "$user". */
bool dr__moves_names(const char *setting) {
  return strcasecmp(setting, "search_path") == 0 || strcasecmp(setting, "role") == 0 ||
         strcasecmp(setting, "session_authorization") == 0;
}

bool dr__skips_triggers(const char *setting) {
  return strcasecmp(setting, "session_replication_role") == 0;
}

/* "origin" and "local" are no different but for replication. */
static bool skips_triggers(const json_t *fields) {
  const json_t *value = dr__tree_as(json_array_get(dr__tree_array(fields, "args"), 0), "A_Const");
  const char *text = dr__tree_text(json_object_get(value, "sval"), "sval");
  return dr__tree_is(fields, "kind", "VAR_SET_VALUE") &&
         dr__skips_triggers(dr__tree_text(fields, "name")) && strcasecmp(text, "origin") != 0 &&
         strcasecmp(text, "local") != 0;
}

static void judge_set(dr_sql_judgement *j, json_t *fields) {
  dr__judge(j, skips_triggers(fields) ? DR_SQL_RULE_SKIP_TRIGGERS : DR_SQL_RULE_NOTHING, NULL,
            NULL);
  if (dr__tree_is(fields, "kind", "VAR_RESET_ALL") ||
      dr__moves_names(dr__tree_text(fields, "name")))
    dr__world_new_path(j->world);
}

static void judge_discard(dr_sql_judgement *j, json_t *fields) {
  dr__judge(j, DR_SQL_RULE_NOTHING, NULL, NULL);
  dr__world_drop_temporary(j->world);
  if (dr__tree_is(fields, "target", "DISCARD_ALL")) dr__world_new_path(j->world);
}

static void judge_transaction(dr_sql_judgement *j, json_t *fields) {
  dr__judge(j, DR_SQL_RULE_NOTHING, NULL, NULL);
  bool commits = dr__tree_is(fields, "kind", "TRANS_STMT_COMMIT");
  if (strncmp(dr__tree_text(fields, "kind"), "TRANS_STMT_ROLLBACK", 19) == 0)
    dr__world_undo(j->world);
  else if (commits)
    dr__world_new_transaction(j->world);
  if (commits || dr__tree_is(fields, "kind", "TRANS_STMT_ROLLBACK")) dr__world_unlock(j->world);
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

/* A relation that a script created keeps being new under its new name. What is in a block may not
 * run: then neither name is known to be new. */
static void follow_name(dr_sql_judgement *j, const json_t *range, const char *new_name) {
  char before[DR_SQL_NAME_SIZE], last[DR_SQL_NAME_SIZE], after[2 * DR_SQL_NAME_SIZE];
  dr__tree_relation(before, range);
  bool was_new = dr__world_created(j->world, "relation", before);
  bool temporary = dr__world_is_temporary(j->world, before);
  int marks = dr__world_marks(j->world, before);
  int schema = (int)dr__tree_schema_length(before);
  dr__tree_put_name(last, new_name);
  snprintf(after, sizeof after, "%s%.*s%s%s", temporary ? "pg_temp." : "", schema, before,
           schema ? "." : "", last);
  dr__world_forget(j->world, "relation", before);
  dr__world_forget(j->world, "relation", after);
  if (was_new) dr__judge_created(j, "relation", after, true);
  dr__world_mark(j->world, before, DR_SQL_RENAMED);
  dr__world_mark(j->world, after, marks | DR_SQL_RENAMED);
}

/* Nothing is known of a column under its new name, but that it may be required. */
static void follow_column(dr_sql_judgement *j, const char *relation, const char *old_name,
                          const char *new_name) {
  dr_sql_column old = dr__world_column(j->world, relation, old_name);
  const dr_sql_column known = {.required = old.required, .unsure = old.unsure, .checked = true};
  const dr_sql_column gone = {0};
  dr__world_set_column(j->world, relation, new_name, &known);
  if (!j->uncertain) dr__world_set_column(j->world, relation, old_name, &gone);
  json_decref(old.type);
}

static void judge_rename(dr_sql_judgement *j, json_t *fields) {
  const json_t *range = json_object_get(fields, "relation");
  const char *old_name = dr__tree_text(fields, "subname");
  dr_sql_rule_id rule = rename_rule(fields);
  char relation[DR_SQL_NAME_SIZE];
  dr__tree_relation(relation, range);
  if (dr__tree_is(fields, "renameType", "OBJECT_SCHEMA")) dr__world_undo(j->world);
  if (rule == DR_SQL_RULE_RENAME_OBJECT) {
    dr__world_hide_own(j->world, dr__tree_text(fields, "newname"));
    dr__judge(j, rule, NULL, range ? relation : *old_name ? old_name : NULL);
    return;
  }
  dr__judge(j, rule, relation, *old_name ? old_name : NULL);
  const char *new_name = dr__tree_text(fields, "newname");
  if (rule == DR_SQL_RULE_RENAME_COLUMN)
    follow_column(j, relation, old_name, new_name);
  else if (rule == DR_SQL_RULE_RENAME_CONSTRAINT)
    dr__world_drop_constraint(j->world, relation, new_name);
  else
    follow_name(j, range, new_name);
}

/* What comes into a schema may come before what a script created. */
static void judge_set_schema(dr_sql_judgement *j, json_t *fields) {
  const json_t *range = json_object_get(fields, "relation");
  if (range)
    judge_range(j, range, DR_SQL_RULE_SET_SCHEMA);
  else
    dr__judge(j, DR_SQL_RULE_RENAME_OBJECT, NULL, NULL);
  dr__world_undo(j->world);
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
  dr__judge_bulk(j, dr__sql_rule(rule)->lock);
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
              dr__tree_flag(fields, "skipData")     ? DR_SQL_RULE_REFRESH_EMPTY
              : dr__tree_flag(fields, "concurrent") ? DR_SQL_RULE_REFRESH_C
                                                    : DR_SQL_RULE_REFRESH);
  if (dr__tree_flag(fields, "concurrent")) dr__judge_bulk(j, DR_SQL_EXCLUSIVE);
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
    {"CreateDomainStmt", judge_create_domain},
    {"AlterEnumStmt", judge_enum},
    {"AlterDomainStmt", judge_domain},
    {"CreateFunctionStmt", judge_function},
    {"CreateSchemaStmt", judge_schema},
    {"DefineStmt", judge_define},
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
    {"VariableSetStmt", judge_set},
    {"VariableShowStmt", judge_nothing},
    {"TransactionStmt", judge_transaction},
    {"ConstraintsSetStmt", judge_nothing},
    {"DiscardStmt", judge_discard},
    {"CheckPointStmt", judge_nothing},
    {"NotifyStmt", judge_nothing},
    {"ListenStmt", judge_nothing},
    {"UnlistenStmt", judge_nothing},
    {"DeallocateStmt", judge_nothing},
    {"ClosePortalStmt", judge_nothing},
    {"FetchStmt", judge_nothing},
    {"LoadStmt", judge_nothing},
    {NULL, NULL}};
