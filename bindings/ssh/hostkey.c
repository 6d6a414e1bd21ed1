/* ssh/hostkey.c - is this the server it claims to be: known_hosts.
 *
 * The files are read here, line by line, with libssh parsing each line: its own check stops at the
 * first malformed line, reads two files only, passes over @revoked, and cannot say which line is
 * the offending one.
 *
 * Called by connect.c on the session's thread. Strict: a known host with another key always fails,
 * an unknown one is accepted only by a person or by StrictHostKeyChecking=accept-new (or no) in the
 * configuration.
 */
#include "internal.h"

#include "core/err.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_LINE = 16384 };

/* True when the host is looked up by its name and port together. */
static bool has_port(const dr_ssh_config *config) {
  return config->port != 22 && !config->key_alias;
}

/* The name a host has in known_hosts: in lower case, [name]:port when the port is not 22. */
static void known_name(const dr_ssh_config *config, bool with_port, char *buffer, size_t size) {
  if (with_port) {
    snprintf(buffer, size, "[%s]:%d", config->key_name, config->port);
  } else {
    snprintf(buffer, size, "%s", config->key_name);
  }
  for (char *at = buffer; *at != '\0'; at++) *at = (char)tolower((unsigned char)*at);
}

/* ---- reading the files */

/* Moves past a marker at the line's beginning; true when it was there. */
static bool skip_marker(char **line, const char *marker) {
  size_t length = strlen(marker);
  if (strncmp(*line, marker, length) != 0 || !isspace((unsigned char)(*line)[length])) return false;
  *line += length + strspn(*line + length, " \t");
  return true;
}

/* Adds the line's key at *end, when it is one of this host. DR_FAILED: no memory, and so no
 * verdict. */
static int parse_line(const char *name, char *line, const char *file, unsigned number,
                      dr_ssh_known_key **end) {
  struct ssh_knownhosts_entry *entry = NULL;
  line += strspn(line, " \t");
  line[strcspn(line, "\r\n")] = '\0';
  bool revoked = skip_marker(&line, "@revoked");
  bool authority = !revoked && skip_marker(&line, "@cert-authority");
  if (*line == '\0' || *line == '#' || *line == '@') return DR_OK;
  for (char *at = line; *at != '\0'; at++) {
    if (*at == '\t') *at = ' ';
  }
  if (ssh_known_hosts_parse_line(name, line, &entry) != SSH_OK) return DR_OK;
  dr_ssh_known_key *known = calloc(1, sizeof *known);
  if (known != NULL && (known->file = strdup(file)) != NULL) {
    known->key = entry->publickey;
    entry->publickey = NULL;
    known->revoked = revoked;
    known->authority = authority;
    known->line = number;
    *end = known;
  } else {
    free(known);
  }
  ssh_knownhosts_entry_free(entry);
  return *end != NULL ? DR_OK : DR_FAILED;
}

/* Adds what the file knows of the host, behind **end, which moves to the new end. */
static int read_known(const char *file, const char *name, dr_ssh_known_key ***end) {
  FILE *stream = fopen(file, "re");
  unsigned number = 0;
  int rc = DR_OK;
  if (stream == NULL) return DR_OK;
  char *line = malloc(MAX_LINE);
  if (line == NULL) rc = DR_FAILED;
  while (rc == DR_OK && fgets(line, MAX_LINE, stream) != NULL) {
    rc = parse_line(name, line, file, ++number, *end);
    while (**end != NULL) *end = &(**end)->next;
  }
  free(line);
  fclose(stream);
  return rc;
}

/* Adds what all files know of one name, behind **end, which moves to the new end. */
static int read_all(const dr_ssh_config *config, const char *name, dr_ssh_known_key ***end) {
  const dr_ssh_strings *lists[] = {&config->user_known_hosts, &config->global_known_hosts};
  for (size_t i = 0; i < 2; i++) {
    for (size_t k = 0; k < lists[i]->count; k++) {
      if (read_known(lists[i]->items[k], name, end) != DR_OK) return DR_FAILED;
    }
  }
  return DR_OK;
}

