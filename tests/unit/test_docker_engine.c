/* Calls to an engine, and waiting for a container: against a made-up engine that plays every part a
 * real one can. */
#include "docker/docker_engine.h"
#include "docker/docker_logs.h"
#include "docker/docker_wait.h"

#include "test_http_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/un.h>

#include <cmocka.h>

/* ------------------------------------------------------------ the made-up engine */

static char folder[] = "/tmp/deployrun-test-XXXXXX";
static char socket_path[64];
static int *asked; /* shared with the engine: how often a container was inspected */
static pid_t engine_pid;
static test_server web;
static uv_loop_t loop;
static dr_http *http;
static dr_engine *engine;

/* What a container called s-starting-healthy says at its n-th inspection: the n-th word, at the end
 * the last. */
static void word_at(const char *name, int n, char *word, size_t size) {
  const char *at = strchr(name, '-') + 1;
  for (const char *next; n > 0 && (next = strchr(at, '-')); n--) at = next + 1;
  snprintf(word, size, "%.*s", (int)strcspn(at, "-/"), at);
}

static void reply_state(int fd, const char *word) {
  char body[1024];
  const char *health = "";
  const char *status = "running";
  int code = 0;
  int restarts = 0;
  if (strcmp(word, "starting") == 0) health = "\"Health\":{\"Status\":\"starting\",\"Log\":[]},";
  if (strcmp(word, "healthy") == 0) health = "\"Health\":{\"Status\":\"healthy\",\"Log\":[]},";
  if (strcmp(word, "unhealthy") == 0) {
    health = "\"Health\":{\"Status\":\"unhealthy\",\"Log\":[{\"Output\":\"no answer on 8000\"}]},";
  }
  if (strcmp(word, "created") == 0) status = "created";
  if (strcmp(word, "exited") == 0) status = "exited", code = 3;
  if (strcmp(word, "killed") == 0) status = "exited", code = 137;
  if (strcmp(word, "restarting") == 0) status = "restarting", code = 1;
  if (strcmp(word, "again") == 0) restarts = 1;
  snprintf(
      body, sizeof body,
      "{\"Name\":\"/"
      "api_1\",\"RestartCount\":%d,\"State\":{%s\"Status\":\"%s\",\"Running\":%s,\"ExitCode\":%d,"
      "\"StartedAt\":\"t%d\"},\"NetworkSettings\":{\"Networks\":{\"n\":{\"IPAddress\":\"127.0.0."
      "1\"}}}}",
      restarts, health, status, strcmp(status, "running") == 0 ? "true" : "false", code, restarts);
  test_reply(fd, 200, "Content-Type: application/json\r\n", body);
}

static void reply_logs(int fd) {
  static const char logs[] = "\1\0\0\0\0\0\0\11line one\n\2\0\0\0\0\0\0\11line two\n";
  char head[128];
  snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", sizeof logs - 1);
  test_send(fd, head);
  if (send(fd, logs, sizeof logs - 1, MSG_NOSIGNAL) < 0) return;
}

static void reply_container(int fd, const char *path) {
  char word[32];
  if (strstr(path, "/logs")) {
    reply_logs(fd);
    return;
  }
  word_at(path, __sync_fetch_and_add(asked, 1), word, sizeof word);
  if (strcmp(word, "gone") == 0)
    test_reply(fd, 404, "", "{\"message\":\"No such container: x\"}");
  else if (strcmp(word, "hang") == 0)
    test_sleep_ms(60000);
  else
    reply_state(fd, word);
}

static void reply_engine(int fd, const char *path) {
  static const char too_old[] =
      "{\"message\":\"client version 1.41 is too old. Minimum supported API version is 1.44\"}";
  bool is_old = strncmp(path, "/v1.44/", 7) != 0;
  if (strstr(path, "/stubborn") || (strstr(path, "/modern") && is_old))
    test_reply(fd, 400, "", too_old);
  else if (strstr(path, "/modern"))
    test_reply(fd, 200, "", "{\"ok\":true}");
  else if (strstr(path, "/containers/s"))
    reply_container(fd, path);
  else if (strstr(path, "/same"))
    test_reply(fd, 304, "", "");
  else if (strstr(path, "/drop"))
    shutdown(fd, SHUT_RDWR);
  else if (strstr(path, "/hang"))
    test_sleep_ms(60000);
  else
    test_reply(fd, 404, "", "{\"message\":\"page not found\"}");
}

