/* docker_registry.c - see docker_registry.h. Pure, any thread. */
#include "docker_registry.h"

#include "core/err.h"
#include "http/http_client.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------ names */

static bool is_name(const char *text, size_t length) {
  if (length == 0 || length > 255) return false;
  for (size_t i = 0; i < length; i++) {
    if (!isalnum((unsigned char)text[i]) && !strchr("._-/:[]", text[i])) return false;
  }
  return isalnum((unsigned char)text[0]) || text[0] == '[';
}

/* The first part is a host when it has a dot or a port, or is localhost. */
static void find_registry(dr_image_name *out) {
  size_t length = strcspn(out->repository, "/");
  bool host = out->repository[length] == '/' &&
              (memchr(out->repository, '.', length) || memchr(out->repository, ':', length) ||
               strncmp(out->repository, "localhost/", length + 1) == 0);
  snprintf(out->registry, sizeof out->registry, "%.*s", (int)(host ? length : 9),
           host ? out->repository : "docker.io");
}

int dr__image_name(const char *text, dr_image_name *out, dr_err *err) {
  const char *slash = strrchr(text, '/');
  const char *digest = strchr(text, '@');
  const char *colon = strrchr(slash ? slash : text, ':');
  const char *end = digest ? digest : colon ? colon : text + strlen(text);
  const char *tag = digest ? digest + 1 : colon ? colon + 1 : "latest";
  size_t length = (size_t)(end - text);
  *out = (dr_image_name){.digest = digest != NULL};
  if (digest && slash && slash > digest) length = 0;
  /* "name:tag@digest": the digest decides, as it does for docker. */
  if (digest) {
    for (size_t i = length; i > 0 && text[i - 1] != '/'; i--) {
      if (text[i - 1] == ':') length = i - 1;
    }
  }
  if (!is_name(text, length) || text[length - 1] == '/' || !tag[0] ||
      strlen(tag) >= sizeof out->tag || strspn(tag, ":") > 0) {
    dr__fail(err, "recipe.argument", "\"%.100s\" is no name of an image", text);
    dr__err_hint(err, "\"registry.example.com/team/api:v2\": a repository and a tag");
    return DR_RECIPE;
  }
  memcpy(out->repository, text, length);
  dr__copy_text(out->tag, sizeof out->tag, tag);
  find_registry(out);
  return 0;
}

/* ------------------------------------------------------------ credentials */

/* Base64 with the letters of URLs and padding, as the Engine reads it. malloc'd, or NULL. */
static char *base64url(const char *bytes, size_t length) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  char *text = malloc((length + 2) / 3 * 4 + 1);
  char *to = text;
  for (size_t i = 0; text && i < length; i += 3) {
    unsigned have = length - i < 3 ? (unsigned)(length - i) : 3;
    unsigned value = (unsigned)(unsigned char)bytes[i] << 16;
    if (have > 1) value |= (unsigned)(unsigned char)bytes[i + 1] << 8;
    if (have > 2) value |= (unsigned)(unsigned char)bytes[i + 2];
    *to++ = letters[value >> 18];
    *to++ = letters[value >> 12 & 63];
    *to++ = have > 1 ? letters[value >> 6 & 63] : '=';
    *to++ = have > 2 ? letters[value & 63] : '=';
  }
  if (text) *to = '\0';
  return text;
}

json_t *dr__registry_headers(const json_t *auth, const char *registry) {
  const char *server = json_string_value(json_object_get(auth, "server"));
  json_t *body = json_pack("{s:s}", "serveraddress", server ? server : registry);
  json_t *user = json_object_get(auth, "username");
  json_t *password = json_object_get(auth, "password");
  json_t *token = json_object_get(auth, "token");
  if (user) json_object_set(body, "username", user);
  if (password) json_object_set(body, "password", password);
  if (token) json_object_set(body, "identitytoken", token);
  char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
  char *value = text ? base64url(text, strlen(text)) : NULL;
  json_t *headers = value ? json_pack("{s:s}", "X-Registry-Auth", value) : NULL;
  free(value);
  free(text);
  json_decref(body);
  return headers;
}

