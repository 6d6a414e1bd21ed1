/* backup_program.c - see backup_program.h. Owns the command under way, its descriptors, and the
 * file with the password. Called by backup_job.c and by the transport, on the runtime's thread.
 */
#include "backup_program.h"

#include "core/err.h"
#include "ops/binding.h"
#include "target/capture.h"
#include "target/sudo.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEEP = 16 * 1024 * 1024 };

struct dr_backup_program {
  dr_target *view;
  dr_exec *exec;
  dr_exec_files *files;
  dr_capture capture;
  char name[32]; /* "pg_dump" */
  int passfile;  /* -1: none */
  dr_backup_program_end on_end;
  void *owner;
};

static void free_program(dr_backup_program *self) {
  dr__exec_files_free(self->files);
  dr__capture_free(&self->capture);
  dr__target_unref(self->view);
  if (self->passfile >= 0) close(self->passfile);
  free(self);
}

/* ------------------------------------------------------------ the end */

static void explain(const dr_backup_program *self, dr_exec_exit *how, dr_err *err) {
  const char *where = dr__target_name(self->view);
  if (how->err.code[0]) {
    dr__err_move(err, &how->err);
    if (strcmp(err->code, "command.not_found") != 0) return;
  }
  if (how->status == 127 || err->code[0]) {
    dr__fail(err, "backup.no_program", "there is no program %s on %s", self->name, where);
    dr__err_hint(err, "install the PostgreSQL client there (Debian package postgresql-client), or "
                      "say where it is: tools = stack:service(\"db\")");
  } else if (how->signal[0]) {
    dr__fail(err, "backup.program", "%s on %s was ended by signal %s", self->name, where,
             how->signal);
    dr__err_hint(err, "the kernel does that when memory runs out (look at dmesg), or somebody did");
  } else if (how->status != 0) {
    dr__fail(err, "backup.program", "%s on %s failed with status %d", self->name, where,
             how->status);
    dr__err_hint(err, "its own words say why");
  } else if (dr__capture_is_short(&self->capture)) {
    dr__err_nomem(err);
  }
}

static void on_exited(void *data, dr_exec_exit *how) {
  dr_backup_program *self = data;
  dr_err err = DR_ERR_INIT;
  explain(self, how, &err);
  char *tail = err.code[0] && !err.detail ? dr__capture_tail(&self->capture) : NULL;
  if (tail && *tail) dr__err_detail(&err, tail, strlen(tail));
  free(tail);
  dr__exec_files_free(self->files); /* the other end of a pipe sees that it is over */
  self->files = NULL;
  self->on_end(self->owner, dr__capture_bytes(&self->capture, 1), &err);
  dr_err_clear(&err);
  free_program(self);
}

static void on_output(void *data, int stream, const char *bytes, size_t length) {
  dr_backup_program *self = data;
  dr__capture_add(&self->capture, stream, bytes, length);
}

void dr__backup_program_stop(dr_backup_program *program) {
  program->view->transport->klass->cancel(program->exec);
}

/* ------------------------------------------------------------ the beginning */

/* A line of a password file: every colon and backslash is escaped. */
static int write_passfile(int fd, const char *password) {
  FILE *file = fdopen(dup(fd), "w");
  if (!file) return errno;
  fputs("*:*:*:*:", file);
  for (const char *at = password; *at; at++) {
    if (*at == ':' || *at == '\\') fputc('\\', file);
    fputc(*at, file);
  }
  fputc('\n', file);
  return fclose(file) == 0 ? 0 : errno;
}

static json_t *passfile_env(dr_backup_program *self, const char *password) {
  self->passfile = memfd_create("deployrun-pgpass", MFD_CLOEXEC);
  if (self->passfile < 0 || fchmod(self->passfile, 0600) != 0 ||
      write_passfile(self->passfile, password) != 0)
    return NULL;
  return json_pack("{s:o}", "PGPASSFILE",
                   json_sprintf("/proc/%d/fd/%d", (int)getpid(), self->passfile));
}

/* True when what runs on the view runs as we do, on this machine: then it can open what we have. */
static bool is_here(const dr_target *view) {
  return !view->within && !view->sudo && strcmp(view->transport->klass->kind, "local") == 0;
}

/* The view with the password in its environment, or with the place of the file. New reference, or
 * NULL. */
static dr_target *view_with(dr_backup_program *self, dr_target *view, const char *password) {
  if (!password) return dr__target_ref(view);
  json_t *env =
      is_here(view) ? passfile_env(self, password) : json_pack("{s:s}", "PGPASSWORD", password);
  dr_target *target = env ? dr__target_env(view, env) : NULL;
  json_decref(env);
  return target;
}

typedef struct secrets {
  const char *password;
  dr_runtime *rt;
} secrets;

/* The password goes by standard input. Where it is also somebody's name (user and password
 * "postgres"), the name is no secret. */
static const char *secret_in(const char *value, void *data) {
  const secrets *known = data;
  if (known->password && strcmp(value, known->password) == 0) return "password";
  if (known->password && strstr(value, known->password)) return NULL;
  return dr__runtime_secret_in(value, known->rt);
}

static int begin(dr_backup_program *self, dr_op *op, const dr_backup_command *how, dr_err *err) {
  dr_command command;
  secrets known = {how->password, dr__op_runtime(op)};
  int status = dr__command_build(&command, self->view, how->argv, NULL, 0, secret_in, &known, err);
  if (status != DR_OK) return status;
  status = dr__sudo_prepare(&command, self->view, false, err);
  dr_exec_request request = {.argv = command.argv,
                             .cwd = command.cwd,
                             .env = command.env,
                             .input = command.input,
                             .input_length = command.input_length,
                             .files = self->files,
                             .on_output = on_output,
                             .on_exit = on_exited,
                             .data = self};
  dr_transport *transport = self->view->transport;
  if (status == DR_OK) status = dr__op_whole(op, err);
  if (status == DR_OK) status = transport->klass->exec(transport, &request, &self->exec, err);
  dr__command_clear(&command);
  if (status != DR_OK && strcmp(err->code, "command.not_found") == 0) {
    dr_exec_exit how_it_ended = {.status = 127};
    explain(self, &how_it_ended, err);
  }
  return status;
}

dr_backup_program *dr__backup_program_start(dr_op *op, const dr_backup_command *command,
                                            dr_err *err) {
  dr_backup_program *self = calloc(1, sizeof *self);
  dr_exec_files *files = dr__exec_files_new(command->input_fd, command->output_fd);
  int status = DR_FAILED;
  if (self && files && command->argv) {
    *self = (dr_backup_program){.files = files,
                                .capture.keep = KEEP,
                                .passfile = -1,
                                .on_end = command->on_end,
                                .owner = command->owner};
    dr__copy_text(self->name, sizeof self->name,
                  json_string_value(json_array_get(command->argv, 0)));
    self->view = view_with(self, command->view, command->password);
    status = self->view ? begin(self, op, command, err) : dr__err_nomem(err);
  } else {
    dr__err_nomem(err);
    dr__exec_files_free(files);
  }
  json_decref(command->argv);
  if (status == DR_OK) return self;
  if (self && self->name[0])
    free_program(self);
  else
    free(self);
  return NULL;
}
