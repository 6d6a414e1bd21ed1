/* ssh/transport.c - a host as a dr_transport: takes commands, finds or makes the connection for
 * them, and gives their output and end back to whoever started them.
 *
 * Called by the runtime through dr_transport_class, on the loop's thread. News from session threads
 * arrives here.
 */
#include "internal.h"

#include "core/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const dr_transport_class ssh_class;

bool dr__is_ssh(const dr_transport *transport) {
  return transport->klass == &ssh_class;
}

/* ---- submitting */

/* True when the session can still take a channel, which it then has. */
static bool hand_over(dr_ssh_session *session, dr_ssh_channel *channel) {
  dr_ssh_pool *pool = session->pool;
  uv_mutex_lock(&pool->lock);
  bool open = !session->ended && !session->stop;
  if (open) dr__ssh_session_add(session, channel);
  uv_mutex_unlock(&pool->lock);
  return open;
}

/* The stream through the jump host that will carry the session. */
static int carry(dr_ssh_session *session, dr_ssh_transport *transport, int fd, dr_err *err) {
  dr_ssh_channel *stream =
      dr__ssh_channel_new((dr_ssh_transport *)transport->jump, DR_SSH_STREAM_TCP);
  if (stream == NULL || (stream->host = strdup(transport->config->host)) == NULL) {
    if (stream != NULL) dr__ssh_channel_free(stream);
    close(fd);
    return dr__err_nomem(err);
  }
  stream->port = transport->config->port;
  stream->fd = fd;
  uv_mutex_lock(&session->pool->lock);
  stream->link = session->link;
  stream->link->references++;
  stream->link->carrier = stream;
  uv_mutex_unlock(&session->pool->lock);
  if (dr__ssh_submit(stream, err) == DR_OK) return DR_OK;
  dr__ssh_channel_free(stream);
  return DR_FAILED;
}

/* Makes a connection for the channel, and before it that of the jump host. */
static int connect_now(dr_ssh_transport *transport, dr_ssh_channel *channel, dr_err *err) {
  int pair[2] = {-1, -1};
  if (transport->session != NULL) transport->session->transport = NULL;
  transport->session = NULL;
  if (transport->jump != NULL &&
      socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
    return dr__fail(err, "ssh.connect", "cannot make a socket pair: %s", strerror(errno));
  }
  dr_ssh_session *session = dr__ssh_session_new(transport, pair[0], err);
  if (session == NULL) {
    if (pair[1] >= 0) close(pair[1]);
    return DR_FAILED;
  }
  if (transport->jump != NULL && carry(session, transport, pair[1], err) != DR_OK) {
    dr__ssh_session_free(session);
    return DR_FAILED;
  }
  if (dr__ssh_session_start(session, channel, err) != DR_OK) return DR_FAILED;
  transport->session = session;
  return DR_OK;
}

int dr__ssh_submit(dr_ssh_channel *channel, dr_err *err) {
  dr_ssh_transport *transport = channel->transport;
  if (transport->pool->closed) {
    return dr__fail(err, "cancelled", "the runtime is being closed");
  }
  if (transport->session != NULL && hand_over(transport->session, channel)) return DR_OK;
  return connect_now(transport, channel, err);
}

/* ---- news of a channel */

static void deliver_output(dr_ssh_channel *channel, dr_ssh_chunk *chunks) {
  while (chunks != NULL) {
    dr_ssh_chunk *next = chunks->next;
    if (channel->on_output != NULL) {
      channel->on_output(channel->data, chunks->stream, chunks->bytes, chunks->length);
    }
    free(chunks);
    chunks = next;
  }
}

/* A connection that was found dead before the server was asked to do anything is simply made again,
 * once. */
