/* local.c - the transport to this machine: commands as child processes.
 *
 * Owns each child process from its start to the closing of its last handle. Called through
 * dr_transport_class by exec_op.c and lock.c; everything happens on the runtime's thread.
 *
 * A child gets a session of its own, so that a cancel reaches its whole tree: TERM, after 5 s KILL.
 * It has ended when it has exited and both its outputs are at their end. A grandchild that keeps
 * them open (a daemon started in the background) gets 2 s; a child that even KILL does not end is
 * given up after another 5 s. No wait here is without a bound. The handles live in a block of their
 * own, freed when libuv has closed the last of them; only then on_exit is called.
 */
#include "child_io.h"
#include "core/err.h"
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bounds are counted in ticks of the loop and not read from a clock: when the program did not get
 * to its loop for a while (a question at the terminal), output that waits in the pipe is not cut
 * off. */
enum {
  TICK_MS = 50,
  GRACE_TICKS = 5000 / TICK_MS, /* between TERM and KILL, and between KILL and giving up */
  DRAIN_TICKS = 2000 / TICK_MS, /* for outputs to end after the child has exited */
  CHUNK = 64 * 1024             /* a pipe's capacity */
};

typedef struct child {
  dr_transport *transport; /* referenced */
  uv_process_t process;
  uv_pipe_t output[2];
  uv_poll_t input_poll;
  uv_timer_t tick;
  int open_handles; /* not yet closed */
  int open_outputs; /* not yet at their end */
  bool polling;     /* input_poll is open */
  bool exited;
  bool cancelled;
  bool killed;
  bool denied; /* we may not signal it */
  bool closing;
  bool hold_input;
  int grace; /* ticks until KILL when cancelled, until giving up when killed */
  int drain; /* ticks until outputs are closed when exited */
  int input_fd;
  char *input; /* what is still to be written; owned */
  size_t input_length;
  size_t input_done;
  dr_exec_files *files; /* its input comes after `input`, through our pipe; or NULL */
  dr_exec_exit how;
  void (*on_output)(void *data, int stream, const char *bytes, size_t length);
  void (*on_exit)(void *data, dr_exec_exit *how);
  void *data;
  char buffer[CHUNK];
} child;

/* ------------------------------------------------------------ the end */

static void on_closed(uv_handle_t *handle) {
  child *c = handle->data;
  if (--c->open_handles > 0) return;
  if (c->on_exit) c->on_exit(c->data, &c->how);
  dr_err_clear(&c->how.err);
  dr__transport_unref(c->transport);
  free(c);
}

static void close_handle(void *handle) {
  uv_handle_t *h = handle;
  if (!uv_is_closing(h)) uv_close(h, on_closed);
}

/* Closes our end of standard input, so that the child reads an end of file. */
static void close_input(child *c) {
  if (c->polling) close_handle(&c->input_poll);
  c->polling = false;
  if (c->input_fd >= 0) close(c->input_fd);
  c->input_fd = -1;
  if (c->input) explicit_bzero(c->input, c->input_length); /* it may have held secrets */
  free(c->input);
  c->input = NULL;
}

static void close_all(child *c) {
  if (c->closing) return;
  c->closing = true;
  close_input(c);
  if (c->process.loop) close_handle(&c->process);
  close_handle(&c->output[0]);
  close_handle(&c->output[1]);
  close_handle(&c->tick);
}

/* A cancelled child is over when its whole group is, or has been sent KILL. */
static void finish_if_over(child *c) {
  if (!c->exited || c->open_outputs > 0) return;
  bool others_may_end = c->cancelled && !c->killed && dr__child_group_alive(c->process.pid);
  if (!others_may_end) close_all(c);
}

/* ------------------------------------------------------------ the bounds */

/* A process that sudo started belongs to another user, who alone may signal it. */
static void signal_group(child *c, int number) {
  c->denied = kill(-c->process.pid, number) != 0 && errno == EPERM;
}

