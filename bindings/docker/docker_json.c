/* docker_json.c - from the Engine's JSON to this project's. Pure, any
 * thread. Called by the parse functions of the docker ops. */
#include "docker_json.h"

#include "core/err.h"

#include <stdlib.h>
#include <string.h>

static const char *text_at(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

static const char *without_slash(const char *name) {
  return name[0] == '/' ? name + 1 : name;
}

/* Copies a field when it is there and of the wanted type. */
static void copy(json_t *to, const char *name, const json_t *from, const char *key,
                 json_type type) {
  json_t *value = json_object_get(from, key);
  bool is_bool = type == JSON_TRUE && json_is_boolean(value);
  if (value && (is_bool || json_typeof(value) == type)) json_object_set(to, name, value);
}

static void put_text(json_t *to, const char *name, const char *text) {
  if (text[0]) json_object_set_new(to, name, json_string(text));
}

/* ------------------------------------------------------------ state */

static dr_health health_of(const char *status) {
  if (strcmp(status, "healthy") == 0) return DR_HEALTH_HEALTHY;
  if (strcmp(status, "unhealthy") == 0) return DR_HEALTH_UNHEALTHY;
  return strcmp(status, "starting") == 0 ? DR_HEALTH_STARTING : DR_HEALTH_NONE;
}

static const char *const health_names[] = {
    [DR_HEALTH_NONE] = "",
    [DR_HEALTH_STARTING] = "starting",
    [DR_HEALTH_HEALTHY] = "healthy",
    [DR_HEALTH_UNHEALTHY] = "unhealthy",
};

static const char *last_check_of(const json_t *health) {
  const json_t *log = json_object_get(health, "Log");
  size_t count = json_array_size(log);
  return count > 0 ? text_at(json_array_get(log, count - 1), "Output") : "";
}

/* The first network's address, in the order of the JSON. */
static const char *address_of(json_t *networks) {
  const char *name;
  json_t *network;
  json_object_foreach(networks, name, network) {
    const char *address = text_at(network, "IPAddress");
    if (address[0]) return address;
  }
  return "";
}

void dr__docker_state(const json_t *inspected, dr_container_state *out) {
  const json_t *state = json_object_get(inspected, "State");
  const json_t *health = json_object_get(state, "Health");
  json_t *networks = json_object_get(json_object_get(inspected, "NetworkSettings"), "Networks");
  *out = (dr_container_state){
      .running = json_is_true(json_object_get(state, "Running")),
      .oom_killed = json_is_true(json_object_get(state, "OOMKilled")),
      .exit_code = (int)json_integer_value(json_object_get(state, "ExitCode")),
      .restarts = (int)json_integer_value(json_object_get(inspected, "RestartCount")),
      .health = health_of(text_at(health, "Status")),
  };
  const json_t *host = json_object_get(inspected, "HostConfig");
  out->memory_limit = json_integer_value(json_object_get(host, "Memory"));
  out->has_check = out->health != DR_HEALTH_NONE;
  dr__copy_text(out->failure, sizeof out->failure, text_at(state, "Error"));
  dr__copy_text(out->last_check, sizeof out->last_check, last_check_of(health));
  dr__copy_text(out->status, sizeof out->status, text_at(state, "Status"));
  dr__copy_text(out->started, sizeof out->started, text_at(state, "StartedAt"));
  dr__copy_text(out->address, sizeof out->address, address_of(networks));
  dr__copy_text(out->name, sizeof out->name, without_slash(text_at(inspected, "Name")));
}

bool dr__docker_out_of_memory(const dr_container_state *state) {
  return state->oom_killed || (state->exit_code == 137 && state->memory_limit > 0);
}

/* ------------------------------------------------------------ parts */

/* What compose says of the container in its labels. */
static void put_labels(json_t *to, json_t *labels) {
  if (!json_is_object(labels)) return;
  json_t *shown = json_copy(labels);
  json_object_del(shown, "deployrun.config"); /* a hash of what may be secret: see docker_spec.h */
  json_object_set_new(to, "labels", shown);
  copy(to, "project", labels, "com.docker.compose.project", JSON_STRING);
  copy(to, "service", labels, "com.docker.compose.service", JSON_STRING);
  const char *number = text_at(labels, "com.docker.compose.container-number");
  if (number[0]) json_object_set_new(to, "number", json_integer(strtol(number, NULL, 10)));
}

static void put_networks(json_t *to, json_t *networks) {
  json_t *all = json_object();
  const char *name;
  json_t *network;
  json_object_foreach(networks, name, network) {
    json_t *one = json_object();
    copy(one, "address", network, "IPAddress", JSON_STRING);
    copy(one, "aliases", network, "Aliases", JSON_ARRAY);
    json_object_set_new(all, name, one);
  }
  json_object_set_new(to, "networks", all);
  put_text(to, "address", address_of(networks));
}

static json_t *bindings_of(json_t *published) {
  json_t *all = json_array();
  size_t i;
  json_t *one;
  json_array_foreach(published, i, one) {
    const char *port = text_at(one, "HostPort");
    json_t *binding = json_object();
    put_text(binding, "host", text_at(one, "HostIp"));
    if (port[0]) json_object_set_new(binding, "port", json_integer(strtol(port, NULL, 10)));
    json_array_append_new(all, binding);
  }
  return all;
}

/* Of an inspection: {"80/tcp": [{HostIp, HostPort}] or null}. */
static void put_ports(json_t *to, json_t *ports) {
  json_t *all = json_object();
  const char *name;
  json_t *published;
  json_object_foreach(ports, name, published) {
    json_object_set_new(all, name, bindings_of(published));
  }
  json_object_set_new(to, "ports", all);
}

/* Of a list: [{PrivatePort, Type, IP, PublicPort}]. */
static void put_listed_ports(json_t *to, json_t *ports) {
  json_t *all = json_object();
  size_t i;
  json_t *port;
  json_array_foreach(ports, i, port) {
    json_t *name =
        json_sprintf("%d/%s", (int)json_integer_value(json_object_get(port, "PrivatePort")),
                     text_at(port, "Type"));
    const char *key = name ? json_string_value(name) : "";
    if (!json_object_get(all, key)) json_object_set_new(all, key, json_array());
    json_t *binding = json_object();
    copy(binding, "host", port, "IP", JSON_STRING);
    copy(binding, "port", port, "PublicPort", JSON_INTEGER);
    if (json_object_get(binding, "port")) json_array_append(json_object_get(all, key), binding);
    json_decref(binding);
    json_decref(name);
  }
  json_object_set_new(to, "ports", all);
}

static void put_mounts(json_t *to, json_t *mounts) {
  json_t *all = json_array();
  size_t i;
  json_t *mount;
  json_array_foreach(mounts, i, mount) {
    json_t *one = json_object();
    copy(one, "type", mount, "Type", JSON_STRING);
    copy(one, "name", mount, "Name", JSON_STRING);
    copy(one, "source", mount, "Source", JSON_STRING);
    copy(one, "destination", mount, "Destination", JSON_STRING);
    copy(one, "writable", mount, "RW", JSON_TRUE);
    json_array_append_new(all, one);
  }
  json_object_set_new(to, "mounts", all);
}

/* ------------------------------------------------------------ wholes */

static void put_state(json_t *to, const json_t *inspected) {
  const json_t *state = json_object_get(inspected, "State");
  dr_container_state read;
  dr__docker_state(inspected, &read);
  put_text(to, "state", read.status);
  json_object_set_new(to, "running", json_boolean(read.running));
  json_object_set_new(to, "restarts", json_integer(read.restarts));
  put_text(to, "health", health_names[read.health]);
  put_text(to, "failure", read.failure);
  copy(to, "exit_code", state, "ExitCode", JSON_INTEGER);
  copy(to, "oom_killed", state, "OOMKilled", JSON_TRUE);
  copy(to, "pid", state, "Pid", JSON_INTEGER);
  copy(to, "started_at", state, "StartedAt", JSON_STRING);
  copy(to, "finished_at", state, "FinishedAt", JSON_STRING);
}

json_t *dr__docker_container(const json_t *inspected) {
  const json_t *config = json_object_get(inspected, "Config");
  const json_t *host = json_object_get(inspected, "HostConfig");
  const json_t *network = json_object_get(inspected, "NetworkSettings");
  json_t *out = json_object();
  copy(out, "id", inspected, "Id", JSON_STRING);
  put_text(out, "name", without_slash(text_at(inspected, "Name")));
  copy(out, "image", config, "Image", JSON_STRING);
  copy(out, "image_id", inspected, "Image", JSON_STRING);
  copy(out, "created", inspected, "Created", JSON_STRING);
  copy(out, "command", config, "Cmd", JSON_ARRAY);
  copy(out, "tty", config, "Tty", JSON_TRUE);
  copy(out, "network_mode", host, "NetworkMode", JSON_STRING);
  copy(out, "restart_policy", json_object_get(host, "RestartPolicy"), "Name", JSON_STRING);
  put_state(out, inspected);
  put_labels(out, json_object_get(config, "Labels"));
  put_networks(out, json_object_get(network, "Networks"));
  put_ports(out, json_object_get(network, "Ports"));
  put_mounts(out, json_object_get(inspected, "Mounts"));
  return out;
}

/* The list tells health only in words: "Up 3 minutes (healthy)". */
static const char *listed_health(const char *status) {
  if (strstr(status, "(healthy)")) return "healthy";
  if (strstr(status, "(unhealthy)")) return "unhealthy";
  return strstr(status, "(health: starting)") ? "starting" : "";
}

json_t *dr__docker_listed(const json_t *item) {
  json_t *out = json_object();
  const char *name = json_string_value(json_array_get(json_object_get(item, "Names"), 0));
  copy(out, "id", item, "Id", JSON_STRING);
  put_text(out, "name", without_slash(name ? name : ""));
  copy(out, "image", item, "Image", JSON_STRING);
  copy(out, "image_id", item, "ImageID", JSON_STRING);
  copy(out, "state", item, "State", JSON_STRING);
  copy(out, "created", item, "Created", JSON_INTEGER);
  json_object_set_new(out, "running", json_boolean(strcmp(text_at(item, "State"), "running") == 0));
  put_text(out, "health", listed_health(text_at(item, "Status")));
  put_labels(out, json_object_get(item, "Labels"));
  put_networks(out, json_object_get(json_object_get(item, "NetworkSettings"), "Networks"));
  put_listed_ports(out, json_object_get(item, "Ports"));
  return out;
}

json_t *dr__docker_image(const json_t *inspected) {
  const json_t *config = json_object_get(inspected, "Config");
  json_t *out = json_object();
  copy(out, "id", inspected, "Id", JSON_STRING);
  copy(out, "tags", inspected, "RepoTags", JSON_ARRAY);
  copy(out, "digests", inspected, "RepoDigests", JSON_ARRAY);
  copy(out, "created", inspected, "Created", JSON_STRING);
  copy(out, "size", inspected, "Size", JSON_INTEGER);
  copy(out, "labels", config, "Labels", JSON_OBJECT);
  copy(out, "command", config, "Cmd", JSON_ARRAY);
  json_object_set_new(out, "has_check",
                      json_boolean(json_object_get(config, "Healthcheck") != NULL));
  return out;
}
