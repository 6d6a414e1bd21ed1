/* compose_yaml.h - YAML text as JSON values, for the one tool that prints its configuration only
 * so. */
#ifndef DR_COMPOSE_YAML_H
#define DR_COMPOSE_YAML_H

#include "core/err.h"

/* Reads the first document of a text: mappings become objects (keys as text), sequences arrays,
 * plain scalars null, booleans, whole numbers or strings. Returns a new reference, or NULL with err
 * filled (yaml.syntax). Safe with outside text: depth and size are bounded, also through aliases.
 */
json_t *dr__yaml_read(const char *text, size_t length, dr_err *err);

#endif
