/* postgres/hazard_rules.c - the table of hazard_rules.h as data, and its names. Constant; any
 * thread.
 */
#include "postgres/hazard_rules.h"

#include "postgres/hazards.h"

#include <string.h>

static const dr_sql_rule rules[] = {
#define X(id, name, class, lock, work, loses, reason)                                              \
  {name, DR_SQL_##class, DR_SQL_##lock, DR_SQL_##work, loses, reason},
    DR_SQL_RULES(X)
#undef X
};

static const char *const classes[] = {"compatible", "conditional", "breaking", "unknown"};

static const char *const locks[] = {
    NULL,    "ACCESS SHARE",        "ROW SHARE", "ROW EXCLUSIVE",   "SHARE UPDATE EXCLUSIVE",
    "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"};

const dr_sql_rule *dr__sql_rule(dr_sql_rule_id id) {
  return &rules[id];
}

bool dr__sql_is_rule(const char *name) {
  for (size_t i = 0; i < DR_SQL_RULE_COUNT; i++) {
    if (strcmp(rules[i].name, name) == 0) return true;
  }
  return false;
}

const char *dr__sql_class_name(dr_sql_class value) {
  return classes[value];
}

int dr__sql_class_rank(const char *name) {
  for (int i = DR_SQL_COMPATIBLE; i < DR_SQL_UNKNOWN; i++) {
    if (strcmp(classes[i], name) == 0) return i;
  }
  return DR_SQL_UNKNOWN;
}

const char *dr__sql_lock_name(dr_sql_lock lock) {
  return locks[lock];
}

const char *dr__sql_lock_blocks(dr_sql_lock lock) {
  if (lock == DR_SQL_ACCESS_EXCLUSIVE) return "reads";
  if (lock >= DR_SQL_SHARE) return "writes";
  return lock == DR_SQL_SHARE_UPDATE_EXCLUSIVE ? "schema" : NULL;
}
