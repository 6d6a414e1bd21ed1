/* postgres/hazard_alter.c - judges ALTER TABLE, command by command. Pure; one thread at a time. */
#include "postgres/hazard_judge.h"
#include "postgres/sql_type.h"

#include <stdio.h>
#include <string.h>

/* One command of an ALTER TABLE. */
typedef struct change {
  dr_sql_judgement *j;
  const char *relation;
  char object[DR_SQL_NAME_SIZE * 2]; /* "relation.name" */
  const char *name;                  /* of the column or constraint */
  json_t *command;
  json_t *def; /* with its node's name */
  bool is_view;
  bool is_type;
} change;

static void judge(change *c, dr_sql_rule_id rule) {
  dr__judge(c->j, rule, c->relation, c->object);
}

static dr_sql_column column_of(const change *c) {
  return dr__world_column(c->j->world, c->relation, c->name);
}

/* Of what may not run only that counts which makes things worse. */
static void set_column(change *c, dr_sql_column *known) {
  dr_sql_column noted = *known;
  if (c->j->uncertain) {
    dr_sql_column before = column_of(c);
    noted = (dr_sql_column){.required = known->required || before.required,
                            .unsure = known->unsure || before.unsure,
                            .checked = true};
    json_decref(before.type);
  }
  dr__world_set_column(c->j->world, c->relation, c->name, &noted);
  json_decref(known->type);
}

/* ------------------------------------------------------------ constraints */

/* The column of "column IS NOT NULL"; "" for another expression. */
static const char *not_null_column(const json_t *expression) {
  const json_t *test = dr__tree_as(expression, "NullTest");
  const json_t *column = dr__tree_as(json_object_get(test, "arg"), "ColumnRef");
  const json_t *fields = dr__tree_array(column, "fields");
  if (!dr__tree_is(test, "nulltesttype", "IS_NOT_NULL")) return "";
  return json_array_size(fields) == 1 ? dr__tree_last(fields) : "";
}

static void judge_foreign_key(change *c, const json_t *constraint, bool scans) {
  char other[DR_SQL_NAME_SIZE];
  dr__tree_relation(other, json_object_get(constraint, "pktable"));
  judge(c, scans ? DR_SQL_RULE_ADD_FK : DR_SQL_RULE_ADD_FK_NV);
  if (!dr__world_created(c->j->world, "relation", c->relation))
    dr__world_mark(c->j->world, other, DR_SQL_REACHES_OLD);
  dr__judge_also(c->j, other, DR_SQL_SHARE_ROW_EXCLUSIVE);
}

/* Notes what the table's columns may be held to from here on. */
static void mark_checked(const change *c, const json_t *constraint) {
  json_t *condition = json_object_get(constraint, "raw_expr");
  bool primary = dr__tree_is(constraint, "contype", "CONSTR_PRIMARY");
  bool check = dr__tree_is(constraint, "contype", "CONSTR_CHECK");
  bool exclusion = dr__tree_is(constraint, "contype", "CONSTR_EXCLUSION");
  int marks = check || exclusion ? DR_SQL_CHECKED : 0;
  if (primary || (check && dr__may_forbid_null(condition))) marks |= DR_SQL_FORBIDS_NULL;
  if (marks) dr__world_mark(c->j->world, c->relation, marks);
}

/* A constraint of the table, or of a column that is added: then `empty` says that a foreign key has
 * no rows to look at. */
static void judge_constraint(change *c, const json_t *constraint, bool empty) {
  bool not_valid = dr__tree_flag(constraint, "skip_validation");
  bool unique = dr__tree_is(constraint, "contype", "CONSTR_UNIQUE") ||
                dr__tree_is(constraint, "contype", "CONSTR_PRIMARY");
  mark_checked(c, constraint);
  if (unique) {
    bool built = json_object_get(constraint, "indexname") != NULL;
    judge(c, built ? DR_SQL_RULE_ADD_USING_INDEX : DR_SQL_RULE_ADD_UNIQUE);
  } else if (dr__tree_is(constraint, "contype", "CONSTR_CHECK")) {
    judge(c, not_valid ? DR_SQL_RULE_ADD_CHECK_NV : DR_SQL_RULE_ADD_CHECK);
  } else if (dr__tree_is(constraint, "contype", "CONSTR_FOREIGN")) {
    judge_foreign_key(c, constraint, !not_valid && !empty);
  } else if (dr__tree_is(constraint, "contype", "CONSTR_EXCLUSION")) {
    judge(c, DR_SQL_RULE_ADD_EXCLUDE);
  }
}

