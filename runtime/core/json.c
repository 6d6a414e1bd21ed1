/* core/json.c - JSON out of bytes that may not be UTF-8. Pure C, any thread. */
#include "core/json.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------ memory */

static _Thread_local unsigned long denied;
static json_malloc_t asked; /* jansson's allocator before */

/* As malloc(), for what is part of building JSON. */
static void *room(size_t size) {
  void *memory = malloc(size);
  if (!memory) denied++;
  return memory;
}

static void *watched_malloc(size_t size) {
  void *memory = asked(size);
  if (!memory) denied++;
  return memory;
}

static void watch(void) {
  json_free_t given_back;
  json_get_alloc_funcs(&asked, &given_back);
  json_set_alloc_funcs(watched_malloc, given_back);
}

void dr__json_watch(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, watch);
}

unsigned long dr__json_denied(void) {
  return denied;
}

/* ------------------------------------------------------------ for people */

size_t dr__utf8_character(const char *text) {
  const unsigned char *at = (const unsigned char *)text;
  unsigned lead = at[0];
  size_t length = lead < 0x80                   ? 1
                  : lead >= 0xC2 && lead < 0xE0 ? 2
                  : lead >= 0xE0 && lead < 0xF0 ? 3
                  : lead >= 0xF0 && lead < 0xF5 ? 4
                                                : 0;
  for (size_t i = 1; i < length; i++)
    if ((at[i] & 0xC0) != 0x80) return 0;
  bool odd = (lead == 0xE0 && at[1] < 0xA0) || (lead == 0xED && at[1] > 0x9F) ||
             (lead == 0xF0 && at[1] < 0x90) || (lead == 0xF4 && at[1] > 0x8F);
  return odd ? 0 : length;
}

bool dr__is_utf8(const char *text) {
  size_t length = 0;
  while (*text && (length = dr__utf8_character(text)) > 0) text += length;
  return *text == '\0';
}

json_t *dr__json_string(const char *text) {
  json_t *string = json_string(text ? text : "");
  if (string || !text) return string;
  char *spelled = room(4 * strlen(text) + 1), *end = spelled;
  if (!spelled) return NULL;
  while (*text) {
    size_t length = dr__utf8_character(text);
    if (length > 0)
      memcpy(end, text, length);
    else
      snprintf(end, 5, "\\x%02X", (unsigned char)*text);
    end += length > 0 ? length : 4;
    text += length > 0 ? length : 1;
  }
  string = json_stringn(spelled, (size_t)(end - spelled));
  free(spelled);
  return string;
}

/* ------------------------------------------------------------ for programs */

static json_t *wrap_bytes(const char *bytes, size_t length) {
  char *encoded = room(4 * ((length + 2) / 3) + 1);
  if (!encoded) return NULL;
  EVP_EncodeBlock((unsigned char *)encoded, (const unsigned char *)bytes, (int)length);
  json_t *wrapped = json_pack("{s:s}", "$base64", encoded);
  free(encoded);
  return wrapped;
}

static json_t *printable(const json_t *value);

static json_t *printable_array(const json_t *value) {
  json_t *copy = json_array(), *item;
  size_t i;
  json_array_foreach(value, i, item) {
    if (json_array_append_new(copy, printable(item)) == 0) continue;
    json_decref(copy);
    return NULL;
  }
  return copy;
}

static json_t *printable_object(const json_t *value) {
  json_t *copy = json_object(), *item;
  const char *key;
  json_object_foreach((json_t *)value, key, item) {
    json_t *name = dr__json_string(key);
    int failed = !name || json_object_set_new(copy, json_string_value(name), printable(item)) != 0;
    json_decref(name);
    if (!failed) continue;
    json_decref(copy);
    return NULL;
  }
  return copy;
}

/* A copy in which every string is valid UTF-8. */
static json_t *printable(const json_t *value) {
  if (json_is_array(value)) return printable_array(value);
  if (json_is_object(value)) return printable_object(value);
  if (!json_is_string(value)) return json_incref((json_t *)value);
  json_t *same = json_stringn(json_string_value(value), json_string_length(value));
  return same ? same : wrap_bytes(json_string_value(value), json_string_length(value));
}

bool dr__json_keys_are_text(const json_t *value) {
  size_t i;
  const char *key;
  json_t *item;
  json_array_foreach(value, i, item) {
    if (!dr__json_keys_are_text(item)) return false;
  }
  json_object_foreach((json_t *)value, key, item) {
    if (!dr__is_utf8(key) || !dr__json_keys_are_text(item)) return false;
  }
  return true;
}

char *dr__json_text(const json_t *value) {
  size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(13);
  char *text = dr__json_keys_are_text(value) ? json_dumps(value, flags) : NULL;
  if (text) return text;
  json_t *copy = printable(value);
  text = copy ? json_dumps(copy, flags) : NULL;
  json_decref(copy);
  return text;
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

json_t *dr__json_in_order(json_t *object) {
  size_t count = json_object_size(object), i = 0;
  if (!object || count < 2) return object;
  const char **names = room(count * sizeof *names), *name;
  json_t *sorted = names ? json_object() : NULL, *value;
  if (sorted) {
    json_object_foreach(object, name, value) names[i++] = name;
    qsort(names, count, sizeof *names, by_name);
  }
  for (i = 0; sorted && i < count; i++) {
    if (json_object_set_nocheck(sorted, names[i], json_object_get(object, names[i])) == 0) continue;
    json_decref(sorted);
    sorted = NULL;
  }
  free(names);
  json_decref(object);
  return sorted;
}
