/* docker_spec_parts.c - the small notations of `docker run`: ports, volumes, sizes, env files.
 * Pure, any thread. Called by docker_spec.c, docker_create.c and docker_run.c. */
#include "docker_spec.h"

#include "core/err.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int wrong(dr_err *err, const char *what, const char *text, const char *hint) {
  dr__fail(err, "recipe.argument", "\"%.100s\" is no %s", text, what);
  dr__err_hint(err, "%s", hint);
  return DR_RECIPE;
}

/* ------------------------------------------------------------ ports */

/* A port number out of `length` letters; 0 when it is none. */
static int port_number(const char *text, size_t length) {
  int value = 0;
  if (length == 0 || length > 5) return 0;
  for (size_t i = 0; i < length; i++) {
    if (!isdigit((unsigned char)text[i])) return 0;
    value = value * 10 + (text[i] - '0');
  }
  return value < 65536 ? value : 0;
}

static bool read_protocol(const char *slash, dr_port *out) {
  const char *name = slash ? slash + 1 : "tcp";
  if (strcmp(name, "tcp") != 0 && strcmp(name, "udp") != 0 && strcmp(name, "sctp") != 0)
    return false;
  dr__copy_text(out->protocol, sizeof out->protocol, name);
  return true;
}

/* What stands before the host's port: an address, one of IPv6 in brackets. */
static bool read_address(const char *text, size_t length, dr_port *out) {
  bool brackets = length > 2 && text[0] == '[' && text[length - 1] == ']';
  if (brackets) {
    text++;
    length -= 2;
  }
  if (length == 0 || length >= sizeof out->address) return false;
  for (size_t i = 0; i < length; i++) {
    bool fits = isxdigit((unsigned char)text[i]) || text[i] == '.' || (brackets && text[i] == ':');
    if (!fits) return false;
  }
  memcpy(out->address, text, length);
  out->address[length] = '\0';
  return true;
}

/* The last ':' of text[0…length), outside of brackets; NULL when there is none. */
static const char *last_colon(const char *text, size_t length) {
  while (length > 0 && text[length - 1] != ':' && text[length - 1] != ']') length--;
  return length > 0 && text[length - 1] == ':' ? text + length - 1 : NULL;
}

static bool read_port(const char *text, dr_port *out) {
  const char *slash = strchr(text, '/');
  size_t length = slash ? (size_t)(slash - text) : strlen(text);
  const char *colon = last_colon(text, length);
  const char *inner = colon ? colon + 1 : text;
  out->container = port_number(inner, (size_t)(text + length - inner));
  if (out->container == 0 || !read_protocol(slash, out)) return false;
  if (!colon) return true;
  out->published = true;
  const char *before = last_colon(text, (size_t)(colon - text));
  const char *host = before ? before + 1 : text;
  out->host = port_number(host, (size_t)(colon - host));
  if (before && !read_address(text, (size_t)(before - text), out)) return false;
  return out->host > 0 || (before && host == colon);
}

int dr__docker_port(const char *text, dr_port *out, dr_err *err) {
  *out = (dr_port){.host = 0};
  if (read_port(text, out)) return 0;
  return wrong(err, "port to publish", text,
               "\"127.0.0.1:8000:80\", \"8000:80\" or \"80/udp\"; a range is written port by port");
}

/* ------------------------------------------------------------ volumes */

static bool is_volume_name(const char *text, size_t length) {
  if (length < 2 || !isalnum((unsigned char)text[0])) return false;
  for (size_t i = 1; i < length; i++) {
    if (!isalnum((unsigned char)text[i]) && !strchr("_.-", text[i])) return false;
  }
  return true;
}

/* The words behind the second colon: "ro", "rw,z" … */
static bool are_options(const char *text) {
  static const char *const known[] = {"ro",       "rw",      "z",         "Z",         "nocopy",
                                      "shared",   "rshared", "slave",     "rslave",    "private",
                                      "rprivate", "cached",  "delegated", "consistent"};
  while (true) {
    size_t length = strcspn(text, ","), i = 0;
    while (i < sizeof known / sizeof *known &&
           (strlen(known[i]) != length || strncmp(known[i], text, length) != 0))
      i++;
    if (i == sizeof known / sizeof *known) return false;
    if (!text[length]) return true;
    text += length + 1;
  }
}

