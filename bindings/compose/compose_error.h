/* compose_error.h - what compose writes when it fails, by name. Pure, any thread. */
#ifndef DR_COMPOSE_ERROR_H
#define DR_COMPOSE_ERROR_H

#include <deployrun.h>

/* Gives an error of a compose command a better code, message and hint, by what the command wrote:
 * compose.invalid (with file and line where it tells them), compose.file, compose.no_such_service,
 * docker.unreachable; or leaves it. Understands versions 1 and 2. */
void dr__compose_explain(dr_err *err, const char *text);

#endif
