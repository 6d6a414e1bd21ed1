/* The HTTP client against a server with every fault: each request ends within its bound with its
 * own code. */
#include "http/http_client.h"

#include "test_http_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>

#include <cmocka.h>

typedef struct fixture {
  test_server server;
  uv_loop_t loop;
  dr_http *http;
} fixture;

/* What a request came to. */
typedef struct outcome {
  bool done;
  int status;
  json_t *headers;
  char *body;
  char url[256];
  bool stopped;
  dr_err err;
  size_t streamed;
  double seconds;
} outcome;

static fixture fx;

static int set_up(void **state) {
  (void)state;
  test_server_start(&fx.server);
  uv_loop_init(&fx.loop);
  return dr__http_new(&fx.http, &fx.loop, NULL);
}

static int tear_down(void **state) {
  (void)state;
  dr__http_free(fx.http);
  test_server_stop(&fx.server);
  return uv_loop_close(&fx.loop);
}

static void on_done(void *data, dr_http_response *response, dr_err *err) {
  outcome *out = data;
  assert_false(out->done);
  out->done = true;
  if (err) {
    out->err = *err;
    *err = (dr_err)DR_ERR_INIT;
    return;
  }
  out->status = response->status;
  out->headers = json_incref(response->headers);
  out->body = response->body;
  response->body = NULL;
  snprintf(out->url, sizeof out->url, "%s", response->url);
  out->stopped = response->stopped;
}

static void clear(outcome *out) {
  json_decref(out->headers);
  free(out->body);
  dr_err_clear(&out->err);
}

static outcome fetch(dr_http_request request) {
  outcome out = {.err = DR_ERR_INIT};
  dr_http_transfer *transfer;
  double started = test_now();
  request.on_done = on_done;
  request.data = &out;
  if (request.timeout_s == 0) request.timeout_s = 10;
  int status = dr__http_start(&transfer, fx.http, &request, &out.err);
  assert_int_equal(status != 0, out.err.code[0] != '\0');
  while (status == 0 && !out.done) uv_run(&fx.loop, UV_RUN_ONCE);
  out.seconds = test_now() - started;
  return out;
}

static outcome get_with(const char *path, dr_http_request request) {
  char url[128];
  snprintf(url, sizeof url, "http://127.0.0.1:%d%s", fx.server.port, path);
  request.url = url;
  return fetch(request);
}

static outcome get(const char *path) {
  return get_with(path, (dr_http_request){.timeout_s = 5});
}

static void expect_code(outcome out, const char *code, const char *words) {
  assert_true(out.err.code[0] != '\0');
  assert_string_equal(out.err.code, code);
  if (!strstr(out.err.message, words)) fail_msg("\"%s\" lacks \"%s\"", out.err.message, words);
  clear(&out);
}

static void an_answer_has_status_headers_and_body(void **state) {
  (void)state;
  outcome out = get("/ok");
  assert_int_equal(out.status, 200);
  assert_string_equal(out.body, "all is ok");
  assert_string_equal(json_string_value(json_object_get(out.headers, "x-version")), "7");
  clear(&out);
  out = get("/status/503");
  assert_int_equal(out.status, 503);
  clear(&out);
}

static void repeated_and_broken_headers_are_kept_readable(void **state) {
  (void)state;
  outcome out = get("/headers");
  assert_string_equal(json_string_value(json_object_get(out.headers, "set-cookie")), "a=1\nb=2");
  assert_string_equal(json_string_value(json_object_get(out.headers, "x-two")), "1, 2");
  assert_string_equal(json_string_value(json_object_get(out.headers, "x-bad")), "\xEF\xBF\xBD!");
  clear(&out);
}

