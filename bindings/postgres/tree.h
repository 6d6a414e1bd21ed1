/* postgres/tree.h - reading parse trees as libpg_query writes them: {"NodeName": {…}}, with fields
 * that are 0, false or empty left out. Pure, any thread. Results are borrowed from the tree; each
 * function takes NULL. */
#ifndef DR_POSTGRES_TREE_H
#define DR_POSTGRES_TREE_H

#include <jansson.h>
#include <stdbool.h>

/* The node's name: "AlterTableStmt"; "" for none. */
const char *dr__tree_kind(const json_t *node);

/* The node's fields. */
json_t *dr__tree_fields(const json_t *node);

/* The fields of a node of this kind, NULL when it is another. */
json_t *dr__tree_as(const json_t *node, const char *kind);

/* A field that is a text: an enumeration's name or a string; "" when it is left out. */
const char *dr__tree_text(const json_t *fields, const char *name);
bool dr__tree_flag(const json_t *fields, const char *name);
bool dr__tree_is(const json_t *fields, const char *name, const char *value);
json_t *dr__tree_array(const json_t *fields, const char *name);

/* The text of a String node; "" for another. */
const char *dr__tree_string(const json_t *node);

/* The last text of an array of String nodes: the name without its schema. */
const char *dr__tree_last(const json_t *strings);

/* The option of this name in an array of DefElem nodes; its argument may be NULL. */
bool dr__tree_option(const json_t *options, const char *name, json_t **argument);

/* The same, as a switch: true when it is given without an argument or with one that means yes. */
bool dr__tree_switch(const json_t *options, const char *name);

enum { DR_SQL_NAME_SIZE = 272 };

/* "table" or "schema.table" of a RangeVar's fields, or of an array of String nodes without its last
 * `skip` ones: as it is written, since what a name without a schema means depends on the
 * search_path. A part is in quotes where PostgreSQL needs them. The name of a temporary relation
 * that is created is "pg_temp.table". Cut to the size. */
void dr__tree_relation(char name[DR_SQL_NAME_SIZE], const json_t *range);
void dr__tree_name(char name[DR_SQL_NAME_SIZE], const json_t *strings, size_t skip);

/* A name of one part, written the same way. */
void dr__tree_put_name(char name[DR_SQL_NAME_SIZE], const char *part);

/* How long the schema's part of such a name is; 0 when it has none. */
size_t dr__tree_schema_length(const char *name);

/* True when `test` is true for a node anywhere in the tree: called with each name and its fields.
 */
typedef bool (*dr_tree_test)(const char *kind, json_t *fields, void *data);
bool dr__tree_any(json_t *node, dr_tree_test test, void *data);

#endif
