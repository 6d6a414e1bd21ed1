/* env_file_op.c - the op env_file.read, and parse and format for env_file.lua. What looks like a
 * key is registered for masking before the journal sees the result. Called through the gate on the
 * runtime's thread.
 */
#include "env_file.h"
#include "target/target.h"

#include "core/err.h"
#include "core/json.h"
#include "core/luajson.h"
#include "ops/binding.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const dr_lua_source dr__lua_env_file;

enum { TIMEOUT = 60, NOT_THERE = 3, MAX_BYTES = 1 << 20 };

/* The mode on the first line, then the file. */
static const char script[] = "[ -e \"$f\" ] || exit 3\n"
                             "stat -L -c %a -- \"$f\" || exit 1\n"
                             "cat -- \"$f\"\n";

/* ------------------------------------------------------------ masking */

static bool listed(const json_t *names, const char *name) {
  size_t i;
  json_t *one;
  json_array_foreach(names, i, one) {
    if (strcmp(json_string_value(one), name) == 0) return true;
  }
  return false;
}

/* Of "scheme://user:password@host" the password counts too: it is what other texts hold. */
static void mask_password(dr_runtime *rt, const char *name, const char *value) {
  const char *authority = strstr(value, "://");
  if (!authority) return;
  authority += 3;
  const char *at = memchr(authority, '@', strcspn(authority, "/?# \t\n"));
  const char *colon = at ? memchr(authority, ':', (size_t)(at - authority)) : NULL;
  char *password = colon ? strndup(colon + 1, (size_t)(at - colon - 1)) : NULL;
  if (password) dr__runtime_mask(rt, name, password);
  free(password);
}

static void mask_all(dr_runtime *rt, const json_t *variables, const json_t *secret,
                     const json_t *plain) {
  size_t i;
  json_t *entry;
  json_array_foreach(variables, i, entry) {
    const char *name = json_string_value(json_object_get(entry, "name"));
    const char *value = json_string_value(json_object_get(entry, "value"));
    if (listed(plain, name)) continue;
    if (!listed(secret, name) && !dr__env_file_is_secret(name, value)) continue;
    dr__runtime_mask(rt, name, value);
    mask_password(rt, name, value);
  }
}

/* ------------------------------------------------------------ env_file.read */

static dr_env_dialect dialect_of(const dr_op *op) {
  dr_env_dialect dialect = DR_ENV_COMPOSE;
  dr__env_dialect_of(&dialect, dr__arg_string(op, "dialect", "compose"));
  return dialect;
}

/* The file's name goes before the line. */
static void name_file(const dr_op *op, dr_err *err) {
  char message[sizeof err->message];
  dr__copy_text(message, sizeof message, err->message);
  snprintf(err->message, sizeof err->message, "%.400s, %.500s", dr__arg_string(op, "path", ""),
           message);
}

static json_t *fail_read(const dr_op *op, int status, dr_err *err) {
  if (status == NOT_THERE) {
    dr__fail(err, "fs.not_found", "%s: no such file", dr__arg_string(op, "path", ""));
    return NULL;
  }
  dr__exec_failed(op, status, err);
  free(err->detail); /* it would show the file */
  err->detail = NULL;
  return NULL;
}

static json_t *take_variables(dr_op *op, const char *text, size_t length, dr_err *err) {
  const char *body = memchr(text, '\n', length);
  if (!body || length >= MAX_BYTES) {
    dr__fail(err, "fs.too_large", "%s is larger than 1 MiB", dr__arg_string(op, "path", ""));
    return NULL;
  }
  size_t rest = length - (size_t)(body + 1 - text);
  json_t *variables = dr__env_file_parse(body + 1, rest, dialect_of(op), err);
  if (!variables) {
    if (strcmp(err->code, "env_file.syntax") == 0) name_file(op, err);
    return NULL;
  }
  mask_all(dr__op_runtime(op), variables, dr__arg(op, "secret"), dr__arg(op, "plain"));
  return json_pack("{s:o, s:s%}", "variables", variables, "mode", text, (size_t)(body - text));
}

static json_t *parse_read(dr_op *op, int status, json_t *result, dr_err *err) {
  const json_t *text = json_object_get(result, "stdout");
  json_t *read = status == 0
                     ? take_variables(op, json_string_value(text), json_string_length(text), err)
                     : fail_read(op, status, err);
  json_decref(result);
  return read;
}

