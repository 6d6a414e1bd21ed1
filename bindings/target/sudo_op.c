/* sudo_op.c - the op target.sudo: finds out, while nothing has been changed yet, whether sudo works
 * on a machine, and asks for the password when it wants one.
 *
 * Called by the gate on the runtime's thread. Owns the passwords that a person gave, one for each
 * user who logs in, kept in the runtime: asked once for all machines. While nobody knows whether
 * one is right, only one machine tries it and the others wait for what comes of it, so that a
 * mistyped password costs one failed try and not one for each machine. What was found out is kept
 * in the transport: the walk before a run asks, and the run does not ask again.
 */
#include "sudo.h"

#include "core/err.h"
#include "ops/binding.h"
#include "ssh/ssh.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHECK_SECONDS = 60, MAX_TRIES = 3 };

typedef struct answer answer;

/* An op that waits until another one has tried the password. */
typedef struct waiter {
  struct waiter *next;
  answer *answer;
  dr_op *op; /* NULL once it was released */
  uv_timer_t timer;
  int (*go_on)(dr_op *op, dr_err *err);
  bool cancelled;
  bool closing;
} waiter;

/* What a person answered for one user. */
struct answer {
  answer *next;
  char *login;
  char *text;            /* NULL: not asked yet, or nobody answered */
  json_int_t generation; /* how often it was asked */
  bool nobody;           /* nobody answered */
  bool proven;           /* a machine took it */
  const dr_op *trying;   /* tries it while it is not proven */
  waiter *first, **last;
};

typedef struct answers {
  answer *first;
} answers;

static int ask_and_try(dr_op *op, json_int_t tries, json_int_t seen, dr_err *err);

/* ------------------------------------------------------------ keeping */

static void close_answers(void *value) {
  answers *all = value;
  while (all->first) {
    answer *gone = all->first;
    all->first = gone->next;
    dr__sudo_wipe(gone->text);
    free(gone->login);
    free(gone);
  }
  free(all);
}

static answers *get_answers(dr_runtime *rt) {
  return dr__runtime_keep(rt, "sudo", sizeof(answers), close_answers);
}

/* Who logs in on the op's machine. */
static void name_login(const dr_op *op, char *buffer, size_t size) {
  const dr_transport *transport = op->target->transport;
  uv_passwd_t user;
  if (dr__is_ssh(transport)) {
    dr__copy_text(buffer, size, dr__ssh_user(transport));
  } else if (uv_os_get_passwd(&user) == 0) {
    dr__copy_text(buffer, size, user.username);
    uv_os_free_passwd(&user);
  } else {
    dr__copy_text(buffer, size, "this user");
  }
}

static answer *answer_of(const dr_op *op, dr_err *err) {
  char login[128];
  name_login(op, login, sizeof login);
  answers *all = get_answers(dr__op_runtime(op));
  answer *one = all ? all->first : NULL;
  while (one && strcmp(one->login, login) != 0) one = one->next;
  if (one) return one;
  one = all ? calloc(1, sizeof *one) : NULL;
  if (!one || !(one->login = strdup(login))) {
    free(one);
    dr__err_nomem(err);
    return NULL;
  }
  one->last = &one->first;
  one->next = all->first;
  all->first = one;
  return one;
}

static bool is_known(const dr_op *op) {
  const char *user = dr__sudo_machine(op->target)->user;
  const json_t *users = op->target->transport->sudo_users;
  for (size_t i = 0; i < json_array_size(users); i++)
    if (strcmp(json_string_value(json_array_get(users, i)), user ? user : "") == 0) return true;
  return false;
}

static json_t *note_known(const dr_op *op, dr_err *err) {
  const char *user = dr__sudo_machine(op->target)->user;
  dr_transport *transport = op->target->transport;
  if (!transport->sudo_users) transport->sudo_users = json_array();
  if (json_array_append_new(transport->sudo_users, json_string(user ? user : "")) == 0)
    return json_object();
  dr__err_nomem(err);
  return NULL;
}

