/* ssh_config(5) text: any is read or refused with its file and line, and whatever was read can be
 * matched and freed. */
#include "ssh/config.h"

#include "core/err.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  dr_ssh_config *config = NULL;
  dr_err err = DR_ERR_INIT;
  char *text = strndup((const char *)input, size);
  if (!text) return 0;
  dr_ssh_options options = {.host = "web1", .config = "none", .known_hosts = "/dev/null"};
  if (dr__ssh_config_resolve(&config, &options, &err) != DR_OK) abort();
  if (dr__ssh_config_parse(config, "fuzz", text, size % 2 == 0, &err) != DR_OK && !err.code[0])
    abort();
  dr_err_clear(&err);
  dr__ssh_match(text, "web1");
  dr__ssh_seconds(text);
  dr__ssh_config_unref(config);
  free(text);
  return 0;
}
