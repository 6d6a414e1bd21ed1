/* ssh/agent.c - the keys of an ssh-agent, and a relay that shows libssh only some of them.
 *
 * libssh tries all keys of an agent in the agent's order. A server ends the connection after six
 * refused keys, so a person with many keys needs the ones the configuration names to come first, or
 * alone (IdentitiesOnly). libssh 0.10 has no call that signs with one given key of an agent, and it
 * waits for the agent without a bound. Hence the relay: a thread between libssh and the agent that
 * answers "which keys?" with the chosen ones, passes signing on, and hangs up when the session is
 * to stop.
 *
 * Called by auth.c on session threads. Protocol: draft-miller-ssh-agent.
 */
#include "internal.h"

#include "core/err.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
  AGENT_REQUEST_IDENTITIES = 11,
  AGENT_IDENTITIES_ANSWER = 12,
  MAX_MESSAGE = 256 << 10,
  MAX_KEYS = 256
};

/* ---- bytes */

static uint32_t get32(const unsigned char *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void put32(unsigned char *at, uint32_t value) {
  at[0] = (unsigned char)(value >> 24);
  at[1] = (unsigned char)(value >> 16);
  at[2] = (unsigned char)(value >> 8);
  at[3] = (unsigned char)value;
}

/* Waits as dr__ssh_wait() on the session's thread; the relay's thread has no session and waits for
 * its own stop. */
typedef int (*wait_function)(void *data, int fd, short events);

/* Moves exactly length bytes; DR_FAILED at end of file, on an error, or when waiting ended. */
static int transfer(int fd, unsigned char *bytes, size_t length, bool sending, wait_function wait,
                    void *data) {
  while (length > 0) {
    ssize_t moved = sending ? send(fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT)
                            : recv(fd, bytes, length, MSG_DONTWAIT);
    if (moved > 0) {
      bytes += moved;
      length -= (size_t)moved;
    } else if (moved < 0 && (errno == EAGAIN || errno == EINTR)) {
      if (wait(data, fd, sending ? POLLOUT : POLLIN) != DR_OK) return DR_FAILED;
    } else {
      return DR_FAILED;
    }
  }
  return DR_OK;
}

/* Reads one message without its length; malloc'd, NULL on failure. */
static unsigned char *receive(int fd, size_t *length, wait_function wait, void *data) {
  unsigned char head[4];
  if (transfer(fd, head, sizeof head, false, wait, data) != DR_OK) return NULL;
  *length = get32(head);
  if (*length < 1 || *length > MAX_MESSAGE) return NULL;
  unsigned char *message = malloc(*length);
  if (message != NULL && transfer(fd, message, *length, false, wait, data) != DR_OK) {
    free(message);
    message = NULL;
  }
  return message;
}

static int post(int fd, unsigned char *message, size_t length, wait_function wait, void *data) {
  unsigned char head[4];
  put32(head, (uint32_t)length);
  if (transfer(fd, head, sizeof head, true, wait, data) != DR_OK) return DR_FAILED;
  return transfer(fd, message, length, true, wait, data);
}

static int dial(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) return -1;
  memcpy(address.sun_path, path, strlen(path) + 1);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
    close(fd);
    fd = -1;
  }
  return fd;
}

/* ---- listing */

static int wait_session(void *data, int fd, short events) {
  struct pollfd set = {.fd = fd, .events = events};
  return dr__ssh_wait(data, &set, 1, -1);
}