/* A key of the host's plain name vouches for it on any port, as with ssh; it does not speak against
 * another key there, which may be another server's. */
int dr__ssh_known_keys(const dr_ssh_config *config, dr_ssh_known_key **out) {
  dr_ssh_known_key **end = out;
  char name[512];
  *out = NULL;
  known_name(config, has_port(config), name, sizeof name);
  if (read_all(config, name, &end) != DR_OK) return DR_FAILED;
  if (!has_port(config)) return DR_OK;
  dr_ssh_known_key **portless = end;
  known_name(config, false, name, sizeof name);
  int rc = read_all(config, name, &end);
  for (dr_ssh_known_key *key = *portless; key != NULL; key = key->next) key->portless = true;
  return rc;
}

void dr__ssh_known_keys_free(dr_ssh_known_key *known) {
  while (known != NULL) {
    dr_ssh_known_key *next = known->next;
    ssh_key_free(known->key);
    free(known->file);
    free(known);
    known = next;
  }
}

/* ---- the order of algorithms */

/* A server with several keys must show the one that is known. */
void dr__ssh_host_key_order(const dr_ssh_known_key *keys, char *buffer, size_t size) {
  static const struct {
    enum ssh_keytypes_e type;
    const char *names;
  } all[] = {
      {SSH_KEYTYPE_ED25519, "ssh-ed25519"},
      {SSH_KEYTYPE_ECDSA_P256, "ecdsa-sha2-nistp256"},
      {SSH_KEYTYPE_ECDSA_P384, "ecdsa-sha2-nistp384"},
      {SSH_KEYTYPE_ECDSA_P521, "ecdsa-sha2-nistp521"},
      {SSH_KEYTYPE_RSA, "rsa-sha2-512,rsa-sha2-256"},
      {SSH_KEYTYPE_SK_ED25519, "sk-ssh-ed25519@openssh.com"},
      {SSH_KEYTYPE_SK_ECDSA, "sk-ecdsa-sha2-nistp256@openssh.com"},
  };
  enum { COUNT = sizeof all / sizeof all[0] };
  bool known[COUNT] = {false};
  size_t length = 0;
  for (const dr_ssh_known_key *key = keys; key != NULL; key = key->next) {
    for (size_t i = 0; i < COUNT; i++) {
      bool counts = !key->revoked && !key->authority;
      known[i] = known[i] || (counts && ssh_key_type(key->key) == all[i].type);
    }
  }
  buffer[0] = '\0';
  for (int pass = 1; pass >= 0; pass--) {
    for (size_t i = 0; i < COUNT && length < size; i++) {
      if (known[i] != (pass == 1)) continue;
      length += (size_t)snprintf(buffer + length, size - length, "%s%s", length > 0 ? "," : "",
                                 all[i].names);
    }
  }
}

/* ---- the check */

/* The server's key as a person sees it. */
typedef struct shown_key {
  ssh_key key;
  const char *type;
  char *fingerprint; /* "SHA256:…" */
} shown_key;

static int show_key(dr_ssh_session *s, shown_key *out) {
  unsigned char *hash = NULL;
  size_t length = 0;
  *out = (shown_key){0};
  if (ssh_get_server_publickey(s->ssh, &out->key) != SSH_OK) return dr__err_nomem(&s->err);
  out->type = ssh_key_type_to_char(ssh_key_type(out->key));
  if (ssh_get_publickey_hash(out->key, SSH_PUBLICKEY_HASH_SHA256, &hash, &length) == SSH_OK) {
    out->fingerprint = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, length);
    ssh_clean_pubkey_hash(&hash);
  }
  return out->fingerprint != NULL ? DR_OK : dr__err_nomem(&s->err);
}

static void hide_key(shown_key *key) {
  ssh_key_free(key->key);
  ssh_string_free_char(key->fingerprint);
}

