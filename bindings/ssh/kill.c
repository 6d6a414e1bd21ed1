/* ssh/kill.c - ends a remote command where the server does not pass signals on.
 *
 * The protocol has a request for signals, and sshd follows it for ordinary users (since 7.9). For
 * root it does not: it runs root's sessions without privilege separation and refuses to signal
 * there, and a command that nobody ends would go on after its recipe was cancelled. So root's
 * commands carry a mark in their environment, and cancelling one runs a second command on the same
 * connection that ends every process with the mark: TERM, then KILL after two seconds. (The
 * command's words do not find it: a script that ends in `exec` changes them.) Where there is no
 * /proc it finds nothing.
 *
 * Called by transport.c on the loop's thread.
 */
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char script[] =
    "found() {\n"
    "  for at in $(grep -l \"DEPLOYRUN_COMMAND=$mark\" /proc/[0-9]*/environ 2>/dev/null); do\n"
    "    at=${at#/proc/}\n"
    "    echo ${at%/*}\n"
    "  done\n"
    "}\n"
    "all=$(found)\n"
    "[ \"$all\" ] && kill -s TERM $all 2>/dev/null\n"
    "for turn in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do\n"
    "  [ \"$(found)\" ] || exit 0\n"
    "  sleep 0.1\n"
    "done\n"
    "kill -s KILL $(found) 2>/dev/null\n";

bool dr__ssh_needs_kill(const dr_ssh_config *config) {
  return strcmp(config->user, "root") == 0;
}

void dr__ssh_mark(dr_ssh_channel *channel) {
  uint64_t mark = 0;
  if (uv_random(NULL, NULL, &mark, sizeof mark, 0, NULL) != 0) mark = uv_hrtime();
  channel->mark = mark;
}

char *dr__ssh_kill_line(const dr_ssh_channel *channel) {
  size_t size = sizeof script + 32;
  char *line = malloc(size);
  if (line != NULL) snprintf(line, size, "mark=%016" PRIx64 "\n%s", channel->mark, script);
  return line;
}
