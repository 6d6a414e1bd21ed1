/* fake_op.h - an op without a run, a lane or Lua: for tests of bindings that drive a loop by hand.
 *
 * fake_op.c defines what the core would: dr__op_done, dr__op_fail, dr__op_output, the arguments and
 * the runtime's secrets. A test that uses it must not use anything of the core but err.c. */
#ifndef FAKE_OP_H
#define FAKE_OP_H

#include "target/target.h"

#include "core/err.h"
#include "text.h"

typedef struct fake_op {
  dr_op op; /* first: a dr_op of these tests is always one of them */
  dr_text shown;
  int ended; /* how often it was ended; must become 1 */
} fake_op;

/* Makes an op on a plain view of this machine. Takes over args (or NULL). */
fake_op *fake_op_new(uv_loop_t *loop, dr_target *target, json_t *args);

/* Turns the loop until the op has ended, at most `seconds`. */
void fake_op_wait(fake_op *fake, double seconds);

/* Gives the op back as the gate would, and its target. */
void fake_op_free(fake_op *fake);

/* Makes the loop, and closes it: fails the test when a handle was left open. */
uv_loop_t *fake_loop_new(void);
void fake_loop_free(uv_loop_t *loop);

/* Milliseconds since some moment. */
double fake_now_ms(void);

#endif
