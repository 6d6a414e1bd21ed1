/* env.c - the environment and secrets of the person who deploys: process variables and --env-file,
 * and secrets out of files and commands of this machine. A secret is registered for masking before
 * anybody sees it. Called through the gate on the runtime's thread. */
#include "core/err.h"
#include "core/runtime.h"
#include "target/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern const dr_lua_source dr__lua_env;

/* The env file wins over the process, because it was named for this run. NULL when neither has it.
 */
static const char *lookup(const dr_op *op, const char *name) {
  const char *value = json_string_value(json_object_get(op->run->rt->env_file, name));
  return value ? value : getenv(name);
}

/* Ends the op with {value}; without it when there is none. */
static int give(dr_op *op, const char *value, dr_err *err) {
  json_t *result = json_object();
  bool whole =
      result && (!value || json_object_set_new(result, "value", json_string_nocheck(value)) == 0);
  if (!whole) {
    json_decref(result);
    return dr__err_nomem(err);
  }
  dr__op_done(op, result);
  return 0;
}

static int start_get(dr_op *op, dr_err *err) {
  return give(op, lookup(op, dr__arg_string(op, "name", "")), err);
}

/* Registers the value for masking. */
static int hide(const dr_op *op, const char *name, const char *value, dr_err *err) {
  if (strlen(value) < 4) {
    dr__fail(err, "secret.short",
             "the secret '%s' is shorter than 4 characters and cannot be masked", name);
    dr__err_hint(err, "give it a longer value");
    return DR_FAILED;
  }
  return dr__runtime_mask(op->run->rt, name, value) ? 0 : dr__err_nomem(err);
}

static int start_secret(dr_op *op, dr_err *err) {
  const char *name = dr__arg_string(op, "name", "");
  const char *value = lookup(op, name);
  if (!value || !*value) {
    dr__fail(err, "secret.missing", "there is no secret '%s'", name);
    dr__err_hint(err, "set the environment variable %s, or name a file that has it with --env-file",
                 name);
    return DR_FAILED;
  }
  int status = hide(op, name, value, err);
  return status ? status : give(op, value, err);
}

/* ------------------------------------------------------------ secret.file */

/* Without the line end that editors add. */
static void chomp(char *text) {
  size_t length = strlen(text);
  while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r')) length--;
  text[length] = '\0';
}

static int fail_file(dr_err *err, const char *path, const char *why) {
  dr__fail(err, "secret.missing", "the secret in %s cannot be read: %s", path, why);
  dr__err_hint(err, "it must be a file of at most 64 KiB that you may read");
  return DR_FAILED;
}

/* Reads a small regular file: never one that could make the loop wait. */
static int read_small(const char *path, char *buffer, size_t size, bool *others, dr_err *err) {
  struct stat info;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return fail_file(err, path, strerror(errno));
  ssize_t got = -1;
  bool regular = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  if (regular && info.st_size < (off_t)size) got = read(fd, buffer, size - 1);
  close(fd);
  if (got < 0) return fail_file(err, path, regular ? "it is too large" : "it is no file");
  buffer[got] = '\0';
  *others = (info.st_mode & (S_IROTH | S_IWOTH)) != 0;
  return strlen(buffer) == (size_t)got ? 0 : fail_file(err, path, "it holds a zero byte");
}

/* "~/" is the home of who deploys; malloc'd. */
static char *whole_path(const char *path) {
  const char *home = getenv("HOME");
  char *whole = NULL;
  if (!home || path[0] != '~' || path[1] != '/') return strdup(path);
  return asprintf(&whole, "%s%s", home, path + 1) < 0 ? NULL : whole;
}

/* {value, others} with the value registered for masking; NULL with err filled. */
static json_t *take_file(const dr_op *op, const char *path, char *buffer, size_t size,
                         dr_err *err) {
  bool others = false;
  if (read_small(path, buffer, size, &others, err) != 0) return NULL;
  chomp(buffer);
  if (hide(op, dr__arg_string(op, "path", ""), buffer, err) != 0) return NULL;
  json_t *result = json_pack("{s:s, s:b}", "value", buffer, "others", others);
  if (!result) dr__err_nomem(err);
  return result;
}

