/* tunnels.h - the tunnels through SSH hosts that a runtime keeps open, one for each host and way.
 * Used by what speaks to something behind a host (docker, http), on the runtime's thread. */
#ifndef DR_TUNNELS_H
#define DR_TUNNELS_H

#include "ssh/ssh.h"

#include "ops/binding.h"

/* The path of a unix socket that leads through the target's host the way the spec says; opened,
 * without connecting yet, when it is the first time. `way` names the way and is the key. Returns 0,
 * or an error (ssh.tunnel). */
int dr__tunnel_through(dr_runtime *rt, const dr_target *target, const char *way,
                       const dr_ssh_tunnel_spec *spec, char *socket, size_t size, dr_err *err);

/* The same to a TCP address as the target sees it; "" when the target is no SSH host and the
 * address is reached directly. */
int dr__tunnel_tcp(dr_runtime *rt, const dr_target *target, const char *host, int port,
                   char *socket, size_t size, dr_err *err);

/* Why the latest stream through the tunnel with this socket failed, code "" when none did, and the
 * host's name; NULL when it is no tunnel. */
const dr_err *dr__tunnel_error(dr_runtime *rt, const char *socket, const char **host);

#endif
