/* ssh/connect.c - from nothing to a login: socket, the server's first words, key exchange, host
 * key, login.
 *
 * Called by session.c on the session's thread. One deadline covers all stages; `stage` names the
 * one that is under way for the message when it passes.
 */
#include "internal.h"

#include "core/err.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A server that turns connections away is asked this often, after pauses of 0.1 s, 0.2 s, 0.4 s …
 * of which half is chance, so that those turned away together do not come back together. Where
 * others got in it is asked as long as there is time, see turns.c. */
enum { MOST_TRIES = 6, FIRST_PAUSE_MS = 100 };

enum { ALGORITHMS_SIZE = 1024 };

static int fail_option(dr_ssh_session *s, const char *name, const char *value) {
  dr__fail(&s->err, "ssh.config", "%s: %s %s is not understood", s->config->alias, name, value);
  dr__err_hint(&s->err, "check %s in ~/.ssh/config", name);
  return DR_FAILED;
}

typedef struct text_option {
  enum ssh_options_e option;
  const char *name;
  const char *value;
} text_option;

static int set_texts(dr_ssh_session *s, const text_option *options, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (options[i].value == NULL) continue;
    if (ssh_options_set(s->ssh, options[i].option, options[i].value) != 0) {
      return fail_option(s, options[i].name, options[i].value);
    }
  }
  return DR_OK;
}

static const char certificate[] = "-cert-v01@openssh.com";

/* Copies a list of host key algorithms without those for certificates, which libssh accepts in a
 * list and then has nothing to offer for. False when nothing is left. */
static bool copy_plain(char *out, size_t size, const char *list) {
  size_t used = 0;
  for (const char *at = list; *at != '\0';) {
    size_t length = strcspn(at, ",");
    if (memmem(at, length, certificate, sizeof certificate - 1) == NULL &&
        used + length + 2 <= size) {
      if (used > 0) out[used++] = ',';
      memcpy(out + used, at, length);
      used += length;
    }
    at += length + (at[length] == ',');
  }
  out[used] = '\0';
  return used > 0;
}

static int fail_algorithms(dr_ssh_session *s, const char *name, const char *wanted) {
  dr__fail(&s->err, "ssh.config", "%s: %s %s leaves nothing that can be used here",
           s->config->alias, name, wanted);
  dr__err_hint(&s->err,
               "libssh knows fewer algorithms than OpenSSH: add one of its to %s in "
               "~/.ssh/config, or leave the line out for this host",
               name);
  return DR_FAILED;
}

/* Hands one list to libssh: what the configuration makes of the usual one (NULL: the default). */
static int set_list(dr_ssh_session *s, dr_ssh_algorithms kind, const char *wanted,
                    const char *usual) {
  static const struct {
    const char *name;
    int options[2];
  } all[] = {
      [DR_SSH_CIPHERS] = {"Ciphers", {SSH_OPTIONS_CIPHERS_C_S, SSH_OPTIONS_CIPHERS_S_C}},
      [DR_SSH_MACS] = {"MACs", {SSH_OPTIONS_HMAC_C_S, SSH_OPTIONS_HMAC_S_C}},
      [DR_SSH_KEX] = {"KexAlgorithms", {SSH_OPTIONS_KEY_EXCHANGE, -1}},
      [DR_SSH_HOST_KEYS] = {"HostKeyAlgorithms", {SSH_OPTIONS_HOSTKEYS, -1}},
      [DR_SSH_USER_KEYS] = {"PubkeyAcceptedAlgorithms", {SSH_OPTIONS_PUBLICKEY_ACCEPTED_TYPES, -1}},
  };
  char list[ALGORITHMS_SIZE], plain[ALGORITHMS_SIZE];
  const char *given = list;
  if (!dr__ssh_algorithms(kind, wanted, usual, list, sizeof list)) {
    return fail_algorithms(s, all[kind].name, wanted);
  }
  if (kind == DR_SSH_HOST_KEYS) given = copy_plain(plain, sizeof plain, list) ? plain : usual;
  for (int i = 0; i < 2 && all[kind].options[i] >= 0; i++) {
    if (ssh_options_set(s->ssh, (enum ssh_options_e)all[kind].options[i], given) != 0) {
      return fail_option(s, all[kind].name, given);
    }
  }
  return DR_OK;
}

