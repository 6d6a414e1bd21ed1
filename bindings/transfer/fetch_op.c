/* fetch_op.c - the op target.fetch: a folder of a target to this machine; target:download of a
 * folder.
 *
 * Called by the gate on the runtime's thread. Three commands in the op's view list the folder, hash
 * its files and write those that differ one after another; workers compare with what is here, and
 * split, verify and place what arrived (local_folder.c). Nothing is deleted, and no link is
 * followed on either side.
 */
#include "fs/fs.h"
#include "local_folder.h"
#include "transfer.h"
#include "work.h"

#include "core/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char write_all[] = "cd \"$f\" || exit 23\nexec xargs -0 cat\n";

/* What workers are given and find. */
typedef struct job {
  char *root;
  json_t *exclude; /* a copy of its own */
  dr_manifest there;
  dr_sync_plan plan;
  char *staging;
  int fd; /* of the stream, until the transport has it */
  bool parents;
  json_int_t attempt;
} job;

static void free_job(void *data) {
  job *j = data;
  if (!j) return;
  if (j->fd >= 0) close(j->fd);
  if (j->staging) dr__local_folder_end(j->staging);
  dr__sync_plan_free(&j->plan);
  dr__manifest_free(&j->there);
  json_decref(j->exclude);
  free(j->staging);
  free(j->root);
  free(j);
}

static const char *from_of(const dr_op *op) {
  return dr__arg_string(op, "from", "");
}

static json_t *result_of(const job *j, double seconds) {
  return json_pack("{s:b, s:I, s:I, s:I, s:I, s:f}", "changed", j->plan.send + j->plan.adjust > 0,
                   "received", (json_int_t)j->plan.send, "bytes", (json_int_t)j->plan.bytes,
                   "adjusted", (json_int_t)j->plan.adjust, "attempts", j->attempt, "seconds",
                   seconds);
}

/* ------------------------------------------------------------ attempts */

static int list_there(dr_op *op, json_int_t attempt, dr_err *err);

static void on_failed(dr_op *op, dr_err *err) {
  int local = dr__exec_file_error(op);
  if (local)
    dr__transfer_fail_here(dr__arg_string(op, "to", ""), local, err);
  else
    dr__transfer_failed(op, err, list_there, "nothing was replaced; run again");
}

/* ------------------------------------------------------------ the end */

/* What the last command carries: the job is its files' source, so that it lives as long as they do.
 */
static int act_install(dr_work *w) {
  job *j = w->data;
  return dr__local_folder_install(j->root, j->staging, &j->there, &j->plan, &w->stop, &w->err);
}

static void after_install(dr_op *op, dr_work *w) {
  const job *j = w->data;
  double seconds = dr__transfer_seconds(op);
  dr__transfer_tell_done(op, "downloaded", j->root, (uint64_t)j->plan.bytes, seconds);
  dr__op_done(op, result_of(j, seconds));
}

static void on_pulse(dr_op *op, uint64_t moved, double seconds) {
  uint64_t total = (uint64_t)dr__transfer_carried(op, "total");
  if (seconds > 0) dr__transfer_tell(op, moved, total, (double)moved / seconds);
}

static json_t *after_write(dr_op *op, int status, json_t *result, dr_err *err) {
  bool full = strstr(dr__exec_text(op, 2), "No space left") != NULL;
  int local = dr__exec_file_error(op);
  json_decref(result);
  if (status == 0 && !local) {
    job *j = dr__exec_take_source(op);
    if (j)
      dr__work_start(op, act_install, after_install, j, free_job, err);
    else
      dr__err_nomem(err);
  } else if (local || full) {
    dr__transfer_fail_here(dr__arg_string(op, "to", ""), local ? local : ENOSPC, err);
  } else {
    dr__transfer_explain(op, status ? status : DR_TRANSFER_SHORT, from_of(op), err);
  }
  return NULL;
}

/* ------------------------------------------------------------ the bytes */

/* The names of the files that differ, or of all; each ends with a zero byte. */
static void add_names(dr_text *names, const dr_manifest *m, const dr_sync_plan *plan) {
  for (size_t i = 0; i < m->count; i++) {
    if (m->entries[i].type != 'f' || (plan && plan->here[i] != DR_CHANGE_SEND)) continue;
    dr__text_puts(names, "./");
    dr__text_add(names, m->entries[i].path, strlen(m->entries[i].path) + 1);
  }
}

/* Takes the job over. */
static int begin_write(dr_op *op, job *j, dr_err *err) {
  dr_text names = {0};
  add_names(&names, &j->there, &j->plan);
  dr_exec_files *files = dr__exec_files_new(-1, j->fd);
  j->fd = -1;
  if (!files || names.failed) {
    dr__exec_files_free(files);
    dr__text_free(&names);
    free_job(j);
    return dr__err_nomem(err);
  }
  files->source = j;
  files->free_source = free_job;
  files->total = (uint64_t)j->plan.bytes;
  json_t *carry =
      json_pack("{s:I, s:I}", "attempt", j->attempt, "total", (json_int_t)j->plan.bytes);
  dr_exec_spec spec =
      dr__transfer_move(op, dr__fs_script(from_of(op), write_all, json_array()), carry, files);
  spec.input = names.bytes;
  spec.input_length = names.length;
  spec.pulse = on_pulse;
  spec.parse = after_write;
  spec.fail = on_failed;
  int status = dr__exec_op(op, &spec, err);
  dr__text_free(&names);
  return status;
}

/* ------------------------------------------------------------ what is here */

