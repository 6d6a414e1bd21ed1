/* docker_spec.c - from the fields of docker.run to the Engine's body and to the line a person
 * reviews. Pure, any thread. See docker_spec.h.
 */
#include "docker_spec.h"

#include "core/err.h"
#include "sha256.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *fields, const char *name) {
  return json_string_value(json_object_get(fields, name));
}

/* What is no text is "", which no notation allows. */
static const char *text_or_empty(const json_t *value) {
  const char *text = json_string_value(value);
  return text ? text : "";
}

static int wrong(dr_err *err, const char *message, const char *hint) {
  dr__fail(err, "recipe.argument", "%s", message);
  dr__err_hint(err, "%s", hint);
  return DR_RECIPE;
}

static void put(json_t *to, const char *name, json_t *value) {
  if (value) json_object_set(to, name, value);
}

/* ------------------------------------------------------------ parts of the body */

static int put_ports(const json_t *fields, json_t *body, json_t *host, dr_err *err) {
  json_t *exposed = json_object(), *bound = json_object(), *text;
  size_t i;
  int status = 0;
  json_array_foreach(json_object_get(fields, "ports"), i, text) {
    dr_port port;
    status = dr__docker_port(text_or_empty(text), &port, err);
    if (status) break;
    json_t *name = json_sprintf("%d/%s", port.container, port.protocol);
    const char *key = name ? json_string_value(name) : "";
    json_object_set_new(exposed, key, json_object());
    if (port.published) {
      if (!json_object_get(bound, key)) json_object_set_new(bound, key, json_array());
      json_array_append_new(
          json_object_get(bound, key),
          json_pack("{s:s, s:o}", "HostIp", port.address, "HostPort",
                    port.host > 0 ? json_sprintf("%d", port.host) : json_string("")));
    }
    json_decref(name);
  }
  json_object_set_new(body, "ExposedPorts", exposed);
  json_object_set_new(host, "PortBindings", bound);
  return status;
}

static int put_volumes(const json_t *fields, json_t *body, json_t *host, dr_err *err) {
  json_t *binds = json_array(), *anonymous = json_object(), *text;
  size_t i;
  int status = 0;
  json_array_foreach(json_object_get(fields, "volumes"), i, text) {
    status = dr__docker_volume(text_or_empty(text), err);
    if (status) break;
    if (strchr(json_string_value(text), ':'))
      json_array_append(binds, text);
    else
      json_object_set_new(anonymous, json_string_value(text), json_object());
  }
  json_object_set_new(host, "Binds", binds);
  json_object_set_new(body, "Volumes", anonymous);
  return status;
}

static int put_restart(const json_t *fields, json_t *host, dr_err *err) {
  static const char *const names[] = {"no", "always", "unless-stopped", "on-failure"};
  const char *text = text_of(fields, "restart");
  if (!text) return 0;
  size_t length = strcspn(text, ":"), i = 0;
  while (i < 4 && (strlen(names[i]) != length || strncmp(names[i], text, length) != 0)) i++;
  char *end = NULL;
  errno = 0;
  long count = text[length] ? strtol(text + length + 1, &end, 10) : 0;
  bool bad_count = text[length] && (i != 3 || errno != 0 || *end || count < 1 || count > 1000000);
  if (i == 4 || bad_count) {
    char message[120];
    snprintf(message, sizeof message, "\"%.60s\" is no restart policy", text);
    return wrong(err, message,
                 "\"no\", \"always\", \"unless-stopped\", \"on-failure\" or \"on-failure:5\"");
  }
  json_object_set_new(host, "RestartPolicy",
                      json_pack("{s:s, s:i}", "Name", names[i], "MaximumRetryCount", (int)count));
  return 0;
}

static int put_memory(const json_t *fields, json_t *host, dr_err *err) {
  const char *text = text_of(fields, "memory");
  json_t *cpus = json_object_get(fields, "cpus");
  int64_t bytes = 0;
  int status = text ? dr__docker_size(text, &bytes, err) : 0;
  if (status) return status;
  if (text) json_object_set_new(host, "Memory", json_integer(bytes));
  if (!cpus) return 0;
  double number = json_number_value(cpus);
  if (number <= 0 || number > 10000) return wrong(err, "cpus is not above 0", "cpus = 1.5");
  json_object_set_new(host, "NanoCpus", json_integer((json_int_t)(number * 1e9)));
  return 0;
}

/* Words as they are, a string through the container's shell. */
static json_t *command_of(json_t *command) {
  if (json_is_string(command)) return json_pack("[s, s, O]", "/bin/sh", "-c", command);
  return json_incref(command);
}