static int set_algorithms(dr_ssh_session *s, const dr_ssh_known_key *known) {
  const dr_ssh_config *config = s->config;
  char host_keys[ALGORITHMS_SIZE];
  dr__ssh_host_key_order(known, host_keys, sizeof host_keys);
  int rc = set_list(s, DR_SSH_CIPHERS, config->ciphers, NULL);
  if (rc == DR_OK) rc = set_list(s, DR_SSH_HOST_KEYS, config->host_key_algorithms, host_keys);
  if (rc == DR_OK && config->macs != NULL) rc = set_list(s, DR_SSH_MACS, config->macs, NULL);
  if (rc == DR_OK && config->kex != NULL) rc = set_list(s, DR_SSH_KEX, config->kex, NULL);
  if (rc == DR_OK && config->public_key_algorithms != NULL) {
    rc = set_list(s, DR_SSH_USER_KEYS, config->public_key_algorithms, NULL);
  }
  if (rc == DR_OK && config->compression) {
    const text_option option = {SSH_OPTIONS_COMPRESSION, "Compression", "yes"};
    rc = set_texts(s, &option, 1);
  }
  return rc;
}

/* libssh's own known_hosts and configuration reading is turned off: hostkey.c and config.c do that.
 */
static int set_basics(dr_ssh_session *s) {
  const dr_ssh_config *config = s->config;
  int no = 0, yes = 1;
  const text_option options[] = {
      {SSH_OPTIONS_HOST, "HostName", config->host},
      {SSH_OPTIONS_USER, "User", config->user},
      {SSH_OPTIONS_KNOWNHOSTS, "UserKnownHostsFile", "/dev/null"},
      {SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "GlobalKnownHostsFile", "/dev/null"},
  };
  ssh_options_set(s->ssh, SSH_OPTIONS_PROCESS_CONFIG, &no);
  ssh_options_set(s->ssh, SSH_OPTIONS_PORT, &config->port);
  ssh_options_set(s->ssh, SSH_OPTIONS_NODELAY, &yes);
  ssh_options_set(s->ssh, SSH_OPTIONS_FD, &s->fd);
  return set_texts(s, options, sizeof options / sizeof options[0]);
}

static int new_ssh(dr_ssh_session *s, const dr_ssh_known_key *known) {
  s->ssh = ssh_new();
  if (s->ssh == NULL) return dr__err_nomem(&s->err);
  ssh_set_blocking(s->ssh, 0);
  ssh_set_counters(s->ssh, &s->counter, NULL);
  if (set_basics(s) != DR_OK) return DR_FAILED;
  return set_algorithms(s, known);
}

/* ---- the server's first words */

/* Waits for the server's first byte. A host that accepts and then says nothing gives its place
 * among the connections being set up to others after a moment. */
static int wait_banner(dr_ssh_session *s) {
  struct pollfd set = {.fd = s->fd, .events = POLLIN};
  s->stage = "greeting from the server";
  s->timeout_hint =
      "something accepts connections there but does not speak: check the port, and that sshd is "
      "not stuck or overloaded";
  uint64_t since = dr__ssh_now_ms();
  while (set.revents == 0) {
    if (dr__ssh_wait(s, &set, 1, dr__ssh_token_patience(s, since)) != DR_OK) return DR_FAILED;
  }
  return s->token ? DR_OK : dr__ssh_token_take(s);
}

static int fail_closed(dr_ssh_session *s) {
  s->turned_away = true;
  dr__fail(&s->err, "ssh.connect", "%s closed the connection before saying anything",
           s->config->alias);
  if (dr__ssh_place_is_limited(s)) {
    dr__err_hint(&s->err, "%s", DR_SSH_LIMITED_HINT);
  } else if (s->config->proxy_command != NULL) {
    dr__err_hint(&s->err, "try the ProxyCommand by hand: %s", s->config->proxy_command);
  } else {
    dr__err_hint(&s->err, "the server may limit connections (MaxStartups, fail2ban, a firewall) or "
                          "not be an SSH server: look into its log");
  }
  dr__ssh_link_cause(s);
  return DR_FAILED;
}

/* What an OpenSSH server says when it has too many connections that are not logged in, or when it
 * has had enough of this address. */
