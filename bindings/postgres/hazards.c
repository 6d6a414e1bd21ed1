/* postgres/hazards.c - judges scripts statement by statement and writes the result as JSON. Pure;
 * one thread at a time. The judges are in hazard_*.c, the judgements in hazard_rules.h; contract in
 * the header. Called by classify.c and the review of migrations. */
#include "postgres/hazards.h"

#include "postgres/hazard_accept.h"
#include "postgres/hazard_judge.h"
#include "postgres/hazard_lint.h"
#include "text.h"

#include "core/err.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_SIZE = 2001 };

typedef struct classifier {
  const dr_sql_script *script;
  dr_sql_world *world;
  json_t *statements;
  json_t *problems;
  dr_sql_lint lint;
  dr_sql_class worst;
  dr_err *err;
} classifier;

/* ------------------------------------------------------------ one statement as JSON */

static void set(json_t *object, const char *key, json_t *value, bool *failed) {
  if (json_object_set_new(object, key, value) != 0) *failed = true;
}

static void set_text(json_t *object, const char *key, const char *text, bool *failed) {
  if (text) set(object, key, json_string(text), failed);
}

/* Calls `put` for each relation, most locked first. */
static void each_relation(const dr_sql_judgement *j, json_t *out,
                          bool (*put)(json_t *out, const char *relation, dr_sql_lock lock),
                          bool *failed) {
  for (int lock = DR_SQL_ACCESS_EXCLUSIVE; lock > DR_SQL_NO_LOCK; lock--) {
    const char *relation;
    json_t *value;
    json_object_foreach(j->on, relation, value) {
      if (json_integer_value(value) == lock && !put(out, relation, (dr_sql_lock)lock))
        *failed = true;
    }
  }
}

static bool put_name(json_t *out, const char *relation, dr_sql_lock lock) {
  (void)lock;
  return json_array_append_new(out, json_string(relation)) == 0;
}

static bool put_lock(json_t *out, const char *relation, dr_sql_lock lock) {
  return json_object_set_new(out, relation, json_string(dr__sql_lock_name(lock))) == 0;
}

static void put_relations(json_t *out, const dr_sql_judgement *j, bool *failed) {
  json_t *names = json_array();
  json_t *locks = json_object();
  each_relation(j, names, put_name, failed);
  each_relation(j, locks, put_lock, failed);
  set(out, "on", names, failed);
  set(out, "locks", locks, failed);
}

static char *join(const json_t *texts) {
  dr_text out = {0};
  size_t i;
  json_t *one;
  json_array_foreach(texts, i, one) {
    dr__text_puts(&out, i > 0 ? "; " : "");
    dr__text_puts(&out, json_string_value(one));
  }
  return dr__text_take(&out);
}

static const char *control_name(dr_sql_control control) {
  static const char *const names[] = {NULL, "begin", "commit", "rollback", "savepoint", "prepared"};
  return names[control];
}

static void put_place(json_t *out, const dr_sql_script *script, size_t index, bool *failed) {
  const dr_sql_statement *statement = &script->statements[index];
  char text[TEXT_SIZE];
  char *whole = dr__sql_text(script, index);
  if (!whole) *failed = true;
  dr__copy_text(text, sizeof text, whole ? whole : "");
  free(whole);
  set(out, "line", json_integer(statement->line), failed);
  set_text(out, "text", text, failed);
  set_text(out, "transaction", statement->alone ? "alone" : "inside", failed);
  set_text(out, "alone", statement->alone, failed);
  set_text(out, "control", control_name(statement->control), failed);
}

static void put_judgement(json_t *out, const dr_sql_judgement *j, bool *failed) {
  set_text(out, "kind", j->kind->name, failed);
  set_text(out, "class", dr__sql_class_name(j->class), failed);
  put_relations(out, j, failed);
  set(out, "hazards", json_incref(j->hazards), failed);
  set_text(out, "lock", dr__sql_lock_name(j->lock), failed);
  set_text(out, "blocks", dr__sql_lock_blocks(j->lock), failed);
  set(out, "scan", json_boolean(j->work >= DR_SQL_SCANS), failed);
  set(out, "rewrite", json_boolean(j->work == DR_SQL_REWRITES), failed);
  if (json_array_size(j->loses) == 0) return;
  char *loses = join(j->loses);
  set(out, "loses", loses ? json_string(loses) : NULL, failed);
  free(loses);
}

