/* backup_files.c - the files of one backup: being written, opened, hashed. See backup_files.h; the
 * folder as a whole is in backup_list.c. Owns a draft's descriptor and partial files. Called on the
 * backup's thread and by its tests.
 */
#include "backup_files.h"

#include "backup_manifest.h"
#include "core/err.h"
#include "fs/fs.h"
#include "transfer/local_place.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SAME_MOMENT = 100 };

static const char part[] = ".part";

static const char *const endings[] = {DR_BACKUP_JSON, DR_BACKUP_DUMP, DR_BACKUP_GLOBALS};

/* ------------------------------------------------------------ names */

void dr__backup_file_name(const char *database, char *buffer, size_t size) {
  size_t used = 0;
  buffer[0] = '\0';
  for (const char *at = database; *at && used + 4 < size; at++) {
    unsigned char c = (unsigned char)*at;
    bool plain = isalnum(c) || c == '_' || (at != database && (c == '.' || c == '-'));
    used += (size_t)snprintf(buffer + used, size - used, plain ? "%c" : "%%%02X", c);
  }
}

int64_t dr__backup_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void dr__backup_time(int64_t when_ms, char *buffer, size_t size) {
  struct tm parts;
  time_t when = (time_t)(when_ms / 1000);
  size_t used = strftime(buffer, size, "%Y-%m-%dT%H:%M:%S", gmtime_r(&when, &parts));
  snprintf(buffer + used, size - used, ".%03dZ", (int)(when_ms % 1000));
}

char *dr__backup_path(const char *path, const char *ending) {
  size_t length = strlen(path);
  char *whole = NULL;
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
    size_t tail = strlen(endings[i]);
    if (length <= tail || strcmp(path + length - tail, endings[i]) != 0) continue;
    length -= tail;
    break;
  }
  return asprintf(&whole, "%.*s%s", (int)length, path, ending) < 0 ? NULL : whole;
}

/* FOLDER/NAME with an ending, or FOLDER/.NAME with ending and ".part"; malloc'd. */
static char *draft_path(const dr_backup_draft *draft, const char *ending, bool partial) {
  char *path = NULL;
  int length = asprintf(&path, "%s/%s%s%s%s", draft->folder, partial ? "." : "", draft->name,
                        ending, partial ? part : "");
  return length < 0 ? NULL : path;
}

/* ------------------------------------------------------------ errors */

static int fail_file(const char *path, int number, dr_err *err) {
  bool full = number == ENOSPC || number == EDQUOT;
  dr__fail(err, full ? "backup.no_space" : "backup.write", "%.700s: %s", path, strerror(number));
  if (full)
    dr__err_hint(err, "nothing was left there and no older backup was removed; make room (df -h), "
                      "then run again");
  return DR_FAILED;
}

static int fail_folder(const char *path, int number, dr_err *err) {
  dr__fail(err, "backup.folder", "the folder %.700s for backups: %s", path, strerror(number));
  dr__err_hint(err, "it is on the machine deployrun runs on, and belongs to the user who runs it");
  return DR_FAILED;
}

/* ------------------------------------------------------------ leftovers */

static bool is_leftover(const char *file, const char *prefix) {
  size_t length = strlen(file), begin = strlen(prefix);
  return file[0] == '.' && strncmp(file + 1, prefix, begin) == 0 && file[1 + begin] == '-' &&
         length > sizeof part && strcmp(file + length - (sizeof part - 1), part) == 0;
}

/* Removes a partial file unless somebody writes it. */
static void remove_leftover(int folder, const char *file) {
  int fd = openat(folder, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return;
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) unlinkat(folder, file, 0);
  close(fd);
}

static void remove_leftovers(const char *folder, const char *prefix) {
  DIR *entries = opendir(folder);
  if (!entries) return;
  for (struct dirent *entry; (entry = readdir(entries));)
    if (is_leftover(entry->d_name, prefix)) remove_leftover(dirfd(entries), entry->d_name);
  closedir(entries);
}

/* ------------------------------------------------------------ being written */

/* "20261129T165345.123Z" */
static void file_stamp(int64_t when_ms, char *buffer, size_t size) {
  struct tm parts;
  time_t when = (time_t)(when_ms / 1000);
  size_t used = strftime(buffer, size, "%Y%m%dT%H%M%S", gmtime_r(&when, &parts));
  snprintf(buffer + used, size - used, ".%03dZ", (int)(when_ms % 1000));
}

