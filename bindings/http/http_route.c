/* http_route.c - how a request of an op gets to where its URL leads as the op's target sees it:
 * from this machine directly, from an SSH host through a tunnel. Called by the http ops on the
 * runtime's thread, after the client was made.
 */
#include "http_route.h"

#include "core/err.h"
#include "http_args.h"
#include "http_curl.h"
#include "target/tunnels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LEAST_SECRET = 8 };

int dr__http_place_of(dr_http_place *place, const char *url, dr_err *err) {
  CURLU *parsed = curl_url();
  char *host = NULL;
  char *port = NULL;
  char *scheme = NULL;
  if (!parsed) return dr__err_nomem(err);
  CURLUcode code = curl_url_set(parsed, CURLUPART_URL, url, 0);
  if (code == CURLUE_OK) code = curl_url_get(parsed, CURLUPART_HOST, &host, 0);
  if (code == CURLUE_OK) code = curl_url_get(parsed, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
  if (code == CURLUE_OK) code = curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0);
  if (code == CURLUE_OK) {
    size_t length = strlen(host);
    bool bracketed = length > 2 && host[0] == '[' && host[length - 1] == ']';
    dr__copy_text(place->host, sizeof place->host, host + (bracketed ? 1 : 0));
    if (bracketed && length - 2 < sizeof place->host) place->host[length - 2] = '\0';
    dr__copy_text(place->scheme, sizeof place->scheme, scheme);
    place->port = (int)strtol(port, NULL, 10);
  }
  curl_free(host);
  curl_free(port);
  curl_free(scheme);
  curl_url_cleanup(parsed);
  if (code == CURLUE_OK) return 0;
  if (code == CURLUE_OUT_OF_MEMORY) return dr__err_nomem(err);
  dr__fail(err, "http.url", "\"%s\" is no URL: %s", url, curl_url_strerror(code));
  dr__err_hint(err, "write it with its scheme: http://host:port/path or https://host/path");
  return DR_FAILED;
}

/* What is wrong with host:port, or NULL. */
static const char *fault_of(const char *host, size_t length) {
  const char *at = memrchr(host, '@', length);
  if (at) length -= (size_t)(at + 1 - host), host = at + 1;
  const char *bracket = memrchr(host, ']', length);
  const char *after = bracket ? bracket + 1 : host;
  const char *colon = memchr(after, ':', length - (size_t)(after - host));
  if (colon == host || length == 0) return "it names no host";
  if (!colon) return NULL;
  size_t digits = strspn(colon + 1, "0123456789");
  bool whole = colon + 1 + digits == host + length && digits <= 5;
  return whole && strtol(colon + 1, NULL, 10) <= 65535 ? NULL : "its port is none";
}

/* By hand: libcurl, which knows it better, is loaded when something is to be done. */
int dr__http_check_address(const char *url, dr_err *err) {
  bool known = strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;
  const char *host = known ? strstr(url, "://") + 3 : url;
  bool assumed = known && (host[0] == ':' || strpbrk(host, " ()"));
  const char *fault =
      !known ? "it begins with neither http:// nor https://" : fault_of(host, strcspn(host, "/?#"));
  if (assumed || !fault) return DR_OK;
  dr__fail(err, "http.url", "\"%s\" is no URL of a web server: %s", url, fault);
  dr__err_hint(err, "write it with its scheme: http://host:port/path or https://host/path");
  return DR_FAILED;
}

static void hide(const dr_op *op, const char *name, const char *value, size_t length) {
  char *copy = length >= LEAST_SECRET ? strndup(value, length) : NULL;
  if (copy) dr__runtime_mask(dr__op_runtime(op), name, copy);
  free(copy);
}

void dr__http_hide(const dr_op *op, const char *url) {
  const char *name;
  json_t *value;
  size_t length;
  const char *password = dr__http_url_password(url, &length);
  if (password) hide(op, "password", password, length);
  json_object_foreach((json_t *)dr__arg(op, "headers"), name, value) {
    const char *text = json_string_value(value);
    if (!text || !dr__http_is_private(name)) continue;
    const char *space = strchr(text, ' '); /* "Bearer KEY": the key alone, wherever it is seen */
    const char *key = space ? space + 1 : text;
    hide(op, name, key, strlen(key));
  }
}

int dr__http_check_url(const dr_op *op, dr_err *err) {
  const char *url = dr__arg_string(op, "url", "");
  dr__http_hide(op, url);
  return dr__http_check_address(url, err);
}

