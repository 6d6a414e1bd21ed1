/* http_watch.h - the op http.watch (http_watch_op.c) for the table of the http ops (http.c). */
#ifndef DR_HTTP_WATCH_H
#define DR_HTTP_WATCH_H

#include "ops/op.h"

extern const dr_arg dr__http_watch_args[];
int dr__http_watch_check(const dr_op *op, dr_err *err);
int dr__http_watch_start(dr_op *op, dr_err *err);
char *dr__http_watch_preview(const dr_op *op);
json_t *dr__http_watch_assume(const dr_op *op);

#endif
