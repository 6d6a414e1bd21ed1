/* What systemctl and /proc say, out of the input: any text is read, no field overflows, and what
 * comes out can be written.
 */
#include "process/process_list.h"
#include "systemd/systemd_show.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { UNITS = 4 };

static void check(json_t *json) {
  char *text = json ? json_dumps(json, JSON_ENCODE_ANY) : NULL;
  free(text);
  json_decref(json);
}

static void read_units(const char *text) {
  dr_unit units[UNITS];
  char reason[200];
  const char *hint;
  size_t count = dr__systemd_show(text, units, UNITS);
  for (size_t i = 0; i < count && i < UNITS; i++) {
    check(dr__unit_json(&units[i]));
    dr__unit_reason(&units[i], reason, sizeof reason, &hint);
    for (int verb = DR_UNIT_START; verb <= DR_UNIT_RELOAD; verb++) {
      dr__unit_judge((dr_unit_verb)verb, &units[0], &units[i]);
      if (dr__unit_patience((dr_unit_verb)verb, &units[i]) < 0) abort();
    }
  }
}

static void explain(const char *text) {
  dr_err err = DR_ERR_INIT;
  char name[256];
  dr__systemd_explain(&err, "x.service", text);
  if (!err.code[0]) abort();
  dr_err_clear(&err);
  dr__systemd_seconds(text);
  dr__systemd_name(text, name, sizeof name);
  dr__app_hint(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  static const dr_process_filter filter = {.command = "a", .owner = "b", .pid = -1, .parent = -1};
  static const dr_process_filter any = {.pid = -1, .parent = -1};
  dr_err err = DR_ERR_INIT;
  char *text = malloc(size + 1);
  if (!text) return 0;
  memcpy(text, input, size);
  text[size] = '\0';
  read_units(text);
  explain(text);
  check(dr__process_list(text, size, "M", &filter, &err));
  check(dr__process_list(text, size, "M", &any, &err));
  dr_err_clear(&err);
  free(text);
  return 0;
}
