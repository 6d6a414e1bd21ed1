/* core/secrets.c - the register of secret values. Every sink (events, plan, journal, errors) masks
 * through it, so a secret that a recipe builds into a longer text is masked there as well. Used on
 * the runtime's thread. */
#include "core/secrets.h"

#include "core/err.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHORTEST = 4, SHORTEST_LINE = 6 };

/* What a text that was cut ends with. */
#define CUT "…"

typedef struct entry {
  char *name;
  char *value;
  size_t length;
} entry;

struct dr_secrets {
  entry *entries; /* longest value first, so that a secret inside a longer one does not split it */
  size_t count;
};

dr_secrets *dr__secrets_new(void) {
  return calloc(1, sizeof(dr_secrets));
}

static void wipe(char *value, size_t length) {
  explicit_bzero(value, length);
  free(value);
}

void dr__secrets_free(dr_secrets *secrets) {
  if (!secrets) return;
  for (size_t i = 0; i < secrets->count; i++) {
    free(secrets->entries[i].name);
    wipe(secrets->entries[i].value, secrets->entries[i].length);
  }
  free(secrets->entries);
  free(secrets);
}

static bool known(const dr_secrets *secrets, const char *value, size_t length) {
  for (size_t i = 0; i < secrets->count; i++) {
    const entry *e = &secrets->entries[i];
    if (e->length == length && memcmp(e->value, value, length) == 0) return true;
  }
  return false;
}

static char *copy_of(const char *value, size_t length) {
  char *copy = malloc(length + 1);
  if (!copy) return NULL;
  memcpy(copy, value, length);
  copy[length] = '\0';
  return copy;
}

static bool insert(dr_secrets *secrets, const char *name, const char *value, size_t length) {
  if (length < SHORTEST || known(secrets, value, length)) return true;
  entry fresh = {strdup(name), copy_of(value, length), length};
  entry *grown = realloc(secrets->entries, (secrets->count + 1) * sizeof *grown);
  if (grown) secrets->entries = grown;
  if (!grown || !fresh.name || !fresh.value) {
    free(fresh.name);
    free(fresh.value);
    return false;
  }
  size_t at = secrets->count++;
  while (at > 0 && grown[at - 1].length < fresh.length) {
    grown[at] = grown[at - 1];
    at--;
  }
  grown[at] = fresh;
  return true;
}

/* ------------------------------------------------------------ other spellings */

/* The base64 form with `before` bytes in front of the value. The letters at both ends that depend
 * on what stands around it are left out, so that it is found inside a longer text ("user:value").
 */
static bool insert_base64(dr_secrets *secrets, const char *name, const char *value, size_t length,
                          size_t before) {
  size_t whole = before + length;
  unsigned char *bytes = calloc(1, whole);
  char *encoded = malloc(4 * ((whole + 2) / 3) + 1);
  if (!bytes || !encoded) {
    free(bytes);
    free(encoded);
    return false;
  }
  memcpy(bytes + before, value, length);
  EVP_EncodeBlock((unsigned char *)encoded, bytes, (int)whole);
  size_t from = before > 0 ? before + 1 : 0, to = whole * 4 / 3;
  bool ok = insert(secrets, name, encoded + from, to - from) &&
            (before > 0 || insert(secrets, name, encoded, strlen(encoded)));
  wipe((char *)bytes, whole);
  wipe(encoded, strlen(encoded));
  return ok;
}

/* As in a URL; `digits` are those of base 16, large or small. */
static bool insert_percent(dr_secrets *secrets, const char *name, const char *value, size_t length,
                           const char *digits) {
  static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  char *encoded = malloc(3 * length), *end = encoded;
  if (!encoded) return false;
  for (size_t i = 0; i < length; i++) {
    unsigned char byte = (unsigned char)value[i];
    if (memchr(plain, byte, sizeof plain - 1)) {
      *end++ = (char)byte;
    } else {
      *end++ = '%';
      *end++ = digits[byte >> 4];
      *end++ = digits[byte & 15];
    }
  }
  bool ok = insert(secrets, name, encoded, (size_t)(end - encoded));
  wipe(encoded, (size_t)(end - encoded));
  return ok;
}

/* As it is, and, where quotes are in it, as it stands between a shell's quotes: ' as '\''. */
static bool insert_word(dr_secrets *secrets, const char *name, const char *value, size_t length) {
  if (!memchr(value, '\'', length)) return insert(secrets, name, value, length);
  char *quoted = malloc(4 * length), *end = quoted;
  if (!quoted) return false;
  for (size_t i = 0; i < length; i++) {
    static const char quote[] = "'\\''";
    size_t size = value[i] == '\'' ? sizeof quote - 1 : 1;
    memcpy(end, value[i] == '\'' ? quote : value + i, size);
    end += size;
  }
  bool ok =
      insert(secrets, name, value, length) && insert(secrets, name, quoted, (size_t)(end - quoted));
  wipe(quoted, (size_t)(end - quoted));
  return ok;
}

