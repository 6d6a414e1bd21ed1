/* docker_text.c - texts around the Engine's API: paths, versions, refusals, where the socket is. No
 * network, any thread. Called by docker_engine.c and the docker ops.
 */
#include "docker_engine.h"

#include "core/err.h"
#include "text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

char *dr__engine_path(const char *before, const char *name, const char *after) {
  dr_text path = {0};
  dr__text_puts(&path, before);
  for (const char *c = name; *c; c++) {
    if (isalnum((unsigned char)*c) || strchr("-._~", *c))
      dr__text_add(&path, c, 1);
    else
      dr__text_printf(&path, "%%%02X", (unsigned)(unsigned char)*c);
  }
  dr__text_puts(&path, after);
  return dr__text_take(&path);
}

bool dr__engine_wanted_version(const char *text, char *version, size_t size) {
  const char *at = strstr(text, "supported API version is ");
  if (!at) return false;
  at += strlen("supported API version is ");
  size_t length = strspn(at, "0123456789.");
  while (length > 0 && at[length - 1] == '.') length--;
  if (length == 0 || length >= size || !memchr(at, '.', length)) return false;
  memcpy(version, at, length);
  version[length] = '\0';
  return true;
}

/* ------------------------------------------------------------ refusals */

typedef struct meaning {
  int status;       /* 0: any */
  const char *part; /* of the Engine's message, any case; NULL: any */
  const char *code;
  const char *hint;
} meaning;

/* The first that fits. */
static const meaning meanings[] = {
    {404, "no such container", "docker.no_such_container",
     "it may have been replaced meanwhile; `docker ps -a` lists all"},
    {404, "no such image", "docker.no_such_image",
     "build or pull it first; `docker images` lists what is there"},
    {404, "manifest", "docker.no_such_image", "is the tag pushed, and the registry's name right?"},
    {404, NULL, "docker.not_found", NULL},
    {409, "is not running", "docker.not_running", "its log says why it ended"},
    {409, "is restarting", "docker.not_running", "it ends soon after each start; its log says why"},
    {409, "is paused", "docker.not_running", "unpause it first"},
    {409, NULL, "docker.conflict", NULL},
    {0, "no such image", "docker.no_such_image", NULL},
    {0, NULL, "docker.engine", NULL},
};

/* The Engine's words: {"message": "…"}, else the body as it is. */
static char *words_of(const char *body, size_t length) {
  json_t *json = json_loadb(body, length, 0, NULL);
  const char *message = json_string_value(json_object_get(json, "message"));
  char *words = message ? strdup(message) : strndup(body, length < 500 ? length : 500);
  json_decref(json);
  for (size_t end = words ? strlen(words) : 0; end > 0 && isspace((unsigned char)words[end - 1]);
       end--) {
    words[end - 1] = '\0';
  }
  return words;
}

void dr__engine_explain(dr_err *err, int status, const char *body, size_t length) {
  char *words = words_of(body, length);
  if (!words) {
    dr__err_nomem(err);
    return;
  }
  const meaning *it = meanings;
  while ((it->status && it->status != status) || (it->part && !strcasestr(words, it->part))) it++;
  dr__fail(err, it->code, "%s%s",
           words[0] ? "the Docker Engine says: " : "the Docker Engine answered with status ",
           words[0] ? words : "");
  if (!words[0]) dr__fail(err, it->code, "the Docker Engine answered with status %d", status);
  if (it->hint) dr__err_hint(err, "%s", it->hint);
  free(words);
}

/* ------------------------------------------------------------ the socket */

static bool use_docker_host(const char *host, char *socket, size_t size, dr_err *err) {
  if (strncmp(host, "unix://", 7) == 0 && strlen(host + 7) < size) {
    dr__copy_text(socket, size, host + 7);
    return true;
  }
  dr__fail(err, "docker.host", "DOCKER_HOST is \"%s\", but only a unix socket can be used", host);
  dr__err_hint(err, "unset it, or set it to unix:///path/of/docker.sock");
  return false;
}

bool dr__engine_find(char *socket, size_t size, dr_err *err) {
  static const char *const usual = "/var/run/docker.sock";
  const char *host = getenv("DOCKER_HOST");
  const char *own = getenv("XDG_RUNTIME_DIR");
  if (host && host[0]) return use_docker_host(host, socket, size, err);
  dr__copy_text(socket, size, usual);
  if (access(usual, F_OK) == 0 || !own || !own[0]) return true;
  int length = snprintf(socket, size, "%s/docker.sock", own);
  if (length < 0 || (size_t)length >= size || access(socket, F_OK) != 0)
    dr__copy_text(socket, size, usual);
  return true;
}
