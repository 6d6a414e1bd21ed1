/* ssh/config_file.c - reads ssh_config(5) files.
 *
 * libssh has a reader of its own, but in 0.10 its results cannot be asked for (only the first
 * IdentityFile, no IdentitiesOnly, no keepalive), it turns ProxyJump into a shell command that
 * starts ssh, and one malformed line fails the whole file. So the keywords that matter for reaching
 * a host are read here; the first value given wins, as ssh does it. Keywords that are not in the
 * table are passed over. Reading a file starts no programs: where it would take one to know whether
 * a line counts (`Match exec`), and the line would set something, it is refused.
 *
 * Called by config.c and unit tests. Pure apart from reading files; any thread.
 */
#include "config.h"

#include "core/err.h"

#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum { MAX_WORDS = 64, MAX_DEPTH = 16, MAX_FILE = 1 << 20 };

typedef struct reader {
  dr_ssh_config *config;
  const char *file;
  unsigned line;
  unsigned depth;
  bool system;        /* Include is relative to /etc/ssh, else to ~/.ssh */
  bool applies;       /* the block we are in is for this host */
  unsigned exec_line; /* of the Match exec that decides about the block; 0: none does */
  dr_err *err;
} reader;

typedef enum keyword_type {
  KEY_STRING,
  KEY_NUMBER,
  KEY_PORT,
  KEY_SECONDS, /* stored as milliseconds */
  KEY_BOOLEAN,
  KEY_APPEND, /* each line adds one */
  KEY_LIST,   /* the first line gives them all */
  KEY_FAMILY,
  KEY_PREFERRED, /* PreferredAuthentications */
  KEY_REST       /* the rest of the line as it stands */
} keyword_type;

typedef struct keyword {
  const char *name;
  keyword_type type;
  size_t offset;
} keyword;

#define FIELD(name) offsetof(dr_ssh_config, name)

static const keyword keywords[] = {
    {"hostname", KEY_STRING, FIELD(host)},
    {"user", KEY_STRING, FIELD(user)},
    {"port", KEY_PORT, FIELD(port)},
    {"addressfamily", KEY_FAMILY, FIELD(family)},
    {"bindaddress", KEY_STRING, FIELD(bind_address)},
    {"hostkeyalias", KEY_STRING, FIELD(key_name)},
    {"identityfile", KEY_APPEND, FIELD(identities)},
    {"certificatefile", KEY_APPEND, FIELD(certificates)},
    {"identitiesonly", KEY_BOOLEAN, FIELD(identities_only)},
    {"identityagent", KEY_STRING, FIELD(agent)},
    {"proxyjump", KEY_STRING, FIELD(jump)},
    {"proxycommand", KEY_REST, FIELD(proxy_command)},
    {"userknownhostsfile", KEY_LIST, FIELD(user_known_hosts)},
    {"globalknownhostsfile", KEY_LIST, FIELD(global_known_hosts)},
    {"stricthostkeychecking", KEY_STRING, FIELD(strict)},
    {"pubkeyauthentication", KEY_BOOLEAN, FIELD(public_key)},
    {"passwordauthentication", KEY_BOOLEAN, FIELD(password_login)},
    {"kbdinteractiveauthentication", KEY_BOOLEAN, FIELD(interactive)},
    {"challengeresponseauthentication", KEY_BOOLEAN, FIELD(interactive)},
    {"batchmode", KEY_BOOLEAN, FIELD(batch)},
    {"preferredauthentications", KEY_PREFERRED, FIELD(ask_password)},
    {"ciphers", KEY_STRING, FIELD(ciphers)},
    {"macs", KEY_STRING, FIELD(macs)},
    {"kexalgorithms", KEY_STRING, FIELD(kex)},
    {"hostkeyalgorithms", KEY_STRING, FIELD(host_key_algorithms)},
    {"pubkeyacceptedalgorithms", KEY_STRING, FIELD(public_key_algorithms)},
    {"pubkeyacceptedkeytypes", KEY_STRING, FIELD(public_key_algorithms)},
    {"compression", KEY_BOOLEAN, FIELD(compression)},
    {"connecttimeout", KEY_SECONDS, FIELD(connect_timeout_ms)},
    {"serveraliveinterval", KEY_SECONDS, FIELD(keepalive_ms)},
    {"serveralivecountmax", KEY_NUMBER, FIELD(keepalive_count)},
};

