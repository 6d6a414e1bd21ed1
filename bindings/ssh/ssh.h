/* ssh/ssh.h - SSH hosts as transports, and tunnels through them.
 *
 * A dr_ssh_pool is what all SSH connections of one runtime share: the way back to the loop, the
 * limit on connections being set up at the same time, and the answers a person gave (passphrases
 * are asked once). A transport made from it connects when the first command is started, carries any
 * number of commands and streams over that connection, and connects again when the connection was
 * lost between two commands.
 *
 * Everything here is called on the loop's thread, and every callback comes back on it. Each
 * connection has a thread of its own that nobody else sees.
 */
#ifndef DR_SSH_H
#define DR_SSH_H

#include "target/target.h"

typedef struct dr_ssh_pool dr_ssh_pool;

typedef struct dr_ssh_pool_options {
  unsigned limit; /* connections being set up at the same time; 0: 32 */
  dr_asker asker; /* for passphrases, passwords, unknown host keys; NULL: nobody can be asked */
  void *asker_data;
} dr_ssh_pool_options;

/* Makes a pool on a loop. Returns DR_OK, or DR_FAILED with err filled. */
int dr__ssh_pool_new(dr_ssh_pool **out, uv_loop_t *loop, const dr_ssh_pool_options *options,
                     dr_err *err);

/* Ends every connection and forgets what was asked. Waits for the threads, each of which ends at
 * once. Commands under way fail with "cancelled" before this returns. The pool frees itself when
 * the loop has closed its handle and the last transport is gone. Takes the pool as void * so that
 * it fits dr__runtime_put(). NULL is allowed. */
void dr__ssh_pool_close(void *data);

/* How to reach a host. NULL, 0 or false always mean: what ~/.ssh/config says, else the default.
 * Borrowed. */
typedef struct dr_ssh_options {
  const char *host; /* a Host of ~/.ssh/config, a name, an address, or [user@]host[:port] */
  const char *user; /* else the local user's name */
  int port;         /* else 22 */
  const char *const *identities; /* private key files, tried in this order, ends with NULL */
  bool identities_only;          /* offer no other keys of the agent */
  const char *jump;              /* "bastion" or "a,b": go through these hosts; "none": straight */
  const char *config;      /* instead of ~/.ssh/config and /etc/ssh/ssh_config; "none": neither */
  const char *known_hosts; /* instead of the known_hosts files of user and system */
  const char *password;    /* a password the recipe knows as a secret */
  bool ask_password;      /* a person may be asked for a password or another prompt of the server */
  double connect_timeout; /* seconds until a login must have succeeded; else 10 */
  double keepalive_interval; /* seconds of silence after which the server is asked for a sign of
                                life; else 5 */
  int keepalive_count;       /* unanswered ones after which the connection counts as lost; else 3 */
} dr_ssh_options;

/* Makes a transport; reads the configuration but does not connect. New reference in *out. Fails
 * with "ssh.config". A command on it ends with a status, with a signal, or with one of these
 * errors:
 *
 * - ssh.resolve: the name has no address
 * - ssh.connect: refused, unreachable, or closed before the SSH protocol began
 * - ssh.timeout: connect_timeout passed; the message names the stage of connecting
 * - ssh.protocol: not an SSH server, or no algorithm in common
 * - ssh.host_key_unknown, ssh.host_key_changed, ssh.host_key_revoked
 * - ssh.auth: no key or password was accepted
 * - ssh.jump: a jump host could not be reached; its own error is the cause
 * - ssh.channel: the server refused to start a command or a stream
 * - ssh.connection_lost: the connection ended while the command ran
 * - ssh.login_shell: the login shell there ended without beginning the command
 * - ssh.exit_status_lost: the command ended but the server did not say how
 * - cancelled: stopped by cancel() or by closing the pool */
int dr__ssh_new(dr_transport **out, dr_ssh_pool *pool, const dr_ssh_options *options, dr_err *err);

/* True for a transport made by dr__ssh_new(). */
bool dr__is_ssh(const dr_transport *transport);

/* Who logs in; of a transport made by dr__ssh_new(). Borrowed. */
const char *dr__ssh_user(const dr_transport *transport);

/* ------------------------------------------------------------ tunnels */

typedef enum dr_ssh_tunnel_kind {
  DR_SSH_TUNNEL_TCP,    /* to host:port as seen from the server */
  DR_SSH_TUNNEL_UNIX,   /* to a unix socket on the server (OpenSSH only) */
  DR_SSH_TUNNEL_COMMAND /* to the standard input and output of a command, one per stream */
} dr_ssh_tunnel_kind;

typedef struct dr_ssh_tunnel_spec {
  dr_ssh_tunnel_kind kind;
  const char *host;    /* TCP */
  int port;            /* TCP */
  const char *path;    /* UNIX */
  const char *command; /* COMMAND: a line for the shell there */
  bool gives_password; /* COMMAND: each stream begins with the transport's sudo password, in a line
                          of its own */
  const char *name;    /* of the socket in its folder, e.g. ".s.PGSQL.5432"; NULL: "socket" */
} dr_ssh_tunnel_spec;

typedef struct dr_ssh_tunnel dr_ssh_tunnel;

/* Makes a unix socket in a new private folder (mode 0700) whose accepted connections are carried to
 * the far side, each as its own stream over the transport's connection, which is made when the
 * first one is accepted. Borrows the spec during the call; holds a reference to the transport.
 * Fails with "ssh.tunnel". */
int dr__ssh_tunnel_open(dr_ssh_tunnel **out, dr_transport *transport,
                        const dr_ssh_tunnel_spec *spec, dr_err *err);

/* The socket's path, and the folder it is in. */
const char *dr__ssh_tunnel_path(const dr_ssh_tunnel *tunnel);
const char *dr__ssh_tunnel_folder(const dr_ssh_tunnel *tunnel);

/* Why the latest stream failed (a client sees only a closed connection); code "" when none did. */
const dr_err *dr__ssh_tunnel_error(const dr_ssh_tunnel *tunnel);

/* Ends its streams and removes socket and folder. NULL is allowed. Also done when the pool is
 * closed; the tunnel must still be given back here afterwards. */
void dr__ssh_tunnel_close(dr_ssh_tunnel *tunnel);

#endif
