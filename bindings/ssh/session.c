/* ssh/session.c - one connection and the thread that owns it: starting and ending it, sleeping,
 * asking a person, and serving the channels once it is logged in.
 *
 * Started by transport.c. All else runs on the session's own thread unless it says otherwise. The
 * thread sleeps in one place, dr__ssh_wait().
 */
#include "internal.h"

#include "core/err.h"

#include <errno.h>
#include <libssh/server.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_WAIT_SET = 500, STACK_SIZE = 512 << 10, STALLED_MS = 100 };

uint64_t dr__ssh_now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

const char *dr__ssh_reason(dr_ssh_session *s) {
  const char *text = s->ssh == NULL ? NULL : ssh_get_error(s->ssh);
  if (text != NULL && strcmp(text, "Socket error: disconnected") == 0) {
    return "the other side closed it";
  }
  return text == NULL ? "" : text;
}

/* ---- links between a session and the stream through its jump host */

dr_ssh_link *dr__ssh_link_new(void) {
  dr_ssh_link *link = calloc(1, sizeof *link);
  if (link != NULL) link->references = 1;
  return link;
}

void dr__ssh_link_unref(dr_ssh_link *link) {
  if (--link->references > 0) return;
  dr_err_clear(&link->err);
  free(link);
}

void dr__ssh_link_set(dr_ssh_link *link, dr_ssh_link_state state) {
  link->state = state;
  if (link->session != NULL) dr__ssh_wake(link->session);
}

/* ---- sleeping and waking */

