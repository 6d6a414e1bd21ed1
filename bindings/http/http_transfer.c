/* http_transfer.c - one HTTP request: from a dr_http_request to a libcurl easy handle, and from
 * what libcurl brings to an answer. Owns the easy handle and the collected answer. Called by
 * http_client.c and, through the callbacks, by libcurl; on the runtime's thread.
 */
#include "http_internal.h"

#include "core/err.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define AGENT "deployrun/" DR_VERSION

/* ------------------------------------------------------------ the answer */

static char *lower_copy(const char *text, size_t length) {
  char *copy = strndup(text, length);
  for (char *c = copy; c && *c; c++) {
    if (*c >= 'A' && *c <= 'Z') *c = (char)(*c - 'A' + 'a');
  }
  return copy;
}

/* Adds a header to the answer, joining it to an earlier one of the same name. False: out of memory.
 */
static bool add_header(json_t *headers, const char *name, const char *value, size_t length) {
  const char *before = json_string_value(json_object_get(headers, name));
  if (!before) return json_object_set_new(headers, name, dr__http_json_text(value, length)) == 0;
  const char *joint = strcmp(name, "set-cookie") == 0 ? "\n" : ", ";
  char *both = dr__http_format("%s%s%.*s", before, joint, (int)length, value);
  bool added =
      both && json_object_set_new(headers, name, dr__http_json_text(both, strlen(both))) == 0;
  free(both);
  return added;
}

static bool take_header(dr_http_transfer *transfer, const char *line, size_t length) {
  const char *colon = memchr(line, ':', length);
  if (!colon) return true;
  const char *value = colon + 1;
  const char *end = line + length;
  while (value < end && (*value == ' ' || *value == '\t')) value++;
  while (end > value && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' ')) end--;
  char *name = lower_copy(line, (size_t)(colon - line));
  if (!name) return false;
  bool taken = add_header(transfer->answer_headers, name, value, (size_t)(end - value));
  free(name);
  return taken;
}

/* A status line begins a new answer: the one after a redirect, or the real one after a "100
 * Continue". */
static bool begin_answer(dr_http_transfer *transfer) {
  transfer->header_bytes = 0;
  transfer->body_length = 0;
  return json_object_clear(transfer->answer_headers) == 0;
}

static size_t on_header(char *line, size_t size, size_t count, void *data) {
  dr_http_transfer *transfer = data;
  size_t length = size * count;
  if (length >= 5 && strncasecmp(line, "HTTP/", 5) == 0) return begin_answer(transfer) ? length : 0;
  transfer->header_bytes += length;
  if (transfer->header_bytes > DR_HTTP_MAX_HEADERS) {
    transfer->bad_headers = true;
    return 0;
  }
  if (take_header(transfer, line, length)) return length;
  transfer->nomem = true;
  return 0;
}

/* Makes room for `more` bytes of body and a NUL. */
static bool make_room(dr_http_transfer *transfer, size_t more) {
  size_t need = transfer->body_length + more + 1;
  if (need <= transfer->body_room) return true;
  size_t room = transfer->body_room ? transfer->body_room * 2 : 1024;
  while (room < need) room *= 2;
  char *grown = realloc(transfer->body, room);
  if (!grown) return false;
  transfer->body = grown;
  transfer->body_room = room;
  return true;
}

static size_t keep_body(dr_http_transfer *transfer, const char *bytes, size_t length) {
  size_t room = transfer->max_body - transfer->body_length;
  size_t kept = length > room ? room : length;
  if (kept < length && !transfer->cut_body) {
    transfer->too_large = true;
    return 0;
  }
  if (!make_room(transfer, kept)) {
    transfer->nomem = true;
    return 0;
  }
  memcpy(transfer->body + transfer->body_length, bytes, kept);
  transfer->body_length += kept;
  transfer->cut = kept < length;
  return kept; /* less than all ends the transfer */
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *data) {
  dr_http_transfer *transfer = data;
  size_t length = size * count;
  long status = 0;
  curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
  if (!transfer->on_body || status < 200 || status > 299) return keep_body(transfer, bytes, length);
  if (transfer->on_body(transfer->data, bytes, length) == 0) return length;
  transfer->stopped = true;
  return 0;
}

