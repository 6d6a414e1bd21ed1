/* What git and our scripts write: any bytes are read or refused, and what is read can be used. */
#include "git/git_failure.h"
#include "git/git_pairs.h"
#include "git/git_status.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void check(json_t *json, dr_err *err) {
  if (!json && strcmp(err->code, "git.output") != 0) abort();
  dr_err_clear(err);
}

static void use_pairs(json_t *pairs) {
  dr_err err = DR_ERR_INIT;
  const char *code = dr__git_pair(pairs, "error");
  dr__git_failure(&err, code ? code : "git.failed", pairs);
  dr_err_clear(&err);
  json_t *commits = dr__git_commits_parse(pairs, &err);
  check(commits, &err);
  json_decref(commits);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
  const char *bytes = (const char *)input;
  dr_err err = DR_ERR_INIT;
  json_t *status = dr__git_status_parse(bytes, size, &err);
  check(status, &err);
  json_decref(status);
  json_t *list = dr__git_list_parse(bytes, size, &err);
  check(list, &err);
  json_decref(list);
  json_t *pairs = dr__git_pairs_parse(bytes, size, &err);
  check(pairs, &err);
  if (pairs) use_pairs(pairs);
  json_decref(pairs);
  return 0;
}
