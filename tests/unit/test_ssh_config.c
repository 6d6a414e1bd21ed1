/* test_ssh_config.c - how a host is reached: options, then the configuration file, then defaults.
 * No connections. */
#include "ssh/config.h"

#include "core/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static int setup(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/ssh-config-XXXXXX");
  assert_non_null(mkdtemp(folder));
  setenv("HOME", folder, 1);
  setenv("USER", "tester", 1);
  unsetenv("SSH_AUTH_SOCK");
  return 0;
}

static void write_file(const char *name, const char *text, char *path, size_t size) {
  snprintf(path, size, "%s/%s", folder, name);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static int teardown(void **state) {
  (void)state;
  static const char *const names[] = {"config", "part-a", "part-b", ".ssh/config", ".ssh", ""};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    remove(path);
  }
  return 0;
}

static dr_ssh_config *resolve_options(dr_ssh_options options, const char *text) {
  char path[128];
  dr_ssh_config *config;
  dr_err err = DR_ERR_INIT;
  write_file("config", text, path, sizeof path);
  options.config = path;
  if (dr__ssh_config_resolve(&config, &options, &err) != DR_OK) fail_msg("%s", err.message);
  return config;
}

static dr_ssh_config *resolve(const char *host, const char *text) {
  return resolve_options((dr_ssh_options){.host = host}, text);
}

/* ---- matching */

static void patterns_match_as_in_ssh(void **state) {
  (void)state;
  assert_true(dr__ssh_match("*", ""));
  assert_true(dr__ssh_match("web*", "web1.example.com"));
  assert_true(dr__ssh_match("*.example.com", "web1.EXAMPLE.com"));
  assert_true(dr__ssh_match("w?b*1*", "web1"));
  assert_true(dr__ssh_match("a*b*c", "aXbYbZc"));
  assert_false(dr__ssh_match("web?", "web"));
  assert_false(dr__ssh_match("web", "web1"));
  assert_false(dr__ssh_match("", "x"));
  const char *const list[] = {"*.example.com", "!db.example.com"};
  assert_true(dr__ssh_match_list(list, 2, "web.example.com"));
  assert_false(dr__ssh_match_list(list, 2, "db.example.com"));
  assert_false(dr__ssh_match_list(list, 2, "other"));
}

static void times_are_read_as_in_ssh(void **state) {
  (void)state;
  assert_int_equal(dr__ssh_seconds("90"), 90);
  assert_int_equal(dr__ssh_seconds("90s"), 90);
  assert_int_equal(dr__ssh_seconds("1h30m"), 5400);
  assert_int_equal(dr__ssh_seconds("2W"), 1209600);
  assert_int_equal(dr__ssh_seconds(""), -1);
  assert_int_equal(dr__ssh_seconds("x"), -1);
  assert_int_equal(dr__ssh_seconds("10y"), -1);
  assert_int_equal(dr__ssh_seconds("-1"), -1);
}

/* ---- the file */

static void defaults_stand_where_nothing_is_said(void **state) {
  (void)state;
  char path[128];
  dr_ssh_config *config = resolve("web1", "");
  assert_string_equal(config->alias, "web1");
  assert_string_equal(config->host, "web1");
  assert_string_equal(config->key_name, "web1");
  assert_int_equal(config->port, 22);
  assert_int_equal(config->connect_timeout_ms, 10000);
  assert_int_equal(config->keepalive_ms, 5000);
  assert_int_equal(config->keepalive_count, 3);
  assert_string_equal(config->strict, "ask");
  assert_false(config->identities_explicit);
  assert_int_equal(config->identities.count, 3);
  snprintf(path, sizeof path, "%s/.ssh/id_ed25519", folder);
  assert_string_equal(config->identities.items[0], path);
  assert_null(config->agent);
  assert_null(config->jump);
  assert_int_equal(config->ask_password, 0);
  dr__ssh_config_unref(config);
}

