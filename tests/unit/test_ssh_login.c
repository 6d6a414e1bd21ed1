/* test_ssh_login.c - the ways to log in: agent, certificates, several keys, passwords and prompts.
 */
#include "ssh_fake_server.h"
#include "ssh_world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char agent_path[128];
static pid_t agent_pid;

static void add_to_agent(const char *name) {
  const char *argv[] = {"ssh-add", "-q", world_path(name), NULL};
  setenv("SSH_AUTH_SOCK", agent_path, 1);
  assert_int_equal(world_run(argv), 0);
  unsetenv("SSH_AUTH_SOCK");
}

/* An agent that holds eight keys nobody accepts, and then the one that is accepted. */
static int setup(void **state) {
  world_setup(state);
  snprintf(agent_path, sizeof agent_path, "%s/agent", world.folder);
  const char *argv[] = {"ssh-agent", "-D", "-a", agent_path, NULL};
  agent_pid = world_spawn(argv, 0);
  for (int i = 0; i < 200 && access(agent_path, F_OK) != 0; i++) usleep(10000);
  world_key("stranger-rsa", "rsa");
  add_to_agent("stranger-rsa");
  for (int i = 0; i < 7; i++) {
    char name[32];
    snprintf(name, sizeof name, "stranger%d", i);
    world_key(name, i == 0 ? "ecdsa" : "ed25519");
    add_to_agent(name);
  }
  add_to_agent("key");
  return 0;
}

static int teardown(void **state) {
  world_kill(agent_pid);
  return world_teardown(state);
}

/* A configuration for "host" with these lines. */
static dr_ssh_options configured(const char *lines) {
  char text[2048];
  snprintf(text, sizeof text,
           "Host host\n  HostName 127.0.0.1\n  Port %d\n  User %s\n  UserKnownHostsFile %s\n%s\n",
           world.sshd.port, world.user, world.known_hosts, lines);
  return (dr_ssh_options){.host = "host", .config = world_file(0, "login_config", text)};
}

static void logs_in(const dr_ssh_options *options) {
  world_open(NULL);
  host_answers(options);
  world_close();
}

/* With the pool that is open. */
static void is_refused_now(const dr_ssh_options *options, const char *text) {
  host_fails(options, "ssh.auth", 30, text, NULL);
}

static void is_refused(const dr_ssh_options *options, const char *text) {
  world_open(NULL);
  is_refused_now(options, text);
  world_close();
}

/* ---- the agent */

static void the_named_key_of_a_full_agent_comes_first(void **state) {
  (void)state;
  char lines[512];
  const char *copy[] = {"cp", world_path("key.pub"), world_path("elsewhere.pub"), NULL};
  assert_int_equal(world_run(copy), 0); /* only the public half is here */
  for (int only = 0; only < 2; only++) {
    snprintf(lines, sizeof lines, "  IdentityAgent %s\n  IdentityFile %s\n  IdentitiesOnly %s\n",
             agent_path, world_path("elsewhere"), only ? "yes" : "no");
    dr_ssh_options options = configured(lines);
    logs_in(&options);
  }
}

/* As password managers and tokens want it: the public key's own file is named. */
static void a_public_key_file_names_a_key_of_the_agent(void **state) {
  (void)state;
  char lines[512];
  const char *copy[] = {"cp", world_path("key.pub"), world_path("public"), NULL};
  assert_int_equal(world_run(copy), 0);
  chmod(world_path("public"), 0644);
  for (int i = 0; i < 2; i++) {
    snprintf(lines, sizeof lines, "  IdentityAgent %s\n  IdentityFile %s\n  IdentitiesOnly yes\n",
             agent_path, world_path(i == 0 ? "key.pub" : "public"));
    dr_ssh_options options = configured(lines);
    logs_in(&options);
  }
  world_key("absent", "ed25519");
  snprintf(lines, sizeof lines, "  IdentityAgent %s\n  IdentityFile %s\n  IdentitiesOnly yes\n",
           agent_path, world_path("absent.pub"));
  dr_ssh_options options = configured(lines);
  is_refused(&options, "absent.pub (a public key: the agent does not have its private one)");
  is_refused(&options, "ssh-add -L");
  snprintf(lines, sizeof lines, "  IdentityAgent none\n  IdentityFile %s\n",
           world_path("absent.pub"));
  options = configured(lines);
  is_refused(&options, "absent.pub (a public key: there is no agent that has its private one)");
}

static void a_full_agent_without_a_named_key_is_too_much(void **state) {
  (void)state;
  char lines[512];
  snprintf(lines, sizeof lines, "  IdentityAgent %s\n", agent_path);
  dr_ssh_options options = configured(lines);
  is_refused(&options, "IdentitiesOnly");
}

