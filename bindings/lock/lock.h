/* lock.h - the parts of a lock that are not I/O: its command, and the line that says who holds it.
 * Pure C, any thread. */
#ifndef DR_LOCK_H
#define DR_LOCK_H

#include <jansson.h>
#include <stdbool.h>

/* Who holds a lock, as the holder wrote it. */
typedef struct dr_lock_holder {
  char who[128];    /* "anna@laptop" */
  char process[24]; /* "4121" */
  char recipe[128]; /* "rolling" */
  char since[40];   /* "2026-01-31T14:02:11Z" */
} dr_lock_holder;

/* How the command ends when it does not get the lock. */
enum { DR_LOCK_NO_FLOCK = 73, DR_LOCK_NO_FILE = 74, DR_LOCK_REFUSED = 75 };

/* Letters, digits, '-', '_' and '.', at most 64, not beginning with '.'. */
bool dr__lock_name_ok(const char *name);

/* The command that takes the lock, says "held", and keeps it until its standard input ends. New
 * reference. */
json_t *dr__lock_command(const char *name, const dr_lock_holder *holder);

/* Fills *out from what the command wrote when it was refused; false when that says nothing of use.
 */
bool dr__lock_parse(const char *text, dr_lock_holder *out);

#endif
