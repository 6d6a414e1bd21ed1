/* ui/ask.h - asks the person at the terminal. */
#ifndef UI_ASK_H
#define UI_ASK_H

#include <signal.h>
#include <stdbool.h>

/* Tells how a question is asked; borrowed by ui_ask(). */
typedef struct ui_ask_options {
  void (*pause)(void *view); /* takes live lines off the terminal first; or NULL */
  void *view;
  const volatile sig_atomic_t *interrupts; /* a change while waiting means: give up; or NULL */
} ui_ask_options;

/* A dr_asker; `data` is a ui_ask_options. Asks on /dev/tty, whatever stdin and stdout are; a secret
 * is not echoed. Returns a malloc'd answer without its line end, or NULL: no terminal, end of
 * input, or interrupted. */
char *ui_ask(const char *question, bool secret, void *data);

#endif