static int fail_changed(dr_ssh_session *s, const shown_key *key, const dr_ssh_known_key *known,
                        const char *name) {
  dr__fail(&s->err, "ssh.host_key_changed",
           "the host key of %s is not the one in %s line %u: it shows %s %s", s->config->alias,
           known->file, known->line, key->type, key->fingerprint);
  dr__err_hint(
      &s->err,
      "somebody may be in between, or the host was set up anew. Ask its administrator for the "
      "fingerprint; if it is this one: ssh-keygen -R '%s' -f '%s', then connect again",
      name, known->file);
  return DR_FAILED;
}

static int fail_revoked(dr_ssh_session *s, const shown_key *key, const dr_ssh_known_key *known) {
  dr__fail(&s->err, "ssh.host_key_revoked", "the host key of %s (%s %s) is revoked by %s line %u",
           s->config->alias, key->type, key->fingerprint, known->file, known->line);
  dr__err_hint(&s->err,
               "the key was stolen or retired: do not connect; ask the host's administrator");
  return DR_FAILED;
}

/* The type as ssh-keyscan -t and the server's file names spell it. */
static const char *short_type(ssh_key key) {
  switch (ssh_key_type(key)) {
  case SSH_KEYTYPE_ED25519: return "ed25519";
  case SSH_KEYTYPE_RSA: return "rsa";
  default: return "ecdsa";
  }
}

/* The host is vouched for by an authority only. libssh (0.10) has no algorithm for host
 * certificates: the server never shows its own, but only its plain key, which nobody has signed. */
static int fail_authority(dr_ssh_session *s, const shown_key *key, const dr_ssh_known_key *ca,
                          const char *name) {
  dr__fail(&s->err, "ssh.host_key_unknown",
           "%s is known by a certificate authority only (%s line %u), and host certificates cannot "
           "be checked here; its own key is %s %s",
           s->config->alias, ca->file, ca->line, key->type, key->fingerprint);
  dr__err_hint(&s->err,
               "ssh can check the certificate, so let it fetch the host's own key: { printf '%%s ' "
               "'%s'; ssh %s cat /etc/ssh/ssh_host_%s_key.pub; } >> %s",
               name, s->config->alias, short_type(key->key), ca->file);
  return DR_FAILED;
}

static int fail_unknown(dr_ssh_session *s, const shown_key *key, const char *name) {
  const dr_ssh_config *config = s->config;
  const dr_ssh_strings *files = &config->user_known_hosts;
  dr__fail(&s->err, "ssh.host_key_unknown", "the host key of %s is not known: %s %s (as %s)",
           config->alias, key->type, key->fingerprint, name);
  if (s->link != NULL || config->proxy_command != NULL) {
    dr__err_hint(&s->err,
                 "compare the fingerprint with the host's own, then connect once with \"ssh %s\" "
                 "to add it",
                 config->alias);
    return DR_FAILED;
  }
  char renamed[600] = "";
  if (config->key_alias) snprintf(renamed, sizeof renamed, " | sed 's/^[^ #]* /%s /'", name);
  dr__err_hint(&s->err,
               "compare the fingerprint with what \"ssh-keygen -lf "
               "/etc/ssh/ssh_host_%s_key.pub\" says on the host, then add it: "
               "ssh-keyscan -p %d -t %s %s%s >> %s",
               short_type(key->key), config->port, short_type(key->key), config->host, renamed,
               files->count > 0 ? files->items[0] : "~/.ssh/known_hosts");
  return DR_FAILED;
}

/* ---- accepting a new key */

static int make_folder_of(const char *file) {
  char folder[4096];
  dr__copy_text(folder, sizeof folder, file);
  char *slash = strrchr(folder, '/');
  if (slash == NULL || slash == folder) return 0;
  *slash = '\0';
  return mkdir(folder, 0700) == 0 || errno == EEXIST ? 0 : -1;
}

/* True when the file ends in the middle of a line, which what is added would become part of. */
static bool lacks_line_end(int fd) {
  struct stat info;
  char last = '\n';
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size == 0) return false;
  return pread(fd, &last, 1, info.st_size - 1) == 1 && last != '\n';
}

