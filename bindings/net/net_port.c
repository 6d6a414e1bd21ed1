/* net_port.c - is a TCP port open: the query net.port and the check net.expect_port.
 *
 * From this machine the connection is made here, by the HTTP client without a request. From a
 * target a small script there tries it, which also works inside containers. Called through the gate
 * and from the loop, on the runtime's thread. An op's `self` is its state here (on this machine),
 * freed by release; on a target it is exec_op.c's.
 */
#include "http/http.h"
#include "net.h"
#include "target/target.h"

#include "core/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT = 5, WITHIN = 30 };

static const uint64_t pause_ms = 50;

typedef struct knocking {
  dr_op *op;
  dr_http_transfer *transfer; /* NULL when none is under way */
  uv_timer_t *timer;          /* freed by its close callback */
  char url[320];
  char why[512];
} knocking;

static bool is_check(const dr_op *op) {
  return op->spec->kind == DR_CHECK;
}

static const char *host_of(const dr_op *op) {
  return dr__arg_string(op, "host", "");
}

static int port_of(const dr_op *op) {
  return (int)dr__arg_integer(op, "port", 0);
}

static bool wanted(const dr_op *op) {
  return dr__arg_boolean(op, "open", true);
}

static double seconds_of(const dr_op *op) {
  return (double)(uv_hrtime() - op->started_ns) / 1e9;
}

static double within_of(const dr_op *op) {
  return dr__arg_number(op, "within", WITHIN);
}

static json_t *result_of(const dr_op *op, bool open, const char *why) {
  json_t *result = json_pack("{s:b, s:f}", "open", open, "seconds", seconds_of(op));
  if (result && !open) json_object_set_new(result, "why", json_string(why));
  return result;
}

static void fail_late(dr_op *op, bool open, const char *why, dr_err *err) {
  const char *from = op->target ? op->target->name : "this machine";
  dr__fail(err, "net.port", "%s:%d is still %s as seen from %s after %.3g s%s%s", host_of(op),
           port_of(op), open ? "open" : "closed", from, seconds_of(op), open ? "" : ": ",
           open ? "" : why);
  dr__err_hint(err, open
                        ? "what listens there should not: see `ss -ltnp`, or the firewall's rules"
                        : "does the service run, and does it listen on this address and port? Is a "
                          "firewall between?");
}

/* ------------------------------------------------------------ from this machine */

static void on_timer_closed(uv_handle_t *handle) {
  free(handle);
}

static void drop(dr_op *op) {
  knocking *it = op->self;
  op->self = NULL;
  if (!it) return;
  if (it->transfer) dr__http_cancel(it->transfer);
  uv_close((uv_handle_t *)it->timer, on_timer_closed);
  free(it);
}

static void cancel(dr_op *op) {
  drop(op);
  dr__op_fail_cancelled(op, "the look at %s:%d was cancelled", host_of(op), port_of(op));
}

static int knock(knocking *it, dr_err *err);

static void on_again(uv_timer_t *timer) {
  knocking *it = timer->data;
  dr_err err = DR_ERR_INIT;
  if (knock(it, &err) != 0) dr__op_fail(it->op, &err);
}

/* One attempt is over. */
static void settle(knocking *it, bool open) {
  dr_op *op = it->op;
  dr_err err = DR_ERR_INIT;
  if (!is_check(op) || open == wanted(op)) {
    dr__op_done(op, result_of(op, open, it->why));
    return;
  }
  if (seconds_of(op) >= within_of(op)) {
    fail_late(op, open, it->why, &err);
    dr__op_fail(op, &err);
    return;
  }
  dr__op_progress(op, "%s:%d is %s (%.0f of %.0f s)", host_of(op), port_of(op),
                  open ? "open" : "closed", seconds_of(op), within_of(op));
  uv_update_time(op->loop);
  uv_timer_start(it->timer, on_again, pause_ms, 0);
}

static const char *reason_of(const char *message) {
  const char *colon = strstr(message, "cannot connect: ");
  return colon ? colon + strlen("cannot connect: ") : message;
}

static void on_knocked(void *data, dr_http_response *answer, dr_err *err) {
  knocking *it = data;
  it->transfer = NULL;
  bool unknown = err && strcmp(err->code, "http.connect") != 0 &&
                 strcmp(err->code, "http.timeout") != 0 && strcmp(err->code, "http.closed") != 0;
  if (unknown && !(is_check(it->op) && strcmp(err->code, "http.resolve") == 0)) {
    dr__op_fail(it->op, err);
    return;
  }
  if (err && strcmp(err->code, "http.timeout") == 0) {
    dr__copy_text(it->why, sizeof it->why, "no answer: a firewall, or no such machine");
  } else {
    dr__copy_text(it->why, sizeof it->why, err ? reason_of(err->message) : "");
  }
  settle(it, answer != NULL);
}

static int knock(knocking *it, dr_err *err) {
  dr_http *http = dr__http_of(dr__op_runtime(it->op), err);
  if (!http) return DR_FAILED;
  const dr_http_request request = {.url = it->url,
                                   .connect_only = true,
                                   .no_reuse = true,
                                   .direct = true,
                                   .timeout_s = dr__arg_number(it->op, "timeout", TIMEOUT),
                                   .on_done = on_knocked,
                                   .data = it};
  return dr__http_start(&it->transfer, http, &request, err);
}