/* As a string inside JSON text, without the quotes. A value that is not UTF-8 has no such form. */
static bool insert_json(dr_secrets *secrets, const char *name, const char *value, size_t length) {
  json_t *string = json_stringn(value, length);
  if (!string) return true;
  char *text = json_dumps(string, JSON_ENCODE_ANY);
  bool ok = text && insert_word(secrets, name, text + 1, strlen(text) - 2);
  if (text) wipe(text, strlen(text));
  json_decref(string);
  return ok;
}

/* Output is shown line by line, so a key of many lines must be known by its lines; a line of a few
 * letters would be found everywhere. */
static bool insert_lines(dr_secrets *secrets, const char *name, const char *value) {
  bool ok = true;
  for (bool first = true; ok && *value; first = false) {
    size_t length = strcspn(value, "\r\n"), gap = strspn(value + length, "\r\n");
    bool only = first && !value[length + gap]; /* a password read from a file */
    if (only || length >= SHORTEST_LINE) ok = insert_word(secrets, name, value, length);
    value += length + gap;
  }
  return ok;
}

bool dr__secrets_add(dr_secrets *secrets, const char *name, const char *value) {
  size_t length = strlen(value);
  bool ok = length >= SHORTEST && insert_word(secrets, name, value, length) &&
            insert_lines(secrets, name, value) && insert_json(secrets, name, value, length) &&
            insert_percent(secrets, name, value, length, "0123456789ABCDEF") &&
            insert_percent(secrets, name, value, length, "0123456789abcdef");
  for (size_t before = 0; ok && before < 3; before++)
    ok = insert_base64(secrets, name, value, length, before);
  return ok;
}

/* ------------------------------------------------------------ masking */

/* The first secret that stands at the beginning of the text, or NULL. */
static const entry *match(const dr_secrets *secrets, const char *text, size_t length) {
  for (size_t i = 0; i < secrets->count; i++) {
    const entry *e = &secrets->entries[i];
    if (e->length <= length && memcmp(text, e->value, e->length) == 0) return e;
  }
  return NULL;
}

/* Where the secrets end that begin at the text's beginning, those that overlap taken together; 0:
 * none begins there. *first is the one that does. */
static size_t extent(const dr_secrets *secrets, const char *text, size_t length,
                     const entry **first) {
  *first = match(secrets, text, length);
  size_t end = *first ? (*first)->length : 0;
  for (size_t i = 1; i < end; i++) {
    const entry *other = match(secrets, text + i, length - i);
    if (other && i + other->length > end) end = i + other->length;
  }
  return end;
}

/* How much of a secret must stand before a "…" to be taken for its beginning: more than the scheme
 * of a URL, which is no secret. */
static size_t least_cut(const entry *e) {
  const char *scheme = strstr(e->value, "://");
  return SHORTEST + (scheme ? (size_t)(scheme + strlen("://") - e->value) : 0);
}

/* The secret whose beginning stands at the text's beginning and was cut off by a "…", perhaps with
 * the end of a string between them; or NULL. *end is where the beginning ends. */
static const entry *match_cut(const dr_secrets *secrets, const char *text, size_t length,
                              size_t *end) {
  static const char between[] = {' ', '\n', '"', '\'', '\\'};
  for (size_t i = 0; i < secrets->count; i++) {
    const entry *e = &secrets->entries[i];
    size_t same = 0, most = e->length - 1 < length ? e->length - 1 : length;
    while (same < most && text[same] == e->value[same]) same++;
    if (same < least_cut(e)) continue;
    size_t at = same;
    while (at < length && memchr(between, text[at], sizeof between)) at++;
    if (length - at < strlen(CUT) || memcmp(text + at, CUT, strlen(CUT)) != 0) continue;
    *end = same;
    return e;
  }
  return NULL;
}

const char *dr__secrets_found(const dr_secrets *secrets, const char *text, size_t length) {
  for (size_t i = 0; i < secrets->count; i++) {
    const entry *e = &secrets->entries[i];
    if (memmem(text, length, e->value, e->length)) return e->name;
  }
  return NULL;
}

/* True when there is anything to be masked. */
static bool shows(const dr_secrets *secrets, const char *text, size_t length) {
  size_t end;
  if (dr__secrets_found(secrets, text, length)) return true;
  if (!memmem(text, length, CUT, strlen(CUT))) return false;
  for (size_t i = 0; i < length; i++)
    if (match_cut(secrets, text + i, length - i, &end)) return true;
  return false;
}

/* Where ends what is to be masked at the text's beginning; 0: nothing is. */
static size_t masked_extent(const dr_secrets *secrets, const char *text, size_t length,
                            const entry **which) {
  size_t whole = extent(secrets, text, length, which), end = 0;
  const entry *cut = match_cut(secrets, text, length, &end);
  if (!cut || end <= whole) return whole;
  *which = cut;
  return end;
}

