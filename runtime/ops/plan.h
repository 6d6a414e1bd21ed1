/* ops/plan.h - the plan: what a dry run recorded, in order, and what it had to assume. */
#ifndef DR_OPS_PLAN_H
#define DR_OPS_PLAN_H

#include "core/runtime.h"

/* What a dry run does with an op. */
typedef enum dr_verdict {
  DR_PLAN_ASK,    /* a query whose answer still holds: really ask */
  DR_PLAN_RECORD, /* an action or a check: only recorded */
  DR_PLAN_UNKNOWN /* a query about something a planned action touches: recorded as unknown */
} dr_verdict;

dr_verdict dr__plan_judge(const dr_op *op);

/* Adds the op to the plan; preview is masked text. Returns its number, from 1; 0 when memory is
 * short. */
int dr__plan_add(dr_op *op, const char *preview, dr_verdict verdict);

/* The query that was asked could not be answered yet: its entry says so. */
void dr__plan_unknown(const dr_op *op);

/* Adds a step's beginning. False when memory is short. */
bool dr__plan_step(dr_walk *run, const char *step, int depth);

/* Marks the step as one that can be undone. */
void dr__plan_undo(dr_walk *run, const char *step);

/* Adds a log message {level, message} (borrowed) at its place. */
void dr__plan_log(dr_walk *run, json_t *message);

/* Pushes the stub that stands for the op's result: reading a field of it marks the op as assumed
 * and makes later ops of the lane depend on it. [-0, +1, memory] */
void dr__plan_push_stub(lua_State *L, dr_op *op, int number);

/* True when the value is a stub. */
bool dr__plan_is_stub(lua_State *L, int index);

/* Pushes what a stub stands for, as data to be read; false, and nothing pushed, when the value is
 * no stub. The table is the stub's own: not to be handed to a recipe. [-0, +1 or 0, -] */
bool dr__plan_push_values(lua_State *L, int index);

/* Tells the finished plan as events. False when memory was short and something is missing. */
bool dr__plan_tell(dr_walk *run);

#endif