static int start_here(dr_op *op, dr_err *err) {
  knocking *it = calloc(1, sizeof *it);
  uv_timer_t *timer = calloc(1, sizeof *timer);
  if (!it || !timer) {
    free(it);
    free(timer);
    return dr__err_nomem(err);
  }
  uv_timer_init(op->loop, timer);
  timer->data = it;
  it->op = op;
  it->timer = timer;
  const char *host = host_of(op);
  snprintf(it->url, sizeof it->url, strchr(host, ':') ? "http://[%s]:%d/" : "http://%s:%d/", host,
           port_of(op));
  op->self = it;
  op->cancel = cancel;
  op->release = drop;
  return knock(it, err);
}

/* ------------------------------------------------------------ from a target */

/* host port seconds: "open", or why not. bash knows how to connect; else nc, else python3. */
static const char script[] =
    "if command -v bash >/dev/null 2>&1; then\n"
    "  said=$(timeout \"$3\" bash -c 'exec 3<>\"/dev/tcp/$1/$2\"' bash \"$1\" \"$2\" 2>&1); s=$?\n"
    "elif command -v python3 >/dev/null 2>&1; then\n"
    "  said=$(timeout \"$3\" python3 -c 'import socket, sys\n"
    "socket.create_connection((sys.argv[1], int(sys.argv[2])))' \"$1\" \"$2\" 2>&1); s=$?\n"
    "elif command -v nc >/dev/null 2>&1; then\n"
    "  said=$(timeout \"$3\" nc -z -w \"$3\" \"$1\" \"$2\" 2>&1); s=$?\n"
    "else exit 9\n"
    "fi\n"
    "if [ $s = 0 ]; then echo open\n"
    "elif [ $s = 124 ]; then echo 'no answer: a firewall, or no such machine'\n"
    "else echo \"closed: $said\" | tail -n 1\n"
    "fi\n";

static int ask_there(dr_op *op, double delay, dr_err *err);

static json_t *parse_there(dr_op *op, int status, json_t *result, dr_err *err) {
  char why[512];
  json_decref(result);
  if (status == 9) {
    dr__fail(err, "net.no_tool", "there is no bash, python3 or nc on %s to try a port with",
             op->target->name);
    return NULL;
  }
  if (status != 0) {
    dr__exec_failed(op, status, err);
    return NULL;
  }
  const char *said = dr__exec_text(op, 1);
  bool open = strcmp(said, "open\n") == 0;
  const char *last = strstr(said, "closed: ") == said ? said + strlen("closed: ") : said;
  const char *colon = strrchr(last, ':');
  dr__copy_text(why, sizeof why, colon && colon[1] == ' ' ? colon + 2 : last);
  why[strcspn(why, "\n")] = '\0';
  if (!is_check(op) || open == wanted(op)) return result_of(op, open, why);
  if (seconds_of(op) >= within_of(op))
    fail_late(op, open, why, err);
  else
    (void)ask_there(op, (double)pause_ms / 1000, err);
  return NULL;
}

static int ask_there(dr_op *op, double delay, dr_err *err) {
  char port[16];
  char seconds[32];
  snprintf(port, sizeof port, "%d", port_of(op));
  snprintf(seconds, sizeof seconds, "%.0f", dr__arg_number(op, "timeout", TIMEOUT));
  if (strcmp(seconds, "0") == 0) dr__copy_text(seconds, sizeof seconds, "1");
  const dr_exec_spec spec = {.command = json_pack("[s, s, s, s, s, s, s]", "/bin/sh", "-c", script,
                                                  "sh", host_of(op), port, seconds),
                             .timeout = dr__arg_number(op, "timeout", TIMEOUT) + 30,
                             .delay = delay,
                             .any_status = true,
                             .quiet = true,
                             .parse = parse_there};
  return dr__exec_op(op, &spec, err);
}

/* ------------------------------------------------------------ the ops */

int dr__net_port_check(const dr_op *op, dr_err *err) {
  const char *host = host_of(op);
  if (port_of(op) < 1 || port_of(op) > 65535) {
    return dr__fail(err, "recipe.argument", "%s: a port is a number from 1 to 65535",
                    op->spec->name);
  }
  if (!host[0] || strlen(host) > 255 || strpbrk(host, "/ @?#")) {
    dr__fail(err, "recipe.argument", "%s: \"%s\" is no host", op->spec->name, host);
    dr__err_hint(err, "give a name or an address, without http://");
    return DR_FAILED;
  }
  return DR_OK;
}

int dr__net_port_start(dr_op *op, dr_err *err) {
  bool here = !op->target ||
              (!op->target->within && strcmp(op->target->transport->klass->kind, "local") == 0);
  return here ? start_here(op, err) : ask_there(op, 0, err);
}

char *dr__net_port_preview(const dr_op *op) {
  char *text = NULL;
  int length = is_check(op)
                   ? asprintf(&text, "expect that %s:%d is %s within %g s", host_of(op),
                              port_of(op), wanted(op) ? "open" : "closed", within_of(op))
                   : asprintf(&text, "look whether %s:%d is open", host_of(op), port_of(op));
  return length < 0 ? NULL : text;
}

json_t *dr__net_port_assume(const dr_op *op) {
  return json_pack("{s:b, s:f}", "open", wanted(op), "seconds", 0.0);
}