static bool try_again(dr_ssh_channel *channel) {
  dr_err ignored = DR_ERR_INIT;
  bool lost = strcmp(channel->how.err.code, "ssh.connection_lost") == 0;
  if (!lost || channel->started || channel->background || channel->attempts > 0 ||
      channel->cancel || channel->pool->closed) {
    return false;
  }
  dr_exec_exit how = channel->how;
  channel->attempts++;
  channel->finished = false;
  channel->how = (dr_exec_exit){.status = -1};
  channel->phase = DR_SSH_NEW;
  channel->deadline_ms = 0;
  channel->refusals = 0;
  channel->lacking_ms = 0;
  uv_mutex_lock(&channel->pool->lock);
  if (channel->link != NULL) dr__ssh_link_set(channel->link, DR_SSH_LINK_WAITING);
  uv_mutex_unlock(&channel->pool->lock);
  if (dr__ssh_submit(channel, &ignored) == DR_OK) {
    dr_err_clear(&how.err);
    return true;
  }
  dr_err_clear(&ignored);
  channel->finished = true;
  channel->how = how;
  return false;
}

static void end_channel(dr_ssh_channel *channel) {
  dr_ssh_pool *pool = channel->pool;
  if (channel->kind == DR_SSH_COMMAND && !channel->background) dr__ssh_pool_busy(pool, -1);
  if (channel->on_exit != NULL) {
    channel->on_exit(channel->data, &channel->how);
  }
  dr__ssh_channel_free(channel);
}

static void on_channel_news(dr_ssh_news *news) {
  dr_ssh_channel *channel = (dr_ssh_channel *)news;
  dr_ssh_pool *pool = channel->pool;
  uv_mutex_lock(&pool->lock);
  dr_ssh_chunk *chunks = channel->chunks;
  bool full = channel->held >= DR_SSH_OUTPUT_LIMIT / 2;
  /* Told again since this was taken from the queue: the end is then for the next delivery. */
  bool finished = channel->finished && !news->queued;
  channel->chunks = channel->last_chunk = NULL;
  channel->held = 0;
  if (full && !finished) dr__ssh_wake(channel->session);
  uv_mutex_unlock(&pool->lock);
  deliver_output(channel, chunks);
  if (finished && !try_again(channel)) end_channel(channel);
}

/* ---- channels */

dr_ssh_channel *dr__ssh_channel_new(dr_ssh_transport *transport, dr_ssh_channel_kind kind) {
  dr_ssh_channel *channel = calloc(1, sizeof *channel);
  if (channel == NULL) return NULL;
  channel->news.deliver = on_channel_news;
  channel->kind = kind;
  channel->pool = transport->pool;
  channel->transport = transport;
  dr__transport_ref(&transport->base);
  channel->fd = -1;
  channel->status = -1;
  channel->how.status = -1;
  return channel;
}

/* Tells the session that this stream carried why it is over, before it notices that its socket is
 * closed. */
static void unlink_session(dr_ssh_channel *channel) {
  dr_ssh_link *link = channel->link;
  uv_mutex_lock(&channel->pool->lock);
  link->carrier = NULL;
  dr__err_copy(&link->err, &channel->how.err);
  dr__ssh_link_set(link, DR_SSH_LINK_ENDED);
  dr__ssh_link_unref(link);
  uv_mutex_unlock(&channel->pool->lock);
  channel->link = NULL;
}

void dr__ssh_channel_free(dr_ssh_channel *channel) {
  if (channel->link != NULL) unlink_session(channel);
  if (channel->fd >= 0) close(channel->fd);
  if (channel->input != NULL && channel->input != channel->block) {
    explicit_bzero(channel->input, channel->input_length);
    free(channel->input);
  }
  free(channel->block);
  free(channel->command);
  free(channel->line);
  free(channel->host);
  dr_err_clear(&channel->how.err);
  dr_transport *transport = &channel->transport->base;
  free(channel);
  dr__transport_unref(transport);
}

/* Takes a channel out of its session's inbox; false when the thread has it already. With the lock
 * held. */
