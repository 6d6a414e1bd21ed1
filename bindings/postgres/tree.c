/* postgres/tree.c - reads libpg_query's parse trees. Pure, any thread; see the header. */
#include "postgres/tree.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

const char *dr__tree_kind(const json_t *node) {
  void *entry = json_object_iter((json_t *)node);
  return entry ? json_object_iter_key(entry) : "";
}

json_t *dr__tree_fields(const json_t *node) {
  void *entry = json_object_iter((json_t *)node);
  return entry ? json_object_iter_value(entry) : NULL;
}

json_t *dr__tree_as(const json_t *node, const char *kind) {
  return json_object_get(node, kind);
}

const char *dr__tree_text(const json_t *fields, const char *name) {
  const char *text = json_string_value(json_object_get(fields, name));
  return text ? text : "";
}

bool dr__tree_flag(const json_t *fields, const char *name) {
  return json_is_true(json_object_get(fields, name));
}

bool dr__tree_is(const json_t *fields, const char *name, const char *value) {
  return strcmp(dr__tree_text(fields, name), value) == 0;
}

json_t *dr__tree_array(const json_t *fields, const char *name) {
  json_t *array = json_object_get(fields, name);
  return json_is_array(array) ? array : NULL;
}

const char *dr__tree_string(const json_t *node) {
  return dr__tree_text(dr__tree_as(node, "String"), "sval");
}

const char *dr__tree_last(const json_t *strings) {
  size_t count = json_array_size(strings);
  return count ? dr__tree_string(json_array_get(strings, count - 1)) : "";
}

bool dr__tree_option(const json_t *options, const char *name, json_t **argument) {
  size_t i;
  json_t *one;
  if (argument) *argument = NULL;
  json_array_foreach(options, i, one) {
    const json_t *option = dr__tree_as(one, "DefElem");
    if (strcasecmp(dr__tree_text(option, "defname"), name) != 0) continue;
    if (argument) *argument = json_object_get(option, "arg");
    return true;
  }
  return false;
}

bool dr__tree_switch(const json_t *options, const char *name) {
  static const char *const no[] = {"false", "off", "0", "no"};
  json_t *argument;
  if (!dr__tree_option(options, name, &argument)) return false;
  if (!argument) return true;
  const json_t *number = dr__tree_as(argument, "Integer");
  if (number) return json_integer_value(json_object_get(number, "ival")) != 0;
  const json_t *boolean = dr__tree_as(argument, "Boolean");
  if (boolean) return dr__tree_flag(boolean, "boolval");
  for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
    if (strcasecmp(dr__tree_string(argument), no[i]) == 0) return false;
  }
  return true;
}

void dr__tree_relation(char name[DR_SQL_NAME_SIZE], const json_t *range) {
  const char *schema = dr__tree_text(range, "schemaname");
  bool plain = !*schema || strcmp(schema, "public") == 0;
  snprintf(name, DR_SQL_NAME_SIZE, "%s%s%s", plain ? "" : schema, plain ? "" : ".",
           dr__tree_text(range, "relname"));
}

void dr__tree_name(char name[DR_SQL_NAME_SIZE], const json_t *strings, size_t skip) {
  size_t count = json_array_size(strings);
  const char *last = count > skip ? dr__tree_string(json_array_get(strings, count - skip - 1)) : "";
  const char *schema =
      count > skip + 1 ? dr__tree_string(json_array_get(strings, count - skip - 2)) : "";
  bool plain = !*schema || strcmp(schema, "public") == 0;
  snprintf(name, DR_SQL_NAME_SIZE, "%s%s%s", plain ? "" : schema, plain ? "" : ".", last);
}

bool dr__tree_any(json_t *node, dr_tree_test test, void *data) {
  const char *key;
  size_t i;
  json_t *value;
  json_object_foreach(node, key, value) {
    if (json_is_object(value) && test(key, value, data)) return true;
    if (dr__tree_any(value, test, data)) return true;
  }
  json_array_foreach(node, i, value) {
    if (dr__tree_any(value, test, data)) return true;
  }
  return false;
}