static int act_look(dr_work *w) {
  job *j = w->data;
  struct stat info;
  dr_manifest here = {0};
  dr_sync_rules rules = {.exclude = j->exclude};
  bool found = lstat(j->root, &info) == 0;
  int status = found ? dr__manifest_scan(&here, j->root, NULL, &w->stop, &w->err) : DR_OK;
  if (status == DR_OK && !dr__manifest_compare(&j->plan, &j->there, found ? &here : NULL, &rules))
    status = dr__err_nomem(&w->err);
  if (status == DR_OK && j->plan.blocked) {
    status = dr__fail(&w->err, "transfer.conflict",
                      "%.300s/%.300s is a folder on one side and not on the other", j->root,
                      j->plan.blocked);
    dr__err_hint(&w->err, "nothing was replaced; move it away on this machine, or leave it out: "
                          "exclude = { … }");
  }
  dr__manifest_free(&here);
  bool nothing = found && j->plan.send + j->plan.adjust == 0;
  if (status == DR_OK && !nothing) {
    j->fd = dr__local_folder_begin(j->root, j->parents, &j->staging, &w->err);
    status = j->fd < 0 ? DR_FAILED : DR_OK;
  }
  return status;
}

static void after_look(dr_op *op, dr_work *w) {
  job *j = w->data;
  dr_err err = DR_ERR_INIT;
  if (!j->staging) {
    dr__op_done(op, result_of(j, dr__transfer_seconds(op)));
    return;
  }
  w->data = NULL; /* the job goes on with the next command */
  if (begin_write(op, j, &err) != DR_OK) dr__op_fail(op, &err);
}

/* Begins looking at this machine's side; takes the manifest over. */
static int begin_look(dr_op *op, dr_manifest *there, json_int_t attempt, dr_err *err) {
  job *j = calloc(1, sizeof *j);
  if (!j) return dr__err_nomem(err);
  j->there = *there;
  *there = (dr_manifest){.available = -1};
  j->fd = -1;
  j->attempt = attempt;
  j->parents = dr__arg_boolean(op, "parents", false);
  j->root = dr__fs_expand(dr__arg_string(op, "to", ""));
  j->exclude = dr__arg(op, "exclude") ? json_deep_copy(dr__arg(op, "exclude")) : json_array();
  if (j->root && j->exclude) return dr__work_start(op, act_look, after_look, j, free_job, err);
  free_job(j);
  return dr__err_nomem(err);
}

/* ------------------------------------------------------------ what is there */

/* Drops what the patterns leave out, and refuses what cannot be brought. */
static bool prepare(const dr_op *op, dr_manifest *m, dr_err *err) {
  dr__manifest_drop(m, dr__arg(op, "exclude"));
  for (size_t i = 0; i < m->count; i++) {
    if (m->entries[i].type != 'o') continue;
    dr__fail(err, "transfer.not_a_file", "%.700s is neither a file nor a folder nor a link",
             m->entries[i].path);
    dr__err_hint(err, "leave it out: exclude = { … }");
    return false;
  }
  return true;
}

static json_t *after_hash(dr_op *op, int status, json_t *result, dr_err *err) {
  dr_manifest there = {0};
  const json_t *list = json_object_get(dr__exec_carry(op), "list");
  json_decref(result);
  if (status != 0) {
    dr__transfer_explain(op, status, from_of(op), err);
  } else if (!dr__manifest_read(&there, json_string_value(list), json_string_length(list)) ||
             !prepare(op, &there, err) ||
             !dr__manifest_read_hashes(NULL, &there, dr__exec_text(op, 1))) {
    if (!err->code[0])
      dr__fail(err, "transfer.failed", "the files in %.700s could not be hashed", from_of(op));
    const char *words = dr__exec_text(op, 2);
    if (*words) dr__err_detail(err, words, strlen(words));
  } else {
    begin_look(op, &there, dr__transfer_carried(op, "attempt"), err);
  }
  dr__manifest_free(&there);
  return NULL;
}

static json_t *after_list(dr_op *op, int status, json_t *result, dr_err *err) {
  dr_manifest there = {0};
  dr_text names = {0};
  json_t *list = json_object_get(result, "stdout");
  if (status != 0) {
    dr__transfer_explain(op, status, from_of(op), err);
  } else if (!dr__manifest_read(&there, json_string_value(list), json_string_length(list))) {
    dr__fail(err, "transfer.failed", "the list of %.700s could not be understood", from_of(op));
  } else if (prepare(op, &there, err)) {
    add_names(&names, &there, NULL);
    if (names.length == 0) {
      begin_look(op, &there, dr__transfer_carried(op, "attempt"), err);
    } else {
      dr_exec_spec spec =
          dr__transfer_ask_hashes(from_of(op), &names, list, dr__transfer_carried(op, "attempt"));
      spec.parse = after_hash;
      spec.fail = on_failed;
      dr__exec_op(op, &spec, err);
    }
  }
  dr__text_free(&names);
  dr__manifest_free(&there);
  json_decref(result);
  return NULL;
}

static int list_there(dr_op *op, json_int_t attempt, dr_err *err) {
  json_t *words = json_pack("[s, s, s]", "no", "yes", "");
  dr_exec_spec spec = dr__transfer_ask(dr__fs_script(from_of(op), dr__sync_list, words), attempt);
  spec.keep = DR_TRANSFER_LIST;
  spec.parse = after_list;
  spec.fail = on_failed;
  return dr__exec_op(op, &spec, err);
}

int dr__fetch_begin(dr_op *op, dr_err *err) {
  if (!dr__arg(op, "mode")) return list_there(op, 1, err);
  dr__fail(err, "recipe.argument", ":download: %.700s is a folder, and mode is for one file",
           from_of(op));
  return DR_FAILED;
}
