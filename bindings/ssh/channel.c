/* ssh/channel.c - one command on a connection, from opening its channel to its end; and the opening
 * of streams, which stream.c then carries.
 *
 * Called by session.c on the session's thread; the callbacks are called by libssh on the same
 * thread. A channel goes as far as it can each time something arrived and never waits, so that no
 * channel holds up another.
 */
#include "internal.h"

#include "core/err.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  OPEN_BOUND_MS = 30000, /* until the server has answered that it starts a command */
  TERM_MS = 2000,        /* how long a cancelled command has between TERM and KILL */
  KILL_MS = 1000,        /* and from KILL until it is left alone */
  WRITE_SIZE = 128 << 10,
  CHUNK_SIZE = 32 << 10,
  BLOCKS_AT_A_TIME = 16
};

bool dr__ssh_may_write(dr_ssh_session *s) {
  return (ssh_get_status(s->ssh) & SSH_WRITE_PENDING) == 0;
}

/* ---- output on its way to the loop */

/* Appends to the chunks, filling the last one first. With the lock held. The number of bytes kept.
 */
static size_t keep_output(dr_ssh_channel *c, int stream, const char *bytes, size_t length) {
  size_t room = c->held >= DR_SSH_OUTPUT_LIMIT ? 0 : DR_SSH_OUTPUT_LIMIT - c->held;
  dr_ssh_chunk *chunk = c->last_chunk;
  if (length > room) length = room;
  if (length == 0) return 0;
  if (chunk == NULL || chunk->stream != stream || chunk->room - chunk->length < length) {
    size_t size = length < CHUNK_SIZE ? CHUNK_SIZE : length;
    chunk = malloc(sizeof *chunk + size);
    if (chunk == NULL) return 0;
    *chunk = (dr_ssh_chunk){.stream = stream, .room = size};
    if (c->last_chunk != NULL) c->last_chunk->next = chunk;
    if (c->chunks == NULL) c->chunks = chunk;
    c->last_chunk = chunk;
  }
  memcpy(chunk->bytes + chunk->length, bytes, length);
  chunk->length += length;
  c->held += length;
  return length;
}

/* True when the stream goes to a file. */
static bool goes_to_file(const dr_ssh_channel *c, int stream) {
  return stream == 1 && c->files != NULL && c->files->output_fd >= 0;
}

/* Passes on what the command itself wrote. */
static size_t give_own_output(dr_ssh_channel *c, int stream, const char *bytes, size_t length) {
  if (length == 0) return 0;
  if (goes_to_file(c, stream)) {
    if (atomic_load(&c->files->failed) == 0) (void)dr__exec_files_write(c->files, bytes, length);
    return length; /* after a failure the command is being ended: what it still writes is lost */
  }
  uv_mutex_lock(&c->pool->lock);
  size_t kept = keep_output(c, stream, bytes, length);
  if (kept > 0) dr__ssh_tell(c->pool, &c->news);
  uv_mutex_unlock(&c->pool->lock);
  if (kept < length) c->stalled = true;
  return kept;
}

static size_t give_output(dr_ssh_channel *c, int stream, const char *bytes, size_t length) {
  size_t noise = stream == 1 ? dr__ssh_shell_noise(c, bytes, length) : 0;
  return noise + give_own_output(c, stream, bytes + noise, length - noise);
}

/* Fetches what libssh holds of one stream; false when there is no room for more. */
static bool fetch_stream(dr_ssh_channel *c, int stream) {
  char bytes[CHUNK_SIZE];
  while (true) {
    uv_mutex_lock(&c->pool->lock);
    size_t room = c->held >= DR_SSH_OUTPUT_LIMIT ? 0 : DR_SSH_OUTPUT_LIMIT - c->held;
    uv_mutex_unlock(&c->pool->lock);
    if (room == 0) return false;
    if (room > sizeof bytes) room = sizeof bytes;
    int length = ssh_channel_read_nonblocking(c->ssh, bytes, (uint32_t)room, stream == 2);
    if (length <= 0) return true;
    give_output(c, stream, bytes, (size_t)length);
  }
}

/* Fetches what libssh kept back while the loop was behind. Reading takes in packets too: what those
 * bring is left to libssh (on_data), so that it neither overtakes nor takes the room. */
