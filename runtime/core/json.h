/* core/json.h - JSON out of bytes that may not be UTF-8: command output, file names, previews. */
#ifndef DR_CORE_JSON_H
#define DR_CORE_JSON_H

#include <jansson.h>
#include <stdbool.h>

/* The bytes of the character at the beginning of a NUL-terminated text, 0 when it is none: not
 * UTF-8, spelled longer than needed, half of a pair, or past the last. */
size_t dr__utf8_character(const char *text);

/* True when all of a NUL-terminated text is UTF-8. */
bool dr__is_utf8(const char *text);

/* A text as a JSON string for people: bytes that are not UTF-8 stand as \xE9. NULL text is "".
 * NULL when memory is short. */
json_t *dr__json_string(const char *text);

/* True when all keys in a value are UTF-8. json_dumps() of jansson 2.14 refuses a string that is
 * not, but writes broken JSON for a key that is not. */
bool dr__json_keys_are_text(const json_t *value);

/* The object (reference taken over) with its members in the order of their keys: a Lua table has
 * none, and what was reviewed must read the same in the run. New reference; NULL when memory is
 * short or the object was NULL. */
json_t *dr__json_in_order(json_t *object);

/* A value as one line of valid JSON: strings that are not UTF-8 are given as {"$base64": "…"}, so
 * that nothing is lost. malloc'd; NULL when memory is short. */
char *dr__json_text(const json_t *value);

/* How often jansson asked for memory in this thread and got none. JSON is built of many small
 * pieces, most of them not looked at one by one: who builds it compares the number before and after
 * instead (dr__op_whole() for an op). Counted from the first call of dr__json_watch() on, which is
 * made for each runtime; jansson's allocator as it was then is asked as before. */
void dr__json_watch(void);
unsigned long dr__json_denied(void);

#endif
