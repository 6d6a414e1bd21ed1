/* exec_op.c - an op that is one command on a target: started, shown, bounded, and turned into a
 * result or an error a person can act on.
 *
 * Called from the start function of ops (target, git, compose …), on the runtime's thread. Owns a
 * `run` for each command under way: op->self points to it until the gate releases the op. The op
 * ends in finish(), reached from one place only, on_timer_closed(), after the command has exited
 * and the timer is closed. An op that is released before that (its run was thrown away) leaves the
 * run behind to end by itself.
 */
#include "capture.h"
#include "sudo.h"

#include "core/err.h"
#include "ops/binding.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEEP_BYTES = 16 * 1024 * 1024, PULSE_MS = 250 };

typedef struct run {
  dr_op *op;         /* NULL once the op was released */
  dr_target *target; /* referenced */
  dr_exec_spec spec;
  dr_command command; /* until it begins */
  dr_exec *exec;      /* while it runs */
  dr_capture capture;
  dr_exec_exit how;
  uv_timer_t timer; /* the delay before it begins, then its time limit, or its pulse */
  uint64_t begun_ms;
  uint64_t moved, moved_ms; /* of its files, and when that was new */
  bool stalled;
  bool timed_out;
  bool cancelled;
  bool settling; /* asked to end, and may come to its end */
} run;

/* ------------------------------------------------------------ freeing */

static void free_spec(const dr_exec_spec *spec) {
  json_decref(spec->command);
  json_decref(spec->env);
  json_decref(spec->carry);
  dr__exec_files_free(spec->files);
  dr__target_unref(spec->view);
}

static void free_run(run *r) {
  dr__command_clear(&r->command);
  dr__capture_free(&r->capture);
  dr_err_clear(&r->how.err);
  free_spec(&r->spec);
  dr__target_unref(r->target);
  free(r);
}

static void conclude(run *r);

static void stop(run *r) {
  r->cancelled = true;
  if (r->exec)
    r->target->transport->klass->cancel(r->exec);
  else
    conclude(r);
}

static void on_settle_over(uv_timer_t *timer) {
  stop(timer->data);
}

static void on_cancel(dr_op *op) {
  run *r = op->self;
  if (r->exec && r->spec.settle > 0 && !r->settling && !r->timed_out) {
    r->settling = true;
    uv_timer_start(&r->timer, on_settle_over, (uint64_t)(r->spec.settle * 1000), 0);
  } else {
    stop(r);
  }
}

static void on_release(dr_op *op) {
  run *r = op->self;
  if (!op->finished && r->spec.over) r->spec.over(op);
  op->self = NULL;
  if (op->finished) {
    free_run(r);
    return;
  }
  r->op = NULL;
  stop(r);
}

/* ------------------------------------------------------------ errors */

static void add_detail(const run *r, dr_err *err) {
  char *tail = dr__capture_tail(&r->capture);
  if (tail && tail[0]) dr__err_detail(err, tail, strlen(tail));
  free(tail);
}

/* True when the last thing the command wrote to stream 2 contains `text`. */
static bool wrote(const run *r, const char *text) {
  return strstr(dr__capture_bytes(&r->capture, 2), text) != NULL;
}

/* True when sudo itself refused, before the command began: then nothing but its words came. A
 * terminal shows them as output. */
static bool sudo_failed(const run *r, int status, dr_err *err) {
  bool asked = false;
  for (const dr_target *view = r->target; view; view = view->within) asked = asked || view->sudo;
  const char *output = dr__capture_bytes(&r->capture, 1);
  if (!asked || (status != 1 && status != 127) || (!r->spec.pty && output[0])) return false;
  const char *words = r->spec.pty ? output : dr__capture_bytes(&r->capture, 2);
  dr_sudo_verdict verdict = dr__sudo_verdict_of(status, words, true);
  bool welcome = verdict == DR_SUDO_OTHER || verdict == DR_SUDO_NO_PROGRAM;
  if (verdict == DR_SUDO_SILENT || (welcome && r->spec.any_status)) return false;
  char name[160];
  dr__command_name(r->spec.command, name, sizeof name);
  dr__sudo_explain(verdict, r->target, name, err);
  if (verdict == DR_SUDO_WRONG) (void)dr__sudo_keep(r->target->transport, NULL);
  return true;
}

static bool takes_any_status(const dr_op *op) {
  for (const dr_arg *arg = op->spec->args; arg && arg->name; arg++)
    if (strcmp(arg->name, "any_status") == 0) return true;
  return false;
}

