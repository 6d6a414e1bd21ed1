/* transfer_upload.c - the op target.upload: one file of this machine to a target.
 *
 * Called by the gate on the runtime's thread. Three commands in the op's view: one asks what is
 * there, one takes the bytes and puts the new file in the place of the old one (transfer_script.c);
 * or, where only owner or mode differ, one sets these. A connection that is lost on the way is made
 * again, and the partial file gone on with, as often as `attempts` says.
 *
 * The size and the hash of the file are arguments of the op: they were reviewed. What arrives is
 * compared with them on the target, so that a file that was changed since is never installed.
 */
#include "fs/fs.h"
#include "transfer.h"
#include "work.h"

#include "core/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const dr_arg dr__upload_args[] = {{"from", DR_ARG_STRING, DR_REQUIRED},
                                  {"to", DR_ARG_STRING, DR_REQUIRED},
                                  {"size", DR_ARG_INTEGER, DR_REQUIRED},
                                  {"sha256", DR_ARG_STRING, DR_REQUIRED},
                                  {"fresh_mode", DR_ARG_STRING, DR_REQUIRED},
                                  {"mode", DR_ARG_STRING, 0},
                                  {"owner", DR_ARG_STRING, 0},
                                  {"parents", DR_ARG_BOOLEAN, 0},
                                  {"attempts", DR_ARG_INTEGER, 0},
                                  {"timeout", DR_ARG_DURATION, 0},
                                  {0}};

enum { MARGIN = 64 * 1024 /* bytes that a disk is to have left */ };

/* ------------------------------------------------------------ what a plan says */

char *dr__upload_preview(const dr_op *op) {
  dr_text text = {0};
  const char *to = dr__arg_string(op, "to", "");
  const char *mode = dr__arg_string(op, "mode", NULL), *owner = dr__arg_string(op, "owner", NULL);
  bool relative = op->target->cwd && to[0] != '/' && to[0] != '~';
  const char *hash = dr__arg_string(op, "sha256", "");
  dr__text_printf(&text, "upload %s → %s%s%s (", dr__arg_string(op, "from", ""),
                  relative ? op->target->cwd : "", relative ? "/" : "", to);
  if (strlen(hash) == 64) {
    dr__transfer_add_size(&text, (double)dr__arg_integer(op, "size", 0));
    dr__text_printf(&text, ", sha256 %.12s…", hash);
  } else {
    dr__text_puts(&text, "size and hash unknown until then");
  }
  if (mode) dr__text_printf(&text, ", mode %s", mode);
  if (owner) dr__text_printf(&text, ", owner %s", owner);
  dr__text_puts(&text, ")");
  return dr__text_take(&text);
}

static json_t *result_of(const dr_op *op, bool changed, int64_t sent, int64_t resumed_from,
                         json_int_t attempts) {
  return json_pack("{s:b, s:I, s:I, s:I, s:I, s:s, s:f}", "changed", changed, "bytes",
                   (json_int_t)dr__arg_integer(op, "size", 0), "sent", (json_int_t)sent,
                   "resumed_from", (json_int_t)resumed_from, "attempts", attempts, "sha256",
                   dr__arg_string(op, "sha256", ""), "seconds", dr__transfer_seconds(op));
}

json_t *dr__upload_assume(const dr_op *op) {
  json_t *result = result_of(op, true, dr__arg_integer(op, "size", 0), 0, 1);
  json_object_set_new(result, "seconds", json_real(0));
  return result;
}

/* ------------------------------------------------------------ the local file */

static int fail_changed(const dr_op *op, const char *how, dr_err *err) {
  dr__fail(err, "transfer.changed", "%.700s %s since it was looked at",
           dr__arg_string(op, "from", ""), how);
  dr__err_hint(err, "nothing was replaced; run again, and let nobody write the file meanwhile");
  return DR_FAILED;
}

static int fail_read(const dr_op *op, int number, dr_err *err) {
  dr__fail(err, number == ENOENT ? "fs.not_found" : "fs.failed", "%.700s: %s",
           dr__arg_string(op, "from", ""), strerror(number));
  dr__err_hint(err, "nothing was replaced; check that path on this machine, its mode and its disk");
  return DR_FAILED;
}

/* Opens the file, which must still have the size that was reviewed. -1 with err filled. */
static int open_local(const dr_op *op, dr_err *err) {
  struct stat info;
  char *path = dr__fs_expand(dr__arg_string(op, "from", ""));
  int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  int failed = errno;
  free(path);
  if (fd < 0) {
    fail_read(op, failed, err);
    return -1;
  }
  if (fstat(fd, &info) == 0 && info.st_size == dr__arg_integer(op, "size", -1)) return fd;
  close(fd);
  fail_changed(op, "has another size", err);
  return -1;
}