static void fetch_output(dr_ssh_channel *c) {
  bool room = true;
  c->fetching = true;
  while (c->stalled && room) {
    c->stalled = false;
    room = fetch_stream(c, 1) && fetch_stream(c, 2);
  }
  c->fetching = false;
  if (!room) c->stalled = true;
}

/* ---- what libssh tells */

static int on_data(ssh_session ssh, ssh_channel channel, void *bytes, uint32_t length,
                   int is_stderr, void *data) {
  dr_ssh_channel *c = data;
  (void)ssh, (void)channel;
  if (c->fetching) {
    c->stalled = true;
    return 0;
  }
  c->moved_ms = dr__ssh_now_ms();
  size_t taken = c->kind == DR_SSH_COMMAND ? give_output(c, is_stderr ? 2 : 1, bytes, length)
                                           : dr__ssh_stream_data(c, bytes, length, is_stderr != 0);
  return (int)taken;
}

static void on_eof(ssh_session ssh, ssh_channel channel, void *data) {
  dr_ssh_channel *c = data;
  (void)ssh, (void)channel;
  c->remote_eof = true;
}

static void on_close(ssh_session ssh, ssh_channel channel, void *data) {
  dr_ssh_channel *c = data;
  (void)ssh, (void)channel;
  c->remote_eof = c->remote_closed = true;
}

static void on_status(ssh_session ssh, ssh_channel channel, int status, void *data) {
  dr_ssh_channel *c = data;
  (void)ssh, (void)channel;
  c->status = status < 0 || status > 255 ? 255 : status;
}

static void on_signal(ssh_session ssh, ssh_channel channel, const char *name, int core,
                      const char *message, const char *language, void *data) {
  dr_ssh_channel *c = data;
  (void)ssh, (void)channel, (void)core, (void)message, (void)language;
  dr__copy_text(c->signal, sizeof c->signal, name == NULL || *name == '\0' ? "UNKNOWN" : name);
}

/* ---- the end */

void dr__ssh_channel_finish(dr_ssh_channel *c, dr_err *err) {
  if (err != NULL) dr__err_move(&c->how.err, err);
  c->finished = true;
  dr__ssh_tell(c->pool, &c->news);
}

void dr__ssh_channel_drop(dr_ssh_session *s, dr_ssh_channel *c) {
  if (c->ssh == NULL) return;
  ssh_remove_channel_callbacks(c->ssh, &c->callbacks);
  if (dr__ssh_is_command(c) && --s->open_commands == 0) s->most_commands = UINT_MAX;
  dr_ssh_closing *list = realloc(s->closing, (s->closing_count + 1) * sizeof *list);
  if (list != NULL) {
    s->closing = list;
    list[s->closing_count++] =
        (dr_ssh_closing){.ssh = c->ssh, .opening = c->phase == DR_SSH_OPENING};
  } else {
    ssh_channel_free(c->ssh);
  }
  c->ssh = NULL;
}

/* A channel that is still being opened cannot be closed before the server has answered. libssh
 * looks for that answer in whichever opening call comes next, so session channels and streams are
 * asked about alike. */
void dr__ssh_channels_close(dr_ssh_session *s) {
  for (size_t i = s->closing_count; i-- > 0;) {
    dr_ssh_closing *c = &s->closing[i];
    int rc = SSH_OK;
    if (c->opening) rc = ssh_channel_open_session(c->ssh);
    if (rc == SSH_AGAIN) continue;
    c->opening = false;
    if (rc == SSH_OK && ssh_channel_close(c->ssh) == SSH_AGAIN) continue;
    ssh_channel_free(c->ssh);
    *c = s->closing[--s->closing_count];
  }
}

/* Ends the channel; err is moved from, and may be NULL. */
static bool end(dr_ssh_session *s, dr_ssh_channel *c, dr_err *err) {
  dr__ssh_channel_drop(s, c);
  if (err != NULL) dr__err_target(err, s->config->alias);
  uv_mutex_lock(&c->pool->lock);
  dr__ssh_channel_finish(c, err);
  uv_mutex_unlock(&c->pool->lock);
  return true;
}

