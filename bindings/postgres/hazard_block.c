/* postgres/hazard_block.c - judges blocks of PL/pgSQL (DO) by the statements in them, and CALL.
 * Pure; one thread at a time. What a block puts together while it runs (EXECUTE of anything but a
 * constant) cannot be judged. */
#include "postgres/hazard_block.h"

#include "postgres/hazard_judge.h"
#include "postgres/scan.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_NESTED = 8 };

/* ------------------------------------------------------------ texts in blocks */

static void note_memory(dr_err *err, bool *failed) {
  if (strcmp(err->code, "out_of_memory") == 0) *failed = true;
  dr_err_clear(err);
}

/* The tree of a text that holds one statement; NULL when it does not, with *failed set when memory
 * was short. */
static json_t *read_statement(const char *sql, bool *failed) {
  dr_sql_script script = {0};
  dr_err err = DR_ERR_INIT;
  json_t *tree = NULL;
  if (dr__sql_split(sql, strlen(sql), &script, &err) == DR_OK && script.count == 1)
    tree = dr__sql_tree(&script, 0, &err);
  dr__sql_script_free(&script);
  note_memory(&err, failed);
  return tree;
}

/* The tree of "SELECT expression". */
static json_t *read_expression(const char *expression, bool *failed) {
  dr_text text = {0};
  dr__text_puts(&text, "SELECT ");
  dr__text_puts(&text, expression);
  char *sql = dr__text_take(&text);
  if (!sql) *failed = true;
  json_t *tree = sql ? read_statement(sql, failed) : NULL;
  free(sql);
  return tree;
}

/* What stands behind the first := or = of an assignment; "" when there is none. */
static const char *assigned(const char *text, bool *failed) {
  dr_sql_tokens tokens = {0};
  dr_sql_mistake mistake = {0};
  dr_err err = DR_ERR_INIT;
  const char *found = "";
  if (dr__sql_scan(text, strlen(text), &tokens, &mistake, &err) != DR_OK) tokens.count = 0;
  for (size_t i = 0; i < tokens.count && !*found; i++) {
    if (dr__sql_is_char(text, &tokens.items[i], '=') ||
        dr__sql_is_word(text, &tokens.items[i], ":="))
      found = text + tokens.items[i].end;
  }
  free(tokens.items);
  note_memory(&err, failed);
  return found;
}

static void judge_one(dr_sql_judgement *j, const dr_sql_script *script, size_t index) {
  dr_err err = DR_ERR_INIT;
  json_t *tree = dr__sql_tree(script, index, &err);
  if (tree)
    dr__judge_tree(j, tree);
  else
    dr__judge(j, DR_SQL_RULE_UNREAD, NULL, NULL);
  json_decref(tree);
  note_memory(&err, &j->failed);
}

void dr__judge_text(dr_sql_judgement *j, const char *sql) {
  dr_sql_script script = {0};
  dr_err err = DR_ERR_INIT;
  bool read = j->nested < MAX_NESTED && dr__sql_split(sql, strlen(sql), &script, &err) == DR_OK;
  if (!read) dr__judge(j, DR_SQL_RULE_UNREAD, NULL, NULL);
  j->nested++;
  for (size_t i = 0; read && i < script.count; i++) judge_one(j, &script, i);
  j->nested--;
  dr__sql_script_free(&script);
  note_memory(&err, &j->failed);
}

/* ------------------------------------------------------------ DO */

static const char *query_of(const json_t *fields, const char *name) {
  return dr__tree_text(dr__tree_as(json_object_get(fields, name), "PLpgSQL_expr"), "query");
}

/* EXECUTE 'constant' is as good as the statement itself. */
static void judge_dynamic(dr_sql_judgement *j, const char *expression) {
  json_t *tree = read_expression(expression, &j->failed);
  const json_t *targets = dr__tree_array(dr__tree_as(tree, "SelectStmt"), "targetList");
  const json_t *target = dr__tree_as(json_array_get(targets, 0), "ResTarget");
  const json_t *constant = dr__tree_as(json_object_get(target, "val"), "A_Const");
  const char *text = dr__tree_text(json_object_get(constant, "sval"), "sval");
  if (*text)
    dr__judge_text(j, text);
  else
    dr__judge(j, DR_SQL_RULE_DYNAMIC, NULL, NULL);
  json_decref(tree);
}