static void put_time(json_t *to, const char *name, const json_t *health, const char *field) {
  double seconds = json_number_value(json_object_get(health, field));
  if (seconds > 0 && seconds < 1e9)
    json_object_set_new(to, name, json_integer((json_int_t)(seconds * 1e9)));
}

static int put_health(const json_t *fields, json_t *body, dr_err *err) {
  json_t *health = json_object_get(fields, "health");
  if (!health) return 0;
  json_t *command = json_object_get(health, "cmd");
  json_t *test;
  if (json_is_false(json_object_get(health, "enabled"))) {
    test = json_pack("[s]", "NONE");
  } else if (json_is_string(command)) {
    test = json_pack("[s, O]", "CMD-SHELL", command);
  } else if (json_array_size(command) > 0) {
    test = json_pack("[s]", "CMD");
    json_array_extend(test, command);
  } else {
    return wrong(err, "health needs a command",
                 "health = { cmd = \"curl -f http://localhost:8000/health/\", interval = 5 }");
  }
  json_t *check = json_pack("{s:o}", "Test", test);
  put_time(check, "Interval", health, "interval");
  put_time(check, "Timeout", health, "timeout");
  put_time(check, "StartPeriod", health, "start_period");
  put(check, "Retries", json_object_get(health, "retries"));
  json_object_set_new(body, "Healthcheck", check);
  return 0;
}

/* "NAME=value" of both; the recipe's own win over those of the files. */
static json_t *environment_of(const json_t *own, const json_t *from_files) {
  json_t *all = json_object(), *list = json_array(), *value;
  size_t i;
  const char *name;
  json_array_foreach(from_files, i, value) {
    const char *text = json_string_value(value);
    char *key = text ? strndup(text, strcspn(text, "=")) : NULL;
    if (key && text[strlen(key)])
      json_object_set_new(all, key, json_string(text + strlen(key) + 1));
    free(key);
  }
  json_object_update(all, (json_t *)own);
  json_object_foreach(all, name, value)
    json_array_append_new(list, json_sprintf("%s=%s", name, text_or_empty(value)));
  json_decref(all);
  return list;
}

static void put_network(const json_t *fields, json_t *body, json_t *host) {
  const char *network = text_of(fields, "network");
  json_t *aliases = json_object_get(fields, "aliases");
  if (!network) return;
  json_object_set_new(host, "NetworkMode", json_string(network));
  if (json_array_size(aliases) > 0)
    json_object_set_new(body, "NetworkingConfig",
                        json_pack("{s:{s:{s:O}}}", "EndpointsConfig", network, "Aliases", aliases));
}

/* ------------------------------------------------------------ the body */

static int put_all(const json_t *fields, json_t *body, json_t *host, dr_err *err) {
  int status = put_ports(fields, body, host, err);
  if (!status) status = put_volumes(fields, body, host, err);
  if (!status) status = put_restart(fields, host, err);
  if (!status) status = put_memory(fields, host, err);
  if (!status) status = put_health(fields, body, err);
  if (status) return status;
  put_network(fields, body, host);
  put(host, "ExtraHosts", json_object_get(fields, "extra_hosts"));
  put(host, "Init", json_object_get(fields, "init"));
  put(host, "AutoRemove", json_object_get(fields, "rm"));
  put(host, "ReadonlyRootfs", json_object_get(fields, "read_only"));
  return 0;
}

json_t *dr__docker_create_body(const json_t *fields, json_t *env, dr_err *err) {
  json_t *body = json_object(), *host = json_object();
  json_t *command = json_object_get(fields, "command");
  json_t *entrypoint = json_object_get(fields, "entrypoint");
  int status = put_all(fields, body, host, err);
  if (text_of(fields, "restart") && json_is_true(json_object_get(fields, "rm")) && !status)
    status = wrong(err, "rm and restart exclude each other", "leave one of them out");
  put(body, "Image", json_object_get(fields, "image"));
  if (command) json_object_set_new(body, "Cmd", command_of(command));
  put(body, "Entrypoint", entrypoint);
  put(body, "User", json_object_get(fields, "user"));
  put(body, "WorkingDir", json_object_get(fields, "workdir"));
  put(body, "Hostname", json_object_get(fields, "hostname"));
  json_t *grace = json_object_get(fields, "stop_timeout");
  if (grace)
    json_object_set_new(body, "StopTimeout", json_integer((json_int_t)json_number_value(grace)));
  json_object_set_new(body, "Env", environment_of(json_object_get(fields, "env"), env));
  json_t *labels = json_object_get(fields, "labels");
  json_object_set_new(body, "Labels", labels ? json_copy(labels) : json_object());
  json_object_set_new(body, "HostConfig", host);
  if (!status) return body;
  json_decref(body);
  return NULL;
}

