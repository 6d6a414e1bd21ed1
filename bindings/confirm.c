/* confirm.c - asking the person at the terminal before going on. Called through the gate on the
 * runtime's thread. */
#include "core/err.h"
#include "ops/binding.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const dr_lua_source dr__lua_confirm;

static int start(dr_op *op, dr_err *err) {
  char question[512];
  snprintf(question, sizeof question, "%s [y/N] ", dr__arg_string(op, "question", ""));
  char *answer = dr__runtime_ask(dr__op_runtime(op), question, NULL);
  if (!answer && dr__op_cancelled(op))
    return dr__fail(err, "cancelled", "stopped while it was asked");
  if (!answer && dr__op_cancelled(op))
    return dr__fail(err, "cancelled", "interrupted while asking");
  if (!answer) {
    dr__fail(err, "confirm.nobody", "nobody can be asked: %s", dr__arg_string(op, "question", ""));
    dr__err_hint(err, "run it in a terminal");
    return DR_FAILED;
  }
  bool yes = strcmp(answer, "y") == 0 || strcmp(answer, "yes") == 0;
  free(answer);
  if (!yes)
    return dr__fail(err, "confirm.refused", "answered no: %s", dr__arg_string(op, "question", ""));
  dr__op_done(op, json_pack("{s:b}", "yes", 1));
  return 0;
}

static char *preview(const dr_op *op) {
  char *text = NULL;
  return asprintf(&text, "ask: %s", dr__arg_string(op, "question", "")) < 0 ? NULL : text;
}

static json_t *assume(const dr_op *op) {
  (void)op;
  return json_pack("{s:b}", "yes", 1);
}

static const dr_arg args[] = {{"question", DR_ARG_STRING, DR_REQUIRED}, {0}};

static const dr_opspec ops[] = {
    {.name = "confirm.ask",
     .kind = DR_CHECK,
     .idempotent = true,
     .args = args,
     .preview = preview,
     .assume = assume,
     .start = start},
    {0},
};

const dr_binding dr__binding_confirm = {
    .name = "confirm", .ops = ops, .lua = &dr__lua_confirm, .gives = "confirm"};