static void add_constraint(change *c) {
  const json_t *constraint = dr__tree_as(c->def, "Constraint");
  const char *name = dr__tree_text(constraint, "conname");
  if (*name) snprintf(c->object, sizeof c->object, "%s.%s", c->relation, name);
  judge_constraint(c, constraint, false);
  if (!*name || c->j->uncertain) return;
  dr__world_add_constraint(c->j->world, c->relation, name,
                           not_null_column(json_object_get(constraint, "raw_expr")),
                           !dr__tree_flag(constraint, "skip_validation"));
}

static void validate_constraint(change *c) {
  judge(c, DR_SQL_RULE_VALIDATE);
  if (!c->j->uncertain) dr__world_validate(c->j->world, c->relation, c->name);
}

static void drop_constraint(change *c) {
  if (dr__world_has_constraint(c->j->world, c->relation, c->name))
    dr__judge_own(c->j, DR_SQL_RULE_DROP_CONSTRAINT, c->relation);
  else
    judge(c, DR_SQL_RULE_DROP_CONSTRAINT);
  dr__world_drop_constraint(c->j->world, c->relation, c->name);
}

/* ------------------------------------------------------------ columns */

typedef struct column_def {
  const dr_sql_world *world;
  bool required; /* NOT NULL */
  bool filled;   /* INSERTs that leave it out get a value */
  bool has_default;
  bool null_default;
  bool rewrites;
} column_def;

static void read_constraint(column_def *def, json_t *constraint) {
  json_t *expression = json_object_get(constraint, "raw_expr");
  if (dr__tree_is(constraint, "contype", "CONSTR_NOTNULL") ||
      dr__tree_is(constraint, "contype", "CONSTR_PRIMARY"))
    def->required = true;
  if (dr__tree_is(constraint, "contype", "CONSTR_IDENTITY") ||
      dr__tree_is(constraint, "contype", "CONSTR_GENERATED"))
    def->filled = def->rewrites = true;
  if (dr__tree_is(constraint, "contype", "CONSTR_DEFAULT")) {
    def->filled = !dr__is_null(expression);
    def->has_default = true;
    def->rewrites |= dr__calls_volatile(def->world, expression);
  }
}

/* A domain that scripts created may forbid NULL, and has a default of its own. Each row is tried.
 */
static void read_domain(column_def *def, const json_t *type) {
  char name[DR_SQL_NAME_SIZE];
  dr__tree_name(name, dr__tree_array(type, "names"), 0);
  int marks = dr__world_marks(def->world, name);
  if (!(marks & DR_SQL_DOMAIN)) return;
  def->rewrites = true;
  if (marks & DR_SQL_FORBIDS_NULL) def->required = true;
  if (!(marks & DR_SQL_NO_DEFAULT) && !def->has_default) def->filled = true;
}

static column_def read_column(const dr_sql_world *world, const json_t *fields) {
  column_def def = {.world = world};
  const json_t *constraints = dr__tree_array(fields, "constraints");
  size_t i;
  json_t *one;
  json_array_foreach(constraints, i, one) {
    read_constraint(&def, dr__tree_as(one, "Constraint"));
  }
  if (dr__sql_type_is_serial(json_object_get(fields, "typeName")))
    def.required = def.filled = def.rewrites = true;
  read_domain(&def, json_object_get(fields, "typeName"));
  return def;
}

/* With a collation of its own it is not known what becomes of the column by another type. */
static json_t *type_known(const json_t *column) {
  return json_object_get(column, "collClause") ? NULL : json_object_get(column, "typeName");
}

static void add_column(change *c) {
  const json_t *fields = dr__tree_as(c->def, "ColumnDef");
  const json_t *constraints = dr__tree_array(fields, "constraints");
  column_def def = read_column(c->j->world, fields);
  c->name = dr__tree_text(fields, "colname");
  snprintf(c->object, sizeof c->object, "%s.%s", c->relation, c->name);
  bool fails = def.required && !def.filled;
  if (fails) judge(c, DR_SQL_RULE_ADD_REQUIRED);
  if (def.rewrites || !fails)
    judge(c, def.rewrites ? DR_SQL_RULE_ADD_COLUMN_REWRITE : DR_SQL_RULE_ADD_COLUMN);
  size_t i;
  json_t *one;
  json_array_foreach(constraints, i, one) {
    judge_constraint(c, dr__tree_as(one, "Constraint"), !def.filled);
  }
  bool may_be_there = dr__tree_flag(c->command, "missing_ok");
  dr_sql_column before = column_of(c);
  dr_sql_column known = {.added = !may_be_there,
                         .required = def.required || (may_be_there && before.required),
                         .unsure = may_be_there && before.unsure,
                         .checked = may_be_there && before.checked,
                         .type = json_incref(type_known(fields))};
  json_decref(before.type);
  set_column(c, &known);
}

