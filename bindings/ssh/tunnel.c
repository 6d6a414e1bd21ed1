/* ssh/tunnel.c - a private unix socket whose connections are carried to the far side of a
 * transport.
 *
 * Called by bindings that speak to something behind a host (libpq, libcurl), on the loop's thread.
 * The loop watches the listening socket; each accepted connection becomes a stream, handed to the
 * transport's session like a command.
 */
#include "internal.h"

#include "core/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* One accepted connection. Freed when its channel is over, which may be after the tunnel. */
typedef struct tunnel_stream {
  struct tunnel_stream *next;
  dr_ssh_tunnel *tunnel; /* NULL when it is gone */
  dr_ssh_channel *channel;
} tunnel_stream;

struct dr_ssh_tunnel {
  dr_ssh_tunnel *next; /* in the pool */
  dr_ssh_transport *transport;
  dr_ssh_tunnel_kind kind;
  char *destination; /* host, path or command */
  int port;
  bool gives_password;
  char folder[64];
  char path[108];
  int listen_fd;   /* -1 when shut */
  uv_poll_t *poll; /* freed by its close callback */
  tunnel_stream *streams;
  dr_err err;
};

/* ---- streams */

static void watch(dr_ssh_tunnel *tunnel);

static void on_stream_exit(void *data, dr_exec_exit *how) {
  tunnel_stream *stream = data;
  dr_ssh_tunnel *tunnel = stream->tunnel;
  if (tunnel != NULL) {
    tunnel_stream **at = &tunnel->streams;
    while (*at != stream) at = &(*at)->next;
    *at = stream->next;
    if (how->err.code[0] != '\0') dr__err_move(&tunnel->err, &how->err);
    watch(tunnel);
  }
  free(stream);
}

/* The password that is known now: one that was found wrong since the tunnel was opened is not
 * given.
 */
static bool put_password(dr_ssh_channel *channel, const dr_ssh_tunnel *tunnel) {
  const char *password = tunnel->transport->base.sudo_password;
  if (!tunnel->gives_password) return true;
  size_t length = password == NULL ? 0 : strlen(password);
  channel->input = malloc(length + 1);
  if (channel->input == NULL) return false;
  if (length > 0) memcpy(channel->input, password, length);
  channel->input[length] = '\n';
  channel->input_length = length + 1;
  channel->secret_first = true;
  return true;
}

static dr_ssh_channel *new_channel(dr_ssh_tunnel *tunnel) {
  static const dr_ssh_channel_kind kinds[] = {[DR_SSH_TUNNEL_TCP] = DR_SSH_STREAM_TCP,
                                              [DR_SSH_TUNNEL_UNIX] = DR_SSH_STREAM_UNIX,
                                              [DR_SSH_TUNNEL_COMMAND] = DR_SSH_STREAM_COMMAND};
  dr_ssh_channel *channel = dr__ssh_channel_new(tunnel->transport, kinds[tunnel->kind]);
  if (channel == NULL) return NULL;
  char **text = tunnel->kind == DR_SSH_TUNNEL_COMMAND ? &channel->command : &channel->host;
  *text = strdup(tunnel->destination);
  channel->port = tunnel->port;
  if (*text != NULL && put_password(channel, tunnel)) return channel;
  dr__ssh_channel_free(channel);
  return NULL;
}

/* Makes a stream of an accepted connection, which it takes over. */
static int begin_stream(dr_ssh_tunnel *tunnel, int fd, dr_err *err) {
  tunnel_stream *stream = calloc(1, sizeof *stream);
  dr_ssh_channel *channel = stream == NULL ? NULL : new_channel(tunnel);
  if (channel == NULL) {
    free(stream);
    close(fd);
    return dr__err_nomem(err);
  }
  channel->fd = fd;
  channel->on_exit = on_stream_exit;
  channel->data = stream;
  stream->tunnel = tunnel;
  stream->channel = channel;
  if (dr__ssh_submit(channel, err) != DR_OK) {
    dr__ssh_channel_free(channel);
    free(stream);
    return DR_FAILED;
  }
  stream->next = tunnel->streams;
  tunnel->streams = stream;
  dr_err_clear(&tunnel->err); /* what became of earlier ones says nothing of this one */
  return DR_OK;
}

static void on_acceptable(uv_poll_t *poll, int status, int events) {
  dr_ssh_tunnel *tunnel = poll->data;
  (void)status, (void)events;
  while (tunnel->listen_fd >= 0) {
    int fd = accept4(tunnel->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
      (void)begin_stream(tunnel, fd, &tunnel->err);
      continue;
    }
    if (errno == EMFILE || errno == ENFILE) {
      /* Looked at again when a stream ends: the connection would be reported without end until
       * then. */
      dr__fail(&tunnel->err, "ssh.tunnel", "too many open files for another connection");
      uv_poll_stop(poll);
    }
    if (errno != EINTR && errno != ECONNABORTED) return;
  }
}

static void watch(dr_ssh_tunnel *tunnel) {
  if (tunnel->poll != NULL) uv_poll_start(tunnel->poll, UV_READABLE, on_acceptable);
}

/* ---- the socket */

static int fail_socket(dr_ssh_tunnel *tunnel, dr_err *err, const char *what) {
  dr__fail(err, "ssh.tunnel", "%s for a tunnel to %s: %s", what, tunnel->transport->base.name,
           strerror(errno));
  dr__err_hint(err, "check that /tmp is writable and has room");
  return DR_FAILED;
}

