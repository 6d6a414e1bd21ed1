/* work.h - one piece of an op on a thread of libuv's, so that a large file does not hold up the
 * loop.
 */
#ifndef DR_WORK_H
#define DR_WORK_H

#include "ops/op.h"

#include <stdatomic.h>

typedef struct dr_work dr_work;
struct dr_work {
  uv_work_t request;
  dr_op *op; /* NULL once the op was released; not for the worker */
  /* On the worker, which touches nothing but its own dr_work: DR_OK with `result`, or DR_FAILED
   * with `err`. Looks at `stop` now and then. */
  int (*act)(dr_work *work);
  /* On the loop, when it went well: ends the op or begins what comes next. NULL: the result is the
   * op's. */
  void (*after)(dr_op *op, dr_work *work);
  void *data; /* of act */
  void (*free_data)(void *data);
  atomic_bool stop;
  json_t *result;
  dr_err err;
};

/* Begins the work as what the op does now; `data` is taken over, also on failure. To be returned
 * from a start function, or called in the middle of an op. */
int dr__work_start(dr_op *op, int (*act)(dr_work *work), void (*after)(dr_op *op, dr_work *work),
                   void *data, void (*free_data)(void *data), dr_err *err);

#endif
