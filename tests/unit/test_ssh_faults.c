/* test_ssh_faults.c - what goes wrong on the way to a host and while a command runs there: each
 * fault ends within its bound, with its own code and a hint. */
#include "ssh_fake_server.h"
#include "ssh_world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char host_key[128];

static int setup(void **state) {
  int rc = world_setup(state);
  snprintf(host_key, sizeof host_key, "%s/host_key", world.folder);
  return rc;
}

/* ---- connecting */

static void a_refused_port(void **state) {
  (void)state;
  world_open(NULL);
  dr_ssh_options options = world_options();
  options.port = world_free_port();
  host_fails(&options, "ssh.connect", 20, NULL);
  world_close();
}

static void a_name_without_address(void **state) {
  (void)state;
  world_open(NULL);
  dr_ssh_options options = world_options();
  options.host = "no-such-host.invalid";
  host_fails(&options, "ssh.resolve", 30, NULL);
  world_close();
}

static void a_host_that_accepts_and_says_nothing(void **state) {
  (void)state;
  world_open(NULL);
  dr_ssh_options options = world_options();
  int listener = world_listen(&options.port);
  options.connect_timeout = 0.5;
  host_fails(&options, "ssh.timeout", 20, "greeting", NULL);
  close(listener);
  world_close();
}

static void silent_hosts_do_not_hold_up_the_others(void **state) {
  (void)state;
  enum { COUNT = 40 };
  static ssh_command silent[COUNT];
  dr_transport *hosts[COUNT];
  world_open(NULL);
  dr_ssh_options options = world_options(), good = world_options();
  int listener = world_listen(&options.port);
  options.connect_timeout = 3;
  for (int i = 0; i < COUNT; i++) {
    hosts[i] = world_transport(&options);
    command_start(&silent[i], hosts[i], "true");
  }
  dr_transport *host = world_transport(&good);
  double began = world_now_ms();
  command_says(host, "echo here", "here\n", 0);
  assert_true(world_now_ms() - began < 2000);
  for (int i = 0; i < COUNT; i++) {
    command_wait(&silent[i], 60);
    assert_string_equal(silent[i].how.err.code, "ssh.timeout");
    command_free(&silent[i]);
    dr__transport_unref(hosts[i]);
  }
  dr__transport_unref(host);
  close(listener);
  world_close();
}

static void a_server_that_is_not_ssh(void **state) {
  (void)state;
  world_open(NULL);
  dr_ssh_options options = world_options();
  options.port = world_free_port();
  char port[16];
  snprintf(port, sizeof port, "%d", options.port);
  const char *argv[] = {
      "python3", "-c",
      "import socket,sys\n"
      "s=socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
      "s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen(8)\n"
      "while True:\n"
      "  c, _ = s.accept()\n"
      "  try: c.sendall(b'220 mail.example.com ESMTP\\r\\n'); c.recv(1000)\n"
      "  except OSError: pass\n"
      "  c.close()\n",
      port, NULL};
  pid_t pid = world_spawn(argv, options.port);
  host_fails(&options, "ssh.protocol", 20, NULL);
  world_kill(pid);
  world_close();
}

static void a_server_without_a_common_algorithm(void **state) {
  (void)state;
  world_open(NULL);
  ssh_server other = world_sshd("old", "KexAlgorithms sntrup761x25519-sha512@openssh.com");
  dr_ssh_options options = world_options();
  options.port = other.port;
  host_fails(&options, "ssh.protocol", 20, NULL);
  world_kill(other.pid);
  world_close();
}

/* ---- logins */

static void a_key_that_is_not_accepted(void **state) {
  (void)state;
  world_open(NULL);
  world_key("other_key", "ed25519");
  const char *identities[] = {world_path("other_key"), NULL};
  dr_ssh_options options = world_options();
  options.identities = identities;
  host_fails(&options, "ssh.auth", 20, "other_key", NULL);
  world_close();
}

static void a_key_file_that_is_missing_open_or_no_key(void **state) {
  (void)state;
  world_open(NULL);
  dr_ssh_options options = world_options();
  const char *open_key = world_file(0, "open_key", "x");
  chmod(open_key, 0644);
  const char *missing[] = {"/nonexistent/key", open_key, world_file(1, "no_key", "hello"), NULL};
  options.identities = missing;
  host_fails(&options, "ssh.auth", 30, "no such file", "others may read it", "not a private key",
             NULL);
  world_close();
}

static void locked_key(char *path, size_t size) {
  snprintf(path, size, "%s", world_path("locked"));
  if (access(path, F_OK) == 0) return;
  const char *copy[] = {"cp", world.key, path, NULL};
  assert_int_equal(world_run(copy), 0);
  const char *lock[] = {"ssh-keygen", "-q", "-p",          "-a", "2",  "-P",
                        "",           "-N", "open sesame", "-f", path, NULL};
  assert_int_equal(world_run(lock), 0);
}

