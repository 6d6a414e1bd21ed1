/* http_error.c - says in words why a request got no answer: libcurl's codes to this project's
 * errors. Reads the transfer, changes nothing; called by http_transfer.c on the runtime's thread.
 */
#include "http_internal.h"

#include "core/err.h"

#include <errno.h>
#include <string.h>

typedef struct meaning {
  CURLcode code;
  const char *name;
  const char *hint;
} meaning;

static const char *const redirects_hint =
    "the addresses send each other in circles, or `follow` is too small; ask without redirects to "
    "see where the first one points";

static const char *const tls_hint = "check the certificate (its dates, its names, who signed it); "
                                    "trust a private authority with ca = \"file.pem\"";

static const meaning meanings[] = {
    {CURLE_COULDNT_RESOLVE_HOST, "http.resolve",
     "check the name's spelling and this machine's DNS"},
    {CURLE_COULDNT_RESOLVE_PROXY, "http.proxy",
     "check http_proxy and https_proxy in the environment"},
    {CURLE_PROXY, "http.proxy", "check http_proxy and https_proxy in the environment"},
    {CURLE_TOO_MANY_REDIRECTS, "http.redirects", redirects_hint},
    {CURLE_GOT_NOTHING, "http.closed",
     "the service closed the connection without a word: see its log"},
    {CURLE_PARTIAL_FILE, "http.closed",
     "the connection ended in the middle of the answer: see the service's log"},
    {CURLE_RECV_ERROR, "http.closed",
     "the connection broke: did the service restart or crash? see its log"},
    {CURLE_SEND_ERROR, "http.closed",
     "the connection broke: did the service restart or crash? see its log"},
    {CURLE_URL_MALFORMAT, "http.url", NULL},
    {CURLE_SSL_CONNECT_ERROR, "http.tls", "is it a TLS port? http:// is for the others"},
    {CURLE_PEER_FAILED_VERIFICATION, "http.tls", tls_hint},
    {CURLE_SSL_CERTPROBLEM, "http.tls", tls_hint},
    {CURLE_SSL_CACERT_BADFILE, "http.tls", "is the file given as ca readable, and PEM?"},
    {CURLE_SSL_ISSUER_ERROR, "http.tls", tls_hint},
    {CURLE_SSL_CIPHER, "http.tls", NULL},
    {CURLE_SSL_INVALIDCERTSTATUS, "http.tls", tls_hint},
    {CURLE_WEIRD_SERVER_REPLY, "http.protocol",
     "what listens there does not speak HTTP as it should"},
    {CURLE_UNSUPPORTED_PROTOCOL, "http.protocol",
     "what listens there does not speak HTTP as it should"},
    {CURLE_HTTP2, "http.protocol", NULL},
    {CURLE_HTTP2_STREAM, "http.protocol", NULL},
    {CURLE_BAD_CONTENT_ENCODING, "http.protocol", NULL},
};

/* What the TLS library wrote about a certificate, and what it means. The first match counts. */
typedef struct certificate_meaning {
  const char *text;
  const char *name;
  const char *hint;
} certificate_meaning;

static const char *const date_hint = "renew the certificate, or start its renewal again: see "
                                     "http.certificate(host) for its dates; check this machine's "
                                     "clock too";
static const char *const name_hint =
    "the certificate is for other names (http.certificate(host).names): is it the right server, "
    "and is the site configured for this name?";
static const char *const untrusted_hint =
    "nobody this machine trusts signed it: is the chain complete on the server? Trust a private "
    "authority with ca = \"file.pem\"";

static const certificate_meaning certificate_meanings[] = {
    {"has expired", "http.tls_expired", date_hint},
    {"not yet valid", "http.tls_expired", date_hint},
    {"subject name", "http.tls_name", name_hint},
    {"does not match", "http.tls_name", name_hint},
    {"self-signed", "http.tls_untrusted", untrusted_hint},
    {"self signed", "http.tls_untrusted", untrusted_hint},
    {"local issuer", "http.tls_untrusted", untrusted_hint},
    {"unable to verify", "http.tls_untrusted", untrusted_hint},
    {"not trusted", "http.tls_untrusted", untrusted_hint},
};