static double seconds_of(CURL *easy, CURLINFO info) {
  curl_off_t microseconds = 0;
  curl_easy_getinfo(easy, info, &microseconds);
  return (double)microseconds / 1e6;
}

static void tell_answer(dr_http_transfer *transfer) {
  CURL *easy = transfer->easy;
  long status = 0;
  char *effective = NULL;
  char *address = NULL;
  char *redirect = NULL;
  curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &redirect);
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &effective);
  curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &address);
  char *shown = effective ? dr__http_safe_url(effective) : NULL;
  transfer->body[transfer->body_length] = '\0';
  dr_http_response response = {
      .status = (int)status,
      .headers = transfer->answer_headers,
      .body = transfer->body,
      .body_length = transfer->body_length,
      .url = shown ? shown : transfer->url,
      .address = address && !transfer->unix_socket ? address : "",
      .seconds = seconds_of(easy, CURLINFO_TOTAL_TIME_T),
      .connect_s = seconds_of(easy, CURLINFO_CONNECT_TIME_T),
      .first_byte_s = seconds_of(easy, CURLINFO_STARTTRANSFER_TIME_T),
      .stopped = transfer->stopped,
      .truncated = transfer->cut,
      .redirect = redirect,
      .cookies = transfer->has_cookies ? dr__http_cookies_of(easy) : NULL,
      .certificates = transfer->certificates ? dr__http_certificates_of(easy) : NULL,
  };
  transfer->on_done(transfer->data, &response, NULL);
  json_decref(response.cookies);
  json_decref(response.certificates);
  transfer->answer_headers = response.headers;
  transfer->body = response.body;
  free(shown);
}

void dr__http_transfer_finish(dr_http_transfer *transfer, CURLcode code) {
  bool ended_well = code == CURLE_OK || transfer->stopped || transfer->cut;
  if (ended_well && make_room(transfer, 0)) {
    tell_answer(transfer);
  } else {
    dr_err err = DR_ERR_INIT;
    dr__http_explain(&err, transfer, ended_well ? CURLE_OUT_OF_MEMORY : code);
    transfer->on_done(transfer->data, NULL, &err);
    dr_err_clear(&err);
  }
  dr__http_transfer_free(transfer);
}

/* ------------------------------------------------------------ the request */

/* Remembers the first failure of several calls to curl_easy_setopt. */
#define SET(option, value)                                                                         \
  do {                                                                                             \
    CURLcode set_code_ = curl_easy_setopt(easy, option, value);                                    \
    if (set_code_ != CURLE_OK && code == CURLE_OK) code = set_code_;                               \
  } while (0)

static bool append(struct curl_slist **list, const char *line) {
  struct curl_slist *longer = line ? curl_slist_append(*list, line) : NULL;
  if (longer) *list = longer;
  return longer != NULL;
}

static bool append_new(struct curl_slist **list, char *line) {
  bool appended = append(list, line);
  free(line);
  return appended;
}

/* Header text that would end the line early could smuggle in a header or a request. */
static bool is_clean(const char *text) {
  return strpbrk(text, "\r\n") == NULL;
}

