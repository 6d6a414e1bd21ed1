/* postgres/hazard_judge.c - collects what a statement does. Pure; one thread at a time. See the
 * header. */
#include "postgres/hazard_judge.h"

#include "core/err.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

int dr__judgement_begin(dr_sql_judgement *j, dr_sql_world *world) {
  *j = (dr_sql_judgement){
      .world = world, .on = json_object(), .hazards = json_array(), .loses = json_array()};
  return j->on && j->hazards && j->loses ? DR_OK : DR_FAILED;
}

void dr__judgement_free(dr_sql_judgement *j) {
  json_decref(j->on);
  json_decref(j->hazards);
  json_decref(j->loses);
  *j = (dr_sql_judgement){0};
}

/* ------------------------------------------------------------ findings */

void dr__judge_also(dr_sql_judgement *j, const char *relation, dr_sql_lock lock) {
  if (lock == DR_SQL_NO_LOCK || dr__world_created(j->world, "relation", relation)) return;
  json_int_t before = json_integer_value(json_object_get(j->on, relation));
  if (lock > before && json_object_set_new(j->on, relation, json_integer(lock)) != 0)
    j->failed = true;
  if (lock > j->lock) j->lock = lock;
}

static bool is_noted(const json_t *hazards, const char *name, const char *reason) {
  size_t i;
  json_t *one;
  json_array_foreach(hazards, i, one) {
    if (dr__tree_is(one, "hazard", name) && dr__tree_is(one, "reason", reason)) return true;
  }
  return false;
}

static void note_hazard(dr_sql_judgement *j, const dr_sql_rule *rule, const char *object) {
  char reason[512];
  snprintf(reason, sizeof reason, "%s%s%s", object ? object : "", object ? ": " : "", rule->reason);
  if (is_noted(j->hazards, rule->name, reason)) return;
  json_t *hazard = json_pack("{s:s, s:s, s:s}", "hazard", rule->name, "class",
                             dr__sql_class_name(rule->class), "reason", reason);
  if (json_array_append_new(j->hazards, hazard) != 0) j->failed = true;
}

static void note_loss(dr_sql_judgement *j, const dr_sql_rule *rule, const char *object) {
  char text[DR_SQL_NAME_SIZE * 2];
  snprintf(text, sizeof text, "%s%s%s", object ? object : "", object ? ": " : "", rule->loses);
  size_t i;
  json_t *one;
  json_array_foreach(j->loses, i, one) {
    if (strcmp(json_string_value(one), text) == 0) return;
  }
  if (json_array_append_new(j->loses, json_string(text)) != 0) j->failed = true;
}

/* A statement is named after the heaviest thing it does. */
static void take_kind(dr_sql_judgement *j, const dr_sql_rule *rule) {
  if (j->kind && rule->class <= j->kind->class &&
      (rule->class < j->kind->class || rule->lock <= j->kind->lock))
    return;
  j->kind = rule;
}

static void note_bulk(dr_sql_judgement *j, dr_sql_lock lock) {
  if (!j->is_bulk || lock < j->bulk_lock) j->bulk_lock = lock;
  j->is_bulk = true;
}

void dr__judge_bulk(dr_sql_judgement *j, dr_sql_lock lock) {
  if (json_object_size(j->on) > 0) note_bulk(j, lock);
}

void dr__judge_lock(dr_sql_judgement *j, dr_sql_rule_id id, const char *relation,
                    const char *object, dr_sql_lock lock) {
  const dr_sql_rule *rule = dr__sql_rule(id);
  take_kind(j, rule);
  if (relation && dr__world_created(j->world, "relation", relation)) return;
  if (relation) dr__judge_also(j, relation, lock);
  if (!relation && lock > j->lock) j->lock = lock;
  if (rule->class > j->class) j->class = rule->class;
  if (rule->work > j->work) j->work = rule->work;
  if (rule->work != DR_SQL_READS && id != DR_SQL_RULE_TRUNCATE) note_bulk(j, lock);
  bool holds_up = rule->work != DR_SQL_READS && lock >= DR_SQL_SHARE;
  bool hazard = rule->class != DR_SQL_COMPATIBLE || rule->loses || holds_up;
  if (hazard) note_hazard(j, rule, object ? object : relation);
  if (rule->loses) note_loss(j, rule, object ? object : relation);
}

