/* lock.c - locks on targets, so that two people do not deploy to one machine at the same time.
 *
 * A lock is a command on the target that lives as long as the connection (lock_script.c). Owned
 * here: the list of the runtime's locks. Ops: lock.acquire and lock.release, called by lock.lua
 * through the gate, on the runtime's thread. Taking a lock that this run holds already counts up;
 * it is given back when as many releases were asked for, at the latest when the run ends (lock.lua)
 * or the runtime is freed.
 */
#include "lock.h"
#include "target/sudo.h"
#include "target/target.h"
#include "text.h"

#include "core/err.h"
#include "ops/binding.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

extern const dr_lua_source dr__lua_lock;

enum { ACQUIRE_MS = 60 * 1000, OUTPUT_MAX = 4096 };

typedef struct lock lock;

typedef struct locks {
  lock *first;
  dr_runtime *rt;
} locks;

struct lock {
  lock *next;
  locks *all;
  dr_target *target; /* referenced */
  dr_exec *exec;
  char name[65];
  int count;      /* how often it was taken; 0 while it is being acquired */
  dr_op *waiting; /* lock.acquire or lock.release that waits for it, or NULL */
  bool ending;    /* asked to end */
  bool timed_out;
  bool exited;
  dr_text output[2];
  dr_exec_exit how;
  uv_timer_t timer; /* bounds the acquiring; open as long as the lock */
};

/* ------------------------------------------------------------ the list */

static void unlink_lock(lock *l) {
  lock **at = &l->all->first;
  while (*at != l) at = &(*at)->next;
  *at = l->next;
}

static void end_lock(lock *l) {
  if (l->ending) return;
  l->ending = true;
  l->target->transport->klass->cancel(l->exec);
}

/* Ends all locks and waits for it: who comes next must find them free. Bounded by the transports'
 * cancel. */
static void close_locks(void *value) {
  locks *all = value;
  for (lock *l = all->first; l; l = l->next) {
    l->waiting = NULL;
    end_lock(l);
  }
  while (all->first) uv_run(dr__runtime_loop(all->rt), UV_RUN_ONCE);
  free(all);
}

static locks *get_locks(dr_runtime *rt) {
  locks *all = dr__runtime_keep(rt, "locks", sizeof *all, close_locks);
  if (all) all->rt = rt;
  return all;
}

static lock *find_lock(locks *all, const dr_target *target, const char *name) {
  lock *l = all->first;
  while (l && (l->ending || strcmp(l->name, name) != 0 ||
               strcmp(dr__target_machine(l->target), dr__target_machine(target)) != 0))
    l = l->next;
  return l;
}

static void free_lock(lock *l) {
  dr__target_unref(l->target);
  dr__text_free(&l->output[0]);
  dr__text_free(&l->output[1]);
  dr_err_clear(&l->how.err);
  free(l);
}

/* ------------------------------------------------------------ how it ended */

static void held_error(const lock *l, dr_err *err) {
  dr_lock_holder holder;
  const char *machine = dr__target_machine(l->target);
  if (dr__lock_parse(l->output[0].bytes ? l->output[0].bytes : "", &holder))
    dr__fail(err, "lock.held",
             "the lock \"%s\" on %s is held by %s (process %s), who runs %s since %s", l->name,
             machine, holder.who, holder.process, holder.recipe, holder.since);
  else
    dr__fail(err, "lock.held", "the lock \"%s\" on %s is held by somebody else", l->name, machine);
  dr__err_hint(err,
               "wait until that run has ended; its lock goes with its process, it never has to be "
               "removed by hand");
}

static void acquire_error(lock *l, dr_err *err) {
  const char *machine = dr__target_machine(l->target);
  if (l->timed_out) {
    dr__fail(err, "lock.timeout", "the lock \"%s\" on %s was not answered within %d s", l->name,
             machine, ACQUIRE_MS / 1000);
    dr__err_hint(err, "the machine or the way to it hangs: look at its load and at /tmp there "
                      "(df, mount), then run again");
  } else if (l->ending) {
    dr__fail(err, "cancelled", "it was stopped");
  } else if (l->how.err.code[0]) {
    dr__err_move(err, &l->how.err);
  } else if (l->how.status == DR_LOCK_REFUSED) {
    held_error(l, err);
  } else if (l->how.status == DR_LOCK_NO_FLOCK) {
    dr__fail(err, "lock.no_flock", "there is no program flock on %s", machine);
    dr__err_hint(err, "install the package util-linux there");
  } else {
    dr__fail(err, "lock.failed", "the lock \"%s\" could not be taken on %s", l->name, machine);
    dr__err_hint(err, "may the user there read and write /tmp/deployrun-%s.lock?", l->name);
  }
  if (!err->detail && l->output[1].length > 0)
    dr__err_detail(err, l->output[1].bytes, l->output[1].length);
}

