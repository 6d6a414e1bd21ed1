/* http_internal.h - what http_client.c (the loop), http_transfer.c (one request) and http_error.c
 * share. */
#ifndef DR_HTTP_INTERNAL_H
#define DR_HTTP_INTERNAL_H

#include "http_client.h"

#include "http_curl.h"

struct dr_http_transfer {
  dr_http *http;
  dr_http_transfer *previous, *next; /* in http->transfers */
  CURL *easy;
  struct curl_slist *headers;
  struct curl_slist *connect_to;
  char *url;         /* as asked for, fit to be shown */
  char *unix_socket; /* or NULL */
  char method[16];
  size_t max_body;
  bool cut_body;
  bool has_cookies;
  bool certificates;
  bool background;
  int (*on_body)(void *data, const char *bytes, size_t length);
  void (*on_done)(void *data, dr_http_response *response, dr_err *err);
  void *data;
  /* the answer so far */
  json_t *answer_headers;
  size_t header_bytes;
  char *body;
  size_t body_length;
  size_t body_room;
  /* why it ended, where libcurl cannot know */
  bool nomem;
  bool too_large;
  bool cut; /* the body, at max_body */
  bool bad_headers;
  bool stopped;
  char error[CURL_ERROR_SIZE];
};

/* Makes a transfer with its easy handle set up, in no list and not begun. */
int dr__http_transfer_new(dr_http_transfer **out, const dr_http_request *request, dr_err *err);

/* Tells its on_done how it ended, then frees it. The easy handle has left the multi handle. */
void dr__http_transfer_finish(dr_http_transfer *transfer, CURLcode code);

void dr__http_transfer_free(dr_http_transfer *transfer);

/* ---- http_info.c: what libcurl knows beside the answer. Each a new reference, NULL when memory is
 * short. */

/* The cookies of the transfer, in libcurl's own format. */
json_t *dr__http_cookies_of(CURL *easy);

/* The certificates the server showed, its own first: {subject, issuer, names, not_before, not_after
 * (seconds since 1970)}. */
json_t *dr__http_certificates_of(CURL *easy);

/* Puts cookies in libcurl's format into the transfer. */
CURLcode dr__http_set_cookies(CURL *easy, const json_t *cookies);

/* Fills err with why the transfer failed. */
void dr__http_explain(dr_err *err, const dr_http_transfer *transfer, CURLcode code);

#endif
