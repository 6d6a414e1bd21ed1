/* http_route.h - the way of a request to where its URL leads as a target sees it. Used by the http
 * ops, on the runtime's thread. */
#ifndef DR_HTTP_ROUTE_H
#define DR_HTTP_ROUTE_H

#include "target/target.h"

#include "ops/binding.h"

typedef struct dr_http_place {
  char scheme[8];
  char host[256]; /* without the brackets of an IPv6 address */
  int port;
} dr_http_place;

/* Where a URL leads. Fails with http.url. libcurl must be loaded. */
int dr__http_place_of(dr_http_place *place, const char *url, dr_err *err);

/* dr_opspec.check: hides its keys, and refuses a `url` that is none (http.url). One with a piece
 * that a dry run assumed, an empty host or words in brackets, passes. The second: the same of a
 * text. */
int dr__http_check_url(const dr_op *op, dr_err *err);

/* dr_opspec.check of an op whose redirects libcurl follows: refuses `follow` together with a header
 * that carries a key (recipe.argument). To another place libcurl takes all headers of a request
 * along but Authorization and Cookie. */
int dr__http_check_follow(const dr_op *op, dr_err *err);
int dr__http_check_address(const char *url, dr_err *err);

/* Registers for masking what the op's headers and the URL carry as keys: values of private headers,
 * the password. Nothing that is short, and may be a word of a text. */
void dr__http_hide(const dr_op *op, const char *url);

/* Sets unix_socket in args to a tunnel to where args.url leads, when the target is an SSH host;
 * leaves them as they are for this machine and without a target. Fails with http.no_way (inside a
 * container), http.url, ssh.tunnel. */
int dr__http_route(dr_runtime *rt, const dr_target *target, json_t *args, dr_err *err);

/* The same for what asks one place again and again: there, redirects cannot be followed through a
 * tunnel (recipe.argument). */
int dr__http_route_fixed(dr_runtime *rt, const dr_target *target, json_t *args, dr_err *err);

/* Says of an error of a request through a tunnel where the trouble is. */
void dr__http_explain_route(dr_runtime *rt, json_t *args, dr_err *err);

#endif
