/* exec_files.c - the files that a command's standard input comes from and its output goes to.
 *
 * Made by the ops that move files (transfer_upload.c, transfer_download.c, sync_op.c) on the
 * runtime's thread, used by the transport on its own: by ssh/channel.c on the session's thread, so
 * that the bytes never pass the loop; local.c gives the descriptors to the child itself.
 */
#include "target.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

dr_exec_files *dr__exec_files_new(int input_fd, int output_fd) {
  dr_exec_files *files = calloc(1, sizeof *files);
  if (files) {
    files->input_fd = input_fd;
    files->output_fd = output_fd;
    files->place_fd = -1;
    return files;
  }
  if (input_fd >= 0) close(input_fd);
  if (output_fd >= 0) close(output_fd);
  return NULL;
}

void dr__exec_files_free(dr_exec_files *files) {
  if (!files) return;
  if (files->input_fd >= 0) close(files->input_fd);
  if (files->output_fd >= 0) close(files->output_fd);
  if (files->free_source && files->source) files->free_source(files->source);
  free(files);
}

bool dr__exec_files_feeds(const dr_exec_files *files) {
  return files && (files->read || files->input_fd >= 0);
}

static long read_fd(int fd, char *buffer, size_t size) {
  ssize_t got;
  do got = read(fd, buffer, size);
  while (got < 0 && errno == EINTR);
  return got < 0 ? -errno : (long)got;
}

size_t dr__exec_files_read(dr_exec_files *files, char *buffer, size_t size) {
  long got =
      files->read ? files->read(files, buffer, size) : read_fd(files->input_fd, buffer, size);
  if (got < 0) atomic_store(&files->failed, (int)-got);
  if (got <= 0) return 0;
  atomic_fetch_add(&files->moved, (unsigned long long)got);
  return (size_t)got;
}

bool dr__exec_files_write(dr_exec_files *files, const char *bytes, size_t length) {
  for (size_t done = 0; done < length;) {
    ssize_t put = write(files->output_fd, bytes + done, length - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      atomic_store(&files->failed, errno);
      return false;
    }
    done += (size_t)put;
    atomic_fetch_add(&files->moved, (unsigned long long)put);
  }
  return true;
}

void dr__exec_files_lend(dr_exec_files *files, int fd) {
  files->place_fd = fd;
  files->place = lseek(fd, 0, SEEK_CUR);
}

uint64_t dr__exec_files_moved(dr_exec_files *files) {
  if (files->place_fd < 0) return atomic_load(&files->moved);
  int64_t place = lseek(files->place_fd, 0, SEEK_CUR);
  return place > files->place ? (uint64_t)(place - files->place) : 0;
}
