/* Memory fails at the N-th allocation, for every N, while requests, a wait, a probe and an engine
 * call are made: nothing crashes, hangs or leaks, and each ends with an answer or an error.
 *
 * The allocator of the whole program is failing_heap.h's. Only libcurl gets memory that never
 * fails: version 7.88 divides by zero when one of its hash tables cannot be made. Under a
 * sanitizer, which has an allocator of its own, the sweep is left out.
 */
#include "docker/docker_engine.h"
#include "http/http_args.h"
#include "http/http_probe.h"
#include "http/http_wait.h"

#include "test_http_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <curl/curl.h>

#include "failing_heap.h"

#if SWEEP
static char *safe_strdup(const char *text) {
  size_t size = strlen(text) + 1;
  char *copy = __libc_malloc(size);
  return copy ? memcpy(copy, text, size) : NULL;
}

static void give_libcurl_safe_memory(void) {
  curl_global_init_mem(CURL_GLOBAL_DEFAULT, __libc_malloc, __libc_free, __libc_realloc, safe_strdup,
                       __libc_calloc);
}
#else
static void give_libcurl_safe_memory(void) {}
#endif

static test_server server;

static void on_done(void *data, dr_http_response *response, dr_err *err) {
  int *left = data;
  --*left;
  assert_true((response != NULL) != (err != NULL));
  if (response) json_decref(dr__http_result(response));
}

static void on_waited(void *data, dr_http_waited *waited) {
  int *left = data;
  --*left;
  assert_true((waited->answer != NULL) != (waited->err != NULL));
}

static void on_call(void *data, dr_engine_answer *answer, dr_err *err) {
  int *left = data;
  --*left;
  assert_true((answer != NULL) != (err != NULL));
}

static void begin_request(dr_http *http, const char *url, int *left) {
  dr_http_transfer *transfer;
  dr_err err = DR_ERR_INIT;
  json_t *headers = json_pack("{s:s}", "X-One", "1");
  const dr_http_request request = {
      .url = url, .headers = headers, .timeout_s = 1, .on_done = on_done, .data = left};
  ++*left;
  if (dr__http_start(&transfer, http, &request, &err) != 0) --*left;
  json_decref(headers);
  dr_err_clear(&err);
}

static void begin_wait(dr_http *http, const char *url, int *left) {
  dr_http_wait *wait;
  dr_err err = DR_ERR_INIT;
  const dr_http_wait_options options = {
      .request = {.url = url, .timeout_s = 1}, .within_s = 1, .on_done = on_waited, .data = left};
  ++*left;
  if (dr__http_wait_start(&wait, http, &options, &err) != 0) --*left;
  dr_err_clear(&err);
}

static void begin_call(dr_engine *engine, int *left) {
  dr_engine_call *call;
  dr_err err = DR_ERR_INIT;
  const dr_engine_request request = {
      .path = "/info", .timeout_s = 1, .on_done = on_call, .data = left};
  ++*left;
  if (dr__engine_start(&call, engine, &request, &err) != 0) --*left;
  dr_err_clear(&err);
}

static void use(dr_http *http, uv_loop_t *loop, const char *url) {
  int left = 0;
  dr_http_probe *probe = NULL;
  dr_err err = DR_ERR_INIT;
  dr_engine *engine = dr__engine_new(http, "/nonexistent.sock");
  const dr_http_probe_options options = {
      .request = {.url = url, .timeout_s = 1}, .every_s = 0.005, .version = "version"};
  if (dr__http_probe_start(&probe, http, &options, &err) != 0) probe = NULL;
  begin_request(http, url, &left);
  begin_wait(http, url, &left);
  if (engine) begin_call(engine, &left);
  while (left > 0) uv_run(loop, UV_RUN_ONCE);
  if (probe) json_decref(dr__http_probe_stop(probe));
  dr__engine_free(engine);
  dr_err_clear(&err);
}

/* One round with the n-th allocation failing; false when there were fewer. */
static bool round_of(uv_loop_t *loop, const char *url, long n) {
  dr_http *http;
  dr_err err = DR_ERR_INIT;
  failed = false;
  fail_at = n;
  if (dr__http_new(&http, loop, &err) == 0) {
    use(http, loop, url);
    dr__http_free(http);
  }
  uv_run(loop, UV_RUN_DEFAULT);
  fail_at = 0;
  dr_err_clear(&err);
  return failed;
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  char url[64];
  uv_loop_t loop;
  give_libcurl_safe_memory();
  uv_loop_init(&loop);
  test_server_start(&server);
  snprintf(url, sizeof url, "http://127.0.0.1:%d/json", server.port);
  for (int i = 0; i < 3; i++) round_of(&loop, url, 0);
  const long before = SWEEP ? living : 0;
  for (long n = 1; SWEEP && round_of(&loop, url, n); n++) {
    if (living > before)
      fail_msg("%ld allocations left over after number %ld failed", living - before, n);
    if (getenv("VERBOSE")) fprintf(stderr, "%ld: %ld\n", n, living - before);
  }
  curl_global_cleanup();
  test_server_stop(&server);
  uv_loop_close(&loop);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
