/* fake_binding.h - the only bindings of a program that links fake_binding.c: time, and `fake` with
 * one op of each kind. The tests look at what was started.
 *
 *   fake.query{…} fake.action{…} fake.check{…}   all take: name (string), command, any, result,
 * fails fake.odd()                                   an action whose preview and result are not
 * UTF-8 */
#ifndef FAKE_BINDING_H
#define FAKE_BINDING_H

#include "ops/binding.h"

/* The names of the ops started, each with a space behind it. */
extern char fake_started[512];

/* Called at the start of each op, if set. */
extern void (*fake_on_start)(dr_op *op);

#endif