static int bad_line(reader *r, const char *what) {
  dr__fail(r->err, "ssh.config", "%s:%u: %s", r->file, r->line, what);
  dr__err_hint(r->err, "correct the line; ssh_config(5) describes the keywords");
  return DR_FAILED;
}

bool dr__ssh_match(const char *pattern, const char *name) {
  const char *star = NULL, *resume = NULL;
  while (*name != '\0') {
    if (*pattern == '*') {
      star = pattern++;
      resume = name;
    } else if (*pattern == '?' || (*pattern != '\0' && tolower((unsigned char)*pattern) ==
                                                           tolower((unsigned char)*name))) {
      pattern++;
      name++;
    } else if (star != NULL) {
      pattern = star + 1;
      name = ++resume;
    } else {
      return false;
    }
  }
  while (*pattern == '*') pattern++;
  return *pattern == '\0';
}

bool dr__ssh_match_list(const char *const *patterns, size_t count, const char *name) {
  bool found = false;
  for (size_t i = 0; i < count; i++) {
    if (patterns[i][0] != '!') {
      found = found || dr__ssh_match(patterns[i], name);
    } else if (dr__ssh_match(patterns[i] + 1, name)) {
      return false;
    }
  }
  return found;
}

/* Adds the value of one unit letter; false when it is none. */
static bool add_unit(long *total, long value, char unit) {
  static const char letters[] = "smhdw";
  static const long seconds[] = {1, 60, 3600, 86400, 604800};
  const char *at = unit == '\0' ? letters : strchr(letters, tolower((unsigned char)unit));
  if (at == NULL || value > 100000000L) return false;
  *total += value * seconds[at - letters];
  return true;
}

long dr__ssh_seconds(const char *text) {
  long total = 0;
  if (*text == '\0') return -1;
  while (*text != '\0') {
    char *end;
    if (!isdigit((unsigned char)*text)) return -1;
    long value = strtol(text, &end, 10);
    if (!add_unit(&total, value, *end)) return -1;
    text = *end == '\0' ? end : end + 1;
  }
  return total;
}

/* ---- storing values: the first one wins */

static int set_string(char **field, const char *value) {
  if (*field != NULL) return DR_OK;
  *field = strdup(value);
  return *field == NULL ? DR_FAILED : DR_OK;
}

static int set_number(reader *r, int *field, const char *value, bool seconds) {
  char *end = NULL;
  long number = seconds ? dr__ssh_seconds(value) : strtol(value, &end, 10);
  bool none = seconds && strcasecmp(value, "none") == 0;
  if (none) number = 0;
  if (number < 0 || number > 2000000 || (end != NULL && (*end != '\0' || end == value))) {
    return bad_line(r, seconds ? "not a time" : "not a number");
  }
  if (*field == -1) *field = (int)number * (seconds ? 1000 : 1);
  return DR_OK;
}

static int set_port(reader *r, int *field, const char *value) {
  char *end;
  long port = strtol(value, &end, 10);
  if (end == value || *end != '\0' || port < 1 || port > 65535) {
    return bad_line(r, "a port is a number between 1 and 65535");
  }
  if (*field == -1) *field = (int)port;
  return DR_OK;
}

static int set_boolean(reader *r, int *field, const char *value) {
  bool yes = strcasecmp(value, "yes") == 0 || strcasecmp(value, "true") == 0;
  if (!yes && strcasecmp(value, "no") != 0 && strcasecmp(value, "false") != 0) {
    return bad_line(r, "neither yes nor no");
  }
  if (*field == -1) *field = yes;
  return DR_OK;
}

