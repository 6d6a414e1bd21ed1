/* failing_malloc.c - preloaded into the command by alloc_sweep.sh: runs main() again and again,
 * each time in a child process in which another allocation fails, until there is none left to fail.
 * Reports every run that ended by a signal, hung, or had an exit status above 3, and every one that
 * failed otherwise than without memory, and exits with 1 then. A run may end as the one with all
 * its memory does, or it says that memory was short.
 *
 *   FAIL_AT=N     run main() once, in this process, with the N-th allocation failing
 *   FAIL_STEP=N   fail every N-th only; default 1. "ways": the first and the last time that each
 *                 way to an allocation is gone, a way being its innermost callers
 *   FAIL_FROM=N   begin with the N-th; default 1
 *   FAIL_ROW=N    fail so many in a row; default 1. Lua asks a second time after collecting its
 *                 garbage, so that it notices two only.
 *   FAIL_MOST=N   end after so many bad runs; default 10
 *   FAIL_SEEN=1   show what the bad runs said
 *   FAIL_SHOW=1   show also whose allocation failed, in each run
 *
 * What libuv and the dynamic linker ask for themselves is let through: they end the process when
 * they get none, by design, and no program can do anything about that. So is what libgit2 asks for:
 * its git_libgit2_init() follows a null pointer when it wants to say that there is no memory (1.5).
 */
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-*,readability-inconsistent-*): names of libc */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HANGS_AFTER = 60, MOST_WAYS = 1 << 16, DEPTH = 16 };

static long fail_at; /* 0: none */
static long row = 1;
static long from = 1;
static long most_reports;
static int shows; /* a file for the callers of what fails; 0: none */
static long counted;
static volatile char *reached; /* shared: the child came to its allocation */

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);

static int (*real_main)(int, char **, char **);
static __thread int looking __attribute__((tls_model("initial-exec")));

/* What the innermost callers are, without what they ask for themselves. */
static int callers(void **frames) {
  looking = 1;
  int depth = backtrace(frames, DEPTH);
  looking = 0;
  return depth;
}

/* True for what a library that ends so asks for, itself or through another one (libgit2 through
 * its regular expressions). The first frames are of this file, the last that count are ours. */
static int ends_without(void) {
  void *frames[DEPTH], *ours;
  Dl_info info, program = {0};
  int depth = callers(frames);
  memcpy(&ours, &real_main, sizeof ours);
  dladdr(ours, &program);
  for (int i = 2; i < depth; i++) {
    if (dladdr(frames[i], &info) == 0 || !info.dli_fname) continue;
    if (info.dli_fbase == program.dli_fbase || strstr(info.dli_fname, "libdeployrun")) return 0;
    if (strstr(info.dli_fname, "libuv") || strstr(info.dli_fname, "/ld-linux") ||
        strstr(info.dli_fname, "libgit2"))
      return 1;
  }
  return 0;
}

/* ---- the ways to an allocation */

typedef struct way {
  uint64_t callers; /* a hash of them; 0: none */
  long first, last;
} way;

static way *ways; /* MOST_WAYS of them, shared; NULL: they are not looked at */

static uint64_t callers_hash(void) {
  void *frames[DEPTH];
  uint64_t hash = 14695981039346656037U;
  int depth = callers(frames);
  for (int i = 0; i < depth; i++) hash = (hash ^ (uintptr_t)frames[i]) * 1099511628211U;
  return hash | 1;
}

static void note_way(long number) {
  uint64_t hash = callers_hash();
  for (size_t i = 0, at = hash >> 20; i < MOST_WAYS; i++, at++) {
    way *here = &ways[at % MOST_WAYS];
    uint64_t none = 0;
    if (__atomic_compare_exchange_n(&here->callers, &none, hash, 0, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST))
      here->first = number;
    if (here->callers != hash) continue;
    here->last = number;
    return;
  }
}

/* True for the one allocation that is to fail. */
static int fails(void) {
  if (fail_at == 0 || looking) return 0;
  long number = __atomic_add_fetch(&counted, 1, __ATOMIC_SEQ_CST);
  if (ways) note_way(number);
  if (number < fail_at || number >= fail_at + row) return 0;
  if (reached) *reached = 1;
  if (ends_without()) return 0;
  if (shows) {
    void *frames[DEPTH];
    backtrace_symbols_fd(frames, callers(frames), shows);
  }
  errno = ENOMEM;
  return 1;
}

void *malloc(size_t size) {
  if (!real_malloc) real_malloc = dlsym(RTLD_NEXT, "malloc");
  return fails() ? NULL : real_malloc(size);
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
  return fails() ? NULL : real_calloc(number, size);
}

void *realloc(void *block, size_t size) {
  if (!real_realloc) real_realloc = dlsym(RTLD_NEXT, "realloc");
  return fails() ? NULL : real_realloc(block, size);
}

/* ---- the sweep */

static int usual; /* how the run with all its memory ended */

/* What it says goes to `said`, a file without a name. */
static int run_child(long n, int said, int argc, char **argv, char **envp) {
  int nothing = open("/dev/null", O_RDONLY);
  dup2(nothing, 0);
  dup2(said, 1);
  dup2(said, 2);
  close(nothing);
  close(said);
  alarm(HANGS_AFTER);
  fail_at = n;
  return real_main(argc, argv, envp);
}

