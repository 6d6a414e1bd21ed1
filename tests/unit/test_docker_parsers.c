/* The docker binding's pure parts: progress of a pull, names of images, refusals of a registry, the
 * notations of `docker run`, which images may go, what a container uses, a swarm's services, and
 * what compose writes when its file is wrong. */
#include "compose/compose_error.h"
#include "docker/docker_json.h"
#include "docker/docker_progress.h"
#include "docker/docker_prune.h"
#include "docker/docker_registry.h"
#include "docker/docker_spec.h"
#include "swarm/swarm_state.h"

#include "core/err.h"

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

static void expect_code(dr_err *err, const char *code) {
  assert_string_equal(err->code, code);
  dr_err_clear(err);
}

/* ------------------------------------------------------------ progress */

static const char pulling[] =
    "{\"status\":\"Pulling from team/api\",\"id\":\"v2\"}\r\n"
    "{\"status\":\"Already exists\",\"progressDetail\":{},\"id\":\"aaaaaaaaaaaa\"}\r\n"
    "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":1500000,\"total\":4000000},"
    "\"id\":\"bbbbbbbbbbbb\"}\r\n"
    "{\"status\":\"Download complete\",\"progressDetail\":{},\"id\":\"bbbbbbbbbbbb\"}\r\n"
    "{\"status\":\"Extracting\",\"progressDetail\":{\"current\":32768,\"total\":4000000},"
    "\"id\":\"bbbbbbbbbbbb\"}\r\n";
static const char pulled[] =
    "{\"status\":\"Pull complete\",\"progressDetail\":{},\"id\":\"bbbbbbbbbbbb\"}\r\n"
    "{\"status\":\"Digest: "
    "sha256:744bcfd6066232fea4140ee1baa707718ef8c2fb08491e8bd28c38e8fda3d1af\"}\r\n"
    "{\"status\":\"Status: Downloaded newer image for team/api:v2\"}\r\n";

static void a_pull_is_told_in_layers_and_bytes_however_it_is_cut(void **state) {
  (void)state;
  char shown[200];
  for (size_t piece = 1; piece < 200; piece += 13) {
    dr_progress progress;
    dr__progress_init(&progress);
    for (size_t at = 0; at < sizeof pulling - 1; at += piece) {
      size_t left = sizeof pulling - 1 - at;
      dr__progress_feed(&progress, pulling + at, left < piece ? left : piece);
    }
    dr__progress_show(&progress, shown, sizeof shown);
    assert_string_equal(shown, "1 of 2 layers, 4.0 of 4.0 MB");
    assert_false(progress.ended);
    dr__progress_feed(&progress, pulled, sizeof pulled - 1);
    dr__progress_end(&progress);
    dr__progress_show(&progress, shown, sizeof shown);
    assert_string_equal(shown, "2 of 2 layers, 4.0 of 4.0 MB");
    assert_true(progress.ended);
    assert_int_equal(strlen(progress.digest), 71);
    dr__progress_free(&progress);
  }
}

static void a_failure_inside_the_stream_is_kept(void **state) {
  (void)state;
  static const char text[] = "{\"status\":\"Pulling from x\",\"id\":\"1\"}\n"
                             "{\"errorDetail\":{\"message\":\"no space left on device\"},"
                             "\"error\":\"no space left on device\"}";
  dr_progress progress;
  dr__progress_init(&progress);
  dr__progress_feed(&progress, text, sizeof text - 1);
  dr__progress_end(&progress);
  assert_string_equal(progress.error, "no space left on device");
  assert_false(progress.ended);
  dr__progress_free(&progress);
}

/* ------------------------------------------------------------ registries */

static void expect_name(const char *text, const char *repository, const char *tag,
                        const char *registry) {
  dr_image_name name;
  dr_err err = DR_ERR_INIT;
  assert_int_equal(dr__image_name(text, &name, &err), 0);
  assert_string_equal(name.repository, repository);
  assert_string_equal(name.tag, tag);
  assert_string_equal(name.registry, registry);
}

