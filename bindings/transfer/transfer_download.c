/* transfer_download.c - the op target.download: one file of a target to this machine. A folder is
 * handed to fetch_op.c.
 *
 * Called by the gate on the runtime's thread. The target is asked for size, hash and mode; a worker
 * looks whether this machine has the file already, or a part of it; the rest is carried by the
 * transport into the partial file; a worker compares the hash and puts it in its place. A
 * connection that is lost on the way is made again, as often as `attempts` says.
 */
#include "fs/fs.h"
#include "local_place.h"
#include "transfer.h"
#include "work.h"

#include "core/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const dr_arg dr__download_args[] = {
    {"from", DR_ARG_STRING, DR_REQUIRED}, {"to", DR_ARG_STRING, DR_REQUIRED},
    {"mode", DR_ARG_STRING, 0},           {"exclude", DR_ARG_STRINGS, 0},
    {"parents", DR_ARG_BOOLEAN, 0},       {"attempts", DR_ARG_INTEGER, 0},
    {"timeout", DR_ARG_DURATION, 0},      {0}};

/* What a worker is given and finds. */
typedef struct job {
  char *to;
  char sha256[65];
  int64_t size;
  unsigned mode;
  bool given_mode;
  bool parents;
  json_int_t attempt;
  dr_local_place place;
} job;

static void free_job(void *data) {
  job *j = data;
  dr__local_place_free(&j->place);
  free(j->to);
  free(j);
}

char *dr__download_preview(const dr_op *op) {
  char *text = NULL;
  const char *from = dr__arg_string(op, "from", ""), *mode = dr__arg_string(op, "mode", NULL);
  bool relative = op->target->cwd && from[0] != '/' && from[0] != '~';
  int length =
      asprintf(&text, "download %s%s%s → %s on this machine%s%s%s", relative ? op->target->cwd : "",
               relative ? "/" : "", from, dr__arg_string(op, "to", ""), mode ? " (mode " : "",
               mode ? mode : "", mode ? ")" : "");
  return length < 0 ? NULL : text;
}

static json_t *result_of(bool changed, int64_t size, int64_t received, const char *sha256,
                         json_int_t attempts, double seconds) {
  return json_pack("{s:b, s:I, s:I, s:I, s:s, s:f}", "changed", changed, "bytes", (json_int_t)size,
                   "received", (json_int_t)received, "attempts", attempts, "sha256", sha256,
                   "seconds", seconds);
}

json_t *dr__download_assume(const dr_op *op) {
  (void)op;
  return result_of(true, 0, 0, "(unknown until then)", 1, 0);
}

/* ------------------------------------------------------------ attempts */

static int ask(dr_op *op, json_int_t attempt, dr_err *err);

/* Nothing is left behind on a disk that is full. */
static void fail_local(const dr_op *op, int number, dr_err *err) {
  const char *part = json_string_value(json_object_get(dr__exec_carry(op), "part"));
  bool full = number == ENOSPC || number == EDQUOT;
  if (full && part) unlink(part);
  dr__transfer_fail_here(dr__arg_string(op, "to", ""), number, err);
}

static void on_failed(dr_op *op, dr_err *err) {
  int local = dr__exec_file_error(op);
  if (local) {
    fail_local(op, local, err);
    return;
  }
  dr__transfer_failed(op, err, ask, DR_TRANSFER_RESUMES);
}

/* ------------------------------------------------------------ the end */

static int act_install(dr_work *w) {
  const job *j = w->data;
  return dr__local_place_install(&j->place, j->sha256, j->mode, &w->stop, &w->err);
}

static void after_install(dr_op *op, dr_work *w) {
  const job *j = w->data;
  double seconds = dr__transfer_seconds(op);
  dr__transfer_tell_done(op, "downloaded", j->to, (uint64_t)j->size, seconds);
  dr__op_done(op, result_of(true, j->size, j->size, j->sha256, j->attempt, seconds));
}

/* ------------------------------------------------------------ the bytes */

static void on_pulse(dr_op *op, uint64_t moved, double seconds) {
  uint64_t have = (uint64_t)dr__transfer_carried(op, "have"),
           size = (uint64_t)dr__transfer_carried(op, "size");
  if (seconds > 0) dr__transfer_tell(op, have + moved, size, (double)moved / seconds);
}

static job *new_job(const dr_op *op, json_int_t attempt) {
  job *j = calloc(1, sizeof *j);
  if (!j) return NULL;
  j->to = strdup(dr__arg_string(op, "to", ""));
  j->attempt = attempt;
  j->parents = dr__arg_boolean(op, "parents", false);
  j->given_mode = dr__arg_string(op, "mode", NULL) != NULL;
  j->mode = (unsigned)strtoul(dr__arg_string(op, "mode", "600"), NULL, 8);
  if (j->to) return j;
  free(j);
  return NULL;
}

static json_t *after_give(dr_op *op, int status, json_t *result, dr_err *err) {
  json_t *carry = dr__exec_carry(op);
  int local = dr__exec_file_error(op);
  bool full = strstr(dr__exec_text(op, 2), "No space left") != NULL;
  bool whole = dr__transfer_carried(op, "have") + (json_int_t)dr__exec_moved(op) ==
               dr__transfer_carried(op, "size");
  json_decref(result);
  if (local || full) {
    fail_local(op, local ? local : ENOSPC, err);
    return NULL;
  }
  if (status != 0 || !whole) {
    dr__transfer_explain(op, status ? status : DR_TRANSFER_SHORT, dr__arg_string(op, "from", ""),
                         err);
    return NULL;
  }
  job *j = new_job(op, dr__transfer_carried(op, "attempt"));
  if (!j) {
    dr__err_nomem(err);
    return NULL;
  }
  j->size = dr__transfer_carried(op, "size");
  j->mode = (unsigned)dr__transfer_carried(op, "mode");
  dr__copy_text(j->sha256, sizeof j->sha256, json_string_value(json_object_get(carry, "sha256")));
  if (dr__local_place_find(&j->place, j->to, j->sha256, false, err) != DR_OK)
    free_job(j);
  else
    dr__work_start(op, act_install, after_install, j, free_job, err);
  return NULL;
}

