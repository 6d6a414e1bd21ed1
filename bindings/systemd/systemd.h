/* systemd.h - what the files of the systemd binding share: systemd.c (queries, and what is done at
 * once) and systemd_act.c (start, stop, restart, reload: asked, then watched). */
#ifndef DR_SYSTEMD_H
#define DR_SYSTEMD_H

#include "target/target.h"

#include "systemd_show.h"

enum { DR_SYSTEMD_SECONDS = 60 }; /* bound of one call of systemctl or journalctl */

/* `systemctl WORDS`, of the user's own systemd with the op's user = true. Takes over `words`
 * (array); NULL when memory is short. */
json_t *dr__systemctl(const dr_op *op, json_t *words);

/* A shell script that may use "$@" (the words, taken over) and `systemctl $m`. */
json_t *dr__systemd_script(const dr_op *op, const char *script, json_t *words);

/* The op's unit with its kind, in a buffer of 256 bytes; fails with recipe.argument. */
int dr__systemd_unit(const dr_op *op, char *name, dr_err *err);

/* Fills err with what systemctl said to the op's command that ended with `status`. */
void dr__systemctl_failed(const dr_op *op, const char *unit, int status, dr_err *err);

/* The only unit of `systemctl show`; fails with systemd.not_found, systemd.output. */
int dr__systemd_read(const json_t *result, const char *name, dr_unit *unit, dr_err *err);

/* Names what sudo would have to allow. For dr_exec_spec.fail. */
void dr__systemd_name_failure(dr_op *op, dr_err *err);

/* systemd.start, stop, restart, reload. */
extern const dr_arg dr__systemd_act_args[];
char *dr__systemd_preview_act(const dr_op *op);
json_t *dr__systemd_assume_act(const dr_op *op);
int dr__systemd_start_act(dr_op *op, dr_err *err);

#endif