/* The public key of a blob; NULL for kinds that libssh does not know. */
static ssh_key import_blob(const unsigned char *blob, size_t length) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  char type[64] = "", *text = malloc((length + 2) / 3 * 4 + 1);
  ssh_key key = NULL;
  size_t name = length >= 4 ? get32(blob) : 0, at = 0;
  if (text == NULL || name == 0 || name >= sizeof type || name + 4 > length) {
    free(text);
    return NULL;
  }
  memcpy(type, blob + 4, name);
  for (size_t i = 0; i < length; i += 3) {
    size_t left = length - i;
    uint32_t bits = (uint32_t)blob[i] << 16 | (left > 1 ? (uint32_t)blob[i + 1] << 8 : 0) |
                    (left > 2 ? blob[i + 2] : 0);
    text[at++] = digits[bits >> 18];
    text[at++] = digits[bits >> 12 & 63];
    text[at++] = left > 1 ? digits[bits >> 6 & 63] : '=';
    text[at++] = left > 2 ? digits[bits & 63] : '=';
  }
  text[at] = '\0';
  enum ssh_keytypes_e kind = ssh_key_type_from_name(type);
  if (kind != SSH_KEYTYPE_UNKNOWN && ssh_pki_import_pubkey_base64(text, kind, &key) != SSH_OK &&
      ssh_pki_import_cert_base64(text, kind, &key) != SSH_OK) {
    key = NULL;
  }
  free(text);
  return key;
}

static int add_key(dr_ssh_agent_keys *keys, const unsigned char *blob, size_t length) {
  ssh_key key = import_blob(blob, length);
  if (key == NULL) return DR_OK;
  dr_ssh_agent_key *items = realloc(keys->items, (keys->count + 1) * sizeof *items);
  unsigned char *copy = malloc(length);
  if (items != NULL) keys->items = items;
  if (items == NULL || copy == NULL) {
    ssh_key_free(key);
    free(copy);
    return DR_FAILED;
  }
  memcpy(copy, blob, length);
  items[keys->count++] = (dr_ssh_agent_key){.key = key, .blob = copy, .length = length};
  return DR_OK;
}

/* A string at *at, moving past it; false at the end of the message. */
static bool next_string(const unsigned char *message, size_t length, size_t *at,
                        const unsigned char **text, size_t *size) {
  if (length - *at < 4) return false;
  *size = get32(message + *at);
  *text = message + *at + 4;
  if (*size > length - *at - 4) return false;
  *at += 4 + *size;
  return true;
}

static void parse_keys(const unsigned char *message, size_t length, dr_ssh_agent_keys *out) {
  size_t at = 5, size;
  const unsigned char *blob, *comment;
  if (length < 5 || message[0] != AGENT_IDENTITIES_ANSWER) return;
  uint32_t count = get32(message + 1);
  for (uint32_t i = 0; i < count && i < MAX_KEYS; i++) {
    size_t blob_size;
    if (!next_string(message, length, &at, &blob, &blob_size)) return;
    if (!next_string(message, length, &at, &comment, &size)) return;
    if (add_key(out, blob, blob_size) != DR_OK) return;
  }
}

int dr__ssh_agent_list(dr_ssh_session *s, dr_ssh_agent_keys *out) {
  unsigned char request = AGENT_REQUEST_IDENTITIES, *answer = NULL;
  size_t length = 0;
  *out = (dr_ssh_agent_keys){0};
  int fd = s->config->agent == NULL ? -1 : dial(s->config->agent);
  if (fd < 0) return DR_OK;
  s->stage = "answer from the ssh-agent";
  s->timeout_hint = "the agent may be waiting for a confirmation";
  if (post(fd, &request, 1, wait_session, s) == DR_OK) {
    answer = receive(fd, &length, wait_session, s);
  }
  close(fd);
  if (answer != NULL) parse_keys(answer, length, out);
  free(answer);
  return s->err.code[0] == '\0' ? DR_OK : DR_FAILED;
}

void dr__ssh_agent_keys_clear(dr_ssh_agent_keys *keys) {
  for (size_t i = 0; i < keys->count; i++) {
    ssh_key_free(keys->items[i].key);
    free(keys->items[i].blob);
  }
  free(keys->items);
  *keys = (dr_ssh_agent_keys){0};
}

/* ---- the relay */

struct dr_ssh_agent_relay {
  pthread_t thread;
  int libssh_fd; /* our end of the pair whose other end libssh has */
  int agent_fd;
  uint64_t deadline_ms;
  dr_ssh_session *session;
  unsigned char *list; /* the answer to "which keys?" */
  size_t list_length;
};

