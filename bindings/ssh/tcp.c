/* ssh/tcp.c - makes the socket of a session: name resolution, TCP, a ProxyCommand, or the pair to a
 * jump host.
 *
 * libssh is given a connected socket, because its own connecting tries one address only, cannot be
 * cancelled and leaves TCP_NODELAY off. Called by connect.c on the session's thread. Name
 * resolution cannot be interrupted, so it gets a thread that is left behind when it takes too long.
 */
#include "internal.h"

#include "core/err.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- names */

/* Shared by the session's thread and the resolving one; whoever lets go last frees it. */
typedef struct lookup {
  pthread_mutex_t lock;
  int references;
  bool done;
  int done_fd;
  int error;
  struct addrinfo hints;
  struct addrinfo *found;
  char port[8];
  char host[];
} lookup;

static void lookup_unref(lookup *l) {
  pthread_mutex_lock(&l->lock);
  bool last = --l->references == 0;
  pthread_mutex_unlock(&l->lock);
  if (!last) return;
  if (l->found != NULL) freeaddrinfo(l->found);
  close(l->done_fd);
  pthread_mutex_destroy(&l->lock);
  free(l);
}

static void *resolve_main(void *data) {
  lookup *l = data;
  struct addrinfo *found = NULL;
  uint64_t one = 1;
  int error = getaddrinfo(l->host, l->port, &l->hints, &found);
  pthread_mutex_lock(&l->lock);
  l->error = error;
  l->found = found;
  l->done = true;
  pthread_mutex_unlock(&l->lock);
  (void)!write(l->done_fd, &one, sizeof one);
  lookup_unref(l);
  return NULL;
}

static lookup *lookup_new(const dr_ssh_config *config) {
  size_t length = strlen(config->host) + 1;
  lookup *l = calloc(1, sizeof *l + length);
  if (l == NULL) return NULL;
  l->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (l->done_fd < 0 || pthread_mutex_init(&l->lock, NULL) != 0) {
    if (l->done_fd >= 0) close(l->done_fd);
    free(l);
    return NULL;
  }
  memcpy(l->host, config->host, length);
  snprintf(l->port, sizeof l->port, "%d", config->port);
  l->references = 1;
  l->hints.ai_family = config->family;
  l->hints.ai_socktype = SOCK_STREAM;
  l->hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  return l;
}

/* Resolves in a thread of its own. */
static int lookup_apart(dr_ssh_session *s, lookup *l) {
  pthread_t thread;
  pthread_attr_t attributes;
  l->hints.ai_flags = AI_NUMERICSERV;
  if (pthread_attr_init(&attributes) != 0) return dr__err_nomem(&s->err);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, 256 << 10);
  l->references = 2;
  int rc = pthread_create(&thread, &attributes, resolve_main, l);
  pthread_attr_destroy(&attributes);
  if (rc != 0) {
    l->references = 1;
    return dr__fail(&s->err, "ssh.resolve", "the system allows no more threads");
  }
  uint64_t since = dr__ssh_now_ms();
  while (true) {
    struct pollfd set = {.fd = l->done_fd, .events = POLLIN};
    if (dr__ssh_wait(s, &set, 1, dr__ssh_token_patience(s, since)) != DR_OK) return DR_FAILED;
    if (set.revents != 0) return DR_OK;
  }
}

static int fail_lookup(dr_ssh_session *s, int error) {
  const dr_ssh_config *config = s->config;
  dr__fail(&s->err, "ssh.resolve", "the name %s has no address: %s", config->host,
           gai_strerror(error));
  if (strcmp(config->host, config->alias) == 0) {
    dr__err_hint(&s->err, "check the spelling, DNS, or give %s a HostName in ~/.ssh/config",
                 config->alias);
  } else {
    dr__err_hint(&s->err, "check the HostName of %s in ~/.ssh/config, and DNS", config->alias);
  }
  return DR_FAILED;
}