/* Runs main() with the n-th allocation failing. How it ended, as waitpid() has it; -1: not begun.
 */
static int run_once(long n, int said, int argc, char **argv, char **envp) {
  int status = -1;
  if (ftruncate(said, 0) != 0 || lseek(said, 0, SEEK_SET) != 0) return -1;
  pid_t child = fork();
  if (child == 0) exit(run_child(n, said, argc, argv, envp));
  return child < 0 || waitpid(child, &status, 0) < 0 ? -1 : status;
}

/* The first part of what the last run said; static. */
static const char *what_was(int said) {
  static char text[1 << 16];
  ssize_t length = pread(said, text, sizeof text - 1, 0);
  text[length < 0 ? 0 : length] = '\0';
  return text;
}

/* Reports how a child ended if that was bad. */
static int is_bad(long n, int status, int said) {
  const char *text = what_was(said);
  if (status == usual) return 0;
  if (WIFEXITED(status) && WEXITSTATUS(status) <= 3 && strcasestr(text, "memory")) return 0;
  if (WIFEXITED(status))
    fprintf(stderr, "FAILED: allocation %ld: exit status %d%s\n", n, WEXITSTATUS(status),
            strcasestr(text, "memory") ? "" : ", and memory is not spoken of");
  else
    fprintf(stderr, "FAILED: allocation %ld: signal %d%s\n", n, WTERMSIG(status),
            WTERMSIG(status) == SIGALRM ? " (it hung)" : "");
  if (getenv("FAIL_SEEN")) fprintf(stderr, "%s\n", text);
  return 1;
}

/* Of the numbers (ended by 0), or without them of every `by`-th, every other one from `which` on.
 * Returns how many were bad. */
static int sweep_part(int which, const long *numbers, long by, int argc, char **argv, char **envp) {
  int bad = 0, said = memfd_create("said", MFD_CLOEXEC);
  long runs = 0, n = 0;
  reached = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  *reached = 1;
  for (long i = which; (numbers || *reached) && bad < most_reports; i += 2) {
    if (numbers && numbers[i] == 0) break;
    n = numbers ? numbers[i] : from + i * by;
    *reached = 0;
    int status = run_once(n, said, argc, argv, envp);
    if (status == -1) return 1;
    bad += is_bad(n, status, said);
    runs++;
  }
  printf("%s up to allocation %ld in %ld runs\n", bad == 0 ? "ok" : "FAILED", n, runs);
  return bad;
}

static int compare(const void *one, const void *other) {
  const long a = *(const long *)one, b = *(const long *)other;
  return (a > b) - (a < b);
}

/* The numbers of those at the beginning and at the end of a way, in order and each once, and a 0
 * more than one part looks at. */
static long *numbers_of_ways(void) {
  size_t count = 0, kept = 0;
  long *numbers = calloc(2 * MOST_WAYS + 2, sizeof *numbers);
  if (!numbers) return NULL;
  for (size_t i = 0; i < MOST_WAYS; i++) {
    if (ways[i].callers == 0) continue;
    numbers[count++] = ways[i].first;
    numbers[count++] = ways[i].last;
  }
  qsort(numbers, count, sizeof *numbers, compare);
  for (size_t i = 0; i < count; i++)
    if (numbers[i] >= from && (kept == 0 || numbers[kept - 1] != numbers[i]))
      numbers[kept++] = numbers[i];
  memset(numbers + kept, 0, (2 * MOST_WAYS + 2 - kept) * sizeof *numbers);
  return numbers;
}

/* Two at a time, which know by FAIL_PART which they are. First of all a run with all its memory. */
static int sweep(const char *step, int argc, char **argv, char **envp) {
  const int by_ways = strcmp(step, "ways") == 0, said = memfd_create("said", MFD_CLOEXEC);
  const long by = by_ways ? 1 : strtol(step, NULL, 10);
  long *numbers = NULL;
  if (by < 1) return 1;
  if (by_ways)
    ways = mmap(NULL, MOST_WAYS * sizeof *ways, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                -1, 0);
  if (ways == MAP_FAILED || said < 0) return 1;
  if (by_ways) callers_hash(); /* the first time it loads a library */
  setenv("FAIL_PART", "1", 1);
  usual = run_once(LONG_MAX / 2, said, argc, argv, envp);
  if (by_ways && !(numbers = numbers_of_ways())) return 1;
  ways = NULL;
  pid_t second = fork();
  if (second == 0) setenv("FAIL_PART", "2", 1);
  int bad = sweep_part(second == 0, numbers, by, argc, argv, envp);
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
  static const char *const ours[] = {"LD_PRELOAD", "FAIL_AT",   "FAIL_STEP",
                                     "FAIL_ROW",   "FAIL_MOST", "FAIL_FROM"};
  const char *step = getenv("FAIL_STEP");
  long once = number_of("FAIL_AT", 0);
  row = number_of("FAIL_ROW", 1);
  from = number_of("FAIL_FROM", 1);
  most_reports = number_of("FAIL_MOST", 10);
  if (getenv("FAIL_SHOW")) shows = STDERR_FILENO;
  char *kept = strdup(step ? step : "1");
  if (!kept) return 1;
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) unsetenv(ours[i]);
  if (once == 0) return sweep(kept, argc, argv, envp);
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
