/* http_client.c - drives libcurl's multi handle by the runtime's loop.
 *
 * Owns the multi handle, one uv_poll for each socket libcurl wants watched, and one timer. Called
 * by the bindings that speak HTTP (http, docker) and by libuv, on the runtime's thread. libuv's and
 * libcurl's callbacks come in through act(), which is the only place where transfers end.
 *
 * All handles are unreferenced; a timer that never fires stands for the requests that must keep the
 * loop alive, so that a background probe does not.
 */
#include "http_internal.h"

#include "core/err.h"

#include <stdlib.h>

struct dr_http {
  uv_loop_t *loop;
  CURLM *multi;
  uv_timer_t timer; /* libcurl's next time-out */
  uv_timer_t alive; /* active while a foreground request is under way */
  unsigned foreground;
  unsigned handles; /* libuv handles not yet closed */
  dr_http_transfer *transfers;
};

/* A socket being watched. Freed by its close callback. */
typedef struct watch {
  uv_poll_t poll;
  dr_http *http;
  curl_socket_t fd;
  int events; /* that libcurl waits for */
} watch;

/* ------------------------------------------------------------ transfers */

static void link_transfer(dr_http *http, dr_http_transfer *transfer) {
  transfer->http = http;
  transfer->previous = NULL;
  transfer->next = http->transfers;
  if (http->transfers) http->transfers->previous = transfer;
  http->transfers = transfer;
}

static void on_never(uv_timer_t *timer) {
  (void)timer;
}

static void hold_loop(dr_http *http) {
  const uint64_t for_ever = UINT64_MAX / 4;
  if (http->foreground++ == 0) uv_timer_start(&http->alive, on_never, for_ever, 0);
}

static void let_go_of_loop(dr_http *http) {
  if (--http->foreground == 0) uv_timer_stop(&http->alive);
}

/* Takes a transfer out of the multi handle and the list; it is the caller's then. */
static void unlink_transfer(dr_http_transfer *transfer) {
  dr_http *http = transfer->http;
  curl_multi_remove_handle(http->multi, transfer->easy);
  if (transfer->previous) transfer->previous->next = transfer->next;
  if (transfer->next) transfer->next->previous = transfer->previous;
  if (http->transfers == transfer) http->transfers = transfer->next;
  if (!transfer->background) let_go_of_loop(http);
}

static void finish(dr_http_transfer *transfer, CURLcode code) {
  unlink_transfer(transfer);
  dr__http_transfer_finish(transfer, code);
}

/* A transfer whose socket could not be watched; libcurl would wait for it in vain. */
static dr_http_transfer *find_starved(const dr_http *http) {
  dr_http_transfer *transfer = http->transfers;
  while (transfer && !transfer->nomem) transfer = transfer->next;
  return transfer;
}

/* Ends the transfers that are over. on_done may start and cancel others. */
static void reap(dr_http *http) {
  CURLMsg *message;
  int left;
  while ((message = curl_multi_info_read(http->multi, &left))) {
    if (message->msg != CURLMSG_DONE) continue;
    char *transfer = NULL;
    CURLcode code = message->data.result;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    if (transfer) finish((dr_http_transfer *)(void *)transfer, code);
  }
  dr_http_transfer *starved;
  while ((starved = find_starved(http))) finish(starved, CURLE_OUT_OF_MEMORY);
}

static void act(dr_http *http, curl_socket_t fd, int events) {
  int running;
  bool starved = curl_multi_socket_action(http->multi, fd, events, &running) == CURLM_OUT_OF_MEMORY;
  /* It does not say which one it has no more to tell of: all of them end. */
  for (dr_http_transfer *each = http->transfers; each && starved; each = each->next)
    each->nomem = true;
  reap(http);
}

/* ------------------------------------------------------------ sockets */

static void on_watch_closed(uv_handle_t *handle) {
  watch *closed = handle->data;
  closed->http->handles--;
  free(closed);
}

/* A server that does not wait for the whole request answers while it is still sent, and may then
 * reset the connection. What it said can still be read, but libcurl gives up when it cannot write:
 * so it is told to read before each write, and when the connection broke, and finds out for itself.
 * libuv has stopped watching one that broke. */
static void on_poll(uv_poll_t *poll, int status, int events) {
  const watch *ready = poll->data;
  bool writes = status < 0 || (events & UV_WRITABLE);
  act(ready->http, ready->fd, CURL_CSELECT_IN | (writes ? CURL_CSELECT_OUT : 0));
  bool goes_on = status < 0 && !uv_is_closing((uv_handle_t *)poll);
  if (goes_on) uv_poll_start(poll, ready->events, on_poll);
}

static watch *watch_new(dr_http *http, curl_socket_t fd) {
  watch *fresh = calloc(1, sizeof *fresh);
  if (!fresh) return NULL;
  fresh->http = http;
  fresh->fd = fd;
  fresh->poll.data = fresh;
  if (uv_poll_init_socket(http->loop, &fresh->poll, fd) != 0) {
    free(fresh);
    return NULL;
  }
  uv_unref((uv_handle_t *)&fresh->poll);
  http->handles++;
  curl_multi_assign(http->multi, fd, fresh);
  return fresh;
}

