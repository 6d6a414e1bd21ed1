/* ssh/room.c - how many session channels a server allows on one connection (MaxSessions), and the
 * waiting for one of them.
 *
 * Nothing tells the limit but a refusal. What then wants a channel waits for one that is given
 * back; for locks and idle tunnels, which are given back by this run alone, it does not wait for
 * ever.
 * Called by channel.c on the session's thread.
 */
#include "internal.h"

#include "core/err.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { REFUSED_MS = 50, MAX_REFUSALS = 5, LACKING_MS = 30000 };

typedef struct holders {
  unsigned locks, tunnels, commands;
  unsigned idle; /* of the tunnels: nothing has come over it for LACKING_MS */
} holders;

bool dr__ssh_is_command(const dr_ssh_channel *c) {
  return c->kind == DR_SSH_COMMAND || c->kind == DR_SSH_STREAM_COMMAND;
}

static holders count_running(const dr_ssh_session *s, uint64_t now) {
  holders count = {0};
  for (const dr_ssh_channel *c = s->channels; c != NULL; c = c->next) {
    if (!dr__ssh_is_command(c) || c->ssh == NULL || c->phase <= DR_SSH_OPENING) continue;
    if (c->kind == DR_SSH_STREAM_COMMAND) {
      count.tunnels++;
      if (now >= c->moved_ms + LACKING_MS) count.idle++;
    } else if (c->hold_input) {
      count.locks++;
    } else {
      count.commands++;
    }
  }
  return count;
}

/* After the server did not open a session channel. It has a limit (MaxSessions), which is now
 * known: the command waits for one of the others to end. When none is left, the server may still be
 * busy ending them, or others it has opened may not have been looked at yet, so it is asked a few
 * times more. False when it has refused for good. */
bool dr__ssh_room_wait(dr_ssh_session *s, dr_ssh_channel *c, uint64_t now) {
  holders running = count_running(s, now);
  unsigned count = running.locks + running.tunnels + running.commands;
  c->phase = DR_SSH_NEW;
  c->deadline_ms = 0;
  if (count > 0) {
    s->most_commands = count;
    return true;
  }
  c->refusals++;
  c->deadline_ms = now + REFUSED_MS * c->refusals;
  return (s->opened_any || s->open_commands > 0) && c->refusals <= MAX_REFUSALS;
}

/* True while a channel is being opened that is meant for the next command. */
static bool spare_comes(const dr_ssh_session *s) {
  for (const dr_ssh_channel *c = s->channels; c != NULL; c = c->next) {
    if (c->connect_only && c->phase == DR_SSH_OPENING) return true;
  }
  return false;
}

static bool is_full(const dr_ssh_session *s) {
  return s->spare == NULL && s->open_commands >= s->most_commands;
}

bool dr__ssh_room_may_open(dr_ssh_session *s, dr_ssh_channel *c, uint64_t now) {
  if (now < c->deadline_ms) return false;
  c->deadline_ms = 0;
  if (!dr__ssh_is_command(c) || s->spare != NULL) return true;
  return !is_full(s) && (c->connect_only || !spare_comes(s));
}

static void add_holders(char *text, size_t size, unsigned count, const char *name) {
  size_t length = strlen(text);
  if (count > 0)
    snprintf(text + length, size - length, "%s%u %s%s", length > 0 ? ", " : "", count, name,
             count > 1 ? "s" : "");
}

bool dr__ssh_room_is_full(const dr_ssh_session *s, const dr_ssh_channel *c, char *why,
                          size_t size) {
  char text[96] = "";
  if (c->phase != DR_SSH_NEW || !dr__ssh_is_command(c) || !is_full(s)) return false;
  holders running = count_running(s, dr__ssh_now_ms());
  add_holders(text, sizeof text, running.locks, "lock");
  add_holders(text, sizeof text, running.tunnels, "tunnel");
  add_holders(text, sizeof text, running.commands, "command");
  snprintf(why, size, "its sshd lets %u run at a time on a connection (MaxSessions): %s",
           s->most_commands, text);
  return true;
}

bool dr__ssh_room_lacks(const dr_ssh_session *s, dr_ssh_channel *c, uint64_t now, dr_err *err) {
  char why[200];
  holders running = count_running(s, now);
  bool lasting = running.locks + running.idle >= s->open_commands;
  if (!lasting || !dr__ssh_room_is_full(s, c, why, sizeof why)) {
    c->lacking_ms = 0;
    return false;
  }
  if (c->lacking_ms == 0) c->lacking_ms = now + LACKING_MS;
  if (now < c->lacking_ms) return false;
  dr__fail(err, "ssh.channel", "no command can be run on %s beside what is held there; %s",
           s->config->alias, why);
  dr__err_hint(err, "raise MaxSessions in its sshd_config, or give back the lock, or what leads to "
                    "the Docker Engine or a port there by a command, before");
  return true;
}