static void methods_bodies_and_headers_are_sent_as_asked(void **state) {
  (void)state;
  json_t *headers = json_pack("{s:s, s:s}", "X-One", "1", "X-Empty", "");
  json_t *json = json_pack("{s:i}", "a", 1);
  outcome out =
      get_with("/echo", (dr_http_request){.method = "put", .headers = headers, .json = json});
  assert_true(strncmp(out.body, "PUT /echo HTTP/1.1\r\n", 20) == 0);
  assert_non_null(strstr(out.body, "Content-Type: application/json\r\n"));
  assert_non_null(strstr(out.body, "X-One: 1\r\n"));
  assert_non_null(strstr(out.body, "X-Empty:\r\n"));
  assert_non_null(strstr(out.body, "User-Agent: deployrun/"));
  assert_non_null(strstr(out.body, "\r\n\r\n{\"a\":1}"));
  assert_null(strstr(out.body, "Expect:"));
  clear(&out);
  out = get_with("/echo", (dr_http_request){.method = "POST", .body = "x=y", .body_length = 3});
  assert_null(strstr(out.body, "Content-Type"));
  assert_non_null(strstr(out.body, "\r\n\r\nx=y"));
  clear(&out);
  out = get_with("/echo", (dr_http_request){.method = "DELETE", .bearer = "tok"});
  assert_true(strncmp(out.body, "DELETE ", 7) == 0);
  assert_non_null(strstr(out.body, "Authorization: Bearer tok\r\n"));
  clear(&out);
  out = get_with("/echo", (dr_http_request){.user = "u", .password = "p"});
  assert_non_null(strstr(out.body, "Authorization: Basic dTpw\r\n"));
  clear(&out);
  out = get_with("/ok", (dr_http_request){.method = "HEAD"});
  assert_int_equal(out.status, 200);
  assert_string_equal(out.body, "");
  clear(&out);
  json_decref(headers);
  json_decref(json);
}

static void text_that_would_break_the_request_is_refused(void **state) {
  (void)state;
  json_t *bad_value = json_pack("{s:s}", "X", "a\r\nY: b");
  json_t *bad_name = json_pack("{s:s}", "X Y", "a");
  expect_code(get_with("/ok", (dr_http_request){.headers = bad_value}), "http.header", "one line");
  expect_code(get_with("/ok", (dr_http_request){.headers = bad_name}), "http.header",
              "no header name");
  expect_code(get_with("/ok", (dr_http_request){.method = "GET /x"}), "http.method", "GET /x");
  expect_code(get_with("/o k", (dr_http_request){.method = NULL}), "http.url", "no URL");
  expect_code(fetch((dr_http_request){.url = "localhost/x"}), "http.url", "no URL");
  expect_code(fetch((dr_http_request){.url = "file:///etc/passwd"}), "http.url", "no URL");
  json_decref(bad_value);
  json_decref(bad_name);
}

static void a_refused_connection_says_so(void **state) {
  (void)state;
  char url[64];
  snprintf(url, sizeof url, "http://127.0.0.1:%d/", test_port(NULL));
  outcome out = fetch((dr_http_request){.url = url});
  assert_true(out.seconds < 1);
  expect_code(out, "http.connect", "Connection refused");
  expect_code(fetch((dr_http_request){.url = "http://x/", .unix_socket = "/nonexistent.sock"}),
              "http.connect", "/nonexistent.sock");
}

static void an_unknown_name_says_so(void **state) {
  (void)state;
  expect_code(fetch((dr_http_request){.url = "http://nowhere.invalid/"}), "http.resolve",
              "nowhere.invalid");
}

static void silence_ends_at_the_time_limit(void **state) {
  (void)state;
  outcome out = get_with("/nothing", (dr_http_request){.timeout_s = 0.3});
  assert_true(out.seconds > 0.25 && out.seconds < 3);
  expect_code(out, "http.timeout", "connected, but nothing was answered within 0.3");
  out = get_with("/headers-only", (dr_http_request){.timeout_s = 0.3});
  assert_true(out.seconds > 0.25 && out.seconds < 3);
  expect_code(out, "http.timeout", "an answer began but did not end");
}

static void broken_answers_have_their_codes(void **state) {
  (void)state;
  expect_code(get("/close"), "http.closed", "Empty reply");
  expect_code(get("/truncated"), "http.closed", "remaining");
  expect_code(get("/garbage"), "http.protocol", "HTTP/0.9");
  expect_code(get("/many-headers"), "http.protocol", "headers");
}

static void redirects_are_followed_only_when_asked_and_not_for_ever(void **state) {
  (void)state;
  outcome out = get("/redirect");
  assert_int_equal(out.status, 302);
  assert_string_equal(json_string_value(json_object_get(out.headers, "location")), "/ok");
  clear(&out);
  out = get_with("/redirect", (dr_http_request){.follow_redirects = true});
  assert_int_equal(out.status, 200);
  assert_non_null(strstr(out.url, "/ok"));
  assert_null(json_object_get(out.headers, "location"));
  clear(&out);
  expect_code(get_with("/loop", (dr_http_request){.follow_redirects = true}), "http.redirects",
              "10");
}

