/* ssh/algorithms.c - lists of algorithms as ssh_config(5) writes them, turned into what libssh
 * takes.
 *
 * A list that begins with '+' adds to the usual one, '^' puts its names in front, '-' takes names
 * away; names may be patterns. What libssh does not know is passed over as long as something
 * remains: configurations are written for OpenSSH, which knows more. libssh cannot be asked for its
 * lists, so they stand here (0.10).
 *
 * Called by connect.c. Pure C, any thread.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#define CERTIFIED                                                                                  \
  "ssh-ed25519-cert-v01@openssh.com,sk-ssh-ed25519-cert-v01@openssh.com,"                          \
  "ecdsa-sha2-nistp521-cert-v01@openssh.com,ecdsa-sha2-nistp384-cert-v01@openssh.com,"             \
  "ecdsa-sha2-nistp256-cert-v01@openssh.com,sk-ecdsa-sha2-nistp256-cert-v01@openssh.com,"          \
  "rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com,"
#define SIGNED                                                                                     \
  "ssh-ed25519,ecdsa-sha2-nistp521,ecdsa-sha2-nistp384,ecdsa-sha2-nistp256,"                       \
  "sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256"
#define EXCHANGES                                                                                  \
  "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,"          \
  "ecdh-sha2-nistp521,diffie-hellman-group18-sha512,diffie-hellman-group16-sha512,"                \
  "diffie-hellman-group-exchange-sha256,diffie-hellman-group14-sha256"
#define MACS                                                                                       \
  "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512"

/* AES-GCM first: with AES instructions, which every server CPU has by now, it moves several times
 * as many bytes a second as libssh's first choice, ChaCha20. */
#define CIPHERS                                                                                    \
  "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,"                   \
  "aes256-ctr,aes192-ctr,aes128-ctr"

static const struct {
  const char *usual, *known;
} lists[] = {
    [DR_SSH_CIPHERS] = {CIPHERS, CIPHERS ",aes256-cbc,aes192-cbc,aes128-cbc,3des-cbc"},
    [DR_SSH_MACS] = {MACS, MACS ",hmac-sha1-etm@openssh.com,hmac-sha1"},
    [DR_SSH_KEX] = {EXCHANGES, EXCHANGES ",diffie-hellman-group-exchange-sha1,"
                                         "diffie-hellman-group14-sha1,diffie-hellman-group1-sha1"},
    [DR_SSH_HOST_KEYS] = {SIGNED, CERTIFIED SIGNED ",ssh-rsa"},
    [DR_SSH_USER_KEYS] = {CERTIFIED SIGNED, CERTIFIED SIGNED ",ssh-rsa"},
};

/* The next name of a list, in buffer; false at its end. */
static bool next_name(const char **at, char *buffer, size_t size) {
  while (**at == ',') ++*at;
  size_t length = strcspn(*at, ",");
  snprintf(buffer, size, "%.*s", (int)length, *at);
  *at += length;
  return length > 0;
}

/* True when one of the list's patterns, up to `end` or its own end, matches the name. */
static bool names(const char *list, const char *name) {
  char pattern[128];
  while (next_name(&list, pattern, sizeof pattern)) {
    if (dr__ssh_match(pattern, name)) return true;
  }
  return false;
}

static void add(char *out, size_t size, const char *name) {
  size_t used = strlen(out);
  if (names(out, name) || used + strlen(name) + 2 > size) return;
  snprintf(out + used, size - used, "%s%s", used > 0 ? "," : "", name);
}

/* Adds what is known and matches one of the patterns, in the order of the patterns. */
static void add_matching(char *out, size_t size, const char *known, const char *patterns) {
  char pattern[128], name[128];
  while (next_name(&patterns, pattern, sizeof pattern)) {
    const char *at = known;
    while (next_name(&at, name, sizeof name)) {
      if (dr__ssh_match(pattern, name)) add(out, size, name);
    }
  }
}

static void add_others(char *out, size_t size, const char *usual, const char *denied) {
  char name[128];
  while (next_name(&usual, name, sizeof name)) {
    if (!names(denied, name)) add(out, size, name);
  }
}

bool dr__ssh_algorithms(dr_ssh_algorithms kind, const char *wanted, const char *usual, char *out,
                        size_t size) {
  const char *known = lists[kind].known;
  out[0] = '\0';
  if (usual == NULL) usual = lists[kind].usual;
  if (wanted == NULL || wanted[0] == '+') add_matching(out, size, known, usual);
  if (wanted == NULL) return true;
  if (wanted[0] == '-') {
    add_others(out, size, usual, wanted + 1);
  } else {
    add_matching(out, size, known, wanted + (wanted[0] == '+' || wanted[0] == '^'));
  }
  if (wanted[0] == '^') add_matching(out, size, known, usual);
  return out[0] != '\0';
}