static int set_family(reader *r, int *field, const char *value) {
  static const struct {
    const char *name;
    int family;
  } known[] = {{"any", AF_UNSPEC}, {"inet", AF_INET}, {"inet6", AF_INET6}};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    if (strcasecmp(value, known[i].name) != 0) continue;
    if (*field == -1) *field = known[i].family;
    return DR_OK;
  }
  return bad_line(r, "AddressFamily is any, inet or inet6");
}

/* A person who puts password or keyboard-interactive here wants to be asked. */
static void set_preferred(int *field, const char *value) {
  if (*field == -1) {
    *field = strstr(value, "password") != NULL || strstr(value, "keyboard-interactive") != NULL;
  }
}

/* One that is there is not added again: a second reading of the file finds it once more. */
static int set_append(dr_ssh_strings *list, const char *value) {
  for (size_t i = 0; i < list->count; i++) {
    if (strcmp(list->items[i], value) == 0) return DR_OK;
  }
  return dr__ssh_strings_add(list, value);
}

static int set_list(dr_ssh_strings *list, char *const *words, size_t count) {
  if (list->items != NULL) return DR_OK;
  for (size_t i = 0; i < count; i++) {
    if (dr__ssh_strings_add(list, words[i]) != DR_OK) return DR_FAILED;
  }
  return DR_OK;
}

/* True when an earlier line has set it, so that a later one does not count. */
static bool is_set(const dr_ssh_config *config, const keyword *key) {
  const void *field = (const char *)config + key->offset;
  switch (key->type) {
  case KEY_STRING:
  case KEY_REST: return *(char *const *)field != NULL;
  case KEY_LIST: return ((const dr_ssh_strings *)field)->items != NULL;
  case KEY_APPEND: return false;
  default: return *(const int *)field != -1;
  }
}

static int undecided(reader *r) {
  dr__fail(r->err, "ssh.config",
           "%s:%u: whether this line counts is decided by the program of the Match exec in line "
           "%u, and no program is started to read a configuration",
           r->file, r->line, r->exec_line);
  dr__err_hint(r->err, "give the line to hosts by name (Host, Match host), set it further up, or "
                       "name a file for deployrun alone: config = \"…\" of host");
  return DR_FAILED;
}

/* Stores the words of one line; rest is the unsplit text after the keyword. */
static int store(reader *r, const keyword *key, char *const *words, size_t count,
                 const char *rest) {
  void *field = (char *)r->config + key->offset;
  int rc = DR_OK;
  if (count == 0) return bad_line(r, "the keyword has no value");
  switch (key->type) {
  case KEY_STRING: rc = set_string(field, words[0]); break;
  case KEY_REST: rc = set_string(field, rest); break;
  case KEY_NUMBER: return set_number(r, field, words[0], false);
  case KEY_PORT: return set_port(r, field, words[0]);
  case KEY_SECONDS: return set_number(r, field, words[0], true);
  case KEY_BOOLEAN: return set_boolean(r, field, words[0]);
  case KEY_FAMILY: return set_family(r, field, words[0]);
  case KEY_PREFERRED: set_preferred(field, words[0]); break;
  case KEY_APPEND: rc = set_append(field, words[0]); break;
  case KEY_LIST: rc = set_list(field, words, count); break;
  }
  return rc == DR_OK ? DR_OK : dr__err_nomem(r->err);
}

/* ---- lines */

/* Takes one word out of *text and writes it to *to, without its quotes and backslashes; both move
 * on. False when a quote is not closed. */
static bool take_word(char **text, char **to) {
  char quote = '\0', *at = *text, *out = *to;
  for (; *at != '\0'; at++) {
    bool escaped = at[0] == '\\' && at[1] != '\0' &&
                   (strchr("'\"\\", at[1]) != NULL || (quote == '\0' && at[1] == ' '));
    if (escaped) {
      *out++ = *++at;
    } else if (quote == '\0' && strchr(" \t\r\f", *at) != NULL) {
      break;
    } else if (quote == '\0' && (*at == '"' || *at == '\'')) {
      quote = *at;
    } else if (quote != '\0' && *at == quote) {
      quote = '\0';
    } else {
      *out++ = *at;
    }
  }
  *text = at + (*at != '\0');
  *out++ = '\0';
  *to = out;
  return quote == '\0';
}

