/* test_ssh_tunnel.c - streams over a connection: tunnels to ports, sockets and commands; and hosts
 * behind jump hosts. */
#include "ssh_world.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- a service behind the host that says back what it hears, on a port and on a socket */

static pid_t echo_pid;
static int echo_port;
static char echo_path[128];

static const char echo_service[] =
    "import asyncio, sys\n"
    "async def echo(reader, writer):\n"
    "  while True:\n"
    "    data = await reader.read(65536)\n"
    "    if not data: break\n"
    "    writer.write(data)\n"
    "    await writer.drain()\n"
    "  writer.close()\n"
    "async def main():\n"
    "  a = await asyncio.start_unix_server(echo, sys.argv[2])\n"
    "  b = await asyncio.start_server(echo, '127.0.0.1', int(sys.argv[1]))\n"
    "  await asyncio.gather(a.serve_forever(), b.serve_forever())\n"
    "asyncio.run(main())\n";

static int setup(void **state) {
  char port[16];
  world_setup(state);
  echo_port = world_free_port();
  snprintf(port, sizeof port, "%d", echo_port);
  snprintf(echo_path, sizeof echo_path, "%s/echo", world.folder);
  const char *argv[] = {"python3", "-c", echo_service, port, echo_path, NULL};
  echo_pid = world_spawn(argv, echo_port);
  return 0;
}

static int teardown(void **state) {
  world_kill(echo_pid);
  return world_teardown(state);
}

