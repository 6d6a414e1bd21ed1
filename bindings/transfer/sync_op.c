/* sync_op.c - the ops of target:sync: fs.manifest reads a folder here, target.compare says what
 * would be done, target.sync does it.
 *
 * Called by the gate on the runtime's thread; folders are read on workers. A manifest is pinned by
 * its digest, which is an argument of the ops that use it; the runtime keeps the manifests it has
 * read. A sync is three commands in the op's view: list the folder, hash the files whose size is
 * right, and take one archive with what differs, which is verified before any of it is put in its
 * place.
 */
#include "fs/fs.h"
#include "sync_install.h"
#include "sync_left.h"
#include "transfer.h"
#include "work.h"

#include "core/err.h"
#include "ops/binding.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER_ARGS                                                                                \
  {"from", DR_ARG_STRING, DR_REQUIRED}, {"to", DR_ARG_STRING, DR_REQUIRED},                        \
      {"sha256", DR_ARG_STRING, DR_REQUIRED}, {"exclude", DR_ARG_STRINGS, 0},                      \
      {"delete", DR_ARG_BOOLEAN, 0}, {"mode", DR_ARG_STRING, 0}, {"dir_mode", DR_ARG_STRING, 0},   \
      {"owner", DR_ARG_STRING, 0}, {                                                               \
    "parents", DR_ARG_BOOLEAN, 0                                                                   \
  }

const dr_arg dr__manifest_args[] = {
    {"path", DR_ARG_STRING, DR_REQUIRED}, {"exclude", DR_ARG_STRINGS, 0}, {0}};
const dr_arg dr__compare_args[] = {FOLDER_ARGS, {0}};
const dr_arg dr__sync_args[] = {FOLDER_ARGS,
                                {"attempts", DR_ARG_INTEGER, 0},
                                {"timeout", DR_ARG_DURATION, 0},
                                {"what", DR_ARG_STRING, DR_REQUIRED},
                                {"plan", DR_ARG_STRING, DR_REQUIRED},
                                {0}};

enum { SHOWN_NAMES = 5, MARGIN = 64 * 1024 };

/* ------------------------------------------------------------ manifests that were read */

typedef struct kept {
  struct kept *next;
  char digest[65];
  dr_manifest manifest;
} kept;

typedef struct shelf {
  kept *first;
} shelf;

static const char kept_as[] = "manifests";

static void close_shelf(void *value) {
  shelf *all = value;
  for (kept *k = all->first, *next; k; k = next) {
    next = k->next;
    dr__manifest_free(&k->manifest);
    free(k);
  }
  free(all);
}

static shelf *get_shelf(dr_runtime *rt) {
  return dr__runtime_keep(rt, kept_as, sizeof(shelf), close_shelf);
}

static const dr_manifest *find_kept(const dr_op *op, const char *digest) {
  shelf *all = dr__runtime_get(dr__op_runtime(op), kept_as);
  kept *k = all ? all->first : NULL;
  while (k && strcmp(k->digest, digest) != 0) k = k->next;
  return k ? &k->manifest : NULL;
}

/* Keeps a manifest (moved from) under its digest. */
static const dr_manifest *keep(const dr_op *op, dr_manifest *manifest, const char *digest) {
  const dr_manifest *known = find_kept(op, digest);
  if (known) return known;
  shelf *all = get_shelf(dr__op_runtime(op));
  kept *k = all ? calloc(1, sizeof *k) : NULL;
  if (!k) return NULL;
  k->manifest = *manifest;
  *manifest = (dr_manifest){.available = -1};
  dr__copy_text(k->digest, sizeof k->digest, digest);
  k->next = all->first;
  all->first = k;
  return &k->manifest;
}

/* ------------------------------------------------------------ reading a folder */

typedef struct job {
  char *root;
  json_t *exclude; /* a copy of its own: it is read on a worker */
  dr_manifest manifest;
  char digest[65];
  int (*then)(dr_op *op, const dr_manifest *here, dr_err *err); /* or NULL */
} job;