static int make_socket(dr_ssh_tunnel *tunnel, const char *name, dr_err *err) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char folder[] = "/tmp/deployrun-XXXXXX";
  if (mkdtemp(folder) == NULL) return fail_socket(tunnel, err, "no folder can be made");
  memcpy(tunnel->folder, folder, sizeof folder);
  int length = snprintf(tunnel->path, sizeof tunnel->path, "%s/%s", folder, name);
  if (length < 0 || (size_t)length >= sizeof tunnel->path || strchr(name, '/') != NULL) {
    tunnel->path[0] = '\0';
    return dr__fail(err, "ssh.tunnel", "\"%s\" cannot be the name of a socket", name);
  }
  memcpy(address.sun_path, tunnel->path, sizeof address.sun_path);
  tunnel->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (tunnel->listen_fd < 0 ||
      bind(tunnel->listen_fd, (struct sockaddr *)&address, sizeof address) != 0 ||
      listen(tunnel->listen_fd, 64) != 0) {
    return fail_socket(tunnel, err, "no socket can be made");
  }
  return DR_OK;
}

static int start_watching(dr_ssh_tunnel *tunnel, dr_err *err) {
  uv_poll_t *poll = calloc(1, sizeof *poll);
  if (poll == NULL) return dr__err_nomem(err);
  if (uv_poll_init(tunnel->transport->base.loop, poll, tunnel->listen_fd) != 0) {
    free(poll);
    return dr__fail(err, "ssh.tunnel", "the loop cannot watch a tunnel");
  }
  poll->data = tunnel;
  tunnel->poll = poll;
  uv_unref((uv_handle_t *)poll);
  watch(tunnel);
  return DR_OK;
}

static void on_poll_closed(uv_handle_t *handle) {
  free(handle);
}

/* Ends everything but the tunnel's own memory. */
static void shut(dr_ssh_tunnel *tunnel) {
  if (tunnel->poll != NULL) {
    uv_poll_stop(tunnel->poll);
    uv_close((uv_handle_t *)tunnel->poll, on_poll_closed);
    tunnel->poll = NULL;
  }
  if (tunnel->listen_fd >= 0) close(tunnel->listen_fd);
  tunnel->listen_fd = -1;
  if (tunnel->path[0] != '\0') unlink(tunnel->path);
  if (tunnel->folder[0] != '\0') rmdir(tunnel->folder);
  tunnel->path[0] = tunnel->folder[0] = '\0';
  while (tunnel->streams != NULL) {
    tunnel_stream *stream = tunnel->streams;
    tunnel->streams = stream->next;
    stream->tunnel = NULL;
    dr__ssh_channel_cancel(stream->channel);
  }
}

void dr__ssh_tunnels_shut(dr_ssh_pool *pool) {
  for (dr_ssh_tunnel *tunnel = pool->tunnels; tunnel != NULL; tunnel = tunnel->next) shut(tunnel);
}

/* ---- the interface */

static int take_spec(dr_ssh_tunnel *tunnel, const dr_ssh_tunnel_spec *spec, dr_err *err) {
  const char *const destinations[] = {[DR_SSH_TUNNEL_TCP] = spec->host,
                                      [DR_SSH_TUNNEL_UNIX] = spec->path,
                                      [DR_SSH_TUNNEL_COMMAND] = spec->command};
  tunnel->kind = spec->kind;
  tunnel->port = spec->port;
  tunnel->gives_password = spec->gives_password;
  if (destinations[spec->kind] == NULL ||
      (spec->kind == DR_SSH_TUNNEL_TCP && (spec->port < 1 || spec->port > 65535))) {
    return dr__fail(err, "ssh.tunnel", "a tunnel needs a destination");
  }
  tunnel->destination = strdup(destinations[spec->kind]);
  return tunnel->destination == NULL ? dr__err_nomem(err) : DR_OK;
}

int dr__ssh_tunnel_open(dr_ssh_tunnel **out, dr_transport *transport,
                        const dr_ssh_tunnel_spec *spec, dr_err *err) {
  dr_ssh_tunnel *tunnel = calloc(1, sizeof *tunnel);
  *out = NULL;
  if (tunnel == NULL) return dr__err_nomem(err);
  tunnel->transport = (dr_ssh_transport *)transport;
  tunnel->listen_fd = -1;
  dr__transport_ref(transport);
  dr_ssh_pool *pool = tunnel->transport->pool;
  tunnel->next = pool->tunnels;
  pool->tunnels = tunnel;
  int rc = pool->closed ? dr__fail(err, "cancelled", "the runtime is being closed") : DR_OK;
  if (rc == DR_OK) rc = take_spec(tunnel, spec, err);
  if (rc == DR_OK) rc = make_socket(tunnel, spec->name != NULL ? spec->name : "socket", err);
  if (rc == DR_OK) rc = start_watching(tunnel, err);
  if (rc == DR_OK) {
    *out = tunnel;
  } else {
    dr__ssh_tunnel_close(tunnel);
  }
  return rc;
}

const char *dr__ssh_tunnel_path(const dr_ssh_tunnel *tunnel) {
  return tunnel->path;
}
const char *dr__ssh_tunnel_folder(const dr_ssh_tunnel *tunnel) {
  return tunnel->folder;
}
const dr_err *dr__ssh_tunnel_error(const dr_ssh_tunnel *tunnel) {
  return &tunnel->err;
}

void dr__ssh_tunnel_close(dr_ssh_tunnel *tunnel) {
  if (tunnel == NULL) return;
  shut(tunnel);
  dr_ssh_tunnel **at = &tunnel->transport->pool->tunnels;
  while (*at != tunnel) at = &(*at)->next;
  *at = tunnel->next;
  dr__transport_unref(&tunnel->transport->base);
  free(tunnel->destination);
  dr_err_clear(&tunnel->err);
  free(tunnel);
}
