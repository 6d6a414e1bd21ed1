/* ssh/config.c - works out how one host is reached: options of the caller, then the configuration
 * files, then defaults; and expands ~, %h and ${NAME} in what the files said.
 *
 * Called by transport.c on the loop's thread; session threads only read the result.
 */
#include "config.h"

#include "core/err.h"

#include <ctype.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int dr__ssh_strings_add(dr_ssh_strings *list, const char *text) {
  char **items = realloc(list->items, (list->count + 2) * sizeof *items);
  if (items == NULL) return DR_FAILED;
  list->items = items;
  items[list->count + 1] = NULL;
  items[list->count] = strdup(text);
  if (items[list->count] == NULL) return DR_FAILED;
  list->count++;
  return DR_OK;
}

void dr__ssh_strings_clear(dr_ssh_strings *list) {
  for (size_t i = 0; i < list->count; i++) free(list->items[i]);
  free(list->items);
  *list = (dr_ssh_strings){0};
}

static const char *passwd_home(void) {
  static char home[1024];
  struct passwd entry, *found = NULL;
  char buffer[4096];
  if (home[0] == '\0' && getpwuid_r(getuid(), &entry, buffer, sizeof buffer, &found) == 0 &&
      found != NULL) {
    dr__copy_text(home, sizeof home, entry.pw_dir);
  }
  return home[0] != '\0' ? home : "/";
}

const char *dr__ssh_home(void) {
  const char *home = getenv("HOME");
  return home != NULL && home[0] == '/' ? home : passwd_home();
}

/* The local user's name, in buffer. */
static const char *local_user(char *buffer, size_t size) {
  struct passwd entry, *found = NULL;
  char space[4096];
  if (getpwuid_r(getuid(), &entry, space, sizeof space, &found) == 0 && found != NULL) {
    dr__copy_text(buffer, size, entry.pw_name);
  } else {
    dr__copy_text(buffer, size, "root");
  }
  return buffer;
}

/* ---- expansion of ~, %x and ${NAME} */

typedef struct text {
  char *bytes;
  size_t length;
  bool failed;
} text;

static void append(text *out, const char *bytes, size_t length) {
  char *grown = out->failed ? NULL : realloc(out->bytes, out->length + length + 1);
  if (grown == NULL) {
    out->failed = true;
    return;
  }
  memcpy(grown + out->length, bytes, length);
  out->bytes = grown;
  out->length += length;
  grown[out->length] = '\0';
}

static void append_token(text *out, const dr_ssh_config *config, char token) {
  char buffer[256] = "";
  const char *value = buffer;
  switch (token) {
  case '%': value = "%"; break;
  case 'h': value = config->host; break;
  case 'n': value = config->alias; break;
  case 'r': value = config->user; break;
  case 'd': value = dr__ssh_home(); break;
  case 'k': value = config->key_name != NULL ? config->key_name : config->host; break;
  case 'p': snprintf(buffer, sizeof buffer, "%d", config->port); break;
  case 'i': snprintf(buffer, sizeof buffer, "%lu", (unsigned long)getuid()); break;
  case 'u': local_user(buffer, sizeof buffer); break;
  case 'l':
  case 'L':
    gethostname(buffer, sizeof buffer - 1);
    if (token == 'L') buffer[strcspn(buffer, ".")] = '\0';
    break;
  default: snprintf(buffer, sizeof buffer, "%%%c", token); break;
  }
  append(out, value, strlen(value));
}

/* The value of ${NAME} at `at`; returns where to go on, or NULL when there is no '}'. */
static const char *append_variable(text *out, const char *at) {
  char name[128];
  const char *end = strchr(at, '}');
  if (end == NULL || (size_t)(end - at - 2) >= sizeof name) return NULL;
  memcpy(name, at + 2, (size_t)(end - at - 2));
  name[end - at - 2] = '\0';
  const char *value = getenv(name);
  if (value != NULL) append(out, value, strlen(value));
  return end + 1;
}

