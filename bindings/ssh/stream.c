/* ssh/stream.c - carries bytes both ways between a local socket and a channel: tunnels, and
 * sessions through a jump host.
 *
 * Called by channel.c on the session's thread. Memory stays bounded by taking bytes from one side
 * only when the other can have them: the socket is read when the server's window is open and libssh
 * has nothing left to send; what the socket does not take stays in libssh, whose window then closes
 * towards the server.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BUFFER_SIZE = 64 << 10, STATUS_MS = 1000 };

/* Keeps the end of what the command says on standard error. */
static void keep_words(dr_ssh_channel *c, const char *bytes, size_t length) {
  size_t most = sizeof c->said - 1, have = strlen(c->said);
  if (length > most) {
    bytes += length - most;
    length = most;
  }
  size_t drop = have + length > most ? have + length - most : 0;
  memmove(c->said, c->said + drop, have - drop);
  memcpy(c->said + have - drop, bytes, length);
  c->said[have - drop + length] = '\0';
}

/* Bytes that the socket takes now; when it is closed, all of them, and the stream is over. */
static size_t put(dr_ssh_channel *c, const char *bytes, size_t length) {
  size_t done = 0;
  while (done < length) {
    ssize_t sent = send(c->fd, bytes + done, length - done, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return done;
    if (sent < 0) {
      c->output_ended = c->input_ended = true;
      return length;
    }
    done += (size_t)sent;
  }
  return done;
}

size_t dr__ssh_stream_data(dr_ssh_channel *c, const char *bytes, size_t length, bool is_stderr) {
  if (is_stderr) {
    keep_words(c, bytes, length);
    return length;
  }
  if (c->output_ended) return length;
  if (c->phase != DR_SSH_RUNNING || c->chunks != NULL) {
    c->stalled = true;
    return 0;
  }
  size_t noise = dr__ssh_shell_noise(c, bytes, length);
  size_t taken = noise + put(c, bytes + noise, length - noise);
  if (taken < length) c->stalled = true;
  return taken;
}

/* Moves what libssh kept back to the socket, through a chunk that holds what the socket has not
 * taken yet. */
static void fetch(dr_ssh_channel *c) {
  while (c->stalled && !c->output_ended) {
    dr_ssh_chunk *chunk = c->chunks;
    if (chunk == NULL) {
      chunk = c->chunks = calloc(1, sizeof *chunk + BUFFER_SIZE);
      if (chunk == NULL) return;
    }
    if (c->taken == chunk->length) {
      int length = ssh_channel_read_nonblocking(c->ssh, chunk->bytes, BUFFER_SIZE, 0);
      chunk->length = length > 0 ? (size_t)length : 0;
      c->taken = dr__ssh_shell_noise(c, chunk->bytes, chunk->length);
      if (length <= 0) break;
    }
    c->taken += put(c, chunk->bytes + c->taken, chunk->length - c->taken);
    if (c->taken < chunk->length) return;
  }
  free(c->chunks);
  c->chunks = NULL;
  c->taken = 0;
  c->stalled = false;
}

/* The secret that the input began with is gone over there: its place is not used again. */
static void forget_secret(dr_ssh_channel *c) {
  explicit_bzero(c->input, c->input_length);
  free(c->input);
  c->input = NULL;
  c->input_sent = c->input_length = 0;
  c->secret_first = false;
}

/* Reads from the socket what can be sent on now. */
static void take(dr_ssh_session *s, dr_ssh_channel *c) {
  if (c->input_sent < c->input_length || c->input_ended || !dr__ssh_may_write(s) ||
      ssh_channel_window_size(c->ssh) == 0) {
    return;
  }
  if (c->secret_first) forget_secret(c);
  if (c->input == NULL && (c->input = malloc(BUFFER_SIZE)) == NULL) return;
  ssize_t length = recv(c->fd, c->input, BUFFER_SIZE, MSG_DONTWAIT);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
  c->input_sent = 0;
  c->input_length = length > 0 ? (size_t)length : 0;
  dr__ssh_channel_write(s, c, length <= 0);
}

/* What to wake up for. A closed channel waits for nothing here; an idle one is watched for its
 * client leaving. */
static short wants(dr_ssh_session *s, const dr_ssh_channel *c) {
  short events = POLLERR;
  if (c->deadline_ms != 0) return 0;
  bool all_sent = c->input_sent == c->input_length;
  if (!all_sent) events = 0;
  if (all_sent && !c->input_ended) {
    events = dr__ssh_may_write(s) && ssh_channel_window_size(c->ssh) > 0 ? POLLIN : 0;
  }
  if (c->stalled) events |= POLLOUT;
  return events;
}

/* Over when the server has closed the channel, when both directions have ended, or when the client
 * is gone. A command that has said all is given a moment for its exit status. */
static bool is_over(dr_ssh_channel *c, short has) {
  bool all_sent = c->input_sent == c->input_length;
  bool client_gone = (has & (POLLHUP | POLLERR)) != 0 && c->input_ended && all_sent;
  bool ended = client_gone || (c->input_ended && all_sent && c->output_ended);
  if (c->remote_closed && !c->stalled) return true;
  if (!ended || c->kind != DR_SSH_STREAM_COMMAND || !c->remote_eof) return ended;
  uint64_t now = dr__ssh_now_ms();
  if (c->deadline_ms == 0) c->deadline_ms = now + STATUS_MS;
  return now >= c->deadline_ms;
}

bool dr__ssh_stream_step(dr_ssh_session *s, dr_ssh_channel *c) {
  short has = c->fd_has;
  c->fd_has = 0;
  if (c->stalled) fetch(c);
  if (c->input_sent < c->input_length) dr__ssh_channel_write(s, c, false);
  if (has & (POLLIN | POLLHUP | POLLERR)) take(s, c);
  if (c->remote_eof && !c->stalled && !c->output_ended) {
    c->output_ended = true;
    shutdown(c->fd, SHUT_WR);
  }
  if (is_over(c, has)) return true;
  c->fd_wants = wants(s, c);
  return false;
}