/* Ends when the session is to stop, when its deadline has passed, or when libssh hangs up. */
static int wait_relay(void *data, int fd, short events) {
  dr_ssh_agent_relay *relay = data;
  struct pollfd set[2] = {{.fd = fd, .events = events}, {.fd = relay->libssh_fd, .events = 0}};
  while (true) {
    int ready = poll(set, 2, 100);
    uv_mutex_lock(&relay->session->pool->lock);
    bool stop = relay->session->stop;
    uv_mutex_unlock(&relay->session->pool->lock);
    if (stop || (relay->deadline_ms != 0 && dr__ssh_now_ms() >= relay->deadline_ms)) {
      return DR_FAILED;
    }
    if (ready > 0 && set[0].revents != 0) return DR_OK;
    if (ready > 0 && set[1].revents != 0) return DR_FAILED;
  }
}

static int relay_one(dr_ssh_agent_relay *relay) {
  size_t length = 0;
  unsigned char *message = receive(relay->libssh_fd, &length, wait_relay, relay);
  if (message == NULL) return DR_FAILED;
  if (message[0] == AGENT_REQUEST_IDENTITIES) {
    free(message);
    return post(relay->libssh_fd, relay->list, relay->list_length, wait_relay, relay);
  }
  int rc = post(relay->agent_fd, message, length, wait_relay, relay);
  free(message);
  message = rc == DR_OK ? receive(relay->agent_fd, &length, wait_relay, relay) : NULL;
  if (message == NULL) return DR_FAILED;
  rc = post(relay->libssh_fd, message, length, wait_relay, relay);
  free(message);
  return rc;
}

static void *relay_main(void *data) {
  dr_ssh_agent_relay *relay = data;
  while (relay_one(relay) == DR_OK) {
  }
  shutdown(relay->libssh_fd, SHUT_RDWR); /* a libssh that still waits gets an end of file */
  return NULL;
}

static int write_list(dr_ssh_agent_relay *relay, const dr_ssh_agent_keys *keys) {
  size_t length = 5;
  for (size_t i = 0; i < keys->count; i++) length += 8 + keys->items[i].length;
  unsigned char *at = relay->list = malloc(length);
  if (at == NULL) return DR_FAILED;
  relay->list_length = length;
  at[0] = AGENT_IDENTITIES_ANSWER;
  put32(at + 1, (uint32_t)keys->count);
  at += 5;
  for (size_t i = 0; i < keys->count; i++) {
    put32(at, (uint32_t)keys->items[i].length);
    memcpy(at + 4, keys->items[i].blob, keys->items[i].length);
    at += 4 + keys->items[i].length;
    put32(at, 0);
    at += 4;
  }
  return DR_OK;
}

static void relay_free(dr_ssh_agent_relay *relay) {
  if (relay->libssh_fd >= 0) close(relay->libssh_fd);
  if (relay->agent_fd >= 0) close(relay->agent_fd);
  free(relay->list);
  free(relay);
}

int dr__ssh_agent_begin(dr_ssh_session *s, const dr_ssh_agent_keys *keys,
                        dr_ssh_agent_relay **out) {
  int pair[2] = {-1, -1};
  dr_ssh_agent_relay *relay = calloc(1, sizeof *relay);
  *out = NULL;
  if (relay == NULL) return dr__err_nomem(&s->err);
  relay->session = s;
  relay->deadline_ms = s->deadline_ms;
  relay->agent_fd = dial(s->config->agent);
  bool made = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0;
  relay->libssh_fd = pair[0];
  if (!made || relay->agent_fd < 0 || write_list(relay, keys) != DR_OK ||
      ssh_set_agent_socket(s->ssh, pair[1]) != SSH_OK) {
    if (made) close(pair[1]);
    relay_free(relay);
    return dr__fail(&s->err, "ssh.auth", "the ssh-agent cannot be used: %s", strerror(errno));
  }
  if (pthread_create(&relay->thread, NULL, relay_main, relay) != 0) {
    relay_free(relay);
    return dr__fail(&s->err, "ssh.auth", "the system allows no more threads");
  }
  *out = relay;
  return DR_OK;
}

void dr__ssh_agent_end(dr_ssh_agent_relay *relay) {
  shutdown(relay->libssh_fd, SHUT_RDWR);
  pthread_join(relay->thread, NULL);
  relay_free(relay);
}