char *dr__secrets_mask(const dr_secrets *secrets, const char *text, size_t *length) {
  char *out = NULL;
  size_t written = 0;
  if (!shows(secrets, text, *length)) {
    out = malloc(*length + 1);
    if (!out) return NULL;
    if (*length > 0) memcpy(out, text, *length);
    out[*length] = '\0';
    return out;
  }
  FILE *stream = open_memstream(&out, &written);
  if (!stream) return NULL;
  for (size_t i = 0; i < *length;) {
    const entry *e;
    size_t masked = masked_extent(secrets, text + i, *length - i, &e);
    if (masked > 0)
      fprintf(stream, "[secret %s]", e->name);
    else
      fputc(text[i], stream);
    i += masked > 0 ? masked : 1;
  }
  if (fclose(stream) != 0) {
    free(out);
    return NULL;
  }
  *length = written;
  return out;
}

static json_t *mask_value(const dr_secrets *secrets, const json_t *value);

static json_t *mask_object(const dr_secrets *secrets, const json_t *value) {
  json_t *copy = json_object();
  const char *key;
  json_t *item;
  json_object_foreach((json_t *)value, key, item) {
    size_t length = strlen(key);
    char *masked = dr__secrets_mask(secrets, key, &length);
    int failed = !masked || json_object_set_new_nocheck(copy, masked, mask_value(secrets, item));
    free(masked);
    if (failed) {
      json_decref(copy);
      return NULL;
    }
  }
  return copy;
}

static json_t *mask_array(const dr_secrets *secrets, const json_t *value) {
  json_t *copy = json_array();
  size_t i;
  json_t *item;
  json_array_foreach(value, i, item) {
    if (json_array_append_new(copy, mask_value(secrets, item)) != 0) {
      json_decref(copy);
      return NULL;
    }
  }
  return copy;
}

static json_t *mask_value(const dr_secrets *secrets, const json_t *value) {
  if (json_is_object(value)) return mask_object(secrets, value);
  if (json_is_array(value)) return mask_array(secrets, value);
  if (!json_is_string(value)) return json_incref((json_t *)value);
  size_t length = json_string_length(value);
  char *masked = dr__secrets_mask(secrets, json_string_value(value), &length);
  if (!masked) return NULL;
  json_t *copy = json_stringn_nocheck(masked, length);
  free(masked);
  return copy;
}

static bool found_in(const dr_secrets *secrets, const json_t *value) {
  const char *key;
  size_t i;
  json_t *item;
  if (json_is_string(value))
    return shows(secrets, json_string_value(value), json_string_length(value));
  json_object_foreach((json_t *)value, key, item) {
    if (shows(secrets, key, strlen(key)) || found_in(secrets, item)) return true;
  }
  json_array_foreach(value, i, item) {
    if (found_in(secrets, item)) return true;
  }
  return false;
}

json_t *dr__secrets_mask_json(const dr_secrets *secrets, const json_t *value) {
  bool none = secrets->count == 0 || !found_in(secrets, value);
  return none ? json_incref((json_t *)value) : mask_value(secrets, value);
}

/* A secret that its buffer cut off at the end cannot be recognised whole: what may be the beginning
 * of one is taken away. */
static void drop_cut_secret(const dr_secrets *secrets, char *buffer, size_t length) {
  for (size_t i = 0; i < secrets->count; i++) {
    const entry *e = &secrets->entries[i];
    size_t most = e->length - 1 < length ? e->length - 1 : length;
    for (size_t tail = most; tail >= SHORTEST; tail--) {
      if (memcmp(buffer + length - tail, e->value, tail) != 0) continue;
      memcpy(buffer + length - tail, CUT, sizeof CUT);
      return;
    }
  }
}

void dr__secrets_mask_buffer(const dr_secrets *secrets, char *buffer, size_t size) {
  size_t length = strlen(buffer);
  if (length + SHORTEST >= size) drop_cut_secret(secrets, buffer, length);
  length = strlen(buffer);
  if (!shows(secrets, buffer, length)) return;
  char *masked = dr__secrets_mask(secrets, buffer, &length);
  dr__copy_text(buffer, size, masked ? masked : "[masked]");
  free(masked);
}

void dr__secrets_mask_err(const dr_secrets *secrets, dr_err *err) {
  dr__secrets_mask_buffer(secrets, err->message, sizeof err->message);
  dr__secrets_mask_buffer(secrets, err->hint, sizeof err->hint);
  dr__secrets_mask_buffer(secrets, err->target, sizeof err->target);
  if (err->detail) {
    size_t length = strlen(err->detail);
    char *masked = dr__secrets_mask(secrets, err->detail, &length);
    free(err->detail);
    err->detail = masked;
  }
  if (err->cause) dr__secrets_mask_err(secrets, err->cause);
}

size_t dr__secrets_longest(const dr_secrets *secrets) {
  return secrets->count > 0 ? secrets->entries[0].length : 0;
}

size_t dr__secrets_cut(const dr_secrets *secrets, const char *text, size_t length) {
  size_t longest = dr__secrets_longest(secrets);
  size_t cut = longest == 0 ? length : length >= longest ? length - longest + 1 : 0;
  for (size_t i = 0; i < cut;) {
    const entry *e;
    size_t masked = extent(secrets, text + i, length - i, &e);
    if (i + masked > cut) cut = i;
    i += masked > 0 ? masked : 1;
  }
  return cut;
}
