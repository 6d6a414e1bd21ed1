/* compose_yaml.c - the bridge from libyaml to jansson. Pure, no I/O; called by compose.c, and by
 * its fuzzer. */
#include "compose_yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { DEEPEST = 100, MOST_NODES = 200000, BYTES_OF_NODE = 256 };

typedef struct reader {
  yaml_document_t document;
  size_t nodes; /* made so far; aliases count each time, a long text as several */
} reader;

static json_t *read_node(reader *r, int id, int depth);

/* A whole number as compose prints it; anything else is text. */
static json_t *plain_scalar(const char *text, size_t length) {
  if (length == 0 || strcmp(text, "~") == 0 || strcmp(text, "null") == 0) return json_null();
  if (strcmp(text, "true") == 0) return json_true();
  if (strcmp(text, "false") == 0) return json_false();
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  bool number =
      errno == 0 && *end == '\0' && (text[0] == '-' || (text[0] >= '0' && text[0] <= '9'));
  bool octal = text[0] == '0' && length > 1;
  return number && !octal ? json_integer(value) : json_stringn(text, length);
}

static json_t *read_scalar(reader *r, const yaml_node_t *node) {
  const char *text = (const char *)node->data.scalar.value;
  size_t length = node->data.scalar.length;
  r->nodes += length / BYTES_OF_NODE;
  if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) return plain_scalar(text, length);
  return json_stringn(text, length);
}

static json_t *read_sequence(reader *r, const yaml_node_t *node, int depth) {
  json_t *array = json_array();
  const yaml_node_item_t *item = node->data.sequence.items.start;
  for (; array && item < node->data.sequence.items.top; item++) {
    json_t *value = read_node(r, *item, depth + 1);
    if (!value || json_array_append_new(array, value) != 0) {
      json_decref(array);
      array = NULL;
    }
  }
  return array;
}

static json_t *read_mapping(reader *r, const yaml_node_t *node, int depth) {
  json_t *object = json_object();
  const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
  for (; object && pair < node->data.mapping.pairs.top; pair++) {
    const yaml_node_t *key = yaml_document_get_node(&r->document, pair->key);
    bool text = key && key->type == YAML_SCALAR_NODE;
    json_t *value = text ? read_node(r, pair->value, depth + 1) : NULL;
    if (!value || json_object_set_new(object, (const char *)key->data.scalar.value, value) != 0) {
      json_decref(object);
      object = NULL;
    }
  }
  return object;
}

static json_t *read_node(reader *r, int id, int depth) {
  const yaml_node_t *node = yaml_document_get_node(&r->document, id);
  if (!node || depth > DEEPEST || ++r->nodes > MOST_NODES) return NULL;
  switch (node->type) {
  case YAML_SCALAR_NODE: return read_scalar(r, node);
  case YAML_SEQUENCE_NODE: return read_sequence(r, node, depth);
  case YAML_MAPPING_NODE: return read_mapping(r, node, depth);
  case YAML_NO_NODE: break;
  }
  return NULL;
}

json_t *dr__yaml_read(const char *text, size_t length, dr_err *err) {
  yaml_parser_t parser;
  reader r = {.nodes = 0};
  json_t *value = NULL;
  if (!yaml_parser_initialize(&parser)) {
    dr__err_nomem(err);
    return NULL;
  }
  yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
  if (yaml_parser_load(&parser, &r.document)) {
    yaml_node_t *root = yaml_document_get_root_node(&r.document);
    value = root ? read_node(&r, 1, 0) : json_null();
    yaml_document_delete(&r.document);
    if (!value)
      dr__fail(err, "yaml.syntax",
               "the YAML is too large, too deep, or has a key that is not text");
  } else if (!parser.problem) { /* libyaml tells what is wrong, but for memory */
    dr__err_nomem(err);
  } else {
    dr__fail(err, "yaml.syntax", "not YAML: %s at line %zu", parser.problem,
             parser.problem_mark.line + 1);
  }
  yaml_parser_delete(&parser);
  return value;
}
