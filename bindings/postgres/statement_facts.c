/* postgres/statement_facts.c - which statements begin and end transactions, which cannot run inside
 * one, and which no script may have. Pure, any thread. Used by statements.c.
 *
 * The list is that of PreventInTransactionBlock() in PostgreSQL's source, and a test asks a server
 * about each (tests/bindings/hazards.c). */
#include "postgres/statement_facts.h"

#include "postgres/scan.h"
#include "postgres/script_error.h"
#include "postgres/tree.h"

#include "core/err.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------ cannot run in a transaction */

static const char *alone_always(const json_t *fields, const char *why) {
  (void)fields;
  return why;
}

static const char *alone_concurrent(const json_t *fields, const char *why) {
  return dr__tree_flag(fields, "concurrent") ? why : NULL;
}

static const char *alone_reindex(const json_t *fields, const char *why) {
  bool one = dr__tree_is(fields, "kind", "REINDEX_OBJECT_TABLE") ||
             dr__tree_is(fields, "kind", "REINDEX_OBJECT_INDEX");
  if (one && !dr__tree_switch(dr__tree_array(fields, "params"), "concurrently")) return NULL;
  return one ? "REINDEX CONCURRENTLY works in several transactions of its own" : why;
}

static const char *alone_vacuum(const json_t *fields, const char *why) {
  return dr__tree_flag(fields, "is_vacuumcmd") ? why : NULL;
}

static const char *alone_cluster(const json_t *fields, const char *why) {
  return json_object_get(fields, "relation") ? NULL : why;
}

static const char *alone_detach(const json_t *fields, const char *why) {
  const json_t *commands = dr__tree_array(fields, "cmds");
  size_t i;
  json_t *command;
  json_array_foreach(commands, i, command) {
    const json_t *def = json_object_get(dr__tree_as(command, "AlterTableCmd"), "def");
    if (dr__tree_flag(dr__tree_as(def, "PartitionCmd"), "concurrent")) return why;
  }
  return NULL;
}

static const char *alone_database(const json_t *fields, const char *why) {
  return dr__tree_option(dr__tree_array(fields, "options"), "tablespace", NULL) ? why : NULL;
}

/* An option that is on unless it is set to off. */
static bool not_off(const json_t *fields, const char *option) {
  const json_t *options = dr__tree_array(fields, "options");
  return !dr__tree_option(options, option, NULL) || dr__tree_switch(options, option);
}

static const char *alone_subscribe(const json_t *fields, const char *why) {
  return not_off(fields, "create_slot") && not_off(fields, "connect") ? why : NULL;
}

static const char *alone_subscription(const json_t *fields, const char *why) {
  if (dr__tree_is(fields, "kind", "ALTER_SUBSCRIPTION_REFRESH")) return why;
  bool publications = strstr(dr__tree_text(fields, "kind"), "_PUBLICATION") != NULL;
  return publications && not_off(fields, "refresh") ? why : NULL;
}

static const char *alone_discard(const json_t *fields, const char *why) {
  return dr__tree_is(fields, "target", "DISCARD_ALL") ? why : NULL;
}

static const char *alone_prepared(const json_t *fields, const char *why) {
  bool ends = dr__tree_is(fields, "kind", "TRANS_STMT_COMMIT_PREPARED") ||
              dr__tree_is(fields, "kind", "TRANS_STMT_ROLLBACK_PREPARED");
  return ends ? why : NULL;
}

typedef struct alone_rule {
  const char *node;
  const char *(*judge)(const json_t *fields, const char *why);
  const char *why;
} alone_rule;

static const alone_rule rules[] = {
    {"IndexStmt", alone_concurrent,
     "CREATE INDEX CONCURRENTLY works in several transactions of its own"},
    {"DropStmt", alone_concurrent,
     "DROP INDEX CONCURRENTLY works in several transactions of its own"},
    {"ReindexStmt", alone_reindex, "REINDEX of a schema or database commits after each table"},
    {"VacuumStmt", alone_vacuum, "VACUUM works in transactions of its own"},
    {"ClusterStmt", alone_cluster, "CLUSTER without a table commits after each table"},
    {"AlterTableStmt", alone_detach, "DETACH PARTITION CONCURRENTLY works in two transactions"},
    {"AlterSystemStmt", alone_always, "ALTER SYSTEM writes a file that cannot be rolled back"},
    {"CreatedbStmt", alone_always, "CREATE DATABASE copies files, which cannot be rolled back"},
    {"DropdbStmt", alone_always, "DROP DATABASE removes files, which cannot be rolled back"},
    {"AlterDatabaseStmt", alone_database,
     "moving a database to another tablespace cannot be rolled back"},
    {"CreateTableSpaceStmt", alone_always,
     "CREATE TABLESPACE makes folders, which cannot be rolled back"},
    {"DropTableSpaceStmt", alone_always,
     "DROP TABLESPACE removes folders, which cannot be rolled back"},
    {"CreateSubscriptionStmt", alone_subscribe,
     "CREATE SUBSCRIPTION makes a slot on another server"},
    {"AlterSubscriptionStmt", alone_subscription,
     "refreshing a subscription changes slots on another server"},
    {"DropSubscriptionStmt", alone_always, "DROP SUBSCRIPTION drops a slot on another server"},
    {"TransactionStmt", alone_prepared, "it ends a transaction that was prepared before"},
    {"DiscardStmt", alone_discard, "DISCARD ALL ends the session's transaction state"},
};

