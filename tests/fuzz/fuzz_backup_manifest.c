/* Any text as a backup's manifest: reading ends; what is accepted has its fields, and is accepted
 * again when it is printed. With 's' in front, the text gets its right seal first, so that what is
 * behind the seal is reached.
 */
#include "postgres/backup_manifest.h"

#include "core/err.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void must_hold(json_t *manifest) {
  char why[256];
  const json_t *tables = json_object_get(manifest, "tables");
  if (strlen(dr__backup_manifest_sha256(manifest, "archive")) != 64) abort();
  if (dr__backup_manifest_bytes(manifest, "archive") < 0) abort();
  if (dr__backup_manifest_rows(manifest) < 0) abort();
  if (!*dr__backup_manifest_text(manifest, "database")) abort();
  (void)dr__backup_tables_same(tables, tables, why, sizeof why);
}

static void round_trip(json_t *manifest) {
  dr_err err = DR_ERR_INIT;
  char *text = dr__backup_manifest_print(manifest);
  if (!text) abort();
  json_t *again = dr__backup_manifest_read(text, strlen(text), &err);
  if (!again || !json_equal(manifest, again)) abort();
  json_decref(again);
  free(text);
}

static void read_text(const char *text, size_t length) {
  dr_err err = DR_ERR_INIT;
  json_t *manifest = dr__backup_manifest_read(text, length, &err);
  if (manifest) {
    must_hold(manifest);
    round_trip(manifest);
  } else if (!err.code[0]) {
    abort();
  }
  json_decref(manifest);
  dr_err_clear(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  char version[33];
  if (size == 0) return 0;
  char *text = malloc(size + 1);
  if (!text) return 0;
  memcpy(text, input, size);
  text[size] = '\0';
  (void)dr__backup_version(text, version, sizeof version);
  json_t *any = input[0] == 's' ? json_loadb(text + 1, size - 1, 0, NULL) : NULL;
  char *sealed = json_is_object(any) ? dr__backup_manifest_print(any) : NULL;
  if (sealed)
    read_text(sealed, strlen(sealed));
  else
    read_text(text, size);
  free(sealed);
  json_decref(any);
  free(text);
  return 0;
}
