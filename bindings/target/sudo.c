/* sudo.c - what sudo's refusals mean, and how a command gets a password through it.
 *
 * Pure: no I/O, no Lua, any thread. Called by exec_op.c, lock.c and sudo_op.c.
 *
 * A password never enters the standard input of the command, and the command's input never reaches
 * PAM. Not by care, but by the way it is passed: sudo asks an askpass program (-A), and only when
 * the rule that fits asks for a password. A small shell takes the password from the first line of
 * its input, leaves it in a pipe, and then becomes sudo; the askpass program is cat, and the prompt
 * that sudo gives it is the pipe's name, /proc/PID/fd/9. A sleeping process keeps the pipe open for
 * HOLD_SECONDS, which bounds how long sudo may take until it asks. Once read, the pipe is empty: a
 * wrong password costs one try. `-k` makes a cached login neither used nor made.
 *
 * The other way, -S, was not taken: sudo -S reads the password from the command's own input, so
 * that one that is not asked for ends in the command, and one that is refused makes sudo take the
 * command's input for the next try. And running the command again after `sudo -n` was refused is
 * not safe: the same words are written by a script that had begun and then used sudo itself.
 */
#include "sudo.h"

#include "core/err.h"

#include <stdlib.h>
#include <string.h>

/* printf must be the shell's own: a program's words are seen by everybody. */
static const char script[] =
    "IFS= read -r dr_p && [ \"$(command -v printf)\" = printf ] || exit 125; "
    "dr_h=$(printf '%s\\n' \"$dr_p\" | { exec 9<&0; sleep 30 </dev/null >/dev/null 2>&1 & echo $!; "
    "}); unset dr_p; SUDO_ASKPASS=$(command -v cat); export SUDO_ASKPASS; "
    "exec sudo -k -A -p \"/proc/$dr_h/fd/9\" \"$@\"";

/* ------------------------------------------------------------ verdicts */

/* Sudo's words in the C locale, the more telling ones first. */
static const struct {
  const char *words;
  dr_sudo_verdict verdict;
} known[] = {
    {"Sorry, try again.", DR_SUDO_WRONG},
    {"incorrect password attempt", DR_SUDO_WRONG},
    {"incorrect authentication attempt", DR_SUDO_WRONG},
    {"no password was provided", DR_SUDO_WRONG},
    {"you must have a tty", DR_SUDO_TERMINAL},
    {"is not in the sudoers file", DR_SUDO_REFUSED},
    {"is not allowed to ", DR_SUDO_REFUSED},
    {"may not run sudo", DR_SUDO_REFUSED},
    {"a password is required", DR_SUDO_PASSWORD},
    {"a terminal is required", DR_SUDO_PASSWORD},
    {"interactive authentication is required", DR_SUDO_PASSWORD},
    {"unknown user", DR_SUDO_NO_USER},
    {": command not found", DR_SUDO_NO_PROGRAM},
};

static bool begins(const char *line, const char *with) {
  return strncmp(line, with, strlen(with)) == 0;
}

static bool holds(const char *line, size_t length, const char *words) {
  return memmem(line, length, words, strlen(words)) != NULL;
}

/* A line as only sudo writes it. */
static bool is_own(const char *line, size_t length) {
  return length == 0 || begins(line, "sudo: ") || begins(line, "Sorry, ") ||
         begins(line, "This incident ") || holds(line, length, " is not in the sudoers file") ||
         holds(line, length, " is not allowed to run sudo on ");
}

/* What one line says; a line of sudo's that is not known is DR_SUDO_OTHER. */
static dr_sudo_verdict line_verdict(const char *line, size_t length) {
  if (length == 0 || !is_own(line, length)) return DR_SUDO_SILENT;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (holds(line, length, known[i].words)) return known[i].verdict;
  return DR_SUDO_OTHER;
}

dr_sudo_verdict dr__sudo_verdict(const char *text, bool alone) {
  dr_sudo_verdict verdict = DR_SUDO_SILENT;
  while (*text) {
    size_t length = strcspn(text, "\r\n");
    if (alone && !is_own(text, length)) return DR_SUDO_SILENT;
    dr_sudo_verdict line = line_verdict(text, length);
    bool telling = verdict == DR_SUDO_SILENT || (verdict == DR_SUDO_OTHER && line != verdict);
    if (line != DR_SUDO_SILENT && telling) verdict = line;
    text += length + strspn(text + length, "\r\n");
  }
  return verdict;
}

dr_sudo_verdict dr__sudo_verdict_of(int status, const char *text, bool alone) {
  bool missing = strstr(text, "sudo") && (strstr(text, "not found") || strstr(text, "no program"));
  if (status == 127) return missing ? DR_SUDO_MISSING : DR_SUDO_SILENT;
  return dr__sudo_verdict(text, alone);
}

static const char *whom(const dr_target *machine) {
  return machine->user ? machine->user : "root";
}

/* The view whose sudo was asked: the innermost, as that of the machine was tried before the run. */
static const dr_target *asked_view(const dr_target *target) {
  const dr_target *view = target;
  while (view && !view->sudo) view = view->within;
  return view ? view : dr__sudo_machine(target);
}