static int start_file(dr_op *op, dr_err *err) {
  enum { SIZE = 64 * 1024 };
  char *path = whole_path(dr__arg_string(op, "path", ""));
  char *buffer = calloc(1, SIZE + 1);
  if (!path || !buffer) {
    free(path);
    free(buffer);
    return dr__err_nomem(err);
  }
  json_t *result = take_file(op, path, buffer, SIZE + 1, err);
  explicit_bzero(buffer, SIZE + 1);
  free(buffer);
  free(path);
  if (!result) return DR_FAILED;
  dr__op_done(op, result);
  return 0;
}

static char *preview_file(const dr_op *op) {
  char *text = NULL;
  int length = asprintf(&text, "%s %s", op->spec->name, dr__arg_string(op, "path", ""));
  return length < 0 ? NULL : text;
}

/* ------------------------------------------------------------ secret.command */

/* What the command wrote is the secret: neither a result nor an error may show it. */
static json_t *parse_command(dr_op *op, int status, json_t *result, dr_err *err) {
  char *value = strdup(dr__exec_text(op, 1));
  json_decref(result);
  if (!value) {
    dr__err_nomem(err);
    return NULL;
  }
  chomp(value);
  json_t *given = NULL;
  if (status != 0) {
    dr__exec_failed(op, status, err);
  } else if (hide(op, dr__arg_string(op, "name", "command"), value, err) == 0) {
    given = json_pack("{s:s}", "value", value);
  }
  explicit_bzero(value, strlen(value));
  free(value);
  return given;
}

static void forget_output(dr_op *op, dr_err *err) {
  (void)op;
  free(err->detail);
  err->detail = NULL;
}

static int start_command(dr_op *op, dr_err *err) {
  const dr_exec_spec spec = {.command = json_incref(dr__arg(op, "command")),
                             .timeout = dr__arg_number(op, "timeout", 60),
                             .keep = 64 * 1024,
                             .any_status = true,
                             .quiet = true,
                             .parse = parse_command,
                             .fail = forget_output};
  return dr__exec_op(op, &spec, err);
}

static char *preview_command(const dr_op *op) {
  char *command = dr__exec_preview(op, dr__arg(op, "command"));
  char *text = NULL;
  int length = command ? asprintf(&text, "secret.command %s", command) : -1;
  free(command);
  return length < 0 ? NULL : text;
}

static char *preview(const dr_op *op) {
  char *text = NULL;
  return asprintf(&text, "%s %s", op->spec->name, dr__arg_string(op, "name", "")) < 0 ? NULL : text;
}

static const dr_arg args[] = {{"name", DR_ARG_STRING, DR_REQUIRED}, {0}};
static const dr_arg file_args[] = {{"path", DR_ARG_STRING, DR_REQUIRED}, {0}};
static const dr_arg command_args[] = {{"command", DR_ARG_COMMAND, DR_REQUIRED},
                                      {"name", DR_ARG_STRING, 0},
                                      {"timeout", DR_ARG_DURATION, 0},
                                      {0}};

static const dr_opspec ops[] = {
    {.name = "env.get",
     .kind = DR_QUERY,
     .idempotent = true,
     .args = args,
     .preview = preview,
     .start = start_get},
    {.name = "secret.get",
     .kind = DR_QUERY,
     .idempotent = true,
     .args = args,
     .preview = preview,
     .start = start_secret},
    {.name = "secret.file",
     .kind = DR_QUERY,
     .idempotent = true,
     .args = file_args,
     .preview = preview_file,
     .start = start_file},
    {.name = "secret.command",
     .kind = DR_QUERY,
     .idempotent = true,
     .args = command_args,
     .preview = preview_command,
     .start = start_command},
    {0},
};

const dr_binding dr__binding_env = {
    .name = "env", .ops = ops, .lua = &dr__lua_env, .gives = "env secret"};