static void free_job(void *data) {
  job *j = data;
  dr__manifest_free(&j->manifest);
  json_decref(j->exclude);
  free(j->root);
  free(j);
}

static int act_scan(dr_work *w) {
  job *j = w->data;
  int status = dr__manifest_scan(&j->manifest, j->root, j->exclude, &w->stop, &w->err);
  if (status == DR_OK) dr__manifest_digest(&j->manifest, j->digest);
  return status;
}

static json_t *describe(const dr_manifest *m, const char *digest) {
  json_int_t files = 0, folders = 0, links = 0, bytes = 0;
  for (size_t i = 0; i < m->count; i++) {
    files += m->entries[i].type == 'f';
    folders += m->entries[i].type == 'd';
    links += m->entries[i].type == 'l';
    bytes += m->entries[i].size;
  }
  return json_pack("{s:s, s:I, s:I, s:I, s:I}", "sha256", digest, "files", files, "folders",
                   folders, "links", links, "bytes", bytes);
}

static void after_scan(dr_op *op, dr_work *w) {
  job *j = w->data;
  dr_err err = DR_ERR_INIT;
  json_t *result = describe(&j->manifest, j->digest);
  const dr_manifest *here = keep(op, &j->manifest, j->digest);
  const char *wanted = dr__arg_string(op, "sha256", j->digest);
  if (!here || !result) {
    dr__err_nomem(&err);
  } else if (strcmp(wanted, j->digest) != 0) {
    dr__fail(&err, "transfer.changed", "what is in %.700s changed since it was looked at", j->root);
    dr__err_hint(&err, "nothing was sent; run again, and let nobody write there meanwhile");
  } else if (!j->then) {
    dr__op_done(op, json_incref(result));
  } else {
    j->then(op, here, &err);
  }
  json_decref(result);
  if (err.code[0]) dr__op_fail(op, &err);
}

static int begin_scan(dr_op *op, const char *path,
                      int (*then)(dr_op *, const dr_manifest *, dr_err *), dr_err *err) {
  job *j = calloc(1, sizeof *j);
  if (!j) return dr__err_nomem(err);
  j->root = dr__fs_expand(path);
  j->exclude = dr__arg(op, "exclude") ? json_deep_copy(dr__arg(op, "exclude")) : json_array();
  j->then = then;
  if (j->root && j->exclude) return dr__work_start(op, act_scan, after_scan, j, free_job, err);
  free_job(j);
  return dr__err_nomem(err);
}

int dr__manifest_start(dr_op *op, dr_err *err) {
  return begin_scan(op, dr__arg_string(op, "path", ""), NULL, err);
}

char *dr__manifest_preview(const dr_op *op) {
  char *text = NULL;
  int length = asprintf(&text, "read the folder %s", dr__arg_string(op, "path", ""));
  return length < 0 ? NULL : text;
}

json_t *dr__manifest_assume(const dr_op *op) {
  (void)op;
  return json_pack("{s:s, s:i, s:i, s:i, s:i}", "sha256", "(unknown until then)", "files", 0,
                   "folders", 0, "links", 0, "bytes", 0);
}

/* ------------------------------------------------------------ looking at the target */

static dr_sync_rules rules_of(const dr_op *op) {
  return (dr_sync_rules){.exclude = dr__arg(op, "exclude"),
                         .remove = dr__arg_boolean(op, "delete", false),
                         .mode = dr__arg_string(op, "mode", NULL),
                         .dir_mode = dr__arg_string(op, "dir_mode", NULL),
                         .owner = dr__arg_string(op, "owner", NULL)};
}

static const char *to_of(const dr_op *op) {
  return dr__arg_string(op, "to", "");
}

static int list_there(dr_op *op, json_int_t attempt, dr_err *err);

static void fail_local(const dr_op *op, int number, dr_err *err) {
  bool changed = number == ESTALE;
  dr__fail(err, changed ? "transfer.changed" : "fs.failed", "%.700s: %s",
           dr__arg_string(op, "from", ""),
           changed ? "what is in it changed while it was sent" : strerror(number));
  dr__err_hint(err, "nothing was replaced; run again, and let nobody write there meanwhile");
}

