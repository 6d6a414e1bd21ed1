/* ssh/shell.c - what the login shell of the far side is given, and what it says before our command
 * begins.
 *
 * sshd hands each command to the user's login shell, whichever that is, after the shell has read
 * its start files. Two things follow. What those files print comes before the command's own output:
 * so each command first writes a mark, and what comes before it is passed over. And the line is
 * read by that shell's rules: csh and fish agree with sh on words in single quotes, but not on
 * backslashes, '!' and line ends in them, nor on anything that is more than a program and its
 * words. Such a line is handed to /bin/sh in octal, at the price of one more process there.
 *
 * Called by channel.c and stream.c on the session's thread. Pure C.
 */
#include "internal.h"

#include "core/err.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK "\036deployrun\037"

static const char say_mark[] = "printf '\\036deployrun\\037'; ";
static const char decode[] = "exec /bin/sh -c 'eval \"shift;$(printf %b \"$1\")\"' sh '";

/* True when every shell reads the line in the same way: a program and its words. */
static bool is_common(const char *line) {
  return strncmp(line, "exec ", 5) == 0 && strpbrk(line, "\\!\n\r") == NULL;
}

/* A word with '=' before the first space would be taken for a variable by env(1). */
static bool is_variable(const char *words) {
  return memchr(words, '=', strcspn(words, " ")) != NULL;
}

/* The line for a shell of any kind; size is enough. */
static void write_common(char *out, size_t size, const char *line, uint64_t mark) {
  if (mark == 0) {
    snprintf(out, size, "%s", line);
  } else {
    snprintf(out, size, "exec env DEPLOYRUN_COMMAND=%016" PRIx64 " %s", mark, line + 5);
  }
}

/* Each byte that a shell might read in its own way becomes \0ooo, which printf turns back. */
static char *write_octal(char *out, const char *text) {
  for (; *text != '\0'; text++) {
    unsigned char byte = (unsigned char)*text;
    bool plain = byte >= ' ' && byte < 0x7F && strchr("'\\!", byte) == NULL;
    if (plain) {
      *out++ = *text;
    } else {
      out += snprintf(out, 6, "\\0%03o", byte);
    }
  }
  *out = '\0';
  return out;
}

static void write_coded(char *out, size_t size, const char *line, uint64_t mark) {
  char export[64] = "";
  if (mark != 0) snprintf(export, sizeof export, "export DEPLOYRUN_COMMAND=%016" PRIx64 "; ", mark);
  snprintf(out, size, "%s", decode);
  char *at = write_octal(out + strlen(out), export);
  at = write_octal(at, line);
  memcpy(at, "'", 2);
}

static char *shell_line(const char *command, uint64_t mark, bool framed) {
  size_t size = 5 * strlen(command) + sizeof decode + sizeof say_mark + 128;
  char *line = malloc(size);
  if (line == NULL) return NULL;
  size_t used = (size_t)snprintf(line, size, "%s", framed ? say_mark : "");
  if (is_common(command) && (mark == 0 || !is_variable(command + 5))) {
    write_common(line + used, size - used, command, mark);
  } else {
    write_coded(line + used, size - used, command, mark);
  }
  char *fitted = realloc(line, strlen(line) + 1);
  return fitted != NULL ? fitted : line;
}

/* A terminal shows everything as it comes, what was typed included: nothing is passed over there.
 */
bool dr__ssh_shell_prepare(dr_ssh_channel *c) {
  if (c->line != NULL) return true;
  c->framed = !c->pty;
  c->line = shell_line(c->command, c->mark, c->framed);
  return c->line != NULL;
}

/* The mark's first byte stands nowhere else in it: a byte that does not fit on either begins it
 * anew or is no part of it. */
size_t dr__ssh_shell_noise(dr_ssh_channel *c, const char *bytes, size_t length) {
  const size_t whole = sizeof MARK - 1;
  size_t at = 0, said = strlen(c->noise);
  if (!c->framed) return 0;
  for (; at < length && c->mark_seen < whole; at++) {
    bool fits = bytes[at] == MARK[c->mark_seen];
    c->mark_seen = fits ? c->mark_seen + 1 : bytes[at] == MARK[0];
    if (said + 1 < sizeof c->noise && bytes[at] != '\0') c->noise[said++] = bytes[at];
  }
  return at;
}

bool dr__ssh_shell_began(const dr_ssh_channel *c) {
  return !c->framed || c->mark_seen == sizeof MARK - 1;
}

void dr__ssh_shell_failed(const dr_ssh_session *s, dr_ssh_channel *c, dr_err *err) {
  const char *alias = s->config->alias, *user = s->config->user;
  char *said = c->noise[0] != '\0' ? c->noise : c->said;
  said[strcspn(said, "\r\n")] = '\0';
  dr__fail(err, "ssh.login_shell",
           "the login shell of %s on %s did not begin the command: it wrote \"%s\" and ended with "
           "status %d",
           user, alias, said, c->status);
  dr__err_hint(err,
               "try ssh %s@%s 'echo in': the account may have no shell (nologin), a start file of "
               "the shell may end it, or something else is run in its place (ForceCommand, or "
               "command= in authorized_keys)",
               user, alias);
}
