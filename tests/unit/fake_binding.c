/* fake_binding.c - see fake_binding.h. */
#include "fake_binding.h"

#include "core/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char fake_started[512];
void (*fake_on_start)(dr_op *op);

static int start(dr_op *op, dr_err *err) {
  size_t used = strlen(fake_started);
  snprintf(fake_started + used, sizeof fake_started - used, "%s ",
           dr__arg_string(op, "name", op->spec->name));
  if (fake_on_start) fake_on_start(op);
  const char *failure = dr__arg_string(op, "fails", NULL);
  if (failure) {
    dr_err cause = DR_ERR_INIT;
    dr__fail(err, "fake.failed", "it failed: %s", failure);
    dr__err_hint(err, "not so: %s", failure);
    dr__err_detail(err, failure, strlen(failure));
    dr__fail(&cause, "fake.cause", "because of %s", failure);
    dr__err_because(err, &cause);
    return DR_FAILED;
  }
  json_t *result = dr__arg(op, "result");
  dr__op_done(op, result ? json_incref(result) : json_object());
  return 0;
}

static int start_odd(dr_op *op, dr_err *err) {
  (void)err;
  json_t *result = json_object();
  json_object_set_new(result, "bytes", json_stringn_nocheck("\xff\x00", 2));
  dr__op_output(op, 1, "caf\xe9\n", 5);
  dr__op_done(op, result);
  return 0;
}

static char *preview(const dr_op *op) {
  char *text = NULL;
  json_t *command = dr__arg(op, "command");
  const char *word = json_string_value(command ? json_array_get(command, 0) : NULL);
  int length =
      asprintf(&text, "%s %s %s", op->spec->name, dr__arg_string(op, "name", ""), word ? word : "");
  return length < 0 ? NULL : text;
}

static char *preview_odd(const dr_op *op) {
  (void)op;
  return strdup("write caf\xe9");
}

static json_t *assume_odd(const dr_op *op) {
  (void)op;
  return json_pack("{s:s}", "bytes", "?");
}

static json_t *assume(const dr_op *op) {
  json_t *result = dr__arg(op, "result");
  return result ? json_incref(result) : json_object();
}

static const dr_arg args[] = {
    {"name", DR_ARG_STRING, 0},     {"command", DR_ARG_COMMAND, 0}, {"any", DR_ARG_ANY, 0},
    {"result", DR_ARG_ANY, 0},      {"fails", DR_ARG_STRING, 0},    {"map", DR_ARG_MAP, 0},
    {"within", DR_ARG_DURATION, 0}, {"words", DR_ARG_STRINGS, 0},   {0}};

static const dr_arg needed_args[] = {{"name", DR_ARG_STRING, DR_REQUIRED}, {0}};

#define FAKE .args = args, .preview = preview, .assume = assume, .start = start

static const dr_opspec ops[] = {
    {.name = "fake.query", .kind = DR_QUERY, .reads = DR_AREA_FILES, FAKE},
    {.name = "fake.network", .kind = DR_QUERY, .reads = DR_AREA_NETWORK, FAKE},
    {.name = "fake.action",
     .kind = DR_ACTION,
     .effects = DR_CHANGE | DR_DOWNTIME,
     .touches = DR_AREA_FILES,
     FAKE},
    {.name = "fake.check", .kind = DR_CHECK, FAKE},
    {.name = "fake.odd",
     .kind = DR_ACTION,
     .effects = DR_CHANGE,
     .preview = preview_odd,
     .assume = assume_odd,
     .start = start_odd},
    {.name = "fake.needs",
     .kind = DR_QUERY,
     .args = needed_args,
     .preview = preview,
     .start = start},
    {0},
};

static const char text[] =
    "local dr = ...\n"
    "local fake = {}\n"
    "for _, name in ipairs { 'query', 'network', 'action', 'check', 'odd', 'needs' } do\n"
    "  local call = dr.op('fake.' .. name)\n"
    "  fake[name] = function(args) return call(nil, args) end\n"
    "end\n"
    "dr.global('fake', fake)\n"
    "dr.global('mask', dr.core.fake.mask)\n";

static int l_mask(lua_State *L) {
  lua_pushboolean(
      L, dr__runtime_mask(dr__lua_runtime(L), luaL_checkstring(L, 1), luaL_checkstring(L, 2)));
  return 1;
}

static const luaL_Reg functions[] = {{"mask", l_mask}, {NULL, NULL}};

/* It is compiled when it is used, as all are where the Lua is not that of the build. */
static const dr_lua_source source = {
    .name = "tests/fake.lua", .text = (const unsigned char *)text, .size = sizeof text - 1};

static const dr_binding fake = {.name = "fake", .ops = ops, .functions = functions, .lua = &source};

extern const dr_binding dr__binding_time;

const dr_binding *const dr__bindings[] = {&dr__binding_time, &fake, NULL};