/* ------------------------------------------------------------ the check */

/* What is run to find out: `true`, as the view's user, in the C locale, whose words are known; the
 * words behind `sudo -n`, or with it. */
static json_t *check_words(const dr_op *op) {
  const char *user = dr__sudo_machine(op->target)->user;
  return user ? json_pack("[s, s, s, s, s, s]", "sudo", "-n", "-u", user, "--", "true")
              : json_pack("[s, s, s, s]", "sudo", "-n", "--", "true");
}

char *dr__sudo_preview(const dr_op *op) {
  const char *user = dr__sudo_machine(op->target)->user;
  char *text = NULL;
  int length = asprintf(&text, "sudo %s%s%strue  # does it work, and is a password needed?",
                        user ? "-u " : "", user ? user : "", user ? " " : "");
  return length < 0 ? NULL : text;
}

/* The machine as it is logged in to: no sudo, no folder, no environment. New reference, or NULL. */
static dr_target *bare_machine(const dr_op *op) {
  return dr__target_new(op->target->transport, op->target->name);
}

/* Runs the words with the input; what the spec holds further is the caller's. */
static int run_check(dr_op *op, json_t *words, const dr_command *input, dr_exec_spec spec,
                     dr_err *err) {
  spec.command = words;
  spec.view = bare_machine(op);
  spec.env = json_pack("{s:s}", "LC_ALL", "C");
  spec.timeout = CHECK_SECONDS;
  spec.any_status = spec.quiet = true;
  if (input) spec.input = input->input, spec.input_length = input->input_length;
  if (words && spec.view && spec.env) return dr__exec_op(op, &spec, err);
  json_decref(words);
  json_decref(spec.env);
  json_decref(spec.carry);
  dr__target_unref(spec.view);
  return dr__err_nomem(err);
}

static int run_with_password(dr_op *op, const char *password, dr_exec_spec spec, dr_err *err) {
  dr_command command = {.argv = check_words(op)};
  int status = command.argv ? dr__sudo_arm(&command, password, err) : dr__err_nomem(err);
  if (status == DR_OK) {
    json_t *words = json_incref(command.argv);
    status = run_check(op, words, &command, spec, err);
  } else {
    json_decref(spec.carry);
  }
  dr__command_clear(&command);
  return status;
}

static dr_sudo_verdict verdict_of(const dr_op *op, int status) {
  dr_sudo_verdict verdict = dr__sudo_verdict_of(status, dr__exec_text(op, 2), false);
  return verdict == DR_SUDO_SILENT ? DR_SUDO_OTHER : verdict;
}

/* Fails the check in sudo's words. Returns NULL, for parse. */
static json_t *refuse(const dr_op *op, int status, dr_err *err) {
  const char *words = dr__exec_text(op, 2);
  dr__sudo_explain(verdict_of(op, status), op->target, "commands (true was tried)", err);
  if (words[0]) dr__err_detail(err, words, strlen(words));
  return NULL;
}

/* ------------------------------------------------------------ waiting */

/* The waiter's op goes on, or is stopped. */
static void on_waited(uv_handle_t *handle) {
  waiter *w = handle->data;
  dr_op *op = w->op;
  dr_err err = DR_ERR_INIT;
  bool cancelled = w->cancelled;
  int (*go_on)(dr_op *, dr_err *) = w->go_on;
  free(w);
  if (!op) return;
  op->self = NULL;
  op->cancel = op->release = NULL;
  if (cancelled)
    dr__fail(&err, "cancelled", "it was stopped");
  else if (go_on(op, &err) == DR_OK)
    return;
  dr__op_fail(op, &err);
}

/* Takes the waiter out of the row; its op goes on from the loop. */
static void end_wait(waiter *w) {
  if (w->closing) return;
  waiter **at = &w->answer->first;
  while (*at != w) at = &(*at)->next;
  *at = w->next;
  if (w->answer->last == &w->next) w->answer->last = at;
  w->closing = true;
  uv_close((uv_handle_t *)&w->timer, on_waited);
}

