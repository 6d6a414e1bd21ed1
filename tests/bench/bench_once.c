/* bench_once.c - runs one command and tells what it cost: it and everything that it started, also
 * what it left behind.
 *
 *   bench_once RESULT AFTER COMMAND [WORD...]
 *
 * Writes one line to the file RESULT: exit status, nanoseconds until COMMAND itself ended,
 * microseconds of processor time (user and system) of all its processes, and the KiB that the
 * largest of them had resident at its greatest. AFTER is a shell line that ends what COMMAND left
 * behind (the masters of ControlMaster); its own cost is not counted, theirs is. Processes whose
 * parents have ended become this one's children (a subreaper), so that none is lost.
 *
 * In C, because a child's peak of resident memory begins at that of the process that started it: a
 * Python interpreter would be the floor of everything that is smaller. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LEFT_SECONDS = 20 }; /* what is left behind must have ended by then */

typedef struct cost {
  int64_t cpu_us;
  long peak_kib;
} cost;

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void add(cost *sum, const struct rusage *usage) {
  sum->cpu_us += ((int64_t)usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000 +
                 usage->ru_utime.tv_usec + usage->ru_stime.tv_usec;
  if (usage->ru_maxrss > sum->peak_kib) sum->peak_kib = usage->ru_maxrss;
}

static pid_t start(char *const *argv) {
  pid_t pid = fork();
  if (pid != 0) return pid;
  execvp(argv[0], argv);
  _exit(127);
}

/* Reaps until that child has ended, or there is none any more (pid 0). Its status, -1 without one.
 */
static int reap(pid_t pid, pid_t uncounted, cost *sum) {
  while (1) {
    struct rusage usage;
    int status = 0;
    pid_t ended = wait4(-1, &status, 0, &usage);
    if (ended < 0 && errno == EINTR) continue;
    if (ended < 0) return -1;
    if (ended != uncounted) add(sum, &usage);
    if (ended == pid) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
}

int main(int argc, char **argv) {
  cost sum = {0};
  if (argc < 4) return 2;
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  FILE *result = fopen(argv[1], "w");
  if (result == NULL) return 2;
  (void)fcntl(fileno(result), F_SETFD, FD_CLOEXEC);
  int64_t began = now_ns();
  pid_t pid = start(argv + 3);
  int status = reap(pid, 0, &sum);
  int64_t took = now_ns() - began;
  char *after[] = {(char[]){"sh"}, (char[]){"-c"}, argv[2], NULL};
  alarm(LEFT_SECONDS);
  pid_t cleaner = start(after);
  (void)reap(0, cleaner, &sum);
  fprintf(result, "%d %lld %lld %ld\n", status, (long long)took, (long long)sum.cpu_us,
          sum.peak_kib);
  return fclose(result) == 0 ? 0 : 2;
}