/* Names the draft and opens its partial file; another name when there is one of that moment. */
static int open_part(dr_backup_draft *draft, const char *prefix, int64_t when_ms, dr_err *err) {
  char stamp[32];
  file_stamp(when_ms, stamp, sizeof stamp);
  int failed = EEXIST;
  for (int i = 1; failed == EEXIST && i < SAME_MOMENT; i++) {
    free(draft->name);
    bool named = i == 1 ? asprintf(&draft->name, "%s-%s", prefix, stamp) > 0
                        : asprintf(&draft->name, "%s-%s.%d", prefix, stamp, i) > 0;
    if (!named) draft->name = NULL;
    char *manifest = named ? draft_path(draft, DR_BACKUP_JSON, false) : NULL;
    char *path = manifest ? draft_path(draft, DR_BACKUP_DUMP, true) : NULL;
    if (path && access(manifest, F_OK) != 0) {
      draft->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
      failed = draft->fd < 0 ? errno : 0;
    } else if (!path) {
      failed = ENOMEM;
    }
    free(manifest);
    free(path);
  }
  if (failed == ENOMEM) return dr__err_nomem(err);
  if (failed == ENOSPC || failed == EDQUOT) return fail_file(draft->folder, failed, err);
  return failed ? fail_folder(draft->folder, failed, err) : DR_OK;
}

/* mkdir -p; nobody else may look into the last one. Returns 0 or an errno. */
static int make_folder(const char *path) {
  if (mkdir(path, 0700) == 0 || errno == EEXIST) return 0;
  if (errno != ENOENT) return errno;
  char *above = strdup(path);
  char *slash = above ? strrchr(above, '/') : NULL;
  int failed = slash ? 0 : errno;
  if (slash) {
    *slash = '\0';
    failed = dr__make_folders(above);
  }
  free(above);
  if (failed) return failed;
  return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : errno;
}

int dr__backup_draft_open(dr_backup_draft *draft, const char *folder, const char *database,
                          int64_t when_ms, dr_err *err) {
  char prefix[256];
  *draft = (dr_backup_draft){.fd = -1};
  draft->folder = dr__fs_expand(folder);
  if (!draft->folder) return dr__err_nomem(err);
  int failed = make_folder(draft->folder);
  if (failed) return fail_folder(draft->folder, failed, err);
  dr__backup_file_name(database, prefix, sizeof prefix - 40);
  remove_leftovers(draft->folder, prefix);
  if (open_part(draft, prefix, when_ms, err) != DR_OK) return DR_FAILED;
  flock(draft->fd, LOCK_EX | LOCK_NB); /* a file system without locks: then leftovers stay */
  return DR_OK;
}

static int write_all(int fd, const char *text, size_t length) {
  for (size_t done = 0; done < length;) {
    ssize_t put = write(fd, text + done, length - done);
    if (put < 0 && errno != EINTR) return errno;
    if (put > 0) done += (size_t)put;
  }
  return fsync(fd) == 0 ? 0 : errno;
}

/* Writes a partial file of the draft and brings it to the disk. */
static int write_part(const dr_backup_draft *draft, const char *ending, const char *text,
                      dr_err *err) {
  char *path = draft_path(draft, ending, true);
  if (!path) return dr__err_nomem(err);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  int failed = fd < 0 ? errno : write_all(fd, text, strlen(text));
  if (fd >= 0 && close(fd) != 0 && !failed) failed = errno;
  int status = failed ? fail_file(path, failed, err) : DR_OK;
  free(path);
  return status;
}

int dr__backup_draft_globals(dr_backup_draft *draft, const char *text, dr_err *err) {
  draft->globals = true;
  return write_part(draft, DR_BACKUP_GLOBALS, text, err);
}

/* Gives a partial file its name; it is not to replace anything. */
static int name_part(const dr_backup_draft *draft, const char *ending, dr_err *err) {
  char *from = draft_path(draft, ending, true);
  char *to = from ? draft_path(draft, ending, false) : NULL;
  int status = DR_OK;
  if (!to)
    status = dr__err_nomem(err);
  else if (rename(from, to) != 0)
    status = fail_file(to, errno, err);
  free(from);
  free(to);
  return status;
}