static bool end_cancelled(dr_ssh_session *s, dr_ssh_channel *c) {
  dr_err err = DR_ERR_INIT;
  char why[200];
  c->how.not_begun = !c->started;
  if (dr__ssh_room_is_full(s, c, why, sizeof why)) {
    dr__fail(&err, "cancelled", "the command on %s was not begun; %s", s->config->alias, why);
  } else {
    dr__fail(&err, "cancelled", "the command on %s was %s", s->config->alias,
             c->started ? "stopped" : "not begun");
  }
  return end(s, c, &err);
}

static bool end_abandoned(dr_ssh_session *s, dr_ssh_channel *c) {
  dr_err err = DR_ERR_INIT;
  dr__fail(&err, "command.stuck", "the command on %s did not end when it was told to",
           s->config->alias);
  dr__err_hint(&err, "it may still be running there: look before running it again");
  return end(s, c, &err);
}

/* The server's words in libssh's "Channel opening failure: channel 43 error (2) Connection
 * refused". */
static const char *refusal(dr_ssh_session *s) {
  const char *reason = dr__ssh_reason(s), *at = strstr(reason, "error (");
  at = at == NULL ? NULL : strstr(at, ") ");
  return at == NULL ? reason : at + 2;
}

static bool end_refused(dr_ssh_session *s, dr_ssh_channel *c) {
  const char *alias = s->config->alias, *reason = refusal(s);
  dr_err err = DR_ERR_INIT;
  switch (c->kind) {
  case DR_SSH_STREAM_TCP:
    dr__fail(&err, "ssh.channel", "%s does not connect to %s port %d: %s", alias, c->host, c->port,
             reason);
    dr__err_hint(&err,
                 "check that the service listens there as seen from %s, and that its sshd "
                 "allows AllowTcpForwarding",
                 alias);
    break;
  case DR_SSH_STREAM_UNIX:
    dr__fail(&err, "ssh.channel", "%s does not connect to the socket %s: %s", alias, c->host,
             reason);
    dr__err_hint(&err,
                 "check that the socket exists on %s, that %s may use it, and that its sshd "
                 "allows AllowStreamLocalForwarding",
                 alias, s->config->user);
    break;
  case DR_SSH_COMMAND:
  case DR_SSH_STREAM_COMMAND:
    dr__fail(&err, "ssh.channel", "%s does not start a command: %s", alias, reason);
    dr__err_hint(&err, "look at MaxSessions and ForceCommand in its sshd_config, and at the key's "
                       "options in authorized_keys");
    break;
  }
  return end(s, c, &err);
}

static bool end_late(dr_ssh_session *s, dr_ssh_channel *c) {
  dr_err err = DR_ERR_INIT;
  dr__fail(&err, "ssh.timeout", "%s did not say within %d s whether it %s", s->config->alias,
           OPEN_BOUND_MS / 1000,
           dr__ssh_is_command(c) ? "starts the command" : "connects the stream");
  dr__err_hint(&err, dr__ssh_is_command(c)
                         ? "the host may be overloaded: look at its load and log"
                         : "check that the destination can be reached from the host");
  return end(s, c, &err);
}

void dr__ssh_channel_lost(dr_ssh_session *s, dr_ssh_channel *c, dr_err *err) {
  bool running = c->started && c->kind == DR_SSH_COMMAND;
  dr_err reason = DR_ERR_INIT;
  dr__err_copy(&reason, &s->err);
  dr__fail(err, "ssh.connection_lost", "the connection to %s was lost%s: %s", s->config->alias,
           running ? " while the command ran" : "", reason.message);
  dr__err_hint(err, "%s",
               running ? "the command may have ended, or still be running there: look before "
                         "running it again"
                       : "check the network and the host, then run again");
  if (reason.cause != NULL) dr__err_because(err, reason.cause);
  dr_err_clear(&reason);
}

/* ---- opening */

static void set_link(dr_ssh_channel *c, dr_ssh_link_state state) {
  if (c->link == NULL) return;
  uv_mutex_lock(&c->pool->lock);
  dr__ssh_link_set(c->link, state);
  uv_mutex_unlock(&c->pool->lock);
}

