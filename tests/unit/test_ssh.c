/* test_ssh.c - commands over SSH on a real sshd: output, input, ends, sharing and ending of
 * connections. */
#include "ssh_world.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MEGABYTE = 1 << 20 };

static dr_transport *open_host(void) {
  world_open(NULL);
  dr_ssh_options options = world_options();
  return world_transport(&options);
}

static void close_host(dr_transport *transport) {
  dr__transport_unref(transport);
  world_close();
}

/* ---- ends */

static void a_command_ends_with_its_status(void **state) {
  (void)state;
  dr_transport *host = open_host();
  command_says(host, "true", "", 0);
  command_says(host, "exit 7", "", 7);
  command_says(host, "exit 255", "", 255);
  command_says(host, "no-such-program 2>/dev/null", "", 127);
  close_host(host);
}

static void a_signal_is_told_apart_from_a_status(void **state) {
  (void)state;
  ssh_command command = {0};
  dr_transport *host = open_host();
  command_start(&command, host, "kill -9 $$");
  command_wait(&command, 20);
  assert_string_equal(command.how.err.code, "");
  assert_string_equal(command.how.signal, "KILL");
  assert_int_equal(command.how.status, -1);
  command_free(&command);
  close_host(host);
}

static void output_and_errors_are_two_streams(void **state) {
  (void)state;
  ssh_command command = {0};
  dr_transport *host = open_host();
  command_start(&command, host, "echo out; echo err >&2; echo out again");
  command_wait(&command, 20);
  assert_string_equal(command.out, "out\nout again\n");
  assert_string_equal(command.err_out, "err\n");
  command_free(&command);
  close_host(host);
}

static void folder_and_environment_are_set(void **state) {
  (void)state;
  ssh_command command = {0};
  dr_transport *host = open_host();
  json_t *env = json_pack("{s:s}", "GREETING", "it's \"here\" $HOME");
  command_start_in(&command, host, "pwd; echo \"$GREETING\"", "/usr", env);
  command_wait(&command, 20);
  assert_string_equal(command.out, "/usr\nit's \"here\" $HOME\n");
  json_decref(env);
  command_free(&command);
  close_host(host);
}

/* ---- much, and binary */

static void much_output_arrives_whole(void **state) {
  (void)state;
  ssh_command command = {0};
  dr_transport *host = open_host();
  command_start(
      &command, host,
      "i=0; while [ $i -lt 10 ]; do head -c 1048576 /dev/zero | tr '\\0' $i; i=$((i+1)); done");
  command_wait(&command, 60);
  assert_int_equal(command.how.status, 0);
  assert_int_equal(command.out_length, 10 * MEGABYTE);
  for (size_t i = 0; i < command.out_length; i++) {
    if (command.out[i] != (char)('0' + i / MEGABYTE)) fail_msg("byte %zu is wrong", i);
  }
  command_free(&command);
  command.discard = true;
  command_start(&command, host, "head -c 104857600 /dev/zero");
  command_wait(&command, 120);
  assert_int_equal(command.out_length, 100 * MEGABYTE);
  print_message("100 MiB of output: %.0f ms\n", command.ms);
  command_free(&command);
  close_host(host);
}

static void every_byte_value_passes_both_ways(void **state) {
  (void)state;
  ssh_command command = {0};
  dr_transport *host = open_host();
  char bytes[256 * 17];
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)(i * 7 / 3);
  command_start_input(&command, host, "cat", bytes, sizeof bytes);
  command_wait(&command, 20);
  assert_int_equal(command.out_length, sizeof bytes);
  assert_memory_equal(command.out, bytes, sizeof bytes);
  command_free(&command);
  close_host(host);
}