/* The addresses of the host; NULL with session->err filled when there are none. */
static lookup *resolve(dr_ssh_session *s) {
  lookup *l = lookup_new(s->config);
  if (l == NULL) {
    dr__err_nomem(&s->err);
    return NULL;
  }
  s->stage = "answer about its name";
  s->timeout_hint = "check that the DNS servers answer";
  int rc = DR_OK;
  l->error = getaddrinfo(l->host, l->port, &l->hints, &l->found); /* an address needs no thread */
  if (l->error == EAI_NONAME) rc = lookup_apart(s, l);
  if (rc == DR_OK) {
    pthread_mutex_lock(&l->lock);
    int error = l->error;
    pthread_mutex_unlock(&l->lock);
    if (error != 0) rc = fail_lookup(s, error);
  }
  if (rc == DR_OK) return l;
  lookup_unref(l);
  return NULL;
}

/* ---- connecting */

/* Attempts under way. A host with several addresses is tried at all of them, each begun a little
 * after the one before it, and the first that answers is taken: a dead IPv6 route then costs 250
 * ms, not the whole bound. */
enum { MAX_ATTEMPTS = 8, NEXT_ATTEMPT_MS = 250 };

typedef struct race {
  int fds[MAX_ATTEMPTS];
  int count;
  int error; /* of the latest failure */
} race;

static void set_option(int fd, int level, int name, int value) {
  (void)setsockopt(fd, level, name, &value, sizeof value);
}

void dr__ssh_quick_ack(dr_ssh_session *s) {
  int fd = s->ssh != NULL && s->adopted ? ssh_get_fd(s->ssh) : s->fd;
  if (fd >= 0) set_option(fd, IPPROTO_TCP, TCP_QUICKACK, 1);
}