static void give_up(child *c) {
  if (c->denied) {
    dr__fail(&c->how.err, "command.stuck",
             "process %d belongs to another user and cannot be stopped", c->process.pid);
    dr__err_hint(&c->how.err, "it still runs; end it with: sudo kill -- -%d", c->process.pid);
  } else {
    dr__fail(&c->how.err, "command.stuck", "process %d does not end, even by KILL", c->process.pid);
    dr__err_hint(&c->how.err, "it waits inside the kernel, mostly for a disk or a network folder");
  }
  close_all(c);
}

static void on_tick(uv_timer_t *timer) {
  child *c = timer->data;
  bool patience_ends = c->cancelled && --c->grace <= 0;
  if (patience_ends && !c->killed) {
    signal_group(c, SIGKILL);
    c->killed = true;
    c->grace = GRACE_TICKS;
  } else if (patience_ends && !c->exited) {
    give_up(c);
    return;
  }
  if (c->exited && --c->drain <= 0) c->open_outputs = 0;
  finish_if_over(c);
}

static void start_ticking(child *c) {
  if (!uv_is_active((uv_handle_t *)&c->tick)) uv_timer_start(&c->tick, on_tick, TICK_MS, TICK_MS);
}

static void local_cancel(dr_exec *exec) {
  child *c = (child *)(void *)exec;
  if (c->closing) return;
  if (c->cancelled) {
    c->grace = c->killed ? c->grace : 0; /* asked again: no more patience */
    return;
  }
  c->cancelled = true;
  c->grace = GRACE_TICKS;
  close_input(c);
  signal_group(c, SIGTERM);
  start_ticking(c);
}

static void name_signal(char *name, size_t size, int number) {
  const char *known = sigabbrev_np(number);
  if (known)
    dr__copy_text(name, size, known);
  else
    snprintf(name, size, "%d", number);
}

static void on_process_exit(uv_process_t *process, int64_t status, int signal_number) {
  child *c = process->data;
  c->exited = true;
  c->how.status = signal_number ? -1 : (int)status;
  if (signal_number) name_signal(c->how.signal, sizeof c->how.signal, signal_number);
  c->drain = DRAIN_TICKS;
  start_ticking(c);
  finish_if_over(c);
}

/* ------------------------------------------------------------ bytes out, in */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
  (void)suggested;
  child *c = handle->data;
  *buffer = uv_buf_init(c->buffer, CHUNK);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer) {
  child *c = stream->data;
  if (length > 0) {
    c->on_output(c->data, stream == (uv_stream_t *)&c->output[0] ? 1 : 2, buffer->base,
                 (size_t)length);
  } else if (length < 0) { /* the end; a terminal says EIO */
    uv_read_stop(stream);
    if (c->open_outputs > 0) c->open_outputs--;
    finish_if_over(c);
  }
}

/* Writes what the pipe takes. Returns true when there is nothing left to do: all written, or nobody
 * reads it any more, which is the reader's right. */
static bool write_input(child *c) {
  while (c->input_done < c->input_length) {
    long written =
        dr__child_write(c->input_fd, c->input + c->input_done, c->input_length - c->input_done);
    if (written == -EAGAIN) return false;
    if (written < 0) return true;
    c->input_done += (size_t)written;
  }
  return true;
}

/* Reads the next piece of the file once all before it is written. False when there is none. */
static bool refill(child *c) {
  if (!c->files) return false;
  if (c->input) explicit_bzero(c->input, c->input_length);
  char *block = realloc(c->input, CHUNK);
  if (!block) return false;
  c->input = block;
  c->input_done = 0;
  c->input_length = dr__exec_files_read(c->files, block, CHUNK);
  if (c->input_length == 0) c->files = NULL;
  return c->files != NULL;
}