static void a_passphrase_is_asked_for_once(void **state) {
  (void)state;
  enum { COUNT = 6 };
  ssh_command commands[COUNT] = {0};
  dr_transport *hosts[COUNT];
  char path[128];
  world_open("open sesame");
  locked_key(path, sizeof path);
  const char *identities[] = {path, NULL};
  dr_ssh_options options = world_options();
  options.identities = identities;
  for (int i = 0; i < COUNT; i++) {
    hosts[i] = world_transport(&options);
    command_start(&commands[i], hosts[i], "echo in");
  }
  for (int i = 0; i < COUNT; i++) {
    command_wait(&commands[i], 20);
    if (commands[i].how.err.code[0] != '\0') fail_msg("%s", commands[i].how.err.message);
    assert_string_equal(commands[i].out, "in\n");
    command_free(&commands[i]);
    dr__transport_unref(hosts[i]);
  }
  assert_int_equal(world_questions, 1);
  world_close();
}

static void a_locked_key_and_nobody_to_ask(void **state) {
  (void)state;
  char path[128];
  locked_key(path, sizeof path);
  const char *identities[] = {path, NULL};
  world_open(NULL);
  dr_ssh_options options = world_options();
  options.identities = identities;
  host_fails(&options, "ssh.auth", 30, "ssh-add", NULL);
  world_close();
  world_open("wrong");
  host_fails(&options, "ssh.auth", 30, NULL);
  assert_int_equal(world_questions, 3);
  world_close();
}

/* ---- a server that stops answering */

/* Options for a server of ours that misbehaves at this point; a person says yes to its host key. */
static dr_ssh_options fake_options(fake_point point, fake_server **server) {
  int port;
  char name[32];
  *server = fake_server_start(point, host_key, &port);
  world_open("yes");
  dr_ssh_options options = world_options();
  snprintf(name, sizeof name, "known_fake_%d", port);
  options.port = port;
  options.known_hosts = world_path(name);
  return options;
}

static void close_fake(fake_server *server, dr_transport *host, ssh_command *command) {
  command_free(command);
  dr__transport_unref(host);
  world_close();
  fake_server_stop(server);
}

static void silent_at(fake_point point, const char *code) {
  ssh_command command = {0};
  fake_server *server;
  dr_ssh_options options = fake_options(point, &server);
  options.connect_timeout = 1;
  options.keepalive_interval = 0.2;
  options.keepalive_count = 2;
  dr_transport *host = world_transport(&options);
  command_fails(&command, host, "true", code);
  assert_true(command.ms < 3000);
  command_free(&command);
  /* and the same cancelled */
  command_start(&command, host, "true");
  world_turn_ms(300);
  if (command.exits == 0) host->klass->cancel(command.exec);
  double began = world_now_ms();
  command_wait(&command, 4);
  assert_true(world_now_ms() - began < 3500);
  close_fake(server, host, &command);
}

static void a_server_that_never_answers_the_login(void **state) {
  (void)state;
  silent_at(FAKE_SILENT_LOGIN, "ssh.timeout");
}

static void a_server_that_never_opens_a_channel(void **state) {
  (void)state;
  silent_at(FAKE_SILENT_OPEN, "ssh.connection_lost");
}

static void a_server_that_never_starts_the_command(void **state) {
  (void)state;
  silent_at(FAKE_SILENT_EXEC, "ssh.connection_lost");
}

static void ends_at(fake_point point, const char *code, const char *output) {
  ssh_command command = {0};
  fake_server *server;
  dr_ssh_options options = fake_options(point, &server);
  dr_transport *host = world_transport(&options);
  command_fails(&command, host, "true", code);
  assert_string_equal(command.out == NULL ? "" : command.out, output);
  close_fake(server, host, &command);
}

static void a_lost_exit_status(void **state) {
  (void)state;
  ends_at(FAKE_NO_STATUS, "ssh.exit_status_lost", "some output\n");
}

static void a_refused_command(void **state) {
  (void)state;
  ends_at(FAKE_DENY, "ssh.channel", "");
}

/* A server that allows one session, which a lock holds: what waits behind it does not wait for
 * ever, and is told what it waits for when it is stopped before. */