static int check_read(const dr_op *op, dr_err *err) {
  dr_env_dialect dialect;
  if (dr__env_dialect_of(&dialect, dr__arg_string(op, "dialect", "compose"))) return DR_OK;
  return dr__fail(
      err, "recipe.argument",
      "env_file: the dialect is \"compose\", \"compose-v1\", \"systemd\" or \"docker\"");
}

static int start_read(dr_op *op, dr_err *err) {
  char *path = dr__folder_quote(dr__arg_string(op, "path", ""));
  char *line = NULL;
  if (!path || asprintf(&line, "f=%s\n%s", path, script) < 0) line = NULL;
  free(path);
  if (!line) return dr__err_nomem(err);
  const dr_exec_spec spec = {.command = json_pack("[s, s, s]", "/bin/sh", "-c", line),
                             .timeout = TIMEOUT,
                             .keep = MAX_BYTES,
                             .any_status = true,
                             .quiet = true,
                             .parse = parse_read};
  free(line);
  return dr__exec_op(op, &spec, err);
}

static char *preview_read(const dr_op *op) {
  char *text = NULL;
  int length = asprintf(&text, "read the variables of %s", dr__arg_string(op, "path", ""));
  return length < 0 ? NULL : text;
}

static json_t *assume_read(const dr_op *op) {
  (void)op;
  return json_pack("{s:[], s:s}", "variables", "mode", "600");
}

/* ------------------------------------------------------------ for Lua */

static int throw_err(lua_State *L, dr_err *err) {
  char code[sizeof err->code];
  char message[sizeof err->message];
  dr__copy_text(code, sizeof code, err->code);
  dr__copy_text(message, sizeof message, err->message);
  dr_err_clear(err);
  return dr__error_raise(L, code, NULL, "%s", message);
}

static dr_env_dialect check_dialect(lua_State *L, int index) {
  dr_env_dialect dialect;
  if (!dr__env_dialect_of(&dialect, luaL_checkstring(L, index))) luaL_error(L, "no such dialect");
  return dialect;
}

/* parse(text, dialect, secret, plain) -> [{name, value, line}]; throws */
static int l_parse(lua_State *L) {
  size_t length;
  const char *problem;
  dr_err err = DR_ERR_INIT;
  const char *text = luaL_checklstring(L, 1, &length);
  dr_env_dialect dialect = check_dialect(L, 2);
  lua_settop(L, 4);
  json_t **variables = dr__json_box(L);
  json_t **secret = dr__json_box(L);
  json_t **plain = dr__json_box(L);
  *secret = dr__json_read(L, 3, &problem);
  *plain = dr__json_read(L, 4, &problem);
  *variables = dr__env_file_parse(text, length, dialect, &err);
  if (!*variables) return throw_err(L, &err);
  mask_all(dr__lua_runtime(L), *variables, *secret, *plain);
  dr__json_push(L, *variables);
  return 1;
}

/* format([{name, value}], dialect) -> text; throws */
static int l_format(lua_State *L) {
  const char *problem = "";
  dr_err err = DR_ERR_INIT;
  dr_env_dialect dialect = check_dialect(L, 2);
  lua_settop(L, 2);
  json_t **variables = dr__json_box(L);
  *variables = dr__json_read(L, 1, &problem);
  if (!*variables && !problem) return dr__error_nomem(L);
  if (!*variables) return luaL_error(L, "variables: %s", problem);
  char *text = dr__env_file_format(*variables, dialect, &err);
  if (!text) return throw_err(L, &err);
  json_t **kept = dr__json_box(L); /* the text is Lua's to give back, also when memory is short */
  *kept = json_string_nocheck(text);
  free(text);
  lua_pushstring(L, *kept ? json_string_value(*kept) : "");
  return 1;
}

static const luaL_Reg functions[] = {{"parse", l_parse}, {"format", l_format}, {NULL, NULL}};

static const dr_arg read_args[] = {{"path", DR_ARG_STRING, DR_REQUIRED},
                                   {"dialect", DR_ARG_STRING, 0},
                                   {"secret", DR_ARG_STRINGS, 0},
                                   {"plain", DR_ARG_STRINGS, 0},
                                   {0}};

static const dr_opspec ops[] = {
    {.name = "env_file.read",
     .check = check_read,
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_FILES,
     .args = read_args,
     .preview = preview_read,
     .assume = assume_read,
     .start = start_read},
    {0},
};

const dr_binding dr__binding_env_file = {.name = "env_file",
                                         .ops = ops,
                                         .functions = functions,
                                         .lua = &dr__lua_env_file,
                                         .gives = "env_file :env_file"};
