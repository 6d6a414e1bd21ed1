/* Waiting for an answer, and probing in the background: bounds, promptness, what the last answer
 * was. */
#include "http/http_probe.h"
#include "http/http_wait.h"

#include "test_http_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static test_server server;
static uv_loop_t loop;
static dr_http *http;

static int set_up(void **state) {
  (void)state;
  test_server_start(&server);
  uv_loop_init(&loop);
  return dr__http_new(&http, &loop, NULL);
}

static int tear_down(void **state) {
  (void)state;
  dr__http_free(http);
  test_server_stop(&server);
  return uv_loop_close(&loop);
}

typedef struct outcome {
  bool done;
  int status;
  dr_err err;
  unsigned attempts;
  unsigned progress;
  double seconds;
} outcome;

static void on_progress(void *data, const char *last, unsigned attempts, double seconds) {
  outcome *out = data;
  assert_true(last[0] != '\0');
  assert_true(attempts > 0 && seconds >= 0);
  out->progress++;
}

static void on_waited(void *data, dr_http_waited *waited) {
  outcome *out = data;
  assert_false(out->done);
  out->done = true;
  out->attempts = waited->attempts;
  if (waited->answer) out->status = waited->answer->status;
  if (!waited->err) return;
  out->err = *waited->err;
  *waited->err = (dr_err)DR_ERR_INIT;
}

static dr_http_wait_options options_for(const char *path, double within) {
  static char url[128];
  snprintf(url, sizeof url, "http://127.0.0.1:%d%s", server.port, path);
  return (dr_http_wait_options){.request = {.url = url, .timeout_s = 5},
                                .within_s = within,
                                .on_progress = on_progress,
                                .on_done = on_waited};
}

static outcome wait_for(dr_http_wait_options options) {
  outcome out = {.err = DR_ERR_INIT};
  dr_http_wait *wait;
  double started = test_now();
  options.data = &out;
  int status = dr__http_wait_start(&wait, http, &options, &out.err);
  while (status == 0 && !out.done) uv_run(&loop, UV_RUN_ONCE);
  out.seconds = test_now() - started;
  return out;
}

static void the_first_request_goes_out_at_once(void **state) {
  (void)state;
  outcome out = wait_for(options_for("/ok", 10));
  assert_int_equal(out.status, 200);
  assert_int_equal(out.attempts, 1);
  assert_true(out.seconds < 0.5);
}

static void a_service_is_noticed_soon_after_it_comes_up(void **state) {
  (void)state;
  double best = 1;
  for (int i = 0; i < 5 && best > 0.1; i++) { /* on a busy machine one may come late */
    char path[32];
    int later = (int)((test_now() - server.started) * 1000) + 700 + 13 * i;
    snprintf(path, sizeof path, "/later/%d", later);
    outcome out = wait_for(options_for(path, 10));
    double late = test_now() - server.started - later / 1000.0;
    assert_int_equal(out.status, 200);
    assert_int_equal(out.progress, out.attempts - 1);
    if (late < best) best = late;
  }
  assert_true(best < 0.1);
}

static void a_port_that_begins_to_listen_is_noticed_soon(void **state) {
  (void)state;
  test_server late;
  char url[64];
  int ready[2];
  int port = test_port(NULL);
  assert_int_equal(pipe(ready), 0);
  pid_t pid = fork();
  if (pid == 0) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    test_sleep_ms(600);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 10) != 0) _exit(1);
    double now = test_now();
    if (write(ready[1], &now, sizeof now) != sizeof now) _exit(1);
    late.started = now;
    test_serve(&late, fd);
  }
  snprintf(url, sizeof url, "http://127.0.0.1:%d/ok", port);
  dr_http_wait_options options = options_for("/ok", 5);
  options.request.url = url;
  outcome out = wait_for(options);
  double began = 0;
  double now = test_now();
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  assert_int_equal(out.status, 200);
  assert_int_equal(read(ready[0], &began, sizeof began), sizeof began);
  assert_true(now - began < 0.5);
  close(ready[0]);
  close(ready[1]);
}

static void the_bound_ends_the_wait_with_the_last_answer(void **state) {
  (void)state;
  outcome out = wait_for(options_for("/status/502", 0.5));
  assert_string_equal(out.err.code, "http.expect_failed");
  assert_non_null(strstr(out.err.message, "within 0.5 s"));
  assert_non_null(strstr(out.err.message, "the status is 502 Bad Gateway, expected 2xx"));
  assert_string_equal(out.err.detail, "502 Bad Gateway\nas you wish");
  assert_true(out.seconds > 0.45 && out.seconds < 2);
  assert_true(out.attempts >= 2 && out.attempts <= 15);
  dr_err_clear(&out.err);
}

