/* compose_check.h - arguments that compose could never take, found in the walk. No I/O; the
 * runtime's thread. */
#ifndef DR_COMPOSE_CHECK_H
#define DR_COMPOSE_CHECK_H

#include "ops/op.h"

/* dr_opspec.check of all compose ops with services: their names, counts, the signal, the number of
 * lines (recipe.argument), and that no build argument is a secret (secret.in_command). */
int dr__compose_check(const dr_op *op, dr_err *err);

#endif