/* A lock that is gone although nobody gave it back: another run may begin there, so this one ends.
 * Where it is ending already, that much is told. */
static void tell_lost(lock *l) {
  dr_err err = DR_ERR_INIT;
  dr__fail(&err, "lock.lost", "the lock \"%s\" on %s was lost with its connection", l->name,
           dr__target_machine(l->target));
  dr__err_hint(&err, "what was running there may still run, and another run may have begun: look "
                     "before running again");
  if (l->how.err.code[0]) dr__err_because(&err, &l->how.err);
  if (!dr__runtime_stop(l->all->rt, &err))
    dr__runtime_emit(l->all->rt, DR_EVENT_LOG,
                     json_pack("{s:s, s:s}", "level", "warn", "message", err.message));
  dr_err_clear(&err);
}

/* The command has ended and its timer is closed: answer who waits, and forget it. */
static void on_gone(uv_handle_t *timer) {
  lock *l = timer->data;
  dr_op *op = l->waiting;
  unlink_lock(l);
  if (l->count > 0 && !l->ending) tell_lost(l);
  if (op && l->count == 0) {
    dr_err err = DR_ERR_INIT;
    acquire_error(l, &err);
    dr__op_fail(op, &err);
  } else if (op) {
    dr__op_done(op, json_object());
  }
  if (op) op->self = NULL;
  free_lock(l);
}

static void on_exited(void *data, dr_exec_exit *how) {
  lock *l = data;
  l->how.status = how->status;
  dr__err_move(&l->how.err, &how->err);
  uv_close((uv_handle_t *)&l->timer, on_gone);
}

static void on_output(void *data, int stream, const char *bytes, size_t length) {
  lock *l = data;
  dr_text *text = &l->output[stream == 2];
  if (text->length + length > OUTPUT_MAX) return;
  dr__text_add(text, bytes, length);
  bool held = stream == 1 && text->bytes && strncmp(text->bytes, "held\n", 5) == 0;
  if (!held || l->count > 0 || l->ending) return;
  l->count = 1;
  uv_timer_stop(&l->timer);
  dr_op *op = l->waiting;
  l->waiting = NULL;
  if (!op) return;
  op->self = NULL;
  dr__op_done(op, json_pack("{s:s}", "name", l->name));
}

/* ------------------------------------------------------------ lock.acquire */