/* In one write, so that two of us do not mix lines. False with errno set. */
static bool append_line(const char *file, char *line, int length) {
  int fd =
      make_folder_of(file) != 0 ? -1 : open(file, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  int skip = lacks_line_end(fd) ? 0 : 1;
  bool written = write(fd, line + skip, (size_t)(length - skip)) == length - skip;
  int error = errno;
  close(fd);
  errno = error;
  return written;
}

/* Adds the key to the person's first known_hosts file. */
static int remember(dr_ssh_session *s, const shown_key *key, const char *name) {
  const dr_ssh_strings *files = &s->config->user_known_hosts;
  char *base64 = NULL, line[MAX_LINE];
  if (files->count == 0) return DR_OK;
  if (ssh_pki_export_pubkey_base64(key->key, &base64) != SSH_OK) return dr__err_nomem(&s->err);
  int length = snprintf(line, sizeof line, "\n%s %s %s\n", name, key->type, base64);
  ssh_string_free_char(base64);
  if (append_line(files->items[0], line, length)) return DR_OK;
  dr__fail(&s->err, "ssh.host_key_unknown", "the host key of %s cannot be added to %s: %s",
           s->config->alias, files->items[0], strerror(errno));
  dr__err_hint(&s->err, "make the file writable, or add the key to it by hand");
  return DR_FAILED;
}

static int ask_unknown(dr_ssh_session *s, const shown_key *key, const dr_ssh_known_key *ca,
                       const char *name, bool *accepted) {
  char question[1024], topic[800], *answer = NULL;
  unsigned generation = 0;
  snprintf(question, sizeof question,
           "The host key of %s is not known: %s %s (as %s).\n%sDo you trust it? (yes/no) ",
           s->config->alias, key->type, key->fingerprint, name,
           ca ? "A certificate authority is known for it, but host certificates cannot be checked "
                "here.\n"
              : "");
  snprintf(topic, sizeof topic, "host key %s %s", name, key->fingerprint);
  int rc = dr__ssh_ask(s, topic, question, false, &generation, &answer);
  *accepted = answer != NULL && strcasecmp(answer, "yes") == 0;
  free(answer);
  return rc;
}

static int unknown_key(dr_ssh_session *s, const shown_key *key, const dr_ssh_known_key *ca,
                       const char *name) {
  const char *strict = s->config->strict;
  bool accepted = strcasecmp(strict, "accept-new") == 0 || strcasecmp(strict, "no") == 0 ||
                  strcasecmp(strict, "off") == 0;
  if (!accepted && strcasecmp(strict, "yes") != 0 && dr__ssh_may_ask(s) &&
      ask_unknown(s, key, ca, name, &accepted) != DR_OK) {
    return DR_FAILED;
  }
  if (accepted) return remember(s, key, name);
  return ca != NULL ? fail_authority(s, key, ca, name) : fail_unknown(s, key, name);
}

static int judge(dr_ssh_session *s, const shown_key *key, const dr_ssh_known_key *known) {
  const dr_ssh_known_key *same = NULL, *other = NULL, *authority = NULL;
  char name[512];
  known_name(s->config, has_port(s->config), name, sizeof name);
  for (; known != NULL; known = known->next) {
    if (known->authority) {
      authority = authority != NULL || known->portless ? authority : known;
      continue;
    }
    bool equal = ssh_key_cmp(known->key, key->key, SSH_KEY_CMP_PUBLIC) == 0;
    if (equal && known->revoked) return fail_revoked(s, key, known);
    if (equal && same == NULL) same = known;
    if (!equal && !known->revoked && !known->portless && other == NULL) other = known;
  }
  if (same != NULL && !(same->portless && other != NULL)) return DR_OK;
  if (other != NULL) return fail_changed(s, key, other, name);
  return unknown_key(s, key, authority, name);
}

int dr__ssh_host_key_check(dr_ssh_session *s, const dr_ssh_known_key *known) {
  shown_key key;
  int rc = show_key(s, &key);
  if (rc == DR_OK) rc = judge(s, &key, known);
  hide_key(&key);
  return rc;
}