static void remove_file(const dr_backup_draft *draft, const char *ending, bool partial) {
  char *path = draft_path(draft, ending, partial);
  if (path) unlink(path);
  free(path);
}

static void remove_all(const dr_backup_draft *draft, bool partial) {
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
    remove_file(draft, endings[i], partial);
}

int dr__backup_draft_keep(dr_backup_draft *draft, const char *manifest, dr_err *err) {
  if (fsync(draft->fd) != 0) return fail_file(draft->folder, errno, err);
  int status = write_part(draft, DR_BACKUP_JSON, manifest, err);
  if (status == DR_OK) status = name_part(draft, DR_BACKUP_DUMP, err);
  if (status == DR_OK && draft->globals) status = name_part(draft, DR_BACKUP_GLOBALS, err);
  if (status == DR_OK) status = name_part(draft, DR_BACKUP_JSON, err);
  if (status != DR_OK) {
    remove_all(draft, false);
    return status;
  }
  dr__sync_folder(draft->folder);
  close(draft->fd);
  draft->fd = -1;
  return DR_OK;
}

void dr__backup_draft_close(dr_backup_draft *draft) {
  if (draft->fd >= 0) {
    remove_all(draft, true);
    close(draft->fd);
  }
  free(draft->folder);
  free(draft->name);
  *draft = (dr_backup_draft){.fd = -1};
}

/* ------------------------------------------------------------ opened */

/* The whole text of a file, malloc'd; NULL with errno. */
static char *read_text(const char *path, size_t *length) {
  struct stat info;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  char *text = NULL;
  *length = 0;
  if (fd < 0) return NULL;
  if (fstat(fd, &info) == 0) {
    if (!S_ISREG(info.st_mode) || info.st_size > DR_BACKUP_MANIFEST_MAX)
      errno = EINVAL;
    else
      text = malloc((size_t)info.st_size + 1);
  }
  ssize_t got = 1;
  while (text && got > 0 && *length < (size_t)info.st_size) {
    got = read(fd, text + *length, (size_t)info.st_size - *length);
    if (got > 0) *length += (size_t)got;
  }
  int failed = errno;
  close(fd);
  errno = failed;
  if (got >= 0) return text;
  free(text);
  return NULL;
}

static int fail_read(const char *path, int number, dr_err *err) {
  dr__fail(err, "backup.read", "%.700s: %s", path, strerror(number));
  dr__err_hint(err, "look at its owner and mode, and at the disk it is on");
  return DR_FAILED;
}

/* There is no manifest: is there a dump? */
static int fail_no_manifest(const char *path, const char *manifest, dr_err *err) {
  char *dump = dr__backup_path(path, DR_BACKUP_DUMP);
  bool found = dump && access(dump, F_OK) == 0;
  free(dump);
  if (!found) {
    dr__fail(err, "backup.not_found", "there is no backup %.700s", path);
    dr__err_hint(err, "db:backups{ dir = … } lists those that are there");
  } else {
    dr__fail(err, "backup.no_manifest", "the manifest %.700s is missing", manifest);
    dr__err_hint(err, "without it nothing says what the dump should be, and it is not trusted: "
                      "take the manifest from where the backup was copied from");
  }
  return DR_FAILED;
}

/* Compares a file's size with the manifest's. */
static int check_size(const char *path, const char *ending, int64_t bytes, dr_err *err) {
  struct stat info;
  char *file = dr__backup_path(path, ending);
  if (!file) return dr__err_nomem(err);
  int status = DR_OK;
  if (stat(file, &info) != 0) {
    status = errno == ENOENT ? dr__fail(err, "backup.missing", "%.700s is missing", file)
                             : fail_read(file, errno, err);
    if (strcmp(err->code, "backup.missing") == 0)
      dr__err_hint(err, "a backup is NAME.dump.zst, NAME.json and, unless it was not wanted, "
                        "NAME.globals.sql: copy all of them");
  } else if (info.st_size != bytes) {
    status = dr__fail(err, info.st_size < bytes ? "backup.truncated" : "backup.corrupt",
                      "%.700s has %lld bytes, and had %lld", file, (long long)info.st_size,
                      (long long)bytes);
    dr__err_hint(err, "nothing was restored from it; use another backup, and look at the disk or "
                      "the copy that this one went through");
  }
  free(file);
  return status;
}