static void a_place_that_a_lock_holds(void **state) {
  (void)state;
  ssh_command lock = {0}, stopped = {0}, waiting = {0};
  ssh_server narrow = world_sshd("crowded", "MaxSessions 1\n");
  world_open(NULL);
  dr_ssh_options options = world_options();
  options.port = narrow.port;
  dr_transport *host = world_transport(&options);
  command_start_held(&lock, host, "echo held; cat");
  while (lock.out_length == 0 && lock.exits == 0) uv_run(world.loop, UV_RUN_ONCE);
  command_start(&waiting, host, "true");
  command_start(&stopped, host, "true");
  world_turn_ms(300);
  host->klass->cancel(stopped.exec);
  command_wait(&stopped, 1);
  assert_string_equal(stopped.how.err.code, "cancelled");
  assert_true(stopped.how.not_begun);
  assert_non_null(strstr(stopped.how.err.message, "(MaxSessions): 1 lock"));
  command_wait(&waiting, 40);
  assert_string_equal(waiting.how.err.code, "ssh.channel");
  assert_non_null(strstr(waiting.how.err.message, "(MaxSessions): 1 lock"));
  assert_non_null(strstr(waiting.how.err.hint, "MaxSessions"));
  host->klass->cancel(lock.exec);
  command_wait(&lock, 5);
  assert_false(lock.how.not_begun);
  command_says(host, "echo free", "free\n", 0);
  command_free(&lock);
  command_free(&stopped);
  command_free(&waiting);
  dr__transport_unref(host);
  world_close();
  world_kill(narrow.pid);
}

/* Behind commands, which end, it waits as long as they take. */
static void a_place_that_a_command_holds(void **state) {
  (void)state;
  ssh_command first = {0}, second = {0};
  ssh_server narrow = world_sshd("busy", "MaxSessions 1\n");
  world_open(NULL);
  dr_ssh_options options = world_options();
  options.port = narrow.port;
  dr_transport *host = world_transport(&options);
  command_start(&first, host, "echo begun; sleep 33");
  while (first.out_length == 0 && first.exits == 0) uv_run(world.loop, UV_RUN_ONCE);
  command_start(&second, host, "echo second");
  command_wait(&second, 40);
  assert_string_equal(second.out, "second\n");
  command_free(&first);
  command_free(&second);
  dr__transport_unref(host);
  world_close();
  world_kill(narrow.pid);
}

/* ---- connections that end while a command runs */

static void ignore_signal(int number) {
  (void)number;
}

/* Ctrl-C at a terminal goes to the whole process group. */
static void an_interrupt_leaves_the_proxy_command(void **state) {
  (void)state;
  char config[512];
  pid_t group = getpgrp();
  world_open(NULL);
  dr_ssh_options options = world_options();
  snprintf(
      config, sizeof config,
      "Host *\n  ProxyCommand ssh -F none -i %s -o UserKnownHostsFile=%s -p %d -W %%h:%%p %s\n",
      world.key, world.known_hosts, options.port, options.host);
  options.config = world_file(0, "by_proxy", config);
  dr_transport *host = world_transport(&options);
  assert_int_equal(setpgid(0, 0), 0);
  void (*before)(int) = signal(SIGINT, ignore_signal);
  pid_t server = world_serving(host);
  assert_int_equal(kill(0, SIGINT), 0);
  world_turn_ms(200);
  assert_int_equal(world_serving(host), server);
  signal(SIGINT, before);
  setpgid(0, group);
  dr__transport_unref(host);
  world_close();
}

/* Starts a command that tells the process id of its server and stays. */
static pid_t start_long(ssh_command *command, dr_transport *host) {
  command_start(command, host, "echo $PPID; sleep 60");
  while (command->out_length == 0 && command->exits == 0) uv_run(world.loop, UV_RUN_ONCE);
  assert_int_equal(command->exits, 0);
  return (pid_t)strtol(command->out, NULL, 10);
}

static void a_killed_server(void **state) {
  (void)state;
  ssh_command command = {0};
  world_open(NULL);
  dr_ssh_options options = world_options();
  dr_transport *host = world_transport(&options);
  kill(start_long(&command, host), SIGKILL);
  double began = world_now_ms();
  command_wait(&command, 5);
  assert_string_equal(command.how.err.code, "ssh.connection_lost");
  assert_int_equal(command.how.status, -1);
  assert_true(world_now_ms() - began < 1000);
  command_free(&command);
  dr__transport_unref(host);
  world_close();
}

static void a_frozen_server(void **state) {
  (void)state;
  ssh_command command = {0}, other = {0};
  world_open(NULL);
  dr_ssh_options options = world_options();
  options.keepalive_interval = 0.3;
  options.keepalive_count = 2;
  dr_transport *host = world_transport(&options);
  pid_t server = start_long(&command, host);
  kill(server, SIGSTOP);
  double began = world_now_ms();
  command_wait(&command, 5);
  assert_string_equal(command.how.err.code, "ssh.connection_lost");
  assert_true(world_now_ms() - began < 2000);
  kill(server, SIGKILL);
  command_free(&command);
  server = start_long(&command, host); /* a new connection */
  kill(server, SIGSTOP);
  host->klass->cancel(command.exec); /* cancelling needs no answer */
  command_wait(&command, 5);
  assert_string_equal(command.how.err.code, "ssh.connection_lost");
  assert_non_null(strstr(command.how.err.hint, "still be running"));
  kill(server, SIGKILL);
  command_free(&command);
  command_free(&other);
  dr__transport_unref(host);
  world_close();
}