static void the_first_value_wins(void **state) {
  (void)state;
  dr_ssh_config *config = resolve("web1", "Host web*\n"
                                          "  HostName 10.0.0.1\n"
                                          "  Port=2222\n"
                                          "  User \"deploy er\"\n"
                                          "  IdentityFile ~/a\n"
                                          "Host db\n"
                                          "  Port 1\n"
                                          "Host *\n"
                                          "\tPort 3333\n"
                                          "\tHOSTNAME elsewhere\n"
                                          "\tIdentityFile /b  # a comment\n"
                                          "\tServerAliveInterval 1m\n"
                                          "\tConnectTimeout = 3\n"
                                          "\tForwardAgent yes\n");
  char path[128];
  snprintf(path, sizeof path, "%s/a", folder);
  assert_string_equal(config->host, "10.0.0.1");
  assert_int_equal(config->port, 2222);
  assert_string_equal(config->user, "deploy er");
  assert_true(config->identities_explicit);
  assert_int_equal(config->identities.count, 2);
  assert_string_equal(config->identities.items[0], path);
  assert_string_equal(config->identities.items[1], "/b");
  assert_int_equal(config->keepalive_ms, 60000);
  assert_int_equal(config->connect_timeout_ms, 3000);
  dr__ssh_config_unref(config);
}

static void options_come_before_the_file(void **state) {
  (void)state;
  const char *const identities[] = {"/mine", NULL};
  dr_ssh_options options = {.host = "web1",
                            .user = "me",
                            .port = 7,
                            .identities = identities,
                            .connect_timeout = 1.5,
                            .jump = "none",
                            .known_hosts = "/known"};
  dr_ssh_config *config = resolve_options(options, "Port 1\nUser other\nIdentityFile /theirs\n"
                                                   "ConnectTimeout 9\nProxyJump bastion\n"
                                                   "UserKnownHostsFile /their_known\n");
  assert_string_equal(config->user, "me");
  assert_int_equal(config->port, 7);
  assert_string_equal(config->identities.items[0], "/mine");
  assert_int_equal(config->connect_timeout_ms, 1500);
  assert_null(config->jump);
  assert_int_equal(config->user_known_hosts.count, 1);
  assert_string_equal(config->user_known_hosts.items[0], "/known");
  assert_int_equal(config->global_known_hosts.count, 0);
  dr__ssh_config_unref(config);
}

static void tokens_are_expanded(void **state) {
  (void)state;
  char path[256];
  setenv("KEYS", "/keys", 1);
  dr_ssh_config *config = resolve("web1", "HostName %h.example.com\nUser deploy\nPort 23\n"
                                          "IdentityFile ${KEYS}/%r@%h-%n-%p-%%\n"
                                          "UserKnownHostsFile ~/known_%k %d/other\n"
                                          "ProxyCommand nc -x \"proxy %n\" %h %p # not a comment\n"
                                          "HostKeyAlias cluster\n");
  assert_string_equal(config->host, "web1.example.com");
  assert_string_equal(config->identities.items[0], "/keys/deploy@web1.example.com-web1-23-%");
  snprintf(path, sizeof path, "%s/known_cluster", folder);
  assert_string_equal(config->user_known_hosts.items[0], path);
  assert_int_equal(config->user_known_hosts.count, 2);
  assert_string_equal(config->proxy_command,
                      "nc -x \"proxy web1\" web1.example.com 23 # not a comment");
  assert_string_equal(config->key_name, "cluster");
  assert_true(config->key_alias);
  dr__ssh_config_unref(config);
}

static void match_blocks_apply_by_host_and_user(void **state) {
  (void)state;
  static const char text[] = "Match originalhost web1\n  HostName 10.0.0.1\n"
                             "Match host 10.0.0.* !user root\n  Port 24\n"
                             "Match all\n  ProxyJump bastion\n";
  dr_ssh_config *config = resolve("deploy@web1", text);
  assert_int_equal(config->port, 24);
  assert_string_equal(config->jump, "bastion");
  dr__ssh_config_unref(config);
  config = resolve("root@web1", text);
  assert_int_equal(config->port, 22);
  dr__ssh_config_unref(config);
}