static void explain_password(const dr_target *machine, const char *what, dr_err *err) {
  dr__fail(err, "sudo.password", "sudo on %s asks for a password to run %s", machine->name, what);
  if (machine->within) {
    dr__err_hint(err,
                 "inside a container sudo gets no password: allow the command without one "
                 "there (NOPASSWD), or have the Docker Engine run it as that user: "
                 "server:docker():exec(container, command, { user = \"%s\" })",
                 whom(machine));
    return;
  }
  dr__err_hint(err,
               "give it to the host as a secret: host{ …, sudo_password = secret(\"…\") }; or run "
               "this on a terminal, where it is asked for once; or allow the command without one "
               "(NOPASSWD in a file of /etc/sudoers.d). A command with pty = true cannot be given "
               "one");
}

static void explain_refused(const dr_target *machine, const char *what, dr_err *err) {
  dr__fail(err, "sudo.refused", "sudo on %s does not allow this user to run %s as %s",
           machine->name, what, whom(machine));
  dr__err_hint(err, "add a rule for it in a file of /etc/sudoers.d, or log in as another user; "
                    "where single commands are allowed, say :sudo(user, { check = false })");
}

void dr__sudo_explain(dr_sudo_verdict verdict, const dr_target *target, const char *what,
                      dr_err *err) {
  const dr_target *machine = asked_view(target);
  const char *name = machine->name;
  switch (verdict) {
  case DR_SUDO_SILENT: break;
  case DR_SUDO_PASSWORD: explain_password(machine, what, err); break;
  case DR_SUDO_REFUSED: explain_refused(machine, what, err); break;
  case DR_SUDO_WRONG:
    dr__fail(err, "sudo.password", "sudo on %s did not accept the password", name);
    dr__err_hint(err, "is it the password of the user who logs in there?");
    break;
  case DR_SUDO_TERMINAL:
    dr__fail(err, "sudo.terminal", "sudo on %s wants a terminal to run %s (requiretty)", name,
             what);
    dr__err_hint(err, "switch it off there (\"Defaults:USER !requiretty\" in a file of "
                      "/etc/sudoers.d); or give single commands a terminal: :sudo(user, { check = "
                      "false }):run(…, { pty = true })");
    break;
  case DR_SUDO_NO_USER:
    dr__fail(err, "sudo.no_such_user", "there is no user \"%s\" on %s", whom(machine), name);
    break;
  case DR_SUDO_NO_PROGRAM:
    dr__fail(err, "command.not_found", "%s: the program was not found", what);
    dr__err_hint(err, "install it there, or give its full path");
    break;
  case DR_SUDO_MISSING:
    dr__fail(err, "sudo.missing", "there is no sudo on %s", target->name);
    dr__err_hint(err, "install it there, or log in as the user itself: host{ …, user = \"%s\" }",
                 whom(machine));
    break;
  case DR_SUDO_OTHER: dr__fail(err, "sudo.failed", "sudo on %s did not run %s", name, what); break;
  }
}

/* ------------------------------------------------------------ passwords */

void dr__sudo_wipe(char *secret) {
  if (secret) explicit_bzero(secret, strlen(secret));
  free(secret);
}

bool dr__sudo_keep(dr_transport *transport, const char *password) {
  char *copy = password ? strdup(password) : NULL;
  if (password && !copy) return false;
  dr__sudo_wipe(transport->sudo_password);
  transport->sudo_password = copy;
  if (password) return true;
  json_decref(transport->sudo_users);
  transport->sudo_users = NULL;
  return true;
}

const dr_target *dr__sudo_machine(const dr_target *target) {
  while (target->within) target = target->within;
  return target;
}

/* The words behind `sudo -n` with the script before them. New reference, or NULL. */
static json_t *armed_words(const json_t *argv) {
  json_t *words = json_pack("[s, s, s, s]", "sh", "-c", script, "sh");
  for (size_t i = 2; words && i < json_array_size(argv); i++) {
    if (json_array_append(words, json_array_get(argv, i)) == 0) continue;
    json_decref(words);
    words = NULL;
  }
  return words;
}

int dr__sudo_arm(dr_command *command, const char *password, dr_err *err) {
  size_t length = strlen(password), total = length + 1 + command->input_length;
  json_t *words = armed_words(command->argv);
  char *input = malloc(total);
  if (!words || !input) {
    json_decref(words);
    free(input);
    return dr__err_nomem(err);
  }
  memcpy(input, password, length + 1);
  input[length] = '\n';
  if (command->input_length > 0) memcpy(input + length + 1, command->input, command->input_length);
  if (command->input) explicit_bzero(command->input, command->input_length);
  free(command->input);
  json_decref(command->argv);
  command->argv = words;
  command->input = input;
  command->input_length = total;
  return DR_OK;
}

int dr__sudo_prepare(dr_command *command, const dr_target *target, bool pty, dr_err *err) {
  const char *password = target->transport->sudo_password;
  if (!password || target->transport->sudo_trying || pty || !dr__sudo_machine(target)->sudo)
    return DR_OK;
  return dr__sudo_arm(command, password, err);
}
