/* postgres/hazard_lint.c - can a script run twice, and is its order the one that works: add
 * columns, nullable first; loosen constraints; add enum values, in a script of their own; change
 * rows. Pure; one thread at a time. Called by hazards.c. */
#include "postgres/hazard_lint.h"

#include "postgres/hazard_block.h"
#include "postgres/tree.h"

#include <stdio.h>
#include <string.h>

static void advise(dr_sql_lint *lint, const char *rule, const char *message) {
  json_t *entry =
      json_pack("{s:i, s:s, s:s}", "line", lint->line, "rule", rule, "message", message);
  if (json_array_append_new(lint->out, entry) != 0) lint->failed = true;
}

/* ------------------------------------------------------------ can it run twice? */

/* Statements with a word that lets them run twice: the flag that says it is there. */
typedef struct twice_entry {
  const char *node;
  const char *flag; /* NULL: there is no such word */
  const char *message;
} twice_entry;

#define GUARD "put it into a DO block that asks the catalog first, or catches duplicate_object"

static const twice_entry twice[] = {
    {"CreateStmt", "if_not_exists", "CREATE TABLE without IF NOT EXISTS"},
    {"CreateTableAsStmt", "if_not_exists", "CREATE TABLE AS without IF NOT EXISTS"},
    {"CreateSeqStmt", "if_not_exists", "CREATE SEQUENCE without IF NOT EXISTS"},
    {"CreateSchemaStmt", "if_not_exists", "CREATE SCHEMA without IF NOT EXISTS"},
    {"CreateExtensionStmt", "if_not_exists", "CREATE EXTENSION without IF NOT EXISTS"},
    {"IndexStmt", "if_not_exists", "CREATE INDEX without IF NOT EXISTS"},
    {"CreateStatsStmt", "if_not_exists", "CREATE STATISTICS without IF NOT EXISTS"},
    {"ViewStmt", "replace", "CREATE VIEW without OR REPLACE"},
    {"CreateFunctionStmt", "replace", "CREATE FUNCTION without OR REPLACE"},
    {"CreateTrigStmt", "replace", "CREATE TRIGGER without OR REPLACE"},
    {"RuleStmt", "replace", "CREATE RULE without OR REPLACE"},
    {"DropStmt", "missing_ok", "DROP without IF EXISTS"},
    {"AlterEnumStmt", "skipIfNewValExists", "ALTER TYPE … ADD VALUE without IF NOT EXISTS"},
    {"CreateEnumStmt", NULL, "CREATE TYPE has no IF NOT EXISTS: " GUARD},
    {"CompositeTypeStmt", NULL, "CREATE TYPE has no IF NOT EXISTS: " GUARD},
    {"CreateDomainStmt", NULL, "CREATE DOMAIN has no IF NOT EXISTS: " GUARD},
    {"CreatePolicyStmt", NULL, "CREATE POLICY has no IF NOT EXISTS: " GUARD},
    {"RenameStmt", NULL, "a rename fails the second time: " GUARD},
    {"InsertStmt", "onConflictClause", "INSERT without ON CONFLICT adds its rows again"},
};

static void lint_twice(dr_sql_lint *lint, const char *kind, const json_t *fields) {
  for (size_t i = 0; i < sizeof twice / sizeof *twice; i++) {
    const json_t *flag = twice[i].flag ? json_object_get(fields, twice[i].flag) : NULL;
    if (strcmp(twice[i].node, kind) == 0 && !flag) advise(lint, "idempotent", twice[i].message);
  }
  if (strcmp(kind, "DoStmt") == 0 && !dr__block_is_guarded(fields, &lint->failed))
    advise(lint, "idempotent",
           "the DO block neither asks the catalog first nor catches duplicate_object");
}

static void lint_command_twice(dr_sql_lint *lint, const json_t *command) {
  bool tolerant = dr__tree_flag(command, "missing_ok");
  if (tolerant) return;
  if (dr__tree_is(command, "subtype", "AT_AddColumn"))
    advise(lint, "idempotent", "ADD COLUMN without IF NOT EXISTS");
  else if (dr__tree_is(command, "subtype", "AT_DropColumn"))
    advise(lint, "idempotent", "DROP COLUMN without IF EXISTS");
  else if (dr__tree_is(command, "subtype", "AT_DropConstraint"))
    advise(lint, "idempotent", "DROP CONSTRAINT without IF EXISTS");
  else if (dr__tree_is(command, "subtype", "AT_AddConstraint"))
    advise(lint, "idempotent", "ADD CONSTRAINT has no IF NOT EXISTS: " GUARD);
}

