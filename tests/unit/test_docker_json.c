/* Reading the Engine's JSON and its refusals: what is there, and what is missing or of the wrong
 * type. */
#include "docker/docker_engine.h"
#include "docker/docker_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *parse(const char *text) {
  json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
  assert_non_null(json);
  return json;
}

static const char inspected[] =
    "{\"Id\":\"abc\",\"Name\":\"/"
    "api_1\",\"Image\":\"sha256:1\",\"RestartCount\":2,\"Created\":\"then\","
    "\"State\":{\"Status\":\"running\",\"Running\":true,\"OOMKilled\":false,\"ExitCode\":0,"
    "\"Error\":\"\",\"Pid\":7,"
    "\"StartedAt\":\"2026-01-01T00:00:00Z\",\"Health\":{\"Status\":\"unhealthy\",\"Log\":[{"
    "\"Output\":\"old\"},"
    "{\"Output\":\"connection refused\"}]}},"
    "\"Config\":{\"Image\":\"shop/"
    "api:2\",\"Cmd\":[\"gunicorn\"],\"Tty\":false,\"Env\":[\"PASSWORD=x\"],\"Labels\":"
    "{\"com.docker.compose.project\":\"shop\",\"com.docker.compose.service\":\"api\","
    "\"com.docker.compose.container-number\":\"3\"}},"
    "\"HostConfig\":{\"NetworkMode\":\"shop_default\",\"RestartPolicy\":{\"Name\":\"always\"}},"
    "\"NetworkSettings\":{\"Networks\":{\"shop_default\":{\"IPAddress\":\"172.18.0.5\",\"Aliases\":"
    "[\"api\"]}},"
    "\"Ports\":{\"8000/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"8001\"}],\"9/udp\":null}},"
    "\"Mounts\":[{\"Type\":\"volume\",\"Name\":\"media\",\"Destination\":\"/media\",\"RW\":true}]}";

static const char *text(const json_t *object, const char *key) {
  const char *value = json_string_value(json_object_get(object, key));
  assert_non_null(value);
  return value;
}

static void a_container_is_told_in_our_words_without_its_environment(void **state) {
  (void)state;
  json_t *json = parse(inspected);
  json_t *it = dr__docker_container(json);
  assert_string_equal(text(it, "id"), "abc");
  assert_string_equal(text(it, "name"), "api_1");
  assert_string_equal(text(it, "image"), "shop/api:2");
  assert_string_equal(text(it, "image_id"), "sha256:1");
  assert_string_equal(text(it, "state"), "running");
  assert_string_equal(text(it, "health"), "unhealthy");
  assert_string_equal(text(it, "project"), "shop");
  assert_string_equal(text(it, "service"), "api");
  assert_string_equal(text(it, "address"), "172.18.0.5");
  assert_int_equal(json_integer_value(json_object_get(it, "number")), 3);
  assert_int_equal(json_integer_value(json_object_get(it, "restarts")), 2);
  const json_t *port = json_array_get(json_object_get(json_object_get(it, "ports"), "8000/tcp"), 0);
  assert_int_equal(json_integer_value(json_object_get(port, "port")), 8001);
  char *dumped = json_dumps(it, 0);
  assert_null(strstr(dumped, "PASSWORD"));
  free(dumped);
  json_decref(it);
  json_decref(json);
}

static void the_state_has_the_last_health_check(void **state) {
  (void)state;
  dr_container_state read;
  json_t *json = parse(inspected);
  dr__docker_state(json, &read);
  assert_int_equal(read.health, DR_HEALTH_UNHEALTHY);
  assert_string_equal(read.last_check, "connection refused");
  assert_string_equal(read.address, "172.18.0.5");
  assert_true(read.running && read.has_check);
  assert_int_equal(read.restarts, 2);
  json_decref(json);
}

static void a_listed_container_tells_health_and_ports(void **state) {
  (void)state;
  json_t *json = parse(
      "{\"Id\":\"abc\",\"Names\":[\"/"
      "web_1\"],\"Image\":\"nginx\",\"ImageID\":\"sha256:2\",\"State\":"
      "\"running\",\"Status\":\"Up 2 minutes (healthy)\",\"Created\":17,\"Labels\":{\"a\":\"b\"},"
      "\"Ports\":[{\"IP\":\"0.0.0.0\",\"PrivatePort\":80,\"PublicPort\":8080,\"Type\":\"tcp\"},"
      "{\"IP\":\"::\",\"PrivatePort\":80,\"PublicPort\":8080,\"Type\":\"tcp\"},"
      "{\"PrivatePort\":443,\"Type\":\"tcp\"}]}");
  json_t *it = dr__docker_listed(json);
  assert_string_equal(text(it, "name"), "web_1");
  assert_string_equal(text(it, "health"), "healthy");
  assert_true(json_is_true(json_object_get(it, "running")));
  const json_t *ports = json_object_get(it, "ports");
  assert_int_equal(json_array_size(json_object_get(ports, "80/tcp")), 2);
  assert_int_equal(json_array_size(json_object_get(ports, "443/tcp")), 0);
  json_decref(it);
  json_decref(json);
}

