/* test_sudo_memory.c - every allocation fails once on the way of a sudo password: while it is found
 * out that one is wanted, asked for, tried by one machine while another waits, refused, tried again
 * and given to a command. Nothing crashes, hangs or leaks, and nothing is said to be done that was
 * not. Linked with --wrap for the allocating functions. The sudo is a script that acts as the real
 * one does (tests/system/sudo.sh is about the real one). */
#include "embedding.h"
#include "target/sudo.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the allocator */

static bool counting; /* from the moment that sudo is first asked */
static long countdown;
static bool failed;

static bool is_denied(void) {
  if (!counting || countdown == 0 || --countdown > 0) return false;
  failed = true;
  return true;
}

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-*): names the linker wants */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
char *__wrap_strdup(const char *text);
int __real_dr__sudo_start(dr_op *op, dr_err *err);
int __wrap_dr__sudo_start(dr_op *op, dr_err *err);

void *__wrap_malloc(size_t size) {
  return is_denied() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
  return is_denied() ? NULL : __real_calloc(count, size);
}

char *__wrap_strdup(const char *text) {
  return is_denied() ? NULL : __real_strdup(text);
}

int __wrap_dr__sudo_start(dr_op *op, dr_err *err) {
  counting = true;
  return __real_dr__sudo_start(op, err);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-*) */

/* ---- the world */

static const char fake_sudo[] =
    "#!/bin/sh\n"
    "PATH=/usr/bin:/bin\n"
    "case $* in\n"
    "  '-k -n '*) echo 'sudo: a password is required' >&2; exit 1 ;;\n"
    "esac\n"
    "[ \"$1 $2 $3\" = '-k -A -p' ] || exit 99\n"
    "if [ \"$($SUDO_ASKPASS \"$4\")\" != sesame-4711 ]; then\n"
    "  printf 'Sorry, try again.\\nsudo: 1 incorrect password attempt\\n' >&2\n"
    "  exit 1\n"
    "fi\n"
    "while [ \"$1\" != -- ]; do shift; done\n"
    "shift\n"
    "exec \"$@\"\n";

/* Two lanes, of which one waits for what comes of the other's try; a command that reads; a lock. */
static const char recipe[] =
    "return recipe { name = \"t\", run = function()\n"
    "  local here = host(\"local\")\n"
    "  parallel({ 1, 2 }, function() here:sudo() end)\n"
    "  local root = here:as(\"app\")\n"
    "  root:run({ \"sh\", \"-c\", \"cat >$DONE\" }, { stdin = \"input\" })\n"
    "  local lock <close> = root:lock(\"sudo-memory\")\n"
    "end }\n";

static int questions;
static char done_path[128];

static char *answer(const char *question, bool secret, void *data) {
  (void)question, (void)secret, (void)data;
  bool was = counting;
  counting = false; /* the person's memory is not ours */
  char *text = strdup(++questions == 1 ? "wrong-0815" : "sesame-4711");
  counting = was;
  return text;
}

static int begin(void **state) {
  if (embedding_begin(state) != 0) return -1;
  embedding *world = *state;
  char path[512], program[128];
  json_set_alloc_funcs(__wrap_malloc, free);
  embedding_write(world, "sudo", fake_sudo);
  snprintf(program, sizeof program, "%s/sudo", world->folder);
  embedding_write(world, "sleep", "#!/bin/sh\nexec /bin/sleep 3\n");
  if (chmod(program, 0755) != 0) return -1;
  snprintf(program, sizeof program, "%s/sleep", world->folder);
  if (chmod(program, 0755) != 0) return -1;
  snprintf(path, sizeof path, "%s:%s", world->folder, getenv("PATH"));
  snprintf(done_path, sizeof done_path, "%s/done", world->folder);
  setenv("PATH", path, 1);
  setenv("DONE", done_path, 1);
  world->options.asker = answer;
  return 0;
}

/* One walk or run whose n-th allocation fails from the first sudo on; false when there is no n-th.
 */
static bool pass(embedding *world, int (*act)(dr_runtime *rt, dr_err *err), long n) {
  dr_err err = DR_ERR_INIT;
  remove(done_path);
  questions = 0;
  failed = counting = false;
  countdown = n;
  assert_int_equal(embedding_load(world, recipe), DR_OK);
  int status = act(world->rt, &err);
  counting = false;
  bool done = access(done_path, F_OK) == 0;
  if (status == DR_OK && act == dr_run && !done)
    fail_msg("allocation %ld: said to be done, but it is not", n);
  if (status == DR_OK && questions != 2) fail_msg("allocation %ld: %d questions", n, questions);
  if (status != DR_OK && !failed) fail_msg("%s: %s", err.code, err.message);
  if ((status == DR_OK) != (err.code[0] == '\0'))
    fail_msg("allocation %ld: status %d, but the error is [%s]", n, status, err.code);
  dr_err_clear(&err);
  return failed;
}

/* Sweeps every `step`-th allocation; all of them when $DEPLOYRUN_WHOLE_SWEEP is set, as each pass
 * starts some twenty processes. */
static void sweep(embedding *world, int (*act)(dr_runtime *rt, dr_err *err), long step) {
  long n = 1;
  if (getenv("DEPLOYRUN_WHOLE_SWEEP")) step = 1;
  while (pass(world, act, n)) n += step;
  print_message("%ld allocations\n", n - 1);
}

static void allocations_fail_while_the_password_is_found_out(void **state) {
  sweep(*state, dr_plan, 29);
}

static void allocations_fail_while_commands_are_given_it(void **state) {
  sweep(*state, dr_run, 101);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(allocations_fail_while_the_password_is_found_out),
      cmocka_unit_test(allocations_fail_while_commands_are_given_it),
  };
  return cmocka_run_group_tests_name("sudo_memory", tests, begin, embedding_end);
}
