/* test_ssh_shell.c - the login shell between sshd and a command: one that prints text of its own,
 * one that is no POSIX shell, and one that does not run the command at all.
 *
 * ForceCommand puts the shell there, so that no account has to be changed. */
#include "ssh_world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *const noisy = "ForceCommand echo Welcome; echo; printf 'to \\036deployrun'; "
                                 "exec sh -c \"$SSH_ORIGINAL_COMMAND\"";

static dr_ssh_options behind(ssh_server *server, const char *name, const char *line) {
  *server = world_sshd(name, line);
  dr_ssh_options options = world_options();
  options.port = server->port;
  return options;
}

/* What a command may be made of, through this shell. */
static void does_it_all(const char *name, const char *line) {
  ssh_server server;
  ssh_command command = {0};
  dr_ssh_options options = behind(&server, name, line);
  world_open(NULL);
  dr_transport *host = world_transport(&options);
  command_says(host, "true", "", 0);
  command_says(host, "echo in", "in\n", 0);
  command_says(host, "exit 7", "", 7);
  command_says(host,
               "printf '%s\\n' 'it'\"'\"'s' \"a\\\\b\" '!x !!' '%b{a,b}*' \"\xC3\xA9\"\necho $0 $#",
               "it's\na\\b\n!x !!\n%b{a,b}*\n\xC3\xA9\n/bin/sh 0\n", 0);
  json_t *env = json_pack("{s:s}", "A", "x'y\\z\n!w ");
  char folder[200], expected[300];
  snprintf(folder, sizeof folder, "%s/it's \\ a!", world.folder);
  const char *make[] = {"mkdir", "-p", folder, NULL};
  assert_int_equal(world_run(make), 0);
  snprintf(expected, sizeof expected, "x'y\\z\n!w |%s\n", folder);
  command_start_in(&command, host, "printf '%s|' \"$A\"; pwd", folder, env);
  command_wait(&command, 20);
  assert_string_equal(command.out, expected);
  command_free(&command);
  json_decref(env);
  command_start_input(&command, host, "cat", "\0\1\377\n", 4);
  command_wait(&command, 20);
  assert_int_equal(command.out_length, 4);
  assert_memory_equal(command.out, "\0\1\377\n", 4);
  command_free(&command);
  command_start(&command, host, "echo $$\nexec sleep 3600");
  while (command.out_length == 0 && command.exits == 0) uv_run(world.loop, UV_RUN_ONCE);
  pid_t remote = (pid_t)strtol(command.out, NULL, 10);
  host->klass->cancel(command.exec);
  command_wait(&command, 10);
  assert_string_equal(command.how.err.code, "cancelled");
  assert_int_equal(kill(remote, 0), -1);
  command_free(&command);
  dr__transport_unref(host);
  world_close();
  world_kill(server.pid);
}

static void text_of_a_start_file_is_passed_over(void **state) {
  (void)state;
  does_it_all("noisy", noisy);
}

static void through(const char *shell) {
  char line[160];
  snprintf(line, sizeof line, "ForceCommand exec %s -c \"$SSH_ORIGINAL_COMMAND\"", shell);
  does_it_all(shell, line);
}

static void a_csh_is_a_login_shell_too(void **state) {
  (void)state;
  through("tcsh");
}

static void a_fish_is_a_login_shell_too(void **state) {
  (void)state;
  through("fish");
}

static void output_larger_than_the_room_follows_noise(void **state) {
  (void)state;
  ssh_server server;
  ssh_command command = {0};
  dr_ssh_options options = behind(&server, "loud",
                                  "ForceCommand head -c 3000000 /dev/zero; "
                                  "exec sh -c \"$SSH_ORIGINAL_COMMAND\"");
  world_open(NULL);
  dr_transport *host = world_transport(&options);
  command.discard = true;
  command_start(&command, host, "head -c 5000000 /dev/zero");
  command_wait(&command, 30);
  assert_int_equal(command.out_length, 5000000);
  command_free(&command);
  dr__transport_unref(host);
  world_close();
  world_kill(server.pid);
}

static bool has_five(void *data) {
  char bytes[5];
  return recv(*(int *)data, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT) == 5;
}

static void a_tunnel_to_a_command_passes_over_it(void **state) {
  (void)state;
  ssh_server server;
  dr_ssh_tunnel *tunnel;
  dr_err err = DR_ERR_INIT;
  char bytes[8] = "";
  dr_ssh_options options = behind(&server, "noisy_tunnel", noisy);
  dr_ssh_tunnel_spec spec = {.kind = DR_SSH_TUNNEL_COMMAND, .command = "cat"};
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  world_open(NULL);
  dr_transport *host = world_transport(&options);
  assert_int_equal(dr__ssh_tunnel_open(&tunnel, host, &spec, &err), DR_OK);
  snprintf(at.sun_path, sizeof at.sun_path, "%s", dr__ssh_tunnel_path(tunnel));
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
  assert_int_equal(send(fd, "hello", 5, MSG_NOSIGNAL), 5);
  world_turn_until(has_five, &fd, 10);
  assert_true(recv(fd, bytes, sizeof bytes - 1, MSG_DONTWAIT) > 0);
  assert_string_equal(bytes, "hello");
  close(fd);
  dr__ssh_tunnel_close(tunnel);
  dr__transport_unref(host);
  world_close();
  world_kill(server.pid);
}

/* What ran in its place must not be taken for the command. */
static void a_shell_that_does_not_run_the_command(void **state) {
  (void)state;
  static const struct {
    const char *line, *said;
  } shells[] = {{"ForceCommand echo This account is not available.; exit 1",
                 "\"This account is not available.\" and ended with status 1"},
                {"ForceCommand exit 0", "\"\" and ended with status 0"}};
  for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
    ssh_server server;
    ssh_command command = {0};
    dr_ssh_options options = behind(&server, "none", shells[i].line);
    world_open(NULL);
    host_fails(&options, "ssh.login_shell", 20, shells[i].said, "ForceCommand", NULL);
    dr_transport *host = world_transport(&options);
    command_start(&command, host, "echo in");
    command_wait(&command, 20);
    assert_int_equal(command.out_length, 0);
    command_free(&command);
    dr__transport_unref(host);
    world_close();
    world_kill(server.pid);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(text_of_a_start_file_is_passed_over),
      cmocka_unit_test(a_csh_is_a_login_shell_too),
      cmocka_unit_test(a_fish_is_a_login_shell_too),
      cmocka_unit_test(output_larger_than_the_room_follows_noise),
      cmocka_unit_test(a_tunnel_to_a_command_passes_over_it),
      cmocka_unit_test(a_shell_that_does_not_run_the_command),
  };
  return cmocka_run_group_tests_name("ssh_shell", tests, world_setup, world_teardown);
}