/* Resolving "web1" with this file fails at that line. */
static void is_wrong_at(const char *text, const char *place, const char *words) {
  char path[128];
  dr_ssh_config *config;
  dr_err err = DR_ERR_INIT;
  write_file("config", text, path, sizeof path);
  dr_ssh_options options = {.host = "web1", .config = path};
  if (dr__ssh_config_resolve(&config, &options, &err) == DR_OK) fail_msg("taken: %s", text);
  assert_string_equal(err.code, "ssh.config");
  if (strstr(err.message, place) == NULL || strstr(err.message, words) == NULL) {
    fail_msg("%s: %s", text, err.message);
  }
  dr_err_clear(&err);
}

static void a_block_that_a_program_decides_about_is_refused_where_it_counts(void **state) {
  (void)state;
  char mark[128], text[512];
  snprintf(mark, sizeof mark, "%s/started", folder);
  snprintf(text, sizeof text, "Match host web1 exec \"touch %s\"\n  Port 25\n", mark);
  is_wrong_at(text, "config:2:", "Match exec in line 1");
  is_wrong_at("Port 1\nMatch !exec true\n  IdentityFile /x\n", "config:3:", "in line 2");
  is_wrong_at("Match exec true\n  Include /nonexistent/*\n", "config:2:", "in line 1");
  assert_int_equal(access(mark, F_OK), -1);
  /* what it could not change, or what is no business of ours, does not matter */
  dr_ssh_config *config = resolve("web1", "Match host other exec true\n  Port 1\n"
                                          "Match exec \"gpg-connect-agent UPDATESTARTUPTTY /bye\"\n"
                                          "  SendEnv LANG\n"
                                          "Host web1\n  Port 24\n"
                                          "Match exec true\n  Port 25\n"
                                          "Host *\n  User me\n");
  assert_int_equal(config->port, 24);
  assert_string_equal(config->user, "me");
  dr__ssh_config_unref(config);
}

static void match_final_applies_when_all_else_is_known(void **state) {
  (void)state;
  static const char text[] = "Match final host 10.0.0.1\n  User late\n  Port 26\n"
                             "Match canonical all\n  ProxyJump bastion\n"
                             "Match !final all\n  BindAddress 10.0.0.9\n"
                             "Host web1\n  HostName 10.0.0.1\n  Port 25\n  IdentityFile /a\n";
  dr_ssh_config *config = resolve("web1", text);
  assert_string_equal(config->user, "late");
  assert_int_equal(config->port, 25);
  assert_string_equal(config->jump, "bastion");
  assert_string_equal(config->bind_address, "10.0.0.9");
  assert_int_equal(config->identities.count, 1);
  dr__ssh_config_unref(config);
  config = resolve("web1", "Match canonical all\n  Port 27\n"); /* nobody asks for a second time */
  assert_int_equal(config->port, 22);
  dr__ssh_config_unref(config);
}

static void words_are_quoted_as_in_ssh(void **state) {
  (void)state;
  static const char *const lines[] = {"'/a key'",          "\"/a key\"",  "/a\\ key",
                                      "/a' 'key  # first", "\"/a k\"ey",  "\"/a\\\"key\"",
                                      "/a\\\\key'#'",      "\"/a\\ key\""};
  const char *const words[] = {"/a key", "/a key",  "/a key",   "/a key",
                               "/a key", "/a\"key", "/a\\key#", "/a\\ key"};
  for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
    char text[128];
    snprintf(text, sizeof text, "IdentityFile %s\nUserKnownHostsFile '/b c' %s\n", lines[i],
             lines[i]);
    dr_ssh_config *config = resolve("web1", text);
    assert_string_equal(config->identities.items[0], words[i]);
    assert_string_equal(config->user_known_hosts.items[0], "/b c");
    assert_string_equal(config->user_known_hosts.items[1], words[i]);
    dr__ssh_config_unref(config);
  }
  is_wrong_at("\nUser 'never closed\n", "config:2:", "quote");
}

