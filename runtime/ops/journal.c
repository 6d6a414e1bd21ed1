/* ops/journal.c - writing the journal. Called by the gate and by run.c on the runtime's thread. */
#include "ops/journal.h"

#include "core/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct dr_journal {
  int fd;
  off_t length; /* of the whole lines in it */
  char *folder;
  const dr_secrets *secrets; /* borrowed */
};

/* A new name in a folder is only durable once the folder is. */
static void sync_folder(const char *path) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

/* Makes one folder, private; `slash` is where its parent's name ends in the path. */
static int make_folder(char *path, char *slash) {
  if (mkdir(path, 0700) != 0) return errno == EEXIST ? 0 : -1;
  char kept = *slash;
  *slash = '\0';
  sync_folder(*path ? path : kept == '/' ? "/" : ".");
  *slash = kept;
  return 0;
}

/* mkdir -p, private. */
static int make_folders(const char *path) {
  char *copy = strdup(path), *slash = copy;
  int failed = copy ? 0 : -1;
  if (!copy) errno = ENOMEM;
  while (!failed && slash) {
    char *next = strchr(slash + 1, '/');
    if (next) *next = '\0';
    failed = make_folder(copy, slash);
    if (next) *next = '/';
    slash = next;
  }
  free(copy);
  return failed;
}

dr_journal *dr__journal_open(const char *state_dir, const char *run_id, const dr_secrets *secrets,
                             dr_err *err) {
  char *file = NULL;
  dr_journal *journal = calloc(1, sizeof *journal);
  if (!journal) {
    dr__err_nomem(err);
    return NULL;
  }
  journal->secrets = secrets;
  journal->fd = -1;
  if (asprintf(&journal->folder, "%s/runs/%s", state_dir, run_id) < 0) journal->folder = NULL;
  if (!journal->folder || asprintf(&file, "%s/journal.jsonl", journal->folder) < 0) {
    dr__err_nomem(err);
    dr__journal_close(journal);
    return NULL;
  }
  journal->fd = make_folders(journal->folder) == 0
                    ? open(file, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600)
                    : -1;
  if (journal->fd < 0) {
    int reason = errno;
    if (reason == ENOMEM) {
      dr__err_nomem(err);
    } else {
      dr__fail(err, "journal.create", "cannot write the journal %s: %s", file, strerror(reason));
      dr__err_hint(err, "nothing was changed; give a folder that can be written by XDG_STATE_HOME");
    }
    dr__journal_close(journal);
    journal = NULL;
  } else {
    sync_folder(journal->folder);
  }
  free(file);
  return journal;
}

static int write_whole(int fd, const char *text, size_t length) {
  while (length > 0) {
    ssize_t wrote = write(fd, text, length);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return -1;
    text += wrote;
    length -= (size_t)wrote;
  }
  return 0;
}

static int fail_write(const dr_journal *journal, int reason, dr_err *err) {
  dr__fail(err, "journal.write", "cannot write the journal in %s: %s", journal->folder,
           strerror(reason));
  dr__err_hint(err, "nothing is done that is not in the journal first; make room and run again");
  return DR_FAILED;
}

int dr__journal_sync(dr_journal *journal, dr_err *err) {
  return fdatasync(journal->fd) == 0 ? 0 : fail_write(journal, errno, err);
}

int dr__journal_write(dr_journal *journal, json_t *line, bool durable, dr_err *err) {
  json_t *masked = line ? dr__secrets_mask_json(journal->secrets, line) : NULL;
  char *text = masked ? dr__json_text(masked) : NULL;
  json_decref(line);
  json_decref(masked);
  if (!text) return dr__err_nomem(err);
  size_t length = strlen(text);
  text[length] = '\n';
  int wrote = write_whole(journal->fd, text, length + 1);
  int failed = wrote != 0 || (durable && fdatasync(journal->fd) != 0) ? errno : 0;
  free(text);
  if (!failed) {
    journal->length += (off_t)length + 1;
    return 0;
  }
  /* Half a line would spoil the one that follows. */
  if (wrote != 0) (void)!ftruncate(journal->fd, journal->length);
  return fail_write(journal, failed, err);
}

const char *dr__journal_path(const dr_journal *journal) {
  return journal->folder;
}

static void remove_empty(const dr_journal *journal) {
  char *file = NULL;
  if (asprintf(&file, "%s/journal.jsonl", journal->folder) < 0) file = NULL;
  if (file && unlink(file) == 0) rmdir(journal->folder);
  free(file);
}

void dr__journal_close(dr_journal *journal) {
  if (!journal) return;
  if (journal->folder && journal->fd >= 0 && journal->length == 0) remove_empty(journal);
  if (journal->fd >= 0) close(journal->fd);
  free(journal->folder);
  free(journal);
}