static void on_writable(uv_poll_t *poll, int status, int events) {
  (void)events;
  child *c = poll->data;
  if (status == 0 && !write_input(c)) return;
  bool broken = c->input_done < c->input_length;
  if (status == 0 && !broken && refill(c)) return;
  if (c->hold_input && status == 0)
    uv_poll_stop(poll);
  else
    close_input(c);
}

/* A terminal has no end of file but control-D, which counts as such only at the start of a line. */
static void end_terminal_input(child *c) {
  if (c->input_length > 0 && c->input[c->input_length - 1] != '\n')
    c->input[c->input_length++] = '\x04';
  c->input[c->input_length++] = '\x04';
}

/* Begins to write the input. What fits into the pipe goes at once; only more than that is waited
 * for. */
static int begin_input(child *c, const dr_exec_request *request) {
  if (c->input_fd < 0) return 0;
  c->input_length = request->input_length;
  c->input = malloc(c->input_length + 2);
  if (!c->input) return UV_ENOMEM;
  if (request->input_length > 0) memcpy(c->input, request->input, request->input_length);
  if (request->pty) end_terminal_input(c);
  if (write_input(c) && !c->files) {
    if (!c->hold_input) close_input(c);
    return 0;
  }
  int failed = uv_poll_init(c->transport->loop, &c->input_poll, c->input_fd);
  if (failed) return failed;
  c->polling = true;
  c->open_handles++;
  return uv_poll_start(&c->input_poll, UV_WRITABLE, on_writable);
}

/* ------------------------------------------------------------ the start */

static void free_strings(char **list) {
  for (size_t i = 0; list && list[i]; i++) free(list[i]);
  free(list);
}

static char **copy_argv(const json_t *argv) {
  size_t count = json_array_size(argv);
  char **list = calloc(count + 1, sizeof *list);
  for (size_t i = 0; list && i < count; i++) {
    list[i] = strdup(json_string_value(json_array_get(argv, i)));
    if (!list[i]) {
      free_strings(list);
      return NULL;
    }
  }
  return list;
}

static bool is_replaced(const char *entry, const json_t *env) {
  size_t length = strcspn(entry, "=");
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)env, name, value) {
    if (strlen(name) == length && strncmp(entry, name, length) == 0) return true;
  }
  return false;
}

/* Our own environment with `env` put over it. */
static char **merge_env(const json_t *env) {
  size_t count = 0;
  while (environ[count]) count++;
  char **list = calloc(count + json_object_size(env) + 1, sizeof *list);
  size_t used = 0;
  bool whole = list != NULL;
  for (size_t i = 0; whole && i < count; i++)
    if (!is_replaced(environ[i], env)) whole = (list[used++] = strdup(environ[i])) != NULL;
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)env, name, value) {
    if (whole && asprintf(&list[used++], "%s=%s", name, json_string_value(value)) < 0) {
      list[used - 1] = NULL;
      whole = false;
    }
  }
  if (whole) return list;
  free_strings(list);
  return NULL;
}

/* The folder with "~/" made whole; malloc'd. */
static char *expand_folder(const char *folder) {
  const char *home = getenv("HOME");
  char *path = NULL;
  if (folder[0] == '~' && (folder[1] == '/' || folder[1] == '\0') && home)
    return asprintf(&path, "%s%s", home, folder + 1) < 0 ? NULL : path;
  return strdup(folder);
}

static int check_folder(const char *folder, dr_err *err) {
  struct stat info;
  int failed = stat(folder, &info) != 0 || access(folder, X_OK) != 0 ? errno : 0;
  if (!failed && !S_ISDIR(info.st_mode)) failed = ENOTDIR;
  if (!failed) return DR_OK;
  dr__fail(err, "command.no_such_folder", "cannot enter the folder %s: %s", folder,
           strerror(failed));
  dr__err_hint(err, "check the path that was given (dir =, :cd()); a relative one counts from the "
                    "folder deployrun was started in");
  return DR_FAILED;
}

