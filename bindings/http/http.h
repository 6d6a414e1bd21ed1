/* http.h - what the files of the http binding share, and what other bindings need of it. Runtime's
 * thread only. */
#ifndef DR_HTTP_H
#define DR_HTTP_H

#include "http_args.h"
#include "ops/binding.h"

/* The runtime's HTTP client, made when first asked for. NULL with err filled when it cannot be
 * made. */
dr_http *dr__http_of(dr_runtime *rt, dr_err *err);

/* The arguments every op that asks a URL takes; to be put into a dr_arg table. unix_socket is also
 * set by http_route.c when the URL is reached through a tunnel; cookies by the sessions of
 * http.lua. */
#define DR_HTTP_ARGS                                                                               \
  {"url", DR_ARG_STRING, DR_REQUIRED}, {"headers", DR_ARG_MAP, 0},                                 \
      {"timeout", DR_ARG_DURATION, 0}, {"connect_timeout", DR_ARG_DURATION, 0},                    \
      {"follow", DR_ARG_INTEGER, 0}, {"max_body", DR_ARG_INTEGER, 0},                              \
      {"bearer", DR_ARG_STRING, 0}, {"user", DR_ARG_STRING, 0}, {"password", DR_ARG_STRING, 0},    \
      {"address", DR_ARG_STRING, 0}, {"ca", DR_ARG_STRING, 0}, {"insecure", DR_ARG_BOOLEAN, 0},    \
      {"unix_socket", DR_ARG_STRING, 0}, {"cookies", DR_ARG_STRINGS, 0}, {                         \
    "name", DR_ARG_STRING, 0                                                                       \
  }

/* And those of an op that expects something of the answer. */
#define DR_HTTP_EXPECT_ARGS                                                                        \
  {"status", DR_ARG_ANY, 0}, {"body", DR_ARG_STRING, 0}, {"json", DR_ARG_ANY, 0}, {                \
    "header", DR_ARG_MAP, 0                                                                        \
  }

/* ---- http_request_op.c */

extern const dr_arg dr__http_get_args[];
extern const dr_arg dr__http_send_args[];
int dr__http_request_start(dr_op *op, dr_err *err);
int dr__http_request_check(const dr_op *op, dr_err *err);
char *dr__http_request_preview(const dr_op *op);
json_t *dr__http_request_assume(const dr_op *op);

extern const dr_arg dr__http_notify_args[]; /* of notify.send: a POST to a webhook */
char *dr__http_notify_preview(const dr_op *op);

/* ---- http_certificate.c */

extern const dr_arg dr__http_certificate_args[];
int dr__http_certificate_check(const dr_op *op, dr_err *err);
int dr__http_certificate_start(dr_op *op, dr_err *err);
char *dr__http_certificate_preview(const dr_op *op);
json_t *dr__http_certificate_assume(const dr_op *op);

/* ---- http_probe_op.c */

extern const dr_arg dr__http_probe_args[];
extern const dr_arg dr__http_probe_stop_args[];
int dr__http_probe_check(const dr_op *op, dr_err *err);
int dr__http_probe_op_start(dr_op *op, dr_err *err);
char *dr__http_probe_op_preview(const dr_op *op);
int dr__http_probe_stop_start(dr_op *op, dr_err *err);
char *dr__http_probe_stop_preview(const dr_op *op);
json_t *dr__http_probe_stop_assume(const dr_op *op);

#endif