/* ------------------------------------------------------------ order */

static bool is_not_null(const char *kind, json_t *fields, void *data) {
  (void)data;
  return strcmp(kind, "Constraint") == 0 && dr__tree_is(fields, "contype", "CONSTR_NOTNULL");
}

static void lint_command_order(dr_sql_lint *lint, const char *relation, const json_t *command) {
  bool loosens = dr__tree_is(command, "subtype", "AT_DropNotNull") ||
                 dr__tree_is(command, "subtype", "AT_DropConstraint");
  if (loosens && json_object_get(lint->written, relation))
    advise(lint, "order",
           "constraints are loosened after the table's rows were changed: do it before");
  if (dr__world_created(lint->world, "relation", relation)) return;
  if (dr__tree_is(command, "subtype", "AT_AddColumn") &&
      dr__tree_any(json_object_get(command, "def"), is_not_null, NULL))
    advise(lint, "nullable-first",
           "a new column that is NOT NULL at once: add it nullable, fill it, then SET NOT NULL");
}

static void lint_alter_table(dr_sql_lint *lint, const json_t *fields) {
  char relation[DR_SQL_NAME_SIZE];
  dr__tree_relation(relation, json_object_get(fields, "relation"));
  const json_t *commands = dr__tree_array(fields, "cmds");
  size_t i;
  json_t *one;
  json_array_foreach(commands, i, one) {
    const json_t *command = dr__tree_as(one, "AlterTableCmd");
    lint_command_twice(lint, command);
    lint_command_order(lint, relation, command);
  }
}

static void note_write(dr_sql_lint *lint, const json_t *fields) {
  char relation[DR_SQL_NAME_SIZE];
  dr__tree_relation(relation, json_object_get(fields, "relation"));
  if (json_object_set_new(lint->written, relation, json_true()) != 0) lint->failed = true;
}

static void lint_enum(dr_sql_lint *lint, const dr_sql_statement *statement) {
  if (statement->alone)
    advise(
        lint, "enum-value",
        "a statement below uses the new value: put ADD VALUE into a script of its own before it");
  else if (json_object_size(lint->written) > 0)
    advise(lint, "order", "a value is added after rows were changed: add enum values before");
}

/* ------------------------------------------------------------ sessions and transactions */

static void lint_setting(dr_sql_lint *lint, const json_t *fields) {
  static const char *const timeouts[] = {"lock_timeout", "statement_timeout",
                                         "idle_in_transaction_session_timeout"};
  const char *name = dr__tree_text(fields, "name");
  if (strcmp(name, "search_path") == 0)
    advise(lint, "search-path",
           "names without a schema mean something else from here on; write the schema");
  for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
    if (strcmp(name, timeouts[i]) == 0)
      advise(lint, "session-setting", "the timeout of the run is overruled from here on");
  }
  if (strcmp(name, "role") == 0 || strcmp(name, "session_authorization") == 0)
    advise(lint, "session-setting", "what follows is done, and owned, by another role");
}

static void lint_control(dr_sql_lint *lint, const dr_sql_statement *statement) {
  if (statement->control != DR_SQL_PLAIN && statement->control != DR_SQL_SAVEPOINT)
    advise(lint, "transaction", "the script begins or ends a transaction itself");
}

void dr__lint(dr_sql_lint *lint, size_t index, const json_t *tree) {
  const dr_sql_statement *statement = &lint->script->statements[index];
  const char *kind = dr__tree_kind(tree);
  const json_t *fields = dr__tree_fields(tree);
  lint->line = statement->line;
  lint_control(lint, statement);
  lint_twice(lint, kind, fields);
  if (strcmp(kind, "AlterTableStmt") == 0) lint_alter_table(lint, fields);
  if (strcmp(kind, "AlterEnumStmt") == 0) lint_enum(lint, statement);
  if (strcmp(kind, "VariableSetStmt") == 0) lint_setting(lint, fields);
  if (strcmp(kind, "InsertStmt") == 0 || strcmp(kind, "UpdateStmt") == 0 ||
      strcmp(kind, "DeleteStmt") == 0)
    note_write(lint, fields);
}