static bool says_no(const char *bytes) {
  return strncmp(bytes, "Exceeded MaxStartups", 20) == 0 ||
         strncmp(bytes, "Not allowed at this time", 24) == 0;
}

static int fail_no(dr_ssh_session *s, const char *bytes) {
  s->turned_away = true;
  dr__fail(&s->err, "ssh.connect", "%s turned the connection away: \"%s\"", s->config->alias,
           bytes);
  dr__err_hint(&s->err, "look at MaxStartups and PerSourcePenalties in its sshd_config, and at who "
                        "else connects to it just now");
  return DR_FAILED;
}

/* Looks at the greeting without taking it: EOF and other protocols get their own messages. */
static int check_banner(dr_ssh_session *s) {
  char bytes[64];
  ssize_t length = recv(s->fd, bytes, sizeof bytes - 1, MSG_PEEK | MSG_DONTWAIT);
  if (length <= 0) return fail_closed(s);
  bytes[length] = '\0';
  bytes[strcspn(bytes, "\r\n")] = '\0';
  if (says_no(bytes)) return fail_no(s, bytes);
  if (strncmp(bytes, "HTTP/", 5) != 0 && strncmp(bytes, "220", 3) != 0) return DR_OK;
  dr__fail(&s->err, "ssh.protocol", "%s port %d is not an SSH server: it says \"%s\"",
           s->config->host, s->config->port, bytes);
  dr__err_hint(&s->err, "check the port");
  return DR_FAILED;
}

/* ---- key exchange */

static int fail_certified(dr_ssh_session *s) {
  dr__fail(&s->err, "ssh.protocol",
           "%s shows a certificate in place of its host key, and host certificates cannot be "
           "checked here",
           s->config->alias);
  dr__err_hint(&s->err, "let its sshd show its plain key, too: leave HostKeyAlgorithms out of its "
                        "sshd_config, or add the plain algorithms there");
  return DR_FAILED;
}

static int fail_handshake(dr_ssh_session *s) {
  const char *reason = dr__ssh_reason(s);
  if (strstr(reason, "host key algo: server") != NULL && strstr(reason, certificate) != NULL) {
    return fail_certified(s);
  }
  s->turned_away = strcmp(reason, "the other side closed it") == 0;
  dr__fail(&s->err, "ssh.protocol", "%s: the key exchange failed: %s", s->config->alias, reason);
  if (strstr(reason, "no match") != NULL) {
    dr__err_hint(
        &s->err,
        "client and server have no algorithm in common: update the server, or allow one of its "
        "algorithms for this host in ~/.ssh/config");
  } else {
    dr__err_hint(&s->err, "look into the server's log; ssh -v %s shows the same exchange",
                 s->config->alias);
  }
  dr__ssh_link_cause(s);
  return DR_FAILED;
}

/* libssh puts the socket into blocking mode once, when it finds it connected. A blocking socket
 * would let one full send buffer hold up every channel of the session. */
