/* container_op.c - the op postgres.container: where the database of a container is and who may use
 * it, from its environment as the usual images define it. The password is registered for masking
 * before anybody sees it. Called through the gate, on the runtime's thread.
 */
#include "ops.h"

#include "docker/docker.h"

#include "core/err.h"

#include <stdio.h>
#include <string.h>

/* The value of NAME in ["NAME=value", …]; NULL when it is not there or empty. */
static const char *variable(const json_t *environment, const char *name) {
  size_t i, length = strlen(name);
  json_t *entry;
  json_array_foreach((json_t *)environment, i, entry) {
    const char *text = json_string_value(entry);
    if (text && strncmp(text, name, length) == 0 && text[length] == '=' && text[length + 1])
      return text + length + 1;
  }
  return NULL;
}

/* The official image's name, then bitnami's. */
static const char *either(const json_t *environment, const char *name, const char *other,
                          const char *otherwise) {
  const char *value = variable(environment, name);
  if (!value) value = variable(environment, other);
  return value ? value : otherwise;
}

static const char *address_of(const json_t *inspected) {
  json_t *networks = json_object_get(json_object_get(inspected, "NetworkSettings"), "Networks");
  const char *mode =
      json_string_value(json_object_get(json_object_get(inspected, "HostConfig"), "NetworkMode"));
  const char *name;
  json_t *network;
  if (mode && strcmp(mode, "host") == 0) return "127.0.0.1";
  json_object_foreach(networks, name, network) {
    const char *address = json_string_value(json_object_get(network, "IPAddress"));
    if (address && address[0]) return address;
  }
  return NULL;
}

static int hide(const dr_op *op, const char *password, dr_err *err) {
  if (dr__runtime_mask(dr__op_runtime(op), "POSTGRES_PASSWORD", password)) return 0;
  dr__fail(err, "secret.short",
           "the password in the container's environment is shorter than 4 characters and cannot be "
           "masked");
  dr__err_hint(err, "give it a longer one");
  return DR_FAILED;
}

static json_t *parse(dr_op *op, const dr_engine_answer *answer, dr_err *err) {
  const json_t *environment = json_object_get(json_object_get(answer->json, "Config"), "Env");
  const char *address = address_of(answer->json);
  const char *user = either(environment, "POSTGRES_USER", "POSTGRESQL_USERNAME", "postgres");
  const char *password = either(environment, "POSTGRES_PASSWORD", "POSTGRESQL_PASSWORD", NULL);
  if (!address) {
    dr__fail(err, "docker.not_running", "the container %s has no address",
             dr__arg_string(op, "container", ""));
    dr__err_hint(err, "does it run? Without a network it cannot be reached");
    return NULL;
  }
  if (password && hide(op, password, err) != 0) return NULL;
  json_t *found =
      json_pack("{s:s, s:s, s:s, s:s}", "host", address, "port",
                either(environment, "PGPORT", "POSTGRESQL_PORT_NUMBER", "5432"), "user", user,
                "dbname", either(environment, "POSTGRES_DB", "POSTGRESQL_DATABASE", user));
  if (found && password) json_object_set_new(found, "password", json_string(password));
  if (!found) dr__err_nomem(err);
  return found;
}

int dr__pg_container_start(dr_op *op, dr_err *err) {
  const dr_docker_call_spec spec = {
      .path = dr__engine_path("/containers/", dr__arg_string(op, "container", ""), "/json"),
      .parse = parse};
  return dr__docker_call(op, &spec, err);
}

char *dr__pg_container_preview(const dr_op *op) {
  char *text = NULL;
  if (asprintf(&text, "find the database of the container %s", dr__arg_string(op, "name", "")) < 0)
    return NULL;
  return text;
}

json_t *dr__pg_container_assume(const dr_op *op) {
  const char *name = dr__arg_string(op, "name", "db");
  return json_pack("{s:s, s:s, s:s, s:s}", "host", name, "port", "5432", "user", "postgres",
                   "dbname", name);
}

const dr_arg dr__pg_container_args[] = {{"socket", DR_ARG_STRING, DR_REQUIRED},
                                        {"container", DR_ARG_STRING, DR_REQUIRED},
                                        {"name", DR_ARG_STRING, DR_REQUIRED},
                                        {0}};