/* For ssh a 0 means "for ever"; here every wait ends. */
static void no_wait_is_without_a_bound(void **state) {
  (void)state;
  dr_ssh_config *config = resolve("web1", "ConnectTimeout 0\nServerAliveInterval 0\n"
                                          "ServerAliveCountMax 0\nConnectTimeout 99\n");
  assert_int_equal(config->connect_timeout_ms, 10000);
  assert_int_equal(config->keepalive_ms, 5000);
  assert_int_equal(config->keepalive_count, 3);
  dr__ssh_config_unref(config);
}

static void ways_to_log_in_are_ruled_out(void **state) {
  (void)state;
  static const char text[] = "BatchMode yes\nPasswordAuthentication no\n"
                             "ChallengeResponseAuthentication no\n";
  dr_ssh_config *config = resolve("web1", "");
  assert_int_equal(config->batch, 0);
  assert_int_equal(config->password_login, 1);
  assert_int_equal(config->interactive, 1);
  dr__ssh_config_unref(config);
  config = resolve("web1", text);
  assert_int_equal(config->batch, 1);
  assert_int_equal(config->password_login, 0);
  assert_int_equal(config->interactive, 0);
  dr__ssh_config_unref(config);
  /* a recipe that names a password comes before the file */
  config = resolve_options((dr_ssh_options){.host = "web1", .password = "x"}, text);
  assert_int_equal(config->password_login, 1);
  dr__ssh_config_unref(config);
}

/* ---- lists of algorithms */

static void list_is(dr_ssh_algorithms kind, const char *wanted, const char *usual,
                    const char *expected) {
  char list[1024];
  bool some = dr__ssh_algorithms(kind, wanted, usual, list, sizeof list);
  assert_string_equal(list, expected);
  assert_int_equal(some, expected[0] != '\0');
}

static void algorithms_change_the_usual_list(void **state) {
  (void)state;
  list_is(DR_SSH_HOST_KEYS, NULL, "ssh-ed25519", "ssh-ed25519");
  list_is(DR_SSH_HOST_KEYS, "+ssh-rsa", "ssh-ed25519", "ssh-ed25519,ssh-rsa");
  list_is(DR_SSH_HOST_KEYS, "+ssh-rsa,ssh-dss", "ssh-ed25519,ssh-rsa", "ssh-ed25519,ssh-rsa");
  list_is(DR_SSH_HOST_KEYS, "^rsa-sha2-256", "ssh-ed25519,rsa-sha2-256",
          "rsa-sha2-256,ssh-ed25519");
  list_is(DR_SSH_KEX, "-ecdh-*,curve*",
          "ecdh-sha2-nistp256,curve25519-sha256,"
          "diffie-hellman-group14-sha256",
          "diffie-hellman-group14-sha256");
  list_is(DR_SSH_CIPHERS, "aes?56-ctr,rot13,aes128-*", NULL,
          "aes256-ctr,aes128-gcm@openssh.com,aes128-ctr,aes128-cbc");
  list_is(DR_SSH_MACS, "umac-128-etm@openssh.com,hmac-sha2-512", NULL, "hmac-sha2-512");
  list_is(DR_SSH_MACS, "umac-128-etm@openssh.com", NULL, "");
  list_is(DR_SSH_MACS, "-*", NULL, "");
}

static void other_files_are_included(void **state) {
  (void)state;
  char a[128], b[128], text[512];
  write_file("part-a", "Host web1\n  Port 30\n", a, sizeof a);
  write_file("part-b", "User included\n", b, sizeof b);
  snprintf(text, sizeof text, "Include %s/part-*\nHost other\n  Include /nonexistent/*\n", folder);
  dr_ssh_config *config = resolve("web1", text);
  assert_int_equal(config->port, 30);
  assert_string_equal(config->user, "included");
  dr__ssh_config_unref(config);
}