bool dr__docker_config_hash(const json_t *body, char hex[65]) {
  char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
  if (!text) return false;
  dr__sha256_of(text, strlen(text), hex);
  free(text);
  return true;
}

/* ------------------------------------------------------------ the line a person reviews */

static void add(json_t *words, const char *flag, const char *value) {
  if (!value) return;
  json_array_append_new(words, json_string(flag));
  json_array_append_new(words, json_string(value));
}

static void add_list(json_t *words, const json_t *fields, const char *name, const char *flag) {
  json_t *list = json_object_get(fields, name), *value;
  const char *key;
  size_t i;
  json_array_foreach(list, i, value) add(words, flag, text_or_empty(value));
  json_object_foreach(list, key, value) {
    json_array_append_new(words, json_string(flag));
    json_array_append_new(words, json_sprintf("%s=%s", key, text_or_empty(value)));
  }
}

static void add_health(json_t *words, const json_t *health) {
  static const char *const times[][2] = {{"interval", "--health-interval"},
                                         {"timeout", "--health-timeout"},
                                         {"start_period", "--health-start-period"}};
  json_t *command = json_object_get(health, "cmd");
  if (!health) return;
  if (json_is_false(json_object_get(health, "enabled")))
    json_array_append_new(words, json_string("--no-healthcheck"));
  if (json_is_string(command)) add(words, "--health-cmd", json_string_value(command));
  if (json_is_array(command)) {
    char *line = json_dumps(command, JSON_COMPACT);
    add(words, "--health-cmd", line);
    free(line);
  }
  for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
    json_t *value = json_object_get(health, times[i][0]);
    if (!value) continue;
    json_array_append_new(words, json_string(times[i][1]));
    json_array_append_new(words, json_sprintf("%gs", json_number_value(value)));
  }
  json_t *retries = json_object_get(health, "retries");
  if (retries) {
    json_array_append_new(words, json_string("--health-retries"));
    json_array_append_new(words, json_sprintf("%d", (int)json_integer_value(retries)));
  }
}

static void add_flags(json_t *words, const json_t *fields) {
  static const char *const flags[][2] = {
      {"rm", "--rm"}, {"init", "--init"}, {"read_only", "--read-only"}};
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
    if (json_is_true(json_object_get(fields, flags[i][0])))
      json_array_append_new(words, json_string(flags[i][1]));
  }
}

static void add_numbers(json_t *words, const json_t *fields) {
  json_t *cpus = json_object_get(fields, "cpus"), *grace = json_object_get(fields, "stop_timeout");
  if (cpus) {
    json_array_append_new(words, json_string("--cpus"));
    json_array_append_new(words, json_sprintf("%g", json_number_value(cpus)));
  }
  if (grace) {
    json_array_append_new(words, json_string("--stop-timeout"));
    json_array_append_new(words, json_sprintf("%.0f", json_number_value(grace)));
  }
}

json_t *dr__docker_run_words(const json_t *fields, bool detached) {
  json_t *words = json_pack("[s, s, s*]", "docker", "run", detached ? "-d" : NULL);
  json_t *command = json_object_get(fields, "command"), *entrypoint;
  add(words, "--name", text_of(fields, "name"));
  add_flags(words, fields);
  add(words, "--restart", text_of(fields, "restart"));
  add(words, "--network", text_of(fields, "network"));
  add_list(words, fields, "aliases", "--network-alias");
  add_list(words, fields, "ports", "--publish");
  add_list(words, fields, "env_file", "--env-file");
  add_list(words, fields, "env", "--env");
  add_list(words, fields, "volumes", "--volume");
  add_list(words, fields, "labels", "--label");
  add_list(words, fields, "extra_hosts", "--add-host");
  add(words, "--user", text_of(fields, "user"));
  add(words, "--workdir", text_of(fields, "workdir"));
  add(words, "--hostname", text_of(fields, "hostname"));
  add(words, "--memory", text_of(fields, "memory"));
  add_numbers(words, fields);
  add_health(words, json_object_get(fields, "health"));
  entrypoint = json_object_get(fields, "entrypoint");
  if (entrypoint) add(words, "--entrypoint", json_string_value(json_array_get(entrypoint, 0)));
  json_array_append_new(words,
                        json_string(text_of(fields, "image") ? text_of(fields, "image") : ""));
  for (size_t i = 1; i < json_array_size(entrypoint); i++)
    json_array_append(words, json_array_get(entrypoint, i));
  json_t *all = command ? command_of(command) : NULL;
  if (all) json_array_extend(words, all);
  json_decref(all);
  return words;
}