static void on_failed(dr_op *op, dr_err *err) {
  int local = dr__exec_file_error(op);
  if (local) {
    fail_local(op, local, err);
    return;
  }
  dr__transfer_failed(op, err, list_there,
                      "run again: only what is missing is sent; no file is replaced before all of "
                      "them have arrived and are verified");
}

/* What the target said: the folder, and what a sync that was cut off has left in it. */
typedef struct listing {
  dr_manifest there;
  dr_sync_left left;
} listing;

static bool read_listing(listing *out, const json_t *list) {
  const char *bytes = json_string_value(list);
  size_t length = json_string_length(list), used = dr__sync_left_read(&out->left, bytes, length);
  return dr__manifest_read(&out->there, bytes + used, length - used);
}

static void free_listing(listing *l) {
  dr__manifest_free(&l->there);
  dr__sync_left_free(&l->left);
}

static int act_on_plan(dr_op *op, const dr_manifest *here, const listing *target,
                       dr_sync_plan *plan, json_int_t attempt, json_t **done, dr_err *err);

/* Nothing is sent where it is known that not all of it could be put in its place. */
static int fail_refused(const dr_op *op, const dr_sync_plan *plan, dr_err *err) {
  const char *to = to_of(op);
  if (plan->blocked) {
    dr__fail(err, "transfer.conflict", "%.300s/%.300s is a folder on one side and not on the other",
             to, plan->blocked);
    dr__err_hint(err, "remove it there first, or say delete = true");
  } else if (plan->closed) {
    dr__fail(err, "transfer.denied",
             "%.300s/%.300s may not be written to by this user (mode %o, %s), and what is in it "
             "differs",
             to, plan->closed->path, plan->closed->mode, plan->closed->owner);
    dr__err_hint(err, "nothing was sent; chmod u+w that folder first, or use :sudo()");
  } else {
    dr__fail(err, "transfer.denied",
             "%.300s/%.300s belongs to %s, and this user cannot keep it theirs", to,
             plan->foreign->path, plan->foreign->owner);
    dr__err_hint(err, "nothing was sent; use :sudo(), or say owner = with this target's user: a "
                      "new file would belong to somebody else than before");
  }
  return DR_FAILED;
}

/* Both sides are known (the target's folder may not exist: NULL): what differs? *done is the op's
 * result when that was all. */
static int compare(dr_op *op, const listing *target, json_int_t attempt, json_t **done,
                   dr_err *err) {
  dr_sync_plan plan = {0};
  const dr_manifest *there = target ? &target->there : NULL;
  dr_sync_rules rules = rules_of(op);
  const dr_manifest *here = find_kept(op, dr__arg_string(op, "sha256", ""));
  int status = DR_OK;
  if (!here || !dr__manifest_compare(&plan, here, there, &rules)) {
    status = dr__err_nomem(err);
  } else if (plan.blocked || plan.foreign || plan.closed) {
    status = fail_refused(op, &plan, err);
  } else {
    if (target) dr__sync_left_apply(&target->left, &plan, here, &rules);
    status = act_on_plan(op, here, target, &plan, attempt, done, err);
  }
  dr__sync_plan_free(&plan);
  return status;
}

static json_t *after_hash(dr_op *op, int status, json_t *result, dr_err *err) {
  listing target = {0};
  json_t *done = NULL;
  const json_t *list = json_object_get(dr__exec_carry(op), "list");
  json_int_t attempt = dr__transfer_carried(op, "attempt");
  const dr_manifest *here = find_kept(op, dr__arg_string(op, "sha256", ""));
  json_decref(result);
  if (status != 0) {
    dr__transfer_explain(op, status, to_of(op), err);
  } else if (!here || !read_listing(&target, list) ||
             !dr__manifest_read_hashes(here, &target.there, dr__exec_text(op, 1))) {
    dr__fail(err, "transfer.failed", "the files in %.700s could not be hashed", to_of(op));
    dr__err_hint(err, "do they change right now, or may this user not read them?");
    const char *words = dr__exec_text(op, 2);
    if (*words) dr__err_detail(err, words, strlen(words));
  } else {
    compare(op, &target, attempt, &done, err);
  }
  free_listing(&target);
  return done;
}