static void on_wake(uv_timer_t *timer) {
  end_wait(timer->data);
}

static void cancel_wait(dr_op *op) {
  waiter *w = op->self;
  w->cancelled = true;
  end_wait(w);
}

static void release_wait(dr_op *op) {
  waiter *w = op->self;
  w->op = NULL;
  end_wait(w);
}

static int wait_for(answer *a, dr_op *op, int (*go_on)(dr_op *op, dr_err *err), dr_err *err) {
  waiter *w = calloc(1, sizeof *w);
  if (!w) return dr__err_nomem(err);
  w->answer = a;
  w->go_on = go_on;
  w->op = op;
  w->timer.data = w;
  uv_timer_init(op->loop, &w->timer);
  *a->last = w;
  a->last = &w->next;
  op->self = w;
  op->cancel = cancel_wait;
  op->release = release_wait;
  return DR_OK;
}

/* The try is over. Those who wait look again with the loop's next turn, when what came of it is
 * known. */
static void end_try(dr_op *op) {
  dr_err err = DR_ERR_INIT;
  answer *a = answer_of(op, &err);
  dr_err_clear(&err);
  op->target->transport->sudo_trying = false;
  if (!a) return;
  if (a->trying == op) a->trying = NULL;
  for (waiter *w = a->first; w; w = w->next) uv_timer_start(&w->timer, on_wake, 0, 0);
}

/* ------------------------------------------------------------ asking */

/* Asks a person; the answer is masked everywhere from now on. NULL with err filled when there is
 * none. */
static char *ask(dr_op *op, const char *question, dr_err *err) {
  dr_runtime *rt = dr__op_runtime(op);
  char *text = dr__runtime_ask(rt, question, "sudo password");
  if (!text && dr__op_cancelled(op)) {
    dr__fail(err, "cancelled", "stopped while it was asked");
  } else if (!text || !text[0]) {
    dr__sudo_explain(DR_SUDO_PASSWORD, op->target, "commands", err);
  } else if (!dr__runtime_mask(rt, "sudo password", text)) {
    dr__fail(err, "secret.short", "the sudo password has fewer than 4 characters");
    dr__err_hint(err, "it could not be masked where it is shown; choose a longer one");
  } else {
    return text;
  }
  dr__sudo_wipe(text);
  return NULL;
}

/* Asks for the one that serves all machines. */
static int ask_shared(answer *a, dr_op *op, bool again, dr_err *err) {
  char question[400];
  if (again)
    snprintf(question, sizeof question,
             "That was not it on %s. sudo password for %s (used on every host that asks): ",
             op->target->name, a->login);
  else
    snprintf(question, sizeof question,
             "sudo password for %s (used on every host that asks): ", a->login);
  dr__sudo_wipe(a->text);
  a->text = ask(op, question, err);
  a->nobody = a->text == NULL;
  a->generation++;
  return a->text ? DR_OK : DR_FAILED;
}

static json_t *after_try(dr_op *op, int status, json_t *result, dr_err *err);

/* Tries a password; the machine keeps it from now on, unless it turns out to be wrong. */
static int try_password(dr_op *op, const char *password, json_int_t tries, json_int_t seen,
                        dr_err *err) {
  dr_transport *transport = op->target->transport;
  json_t *carry = json_pack("{s:I, s:I}", "tries", tries + 1, "seen", seen);
  dr_exec_spec spec = {.parse = after_try, .over = end_try, .carry = carry};
  if (!carry || !dr__sudo_keep(transport, password)) {
    json_decref(carry);
    return dr__err_nomem(err);
  }
  transport->sudo_trying = true;
  int status = run_with_password(op, transport->sudo_password, spec, err);
  if (status != DR_OK) transport->sudo_trying = false;
  return status;
}

static int ask_anew(dr_op *op, dr_err *err) {
  return ask_and_try(op, 0, 0, err);
}