void dr__judge(dr_sql_judgement *j, dr_sql_rule_id id, const char *relation, const char *object) {
  dr__judge_lock(j, id, relation, object, dr__sql_rule(id)->lock);
}

void dr__judge_relations(dr_sql_judgement *j, dr_sql_rule_id id, const json_t *relations) {
  size_t i;
  json_t *one;
  json_array_foreach(relations, i, one) {
    char relation[DR_SQL_NAME_SIZE];
    dr__tree_relation(relation, dr__tree_as(one, "RangeVar"));
    dr__judge(j, id, relation, NULL);
  }
}

void dr__judge_own(dr_sql_judgement *j, dr_sql_rule_id id, const char *relation) {
  const dr_sql_rule *rule = dr__sql_rule(id);
  take_kind(j, rule);
  if (relation) dr__judge_also(j, relation, rule->lock);
}

/* ------------------------------------------------------------ locks that are held */

static void note_held(dr_sql_judgement *j, const char *relation, dr_sql_lock lock) {
  char object[DR_SQL_NAME_SIZE + 32];
  snprintf(object, sizeof object, "%s (%s)", relation, dr__sql_lock_name(lock));
  note_hazard(j, dr__sql_rule(DR_SQL_RULE_HELD_LOCK), object);
  if (j->work < DR_SQL_SCANS) j->work = DR_SQL_SCANS;
}

void dr__judge_held(dr_sql_judgement *j) {
  const json_t *held = dr__world_held(j->world);
  const char *relation;
  json_t *value;
  json_object_foreach(j->on, relation, value) {
    dr_sql_lock lock = (dr_sql_lock)json_integer_value(value);
    bool own = lock >= DR_SQL_SHARE && lock > j->bulk_lock;
    if (j->is_bulk && own) note_held(j, relation, lock);
  }
  json_object_foreach((json_t *)held, relation, value) {
    dr_sql_lock lock = (dr_sql_lock)json_integer_value(value);
    bool more = lock > json_integer_value(json_object_get(j->on, relation));
    if (!j->is_bulk || lock < DR_SQL_SHARE || !more) continue;
    note_held(j, relation, lock);
    if (json_object_set(j->on, relation, value) != 0) j->failed = true;
    if (lock > j->lock) j->lock = lock;
  }
  json_object_foreach(j->on, relation, value) {
    dr__world_hold(j->world, relation, (dr_sql_lock)json_integer_value(value));
  }
}

void dr__judge_created(dr_sql_judgement *j, const char *kind, const char *name, bool certain) {
  if (certain && !j->uncertain) dr__world_create(j->world, kind, name);
}

/* ------------------------------------------------------------ what is read */

typedef struct reading {
  dr_sql_judgement *j;
  json_t *tree;
  const char *name; /* of a query of a WITH that is looked for */
} reading;

static bool is_named_query(const char *kind, json_t *fields, void *data) {
  const reading *r = data;
  return strcmp(kind, "CommonTableExpr") == 0 && dr__tree_is(fields, "ctename", r->name);
}

static bool note_read(const char *kind, json_t *fields, void *data) {
  (void)kind;
  reading *r = data;
  r->name = dr__tree_text(fields, "relname");
  if (!*r->name) return false;
  bool named = !json_object_get(fields, "schemaname") && dr__tree_any(r->tree, is_named_query, r);
  char relation[DR_SQL_NAME_SIZE];
  dr__tree_relation(relation, fields);
  if (!named) dr__judge_also(r->j, relation, DR_SQL_ACCESS_SHARE);
  return false;
}

