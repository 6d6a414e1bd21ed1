/* ssh/auth.c - logs in: key files, the agent's keys, then passwords where they are configured.
 *
 * A key that can sign here and now is offered with its signature at once, which saves the round
 * trip of asking first (about 9 ms on loopback, one RTT elsewhere). The agent's keys are asked
 * about first, because signing with one may want a person's confirmation. Order: the files that the
 * caller or the configuration names; the agent's keys, those of named files first; the default
 * files; keys that need a passphrase; keyboard-interactive and password.
 *
 * Called by connect.c on the session's thread.
 */
#include "internal.h"

#include "core/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_FILES = 32, MAX_PROMPTS = 16, MAX_ATTEMPTS = 3 };

/* What came of one way to log in. */
typedef enum outcome { DENIED, ACCEPTED, PARTIAL, BROKEN /* session->err is filled */ } outcome;

typedef struct login {
  dr_ssh_session *s;
  bool partial;           /* a first factor was accepted */
  bool answered;          /* a password or another prompt was answered */
  bool locked[MAX_FILES]; /* identity files that need a passphrase */
  bool any_locked;
  bool file_tried[MAX_FILES];
  bool public[MAX_FILES]; /* files that hold the public half alone: the agent has the other */
  bool any_public;
  char tried[600]; /* for the message */
} login;