static bool is_token(const char *text) {
  return text[0] &&
         strspn(text,
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~") ==
             strlen(text);
}

static int add_given_headers(struct curl_slist **list, json_t *headers, dr_err *err) {
  const char *name;
  const json_t *value;
  json_object_foreach(headers, name, value) {
    const char *text = json_string_value(value);
    if (!is_token(name) || !text || !is_clean(text)) {
      return dr__fail(err, "http.header", "the header \"%s\" cannot be sent: %s", name,
                      is_token(name) ? "its value must be one line of text"
                                     : "that is no header name");
    }
    /* libcurl leaves a header out that has no value, unless it ends with a semicolon. */
    char *line = text[0] ? dr__http_format("%s: %s", name, text) : dr__http_format("%s;", name);
    if (!append_new(list, line)) return dr__err_nomem(err);
  }
  return 0;
}

static bool has_header(json_t *headers, const char *wanted) {
  const char *name;
  const json_t *value;
  json_object_foreach(headers, name, value) {
    if (strcasecmp(name, wanted) == 0) return true;
  }
  return false;
}

/* "Expect:" would make libcurl wait a second for servers that do not know 100-continue; libcurl's
 * own content type (a web form) would be a guess. */
static int set_headers(dr_http_transfer *transfer, const dr_http_request *request, dr_err *err) {
  int status = add_given_headers(&transfer->headers, request->headers, err);
  if (status) return status;
  bool typed = has_header(request->headers, "content-type");
  const char *type = request->json ? "Content-Type: application/json" : "Content-Type:";
  bool added = append(&transfer->headers, "Expect:") && (typed || append(&transfer->headers, type));
  return added ? 0 : dr__err_nomem(err);
}

/* Returns 0 or an error; *set tells libcurl's view. */
static CURLcode set_body(CURL *easy, const dr_http_request *request) {
  CURLcode code = CURLE_OK;
  char *text = request->json ? json_dumps(request->json, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
  if (request->json && !text) return CURLE_OUT_OF_MEMORY;
  const char *body = text ? text : request->body;
  size_t length = text ? strlen(text) : request->body_length;
  SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)length);
  SET(CURLOPT_COPYPOSTFIELDS, body ? body : "");
  free(text);
  return code;
}

static CURLcode set_method(CURL *easy, const dr_http_request *request, const char *method) {
  CURLcode code = CURLE_OK;
  bool has_body = request->body || request->json;
  if (strcmp(method, "HEAD") == 0) {
    SET(CURLOPT_NOBODY, 1L);
    return code;
  }
  if (has_body || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0) {
    code = set_body(easy, request);
  }
  /* POST is libcurl's own: named here, it would be said again where a redirect asks for a GET. */
  if (code == CURLE_OK && strcmp(method, "GET") != 0 && strcmp(method, "POST") != 0) {
    SET(CURLOPT_CUSTOMREQUEST, method);
  }
  if (code == CURLE_OK && has_body && strcmp(method, "GET") == 0) SET(CURLOPT_CUSTOMREQUEST, "GET");
  return code;
}