static void drop_column(change *c) {
  dr_sql_column known = column_of(c);
  if (known.added)
    dr__judge_own(c->j, DR_SQL_RULE_DROP_COLUMN, c->relation);
  else
    judge(c, DR_SQL_RULE_DROP_COLUMN);
  json_decref(known.type);
  known = (dr_sql_column){0};
  set_column(c, &known);
}

/* Whoever does not know the column leaves it out of its INSERTs, whether the column is old or was
 * added a statement ago. */
static void drop_default(change *c) {
  dr_sql_column known = column_of(c);
  judge(c, known.required ? DR_SQL_RULE_DROP_DEFAULT_REQUIRED
           : known.unsure ? DR_SQL_RULE_DROP_DEFAULT_UNKNOWN
                          : DR_SQL_RULE_DROP_DEFAULT);
  json_decref(known.type);
}

static void change_default(change *c) {
  if (c->def && !dr__is_null(c->def))
    judge(c, DR_SQL_RULE_SET_DEFAULT);
  else
    drop_default(c);
}

static void drop_expression(change *c) {
  judge(c, DR_SQL_RULE_DROP_EXPRESSION);
  drop_default(c);
}

static void set_not_null(change *c) {
  bool checked = dr__world_is_checked(c->j->world, c->relation, c->name);
  judge(c, checked ? DR_SQL_RULE_SET_NOT_NULL_CHECKED : DR_SQL_RULE_SET_NOT_NULL);
  dr_sql_column known = column_of(c);
  known.required = true;
  known.unsure = false;
  set_column(c, &known);
}

static void drop_not_null(change *c) {
  judge(c, DR_SQL_RULE_DROP_NOT_NULL);
  dr_sql_column known = column_of(c);
  known.required = known.unsure = false;
  set_column(c, &known);
}

static dr_sql_rule_id type_rule(const dr_sql_column *known, const json_t *type, bool converts) {
  if (!known->type) return DR_SQL_RULE_TYPE_UNKNOWN;
  switch (dr__sql_type_change(known->type, type)) {
  case DR_SQL_TYPE_KEEPS:
    if (converts) return DR_SQL_RULE_TYPE_REWRITE;
    return known->checked ? DR_SQL_RULE_TYPE_SCAN : DR_SQL_RULE_TYPE_SAME;
  case DR_SQL_TYPE_REWRITES: return DR_SQL_RULE_TYPE_REWRITE;
  case DR_SQL_TYPE_NARROWS: break;
  }
  return DR_SQL_RULE_TYPE_NARROW;
}

/* "USING column::type" says no more than the cast that happens anyway, as Django writes it. */
static bool converts(const json_t *expression, const char *column, const json_t *type) {
  const json_t *cast = dr__tree_as(expression, "TypeCast");
  const json_t *argument = cast ? json_object_get(cast, "arg") : expression;
  const json_t *fields = dr__tree_array(dr__tree_as(argument, "ColumnRef"), "fields");
  if (!expression) return false;
  if (json_array_size(fields) != 1 || strcmp(dr__tree_last(fields), column) != 0) return true;
  if (!cast) return false;
  const json_t *other = json_object_get(cast, "typeName");
  return strcmp(dr__tree_last(dr__tree_array(other, "names")),
                dr__tree_last(dr__tree_array(type, "names"))) != 0 ||
         dr__sql_type_change(other, type) != DR_SQL_TYPE_KEEPS;
}

static void change_type(change *c) {
  const json_t *fields = dr__tree_as(c->def, "ColumnDef");
  json_t *type = json_object_get(fields, "typeName");
  dr_sql_column known = column_of(c);
  bool other = converts(json_object_get(fields, "raw_default"), c->name, type);
  judge(c, other && known.type ? DR_SQL_RULE_TYPE_NARROW : type_rule(&known, type, other));
  if (!type_known(fields)) judge(c, DR_SQL_RULE_COLLATION);
  json_decref(known.type);
  known.type = json_incref(type_known(fields));
  set_column(c, &known);
}

/* ------------------------------------------------------------ partitions and parents */

static void other_relation(const change *c, char name[DR_SQL_NAME_SIZE]) {
  const json_t *partition = dr__tree_as(c->def, "PartitionCmd");
  const json_t *range =
      partition ? json_object_get(partition, "name") : dr__tree_as(c->def, "RangeVar");
  dr__tree_relation(name, range);
}

/* Through a parent that has an old child, its rows are reached: with that child nothing is known to
 * be new. */
