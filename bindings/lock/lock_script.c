/* lock_script.c - the shell script that is a lock on the target, and the line it keeps about its
 * holder. Called by lock.c; no I/O here.
 *
 * The lock is flock(2) on a file in /tmp, held by an open descriptor of the script: the kernel
 * gives it back when the script ends, whatever ends it, so that there is no stale lock to be
 * removed by hand. The script's life is its standard input, which is the deployer's connection.
 * /tmp, because it is the one folder in which every user of every Linux machine may lock against
 * every other.
 *
 * The file is opened for reading: in a sticky folder the kernel lets nobody, not even root, create
 * over or write to another user's file (fs.protected_regular), but anybody may open and lock it.
 * For the same reason each user keeps a file of their own that says who holds it; the newest one is
 * the holder's.
 *
 * The beat writes an empty line now and then: on a dead connection that makes the far side's sshd
 * notice, end the session, and with it the lock. Nothing but the script keeps descriptor 9 or its
 * output open.
 */
#include "lock.h"

#include <stdio.h>
#include <string.h>

static const char script[] =
    "f=$1\n"
    "command -v flock >/dev/null 2>&1 || exit 73\n"
    "i=0\n"
    "while :; do\n"
    "  [ -e \"$f\" ] || (umask 0; : >\"$f\") 2>/dev/null\n"
    "  [ -r \"$f\" ] || exit 74\n"
    "  exec 9<\"$f\" || exit 74\n"
    "  flock -n 9 || {\n"
    "    w=$(ls -t \"$f\".*.who 2>/dev/null | head -n 1)\n"
    "    [ -z \"$w\" ] || cat \"$w\"\n"
    "    exit 75\n"
    "  }\n"
    /* somebody who cleans /tmp may have removed the file between opening and locking it */
    "  [ \"$f\" -ef /proc/self/fd/9 ] && break\n"
    "  i=$((i + 1)); [ $i -lt 9 ] || exit 74\n"
    "done\n"
    "touch -c \"$f\"\n"
    "w=$f.$(id -u).who\n"
    "(umask 022; printf '%s\\n' \"$2\" >\"$w\") 2>/dev/null\n"
    "(exec 9<&-; while sleep 20 >/dev/null 2>&1; do echo || exit; done) &\n"
    "b=$!\n"
    "trap 'kill $b; rm -f \"$w\"; exit 0' TERM HUP INT\n"
    "echo held\n"
    "cat >/dev/null\n"
    "kill $b\n"
    "rm -f \"$w\"\n";

bool dr__lock_name_ok(const char *name) {
  size_t length = strlen(name);
  return length > 0 && length <= 64 && name[0] != '.' &&
         strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") ==
             length;
}

json_t *dr__lock_command(const char *name, const dr_lock_holder *holder) {
  json_t *file = json_sprintf("/tmp/deployrun-%s.lock", name);
  json_t *line =
      json_sprintf("%s\t%s\t%s\t%s", holder->who, holder->process, holder->recipe, holder->since);
  return json_pack("[s, s, s, s, o, o]", "/bin/sh", "-c", script, "deployrun-lock", file, line);
}

/* Copies the field up to a tab or the line's end; returns what follows the tab, or NULL at the end.
 * A control byte would reach a person's terminal, so it becomes '?'. */
static const char *take_field(const char *at, char *out, size_t size) {
  size_t length = strcspn(at, "\t\n");
  size_t kept = length < size - 1 ? length : size - 1;
  for (size_t i = 0; i < kept; i++) {
    unsigned char byte = (unsigned char)at[i];
    out[i] = byte < 0x20 || byte >= 0x7F ? '?' : at[i];
  }
  out[kept] = '\0';
  return at[length] == '\t' ? at + length + 1 : NULL;
}

bool dr__lock_parse(const char *text, dr_lock_holder *out) {
  *out = (dr_lock_holder){0};
  const char *at = take_field(text, out->who, sizeof out->who);
  if (at) at = take_field(at, out->process, sizeof out->process);
  if (at) at = take_field(at, out->recipe, sizeof out->recipe);
  if (at) take_field(at, out->since, sizeof out->since);
  return out->who[0] && out->since[0];
}
