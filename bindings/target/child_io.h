/* child_io.h - the three descriptors of a child process: pipes, or a terminal; and what is left of
 * its group. Pure C, any thread.
 *
 * Real pipes and not the socket pairs that libuv would make: a socket cannot be opened by name, so
 * that `cat /dev/stdin` or `echo >/dev/stderr` in a recipe's command would fail. */
#ifndef DR_CHILD_IO_H
#define DR_CHILD_IO_H

#include <deployrun.h>

#include <stddef.h>

/* Descriptors that are not open are -1. Ours do not block and are not inherited. */
typedef struct dr_child_io {
  int child[3];      /* what the child gets as 0, 1 and 2; a terminal is the same in all three */
  int input;         /* ours: writes to its standard input; -1 when there is none */
  int output;        /* ours: reads its standard output */
  int error;         /* ours: reads its standard error; -1 with a terminal */
  char terminal[64]; /* the terminal's name, or "" */
} dr_child_io;

/* Makes pipes; standard input is /dev/null unless with_input. Returns 0, or an errno with nothing
 * open. */
int dr__child_pipes(dr_child_io *io, bool with_input);

/* Makes a terminal without echo, 80 columns wide. Returns 0, or an errno with nothing open. */
int dr__child_terminal(dr_child_io *io);

/* Closes what the child was given. */
void dr__child_close_theirs(dr_child_io *io);

/* Closes everything that is still open. */
void dr__child_close(dr_child_io *io);

/* write(2) that answers EPIPE instead of raising SIGPIPE in a program that embeds the library.
 * Returns the bytes written, or a negative errno. */
long dr__child_write(int fd, const char *bytes, size_t length);

/* True while a process of the group is left that is more than an entry nobody has asked for yet: an
 * orphan that has ended stays one for as long as init likes, in a container without one for ever.
 */
bool dr__child_group_alive(int group);

#endif