static void names_of_images_are_taken_apart(void **state) {
  (void)state;
  dr_image_name name;
  dr_err err = DR_ERR_INIT;
  expect_name("nginx", "nginx", "latest", "docker.io");
  expect_name("team/api:v2", "team/api", "v2", "docker.io");
  expect_name("localhost/api", "localhost/api", "latest", "localhost");
  expect_name("host:5000/team/api", "host:5000/team/api", "latest", "host:5000");
  expect_name("r.example.com/a/b:1.2", "r.example.com/a/b", "1.2", "r.example.com");
  expect_name("r.example.com/a:1@sha256:ab", "r.example.com/a", "sha256:ab", "r.example.com");
  static const char *const wrong[] = {"", ":", "a:", "a b", "-x", "a/", "a@", "a\nb"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    assert_int_not_equal(dr__image_name(wrong[i], &name, &err), 0);
    expect_code(&err, "recipe.argument");
  }
}

static void credentials_become_the_header_that_the_engine_reads(void **state) {
  (void)state;
  json_t *auth = parse("{\"username\":\"ci\",\"password\":\"pa>>??ss\"}");
  json_t *headers = dr__registry_headers(auth, "host:5000");
  const char *value = json_string_value(json_object_get(headers, "X-Registry-Auth"));
  assert_non_null(value);
  assert_null(strpbrk(value, "+/"));
  assert_string_equal(value, "eyJzZXJ2ZXJhZGRyZXNzIjoiaG9zdDo1MDAwIiwidXNlcm5hbWUiOiJjaSIsInBhc3N3"
                             "b3JkIjoicGE-Pj8_c3MifQ==");
  json_decref(headers);
  json_decref(auth);
}

static void refusals_of_a_registry_have_names(void **state) {
  (void)state;
  static const struct {
    const char *words;
    const char *code;
  } cases[] = {
      {"Head \"http://r/v2/x/manifests/1\": no basic auth credentials", "docker.registry_auth"},
      {"the Docker Engine says: unauthorized: authentication required", "docker.registry_auth"},
      {"pull access denied for x, repository does not exist or may require 'docker login': denied",
       "docker.registry_auth"},
      {"manifest for r/x:9 not found: manifest unknown: manifest unknown", "docker.image_missing"},
      {"Get \"http://r/v2/\": dial tcp 1.2.3.4:80: connect: connection refused",
       "docker.registry_unreachable"},
      {"Get \"https://r/v2/\": dial tcp: lookup r: no such host", "docker.registry_unreachable"},
      {"x509: certificate signed by unknown authority", "docker.registry_unreachable"},
      {"context canceled", "docker.engine_lost"},
      {"write /var/lib/docker/tmp/x: no space left on device", "docker.pull_failed"},
      {"something else", "docker.pull_failed"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    dr_err err = DR_ERR_INIT;
    dr__registry_explain(&err, "pull", "r/x:9", cases[i].words);
    expect_code(&err, cases[i].code);
  }
}

/* ------------------------------------------------------------ docker run */

static void ports_are_read(void **state) {
  (void)state;
  static const struct {
    const char *text, *address, *protocol;
    int host, container;
    bool published;
  } cases[] = {
      {"8000", "", "tcp", 0, 8000, false},
      {"8000:80", "", "tcp", 8000, 80, true},
      {"127.0.0.1:8000:80/tcp", "127.0.0.1", "tcp", 8000, 80, true},
      {"127.0.0.1::80", "127.0.0.1", "tcp", 0, 80, true},
      {"[::1]:53:53/udp", "::1", "udp", 53, 53, true},
  };
  static const char *const wrong[] = {"",        ":",          "80:",       "a:80", "70000",
                                      "1-2:3",   "80/http",    "x.y:80:80", "::80", "80:0",
                                      "1:2:3:4", "[::1:53:53", ":80",       "8 0"};
  dr_port port;
  dr_err err = DR_ERR_INIT;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_int_equal(dr__docker_port(cases[i].text, &port, &err), 0);
    assert_string_equal(port.address, cases[i].address);
    assert_string_equal(port.protocol, cases[i].protocol);
    assert_int_equal(port.host, cases[i].host);
    assert_int_equal(port.container, cases[i].container);
    assert_int_equal(port.published, cases[i].published);
  }
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    assert_int_not_equal(dr__docker_port(wrong[i], &port, &err), 0);
    expect_code(&err, "recipe.argument");
  }
}

