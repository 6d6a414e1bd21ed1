/* fs.c - files: what is on this machine (fs.read, exists, glob, hash), and on any target
 * (target:write, :stat).
 *
 * Called by the gate and, through it, fs.lua; on the runtime's thread. Reading and hashing here is
 * done on libuv's worker threads, so that a large file does not hold up the loop; a worker touches
 * nothing but its own job. On a target the work is a small shell script (fs_target.c).
 */
#include "fs.h"
#include "fs_glob.h"
#include "sha256.h"
#include "work.h"

#include "core/err.h"
#include "ops/binding.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

extern const dr_lua_source dr__lua_fs;

enum { READ_MAX = 16 * 1024 * 1024, CHUNK = 256 * 1024 };

/* ------------------------------------------------------------ on the worker */

char *dr__fs_expand(const char *path) {
  const char *home = getenv("HOME");
  char *whole = NULL;
  if (home && path[0] == '~' && (path[1] == '/' || path[1] == '\0'))
    return asprintf(&whole, "%s%s", home, path + 1) < 0 ? NULL : whole;
  return strdup(path);
}

static const char *path_of(const dr_work *w) {
  return w->data;
}

static int fail_file(dr_work *w, int number) {
  bool missing = number == ENOENT || number == ENOTDIR;
  dr__fail(&w->err, missing ? "fs.not_found" : "fs.failed", "%s: %s", path_of(w), strerror(number));
  dr__err_hint(&w->err, "%s",
               missing
                   ? "check the path: it is one of this machine, and begins where deployrun was "
                     "started unless it is absolute"
                   : "look at its kind, owner and mode on this machine");
  return DR_FAILED;
}

/* Opens a file to be read; a folder is refused. Returns the descriptor, or -1 with the error
 * filled. */
static int open_file(dr_work *w, struct stat *info) {
  int fd = open(path_of(w), O_RDONLY | O_CLOEXEC);
  int failed = fd < 0 || fstat(fd, info) != 0 ? errno : S_ISDIR(info->st_mode) ? EISDIR : 0;
  if (!failed) return fd;
  if (fd >= 0) close(fd);
  fail_file(w, failed);
  return -1;
}

static ssize_t read_some(int fd, char *buffer, size_t size) {
  ssize_t got;
  do got = read(fd, buffer, size);
  while (got < 0 && errno == EINTR);
  return got;
}

/* Reads up to `size` bytes; the count in *length. */
static int read_whole(dr_work *w, int fd, char *buffer, size_t size, size_t *length) {
  ssize_t got = 1;
  for (*length = 0; *length < size && got > 0; *length += got > 0 ? (size_t)got : 0)
    got = read_some(fd, buffer + *length, size - *length);
  return got < 0 ? fail_file(w, errno) : DR_OK;
}

static int act_read(dr_work *w) {
  struct stat info;
  size_t length = 0;
  int fd = open_file(w, &info);
  if (fd < 0) return DR_FAILED;
  char *buffer = malloc(READ_MAX + 1);
  int status = buffer ? read_whole(w, fd, buffer, READ_MAX + 1, &length) : dr__err_nomem(&w->err);
  if (status == DR_OK && length > READ_MAX)
    status = dr__fail(&w->err, "fs.too_large", "%s is larger than 16 MiB", path_of(w));
  if (status == DR_OK) w->result = json_pack("{s:o}", "text", json_stringn_nocheck(buffer, length));
  if (status == DR_OK && !w->result) status = dr__err_nomem(&w->err);
  free(buffer);
  close(fd);
  return status;
}

static int act_exists(dr_work *w) {
  struct stat info;
  int failed = stat(path_of(w), &info) == 0 ? 0 : errno;
  if (failed && failed != ENOENT && failed != ENOTDIR) return fail_file(w, failed);
  w->result = json_pack("{s:b}", "exists", !failed);
  return w->result ? DR_OK : dr__err_nomem(&w->err);
}

static int act_glob(dr_work *w) {
  json_t *paths = dr__fs_glob(path_of(w), &w->stop, &w->err);
  if (!paths) return DR_FAILED;
  w->result = json_pack("{s:o}", "paths", paths);
  return w->result ? DR_OK : dr__err_nomem(&w->err);
}

