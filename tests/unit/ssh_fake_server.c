/* ssh_fake_server.c - see ssh_fake_server.h. */
/* The server side hands a password over by a call that libssh would rather see as a callback. */
#define SSH_SUPPRESS_DEPRECATED

#include "ssh_fake_server.h"

#include <arpa/inet.h>
#include <libssh/libssh.h>
#include <libssh/server.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* What each command's output begins with. */
#define MARK "\036deployrun\037"

struct fake_server {
  fake_point point;
  int listen_fd;
  ssh_bind bind;
  pthread_t thread;
  atomic_bool stop;
};

/* Waits without answering until told to stop or the client has gone. */
static void be_silent(fake_server *server, ssh_session session) {
  char bytes[4096];
  struct pollfd set = {.fd = ssh_get_fd(session), .events = POLLIN};
  while (!server->stop) {
    if (poll(&set, 1, 20) > 0 && recv(set.fd, bytes, sizeof bytes, MSG_DONTWAIT) == 0) return;
  }
}

/* True when the message asks for this; others are refused. */
static bool is(ssh_message message, int type) {
  return message != NULL && ssh_message_type(message) == type;
}

static ssh_message next_message(ssh_session session, int type) {
  ssh_message message;
  while ((message = ssh_message_get(session)) != NULL && !is(message, type)) {
    ssh_message_reply_default(message);
    ssh_message_free(message);
  }
  return message;
}

static bool is_password(const char *text) {
  return text != NULL && strcmp(text, "open sesame") == 0;
}

/* Answers one attempt to log in with a password; true when it is right. */
static bool check_password(ssh_message message) {
  if (ssh_message_subtype(message) == SSH_AUTH_METHOD_PASSWORD &&
      is_password(ssh_message_auth_password(message))) {
    return true;
  }
  ssh_message_auth_set_methods(message, SSH_AUTH_METHOD_PASSWORD);
  ssh_message_reply_default(message);
  return false;
}

static bool check_interactive(ssh_session session, ssh_message message) {
  const char *prompts[] = {"Password: ", "Code: "};
  char echo[] = {0, 1};
  if (ssh_message_subtype(message) == SSH_AUTH_METHOD_INTERACTIVE) {
    if (!ssh_message_auth_kbdint_is_response(message)) {
      ssh_message_auth_interactive_request(message, "", "", 2, prompts, echo);
      return false;
    }
    if (ssh_userauth_kbdint_getnanswers(session) == 2 &&
        is_password(ssh_userauth_kbdint_getanswer(session, 0)) &&
        is_password(ssh_userauth_kbdint_getanswer(session, 1))) {
      return true;
    }
  }
  ssh_message_auth_set_methods(message, SSH_AUTH_METHOD_INTERACTIVE);
  ssh_message_reply_default(message);
  return false;
}

static bool accept_login(fake_server *server, ssh_session session) {
  ssh_message message = next_message(session, SSH_REQUEST_SERVICE);
  if (message == NULL) return false;
  ssh_message_service_reply_success(message);
  ssh_message_free(message);
  for (int attempt = 0; attempt < 10; attempt++) {
    message = next_message(session, SSH_REQUEST_AUTH);
    if (message == NULL) return false;
    bool right = server->point == FAKE_PASSWORD      ? check_password(message)
                 : server->point == FAKE_INTERACTIVE ? check_interactive(session, message)
                                                     : true;
    if (right) ssh_message_auth_reply_success(message, 0);
    ssh_message_free(message);
    if (right) return true;
  }
  return false;
}

static void run_command(ssh_session session, ssh_channel channel, ssh_message message) {
  ssh_message_channel_request_reply_success(message);
  ssh_channel_write(channel, MARK "in\n", sizeof MARK - 1 + 3);
  ssh_channel_request_send_exit_status(channel, 0);
  ssh_channel_send_eof(channel);
  ssh_channel_close(channel);
  ssh_blocking_flush(session, 1000);
}

static void end_without_status(ssh_session session, ssh_channel channel, ssh_message message) {
  ssh_message_channel_request_reply_success(message);
  ssh_channel_write(channel, MARK "some output\n", sizeof MARK - 1 + 12);
  ssh_channel_send_eof(channel);
  ssh_channel_close(channel);
  ssh_blocking_flush(session, 1000);
}

static void serve(fake_server *server, ssh_session session) {
  if (server->point == FAKE_SILENT_LOGIN) {
    be_silent(server, session);
    return;
  }
  if (!accept_login(server, session)) return;
  if (server->point == FAKE_SILENT_OPEN) {
    be_silent(server, session);
    return;
  }
  ssh_message message = next_message(session, SSH_REQUEST_CHANNEL_OPEN);
  ssh_channel channel =
      message == NULL ? NULL : ssh_message_channel_request_open_reply_accept(message);
  ssh_message_free(message);
  if (channel == NULL) return;
  if (server->point == FAKE_SILENT_EXEC) {
    be_silent(server, session);
    return;
  }
  message = next_message(session, SSH_REQUEST_CHANNEL);
  if (message == NULL) return;
  if (server->point == FAKE_DENY) ssh_message_reply_default(message);
  if (server->point == FAKE_NO_STATUS) end_without_status(session, channel, message);
  if (server->point >= FAKE_PASSWORD) run_command(session, channel, message);
  ssh_message_free(message);
  be_silent(server, session);
}

static void *run(void *data) {
  fake_server *server = data;
  while (!server->stop) {
    struct pollfd set = {.fd = server->listen_fd, .events = POLLIN};
    if (poll(&set, 1, 20) <= 0) continue;
    ssh_session session = ssh_new();
    if (ssh_bind_accept(server->bind, session) == SSH_OK) {
      ssh_set_blocking(session, 1);
      long seconds = 3;
      ssh_options_set(session, SSH_OPTIONS_TIMEOUT, &seconds);
      if (ssh_handle_key_exchange(session) == SSH_OK) serve(server, session);
    }
    ssh_disconnect(session);
    ssh_free(session);
  }
  return NULL;
}

fake_server *fake_server_start(fake_point point, const char *host_key, int *port) {
  fake_server *server = calloc(1, sizeof *server);
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t size = sizeof address;
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  server->point = point;
  server->bind = ssh_bind_new();
  bool no = false;
  ssh_bind_options_set(server->bind, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no);
  assert_int_equal(ssh_bind_options_set(server->bind, SSH_BIND_OPTIONS_HOSTKEY, host_key), 0);
  ssh_bind_options_set(server->bind, SSH_BIND_OPTIONS_BINDADDR, "127.0.0.1");
  int any = 0;
  ssh_bind_options_set(server->bind, SSH_BIND_OPTIONS_BINDPORT, &any);
  assert_int_equal(ssh_bind_listen(server->bind), SSH_OK);
  server->listen_fd = ssh_bind_get_fd(server->bind);
  assert_int_equal(getsockname(server->listen_fd, (struct sockaddr *)&address, &size), 0);
  *port = ntohs(address.sin_port);
  assert_int_equal(pthread_create(&server->thread, NULL, run, server), 0);
  return server;
}

void fake_server_stop(fake_server *server) {
  server->stop = true;
  pthread_join(server->thread, NULL);
  ssh_bind_free(server->bind);
  free(server);
}