/* What a failed uv_spawn means to the person who wrote the command. */
static int explain_spawn(int failed, const char *program, dr_err *err) {
  if (failed == UV_ENOENT && strchr(program, '/') && access(program, F_OK) == 0) {
    dr__fail(err, "command.not_found",
             "\"%s\" cannot run: the interpreter in its first line does "
             "not exist",
             program);
  } else if (failed == UV_ENOENT) {
    dr__fail(err, "command.not_found", "there is no program \"%s\" on this machine", program);
    dr__err_hint(err, "install it, or give its full path");
  } else if (failed == UV_EACCES) {
    dr__fail(err, "command.not_executable", "\"%s\" may not be executed", program);
    dr__err_hint(err, "chmod +x, or run it by its interpreter");
  } else {
    dr__fail(err, "command.not_started", "\"%s\" could not be started: %s", program,
             uv_strerror(failed));
  }
  return DR_FAILED;
}

/* With a terminal, a shell opens it by name: that makes it the session's controlling terminal. */
static json_t *terminal_argv(const json_t *argv, const char *terminal) {
  json_t *words = json_pack("[s, s, s, s]", "/bin/sh", "-c",
                            "t=$1; shift; exec \"$@\" <\"$t\" >\"$t\" 2>&1", "sh");
  if (words && json_array_append_new(words, json_string(terminal)) == 0 &&
      json_array_extend(words, (json_t *)argv) == 0)
    return words;
  json_decref(words);
  return NULL;
}

/* Starts the process; c->process is initialised in any case. Returns 0 or a libuv error. */
static int spawn(child *c, const dr_exec_request *request, const char *cwd, dr_child_io *io) {
  json_t *argv =
      io->terminal[0] ? terminal_argv(request->argv, io->terminal) : json_incref(request->argv);
  char **args = argv ? copy_argv(argv) : NULL;
  char **env = merge_env(request->env);
  int failed = UV_ENOMEM;
  if (args && env) {
    uv_stdio_container_t stdio[3];
    for (int i = 0; i < 3; i++)
      stdio[i] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = io->child[i]};
    uv_process_options_t options = {.exit_cb = on_process_exit,
                                    .file = args[0],
                                    .args = args,
                                    .env = env,
                                    .cwd = cwd,
                                    .flags = UV_PROCESS_DETACHED,
                                    .stdio_count = 3,
                                    .stdio = stdio};
    failed = uv_spawn(c->transport->loop, &c->process, &options);
  }
  free_strings(args);
  free_strings(env);
  json_decref(argv);
  return failed;
}

static void init_handles(child *c, uv_loop_t *loop) {
  uv_pipe_init(loop, &c->output[0], 0);
  uv_pipe_init(loop, &c->output[1], 0);
  uv_timer_init(loop, &c->tick);
  c->process.data = c->output[0].data = c->output[1].data = c->tick.data = c->input_poll.data = c;
  c->open_handles = 4; /* these and the process */
}

/* Gives our ends of the outputs to libuv and begins to read them. */
static int begin_output(child *c, dr_child_io *io) {
  int *ends[2] = {&io->output, &io->error};
  for (int i = 0; i < 2; i++) {
    if (*ends[i] < 0) continue;
    int failed = uv_pipe_open(&c->output[i], *ends[i]);
    if (failed) return failed;
    *ends[i] = -1;
    c->open_outputs++;
    failed = uv_read_start((uv_stream_t *)&c->output[i], on_alloc, on_read);
    if (failed) return failed;
  }
  return 0;
}

/* True when the file's bytes go through a pipe of ours: there is input before them, or they are no
 * file's. */
static bool feeds_by_pipe(const dr_exec_request *request) {
  return dr__exec_files_feeds(request->files) &&
         (request->input_length > 0 || request->files->read || request->pty);
}

