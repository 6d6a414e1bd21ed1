/* process_list.h - the processes of a machine as a script there reads them from /proc, and which of
 * them are meant. Pure C, any thread. */
#ifndef DR_PROCESS_LIST_H
#define DR_PROCESS_LIST_H

#include <deployrun.h>

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The script. It needs nothing but a POSIX shell and cat: no ps, which minimal images lack, and no
 * other program, so that two hundred processes take a fifth of a second. Its first line of input is
 * the mark; its output is what dr__process_list() reads. With words: only these pids;
 * with the word "+PID": only that process and its children, which costs no program for the rest. */
extern const char dr__process_script[];

/* Which processes are wanted; NULL and negative: any. */
typedef struct dr_process_filter {
  const char *command; /* is contained in the command line */
  const char *name;    /* is the program's name, as the kernel has it (15 bytes) */
  const char *owner;   /* a user's name or number */
  const char *folder;  /* is the working folder, without '/' at the end */
  const char *unit;    /* is the systemd service it belongs to */
  int64_t pid;
  int64_t parent;
} dr_process_filter;

/* Reads the script's output into a new array of {pid, parent, name, owner, uid, started, age,
 * state, command, words, folder, unit}. Each record begins with `mark`, which no process can know:
 * a command line may hold whatever its owner likes. Records that make no sense are passed over,
 * they belong to processes that ended meanwhile. Fails with process.output when the beginning is
 * missing.
 */
json_t *dr__process_list(const char *bytes, size_t length, const char *mark,
                         const dr_process_filter *filter, dr_err *err);

/* A signal by its name, with or without SIG; 0 when there is none. */
int dr__signal_number(const char *name);

/* True when the signal is a message that a program must have a handler for: without one it ends or
 * stops the program. */
bool dr__signal_is_message(int number);

/* A shell pattern that the mask SigCgt of /proc/PID/status matches when the signal is in it. */
void dr__signal_pattern(int number, char *pattern, size_t size);

#endif
