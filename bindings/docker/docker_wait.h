/* docker_wait.h - waits until a container is well, and notices at once when it will not be. Without
 * Lua.
 *
 * Well means: healthy by its own health check where it has one; else running for a while without a
 * restart; and where an HTTP check is given, answering it on its own address. It is inspected every
 * 50 ms. A container that exits, restarts or becomes unhealthy ends the wait at once, with its last
 * log lines.
 */
#ifndef DR_DOCKER_WAIT_H
#define DR_DOCKER_WAIT_H

#include "docker_engine.h"
#include "docker_json.h"

typedef struct dr_docker_wait dr_docker_wait;

typedef struct dr_docker_waited {
  const dr_container_state *state; /* as last seen; NULL when there is an error */
  const char *how;                 /* "healthy", "running", "answers" */
  double seconds;
  dr_err *err; /* docker.exited docker.unhealthy docker.no_such_container …; may be moved from */
} dr_docker_waited;

typedef struct dr_docker_wait_options {
  const char *container; /* id or name */
  const char *name;      /* for messages; NULL: the container's own */
  double within_s;
  double steady_s;   /* how long it must have been running when it has no health check */
  bool only_running; /* its health check does not count: it must run for steady_s */
  int64_t restarts;  /* so many restarts are forgiven */
  int64_t tail;      /* log lines shown when it fails */
  json_t *http;      /* {port, path, host, scheme, status, body, json, header, timeout}; or NULL */
  /* Finds a unix socket that leads to the container's address, for the HTTP check; "" is directly.
   * NULL: directly. */
  int (*route)(void *data, const char *address, int port, char *socket, size_t size, dr_err *err);
  void (*on_progress)(void *data, const char *what, double seconds);
  /* The end, exactly once, never from inside dr__docker_wait_start(); the wait is gone. */
  void (*on_done)(void *data, dr_docker_waited *waited);
  void *data;
} dr_docker_wait_options;

/* Returns 0, or an error and then on_done is not called. Strings and JSON of the options are
 * borrowed until the end. */
int dr__docker_wait_start(dr_docker_wait **out, dr_http *http, dr_engine *engine,
                          const dr_docker_wait_options *options, dr_err *err);

void dr__docker_wait_cancel(dr_docker_wait *wait);

/* What an exit code usually means: "killed by signal 9", or "" when there is nothing to add. */
const char *dr__docker_exit_meaning(int code);

#endif
