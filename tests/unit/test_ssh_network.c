/* test_ssh_network.c - a network that goes dark without a word, in a namespace of its own; and
 * dropbear, the other kind of server. Both need root; without it the tests are skipped. */
#include "ssh_world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- a host behind a cable that can be cut */

static char space[32], device[16], address[32];
static pid_t far_sshd;
static int far_port;

static int shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int shell(const char *format, ...) {
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  const char *argv[] = {"sh", "-ec", line, NULL};
  return world_run(argv);
}

static bool make_cable(void) {
  int number = (int)(getpid() % 250);
  snprintf(space, sizeof space, "deployrun-test-%d", number);
  snprintf(device, sizeof device, "drtest%d", number);
  snprintf(address, sizeof address, "10.213.%d.2", number);
  return getuid() == 0 &&
         shell("ip netns add %s\n"
               "ip link add %s type veth peer name far netns %s\n"
               "ip addr add 10.213.%d.1/30 dev %s\n"
               "ip link set %s up\n"
               "ip -n %s addr add %s/30 dev far\n"
               "ip -n %s link set far up\n"
               "ip -n %s link set lo up\n",
               space, device, space, number, device, device, space, address, space, space) == 0;
}

static void cut(bool off) {
  assert_int_equal(
      shell("for chain in INPUT OUTPUT; do ip netns exec %s iptables -%c $chain -j DROP; done",
            space, off ? 'A' : 'D'),
      0);
}

static void start_far_sshd(void) {
  char text[1024], line[512];
  far_port = world_free_port();
  snprintf(text, sizeof text,
           "Port %d\nHostKey %s/host_key\nPidFile none\nAuthorizedKeysFile %s/key.pub\n"
           "PermitRootLogin yes\nStrictModes no\nUsePAM no\nUseDNS no\nSetEnv HOME=%s\n",
           far_port, world.folder, world.folder, world.folder);
  const char *config = world_file(3, "far.conf", text);
  const char *argv[] = {"ip", "netns", "exec", space,  "/usr/sbin/sshd",
                        "-D", "-e",    "-f",   config, NULL};
  far_sshd = world_spawn(argv, 0);
  snprintf(line, sizeof line, "printf '[%s]:%d ' >>%s; cut -d' ' -f1,2 %s/host_key.pub >>%s",
           address, far_port, world.known_hosts, world.folder, world.known_hosts);
  assert_int_equal(shell("%s", line), 0);
  assert_int_equal(shell("for i in $(seq 100); do\n"
                         "  ssh-keyscan -T 1 -p %d %s 2>/dev/null | grep -q . && exit 0\n"
                         "  sleep 0.05\n"
                         "done\n"
                         "exit 1",
                         far_port, address),
                   0);
}

static dr_ssh_options far_options(void) {
  dr_ssh_options options = world_options();
  options.host = address;
  options.port = far_port;
  options.keepalive_interval = 0.3;
  options.keepalive_count = 2;
  return options;
}

static int setup(void **state) {
  world_setup(state);
  if (!make_cable()) {
    space[0] = '\0';
    return 0;
  }
  start_far_sshd();
  return 0;
}

static int teardown(void **state) {
  world_kill(far_sshd);
  /* Sessions whose network went dark wait for ever. */
  if (space[0] != '\0')
    shell("ip netns pids %s | xargs -r kill -KILL; ip netns del %s", space, space);
  return world_teardown(state);
}

static void a_cut_while_a_command_runs(void **state) {
  (void)state;
  ssh_command command = {0};
  if (space[0] == '\0') skip();
  world_open(NULL);
  dr_ssh_options options = far_options();
  dr_transport *host = world_transport(&options);
  command_start(&command, host, "echo started; sleep 60");
  while (command.out_length == 0 && command.exits == 0) uv_run(world.loop, UV_RUN_ONCE);
  cut(true);
  double began = world_now_ms();
  command_wait(&command, 5);
  assert_string_equal(command.how.err.code, "ssh.connection_lost");
  assert_true(world_now_ms() - began < 2000);
  command_free(&command);
  options.connect_timeout = 1;
  dr_transport *other = world_transport(&options);
  command_fails(&command, other, "true", "ssh.timeout"); /* nor can it be reached anew */
  assert_true(command.ms < 4000);
  command_free(&command);
  dr__transport_unref(other);
  cut(false);
  command_says(host, "echo back", "back\n", 0);
  dr__transport_unref(host);
  world_close();
}