static void serve_engine(int listener) {
  char request[65536];
  char path[1024];
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGCHLD, SIG_IGN);
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    if (fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      while (test_read(fd, request, sizeof request) > 0 &&
             sscanf(request, "%*s %1023s", path) == 1) {
        reply_engine(fd, path);
      }
      _exit(0);
    }
    close(fd);
  }
}

static void start_engine(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  assert_non_null(mkdtemp(folder));
  snprintf(socket_path, sizeof socket_path, "%s/engine.sock", folder);
  snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
  asked = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(listen(listener, 64), 0);
  engine_pid = fork();
  if (engine_pid == 0) serve_engine(listener);
  close(listener);
}

static int set_up(void **state) {
  (void)state;
  start_engine();
  test_server_start(&web);
  uv_loop_init(&loop);
  if (dr__http_new(&http, &loop, NULL) != 0) return -1;
  engine = dr__engine_new(http, socket_path);
  return engine ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  dr__engine_free(engine);
  dr__http_free(http);
  test_server_stop(&web);
  kill(engine_pid, SIGKILL);
  waitpid(engine_pid, NULL, 0);
  unlink(socket_path);
  rmdir(folder);
  return uv_loop_close(&loop);
}

/* ------------------------------------------------------------ calls */

typedef struct outcome {
  bool done;
  int status;
  bool has_json;
  dr_err err;
  char how[16];
  char log[256];
  double seconds;
} outcome;

static void move_error(outcome *out, dr_err *err) {
  assert_false(out->done);
  out->done = true;
  if (!err) return;
  out->err = *err;
  *err = (dr_err)DR_ERR_INIT;
}

static void on_call(void *data, dr_engine_answer *answer, dr_err *err) {
  outcome *out = data;
  if (answer) out->status = answer->status;
  if (answer) out->has_json = answer->json != NULL;
  move_error(out, err);
}

static void run_until(const outcome *out) {
  while (!out->done) uv_run(&loop, UV_RUN_ONCE);
}

static outcome call_at(dr_engine *where, const char *path, double timeout) {
  outcome out = {.err = DR_ERR_INIT};
  dr_engine_call *call;
  const dr_engine_request request = {
      .path = path, .timeout_s = timeout, .on_done = on_call, .data = &out};
  assert_int_equal(dr__engine_start(&call, where, &request, NULL), 0);
  run_until(&out);
  return out;
}

static void an_engine_that_wants_another_version_is_asked_in_it(void **state) {
  (void)state;
  dr_engine *modern = dr__engine_new(http, socket_path);
  for (int i = 0; i < 2; i++) {
    outcome out = call_at(modern, "/modern", 5);
    assert_int_equal(out.status, 200);
    assert_true(out.has_json);
  }
  dr__engine_free(modern);
  outcome out = call_at(engine, "/stubborn", 5);
  assert_string_equal(out.err.code, "docker.engine");
  assert_non_null(strstr(out.err.message, "too old"));
  dr_err_clear(&out.err);
  dr__engine_free(engine);
  engine = dr__engine_new(http, socket_path);
}

static void what_was_so_already_is_no_error(void **state) {
  (void)state;
  outcome out = call_at(engine, "/same", 5);
  assert_int_equal(out.status, 304);
  assert_false(out.has_json);
}

static void broken_engines_have_their_codes(void **state) {
  (void)state;
  outcome out = call_at(engine, "/nonsense", 5);
  assert_string_equal(out.err.code, "docker.not_found");
  dr_err_clear(&out.err);
  out = call_at(engine, "/drop", 5);
  assert_string_equal(out.err.code, "docker.unreachable");
  assert_string_equal(out.err.cause->code, "http.closed");
  dr_err_clear(&out.err);
  out = call_at(engine, "/hang", 0.2);
  assert_string_equal(out.err.code, "docker.timeout");
  dr_err_clear(&out.err);
}

static void a_missing_or_dead_socket_says_what_to_do(void **state) {
  (void)state;
  char dead[96];
  snprintf(dead, sizeof dead, "%s/dead.sock", folder);
  dr_engine *none = dr__engine_new(http, dead);
  outcome out = call_at(none, "/info", 5);
  assert_string_equal(out.err.code, "docker.unreachable");
  assert_non_null(strstr(out.err.message, "there is no Docker Engine"));
  dr_err_clear(&out.err);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", dead);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
  close(fd);
  out = call_at(none, "/info", 5);
  assert_string_equal(out.err.code, "docker.unreachable");
  assert_non_null(strstr(out.err.hint, "is it running?"));
  dr_err_clear(&out.err);
  unlink(dead);
  dr__engine_free(none);
}