/* ------------------------------------------------------------ judging */

/* The tree, or NULL with *deep set when the statement is nested too deep for one. */
static json_t *read_tree(classifier *c, size_t index, bool *deep) {
  dr_err err = DR_ERR_INIT;
  json_t *tree = dr__sql_tree(c->script, index, &err);
  *deep = !tree && strcmp(err.code, "postgres.too_large") == 0;
  if (!tree && !*deep && c->err) dr__err_move(c->err, &err);
  dr_err_clear(&err);
  return tree;
}

static int put_statement(classifier *c, size_t index, const dr_sql_judgement *j) {
  json_t *out = json_object();
  json_t *accepted = json_array();
  bool failed = j->failed;
  put_place(out, c->script, index, &failed);
  put_judgement(out, j, &failed);
  failed |= !dr__accept(c->script, index, j->hazards, accepted, c->problems);
  set(out, "accepted", accepted, &failed);
  if (json_array_append_new(c->statements, out) != 0) failed = true;
  return failed ? dr__err_nomem(c->err) : DR_OK;
}

static int classify_one(classifier *c, size_t index) {
  bool deep;
  json_t *tree = read_tree(c, index, &deep);
  if (!tree && !deep) return DR_FAILED;
  dr_sql_judgement j;
  int status = dr__judgement_begin(&j, c->world);
  if (status != DR_OK) dr__err_nomem(c->err);
  if (status == DR_OK) {
    bool alone = c->script->statements[index].alone != NULL;
    if (alone) dr__world_next_step(c->world);
    if (tree)
      dr__judge_tree(&j, tree);
    else
      dr__judge(&j, DR_SQL_RULE_UNREAD, NULL, "too long, or nested too deep");
    dr__judge_held(&j);
    if (alone) dr__world_next_step(c->world);
    if (!j.kind) dr__judge(&j, DR_SQL_RULE_NOTHING, NULL, NULL);
    if (j.class > c->worst) c->worst = j.class;
    status = put_statement(c, index, &j);
  }
  if (tree) dr__lint(&c->lint, index, tree);
  json_decref(tree);
  dr__judgement_free(&j);
  return status;
}

static int classify_all(classifier *c) {
  int status = DR_OK;
  dr__world_unlock(c->world);
  for (size_t i = 0; status == DR_OK && i < c->script->count; i++) status = classify_one(c, i);
  if (status != DR_OK) return status;
  bool failed =
      c->lint.failed || dr__world_failed(c->world) || !dr__accept_leftover(c->script, c->problems);
  return failed ? dr__err_nomem(c->err) : DR_OK;
}

json_t *dr__sql_classify(const dr_sql_script *script, dr_sql_world *world, dr_err *err) {
  dr_sql_world *own = world ? NULL : dr__sql_world_new(NULL);
  classifier c = {.script = script,
                  .world = world ? world : own,
                  .statements = json_array(),
                  .problems = json_array(),
                  .lint = {.script = script,
                           .world = world ? world : own,
                           .written = json_object(),
                           .out = json_array()},
                  .err = err};
  bool ready = c.world && c.statements && c.problems && c.lint.written && c.lint.out;
  int status = ready ? classify_all(&c) : dr__err_nomem(err);
  json_t *out = NULL;
  if (status == DR_OK) {
    out = json_pack("{s:s, s:O, s:O, s:O}", "class", dr__sql_class_name(c.worst), "statements",
                    c.statements, "lint", c.lint.out, "problems", c.problems);
    if (!out) dr__err_nomem(err);
  }
  json_decref(c.statements);
  json_decref(c.problems);
  json_decref(c.lint.written);
  json_decref(c.lint.out);
  dr__sql_world_free(own);
  return out;
}