/* Splits text in place at white space, as ssh does: '…' and "…" anywhere in a word, a backslash
 * before a quote, a backslash or (outside quotes) a space, up to a '#' that begins a word. Returns
 * the number of words, or -1 for a quote that is not closed or too many words. */
static int split(char *text, char **words) {
  int count = 0;
  char *out = text;
  while (true) {
    text += strspn(text, " \t\r\f");
    if (*text == '\0' || *text == '#') return count;
    if (count == MAX_WORDS) return -1;
    words[count++] = out;
    if (!take_word(&text, &out)) return -1;
  }
}

/* One criterion of Match with its comma-separated patterns. */
static bool match_one(const reader *r, const char *what, char *patterns) {
  const char *list[MAX_WORDS], *name = NULL;
  const dr_ssh_config *config = r->config;
  size_t count = 0;
  char *rest = NULL;
  for (char *word = strtok_r(patterns, ",", &rest); word != NULL && count < MAX_WORDS;
       word = strtok_r(NULL, ",", &rest)) {
    list[count++] = word;
  }
  if (strcasecmp(what, "host") == 0) name = config->host != NULL ? config->host : config->alias;
  if (strcasecmp(what, "originalhost") == 0) name = config->alias;
  if (strcasecmp(what, "user") == 0) name = config->user != NULL ? config->user : getenv("USER");
  if (strcasecmp(what, "localuser") == 0) name = getenv("USER");
  return name != NULL && dr__ssh_match_list(list, count, name);
}

/* `final` and `canonical` hold in the second reading. Whether a block with `exec` applies is open
 * unless the other criteria rule it out. */
static int match_block(reader *r, char **words, size_t count) {
  r->applies = true;
  r->exec_line = 0;
  for (size_t i = 0; i < count; i++) {
    bool inverted = words[i][0] == '!';
    const char *what = words[i] + inverted;
    bool final = strcasecmp(what, "final") == 0;
    bool found = strcasecmp(what, "all") == 0;
    if (final || strcasecmp(what, "canonical") == 0) {
      r->config->wants_final = r->config->wants_final || final;
      found = r->config->final;
    } else if (!found) {
      if (i + 1 == count) return bad_line(r, "Match needs a pattern after each criterion");
      bool exec = strcasecmp(what, "exec") == 0;
      if (exec) r->exec_line = r->line;
      found = exec ? !inverted : match_one(r, what, words[i + 1]);
      i++;
    }
    r->applies = r->applies && found != inverted;
  }
  return DR_OK;
}

static int read_file(reader *outer, dr_ssh_config *config, const char *path, bool system,
                     bool required, unsigned depth, dr_err *err);

static int include(reader *r, char **words, size_t count) {
  int rc = DR_OK;
  for (size_t i = 0; i < count && rc == DR_OK; i++) {
    char pattern[4096];
    glob_t found;
    bool absolute = words[i][0] == '/', home = words[i][0] == '~' && words[i][1] == '/';
    int length =
        snprintf(pattern, sizeof pattern, "%s%s%s", absolute || r->system ? "" : dr__ssh_home(),
                 absolute    ? ""
                 : home      ? "/"
                 : r->system ? "/etc/ssh/"
                             : "/.ssh/",
                 home ? words[i] + 2 : words[i]);
    if (length < 0 || (size_t)length >= sizeof pattern) return bad_line(r, "the path is too long");
    if (glob(pattern, 0, NULL, &found) != 0) continue;
    for (size_t k = 0; k < found.gl_pathc && rc == DR_OK; k++) {
      rc = read_file(r, r->config, found.gl_pathv[k], r->system, true, r->depth + 1, r->err);
    }
    globfree(&found);
  }
  return rc;
}

