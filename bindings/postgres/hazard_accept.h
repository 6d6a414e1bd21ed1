/* postgres/hazard_accept.h - annotations in comments that accept hazards:
 *
 *   -- deployrun: accept drop-column: nothing reads it since 2.3
 *   -- deployrun: accept drop-column, change-type: the whole reason
 *
 * Pure, any thread. Used by hazards.c. */
#ifndef DR_POSTGRES_HAZARD_ACCEPT_H
#define DR_POSTGRES_HAZARD_ACCEPT_H

#include "postgres/statements.h"

/* Reads the annotations of one statement. Appends {hazard, reason, line} to `accepted` for each
 * that applies to one of its hazards, sets "accepted" in those, and appends {line, message} to
 * `problems` for each that says something else. False: memory was short. */
bool dr__accept(const dr_sql_script *script, size_t index, json_t *hazards, json_t *accepted,
                json_t *problems);

/* The same for comments behind the last statement, which belong to none. */
bool dr__accept_leftover(const dr_sql_script *script, json_t *problems);

#endif