static CURLcode set_identity(CURL *easy, const dr_http_request *request) {
  CURLcode code = CURLE_OK;
  SET(CURLOPT_USERAGENT, AGENT);
  if (request->bearer) {
    SET(CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    SET(CURLOPT_XOAUTH2_BEARER, request->bearer);
  } else if (request->user) {
    SET(CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    SET(CURLOPT_USERNAME, request->user);
    SET(CURLOPT_PASSWORD, request->password ? request->password : "");
  }
  if (request->ca_file) SET(CURLOPT_CAINFO, request->ca_file);
  if (request->insecure) {
    SET(CURLOPT_SSL_VERIFYPEER, 0L);
    SET(CURLOPT_SSL_VERIFYHOST, 0L);
  }
  return code;
}

static long milliseconds(double seconds) {
  if (seconds <= 0) return 0;
  if (seconds > 1e6) return 1000000000L;
  return seconds < 0.001 ? 1 : (long)(seconds * 1000);
}

/* QUICK_EXIT: else to drop a request while a name is being looked up waits for the look-up, seconds
 * long. libcurl has it since 7.87; it may run with an older one than it was compiled for. */
static CURLcode set_limits(CURL *easy, const dr_http_request *request, size_t max_body) {
  CURLcode code = CURLE_OK;
  SET(CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
  SET(CURLOPT_TIMEOUT_MS, milliseconds(request->timeout_s));
  if (request->connect_timeout_s > 0) {
    SET(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(request->connect_timeout_s));
  } else if (request->timeout_s > 0) {
    SET(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(request->timeout_s));
  }
  if (!request->on_body && !request->cut_body) {
    SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)max_body);
  }
  SET(CURLOPT_FOLLOWLOCATION, request->follow_redirects ? 1L : 0L);
  SET(CURLOPT_MAXREDIRS,
      request->max_redirects ? (long)request->max_redirects : (long)DR_HTTP_MAX_REDIRECTS);
  SET(CURLOPT_PROTOCOLS_STR, "http,https");
  SET(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  SET(CURLOPT_TCP_NODELAY, 1L);
  if (request->connect_only) SET(CURLOPT_CONNECT_ONLY, 1L);
  if (request->certificates) SET(CURLOPT_CERTINFO, 1L);
  if (code == CURLE_OK && request->cookies) code = dr__http_set_cookies(easy, request->cookies);
  if (request->no_reuse) {
    SET(CURLOPT_FRESH_CONNECT, 1L);
    SET(CURLOPT_FORBID_REUSE, 1L);
  }
  return code;
}

static bool is_loopback(const char *host) {
  size_t length = strlen(host);
  return strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
         strcmp(host, "[::1]") == 0 ||
         (length > 10 && strcasecmp(host + length - 10, ".localhost") == 0);
}

static CURLcode set_route(dr_http_transfer *transfer, const dr_http_request *request,
                          bool loopback) {
  CURL *easy = transfer->easy;
  CURLcode code = CURLE_OK;
  if (request->direct || request->unix_socket || request->address || loopback)
    SET(CURLOPT_PROXY, "");
  if (request->unix_socket) SET(CURLOPT_UNIX_SOCKET_PATH, request->unix_socket);
  if (request->address) {
    char *route =
        dr__http_format("::%s%s", request->address, strrchr(request->address, ':') ? "" : ":");
    if (!append_new(&transfer->connect_to, route)) return CURLE_OUT_OF_MEMORY;
    SET(CURLOPT_CONNECT_TO, transfer->connect_to);
  }
  return code;
}

static CURLcode set_callbacks(dr_http_transfer *transfer) {
  CURL *easy = transfer->easy;
  CURLcode code = CURLE_OK;
  SET(CURLOPT_PRIVATE, transfer);
  SET(CURLOPT_ERRORBUFFER, transfer->error);
  SET(CURLOPT_HEADERFUNCTION, on_header);
  SET(CURLOPT_HEADERDATA, transfer);
  SET(CURLOPT_WRITEFUNCTION, on_bytes);
  SET(CURLOPT_WRITEDATA, transfer);
  SET(CURLOPT_HTTPHEADER, transfer->headers);
  return code;
}

static int set_all(dr_http_transfer *transfer, const dr_http_request *request, bool loopback,
                   dr_err *err) {
  CURL *easy = transfer->easy;
  CURLcode code = CURLE_OK;
  SET(CURLOPT_URL, request->url);
  if (code == CURLE_OK) code = set_method(easy, request, transfer->method);
  if (code == CURLE_OK) code = set_identity(easy, request);
  if (code == CURLE_OK) code = set_limits(easy, request, transfer->max_body);
  if (code == CURLE_OK) code = set_route(transfer, request, loopback);
  if (code == CURLE_OK) code = set_callbacks(transfer);
  if (code == CURLE_OK) return 0;
  if (code == CURLE_OUT_OF_MEMORY) return dr__err_nomem(err);
  return dr__fail(err, "http.request", "%s %s cannot be asked for: %s", transfer->method,
                  transfer->url, curl_easy_strerror(code));
}

static int bad_url(const char *url, CURLUcode code, dr_err *err) {
  if (code == CURLUE_OUT_OF_MEMORY) return dr__err_nomem(err);
  dr__fail(err, "http.url", "\"%s\" is no URL: %s", url, curl_url_strerror(code));
  dr__err_hint(err, "write it with its scheme: http://host:port/path or https://host/path");
  return DR_FAILED;
}

/* Checks the URL and tells whether it names this machine. */
static int check_url(const char *url, bool *loopback, dr_err *err) {
  CURLU *parsed = curl_url();
  if (!parsed) return dr__err_nomem(err);
  char *host = NULL;
  char *scheme = NULL;
  CURLUcode code = curl_url_set(parsed, CURLUPART_URL, url, 0);
  if (code == CURLUE_OK) code = curl_url_get(parsed, CURLUPART_HOST, &host, 0);
  if (code == CURLUE_OK) code = curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0);
  if (code == CURLUE_OK && strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0) {
    code = CURLUE_UNSUPPORTED_SCHEME;
  }
  *loopback = host && is_loopback(host);
  curl_free(scheme);
  curl_free(host);
  curl_url_cleanup(parsed);
  return code == CURLUE_OK ? 0 : bad_url(url, code, err);
}

static int set_method_name(dr_http_transfer *transfer, const char *method, dr_err *err) {
  if (!method) method = "GET";
  if (strlen(method) >= sizeof transfer->method || !is_token(method)) {
    return dr__fail(err, "http.method", "\"%s\" is no HTTP method", method);
  }
  for (size_t i = 0; method[i]; i++) {
    bool lower = method[i] >= 'a' && method[i] <= 'z';
    transfer->method[i] = (char)(lower ? method[i] - 'a' + 'A' : method[i]);
  }
  return 0;
}

/* The parts that need memory, so that nothing has to be made when the answer is there. */
static int make_parts(dr_http_transfer *transfer, const dr_http_request *request) {
  transfer->easy = curl_easy_init();
  transfer->answer_headers = json_object();
  transfer->url = dr__http_safe_url(request->url);
  if (request->unix_socket) transfer->unix_socket = strdup(request->unix_socket);
  bool made = transfer->easy && transfer->answer_headers && transfer->url &&
              (!request->unix_socket || transfer->unix_socket);
  return made ? 0 : DR_FAILED;
}

static int set_up(dr_http_transfer *transfer, const dr_http_request *request, dr_err *err) {
  bool loopback = false;
  int status = check_url(request->url, &loopback, err);
  if (!status) status = set_method_name(transfer, request->method, err);
  if (!status) status = set_headers(transfer, request, err);
  if (!status && make_parts(transfer, request)) status = dr__err_nomem(err);
  if (!status) status = set_all(transfer, request, loopback, err);
  return status;
}

int dr__http_transfer_new(dr_http_transfer **out, const dr_http_request *request, dr_err *err) {
  dr_http_transfer *transfer = calloc(1, sizeof *transfer);
  if (!transfer) return dr__err_nomem(err);
  transfer->max_body = request->max_body ? request->max_body : DR_HTTP_MAX_BODY;
  transfer->cut_body = request->cut_body;
  transfer->has_cookies = request->cookies != NULL;
  transfer->certificates = request->certificates;
  transfer->background = request->background;
  transfer->on_body = request->on_body;
  transfer->on_done = request->on_done;
  transfer->data = request->data;
  int status = set_up(transfer, request, err);
  if (status) {
    dr__http_transfer_free(transfer);
    return status;
  }
  *out = transfer;
  return 0;
}

void dr__http_transfer_free(dr_http_transfer *transfer) {
  curl_easy_cleanup(transfer->easy);
  curl_slist_free_all(transfer->headers);
  curl_slist_free_all(transfer->connect_to);
  json_decref(transfer->answer_headers);
  free(transfer->url);
  free(transfer->unix_socket);
  free(transfer->body);
  free(transfer);
}
