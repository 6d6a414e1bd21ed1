/* local_place.c - see local_place.h. Called by transfer_download.c on workers. */
#include "local_place.h"

#include "core/err.h"
#include "fs/fs.h"
#include "transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { MARGIN = 64 * 1024, LONGEST_NAME = 200 };

int dr__make_folders(const char *path) {
  char *copy = strdup(path);
  if (!copy) return ENOMEM;
  int failed = 0;
  for (char *at = copy + 1; !failed && *copy; at++) {
    char kept = *at;
    if (kept != '/' && kept != '\0') continue;
    *at = '\0';
    failed = mkdir(copy, 0755) == 0 || errno == EEXIST ? 0 : errno;
    *at = kept;
    if (kept == '\0') break;
  }
  free(copy);
  return failed;
}

void dr__sync_folder(const char *path) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd); /* some file systems cannot: then there is no more to be done */
  close(fd);
}

void dr__local_place_free(dr_local_place *place) {
  free(place->path);
  free(place->folder);
  free(place->part);
  *place = (dr_local_place){0};
}

/* Splits the path into folder and name, and names the partial file. */
static int name_parts(dr_local_place *place, const char *sha256, dr_err *err) {
  const char *slash = strrchr(place->path, '/');
  const char *name = slash ? slash + 1 : place->path;
  size_t before = slash ? (size_t)(slash - place->path) : 0;
  if (*name == '\0') return dr__transfer_fail_here(place->path, EISDIR, err);
  place->folder = !slash ? strdup(".") : before == 0 ? strdup("/") : strndup(place->path, before);
  if (!place->folder || asprintf(&place->part, "%s/.%.*s.deployrun-%.12s.part", place->folder,
                                 LONGEST_NAME, name, sha256) < 0) {
    place->part = NULL;
    return dr__err_nomem(err);
  }
  return DR_OK;
}

int dr__local_place_find(dr_local_place *place, const char *path, const char *sha256, bool parents,
                         dr_err *err) {
  struct stat info;
  *place = (dr_local_place){0};
  char *whole = dr__fs_expand(path);
  char *followed = whole ? realpath(whole, NULL) : NULL;
  if (followed) free(whole);
  place->path = followed ? followed : whole;
  if (!place->path) return dr__err_nomem(err);
  if (name_parts(place, sha256, err) != DR_OK) return DR_FAILED;
  int failed = parents ? dr__make_folders(place->folder) : 0;
  if (failed) return dr__transfer_fail_here(place->folder, failed, err);
  if (access(place->folder, W_OK | X_OK) != 0)
    return dr__transfer_fail_here(place->folder, errno, err);
  if (lstat(place->path, &info) != 0) return DR_OK;
  if (!S_ISREG(info.st_mode))
    return dr__transfer_fail_here(place->path, S_ISDIR(info.st_mode) ? EISDIR : EINVAL, err);
  place->found = true;
  place->mode = info.st_mode & 07777;
  return DR_OK;
}

/* The file's hash, and its size where it is wanted. False when it cannot be read. */
static bool hash_path(const char *path, const atomic_bool *stop, char hex[65]) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  int failed = dr__fs_hash(fd, stop, hex);
  close(fd);
  return failed == 0;
}

bool dr__local_place_same(const dr_local_place *place, int64_t size, const char *sha256,
                          const atomic_bool *stop) {
  struct stat info;
  char hex[65];
  return place->found && stat(place->path, &info) == 0 && info.st_size == size &&
         hash_path(place->path, stop, hex) && strcmp(hex, sha256) == 0;
}

int64_t dr__local_place_partial(const dr_local_place *place, int64_t size) {
  struct stat info;
  if (lstat(place->part, &info) != 0) return 0;
  if (S_ISREG(info.st_mode) && info.st_size <= size) return info.st_size;
  unlink(place->part);
  return 0;
}

int dr__local_place_room(const dr_local_place *place, int64_t needed, dr_err *err) {
  struct statvfs disk;
  if (statvfs(place->folder, &disk) != 0) return DR_OK;
  uint64_t room = (uint64_t)disk.f_bavail * disk.f_frsize;
  if ((uint64_t)needed + MARGIN <= room) return DR_OK;
  dr__fail(err, "transfer.no_space", "%.700s needs %lld bytes, and its disk has only %llu left",
           place->path, (long long)needed, (unsigned long long)room);
  dr__err_hint(err, "nothing was changed; make room on this machine (df -h), then run again");
  return DR_FAILED;
}

int dr__local_place_open(const dr_local_place *place) {
  return open(place->part, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

int dr__local_place_install(const dr_local_place *place, const char *sha256, unsigned mode,
                            const atomic_bool *stop, dr_err *err) {
  char hex[65];
  int fd = open(place->part, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return dr__transfer_fail_here(place->path, errno, err);
  int failed = dr__fs_hash(fd, stop, hex);
  if (!failed && strcmp(hex, sha256) != 0) {
    close(fd);
    unlink(place->part);
    dr__fail(err, "transfer.corrupt", "what arrived for %.700s is not what was hashed there",
             place->path);
    dr__err_hint(err, "the file was changed meanwhile, or damaged on the way; it was thrown away. "
                      "Run again");
    return DR_FAILED;
  }
  if (!failed && (fchmod(fd, mode) != 0 || fsync(fd) != 0)) failed = errno;
  close(fd);
  if (!failed && rename(place->part, place->path) != 0) failed = errno;
  if (failed) return dr__transfer_fail_here(place->path, failed, err);
  dr__sync_folder(place->folder);
  return DR_OK;
}