json_t *dr__backup_open(const char *path, dr_err *err) {
  size_t length;
  char *file = dr__backup_path(path, DR_BACKUP_JSON);
  if (!file) {
    dr__err_nomem(err);
    return NULL;
  }
  char *text = read_text(file, &length);
  json_t *manifest = NULL;
  if (text)
    manifest = dr__backup_manifest_read(text, length, err);
  else if (errno == ENOENT)
    fail_no_manifest(path, file, err);
  else
    fail_read(file, errno, err);
  int status = manifest ? check_size(path, DR_BACKUP_DUMP,
                                     dr__backup_manifest_bytes(manifest, "archive"), err)
                        : DR_FAILED;
  if (status == DR_OK && json_object_get(manifest, "globals"))
    status =
        check_size(path, DR_BACKUP_GLOBALS, dr__backup_manifest_bytes(manifest, "globals"), err);
  free(text);
  free(file);
  if (status == DR_OK) return manifest;
  json_decref(manifest);
  return NULL;
}

/* Writes the manifest anew, in one piece. */
static bool replace_manifest(const char *path, json_t *manifest) {
  char *text = dr__backup_manifest_print(manifest);
  char *to = dr__backup_path(path, DR_BACKUP_JSON);
  char *from = dr__backup_path(path, DR_BACKUP_JSON ".new");
  bool done = false;
  int fd = text && to && from ? open(from, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
  if (fd >= 0) {
    done = write_all(fd, text, strlen(text)) == 0;
    close(fd);
    done = done && rename(from, to) == 0;
    if (!done) unlink(from);
  }
  char *slash = done ? strrchr(to, '/') : NULL;
  if (slash) *slash = '\0';
  if (done) dr__sync_folder(slash ? to : ".");
  free(text);
  free(to);
  free(from);
  return done;
}

bool dr__backup_note(const char *path, json_t *manifest, const char *how) {
  char at[32];
  dr__backup_time(dr__backup_now(), at, sizeof at);
  return dr__backup_manifest_verified(manifest, at, how) && replace_manifest(path, manifest);
}

bool dr__backup_refute(const char *path, json_t *manifest, const char *why) {
  char at[32];
  dr__backup_time(dr__backup_now(), at, sizeof at);
  return dr__backup_manifest_refuted(manifest, at, why) && replace_manifest(path, manifest);
}

/* ------------------------------------------------------------ hashed */

static int hash_file(const char *path, const char *ending, const char *sha256,
                     const atomic_bool *stop, dr_err *err) {
  char hex[65];
  char *file = dr__backup_path(path, ending);
  int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
  int failed = fd < 0 ? (file ? errno : ENOMEM) : dr__fs_hash(fd, stop, hex);
  int status = DR_OK;
  if (fd >= 0) close(fd);
  if (failed == ECANCELED) {
    status = dr__fail(err, "cancelled", "it was stopped");
  } else if (failed) {
    status = fail_read(file ? file : path, failed, err);
  } else if (strcmp(hex, sha256) != 0) {
    status = dr__fail(err, "backup.corrupt",
                      "%.700s is not what was written: its SHA-256 is %.12s…"
                      " and was %.12s…",
                      file, hex, sha256);
    dr__err_hint(err, "nothing was restored from it; use another backup, and look at the disk this "
                      "one was on");
  }
  free(file);
  return status;
}

int dr__backup_hash_globals(const char *path, const json_t *manifest, const atomic_bool *stop,
                            dr_err *err) {
  if (!json_object_get(manifest, "globals")) return DR_OK;
  return hash_file(path, DR_BACKUP_GLOBALS, dr__backup_manifest_sha256(manifest, "globals"), stop,
                   err);
}

int dr__backup_hash(const char *path, const json_t *manifest, const atomic_bool *stop,
                    dr_err *err) {
  int status =
      hash_file(path, DR_BACKUP_DUMP, dr__backup_manifest_sha256(manifest, "archive"), stop, err);
  return status == DR_OK ? dr__backup_hash_globals(path, manifest, stop, err) : status;
}