static void volumes_and_sizes_are_checked(void **state) {
  (void)state;
  static const char *const right[] = {"media:/app/media", "/srv/a:/b:ro", "/only", "m_1:/x:rw,z"};
  static const char *const wrong[] = {"",          "media", "./here:/x",     "~/x:/y",
                                      "media:rel", "a:/x",  "media:/x:what", "media:/x:ro,",
                                      "/:",        "-m:/x"};
  dr_err err = DR_ERR_INIT;
  int64_t bytes = 0;
  for (size_t i = 0; i < sizeof right / sizeof *right; i++)
    assert_int_equal(dr__docker_volume(right[i], &err), 0);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    assert_int_not_equal(dr__docker_volume(wrong[i], &err), 0);
    expect_code(&err, "recipe.argument");
  }
  assert_int_equal(dr__docker_size("512m", &bytes, &err), 0);
  assert_int_equal(bytes, 512 << 20);
  assert_int_equal(dr__docker_size("2GB", &bytes, &err), 0);
  assert_true(bytes == (int64_t)2 << 30);
  assert_int_equal(dr__docker_size("77", &bytes, &err), 0);
  assert_int_equal(bytes, 77);
  static const char *const sizes[] = {"",        "m", "-1", "1x", "1mm", "99999999999999999999",
                                      "9999999t"};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    assert_int_not_equal(dr__docker_size(sizes[i], &bytes, &err), 0);
    expect_code(&err, "recipe.argument");
  }
}

static void an_env_file_is_read_as_docker_reads_it(void **state) {
  (void)state;
  static const char text[] = "\xEF\xBB\xBF# comment\nA=1\r\n\n  B=\"quoted\"  \nC=a=b";
  json_t *env = json_array();
  dr_err err = DR_ERR_INIT;
  assert_int_equal(dr__docker_env_file(".env", text, sizeof text - 1, env, &err), 0);
  assert_int_equal(json_array_size(env), 3);
  assert_string_equal(json_string_value(json_array_get(env, 0)), "A=1");
  assert_string_equal(json_string_value(json_array_get(env, 1)), "B=\"quoted\"  ");
  assert_string_equal(json_string_value(json_array_get(env, 2)), "C=a=b");
  json_decref(env);
}

static void a_wrong_line_of_an_env_file_is_named_and_not_shown(void **state) {
  (void)state;
  static const char *const wrong[] = {"A=1\nsecret-value\n", "A=1\nexport B=secret-value",
                                      "A=1\n=secret-value"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    json_t *env = json_array();
    dr_err err = DR_ERR_INIT;
    assert_int_not_equal(dr__docker_env_file(".env", wrong[i], strlen(wrong[i]), env, &err), 0);
    assert_non_null(strstr(err.message, ".env, line 2"));
    assert_null(strstr(err.message, "secret-value"));
    expect_code(&err, "docker.env_file");
    json_decref(env);
  }
}

static void the_same_description_has_the_same_hash(void **state) {
  (void)state;
  json_t *fields = parse("{\"image\":\"x:1\",\"name\":\"a\",\"env\":{\"B\":\"recipe\"},\"ports\":"
                         "[\"127.0.0.1:8000:80\"],\"restart\":\"on-failure:3\",\"memory\":\"1g\"}");
  json_t *files = parse("[\"A=1\",\"B=file\"]");
  dr_err err = DR_ERR_INIT;
  char one[65], two[65];
  json_t *body = dr__docker_create_body(fields, files, &err);
  assert_non_null(body);
  assert_true(dr__docker_config_hash(body, one));
  char *env = json_dumps(json_object_get(body, "Env"), JSON_COMPACT);
  assert_string_equal(env, "[\"A=1\",\"B=recipe\"]");
  free(env);
  json_t *again = dr__docker_create_body(fields, files, &err);
  assert_true(dr__docker_config_hash(again, two));
  assert_string_equal(one, two);
  json_object_set_new(json_object_get(fields, "env"), "B", json_string("other"));
  json_t *other = dr__docker_create_body(fields, files, &err);
  assert_true(dr__docker_config_hash(other, two));
  assert_string_not_equal(one, two);
  json_decref(body);
  json_decref(again);
  json_decref(other);
  json_decref(files);
  json_decref(fields);
}

/* ------------------------------------------------------------ prune */

static const char images[] =
    "[{\"Id\":\"sha256:1\",\"RepoTags\":[\"r/api:v1\"],\"Created\":1},"
    "{\"Id\":\"sha256:2\",\"RepoTags\":[\"r/api:v2\"],\"Created\":2},"
    "{\"Id\":\"sha256:3\",\"RepoTags\":[\"r/api:v3\",\"deployrun-rollback/container:api\"],"
    "\"Created\":3},"
    "{\"Id\":\"sha256:4\",\"RepoTags\":[\"r/api:v4\"],\"Created\":4},"
    "{\"Id\":\"sha256:5\",\"RepoTags\":null,\"RepoDigests\":[\"r/api@sha256:5\"],\"Created\":1},"
    "{\"Id\":\"sha256:6\",\"RepoTags\":[\"<none>:<none>\"],\"Created\":9},"
    "{\"Id\":\"sha256:7\",\"RepoTags\":[\"r/api:5000/x:1\"],\"Created\":0}]";