static const char *alone_reason(const char *kind, const json_t *fields) {
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
    if (strcmp(rules[i].node, kind) == 0) return rules[i].judge(fields, rules[i].why);
  }
  return NULL;
}

/* ------------------------------------------------------------ transaction control */

static dr_sql_control control_of(const json_t *fields) {
  static const struct {
    const char *kind;
    dr_sql_control control;
  } kinds[] = {{"TRANS_STMT_BEGIN", DR_SQL_BEGIN},
               {"TRANS_STMT_START", DR_SQL_BEGIN},
               {"TRANS_STMT_COMMIT", DR_SQL_COMMIT},
               {"TRANS_STMT_ROLLBACK", DR_SQL_ROLLBACK},
               {"TRANS_STMT_SAVEPOINT", DR_SQL_SAVEPOINT},
               {"TRANS_STMT_RELEASE", DR_SQL_SAVEPOINT},
               {"TRANS_STMT_ROLLBACK_TO", DR_SQL_SAVEPOINT},
               {"TRANS_STMT_PREPARE", DR_SQL_PREPARED},
               {"TRANS_STMT_COMMIT_PREPARED", DR_SQL_PREPARED},
               {"TRANS_STMT_ROLLBACK_PREPARED", DR_SQL_PREPARED}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (dr__tree_is(fields, "kind", kinds[i].kind)) return kinds[i].control;
  }
  return DR_SQL_PLAIN;
}

static bool ends_transaction(const char *kind, json_t *fields, void *data) {
  (void)fields;
  (void)data;
  return strcmp(kind, "PLpgSQL_stmt_commit") == 0 || strcmp(kind, "PLpgSQL_stmt_rollback") == 0;
}

/* A block that cannot be read is left as it is; *failed when memory was short for it. */
static const char *alone_do(const json_t *fields, bool *failed) {
  dr_err err = DR_ERR_INIT;
  json_t *body = dr__sql_block(fields, &err);
  bool ends = dr__tree_any(body, ends_transaction, NULL);
  *failed = strcmp(err.code, "out_of_memory") == 0;
  json_decref(body);
  dr_err_clear(&err);
  return ends ? "the block has a COMMIT or ROLLBACK of its own" : NULL;
}

/* ------------------------------------------------------------ new values of enums */

/* True when a word is a constant that is, or in a body in dollars or with escapes may hold, the
 * value. */
static bool names_value(const char *word, size_t length, const char *value) {
  size_t wanted = strlen(value);
  if (word[0] == '\'') return length == wanted + 2 && memcmp(word + 1, value, wanted) == 0;
  bool constant = word[0] == '$' || memchr(word, '\'', length) != NULL;
  return constant && memmem(word, length, value, wanted) != NULL;
}

/* What the walk over the statements remembers. */
typedef struct facts {
  dr_sql_script *script;
  json_t *created; /* names of the enums that the script makes itself */
  json_t *added;   /* [{index, value}] of ALTER TYPE … ADD VALUE for other enums */
  dr_err *err;
} facts;

static bool is_created(const facts *f, const json_t *type) {
  size_t i;
  json_t *one;
  json_array_foreach(f->created, i, one) {
    if (json_equal(one, type)) return true;
  }
  return false;
}

static int note_enum(facts *f, size_t index, const char *kind, const json_t *fields) {
  json_t *type = dr__tree_array(fields, "typeName");
  if (strcmp(kind, "CreateEnumStmt") == 0)
    return json_array_append(f->created, type) == 0 ? DR_OK : dr__err_nomem(f->err);
  bool adds = strcmp(kind, "AlterEnumStmt") == 0 && !json_object_get(fields, "oldVal");
  if (!adds || is_created(f, type)) return DR_OK;
  json_t *note =
      json_pack("{s:I, s:s}", "index", (json_int_t)index, "value", dr__tree_text(fields, "newVal"));
  return json_array_append_new(f->added, note) == 0 ? DR_OK : dr__err_nomem(f->err);
}

/* True when the statement is one of those in `added`; they name new values without using them. */
static bool only_adds(const facts *f, size_t index) {
  size_t i;
  json_t *note;
  json_array_foreach(f->added, i, note) {
    if ((size_t)json_integer_value(json_object_get(note, "index")) == index) return true;
  }
  return false;
}

static bool statement_names(const dr_sql_script *script, size_t index, const dr_sql_tokens *tokens,
                            const char *value) {
  const dr_sql_statement *statement = &script->statements[index];
  for (size_t i = 0; i < tokens->count; i++) {
    const dr_sql_token *token = &tokens->items[i];
    if (token->start < statement->offset || dr__sql_is_comment(script->text, token)) continue;
    if (token->start >= statement->offset + statement->length) return false;
    if (names_value(script->text + token->start, token->end - token->start, value)) return true;
  }
  return false;
}