int dr__fs_hash(int fd, const atomic_bool *stop, char hex[65]) {
  dr_sha256 hash;
  ssize_t got = 1;
  char *buffer = malloc(CHUNK);
  if (!buffer) return ENOMEM;
  dr__sha256_init(&hash);
  while (got > 0 && !(stop && atomic_load(stop))) {
    got = read_some(fd, buffer, CHUNK);
    if (got > 0) dr__sha256_add(&hash, buffer, (size_t)got);
  }
  int failed = got < 0 ? errno : got > 0 ? ECANCELED : 0;
  dr__sha256_hex(&hash, hex);
  free(buffer);
  return failed;
}

static int act_hash(dr_work *w) {
  struct stat info;
  char hex[65];
  int fd = open_file(w, &info);
  if (fd < 0) return DR_FAILED;
  int failed = dr__fs_hash(fd, &w->stop, hex);
  close(fd);
  if (failed) return fail_file(w, failed);
  w->result = json_pack("{s:s}", "sha256", hex);
  return w->result ? DR_OK : dr__err_nomem(&w->err);
}

/* A file that is about to be sent somewhere: {type, size, sha256, mode}; a folder has only its
 * type. */
static int act_digest(dr_work *w) {
  struct stat info;
  char hex[65];
  if (stat(path_of(w), &info) != 0) return fail_file(w, errno);
  if (S_ISDIR(info.st_mode)) {
    w->result = json_pack("{s:s}", "type", "folder");
    return w->result ? DR_OK : dr__err_nomem(&w->err);
  }
  int fd = S_ISREG(info.st_mode) ? open_file(w, &info) : -1;
  if (!S_ISREG(info.st_mode))
    dr__fail(&w->err, "fs.failed", "%s is neither a file nor a folder", path_of(w));
  if (fd < 0) return DR_FAILED;
  int failed = dr__fs_hash(fd, &w->stop, hex);
  int64_t end = lseek(fd, 0, SEEK_CUR);
  close(fd);
  if (failed) return fail_file(w, failed);
  w->result = json_pack("{s:s, s:I, s:s, s:o}", "type", "file", "size", (json_int_t)end, "sha256",
                        hex, "mode", json_sprintf("%o", info.st_mode & 0777));
  return w->result ? DR_OK : dr__err_nomem(&w->err);
}

/* ------------------------------------------------------------ on the loop */

static int start_job(dr_op *op, int (*act)(dr_work *), dr_err *err) {
  return dr__work_start(op, act, NULL, dr__fs_expand(dr__arg_string(op, "path", "")), free, err);
}

static int start_read(dr_op *op, dr_err *err) {
  return start_job(op, act_read, err);
}
static int start_exists(dr_op *op, dr_err *err) {
  return start_job(op, act_exists, err);
}
static int start_glob(dr_op *op, dr_err *err) {
  return start_job(op, act_glob, err);
}
static int start_hash(dr_op *op, dr_err *err) {
  return start_job(op, act_hash, err);
}

/* ---- digests are kept: the run after a walk need not read a large file again. Whoever sends the
 * file compares its hash once more. */

enum {
  SETTLED_SECONDS = 2, /* a younger file may change again without its times showing it */
  IDENTITY_SIZE = 128
};

/* What a file's content is known by until it is written to; false when it cannot be
 * known by that. */
