/* backup_program.h - pg_dump, pg_restore and pg_dumpall: one of them run on a view, with a password
 * that nobody sees, its output or input carried by descriptors. Without Lua; runtime's thread.
 *
 * On this machine the password is in a file that has no name (a memfd), which the program opens as
 * PGPASSFILE=/proc/PID/fd/N: never on a disk, in no list of processes and in no environment. On
 * another machine it goes by standard input into the environment of the program alone, as all
 * secrets do (docs/decisions/0007).
 */
#ifndef DR_POSTGRES_BACKUP_PROGRAM_H
#define DR_POSTGRES_BACKUP_PROGRAM_H

#include "target/target.h"

typedef struct dr_backup_program dr_backup_program;

/* How it ended: err.code[0] when not with status 0 (may be moved from; the last lines it wrote are
 * the detail). `output` is what it wrote to standard output, "" with output_fd. Borrowed. */
typedef void (*dr_backup_program_end)(void *owner, const char *output, dr_err *err);

typedef struct dr_backup_command {
  dr_target *view;      /* borrowed: a reference is taken */
  json_t *argv;         /* taken over, also on failure; NULL: out of memory */
  const char *password; /* or NULL */
  int input_fd;         /* taken over; -1: none */
  int output_fd;        /* taken over; -1: kept in memory */
  dr_backup_program_end on_end;
  void *owner;
} dr_backup_command;

/* Begins. on_end is called once, later, unless this fails: NULL with err filled. */
dr_backup_program *dr__backup_program_start(dr_op *op, const dr_backup_command *command,
                                            dr_err *err);

/* Ends it early; on_end follows soon, with the error of a signal. */
void dr__backup_program_stop(dr_backup_program *program);

#endif