static void identities_only_keeps_the_agents_other_keys_back(void **state) {
  (void)state;
  char lines[512];
  snprintf(lines, sizeof lines, "  IdentityAgent %s\n  IdentityFile %s\n  IdentitiesOnly yes\n",
           agent_path, world_path("stranger0"));
  dr_ssh_options options = configured(lines);
  is_refused(&options, "stranger0");
}

static void an_agent_key_is_used_where_no_file_is_named(void **state) {
  (void)state;
  char lines[512];
  setenv("SSH_AUTH_SOCK", agent_path, 1);
  const char *forget[] = {"ssh-add", "-q", "-D", NULL};
  assert_int_equal(world_run(forget), 0);
  add_to_agent("stranger-rsa");
  add_to_agent("key");
  setenv("SSH_AUTH_SOCK", agent_path, 1);
  dr_ssh_options options = configured("");
  logs_in(&options);
  unsetenv("SSH_AUTH_SOCK");
  is_refused(&options, "no key was found");
  snprintf(lines, sizeof lines, "  IdentityAgent %s\n", world_path("no-agent"));
  options = configured(lines);
  is_refused(&options, "no key was found");
}

static void an_agent_that_hangs_has_a_bound(void **state) {
  (void)state;
  char lines[512];
  ssh_command command = {0};
  snprintf(lines, sizeof lines, "  IdentityAgent %s\n", agent_path);
  dr_ssh_options options = configured(lines);
  options.connect_timeout = 0.5;
  kill(agent_pid, SIGSTOP);
  world_open(NULL);
  dr_transport *host = world_transport(&options);
  command_fails(&command, host, "true", "ssh.timeout");
  assert_true(command.ms < 2000);
  command_free(&command);
  kill(agent_pid, SIGCONT);
  dr__transport_unref(host);
  world_close();
}

/* ---- keys and certificates */

static void every_kind_of_key_logs_in(void **state) {
  (void)state;
  static const char *const kinds[] = {"ed25519", "ecdsa", "rsa"};
  char line[256], lines[1024] = "";
  const char *cat[] = {"sh", "-c", NULL, NULL};
  ssh_server saved = world.sshd;
  snprintf(line, sizeof line, "cd %s && cat k-*.pub >all_keys", world.folder);
  cat[2] = line;
  for (int i = 0; i < 3; i++) {
    char name[32];
    snprintf(name, sizeof name, "k-%s", kinds[i]);
    world_key(name, kinds[i]);
  }
  assert_int_equal(world_run(cat), 0);
  snprintf(lines, sizeof lines, "AuthorizedKeysFile %s", world_path("all_keys"));
  world.sshd = world_sshd("keys", lines);
  for (int i = 0; i < 3; i++) {
    char name[32];
    snprintf(name, sizeof name, "k-%s", kinds[i]);
    snprintf(line, sizeof line, "  IdentityFile %s\n", world_path(name));
    dr_ssh_options options = configured(line);
    logs_in(&options);
  }
  world_kill(world.sshd.pid);
  world.sshd = saved;
}

static void a_certificate_beside_the_key_logs_in(void **state) {
  (void)state;
  char lines[512];
  ssh_server saved = world.sshd;
  world_key("authority", "ed25519");
  world_key("certified", "ed25519");
  const char *sign[] = {"ssh-keygen", "-q", "-s",       world_path("authority"),     "-I",
                        "test",       "-n", world.user, world_path("certified.pub"), NULL};
  assert_int_equal(world_run(sign), 0);
  snprintf(lines, sizeof lines, "TrustedUserCAKeys %s", world_path("authority.pub"));
  world.sshd = world_sshd("certificates", lines);
  snprintf(lines, sizeof lines, "  IdentityFile %s\n", world_path("certified"));
  dr_ssh_options options = configured(lines);
  logs_in(&options);
  const char *move[] = {"mv", world_path("certified-cert.pub"), world_path("elsewhere-cert.pub"),
                        NULL};
  assert_int_equal(world_run(move), 0);
  is_refused(&options, "certified");
  snprintf(lines, sizeof lines, "  IdentityFile %s\n  CertificateFile %s\n",
           world_path("certified"), world_path("elsewhere-cert.pub"));
  options = configured(lines);
  logs_in(&options);
  world_kill(world.sshd.pid);
  world.sshd = saved;
}

static void one_of_several_files_fits(void **state) {
  (void)state;
  char lines[1024];
  snprintf(lines, sizeof lines,
           "  IdentityFile %s\n  IdentityFile %s\n  IdentityFile %s\n  IdentityFile %s\n",
           world_path("nothing"), world_path("stranger1"), world_path("stranger-rsa"), world.key);
  dr_ssh_options options = configured(lines);
  logs_in(&options);
}