static void status_error(const run *r, int status, dr_err *err) {
  char name[160];
  dr__command_name(r->spec.command, name, sizeof name);
  if (sudo_failed(r, status, err)) {
    add_detail(r, err);
    return;
  }
  if (status == 127) {
    dr__fail(err, "command.not_found", "%s: the program was not found", name);
    dr__err_hint(err, "install it there, or give its full path");
  } else {
    dr__fail(err, "command.failed", "%s exited with status %d", name, status);
    dr__err_hint(err, "%s",
                 status == 126
                     ? "the program exists but may not be executed: look at its mode, and at the "
                       "file system's (noexec)"
                 : takes_any_status(r->op)
                     ? "run it by hand there to see more. Where that status is no failure, say "
                       "any_status = true"
                     : "run it by hand there to see more");
  }
  add_detail(r, err);
}

static const char *signal_hint(const char *name) {
  static const char *const crashes[] = {"SEGV", "ABRT", "BUS", "ILL", "FPE", "SYS", "TRAP"};
  if (strcmp(name, "KILL") == 0)
    return "the kernel does that when memory runs out (look at dmesg), or somebody did";
  for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
    if (strcmp(name, crashes[i]) == 0)
      return "the program crashed: look at what it wrote, at dmesg and coredumpctl there";
  return "somebody or something there ended it (a kill, a shutdown, a limit): look at that "
         "machine's log, then run again";
}

static void signal_error(const run *r, dr_err *err) {
  char name[160];
  dr__command_name(r->spec.command, name, sizeof name);
  dr__fail(err, "command.signal", "%s was ended by signal %s", name, r->how.signal);
  dr__err_hint(err, "%s", signal_hint(r->how.signal));
  add_detail(r, err);
}

/* True when the command was told to end and is not known to have done so. */
static bool may_still_run(const run *r) {
  const char *code = r->how.err.code;
  return strcmp(code, "command.stuck") == 0 ||
         (strcmp(code, "ssh.connection_lost") == 0 && !r->how.not_begun);
}

/* What the transport says of how the command was ended is the cause; of one that may still run, the
 * hint too. */
static void add_end(run *r, dr_err *err) {
  if (may_still_run(r)) dr__err_hint(err, "%s", r->how.err.hint);
  if (may_still_run(r) || r->how.not_begun) dr__err_because(err, &r->how.err);
}

static void timeout_error(run *r, dr_err *err) {
  char name[160];
  dr__command_name(r->spec.command, name, sizeof name);
  dr__fail(err, "command.timeout", "%s did not %s within %g s%s", name,
           r->how.not_begun ? "begin" : "end", r->spec.timeout,
           r->how.not_begun   ? ""
           : may_still_run(r) ? " and may still run"
                              : " and was stopped");
  dr__err_hint(err, "if it may take longer, say timeout = seconds");
  add_end(r, err);
  add_detail(r, err);
}

static void stall_error(run *r, dr_err *err) {
  dr__fail(err, "transfer.stalled", "no byte was moved for %g s, and it %s", r->spec.stall,
           may_still_run(r) ? "may still run" : "was stopped");
  dr__err_hint(err, "look at the network, and at the disk and load of the target");
  add_end(r, err);
  add_detail(r, err);
}

/* The message is all that is shown of an op that was stopped. */
static void cancelled_error(run *r, dr_err *err) {
  if (may_still_run(r))
    dr__fail(err, "cancelled", "it was told to stop and may still run: %s", r->how.err.message);
  else
    dr__fail(err, "cancelled", "it was stopped");
  add_end(r, err);
}

static void folder_error(const run *r, dr_err *err) {
  const dr_target *view = r->target;
  while (!view->cwd && view->within) view = view->within;
  dr__fail(err, "command.no_such_folder", "cannot enter the folder %s", view->cwd ? view->cwd : "");
  dr__err_hint(err, "check the path that was given (dir =, :cd()), and that the user may enter it");
  add_detail(r, err);
}

/* Fills err when the way the command ended is a failure. Order matters: what we did to it comes
 * first. */
static bool has_failed(run *r, dr_err *err) {
  bool no_folder = r->how.status == DR_NOT_BEGUN && wrote(r, DR_NO_FOLDER_MARK);
  if (r->cancelled)
    cancelled_error(r, err);
  else if (r->stalled)
    stall_error(r, err);
  else if (r->timed_out)
    timeout_error(r, err);
  else if (r->how.err.code[0])
    dr__err_move(err, &r->how.err);
  else if (r->how.signal[0])
    signal_error(r, err);
  else if (no_folder)
    folder_error(r, err);
  else if (r->how.status != 0 && (!r->spec.any_status || sudo_failed(r, r->how.status, err)))
    status_error(r, r->how.status, err);
  return err->code[0] != '\0';
}

/* ------------------------------------------------------------ the end */