static void expect_prunable(const dr_prune_rule *rule, const char *containers, const char *ids) {
  json_t *list = parse(images), *used = parse(containers);
  json_t *found = dr__docker_prunable(list, used, rule);
  char text[200] = "";
  size_t i;
  json_t *image;
  json_array_foreach(json_object_get(found, "images"), i, image) {
    size_t length = strlen(text);
    snprintf(text + length, sizeof text - length, "%s ",
             json_string_value(json_object_get(image, "id")) + 7);
  }
  assert_string_equal(text, ids);
  json_decref(found);
  json_decref(list);
  json_decref(used);
}

static void prune_never_takes_what_is_used_new_named_or_needed(void **state) {
  (void)state;
  expect_prunable(&(dr_prune_rule){NULL, 0, false}, "[]", "6 5 ");
  expect_prunable(&(dr_prune_rule){NULL, 0, false}, "[{\"ImageID\":\"sha256:6\"}]", "5 ");
  expect_prunable(&(dr_prune_rule){"r/api", 1, false}, "[]", "5 ");
  expect_prunable(&(dr_prune_rule){"r/api", 1, true}, "[]", "2 1 5 ");
  expect_prunable(&(dr_prune_rule){"r/api", 0, true}, "[]", "4 2 1 5 ");
  expect_prunable(&(dr_prune_rule){"r/api", 1, true}, "[{\"ImageID\":\"sha256:1\"}]", "2 5 ");
  expect_prunable(&(dr_prune_rule){"r/ap", 0, true}, "[]", "");
}

/* ------------------------------------------------------------ stats */

static void what_a_container_uses_is_computed_as_docker_does(void **state) {
  (void)state;
  json_t *stats = parse(
      "{\"cpu_stats\":{\"cpu_usage\":{\"total_usage\":400},\"system_cpu_usage\":2000,"
      "\"online_cpus\":2},\"precpu_stats\":{\"cpu_usage\":{\"total_usage\":200},"
      "\"system_cpu_usage\":1000},\"memory_stats\":{\"usage\":1000,\"limit\":4000,\"stats\":{"
      "\"inactive_file\":200}},\"pids_stats\":{\"current\":3},\"networks\":{\"eth0\":{\"rx_bytes\":"
      "5,\"tx_bytes\":6},\"eth1\":{\"rx_bytes\":1}},\"blkio_stats\":{"
      "\"io_service_bytes_recursive\":[{\"op\":\"Read\",\"value\":7},{\"op\":\"write\",\"value\":8}"
      "]}}");
  json_t *out = dr__docker_stats(stats);
  assert_true(json_is_true(json_object_get(out, "measured")));
  assert_int_equal((int)json_number_value(json_object_get(out, "cpu_percent")), 40);
  assert_int_equal(json_integer_value(json_object_get(out, "memory")), 800);
  assert_int_equal((int)json_number_value(json_object_get(out, "memory_percent")), 20);
  assert_int_equal(json_integer_value(json_object_get(out, "received")), 6);
  assert_int_equal(json_integer_value(json_object_get(out, "written")), 8);
  json_decref(out);
  json_decref(stats);
  stats = parse("{\"memory_stats\":{}}");
  out = dr__docker_stats(stats);
  assert_true(json_is_false(json_object_get(out, "measured")));
  json_decref(out);
  json_decref(stats);
}

static void a_container_killed_under_a_limit_ran_out_of_memory(void **state) {
  (void)state;
  json_t *json =
      parse("{\"State\":{\"ExitCode\":137,\"OOMKilled\":false},\"HostConfig\":{\"Memory\":"
            "16777216}}");
  dr_container_state it;
  dr__docker_state(json, &it);
  assert_true(dr__docker_out_of_memory(&it));
  json_decref(json);
  json = parse("{\"State\":{\"ExitCode\":137,\"OOMKilled\":false},\"HostConfig\":{\"Memory\":0}}");
  dr__docker_state(json, &it);
  assert_false(dr__docker_out_of_memory(&it));
  json_decref(json);
}

/* ------------------------------------------------------------ swarm */

