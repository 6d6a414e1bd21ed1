/* http_args.h - between the JSON of an op and the HTTP client's structures. No I/O, no Lua. The
 * previews on the runtime's thread, all else on any. Used by the http ops and by docker_wait.c.
 */
#ifndef DR_HTTP_ARGS_H
#define DR_HTTP_ARGS_H

#include "http_expect.h"

#include "ops/op.h"

/* The request that args (DR_HTTP_ARGS) describe, borrowed from them; `timeout` is the default in
 * seconds. */
dr_http_request dr__http_request_of(json_t *args, double timeout);

/* The expectation of args (DR_HTTP_EXPECT_ARGS), borrowed from them. */
dr_http_expectation dr__http_expectation_of(json_t *args);

/* {status, headers, body, json, seconds, url, address}; json only when the body says it is JSON,
 * and `truncated`, `cookies` and `redirect` when there are. NULL when memory is short. */
json_t *dr__http_result(const dr_http_response *answer);

/* The same, made up, for a dry run: as expected by args. */
json_t *dr__http_assume(json_t *args);

/* "POST https://host/path, X-A: b, JSON {…}": the request as a person reviews it. malloc'd; NULL:
 * out of memory. */
char *dr__http_preview_request(const dr_op *op);

/* The same for http.get and http.send, with the body and the status that must come. */
char *dr__http_preview_send(const dr_op *op);

/* True for the name of a header that carries a key: it is named in plans, its value is not shown.
 */
bool dr__http_is_private(const char *name);

/* True for a header that must not go to another place: by its name, or because a secret is in its
 * value. */
bool dr__http_is_key(const dr_op *op, const char *name, const char *value);

/* "200, body contains "ok", JSON version = "2"". malloc'd; NULL: out of memory. */
char *dr__http_preview_expectation(const dr_op *op);

#endif