/* After a command that was given up, the next one finds a connection on which nobody answers. */
static void the_next_command_on_a_frozen_server(void **state) {
  (void)state;
  ssh_command command = {0};
  world_open(NULL);
  dr_ssh_options options = world_options();
  options.config =
      world_file(0, "no_keepalive", "Host *\n  ServerAliveInterval 0\n  ServerAliveCountMax 1\n");
  dr_transport *host = world_transport(&options);
  pid_t server = start_long(&command, host);
  kill(server, SIGSTOP);
  host->klass->cancel(command.exec);
  command_wait(&command, 5);
  assert_string_equal(command.how.err.code, "command.stuck");
  command_free(&command);
  command_says(host, "echo again", "again\n", 0); /* within 30 s, over a new connection */
  kill(server, SIGKILL);
  dr__transport_unref(host);
  world_close();
}

static void a_server_that_answers_keepalives_is_left_alone(void **state) {
  (void)state;
  ssh_command command = {0};
  world_open(NULL);
  dr_ssh_options options = world_options();
  options.keepalive_interval = 0.1;
  options.keepalive_count = 2;
  dr_transport *host = world_transport(&options);
  command_start(&command, host, "sleep 2; echo slept");
  command_wait(&command, 10);
  assert_string_equal(command.how.err.code, "");
  assert_string_equal(command.out, "slept\n");
  command_free(&command);
  dr__transport_unref(host);
  world_close();
}

/* ---- cancelling at each wait */

static void cancelling_works_at_every_moment(void **state) {
  (void)state;
  world_open(NULL);
  dr_ssh_options options = world_options();
  for (int step = 0; step < 40; step++) {
    ssh_command command = {0};
    dr_transport *host = world_transport(&options);
    command_start(&command, host, "sleep 0.01");
    if (step > 0) world_turn_ms(step * 1.5);
    if (command.exits == 0) host->klass->cancel(command.exec);
    command_wait(&command, 5);
    assert_true(command.how.err.code[0] == '\0' || strcmp(command.how.err.code, "cancelled") == 0);
    command_free(&command);
    dr__transport_unref(host);
  }
  world_close();
}

static void cancelling_a_connection_that_hangs(void **state) {
  (void)state;
  ssh_command command = {0};
  world_open(NULL);
  dr_ssh_options options = world_options();
  int listener = world_listen(&options.port);
  dr_transport *host = world_transport(&options);
  for (int turn = 0; turn < 3; turn++) {
    command_start(&command, host, "true");
    world_turn_ms(turn * 250);
    host->klass->cancel(command.exec);
    double began = world_now_ms();
    command_wait(&command, 5);
    assert_true(world_now_ms() - began < 100);
    assert_string_equal(command.how.err.code, "cancelled");
    command_free(&command);
  }
  dr__transport_unref(host);
  close(listener);
  world_close();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_refused_port),
      cmocka_unit_test(a_name_without_address),
      cmocka_unit_test(a_host_that_accepts_and_says_nothing),
      cmocka_unit_test(silent_hosts_do_not_hold_up_the_others),
      cmocka_unit_test(a_server_that_is_not_ssh),
      cmocka_unit_test(a_server_without_a_common_algorithm),
      cmocka_unit_test(a_key_that_is_not_accepted),
      cmocka_unit_test(a_key_file_that_is_missing_open_or_no_key),
      cmocka_unit_test(a_passphrase_is_asked_for_once),
      cmocka_unit_test(a_locked_key_and_nobody_to_ask),
      cmocka_unit_test(a_server_that_never_answers_the_login),
      cmocka_unit_test(a_server_that_never_opens_a_channel),
      cmocka_unit_test(a_server_that_never_starts_the_command),
      cmocka_unit_test(a_lost_exit_status),
      cmocka_unit_test(a_refused_command),
      cmocka_unit_test(a_place_that_a_lock_holds),
      cmocka_unit_test(a_place_that_a_command_holds),
      cmocka_unit_test(an_interrupt_leaves_the_proxy_command),
      cmocka_unit_test(a_killed_server),
      cmocka_unit_test(a_frozen_server),
      cmocka_unit_test(the_next_command_on_a_frozen_server),
      cmocka_unit_test(a_server_that_answers_keepalives_is_left_alone),
      cmocka_unit_test(cancelling_works_at_every_moment),
      cmocka_unit_test(cancelling_a_connection_that_hangs),
  };
  return cmocka_run_group_tests_name("ssh_faults", tests, setup, world_teardown);
}