static void much_input_comes_back_while_it_is_sent(void **state) {
  (void)state;
  ssh_command command = {0};
  size_t length = 20 * MEGABYTE;
  char *bytes = malloc(length);
  for (size_t i = 0; i < length; i++) bytes[i] = (char)(i * 2654435761u >> 13);
  dr_transport *host = open_host();
  command_start_input(&command, host, "cat", bytes, length);
  command_wait(&command, 60);
  print_message("20 MiB there and back: %.0f ms\n", command.ms);
  assert_int_equal(command.how.status, 0);
  assert_int_equal(command.out_length, length);
  assert_memory_equal(command.out, bytes, length);
  command_free(&command);
  command_start_input(&command, host, "head -c 5; exec 0<&-; exit 3", bytes, length);
  command_wait(&command, 20);
  assert_int_equal(command.out_length, 5);
  assert_int_equal(command.how.status, 3);
  command_free(&command);
  free(bytes);
  close_host(host);
}

static void without_input_the_command_reads_its_end(void **state) {
  (void)state;
  dr_transport *host = open_host();
  command_says(host, "cat; echo done", "done\n", 0);
  close_host(host);
}

static void a_terminal_is_there_on_request_only(void **state) {
  (void)state;
  ssh_command command = {0};
  dr_transport *host = open_host();
  command_says(host, "test -t 1 && echo terminal || echo none", "none\n", 0);
  command_start_pty(&command, host, "test -t 1 && test -t 0 && cat && echo terminal");
  command_wait(&command, 20);
  assert_string_equal(command.out, "terminal\r\n");
  command_free(&command);
  close_host(host);
}

/* ---- sharing */

static void commands_at_once_share_one_connection(void **state) {
  (void)state;
  enum { COUNT = 40 }; /* more than the server's MaxSessions of 10 */
  ssh_command commands[COUNT] = {0};
  dr_transport *host = open_host();
  for (int i = 0; i < COUNT; i++) {
    command_start(&commands[i], host, "echo $SSH_CONNECTION; sleep 0.05");
  }
  for (int i = 0; i < COUNT; i++) {
    command_wait(&commands[i], 30);
    if (commands[i].how.err.code[0] != '\0') fail_msg("%d: %s", i, commands[i].how.err.message);
    assert_int_equal(commands[i].how.status, 0);
    assert_string_equal(commands[i].out, commands[0].out);
  }
  for (int i = 0; i < COUNT; i++) command_free(&commands[i]);
  close_host(host);
}

/* What is opened ahead takes no place from the commands it is for. */
static void a_prepared_host_runs_what_one_that_is_not_runs(void **state) {
  (void)state;
  enum { COUNT = 6 };
  ssh_command commands[COUNT] = {0};
  ssh_server narrow = world_sshd("narrow", "MaxSessions 1\n");
  world_open(NULL);
  dr_ssh_options options = world_options();
  options.port = narrow.port;
  dr_transport *host = world_transport(&options);
  host->klass->prepare(host); /* there is no connection yet */
  command_says(host, "echo first", "first\n", 0);
  for (int i = 0; i < COUNT; i++) {
    host->klass->prepare(host);
    command_start(&commands[i], host, "sleep 0.02; echo $SSH_CONNECTION");
  }
  for (int i = 0; i < COUNT; i++) {
    command_wait(&commands[i], 30);
    assert_string_equal(commands[i].how.err.message, "");
    assert_string_equal(commands[i].out, commands[0].out);
  }
  for (int i = 0; i < COUNT; i++) command_free(&commands[i]);
  host->klass->prepare(host);
  host->klass->prepare(host);
  command_says(host, "echo last", "last\n", 0);
  close_host(host);
  world_kill(narrow.pid);
}

static void a_silent_command_does_not_hold_up_a_busy_one(void **state) {
  (void)state;
  ssh_command silent = {0}, busy = {.discard = true};
  dr_transport *host = open_host();
  command_start(&silent, host, "sleep 60");
  command_start(&busy, host, "head -c 20971520 /dev/zero");
  command_wait(&busy, 20);
  assert_int_equal(busy.out_length, 20 * MEGABYTE);
  assert_int_equal(silent.exits, 0);
  host->klass->cancel(silent.exec);
  command_wait(&silent, 5);
  assert_string_equal(silent.how.err.code, "cancelled");
  command_free(&silent);
  command_free(&busy);
  close_host(host);
}

