/* test_ssh_hostkey.c - is it the host it was? Known, unknown, changed, revoked and certified host
 * keys. */
#include "ssh_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int setup(void **state) {
  int rc = world_setup(state);
  world_key("other_key", "ed25519"); /* of another host */
  return rc;
}

static void an_unknown_host_key(void **state) {
  (void)state;
  world_open(NULL);
  dr_ssh_options options = world_options();
  options.known_hosts = world_file(0, "known_none", "");
  host_fails(&options, "ssh.host_key_unknown", 20, "SHA256:", "ssh-keyscan", NULL);
  world_close();
}

static void an_unknown_host_key_is_added_when_a_person_says_so(void **state) {
  (void)state;
  world_open("yes");
  dr_ssh_options options = world_options();
  char path[160];
  snprintf(path, sizeof path, "%s/new/known_hosts", world.folder);
  options.known_hosts = path;
  dr_transport *host = world_transport(&options);
  command_says(host, "echo in", "in\n", 0);
  assert_int_equal(world_questions, 1);
  assert_non_null(strstr(world_question, "SHA256:"));
  dr__transport_unref(host);
  world_close();
  world_open(NULL); /* known from now on */
  host_answers(&options);
  world_close();
}

/* What is added must not become part of another host's line, which would lose both. */
static void a_key_is_added_behind_a_last_line_without_an_end(void **state) {
  (void)state;
  char text[2048];
  snprintf(text, sizeof text, "elsewhere.example.com %s", world_line("other_key.pub"));
  text[strcspn(text, "\n")] = '\0';
  dr_ssh_options options = world_options();
  options.known_hosts = world_file(0, "known_cut", text);
  world_open("yes");
  host_answers(&options);
  world_close();
  world_open(NULL);
  host_answers(&options);
  world_close();
  const char *other[] = {"ssh-keygen",        "-F", "elsewhere.example.com", "-f",
                         options.known_hosts, NULL};
  assert_int_equal(world_run(other), 0);
}

/* The command that the hint ends with is run, and the host is known. */
static void the_hint_for_an_unknown_key_adds_it(void **state) {
  (void)state;
  char text[512], line[600];
  static const char *const names[] = {"", "  HostKeyAlias cluster\n"};
  for (int i = 0; i < 2; i++) {
    ssh_command command = {0};
    dr_ssh_options options = world_options();
    options.known_hosts = world_file(1, i == 0 ? "known_hint" : "known_hint_alias", "");
    snprintf(text, sizeof text, "Host *\n%s", names[i]);
    options.config = world_file(0, "alias", text);
    world_open(NULL);
    dr_transport *host = world_transport(&options);
    command_fails(&command, host, "true", "ssh.host_key_unknown");
    const char *scan = strstr(command.how.err.hint, "ssh-keyscan");
    assert_non_null(scan);
    snprintf(line, sizeof line, "%s", scan);
    const char *add[] = {"sh", "-c", line, NULL};
    assert_int_equal(world_run(add), 0);
    command_says(host, "echo in", "in\n", 0);
    command_free(&command);
    dr__transport_unref(host);
    world_close();
  }
}

/* As ssh has it: a key that the plain name is known by counts on every port; another one there does
 * not make the port's server a changed one. */
static void a_key_of_the_plain_name_counts_on_another_port(void **state) {
  (void)state;
  char text[4096], ours[1024], other[1024];
  dr_ssh_options options = world_options();
  snprintf(ours, sizeof ours, "%s", world_line("host_key.pub"));
  snprintf(other, sizeof other, "%s", world_line("other_key.pub"));
  snprintf(text, sizeof text, "127.0.0.1 %s", ours);
  options.known_hosts = world_file(0, "known_portless", text);
  world_open(NULL);
  host_answers(&options);
  snprintf(text, sizeof text, "127.0.0.1 %s", other);
  options.known_hosts = world_file(0, "known_portless", text);
  host_fails(&options, "ssh.host_key_unknown", 20, NULL);
  snprintf(text, sizeof text, "127.0.0.1 %s[127.0.0.1]:%d %s", ours, options.port, other);
  options.known_hosts = world_file(0, "known_portless", text);
  host_fails(&options, "ssh.host_key_changed", 20, "line 2", NULL);
  snprintf(text, sizeof text, "127.0.0.1 %s@revoked 127.0.0.1 %s", ours, ours);
  options.known_hosts = world_file(0, "known_portless", text);
  host_fails(&options, "ssh.host_key_revoked", 20, NULL);
  world_close();
}

