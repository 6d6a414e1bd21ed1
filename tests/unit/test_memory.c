/* Memory fails at the N-th allocation, for every N, while a recipe is loaded, planned, run and
 * undone: it never crashes, hangs or leaks (under a sanitizer), and it never says that all went
 * well when a part was left out.
 *
 * Wrapped by the linker are the allocations of the project's own code; those of the recipe's Lua
 * and of jansson are among them. Lua makes most of them, all in one function, so that of Lua's only
 * some are failed, unless $DEPLOYRUN_WHOLE_SWEEP is set.
 */
#include "fake_binding.h"

#include "core/json.h"
#include "remove_folder.h"

#include <deployrun.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the allocator */

typedef enum what { NOTHING, LUA, OTHERS } what;

static what failing; /* whose allocations are counted */
static long countdown;
static bool failed;

/* Lua asks a second time when its garbage is collected: then it is denied again. */
static bool is_denied(what whose) {
  long last = whose == LUA ? -1 : 0;
  if (failing != whose || countdown == last || --countdown > 0) return false;
  failed = true;
  return true;
}

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-*): names the linker wants */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t length);
FILE *__real_open_memstream(char **text, size_t *size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t length);
int __wrap_asprintf(char **text, const char *format, ...) __attribute__((format(printf, 2, 3)));
FILE *__wrap_open_memstream(char **text, size_t *size);

void *__wrap_malloc(size_t size) {
  return is_denied(OTHERS) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
  return is_denied(OTHERS) ? NULL : __real_calloc(count, size);
}

/* Lua's, nearly all of them. */
void *__wrap_realloc(void *block, size_t size) {
  return is_denied(LUA) ? NULL : __real_realloc(block, size);
}

char *__wrap_strdup(const char *text) {
  return is_denied(OTHERS) ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t length) {
  return is_denied(OTHERS) ? NULL : __real_strndup(text, length);
}

int __wrap_asprintf(char **text, const char *format, ...) {
  *text = (char *)format; /* what it is after a failure is not defined */
  if (is_denied(OTHERS)) return -1;
  va_list args;
  va_start(args, format);
  int length = vasprintf(text, format, args);
  va_end(args);
  return length;
}

FILE *__wrap_open_memstream(char **text, size_t *size) {
  return is_denied(OTHERS) ? NULL : __real_open_memstream(text, size);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-*) */

/* ---- the program */

static char folder[] = "/tmp/test_memory.XXXXXX";
static char recipe_path[64], state_path[64];
static int planned; /* events of the plan that were told */

/* Looks at each event in every way there is. */
static void on_event(const dr_event *event, void *data) {
  (void)data;
  dr_event_type type = dr_event_kind(event);
  (void)dr_event_json(event);
  (void)dr_event_text(event, "error.message");
  (void)dr_event_text(event, "params");
  if (type == DR_EVENT_PLAN_OP) planned++;
}

static int begin(void **state) {
  (void)state;
  json_set_alloc_funcs(__wrap_malloc, free);
  if (!mkdtemp(folder)) return -1;
  snprintf(recipe_path, sizeof recipe_path, "%s/t.lua", folder);
  snprintf(state_path, sizeof state_path, "%s/state", folder);
  return 0;
}

static int end(void **state) {
  (void)state;
  return remove_folder(folder);
}

