/* failing_malloc.c - preloaded into the command by alloc_sweep.sh: runs main() again and again,
 * each time in a child process in which another allocation fails, until there is none left to fail.
 * Reports every run that ended by a signal, hung, or had an exit status above 3, and exits with 1
 * then.
 *
 *   FAIL_AT=N     run main() once, in this process, with the N-th allocation failing
 *   FAIL_STEP=N   fail every N-th only; default 1
 *   FAIL_ROW=N    fail so many in a row; default 1. Lua asks a second time after collecting its
 *                 garbage, so that it notices two only.
 *
 * What libuv and the dynamic linker ask for themselves is let through: they end the process when
 * they get none, by design, and no program can do anything about that. So is what libgit2 asks for:
 * its git_libgit2_init() follows a null pointer when it wants to say that there is no memory (1.5).
 */
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-*,readability-inconsistent-*): names of libc */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HANGS_AFTER = 30, MOST_REPORTS = 10 };

static long fail_at; /* 0: none */
static long row = 1;
static long counted;
static volatile char *reached; /* shared: the child came to its allocation */

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);

static int ends_without(void *caller) {
  Dl_info info;
  if (dladdr(caller, &info) == 0 || !info.dli_fname) return 0;
  return strstr(info.dli_fname, "libuv") || strstr(info.dli_fname, "/ld-linux") ||
         strstr(info.dli_fname, "libgit2");
}

/* True for the one allocation that is to fail. */
static int fails(void *caller) {
  long number = fail_at == 0 ? 0 : __atomic_add_fetch(&counted, 1, __ATOMIC_SEQ_CST);
  if (number < fail_at || number >= fail_at + row || fail_at == 0) return 0;
  if (reached) *reached = 1;
  if (ends_without(caller)) return 0;
  errno = ENOMEM;
  return 1;
}

void *malloc(size_t size) {
  if (!real_malloc) real_malloc = dlsym(RTLD_NEXT, "malloc");
  return fails(__builtin_return_address(0)) ? NULL : real_malloc(size);
}

/* dlsym() itself may call calloc() before it can be known. */
void *calloc(size_t number, size_t size) {
  static char early[4096];
  static size_t used;
  if (!real_calloc) {
    static int asking;
    if (asking) {
      size_t room = (number * size + 15) & ~(size_t)15;
      used += room;
      return used <= sizeof early ? early + used - room : NULL;
    }
    asking = 1;
    real_calloc = dlsym(RTLD_NEXT, "calloc");
  }
  return fails(__builtin_return_address(0)) ? NULL : real_calloc(number, size);
}

void *realloc(void *block, size_t size) {
  if (!real_realloc) real_realloc = dlsym(RTLD_NEXT, "realloc");
  return fails(__builtin_return_address(0)) ? NULL : real_realloc(block, size);
}

/* ---- the sweep */

static int (*real_main)(int, char **, char **);

static int run_child(long n, int argc, char **argv, char **envp) {
  int nothing = open("/dev/null", O_RDWR);
  for (int fd = 0; fd <= 2; fd++) dup2(nothing, fd);
  close(nothing);
  alarm(HANGS_AFTER);
  fail_at = n;
  return real_main(argc, argv, envp);
}

/* Reports how a child ended if that was bad. */
static int is_bad(long n, int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) <= 3) return 0;
  if (WIFEXITED(status))
    fprintf(stderr, "FAILED: allocation %ld: exit status %d\n", n, WEXITSTATUS(status));
  else
    fprintf(stderr, "FAILED: allocation %ld: signal %d%s\n", n, WTERMSIG(status),
            WTERMSIG(status) == SIGALRM ? " (it hung)" : "");
  return 1;
}

/* Every `by`-th allocation from the n-th on. Returns how many were bad. */
static int sweep_from(long n, long by, int argc, char **argv, char **envp) {
  int bad = 0;
  reached = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  for (*reached = 1; *reached && bad < MOST_REPORTS; n += by) {
    *reached = 0;
    pid_t child = fork();
    if (child == 0) exit(run_child(n, argc, argv, envp));
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0) return 1;
    bad += is_bad(n, status);
  }
  if (bad == 0) printf("ok up to allocation %ld\n", n - by);
  return bad;
}

/* Two at a time, each with every other one. */
static int sweep(long by, int argc, char **argv, char **envp) {
  pid_t second = fork();
  int bad = sweep_from(second == 0 ? 1 + by : 1, 2 * by, argc, argv, envp);
  if (second == 0) exit(bad > 0);
  int status = 0;
  if (second < 0 || waitpid(second, &status, 0) < 0) return 1;
  return bad > 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static long number_of(const char *name, long otherwise) {
  const char *text = getenv(name);
  return text ? strtol(text, NULL, 10) : otherwise;
}

/* The commands that are run are spared: else each of them would be swept for itself. */
static int counted_main(int argc, char **argv, char **envp) {
  static const char *const ours[] = {"LD_PRELOAD", "FAIL_AT", "FAIL_STEP", "FAIL_ROW"};
  long by = number_of("FAIL_STEP", 1), once = number_of("FAIL_AT", 0);
  row = number_of("FAIL_ROW", 1);
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) unsetenv(ours[i]);
  if (once == 0) return sweep(by, argc, argv, envp);
  fail_at = once;
  return real_main(argc, argv, envp);
}

int __libc_start_main(int (*entry)(int, char **, char **), int argc, char **argv,
                      void (*init)(void), void (*fini)(void), void (*rtld_fini)(void),
                      void *stack_end) {
  int (*next)(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void),
              void (*)(void), void *) = dlsym(RTLD_NEXT, "__libc_start_main");
  real_main = entry;
  return next(counted_main, argc, argv, init, fini, rtld_fini, stack_end);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-*,readability-inconsistent-*) */