static void including_oneself_ends(void **state) {
  (void)state;
  char path[128], text[256];
  dr_ssh_config *config;
  dr_err err = DR_ERR_INIT;
  snprintf(text, sizeof text, "Include %s/config\n", folder);
  write_file("config", text, path, sizeof path);
  dr_ssh_options options = {.host = "web1", .config = path};
  assert_int_not_equal(dr__ssh_config_resolve(&config, &options, &err), DR_OK);
  assert_string_equal(err.code, "ssh.config");
  assert_null(config);
  dr_err_clear(&err);
}

static void a_wrong_line_is_named(void **state) {
  (void)state;
  static const char *const wrong[] = {"\nPort twenty\n",         "\nPort\n",
                                      "\nPort 70000\n",          "\nPort 0\n",
                                      "\nUser \"never closed\n", "\nIdentitiesOnly perhaps\n",
                                      "\nConnectTimeout 5y\n",   "\nAddressFamily inet7\n",
                                      "\nMatch user\n"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    char path[128];
    dr_ssh_config *config;
    dr_err err = DR_ERR_INIT;
    write_file("config", wrong[i], path, sizeof path);
    dr_ssh_options options = {.host = "web1", .config = path};
    assert_int_not_equal(dr__ssh_config_resolve(&config, &options, &err), DR_OK);
    assert_string_equal(err.code, "ssh.config");
    assert_non_null(strstr(err.message, "config:2:"));
    dr_err_clear(&err);
  }
}

static void a_wrong_line_of_another_host_is_passed_over(void **state) {
  (void)state;
  dr_ssh_config *config = resolve("web1", "Host other\n  Port twenty\nHost web1\n  Port 20\n");
  assert_int_equal(config->port, 20);
  dr__ssh_config_unref(config);
}

static void the_file_at_home_is_read_and_may_be_missing(void **state) {
  (void)state;
  char path[128];
  dr_ssh_config *config;
  dr_err err = DR_ERR_INIT;
  dr_ssh_options options = {.host = "web1"};
  assert_int_equal(dr__ssh_config_resolve(&config, &options, &err), DR_OK);
  dr__ssh_config_unref(config);
  snprintf(path, sizeof path, "%s/.ssh", folder);
  mkdir(path, 0700);
  write_file(".ssh/config", "Port 99\n", path, sizeof path);
  assert_int_equal(dr__ssh_config_resolve(&config, &options, &err), DR_OK);
  assert_int_equal(config->port, 99);
  dr__ssh_config_unref(config);
  options.config = "none";
  assert_int_equal(dr__ssh_config_resolve(&config, &options, &err), DR_OK);
  assert_int_equal(config->port, 22);
  dr__ssh_config_unref(config);
  options.config = "/nonexistent/config";
  assert_int_not_equal(dr__ssh_config_resolve(&config, &options, &err), DR_OK);
  assert_string_equal(err.code, "ssh.config");
  dr_err_clear(&err);
}

static void passwords_are_asked_for_where_the_file_prefers_them(void **state) {
  (void)state;
  dr_ssh_config *config = resolve("a", "PreferredAuthentications publickey,password\n");
  assert_int_equal(config->ask_password, 1);
  dr__ssh_config_unref(config);
  config = resolve("a", "PreferredAuthentications publickey\n");
  assert_int_equal(config->ask_password, 0);
  dr__ssh_config_unref(config);
}