/* Asks for the hashes of the files that may be the same. */
static int hash_there(dr_op *op, const dr_manifest *here, const listing *target, const json_t *list,
                      json_int_t attempt, json_t **done, dr_err *err) {
  dr_text names = {0};
  for (size_t i = 0; i < target->there.count; i++) {
    const dr_entry *e = &target->there.entries[i];
    if (!dr__manifest_must_hash(here, e)) continue;
    dr__text_puts(&names, "./");
    dr__text_add(&names, e->path, strlen(e->path) + 1);
  }
  if (names.length == 0 && !names.failed) return compare(op, target, attempt, done, err);
  dr_exec_spec spec = dr__transfer_ask_hashes(to_of(op), &names, list, attempt);
  spec.parse = after_hash;
  spec.fail = on_failed;
  int status = dr__exec_op(op, &spec, err);
  dr__text_free(&names);
  return status;
}

static json_t *after_list(dr_op *op, int status, json_t *result, dr_err *err) {
  listing target = {0};
  json_t *done = NULL;
  const json_t *list = json_object_get(result, "stdout");
  json_int_t attempt = dr__transfer_carried(op, "attempt");
  const dr_manifest *here = find_kept(op, dr__arg_string(op, "sha256", ""));
  if (status == DR_TRANSFER_NOTHING)
    compare(op, NULL, attempt, &done, err);
  else if (status != 0)
    dr__transfer_explain(op, status, to_of(op), err);
  else if (!here || !read_listing(&target, list))
    dr__fail(err, "transfer.failed", "the list of %.700s could not be understood", to_of(op));
  else
    hash_there(op, here, &target, list, attempt, &done, err);
  free_listing(&target);
  json_decref(result);
  return done;
}

static int list_there(dr_op *op, json_int_t attempt, dr_err *err) {
  char key[13];
  bool acts = op->spec->start == dr__sync_start;
  dr__sync_left_key(dr__arg_string(op, "from", ""), key);
  json_t *words =
      json_pack("[s, s, s, s]", dr__arg_boolean(op, "parents", false) ? "yes" : "no", "no", key,
                acts ? dr__arg_string(op, "owner", "") : ""); /* trying it changes something */
  dr_exec_spec spec = dr__transfer_ask(dr__fs_script(to_of(op), dr__sync_list, words), attempt);
  spec.keep = DR_TRANSFER_LIST;
  spec.parse = after_list;
  spec.fail = on_failed;
  return dr__exec_op(op, &spec, err);
}

static int begin_listing(dr_op *op, const dr_manifest *here, dr_err *err) {
  (void)here;
  return list_there(op, 1, err);
}

int dr__sync_check(const dr_op *op, dr_err *err) {
  if (dr__fs_mode_ok(dr__arg_string(op, "mode", "")) &&
      dr__fs_mode_ok(dr__arg_string(op, "dir_mode", "")))
    return DR_OK;
  return dr__fail(err, "recipe.argument", ":sync: a mode is three or four octal digits, \"0644\"");
}

static int start(dr_op *op, dr_err *err) {
  if (find_kept(op, dr__arg_string(op, "sha256", ""))) return list_there(op, 1, err);
  return begin_scan(op, dr__arg_string(op, "from", ""), begin_listing, err);
}

/* ------------------------------------------------------------ target.compare */

int dr__compare_start(dr_op *op, dr_err *err) {
  return start(op, err);
}

char *dr__compare_preview(const dr_op *op) {
  char *text = NULL;
  int length = asprintf(&text, "compare %s with %s", dr__arg_string(op, "from", ""), to_of(op));
  return length < 0 ? NULL : text;
}

