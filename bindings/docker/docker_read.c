/* docker_read.c - reads an env file on the target: `docker run --env-file` reads it where docker
 * runs, so does this. Owns the bytes until they are given on, and overwrites them then: they hold
 * secrets. Called by docker ops and by the loop, on the runtime's thread.
 */
#include "docker_create.h"

#include "core/err.h"
#include "target/sudo.h"
#include "target/target.h"

#include <stdlib.h>
#include <string.h>

enum { LARGEST = 1 << 20, BOUND_MS = 30000 };

struct dr_docker_read {
  dr_target *target; /* referenced */
  char *path;
  char *bytes; /* LARGEST + 1 */
  size_t length;
  char words[300]; /* of stderr */
  void (*on_done)(void *data, const char *text, size_t length, dr_err *err);
  void *data;
  bool cancelled;
  bool late;
  dr_exec *exec;
  uv_timer_t timer; /* bounds it */
};

static void read_free(dr_docker_read *read) {
  if (read->bytes) explicit_bzero(read->bytes, read->length);
  dr__target_unref(read->target);
  free(read->bytes);
  free(read->path);
  free(read);
}

void dr__docker_read_cancel(dr_docker_read *read) {
  read->cancelled = true;
  read->target->transport->klass->cancel(read->exec);
}

static void on_output(void *data, int stream, const char *bytes, size_t length) {
  dr_docker_read *read = data;
  if (stream == 1) {
    size_t room = LARGEST + 1 - read->length;
    size_t taken = length < room ? length : room;
    memcpy(read->bytes + read->length, bytes, taken);
    read->length += taken;
    return;
  }
  size_t used = strlen(read->words), room = sizeof read->words - 1 - used;
  memcpy(read->words + used, bytes, length < room ? length : room);
}

static void explain(const dr_docker_read *read, dr_exec_exit *how, dr_err *err) {
  if (read->late) {
    dr__fail(err, "docker.env_file", "the env file %s was not read within %d s", read->path,
             BOUND_MS / 1000);
    dr__err_hint(err, "it is looked for on the server, in the folder of the target: is it a named "
                      "pipe, or on a network folder that hangs?");
  } else if (how->err.code[0]) {
    dr__err_move(err, &how->err);
  } else if (read->length > LARGEST) {
    dr__fail(err, "docker.env_file", "the env file %s is larger than 1 MiB", read->path);
  } else if (how->status != 0) {
    dr__fail(err, "docker.env_file", "the env file %s cannot be read: %.*s", read->path,
             (int)strcspn(read->words, "\n"), read->words);
    dr__err_hint(err, "it is looked for on the server, in the folder of the target; may its user "
                      "read it?");
  }
}

static void on_closed(uv_handle_t *timer) {
  read_free(timer->data);
}

static void on_late(uv_timer_t *timer) {
  dr_docker_read *read = timer->data;
  read->late = true;
  read->target->transport->klass->cancel(read->exec);
}

static void on_exited(void *data, dr_exec_exit *how) {
  dr_docker_read *read = data;
  dr_err err = DR_ERR_INIT;
  if (!read->cancelled) {
    explain(read, how, &err);
    read->on_done(read->data, err.code[0] ? NULL : read->bytes, read->length,
                  err.code[0] ? &err : NULL);
  }
  dr_err_clear(&err);
  uv_close((uv_handle_t *)&read->timer, on_closed);
}

static int begin(dr_docker_read *read, dr_op *op, dr_err *err) {
  dr_command command;
  dr_transport *transport = read->target->transport;
  char *path = dr__folder_quote(read->path);
  json_t *line = path ? json_sprintf("cat -- %s", path) : NULL;
  free(path);
  if (!line) return dr__err_nomem(err);
  int status = dr__command_build(&command, read->target, line, NULL, 0, dr__runtime_secret_in,
                                 dr__op_runtime(op), err);
  json_decref(line);
  if (status == DR_OK) status = dr__sudo_prepare(&command, read->target, false, err);
  if (status) {
    dr__command_clear(&command);
    return status;
  }
  const dr_exec_request request = {.argv = command.argv,
                                   .cwd = command.cwd,
                                   .env = command.env,
                                   .input = command.input,
                                   .input_length = command.input_length,
                                   .on_output = on_output,
                                   .on_exit = on_exited,
                                   .data = read};
  status = dr__op_whole(op, err);
  if (status == DR_OK) status = transport->klass->exec(transport, &request, &read->exec, err);
  dr__command_clear(&command);
  if (status) return status;
  uv_timer_init(transport->loop, &read->timer);
  read->timer.data = read;
  uv_timer_start(&read->timer, on_late, BOUND_MS, 0);
  return DR_OK;
}

int dr__docker_read(dr_docker_read **out, dr_op *op, const char *path,
                    void (*on_done)(void *data, const char *text, size_t length, dr_err *err),
                    void *data, dr_err *err) {
  dr_docker_read *read = calloc(1, sizeof *read);
  if (!read) return dr__err_nomem(err);
  read->target = dr__target_ref(op->target);
  read->path = strdup(path);
  read->bytes = malloc(LARGEST + 1);
  read->on_done = on_done;
  read->data = data;
  int status = read->path && read->bytes ? begin(read, op, err) : dr__err_nomem(err);
  if (status)
    read_free(read);
  else
    *out = read;
  return status;
}