static void a_body_of_a_gigabyte_takes_no_more_memory_than_allowed(void **state) {
  (void)state;
  struct rusage before;
  struct rusage after;
  getrusage(RUSAGE_SELF, &before);
  expect_code(get_with("/huge", (dr_http_request){.timeout_s = 30}), "http.body_too_large",
              "8388608");
  expect_code(get_with("/endless", (dr_http_request){.timeout_s = 30}), "http.body_too_large",
              "8388608");
  expect_code(get_with("/ok", (dr_http_request){.max_body = 3}), "http.body_too_large",
              "larger than 3 bytes");
  getrusage(RUSAGE_SELF, &after);
  assert_true(after.ru_maxrss - before.ru_maxrss < 64 * 1024);
}

static int count_and_stop(void *data, const char *bytes, size_t length) {
  outcome *out = data;
  (void)bytes;
  out->streamed += length;
  return out->streamed > 1000000;
}

static void a_streamed_body_ends_when_its_reader_has_enough(void **state) {
  (void)state;
  outcome out = get_with("/endless", (dr_http_request){.on_body = count_and_stop});
  assert_int_equal(out.status, 200);
  assert_true(out.stopped);
  assert_true(out.streamed > 1000000 && out.streamed < 2000000);
  clear(&out);
  out = get_with("/status/500", (dr_http_request){.on_body = count_and_stop});
  assert_int_equal(out.streamed, 0);
  assert_string_equal(out.body, "as you wish\n");
  clear(&out);
}

static void connections_are_reused_unless_a_fresh_one_is_asked_for(void **state) {
  (void)state;
  outcome first = get("/conn");
  outcome second = get("/conn");
  outcome fresh = get_with("/conn", (dr_http_request){.no_reuse = true});
  outcome third = get("/conn");
  assert_string_equal(first.body, second.body);
  assert_string_not_equal(first.body, fresh.body);
  assert_string_equal(first.body, third.body);
  clear(&first);
  clear(&second);
  clear(&fresh);
  clear(&third);
}

static void an_address_can_stand_in_for_the_name(void **state) {
  (void)state;
  char address[64];
  snprintf(address, sizeof address, "127.0.0.1:%d", fx.server.port);
  outcome out = fetch((dr_http_request){.url = "http://shop.invalid/echo", .address = address});
  assert_int_equal(out.status, 200);
  assert_non_null(strstr(out.body, "Host: shop.invalid\r\n"));
  clear(&out);
}

static void a_proxy_is_not_asked_for_this_machine(void **state) {
  (void)state;
  setenv("http_proxy", "http://127.0.0.1:1/", 1);
  outcome out = get("/ok");
  assert_int_equal(out.status, 200);
  clear(&out);
  out = fetch((dr_http_request){.url = "http://far.invalid/"});
  assert_string_equal(out.err.code, "http.connect");
  clear(&out);
  unsetenv("http_proxy");
}

static void a_cancelled_request_tells_nobody(void **state) {
  (void)state;
  outcome out = {.err = DR_ERR_INIT};
  const char *const paths[] = {"/nothing", "/slow/200", "/ok", "/endless"};
  for (size_t i = 0; i < 4; i++) {
    for (int turns = 0; turns < 8; turns++) {
      char url[128];
      dr_http_transfer *transfer;
      snprintf(url, sizeof url, "http://127.0.0.1:%d%s", fx.server.port, paths[i]);
      const dr_http_request request = {.url = url, .on_done = on_done, .data = &out};
      assert_int_equal(dr__http_start(&transfer, fx.http, &request, NULL), 0);
      for (int turn = 0; turn < turns && !out.done; turn++) {
        uv_run(&fx.loop, UV_RUN_NOWAIT);
        test_sleep_ms(1);
      }
      if (!out.done) dr__http_cancel(transfer);
      clear(&out);
      out = (outcome){.err = DR_ERR_INIT};
    }
  }
  uv_run(&fx.loop, UV_RUN_DEFAULT);
  assert_false(out.done);
}

static void a_background_request_does_not_hold_the_loop(void **state) {
  (void)state;
  outcome out = {.err = DR_ERR_INIT};
  dr_http_transfer *transfer;
  char url[128];
  snprintf(url, sizeof url, "http://127.0.0.1:%d/nothing", fx.server.port);
  const dr_http_request request = {
      .url = url, .background = true, .on_done = on_done, .data = &out};
  assert_int_equal(dr__http_start(&transfer, fx.http, &request, NULL), 0);
  double started = test_now();
  uv_run(&fx.loop, UV_RUN_DEFAULT);
  assert_true(test_now() - started < 1);
  outcome other = get("/slow/50");
  assert_int_equal(other.status, 200);
  clear(&other);
  assert_false(out.done);
  dr__http_cancel(transfer);
}