/* Was it the file here that changed, or did something happen on the way? */
static int act_rehash(dr_work *w) {
  char hex[65];
  int fd = open(w->data, O_RDONLY | O_CLOEXEC);
  int failed = fd < 0 ? errno : dr__fs_hash(fd, &w->stop, hex);
  if (fd >= 0) close(fd);
  w->result = json_pack("{s:s}", "sha256", failed ? "" : hex);
  return w->result ? DR_OK : dr__err_nomem(&w->err);
}

static void after_rehash(dr_op *op, dr_work *w) {
  dr_err err = DR_ERR_INIT;
  const char *now = json_string_value(json_object_get(w->result, "sha256"));
  if (strcmp(now, dr__arg_string(op, "sha256", "")) != 0) {
    fail_changed(op, "was changed", &err);
  } else {
    dr__fail(&err, "transfer.corrupt", "%.700s arrived as something else, and was thrown away",
             dr__arg_string(op, "to", ""));
    dr__err_hint(&err, "run again; if it stays, look at the disk and the memory of both machines");
  }
  dr__op_fail(op, &err);
}

/* ------------------------------------------------------------ attempts */

static int begin_probe(dr_op *op, json_int_t attempt, dr_err *err);

static void on_failed(dr_op *op, dr_err *err) {
  int local = dr__exec_file_error(op);
  if (local) {
    fail_read(op, local, err);
    return;
  }
  dr__transfer_failed(op, err, begin_probe, DR_TRANSFER_RESUMES);
}

/* ------------------------------------------------------------ the bytes */

static void on_pulse(dr_op *op, uint64_t moved, double seconds) {
  uint64_t have = (uint64_t)dr__transfer_carried(op, "have");
  uint64_t size = (uint64_t)dr__arg_integer(op, "size", 0);
  if (size == have || seconds <= 0) return;
  dr__transfer_tell(op, have + moved, size, (double)moved / seconds);
}

static json_t *after_store(dr_op *op, int status, json_t *result, dr_err *err) {
  json_decref(result);
  json_int_t have = dr__transfer_carried(op, "have"), attempt = dr__transfer_carried(op, "attempt");
  int local = dr__exec_file_error(op);
  if (status == 0) {
    json_int_t sent = dr__arg_integer(op, "size", 0) - have;
    dr__transfer_tell_done(op, "uploaded", dr__arg_string(op, "to", ""), (uint64_t)sent,
                           dr__transfer_seconds(op));
    return result_of(op, true, sent, have, attempt);
  }
  if (local) {
    fail_read(op, local, err);
    return NULL;
  }
  /* What was gone on with may have been damaged: then all of it is sent anew. */
  bool again = status == DR_TRANSFER_MOVED_ON || (status == DR_TRANSFER_HASH && have > 0);
  if (again && dr__transfer_again(op, "the partial file was not usable", begin_probe)) return NULL;
  if (status != DR_TRANSFER_HASH && status != DR_TRANSFER_SHORT) {
    dr__transfer_explain(op, status, dr__arg_string(op, "to", ""), err);
    return NULL;
  }
  dr__work_start(op, act_rehash, after_rehash, dr__fs_expand(dr__arg_string(op, "from", "")), free,
                 err);
  return NULL;
}

static int begin_store(dr_op *op, json_int_t attempt, int64_t have, dr_err *err) {
  int64_t size = dr__arg_integer(op, "size", 0);
  const char *hash = dr__arg_string(op, "sha256", "");
  int fd = open_local(op, err);
  if (fd < 0) return DR_FAILED;
  if (lseek(fd, have, SEEK_SET) != have) {
    int failed = errno;
    close(fd);
    return fail_read(op, failed, err);
  }
  dr_exec_files *files = dr__exec_files_new(fd, -1);
  if (!files) return dr__err_nomem(err);
  files->total = (uint64_t)(size - have);
  json_t *words =
      json_pack("[o, s#, s, o, s, s, s, s]", json_sprintf("%lld", (long long)size), hash, 12, hash,
                json_sprintf("%lld", (long long)have), dr__arg_string(op, "mode", ""),
                dr__arg_string(op, "owner", ""), dr__arg_string(op, "fresh_mode", "644"),
                dr__arg_boolean(op, "parents", false) ? "yes" : "no");
  json_t *carry = json_pack("{s:I, s:I}", "attempt", attempt, "have", (json_int_t)have);
  json_t *command = dr__fs_script(dr__arg_string(op, "to", ""), dr__transfer_store, words);
  dr_exec_spec spec = dr__transfer_move(op, command, carry, files);
  spec.pulse = on_pulse;
  spec.parse = after_store;
  spec.fail = on_failed;
  return dr__exec_op(op, &spec, err);
}