/* A libssh channel to open, or for a command one that is open already. */
static ssh_channel take_channel(dr_ssh_session *s, const dr_ssh_channel *c) {
  ssh_channel spare = dr__ssh_is_command(c) ? s->spare : NULL;
  if (spare == NULL) return ssh_channel_new(s->ssh);
  s->spare = NULL;
  s->open_commands--;
  if (ssh_channel_is_open(spare)) return spare;
  ssh_channel_free(spare);
  return ssh_channel_new(s->ssh);
}

static bool prepare(dr_ssh_session *s, dr_ssh_channel *c, uint64_t now) {
  if (dr__ssh_is_command(c) && !c->connect_only && !dr__ssh_shell_prepare(c)) return false;
  c->ssh = take_channel(s, c);
  if (c->ssh == NULL) return false;
  c->callbacks = (struct ssh_channel_callbacks_struct){
      .userdata = c,
      .channel_data_function = on_data,
      .channel_eof_function = on_eof,
      .channel_close_function = on_close,
      .channel_exit_status_function = on_status,
      .channel_exit_signal_function = on_signal,
  };
  ssh_callbacks_init(&c->callbacks);
  ssh_set_channel_callbacks(c->ssh, &c->callbacks);
  if (dr__ssh_is_command(c)) s->open_commands++;
  c->phase = DR_SSH_OPENING;
  c->deadline_ms = now + OPEN_BOUND_MS;
  set_link(c, DR_SSH_LINK_OPENING);
  return true;
}

static int open_now(dr_ssh_channel *c) {
  switch (c->kind) {
  case DR_SSH_STREAM_TCP: return ssh_channel_open_forward(c->ssh, c->host, c->port, "127.0.0.1", 0);
  case DR_SSH_STREAM_UNIX: return ssh_channel_open_forward_unix(c->ssh, c->host, "127.0.0.1", 0);
  case DR_SSH_COMMAND:
  case DR_SSH_STREAM_COMMAND: break;
  }
  return ssh_channel_open_session(c->ssh);
}

/* Gives up a channel that the server did not open. */
static void forget_channel(dr_ssh_session *s, dr_ssh_channel *c) {
  if (dr__ssh_is_command(c)) s->open_commands--;
  ssh_remove_channel_callbacks(c->ssh, &c->callbacks);
  ssh_channel_free(c->ssh);
  c->ssh = NULL;
}

/* The next request after opening, if any. */
static int request_now(dr_ssh_channel *c) {
  if (c->phase == DR_SSH_PTY) return ssh_channel_request_pty_size(c->ssh, "xterm", 80, 24);
  return ssh_channel_request_exec(c->ssh, c->line);
}

/* From here on the command may run, or bytes may flow, whatever we hear of it: it is not begun anew
 * on another connection. */
static void set_started(dr_ssh_channel *c) {
  uv_mutex_lock(&c->pool->lock);
  c->started = true;
  uv_mutex_unlock(&c->pool->lock);
}

static void enter_exec(dr_ssh_session *s, dr_ssh_channel *c) {
  c->phase = DR_SSH_EXEC;
  s->opened_any = true;
  set_started(c);
}

static void enter_running(dr_ssh_channel *c) {
  c->phase = DR_SSH_RUNNING;
  c->deadline_ms = 0;
  set_started(c);
  set_link(c, DR_SSH_LINK_OPEN);
}

/* Goes from one phase to the next after the server agreed to the present one. */
static void advance(dr_ssh_session *s, dr_ssh_channel *c) {
  bool ready = dr__ssh_is_command(c) ? c->phase == DR_SSH_EXEC : c->phase == DR_SSH_OPENING;
  if (ready) {
    enter_running(c);
  } else if (c->phase == DR_SSH_OPENING && c->pty) {
    c->phase = DR_SSH_PTY;
  } else {
    enter_exec(s, c);
  }
}

/* The server would run a command now. What is open is kept for one, so that nothing was in vain. */
static bool end_connected(dr_ssh_session *s, dr_ssh_channel *c) {
  s->opened_any = true;
  if (s->spare == NULL) {
    ssh_remove_channel_callbacks(c->ssh, &c->callbacks);
    s->spare = c->ssh;
    c->ssh = NULL;
  }
  c->how.status = 0;
  return end(s, c, NULL);
}

static bool end_nomem(dr_ssh_session *s, dr_ssh_channel *c) {
  dr_err err = DR_ERR_INIT;
  dr__err_nomem(&err);
  return end(s, c, &err);
}

