/* core/err.h - filling, copying and printing dr_err. Pure C, any thread. */
#ifndef DR_CORE_ERR_H
#define DR_CORE_ERR_H

#include <deployrun.h>

#include <jansson.h>
#include <stdarg.h>

/* Fills err with a code and a formatted message, clearing what it held; err may be NULL. Always
 * returns DR_FAILED or the status that belongs to the code, so that a caller can `return
 * dr__fail(err, "code", "…", …);`. */
int dr__fail(dr_err *err, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

int dr__fail_v(dr_err *err, const char *code, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

/* Sets the hint, the target or the detail of an error that was filled. NULL err is allowed. */
void dr__err_hint(dr_err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
void dr__err_target(dr_err *err, const char *target);
void dr__err_detail(dr_err *err, const char *text, size_t length);

/* Fills err as out-of-memory; returns DR_FAILED. */
int dr__err_nomem(dr_err *err);

/* Moves *from into *to (clearing *to first) and makes *from "no error". */
void dr__err_move(dr_err *to, dr_err *from);

/* Copies deeply. A cause or detail that cannot be allocated is left out. */
void dr__err_copy(dr_err *to, const dr_err *from);

/* Makes *cause (moved) the cause of err. */
void dr__err_because(dr_err *err, dr_err *cause);

/* The error as a JSON object {code, message, hint, target, op, where, detail, cause}, empty fields
 * left out; NULL when memory is short. And back. */
json_t *dr__err_to_json(const dr_err *err);
void dr__err_from_json(dr_err *err, const json_t *json);

/* Copies text into a fixed buffer, cut at a UTF-8 character boundary. */
void dr__copy_text(char *buffer, size_t size, const char *text);

#endif