json_t *dr__compare_assume(const dr_op *op) {
  (void)op;
  return json_pack("{s:i, s:i, s:i, s:i, s:i, s:s}", "send", 0, "bytes", 0, "kept", 0, "adjust", 0,
                   "remove", 0, "names", "");
}

/* The first names of what goes, for the plan. */
static json_t *names_of(const dr_manifest *there, const dr_sync_plan *plan) {
  dr_text text = {0};
  size_t shown = 0;
  for (size_t i = 0; there && i < there->count; i++) {
    if (!plan->gone[i]) continue;
    if (shown < SHOWN_NAMES)
      dr__text_printf(&text, "%s%s", shown ? ", " : "", there->entries[i].path);
    shown++;
  }
  if (shown > SHOWN_NAMES) dr__text_puts(&text, ", …");
  json_t *names = json_stringn_nocheck(text.bytes ? text.bytes : "", text.length);
  dr__text_free(&text);
  return names;
}

static json_t *counts_of(const dr_manifest *there, const dr_sync_plan *plan) {
  return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o}", "send", (json_int_t)plan->send, "bytes",
                   (json_int_t)plan->bytes, "kept", (json_int_t)plan->kept, "adjust",
                   (json_int_t)plan->adjust, "remove", (json_int_t)plan->remove, "names",
                   names_of(there, plan));
}

/* ------------------------------------------------------------ target.sync */

int dr__sync_start(dr_op *op, dr_err *err) {
  return start(op, err);
}

char *dr__sync_preview(const dr_op *op) {
  char *text = NULL;
  const char *to = to_of(op), *cwd = op->target->cwd;
  bool relative = cwd && to[0] != '/' && to[0] != '~';
  int length =
      asprintf(&text, "sync %s → %s%s%s (%s)%s: %s", dr__arg_string(op, "from", ""),
               relative ? cwd : "", relative ? "/" : "", to, dr__arg_string(op, "what", ""),
               dr__arg_boolean(op, "delete", false) ? ", deleting what is not in it" : "",
               dr__arg_string(op, "plan", ""));
  return length < 0 ? NULL : text;
}

json_t *dr__sync_assume(const dr_op *op) {
  (void)op;
  return json_pack("{s:b, s:i, s:i, s:i, s:i, s:i, s:i, s:f}", "changed", 1, "sent", 0, "bytes", 0,
                   "resumed_from", 0, "adjusted", 0, "removed", 0, "attempts", 1, "seconds", 0.0);
}

static void on_pulse(dr_op *op, uint64_t moved, double seconds) {
  uint64_t total = (uint64_t)dr__transfer_carried(op, "total");
  if (seconds > 0) dr__transfer_tell(op, moved, total, (double)moved / seconds);
}

static json_t *result_of(const dr_op *op, const json_t *counts, json_int_t attempt) {
  json_int_t send = json_integer_value(json_object_get(counts, "send"));
  json_int_t adjust = json_integer_value(json_object_get(counts, "adjust"));
  json_int_t remove = json_integer_value(json_object_get(counts, "remove"));
  return json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "changed",
                   send + adjust + remove > 0, "sent", send, "bytes",
                   json_integer_value(json_object_get(counts, "bytes")), "resumed_from",
                   json_integer_value(json_object_get(counts, "kept")), "adjusted", adjust,
                   "removed", remove, "attempts", attempt, "seconds", dr__transfer_seconds(op));
}

static json_t *after_receive(dr_op *op, int status, json_t *result, dr_err *err) {
  const json_t *carry = dr__exec_carry(op), *counts = json_object_get(carry, "counts");
  json_int_t had = json_integer_value(json_object_get(counts, "kept"));
  int local = dr__exec_file_error(op);
  json_decref(result);
  if (local) {
    fail_local(op, local, err);
    return NULL;
  }
  if (status == 0) {
    json_int_t bytes = json_integer_value(json_object_get(counts, "bytes"));
    dr__transfer_tell_done(op, "sent", to_of(op), (uint64_t)(bytes - had),
                           dr__transfer_seconds(op));
    return result_of(op, counts, dr__transfer_carried(op, "attempt"));
  }
  /* What was gone on with may have been damaged, or taken by somebody: then all of it is sent. */
  bool again =
      status == DR_TRANSFER_MOVED_ON || status == DR_TRANSFER_HASH || status == DR_TRANSFER_WRITE;
  if (again && had > 0 &&
      dr__transfer_again(op, "what was left of an earlier sync was not usable", list_there))
    return NULL;
  dr__transfer_explain(op, status, to_of(op), err);
  if (status == DR_TRANSFER_HASH)
    dr__err_hint(err, "nothing was replaced; a file here changed while it was sent, or was "
                      "damaged on the way: run again");
  return NULL;
}