static void an_unknown_host_key_stays_out_when_a_person_refuses(void **state) {
  (void)state;
  world_open("no");
  dr_ssh_options options = world_options();
  options.known_hosts = world_file(0, "known_none", "");
  host_fails(&options, "ssh.host_key_unknown", 20, NULL);
  assert_int_equal(world_questions, 1);
  world_close();
}

static void a_changed_host_key_fails_whoever_is_asked(void **state) {
  (void)state;
  char text[2048];
  world_open("yes");
  dr_ssh_options options = world_options();
  snprintf(text, sizeof text, "# a comment\n[127.0.0.1]:%d %s", options.port,
           world_line("other_key.pub"));
  options.known_hosts = world_file(0, "known_other", text);
  host_fails(&options, "ssh.host_key_changed", 20, "known_other line 2", "ssh-keygen -R", NULL);
  assert_int_equal(world_questions, 0);
  world_close();
}

static void a_revoked_host_key(void **state) {
  (void)state;
  char text[3000], key[1024];
  world_open("yes");
  snprintf(key, sizeof key, "%s", world_line("host_key.pub"));
  dr_ssh_options options = world_options();
  snprintf(text, sizeof text, "@revoked * %s[127.0.0.1]:%d %s", key, options.port, key);
  options.known_hosts = world_file(0, "known_revoked", text);
  host_fails(&options, "ssh.host_key_revoked", 20, NULL);
  world_close();
}

/* The authority signed the host's key, which this library cannot be shown. */
static void a_host_known_by_an_authority_only(void **state) {
  (void)state;
  char text[2048], marked[2100];
  dr_ssh_options options = world_options();
  snprintf(text, sizeof text, "[127.0.0.1]:%d %s", options.port, world_line("other_key.pub"));
  snprintf(marked, sizeof marked, "# a comment\n@cert-authority %s", text);
  options.known_hosts = world_file(0, "known_authority", marked);
  world_open(NULL);
  host_fails(&options, "ssh.host_key_unknown", 20, "certificate authority only",
             "known_authority line 2", NULL);
  world_close();
  world_open("no");
  host_fails(&options, "ssh.host_key_unknown", 20, NULL);
  assert_non_null(strstr(world_question, "certificate authority"));
  world_close();
}

/* ---- host certificates: a server that has one, and an authority that is trusted */

static char authority[2048]; /* a line of known_hosts */

/* An sshd whose host key is certified, and which may be limited to showing the certificate. */
static ssh_server certified_sshd(const char *name, const char *algorithms) {
  char lines[512];
  const char *sign[] = {"ssh-keygen", "-q", "-s",        world_path("authority"),    "-h", "-I",
                        "host",       "-n", "127.0.0.1", world_path("host_key.pub"), NULL};
  if (access(world_path("authority"), F_OK) != 0) world_key("authority", "ed25519");
  assert_int_equal(world_run(sign), 0);
  snprintf(lines, sizeof lines, "HostCertificate %s\n%s", world_path("host_key-cert.pub"),
           algorithms);
  ssh_server server = world_sshd(name, lines);
  snprintf(authority, sizeof authority, "@cert-authority [127.0.0.1]:%d %s", server.port,
           world_line("authority.pub"));
  return server;
}

/* ssh itself gets in by the certificate; what it says helps here, too, once it is done. */
static void a_certified_host_and_an_authority(void **state) {
  (void)state;
  char line[1024];
  ssh_server server = certified_sshd("certified", "");
  dr_ssh_options options = world_options();
  options.port = server.port;
  options.known_hosts = world_file(0, "known_certified", authority);
  world_open(NULL);
  host_fails(&options, "ssh.host_key_unknown", 20, "host certificates cannot be checked here",
             NULL);
  world_close();
  snprintf(line, sizeof line,
           "ssh -F none -i %s -o IdentitiesOnly=yes -o BatchMode=yes -o UserKnownHostsFile=%s "
           "-o GlobalKnownHostsFile=none -p %d %s@127.0.0.1 "
           "\"printf '[127.0.0.1]:%d '; cat %s/host_key.pub\" >%s/fetched && cat %s/fetched >>%s",
           world.key, options.known_hosts, server.port, world.user, server.port, world.folder,
           world.folder, world.folder, options.known_hosts);
  const char *fetch[] = {"sh", "-c", line, NULL};
  assert_int_equal(world_run(fetch), 0);
  world_open(NULL);
  host_answers(&options);
  world_close();
  world_kill(server.pid);
}