static const certificate_meaning *certificate_meaning_of(const char *text) {
  for (size_t i = 0; i < sizeof certificate_meanings / sizeof certificate_meanings[0]; i++) {
    if (strcasestr(text, certificate_meanings[i].text)) return &certificate_meanings[i];
  }
  return NULL;
}

static const meaning *meaning_of(CURLcode code) {
  static const meaning other = {CURLE_OK, "http.failed", NULL};
  for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
    if (meanings[i].code == code) return &meanings[i];
  }
  return &other;
}

/* How far a request came that ran out of time. */
static const char *reached(CURL *easy) {
  curl_off_t resolved = 0;
  curl_off_t connected = 0;
  curl_off_t ready = 0;
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_NAMELOOKUP_TIME_T, &resolved);
  curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connected);
  curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &ready);
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  if (status) return "an answer began but did not end";
  if (ready) return "connected, but nothing was answered";
  if (connected) return "connected, but TLS was not agreed on";
  return resolved ? "could not connect" : "the name was not resolved";
}

static void fail_timeout(dr_err *err, const dr_http_transfer *transfer) {
  curl_off_t elapsed = 0;
  curl_easy_getinfo(transfer->easy, CURLINFO_TOTAL_TIME_T, &elapsed);
  dr__fail(err, "http.timeout", "%s %s: %s within %.3g s", transfer->method, transfer->url,
           reached(transfer->easy), (double)elapsed / 1e6);
}

static void fail_connect(dr_err *err, const dr_http_transfer *transfer) {
  long number = 0;
  curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &number);
  const char *why = number ? strerror((int)number) : transfer->error;
  const char *at = transfer->unix_socket;
  dr__fail(err, "http.connect", "%s %s: cannot connect%s%s: %s", transfer->method, transfer->url,
           at ? " to " : "", at ? at : "", why[0] ? why : "no address answered");
  if (number == ECONNREFUSED) {
    dr__err_hint(err, "nothing listens there: is the service up, and is this its port?");
  }
}

static void fail_size(dr_err *err, const dr_http_transfer *transfer) {
  dr__fail(err, "http.body_too_large", "%s %s: the body is larger than %zu bytes", transfer->method,
           transfer->url, transfer->max_body);
  dr__err_hint(err, "raise max_body (bytes) if so much is expected");
}

static void fail_other(dr_err *err, const dr_http_transfer *transfer, CURLcode code) {
  const meaning *found = meaning_of(code);
  const char *why = transfer->error[0] ? transfer->error : curl_easy_strerror(code);
  const certificate_meaning *certificate =
      code == CURLE_PEER_FAILED_VERIFICATION ? certificate_meaning_of(why) : NULL;
  const char *hint = certificate ? certificate->hint : found->hint;
  dr__fail(err, certificate ? certificate->name : found->name, "%s %s: %s", transfer->method,
           transfer->url, why);
  if (hint) dr__err_hint(err, "%s", hint);
}

void dr__http_explain(dr_err *err, const dr_http_transfer *transfer, CURLcode code) {
  if (transfer->nomem || code == CURLE_OUT_OF_MEMORY) {
    dr__err_nomem(err);
  } else if (transfer->too_large || code == CURLE_FILESIZE_EXCEEDED) {
    fail_size(err, transfer);
  } else if (transfer->bad_headers) {
    dr__fail(err, "http.protocol", "%s %s: the answer has more than %d bytes of headers",
             transfer->method, transfer->url, DR_HTTP_MAX_HEADERS);
  } else if (code == CURLE_OPERATION_TIMEDOUT) {
    fail_timeout(err, transfer);
  } else if (code == CURLE_COULDNT_CONNECT) {
    fail_connect(err, transfer);
  } else {
    fail_other(err, transfer, code);
  }
}