static void a_cut_in_the_middle_of_output_and_input(void **state) {
  (void)state;
  ssh_command output = {.discard = true}, input = {.discard = true};
  size_t length = 64 << 20;
  char *bytes = calloc(1, length);
  if (space[0] == '\0') skip();
  world_open(NULL);
  dr_ssh_options options = far_options();
  dr_transport *host = world_transport(&options);
  command_says(host, "true", "", 0);
  command_start(&output, host, "cat /dev/zero");
  command_start_input(&input, host, "cat >/dev/null; sleep 60", bytes, length);
  world_turn_ms(100);
  cut(true);
  double began = world_now_ms();
  command_wait(&output, 5);
  command_wait(&input, 5);
  assert_true(world_now_ms() - began < 2500);
  assert_string_equal(output.how.err.code, "ssh.connection_lost");
  assert_string_equal(input.how.err.code, "ssh.connection_lost");
  cut(false);
  command_free(&output);
  command_free(&input);
  free(bytes);
  dr__transport_unref(host);
  world_close();
}

/* A client of a tunnel: what it has heard. */
typedef struct caller {
  int fd;
  char heard[8];
  bool ended;
} caller;

static caller call_through(const dr_ssh_tunnel *tunnel) {
  caller c = {.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  snprintf(at.sun_path, sizeof at.sun_path, "%s", dr__ssh_tunnel_path(tunnel));
  assert_int_equal(connect(c.fd, (struct sockaddr *)&at, sizeof at), 0);
  assert_int_equal(send(c.fd, "hello", 5, MSG_NOSIGNAL), 5);
  return c;
}

static bool has_heard(void *data) {
  caller *c = data;
  size_t have = strlen(c->heard);
  ssize_t got = recv(c->fd, c->heard + have, sizeof c->heard - 1 - have, MSG_DONTWAIT);
  c->ended = got == 0;
  return c->ended || strlen(c->heard) == 5;
}

static bool has_ended(void *data) {
  char byte;
  return recv(((caller *)data)->fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static void a_cut_in_the_middle_of_a_tunnel(void **state) {
  (void)state;
  dr_ssh_tunnel *tunnel;
  dr_err err = DR_ERR_INIT;
  dr_ssh_tunnel_spec spec = {.kind = DR_SSH_TUNNEL_COMMAND, .command = "exec cat"};
  if (space[0] == '\0') skip();
  world_open(NULL);
  dr_ssh_options options = far_options();
  dr_transport *host = world_transport(&options);
  assert_int_equal(dr__ssh_tunnel_open(&tunnel, host, &spec, &err), DR_OK);
  for (int turn = 0; turn < 2; turn++) { /* the second one is over a new connection */
    caller c = call_through(tunnel);
    world_turn_until(has_heard, &c, 10);
    assert_string_equal(c.heard, "hello");
    cut(true);
    assert_int_equal(send(c.fd, "more", 4, MSG_NOSIGNAL), 4);
    double began = world_now_ms();
    world_turn_until(has_ended, &c, 10);
    assert_true(has_ended(&c));
    assert_true(world_now_ms() - began < 5000);
    assert_string_equal(dr__ssh_tunnel_error(tunnel)->code, "ssh.connection_lost");
    cut(false);
    close(c.fd);
  }
  dr__ssh_tunnel_close(tunnel);
  dr__transport_unref(host);
  world_close();
}

static void cancelling_across_a_cut(void **state) {
  (void)state;
  ssh_command command = {0};
  if (space[0] == '\0') skip();
  world_open(NULL);
  dr_ssh_options options = far_options();
  options.keepalive_interval = 60;
  dr_transport *host = world_transport(&options);
  command_start(&command, host, "echo started; sleep 60");
  while (command.out_length == 0 && command.exits == 0) uv_run(world.loop, UV_RUN_ONCE);
  assert_int_equal(command.exits, 0);
  cut(true);
  host->klass->cancel(command.exec);
  command_wait(&command, 5);
  assert_string_equal(command.how.err.code, "command.stuck");
  assert_non_null(strstr(command.how.err.hint, "still be running"));
  cut(false);
  command_free(&command);
  dr__transport_unref(host);
  world_close();
}

/* The jump host is behind the cable: neither it nor what it carries says another word. That is
 * first noticed of what it carries, which then is asked for over the jump host's old connection. */
static void a_jump_host_goes_dark(void **state) {
  (void)state;
  ssh_command command = {0};
  char text[1024];
  if (space[0] == '\0') skip();
  snprintf(text, sizeof text,
           "Host inner\n  HostName %s\n  ProxyJump bastion\n  ServerAliveCountMax 1\n"
           "Host bastion\n  HostName %s\n"
           "Host *\n  Port %d\n  User %s\n  IdentityFile %s\n  UserKnownHostsFile %s\n"
           "  ServerAliveInterval 1\n  ServerAliveCountMax 2\n  ConnectTimeout 2\n",
           address, address, far_port, world.user, world.key, world.known_hosts);
  world_open(NULL);
  dr_ssh_options options = {.host = "inner", .config = world_file(0, "jump_config", text)};
  dr_transport *host = world_transport(&options);
  command_start(&command, host, "echo started; sleep 60");
  while (command.out_length == 0 && command.exits == 0) uv_run(world.loop, UV_RUN_ONCE);
  cut(true);
  double began = world_now_ms();
  command_wait(&command, 10);
  assert_string_equal(command.how.err.code, "ssh.connection_lost");
  command_free(&command);
  command_fails(&command, host, "true", "ssh.jump"); /* nor is it reached anew */
  assert_true(world_now_ms() - began < 15000);
  assert_string_equal(command.how.err.cause->code, "ssh.timeout");
  command_free(&command);
  cut(false);
  command_says(host, "echo back", "back\n", 0);
  dr__transport_unref(host);
  world_close();
}

/* ---- a firewall that lets in only so many */

enum { CROWD = 12 };

/* Begins or ends a rule for the packets that begin a connection. */
static void rule(bool on, const char *match) {
  assert_int_equal(
      shell("ip netns exec %s iptables -%c INPUT -p tcp --syn %s", space, on ? 'A' : 'D', match),
      0);
}

/* Connects all at once, each over a connection of its own. Returns how many got in; the others
 * failed with this code, and a hint that names the firewall. */
static int crowd(double connect_timeout, const char *code) {
  static ssh_command commands[CROWD];
  dr_transport *hosts[CROWD];
  int in = 0;
  dr_ssh_options options = far_options();
  options.connect_timeout = connect_timeout;
  world_open(NULL);
  for (int i = 0; i < CROWD; i++) {
    hosts[i] = world_transport(&options);
    command_start(&commands[i], hosts[i], "true");
  }
  for (int i = 0; i < CROWD; i++) {
    command_wait(&commands[i], 90);
    const dr_err *err = &commands[i].how.err;
    in += err->code[0] == '\0';
    if (err->code[0] != '\0') {
      print_message("%s: %s\n  -> %s\n", err->code, err->message, err->hint);
      assert_string_equal(err->code, code);
      assert_non_null(strstr(err->hint, "a firewall there limits"));
    }
    dr__transport_unref(hosts[i]);
    command_free(&commands[i]);
  }
  world_close();
  return in;
}

static void a_crowd_gets_in_through_a_rate_limit(void **state) {
  (void)state;
  static const char *const rules[] = {
      "-m hashlimit --hashlimit-name slow --hashlimit-above 2/sec --hashlimit-burst 3 -j DROP",
      "-m hashlimit --hashlimit-name slow --hashlimit-above 2/sec --hashlimit-burst 3 -j REJECT "
      "--reject-with tcp-reset"};
  if (space[0] == '\0') skip();
  for (int i = 0; i < 2; i++) {
    rule(true, rules[i]);
    int in = crowd(30, "");
    rule(false, rules[i]);
    assert_int_equal(in, CROWD);
  }
}

/* What `ufw limit` does, with a shorter memory: every attempt counts, also one that is refused. */
static void a_firewall_that_wants_to_be_left_alone(void **state) {
  (void)state;
  static const char count[] = "-m recent --name alone --set";
  static const char refuse[] = "-m recent --name alone --update --seconds 2 --hitcount 6 -j REJECT";
  if (space[0] == '\0') skip();
  rule(true, count);
  rule(true, refuse);
  int in = crowd(60, "");
  rule(false, count);
  rule(false, refuse);
  assert_int_equal(in, CROWD);
}

static void a_limit_that_is_too_strict_is_named(void **state) {
  (void)state;
  static const char drop[] =
      "-m hashlimit --hashlimit-name strict --hashlimit-above 1/hour --hashlimit-burst 3 -j DROP";
  static const char refuse[] =
      "-m hashlimit --hashlimit-name strict2 --hashlimit-above 1/hour --hashlimit-burst 3 "
      "-j REJECT --reject-with tcp-reset";
  if (space[0] == '\0') skip();
  rule(true, drop);
  assert_int_equal(crowd(5, "ssh.timeout"), 3);
  rule(false, drop);
  rule(true, refuse);
  assert_int_equal(crowd(5, "ssh.connect"), 3);
  rule(false, refuse);
}

/* ---- dropbear */

/* Starts dropbear in a mount namespace where the user's home is a folder of ours, for it takes no
 * other place for the accepted keys. */
static pid_t start_dropbear(int *port) {
  char line[1024], number[16];
  *port = world_free_port();
  snprintf(number, sizeof number, "%d", *port);
  assert_int_equal(shell("mkdir -p %s/home/.ssh && chmod 700 %s/home %s/home/.ssh && "
                         "cp %s/key.pub %s/home/.ssh/authorized_keys && "
                         "dropbearkey -t ed25519 -f %s/dropbear_key",
                         world.folder, world.folder, world.folder, world.folder, world.folder,
                         world.folder),
                   0);
  snprintf(line, sizeof line,
           "mount --bind %s/home ~%s && exec dropbear -F -E -r %s/dropbear_key -p 127.0.0.1:%s -P "
           "%s/pid",
           world.folder, world.user, world.folder, number, world.folder);
  const char *argv[] = {"unshare", "-m", "bash", "-c", line, NULL};
  return world_spawn(argv, *port);
}

static void dropbear_does_it_all_too(void **state) {
  (void)state;
  ssh_command command = {0};
  int port;
  char known[160];
  const char *probe[] = {"unshare", "-m", "dropbear", "-V", NULL};
  if (getuid() != 0 || world_run(probe) != 0) skip();
  pid_t server = start_dropbear(&port);
  world_open("yes");
  dr_ssh_options options = world_options();
  snprintf(known, sizeof known, "%s/known_dropbear", world.folder);
  options.port = port;
  options.known_hosts = known;
  dr_transport *host = world_transport(&options);
  command_says(host, "exit 7", "", 7);
  command_says(host, "echo out", "out\n", 0);
  command_start(&command, host, "kill -9 $$");
  command_wait(&command, 10);
  assert_string_equal(command.how.signal, "KILL");
  command_free(&command);
  size_t length = 5 << 20;
  char *bytes = malloc(length);
  for (size_t i = 0; i < length; i++) bytes[i] = (char)(i * 2654435761u >> 13);
  command_start_input(&command, host, "cat", bytes, length);
  command_wait(&command, 30);
  assert_int_equal(command.out_length, length);
  assert_memory_equal(command.out, bytes, length);
  command_free(&command);
  free(bytes);
  ssh_command several[5] = {0};
  for (int i = 0; i < 5; i++) command_start(&several[i], host, "sleep 0.1; echo $SSH_CONNECTION");
  for (int i = 0; i < 5; i++) {
    command_wait(&several[i], 10);
    assert_string_equal(several[i].out, several[0].out);
  }
  for (int i = 0; i < 5; i++) command_free(&several[i]);
  command_start(&command, host, "echo $$; exec sleep 3600");
  while (command.out_length == 0 && command.exits == 0) uv_run(world.loop, UV_RUN_ONCE);
  pid_t remote = (pid_t)strtol(command.out, NULL, 10);
  host->klass->cancel(command.exec);
  command_wait(&command, 5);
  assert_string_equal(command.how.err.code, "cancelled");
  assert_int_equal(kill(remote, 0), -1);
  command_free(&command);
  dr__transport_unref(host);
  world_close();
  world_kill(server);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_cut_while_a_command_runs),
      cmocka_unit_test(a_cut_in_the_middle_of_output_and_input),
      cmocka_unit_test(a_cut_in_the_middle_of_a_tunnel),
      cmocka_unit_test(cancelling_across_a_cut),
      cmocka_unit_test(a_jump_host_goes_dark),
      cmocka_unit_test(a_crowd_gets_in_through_a_rate_limit),
      cmocka_unit_test(a_firewall_that_wants_to_be_left_alone),
      cmocka_unit_test(a_limit_that_is_too_strict_is_named),
      cmocka_unit_test(dropbear_does_it_all_too),
  };
  return cmocka_run_group_tests_name("ssh_network", tests, setup, teardown);
}