/* ---- many hosts at once */

enum { HOSTS = 8 };

/* Logs in on all of them at the same time. */
static void all_log_in(const dr_ssh_options options[HOSTS]) {
  ssh_command commands[HOSTS] = {{0}};
  dr_transport *hosts[HOSTS];
  for (int i = 0; i < HOSTS; i++) {
    hosts[i] = world_transport(&options[i]);
    command_start(&commands[i], hosts[i], "echo in");
  }
  for (int i = 0; i < HOSTS; i++) {
    command_wait(&commands[i], 20);
    assert_string_equal(commands[i].how.err.message, "");
    assert_string_equal(commands[i].out, "in\n");
    command_free(&commands[i]);
    dr__transport_unref(hosts[i]);
  }
}

static void one_passphrase_opens_the_key_for_all_hosts(void **state) {
  (void)state;
  char lines[512];
  dr_ssh_options options[HOSTS];
  const char *copy[] = {"cp", world.key, world_path("locked"), NULL};
  assert_int_equal(world_run(copy), 0);
  const char *lock[] = {"ssh-keygen",         "-q", "-p", "-P", "", "-N", "long words", "-f",
                        world_path("locked"), NULL};
  assert_int_equal(world_run(lock), 0);
  snprintf(lines, sizeof lines, "  IdentityFile %s\n  IdentitiesOnly yes\n", world_path("locked"));
  for (int i = 0; i < HOSTS; i++) options[i] = configured(lines);
  world_open("long words");
  all_log_in(options);
  assert_int_equal(world_questions, 1);
  world_close();
  world_open("not these");
  is_refused_now(&options[0], "needs a passphrase");
  assert_int_equal(world_questions, 3);
  world_close();
  world_open(NULL);
  is_refused_now(&options[0], "ssh-add");
  world_close();
}

/* Each new host is asked about by its name, and one that is met twice only once. */
static void each_unknown_host_is_asked_about_once(void **state) {
  (void)state;
  char names[HOSTS][16], text[4096] = "", known[160], *found = NULL;
  dr_ssh_options options[HOSTS];
  size_t size = 0;
  snprintf(known, sizeof known, "%s", world_path("known_new"));
  for (int i = 0; i < HOSTS; i++) {
    size_t length = strlen(text);
    snprintf(names[i], sizeof names[i], "new%d", i / 2);
    snprintf(text + length, sizeof text - length,
             "Host %s\n  HostName 127.0.0.1\n  HostKeyAlias %s\n  Port %d\n  User %s\n"
             "  IdentityFile %s\n",
             names[i], names[i], world.sshd.port, world.user, world.key);
  }
  const char *config = world_file(0, "new_config", text);
  for (int i = 0; i < HOSTS; i++)
    options[i] = (dr_ssh_options){.host = names[i], .config = config, .known_hosts = known};
  world_open("yes");
  all_log_in(options);
  assert_int_equal(world_questions, HOSTS / 2);
  world_close();
  FILE *file = fopen(known, "r");
  assert_non_null(file);
  for (int i = 0; i < HOSTS / 2; i++) assert_true(getline(&found, &size, file) > 0);
  fclose(file);
  free(found);
  world_open(NULL);
  all_log_in(options);
  world_close();
}

/* ---- passwords */

static ssh_command with_password(fake_point point, const char *password, bool ask,
                                 const char *answer) {
  ssh_command command = {0};
  int port;
  char known[160];
  fake_server *server = fake_server_start(point, world_path("host_key"), &port);
  snprintf(known, sizeof known, "%s/known_fake", world.folder);
  const char *const none[] = {NULL};
  dr_ssh_options options = {.host = "127.0.0.1",
                            .port = port,
                            .user = "somebody",
                            .config = world_file(0, "accept", "StrictHostKeyChecking accept-new\n"),
                            .known_hosts = known,
                            .identities = none,
                            .password = password,
                            .ask_password = ask};
  world_open(answer);
  dr_transport *host = world_transport(&options);
  command_start(&command, host, "echo in");
  command_wait(&command, 10);
  dr__transport_unref(host);
  world_close();
  fake_server_stop(server);
  unlink(known);
  return command;
}

