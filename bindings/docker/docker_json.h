/* docker_json.h - what the Engine's JSON says, in this project's words. Pure, any thread, fuzzed:
 * fields that are missing or of another type than the Engine's are left out, never trusted.
 */
#ifndef DR_DOCKER_JSON_H
#define DR_DOCKER_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* What decides whether a container is well. */
typedef enum dr_health {
  DR_HEALTH_NONE,
  DR_HEALTH_STARTING,
  DR_HEALTH_HEALTHY,
  DR_HEALTH_UNHEALTHY
} dr_health;

typedef struct dr_container_state {
  char status[16]; /* created running paused restarting removing exited dead, or "" */
  bool running;
  bool oom_killed;
  int64_t memory_limit; /* bytes; 0: none */
  int exit_code;
  int restarts;
  dr_health health;
  char started[40];      /* when, as the Engine writes it */
  char address[64];      /* its first IP address, or "" */
  char name[128];        /* without the leading slash */
  char failure[512];     /* the Engine's own words for why it could not start, or "" */
  char last_check[1024]; /* output of the last health check, or "" */
  bool has_check;
} dr_container_state;

/* Reads the answer of an inspection. */
void dr__docker_state(const json_t *inspected, dr_container_state *out);

/* True when a container that has ended was killed for memory: the engine says so; or it was killed
 * while it had a limit, because engines on cgroup v1 do not hear of it from newer kernels (seen
 * with Engine 20.10 on Linux 6.18). */
bool dr__docker_out_of_memory(const dr_container_state *state);

/* A container as recipes see it, of GET /containers/ID/json. Without its environment, which often
 * holds secrets: {id, name, image, image_id, state, running, exit_code, oom_killed, pid, created,
 * started_at, finished_at, restarts, health, failure, labels, project, service, networks {name:
 * {address, aliases}}, address, ports {"80/tcp": [{host, port}]}, mounts [{type, name, source,
 * destination, writable}], restart_policy, network_mode, command [], tty}. */
json_t *dr__docker_container(const json_t *inspected);

/* A container of the list GET /containers/json: {id, name, image, image_id, state, running, health,
 * created, labels, project, service, number, networks, address, ports}. */
json_t *dr__docker_listed(const json_t *item);

/* An image, of GET /images/NAME/json: {id, tags [], digests [], created, size, labels, command [],
 * has_check}. */
json_t *dr__docker_image(const json_t *inspected);

/* What a container uses, of GET /containers/ID/stats?stream=0: {measured (false: the engine
 * cannot tell, as on some kernels), cpu_percent (of one processor),
 * memory, memory_limit, memory_percent, pids, received, sent, read, written}; in bytes. In
 * docker_stats.c. */
json_t *dr__docker_stats(const json_t *stats);

#endif