/* Queries that a WITH of the statement holds may write, too. */
static bool judge_with(const char *kind, json_t *fields, void *data) {
  static const char *const writers[] = {"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"};
  json_t *query = strcmp(kind, "CommonTableExpr") == 0 ? json_object_get(fields, "ctequery") : NULL;
  for (size_t i = 0; i < sizeof writers / sizeof *writers; i++) {
    if (dr__tree_as(query, writers[i])) dr__judge_tree(data, query);
  }
  return false;
}

void dr__judge_queries(dr_sql_judgement *j, json_t *part) {
  dr__tree_any(part, judge_with, j);
  dr__judge_reads(j, part);
}

void dr__judge_reads(dr_sql_judgement *j, json_t *part) {
  reading r = {.j = j, .tree = part};
  dr__tree_any(part, note_read, &r);
}

/* ------------------------------------------------------------ NULLs */

bool dr__is_null(const json_t *expression) {
  const json_t *cast = dr__tree_as(expression, "TypeCast");
  const json_t *collated = dr__tree_as(expression, "CollateClause");
  if (cast || collated) return dr__is_null(json_object_get(cast ? cast : collated, "arg"));
  return dr__tree_flag(dr__tree_as(expression, "A_Const"), "isnull");
}

/* Comparisons with NULL are NULL, which a CHECK takes for true. */
static bool tells_null(const char *kind, json_t *fields, void *data) {
  static const char *const plain[] = {"BoolExpr", "ColumnRef", "A_Const", "TypeCast",
                                      "TypeName", "String",    "List",    "A_ArrayExpr"};
  (void)data;
  if (strcmp(kind, "A_Expr") == 0)
    return dr__tree_is(fields, "kind", "AEXPR_DISTINCT") ||
           dr__tree_is(fields, "kind", "AEXPR_NOT_DISTINCT");
  if (!isupper((unsigned char)*kind)) return false; /* a field, no node */
  for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
    if (strcmp(kind, plain[i]) == 0) return false;
  }
  return true;
}

bool dr__may_forbid_null(json_t *condition) {
  return dr__tree_any(condition, tells_null, NULL);
}

/* ------------------------------------------------------------ who judges what */

static dr_sql_judge *find(const dr_sql_judge_entry *entry, const char *kind) {
  while (entry->node && strcmp(entry->node, kind) != 0) entry++;
  return entry->judge;
}

static dr_sql_judge *judge_of(const char *kind) {
  dr_sql_judge *judge = find(dr__judges_of_tables, kind);
  if (!judge) judge = find(dr__judges_of_creates, kind);
  if (!judge) judge = find(dr__judges_of_drops, kind);
  if (!judge) judge = find(dr__judges_of_objects, kind);
  if (!judge) judge = find(dr__judges_of_data, kind);
  if (!judge) judge = find(dr__judges_of_blocks, kind);
  return judge;
}

/* Of these the functions in them are kept for later, or are judged with the statements in them. */
static bool runs_its_calls(const char *kind) {
  static const char *const keeps[] = {"ViewStmt",         "CreateFunctionStmt", "RuleStmt",
                                      "CreateTrigStmt",   "CreatePolicyStmt",   "AlterPolicyStmt",
                                      "CreateStatsStmt",  "DefineStmt",         "CreateDomainStmt",
                                      "CreateSchemaStmt", "ExplainStmt",        "CallStmt"};
  for (size_t i = 0; i < sizeof keeps / sizeof *keeps; i++) {
    if (strcmp(kind, keeps[i]) == 0) return false;
  }
  return true;
}

void dr__judge_tree(dr_sql_judgement *j, json_t *tree) {
  const char *kind = dr__tree_kind(tree);
  dr_sql_judge *judge = judge_of(kind);
  if (runs_its_calls(kind)) dr__judge_calls(j, tree);
  if (judge)
    judge(j, dr__tree_fields(tree));
  else
    dr__judge(j, DR_SQL_RULE_UNREAD, NULL, NULL);
}