/* ------------------------------------------------------------ refusals */

typedef struct meaning {
  const char *part; /* of the Engine's words, any case */
  const char *code;
  const char *says;
  const char *hint;
} meaning;

#define LOGIN_HINT                                                                                 \
  "is the login right, and may it read this repository? docker:login{ registry =, username =, "    \
  "password = secret(…) }"

/* The first that fits. */
static const meaning meanings[] = {
    {"no basic auth credentials", "docker.registry_auth", "the registry wants a login", LOGIN_HINT},
    {"authentication required", "docker.registry_auth", "the registry wants a login", LOGIN_HINT},
    {"unauthorized", "docker.registry_auth", "the registry refused the login", LOGIN_HINT},
    {"401 Unauthorized", "docker.registry_auth", "the registry refused the login", LOGIN_HINT},
    {"incorrect username or password", "docker.registry_auth", "the registry refused the login",
     LOGIN_HINT},
    {"access denied", "docker.registry_auth", "the registry denied it, or has no such repository",
     LOGIN_HINT},
    {"denied:", "docker.registry_auth", "the registry denied it, or has no such repository",
     LOGIN_HINT},
    {"403 Forbidden", "docker.registry_auth", "the registry denied it", LOGIN_HINT},
    {"manifest unknown", "docker.image_missing", "the registry has no such image",
     "is the tag pushed, and the registry's name right?"},
    {"no matching manifest", "docker.image_missing",
     "the registry has the image, but not for this platform",
     "build it for the server's architecture, or name the platform"},
    {"name unknown", "docker.image_missing", "the registry has no such repository",
     "is the image's name right, and has it been pushed?"},
    {"not found", "docker.image_missing", "the registry has no such image",
     "is the tag pushed, and the registry's name right?"},
    {"does not exist locally", "docker.image_missing", "there is no such image to push",
     "build or tag it first; `docker images` lists what is there"},
    {"no space left", NULL, "the disk is full",
     "free some space there: docker:prune, `docker system df` shows what takes it"},
    {"toomanyrequests", NULL, "the registry allows no more pulls for now",
     "log in, or wait: anonymous pulls are counted by address"},
    {"context canceled", "docker.engine_lost", "the Docker Engine was stopped",
     "start it again (systemctl start docker) and repeat: layers that are complete are kept"},
    {"dial tcp", "docker.registry_unreachable", "the registry cannot be reached",
     "does it run, and is its address right? The server asks it, not this machine"},
    {"dial udp", "docker.registry_unreachable", "the registry's name cannot be resolved",
     "does the server have a name server that knows it?"},
    {"no such host", "docker.registry_unreachable", "the registry's name has no address",
     "is it spelled right? The server asks, not this machine"},
    {"timeout", "docker.registry_unreachable", "the registry did not answer in time", NULL},
    {"request canceled", "docker.registry_unreachable", "the registry did not answer in time",
     NULL},
    {"connection re", "docker.registry_unreachable", "the registry ended the connection", NULL},
    {"EOF", "docker.registry_unreachable", "the registry ended the connection", NULL},
    {"server gave HTTP response", "docker.registry_unreachable",
     "the registry speaks plain HTTP, which the Docker Engine allows for its own machine only",
     "give the registry a certificate, or name it in insecure-registries of daemon.json"},
    {"x509", "docker.registry_unreachable", "the registry's certificate is not trusted",
     "put its authority into /etc/docker/certs.d/REGISTRY/ca.crt on the server"},
    {"", NULL, "it failed", NULL},
};

void dr__registry_explain(dr_err *err, const char *verb, const char *image, const char *words) {
  static const char said[] = "the Docker Engine says: ";
  const meaning *it = meanings;
  char code[32];
  if (strncmp(words, said, sizeof said - 1) == 0) words += sizeof said - 1;
  while (!strcasestr(words, it->part)) it++;
  snprintf(code, sizeof code, "docker.%s_failed", verb);
  dr__fail(err, it->code ? it->code : code, "cannot %s %s: %s (%s)", verb, image, it->says, words);
  if (it->hint) dr__err_hint(err, "%s", it->hint);
}