void dr__ssh_wake(dr_ssh_session *s) {
  uint64_t one = 1;
  while (write(s->wake_fd, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

static void clear_wake(dr_ssh_session *s) {
  uint64_t count;
  while (read(s->wake_fd, &count, sizeof count) < 0 && errno == EINTR) {
  }
}

void dr__ssh_session_stop(dr_ssh_session *s) {
  s->stop = true;
  dr__ssh_wake(s);
}

static bool stopped(dr_ssh_session *s) {
  uv_mutex_lock(&s->pool->lock);
  bool stop = s->stop;
  uv_mutex_unlock(&s->pool->lock);
  return stop;
}

static int fail_stopped(dr_ssh_session *s) {
  return dr__fail(&s->err, "cancelled", "the connection to %s was given up", s->config->alias);
}

static int fail_timeout(dr_ssh_session *s) {
  bool limited = s->fd < 0 && dr__ssh_place_is_limited(s); /* there is no connection yet */
  dr__fail(&s->err, "ssh.timeout", "%s: no %s within %.3g s", s->config->alias, s->stage,
           s->config->connect_timeout_ms / 1e3);
  dr__err_hint(&s->err, "%s; a slow host may need a longer connect_timeout",
               limited ? DR_SSH_LIMITED_HINT : s->timeout_hint);
  return DR_FAILED;
}

/* Milliseconds to sleep: the nearer of the deadline and the cap; -1 for ever. */
static int sleep_ms(const dr_ssh_session *s, int cap_ms) {
  if (s->deadline_ms == 0) return cap_ms;
  uint64_t now = dr__ssh_now_ms();
  int left = s->deadline_ms <= now ? 0 : (int)(s->deadline_ms - now);
  return cap_ms >= 0 && cap_ms < left ? cap_ms : left;
}

int dr__ssh_wait(dr_ssh_session *s, struct pollfd *set, nfds_t count, int cap_ms) {
  struct pollfd all[MAX_WAIT_SET + 1];
  all[0] = (struct pollfd){.fd = s->wake_fd, .events = POLLIN};
  if (count > 0) memcpy(all + 1, set, count * sizeof *set);
  int ready = poll(all, count + 1, sleep_ms(s, cap_ms));
  for (nfds_t i = 0; i < count; i++) set[i].revents = ready > 0 ? all[i + 1].revents : 0;
  if (ready > 0 && all[0].revents != 0) clear_wake(s);
  if (stopped(s)) return fail_stopped(s);
  if (ready == 0 && s->deadline_ms != 0 && dr__ssh_now_ms() >= s->deadline_ms) {
    return fail_timeout(s);
  }
  return DR_OK;
}

int dr__ssh_wait_io(dr_ssh_session *s) {
  struct pollfd set = {.fd = ssh_get_fd(s->ssh), .events = POLLIN};
  if (set.fd < 0) return DR_FAILED;
  if (ssh_get_poll_flags(s->ssh) & SSH_WRITE_PENDING) set.events |= POLLOUT;
  dr__ssh_quick_ack(s);
  return dr__ssh_wait(s, &set, 1, -1);
}

/* ---- asking a person */

bool dr__ssh_may_ask(const dr_ssh_session *s) {
  return s->pool->asker != NULL && !s->config->batch;
}

int dr__ssh_ask(dr_ssh_session *s, const char *key, const char *question, bool secret,
                unsigned *generation, char **answer) {
  dr_ssh_ask *ask = &s->ask;
  uint64_t began = dr__ssh_now_ms(), deadline = s->deadline_ms;
  int rc = DR_OK;
  bool done = false;
  *answer = NULL;
  s->deadline_ms = 0;
  uv_mutex_lock(&s->pool->lock);
  dr__copy_text(ask->key, sizeof ask->key, key);
  dr__copy_text(ask->question, sizeof ask->question, question);
  ask->secret = secret;
  ask->seen = *generation;
  ask->state = DR_SSH_ASK_WAITING;
  dr__ssh_tell(s->pool, &s->news);
  uv_mutex_unlock(&s->pool->lock);
  while (!done && rc == DR_OK) {
    rc = dr__ssh_wait(s, NULL, 0, -1);
    uv_mutex_lock(&s->pool->lock);
    done = ask->state == DR_SSH_ASK_DONE;
    if (done || rc != DR_OK) {
      *answer = ask->answer;
      *generation = ask->generation;
      ask->answer = NULL;
      ask->state = DR_SSH_ASK_NONE;
    }
    uv_mutex_unlock(&s->pool->lock);
  }
  if (deadline != 0) s->deadline_ms = deadline + (dr__ssh_now_ms() - began);
  return rc;
}

/* Answers on the loop's thread. */
static void answer_question(dr_ssh_session *s) {
  dr_ssh_ask ask;
  uv_mutex_lock(&s->pool->lock);
  ask = s->ask;
  uv_mutex_unlock(&s->pool->lock);
  if (ask.state != DR_SSH_ASK_WAITING) return;
  const dr_ssh_answer *answer =
      dr__ssh_pool_answer(s->pool, ask.key, ask.question, ask.secret, ask.seen);
  uv_mutex_lock(&s->pool->lock);
  if (s->ask.state == DR_SSH_ASK_WAITING) {
    s->ask.answer = answer == NULL ? NULL : strdup(answer->text);
    s->ask.generation = answer == NULL ? ask.seen : answer->generation;
    s->ask.state = DR_SSH_ASK_DONE;
    dr__ssh_wake(s);
  }
  uv_mutex_unlock(&s->pool->lock);
}

/* ---- serving channels */

static void take_inbox(dr_ssh_session *s) {
  dr_ssh_channel **end = &s->channels;
  while (*end != NULL) end = &(*end)->next;
  uv_mutex_lock(&s->pool->lock);
  *end = s->inbox;
  for (dr_ssh_channel *c = s->inbox; c != NULL; c = c->next) c->in_inbox = false;
  s->inbox = NULL;
  s->inbox_end = &s->inbox;
  uv_mutex_unlock(&s->pool->lock);
}

/* Lets every channel go as far as it can; those that are over leave the list. */
static void step_channels(dr_ssh_session *s) {
  uint64_t now = dr__ssh_now_ms();
  for (dr_ssh_channel **at = &s->channels; *at != NULL;) {
    dr_ssh_channel *channel = *at, *next = channel->next;
    if (dr__ssh_channel_step(s, channel, now)) {
      *at = next;
    } else {
      at = &channel->next;
    }
  }
  dr__ssh_channels_close(s);
}

static bool alive(dr_ssh_session *s) {
  return ssh_is_connected(s->ssh) && ssh_get_fd(s->ssh) >= 0 &&
         (ssh_get_status(s->ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR)) == 0;
}

/* Takes in what the server sent. libssh reads 4 KiB at a time, so go on while reads come back full.
 */
static void read_packets(dr_ssh_session *s) {
  for (int turn = 0; turn < 64 && alive(s); turn++) {
    uint64_t before = s->counter.in_bytes;
    if (ssh_event_dopoll(s->event, 0) == SSH_ERROR) return;
    if (s->counter.in_bytes - before < 4096) return;
  }
}

/* Milliseconds until something is due: a keepalive, or the deadline of a channel; -1: nothing. */
static int next_due(const dr_ssh_session *s) {
  uint64_t now = dr__ssh_now_ms(), due = UINT64_MAX;
  if (s->config->keepalive_ms > 0) due = s->quiet_ms + (uint64_t)s->config->keepalive_ms;
  for (const dr_ssh_channel *c = s->channels; c != NULL; c = c->next) {
    if (c->deadline_ms != 0 && c->deadline_ms < due) due = c->deadline_ms;
    if (c->lacking_ms != 0 && c->lacking_ms < due) due = c->lacking_ms;
    if (c->hungry) due = now;
    /* The loop wakes us when it has caught up; nobody does when it was memory that was short. */
    if (c->stalled && now + STALLED_MS < due) due = now + STALLED_MS;
  }
  if (due == UINT64_MAX) return -1;
  if (due <= now) return 0;
  return due - now > 3600000u ? 3600000 : (int)(due - now);
}

/* libssh sends no second keepalive while it takes the answer to the first one for outstanding; the
 * call that finds the answer sends nothing. */
static void send_keepalive(dr_ssh_session *s) {
  uint64_t before = s->counter.out_bytes;
  (void)ssh_send_keepalive(s->ssh);
  if (s->counter.out_bytes == before) (void)ssh_send_keepalive(s->ssh);
}

/* Asks a silent server for a sign of life. False when it has not given one for too long. Each
 * question is given its full time from when it was asked, so that a process that was itself held up
 * does not take its own absence for the server's. */
static bool check_keepalive(dr_ssh_session *s) {
  uint64_t now = dr__ssh_now_ms();
  if (s->counter.in_bytes != s->heard_bytes) {
    s->heard_bytes = s->counter.in_bytes;
    s->heard_ms = s->quiet_ms = now;
    s->unanswered = 0;
  }
  if (s->config->keepalive_ms == 0 || now - s->quiet_ms < (uint64_t)s->config->keepalive_ms) {
    return true;
  }
  if (s->unanswered >= s->config->keepalive_count) {
    dr__fail(&s->err, "ssh.connection_lost", "%s has not answered for %.3g s", s->config->alias,
             (double)(now - s->heard_ms) / 1e3);
    return false;
  }
  s->unanswered++;
  s->quiet_ms = now;
  send_keepalive(s);
  return true;
}

void dr__ssh_link_cause(dr_ssh_session *s) {
  dr_err cause = DR_ERR_INIT;
  uv_mutex_lock(&s->pool->lock);
  if (s->link != NULL) dr__err_copy(&cause, &s->link->err);
  uv_mutex_unlock(&s->pool->lock);
  if (cause.code[0] == '\0') return;
  size_t length = strlen(s->err.message);
  snprintf(s->err.message + length, sizeof s->err.message - length, " (its jump host: %.600s)",
           cause.message);
  dr__err_because(&s->err, &cause);
}

static void fail_lost(dr_ssh_session *s) {
  if (s->err.code[0] != '\0') return;
  dr__fail(&s->err, "ssh.connection_lost", "%s", dr__ssh_reason(s));
  dr__ssh_link_cause(s);
}

/* The wait set: the connection, then the descriptors of the streams that wait for something. */
static nfds_t fill_set(dr_ssh_session *s, struct pollfd *set, dr_ssh_channel **owners) {
  nfds_t count = 1;
  set[0] = (struct pollfd){.fd = ssh_get_fd(s->ssh), .events = POLLIN};
  if (ssh_get_poll_flags(s->ssh) & SSH_WRITE_PENDING) set[0].events |= POLLOUT;
  for (dr_ssh_channel *c = s->channels; c != NULL && count < MAX_WAIT_SET; c = c->next) {
    if (c->fd < 0 || c->fd_wants == 0) continue;
    owners[count] = c;
    set[count++] = (struct pollfd){.fd = c->fd, .events = c->fd_wants};
  }
  return count;
}

/* True while a reply of the server is being waited for that a delayed ACK of ours would hold back.
 */
static bool hurried(const dr_ssh_session *s) {
  for (const dr_ssh_channel *c = s->channels; c != NULL; c = c->next) {
    if (c->phase != DR_SSH_RUNNING) return true;
  }
  return false;
}

static int sleep_and_read(dr_ssh_session *s) {
  struct pollfd set[MAX_WAIT_SET];
  dr_ssh_channel *owners[MAX_WAIT_SET];
  nfds_t count = fill_set(s, set, owners);
  if (hurried(s)) dr__ssh_quick_ack(s);
  if (dr__ssh_wait(s, set, count, next_due(s)) != DR_OK) return DR_FAILED;
  if (set[0].revents != 0) read_packets(s);
  for (nfds_t i = 1; i < count; i++) owners[i]->fd_has |= set[i].revents;
  return DR_OK;
}

/* A channel that the server opened is proof that it counts this login no more among those under
 * way: its listening process hears of a login a moment later than we do. */
static bool proven(const dr_ssh_session *s) {
  for (const dr_ssh_channel *c = s->channels; c != NULL; c = c->next) {
    if (c->phase > DR_SSH_OPENING) return true;
  }
  return s->opened_any || s->channels == NULL;
}

static void serve(dr_ssh_session *s) {
  s->heard_ms = s->quiet_ms = dr__ssh_now_ms();
  while (true) {
    take_inbox(s);
    step_channels(s);
    if (s->slot && proven(s)) dr__ssh_token_give(s);
    if (!alive(s)) {
      fail_lost(s);
      return;
    }
    if (!check_keepalive(s) || sleep_and_read(s) != DR_OK) return;
  }
}

/* ---- beginning and end of the thread */

static int begin_serving(dr_ssh_session *s) {
  s->deadline_ms = 0;
  s->event = ssh_event_new();
  if (s->event == NULL || ssh_event_add_session(s->event, s->ssh) != SSH_OK) {
    return dr__err_nomem(&s->err);
  }
  uv_mutex_lock(&s->pool->lock);
  s->ready = true;
  uv_mutex_unlock(&s->pool->lock);
  return DR_OK;
}

static void disconnect(dr_ssh_session *s) {
  for (dr_ssh_channel *c = s->channels; c != NULL; c = c->next) {
    if (c->ssh != NULL) ssh_remove_channel_callbacks(c->ssh, &c->callbacks);
    c->ssh = NULL;
  }
  free(s->closing); /* the libssh channels go with their session */
  s->closing = NULL;
  if (s->event != NULL) {
    ssh_event_remove_session(s->event, s->ssh);
    ssh_event_free(s->event);
  }
  dr__ssh_disconnect(s);
  if (s->jump_fd >= 0) close(s->jump_fd);
  s->jump_fd = -1;
}

/* Why the channel ends, given why the session did. */
static void end_channel(dr_ssh_session *s, dr_ssh_channel *channel) {
  dr_err err = DR_ERR_INIT;
  if (channel->cancel && !(channel->started && channel->kind == DR_SSH_COMMAND)) {
    channel->how.not_begun = !channel->started;
    dr__fail(&err, "cancelled", "the command on %s was %s", s->config->alias,
             channel->started ? "stopped" : "not begun");
  } else if (s->ready && strcmp(s->err.code, "cancelled") != 0) {
    dr__ssh_channel_lost(s, channel, &err);
  } else {
    dr__err_copy(&err, &s->err);
  }
  dr__err_target(&err, s->config->alias);
  dr__ssh_channel_finish(channel, &err);
}

static void *session_main(void *data) {
  dr_ssh_session *s = data;
  bool connected = dr__ssh_connect(s) == DR_OK;
  if (connected) dr__ssh_token_yield(s);
  if (!connected) dr__ssh_token_give(s);
  if (connected && begin_serving(s) == DR_OK) serve(s);
  disconnect(s);
  dr__ssh_token_give(s);
  take_inbox(s);
  uv_mutex_lock(&s->pool->lock);
  s->ended = true;
  *s->inbox_end = NULL;
  if (s->link != NULL) s->link->session = NULL;
  for (dr_ssh_channel *c = s->channels, *next; c != NULL; c = next) {
    next = c->next;
    end_channel(s, c);
  }
  for (dr_ssh_channel *c = s->inbox, *next; c != NULL; c = next) {
    next = c->next;
    c->in_inbox = false;
    end_channel(s, c);
  }
  dr__ssh_tell(s->pool, &s->news);
  uv_mutex_unlock(&s->pool->lock);
  return NULL;
}

/* ---- on the loop's thread */

void dr__ssh_session_free(dr_ssh_session *s) {
  dr_ssh_link *link = s->link;
  if (link != NULL) {
    if (link->carrier != NULL) dr__ssh_channel_cancel(link->carrier);
    uv_mutex_lock(&s->pool->lock);
    link->session = NULL;
    dr__ssh_link_unref(link);
    uv_mutex_unlock(&s->pool->lock);
  }
  if (s->jump_fd >= 0) close(s->jump_fd);
  if (s->wake_fd >= 0) close(s->wake_fd);
  free(s->ask.answer);
  dr__ssh_config_unref(s->config);
  dr_err_clear(&s->err);
  free(s);
}

static void on_session_news(dr_ssh_news *news) {
  dr_ssh_session *s = (dr_ssh_session *)news;
  uv_mutex_lock(&s->pool->lock);
  bool ended = s->ended && !news->queued; /* else it is delivered once more */
  uv_mutex_unlock(&s->pool->lock);
  if (!ended) {
    answer_question(s);
    return;
  }
  pthread_join(s->thread, NULL);
  if (s->transport != NULL) s->transport->session = NULL;
  dr_ssh_session **at = &s->pool->sessions;
  while (*at != s) at = &(*at)->next;
  *at = s->next;
  dr__ssh_session_free(s);
}

void dr__ssh_session_add(dr_ssh_session *s, dr_ssh_channel *channel) {
  channel->session = s;
  channel->in_inbox = true;
  channel->next = NULL;
  *s->inbox_end = channel;
  s->inbox_end = &channel->next;
  dr__ssh_wake(s);
}

static int fail_start(dr_ssh_session *s, const char *reason, dr_err *err) {
  dr__fail(err, "ssh.connect", "no connection to %s can be begun: %s", s->config->alias, reason);
  dr__err_hint(err, "raise the limits on open files and processes (ulimit -n, ulimit -u)");
  dr__ssh_session_free(s);
  return DR_FAILED;
}

dr_ssh_session *dr__ssh_session_new(dr_ssh_transport *transport, int jump_fd, dr_err *err) {
  dr_ssh_session *s = calloc(1, sizeof *s);
  if (s == NULL) {
    if (jump_fd >= 0) close(jump_fd);
    dr__err_nomem(err);
    return NULL;
  }
  s->news.deliver = on_session_news;
  s->pool = transport->pool;
  s->transport = transport;
  s->config = dr__ssh_config_ref(transport->config);
  s->inbox_end = &s->inbox;
  s->fd = -1;
  s->jump_fd = jump_fd;
  s->most_commands = UINT_MAX;
  s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (s->wake_fd < 0) {
    fail_start(s, strerror(errno), err);
    return NULL;
  }
  if (jump_fd < 0) return s;
  s->link = dr__ssh_link_new();
  if (s->link != NULL) {
    s->link->session = s;
    return s;
  }
  dr__ssh_session_free(s);
  dr__err_nomem(err);
  return NULL;
}

static int start_thread(dr_ssh_session *s) {
  pthread_attr_t attributes;
  int rc = pthread_attr_init(&attributes);
  if (rc != 0) return rc;
  pthread_attr_setstacksize(&attributes, STACK_SIZE);
  rc = pthread_create(&s->thread, &attributes, session_main, s);
  pthread_attr_destroy(&attributes);
  return rc;
}

int dr__ssh_session_start(dr_ssh_session *s, dr_ssh_channel *channel, dr_err *err) {
  dr_ssh_pool *pool = s->pool;
  uv_mutex_lock(&pool->lock);
  dr__ssh_session_add(s, channel);
  uv_mutex_unlock(&pool->lock);
  s->next = pool->sessions;
  pool->sessions = s;
  int rc = start_thread(s);
  if (rc == 0) return DR_OK;
  pool->sessions = s->next;
  channel->in_inbox = false;
  return fail_start(s, strerror(rc), err);
}