/* Puts a descriptor in the place of the one that the child would get. */
static int lend(dr_exec_files *files, int fd, int *place) {
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return errno;
  if (*place >= 0) close(*place);
  *place = copy;
  dr__exec_files_lend(files, fd);
  return 0;
}

/* Gives the child the files themselves where that can be. Returns 0 or an errno. */
static int lend_files(const dr_exec_request *request, dr_child_io *io) {
  dr_exec_files *files = request->files;
  int failed = 0;
  if (!files || request->pty) return 0;
  if (files->input_fd >= 0 && !feeds_by_pipe(request))
    failed = lend(files, files->input_fd, &io->child[0]);
  if (failed || files->output_fd < 0) return failed;
  close(io->output);
  io->output = -1;
  return lend(files, files->output_fd, &io->child[1]);
}

static child *new_child(dr_transport *transport, const dr_exec_request *request) {
  child *c = calloc(1, sizeof *c);
  if (!c) return NULL;
  c->transport = dr__transport_ref(transport);
  c->input_fd = -1;
  c->how.status = -1;
  c->hold_input = request->hold_input;
  if (feeds_by_pipe(request)) c->files = request->files;
  c->on_output = request->on_output;
  c->data = request->data;
  return c;
}

/* Starts the child and its streams; on failure everything is on its way out and on_exit is not
 * called. */
static int start_child(child *c, const dr_exec_request *request, const char *cwd, dr_child_io *io,
                       dr_err *err) {
  init_handles(c, c->transport->loop);
  int failed = spawn(c, request, cwd, io);
  if (failed) {
    explain_spawn(failed, json_string_value(json_array_get(request->argv, 0)), err);
    if (!c->process.loop) /* libuv was not reached */
      c->open_handles--;
    close_all(c);
    return DR_FAILED;
  }
  dr__child_close_theirs(io);
  c->input_fd = io->input;
  io->input = -1;
  failed = begin_output(c, io);
  if (!failed) failed = begin_input(c, request);
  if (!failed) {
    c->on_exit = request->on_exit;
    return DR_OK;
  }
  kill(-c->process.pid, SIGKILL);
  close_all(c);
  return dr__fail(err, "command.not_started", "its pipes could not be set up: %s",
                  uv_strerror(failed));
}

static int local_exec(dr_transport *transport, const dr_exec_request *request, dr_exec **out,
                      dr_err *err) {
  char *cwd = request->cwd ? expand_folder(request->cwd) : NULL;
  if (request->cwd && !cwd) return dr__err_nomem(err);
  int status = cwd ? check_folder(cwd, err) : DR_OK;
  dr_child_io io = {.child = {-1, -1, -1}, .input = -1, .output = -1, .error = -1};
  if (status == DR_OK) {
    bool input = request->input_length > 0 || request->hold_input || feeds_by_pipe(request);
    int failed = request->pty ? dr__child_terminal(&io) : dr__child_pipes(&io, input);
    if (!failed) failed = lend_files(request, &io);
    if (failed)
      status = dr__fail(err, "command.not_started", "no pipe could be made: %s", strerror(failed));
  }
  child *c = status == DR_OK ? new_child(transport, request) : NULL;
  if (status == DR_OK) status = c ? start_child(c, request, cwd, &io, err) : dr__err_nomem(err);
  if (status == DR_OK) *out = (dr_exec *)(void *)c;
  dr__child_close(&io);
  free(cwd);
  return status;
}

static void local_destroy(dr_transport *transport) {
  free(transport);
}

static const dr_transport_class local_class = {
    .kind = "local", .exec = local_exec, .cancel = local_cancel, .destroy = local_destroy};

dr_transport *dr__local_new(uv_loop_t *loop) {
  dr_transport *transport = calloc(1, sizeof *transport);
  if (!transport) return NULL;
  transport->klass = &local_class;
  transport->references = 1;
  transport->loop = loop;
  dr__copy_text(transport->name, sizeof transport->name, "local");
  return transport;
}