/* A new string, or NULL when memory is short. */
static char *expand(const dr_ssh_config *config, const char *from, bool path) {
  text out = {0};
  append(&out, "", 0);
  if (path && from[0] == '~' && (from[1] == '/' || from[1] == '\0')) {
    append(&out, dr__ssh_home(), strlen(dr__ssh_home()));
    from++;
  }
  while (*from != '\0') {
    const char *after = NULL;
    if (from[0] == '%' && from[1] != '\0') {
      append_token(&out, config, from[1]);
      after = from + 2;
    } else if (from[0] == '$' && from[1] == '{') {
      after = append_variable(&out, from);
    }
    if (after == NULL) {
      append(&out, from, 1);
      after = from + 1;
    }
    from = after;
  }
  if (!out.failed) return out.bytes;
  free(out.bytes);
  return NULL;
}

static int expand_field(const dr_ssh_config *config, char **field, bool path) {
  if (*field == NULL) return DR_OK;
  char *expanded = expand(config, *field, path);
  if (expanded == NULL) return DR_FAILED;
  free(*field);
  *field = expanded;
  return DR_OK;
}

static int expand_list(const dr_ssh_config *config, dr_ssh_strings *list) {
  for (size_t i = 0; i < list->count; i++) {
    if (expand_field(config, &list->items[i], true) != DR_OK) return DR_FAILED;
  }
  return DR_OK;
}

/* ---- the host as it was asked for: [user@]name[:port], ssh://… , [v6]:port */

static int bad_host(const char *host, dr_err *err) {
  dr__fail(err, "ssh.config", "\"%s\" does not name a host", host);
  dr__err_hint(
      err, "write a name, an address, or user@name:port; an IPv6 address with a port as [::1]:22");
  return DR_FAILED;
}

/* Splits a trailing :port off; an unbracketed text with more than one colon is an IPv6 address. */
static int split_port(dr_ssh_config *config, char *name, const char *whole, dr_err *err) {
  char *colon = strrchr(name, ':'), *end;
  bool bracketed = name[0] == '[';
  if (bracketed) {
    char *close = strchr(name, ']');
    if (close == NULL || (close[1] != '\0' && close[1] != ':')) return bad_host(whole, err);
    colon = close[1] == ':' ? close + 1 : NULL;
    *close = '\0';
    memmove(name, name + 1, strlen(name));
  } else if (colon != NULL && strchr(name, ':') != colon) {
    colon = NULL;
  }
  if (colon == NULL) return DR_OK;
  long port = strtol(colon + 1, &end, 10);
  if (end == colon + 1 || *end != '\0' || port < 1 || port > 65535) return bad_host(whole, err);
  if (config->port == -1) config->port = (int)port;
  *colon = '\0';
  return DR_OK;
}

static int set_host(dr_ssh_config *config, const char *host, dr_err *err) {
  if (host == NULL || host[0] == '\0' || host[0] == '-') return bad_host(host ? host : "", err);
  char *copy = strdup(strncmp(host, "ssh://", 6) == 0 ? host + 6 : host);
  if (copy == NULL) return dr__err_nomem(err);
  char *at = strrchr(copy, '@'), *name = at == NULL ? copy : at + 1;
  int rc = DR_OK;
  if (at != NULL) {
    *at = '\0';
    if (config->user == NULL) config->user = strdup(copy);
    if (config->user == NULL) rc = dr__err_nomem(err);
  }
  if (rc == DR_OK) rc = split_port(config, name, host, err);
  if (rc == DR_OK && (name[0] == '\0' || strpbrk(name, " \t\n/") != NULL)) rc = bad_host(host, err);
  if (rc == DR_OK && (config->alias = strdup(name)) == NULL) rc = dr__err_nomem(err);
  free(copy);
  return rc;
}

/* ---- putting it together */

static int copy_text(char **field, const char *value) {
  if (value == NULL || *field != NULL) return DR_OK;
  *field = strdup(value);
  return *field == NULL ? DR_FAILED : DR_OK;
}