static void note(login *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(login *l, const char *format, ...) {
  size_t length = strlen(l->tried);
  va_list arguments;
  if (length + 2 >= sizeof l->tried) return;
  if (length > 0) {
    memcpy(l->tried + length, ", ", 3);
    length += 2;
  }
  va_start(arguments, format);
  vsnprintf(l->tried + length, sizeof l->tried - length, format, arguments);
  va_end(arguments);
}

/* ---- messages */

static void list_methods(dr_ssh_session *s, char *buffer, size_t size) {
  static const struct {
    int bit;
    const char *name;
  } all[] = {{SSH_AUTH_METHOD_PUBLICKEY, "publickey"},
             {SSH_AUTH_METHOD_PASSWORD, "password"},
             {SSH_AUTH_METHOD_INTERACTIVE, "keyboard-interactive"},
             {SSH_AUTH_METHOD_GSSAPI_MIC, "gssapi-with-mic"},
             {SSH_AUTH_METHOD_HOSTBASED, "hostbased"}};
  int methods = ssh_userauth_list(s->ssh, NULL);
  size_t length = 0;
  buffer[0] = '\0';
  for (size_t i = 0; i < sizeof all / sizeof all[0] && length < size; i++) {
    if ((methods & all[i].bit) == 0) continue;
    length += (size_t)snprintf(buffer + length, size - length, "%s%s", length > 0 ? ", " : "",
                               all[i].name);
  }
}

static void hint_password(dr_ssh_session *s) {
  const dr_ssh_config *config = s->config;
  dr__err_hint(
      &s->err,
      "is it the password of %s on %s? Its sshd may also let this user in by no password at "
      "all (PasswordAuthentication, PermitRootLogin)",
      config->user, config->alias);
}

static outcome fail_denied(login *l) {
  dr_ssh_session *s = l->s;
  const dr_ssh_config *config = s->config;
  char methods[128];
  list_methods(s, methods, sizeof methods);
  dr__fail(&s->err, "ssh.auth", "%s does not let %s log in: tried %s; %s%s%s", config->alias,
           config->user, l->tried[0] != '\0' ? l->tried : "nothing, for no key was found",
           l->partial ? "more is asked for" : "the server takes", methods[0] != '\0' ? ": " : "",
           methods);
  if (l->answered) {
    hint_password(s);
  } else if (l->any_public) {
    dr__err_hint(&s->err,
                 "a public key in IdentityFile means that an agent has the private one: load it "
                 "there (ssh-add -L lists what it has; IdentityAgent names its socket), or name "
                 "the file of the private key");
  } else if (l->any_locked) {
    dr__err_hint(&s->err, "load the key with ssh-add once, or run this on a terminal, where its "
                          "passphrase can be asked for");
  } else {
    dr__err_hint(&s->err,
                 "add a public key of yours to ~%s/.ssh/authorized_keys on %s, or name the right "
                 "user and key (User and IdentityFile in ~/.ssh/config)",
                 config->user, config->alias);
  }
  return BROKEN;
}

static outcome fail_broken(login *l) {
  dr_ssh_session *s = l->s;
  const char *reason = dr__ssh_reason(s);
  bool many = strstr(reason, "oo many") != NULL;
  dr__fail(&s->err, many ? "ssh.auth" : "ssh.protocol", "%s ended the login of %s: %s (tried %s)",
           s->config->alias, s->config->user, reason, l->tried);
  if (many && l->answered)
    hint_password(s);
  else
    dr__err_hint(&s->err, "%s",
                 many
                     ? "name the one key for this host with IdentityFile and IdentitiesOnly yes in "
                       "~/.ssh/config"
                     : "look into the server's log");
  dr__ssh_link_cause(s);
  return BROKEN;
}

/* Waits until libssh can go on; BROKEN when the session is to stop or the server has hung up. */
static bool wait_on(login *l) {
  if (dr__ssh_wait_io(l->s) == DR_OK) return true;
  if (l->s->err.code[0] == '\0') (void)fail_broken(l);
  return false;
}

static outcome outcome_of(login *l, int rc) {
  switch (rc) {
  case SSH_AUTH_SUCCESS: return ACCEPTED;
  case SSH_AUTH_DENIED: return DENIED;
  case SSH_AUTH_PARTIAL: l->partial = true; return PARTIAL;
  default: return l->s->err.code[0] != '\0' ? BROKEN : fail_broken(l);
  }
}

static bool takes(login *l, int method) {
  int methods = ssh_userauth_list(l->s->ssh, NULL);
  return methods == 0 || (methods & method) != 0;
}

/* ---- public keys */

static outcome offer(login *l, ssh_key key) {
  int rc;
  while ((rc = ssh_userauth_publickey(l->s->ssh, NULL, key)) == SSH_AUTH_AGAIN) {
    if (!wait_on(l)) return BROKEN;
  }
  return outcome_of(l, rc);
}

/* Would the server take this key? For keys whose use costs a person something. */
static outcome probe(login *l, ssh_key key) {
  int rc;
  while ((rc = ssh_userauth_try_publickey(l->s->ssh, NULL, key)) == SSH_AUTH_AGAIN) {
    if (!wait_on(l)) return BROKEN;
  }
  return outcome_of(l, rc);
}

/* True when the certificate may be one of this key: libssh cannot compare a certificate with a
 * plain key, so only the kinds are compared, "ssh-ed25519-cert-v01@openssh.com" with "ssh-ed25519".
 */
static bool same_kind(ssh_key certificate, ssh_key key) {
  const char *kind = ssh_key_type_to_char(ssh_key_type(key));
  const char *certified = ssh_key_type_to_char(ssh_key_type(certificate));
  return kind != NULL && certified != NULL && strncmp(certified, kind, strlen(kind)) == 0;
}

/* Offers a copy of the key with the certificate in the file. */
static outcome offer_certificate(login *l, ssh_key key, const char *file) {
  ssh_key certificate = NULL, signer = NULL;
  outcome result = DENIED;
  if (access(file, R_OK) != 0 || ssh_pki_import_cert_file(file, &certificate) != SSH_OK) {
    return DENIED;
  }
  signer = ssh_key_dup(key);
  if (signer != NULL && same_kind(certificate, key) &&
      ssh_pki_copy_cert_to_privkey(certificate, signer) == SSH_OK) {
    note(l, "%s", file);
    result = offer(l, signer);
  }
  ssh_key_free(certificate);
  ssh_key_free(signer);
  return result;
}

static outcome offer_certificates(login *l, ssh_key key, const char *path) {
  const dr_ssh_strings *files = &l->s->config->certificates;
  char beside[4096];
  outcome result = DENIED;
  int length = snprintf(beside, sizeof beside, "%s-cert.pub", path);
  if (length > 0 && (size_t)length < sizeof beside) result = offer_certificate(l, key, beside);
  for (size_t i = 0; i < files->count && result == DENIED; i++) {
    result = offer_certificate(l, key, files->items[i]);
  }
  return result;
}

/* True when the server has said, through its .pub file, that it would not take this key. */
static bool refused_before(login *l, const char *path, outcome *result) {
  char file[4096];
  ssh_key key = NULL;
  *result = DENIED;
  int length = snprintf(file, sizeof file, "%s.pub", path);
  if (length < 0 || (size_t)length >= sizeof file) return false;
  if (access(file, R_OK) != 0 || ssh_pki_import_pubkey_file(file, &key) != SSH_OK) return false;
  *result = probe(l, key);
  ssh_key_free(key);
  return *result != ACCEPTED;
}

/* The public key in a file that holds nothing else, as password managers and tokens want it; NULL:
 * it is something else. */
static ssh_key public_key_in(const char *path) {
  char start[16] = "";
  ssh_key key = NULL;
  FILE *file = fopen(path, "re");
  if (file == NULL) return NULL;
  size_t length = fread(start, 1, sizeof start - 1, file);
  fclose(file);
  bool private = length == 0 || strncmp(start, "-----BEGIN", 10) == 0;
  if (private || ssh_pki_import_pubkey_file(path, &key) != SSH_OK) return NULL;
  return key;
}

static bool is_public(login *l, size_t index) {
  ssh_key key = public_key_in(l->s->config->identities.items[index]);
  ssh_key_free(key);
  if (key != NULL) l->public[index] = true;
  return key != NULL;
}

/* Tries one identity file; with `ask`, one that needs a passphrase. */
static outcome try_file(login *l, size_t index, bool ask) {
  const char *path = l->s->config->identities.items[index];
  char why[128];
  ssh_key key = NULL;
  outcome result = DENIED;
  if (l->public[index] || is_public(l, index)) return DENIED;
  if (ask && refused_before(l, path, &result)) {
    if (result == DENIED) note(l, "%s", path);
    return result;
  }
  switch (dr__ssh_key_load(l->s, path, ask, &key, why, sizeof why)) {
  case DR_SSH_KEY_OK: break;
  case DR_SSH_KEY_STOPPED: return BROKEN;
  case DR_SSH_KEY_LOCKED:
    l->locked[index] = l->any_locked = true;
    if (ask) note(l, "%s (%s)", path, why);
    return DENIED;
  case DR_SSH_KEY_MISSING:
    if (l->s->config->identities_explicit) note(l, "%s (no such file)", path);
    return DENIED;
  case DR_SSH_KEY_UNUSABLE: note(l, "%s (%s)", path, why); return DENIED;
  }
  l->locked[index] = false;
  l->file_tried[index] = true;
  result = offer_certificates(l, key, path);
  if (result == DENIED) {
    note(l, "%s", path);
    result = offer(l, key);
  }
  ssh_key_free(key);
  return result;
}

static outcome try_files(login *l, bool locked) {
  size_t count = l->s->config->identities.count;
  outcome result = DENIED;
  for (size_t i = 0; i < count && i < MAX_FILES && result == DENIED; i++) {
    if (takes(l, SSH_AUTH_METHOD_PUBLICKEY) && l->locked[i] == locked && !l->file_tried[i]) {
      result = try_file(l, i, locked);
    }
  }
  return result;
}

/* ---- the agent */

typedef int (*import_file)(const char *file, ssh_key *key);

static bool is_in_file(ssh_key key, const char *path, const char *suffix, import_file import) {
  char file[4096];
  ssh_key of_file = NULL;
  int length = snprintf(file, sizeof file, "%s%s", path, suffix);
  if (length < 0 || (size_t)length >= sizeof file || access(file, R_OK) != 0) return false;
  if (import(file, &of_file) != SSH_OK) return false;
  bool same = ssh_key_cmp(of_file, key, SSH_KEY_CMP_PUBLIC) == 0;
  ssh_key_free(of_file);
  return same;
}

/* The identity file that holds this public key or certificate: its index, or -1. */
static int file_of(const login *l, ssh_key key) {
  const dr_ssh_config *config = l->s->config;
  for (size_t i = 0; i < config->identities.count; i++) {
    const char *path = config->identities.items[i];
    bool itself = i < MAX_FILES && l->public[i];
    if ((itself && is_in_file(key, path, "", ssh_pki_import_pubkey_file)) ||
        is_in_file(key, path, ".pub", ssh_pki_import_pubkey_file) ||
        is_in_file(key, path, "-cert.pub", ssh_pki_import_cert_file)) {
      return (int)i;
    }
  }
  return -1;
}

/* Says that a file that holds a public key was of no use. */
static void note_public(login *l, size_t index, const char *why) {
  l->any_public = true;
  note(l, "%s (a public key: %s)", l->s->config->identities.items[index], why);
}

/* Puts the keys of identity files first and takes out those that were refused already or may not be
 * used. */
static void choose_keys(login *l, dr_ssh_agent_keys *keys) {
  const dr_ssh_config *config = l->s->config;
  bool held[MAX_FILES] = {false};
  size_t first = 0, kept = 0;
  for (size_t i = 0; i < keys->count; i++) {
    dr_ssh_agent_key key = keys->items[i];
    int file = file_of(l, key.key);
    if (file >= 0 && file < MAX_FILES) held[file] = true;
    if ((file >= 0 && file < MAX_FILES && l->file_tried[file]) ||
        (file < 0 && config->identities_only)) {
      ssh_key_free(key.key);
      free(key.blob);
      continue;
    }
    if (file >= 0) {
      memmove(&keys->items[first + 1], &keys->items[first], (kept - first) * sizeof *keys->items);
      keys->items[first++] = key;
      kept++;
    } else {
      keys->items[kept++] = key;
    }
  }
  keys->count = kept;
  for (size_t i = 0; i < MAX_FILES; i++) {
    if (l->public[i] && !held[i]) note_public(l, i, "the agent does not have its private one");
  }
}

static outcome use_agent(login *l, const dr_ssh_agent_keys *keys) {
  dr_ssh_agent_relay *relay = NULL;
  outcome result = BROKEN;
  int rc;
  note(l, "%zu key%s of the agent", keys->count, keys->count == 1 ? "" : "s");
  if (dr__ssh_agent_begin(l->s, keys, &relay) != DR_OK) return BROKEN;
  while ((rc = ssh_userauth_agent(l->s->ssh, NULL)) == SSH_AUTH_AGAIN) {
    if (!wait_on(l)) break;
  }
  if (rc != SSH_AUTH_AGAIN) result = outcome_of(l, rc);
  dr__ssh_agent_end(relay);
  return result;
}

static outcome try_agent(login *l) {
  dr_ssh_agent_keys keys;
  outcome result = DENIED;
  if (!takes(l, SSH_AUTH_METHOD_PUBLICKEY)) return DENIED;
  if (dr__ssh_agent_list(l->s, &keys) != DR_OK) result = BROKEN;
  l->s->stage = "end of the login";
  l->s->timeout_hint = "look into the server's log";
  choose_keys(l, &keys);
  if (result == DENIED && keys.count > 0) result = use_agent(l, &keys);
  dr__ssh_agent_keys_clear(&keys);
  return result;
}

static outcome try_public_keys(login *l) {
  const dr_ssh_config *config = l->s->config;
  outcome result = DENIED;
  if (!config->public_key) return DENIED;
  if (config->identities_explicit) result = try_files(l, false);
  if (result == DENIED && config->agent != NULL) result = try_agent(l);
  for (size_t i = 0; i < MAX_FILES && config->agent == NULL; i++) {
    if (l->public[i]) note_public(l, i, "there is no agent that has its private one");
  }
  if (result == DENIED && !config->identities_explicit) result = try_files(l, false);
  if (result == DENIED && l->any_locked) result = try_files(l, true);
  return result;
}

/* ---- passwords */

/* The answer to a prompt: the password the recipe gave, the first time, else a person's. */
static int answer_prompt(login *l, const char *prompt, bool secret, int attempt,
                         unsigned *generation, char **answer) {
  const dr_ssh_config *config = l->s->config;
  char question[900], topic[512];
  *answer = NULL;
  if (secret && config->password != NULL) {
    *answer = attempt == 0 ? strdup(config->password) : NULL;
    return DR_OK;
  }
  if (!config->ask_password || !dr__ssh_may_ask(l->s)) return DR_OK;
  snprintf(question, sizeof question, "%s%s@%s: %s", attempt > 0 ? "That was not it. " : "",
           config->user, config->alias, prompt);
  snprintf(topic, sizeof topic, "%s@%s:%d %.200s", config->user, config->host, config->port,
           prompt);
  return dr__ssh_ask(l->s, topic, question, secret, generation, answer);
}

static void forget(char *secret) {
  if (secret == NULL) return;
  explicit_bzero(secret, strlen(secret));
  free(secret);
}

static outcome try_password(login *l) {
  outcome result = DENIED;
  unsigned generation = 0;
  for (int attempt = 0; attempt < MAX_ATTEMPTS && result == DENIED; attempt++) {
    char *password = NULL;
    int rc;
    if (!takes(l, SSH_AUTH_METHOD_PASSWORD)) break;
    if (answer_prompt(l, "password: ", true, attempt, &generation, &password) != DR_OK) {
      return BROKEN;
    }
    if (password == NULL) break;
    if (attempt == 0) note(l, "a password");
    l->answered = true;
    while ((rc = ssh_userauth_password(l->s->ssh, NULL, password)) == SSH_AUTH_AGAIN) {
      if (!wait_on(l)) break;
    }
    forget(password);
    result = rc == SSH_AUTH_AGAIN ? BROKEN : outcome_of(l, rc);
  }
  return result;
}

/* Answers the prompts of one round; *given is false when a person would not. */
static int answer_round(login *l, int attempt, unsigned *generations, bool *given) {
  int count = ssh_userauth_kbdint_getnprompts(l->s->ssh);
  *given = true;
  for (int i = 0; i < count && i < MAX_PROMPTS && *given; i++) {
    char echo = 0, *answer = NULL;
    const char *prompt = ssh_userauth_kbdint_getprompt(l->s->ssh, (unsigned)i, &echo);
    if (answer_prompt(l, prompt == NULL ? "" : prompt, echo == 0, attempt, &generations[i],
                      &answer) != DR_OK) {
      return DR_FAILED;
    }
    l->answered = l->answered || answer != NULL;
    *given = answer != NULL && ssh_userauth_kbdint_setanswer(l->s->ssh, (unsigned)i, answer) == 0;
    forget(answer);
  }
  return DR_OK;
}

/* A server that has no prompts is not asked again: each time counts as one of the tries it allows.
 */
static outcome try_interactive(login *l) {
  unsigned generations[MAX_PROMPTS] = {0};
  bool given = true, asked = true;
  int rc = SSH_AUTH_DENIED;
  if (l->s->config->password == NULL && !l->s->config->ask_password) return DENIED;
  for (int attempt = 0; attempt < MAX_ATTEMPTS && asked; attempt++) {
    asked = false;
    if (!takes(l, SSH_AUTH_METHOD_INTERACTIVE)) return DENIED;
    if (attempt == 0) note(l, "keyboard-interactive");
    while ((rc = ssh_userauth_kbdint(l->s->ssh, NULL, NULL)) == SSH_AUTH_AGAIN ||
           rc == SSH_AUTH_INFO) {
      if (rc == SSH_AUTH_AGAIN && !wait_on(l)) return BROKEN;
      asked = asked || (rc == SSH_AUTH_INFO && ssh_userauth_kbdint_getnprompts(l->s->ssh) > 0);
      if (rc == SSH_AUTH_INFO && answer_round(l, attempt, generations, &given) != DR_OK) {
        return BROKEN;
      }
      if (!given) return DENIED;
    }
    if (rc != SSH_AUTH_DENIED) break;
  }
  return outcome_of(l, rc);
}

/* ---- all of it */

/* Asks for nothing, so that the server says what it takes; some servers let a user in right away.
 */
static outcome try_none(login *l) {
  int rc;
  while ((rc = ssh_userauth_none(l->s->ssh, NULL)) == SSH_AUTH_AGAIN) {
    if (!wait_on(l)) return BROKEN;
  }
  return outcome_of(l, rc);
}

const char *dr__ssh_user(const dr_transport *transport) {
  return ((const dr_ssh_transport *)transport)->config->user;
}

int dr__ssh_login(dr_ssh_session *s) {
  login l = {.s = s};
  s->stage = "end of the login";
  s->timeout_hint = "look into the server's log";
  outcome result = try_public_keys(&l);
  if (result == DENIED && ssh_userauth_list(s->ssh, NULL) == 0) result = try_none(&l);
  for (int factor = 0; factor < 3 && (result == DENIED || result == PARTIAL); factor++) {
    bool more = result == PARTIAL;
    result = DENIED;
    if (s->config->interactive && takes(&l, SSH_AUTH_METHOD_INTERACTIVE)) {
      result = try_interactive(&l);
    }
    if (result == DENIED && s->config->password_login && takes(&l, SSH_AUTH_METHOD_PASSWORD)) {
      result = try_password(&l);
    }
    if (result == DENIED && more && takes(&l, SSH_AUTH_METHOD_PUBLICKEY)) {
      result = try_public_keys(&l);
    }
    if (result != PARTIAL) break;
  }
  if (result == DENIED || result == PARTIAL) result = fail_denied(&l);
  return result == ACCEPTED ? DR_OK : DR_FAILED;
}
