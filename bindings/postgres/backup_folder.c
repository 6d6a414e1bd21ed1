/* backup_folder.c - the ops postgres.backups, postgres.backup_facts and postgres.retain: a folder
 * of backups on this machine. Called by the gate on the runtime's thread; the work is done by
 * libuv's workers, in `act` functions.
 */
#include "backup.h"

#include "backup_files.h"
#include "backup_manifest.h"
#include "core/err.h"
#include "fs/fs.h"
#include "work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const dr_arg dr__backups_args[] = {
    {"dir", DR_ARG_STRING, DR_REQUIRED}, {"database", DR_ARG_STRING, 0}, {0}};
const dr_arg dr__backup_facts_args[] = {{"path", DR_ARG_STRING, DR_REQUIRED}, {0}};
const dr_arg dr__retain_args[] = {
    {"path", DR_ARG_STRING, DR_REQUIRED}, {"keep", DR_ARG_INTEGER, DR_REQUIRED}, {0}};

static char *text_of(const char *before, const char *path, const char *after) {
  char *text = NULL;
  return asprintf(&text, "%s%s%s", before, path, after) < 0 ? NULL : text;
}

static int start(dr_op *op, int (*act)(dr_work *), dr_err *err) {
  return dr__work_start(op, act, NULL, json_deep_copy(op->args), (void (*)(void *))json_decref,
                        err);
}

static const char *text_arg(const dr_work *w, const char *name) {
  return json_string_value(json_object_get(w->data, name));
}

/* ------------------------------------------------------------ the list */

/* What is known of a backup, on one level: for recipes. */
static json_t *facts_of(const char *path, const json_t *manifest) {
  const json_t *archive = json_object_get(manifest, "archive");
  const json_t *refuted = json_object_get(manifest, "refuted");
  json_t *facts = json_pack(
      "{s:s, s:b, s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:i, s:I}", "path", path, "ok", !refuted,
      "database", json_object_get(manifest, "database"), "taken",
      json_object_get(manifest, "taken"), "by", json_object_get(manifest, "by"), "server",
      json_object_get(manifest, "server"), "pg_dump", json_object_get(manifest, "pg_dump"), "bytes",
      json_object_get(archive, "bytes"), "plain_bytes", json_object_get(archive, "plain_bytes"),
      "sha256", json_object_get(archive, "sha256"), "tables",
      (int)json_array_size(json_object_get(manifest, "tables")), "rows",
      (json_int_t)dr__backup_manifest_rows(manifest));
  const json_t *verified = json_object_get(manifest, "verified");
  if (facts && verified) {
    json_object_set(facts, "verified", json_object_get(verified, "how"));
    json_object_set(facts, "verified_at", json_object_get(verified, "at"));
  }
  if (facts && refuted) {
    json_object_set_new(facts, "problem", json_string("backup.counts"));
    json_object_set(facts, "message", json_object_get(refuted, "why"));
  }
  return facts;
}

static json_t *listed(const char *dir, const json_t *entry) {
  const json_t *manifest = json_object_get(entry, "manifest");
  char *path = NULL;
  if (asprintf(&path, "%s/%s" DR_BACKUP_DUMP, dir, dr__backup_manifest_text(entry, "name")) < 0)
    return NULL;
  json_t *facts = manifest ? facts_of(path, manifest)
                           : json_pack("{s:s, s:b, s:O, s:O}", "path", path, "ok", false, "problem",
                                       json_object_get(entry, "problem"), "message",
                                       json_object_get(entry, "message"));
  free(path);
  return facts;
}

static int act_list(dr_work *w) {
  const char *dir = text_arg(w, "dir");
  json_t *list = dr__backup_list(dir, text_arg(w, "database"), &w->err);
  json_t *all = list ? json_array() : NULL;
  size_t i;
  json_t *entry;
  json_array_foreach(list, i, entry) {
    if (json_array_append_new(all, listed(dir, entry)) != 0) dr__err_nomem(&w->err);
  }
  json_decref(list);
  w->result = json_pack("{s:o}", "backups", all);
  if (!w->result && !w->err.code[0]) dr__err_nomem(&w->err);
  return w->err.code[0] ? DR_FAILED : DR_OK;
}

char *dr__backups_preview(const dr_op *op) {
  return text_of("backups in ", dr__arg_string(op, "dir", ""), "");
}

json_t *dr__backups_assume(const dr_op *op) {
  (void)op;
  return json_pack("{s:[]}", "backups");
}

int dr__backups_start(dr_op *op, dr_err *err) {
  return start(op, act_list, err);
}

/* ------------------------------------------------------------ one of them */