/* The server did not open the channel, or did not begin what was asked for on it. */
static bool turned_down(dr_ssh_session *s, dr_ssh_channel *c, uint64_t now) {
  if (ssh_get_fd(s->ssh) < 0 || !ssh_is_connected(s->ssh)) return false; /* session.c ends it */
  if (c->phase == DR_SSH_OPENING) {
    forget_channel(s, c);
    if (dr__ssh_is_command(c) && dr__ssh_room_wait(s, c, now)) return false;
  }
  return end_refused(s, c);
}

/* Ends a channel that has waited for long enough for places that nobody gives back. */
static bool end_crowded_out(dr_ssh_session *s, dr_ssh_channel *c, uint64_t now) {
  dr_err err = DR_ERR_INIT;
  return dr__ssh_room_lacks(s, c, now, &err) && end(s, c, &err);
}

/* Opens as far as the server has answered. True when the channel is over. */
static bool open_channel(dr_ssh_session *s, dr_ssh_channel *c, bool cancel, uint64_t now) {
  if (c->phase == DR_SSH_NEW) {
    if (!dr__ssh_room_may_open(s, c, now)) return end_crowded_out(s, c, now);
    if (!prepare(s, c, now)) return end_nomem(s, c);
  }
  if (cancel && c->cancel_step == 0) {
    c->cancel_step = 1; /* the command may have begun: once that is known it is told to end */
    c->deadline_ms = now + TERM_MS + KILL_MS;
  }
  while (c->phase != DR_SSH_RUNNING) {
    int rc = c->phase == DR_SSH_OPENING ? open_now(c) : request_now(c);
    if (rc == SSH_AGAIN && now < c->deadline_ms) return false;
    if (rc == SSH_AGAIN) return cancel ? end_abandoned(s, c) : end_late(s, c);
    if (rc != SSH_OK) return turned_down(s, c, now);
    if (c->connect_only) return end_connected(s, c);
    advance(s, c);
  }
  c->cancel_step = 0;
  return false;
}

/* ---- running */

void dr__ssh_channel_write(dr_ssh_session *s, dr_ssh_channel *c, bool last) {
  while (c->input_sent < c->input_length && !c->remote_closed && dr__ssh_may_write(s)) {
    size_t left = c->input_length - c->input_sent;
    uint32_t size = left < WRITE_SIZE ? (uint32_t)left : WRITE_SIZE;
    if (ssh_channel_window_size(c->ssh) == 0) return;
    int written = ssh_channel_write(c->ssh, c->input + c->input_sent, size);
    if (written == SSH_ERROR) c->input_sent = c->input_length; /* it reads no more */
    if (written <= 0) break;
    c->input_sent += (size_t)written;
  }
  if (last && c->input_sent == c->input_length && !c->input_ended) {
    c->input_ended = true;
    (void)ssh_channel_send_eof(c->ssh);
  }
}

/* Fetches the next block of the file once all before it is sent. False when there is none. */
static bool refill(dr_ssh_channel *c) {
  if (c->block == NULL) c->block = malloc(WRITE_SIZE);
  if (c->block == NULL) atomic_store(&c->files->failed, ENOMEM);
  if (c->input != NULL && c->input != c->block) {
    explicit_bzero(c->input, c->input_length); /* it may have held secrets */
    free(c->input);
  }
  c->input = c->block;
  c->input_sent = 0;
  c->input_length = c->block == NULL ? 0 : dr__exec_files_read(c->files, c->block, WRITE_SIZE);
  return c->input_length > 0;
}

/* Sends input as long as the server and the socket take it, but only so much at a time that what
 * arrives is not left waiting. */
static void send_input(dr_ssh_session *s, dr_ssh_channel *c, bool cancel) {
  bool last = !c->hold_input || cancel;
  if (cancel) c->feeding = false;
  c->hungry = false;
  for (int blocks = 0; blocks < BLOCKS_AT_A_TIME; blocks++) {
    dr__ssh_channel_write(s, c, last && !c->feeding);
    if (!c->feeding || c->input_sent < c->input_length || c->remote_closed ||
        !dr__ssh_may_write(s) || ssh_channel_window_size(c->ssh) == 0) {
      return;
    }
    c->feeding = refill(c);
  }
  c->hungry = true;
}

