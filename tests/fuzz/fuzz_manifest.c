/* The listing of a folder of a target, what a sync has left there, and the answer of an upload's
 * probe: whatever they say, nothing leads outside of the folder, and what was read is in order.
 */
#include "transfer/sync_install.h"
#include "transfer/sync_left.h"
#include "transfer/transfer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void check(const dr_manifest *m) {
  for (size_t i = 0; i < m->count; i++) {
    const char *path = m->entries[i].path;
    if (path[0] == '/' || path[0] == '\0' || strncmp(path, "../", 3) == 0 || strstr(path, "/../"))
      abort();
    if (i > 0 && strcmp(m->entries[i - 1].path, path) >= 0) abort();
    if (dr__manifest_find(m, path) != &m->entries[i]) abort();
  }
}

/* One half of the entries as the source, all as the target. */
static void compare(const dr_manifest *there) {
  dr_manifest here = *there;
  dr_sync_plan plan = {0};
  dr_sync_rules rules = {.remove = true};
  here.count /= 2;
  if (dr__manifest_compare(&plan, &here, there, &rules)) {
    if (plan.send != 0 || plan.remove != there->count - here.count) abort();
    free(dr__sync_install_script(&here, there, &plan, &rules));
  }
  dr__sync_plan_free(&plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  dr_manifest m;
  dr_transfer_facts facts;
  dr_sync_left left;
  size_t used = dr__sync_left_read(&left, (const char *)input, size);
  if (used > size || strchr(left.name, ' ') || strstr(left.name, "/..")) abort();
  if (left.name[0]) check(&left.files);
  dr__sync_left_free(&left);
  if (dr__manifest_read(&m, (const char *)input + used, size - used)) {
    check(&m);
    compare(&m);
  }
  dr__manifest_free(&m);
  char *text = malloc(size + 1);
  if (!text) return 0;
  if (size > 0) memcpy(text, input, size);
  text[size] = '\0';
  if (dr__transfer_read_facts(text, &facts) && facts.partial < 0) abort();
  free(text);
  return 0;
}