static void a_client_is_freed_with_requests_under_way(void **state) {
  (void)state;
  dr_http *http;
  outcome out = {.err = DR_ERR_INIT};
  assert_int_equal(dr__http_new(&http, &fx.loop, NULL), 0);
  for (int i = 0; i < 5; i++) {
    char url[128];
    dr_http_transfer *transfer;
    snprintf(url, sizeof url, "http://127.0.0.1:%d/nothing", fx.server.port);
    const dr_http_request request = {.url = url, .on_done = on_done, .data = &out};
    assert_int_equal(dr__http_start(&transfer, http, &request, NULL), 0);
    uv_run(&fx.loop, UV_RUN_NOWAIT);
  }
  dr__http_free(http);
  assert_false(out.done);
}

/* A TLS server with a certificate nobody signed. */
static pid_t start_tls(int port, char *cert) {
  char key[] = "/tmp/deployrun-test-key-XXXXXX";
  char accept_at[32];
  snprintf(accept_at, sizeof accept_at, "127.0.0.1:%d", port);
  close(mkstemp(key));
  close(mkstemp(cert));
  char command[512];
  snprintf(command, sizeof command,
           "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext "
           "subjectAltName=DNS:localhost "
           "-keyout %s -out %s 2>/dev/null && exec openssl s_server -accept %s -www -quiet -key %s "
           "-cert %s >/dev/null 2>&1",
           key, cert, accept_at, key, cert);
  pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
  }
  for (int i = 0; i < 100; i++) {
    outcome out =
        fetch((dr_http_request){.url = "http://x/", .address = accept_at, .timeout_s = 0.5});
    bool up = strcmp(out.err.code, "http.connect") != 0;
    clear(&out);
    if (up) break;
    test_sleep_ms(50);
  }
  unlink(key);
  return pid;
}

static void a_certificate_nobody_signed_is_refused_unless_trusted(void **state) {
  (void)state;
  char cert[] = "/tmp/deployrun-test-cert-XXXXXX";
  char url[64];
  char wrong_name[64];
  int port = test_port(NULL);
  pid_t pid = start_tls(port, cert);
  snprintf(url, sizeof url, "https://localhost:%d/", port);
  snprintf(wrong_name, sizeof wrong_name, "https://127.0.0.1:%d/", port);
  expect_code(fetch((dr_http_request){.url = url}), "http.tls_untrusted", "self-signed");
  expect_code(fetch((dr_http_request){.url = wrong_name, .ca_file = cert}), "http.tls_name",
              "127.0.0.1");
  outcome out = fetch((dr_http_request){.url = url, .ca_file = cert});
  assert_int_equal(out.status, 200);
  clear(&out);
  out = fetch((dr_http_request){.url = wrong_name, .insecure = true});
  assert_int_equal(out.status, 200);
  clear(&out);
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  unlink(cert);
}

static void https_to_a_plain_port_is_a_tls_error(void **state) {
  (void)state;
  char url[64];
  snprintf(url, sizeof url, "https://127.0.0.1:%d/ok", fx.server.port);
  expect_code(fetch((dr_http_request){.url = url}), "http.tls", "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_answer_has_status_headers_and_body),
      cmocka_unit_test(repeated_and_broken_headers_are_kept_readable),
      cmocka_unit_test(methods_bodies_and_headers_are_sent_as_asked),
      cmocka_unit_test(text_that_would_break_the_request_is_refused),
      cmocka_unit_test(a_refused_connection_says_so),
      cmocka_unit_test(an_unknown_name_says_so),
      cmocka_unit_test(silence_ends_at_the_time_limit),
      cmocka_unit_test(broken_answers_have_their_codes),
      cmocka_unit_test(redirects_are_followed_only_when_asked_and_not_for_ever),
      cmocka_unit_test(a_body_of_a_gigabyte_takes_no_more_memory_than_allowed),
      cmocka_unit_test(a_streamed_body_ends_when_its_reader_has_enough),
      cmocka_unit_test(connections_are_reused_unless_a_fresh_one_is_asked_for),
      cmocka_unit_test(an_address_can_stand_in_for_the_name),
      cmocka_unit_test(a_proxy_is_not_asked_for_this_machine),
      cmocka_unit_test(a_cancelled_request_tells_nobody),
      cmocka_unit_test(a_background_request_does_not_hold_the_loop),
      cmocka_unit_test(a_client_is_freed_with_requests_under_way),
      cmocka_unit_test(a_certificate_nobody_signed_is_refused_unless_trusted),
      cmocka_unit_test(https_to_a_plain_port_is_a_tls_error),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