static void check_password_ways(fake_point point, int questions) {
  ssh_command command = with_password(point, NULL, true, "open sesame");
  assert_string_equal(command.how.err.code, "");
  assert_string_equal(command.out, "in\n");
  assert_int_equal(world_questions, questions);
  command_free(&command);
  command = with_password(point, "wrong", false, NULL);
  assert_string_equal(command.how.err.code, "ssh.auth");
  command_free(&command);
  command = with_password(point, NULL, true, "wrong");
  assert_string_equal(command.how.err.code, "ssh.auth");
  assert_int_equal(world_questions, 3 * questions);
  assert_non_null(strstr(world_question, "That was not it."));
  assert_non_null(strstr(command.how.err.hint, "is it the password of somebody"));
  command_free(&command);
  command = with_password(point, NULL, false, "open sesame");
  assert_string_equal(command.how.err.code, "ssh.auth");
  assert_int_equal(world_questions, 0);
  command_free(&command);
}

static void a_password_is_given_or_asked_for(void **state) {
  (void)state;
  ssh_command command = with_password(FAKE_PASSWORD, "open sesame", false, NULL);
  assert_string_equal(command.how.err.code, "");
  command_free(&command);
  check_password_ways(FAKE_PASSWORD, 1);
}

static void prompts_of_the_server_are_answered(void **state) {
  (void)state;
  check_password_ways(FAKE_INTERACTIVE, 2);
}

static void nobody_is_asked_in_batch_mode(void **state) {
  (void)state;
  const char *const none[] = {NULL};
  int port;
  fake_server *server = fake_server_start(FAKE_PASSWORD, world_path("host_key"), &port);
  dr_ssh_options options = configured("  BatchMode yes\n  StrictHostKeyChecking ask\n");
  options.port = port;
  options.identities = none;
  options.ask_password = true;
  options.known_hosts = world_file(1, "known_nobody", "");
  world_open("yes");
  host_fails(&options, "ssh.host_key_unknown", 20, NULL);
  char line[1200];
  snprintf(line, sizeof line, "[127.0.0.1]:%d %s", port, world_line("host_key.pub"));
  options.known_hosts = world_file(1, "known_batch", line);
  host_fails(&options, "ssh.auth", 20, NULL);
  assert_int_equal(world_questions, 0);
  world_close();
  fake_server_stop(server);
}

static void passwords_are_not_tried_where_the_file_forbids_it(void **state) {
  (void)state;
  ssh_server server =
      world_sshd("forbidden", "PasswordAuthentication yes\nKbdInteractiveAuthentication yes");
  dr_ssh_options options = configured("  PreferredAuthentications password\n"
                                      "  PasswordAuthentication no\n"
                                      "  KbdInteractiveAuthentication no\n"
                                      "  IdentityFile /nonexistent\n");
  options.port = server.port;
  world_open("wrong");
  host_fails(&options, "ssh.auth", 20, NULL);
  assert_int_equal(world_questions, 0);
  world_close();
  world_kill(server.pid);
}

/* OpenSSH offers prompts where it has none to ask, and allows six tries in all: three of them must
 * be left for the password. */
static void prompts_that_are_none_cost_one_try(void **state) {
  (void)state;
  ssh_server server =
      world_sshd("passwords", "PasswordAuthentication yes\nKbdInteractiveAuthentication yes\n"
                              "MaxAuthTries 5");
  const char *const none[] = {NULL};
  dr_ssh_options options = world_options();
  options.port = server.port;
  options.identities = none;
  options.ask_password = true;
  world_open("wrong");
  host_fails(&options, "ssh.auth", 30, "is it the password of", NULL);
  assert_int_equal(world_questions, 3);
  world_close();
  world_kill(server.pid);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_named_key_of_a_full_agent_comes_first),
      cmocka_unit_test(a_public_key_file_names_a_key_of_the_agent),
      cmocka_unit_test(a_full_agent_without_a_named_key_is_too_much),
      cmocka_unit_test(identities_only_keeps_the_agents_other_keys_back),
      cmocka_unit_test(an_agent_key_is_used_where_no_file_is_named),
      cmocka_unit_test(an_agent_that_hangs_has_a_bound),
      cmocka_unit_test(every_kind_of_key_logs_in),
      cmocka_unit_test(a_certificate_beside_the_key_logs_in),
      cmocka_unit_test(one_of_several_files_fits),
      cmocka_unit_test(one_passphrase_opens_the_key_for_all_hosts),
      cmocka_unit_test(each_unknown_host_is_asked_about_once),
      cmocka_unit_test(a_password_is_given_or_asked_for),
      cmocka_unit_test(prompts_of_the_server_are_answered),
      cmocka_unit_test(prompts_that_are_none_cost_one_try),
      cmocka_unit_test(nobody_is_asked_in_batch_mode),
      cmocka_unit_test(passwords_are_not_tried_where_the_file_forbids_it),
  };
  return cmocka_run_group_tests_name("ssh_login", tests, setup, teardown);
}