static void adopt(const change *c, const char *parent, const char *child) {
  bool reaches = dr__world_created(c->j->world, "relation", parent) &&
                 !dr__world_created(c->j->world, "relation", child);
  if (reaches) dr__world_undo(c->j->world);
}

/* The partition waits for its scan. A new one has no rows, but a default partition is scanned. */
static void attach(change *c) {
  char partition[DR_SQL_NAME_SIZE];
  other_relation(c, partition);
  bool is_new = dr__world_created(c->j->world, "relation", partition);
  if (is_new)
    dr__judge_lock(c->j, DR_SQL_RULE_ATTACH, c->relation, partition, DR_SQL_SHARE_UPDATE_EXCLUSIVE);
  else
    dr__judge(c->j, DR_SQL_RULE_ATTACH, partition, NULL);
  dr__judge_also(c->j, c->relation, DR_SQL_SHARE_UPDATE_EXCLUSIVE);
  adopt(c, c->relation, partition);
}

static void detach(change *c) {
  char partition[DR_SQL_NAME_SIZE];
  other_relation(c, partition);
  bool concurrent = dr__tree_flag(dr__tree_as(c->def, "PartitionCmd"), "concurrent");
  dr__judge(c->j, concurrent ? DR_SQL_RULE_DETACH_C : DR_SQL_RULE_DETACH, c->relation, partition);
  dr__judge_also(c->j, partition,
                 concurrent ? DR_SQL_SHARE_UPDATE_EXCLUSIVE : DR_SQL_ACCESS_EXCLUSIVE);
}

static void inherit(change *c) {
  char parent[DR_SQL_NAME_SIZE];
  other_relation(c, parent);
  judge(c, DR_SQL_RULE_INHERITANCE);
  dr__judge_also(c->j, parent, DR_SQL_SHARE_UPDATE_EXCLUSIVE);
  adopt(c, parent, c->relation);
}

/* ------------------------------------------------------------ the rest */

/* Those that PostgreSQL changes beside readers and writers. */
static bool is_light_option(const json_t *option) {
  static const char *const names[] = {"fillfactor",       "parallel_workers", "toast_tuple_target",
                                      "autovacuum_",      "log_autovacuum_",  "vacuum_",
                                      "deduplicate_items"};
  const char *name = dr__tree_text(option, "defname");
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (strncmp(name, names[i], strlen(names[i])) == 0) return true;
  }
  return false;
}

static void set_options(change *c) {
  const json_t *options = dr__tree_array(dr__tree_as(c->def, "List"), "items");
  dr_sql_lock lock = DR_SQL_SHARE_UPDATE_EXCLUSIVE;
  size_t i;
  json_t *one;
  json_array_foreach(options, i, one) {
    if (!is_light_option(dr__tree_as(one, "DefElem"))) lock = DR_SQL_ACCESS_EXCLUSIVE;
  }
  if (c->is_view)
    judge(c, DR_SQL_RULE_ALTER_VIEW);
  else
    dr__judge_lock(c->j, DR_SQL_RULE_TABLE_OPTIONS, c->relation, c->object, lock);
}

typedef struct command_entry {
  const char *subtype;
  void (*act)(change *c); /* NULL: the rule says all */
  dr_sql_rule_id rule;
} command_entry;