static bool identity(const char *path, char buffer[IDENTITY_SIZE]) {
  struct stat info;
  memset(buffer, 0, IDENTITY_SIZE);
  if (stat(path, &info) != 0 || !S_ISREG(info.st_mode)) return false;
  snprintf(buffer, IDENTITY_SIZE, "%llu:%llu:%lld:%lld.%09ld:%lld.%09ld",
           (unsigned long long)info.st_dev, (unsigned long long)info.st_ino,
           (long long)info.st_size, (long long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec,
           (long long)info.st_ctim.tv_sec, info.st_ctim.tv_nsec);
  return time(NULL) - info.st_ctim.tv_sec >= SETTLED_SECONDS;
}

static void free_digests(void *digests) {
  json_decref(digests);
}

/* The runtime's digests by identity, or NULL when memory is short. */
static json_t *digests_of(dr_runtime *rt) {
  json_t *digests = dr__runtime_get(rt, "digests");
  if (digests || !(digests = json_object())) return digests;
  if (dr__runtime_put(rt, "digests", digests, free_digests) == DR_OK) return digests;
  json_decref(digests);
  return NULL;
}

/* Of the work's data, the path: behind it stands the identity when it was begun. */
static const char *identity_of(const dr_work *w) {
  return path_of(w) + strlen(path_of(w)) + 1;
}

static void keep_digest(dr_op *op, dr_work *w) {
  char now[IDENTITY_SIZE];
  json_t *digests = digests_of(dr__op_runtime(op));
  if (digests && identity(path_of(w), now) && strcmp(now, identity_of(w)) == 0)
    json_object_set_new(digests, now, json_deep_copy(w->result));
  dr__op_done(op, json_incref(w->result));
}

static int start_digest(dr_op *op, dr_err *err) {
  char begun[IDENTITY_SIZE];
  char *path = dr__fs_expand(dr__arg_string(op, "path", ""));
  char *data = path ? malloc(strlen(path) + 1 + sizeof begun) : NULL;
  bool settled = data && identity(path, begun);
  json_t *digests = settled ? digests_of(dr__op_runtime(op)) : NULL;
  json_t *known = digests ? json_deep_copy(json_object_get(digests, begun)) : NULL;
  if (data && !known) {
    memcpy(data, path, strlen(path) + 1);
    memcpy(data + strlen(path) + 1, begun, sizeof begun);
  }
  free(path);
  if (!known) return dr__work_start(op, act_digest, keep_digest, data, free, err);
  free(data);
  dr__op_done(op, known);
  return DR_OK;
}

/* ------------------------------------------------------------ what a plan says */

static char *preview(const dr_op *op) {
  char *text = NULL;
  const char *verb = strchr(op->spec->name, '.') + 1;
  return asprintf(&text, "%s %s", verb, dr__arg_string(op, "path", "")) < 0 ? NULL : text;
}

static json_t *assume_read(const dr_op *op) {
  (void)op;
  return json_pack("{s:s}", "text", "");
}

static json_t *assume_exists(const dr_op *op) {
  (void)op;
  return json_pack("{s:b}", "exists", 1);
}

static json_t *assume_glob(const dr_op *op) {
  (void)op;
  return json_pack("{s:[]}", "paths");
}

static json_t *assume_hash(const dr_op *op) {
  (void)op;
  return json_pack("{s:s}", "sha256", "(unknown until then)");
}

static json_t *assume_digest(const dr_op *op) {
  (void)op;
  return json_pack("{s:s, s:i, s:s, s:s}", "type", "file", "size", 0, "sha256",
                   "(unknown until then)", "mode", "644");
}

static const dr_arg path_args[] = {{"path", DR_ARG_STRING, DR_REQUIRED}, {0}};

#define LOCAL_QUERY(op_name, function)                                                             \
  {                                                                                                \
    .name = "fs." op_name, .kind = DR_QUERY, .idempotent = true,                                   \
    .reads = DR_AREA_FILES | DR_AREA_BACKUPS, .args = path_args, .preview = preview,               \
    .assume = assume_##function, .start = start_##function                                         \
  }

static const dr_opspec ops[] = {
    LOCAL_QUERY("read", read),
    LOCAL_QUERY("exists", exists),
    LOCAL_QUERY("glob", glob),
    LOCAL_QUERY("hash", hash),
    LOCAL_QUERY("digest", digest),
    {.name = "target.write",
     .kind = DR_ACTION,
     .effects = DR_CHANGE,
     .idempotent = true,
     .touches = DR_AREA_FILES,
     .args = dr__fs_write_args,
     .check = dr__fs_check_write,
     .preview = dr__fs_preview_write,
     .assume = dr__fs_assume_write,
     .start = dr__fs_start_write},
    {.name = "target.stat",
     .check = dr__fs_check_path,
     .kind = DR_QUERY,
     .idempotent = true,
     .reads = DR_AREA_FILES | DR_AREA_BACKUPS,
     .args = path_args,
     .preview = dr__fs_preview_stat,
     .assume = dr__fs_assume_stat,
     .start = dr__fs_start_stat},
    {0},
};

const dr_binding dr__binding_fs = {
    .name = "fs", .ops = ops, .lua = &dr__lua_fs, .gives = "fs :write :stat"};