static void fail_op(run *r, dr_err *err) {
  dr_op *op = r->op;
  /* A command that was ended because a file here failed, and would not end, was not interrupted. */
  bool broken = !r->cancelled && dr__exec_file_error(op) != 0;
  bool stopped = strcmp(err->code, "cancelled") == 0 && !broken;
  if (r->spec.fail && !stopped) r->spec.fail(op, err);
  if (op->self == r) {
    dr__op_fail(op, err);
  } else { /* it began another command */
    dr_err_clear(err);
    free_run(r);
  }
}

/* Hands the output to the binding's parse, which may begin another command: then the op goes on
 * with a new run, and this one is freed here. */
static void give_result(run *r) {
  dr_op *op = r->op;
  dr_err err = DR_ERR_INIT;
  json_t *result = dr__capture_result(&r->capture, r->how.status);
  if (!result)
    dr__err_nomem(&err);
  else if (r->spec.parse)
    result = r->spec.parse(op, r->how.status, result, &err);
  if (result) {
    dr__op_done(op, result);
  } else if (op->self != r) {
    dr_err_clear(&err);
    free_run(r);
  } else {
    if (!err.code[0] && dr__op_whole(op, &err) == DR_OK)
      dr__fail(&err, "command.failed", "its output could not be understood");
    fail_op(r, &err);
  }
}

static void finish(run *r) {
  dr_err err = DR_ERR_INIT;
  if (r->op && r->spec.over) r->spec.over(r->op);
  if (!r->op)
    free_run(r);
  else if (has_failed(r, &err))
    fail_op(r, &err);
  else
    give_result(r);
}

static void on_timer_closed(uv_handle_t *handle) {
  finish(handle->data);
}

/* The command is over, or will not begin. */
static void conclude(run *r) {
  uv_handle_t *timer = (uv_handle_t *)&r->timer;
  if (!uv_is_closing(timer)) uv_close(timer, on_timer_closed);
}

static void on_exited(void *data, dr_exec_exit *how) {
  run *r = data;
  r->exec = NULL;
  r->how.status = how->status;
  r->how.not_begun = how->not_begun;
  memcpy(r->how.signal, how->signal, sizeof r->how.signal);
  dr__err_move(&r->how.err, &how->err);
  conclude(r);
}

/* ------------------------------------------------------------ the start */

static void on_output(void *data, int stream, const char *bytes, size_t length) {
  run *r = data;
  dr__capture_add(&r->capture, stream, bytes, length);
  if (r->op && !r->spec.quiet) dr__op_output(r->op, stream, bytes, length);
}

static void on_timeout(uv_timer_t *timer) {
  run *r = timer->data;
  r->timed_out = true;
  if (r->exec) r->target->transport->klass->cancel(r->exec);
}

/* True when bytes are still to come and none came for too long. */
static bool has_stalled(run *r, uint64_t moved, uint64_t now) {
  if (moved != r->moved || moved >= r->spec.files->total) r->moved_ms = now;
  r->moved = moved;
  return r->spec.stall > 0 && (double)(now - r->moved_ms) >= r->spec.stall * 1000;
}

static void on_pulse(uv_timer_t *timer) {
  run *r = timer->data;
  uint64_t now = uv_now(timer->loop), moved = dr__exec_files_moved(r->spec.files);
  double seconds = (double)(now - r->begun_ms) / 1000;
  if (!r->op || !r->exec || r->timed_out || r->stalled) return;
  if (r->spec.timeout > 0 && seconds >= r->spec.timeout) {
    on_timeout(timer);
    return;
  }
  r->stalled = has_stalled(r, moved, now);
  if (r->stalled) r->target->transport->klass->cancel(r->exec);
  if (r->spec.pulse) r->spec.pulse(r->op, moved, seconds);
}

static uint64_t milliseconds(double seconds) {
  return seconds < 1e12 ? (uint64_t)(seconds * 1000 + 0.5) : UINT64_MAX / 2;
}

/* Gives the command to the transport and arms the time limit. The timer is initialised by the
 * caller. */
static int begin(run *r, dr_err *err) {
  dr_transport *transport = r->target->transport;
  dr_exec_request request = {.argv = r->command.argv,
                             .cwd = r->command.cwd,
                             .env = r->command.env,
                             .input = r->command.input,
                             .input_length = r->command.input_length,
                             .pty = r->spec.pty,
                             .connect_only = r->spec.connect_only,
                             .files = r->spec.files,
                             .on_output = on_output,
                             .on_exit = on_exited,
                             .data = r};
  int status = dr__op_whole(r->op, err);
  if (status == DR_OK) status = transport->klass->exec(transport, &request, &r->exec, err);
  r->begun_ms = r->moved_ms = uv_now(transport->loop);
  if (status == DR_OK && r->spec.files)
    uv_timer_start(&r->timer, on_pulse, PULSE_MS, PULSE_MS);
  else if (status == DR_OK && r->spec.timeout > 0)
    uv_timer_start(&r->timer, on_timeout, milliseconds(r->spec.timeout), 0);
  dr__command_clear(&r->command);
  return status;
}

