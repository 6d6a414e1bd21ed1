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
  json_t *held;          /* relation → the lock that the transaction holds */
  json_t *marks;         /* relation → its marks */
  json_t *hidden;        /* name of a function or operator → true */
  unsigned path;         /* the search_path: 0 is that of a new session, others have numbers */
  unsigned paths;        /* how many there were */
  bool failed;
};

dr_sql_world *dr__sql_world_new(const json_t *catalog) {
  dr_sql_world *world = calloc(1, sizeof *world);
  if (!world) return NULL;
  world->catalog = catalog;
  world->created = json_object();
  world->columns = json_object();
  world->constraints = json_object();
  world->held = json_object();
  world->marks = json_object();
  world->hidden = json_object();
  bool ready = world->created && world->columns && world->constraints && world->held;
  if (ready && world->marks && world->hidden) return world;
  dr__sql_world_free(world);
  return NULL;
}

void dr__sql_world_free(dr_sql_world *world) {
  if (!world) return;
  json_decref(world->created);
  json_decref(world->columns);
  json_decref(world->constraints);
  json_decref(world->held);
  json_decref(world->marks);
  json_decref(world->hidden);
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

/* ------------------------------------------------------------ names
 *
 * A place is what a name means: "schema.table", "table" by the path of a new session, "3 table" by
 * the third that was set. */

enum { PLACE_SIZE = 2 * DR_SQL_NAME_SIZE, KEY_SIZE = PLACE_SIZE + 16 };

static const char temporary[] = "pg_temp.";

static void place_of(char place[PLACE_SIZE], const dr_sql_world *world, const char *kind,
                     const char *name) {
  bool has_place = dr__tree_schema_length(name) > 0 || strcmp(kind, "schema") == 0;
  if (!has_place && strcmp(kind, "relation") == 0 && dr__world_is_temporary(world, name))
    snprintf(place, PLACE_SIZE, "%s%s", temporary, name);
  else if (has_place || world->path == 0)
    snprintf(place, PLACE_SIZE, "%s", name);
  else
    snprintf(place, PLACE_SIZE, "%u %s", world->path, name);
}

static void key_of(char key[KEY_SIZE], const dr_sql_world *world, const char *kind,
                   const char *name) {
  char place[PLACE_SIZE];
  place_of(place, world, kind, name);
  snprintf(key, KEY_SIZE, "%s %s", kind, place);
}

/* The name without the path and the schema. A name that begins with a digit is in quotes. */
static const char *last_part(const char *place) {
  if (place[0] >= '0' && place[0] <= '9') return strchr(place, ' ') + 1;
  size_t schema = dr__tree_schema_length(place);
  return schema > 0 ? place + schema + 1 : place;
}

/* Two places may be the same unless both have a schema. */
static bool may_be_same(const char *place, const char *other) {
  bool known = dr__tree_schema_length(place) > 0 && dr__tree_schema_length(other) > 0;
  return !known && strcmp(last_part(place), last_part(other)) == 0;
}

bool dr__world_is_temporary(const dr_sql_world *world, const char *name) {
  char key[KEY_SIZE];
  snprintf(key, sizeof key, "relation %s%s", temporary, name);
  return json_object_get(world->created, key) != NULL;
}

void dr__world_new_path(dr_sql_world *world) {
  world->path = ++world->paths;
}

static void remove_beginning(json_t *object, const char *beginning) {
  const char *key;
  json_t *value;
  void *next;
  json_object_foreach_safe(object, next, key, value) {
    if (strncmp(key, beginning, strlen(beginning)) == 0) json_object_del(object, key);
  }
}

void dr__world_drop_temporary(dr_sql_world *world) {
  remove_beginning(world->created, "relation pg_temp.");
  remove_beginning(world->columns, temporary);
  remove_beginning(world->constraints, temporary);
}

void dr__world_new_transaction(dr_sql_world *world) {
  if (world->path > 0) dr__world_new_path(world);
}

void dr__world_next_step(dr_sql_world *world) {
  dr__world_unlock(world);
  dr__world_drop_temporary(world);
  dr__world_new_transaction(world);
}

void dr__sql_world_new_session(dr_sql_world *world) {
  dr__world_drop_temporary(world);
  world->path = 0;
}

void dr__world_undo(dr_sql_world *world) {
  const char *relation, *name;
  json_t *columns, *column;
  json_object_clear(world->created);
  json_object_clear(world->constraints);
  dr__world_new_transaction(world);
  json_object_foreach(world->columns, relation, columns) {
    json_object_foreach(columns, name, column) {
      json_object_del(column, "added");
      json_object_del(column, "type");
      if (json_object_set_new(column, "unsure", json_true()) != 0) world->failed = true;
    }
  }
}

/* ------------------------------------------------------------ locks */

void dr__world_hold(dr_sql_world *world, const char *relation, dr_sql_lock lock) {
  json_int_t before = json_integer_value(json_object_get(world->held, relation));
  if (lock > before && json_object_set_new(world->held, relation, json_integer(lock)) != 0)
    world->failed = true;
}

void dr__world_unlock(dr_sql_world *world) {
  json_object_clear(world->held);
}

const json_t *dr__world_held(const dr_sql_world *world) {
  return world->held;
}

/* ------------------------------------------------------------ things */

/* "pg_class" names PostgreSQL's own, whatever else has that name. */
static bool is_own_name(const char *name) {
  return strncmp(name, "pg_", 3) == 0 && dr__tree_schema_length(name) == 0;
}

void dr__world_create(dr_sql_world *world, const char *kind, const char *name) {
  char key[KEY_SIZE];
  if (is_own_name(name)) return;
  key_of(key, world, kind, name);
  bool hidden = strcmp(kind, "relation") == 0 && dr__tree_schema_length(name) == 0 &&
                dr__world_is_temporary(world, name);
  if (hidden) return; /* behind a temporary one of its name, which is what the name means */
  if (json_object_set_new(world->created, key, json_true()) != 0) world->failed = true;
}

void dr__world_forget(dr_sql_world *world, const char *kind, const char *name) {
  char key[KEY_SIZE], place[PLACE_SIZE];
  key_of(key, world, kind, name);
  place_of(place, world, kind, name);
  json_object_del(world->created, key);
  if (strcmp(kind, "relation") != 0) return;
  json_object_del(world->columns, place);
  json_object_del(world->constraints, place);
}

bool dr__world_created(const dr_sql_world *world, const char *kind, const char *name) {
  char key[KEY_SIZE];
  key_of(key, world, kind, name);
  if (json_object_get(world->created, key)) return true;
  size_t schema = strcmp(kind, "schema") == 0 ? 0 : dr__tree_schema_length(name);
  if (schema == 0) return false;
  snprintf(key, sizeof key, "schema %.*s", (int)schema, name);
  return json_object_get(world->created, key) != NULL;
}

/* ------------------------------------------------------------ what is not as new as it seems */

void dr__world_mark(dr_sql_world *world, const char *relation, int marks) {
  char place[PLACE_SIZE];
  place_of(place, world, "relation", relation);
  json_int_t before = json_integer_value(json_object_get(world->marks, place));
  if (json_object_set_new(world->marks, place, json_integer(before | marks)) != 0)
    world->failed = true;
}

int dr__world_marks(const dr_sql_world *world, const char *relation) {
  char place[PLACE_SIZE];
  const char *other;
  json_t *value;
  json_int_t marks = 0;
  place_of(place, world, "relation", relation);
  json_object_foreach(world->marks, other, value) {
    if (strcmp(place, other) == 0 || may_be_same(place, other)) marks |= json_integer_value(value);
  }
  return (int)marks;
}

void dr__world_hide_own(dr_sql_world *world, const char *name) {
  bool noted = !*name || json_object_set_new(world->hidden, name, json_true()) == 0;
  if (!noted) world->failed = true;
}

bool dr__world_hides_own(const dr_sql_world *world, const char *name) {
  return json_object_get(world->hidden, name) != NULL;
}

/* ------------------------------------------------------------ columns */

/* The caller may leave out "public." and quotes. */
static const json_t *columns_in_catalog(const dr_sql_world *world, const char *relation) {
  char name[DR_SQL_NAME_SIZE + 8];
  size_t schema = dr__tree_schema_length(relation), length = strlen(relation);
  const json_t *columns = json_object_get(world->catalog, relation);
  if (!columns && schema == 0) {
    snprintf(name, sizeof name, "public.%s", relation);
    columns = json_object_get(world->catalog, name);
  }
  if (!columns && schema == 6 && strncmp(relation, "public", 6) == 0)
    columns = json_object_get(world->catalog, relation + 7);
  if (!columns && schema == 0 && length > 2 && relation[0] == '"') {
    snprintf(name, sizeof name, "%.*s", (int)length - 2, relation + 1);
    columns = json_object_get(world->catalog, name);
  }
  return columns;
}

/* A type, or {type, not_null}; nothing for a name that means something else than to the caller. */
static const json_t *in_catalog(const dr_sql_world *world, const char *relation,
                                const char *column) {
  bool known = dr__tree_schema_length(relation) > 0 ||
               (world->path == 0 && !dr__world_is_temporary(world, relation));
  if (dr__world_marks(world, relation) & DR_SQL_RENAMED) return NULL;
  return known ? json_object_get(columns_in_catalog(world, relation), column) : NULL;
}

static void read_catalog(dr_sql_world *world, const char *relation, const char *column,
                         dr_sql_column *known) {
  const json_t *fact = in_catalog(world, relation, column);
  const char *text = json_string_value(json_is_object(fact) ? json_object_get(fact, "type") : fact);
  const json_t *checked = json_object_get(fact, "checked");
  dr_err err = DR_ERR_INIT;
  known->required = dr__tree_flag(fact, "not_null");
  known->unsure = !json_is_boolean(json_object_get(fact, "not_null"));
  known->checked = !json_is_boolean(checked) || json_is_true(checked);
  known->type = text ? dr__sql_type_read(text, &err) : NULL;
  if (strcmp(err.code, "out_of_memory") == 0) world->failed = true;
  dr_err_clear(&err);
}

/* True when the column was changed under another name that may mean the table. */
static bool read_others(const dr_sql_world *world, const char *place, const char *column,
                        dr_sql_column *known) {
  const char *other;
  json_t *columns;
  bool found = false;
  json_object_foreach(world->columns, other, columns) {
    const json_t *noted = json_object_get(columns, column);
    if (!noted || strcmp(place, other) == 0 || !may_be_same(place, other)) continue;
    known->required |= dr__tree_flag(noted, "required");
    known->unsure |= dr__tree_flag(noted, "unsure");
    known->checked |= dr__tree_flag(noted, "checked");
    found = true;
  }
  return found;
}

dr_sql_column dr__world_column(dr_sql_world *world, const char *relation, const char *column) {
  dr_sql_column known = {0};
  char place[PLACE_SIZE];
  place_of(place, world, "relation", relation);
  json_t *noted = json_object_get(json_object_get(world->columns, place), column);
  known.added = dr__tree_flag(noted, "added");
  if (noted) {
    known.required = dr__tree_flag(noted, "required");
    known.unsure = dr__tree_flag(noted, "unsure");
    known.checked = dr__tree_flag(noted, "checked");
    known.type = json_incref(json_object_get(noted, "type"));
  } else {
    read_catalog(world, relation, column, &known);
  }
  if (read_others(world, place, column, &known)) {
    json_decref(known.type);
    known.type = NULL;
  }
  int marks = dr__world_marks(world, relation);
  known.unsure |= (marks & DR_SQL_FORBIDS_NULL) != 0;
  known.checked |= (marks & DR_SQL_CHECKED) != 0;
  return known;
}

void dr__world_set_column(dr_sql_world *world, const char *relation, const char *column,
                          const dr_sql_column *known) {
  char place[PLACE_SIZE];
  place_of(place, world, "relation", relation);
  json_t *noted = json_pack("{s:b, s:b, s:b, s:b}", "added", known->added, "required",
                            known->required, "unsure", known->unsure, "checked", known->checked);
  if (known->type && json_object_set(noted, "type", known->type) != 0) world->failed = true;
  set_in(world, world->columns, place, column, noted);
}

/* ------------------------------------------------------------ constraints */

static json_t *constraints_of(const dr_sql_world *world, const char *relation) {
  char place[PLACE_SIZE];
  place_of(place, world, "relation", relation);
  return json_object_get(world->constraints, place);
}

void dr__world_add_constraint(dr_sql_world *world, const char *relation, const char *name,
                              const char *not_null, bool valid) {
  char place[PLACE_SIZE];
  place_of(place, world, "relation", relation);
  set_in(world, world->constraints, place, name,
         json_pack("{s:s, s:b}", "column", not_null, "valid", valid));
}

void dr__world_validate(dr_sql_world *world, const char *relation, const char *name) {
  json_t *constraint = json_object_get(constraints_of(world, relation), name);
  if (constraint && json_object_set_new(constraint, "valid", json_true()) != 0)
    world->failed = true;
}

void dr__world_drop_constraint(dr_sql_world *world, const char *relation, const char *name) {
  json_object_del(constraints_of(world, relation), name);
}

bool dr__world_has_constraint(const dr_sql_world *world, const char *relation, const char *name) {
  return json_object_get(constraints_of(world, relation), name) != NULL;
}

bool dr__world_is_checked(const dr_sql_world *world, const char *relation, const char *column) {
  json_t *all = constraints_of(world, relation);
  const char *name;
  json_t *one;
  json_object_foreach(all, name, one) {
    if (dr__tree_flag(one, "valid") && dr__tree_is(one, "column", column)) return true;
  }
  return false;
}