static void a_host_that_shows_nothing_but_its_certificate(void **state) {
  (void)state;
  ssh_server server =
      certified_sshd("certificate_only", "HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com");
  dr_ssh_options options = world_options();
  options.port = server.port;
  world_open(NULL);
  host_fails(&options, "ssh.protocol", 20, "in place of its host key", NULL);
  world_close();
  world_kill(server.pid);
}

/* As a configuration that was made for ssh may want it. */
static void certificates_among_the_host_key_algorithms(void **state) {
  (void)state;
  char text[1024];
  static const char *const lists[] = {"ssh-ed25519-cert-v01@openssh.com,ssh-ed25519",
                                      "ssh-ed25519-cert-v01@openssh.com"};
  world_open(NULL);
  for (int i = 0; i < 2; i++) {
    dr_ssh_options options = world_options();
    snprintf(text, sizeof text, "Host *\n  HostKeyAlgorithms %s\n", lists[i]);
    options.config = world_file(0, "certificates", text);
    host_answers(&options);
  }
  world_close();
}

/* An old server that has an RSA key and SHA-1 alone is reached by the line that ssh wants, too. */
static void algorithms_are_added_and_taken_away(void **state) {
  (void)state;
  char lines[512], text[2048];
  world_key("rsa_host_key", "rsa");
  snprintf(lines, sizeof lines,
           "HostKey %s\nHostKeyAlgorithms ssh-rsa\nPubkeyAcceptedAlgorithms ssh-ed25519",
           world_path("rsa_host_key"));
  ssh_server server = world_sshd("rsa_only", lines);
  dr_ssh_options options = world_options();
  options.port = server.port;
  snprintf(text, sizeof text, "[127.0.0.1]:%d %s", server.port, world_line("rsa_host_key.pub"));
  options.known_hosts = world_file(1, "known_rsa", text);
  world_open(NULL);
  options.config = world_file(0, "plain_list", "Host *\n");
  host_fails(&options, "ssh.protocol", 20, "no match", NULL);
  options.config = world_file(0, "old_list",
                              "HostKeyAlgorithms +ssh-rsa,ssh-dss\n"
                              "PubkeyAcceptedAlgorithms +ssh-rsa\n"
                              "KexAlgorithms -ecdh-*,sntrup*\n"
                              "Ciphers ^aes256-ctr\n"
                              "MACs +umac-64@openssh.com\n");
  host_answers(&options);
  options.config = world_file(0, "no_list", "MACs umac-64@openssh.com\n");
  host_fails(&options, "ssh.config", 20, "MACs umac-64@openssh.com", NULL);
  world_close();
  world_kill(server.pid);
}

static void a_malformed_line_does_not_spoil_known_hosts(void **state) {
  (void)state;
  char text[4096], key[2048] = "";
  world_open(NULL);
  dr_ssh_options options = world_options();
  FILE *file = fopen(world.known_hosts, "r");
  size_t length = fread(key, 1, sizeof key - 1, file);
  key[length] = '\0';
  fclose(file);
  snprintf(text, sizeof text, "garbage\n[127.0.0.1]:%d ssh-ed25519 !!!\n\n|1|x|y z\n%s",
           options.port, key);
  options.known_hosts = world_file(0, "known_mixed", text);
  host_answers(&options);
  world_close();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_unknown_host_key),
      cmocka_unit_test(an_unknown_host_key_is_added_when_a_person_says_so),
      cmocka_unit_test(a_key_is_added_behind_a_last_line_without_an_end),
      cmocka_unit_test(the_hint_for_an_unknown_key_adds_it),
      cmocka_unit_test(a_key_of_the_plain_name_counts_on_another_port),
      cmocka_unit_test(algorithms_are_added_and_taken_away),
      cmocka_unit_test(an_unknown_host_key_stays_out_when_a_person_refuses),
      cmocka_unit_test(a_changed_host_key_fails_whoever_is_asked),
      cmocka_unit_test(a_revoked_host_key),
      cmocka_unit_test(a_host_known_by_an_authority_only),
      cmocka_unit_test(a_certified_host_and_an_authority),
      cmocka_unit_test(a_host_that_shows_nothing_but_its_certificate),
      cmocka_unit_test(certificates_among_the_host_key_algorithms),
      cmocka_unit_test(a_malformed_line_does_not_spoil_known_hosts),
  };
  return cmocka_run_group_tests_name("ssh_hostkey", tests, setup, world_teardown);
}
