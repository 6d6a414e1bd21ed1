/* What a lock's holder wrote of itself: any text is taken or not, and what is taken has no control
 * bytes. */
#include "lock/lock.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void check(const char *text) {
  for (; *text != '\0'; text++)
    if ((unsigned char)*text < ' ' || *text == 127) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  dr_lock_holder holder;
  char *text = strndup((const char *)input, size);
  if (!text) return 0;
  if (dr__lock_parse(text, &holder)) {
    check(holder.who);
    check(holder.process);
    check(holder.recipe);
    check(holder.since);
  }
  if (dr__lock_name_ok(text) && strpbrk(text, "/ '\"\\$`;&|<>*?\n")) abort();
  free(text);
  return 0;
}
