/* tunnels.c - the tunnels through SSH hosts that a runtime keeps open. Owns them; they are closed
 * with the runtime. Called by docker_socket.c and http_route.c on the runtime's thread.
 */
#include "tunnels.h"

#include "core/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct tunnel {
  struct tunnel *next;
  dr_transport *transport; /* referenced */
  dr_ssh_tunnel *open;
  char *way; /* the socket or the command over there */
} tunnel;

typedef struct tunnels {
  tunnel *first;
} tunnels;

static void tunnel_free(tunnel *it) {
  dr__ssh_tunnel_close(it->open);
  dr__transport_unref(it->transport);
  free(it->way);
  free(it);
}

static void close_tunnels(void *value) {
  tunnels *all = value;
  while (all->first) {
    tunnel *gone = all->first;
    all->first = gone->next;
    tunnel_free(gone);
  }
  free(all);
}

static tunnels *tunnels_of(dr_runtime *rt, dr_err *err) {
  tunnels *all = dr__runtime_keep(rt, "tunnels", sizeof *all, close_tunnels);
  if (!all) dr__err_nomem(err);
  return all;
}

static tunnel *find_way(const tunnels *all, const dr_transport *transport, const char *way) {
  tunnel *it = all->first;
  while (it && (it->transport != transport || strcmp(it->way, way) != 0)) it = it->next;
  return it;
}

/* NULL with err filled when it fails. */
static tunnel *open_tunnel(tunnels *all, const dr_target *target, const char *way,
                           const dr_ssh_tunnel_spec *spec, dr_err *err) {
  tunnel *fresh = calloc(1, sizeof *fresh);
  char *kept = strdup(way);
  if (!fresh || !kept) {
    free(fresh);
    free(kept);
    dr__err_nomem(err);
    return NULL;
  }
  fresh->transport = dr__transport_ref(target->transport);
  fresh->way = kept;
  if (dr__ssh_tunnel_open(&fresh->open, target->transport, spec, err) != 0) {
    tunnel_free(fresh);
    return NULL;
  }
  fresh->next = all->first;
  all->first = fresh;
  return fresh;
}

int dr__tunnel_through(dr_runtime *rt, const dr_target *target, const char *way,
                       const dr_ssh_tunnel_spec *spec, char *socket, size_t size, dr_err *err) {
  tunnels *all = tunnels_of(rt, err);
  if (!all) return DR_FAILED;
  tunnel *found = find_way(all, target->transport, way);
  if (!found) found = open_tunnel(all, target, way, spec, err);
  if (!found) return DR_FAILED;
  dr__copy_text(socket, size, dr__ssh_tunnel_path(found->open));
  return 0;
}

int dr__tunnel_tcp(dr_runtime *rt, const dr_target *target, const char *host, int port,
                   char *socket, size_t size, dr_err *err) {
  char way[320];
  socket[0] = '\0';
  if (!target || !dr__is_ssh(target->transport)) return 0;
  snprintf(way, sizeof way, "%s:%d", host, port);
  const dr_ssh_tunnel_spec spec = {
      .kind = DR_SSH_TUNNEL_TCP, .host = host, .port = port, .name = "http.sock"};
  return dr__tunnel_through(rt, target, way, &spec, socket, size, err);
}

const dr_err *dr__tunnel_error(dr_runtime *rt, const char *socket, const char **host) {
  const tunnels *all = dr__runtime_get(rt, "tunnels");
  const tunnel *it = all ? all->first : NULL;
  while (it && strcmp(dr__ssh_tunnel_path(it->open), socket) != 0) it = it->next;
  if (!it) return NULL;
  *host = it->transport->name;
  return dr__ssh_tunnel_error(it->open);
}
