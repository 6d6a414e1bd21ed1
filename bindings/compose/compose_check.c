/* compose_check.c - see compose_check.h. Owns nothing. Called by the gate for the compose ops, in
 * the walk and in the run.
 */
#include "compose_check.h"

#include "core/err.h"
#include "docker/docker_check.h"
#include "ops/binding.h"

#include <string.h>

/* A name that begins with '-' would be an option. */
static int check_service(const char *name, dr_err *err) {
  return dr__docker_check_name(name, "name of a service", err);
}

static int check_services(const dr_op *op, dr_err *err) {
  const json_t *name;
  size_t i;
  int status = dr__arg(op, "service") ? check_service(dr__arg_string(op, "service", ""), err) : 0;
  json_array_foreach(dr__arg(op, "services"), i, name) {
    if (!status) status = check_service(json_string_value(name), err);
  }
  return status;
}

static int fail_count(const char *what, dr_err *err) {
  return dr__fail(err, "recipe.argument", "%s is a whole number, 0 or more", what);
}

/* scale = { api = 2 }: the numbers come as text. */
static int check_scale(const dr_op *op, dr_err *err) {
  const char *service;
  json_t *count;
  json_object_foreach(dr__arg(op, "scale"), service, count) {
    const char *text = json_string_value(count);
    int status = check_service(service, err);
    if (status) return status;
    if (!text[0] || text[strspn(text, "0123456789")]) return fail_count("a number in scale", err);
  }
  return DR_OK;
}

/* Compose takes a build argument as a word of its command line. */
static int check_build_args(const dr_op *op, dr_err *err) {
  const char *name;
  const json_t *value;
  if (strcmp(op->spec->name, "compose.build") != 0) return DR_OK;
  json_object_foreach(dr__arg(op, "args"), name, value) {
    if (!dr__runtime_secret_in(json_string_value(value), dr__op_runtime(op))) continue;
    dr__fail(err, "secret.in_command",
             "the build argument %s is a secret, and would stand on a command line, where every "
             "process list shows it",
             name);
    dr__err_hint(err, "an argument also stays readable in the image: give it as a secret of the "
                      "build (secrets: of the compose file, RUN --mount=type=secret)");
    return DR_FAILED;
  }
  return DR_OK;
}

int dr__compose_check(const dr_op *op, dr_err *err) {
  int status = check_services(op, err);
  if (!status) status = check_scale(op, err);
  if (!status) status = check_build_args(op, err);
  if (status) return status;
  if (dr__arg_integer(op, "count", 0) < 0) return fail_count("the number of containers", err);
  if (dr__arg_integer(op, "tail", 0) < 0) return fail_count("tail", err);
  return dr__docker_check_signal(dr__arg_string(op, "signal", "KILL"), err);
}
