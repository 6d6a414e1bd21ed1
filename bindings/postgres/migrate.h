/* migrate.h - the op that runs migrations. Without Lua; runtime's thread. */
#ifndef DR_MIGRATE_H
#define DR_MIGRATE_H

#include "ops/op.h"

/* Of postgres.migrate and postgres.migrate_down: see migrate_run.c. */
int dr__migrate_start(dr_op *op, dr_err *err);

#endif
