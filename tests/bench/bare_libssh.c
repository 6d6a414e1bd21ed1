/* bare_libssh.c - the least that libssh can do the benchmark's work in: one thread a host and
 * nothing of what deployrun is for. No plan, no journal, no configuration, no look at the host key.
 * The limit that deployrun is measured against.
 *
 *   bare_libssh run COUNT COMMAND USER PORT KEY HOST...   the command COUNT times on one connection
 * to each host bare_libssh put LOCAL REMOTE USER PORT KEY HOST...    the file, through `cat >
 * REMOTE`
 *
 * What makes it quick is what makes deployrun quick (docs/decisions/0005): TCP_NODELAY,
 * TCP_QUICKACK while a reply is awaited, the key offered with its signature at once, a bounded
 * number of connections being set up at a time. */
#include <fcntl.h>
#include <libssh/libssh.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SETUPS = 16, MOST_HOSTS = 256, BLOCK = 128 << 10 };
static char **words; /* run|put, COUNT|LOCAL, COMMAND|REMOTE, USER, PORT, KEY */
static ssh_key key;
static sem_t setups;

static void die(ssh_session ssh, const char *what) {
  fprintf(stderr, "bare_libssh: %s: %s\n", what, ssh ? ssh_get_error(ssh) : "");
  exit(1);
}

/* Sleeps until the server has said something, with its reply not held back by our delayed ACK. */
static void wait_for_reply(ssh_session ssh) {
  struct pollfd fd = {.fd = ssh_get_fd(ssh), .events = POLLIN};
  if (ssh_get_poll_flags(ssh) & SSH_WRITE_PENDING) fd.events |= POLLOUT;
  setsockopt(fd.fd, IPPROTO_TCP, TCP_QUICKACK, &(int){1}, sizeof(int));
  if (poll(&fd, 1, 60000) == 0) die(ssh, "no reply within 60 s");
}

/* Repeats a call until it no longer says that it would have to wait. */
#define UNTIL_DONE(call, again, good)                                                              \
  do {                                                                                             \
    int rc_;                                                                                       \
    while ((rc_ = (call)) == (again)) wait_for_reply(ssh);                                         \
    if (rc_ != (good)) die(ssh, #call);                                                            \
  } while (0)

static ssh_session log_in(const char *host) {
  ssh_session ssh = ssh_new();
  unsigned port = (unsigned)strtoul(words[4], NULL, 10);
  if (!ssh) die(NULL, "no memory");
  ssh_options_set(ssh, SSH_OPTIONS_PROCESS_CONFIG, &(int){0});
  ssh_options_set(ssh, SSH_OPTIONS_HOST, host);
  ssh_options_set(ssh, SSH_OPTIONS_USER, words[3]);
  ssh_options_set(ssh, SSH_OPTIONS_PORT, &port);
  ssh_options_set(ssh, SSH_OPTIONS_NODELAY, &(int){1});
  ssh_set_blocking(ssh, 0);
  sem_wait(&setups);
  UNTIL_DONE(ssh_connect(ssh), SSH_AGAIN, SSH_OK);
  UNTIL_DONE(ssh_userauth_publickey(ssh, NULL, key), SSH_AUTH_AGAIN, SSH_AUTH_SUCCESS);
  sem_post(&setups);
  return ssh;
}

static ssh_channel begin(ssh_session ssh, const char *command) {
  ssh_channel channel = ssh_channel_new(ssh);
  UNTIL_DONE(ssh_channel_open_session(channel), SSH_AGAIN, SSH_OK);
  UNTIL_DONE(ssh_channel_request_exec(channel, command), SSH_AGAIN, SSH_OK);
  return channel;
}

/* Waits for the command's end, which must be a good one. */
static void end(ssh_session ssh, ssh_channel channel) {
  int status;
  while ((status = ssh_channel_get_exit_status(channel)) < 0 && !ssh_channel_is_closed(channel))
    wait_for_reply(ssh);
  if (status != 0) die(ssh, "the command failed");
  ssh_channel_free(channel);
}

static void put(ssh_session ssh, const char *local, const char *remote) {
  static char block[BLOCK]; /* one host only, so one thread */
  char command[4200];
  ssize_t length;
  int file = open(local, O_RDONLY | O_CLOEXEC);
  if (file < 0) die(NULL, local);
  snprintf(command, sizeof command, "cat >%s", remote);
  ssh_channel channel = begin(ssh, command);
  ssh_set_blocking(ssh, 1);
  while ((length = read(file, block, sizeof block)) > 0)
    if (ssh_channel_write(channel, block, (uint32_t)length) != length) die(ssh, "write");
  ssh_channel_send_eof(channel);
  ssh_set_blocking(ssh, 0);
  end(ssh, channel);
  close(file);
}

static void *work(void *host) {
  ssh_session ssh = log_in(host);
  if (strcmp(words[0], "put") == 0)
    put(ssh, words[1], words[2]);
  else
    for (long i = strtol(words[1], NULL, 10); i > 0; i--) end(ssh, begin(ssh, words[2]));
  ssh_disconnect(ssh);
  ssh_free(ssh);
  return NULL;
}

int main(int argc, char **argv) {
  pthread_t threads[MOST_HOSTS];
  int hosts = argc - 7;
  words = argv + 1;
  if (hosts < 1 || hosts > MOST_HOSTS || (strcmp(words[0], "put") == 0 && hosts > 1)) {
    fprintf(stderr,
            "usage: bare_libssh run COUNT COMMAND | put LOCAL REMOTE, USER PORT KEY HOST...\n");
    return 2;
  }
  sem_init(&setups, 0, SETUPS);
  if (ssh_init() != SSH_OK ||
      ssh_pki_import_privkey_file(words[5], NULL, NULL, NULL, &key) != SSH_OK)
    die(NULL, "no key");
  for (int i = 0; i < hosts; i++)
    if (pthread_create(&threads[i], NULL, work, argv[7 + i]) != 0) die(NULL, "no thread");
  for (int i = 0; i < hosts; i++) pthread_join(threads[i], NULL);
  ssh_key_free(key);
  return 0;
}