static long read_archive(dr_exec_files *files, char *buffer, size_t size) {
  return dr__tar_read(files->source, buffer, size);
}

static dr_exec_files *archive_files(const dr_op *op, const dr_manifest *here,
                                    const dr_manifest *there, const dr_sync_plan *plan) {
  dr_sync_rules rules = rules_of(op);
  char *root = dr__fs_expand(dr__arg_string(op, "from", ""));
  dr_tar *tar = root ? dr__sync_archive(root, here, there, plan, &rules) : NULL;
  dr_exec_files *files = tar ? dr__exec_files_new(-1, -1) : NULL;
  free(root);
  if (!files) {
    dr__tar_free(tar);
    return NULL;
  }
  files->read = read_archive;
  files->source = tar;
  files->free_source = dr__tar_free;
  files->total = dr__tar_length(tar);
  return files;
}

static int send_archive(dr_op *op, const dr_manifest *here, const listing *target,
                        const dr_sync_plan *plan, json_int_t attempt, dr_err *err) {
  char key[13];
  const dr_manifest *there = target ? &target->there : NULL;
  dr__sync_left_key(dr__arg_string(op, "from", ""), key);
  dr_exec_files *files = archive_files(op, here, there, plan);
  if (!files) return dr__err_nomem(err);
  json_t *words =
      json_pack("[s, s, s, s]", dr__arg_boolean(op, "parents", false) ? "yes" : "no",
                dr__arg_string(op, "owner", ""), key, plan->kept > 0 ? target->left.name : "");
  json_t *carry = json_pack("{s:I, s:I, s:o}", "attempt", attempt, "total",
                            (json_int_t)files->total, "counts", counts_of(there, plan));
  dr_exec_spec spec =
      dr__transfer_move(op, dr__fs_script(to_of(op), dr__sync_receive, words), carry, files);
  spec.pulse = on_pulse;
  spec.parse = after_receive;
  spec.fail = on_failed;
  return dr__exec_op(op, &spec, err);
}

/* The end of a comparison: its result, or the sending of what differs. */
static int act_on_plan(dr_op *op, const dr_manifest *here, const listing *target,
                       dr_sync_plan *plan, json_int_t attempt, json_t **done, dr_err *err) {
  const dr_manifest *there = target ? &target->there : NULL;
  json_t *counts = counts_of(there, plan);
  if (!counts) return dr__err_nomem(err);
  bool only_compare = op->spec->start == dr__compare_start;
  bool nothing = there && plan->send + plan->adjust + plan->remove == 0;
  if (!only_compare && !nothing) {
    json_decref(counts);
    int64_t available = there ? there->available : -1,
            needed = plan->bytes - plan->kept + plan->twice;
    if (available < 0 || needed + MARGIN <= available)
      return send_archive(op, here, target, plan, attempt, err);
    char need[32], have[32];
    dr__fail(err, "transfer.no_space", "%.700s needs %s, and its disk has only %s left", to_of(op),
             dr__transfer_size(need, (double)needed), dr__transfer_size(have, (double)available));
    dr__err_hint(err, "nothing was changed; make room on that disk (df -h), then run again");
    return DR_FAILED;
  }
  *done = only_compare ? json_incref(counts) : result_of(op, counts, attempt);
  json_decref(counts);
  return *done ? DR_OK : dr__err_nomem(err);
}