/* ------------------------------------------------------------ what is there already */

static json_t *after_adjust(dr_op *op, int status, json_t *result, dr_err *err) {
  json_decref(result);
  if (status == 0) return result_of(op, true, 0, 0, dr__transfer_carried(op, "attempt"));
  dr__transfer_explain(op, status, dr__arg_string(op, "to", ""), err);
  return NULL;
}

/* The bytes are right, owner or mode are not. */
static int begin_adjust(dr_op *op, json_int_t attempt, dr_err *err) {
  json_t *words =
      json_pack("[s, s]", dr__arg_string(op, "mode", ""), dr__arg_string(op, "owner", ""));
  json_t *command = dr__fs_script(dr__arg_string(op, "to", ""), dr__transfer_adjust, words);
  dr_exec_spec spec = dr__transfer_ask(command, attempt);
  spec.delay = 0;
  spec.parse = after_adjust;
  spec.fail = on_failed;
  return dr__exec_op(op, &spec, err);
}

static int fail_space(const dr_op *op, int64_t needed, int64_t available, dr_err *err) {
  char need[32], have[32];
  dr__fail(err, "transfer.no_space", "%.700s needs %s, and its disk has only %s left",
           dr__arg_string(op, "to", ""), dr__transfer_size(need, (double)needed),
           dr__transfer_size(have, (double)available));
  dr__err_hint(err, "nothing was changed; make room on that disk (df -h), then run again");
  return DR_FAILED;
}

static bool is_same(const dr_op *op, const dr_transfer_facts *facts) {
  return facts->found && strcmp(facts->sha256, dr__arg_string(op, "sha256", "-")) == 0;
}

static bool is_adjusted(const dr_op *op, const dr_transfer_facts *facts) {
  const char *mode = dr__arg_string(op, "mode", NULL), *owner = dr__arg_string(op, "owner", NULL);
  return (!mode || dr__transfer_same_mode(mode, facts->mode)) &&
         (!owner || dr__transfer_owned(facts, owner));
}

/* Decides what is to be done, and begins it. */
static json_t *after_probe(dr_op *op, int status, json_t *result, dr_err *err) {
  dr_transfer_facts facts;
  json_int_t attempt = dr__transfer_carried(op, "attempt");
  int64_t size = dr__arg_integer(op, "size", 0);
  bool understood = status == 0 && dr__transfer_read_facts(dr__exec_text(op, 1), &facts);
  json_decref(result);
  if (!understood) {
    dr__transfer_explain(op, status, dr__arg_string(op, "to", ""), err);
    return NULL;
  }
  if (is_same(op, &facts)) {
    if (is_adjusted(op, &facts)) return result_of(op, false, 0, 0, attempt);
    begin_adjust(op, attempt, err);
    return NULL;
  }
  int64_t have = facts.partial <= size ? facts.partial : 0;
  if (facts.available >= 0 && size - have + MARGIN > facts.available)
    fail_space(op, size - have, facts.available, err);
  else
    begin_store(op, attempt, have, err);
  return NULL;
}

static int begin_probe(dr_op *op, json_int_t attempt, dr_err *err) {
  json_t *words = json_pack(
      "[o, s#, s, s]", json_sprintf("%lld", (long long)dr__arg_integer(op, "size", 0)),
      dr__arg_string(op, "sha256", ""), 12, dr__arg_boolean(op, "parents", false) ? "yes" : "no",
      dr__arg_string(op, "owner", ""));
  json_t *command = dr__fs_script(dr__arg_string(op, "to", ""), dr__transfer_probe, words);
  dr_exec_spec spec = dr__transfer_ask(command, attempt);
  spec.parse = after_probe;
  spec.fail = on_failed;
  return dr__exec_op(op, &spec, err);
}

/* ------------------------------------------------------------ the start */

int dr__upload_check(const dr_op *op, dr_err *err) {
  const char *to = dr__arg_string(op, "to", "");
  if (strlen(to) != json_string_length(dr__arg(op, "to")) || *to == '\0')
    return dr__fail(err, "recipe.argument", ":upload needs a path on the target");
  if (!dr__fs_mode_ok(dr__arg_string(op, "mode", "")))
    return dr__fail(err, "recipe.argument",
                    ":upload: mode is three or four octal digits, \"0644\"");
  return DR_OK;
}

int dr__upload_start(dr_op *op, dr_err *err) {
  const char *hash = dr__arg_string(op, "sha256", "");
  if (strlen(hash) != 64 || dr__arg_integer(op, "size", -1) < 0)
    return dr__fail(err, "recipe.argument", ":upload was given no hash");
  int fd = open_local(op, err);
  if (fd < 0) return DR_FAILED;
  close(fd);
  return begin_probe(op, 1, err);
}