static int dial(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

/* A client that sends `length` bytes of a pattern and reads them back, driven along with the loop.
 */
typedef struct client {
  int fd;
  size_t length, sent, received;
  bool closed, wrong;
  unsigned seed;
} client;

static char pattern(const client *c, size_t at) {
  return (char)((at * 2654435761u + c->seed) >> 11);
}

static void client_turn(client *c) {
  char bytes[16384];
  if (c->sent < c->length) {
    size_t size = c->length - c->sent < sizeof bytes ? c->length - c->sent : sizeof bytes;
    for (size_t i = 0; i < size; i++) bytes[i] = pattern(c, c->sent + i);
    ssize_t sent = send(c->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) c->sent += (size_t)sent;
    if (c->sent == c->length) shutdown(c->fd, SHUT_WR);
  }
  ssize_t got = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
  for (ssize_t i = 0; i < got; i++) {
    if (bytes[i] != pattern(c, c->received + (size_t)i)) c->wrong = true;
  }
  if (got > 0) c->received += (size_t)got;
  if (got == 0 || (got < 0 && errno != EAGAIN)) c->closed = true;
}

typedef struct clients {
  client *all;
  int count;
} clients;

static bool all_closed(void *data) {
  clients *group = data;
  bool closed = true;
  for (int i = 0; i < group->count; i++) {
    for (int turn = 0; turn < 8 && !group->all[i].closed; turn++) client_turn(&group->all[i]);
    closed = closed && group->all[i].closed;
  }
  return closed;
}

/* Sends a pattern through `count` connections at once and checks what comes back. */
static void echo_through(const char *path, int count, size_t length) {
  client *all = calloc((size_t)count, sizeof *all);
  clients group = {.all = all, .count = count};
  for (int i = 0; i < count; i++) {
    all[i] = (client){.fd = dial(path), .length = length, .seed = (unsigned)i * 7919u};
    assert_true(all[i].fd >= 0);
  }
  world_turn_until(all_closed, &group, 30);
  for (int i = 0; i < count; i++) {
    if (all[i].received != length) fail_msg("%d: %zu of %zu", i, all[i].received, length);
    assert_false(all[i].wrong);
    close(all[i].fd);
  }
  free(all);
}

static dr_ssh_tunnel *open_tunnel(dr_transport *host, dr_ssh_tunnel_spec spec) {
  dr_err err = DR_ERR_INIT;
  dr_ssh_tunnel *tunnel;
  if (dr__ssh_tunnel_open(&tunnel, host, &spec, &err) != DR_OK) fail_msg("%s", err.message);
  return tunnel;
}

static void carries(dr_ssh_tunnel_spec spec) {
  world_open(NULL);
  dr_ssh_options options = world_options();
  dr_transport *host = world_transport(&options);
  dr_ssh_tunnel *tunnel = open_tunnel(host, spec);
  echo_through(dr__ssh_tunnel_path(tunnel), 1, 5);
  echo_through(dr__ssh_tunnel_path(tunnel), 1, 5 << 20);
  echo_through(dr__ssh_tunnel_path(tunnel), 8, 300000);
  assert_string_equal(dr__ssh_tunnel_error(tunnel)->code, "");
  command_says(host, "echo the connection is free", "the connection is free\n", 0);
  dr__ssh_tunnel_close(tunnel);
  dr__transport_unref(host);
  world_close();
}

static dr_ssh_tunnel_spec to_echo(void) {
  return (dr_ssh_tunnel_spec){.kind = DR_SSH_TUNNEL_TCP, .host = "127.0.0.1", .port = echo_port};
}

static void a_tunnel_reaches_a_port(void **state) {
  (void)state;
  carries(to_echo());
}

static void a_tunnel_reaches_a_socket(void **state) {
  (void)state;
  carries((dr_ssh_tunnel_spec){.kind = DR_SSH_TUNNEL_UNIX, .path = echo_path});
}

static void a_tunnel_reaches_a_command(void **state) {
  (void)state;
  carries((dr_ssh_tunnel_spec){.kind = DR_SSH_TUNNEL_COMMAND, .command = "exec cat"});
}

static void many_streams_at_once(void **state) {
  (void)state;
  world_open(NULL);
  dr_ssh_options options = world_options();
  dr_transport *host = world_transport(&options);
  dr_ssh_tunnel *tunnel = open_tunnel(host, to_echo());
  echo_through(dr__ssh_tunnel_path(tunnel), 60, 20000);
  dr__ssh_tunnel_close(tunnel);
  dr__transport_unref(host);
  world_close();
}

static void the_socket_is_private_and_goes_with_the_tunnel(void **state) {
  (void)state;
  struct stat info;
  char path[128], folder[128];
  world_open(NULL);
  dr_ssh_options options = world_options();
  dr_transport *host = world_transport(&options);
  dr_ssh_tunnel *tunnel = open_tunnel(
      host,
      (dr_ssh_tunnel_spec){.kind = DR_SSH_TUNNEL_UNIX, .path = echo_path, .name = ".s.PGSQL.5432"});
  snprintf(path, sizeof path, "%s", dr__ssh_tunnel_path(tunnel));
  snprintf(folder, sizeof folder, "%s", dr__ssh_tunnel_folder(tunnel));
  assert_int_equal(stat(folder, &info), 0);
  assert_int_equal(info.st_mode & 0777, 0700);
  assert_string_equal(strrchr(path, '/'), "/.s.PGSQL.5432");
  int fd = dial(path);
  world_turn_ms(200);
  dr__ssh_tunnel_close(tunnel);
  assert_int_equal(stat(folder, &info), -1);
  world_turn_ms(100);
  char byte;
  assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
  close(fd);
  dr__transport_unref(host);
  world_close();
}

static void a_tunnel_ends_with_its_pool(void **state) {
  (void)state;
  struct stat info;
  char folder[128];
  world_open(NULL);
  dr_ssh_options options = world_options();
  dr_transport *host = world_transport(&options);
  dr_ssh_tunnel *tunnel =
      open_tunnel(host, (dr_ssh_tunnel_spec){.kind = DR_SSH_TUNNEL_UNIX, .path = echo_path});
  snprintf(folder, sizeof folder, "%s", dr__ssh_tunnel_folder(tunnel));
  int fd = dial(dr__ssh_tunnel_path(tunnel));
  world_turn_ms(200);
  dr__ssh_pool_close(world.pool);
  world.pool = NULL;
  assert_int_equal(stat(folder, &info), -1);
  dr__ssh_tunnel_close(tunnel);
  dr__transport_unref(host);
  close(fd);
  world_close();
}

static void fails_to(dr_ssh_tunnel_spec spec, const char *text) {
  client one = {.length = 5};
  clients group = {.all = &one, .count = 1};
  world_open(NULL);
  dr_ssh_options options = world_options();
  dr_transport *host = world_transport(&options);
  dr_ssh_tunnel *tunnel = open_tunnel(host, spec);
  one.fd = dial(dr__ssh_tunnel_path(tunnel));
  world_turn_until(all_closed, &group, 10);
  assert_true(one.closed);
  world_turn_ms(50);
  const dr_err *err = dr__ssh_tunnel_error(tunnel);
  print_message("%s: %s\n  -> %s\n", err->code, err->message, err->hint);
  assert_string_equal(err->code, "ssh.channel");
  assert_non_null(strstr(err->message, text));
  close(one.fd);
  dr__ssh_tunnel_close(tunnel);
  dr__transport_unref(host);
  world_close();
}

static void a_failed_stream_says_why(void **state) {
  (void)state;
  fails_to((dr_ssh_tunnel_spec){.kind = DR_SSH_TUNNEL_TCP,
                                .host = "127.0.0.1",
                                .port = world_free_port()},
           "onnect");
  fails_to((dr_ssh_tunnel_spec){.kind = DR_SSH_TUNNEL_UNIX, .path = "/nonexistent/socket"},
           "/nonexistent/socket");
  fails_to((dr_ssh_tunnel_spec){.kind = DR_SSH_TUNNEL_COMMAND,
                                .command = "echo permission denied >&2; exit 1"},
           "permission denied");
}

static void a_client_that_leaves_ends_its_stream(void **state) {
  (void)state;
  world_open(NULL);
  dr_ssh_options options = world_options();
  char stream[64], gone[160];
  snprintf(stream, sizeof stream, "exec yes tunnel-%d", (int)getpid());
  snprintf(gone, sizeof gone,
           "for i in $(seq 50); do pgrep -f '^yes tunnel-%d$' || exit 0; sleep 0.1; done; exit 1",
           (int)getpid());
  dr_transport *host = world_transport(&options);
  dr_ssh_tunnel *tunnel =
      open_tunnel(host, (dr_ssh_tunnel_spec){.kind = DR_SSH_TUNNEL_COMMAND, .command = stream});
  for (int i = 0; i < 15; i++) { /* more than MaxSessions: each must make room for the next */
    int fd = dial(dr__ssh_tunnel_path(tunnel));
    world_turn_ms(60);
    close(fd);
  }
  ssh_command look = {0};
  command_start(&look, host, gone);
  command_wait(&look, 10);
  assert_int_equal(look.how.status, 0);
  command_free(&look);
  assert_string_equal(dr__ssh_tunnel_error(tunnel)->code, "");
  dr__ssh_tunnel_close(tunnel);
  dr__transport_unref(host);
  world_close();
}

static void a_tunnel_outlives_a_lost_connection(void **state) {
  (void)state;
  world_open(NULL);
  dr_ssh_options options = world_options();
  dr_transport *host = world_transport(&options);
  dr_ssh_tunnel *tunnel = open_tunnel(host, to_echo());
  echo_through(dr__ssh_tunnel_path(tunnel), 1, 1000);
  kill(world_serving(host), SIGKILL);
  echo_through(dr__ssh_tunnel_path(tunnel), 2, 1000);
  dr__ssh_tunnel_close(tunnel);
  dr__transport_unref(host);
  world_close();
}

/* ---- jump hosts */

/* A configuration with a bastion and a host behind it, and what else the test needs. */
static const char *jump_config(int bastion_port, const char *more) {
  char text[2048];
  snprintf(text, sizeof text,
           "Host bastion\n  HostName 127.0.0.1\n  Port %d\n"
           "Host inner\n  HostName localhost\n  Port %d\n  ProxyJump bastion\n"
           "Host innermost\n  HostName 127.0.0.1\n  Port %d\n  ProxyJump bastion,inner\n"
           "%s\n"
           "Host *\n  User %s\n  IdentityFile %s\n  UserKnownHostsFile %s\n",
           bastion_port, world.sshd.port, world.sshd.port, more, world.user, world.key,
           world.known_hosts);
  return world_file(0, "jump_config", text);
}

static void a_host_behind_jump_hosts(void **state) {
  (void)state;
  ssh_server bastion = world_sshd("bastion", "PermitUserEnvironment no");
  world_open(NULL);
  dr_ssh_options options = {.host = "inner", .config = jump_config(bastion.port, "")};
  dr_transport *inner = world_transport(&options);
  command_says(inner, "exit 3", "", 3);
  options.host = "innermost";
  dr_transport *innermost = world_transport(&options);
  ssh_command command = {.discard = true};
  command_start(&command, innermost, "head -c 5242880 /dev/zero");
  command_wait(&command, 30);
  assert_string_equal(command.how.err.code, "");
  assert_int_equal(command.out_length, 5 << 20);
  command_free(&command);
  for (int i = 0; i < 5; i++) command_says(innermost, "echo again", "again\n", 0);
  dr__transport_unref(innermost);
  dr__transport_unref(inner);
  world_close();
  world_kill(bastion.pid);
}

static void a_jump_host_that_cannot_be_reached(void **state) {
  (void)state;
  ssh_command command = {0};
  world_open(NULL);
  dr_ssh_options options = {.host = "inner", .config = jump_config(world_free_port(), "")};
  dr_transport *inner = world_transport(&options);
  command_fails(&command, inner, "true", "ssh.jump");
  assert_string_equal(command.how.err.cause->code, "ssh.connect");
  assert_true(command.ms < 1000);
  command_free(&command);
  dr__transport_unref(inner);
  options = (dr_ssh_options){.host = "nowhere",
                             .config = jump_config(world.sshd.port, "Host nowhere\n"
                                                                    "  HostName 127.0.0.1\n"
                                                                    "  Port 1\n"
                                                                    "  ProxyJump bastion\n")};
  inner = world_transport(&options);
  command_fails(&command, inner, "true", "ssh.jump");
  assert_string_equal(command.how.err.cause->code, "ssh.channel");
  command_free(&command);
  dr__transport_unref(inner);
  world_close();
}

static void a_jump_host_that_says_nothing(void **state) {
  (void)state;
  ssh_command command = {0};
  int port, listener = world_listen(&port);
  world_open(NULL);
  dr_ssh_options options = {
      .host = "inner", .config = jump_config(port, ""), .connect_timeout = 0.4};
  dr_transport *inner = world_transport(&options);
  command_fails(&command, inner, "true", "ssh.jump");
  assert_string_equal(command.how.err.cause->code, "ssh.timeout");
  assert_true(command.ms < 1500);
  command_free(&command);
  command_start(&command, inner, "true");
  world_turn_ms(100);
  inner->klass->cancel(command.exec);
  command_wait(&command, 1);
  assert_string_equal(command.how.err.code, "cancelled");
  command_free(&command);
  dr__transport_unref(inner);
  close(listener);
  world_close();
}

/* What the host behind it says then; it is reached again over new connections. */
static void bastion_dies_before(const char *name) {
  ssh_command command = {0};
  char pid[16];
  ssh_server bastion = world_sshd("bastion", "");
  world_open(NULL);
  dr_ssh_options options = {.host = name, .config = jump_config(bastion.port, "")};
  dr_transport *inner = world_transport(&options);
  command_start(&command, inner, "echo up; sleep 60");
  while (command.out_length == 0 && command.exits == 0) uv_run(world.loop, UV_RUN_ONCE);
  snprintf(pid, sizeof pid, "%d", (int)bastion.pid);
  const char *kill_sessions[] = {"pkill", "-KILL", "-P", pid, NULL};
  assert_int_equal(world_run(kill_sessions), 0);
  command_wait(&command, 5);
  print_message("%s: %s\n", command.how.err.code, command.how.err.message);
  assert_string_equal(command.how.err.code, "ssh.connection_lost");
  assert_non_null(strstr(command.how.err.message, "bastion"));
  command_free(&command);
  command_says(inner, "echo up again", "up again\n", 0);
  dr__transport_unref(inner);
  world_close();
  world_kill(bastion.pid);
}

static void a_jump_host_that_dies(void **state) {
  (void)state;
  bastion_dies_before("inner");
}

static void the_first_of_several_jump_hosts_dies(void **state) {
  (void)state;
  bastion_dies_before("innermost");
}

static void cancelling_works_at_every_moment_behind_a_jump_host(void **state) {
  (void)state;
  world_open(NULL);
  dr_ssh_options options = {.host = "inner", .config = jump_config(world.sshd.port, "")};
  for (int step = 0; step < 30; step++) {
    ssh_command command = {0};
    dr_transport *inner = world_transport(&options);
    command_start(&command, inner, "sleep 0.01");
    if (step > 0) world_turn_ms(step * 3);
    if (command.exits == 0) inner->klass->cancel(command.exec);
    command_wait(&command, 5);
    assert_true(command.how.err.code[0] == '\0' || strcmp(command.how.err.code, "cancelled") == 0);
    command_free(&command);
    dr__transport_unref(inner);
  }
  world_close();
}

static void a_proxy_command(void **state) {
  (void)state;
  char more[512];
  ssh_command command = {0};
  world_open(NULL);
  snprintf(more, sizeof more,
           "Host proxied\n  Port %d\n  HostName 127.0.0.1\n"
           "  ProxyCommand /usr/sbin/sshd -i -f %s/sshd.conf %%%%h\n"
           "Host broken\n  Port %d\n  ProxyCommand echo %%h:%%p >%s/proxy; exit 1\n",
           world.sshd.port, world.folder, world.sshd.port, world.folder);
  char *percent = strstr(more, " %%h");
  if (percent != NULL) memset(percent, ' ', 4);
  dr_ssh_options options = {.host = "proxied", .config = jump_config(1, more)};
  dr_transport *proxied = world_transport(&options);
  command_says(proxied, "exit 4", "", 4);
  dr__transport_unref(proxied);
  options.host = "broken";
  dr_transport *broken = world_transport(&options);
  command_fails(&command, broken, "true", "ssh.connect");
  command_free(&command);
  dr__transport_unref(broken);
  world_close();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_tunnel_reaches_a_port),
      cmocka_unit_test(a_tunnel_reaches_a_socket),
      cmocka_unit_test(a_tunnel_reaches_a_command),
      cmocka_unit_test(many_streams_at_once),
      cmocka_unit_test(the_socket_is_private_and_goes_with_the_tunnel),
      cmocka_unit_test(a_tunnel_ends_with_its_pool),
      cmocka_unit_test(a_failed_stream_says_why),
      cmocka_unit_test(a_client_that_leaves_ends_its_stream),
      cmocka_unit_test(a_tunnel_outlives_a_lost_connection),
      cmocka_unit_test(a_host_behind_jump_hosts),
      cmocka_unit_test(a_jump_host_that_cannot_be_reached),
      cmocka_unit_test(a_jump_host_that_says_nothing),
      cmocka_unit_test(a_jump_host_that_dies),
      cmocka_unit_test(the_first_of_several_jump_hosts_dies),
      cmocka_unit_test(cancelling_works_at_every_moment_behind_a_jump_host),
      cmocka_unit_test(a_proxy_command),
  };
  return cmocka_run_group_tests_name("ssh_tunnel", tests, setup, teardown);
}
