/* net.h - what the files of the net binding share. Runtime's thread only. */
#ifndef DR_NET_H
#define DR_NET_H

#include "ops/binding.h"

/* ---- net_port.c */

int dr__net_port_check(const dr_op *op, dr_err *err);
int dr__net_port_start(dr_op *op, dr_err *err);
char *dr__net_port_preview(const dr_op *op);
json_t *dr__net_port_assume(const dr_op *op);

#endif
