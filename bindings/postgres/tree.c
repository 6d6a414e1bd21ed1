/* postgres/tree.c - reads libpg_query's parse trees. Pure, any thread; see the header. */
#include "postgres/tree.h"

#include <ctype.h>
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

/* True for a name that PostgreSQL reads as it stands, without quotes. */
static bool is_plain(const char *part) {
  if (isdigit((unsigned char)*part)) return false;
  for (; *part; part++) {
    bool plain = islower((unsigned char)*part) || isdigit((unsigned char)*part) || *part == '_' ||
                 *part == '$' || (unsigned char)*part >= 128;
    if (!plain) return false;
  }
  return true;
}

/* Adds a part of a name, in quotes where it needs them: "a.b" is not b in a. */
static void put_part(char name[DR_SQL_NAME_SIZE], const char *part) {
  size_t used = strlen(name);
  bool quoted = !is_plain(part);
  if (used > 0 && used + 1 < DR_SQL_NAME_SIZE) name[used++] = '.';
  if (quoted && used + 1 < DR_SQL_NAME_SIZE) name[used++] = '"';
  for (; *part && used + 2 < DR_SQL_NAME_SIZE; part++) {
    if (*part == '"') name[used++] = '"';
    name[used++] = *part;
  }
  if (quoted && used + 1 < DR_SQL_NAME_SIZE) name[used++] = '"';
  name[used] = '\0';
}

void dr__tree_relation(char name[DR_SQL_NAME_SIZE], const json_t *range) {
  const char *schema = dr__tree_text(range, "schemaname");
  bool temporary = !*schema && dr__tree_is(range, "relpersistence", "t");
  name[0] = '\0';
  if (*schema || temporary) put_part(name, temporary ? "pg_temp" : schema);
  put_part(name, dr__tree_text(range, "relname"));
}

void dr__tree_name(char name[DR_SQL_NAME_SIZE], const json_t *strings, size_t skip) {
  size_t count = json_array_size(strings);
  name[0] = '\0';
  if (count > skip + 1) put_part(name, dr__tree_string(json_array_get(strings, count - skip - 2)));
  if (count > skip) put_part(name, dr__tree_string(json_array_get(strings, count - skip - 1)));
}

void dr__tree_put_name(char name[DR_SQL_NAME_SIZE], const char *part) {
  name[0] = '\0';
  if (*part) put_part(name, part);
}

size_t dr__tree_schema_length(const char *name) {
  bool quoted = false;
  for (const char *at = name; *at; at++) {
    if (*at == '"') quoted = !quoted;
    if (*at == '.' && !quoted) return (size_t)(at - name);
  }
  return 0;
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
