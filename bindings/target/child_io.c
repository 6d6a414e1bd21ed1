/* child_io.c - makes the descriptors of a child process and writes to them without SIGPIPE. Called
 * by local.c on the runtime's thread. */
#include "child_io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static void close_one(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

static void make_empty(dr_child_io *io) {
  *io = (dr_child_io){.child = {-1, -1, -1}, .input = -1, .output = -1, .error = -1};
}

/* One pipe. Our end does not block, the child's does: programs do not expect EAGAIN. */
static int make_pipe(int *reader, int *writer, const int *ours) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return errno;
  *reader = ends[0];
  *writer = ends[1];
  return fcntl(*ours, F_SETFL, O_NONBLOCK) == 0 ? 0 : errno;
}

int dr__child_pipes(dr_child_io *io, bool with_input) {
  make_empty(io);
  int failed = 0;
  if (with_input)
    failed = make_pipe(&io->child[0], &io->input, &io->input);
  else if ((io->child[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0)
    failed = errno;
  if (failed == 0) failed = make_pipe(&io->output, &io->child[1], &io->output);
  if (failed == 0) failed = make_pipe(&io->error, &io->child[2], &io->error);
  if (failed != 0) dr__child_close(io);
  return failed;
}

int dr__child_terminal(dr_child_io *io) {
  make_empty(io);
  struct winsize size = {.ws_row = 24, .ws_col = 80};
  int slave = -1;
  if (openpty(&io->output, &slave, NULL, NULL, &size) != 0) return errno;
  io->child[0] = io->child[1] = io->child[2] = slave;
  struct termios mode;
  int failed = ttyname_r(slave, io->terminal, sizeof io->terminal);
  if (failed == 0 && tcgetattr(slave, &mode) == 0) {
    mode.c_lflag &= ~(tcflag_t)ECHO;
    failed = tcsetattr(slave, TCSANOW, &mode) == 0 ? 0 : errno;
  }
  if (failed == 0 &&
      (fcntl(slave, F_SETFD, FD_CLOEXEC) != 0 || fcntl(io->output, F_SETFD, FD_CLOEXEC) != 0 ||
       fcntl(io->output, F_SETFL, O_RDWR | O_NONBLOCK) != 0 ||
       (io->input = fcntl(io->output, F_DUPFD_CLOEXEC, 3)) < 0))
    failed = errno;
  if (failed != 0) dr__child_close(io);
  return failed;
}

void dr__child_close_theirs(dr_child_io *io) {
  if (io->terminal[0]) io->child[1] = io->child[2] = -1;
  for (int i = 0; i < 3; i++) close_one(&io->child[i]);
}

void dr__child_close(dr_child_io *io) {
  dr__child_close_theirs(io);
  close_one(&io->input);
  close_one(&io->output);
  close_one(&io->error);
}

long dr__child_write(int fd, const char *bytes, size_t length) {
  sigset_t pipe_signal;
  sigset_t before;
  sigset_t pending;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  sigpending(&pending);
  pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  ssize_t written;
  do written = write(fd, bytes, length);
  while (written < 0 && errno == EINTR);
  int failed = written < 0 ? errno : 0;
  /* Take back the signal that this write raised, not one that was there before. */
  if (failed == EPIPE && !sigismember(&pending, SIGPIPE)) {
    const struct timespec at_once = {0};
    while (sigtimedwait(&pipe_signal, NULL, &at_once) < 0 && errno == EINTR) continue;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return failed ? -failed : (long)written;
}

/* True when /proc says that the process is in the group and has not ended. Its name stands in
 * parentheses and may hold anything, so the fields are counted from the last one. */
static bool is_live_member(const char *process, int group) {
  char path[64];
  char line[512];
  snprintf(path, sizeof path, "/proc/%.20s/stat", process);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd >= 0 ? read(fd, line, sizeof line - 1) : -1;
  if (fd >= 0) close(fd);
  if (length <= 0) return false;
  line[length] = '\0';
  const char *name_end = strrchr(line, ')');
  if (!name_end || strlen(name_end) < 4) return false;
  char state = name_end[2];
  char *after_parent = NULL;
  strtol(name_end + 3, &after_parent, 10);
  long own_group = strtol(after_parent, NULL, 10);
  return own_group == group && state != 'Z' && state != 'X';
}

bool dr__child_group_alive(int group) {
  if (kill(-group, 0) != 0 && errno == ESRCH) return false;
  DIR *folder = opendir("/proc");
  if (!folder) return true; /* nothing better is known */
  bool alive = false;
  for (struct dirent *entry; !alive && (entry = readdir(folder));)
    if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
      alive = is_live_member(entry->d_name, group);
  closedir(folder);
  return alive;
}