static void a_cancelled_call_tells_nobody(void **state) {
  (void)state;
  for (int turns = 0; turns < 6; turns++) {
    outcome out = {.err = DR_ERR_INIT};
    dr_engine_call *call;
    const dr_engine_request request = {.path = "/hang", .on_done = on_call, .data = &out};
    assert_int_equal(dr__engine_start(&call, engine, &request, NULL), 0);
    for (int i = 0; i < turns; i++) uv_run(&loop, UV_RUN_NOWAIT);
    dr__engine_cancel(call);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_false(out.done);
  }
}

static void on_log(void *data, const dr_capture *log, dr_err *err) {
  outcome *out = data;
  if (log) snprintf(out->log, sizeof out->log, "%s", dr__capture_bytes(log, 1));
  move_error(out, err);
}

static void a_log_has_both_streams_in_order(void **state) {
  (void)state;
  outcome out = {.err = DR_ERR_INIT};
  dr_docker_logs *logs;
  const dr_docker_logs_options options = {
      .container = "s-x", .tail = 5, .on_done = on_log, .data = &out};
  assert_int_equal(dr__docker_logs_start(&logs, engine, &options, NULL), 0);
  run_until(&out);
  assert_string_equal(out.log, "line one\nline two\n");
}

/* ------------------------------------------------------------ waiting */

static void on_waited(void *data, dr_docker_waited *waited) {
  outcome *out = data;
  if (waited->how) snprintf(out->how, sizeof out->how, "%s", waited->how);
  out->seconds = waited->seconds;
  move_error(out, waited->err);
}

static outcome wait_with(dr_docker_wait_options options) {
  outcome out = {.err = DR_ERR_INIT};
  dr_docker_wait *wait;
  *asked = 0;
  options.on_done = on_waited;
  options.data = &out;
  if (options.within_s == 0) options.within_s = 5;
  options.tail = 20;
  assert_int_equal(dr__docker_wait_start(&wait, http, engine, &options, NULL), 0);
  run_until(&out);
  uv_run(&loop, UV_RUN_DEFAULT);
  return out;
}

static outcome wait_for(const char *container) {
  return wait_with((dr_docker_wait_options){.container = container, .steady_s = 0.2});
}

static void health_is_noticed_soon(void **state) {
  (void)state;
  outcome out = wait_for("s-created-starting-starting-starting-healthy");
  assert_string_equal(out.how, "healthy");
  assert_true(out.seconds > 0.15 && out.seconds < 2); /* four pauses of 50 ms */
}

static void without_a_health_check_it_must_keep_running(void **state) {
  (void)state;
  outcome out = wait_for("s-created-plain");
  assert_string_equal(out.how, "running");
  assert_true(out.seconds > 0.2 && out.seconds < 2);
  out = wait_for("s-plain-plain-again");
  assert_string_equal(out.err.code, "docker.exited");
  dr_err_clear(&out.err);
}

static void expect_failure(outcome out, const char *code, const char *words, const char *detail) {
  assert_string_equal(out.err.code, code);
  if (!strstr(out.err.message, words)) fail_msg("\"%s\" lacks \"%s\"", out.err.message, words);
  if (detail) assert_string_equal(out.err.detail, detail);
  dr_err_clear(&out.err);
}

static void a_container_that_ends_is_noticed_at_once_with_its_log(void **state) {
  (void)state;
  const char *log = "line one\nline two\n";
  outcome out = wait_for("s-starting-exited");
  assert_true(out.seconds < 2);
  expect_failure(out, "docker.exited", "api_1 exited with code 3", log);
  expect_failure(wait_for("s-killed"), "docker.exited", "(killed by signal 9, KILL)", log);
  expect_failure(wait_for("s-plain-restarting"), "docker.exited", "exited with code 1", log);
  out = wait_for("s-starting-unhealthy");
  assert_true(out.seconds < 2);
  expect_failure(out, "docker.unhealthy", "its health check fails",
                 "health check: no answer on 8000\nline one\nline two\n");
  expect_failure(wait_for("s-starting-gone"), "docker.no_such_container", "No such container",
                 NULL);
}

