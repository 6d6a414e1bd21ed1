/* postgres/sql_world.c - what is known of the database while scripts are judged. Pure; one thread
 * at a time. See the header. */
#include "postgres/sql_world.h"

#include "postgres/sql_type.h"
#include "postgres/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct dr_sql_world {
  const json_t *catalog; /* of the caller, or NULL */
  json_t *created;       /* "kind name" → true */
  json_t *columns;       /* relation → column → {added, required, type} */
  json_t *constraints;   /* relation → name → {column, valid} */
  bool failed;
};

dr_sql_world *dr__sql_world_new(const json_t *catalog) {
  dr_sql_world *world = calloc(1, sizeof *world);
  if (!world) return NULL;
  world->catalog = catalog;
  world->created = json_object();
  world->columns = json_object();
  world->constraints = json_object();
  if (world->created && world->columns && world->constraints) return world;
  dr__sql_world_free(world);
  return NULL;
}

void dr__sql_world_free(dr_sql_world *world) {
  if (!world) return;
  json_decref(world->created);
  json_decref(world->columns);
  json_decref(world->constraints);
  free(world);
}

bool dr__world_failed(const dr_sql_world *world) {
  return world->failed;
}

/* Sets a value (reference taken over) in the object that `map` has for a relation. */
static void set_in(dr_sql_world *world, json_t *map, const char *relation, const char *key,
                   json_t *value) {
  json_t *inner = json_object_get(map, relation);
  if (!inner) {
    inner = json_object();
    if (json_object_set_new(map, relation, inner) != 0) inner = NULL;
  }
  if (json_object_set_new(inner, key, value) != 0) world->failed = true;
}

/* ------------------------------------------------------------ things */

enum { KEY_SIZE = DR_SQL_NAME_SIZE + 16 };

static void key_of(char key[KEY_SIZE], const char *kind, const char *name) {
  snprintf(key, KEY_SIZE, "%s %s", kind, name);
}

void dr__world_create(dr_sql_world *world, const char *kind, const char *name) {
  char key[KEY_SIZE];
  key_of(key, kind, name);
  if (json_object_set_new(world->created, key, json_true()) != 0) world->failed = true;
}

void dr__world_forget(dr_sql_world *world, const char *kind, const char *name) {
  char key[KEY_SIZE];
  key_of(key, kind, name);
  json_object_del(world->created, key);
  if (strcmp(kind, "relation") != 0) return;
  json_object_del(world->columns, name);
  json_object_del(world->constraints, name);
}

bool dr__world_created(const dr_sql_world *world, const char *kind, const char *name) {
  char key[KEY_SIZE];
  key_of(key, kind, name);
  if (json_object_get(world->created, key)) return true;
  const char *dot = strchr(name, '.');
  if (!dot || strcmp(kind, "schema") == 0) return false;
  snprintf(key, sizeof key, "schema %.*s", (int)(dot - name), name);
  return json_object_get(world->created, key) != NULL;
}

/* ------------------------------------------------------------ columns */

/* A type, or {type, not_null}. */
static const json_t *in_catalog(const dr_sql_world *world, const char *relation,
                                const char *column) {
  const json_t *columns = json_object_get(world->catalog, relation);
  char name[DR_SQL_NAME_SIZE];
  snprintf(name, sizeof name, "public.%s", relation);
  if (!columns) columns = json_object_get(world->catalog, name);
  return json_object_get(columns, column);
}

dr_sql_column dr__world_column(dr_sql_world *world, const char *relation, const char *column) {
  dr_sql_column known = {0};
  json_t *noted = json_object_get(json_object_get(world->columns, relation), column);
  known.added = dr__tree_flag(noted, "added");
  known.required = dr__tree_flag(noted, "required");
  known.type = json_incref(json_object_get(noted, "type"));
  if (noted) return known;
  const json_t *fact = in_catalog(world, relation, column);
  const char *text = json_string_value(json_is_object(fact) ? json_object_get(fact, "type") : fact);
  known.required = dr__tree_flag(fact, "not_null");
  dr_err err = DR_ERR_INIT;
  known.type = text ? dr__sql_type_read(text, &err) : NULL;
  if (strcmp(err.code, "out_of_memory") == 0) world->failed = true;
  dr_err_clear(&err);
  return known;
}

void dr__world_set_column(dr_sql_world *world, const char *relation, const char *column,
                          const dr_sql_column *known) {
  json_t *noted = json_pack("{s:b, s:b}", "added", known->added, "required", known->required);
  if (known->type && json_object_set(noted, "type", known->type) != 0) world->failed = true;
  set_in(world, world->columns, relation, column, noted);
}

/* ------------------------------------------------------------ constraints */

static json_t *constraint_of(const dr_sql_world *world, const char *relation, const char *name) {
  return json_object_get(json_object_get(world->constraints, relation), name);
}

void dr__world_add_constraint(dr_sql_world *world, const char *relation, const char *name,
                              const char *not_null, bool valid) {
  set_in(world, world->constraints, relation, name,
         json_pack("{s:s, s:b}", "column", not_null, "valid", valid));
}

void dr__world_validate(dr_sql_world *world, const char *relation, const char *name) {
  json_t *constraint = constraint_of(world, relation, name);
  if (constraint && json_object_set_new(constraint, "valid", json_true()) != 0)
    world->failed = true;
}

bool dr__world_has_constraint(const dr_sql_world *world, const char *relation, const char *name) {
  return constraint_of(world, relation, name) != NULL;
}

bool dr__world_is_checked(const dr_sql_world *world, const char *relation, const char *column) {
  json_t *all = json_object_get(world->constraints, relation);
  const char *name;
  json_t *one;
  json_object_foreach(all, name, one) {
    if (dr__tree_flag(one, "valid") && dr__tree_is(one, "column", column)) return true;
  }
  return false;
}