#define SERVICE(UPDATE)                                                                            \
  "{\"ID\":\"s\",\"Spec\":{\"Name\":\"web\",\"TaskTemplate\":{\"ContainerSpec\":{\"Image\":"       \
  "\"x:2\"},\"ForceUpdate\":0}},\"ServiceStatus\":{\"DesiredTasks\":1}" UPDATE "}"
#define TASK(ID, IMAGE, DESIRED, STATE, ERR)                                                       \
  "{\"ID\":\"" ID "\",\"ServiceID\":\"s\",\"DesiredState\":\"" DESIRED                             \
  "\",\"Spec\":{\"ContainerSpec\":{\"Image\":\"" IMAGE "\"},\"ForceUpdate\":0},\"Status\":{"       \
  "\"State\":\"" STATE "\",\"Err\":\"" ERR "\",\"Timestamp\":\"2026-01-0" ID "\"}}"

static void expect_verdict(const char *service, const char *tasks, dr_swarm_verdict verdict,
                           const char *failure) {
  json_t *one = parse(service), *list = parse(tasks);
  dr_swarm_state it;
  dr__swarm_judge(one, list, &it);
  assert_int_equal(it.verdict, verdict);
  assert_string_equal(it.failure, failure);
  json_decref(one);
  json_decref(list);
}

static void a_service_is_well_when_its_new_tasks_run_and_the_old_have_ended(void **state) {
  (void)state;
  expect_verdict(SERVICE(""), "[" TASK("1", "x:1", "running", "running", "") "]", DR_SWARM_MOVING,
                 "");
  expect_verdict(SERVICE(""), "[" TASK("1", "x:2", "running", "starting", "") "]", DR_SWARM_MOVING,
                 "");
  expect_verdict(SERVICE(""), "[" TASK("1", "x:2", "running", "running", "") "]", DR_SWARM_WELL,
                 "");
  expect_verdict(SERVICE(",\"UpdateStatus\":{\"State\":\"updating\"}"),
                 "[" TASK("1", "x:2", "running", "running", "") "]", DR_SWARM_MOVING, "");
  expect_verdict(SERVICE(",\"UpdateStatus\":{\"State\":\"completed\"}"),
                 "[" TASK("1", "x:2", "running", "running", "") "," TASK("2", "x:1", "shutdown",
                                                                         "running", "") "]",
                 DR_SWARM_MOVING, "");
}

static void expect_shaky(const char *tasks, bool shaky) {
  json_t *one = parse(SERVICE(",\"UpdateStatus\":{\"State\":\"completed\"}"));
  json_t *list = parse(tasks);
  dr_swarm_state it;
  dr__swarm_judge(one, list, &it);
  assert_int_equal(it.verdict, DR_SWARM_WELL);
  assert_int_equal(it.shaky, shaky);
  json_decref(one);
  json_decref(list);
}

static void a_service_whose_new_tasks_have_failed_is_not_trusted_at_once(void **state) {
  (void)state;
#define RUNS TASK("3", "x:2", "running", "running", "")
  expect_shaky("[" RUNS "," TASK("1", "x:1", "shutdown", "failed", "of old") "]", false);
  expect_shaky("[" RUNS "," TASK("1", "x:2", "shutdown", "failed", "exit (3)") "]", true);
  expect_shaky("[" RUNS "," TASK("1", "x:2", "shutdown", "rejected", "no image") "]", true);
}

static void a_rollback_is_told_with_the_newest_failure(void **state) {
  (void)state;
  expect_verdict(SERVICE(",\"UpdateStatus\":{\"State\":\"rollback_completed\"}"),
                 "[" TASK("1", "x:3", "shutdown", "failed", "old reason") "," TASK(
                     "2", "x:3", "shutdown", "failed", "exit (3)") "," RUNS "]",
                 DR_SWARM_ROLLED_BACK, "exit (3)");
  expect_verdict(SERVICE(",\"UpdateStatus\":{\"State\":\"rollback_completed\"}"),
                 "[" RUNS "," TASK("1", "x:3", "shutdown", "running", "") "]", DR_SWARM_MOVING, "");
  expect_verdict(SERVICE(",\"UpdateStatus\":{\"State\":\"rollback_completed\"}"),
                 "[" TASK("1", "x:2", "running", "starting", "") "]", DR_SWARM_MOVING, "");
  expect_verdict(SERVICE(",\"UpdateStatus\":{\"State\":\"paused\"}"), "[]", DR_SWARM_STUCK, "");
}

