/* docker_check.h - arguments that the Docker Engine could never take: found in the walk, while
 * nothing has been changed. For dr_opspec.check; pure, any thread. */
#ifndef DR_DOCKER_CHECK_H
#define DR_DOCKER_CHECK_H

#include "ops/op.h"

/* Refuses (recipe.argument) what is no name of a container, network, volume or stack; `what` is for
 * the message: "name of a container". */
int dr__docker_check_name(const char *name, const char *what, dr_err *err);

/* Refuses what is no signal: "HUP", "SIGHUP", "1", "RTMIN+3". */
int dr__docker_check_signal(const char *signal, dr_err *err);

/* ---- whole ops */

int dr__docker_check_container(const dr_op *op, dr_err *err); /* `container`, `network` */
int dr__docker_check_run(const dr_op *op, dr_err *err);       /* a container that is to be made */
int dr__docker_check_rename(const dr_op *op, dr_err *err);    /* and `to` */
int dr__docker_check_kill(const dr_op *op, dr_err *err);      /* and `signal` */
int dr__docker_check_tag(const dr_op *op, dr_err *err);       /* `tag`: a repository and a tag */
int dr__docker_check_image(const dr_op *op, dr_err *err);     /* `image`; pushed ones by tag only */
int dr__docker_check_object(const dr_op *op, dr_err *err);    /* `name` and `subnet` */

#endif