static bool take_back(dr_ssh_session *session, dr_ssh_channel *channel) {
  if (!channel->in_inbox) return false;
  dr_ssh_channel **at = &session->inbox;
  while (*at != channel) at = &(*at)->next;
  *at = channel->next;
  if (session->inbox_end == &channel->next) session->inbox_end = at;
  channel->in_inbox = false;
  return true;
}

/* Runs the command that ends this one, on the same connection. Nobody waits for it. */
static void send_killer(dr_ssh_channel *channel) {
  dr_ssh_channel *killer = dr__ssh_channel_new(channel->transport, DR_SSH_COMMAND);
  if (killer == NULL) return;
  killer->command = dr__ssh_kill_line(channel);
  killer->background = true;
  if (killer->command == NULL || !hand_over(channel->session, killer)) dr__ssh_channel_free(killer);
}

void dr__ssh_channel_cancel(dr_ssh_channel *channel) {
  dr_ssh_pool *pool = channel->pool;
  dr_err err = DR_ERR_INIT;
  bool kill = false;
  uv_mutex_lock(&pool->lock);
  if (!channel->finished && !channel->cancel) {
    dr_ssh_session *session = channel->session;
    channel->cancel = true;
    if (take_back(session, channel)) {
      dr__fail(&err, "cancelled", "stopped before the command was started");
      channel->how.not_begun = true;
      dr__ssh_channel_finish(channel, &err);
      /* Nobody else waits for this connection: there is no use in going on with it. */
      if (!session->ready && session->inbox == NULL) dr__ssh_session_stop(session);
    } else {
      dr__ssh_wake(session);
      kill = channel->started && channel->mark != 0;
    }
  }
  uv_mutex_unlock(&pool->lock);
  if (kill) send_killer(channel);
}

/* ---- dr_transport_class */

static char *command_text(const dr_exec_request *request) {
  dr_command command = {.argv = request->argv, .cwd = request->cwd, .env = request->env};
  return dr__command_line(&command);
}

/* A terminal passes the channel's end of file on to nobody: control-D is what ends its input, and
 * counts as such only at the start of a line. */
static int copy_input(dr_ssh_channel *channel, const dr_exec_request *request) {
  size_t length = request->input_length;
  bool ends = request->pty && !request->hold_input;
  if (length == 0 && !ends) return DR_OK;
  char *at = channel->input = malloc(length + 2);
  if (at == NULL) return DR_FAILED;
  if (length > 0) memcpy(at, request->input, length);
  if (ends && length > 0 && at[length - 1] != '\n') at[length++] = '\x04';
  if (ends) at[length++] = '\x04';
  channel->input_length = length;
  return DR_OK;
}

static int copy_request(dr_ssh_channel *channel, const dr_exec_request *request) {
  channel->command = command_text(request);
  channel->pty = request->pty;
  channel->connect_only = request->connect_only;
  channel->hold_input = request->hold_input;
  channel->files = request->files;
  channel->feeding = dr__exec_files_feeds(request->files);
  channel->on_output = request->on_output;
  channel->on_exit = request->on_exit;
  channel->data = request->data;
  if (channel->command == NULL) return DR_FAILED;
  if (dr__ssh_needs_kill(channel->transport->config)) dr__ssh_mark(channel);
  return copy_input(channel, request);
}

static int ssh_exec(dr_transport *base, const dr_exec_request *request, dr_exec **out,
                    dr_err *err) {
  dr_ssh_transport *transport = (dr_ssh_transport *)base;
  dr_ssh_channel *channel = dr__ssh_channel_new(transport, DR_SSH_COMMAND);
  *out = NULL;
  if (channel == NULL) return dr__err_nomem(err);
  int rc =
      copy_request(channel, request) == DR_OK ? dr__ssh_submit(channel, err) : dr__err_nomem(err);
  if (rc != DR_OK) {
    dr__err_target(err, base->name);
    dr__ssh_channel_free(channel);
    return rc;
  }
  dr__ssh_pool_busy(transport->pool, 1);
  *out = (dr_exec *)channel;
  return DR_OK;
}