static void restarts_can_be_forgiven(void **state) {
  (void)state;
  outcome out = wait_with((dr_docker_wait_options){
      .container = "s-plain-restarting-again", .steady_s = 0.1, .restarts = 1});
  assert_string_equal(out.how, "running");
}

static void the_bound_ends_the_wait_and_says_what_was_lacking(void **state) {
  (void)state;
  outcome out = wait_with(
      (dr_docker_wait_options){.container = "s-starting", .within_s = 0.4, .name = "api"});
  assert_true(out.seconds > 0.35 && out.seconds < 2);
  expect_failure(out, "docker.unhealthy",
                 "api was not healthy within 0.4 s: its health check has not passed yet",
                 "line one\nline two\n");
}

static void an_http_check_is_asked_of_its_own_address(void **state) {
  (void)state;
  json_t *check = json_pack("{s:i, s:s, s:s}", "port", web.port, "path", "/ok", "body", "ok");
  outcome out = wait_with(
      (dr_docker_wait_options){.container = "s-created-plain", .http = check, .steady_s = 60});
  assert_string_equal(out.how, "answers");
  json_object_set_new(check, "path", json_string("/status/500"));
  out = wait_with((dr_docker_wait_options){.container = "s-plain", .http = check, .within_s = 0.5});
  expect_failure(out, "docker.unhealthy", "the status is 500", NULL);
  json_object_set_new(check, "status", json_string("nonsense"));
  out = wait_with((dr_docker_wait_options){.container = "s-plain", .http = check});
  expect_failure(out, "recipe.argument", "status", NULL);
  json_decref(check);
}

static void a_container_that_ends_during_the_http_check_ends_the_wait(void **state) {
  (void)state;
  json_t *check = json_pack("{s:i, s:s}", "port", web.port, "path", "/nothing");
  outcome out =
      wait_with((dr_docker_wait_options){.container = "s-plain-plain-exited", .http = check});
  assert_true(out.seconds < 3);
  expect_failure(out, "docker.exited", "exited with code 3", NULL);
  json_decref(check);
}

static void a_wait_can_be_cancelled_at_any_time(void **state) {
  (void)state;
  json_t *check = json_pack("{s:i, s:s}", "port", web.port, "path", "/nothing");
  const char *const names[] = {"s-starting", "s-plain", "s-exited", "s-hang"};
  for (int i = 0; i < 80; i++) {
    outcome out = {.err = DR_ERR_INIT};
    dr_docker_wait *wait;
    const dr_docker_wait_options options = {.container = names[i % 4],
                                            .within_s = 5,
                                            .steady_s = 5,
                                            .http = check,
                                            .on_done = on_waited,
                                            .data = &out};
    assert_int_equal(dr__docker_wait_start(&wait, http, engine, &options, NULL), 0);
    for (int turn = 0; turn < i / 4 && !out.done; turn++) {
      uv_run(&loop, UV_RUN_NOWAIT);
      test_sleep_ms(1);
    }
    if (!out.done) dr__docker_wait_cancel(wait);
    uv_run(&loop, UV_RUN_DEFAULT);
    dr_err_clear(&out.err);
  }
  json_decref(check);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_engine_that_wants_another_version_is_asked_in_it),
      cmocka_unit_test(what_was_so_already_is_no_error),
      cmocka_unit_test(broken_engines_have_their_codes),
      cmocka_unit_test(a_missing_or_dead_socket_says_what_to_do),
      cmocka_unit_test(a_cancelled_call_tells_nobody),
      cmocka_unit_test(a_log_has_both_streams_in_order),
      cmocka_unit_test(health_is_noticed_soon),
      cmocka_unit_test(without_a_health_check_it_must_keep_running),
      cmocka_unit_test(a_container_that_ends_is_noticed_at_once_with_its_log),
      cmocka_unit_test(restarts_can_be_forgiven),
      cmocka_unit_test(the_bound_ends_the_wait_and_says_what_was_lacking),
      cmocka_unit_test(an_http_check_is_asked_of_its_own_address),
      cmocka_unit_test(a_container_that_ends_during_the_http_check_ends_the_wait),
      cmocka_unit_test(a_wait_can_be_cancelled_at_any_time),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