/* Where any status is welcome, "no such program" is one: 127, as a shell on the far side says it.
 */
static bool is_status_127(const run *r, const dr_err *err) {
  return r->spec.any_status && strcmp(err->code, "command.not_found") == 0;
}

/* Ends a run whose command could not begin; from the loop, so that start() never ends its own op.
 */
static void on_not_begun(uv_timer_t *timer) {
  conclude(timer->data);
}

static int not_begun(run *r, dr_err *err) {
  if (is_status_127(r, err)) {
    r->how.status = 127;
    dr__capture_add(&r->capture, 2, err->message, strlen(err->message));
    dr_err_clear(err);
  } else {
    dr__err_move(&r->how.err, err);
  }
  uv_timer_start(&r->timer, on_not_begun, 0, 0);
  return DR_OK;
}

static void on_delay_over(uv_timer_t *timer) {
  run *r = timer->data;
  dr_err err = DR_ERR_INIT;
  if (begin(r, &err) != DR_OK) not_begun(r, &err);
}

/* The op's view, or the spec's, with the spec's environment over it. New reference, or NULL. */
static dr_target *view_of(const dr_op *op, const dr_exec_spec *spec) {
  dr_target *view = spec->view ? spec->view : op->target;
  return spec->env ? dr__target_env(view, spec->env) : dr__target_ref(view);
}

/* Takes over what the spec owns, also on failure. */
static run *new_run(dr_op *op, const dr_exec_spec *spec, dr_err *err) {
  run *r = calloc(1, sizeof *r);
  if (!r) {
    free_spec(spec);
    dr__err_nomem(err);
    return NULL;
  }
  r->op = op;
  r->spec = *spec;
  r->capture.keep = spec->keep ? spec->keep : KEEP_BYTES;
  r->how.status = -1;
  r->timer.data = r;
  r->target = view_of(op, spec);
  int status = r->target ? dr__command_build(&r->command, r->target, spec->command, spec->input,
                                             spec->input_length, dr__runtime_secret_in,
                                             dr__op_runtime(op), err)
                         : dr__err_nomem(err);
  if (status == DR_OK && spec->pty && r->command.input_length > spec->input_length)
    status = dr__fail(err, "command.argument",
                      "a secret in the environment cannot go through a terminal (pty = true)");
  if (status == DR_OK) status = dr__sudo_prepare(&r->command, r->target, spec->pty, err);
  if (status == DR_OK) return r;
  free_run(r);
  return NULL;
}

int dr__exec_op(dr_op *op, const dr_exec_spec *spec, dr_err *err) {
  run *r = new_run(op, spec, err);
  if (!r) return DR_FAILED;
  uv_timer_init(op->loop, &r->timer);
  r->spec.input = NULL; /* it was borrowed for this call only */
  op->self = r;
  op->cancel = on_cancel;
  op->release = on_release;
  if (spec->delay > 0)
    uv_timer_start(&r->timer, on_delay_over, milliseconds(spec->delay), 0);
  else if (begin(r, err) != DR_OK)
    return not_begun(r, err);
  return DR_OK;
}

/* ------------------------------------------------------------ for parse */

json_t *dr__exec_carry(const dr_op *op) {
  return ((const run *)op->self)->spec.carry;
}

const char *dr__exec_text(const dr_op *op, int stream) {
  return dr__capture_bytes(&((const run *)op->self)->capture, stream);
}

uint64_t dr__exec_moved(const dr_op *op) {
  dr_exec_files *files = ((const run *)op->self)->spec.files;
  return files ? dr__exec_files_moved(files) : 0;
}

int dr__exec_file_error(const dr_op *op) {
  dr_exec_files *files = ((const run *)op->self)->spec.files;
  return files ? atomic_load(&files->failed) : 0;
}

void *dr__exec_take_source(const dr_op *op) {
  dr_exec_files *files = ((const run *)op->self)->spec.files;
  void *source = files ? files->source : NULL;
  if (files) files->source = NULL;
  return source;
}

void dr__exec_failed(const dr_op *op, int status, dr_err *err) {
  status_error(op->self, status, err);
}

char *dr__exec_preview(const dr_op *op, const json_t *command) {
  return dr__command_preview(op->target, command, dr__runtime_secret_in, dr__op_runtime(op));
}
