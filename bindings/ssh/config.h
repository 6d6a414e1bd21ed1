/* ssh/config.h - what is known about reaching one host: the caller's options, then ~/.ssh/config,
 * then defaults. */
#ifndef DR_SSH_CONFIG_H
#define DR_SSH_CONFIG_H

#include "ssh.h"

/* A list of owned strings that ends with NULL; items is NULL while it is empty. */
typedef struct dr_ssh_strings {
  char **items;
  size_t count;
} dr_ssh_strings;

int dr__ssh_strings_add(dr_ssh_strings *list, const char *text);
void dr__ssh_strings_clear(dr_ssh_strings *list);

/* Written once by dr__ssh_config_resolve(), then only read, also by session threads. */
typedef struct dr_ssh_config {
  int references; /* loop's thread only */

  char *alias;    /* the host as it was asked for */
  char *host;     /* HostName: what is resolved and connected to */
  char *key_name; /* the name its key is known by: HostKeyAlias, else host */
  bool key_alias; /* key_name is a HostKeyAlias, which is looked up without the port */
  char *user;
  int port;
  int family; /* AF_UNSPEC, AF_INET, AF_INET6 */
  char *bind_address;

  dr_ssh_strings identities; /* explicit ones, else the default files */
  bool identities_explicit;
  dr_ssh_strings certificates; /* CertificateFile */
  int identities_only;
  char *agent; /* path of the agent's socket; NULL: none */

  char *jump;          /* "[user@]host[:port],…", or NULL */
  char *proxy_command; /* expanded, or NULL */

  dr_ssh_strings user_known_hosts;
  dr_ssh_strings global_known_hosts;
  char *strict; /* "ask", "yes", "no", "accept-new" */

  char *password;
  int ask_password;
  int public_key, password_login, interactive; /* the ways to log in that may be taken */
  int batch;                                   /* BatchMode: nobody is asked anything */

  char *ciphers, *macs, *kex, *host_key_algorithms, *public_key_algorithms; /* or NULL */
  int compression;

  int connect_timeout_ms;
  int keepalive_ms;
  int keepalive_count;

  /* while the files are read: Match final was met, so that they are read a second time; and this is
   * that time */
  bool wants_final, final;
} dr_ssh_config;

/* Works out the configuration of a host. New reference in *out. Fails with "ssh.config" (unreadable
 * file, bad port, a line that cannot be understood, named with its file and line). Any thread. */
int dr__ssh_config_resolve(dr_ssh_config **out, const dr_ssh_options *options, dr_err *err);

dr_ssh_config *dr__ssh_config_ref(dr_ssh_config *config);
void dr__ssh_config_unref(dr_ssh_config *config);

/* The person's home folder; valid for the life of the process. */
const char *dr__ssh_home(void);

/* True when name matches the pattern ('*' and '?'), ignoring case. */
bool dr__ssh_match(const char *pattern, const char *name);

/* True when name matches a list of patterns; one that begins with '!' and matches makes it false.
 */
bool dr__ssh_match_list(const char *const *patterns, size_t count, const char *name);

/* ---- config_file.c: reads ssh_config(5) files into a config whose unset fields are NULL or -1 */

/* Reads a file; a missing one is no error unless `required`. */
int dr__ssh_config_read(dr_ssh_config *config, const char *path, bool system, bool required,
                        dr_err *err);

/* Reads text, as if it were a file of that name. */
int dr__ssh_config_parse(dr_ssh_config *config, const char *name, const char *text, bool system,
                         dr_err *err);

/* ---- algorithms.c */

typedef enum dr_ssh_algorithms {
  DR_SSH_CIPHERS,
  DR_SSH_MACS,
  DR_SSH_KEX,
  DR_SSH_HOST_KEYS,
  DR_SSH_USER_KEYS
} dr_ssh_algorithms;

/* The list that libssh is to be given, in out: `wanted` is a list as in ssh_config(5), with a '+',
 * '-' or '^' and patterns, or NULL; `usual` is what it changes, NULL: the default. False when
 * nothing remains that libssh knows. */
bool dr__ssh_algorithms(dr_ssh_algorithms kind, const char *wanted, const char *usual, char *out,
                        size_t size);

/* "90", "90s", "5m", "1h30m" in seconds, -1 when it is none of these. */
long dr__ssh_seconds(const char *text);

#endif