static void unblock(int fd) {
  int flags = fcntl(fd, F_GETFL, 0);
  if (flags >= 0) (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* What libcrypto does when it is used for the first time: seeding its generators, looking up what
 * the usual algorithms are made of. */
static void warm_up(void) {
  static const enum ssh_keytypes_e kinds[] = {SSH_KEYTYPE_ECDSA_P256, SSH_KEYTYPE_ED25519};
  unsigned char noise[16];
  ssh_key key;
  (void)ssh_get_random(noise, sizeof noise, 0);
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (ssh_pki_generate(kinds[i], 0, &key) == SSH_OK) ssh_key_free(key);
  }
}

static int handshake(dr_ssh_session *s) {
  static uv_once_t once = UV_ONCE_INIT;
  s->adopted = true;
  int rc = ssh_connect(
      s->ssh); /* sends our greeting: the server answers it while its own is on the way */
  unblock(s->fd);
  uv_once(&once,
          warm_up); /* two milliseconds that would else be between the greeting and our reply */
  if (rc == SSH_AGAIN && (wait_banner(s) != DR_OK || check_banner(s) != DR_OK)) return DR_FAILED;
  s->stage = "end of the key exchange";
  s->timeout_hint = "look into the server's log";
  while (rc == SSH_AGAIN) {
    rc = ssh_connect(s->ssh);
    if (rc == SSH_AGAIN && dr__ssh_wait_io(s) != DR_OK) {
      return s->err.code[0] != '\0' ? DR_FAILED : fail_handshake(s);
    }
  }
  if (rc == SSH_OK) return DR_OK;
  return s->counter.in_bytes == 0 ? fail_closed(s) : fail_handshake(s);
}

static int secure(dr_ssh_session *s) {
  dr_ssh_known_key *known;
  int rc = dr__ssh_known_keys(s->config, &known);
  if (rc != DR_OK) dr__err_nomem(&s->err);
  if (rc == DR_OK) rc = new_ssh(s, known);
  if (rc == DR_OK) rc = handshake(s);
  if (rc == DR_OK) rc = dr__ssh_host_key_check(s, known);
  dr__ssh_known_keys_free(known);
  return rc;
}

void dr__ssh_disconnect(dr_ssh_session *s) {
  int fd = s->fd;
  if (s->ssh != NULL) {
    if (s->adopted && ssh_get_fd(s->ssh) < 0) fd = -1; /* libssh closes a socket that failed */
    ssh_disconnect(s->ssh);
    ssh_free(s->ssh);
  }
  if (fd >= 0) close(fd);
  dr__ssh_proxy_end(s);
  s->ssh = NULL;
  s->fd = -1;
  s->adopted = false;
}

static int attempt(dr_ssh_session *s) {
  s->stage = "turn to connect";
  s->timeout_hint = "";
  s->turned_away = false;
  if (s->jump_fd < 0 && !s->token && dr__ssh_token_take(s) != DR_OK) return DR_FAILED;
  if (s->deadline_ms == 0) {
    s->deadline_ms = dr__ssh_now_ms() + (uint64_t)s->config->connect_timeout_ms;
  }
  if (dr__ssh_socket(s) != DR_OK) return DR_FAILED;
  if (!s->token && dr__ssh_token_take(s) != DR_OK) return DR_FAILED;
  if (secure(s) != DR_OK) return DR_FAILED;
  return dr__ssh_login(s);
}

static uint64_t usual_pause(int tries) {
  uint16_t chance = 0;
  (void)uv_random(NULL, NULL, &chance, sizeof chance, 0, NULL);
  uint64_t whole = (uint64_t)FIRST_PAUSE_MS << (tries - 1);
  return whole / 2 + whole * chance / 65536u;
}

/* Milliseconds to wait after that many tries; 0 when there is no use in another. A stream through a
 * jump host cannot be opened again from here. */
static uint64_t pause_after(dr_ssh_session *s, int tries) {
  if (!s->turned_away || s->link != NULL) return 0;
  bool limited = dr__ssh_place_is_limited(s);
  if (!limited && tries >= MOST_TRIES) return 0;
  uint64_t pause = limited ? dr__ssh_place_pause(s) : usual_pause(tries);
  return dr__ssh_now_ms() + pause < s->deadline_ms ? pause : 0;
}

/* Waits, with nothing in its hands, and forgets why the attempt failed. */
static int wait_for_next(dr_ssh_session *s, uint64_t pause) {
  uint64_t until = dr__ssh_now_ms() + pause, now;
  dr__ssh_token_give(s);
  dr__ssh_disconnect(s);
  dr_err_clear(&s->err);
  s->counter = (struct ssh_counter_struct){0};
  while ((now = dr__ssh_now_ms()) < until) {
    if (dr__ssh_wait(s, NULL, 0, (int)(until - now)) != DR_OK) return DR_FAILED;
  }
  return DR_OK;
}

int dr__ssh_connect(dr_ssh_session *s) {
  for (int tries = 1;; tries++) {
    if (attempt(s) == DR_OK) {
      dr__ssh_place_answered(s);
      return DR_OK;
    }
    uint64_t pause = pause_after(s, tries);
    if (pause == 0 && s->turned_away && tries > 1) {
      size_t length = strlen(s->err.message);
      snprintf(s->err.message + length, sizeof s->err.message - length, " (%d attempts)", tries);
    }
    if (pause == 0 || wait_for_next(s, pause) != DR_OK) return DR_FAILED;
  }
}
