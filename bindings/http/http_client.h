/* http_client.h - HTTP requests over libcurl on the runtime's loop, without Lua.
 *
 * A dr_http is one libcurl multi handle with its uv_poll and uv_timer handles: it owns the
 * connections that are kept open between requests. There is one for each runtime. A
 * dr_http_transfer is one request under way. Called by the http and docker bindings, on the
 * runtime's thread only; nothing here blocks.
 */
#ifndef DR_HTTP_CLIENT_H
#define DR_HTTP_CLIENT_H

#include <deployrun.h>

#include <jansson.h>
#include <uv.h>

typedef struct dr_http dr_http;
typedef struct dr_http_transfer dr_http_transfer;

enum {
  DR_HTTP_MAX_BODY = 8 << 20,      /* bytes of body kept when a request does not say */
  DR_HTTP_MAX_HEADERS = 256 << 10, /* bytes of headers taken from one answer */
  DR_HTTP_MAX_REDIRECTS = 10
};

/* An answer, whatever its status. Borrowed during on_done; a receiver may take headers or body by
 * setting them to NULL here. */
typedef struct dr_http_response {
  int status;
  json_t *headers; /* object of strings, names in lower case; repeated ones joined by ", "
                      (set-cookie: "\n") */
  char *body; /* malloc'd, ends with a NUL that is not counted, never NULL before it is taken */
  size_t body_length;   /* bytes; without those that went to on_body */
  const char *url;      /* the one that answered, after redirects; never with a password */
  const char *address;  /* the peer's IP address, or "" */
  double seconds;       /* from start to the last byte */
  double connect_s;     /* from start to the connection (0 when one was reused) */
  double first_byte_s;  /* from start to the first byte of the answer */
  bool stopped;         /* on_body had enough */
  bool truncated;       /* the body was longer than max_body and cut off there (cut_body) */
  const char *redirect; /* where a redirect that was not followed points, as a whole URL; or NULL */
  json_t *cookies; /* array of strings in libcurl's format, when the request had any; or NULL */
  json_t *certificates; /* of a request for them: array of objects, the server's own first; or NULL
                         */
} dr_http_response;

/* A request. Everything is borrowed during dr__http_start() only. */
typedef struct dr_http_request {
  const char *method; /* NULL: GET */
  const char *url;    /* http:// or https:// */
  json_t *headers;    /* object of strings, or NULL */
  const char *body;   /* or NULL */
  size_t body_length;
  const json_t *json; /* sent as the body in place of `body`, with its content type; or NULL */
  const char *bearer; /* token of an Authorization header; or NULL */
  const char *user;   /* for basic authentication; or NULL */
  const char *password;
  const char *unix_socket;  /* connects here whatever host the URL names; or NULL */
  const char *address;      /* connects to this "address" or "address:port", but speaks to the URL's
                               name; or NULL */
  const char *ca_file;      /* PEM certificates to trust in place of the system's; or NULL */
  bool insecure;            /* takes any certificate */
  double timeout_s;         /* for the whole request; 0: none */
  double connect_timeout_s; /* for name, connection and TLS; 0: the timeout alone */
  size_t max_body;          /* bytes; 0: DR_HTTP_MAX_BODY. More is http.body_too_large */
  bool cut_body;            /* a longer body is cut off at max_body and the connection closed */
  bool follow_redirects;    /* at most max_redirects */
  unsigned max_redirects;   /* 0: DR_HTTP_MAX_REDIRECTS */
  const json_t *cookies; /* array of strings in libcurl's format, sent where they fit; those of the
                            answer are added to them. NULL: no cookies at all */
  bool connect_only;     /* ends well, without a request, when the connection (and TLS) stands */
  bool certificates;     /* gives the certificates of the server; wants connect_only */
  bool no_reuse;         /* a connection of its own, closed afterwards */
  bool direct;     /* never through a proxy; implied by unix_socket, address and a loopback host */
  bool background; /* does not keep the loop alive */

  /* Gets the body of a 2xx answer as it comes; other answers are collected. Non-zero: that was
   * enough, the request ends well. Must not call into the client. NULL: the body is collected. */
  int (*on_body)(void *data, const char *bytes, size_t length);

  /* The end, exactly once, never from inside dr__http_start(): either an answer or an error (the
   * other is NULL; the error may be moved from). The transfer is gone when this is called. */
  void (*on_done)(void *data, dr_http_response *response, dr_err *err);
  void *data;
} dr_http_request;

/* Makes a client; loads the TLS library, so make it only when a request is due. Returns 0, or
 * DR_FAILED with err filled and *out NULL. */
int dr__http_new(dr_http **out, uv_loop_t *loop, dr_err *err);

/* Drops what is under way (no on_done is called), closes every connection, runs the loop until its
 * handles are closed, and frees the client. Not from inside on_done. NULL is allowed. */
void dr__http_free(dr_http *http);

/* Begins a request. Returns 0; or DR_FAILED with err filled (http.url, http.header, out_of_memory),
 * and then on_done will not be called. */
int dr__http_start(dr_http_transfer **out, dr_http *http, const dr_http_request *request,
                   dr_err *err);

/* Ends a request early. Its on_done is not called, the transfer is gone. */
void dr__http_cancel(dr_http_transfer *transfer);

uv_loop_t *dr__http_loop(const dr_http *http);

/* ---- http_text.c: pure helpers */

/* The password in scheme://user:password@host/…, in the URL itself; NULL when there is none. */
const char *dr__http_url_password(const char *url, size_t *length);

/* The URL as it may be shown: a password in it is replaced by "***". malloc'd; NULL when memory is
 * short. */
char *dr__http_safe_url(const char *url);

/* Bytes as a JSON string, each byte that is not UTF-8 replaced by U+FFFD. NULL when memory is
 * short. */
json_t *dr__http_json_text(const char *bytes, size_t length);

/* The usual phrase for a status: "Not Found"; "" for one that has none. */
const char *dr__http_phrase(int status);

/* What an error of the client says behind its "GET http://…: ". */
const char *dr__http_reason(const char *message);

/* Formats into malloc'd text; NULL when memory is short. */
char *dr__http_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
