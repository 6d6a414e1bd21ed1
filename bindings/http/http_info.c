/* http_info.c - what libcurl knows of a request beside its answer: cookies and certificates. Called
 * by http_transfer.c on the runtime's thread.
 */
#include "http_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* ------------------------------------------------------------ cookies */

json_t *dr__http_cookies_of(CURL *easy) {
  struct curl_slist *first = NULL;
  json_t *cookies = json_array();
  curl_easy_getinfo(easy, CURLINFO_COOKIELIST, &first);
  for (const struct curl_slist *it = first; it && cookies; it = it->next) {
    if (json_array_append_new(cookies, dr__http_json_text(it->data, strlen(it->data))) == 0)
      continue;
    json_decref(cookies);
    cookies = NULL;
  }
  curl_slist_free_all(first);
  return cookies;
}

CURLcode dr__http_set_cookies(CURL *easy, const json_t *cookies) {
  size_t i;
  json_t *line;
  CURLcode code = curl_easy_setopt(easy, CURLOPT_COOKIEFILE, ""); /* begins to keep them */
  json_array_foreach(cookies, i, line) {
    const char *text = json_string_value(line);
    if (text && code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_COOKIELIST, text);
  }
  return code;
}

/* ------------------------------------------------------------ certificates */

/* "Nov  5 12:00:00 2026 GMT" as seconds since 1970. */
static json_t *date_of(const char *text) {
  struct tm parts = {0};
  if (!strptime(text, "%b %d %H:%M:%S %Y", &parts)) return json_null();
  return json_integer((json_int_t)timegm(&parts));
}

/* "DNS:a.example, IP Address:10.0.0.1" as ["a.example", "10.0.0.1"]. */
static json_t *names_of(const char *text) {
  json_t *names = json_array();
  while (names && *text) {
    size_t length = strcspn(text, ",");
    const char *colon = memchr(text, ':', length);
    const char *name = colon ? colon + 1 : text;
    json_array_append_new(names, dr__http_json_text(name, length - (size_t)(name - text)));
    text += length;
    text += strspn(text, ", ");
  }
  return names;
}

/* What stands behind "KEY:" when the line begins so; else NULL. */
static const char *value_of(const char *line, const char *key) {
  size_t length = strlen(key);
  return strncasecmp(line, key, length) == 0 && line[length] == ':' ? line + length + 1 : NULL;
}

static void add_line(json_t *certificate, const char *line) {
  const char *value;
  if ((value = value_of(line, "Subject")) || (value = value_of(line, "Issuer"))) {
    const char *key = line[0] == 'S' ? "subject" : "issuer";
    json_object_set_new(certificate, key, dr__http_json_text(value, strlen(value)));
  } else if ((value = value_of(line, "Start date"))) {
    json_object_set_new(certificate, "not_before", date_of(value));
  } else if ((value = value_of(line, "Expire date"))) {
    json_object_set_new(certificate, "not_after", date_of(value));
  } else if ((value = value_of(line, "X509v3 Subject Alternative Name"))) {
    json_object_set_new(certificate, "names", names_of(value));
  }
}

json_t *dr__http_certificates_of(CURL *easy) {
  struct curl_certinfo *chain = NULL;
  json_t *certificates = json_array();
  curl_easy_getinfo(easy, CURLINFO_CERTINFO, &chain);
  for (int i = 0; chain && certificates && i < chain->num_of_certs; i++) {
    json_t *certificate = json_pack("{s:s, s:s, s:n, s:n, s:[]}", "subject", "", "issuer", "",
                                    "not_before", "not_after", "names");
    for (const struct curl_slist *it = chain->certinfo[i]; it && certificate; it = it->next) {
      add_line(certificate, it->data);
    }
    if (json_array_append_new(certificates, certificate) == 0) continue;
    json_decref(certificates);
    certificates = NULL;
  }
  return certificates;
}