static int read_keyword(reader *r, const char *name, char **words, size_t count, const char *rest) {
  if (strcasecmp(name, "host") == 0) {
    r->applies = dr__ssh_match_list((const char *const *)words, count, r->config->alias);
    r->exec_line = 0;
    return DR_OK;
  }
  if (strcasecmp(name, "match") == 0) return match_block(r, words, count);
  if (!r->applies) return DR_OK;
  if (strcasecmp(name, "include") == 0) {
    return r->exec_line > 0 ? undecided(r) : include(r, words, count);
  }
  for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
    const keyword *key = &keywords[i];
    if (strcasecmp(name, key->name) != 0) continue;
    if (r->exec_line > 0) return is_set(r->config, key) ? DR_OK : undecided(r);
    return store(r, key, words, count, rest);
  }
  return DR_OK;
}

static int read_line(reader *r, char *line) {
  char *words[MAX_WORDS];
  char *name = line + strspn(line, " \t\r\f");
  if (*name == '\0' || *name == '#') return DR_OK;
  char *rest = name + strcspn(name, " \t=\r\f");
  char *after = rest + strspn(rest, " \t\r\f");
  if (*after == '=') after += 1 + strspn(after + 1, " \t\r\f");
  *rest = '\0';
  for (size_t end = strlen(after); end > 0 && isspace((unsigned char)after[end - 1]); end--) {
    after[end - 1] = '\0';
  }
  char *whole = strdup(after);
  if (whole == NULL) return dr__err_nomem(r->err);
  int count = split(after, words);
  int rc = count < 0 ? bad_line(r, "a quote is not closed, or there are too many words")
                     : read_keyword(r, name, words, (size_t)count, whole);
  free(whole);
  return rc;
}

static int read_text(reader *r, char *text) {
  int rc = DR_OK;
  while (rc == DR_OK && text != NULL) {
    char *end = strchr(text, '\n');
    if (end != NULL) *end++ = '\0';
    r->line++;
    rc = read_line(r, text);
    text = end;
  }
  return rc;
}

int dr__ssh_config_parse(dr_ssh_config *config, const char *name, const char *text, bool system,
                         dr_err *err) {
  reader r = {.config = config, .file = name, .system = system, .applies = true, .err = err};
  char *copy = strdup(text);
  if (copy == NULL) return dr__err_nomem(err);
  int rc = read_text(&r, copy);
  free(copy);
  return rc;
}

/* The whole file as text, or NULL with errno set. */
static char *slurp(const char *path) {
  FILE *file = fopen(path, "re");
  if (file == NULL) return NULL;
  char *text = malloc(MAX_FILE + 1);
  if (text != NULL) text[fread(text, 1, MAX_FILE, file)] = '\0';
  fclose(file);
  char *fitted = text == NULL ? NULL : realloc(text, strlen(text) + 1);
  return fitted != NULL ? fitted : text;
}

/* `outer` is the file that includes this one; its block decides whether this one applies. */
static int read_file(reader *outer, dr_ssh_config *config, const char *path, bool system,
                     bool required, unsigned depth, dr_err *err) {
  if (depth > MAX_DEPTH) return bad_line(outer, "Include goes too deep");
  char *text = slurp(path);
  if (text == NULL) {
    if (!required && (errno == ENOENT || errno == ENOTDIR)) return DR_OK;
    dr__fail(err, "ssh.config", "cannot read %s: %s", path, strerror(errno));
    dr__err_hint(err, "check that the file exists and that you may read it");
    return DR_FAILED;
  }
  reader r = {.config = config,
              .file = path,
              .depth = depth,
              .system = system,
              .applies = true,
              .err = err};
  int rc = read_text(&r, text);
  free(text);
  return rc;
}

int dr__ssh_config_read(dr_ssh_config *config, const char *path, bool system, bool required,
                        dr_err *err) {
  return read_file(NULL, config, path, system, required, 0, err);
}