static void memory_stays_bounded_while_the_loop_is_away(void **state) {
  (void)state;
  ssh_command command = {.discard = true};
  dr_transport *host = open_host();
  command_says(host, "true", "", 0);
  command_start(&command, host, "head -c 67108864 /dev/zero; echo sent >&2");
  usleep(700000); /* the loop does not turn */
  uv_run(world.loop, UV_RUN_NOWAIT);
  if (command.out_length > MEGABYTE) fail_msg("%zu bytes were held", command.out_length);
  command_wait(&command, 30);
  assert_int_equal(command.out_length, 64 * MEGABYTE);
  command_free(&command);
  close_host(host);
}

static void the_loop_ends_when_no_command_is_left(void **state) {
  (void)state;
  ssh_command command = {0};
  dr_transport *host = open_host();
  command_start(&command, host, "true");
  uv_run(world.loop, UV_RUN_DEFAULT); /* returns only when nothing keeps the loop alive */
  assert_int_equal(command.exits, 1);
  command_free(&command);
  close_host(host);
}

/* ---- connections */

static void ipv6_and_names_are_reached(void **state) {
  (void)state;
  world_open(NULL);
  dr_ssh_options options = world_options();
  options.host = "::1";
  dr_transport *six = world_transport(&options);
  command_says(six, "echo ${SSH_CONNECTION%% *}", "::1\n", 0);
  options.host = "localhost";
  dr_transport *name = world_transport(&options);
  command_says(name, "echo hello", "hello\n", 0);
  dr__transport_unref(six);
  dr__transport_unref(name);
  world_close();
}

static void the_next_command_connects_again(void **state) {
  (void)state;
  dr_transport *host = open_host();
  assert_int_equal(kill(world_serving(host), SIGKILL), 0);
  host->klass->prepare(host);
  command_says(host, "echo again", "again\n", 0); /* perhaps before the end was noticed */
  world_turn_ms(50);
  command_says(host, "echo and again", "and again\n", 0);
  close_host(host);
}

static void a_frozen_connection_that_was_idle_is_made_again(void **state) {
  (void)state;
  world_open(NULL);
  dr_ssh_options options = world_options();
  options.keepalive_interval = 0.2;
  options.keepalive_count = 2;
  dr_transport *host = world_transport(&options);
  pid_t server = world_serving(host);
  kill(server, SIGSTOP);
  command_says(host, "echo again", "again\n", 0);
  kill(server, SIGKILL);
  close_host(host);
}

static void a_pool_closes_with_commands_under_way(void **state) {
  (void)state;
  ssh_command running = {0}, starting = {0};
  world_open(NULL);
  dr_ssh_options options = world_options();
  dr_transport *host = world_transport(&options);
  command_says(host, "true", "", 0);
  command_start(&running, host, "sleep 60");
  world_turn_ms(100);
  dr_transport *other = world_transport(&options);
  command_start(&starting, other, "sleep 60");
  double began = world_now_ms();
  dr__ssh_pool_close(world.pool);
  assert_true(world_now_ms() - began < 1000);
  assert_int_equal(running.exits + starting.exits, 2);
  assert_string_equal(running.how.err.code, "cancelled");
  assert_string_equal(starting.how.err.code, "cancelled");
  dr_err err = DR_ERR_INIT;
  dr_exec *exec;
  dr_exec_request request = {.argv = json_pack("[s]", "true")};
  assert_int_not_equal(host->klass->exec(host, &request, &exec, &err), DR_OK);
  json_decref(request.argv);
  dr_err_clear(&err);
  dr__transport_unref(host);
  dr__transport_unref(other);
  command_free(&running);
  command_free(&starting);
  world.pool = NULL;
  world_close();
}

