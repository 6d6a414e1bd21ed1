/* swarm_state.h - whether a swarm service is what its description asks for. Pure, any thread,
 * fuzzed. */
#ifndef DR_SWARM_STATE_H
#define DR_SWARM_STATE_H

#include <jansson.h>
#include <stdbool.h>

typedef enum dr_swarm_verdict {
  DR_SWARM_MOVING,      /* wait */
  DR_SWARM_WELL,        /* all its tasks run, and they are new */
  DR_SWARM_ROLLED_BACK, /* an update failed and what ran before runs again */
  DR_SWARM_STUCK        /* an update, or its rollback, failed and was paused */
} dr_swarm_verdict;

typedef struct dr_swarm_state {
  dr_swarm_verdict verdict;
  char name[128];
  char update[32];   /* "updating", "completed", "rollback_completed" …, or "" */
  char message[256]; /* the swarm's words about the update, or "" */
  int wanted;        /* tasks */
  int running;       /* tasks of the present description that run */
  int leaving;       /* tasks that were told to end and have not yet */
  bool shaky;        /* a task of the present description has failed */
  /* the newest task that failed */
  char failure[256]; /* "task: non-zero exit (1)", or "" */
  char task[64];     /* its id, or "" */
} dr_swarm_state;

/* `service` is one of GET /services?status=1, `tasks` the list of GET /tasks: those of other
 * services are passed over. */
void dr__swarm_judge(const json_t *service, const json_t *tasks, dr_swarm_state *out);

/* A service as recipes see it: {id, name, image, replicas, wanted, running, update, stack, labels}.
 * New reference, NULL when memory is short. */
json_t *dr__swarm_service(const json_t *service);

/* The image without the digest that the swarm added: "api:v2@sha256:…" is "api:v2". */
void dr__swarm_plain_image(const char *image, char *out, size_t size);

/* The description of a service with the changes made: fields of swarm.update {image, replicas,
 * order, rollback, monitor, parallelism, delay, max_failure_ratio, force, env}. New reference, NULL
 * when memory is short. */
json_t *dr__swarm_changed_spec(const json_t *service, const json_t *changes);

#endif
