/* net.c - the net binding: its op net.dns (the addresses of a name) and the table of its ops; ports
 * are in net_port.c. From this machine libuv asks the resolver on a worker thread; on a target it
 * is getent there. Called through the gate and from the loop, on the runtime's thread.
 */
#include "net.h"
#include "target/target.h"

#include "core/err.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const dr_lua_source dr__lua_net;

enum { DNS_TIMEOUT = 30, NOT_FOUND = 2 };

typedef struct lookup {
  uv_getaddrinfo_t request;
  dr_op *op; /* NULL once the op was released */
} lookup;

/* Adds an address unless it is there. */
static bool add_address(json_t *addresses, const char *text) {
  size_t i;
  json_t *one;
  json_array_foreach(addresses, i, one) {
    if (strcmp(json_string_value(one), text) == 0) return true;
  }
  return json_array_append_new(addresses, json_string(text)) == 0;
}

static json_t *addresses_of(const struct addrinfo *found) {
  json_t *addresses = json_array();
  bool whole = addresses != NULL;
  for (const struct addrinfo *it = found; it && whole; it = it->ai_next) {
    char text[64];
    if (uv_ip_name(it->ai_addr, text, sizeof text) == 0) whole = add_address(addresses, text);
  }
  if (whole) return addresses;
  json_decref(addresses);
  return NULL;
}

static void fail_lookup(dr_err *err, const char *name, const char *why) {
  dr__fail(err, "net.dns", "the addresses of %s cannot be asked for: %s", name, why);
  dr__err_hint(err, "does the resolver answer? See /etc/resolv.conf");
}

static bool no_such_name(int status) {
  return status == UV_EAI_NONAME || status == UV_EAI_NODATA || status == UV_EAI_ADDRFAMILY;
}

static void on_looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *found) {
  lookup *it = request->data;
  dr_op *op = it->op;
  dr_err err = DR_ERR_INIT;
  free(it);
  json_t *addresses = op && (status == 0 || no_such_name(status)) ? addresses_of(found) : NULL;
  uv_freeaddrinfo(found);
  if (!op) return;
  op->self = NULL;
  if (addresses) {
    dr__op_done(op, json_pack("{s:o}", "addresses", addresses));
    return;
  }
  if (status == UV_ECANCELED)
    dr__fail(&err, "cancelled", "the look-up was cancelled");
  else if (status == 0 || no_such_name(status) || status == UV_EAI_MEMORY)
    dr__err_nomem(&err);
  else
    fail_lookup(&err, dr__arg_string(op, "name", ""), uv_strerror(status));
  dr__op_fail(op, &err);
}

/* A look-up that has begun cannot be stopped: it is left alone, and nobody hears of its end. */
static void release_lookup(dr_op *op) {
  lookup *it = op->self;
  if (!it) return;
  it->op = NULL;
  op->self = NULL;
  uv_cancel((uv_req_t *)&it->request);
}

static void cancel_lookup(dr_op *op) {
  release_lookup(op);
  dr__op_fail_cancelled(op, "the look-up was cancelled");
}

static int look_up_here(dr_op *op, dr_err *err) {
  const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
  lookup *it = calloc(1, sizeof *it);
  if (!it) return dr__err_nomem(err);
  it->op = op;
  it->request.data = it;
  int status = uv_getaddrinfo(op->loop, &it->request, on_looked_up, dr__arg_string(op, "name", ""),
                              NULL, &hints);
  if (status != 0) {
    free(it);
    fail_lookup(err, dr__arg_string(op, "name", ""), uv_strerror(status));
    return DR_FAILED;
  }
  op->self = it;
  op->cancel = cancel_lookup;
  op->release = release_lookup;
  return 0;
}

/* "10.0.0.1       STREAM name" a line. */
static json_t *parse_getent(dr_op *op, int status, json_t *result, dr_err *err) {
  json_t *addresses = json_array();
  json_decref(result);
  if (status != 0 && status != NOT_FOUND) {
    json_decref(addresses);
    dr__exec_failed(op, status, err);
    return NULL;
  }
  for (const char *at = dr__exec_text(op, 1); *at; at += strcspn(at, "\n"), at += *at == '\n') {
    char text[64];
    size_t length = strcspn(at, " \t\n");
    if (length == 0 || length >= sizeof text) continue;
    memcpy(text, at, length);
    text[length] = '\0';
    add_address(addresses, text);
  }
  return json_pack("{s:o}", "addresses", addresses);
}

static int check_dns(const dr_op *op, dr_err *err) {
  const char *name = dr__arg_string(op, "name", "");
  if (name[0] && name[0] != '-' && !strpbrk(name, "/: ")) return DR_OK;
  return dr__fail(err, "recipe.argument", "net.dns: \"%s\" is no host name", name);
}

static int start_dns(dr_op *op, dr_err *err) {
  const char *name = dr__arg_string(op, "name", "");
  if (!op->target ||
      (!op->target->within && strcmp(op->target->transport->klass->kind, "local") == 0)) {
    return look_up_here(op, err);
  }
  const dr_exec_spec spec = {.command = json_pack("[s, s, s]", "getent", "ahosts", name),
                             .timeout = DNS_TIMEOUT,
                             .any_status = true,
                             .quiet = true,
                             .parse = parse_getent};
  return dr__exec_op(op, &spec, err);
}

static char *preview_dns(const dr_op *op) {
  char *text = NULL;
  int length = asprintf(&text, "look up the addresses of %s", dr__arg_string(op, "name", ""));
  return length < 0 ? NULL : text;
}

static json_t *assume_dns(const dr_op *op) {
  (void)op;
  return json_pack("{s:[]}", "addresses");
}

static const dr_arg dns_args[] = {{"name", DR_ARG_STRING, DR_REQUIRED}, {0}};

static const dr_arg port_args[] = {{"host", DR_ARG_STRING, DR_REQUIRED},
                                   {"port", DR_ARG_INTEGER, DR_REQUIRED},
                                   {"timeout", DR_ARG_DURATION, 0},
                                   {0}};

static const dr_arg expect_args[] = {
    {"host", DR_ARG_STRING, DR_REQUIRED}, {"port", DR_ARG_INTEGER, DR_REQUIRED},
    {"timeout", DR_ARG_DURATION, 0},      {"within", DR_ARG_DURATION, 0},
    {"open", DR_ARG_BOOLEAN, 0},          {0}};

static const dr_opspec ops[] = {
    {.name = "net.dns",
     .check = check_dns,
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_NETWORK,
     .args = dns_args,
     .preview = preview_dns,
     .assume = assume_dns,
     .start = start_dns},
    {.name = "net.port",
     .check = dr__net_port_check,
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_CONTAINERS | DR_AREA_SERVICES | DR_AREA_NETWORK,
     .args = port_args,
     .preview = dr__net_port_preview,
     .assume = dr__net_port_assume,
     .start = dr__net_port_start},
    {.name = "net.expect_port",
     .check = dr__net_port_check,
     .kind = DR_CHECK,
     .idempotent = true,
     .args = expect_args,
     .preview = dr__net_port_preview,
     .assume = dr__net_port_assume,
     .start = dr__net_port_start},
    {0},
};

const dr_binding dr__binding_net = {
    .name = "net", .ops = ops, .lua = &dr__lua_net, .gives = "net :net :port_open"};
