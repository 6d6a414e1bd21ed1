/* ui/ask.c - questions on /dev/tty (ask.h). Called by the library through dr_options.asker, main
 * thread. */
#include "ask.h"

#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { LOOK_MS = 100 };

/* Writes all of it; a terminal that is gone is noticed when the answer is read. */
static void say(int tty, const char *text, size_t length) {
  while (length > 0) {
    ssize_t wrote = write(tty, text, length);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return;
    text += wrote;
    length -= (size_t)wrote;
  }
}

static void say_question(int tty, const char *question) {
  ui_buf text = UI_BUF_INIT;
  ui_add_clean(&text, question);
  while (text.length > 0 && text.text[text.length - 1] == ' ') text.length--;
  ui_buf_add(&text, " ");
  say(tty, ui_buf_text(&text), text.length);
  ui_buf_free(&text);
}

/* Waits until there is something to read; false when an interrupt came first. A signal may arrive
 * just before the wait begins, or on another thread: neither ends it, so it is looked for. */
static bool wait_input(int tty, const volatile sig_atomic_t *interrupts, sig_atomic_t before) {
  struct pollfd set = {.fd = tty, .events = POLLIN};
  int ready = 0;
  while (ready <= 0 && *interrupts == before) {
    ready = poll(&set, 1, LOOK_MS);
    if (ready < 0 && errno != EINTR) return true; /* read() will say what it is */
  }
  return *interrupts == before;
}

/* Reads up to the line end. False: end of input, or more interrupts than `before`. */
static bool read_line(int tty, ui_buf *answer, const volatile sig_atomic_t *interrupts,
                      sig_atomic_t before) {
  for (;;) {
    char byte;
    if (!wait_input(tty, interrupts, before)) return false;
    ssize_t got = read(tty, &byte, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    if (byte == '\n') return true;
    ui_buf_add_bytes(answer, &byte, 1);
  }
}

/* Leaves no secret behind in freed memory. */
static void forget(ui_buf *answer) {
  if (answer->text != NULL) explicit_bzero(answer->text, answer->capacity);
  ui_buf_free(answer);
}

/* Switches echo off; returns whether `before` must be restored. */
static bool hide_typing(int tty, struct termios *before) {
  if (tcgetattr(tty, before) != 0) return false;
  struct termios hidden = *before;
  hidden.c_lflag &= ~(tcflag_t)ECHO;
  hidden.c_lflag |= ICANON | ISIG;
  return tcsetattr(tty, TCSAFLUSH, &hidden) == 0;
}

char *ui_ask(const char *question, bool secret, void *data) {
  static const volatile sig_atomic_t none = 0;
  const ui_ask_options *options = data;
  const volatile sig_atomic_t *interrupts = options->interrupts ? options->interrupts : &none;
  sig_atomic_t count = *interrupts;
  int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (tty < 0) return NULL;
  if (options->pause != NULL) options->pause(options->view);
  struct termios before;
  ui_buf answer = UI_BUF_INIT;
  bool hidden = secret && hide_typing(tty, &before);
  bool refused = secret && !hidden;
  if (!refused) say_question(tty, question);
  bool answered = !refused && read_line(tty, &answer, interrupts, count);
  if (hidden) {
    (void)tcsetattr(tty, TCSAFLUSH, &before);
    say(tty, "\n", 1);
  }
  (void)close(tty);
  char *copy = answered && !answer.failed ? strdup(ui_buf_text(&answer)) : NULL;
  forget(&answer);
  return copy;
}
