/* manifest_scan.c - reads a folder of this machine into a manifest. Called by sync_op.c on a
 * worker. */
#include "fs/fs.h"
#include "manifest.h"

#include "core/err.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEEPEST = 200 };

typedef struct scan {
  dr_manifest *out;
  const json_t *exclude;
  const atomic_bool *stop;
  dr_err *err;
  char path[PATH_MAX]; /* of what is looked at, from the root on */
} scan;

static int fail_entry(scan *s, int number) {
  if (number == ECANCELED) return dr__fail(s->err, "cancelled", "it was stopped");
  dr__fail(s->err, "fs.failed", "%.700s: %s", s->path, strerror(number));
  dr__err_hint(s->err, "look at its owner and mode on this machine, or leave it out: exclude = "
                       "{ … }");
  return DR_FAILED;
}

static int hash_entry(scan *s, int folder, const char *name, dr_entry *e) {
  int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return fail_entry(s, errno);
  int failed = dr__fs_hash(fd, s->stop, e->sha256);
  e->size = failed ? 0 : (int64_t)lseek(fd, 0, SEEK_CUR);
  close(fd);
  return failed ? fail_entry(s, failed) : DR_OK;
}

static int read_link(scan *s, int folder, const char *name, dr_entry *e) {
  char text[PATH_MAX];
  ssize_t length = readlinkat(folder, name, text, sizeof text - 1);
  if (length < 0) return fail_entry(s, errno);
  e->link = strndup(text, (size_t)length);
  return e->link ? DR_OK : dr__err_nomem(s->err);
}

static int scan_folder(scan *s, int fd, int depth);

static int scan_inner(scan *s, int folder, const char *name, int depth) {
  int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return fail_entry(s, errno);
  return scan_folder(s, fd, depth + 1);
}

static int scan_entry(scan *s, int folder, const char *name, int depth) {
  struct stat info;
  if (s->stop && atomic_load(s->stop)) return fail_entry(s, ECANCELED);
  if (dr__manifest_excludes(s->exclude, s->path)) return DR_OK;
  if (fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return fail_entry(s, errno);
  dr_entry *e = dr__manifest_add(s->out, s->path, strlen(s->path));
  if (!e) return dr__err_nomem(s->err);
  e->mode = info.st_mode & 0777;
  switch (info.st_mode & S_IFMT) {
  case S_IFREG: e->type = 'f'; return hash_entry(s, folder, name, e);
  case S_IFDIR: e->type = 'd'; return scan_inner(s, folder, name, depth);
  case S_IFLNK:
    e->type = 'l';
    e->mode = 0777;
    return read_link(s, folder, name, e);
  default: break;
  }
  dr__fail(s->err, "transfer.not_a_file", "%.700s is neither a file nor a folder nor a link",
           s->path);
  dr__err_hint(s->err, "leave it out: exclude = { … }");
  return DR_FAILED;
}

/* Reads an open folder, which it closes; s->path is its path. */
static int scan_folder(scan *s, int fd, int depth) {
  size_t before = strlen(s->path);
  DIR *folder = depth < DEEPEST ? fdopendir(fd) : NULL;
  int status = DR_OK;
  if (!folder) {
    fail_entry(s, depth < DEEPEST ? errno : ELOOP);
    close(fd);
    return DR_FAILED;
  }
  for (struct dirent *entry; status == DR_OK && (entry = readdir(folder));) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    int length = snprintf(s->path + before, sizeof s->path - before, "%s%s", before ? "/" : "",
                          entry->d_name);
    if ((size_t)length >= sizeof s->path - before)
      status = fail_entry(s, ENAMETOOLONG);
    else
      status = scan_entry(s, fd, entry->d_name, depth);
    s->path[before] = '\0';
  }
  closedir(folder);
  return status;
}

static int fail_root(const char *root, int number, dr_err *err) {
  dr__fail(err, number == ENOENT ? "fs.not_found" : "fs.failed", "%.700s: %s", root,
           strerror(number));
  dr__err_hint(err, "check the path: it is a folder of this machine, and begins where deployrun "
                    "was started unless it is absolute");
  return DR_FAILED;
}

int dr__manifest_scan(dr_manifest *out, const char *root, const json_t *exclude,
                      const atomic_bool *stop, dr_err *err) {
  *out = (dr_manifest){.available = -1};
  scan *s = calloc(1, sizeof *s);
  if (!s) return dr__err_nomem(err);
  *s = (scan){.out = out, .exclude = exclude, .stop = stop, .err = err};
  int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int status = fd >= 0 ? scan_folder(s, fd, 0) : fail_root(root, errno, err);
  dr__manifest_sort(out);
  free(s);
  return status;
}