static int bind_source(const char *address, int family, int fd) {
  struct addrinfo hints = {.ai_family = family, .ai_flags = AI_NUMERICHOST}, *found = NULL;
  if (getaddrinfo(address, NULL, &hints, &found) != 0) {
    errno = EADDRNOTAVAIL;
    return -1;
  }
  int rc = bind(fd, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  return rc;
}

/* A socket that connects to the address, or -1 with errno. */
static int begin_attempt(const dr_ssh_config *config, const struct addrinfo *address) {
  int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  bool bound = config->bind_address == NULL ||
               bind_source(config->bind_address, address->ai_family, fd) == 0;
  if (bound && (connect(fd, address->ai_addr, address->ai_addrlen) == 0 || errno == EINPROGRESS)) {
    return fd;
  }
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

/* Waits for one of the attempts. The index of one that succeeded, -1 when none has yet, -2 when the
 * session must stop. Attempts that failed leave the race. */
static int watch(dr_ssh_session *s, race *r, int cap_ms) {
  struct pollfd set[MAX_ATTEMPTS];
  for (int i = 0; i < r->count; i++) {
    set[i] = (struct pollfd){.fd = r->fds[i], .events = POLLOUT};
  }
  if (dr__ssh_wait(s, set, (nfds_t)r->count, cap_ms) != DR_OK) return -2;
  for (int i = r->count - 1; i >= 0; i--) {
    int error = 0;
    socklen_t size = sizeof error;
    if (set[i].revents == 0) continue;
    getsockopt(r->fds[i], SOL_SOCKET, SO_ERROR, &error, &size);
    if (error == 0) return i;
    r->error = error;
    close(r->fds[i]);
    r->fds[i] = r->fds[--r->count];
  }
  return -1;
}

static int fail_connect(dr_ssh_session *s, int error) {
  const dr_ssh_config *config = s->config;
  bool refused = error == ECONNREFUSED || error == ECONNRESET;
  s->turned_away = refused && dr__ssh_place_lets_in(s);
  dr__fail(&s->err, "ssh.connect", "cannot connect to %s port %d: %s", config->host, config->port,
           strerror(error));
  const char *hint = "check that the host is up and that its network can be reached from here";
  if (error == ECONNREFUSED) hint = "nothing listens there: check that sshd runs, and its port";
  if (refused && dr__ssh_place_is_limited(s)) hint = DR_SSH_LIMITED_HINT;
  if (error == EMFILE || error == ENFILE) hint = "raise the limit on open files (ulimit -n)";
  if (error == EADDRNOTAVAIL)
    hint = "check BindAddress, and that an address is left to connect from";
  dr__err_hint(&s->err, "%s", hint);
  return DR_FAILED;
}

static int run_race(dr_ssh_session *s, const struct addrinfo *next, race *r) {
  int winner = -1;
  uint64_t begun = 0, since = dr__ssh_now_ms();
  while (winner == -1 && (next != NULL || r->count > 0)) {
    uint64_t now = dr__ssh_now_ms();
    if (next != NULL && r->count < MAX_ATTEMPTS &&
        (r->count == 0 || now - begun >= NEXT_ATTEMPT_MS)) {
      int fd = begin_attempt(s->config, next);
      if (fd < 0) r->error = errno;
      if (fd >= 0) r->fds[r->count++] = fd;
      begun = now;
      next = next->ai_next;
      continue;
    }
    int patience = dr__ssh_token_patience(s, since);
    bool soon = next != NULL && (patience < 0 || patience > NEXT_ATTEMPT_MS);
    winner = watch(s, r, soon ? NEXT_ATTEMPT_MS : patience);
  }
  return winner;
}

/* Waits for the turn to connect to this address. */
static int begin_at(dr_ssh_session *s, const struct addrinfo *address) {
  char host[NI_MAXHOST], port[NI_MAXSERV], name[NI_MAXHOST + NI_MAXSERV + 1];
  if (getnameinfo(address->ai_addr, address->ai_addrlen, host, sizeof host, port, sizeof port,
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return DR_OK;
  }
  snprintf(name, sizeof name, "%s %s", host, port);
  return dr__ssh_token_at(s, name);
}

static int connect_tcp(dr_ssh_session *s) {
  race r = {.error = EHOSTUNREACH};
  lookup *names = resolve(s);
  if (names == NULL) return DR_FAILED;
  int winner = -2;
  if (begin_at(s, names->found) == DR_OK) {
    s->stage = "TCP connection";
    s->timeout_hint = "check that the host is up and that no firewall drops the connection";
    winner = run_race(s, names->found, &r);
  }
  lookup_unref(names);
  for (int i = 0; i < r.count; i++) {
    if (i != winner) close(r.fds[i]);
  }
  if (winner >= 0) {
    s->fd = r.fds[winner];
    dr__ssh_place_reached(s);
  }
  if (winner == -1) return fail_connect(s, r.error);
  return winner >= 0 ? DR_OK : DR_FAILED;
}

/* ---- ProxyCommand */

/* A session of its own, so that what the terminal sends to our process group (Ctrl-C) does not end
 * the connection by which a run is undone; and no signal blocked or ignored, whatever we do. */
static int set_apart(posix_spawnattr_t *attributes) {
  sigset_t signals;
  sigemptyset(&signals);
  int error = posix_spawnattr_setsigmask(attributes, &signals);
  sigfillset(&signals);
  if (error == 0) error = posix_spawnattr_setsigdefault(attributes, &signals);
  if (error != 0) return error;
  return posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                                  POSIX_SPAWN_SETSIGDEF);
}

static int set_files(posix_spawn_file_actions_t *actions, int fd) {
  int error = posix_spawn_file_actions_adddup2(actions, fd, 0);
  if (error == 0) error = posix_spawn_file_actions_adddup2(actions, fd, 1);
  if (error != 0) return error;
  return posix_spawn_file_actions_addopen(actions, 2, "/dev/null", O_WRONLY, 0);
}

static int spawn_line(char *line, int fd, pid_t *pid) {
  char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, line, NULL};
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  int error = posix_spawn_file_actions_init(&actions);
  if (error != 0) return error;
  error = posix_spawnattr_init(&attributes);
  if (error == 0) {
    error = set_files(&actions, fd);
    if (error == 0) error = set_apart(&attributes);
    if (error == 0) error = posix_spawn(pid, "/bin/sh", &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

/* Starts `sh -c "exec command"` with the socket as its standard input and output. 0, or an error
 * number. */
static int spawn_proxy(const char *command, int fd, pid_t *pid) {
  size_t size = strlen(command) + sizeof "exec ";
  char *line = malloc(size);
  if (line == NULL) return ENOMEM;
  snprintf(line, size, "exec %s", command);
  int error = spawn_line(line, fd, pid);
  free(line);
  return error;
}

/* Where a ProxyCommand leads is not known; most lead through one machine. */
static int connect_proxy(dr_ssh_session *s) {
  int pair[2];
  if (dr__ssh_token_at(s, "by a ProxyCommand") != DR_OK) return DR_FAILED;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return fail_connect(s, errno);
  int error = spawn_proxy(s->config->proxy_command, pair[1], &s->proxy);
  close(pair[1]);
  s->fd = pair[0];
  if (error == 0) return DR_OK;
  s->proxy = 0;
  dr__fail(&s->err, "ssh.connect", "the ProxyCommand of %s cannot be started: %s", s->config->alias,
           strerror(error));
  dr__err_hint(&s->err, "check ProxyCommand in ~/.ssh/config: %s", s->config->proxy_command);
  return DR_FAILED;
}

void dr__ssh_proxy_end(dr_ssh_session *s) {
  pid_t proxy = s->proxy;
  s->proxy = 0;
  if (proxy == 0) return;
  for (int wait = 0; wait < 20; wait++) {
    if (waitpid(proxy, NULL, WNOHANG) != 0) return;
    if (wait == 5) kill(proxy, SIGTERM);
    uv_sleep(10);
  }
  kill(proxy, SIGKILL);
  waitpid(proxy, NULL, 0);
}

/* ---- through a jump host */

/* With the jump host's own error when it has one. */
static int fail_jump(dr_ssh_session *s) {
  dr__fail(&s->err, "ssh.jump", "%s cannot be reached through its jump host %s", s->config->alias,
           s->config->jump);
  dr__ssh_link_cause(s);
  const dr_err *cause = s->err.cause;
  dr__err_hint(&s->err, "%s",
               cause != NULL && cause->hint[0] != '\0'
                   ? cause->hint
                   : "check that the jump host can reach it, and allows TCP forwarding");
  return DR_FAILED;
}

/* Waits until the jump host has connected. Our own bound begins when the jump host itself is
 * reached, and anew when its connection was found dead and is made again. */
static int connect_jump(dr_ssh_session *s) {
  uint64_t bound = (uint64_t)s->config->connect_timeout_ms;
  s->stage = "connection from the jump host";
  s->timeout_hint = "check that the jump host can reach this host and its SSH port";
  s->deadline_ms = 0;
  s->fd = s->jump_fd;
  s->jump_fd = -1;
  while (true) {
    uv_mutex_lock(&s->pool->lock);
    dr_ssh_link_state state = s->link->state;
    uv_mutex_unlock(&s->pool->lock);
    if (state == DR_SSH_LINK_ENDED) return fail_jump(s);
    if (state == DR_SSH_LINK_WAITING) {
      s->deadline_ms = 0;
    } else if (s->deadline_ms == 0) {
      s->deadline_ms = dr__ssh_now_ms() + bound;
    }
    if (state == DR_SSH_LINK_OPEN) return DR_OK;
    if (dr__ssh_wait(s, NULL, 0, -1) != DR_OK) return DR_FAILED;
  }
}

int dr__ssh_socket(dr_ssh_session *s) {
  if (s->jump_fd >= 0) return connect_jump(s);
  if (s->config->proxy_command != NULL) return connect_proxy(s);
  return connect_tcp(s);
}