static void the_agent_is_found(void **state) {
  (void)state;
  char path[128];
  setenv("SSH_AUTH_SOCK", "/agent", 1);
  setenv("OTHER_AGENT", "/other", 1);
  snprintf(path, sizeof path, "%s/agent", folder);
  static const char *const lines[] = {"",
                                      "IdentityAgent none\n",
                                      "IdentityAgent SSH_AUTH_SOCK\n",
                                      "IdentityAgent $OTHER_AGENT\n",
                                      "IdentityAgent ~/agent\n",
                                      "IdentityAgent ${OTHER_AGENT}/2\n"};
  const char *const found[] = {"/agent", NULL, "/agent", "/other", path, "/other/2"};
  for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
    dr_ssh_config *config = resolve("a", lines[i]);
    if (found[i] == NULL) {
      assert_null(config->agent);
    } else {
      assert_string_equal(config->agent, found[i]);
    }
    dr__ssh_config_unref(config);
  }
  unsetenv("SSH_AUTH_SOCK");
}

/* ---- names of hosts */

static void a_host_may_carry_user_and_port(void **state) {
  (void)state;
  static const struct {
    const char *text, *user, *host;
    int port;
  } cases[] = {{"web1", NULL, "web1", 22},
               {"deploy@web1", "deploy", "web1", 22},
               {"deploy@web1:2222", "deploy", "web1", 2222},
               {"ssh://deploy@web1:2222", "deploy", "web1", 2222},
               {"a@b@web1", "a@b", "web1", 22},
               {"::1", NULL, "::1", 22},
               {"[::1]:23", NULL, "::1", 23},
               {"[fe80::1%eth0]", NULL, "fe80::1%eth0", 22},
               {"me@10.0.0.1:24", "me", "10.0.0.1", 24}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    dr_ssh_config *config = resolve(cases[i].text, "");
    assert_string_equal(config->host, cases[i].host);
    assert_int_equal(config->port, cases[i].port);
    if (cases[i].user != NULL) assert_string_equal(config->user, cases[i].user);
    dr__ssh_config_unref(config);
  }
}

static void what_is_no_host_is_refused(void **state) {
  (void)state;
  static const char *const wrong[] = {"",         "@",          "web1:", "web1:x",
                                      "web1:0",   "web1:70000", "[::1",  "[::1]x",
                                      "-oOption", "a b",        "a/b"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    dr_ssh_config *config;
    dr_err err = DR_ERR_INIT;
    dr_ssh_options options = {.host = wrong[i], .config = "none"};
    if (dr__ssh_config_resolve(&config, &options, &err) == DR_OK) fail_msg("\"%s\"", wrong[i]);
    assert_string_equal(err.code, "ssh.config");
    dr_err_clear(&err);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(patterns_match_as_in_ssh),
      cmocka_unit_test(times_are_read_as_in_ssh),
      cmocka_unit_test(defaults_stand_where_nothing_is_said),
      cmocka_unit_test(the_first_value_wins),
      cmocka_unit_test(options_come_before_the_file),
      cmocka_unit_test(tokens_are_expanded),
      cmocka_unit_test(match_blocks_apply_by_host_and_user),
      cmocka_unit_test(a_block_that_a_program_decides_about_is_refused_where_it_counts),
      cmocka_unit_test(match_final_applies_when_all_else_is_known),
      cmocka_unit_test(words_are_quoted_as_in_ssh),
      cmocka_unit_test(no_wait_is_without_a_bound),
      cmocka_unit_test(ways_to_log_in_are_ruled_out),
      cmocka_unit_test(algorithms_change_the_usual_list),
      cmocka_unit_test(other_files_are_included),
      cmocka_unit_test(including_oneself_ends),
      cmocka_unit_test(a_wrong_line_is_named),
      cmocka_unit_test(a_wrong_line_of_another_host_is_passed_over),
      cmocka_unit_test(the_file_at_home_is_read_and_may_be_missing),
      cmocka_unit_test(passwords_are_asked_for_where_the_file_prefers_them),
      cmocka_unit_test(the_agent_is_found),
      cmocka_unit_test(a_host_may_carry_user_and_port),
      cmocka_unit_test(what_is_no_host_is_refused),
  };
  return cmocka_run_group_tests_name("ssh_config", tests, setup, teardown);
}