/* Opens the channel that the next command takes, or finds it open. Nobody waits for it: what keeps
 * it from being opened is said to the command. */
static void ssh_prepare(dr_transport *base) {
  dr_ssh_transport *transport = (dr_ssh_transport *)base;
  if (transport->session == NULL) return;
  dr_ssh_channel *channel = dr__ssh_channel_new(transport, DR_SSH_COMMAND);
  if (channel == NULL) return;
  channel->connect_only = channel->background = true;
  if (!hand_over(transport->session, channel)) dr__ssh_channel_free(channel);
}

static void ssh_cancel(dr_exec *exec) {
  dr__ssh_channel_cancel((dr_ssh_channel *)exec);
}

static void ssh_destroy(dr_transport *base) {
  dr_ssh_transport *transport = (dr_ssh_transport *)base;
  dr_ssh_pool *pool = transport->pool;
  if (transport->session != NULL) {
    transport->session->transport = NULL;
    uv_mutex_lock(&pool->lock);
    dr__ssh_session_stop(transport->session);
    uv_mutex_unlock(&pool->lock);
  }
  if (transport->jump != NULL) dr__transport_unref(transport->jump);
  dr__ssh_config_unref(transport->config);
  dr__ssh_pool_unref(pool);
  free(transport);
}

static const dr_transport_class ssh_class = {.kind = "ssh",
                                             .exec = ssh_exec,
                                             .prepare = ssh_prepare,
                                             .cancel = ssh_cancel,
                                             .destroy = ssh_destroy};

/* ---- making one */

/* The last jump host of "a,b,c" is the one to connect through; it is itself reached through those
 * before it. */
static int make_jump(dr_ssh_transport *transport, const dr_ssh_options *options, unsigned depth,
                     dr_err *err);

static int make(dr_transport **out, dr_ssh_pool *pool, const dr_ssh_options *options,
                unsigned depth, dr_err *err) {
  dr_ssh_transport *transport = calloc(1, sizeof *transport);
  *out = NULL;
  if (transport == NULL) return dr__err_nomem(err);
  transport->base = (dr_transport){.klass = &ssh_class, .references = 1, .loop = pool->loop};
  transport->pool = pool;
  pool->references++;
  int rc = dr__ssh_config_resolve(&transport->config, options, err);
  if (rc == DR_OK) {
    dr__copy_text(transport->base.name, sizeof transport->base.name, transport->config->alias);
    rc = make_jump(transport, options, depth, err);
  }
  if (rc == DR_OK) {
    *out = &transport->base;
  } else {
    dr__transport_unref(&transport->base);
  }
  return rc;
}

static int make_jump(dr_ssh_transport *transport, const dr_ssh_options *options, unsigned depth,
                     dr_err *err) {
  const char *list = transport->config->jump;
  if (list == NULL) return DR_OK;
  if (depth > 8) {
    dr__fail(err, "ssh.config", "%s is reached through more than 8 jump hosts",
             transport->config->alias);
    dr__err_hint(err,
                 "look for a ProxyJump that leads back to itself; \"ProxyJump none\" ends a chain");
    return DR_FAILED;
  }
  const char *comma = strrchr(list, ',');
  char *before = comma == NULL ? NULL : strndup(list, (size_t)(comma - list));
  if (comma != NULL && before == NULL) return dr__err_nomem(err);
  dr_ssh_options jump = *options;
  jump.host = comma == NULL ? list : comma + 1;
  jump.jump = before;
  jump.user = NULL;
  jump.port = 0;
  jump.password = NULL;
  int rc = make(&transport->jump, transport->pool, &jump, depth + 1, err);
  free(before);
  return rc;
}

int dr__ssh_new(dr_transport **out, dr_ssh_pool *pool, const dr_ssh_options *options, dr_err *err) {
  return make(out, pool, options, 0, err);
}