static void an_update_changes_what_it_names_and_nothing_else(void **state) {
  (void)state;
  json_t *service = parse("{\"Spec\":{\"Name\":\"web\",\"TaskTemplate\":{\"ContainerSpec\":{"
                          "\"Image\":\"x:1\",\"Env\":[\"A=1\",\"B=2\"]}}}}");
  json_t *changes = parse("{\"image\":\"x:2\",\"env\":{\"B\":\"3\"},\"order\":\"start-first\","
                          "\"rollback\":true,\"monitor\":1.5,\"force\":true}");
  json_t *spec = dr__swarm_changed_spec(service, changes);
  char *text = json_dumps(spec, JSON_COMPACT | JSON_SORT_KEYS);
  assert_string_equal(
      text, "{\"Name\":\"web\",\"RollbackConfig\":{\"Order\":\"start-first\",\"Parallelism\":1},"
            "\"TaskTemplate\":{\"ContainerSpec\":{\"Env\":[\"A=1\",\"B=3\"],\"Image\":\"x:2\"},"
            "\"ForceUpdate\":1},\"UpdateConfig\":{\"FailureAction\":\"rollback\",\"Monitor\":"
            "1500000000,\"Order\":\"start-first\"}}");
  free(text);
  json_decref(spec);
  json_decref(changes);
  json_decref(service);
}

/* ------------------------------------------------------------ compose */

static void what_is_wrong_in_a_compose_file_is_said_with_its_place(void **state) {
  (void)state;
  static const struct {
    const char *text, *code, *says;
  } cases[] = {
      {"ERROR: yaml.parser.ParserError: while parsing\n  in \"./a.yml\", line 2, column "
       "3\nexpected "
       "<block end>\n  in \"./a.yml\", line 4, column 4\n",
       "compose.invalid", "the compose file ./a.yml, line 4 is wrong: expected <block end>"},
      {"ERROR: The Compose file './a.yml' is invalid because:\nUnsupported config option: 'imag'\n",
       "compose.invalid", "the compose file ./a.yml is wrong: Unsupported config option: 'imag'"},
      {"validating /srv/compose.yaml: services.api Additional property imag is not allowed\n",
       "compose.invalid", "the compose file /srv/compose.yaml is wrong: validating"},
      {"yaml: line 3: mapping values are not allowed in this context\n", "compose.invalid",
       "the compose file line 3 is wrong: yaml: line 3"},
      {"service \"api\" refers to undefined network x: invalid compose project\n",
       "compose.invalid", "undefined network x"},
      {"no configuration file provided: not found\n", "compose.file", "it failed"},
      {"no such service: web\n", "compose.no_such_service", "it failed"},
      {"anything else\n", "command.failed", "it failed"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    dr_err err = DR_ERR_INIT;
    dr__fail(&err, "command.failed", "it failed");
    dr__compose_explain(&err, cases[i].text);
    assert_non_null(strstr(err.message, cases[i].says));
    expect_code(&err, cases[i].code);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_pull_is_told_in_layers_and_bytes_however_it_is_cut),
      cmocka_unit_test(a_failure_inside_the_stream_is_kept),
      cmocka_unit_test(names_of_images_are_taken_apart),
      cmocka_unit_test(credentials_become_the_header_that_the_engine_reads),
      cmocka_unit_test(refusals_of_a_registry_have_names),
      cmocka_unit_test(ports_are_read),
      cmocka_unit_test(volumes_and_sizes_are_checked),
      cmocka_unit_test(an_env_file_is_read_as_docker_reads_it),
      cmocka_unit_test(a_wrong_line_of_an_env_file_is_named_and_not_shown),
      cmocka_unit_test(the_same_description_has_the_same_hash),
      cmocka_unit_test(prune_never_takes_what_is_used_new_named_or_needed),
      cmocka_unit_test(what_a_container_uses_is_computed_as_docker_does),
      cmocka_unit_test(a_container_killed_under_a_limit_ran_out_of_memory),
      cmocka_unit_test(a_service_is_well_when_its_new_tasks_run_and_the_old_have_ended),
      cmocka_unit_test(a_service_whose_new_tasks_have_failed_is_not_trusted_at_once),
      cmocka_unit_test(a_rollback_is_told_with_the_newest_failure),
      cmocka_unit_test(an_update_changes_what_it_names_and_nothing_else),
      cmocka_unit_test(what_is_wrong_in_a_compose_file_is_said_with_its_place),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