static int act_facts(dr_work *w) {
  char *path = dr__fs_expand(text_arg(w, "path"));
  json_t *manifest = path ? dr__backup_open(path, &w->err) : NULL;
  if (manifest) w->result = facts_of(text_arg(w, "path"), manifest);
  free(path);
  json_decref(manifest);
  if (!w->result && !w->err.code[0]) dr__err_nomem(&w->err);
  return w->result ? DR_OK : DR_FAILED;
}

char *dr__backup_facts_preview(const dr_op *op) {
  return text_of("manifest and sizes of ", dr__arg_string(op, "path", ""), "");
}

json_t *dr__backup_facts_assume(const dr_op *op) {
  return json_pack("{s:s, s:b, s:s}", "path", dr__arg_string(op, "path", ""), "ok", true,
                   "database", "(unknown until then)");
}

int dr__backup_facts_start(dr_op *op, dr_err *err) {
  return start(op, act_facts, err);
}

/* ------------------------------------------------------------ retention */

/* Marks those that were verified once and whose files are right at this moment, newest first, until
 * there are enough. */
static int64_t mark_verified(dr_work *w, const char *dir, json_t *list, const json_t *like,
                             int64_t keep) {
  int64_t verified = 0;
  size_t i;
  json_t *entry;
  json_array_foreach(list, i, entry) {
    const json_t *manifest = json_object_get(entry, "manifest");
    bool same = manifest && strcmp(dr__backup_manifest_text(manifest, "cluster"),
                                   dr__backup_manifest_text(like, "cluster")) == 0;
    char *path = NULL;
    dr_err err = DR_ERR_INIT;
    if (verified >= keep || !same || !json_object_get(manifest, "verified")) continue;
    if (asprintf(&path, "%s/%s", dir, dr__backup_manifest_text(entry, "name")) < 0) break;
    bool whole = dr__backup_hash(path, manifest, &w->stop, &err) == DR_OK;
    json_object_set_new(entry, "verified", json_boolean(whole));
    if (whole) verified++;
    dr_err_clear(&err);
    free(path);
  }
  return verified;
}

static int remove_surplus(dr_work *w, const char *dir, const json_t *names) {
  size_t i;
  json_t *name;
  json_array_foreach((json_t *)names, i, name) {
    if (dr__backup_remove(dir, json_string_value(name), &w->err) != DR_OK) return DR_FAILED;
  }
  return DR_OK;
}

static int retain(dr_work *w, const char *dir, const json_t *like) {
  int64_t keep = json_integer_value(json_object_get(w->data, "keep"));
  const char *database = dr__backup_manifest_text(like, "database");
  json_t *list = dr__backup_list(dir, database, &w->err);
  if (!list) return DR_FAILED;
  int64_t verified = mark_verified(w, dir, list, like, keep);
  json_t *names =
      dr__backup_surplus(list, dr__backup_manifest_text(like, "cluster"), database, keep);
  int status = names ? DR_OK : dr__err_nomem(&w->err);
  if (status == DR_OK && atomic_load(&w->stop))
    status = dr__fail(&w->err, "cancelled", "it was stopped");
  if (status == DR_OK) status = remove_surplus(w, dir, names);
  if (status == DR_OK)
    w->result = json_pack("{s:O, s:I}", "removed", names, "verified", (json_int_t)verified);
  json_decref(names);
  json_decref(list);
  return status == DR_OK && !w->result ? dr__err_nomem(&w->err) : status;
}

static int act_retain(dr_work *w) {
  char *path = dr__fs_expand(text_arg(w, "path"));
  json_t *like = path ? dr__backup_open(path, &w->err) : NULL;
  char *slash = path ? strrchr(path, '/') : NULL;
  if (slash) *slash = '\0';
  if (!path) dr__err_nomem(&w->err);
  int status = like ? retain(w, slash ? path : ".", like) : DR_FAILED;
  json_decref(like);
  free(path);
  return status;
}

char *dr__retain_preview(const dr_op *op) {
  char *text = NULL;
  int length = asprintf(&text,
                        "beside %s: keep the newest %lld verified backups of that database and "
                        "server and all later ones, remove those that are older",
                        dr__arg_string(op, "path", ""), (long long)dr__arg_integer(op, "keep", 0));
  return length < 0 ? NULL : text;
}

json_t *dr__retain_assume(const dr_op *op) {
  (void)op;
  return json_pack("{s:[], s:i}", "removed", "verified", 0);
}

int dr__retain_check(const dr_op *op, dr_err *err) {
  if (dr__arg_integer(op, "keep", 0) >= 1) return DR_OK;
  return dr__fail(err, "recipe.argument", "keep is the number of backups that stay: 1 or more");
}

int dr__retain_start(dr_op *op, dr_err *err) {
  return start(op, act_retain, err);
}
