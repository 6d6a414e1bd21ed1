/* test_ssh_turns.c - whose turn it is to connect: servers that turn connections away, and dead
 * hosts among those that live. */
#include "ssh_world.h"

#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* It may only be busy: it is asked again, but not for ever. */
static void a_server_that_closes_at_once(void **state) {
  (void)state;
  ssh_command command = {0};
  int asked = 0;
  world_open(NULL);
  dr_ssh_options options = world_options();
  int listener = world_listen(&options.port);
  dr_transport *host = world_transport(&options);
  command_start(&command, host, "true");
  double until = world_now_ms() + 20000;
  while (command.exits == 0 && world_now_ms() < until) {
    struct pollfd set = {.fd = listener, .events = POLLIN};
    if (poll(&set, 1, 5) > 0) {
      close(accept(listener, NULL, NULL));
      asked++;
    }
    world_turn_ms(1);
  }
  assert_int_equal(asked, 6);
  assert_string_equal(command.how.err.code, "ssh.connect");
  assert_non_null(strstr(command.how.err.message, "(6 attempts)"));
  command_free(&command);
  dr__transport_unref(host);
  close(listener);
  world_close();
}

/* Six at a time where two are let in: those that are dropped come again. */
static void a_server_with_too_many_connections(void **state) {
  (void)state;
  enum { COUNT = 6 };
  static ssh_command commands[COUNT];
  dr_transport *hosts[COUNT];
  world_open(NULL);
  ssh_server other = world_sshd("narrow", "MaxStartups 2:100:2");
  dr_ssh_options options = world_options();
  options.port = other.port;
  for (int i = 0; i < COUNT; i++) {
    hosts[i] = world_transport(&options);
    command_start(&commands[i], hosts[i], "true");
  }
  for (int i = 0; i < COUNT; i++) {
    command_wait(&commands[i], 20);
    if (commands[i].how.err.code[0] != '\0') fail_msg("%s", commands[i].how.err.message);
    dr__transport_unref(hosts[i]);
    command_free(&commands[i]);
  }
  world_kill(other.pid);
  world_close();
}

static void count_exits(const ssh_command *commands, int from, int to, int *ended) {
  *ended = 0;
  for (int i = from; i < to; i++) *ended += commands[i].exits;
}

/* More dead hosts than may be set up at a time, asked first: half accept and stay silent, half
 * never answer at all because their queue is full. Those that live are done before any of them. */
static void dead_hosts_do_not_hold_up_the_others(void **state) {
  (void)state;
  enum { DEAD = 40, ALL = 44 };
  static ssh_command commands[ALL];
  dr_transport *hosts[ALL];
  int silent_port, full_port, fill[4], dead = 0, alive = 0;
  int silent = world_listen(&silent_port), full = world_listen(&full_port);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)full_port)};
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  listen(full, 0);
  for (int i = 0; i < 4; i++) {
    fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    (void)!connect(fill[i], (struct sockaddr *)&at, sizeof at);
  }
  world_open(NULL);
  for (int i = 0; i < ALL; i++) {
    dr_ssh_options options = world_options();
    if (i < DEAD) options.port = i % 2 ? silent_port : full_port;
    options.connect_timeout = i < DEAD ? 6 : 60;
    hosts[i] = world_transport(&options);
    command_start(&commands[i], hosts[i], "true");
  }
  for (double until = world_now_ms() + 60000; alive < ALL - DEAD && world_now_ms() < until;) {
    world_turn_ms(5);
    count_exits(commands, DEAD, ALL, &alive);
    count_exits(commands, 0, DEAD, &dead);
  }
  assert_int_equal(alive, ALL - DEAD);
  assert_int_equal(dead, 0);
  for (int i = DEAD; i < ALL; i++) assert_string_equal(commands[i].how.err.code, "");
  for (int i = 0; i < DEAD; i++) hosts[i]->klass->cancel(commands[i].exec);
  for (int i = 0; i < ALL; i++) {
    command_wait(&commands[i], 20);
    dr__transport_unref(hosts[i]);
    command_free(&commands[i]);
  }
  for (int i = 0; i < 4; i++) close(fill[i]);
  close(silent);
  close(full);
  world_close();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_server_that_closes_at_once),
      cmocka_unit_test(a_server_with_too_many_connections),
      cmocka_unit_test(dead_hosts_do_not_hold_up_the_others),
  };
  return cmocka_run_group_tests_name("ssh_turns", tests, world_setup, world_teardown);
}