static int take_options(dr_ssh_config *config, const dr_ssh_options *options, dr_err *err) {
  int rc = copy_text(&config->user, options->user);
  if (options->port < 0 || options->port > 65535) {
    dr__fail(err, "ssh.config", "port %d is not between 1 and 65535", options->port);
    return DR_FAILED;
  }
  if (options->port > 0) config->port = options->port;
  for (const char *const *file = options->identities; rc == DR_OK && file != NULL && *file;
       file++) {
    rc = dr__ssh_strings_add(&config->identities, *file);
  }
  if (options->identities_only) config->identities_only = 1;
  if (options->ask_password) config->ask_password = 1;
  if (options->ask_password || options->password != NULL) {
    config->password_login = config->interactive = 1;
  }
  if (rc == DR_OK) rc = copy_text(&config->jump, options->jump);
  if (rc == DR_OK) rc = copy_text(&config->password, options->password);
  if (rc == DR_OK && options->known_hosts != NULL) {
    rc = dr__ssh_strings_add(&config->user_known_hosts, options->known_hosts);
    if (rc == DR_OK) rc = dr__ssh_strings_add(&config->global_known_hosts, "none");
  }
  if (options->connect_timeout > 0)
    config->connect_timeout_ms = (int)(options->connect_timeout * 1e3);
  if (options->keepalive_interval > 0) {
    config->keepalive_ms = (int)(options->keepalive_interval * 1e3);
  }
  if (options->keepalive_count > 0) config->keepalive_count = options->keepalive_count;
  return rc == DR_OK ? DR_OK : dr__err_nomem(err);
}

static int read_once(dr_ssh_config *config, const char *path, dr_err *err) {
  char user[2048];
  if (path != NULL) return dr__ssh_config_read(config, path, false, true, err);
  snprintf(user, sizeof user, "%s/.ssh/config", dr__ssh_home());
  if (dr__ssh_config_read(config, user, false, false, err) != DR_OK) return DR_FAILED;
  return dr__ssh_config_read(config, "/etc/ssh/ssh_config", true, false, err);
}

/* Match final applies when all else is known, so the files are then read once more. */
static int read_files(dr_ssh_config *config, const char *path, dr_err *err) {
  if (path != NULL && strcmp(path, "none") == 0) return DR_OK;
  int rc = read_once(config, path, err);
  if (rc != DR_OK || !config->wants_final) return rc;
  config->final = true;
  return read_once(config, path, err);
}

static void default_number(int *field, int value) {
  if (*field == -1) *field = value;
}

/* For ssh 0 means "never gives up"; here every wait ends, so that it means the default. */
static void default_bound(int *field, int value) {
  if (*field <= 0) *field = value;
}

static int default_names(dr_ssh_config *config) {
  char user[256];
  if (config->user == NULL && copy_text(&config->user, local_user(user, sizeof user)) != DR_OK) {
    return DR_FAILED;
  }
  default_number(&config->port, 22);
  if (config->host == NULL) return copy_text(&config->host, config->alias);
  /* In HostName, %h is the name that was asked for. */
  char *pattern = config->host;
  config->host = config->alias;
  char *host = expand(config, pattern, false);
  config->host = host;
  free(pattern);
  return host == NULL ? DR_FAILED : DR_OK;
}

static int default_identities(dr_ssh_config *config) {
  static const char *const files[] = {"~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"};
  config->identities_explicit = config->identities.count > 0;
  for (size_t i = 0; !config->identities_explicit && i < sizeof files / sizeof files[0]; i++) {
    if (dr__ssh_strings_add(&config->identities, files[i]) != DR_OK) return DR_FAILED;
  }
  return DR_OK;
}

static int default_agent(dr_ssh_config *config) {
  const char *set = config->agent == NULL ? "SSH_AUTH_SOCK" : config->agent;
  if (strcmp(set, "SSH_AUTH_SOCK") == 0) set = "$SSH_AUTH_SOCK";
  const char *value = set[0] == '$' && set[1] != '{' ? getenv(set + 1) : set;
  char *path = NULL;
  if (value != NULL && value[0] != '\0' && strcasecmp(value, "none") != 0) {
    path = strdup(value);
    if (path == NULL) return DR_FAILED;
  }
  free(config->agent);
  config->agent = path;
  return expand_field(config, &config->agent, true);
}

/* "none" empties a list or a text that the options or files set. */
static void drop_none(dr_ssh_config *config) {
  char **texts[] = {&config->jump, &config->proxy_command};
  dr_ssh_strings *lists[] = {&config->user_known_hosts, &config->global_known_hosts};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    if (*texts[i] == NULL || strcasecmp(*texts[i], "none") != 0) continue;
    free(*texts[i]);
    *texts[i] = NULL;
  }
  for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
    if (lists[i]->count == 1 && strcasecmp(lists[i]->items[0], "none") == 0) {
      dr__ssh_strings_clear(lists[i]);
    }
  }
}