static void json_of_any_other_shape_is_survived(void **state) {
  (void)state;
  const char *const shapes[] = {
      "null",
      "[]",
      "7",
      "\"x\"",
      "{}",
      "{\"State\":7,\"Config\":[],\"NetworkSettings\":\"x\",\"Name\":null,\"Id\":{}}",
      "{\"State\":{\"Health\":{\"Log\":{},\"Status\":[]}},\"Names\":7,\"Ports\":{\"a\":7},"
      "\"Mounts\":{}}",
      "{\"NetworkSettings\":{\"Networks\":{\"a\":null,\"b\":[]},\"Ports\":{\"80/"
      "tcp\":[null,7]}},\"Ports\":[null,7]}",
      "{\"State\":{\"Health\":{\"Log\":[null]}},\"Names\":[null],\"Config\":{\"Labels\":null},"
      "\"Labels\":[1]}"};
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
    json_t *json = parse(shapes[i]);
    dr_container_state read;
    dr__docker_state(json, &read);
    assert_false(read.running);
    json_decref(dr__docker_container(json));
    json_decref(dr__docker_listed(json));
    json_decref(dr__docker_image(json));
    json_decref(json);
  }
}

static void names_are_escaped_in_paths(void **state) {
  (void)state;
  char *path = dr__engine_path("/containers/", "a/b?c=d e\xC3\xA4", "/json");
  assert_string_equal(path, "/containers/a%2Fb%3Fc%3Dd%20e%C3%A4/json");
  free(path);
}

static void the_wanted_version_is_read_from_the_refusal(void **state) {
  (void)state;
  char version[16];
  assert_true(dr__engine_wanted_version(
      "client version 1.41 is too old. Minimum supported API version is 1.44, please "
      "upgrade your client to a newer version",
      version, sizeof version));
  assert_string_equal(version, "1.44");
  assert_true(dr__engine_wanted_version(
      "client is newer than server; Maximum supported API version is 1.24.", version,
      sizeof version));
  assert_string_equal(version, "1.24");
  assert_false(dr__engine_wanted_version("supported API version is ", version, sizeof version));
  assert_false(dr__engine_wanted_version("supported API version is 7", version, sizeof version));
  assert_false(dr__engine_wanted_version("supported API version is 1.11111111111111111111", version,
                                         sizeof version));
  assert_false(dr__engine_wanted_version("bad parameter", version, sizeof version));
}

static void refusals_have_codes_and_the_engines_words(void **state) {
  (void)state;
  const struct {
    int status;
    const char *body, *code, *words;
  } cases[] = {
      {404, "{\"message\":\"No such container: x\"}\n", "docker.no_such_container",
       "No such container: x"},
      {404, "{\"message\":\"No such image: y:latest\"}", "docker.no_such_image", "No such image"},
      {404, "{\"message\":\"page not found\"}", "docker.not_found", "page not found"},
      {409, "{\"message\":\"Container x is not running\"}", "docker.not_running", "is not running"},
      {409, "{\"message\":\"You cannot remove a running container\"}", "docker.conflict",
       "cannot remove"},
      {500, "{\"message\":\"driver failed\"}", "docker.engine", "driver failed"},
      {503, "plain words", "docker.engine", "plain words"},
      {500, "", "docker.engine", "status 500"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    dr_err err = DR_ERR_INIT;
    dr__engine_explain(&err, cases[i].status, cases[i].body, strlen(cases[i].body));
    assert_string_equal(err.code, cases[i].code);
    assert_non_null(strstr(err.message, cases[i].words));
    dr_err_clear(&err);
  }
}

static void the_engine_is_found_by_the_environment(void **state) {
  (void)state;
  char socket[128];
  dr_err err = DR_ERR_INIT;
  setenv("DOCKER_HOST", "unix:///tmp/other.sock", 1);
  assert_true(dr__engine_find(socket, sizeof socket, &err));
  assert_string_equal(socket, "/tmp/other.sock");
  setenv("DOCKER_HOST", "tcp://10.0.0.1:2375", 1);
  assert_false(dr__engine_find(socket, sizeof socket, &err));
  assert_string_equal(err.code, "docker.host");
  unsetenv("DOCKER_HOST");
  assert_true(dr__engine_find(socket, sizeof socket, &err));
  assert_non_null(strstr(socket, "docker.sock"));
  dr_err_clear(&err);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_container_is_told_in_our_words_without_its_environment),
      cmocka_unit_test(the_state_has_the_last_health_check),
      cmocka_unit_test(a_listed_container_tells_health_and_ports),
      cmocka_unit_test(json_of_any_other_shape_is_survived),
      cmocka_unit_test(names_are_escaped_in_paths),
      cmocka_unit_test(the_wanted_version_is_read_from_the_refusal),
      cmocka_unit_test(refusals_have_codes_and_the_engines_words),
      cmocka_unit_test(the_engine_is_found_by_the_environment),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