static int receive(dr_op *op, const job *j, int64_t have, dr_err *err) {
  int fd = dr__local_place_open(&j->place);
  if (fd < 0) return dr__transfer_fail_here(j->place.part, errno, err);
  dr_exec_files *files = dr__exec_files_new(-1, fd);
  if (!files) return dr__err_nomem(err);
  lseek(fd, 0, SEEK_END); /* from where what is added is counted */
  files->total = (uint64_t)(j->size - have);
  json_t *words = json_pack("[o, o]", json_sprintf("%lld", (long long)j->size),
                            json_sprintf("%lld", (long long)have));
  json_t *carry =
      json_pack("{s:I, s:I, s:I, s:I, s:s, s:o}", "attempt", j->attempt, "have", (json_int_t)have,
                "size", (json_int_t)j->size, "mode", (json_int_t)j->mode, "sha256", j->sha256,
                "part", json_string_nocheck(j->place.part));
  json_t *command = dr__fs_script(dr__arg_string(op, "from", ""), dr__transfer_give, words);
  dr_exec_spec spec = dr__transfer_move(op, command, carry, files);
  spec.pulse = on_pulse;
  spec.parse = after_give;
  spec.fail = on_failed;
  return dr__exec_op(op, &spec, err);
}

/* ------------------------------------------------------------ what is here */

/* {same, have}: looks at this machine's side. */
static int act_look(dr_work *w) {
  job *j = w->data;
  if (dr__local_place_find(&j->place, j->to, j->sha256, j->parents, &w->err) != DR_OK)
    return DR_FAILED;
  bool same = dr__local_place_same(&j->place, j->size, j->sha256, &w->stop);
  int64_t have = same ? 0 : dr__local_place_partial(&j->place, j->size);
  if (!same && dr__local_place_room(&j->place, j->size - have, &w->err) != DR_OK) return DR_FAILED;
  if (j->place.found && !j->given_mode) j->mode = j->place.mode;
  bool adjusted = same && j->mode != j->place.mode;
  if (adjusted && chmod(j->place.path, j->mode) != 0)
    return dr__transfer_fail_here(j->place.path, errno, &w->err);
  w->result =
      json_pack("{s:b, s:b, s:I}", "same", same, "adjusted", adjusted, "have", (json_int_t)have);
  return w->result ? DR_OK : dr__err_nomem(&w->err);
}

static void after_look(dr_op *op, dr_work *w) {
  const job *j = w->data;
  dr_err err = DR_ERR_INIT;
  if (json_is_true(json_object_get(w->result, "same"))) {
    bool adjusted = json_is_true(json_object_get(w->result, "adjusted"));
    dr__op_done(op,
                result_of(adjusted, j->size, 0, j->sha256, j->attempt, dr__transfer_seconds(op)));
    return;
  }
  int64_t have = json_integer_value(json_object_get(w->result, "have"));
  if (receive(op, j, have, &err) != DR_OK) dr__op_fail(op, &err);
}

/* ------------------------------------------------------------ what is there */

static json_t *after_ask(dr_op *op, int status, json_t *result, dr_err *err) {
  dr_transfer_facts facts;
  bool understood = status == 0 && dr__transfer_read_facts(dr__exec_text(op, 1), &facts) &&
                    facts.found && facts.sha256[0];
  json_decref(result);
  if (status == DR_TRANSFER_FOLDER) {
    dr__fetch_begin(op, err);
    return NULL;
  }
  if (!understood) {
    dr__transfer_explain(op, status, dr__arg_string(op, "from", ""), err);
    return NULL;
  }
  job *j = new_job(op, dr__transfer_carried(op, "attempt"));
  if (!j) {
    dr__err_nomem(err);
    return NULL;
  }
  j->size = facts.size;
  if (!j->given_mode) j->mode = (unsigned)strtoul(facts.mode, NULL, 8) & 0777;
  dr__copy_text(j->sha256, sizeof j->sha256, facts.sha256);
  dr__work_start(op, act_look, after_look, j, free_job, err);
  return NULL;
}

static int ask(dr_op *op, json_int_t attempt, dr_err *err) {
  json_t *command = dr__fs_script(dr__arg_string(op, "from", ""), dr__transfer_facts, json_array());
  dr_exec_spec spec = dr__transfer_ask(command, attempt);
  spec.parse = after_ask;
  spec.fail = on_failed;
  return dr__exec_op(op, &spec, err);
}

int dr__download_check(const dr_op *op, dr_err *err) {
  if (!dr__fs_mode_ok(dr__arg_string(op, "mode", "")))
    return dr__fail(err, "recipe.argument",
                    ":download: mode is three or four octal digits, \"0644\"");
  if (!*dr__arg_string(op, "from", "") || !*dr__arg_string(op, "to", ""))
    return dr__fail(err, "recipe.argument", ":download needs two paths");
  return DR_OK;
}

int dr__download_start(dr_op *op, dr_err *err) {
  return ask(op, 1, err);
}
