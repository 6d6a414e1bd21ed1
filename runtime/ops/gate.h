/* ops/gate.h - the gate: the one way from a recipe to the world. See gate.c for the order of its
 * questions. */
#ifndef DR_OPS_GATE_H
#define DR_OPS_GATE_H

#include "core/runtime.h"

/* The functions of the prelude's `core` table that concern ops, errors and events. */
extern const luaL_Reg dr__gate_functions[];

/* Begins the actions whose intents were written in this turn, once these are on the disk. False
 * when there were none. */
bool dr__gate_begin(dr_walk *run);

#endif