static void write_recipe(const char *text) {
  FILE *file = fopen(recipe_path, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

typedef int (*action)(dr_runtime *rt, dr_err *err);

/* Everything an embedding program does, once. Returns the last status. */
static int go(action act, dr_err *err) {
  dr_options options = DR_OPTIONS_INIT;
  options.recipes_dir = folder;
  options.state_dir = state_path;
  options.observer = on_event;
  dr_runtime *rt = NULL;
  int status = dr_runtime_new(&rt, &options, err);
  if (status == DR_OK) status = dr_load(rt, recipe_path, err);
  dr_param param;
  for (size_t i = 0; status == DR_OK && dr_recipe_param(rt, i, &param); i++)
    if (strcmp(param.name, "given") == 0) status = dr_set(rt, "given", "a,b", err);
  fake_started[0] = '\0';
  planned = 0;
  if (status == DR_OK) status = act(rt, err);
  dr_runtime_free(rt);
  return status;
}

/* What comes of it when nothing fails. */
typedef struct expectation {
  action act;
  int status;
  const char *started; /* ops */
  int planned;         /* ops in the plan */
} expectation;

/* One pass with the n-th allocation failing. Returns false when there is no n-th. */
static bool pass(what whose, long n, const expectation *expected) {
  dr_err err = DR_ERR_INIT;
  failing = whose;
  countdown = n;
  failed = false;
  int status = go(expected->act, &err);
  failing = NOTHING;
  if (!failed && status != expected->status)
    fail_msg("ended with %d: [%s] %s", status, err.code, err.message);
  if ((status == DR_OK) != (err.code[0] == '\0'))
    fail_msg("allocation %ld: status %d, but the error is [%s]", n, status, err.code);
  bool usual = status == DR_OK || status == expected->status || status == DR_UNDO_FAILED;
  if (!usual && !strstr(err.code, "memory"))
    fail_msg("allocation %ld: ended with %d, and not for want of memory: [%s] %s", n, status,
             err.code, err.message);
  bool whole = strcmp(fake_started, expected->started) == 0 && planned == expected->planned;
  if (status == DR_OK && !whole)
    fail_msg("allocation %ld: said to be done, but %s and %d planned", n, fake_started, planned);
  dr_err_clear(&err);
  return failed;
}

/* Sweeps every `step`-th allocation of one kind; all of them when they are few. */
static long sweep_one(what whose, long step, const expectation *expected) {
  enum { FEW = 300 };
  long n = 1, all = getenv("DEPLOYRUN_WHOLE_SWEEP") != NULL;
  while (pass(whose, n, expected)) n += all || n < FEW ? 1 : step;
  return n - 1;
}

static void sweep(const char *text, const expectation *expected) {
  write_recipe(text);
  long of_others = sweep_one(OTHERS, 7, expected);
  print_message("%ld allocations, and %ld of Lua's\n", of_others, sweep_one(LUA, 53, expected));
}

static const char empty[] = "return recipe { name = \"t\", run = function() end }";

static const char rich[] =
    "local helper = { name = \"helper\" }\n"
    "return recipe { name = \"t\", summary = \"all there is\", params = {\n"
    "  given = param.list { default = { \"x\" }, help = \"words\" },\n"
    "  mode = param.enum { choices = { \"a\", \"b\" }, default = \"b\" },\n"
    "  within = param.duration { default = \"5m\" },\n"
    "}, run = function(p)\n"
    "  mask(\"DB\", \"hunter2\")\n"
    "  fake.query { name = \"q\" .. tostring(p.mode), any = { list = p.given, deep = { { p.within "
    "} } } }\n"
    "  step(\"One\", function()\n"
    "    local a = fake.action { name = \"a\", command = { \"x\", helper.name },\n"
    "      result = { x = { 1, 2 } } }\n"
    "    log(json.encode(a), json.encode(json.decode(\"[1, {}]\")))\n"
    "    assert(fake.odd().bytes)\n"
    "  end):undo(function() fake.action { name = \"undo\" } end)\n"
    "  local results = parallel({ 1, 2 }, { on_error = \"continue\" }, function(i)\n"
    "    wait(\"a while\", { within = 1, every = 0 }, function() return true end)\n"
    "    fake.check { name = \"c\" .. i, map = { A = 1, B = true } }\n"
    "    return coroutine.wrap(function() coroutine.yield(os.time()) end)()\n"
    "  end)\n"
    "  for _, lane in ipairs(results) do if not lane.ok then error(lane.error) end end\n"
    "  pcall(fake.query, { nmae = 1 })\n"
    "  for _, word in pairs(p) do tostring(word) end\n"
    "  %s\n"
    "end }\n";

static char *with_end(const char *last) {
  static char text[2048];
  snprintf(text, sizeof text, rich, last); /* NOLINT: the format is above */
  return text;
}

static void an_empty_recipe(void **state) {
  (void)state;
  sweep(empty, &(expectation){dr_run, DR_OK, "", 0});
}

static void a_plan(void **state) {
  (void)state;
  sweep(with_end(""), &(expectation){dr_plan, DR_OK, "qb ", 9});
}

static void a_run(void **state) {
  (void)state;
  sweep(with_end(""), &(expectation){dr_run, DR_OK, "qb qb a c1 c2 ", 0});
}

static void a_run_that_fails_and_is_undone(void **state) {
  (void)state;
  sweep(with_end("fake.action { fails = \"hunter2\" }"), &(expectation){dr_run, DR_FAILED, "", 0});
}

static void a_recipe_that_is_wrong(void **state) {
  (void)state;
  sweep("return recipe { name = \"t\", run = function() fake.qeury {} end }",
        &(expectation){dr_run, DR_RECIPE, "", 0});
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_empty_recipe),
      cmocka_unit_test(a_plan),
      cmocka_unit_test(a_run),
      cmocka_unit_test(a_run_that_fails_and_is_undone),
      cmocka_unit_test(a_recipe_that_is_wrong),
  };
  return cmocka_run_group_tests(tests, begin, end);
}