/* Tries the shared answer, asking for it when there is none newer than `seen`. */
static int ask_and_try(dr_op *op, json_int_t tries, json_int_t seen, dr_err *err) {
  answer *a = answer_of(op, err);
  if (!a) return DR_FAILED;
  if (a->trying) return wait_for(a, op, ask_anew, err);
  if (a->nobody) {
    dr__sudo_explain(DR_SUDO_PASSWORD, op->target, "commands", err);
    return DR_FAILED;
  }
  if (a->generation <= seen && ask_shared(a, op, seen > 0, err) != DR_OK) return DR_FAILED;
  if (!a->proven) a->trying = op;
  int status = try_password(op, a->text, tries, a->generation, err);
  if (status != DR_OK && a->trying == op) a->trying = NULL;
  return status;
}

/* The shared one is right elsewhere: this machine has another. */
static int ask_and_try_here(dr_op *op, const answer *a, json_int_t tries, dr_err *err) {
  char question[400];
  snprintf(question, sizeof question,
           "That was not it on %s. sudo password for %s on %s: ", op->target->name, a->login,
           op->target->name);
  char *text = ask(op, question, err);
  int status = text ? try_password(op, text, tries, a->generation, err) : DR_FAILED;
  dr__sudo_wipe(text);
  return status;
}

/* The password was not accepted: another try, or an error. */
static void after_wrong(dr_op *op, int status, dr_err *err) {
  json_int_t tries = json_integer_value(json_object_get(dr__exec_carry(op), "tries"));
  json_int_t seen = json_integer_value(json_object_get(dr__exec_carry(op), "seen"));
  answer *a = seen > 0 ? answer_of(op, err) : NULL;
  (void)dr__sudo_keep(op->target->transport, NULL);
  if (a && tries >= MAX_TRIES && !a->proven) a->nobody = true; /* the others need not try it too */
  if (!a || tries >= MAX_TRIES)
    (void)refuse(op, status, err);
  else if (a->proven && a->generation <= seen)
    (void)ask_and_try_here(op, a, tries, err);
  else
    (void)ask_and_try(op, tries, seen, err);
}

/* `seen` is 0 where the recipe gave the password. */
static json_t *after_try(dr_op *op, int status, json_t *result, dr_err *err) {
  const json_t *carry = dr__exec_carry(op);
  json_int_t seen = json_integer_value(json_object_get(carry, "seen"));
  json_decref(result);
  dr_sudo_verdict verdict = status == 0 ? DR_SUDO_SILENT : verdict_of(op, status);
  bool taken = status == 0 || verdict == DR_SUDO_REFUSED; /* rules are looked at after it */
  answer *a = seen > 0 ? answer_of(op, err) : NULL;
  if (a && taken && a->generation == seen) a->proven = true;
  if (status == 0) return note_known(op, err);
  if (verdict != DR_SUDO_WRONG) return refuse(op, status, err);
  after_wrong(op, status, err);
  return NULL;
}

/* ------------------------------------------------------------ the op */

static json_t *after_probe(dr_op *op, int status, json_t *result, dr_err *err) {
  json_decref(result);
  if (status == 0) return note_known(op, err);
  if (verdict_of(op, status) != DR_SUDO_PASSWORD) return refuse(op, status, err);
  (void)ask_and_try(op, 0, 0, err);
  return NULL;
}

/* Within a container no password is ever given, and nothing is found out before. */
int dr__sudo_start(dr_op *op, dr_err *err) {
  if (op->target->within || is_known(op)) {
    dr__op_done(op, json_object());
    return DR_OK;
  }
  const char *given = op->target->transport->sudo_password;
  if (op->target->transport->sudo_trying) {
    answer *a = answer_of(op, err);
    return a ? wait_for(a, op, dr__sudo_start, err) : DR_FAILED;
  }
  if (given) return try_password(op, given, 0, 0, err);
  json_t *words = check_words(op);
  if (words && json_array_insert_new(words, 1, json_string("-k")) != 0) {
    json_decref(words);
    words = NULL;
  }
  return run_check(op, words, NULL, (dr_exec_spec){.parse = after_probe}, err);
}