static int default_known_hosts(dr_ssh_config *config) {
  int rc = DR_OK;
  if (config->user_known_hosts.items == NULL) {
    rc = dr__ssh_strings_add(&config->user_known_hosts, "~/.ssh/known_hosts");
    if (rc == DR_OK) rc = dr__ssh_strings_add(&config->user_known_hosts, "~/.ssh/known_hosts2");
  }
  if (rc == DR_OK && config->global_known_hosts.items == NULL) {
    rc = dr__ssh_strings_add(&config->global_known_hosts, "/etc/ssh/ssh_known_hosts");
  }
  drop_none(config);
  return rc;
}

static int defaults(dr_ssh_config *config) {
  default_number(&config->family, AF_UNSPEC);
  default_number(&config->identities_only, 0);
  default_number(&config->ask_password, 0);
  default_number(&config->public_key, 1);
  default_number(&config->password_login, 1);
  default_number(&config->interactive, 1);
  default_number(&config->batch, 0);
  default_number(&config->compression, 0);
  default_bound(&config->connect_timeout_ms, 10000);
  default_bound(&config->keepalive_ms, 5000);
  default_bound(&config->keepalive_count, 3);
  config->key_alias = config->key_name != NULL;
  if (default_names(config) != DR_OK || default_identities(config) != DR_OK ||
      default_agent(config) != DR_OK || default_known_hosts(config) != DR_OK ||
      copy_text(&config->strict, "ask") != DR_OK ||
      copy_text(&config->key_name, config->host) != DR_OK) {
    return DR_FAILED;
  }
  if (expand_list(config, &config->identities) != DR_OK ||
      expand_list(config, &config->certificates) != DR_OK ||
      expand_list(config, &config->user_known_hosts) != DR_OK) {
    return DR_FAILED;
  }
  return expand_field(config, &config->proxy_command, false);
}

static dr_ssh_config *blank(void) {
  dr_ssh_config *config = calloc(1, sizeof *config);
  if (config == NULL) return NULL;
  config->references = 1;
  config->port = config->family = config->identities_only = config->ask_password = -1;
  config->public_key = config->compression = config->connect_timeout_ms = -1;
  config->keepalive_ms = config->keepalive_count = -1;
  config->password_login = config->interactive = config->batch = -1;
  return config;
}

int dr__ssh_config_resolve(dr_ssh_config **out, const dr_ssh_options *options, dr_err *err) {
  dr_ssh_config *config = blank();
  *out = NULL;
  if (config == NULL) return dr__err_nomem(err);
  int rc = take_options(config, options, err);
  if (rc == DR_OK) rc = set_host(config, options->host, err);
  if (rc == DR_OK) rc = read_files(config, options->config, err);
  if (rc == DR_OK && defaults(config) != DR_OK) rc = dr__err_nomem(err);
  if (rc == DR_OK) {
    *out = config;
  } else {
    dr__ssh_config_unref(config);
  }
  return rc;
}

dr_ssh_config *dr__ssh_config_ref(dr_ssh_config *config) {
  config->references++;
  return config;
}

/* A password must not stay readable in freed memory. */
static void forget(char *secret) {
  if (secret == NULL) return;
  explicit_bzero(secret, strlen(secret));
  free(secret);
}

void dr__ssh_config_unref(dr_ssh_config *config) {
  if (config == NULL || --config->references > 0) return;
  char *texts[] = {config->alias,
                   config->host,
                   config->key_name,
                   config->user,
                   config->agent,
                   config->bind_address,
                   config->jump,
                   config->strict,
                   config->proxy_command,
                   config->ciphers,
                   config->macs,
                   config->kex,
                   config->host_key_algorithms,
                   config->public_key_algorithms};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) free(texts[i]);
  forget(config->password);
  dr__ssh_strings_clear(&config->identities);
  dr__ssh_strings_clear(&config->certificates);
  dr__ssh_strings_clear(&config->user_known_hosts);
  dr__ssh_strings_clear(&config->global_known_hosts);
  free(config);
}
