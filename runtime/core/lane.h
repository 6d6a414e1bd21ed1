/* core/lane.h - lanes: the parallel strands of a run. Each is one coroutine with at most one
 * pending op. */
#ifndef DR_CORE_LANE_H
#define DR_CORE_LANE_H

#include "core/runtime.h"

typedef enum dr_cancel {
  DR_CANCEL_NONE,
  DR_CANCEL_ASKED, /* to be thrown at the next op */
  DR_CANCEL_THROWN /* thrown; cleanup and undo may use ops again */
} dr_cancel_state;

struct dr_lane {
  dr_walk *run;
  dr_lane *next; /* in run->lanes */
  dr_lane *next_ready;
  dr_lane *parent;
  lua_State *co;
  int anchor;  /* registry reference that keeps the coroutine */
  int nargs;   /* arguments on its stack for the next resume */
  char id[96]; /* "main", "main/web1": stable across runs */
  dr_op *pending;
  dr_lane *joined_by; /* the lane waiting for this one */
  int blocked;        /* > 0: below a C function that cannot wait */
  bool queued;
  bool finished;
  bool ok;
  dr_cancel_state cancel;
  dr_err reason;   /* why it was cancelled */
  json_t *assumed; /* plan numbers of stubs this lane has read */
  int depth;       /* nesting of steps */
  int64_t acted;   /* actions begun here and in the lanes below, but in steps that have an undo */
  char step[128];  /* innermost step, for the plan and errors */
  char where[256]; /* recipe file:line that started it; for what it runs that is no recipe's own */
};

/* Starts a lane that calls the function and `nargs` arguments on top of L's stack. NULL: out of
 * memory (thrown).
 * [-(nargs+1), +0, memory] */
dr_lane *dr__lane_new(dr_walk *run, lua_State *L, int nargs, const char *id);

/* Puts a lane that waits on the ready queue; from any loop callback. A running lane needs no
 * waking. */
void dr__lane_ready(dr_lane *lane);

/* Resumes ready lanes until none is left. The only caller of lua_resume. */
void dr__lanes_turn(dr_walk *run);

/* Asks a lane to stop for a reason (copied): its pending op is cancelled and an error thrown in it,
 * once. */
void dr__lane_cancel(dr_lane *lane, const dr_err *reason);

/* Ends waits of all lanes again, past the first cancellation. */
void dr__lanes_abort(dr_walk *run);

/* Frees a finished lane. */
void dr__lane_free(dr_lane *lane);

/* True when the running lane can be suspended here. */
bool dr__lane_can_wait(lua_State *L);

/* Fills err with why the lane (NULL: the file that is loaded) is to stop. It is thrown by the
 * caller, once. */
void dr__lane_reason(dr_lane *lane, dr_err *err);

/* Throws the lane's cancellation if one is due; else returns. [-0, +0, throws] */
void dr__lane_check(lua_State *L, dr_lane *lane);

/* What a waiting lane yields; user coroutines pass it on. */
void dr__lane_push_sentinel(lua_State *L);

/* The functions of the prelude's `core` table that concern lanes. */
extern const luaL_Reg dr__lane_functions[];

#endif
