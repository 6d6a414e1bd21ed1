/* core/params.h - typed params: their declarations and the reading of their values. Pure C on JSON
 * values. */
#ifndef DR_CORE_PARAMS_H
#define DR_CORE_PARAMS_H

#include "core/err.h"

/* A declaration is {name, type, default?, help?, required?, choices?: [..]}; the declarations of a
 * recipe are an array of them in the order of their names. */

/* The declaration of a name, or NULL with err filled (param.unknown, naming the near ones).
 * Borrowed. */
json_t *dr__param_find(const json_t *declarations, const char *name, dr_err *err);

/* Reads a value as typed. Returns a new JSON value of the param's type (a list is an array of
 * strings, a duration is seconds as a real), or NULL with err filled (param.type). */
json_t *dr__param_parse(const json_t *declaration, const char *text, dr_err *err);

/* Checks a default as the recipe wrote it and brings it to the param's type: "5m" becomes 300.0.
 * New reference, or NULL with err filled (recipe.param). */
json_t *dr__param_normalize(const json_t *declaration, const json_t *value, dr_err *err);

/* All values of a run: those given, else defaults; absent ones are left out. NULL with err filled
 * (param.missing). */
json_t *dr__param_values(const json_t *declarations, const json_t *given, dr_err *err);

/* A value as it would be typed; malloc'd. */
char *dr__param_text(const json_t *value);

/* Seconds of "90", "90s", "5m", "1.5h", "200ms"; -1 when it is none. */
double dr__duration_parse(const char *text);

/* How far two names are apart (edits, adjacent swaps count once); for "did you mean". */
size_t dr__name_distance(const char *a, const char *b);

#endif
