/* sudo.h - sudo: what its refusals mean, and how it gets a password.
 *
 * sudo.c is pure (words in, words out; any thread): used by exec_op.c and lock.c for each command.
 * sudo_op.c is the op target.sudo, which finds out before anything is changed whether sudo works,
 * and asks for the password; on the runtime's thread. The password of a machine is kept in its
 * dr_transport.
 */
#ifndef DR_SUDO_H
#define DR_SUDO_H

#include "target.h"

/* What sudo said instead of running a command. */
typedef enum dr_sudo_verdict {
  DR_SUDO_SILENT,     /* these are not sudo's words */
  DR_SUDO_PASSWORD,   /* it wants a password and may not ask */
  DR_SUDO_WRONG,      /* it did not accept the password */
  DR_SUDO_REFUSED,    /* the user may not do this, or not use sudo at all */
  DR_SUDO_TERMINAL,   /* requiretty */
  DR_SUDO_NO_USER,    /* the user to become does not exist */
  DR_SUDO_NO_PROGRAM, /* there is no such program */
  DR_SUDO_MISSING,    /* there is no sudo: not sudo's words but a shell's */
  DR_SUDO_OTHER       /* something else is wrong with sudo there */
} dr_sudo_verdict;

/* Reads what was written to standard error. With `alone`, all of it must be sudo's: a script whose
 * own sudo was refused half-way has begun, and is not to be taken for a command that has not. Only
 * the words of the C locale are known. */
dr_sudo_verdict dr__sudo_verdict(const char *text, bool alone);

/* The same for a command that exited with `status`: where it is 127, a shell may say that there is
 * no sudo. */
dr_sudo_verdict dr__sudo_verdict_of(int status, const char *text, bool alone);

/* Fills err for a verdict other than DR_SUDO_SILENT. `what` is what was to be run. */
void dr__sudo_explain(dr_sudo_verdict verdict, const dr_target *target, const char *what,
                      dr_err *err);

/* The view of the machine itself that a view lies in; and whether commands begin with sudo there.
 */
const dr_target *dr__sudo_machine(const dr_target *target);

/* Lets a composed command that begins with `sudo -n` take this password, which becomes the first
 * line of its input. Words and input change only when this succeeds. */
int dr__sudo_arm(dr_command *command, const char *password, dr_err *err);

/* Arms the command when its machine's sudo needs a password that is known. One with a terminal is
 * left as it is: a password would be seen on it. */
int dr__sudo_prepare(dr_command *command, const dr_target *target, bool pty, dr_err *err);

/* Keeps a password for the machine's commands, or (NULL) forgets it and what was found out with it.
 * False when memory is short. */
bool dr__sudo_keep(dr_transport *transport, const char *password);

/* Overwrites and frees a string. NULL is allowed. */
void dr__sudo_wipe(char *secret);

/* The op target.sudo. */
char *dr__sudo_preview(const dr_op *op);
int dr__sudo_start(dr_op *op, dr_err *err);

#endif
