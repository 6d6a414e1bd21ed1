/* docker_steps.h - docker ops that are several calls to the Engine, one after another. Without Lua;
 * runtime's thread.
 *
 * An op makes its steps in start() and lives in the callbacks of its calls: each begins the next,
 * or ends the op.
 *
 * Cancelling cuts off a call that reads or waits. A call that changes something comes to its end
 * first, because the Engine goes on with it when the connection is cut: a container whose making
 * was cut off appears after it was looked for. That takes at most DR_DOCKER_SETTLE seconds, and a
 * second cancel ends it at once. Then the op ends, unless it set on_cancel.
 */
#ifndef DR_DOCKER_STEPS_H
#define DR_DOCKER_STEPS_H

#include "docker.h"

typedef struct dr_docker_steps dr_docker_steps;

/* The end of one call: one of answer and err is NULL; err may be moved from. */
typedef void (*dr_docker_next)(dr_docker_steps *steps, const dr_engine_answer *answer, dr_err *err);

enum { DR_DOCKER_SETTLE = 40 };

struct dr_docker_steps {
  dr_op *op;
  dr_engine *engine;
  void *data;                    /* the op's own */
  void (*free_data)(void *data); /* or NULL */
  /* Asked to end early, with no call under way any more; must end the op soon. Gets how the call
   * ended that had to come to its end; answer and err are both NULL when there was none, or it did
   * not end in time. Asked once. NULL: the op ends with that call, or before the next. */
  dr_docker_next on_cancel;
  /* --- its own */
  dr_engine_call *under_way;
  dr_docker_next next;
  dr_docker_next then; /* what is to come after the call that has to come to its end */
  bool changes;        /* the call under way changes something */
  uv_timer_t *timer;   /* or NULL */
  void (*on_time)(dr_docker_steps *steps);
  bool cancelled;
};

/* One call. What is malloc'd or referenced is taken over, also on failure. */
typedef struct dr_docker_step {
  const char *method; /* NULL: GET */
  char *path;         /* malloc'd; NULL is out of memory */
  json_t *body;       /* or NULL */
  json_t *headers;    /* or NULL */
  double timeout_s;   /* 0: 30 */
  bool changes;       /* it changes something: is not cut off by a cancel */
  /* Gets the body as it comes; `data` is the steps. Non-zero: that was enough. Or NULL. */
  int (*on_body)(void *data, const char *bytes, size_t length);
  dr_docker_next next;
} dr_docker_step;

/* Makes the steps of an op. `data` (malloc'd or NULL, taken over also on failure) is given to
 * free_data in the end. NULL with err filled when it fails. */
dr_docker_steps *dr__docker_steps_new(dr_op *op, void *data, void (*free_data)(void *data),
                                      dr_err *err);

/* Begins a call, from start(). Returns 0, or an error. */
int dr__docker_steps_begin(dr_docker_steps *steps, const dr_docker_step *step, dr_err *err);

/* Begins a call, from a callback: where it cannot begin, the op fails. */
void dr__docker_steps_go(dr_docker_steps *steps, const dr_docker_step *step);

/* Calls on_time once after so many seconds; a new time replaces the one before, 0 takes it away.
 * Returns 0 or out of memory. The call under way goes on: see dr__docker_steps_halt(). */
int dr__docker_steps_after(dr_docker_steps *steps, double seconds,
                           void (*on_time)(dr_docker_steps *steps));

/* Ends the call under way; its `next` is not called. */
void dr__docker_steps_halt(dr_docker_steps *steps);

/* The same, but a call that changes something comes to its end first; then calls `then`, with what
 * on_cancel gets. */
void dr__docker_steps_stop(dr_docker_steps *steps, dr_docker_next then);

/* The ends of the op. `result` is taken over; NULL is out of memory. err is moved from. */
void dr__docker_steps_done(dr_docker_steps *steps, json_t *result);
void dr__docker_steps_fail(dr_docker_steps *steps, dr_err *err);

#endif
