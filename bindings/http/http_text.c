/* http_text.c - small texts around HTTP: URLs fit to be shown, phrases of statuses, bytes as JSON.
 * Pure, any thread. Called by the http and docker bindings. */
#include "http_client.h"

#include "target/capture.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *dr__http_format(const char *format, ...) {
  va_list args;
  char *text = NULL;
  va_start(args, format);
  int length = vasprintf(&text, format, args);
  va_end(args);
  return length < 0 ? NULL : text;
}

const char *dr__http_url_password(const char *url, size_t *length) {
  const char *authority = strstr(url, "://");
  if (!authority) return NULL;
  authority += 3;
  const char *at = memrchr(authority, '@', strcspn(authority, "/?#"));
  const char *colon = at ? memchr(authority, ':', (size_t)(at - authority)) : NULL;
  if (!colon) return NULL;
  *length = (size_t)(at - colon - 1);
  return colon + 1;
}

char *dr__http_safe_url(const char *url) {
  size_t length;
  const char *password = dr__http_url_password(url, &length);
  if (!password) return strdup(url);
  return dr__http_format("%.*s***%s", (int)(password - url), url, password + length);
}

json_t *dr__http_json_text(const char *bytes, size_t length) {
  bool binary = false;
  return dr__text_json(bytes, length, &binary);
}

typedef struct phrase {
  int status;
  const char *text;
} phrase;

static const phrase phrases[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
};

const char *dr__http_phrase(int status) {
  for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++) {
    if (phrases[i].status == status) return phrases[i].text;
  }
  return "";
}

const char *dr__http_reason(const char *message) {
  const char *colon = strstr(message, ": ");
  return colon ? colon + 2 : message;
}
