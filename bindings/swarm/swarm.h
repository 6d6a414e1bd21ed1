/* swarm.h - what the files of the swarm binding share. Runtime's thread only. */
#ifndef DR_SWARM_H
#define DR_SWARM_H

#include "docker/docker_steps.h"

/* Gives an Engine's refusal its code: swarm.not_manager, swarm.no_such_service. */
void dr__swarm_explain(dr_err *err);

/* GET of the services that the op's arguments `service` or `stack` name, else of all; malloc'd. */
char *dr__swarm_services_path(const dr_op *op);

/* ---- swarm_converge.c */

extern const dr_arg dr__swarm_converge_args[];
int dr__swarm_converge_check(const dr_op *op, dr_err *err);
int dr__swarm_converge_start(dr_op *op, dr_err *err);
char *dr__swarm_converge_preview(const dr_op *op);
json_t *dr__swarm_converge_assume(const dr_op *op);

#endif