/* An expression, an assignment, or the query of a loop or a cursor. */
static void judge_expression(dr_sql_judgement *j, const char *query) {
  json_t *statement = read_statement(query, &j->failed);
  json_t *tree = statement ? NULL : read_expression(query, &j->failed);
  if (!tree && !statement) tree = read_expression(assigned(query, &j->failed), &j->failed);
  if (statement)
    dr__judge_tree(j, statement);
  else
    dr__judge_calls(j, tree);
  json_decref(tree);
  json_decref(statement);
}

static bool judge_part(const char *kind, json_t *fields, void *data) {
  dr_sql_judgement *j = data;
  if (strcmp(kind, "PLpgSQL_stmt_execsql") == 0)
    dr__judge_text(j, query_of(fields, "sqlstmt"));
  else if (strcmp(kind, "PLpgSQL_stmt_perform") == 0 || strcmp(kind, "PLpgSQL_stmt_call") == 0)
    dr__judge_text(j, query_of(fields, "expr"));
  else if (strcmp(kind, "PLpgSQL_stmt_dynexecute") == 0 ||
           strcmp(kind, "PLpgSQL_stmt_dynfors") == 0)
    judge_dynamic(j, query_of(fields, "query"));
  else if (strcmp(kind, "PLpgSQL_expr") == 0)
    judge_expression(j, dr__tree_text(fields, "query"));
  else if (strcmp(kind, "PLpgSQL_stmt_rollback") == 0)
    dr__world_undo(j->world);
  return false;
}

static void judge_do(dr_sql_judgement *j, json_t *fields) {
  dr_err err = DR_ERR_INIT;
  json_t *block = dr__sql_block(fields, &err);
  bool before = j->uncertain;
  j->uncertain = true;
  if (!block) dr__judge(j, DR_SQL_RULE_UNREAD, NULL, "DO");
  dr__tree_any(block, judge_part, j);
  if (!j->kind) dr__judge(j, DR_SQL_RULE_NOTHING, NULL, NULL);
  j->uncertain = before;
  json_decref(block);
  note_memory(&err, &j->failed);
}

static void judge_call(dr_sql_judgement *j, json_t *fields) {
  const json_t *call = json_object_get(fields, "funccall");
  dr__judge(j, DR_SQL_RULE_CALL, NULL, dr__tree_last(dr__tree_array(call, "funcname")));
}

const dr_sql_judge_entry dr__judges_of_blocks[] = {
    {"DoStmt", judge_do}, {"CallStmt", judge_call}, {NULL, NULL}};

/* ------------------------------------------------------------ guards */

static bool is_catalog(const char *kind, json_t *fields, void *data) {
  (void)kind;
  (void)data;
  const char *relation = dr__tree_text(fields, "relname");
  return *relation && (strncmp(relation, "pg_", 3) == 0 ||
                       dr__tree_is(fields, "schemaname", "information_schema"));
}

static bool asks_catalog(const char *condition, bool *failed) {
  json_t *tree = read_expression(condition, failed);
  bool asks = dr__tree_any(tree, is_catalog, NULL);
  json_decref(tree);
  return asks;
}

static bool is_guard(const char *kind, json_t *fields, void *data) {
  if (strcmp(kind, "PLpgSQL_stmt_if") == 0) return asks_catalog(query_of(fields, "cond"), data);
  if (strcmp(kind, "PLpgSQL_condition") != 0) return false;
  const char *name = dr__tree_text(fields, "condname");
  return strncmp(name, "duplicate_", 10) == 0 || strncmp(name, "undefined_", 10) == 0;
}

bool dr__block_is_guarded(const json_t *fields, bool *failed) {
  dr_err err = DR_ERR_INIT;
  json_t *block = dr__sql_block(fields, &err);
  bool guarded = dr__tree_any(block, is_guard, failed);
  json_decref(block);
  note_memory(&err, failed);
  return guarded;
}