int dr__http_check_follow(const dr_op *op, dr_err *err) {
  const char *name;
  const json_t *value;
  if (dr__arg_integer(op, "follow", 0) <= 0) return DR_OK;
  json_object_foreach(dr__arg(op, "headers"), name, value) {
    if (strcasecmp(name, "authorization") == 0 || strcasecmp(name, "cookie") == 0) continue;
    if (!dr__http_is_key(op, name, json_string_value(value))) continue;
    dr__fail(err, "recipe.argument",
             "follow is not possible here with the header %s: a redirect could take it to another "
             "place",
             name);
    dr__err_hint(err, "name the URL that the redirects lead to; http.get and http.request can "
                      "follow, and leave it behind");
    return DR_FAILED;
  }
  return DR_OK;
}

static int fail_inside(const dr_target *target, dr_err *err) {
  dr__fail(err, "http.no_way", "%s lies inside another machine: there is no tunnel into it",
           target->name);
  dr__err_hint(err, "ask from the host, at the container's address or published port; or run curl "
                    "inside with :read");
  return DR_FAILED;
}

/* A socket that the recipe named is one of the target. */
static int route_socket(dr_runtime *rt, const dr_target *target, json_t *args, const char *there,
                        dr_err *err) {
  char socket[128];
  const dr_ssh_tunnel_spec spec = {.kind = DR_SSH_TUNNEL_UNIX, .path = there, .name = "http.sock"};
  int status = dr__tunnel_through(rt, target, there, &spec, socket, sizeof socket, err);
  if (status) return status;
  return json_object_set_new(args, "unix_socket", json_string(socket)) ? dr__err_nomem(err) : 0;
}

int dr__http_route(dr_runtime *rt, const dr_target *target, json_t *args, dr_err *err) {
  char socket[128];
  char given[256];
  dr_http_place place = {.port = 0};
  if (!target) return 0;
  if (target->within) return fail_inside(target, err);
  if (!dr__is_ssh(target->transport)) return 0;
  const char *there = json_string_value(json_object_get(args, "unix_socket"));
  const char *address = json_string_value(json_object_get(args, "address"));
  if (there) return route_socket(rt, target, args, there, err);
  int status = dr__http_place_of(&place, json_string_value(json_object_get(args, "url")), err);
  if (status) return status;
  if (address) {
    dr__copy_text(given, sizeof given, address);
    char *colon = strrchr(given, ':');
    if (colon && strspn(colon + 1, "0123456789") == strlen(colon + 1) && colon[1]) {
      place.port = (int)strtol(colon + 1, NULL, 10);
      *colon = '\0';
    }
    dr__copy_text(place.host, sizeof place.host, given);
    json_object_del(args, "address");
  }
  status = dr__tunnel_tcp(rt, target, place.host, place.port, socket, sizeof socket, err);
  if (status) return status;
  return json_object_set_new(args, "unix_socket", json_string(socket)) ? dr__err_nomem(err) : 0;
}

int dr__http_route_fixed(dr_runtime *rt, const dr_target *target, json_t *args, dr_err *err) {
  int status = dr__http_route(rt, target, args, err);
  if (status || !target || !dr__is_ssh(target->transport)) return status;
  if (json_integer_value(json_object_get(args, "follow")) <= 0) return 0;
  dr__fail(err, "recipe.argument", "follow is not possible here through %s", target->name);
  dr__err_hint(err,
               "name the URL that the redirects lead to; http.get and http.request can follow");
  return DR_FAILED;
}

/* Through a tunnel an address where nothing listens looks like a connection that was closed. */
void dr__http_explain_route(dr_runtime *rt, json_t *args, dr_err *err) {
  const char *socket = json_string_value(json_object_get(args, "unix_socket"));
  const char *url = json_string_value(json_object_get(args, "url"));
  const char *host = "";
  const dr_err *why = socket ? dr__tunnel_error(rt, socket, &host) : NULL;
  dr_http_place place = {.port = 0};
  dr_err unused = DR_ERR_INIT;
  bool at_once = strcmp(err->code, "http.closed") == 0 || strcmp(err->code, "http.connect") == 0 ||
                 strcmp(err->code, "http.tls") == 0;
  if (!why || !at_once || dr__http_place_of(&place, url ? url : "", &unused) != 0) {
    dr_err_clear(&unused);
    return;
  }
  dr_err cause = DR_ERR_INIT;
  if (why->code[0])
    dr__err_copy(&cause, why);
  else
    dr__err_move(&cause, err);
  dr__fail(err, "http.connect", "%s:%d gives no answer as seen from %s: %s", place.host, place.port,
           host, cause.message);
  dr__err_hint(err, "does it listen there? `ss -ltn` on %s lists the ports", host);
  dr__err_because(err, &cause);
  dr_err_clear(&cause);
}
