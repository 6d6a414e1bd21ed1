/* docker_engine.h - calls to the Docker Engine's HTTP API over its unix socket, without Lua.
 *
 * A dr_engine is one socket and the API version spoken there: 1.41 (Engine 20.10) without asking
 * first; an engine that speaks no such version says so in its answer, and the call is made again in
 * one it does speak. Used by the docker ops, on the runtime's thread only.
 */
#ifndef DR_DOCKER_ENGINE_H
#define DR_DOCKER_ENGINE_H

#include "http/http_client.h"

typedef struct dr_engine dr_engine;
typedef struct dr_engine_call dr_engine_call;

/* An answer of status 2xx or 304 ("it was so already"). Borrowed during on_done. */
typedef struct dr_engine_answer {
  int status;
  json_t *json; /* NULL when the body is none */
} dr_engine_answer;

/* A call. Borrowed during dr__engine_start(). */
typedef struct dr_engine_request {
  const char *method; /* NULL: GET */
  const char *path;   /* without the version: "/containers/json?all=1", escaped (dr__engine_path) */
  const json_t *body; /* or NULL */
  json_t *headers;    /* object of strings, e.g. the credentials for a registry; or NULL */
  double timeout_s;   /* 0: 30 */
  /* Gets the body of a 2xx answer as it comes, which is then not read as JSON; NULL: none. Must not
   * call the client. */
  int (*on_body)(void *data, const char *bytes, size_t length);
  /* The end, exactly once, never from inside dr__engine_start(); one of answer and err is NULL, err
   * may be moved from. The call is gone. Codes: docker.unreachable docker.denied docker.timeout
   * docker.no_such_container docker.no_such_image docker.not_found docker.conflict
   * docker.not_running docker.engine out_of_memory. */
  void (*on_done)(void *data, dr_engine_answer *answer, dr_err *err);
  void *data;
} dr_engine_request;

/* Makes an engine; does not connect. NULL when memory is short. */
dr_engine *dr__engine_new(dr_http *http, const char *socket);
void dr__engine_free(dr_engine *engine);
const char *dr__engine_socket(const dr_engine *engine);

/* Begins a call. Returns 0, or DR_FAILED with err filled and then on_done is not called. */
int dr__engine_start(dr_engine_call **out, dr_engine *engine, const dr_engine_request *request,
                     dr_err *err);

/* Ends a call early; on_done is not called, the call is gone. */
void dr__engine_cancel(dr_engine_call *call);

/* ---- pure helpers, in docker_text.c */

/* before + name escaped for a path or query + after; malloc'd, NULL when memory is short. */
char *dr__engine_path(const char *before, const char *name, const char *after);

/* Reads the API version an engine asks for in its refusal of another: "… is too old. Minimum
 * supported API version is 1.44 …", "… is too new. Maximum supported API version is 1.24". False
 * when the text is no such refusal. */
bool dr__engine_wanted_version(const char *text, char *version, size_t size);

/* Fills err from the Engine's refusal: HTTP status and its JSON or text. */
void dr__engine_explain(dr_err *err, int status, const char *body, size_t length);

/* Where the engine of this machine listens, from DOCKER_HOST or where it is found. Fills `socket`;
 * false with err filled (docker.host) when DOCKER_HOST is no unix socket. */
bool dr__engine_find(char *socket, size_t size, dr_err *err);

#endif
