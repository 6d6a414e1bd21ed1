/* postgres/hazard_block.h - what is asked about blocks of PL/pgSQL besides their hazards. Pure.
 * Used by hazard_lint.c. */
#ifndef DR_POSTGRES_HAZARD_BLOCK_H
#define DR_POSTGRES_HAZARD_BLOCK_H

#include <jansson.h>
#include <stdbool.h>

/* True when a DO (by the fields of its node) can run twice: it asks the catalog first, or catches
 * the error that something is there already. Sets *failed when memory was short. */
bool dr__block_is_guarded(const json_t *fields, bool *failed);

#endif