int dr__docker_volume(const char *text, dr_err *err) {
  static const char hint[] = "\"media:/app/media\" is a named volume, \"/srv/media:/app/media:ro\" "
                             "a folder there, read-only";
  size_t source = strcspn(text, ":");
  const char *inside = text[source] ? text + source + 1 : NULL;
  size_t length = inside ? strcspn(inside, ":") : 0;
  if (!inside && text[0] == '/' && source > 1) return 0; /* an anonymous volume */
  if (!inside || inside[0] != '/' || length < 2) return wrong(err, "volume", text, hint);
  if (text[0] == '.' || text[0] == '~')
    return wrong(err, "volume", text,
                 "give the folder's whole path: it is the engine that reads it");
  if (text[0] != '/' && !is_volume_name(text, source)) return wrong(err, "volume", text, hint);
  if (inside[length] && !are_options(inside + length + 1)) return wrong(err, "volume", text, hint);
  return 0;
}

/* ------------------------------------------------------------ sizes */

int dr__docker_size(const char *text, int64_t *bytes, dr_err *err) {
  static const char units[] = "bkmgt";
  char *end;
  errno = 0;
  long long value = isdigit((unsigned char)text[0]) ? strtoll(text, &end, 10) : -1;
  if (value < 0 || errno != 0) goto bad;
  const char *unit = *end ? strchr(units, tolower((unsigned char)*end)) : units;
  if (!unit) goto bad;
  if (*end) end++;
  if (unit != units && tolower((unsigned char)*end) == 'b') end++;
  for (; unit > units; unit--) {
    if (value > INT64_MAX / 1024) goto bad;
    value *= 1024;
  }
  if (*end) goto bad;
  *bytes = value;
  return 0;
bad:
  return wrong(err, "amount of memory", text, "\"512m\" or \"2g\"; a bare number is bytes");
}

/* ------------------------------------------------------------ env files */

static int wrong_line(dr_err *err, const char *name, size_t line, const char *what) {
  dr__fail(err, "docker.env_file", "%s, line %zu: %s", name, line, what);
  dr__err_hint(err, "each line is NAME=value, without quotes and without `export`");
  return DR_FAILED;
}

static bool is_variable(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++) {
    if (isspace((unsigned char)text[i]) || text[i] == '\0') return false;
  }
  return length > 0;
}

/* One line without its end. */
static int read_line(const char *name, size_t number, const char *text, size_t length, json_t *env,
                     dr_err *err) {
  while (length > 0 && isspace((unsigned char)text[0])) {
    text++;
    length--;
  }
  if (length > 0 && text[length - 1] == '\r') length--;
  if (length == 0 || text[0] == '#') return 0;
  const char *equals = memchr(text, '=', length);
  if (!equals) return wrong_line(err, name, number, "there is no '='");
  if (!is_variable(text, (size_t)(equals - text)))
    return wrong_line(err, name, number, "what stands before '=' is no name of a variable");
  json_t *entry = memchr(text, '\0', length) ? NULL : json_stringn(text, length);
  if (!entry) return wrong_line(err, name, number, "it is not text in UTF-8");
  return json_array_append_new(env, entry) == 0 ? 0 : dr__err_nomem(err);
}

int dr__docker_env_file(const char *name, const char *text, size_t length, json_t *env,
                        dr_err *err) {
  size_t number = 0;
  if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
    text += 3;
    length -= 3;
  }
  while (length > 0) {
    const char *end = memchr(text, '\n', length);
    size_t taken = end ? (size_t)(end - text) : length;
    int status = read_line(name, ++number, text, taken, env, err);
    if (status) return status;
    if (end) taken++;
    text += taken;
    length -= taken;
  }
  return 0;
}
