/* local_folder.c - see local_folder.h. Called by fetch_op.c on workers. */
#include "local_folder.h"

#include "core/err.h"
#include "local_place.h"
#include "sha256.h"
#include "transfer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 128 * 1024 };

int dr__local_folder_begin(const char *root, bool parents, char **staging, dr_err *err) {
  char *all = NULL;
  int failed = parents ? dr__make_folders(root) : 0;
  if (!failed && mkdir(root, 0755) != 0 && errno != EEXIST) failed = errno;
  *staging = NULL;
  if (failed) return dr__transfer_fail_here(root, failed, err), -1;
  if (asprintf(staging, "%s/.deployrun-sync.XXXXXX", root) < 0) *staging = NULL;
  if (!*staging) return dr__err_nomem(err), -1;
  if (!mkdtemp(*staging)) {
    failed = errno;
    free(*staging);
    *staging = NULL;
    return dr__transfer_fail_here(root, failed, err), -1;
  }
  if (asprintf(&all, "%s/all", *staging) < 0) return dr__err_nomem(err), -1;
  int fd = open(all, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) dr__transfer_fail_here(all, errno, err);
  free(all);
  return fd;
}

/* The staging folder holds files only. */
void dr__local_folder_end(const char *staging) {
  DIR *folder = opendir(staging);
  for (struct dirent *entry; folder && (entry = readdir(folder));)
    if (entry->d_name[0] != '.') unlinkat(dirfd(folder), entry->d_name, 0);
  if (folder) closedir(folder);
  rmdir(staging);
}

/* ------------------------------------------------------------ splitting */

/* Moves `size` bytes from one file to another, hashing them. Returns 0 or an errno; EPIPE when
 * there are not so many. */
static int copy(int from, int to, int64_t size, const atomic_bool *stop, char hex[65]) {
  dr_sha256 hash;
  char *buffer = malloc(BLOCK);
  int failed = buffer ? 0 : ENOMEM;
  dr__sha256_init(&hash);
  while (!failed && size > 0) {
    ssize_t got = read(from, buffer, size < BLOCK ? (size_t)size : BLOCK);
    if (got <= 0) failed = got == 0 ? EPIPE : errno;
    if (stop && atomic_load(stop)) failed = ECANCELED;
    for (ssize_t done = 0, put; !failed && done < got; done += put) {
      put = write(to, buffer + done, (size_t)(got - done));
      if (put < 0) failed = errno;
    }
    if (failed) break;
    dr__sha256_add(&hash, buffer, (size_t)got);
    size -= got;
  }
  dr__sha256_hex(&hash, hex);
  free(buffer);
  return failed;
}

/* Where the n-th file of the stream waits. malloc'd. */
static char *waiting(const char *staging, size_t n) {
  char *path = NULL;
  return asprintf(&path, "%s/%zu", staging, n) < 0 ? NULL : path;
}

static int fail_entry(const dr_entry *e, dr_err *err) {
  dr__fail(err, "transfer.corrupt", "what arrived for %.700s is not what was hashed there",
           e->path);
  dr__err_hint(err,
               "nothing was replaced; a file there changed meanwhile, or was damaged on the way. "
               "Run again");
  return DR_FAILED;
}

static int split_one(const char *staging, size_t n, int all, const dr_entry *e,
                     const atomic_bool *stop, dr_err *err) {
  char hex[65];
  char *path = waiting(staging, n);
  if (!path) return dr__err_nomem(err);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  int failed = fd < 0 ? errno : copy(all, fd, e->size, stop, hex);
  bool wrong = failed == EPIPE || (!failed && strcmp(hex, e->sha256) != 0);
  if (!failed && !wrong && (fchmod(fd, e->mode & 0777) != 0 || fsync(fd) != 0)) failed = errno;
  if (fd >= 0) close(fd);
  int status = wrong    ? fail_entry(e, err)
               : failed ? dr__transfer_fail_here(path, failed, err)
                        : DR_OK;
  free(path);
  return status;
}

static int split(const char *staging, const dr_manifest *source, const dr_sync_plan *plan,
                 const atomic_bool *stop, dr_err *err) {
  char *path = NULL;
  if (asprintf(&path, "%s/all", staging) < 0) return dr__err_nomem(err);
  int all = open(path, O_RDONLY | O_CLOEXEC);
  int status = all < 0 ? dr__transfer_fail_here(path, errno, err) : DR_OK;
  free(path);
  for (size_t i = 0; status == DR_OK && i < source->count; i++)
    if (plan->here[i] == DR_CHANGE_SEND && source->entries[i].type == 'f')
      status = split_one(staging, i, all, &source->entries[i], stop, err);
  if (all >= 0) close(all);
  return status;
}

/* ------------------------------------------------------------ installing */

/* A link is made beside and renamed, as a file is. */
static int make_link(const char *path, const char *target, const char *beside) {
  if (symlink(target, beside) != 0) return errno;
  return rename(beside, path) == 0 ? 0 : errno;
}

static int place_one(const char *root, const char *staging, size_t n, const dr_entry *e,
                     dr_change change) {
  char *path = NULL, *from = waiting(staging, n);
  if (asprintf(&path, "%s/%s", root, e->path) < 0) path = NULL;
  int failed = path && from ? 0 : ENOMEM;
  if (!failed && change == DR_CHANGE_ADJUST)
    failed = e->type != 'l' && chmod(path, e->mode & 0777) != 0 ? errno : 0;
  else if (!failed && e->type == 'd')
    failed = mkdir(path, 0700 | (e->mode & 0777)) != 0 ? errno : 0;
  else if (!failed && e->type == 'l')
    failed = make_link(path, e->link, from);
  else if (!failed)
    failed = rename(from, path) != 0 ? errno : 0;
  free(path);
  free(from);
  return failed;
}

int dr__local_folder_install(const char *root, const char *staging, const dr_manifest *source,
                             const dr_sync_plan *plan, const atomic_bool *stop, dr_err *err) {
  if (split(staging, source, plan, stop, err) != DR_OK) return DR_FAILED;
  for (size_t i = 0; i < source->count; i++) {
    if (plan->here[i] == DR_CHANGE_NONE) continue;
    int failed = place_one(root, staging, i, &source->entries[i], plan->here[i]);
    if (failed) return dr__transfer_fail_here(source->entries[i].path, failed, err);
  }
  dr__sync_folder(root);
  return DR_OK;
}