/* ---- cancelling a command */

static void cancelling_ends_the_remote_command(void **state) {
  (void)state;
  ssh_command command = {0};
  dr_transport *host = open_host();
  command_start(&command, host, "echo $$; exec sleep 3600");
  while (command.out_length == 0) uv_run(world.loop, UV_RUN_ONCE);
  pid_t remote = (pid_t)strtol(command.out, NULL, 10);
  double began = world_now_ms();
  host->klass->cancel(command.exec);
  assert_int_equal(command.exits, 0);
  command_wait(&command, 5);
  assert_true(world_now_ms() - began < 1000);
  assert_string_equal(command.how.err.code, "cancelled");
  assert_int_equal(kill(remote, 0), -1);
  command_says(host, "echo the connection stays", "the connection stays\n", 0);
  command_free(&command);
  close_host(host);
}

static void a_command_that_ignores_term_is_killed(void **state) {
  (void)state;
  ssh_command command = {0};
  dr_transport *host = open_host();
  command_start(&command, host, "trap '' TERM; echo ready; while :; do sleep 0.1; done");
  while (command.out_length == 0) uv_run(world.loop, UV_RUN_ONCE);
  host->klass->cancel(command.exec);
  command_wait(&command, 5);
  assert_string_equal(command.how.err.code, "cancelled");
  command_free(&command);
  close_host(host);
}

/* ---- many hosts */

static void many_hosts_at_once(void **state) {
  (void)state;
  enum { COUNT = 64 };
  static ssh_command commands[COUNT];
  dr_transport *hosts[COUNT];
  world_open(NULL);
  double began = world_now_ms();
  for (int i = 0; i < COUNT; i++) {
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1");
    dr_ssh_options options = world_options();
    options.host = address;
    hosts[i] = world_transport(&options);
    command_start(&commands[i], hosts[i], "true");
  }
  for (int i = 0; i < COUNT; i++) {
    command_wait(&commands[i], 60);
    if (commands[i].how.err.code[0] != '\0') fail_msg("%s", commands[i].how.err.message);
  }
  print_message("64 hosts: %.0f ms\n", world_now_ms() - began);
  for (int i = 0; i < COUNT; i++) {
    dr__transport_unref(hosts[i]);
    command_free(&commands[i]);
  }
  world_close();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_command_ends_with_its_status),
      cmocka_unit_test(a_signal_is_told_apart_from_a_status),
      cmocka_unit_test(output_and_errors_are_two_streams),
      cmocka_unit_test(folder_and_environment_are_set),
      cmocka_unit_test(much_output_arrives_whole),
      cmocka_unit_test(every_byte_value_passes_both_ways),
      cmocka_unit_test(much_input_comes_back_while_it_is_sent),
      cmocka_unit_test(without_input_the_command_reads_its_end),
      cmocka_unit_test(a_terminal_is_there_on_request_only),
      cmocka_unit_test(commands_at_once_share_one_connection),
      cmocka_unit_test(a_prepared_host_runs_what_one_that_is_not_runs),
      cmocka_unit_test(a_silent_command_does_not_hold_up_a_busy_one),
      cmocka_unit_test(memory_stays_bounded_while_the_loop_is_away),
      cmocka_unit_test(the_loop_ends_when_no_command_is_left),
      cmocka_unit_test(ipv6_and_names_are_reached),
      cmocka_unit_test(the_next_command_connects_again),
      cmocka_unit_test(a_frozen_connection_that_was_idle_is_made_again),
      cmocka_unit_test(a_pool_closes_with_commands_under_way),
      cmocka_unit_test(cancelling_ends_the_remote_command),
      cmocka_unit_test(a_command_that_ignores_term_is_killed),
      cmocka_unit_test(many_hosts_at_once),
  };
  return cmocka_run_group_tests_name("ssh", tests, world_setup, world_teardown);
}