static void starve(CURL *easy) {
  char *transfer = NULL;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
  if (transfer) ((dr_http_transfer *)(void *)transfer)->nomem = true;
}

/* libcurl's CURLMOPT_SOCKETFUNCTION. Always 0: any other answer would end every transfer of the
 * client. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *data, void *watched) {
  dr_http *http = data;
  watch *it = watched;
  if (what == CURL_POLL_REMOVE) {
    if (it) {
      curl_multi_assign(http->multi, fd, NULL);
      uv_close((uv_handle_t *)&it->poll, on_watch_closed);
    }
    return 0;
  }
  if (!it) it = watch_new(http, fd);
  int events = 0;
  if (what & CURL_POLL_IN) events |= UV_READABLE;
  if (what & CURL_POLL_OUT) events |= UV_WRITABLE;
  if (it) it->events = events;
  if (!it || uv_poll_start(&it->poll, events, on_poll) != 0) starve(easy);
  return 0;
}

/* ------------------------------------------------------------ time */

static void on_time_out(uv_timer_t *timer);

static void set_timer(dr_http *http, long ms) {
  uv_update_time(http->loop);
  uv_timer_start(&http->timer, on_time_out, (uint64_t)ms, 0);
}

/* libuv counts whole milliseconds, so its timer can fire a little before libcurl's is due. libcurl
 * then does nothing and asks for no new timer, and would never wake again: ask it how long it still
 * waits. */
static void on_time_out(uv_timer_t *timer) {
  dr_http *http = timer->data;
  act(http, CURL_SOCKET_TIMEOUT, 0);
  long ms = -1;
  if (uv_is_active((uv_handle_t *)timer)) return;
  if (curl_multi_timeout(http->multi, &ms) == CURLM_OK && ms >= 0) set_timer(http, ms > 0 ? ms : 1);
}

/* libcurl's CURLMOPT_TIMERFUNCTION. */
static int on_timer_wanted(CURLM *multi, long ms, void *data) {
  dr_http *http = data;
  (void)multi;
  if (ms < 0) {
    uv_timer_stop(&http->timer);
  } else {
    set_timer(http, ms);
  }
  return 0;
}

/* ------------------------------------------------------------ the client */

static CURLM *multi_new(dr_http *http) {
  CURLM *multi = curl_multi_init();
  if (!multi) return NULL;
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, http);
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, http);
  return multi;
}

static void add_timer(dr_http *http, uv_timer_t *timer) {
  uv_timer_init(http->loop, timer);
  timer->data = http;
  http->handles++;
}

int dr__http_new(dr_http **out, uv_loop_t *loop, dr_err *err) {
  *out = NULL;
  int status = dr__curl_load(err);
  if (status) return status;
  dr_http *http = calloc(1, sizeof *http);
  if (!http) return dr__err_nomem(err);
  http->loop = loop;
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    free(http);
    return dr__fail(err, "http.setup", "libcurl cannot be set up");
  }
  http->multi = multi_new(http);
  if (!http->multi) {
    curl_global_cleanup();
    free(http);
    return dr__err_nomem(err);
  }
  add_timer(http, &http->timer);
  add_timer(http, &http->alive);
  uv_unref((uv_handle_t *)&http->timer);
  *out = http;
  return 0;
}

static void on_timer_closed(uv_handle_t *handle) {
  dr_http *http = handle->data;
  http->handles--;
}

void dr__http_free(dr_http *http) {
  if (!http) return;
  while (http->transfers) dr__http_cancel(http->transfers);
  curl_multi_cleanup(http->multi); /* tells on_socket to stop watching the connections kept open */
  uv_close((uv_handle_t *)&http->timer, on_timer_closed);
  uv_close((uv_handle_t *)&http->alive, on_timer_closed);
  while (http->handles > 0) uv_run(http->loop, UV_RUN_NOWAIT);
  curl_global_cleanup();
  free(http);
}

int dr__http_start(dr_http_transfer **out, dr_http *http, const dr_http_request *request,
                   dr_err *err) {
  *out = NULL;
  dr_http_transfer *transfer = NULL;
  int status = dr__http_transfer_new(&transfer, request, err);
  if (status) return status;
  if (curl_multi_add_handle(http->multi, transfer->easy) != CURLM_OK) {
    dr__http_transfer_free(transfer);
    return dr__err_nomem(err);
  }
  link_transfer(http, transfer);
  if (!transfer->background) hold_loop(http);
  *out = transfer;
  return 0;
}

void dr__http_cancel(dr_http_transfer *transfer) {
  unlink_transfer(transfer);
  dr__http_transfer_free(transfer);
}

uv_loop_t *dr__http_loop(const dr_http *http) {
  return http->loop;
}