/* Stops a running command by degrees. True when it is to be left alone. */
static bool stop_command(dr_ssh_channel *c, uint64_t now) {
  if (c->deadline_ms != 0 && now < c->deadline_ms) return false;
  switch (c->cancel_step++) {
  case 0:
    (void)ssh_channel_request_send_signal(c->ssh, "TERM");
    c->deadline_ms = now + TERM_MS;
    return false;
  case 1:
    (void)ssh_channel_request_send_signal(c->ssh, "KILL");
    c->deadline_ms = now + KILL_MS;
    return false;
  default: return true;
  }
}

static bool end_command(dr_ssh_session *s, dr_ssh_channel *c) {
  dr_err err = DR_ERR_INIT;
  if (c->signal[0] != '\0') {
    dr__copy_text(c->how.signal, sizeof c->how.signal, c->signal);
  } else if (c->status >= 0 && !dr__ssh_shell_began(c)) {
    dr__ssh_shell_failed(s, c, &err);
    return end(s, c, &err);
  } else if (c->status >= 0) {
    c->how.status = c->status;
  } else {
    dr__fail(&err, "ssh.exit_status_lost",
             "%s closed the command's channel without its exit status", s->config->alias);
    dr__err_hint(&err, "it is unknown whether the command succeeded: look before running it again");
    return end(s, c, &err);
  }
  return end(s, c, NULL);
}

/* The file on this side failed, and the command was ended for it. */
static bool end_broken(dr_ssh_session *s, dr_ssh_channel *c) {
  dr_err err = DR_ERR_INIT;
  dr__fail(&err, "fs.failed", "a file on this machine: %s",
           strerror(atomic_load(&c->files->failed)));
  return end(s, c, &err);
}

static bool run_command(dr_ssh_session *s, dr_ssh_channel *c, bool cancel, uint64_t now) {
  if (c->stalled) fetch_output(c);
  bool broken = c->files != NULL && atomic_load(&c->files->failed) != 0;
  if (c->remote_closed && !c->stalled) {
    if (broken && !cancel) return end_broken(s, c);
    return cancel ? end_cancelled(s, c) : end_command(s, c);
  }
  if ((cancel || broken) && stop_command(c, now)) return end_abandoned(s, c);
  send_input(s, c, cancel || broken);
  return false;
}

/* A stream whose command failed says so; a client sees only that its connection is closed. */
static bool end_stream(dr_ssh_session *s, dr_ssh_channel *c) {
  dr_err err = DR_ERR_INIT;
  bool left = c->kind == DR_SSH_STREAM_COMMAND && c->status < 0 && !c->remote_closed;
  if (left) (void)ssh_channel_request_send_signal(c->ssh, "TERM"); /* its client has gone */
  if (c->kind != DR_SSH_STREAM_COMMAND || c->status < 0) return end(s, c, NULL);
  if (c->status == 0 && dr__ssh_shell_began(c)) return end(s, c, NULL);
  if (!dr__ssh_shell_began(c)) {
    dr__ssh_shell_failed(s, c, &err);
    return end(s, c, &err);
  }
  c->said[strcspn(c->said, "\n")] = '\0';
  dr__fail(&err, "ssh.channel", "the command behind the tunnel on %s ended with status %d: %s",
           s->config->alias, c->status, c->said);
  dr__err_hint(&err, "try it by hand: %s", c->command);
  return end(s, c, &err);
}

bool dr__ssh_channel_step(dr_ssh_session *s, dr_ssh_channel *c, uint64_t now) {
  uv_mutex_lock(&c->pool->lock);
  bool cancel = c->cancel;
  uv_mutex_unlock(&c->pool->lock);
  bool early = c->phase == DR_SSH_NEW || c->phase == DR_SSH_OPENING || c->phase == DR_SSH_PTY;
  if (cancel && (early || c->kind != DR_SSH_COMMAND)) return end_cancelled(s, c);
  if (c->phase != DR_SSH_RUNNING && open_channel(s, c, cancel, now)) return true;
  if (c->phase != DR_SSH_RUNNING) return false;
  if (c->kind == DR_SSH_COMMAND) return run_command(s, c, cancel, now);
  return dr__ssh_stream_step(s, c) && end_stream(s, c);
}