static void a_refused_connection_is_the_cause_at_the_end(void **state) {
  (void)state;
  char url[64];
  snprintf(url, sizeof url, "http://127.0.0.1:%d/", test_port(NULL));
  dr_http_wait_options options = options_for("/", 0.3);
  options.request.url = url;
  outcome out = wait_for(options);
  assert_string_equal(out.err.code, "http.expect_failed");
  assert_non_null(strstr(out.err.message, ": cannot connect: Connection refused"));
  assert_non_null(out.err.cause);
  assert_string_equal(out.err.cause->code, "http.connect");
  assert_non_null(strstr(out.err.hint, "nothing listens there"));
  dr_err_clear(&out.err);
}

static void a_service_that_hangs_does_not_outlast_the_bound(void **state) {
  (void)state;
  outcome out = wait_for(options_for("/nothing", 1));
  assert_string_equal(out.err.code, "http.expect_failed");
  assert_true(out.seconds > 0.95 && out.seconds < 2);
  assert_int_equal(out.attempts, 3); /* not more than three hang at once */
  dr_err_clear(&out.err);
}

static void without_a_bound_one_request_decides(void **state) {
  (void)state;
  outcome out = wait_for(options_for("/status/500", 0));
  assert_string_equal(out.err.code, "http.expect_failed");
  assert_int_equal(out.attempts, 1);
  dr_err_clear(&out.err);
  dr_http_wait_options options = options_for("/nothing", 0);
  options.request.timeout_s = 0.8;
  out = wait_for(options);
  assert_int_equal(out.attempts, 1);
  assert_true(out.seconds < 3);
  dr_err_clear(&out.err);
}

static void good_answers_can_be_asked_for_in_a_row(void **state) {
  (void)state;
  *server.served = 0;
  dr_http_wait_options options = options_for("/burst/4", 5);
  options.in_a_row = 3;
  outcome out = wait_for(options);
  assert_int_equal(out.status, 200);
  assert_int_equal(out.attempts, 7);
}

static void nonsense_is_refused_before_anything_is_sent(void **state) {
  (void)state;
  dr_http_wait_options options = options_for("/ok", 5);
  json_t *bad = json_string("fine");
  options.expected.status = bad;
  outcome out = wait_for(options);
  assert_string_equal(out.err.code, "recipe.argument");
  dr_err_clear(&out.err);
  options.expected.status = NULL;
  options.request.url = "nonsense";
  out = wait_for(options);
  assert_string_equal(out.err.code, "http.url");
  dr_err_clear(&out.err);
  json_decref(bad);
  uv_run(&loop, UV_RUN_NOWAIT);
}

static void a_wait_can_be_cancelled_at_any_time(void **state) {
  (void)state;
  const char *const paths[] = {"/nothing", "/status/500", "/slow/5"};
  for (int i = 0; i < 60; i++) {
    outcome out = {.err = DR_ERR_INIT};
    dr_http_wait *wait;
    dr_http_wait_options options = options_for(paths[i % 3], 10);
    options.data = &out;
    options.expected.body = "never";
    assert_int_equal(dr__http_wait_start(&wait, http, &options, NULL), 0);
    for (int turn = 0; turn < i; turn++) uv_run(&loop, UV_RUN_NOWAIT);
    dr__http_wait_cancel(wait);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_false(out.done);
  }
}

/* ------------------------------------------------------------ the probe */

static void on_wake(uv_timer_t *timer) {
  (void)timer;
}

static void run_for(double seconds) {
  uv_timer_t timer;
  uv_timer_init(&loop, &timer);
  double until = test_now() + seconds;
  while (test_now() < until) {
    uv_timer_start(&timer, on_wake, 5, 0);
    uv_run(&loop, UV_RUN_ONCE);
  }
  uv_close((uv_handle_t *)&timer, NULL);
  uv_run(&loop, UV_RUN_NOWAIT);
}