static const command_entry commands[] = {
    {"AT_AddColumn", add_column, 0},
    {"AT_DropColumn", drop_column, 0},
    {"AT_ColumnDefault", change_default, 0},
    {"AT_SetNotNull", set_not_null, 0},
    {"AT_DropNotNull", drop_not_null, 0},
    {"AT_AlterColumnType", change_type, 0},
    {"AT_AddConstraint", add_constraint, 0},
    {"AT_ValidateConstraint", validate_constraint, 0},
    {"AT_DropConstraint", drop_constraint, 0},
    {"AT_AttachPartition", attach, 0},
    {"AT_DetachPartition", detach, 0},
    {"AT_AddInherit", inherit, 0},
    {"AT_DropInherit", inherit, 0},
    {"AT_SetRelOptions", set_options, 0},
    {"AT_ResetRelOptions", set_options, 0},
    {"AT_SetStatistics", NULL, DR_SQL_RULE_COLUMN_SETTING},
    {"AT_SetOptions", NULL, DR_SQL_RULE_COLUMN_SETTING},
    {"AT_ResetOptions", NULL, DR_SQL_RULE_COLUMN_SETTING},
    {"AT_SetStorage", NULL, DR_SQL_RULE_COLUMN_STORAGE},
    {"AT_SetCompression", NULL, DR_SQL_RULE_COLUMN_STORAGE},
    {"AT_DropExpression", drop_expression, 0},
    {"AT_AddIdentity", NULL, DR_SQL_RULE_IDENTITY},
    {"AT_SetIdentity", NULL, DR_SQL_RULE_IDENTITY},
    {"AT_DropIdentity", NULL, DR_SQL_RULE_DROP_IDENTITY},
    {"AT_AlterConstraint", NULL, DR_SQL_RULE_ALTER_CONSTRAINT},
    {"AT_ChangeOwner", NULL, DR_SQL_RULE_SET_OWNER},
    {"AT_ClusterOn", NULL, DR_SQL_RULE_CLUSTER_ON},
    {"AT_DropCluster", NULL, DR_SQL_RULE_CLUSTER_ON},
    {"AT_SetLogged", NULL, DR_SQL_RULE_SET_PERSISTENCE},
    {"AT_SetUnLogged", NULL, DR_SQL_RULE_SET_PERSISTENCE},
    {"AT_SetTableSpace", NULL, DR_SQL_RULE_SET_TABLESPACE},
    {"AT_SetAccessMethod", NULL, DR_SQL_RULE_SET_ACCESS_METHOD},
    {"AT_EnableTrig", NULL, DR_SQL_RULE_SWITCH_TRIGGER},
    {"AT_EnableAlwaysTrig", NULL, DR_SQL_RULE_SWITCH_TRIGGER},
    {"AT_EnableReplicaTrig", NULL, DR_SQL_RULE_SWITCH_TRIGGER},
    {"AT_EnableTrigAll", NULL, DR_SQL_RULE_SWITCH_TRIGGER},
    {"AT_EnableTrigUser", NULL, DR_SQL_RULE_SWITCH_TRIGGER},
    {"AT_DisableTrig", NULL, DR_SQL_RULE_SWITCH_TRIGGER},
    {"AT_DisableTrigAll", NULL, DR_SQL_RULE_SWITCH_TRIGGER},
    {"AT_DisableTrigUser", NULL, DR_SQL_RULE_SWITCH_TRIGGER},
    {"AT_EnableRule", NULL, DR_SQL_RULE_SWITCH_RULE},
    {"AT_EnableAlwaysRule", NULL, DR_SQL_RULE_SWITCH_RULE},
    {"AT_EnableReplicaRule", NULL, DR_SQL_RULE_SWITCH_RULE},
    {"AT_DisableRule", NULL, DR_SQL_RULE_SWITCH_RULE},
    {"AT_EnableRowSecurity", NULL, DR_SQL_RULE_ROW_SECURITY},
    {"AT_DisableRowSecurity", NULL, DR_SQL_RULE_ROW_SECURITY},
    {"AT_ForceRowSecurity", NULL, DR_SQL_RULE_ROW_SECURITY},
    {"AT_NoForceRowSecurity", NULL, DR_SQL_RULE_ROW_SECURITY},
    {"AT_ReplicaIdentity", NULL, DR_SQL_RULE_REPLICA_IDENTITY},
};

static const command_entry *entry_of(const char *subtype) {
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
    if (strcmp(commands[i].subtype, subtype) == 0) return &commands[i];
  }
  return NULL;
}

static void judge_command(change *c) {
  const command_entry *entry = entry_of(dr__tree_text(c->command, "subtype"));
  c->def = json_object_get(c->command, "def");
  c->name = dr__tree_text(c->command, "name");
  snprintf(c->object, sizeof c->object, "%s%s%s", c->relation, *c->name ? "." : "", c->name);
  if (c->is_type)
    judge(c, DR_SQL_RULE_ALTER_TYPE);
  else if (!entry)
    judge(c, DR_SQL_RULE_UNREAD);
  else if (entry->act)
    entry->act(c);
  else
    judge(c, entry->rule);
}

static void judge_alter_table(dr_sql_judgement *j, json_t *fields) {
  char relation[DR_SQL_NAME_SIZE];
  dr__tree_relation(relation, json_object_get(fields, "relation"));
  change c = {.j = j,
              .relation = relation,
              .is_view = dr__tree_is(fields, "objtype", "OBJECT_VIEW"),
              .is_type = dr__tree_is(fields, "objtype", "OBJECT_TYPE")};
  const json_t *all = dr__tree_array(fields, "cmds");
  size_t i;
  json_t *one;
  json_array_foreach(all, i, one) {
    c.command = dr__tree_as(one, "AlterTableCmd");
    judge_command(&c);
  }
}

const dr_sql_judge_entry dr__judges_of_tables[] = {{"AlterTableStmt", judge_alter_table},
                                                   {NULL, NULL}};