static void describe_self(dr_lock_holder *self, dr_runtime *rt) {
  char host[64] = "?";
  size_t size = sizeof host;
  uv_passwd_t user;
  time_t now = time(NULL);
  struct tm parts;
  uv_os_gethostname(host, &size);
  bool known = uv_os_get_passwd(&user) == 0;
  snprintf(self->who, sizeof self->who, "%.60s@%s", known ? user.username : "?", host);
  if (known) uv_os_free_passwd(&user);
  snprintf(self->process, sizeof self->process, "%d", (int)uv_os_getpid());
  snprintf(self->recipe, sizeof self->recipe, "%s", dr_recipe_name(rt) ? dr_recipe_name(rt) : "?");
  strftime(self->since, sizeof self->since, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
}

/* The machine the view is on, as the same user: no container, no folder, no environment. New
 * reference. */
static dr_target *bare_view(const dr_target *target) {
  while (target->within) target = target->within;
  dr_target *view = dr__target_copy(target);
  if (!view) return NULL;
  free(view->cwd);
  view->cwd = NULL;
  json_decref(view->env);
  view->env = NULL;
  return view;
}

static void on_timeout(uv_timer_t *timer) {
  lock *l = timer->data;
  l->timed_out = true;
  end_lock(l);
}

static void cancel_op(dr_op *op) {
  if (op->self) end_lock(op->self);
}

/* The op may go before its lock does. */
static void release_op(dr_op *op) {
  lock *l = op->self;
  if (!l) return;
  l->waiting = NULL;
  if (l->count == 0) end_lock(l);
}

static void wait_for(lock *l, dr_op *op) {
  l->waiting = op;
  op->self = l;
  op->cancel = cancel_op;
  op->release = release_op;
}

static int begin(lock *l, dr_err *err) {
  dr_lock_holder self = {0};
  describe_self(&self, l->all->rt);
  json_t *words = dr__lock_command(l->name, &self);
  dr_command command;
  int status = words ? dr__command_build(&command, l->target, words, NULL, 0, NULL, NULL, err)
                     : dr__err_nomem(err);
  json_decref(words);
  if (status != DR_OK) return status;
  if (dr__sudo_prepare(&command, l->target, false, err) != DR_OK) {
    dr__command_clear(&command);
    return DR_FAILED;
  }
  dr_exec_request request = {.argv = command.argv,
                             .input = command.input,
                             .input_length = command.input_length,
                             .on_output = on_output,
                             .on_exit = on_exited,
                             .data = l,
                             .hold_input = true};
  dr_transport *transport = l->target->transport;
  status = transport->klass->exec(transport, &request, &l->exec, err);
  dr__command_clear(&command);
  return status;
}

static lock *new_lock(locks *all, const dr_op *op, const char *name) {
  lock *l = all ? calloc(1, sizeof *l) : NULL;
  if (!l) return NULL;
  l->all = all;
  l->timer.data = l;
  l->how.status = -1;
  dr__copy_text(l->name, sizeof l->name, name);
  l->target = bare_view(op->target);
  if (l->target) return l;
  free(l);
  return NULL;
}

static int check_name(const dr_op *op, dr_err *err) {
  const char *name = dr__arg_string(op, "name", "");
  if (dr__lock_name_ok(name)) return DR_OK;
  return dr__fail(err, "recipe.argument",
                  "\"%s\" is no name for a lock: letters, digits, '-', '_' and '.', at most 64",
                  name);
}

static int start_acquire(dr_op *op, dr_err *err) {
  const char *name = dr__arg_string(op, "name", "");
  locks *all = get_locks(dr__op_runtime(op));
  lock *l = all ? find_lock(all, op->target, name) : NULL;
  if (l && l->count > 0) {
    l->count++;
    dr__op_done(op, json_pack("{s:s}", "name", name));
    return DR_OK;
  }
  if (l)
    return dr__fail(err, "lock.held", "another strand of this run takes the lock \"%s\"", name);
  l = new_lock(all, op, name);
  if (!l) return dr__err_nomem(err);
  if (begin(l, err) != DR_OK) {
    free_lock(l);
    return DR_FAILED;
  }
  l->next = all->first;
  all->first = l;
  uv_timer_init(op->loop, &l->timer);
  uv_timer_start(&l->timer, on_timeout, ACQUIRE_MS, 0);
  wait_for(l, op);
  return DR_OK;
}

static char *preview_acquire(const dr_op *op) {
  char *text = NULL;
  const char *name = dr__arg_string(op, "name", "");
  int length = asprintf(&text, "take the lock \"%s\" (flock /tmp/deployrun-%s.lock)", name, name);
  return length < 0 ? NULL : text;
}

/* ------------------------------------------------------------ lock.release */

static int start_release(dr_op *op, dr_err *err) {
  (void)err;
  locks *all = get_locks(dr__op_runtime(op));
  lock *l = all ? find_lock(all, op->target, dr__arg_string(op, "name", "")) : NULL;
  if (!l || l->count == 0 || (l->count > 1 && l->count-- > 0)) {
    dr__op_done(op, json_object());
    return DR_OK;
  }
  wait_for(l, op);
  end_lock(l);
  return DR_OK;
}

static char *preview_release(const dr_op *op) {
  char *text = NULL;
  int length = asprintf(&text, "give back the lock \"%s\"", dr__arg_string(op, "name", ""));
  return length < 0 ? NULL : text;
}

/* ------------------------------------------------------------ table */

static const dr_arg args[] = {{"name", DR_ARG_STRING, DR_REQUIRED}, {0}};

static const dr_opspec ops[] = {
    {.name = "lock.acquire",
     .kind = DR_ACTION,
     .idempotent = true,
     .args = args,
     .check = check_name,
     .preview = preview_acquire,
     .start = start_acquire},
    {.name = "lock.release",
     .kind = DR_ACTION,
     .idempotent = true,
     .args = args,
     .preview = preview_release,
     .start = start_release},
    {0},
};

const dr_binding dr__binding_lock = {
    .name = "lock", .ops = ops, .lua = &dr__lua_lock, .gives = ":lock"};