static json_t *probe_for(const char *path, double every, double seconds) {
  dr_http_probe *probe;
  dr_http_probe_options options = {.every_s = every, .version = "header:x-version"};
  options.request = options_for(path, 0).request;
  assert_int_equal(dr__http_probe_start(&probe, http, &options, NULL), 0);
  run_for(seconds);
  json_t *report = dr__http_probe_stop(probe);
  assert_non_null(report);
  return report;
}

static int whole(const json_t *report, const char *key) {
  const json_t *value = json_object_get(report, key);
  assert_true(json_is_number(value));
  return (int)json_number_value(value);
}

static void a_probe_keeps_its_rate_and_sees_no_failure(void **state) {
  (void)state;
  json_t *report = probe_for("/ok", 0.02, 1.01);
  assert_in_range(whole(report, "requests"), 40, 52);
  assert_int_equal(whole(report, "failures"), 0);
  assert_true(json_real_value(json_object_get(report, "longest_gap")) < 0.5);
  assert_string_equal(json_string_value(json_object_get(report, "first_version")), "7");
  json_decref(report);
}

static void a_slow_service_does_not_slow_the_probe_down(void **state) {
  (void)state;
  json_t *report = probe_for("/slow/300", 0.02, 1.3);
  assert_in_range(whole(report, "requests"), 30, 55);
  assert_in_range(whole(report, "p50_ms"), 300, 600);
  json_decref(report);
}

static void failures_of_every_kind_are_counted(void **state) {
  (void)state;
  json_t *report = probe_for("/status/502", 0.02, 0.3);
  assert_int_equal(whole(report, "failures"), whole(report, "requests"));
  assert_int_equal(whole(json_object_get(report, "statuses"), "502"), whole(report, "requests"));
  assert_true(json_real_value(json_object_get(report, "longest_gap")) > 0.29);
  json_decref(report);
  report = probe_for("/close", 0.02, 0.3);
  assert_int_equal(whole(json_object_get(report, "statuses"), "http.closed"),
                   whole(report, "requests"));
  json_decref(report);
}

static void a_probe_does_not_hold_the_loop_and_is_dropped_cleanly(void **state) {
  (void)state;
  dr_http_probe *probe;
  dr_http_probe_options options = {.every_s = 0.01};
  options.request = options_for("/nothing", 0).request;
  assert_int_equal(dr__http_probe_start(&probe, http, &options, NULL), 0);
  run_for(0.2);
  double started = test_now();
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_true(test_now() - started < 1);
  json_t *report = dr__http_probe_stop(probe);
  assert_int_equal(whole(report, "requests"), 0);
  json_decref(report);
  uv_run(&loop, UV_RUN_DEFAULT);
}

static void a_probe_with_a_senseless_rate_is_refused(void **state) {
  (void)state;
  dr_http_probe *probe;
  dr_err err = DR_ERR_INIT;
  dr_http_probe_options options = {.every_s = 0};
  options.request = options_for("/ok", 0).request;
  assert_int_equal(dr__http_probe_start(&probe, http, &options, &err), DR_RECIPE);
  options.every_s = 1;
  options.request.url = "nonsense";
  assert_int_equal(dr__http_probe_start(&probe, http, &options, &err), DR_FAILED);
  assert_string_equal(err.code, "http.url");
  dr_err_clear(&err);
  uv_run(&loop, UV_RUN_NOWAIT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_first_request_goes_out_at_once),
      cmocka_unit_test(a_service_is_noticed_soon_after_it_comes_up),
      cmocka_unit_test(a_port_that_begins_to_listen_is_noticed_soon),
      cmocka_unit_test(the_bound_ends_the_wait_with_the_last_answer),
      cmocka_unit_test(a_refused_connection_is_the_cause_at_the_end),
      cmocka_unit_test(a_service_that_hangs_does_not_outlast_the_bound),
      cmocka_unit_test(without_a_bound_one_request_decides),
      cmocka_unit_test(good_answers_can_be_asked_for_in_a_row),
      cmocka_unit_test(nonsense_is_refused_before_anything_is_sent),
      cmocka_unit_test(a_wait_can_be_cancelled_at_any_time),
      cmocka_unit_test(a_probe_keeps_its_rate_and_sees_no_failure),
      cmocka_unit_test(a_slow_service_does_not_slow_the_probe_down),
      cmocka_unit_test(failures_of_every_kind_are_counted),
      cmocka_unit_test(a_probe_does_not_hold_the_loop_and_is_dropped_cleanly),
      cmocka_unit_test(a_probe_with_a_senseless_rate_is_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