static bool value_is_used(const facts *f, size_t index, const dr_sql_tokens *tokens,
                          const char *value) {
  for (size_t i = index + 1; i < f->script->count; i++) {
    if (!only_adds(f, i) && statement_names(f->script, i, tokens, value)) return true;
  }
  return false;
}

/* A new value of an enum can be used only when the transaction that added it has ended. */
static int judge_added_values(facts *f) {
  dr_sql_tokens tokens = {0};
  dr_sql_mistake mistake = {0};
  if (json_array_size(f->added) == 0) return DR_OK;
  int status = dr__sql_scan(f->script->text, f->script->length, &tokens, &mistake, f->err);
  size_t i;
  json_t *note;
  json_array_foreach(f->added, i, note) {
    size_t index = (size_t)json_integer_value(json_object_get(note, "index"));
    if (value_is_used(f, index, &tokens, dr__tree_text(note, "value")))
      f->script->statements[index].alone =
          "a statement after it uses the new value, which counts only after a commit";
  }
  free(tokens.items);
  return status;
}

/* ------------------------------------------------------------ all statements */

/* The word of a statement at or behind `start`; empty when no letter comes next but for space. */
static dr_sql_token word_at(const char *text, size_t start, size_t end) {
  while (start < end && isspace((unsigned char)text[start])) start++;
  dr_sql_token word = {0};
  word.start = word.end = (uint32_t)start; /* a script is smaller */
  while (word.end < end && isalpha((unsigned char)text[word.end])) word.end++;
  return word;
}

static bool is_one_of(const char *text, const dr_sql_token *word, const char *const *words) {
  while (*words && !dr__sql_is_word(text, word, *words)) words++;
  return *words != NULL;
}

static bool says_concurrently(const char *text, size_t length) {
  static const char word[] = "concurrently";
  for (size_t i = 0; i + sizeof word - 1 <= length; i++) {
    if (strncasecmp(text + i, word, sizeof word - 1) == 0) return true;
  }
  return false;
}

/* Statements that never matter here, told by their first words without a tree: those that may be as
 * long as the script, and the usual ones of a migration, of which only CONCURRENTLY matters. What
 * is not sure, as with a comment between the words, gets a tree. */
static bool is_plain(const dr_sql_script *script, const dr_sql_statement *statement) {
  static const char *const rows[] = {"INSERT", "SELECT", "UPDATE", "DELETE",
                                     "WITH",   "VALUES", NULL};
  static const char *const verbs[] = {"CREATE", "ALTER", "DROP", NULL};
  static const char *const objects[] = {"TABLE", "INDEX", "UNIQUE", "VIEW", NULL};
  const char *text = script->text + statement->offset;
  dr_sql_token verb = word_at(text, 0, statement->length);
  if (verb.end == verb.start || is_one_of(text, &verb, rows)) return true;
  dr_sql_token object = word_at(text, verb.end, statement->length);
  return is_one_of(text, &verb, verbs) && is_one_of(text, &object, objects) &&
         !says_concurrently(text, statement->length);
}

static int add_facts_of(facts *f, size_t index, const json_t *tree) {
  dr_sql_statement *statement = &f->script->statements[index];
  const char *kind = dr__tree_kind(tree);
  const json_t *fields = dr__tree_fields(tree);
  bool through_file = json_object_get(fields, "filename") != NULL;
  if (strcmp(kind, "CopyStmt") == 0 && !through_file)
    return dr__sql_copy_error(statement->line, dr__tree_flag(fields, "is_from"), f->err);
  if (strcmp(kind, "TransactionStmt") == 0) statement->control = control_of(fields);
  bool failed = false;
  statement->alone =
      strcmp(kind, "DoStmt") == 0 ? alone_do(fields, &failed) : alone_reason(kind, fields);
  if (failed) return dr__err_nomem(f->err);
  return note_enum(f, index, kind, fields);
}

static int add_facts(facts *f, size_t index) {
  if (is_plain(f->script, &f->script->statements[index])) return DR_OK;
  dr_err err = DR_ERR_INIT;
  json_t *tree = dr__sql_tree(f->script, index, &err);
  int status = DR_OK;
  if (tree)
    status = add_facts_of(f, index, tree);
  else if (strcmp(err.code, "postgres.too_large") != 0) /* none of those above nests so deep */
    status = DR_FAILED;
  json_decref(tree);
  if (!tree && status != DR_OK && f->err) dr__err_move(f->err, &err);
  dr_err_clear(&err);
  return status;
}

int dr__sql_add_facts(dr_sql_script *script, dr_err *err) {
  facts f = {.script = script, .created = json_array(), .added = json_array(), .err = err};
  int status = f.created && f.added ? DR_OK : dr__err_nomem(err);
  for (size_t i = 0; status == DR_OK && i < script->count; i++) status = add_facts(&f, i);
  if (status == DR_OK) status = judge_added_values(&f);
  json_decref(f.created);
  json_decref(f.added);
  return status;
}
