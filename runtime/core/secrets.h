/* core/secrets.h - the values that must never be shown, and the mask put in their place. No Lua, no
 * I/O. */
#ifndef DR_CORE_SECRETS_H
#define DR_CORE_SECRETS_H

#include <deployrun.h>

#include <jansson.h>

typedef struct dr_secrets dr_secrets;

/* NULL when memory is short. */
dr_secrets *dr__secrets_new(void);

/* Wipes and frees. NULL is allowed. */
void dr__secrets_free(dr_secrets *secrets);

/* Remembers a value under a name, and its other spellings: base64 (also inside a longer text),
 * percent-encoded, as a JSON string, between a shell's quotes, and each line of a value of many
 * lines. False when it is shorter than 4 bytes (masking it would make every text unreadable) or
 * memory is short. A known value is accepted again. */
bool dr__secrets_add(dr_secrets *secrets, const char *name, const char *value);

/* The name of a secret whose value the text contains, or NULL. */
const char *dr__secrets_found(const dr_secrets *secrets, const char *text, size_t length);

/* The text with every secret replaced by "[secret NAME]", also the beginning of one that was cut
 * off by a "…"; malloc'd, NUL-terminated, *length updated. NULL when memory is short. */
char *dr__secrets_mask(const dr_secrets *secrets, const char *text, size_t *length);

/* A JSON value with every string masked; object keys too. New reference, which is the value itself
 * when no secret is in it; NULL when memory is short. */
json_t *dr__secrets_mask_json(const dr_secrets *secrets, const json_t *value);

/* Masks a fixed buffer in place, cutting what no longer fits. */
void dr__secrets_mask_buffer(const dr_secrets *secrets, char *buffer, size_t size);

/* Masks the texts of an error and of its causes. */
void dr__secrets_mask_err(const dr_secrets *secrets, dr_err *err);

/* The length of the longest spelling of a secret, 0 when there is none. */
size_t dr__secrets_longest(const dr_secrets *secrets);

/* How much of a text that goes on can be shown now: at most `length`, and not so much that a secret
 * would be cut in two. 0 is possible when the text is shorter than twice the longest secret. */
size_t dr__secrets_cut(const dr_secrets *secrets, const char *text, size_t length);

#endif
